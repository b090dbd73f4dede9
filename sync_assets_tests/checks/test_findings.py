"""What a stage judges its rows by, and when a fault is one of the whole batch."""

import tracemalloc
from typing import Any

import dagster as dg
import numpy as np
import pytest

from sync_assets.checks.batch import batch_checks, batch_specs
from sync_assets.chunks import Chunk
from sync_assets.documents import Visibility
from sync_assets.stages import Report
from sync_assets.stages.findings import SAMPLE, ChunkRules, DocumentRules, Finding, unusable
from sync_assets_tests.checks.places import place


def test_one_bad_row_is_never_a_fault_of_the_batch_and_most_of_many_are() -> None:
    for judged, failing, whole in ((1, 1, False), (19, 19, False), (20, 20, True), (41, 21, True), (42, 21, False)):
        finding = Finding()
        finding.judge(place(0), judged, [f"bad {number}" for number in range(failing)])
        assert finding.is_whole_batch is whole, (judged, failing)


def test_a_finding_names_the_first_cases_with_their_partitions_and_tenants() -> None:
    finding = Finding()
    for window in range(SAMPLE + 5):
        finding.judge(place(window, "polder"), 2, [f"bad {window}"])
    finding.judge(place(0), 3, [])
    assert (finding.judged, finding.failing) == (2 * (SAMPLE + 5) + 3, SAMPLE + 5)
    assert finding.cases == [f"bad {number}" for number in range(SAMPLE)]
    assert len(finding.partitions) == SAMPLE
    assert finding.tenants == {"polder"}


def _row(identity: str, content: str, deleted: bool = False, authoritative: bool = False) -> dict[str, Any]:
    return {
        "document_id": identity,
        "record_id": identity,
        "deleted": deleted,
        "authoritative": authoritative,
        "content_hash": None if deleted else content,
    }


def test_documents_that_come_twice_and_documents_that_say_the_same_are_told_apart() -> None:
    rules = DocumentRules()
    rules.judge(place(0), [_row("1", "a"), _row("2", "a"), _row("3", "b"), _row("4", "", deleted=True)])
    rules.judge(place(1), [_row("1", "c"), _row("5", "", deleted=True)])
    rules.judge(place(0, "polder"), [_row("6", "a")])
    assert rules.findings["unique_ids"].cases == ["1"]
    assert rules.findings["unique_ids"].judged == 6
    assert rules.findings["duplicates"].cases == ["2"], "deletions say nothing, and tenants are not compared"
    assert rules.findings["duplicates"].judged == 4


@pytest.mark.parametrize(("rounds", "again", "passed"), [(1, 30, True), (1, 0, True), (2, 0, False), (3, 0, False)])
def test_records_that_came_again_block_where_that_is_true_of_most_of_a_run(
    rounds: int, again: int, passed: bool
) -> None:
    rules, report = DocumentRules(), Report("documents")
    rows = [_row(str(number), f"text {number}") for number in range(100)]
    for _ in range(rounds):
        for start in range(0, 100, 20):
            rules.judge(place(0), rows[start : start + 20])
    rules.judge(place(0), rows[:again])
    report.findings |= rules.findings
    key = dg.AssetKey(["freshdesk", "tickets", "documents"])
    (check,) = [found for found in batch_checks(key, report) if found.check_name == "unique_ids"]
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.ERROR)
    failing = 100 if rounds > 1 else again
    assert (check.metadata["failing"].value, check.metadata["judged"].value) == (failing, 100)
    (spec,) = [spec for spec in batch_specs(key) if spec.name == "unique_ids"]
    assert spec.blocking


def test_records_that_we_asked_for_again_ourselves_did_not_come_again() -> None:
    rules = DocumentRules()
    held, swept = [str(number) for number in range(30)], [str(number) for number in range(30, 60)]
    for authoritative in (False, True):
        rules.judge(place(0), [_row(identity, identity) for identity in held], held)
        rules.judge(place(0), [_row(identity, identity, authoritative=authoritative) for identity in swept], held)
    assert [(found.judged, found.failing) for found in rules.findings.values()] == [(60, 0), (60, 0)]


def test_of_a_large_run_a_sample_is_judged_in_memory_of_a_fixed_size() -> None:
    rules = DocumentRules()
    pages = 70
    tracemalloc.start()
    for page in range(pages):
        rules.judge(place(0), [_row(f"acme_freshdesk_{page}-{number}", f"{number % 500}") for number in range(1000)])
        rules.judge(place(0), [_row(f"acme_freshdesk_{page}-{number}", "") for number in range(10)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    ids, contents = rules.findings["unique_ids"], rules.findings["duplicates"]
    assert ids.sampled
    assert pages * 1010 / 4 < ids.judged < pages * 1010
    assert 0.005 < ids.share < 0.015
    assert not contents.sampled
    # Of those that came again some are not in the sample, and count as equal ones.
    assert pages * 1000 - 500 <= contents.failing <= pages * 1010 - 500


def _chunk(path: str, text: str = "words", tokens: int = 3) -> Chunk:
    return Chunk(path=path, role="comment", strategy="plain/1", text=text, tokens=tokens, visibility=Visibility.PUBLIC)


@pytest.mark.parametrize(
    ("chunks", "rule", "words"),
    [
        ([_chunk("a"), _chunk("a")], "unique_ids", "Two chunks have the path 'a'"),
        ([_chunk("a"), _chunk("b", " \n")], "no_empty_text", "The chunk 'b' has no text"),
    ],
    ids=["doubled", "empty"],
)
def test_a_document_whose_chunks_cannot_be_stored_is_refused(chunks: list[Chunk], rule: str, words: str) -> None:
    rules = ChunkRules(8)
    with pytest.raises(ValueError, match=words):
        rules.refuse(place(0), "d", chunks)
    assert {name: found.cases for name, found in rules.findings.items() if found.cases} == {rule: ["d"]}
    assert not rules.tokens, "its lengths are not told"


def test_chunks_beyond_the_model_are_named_and_all_lengths_counted() -> None:
    rules = ChunkRules(8)
    lengths = {"a": 8, "b": 9, "c": 8}
    rules.judge(place(0), 1, [{"document_id": "d", "path": path, "tokens": lengths[path]} for path in lengths])
    assert rules.findings["lengths"].cases == ["d b"]
    assert rules.tokens == {8: 2, 9: 1}


def test_vectors_that_no_store_may_hold_are_told_apart_from_good_ones() -> None:
    good = np.array([0.6, 0.8], dtype=np.float32)
    found = unusable(
        {"good": good, "zero": 0 * good, "nan": good * np.nan, "inf": good * np.inf, "long": np.ones(3)}, 2
    )
    assert set(found) == {"zero", "nan", "inf", "long"}
    assert found["long"] == "The vector has 3 numbers, not 2."
    assert unusable({}, 2) == {}
