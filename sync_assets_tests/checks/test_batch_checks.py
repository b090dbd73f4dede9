"""Blocking checks in a run: a fault of the whole batch stops what is downstream, a single bad record does not."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import numpy as np
import pytest
import sqlalchemy as sa

from sync_assets.documents import Document, Record
from sync_assets.ledger import tables as t
from sync_assets.stages import chunks as chunks_stage
from sync_assets_tests.dagster_assets.world import World, checks, materializations, partition, reasons
from sync_assets_tests.laws.upstream import UpstreamSource

MANY = 30


def _write_many(world: World) -> None:
    for number in range(MANY):
        world.write(str(number), 0, f"text {number}")


def _empty_chunks(monkeypatch: pytest.MonkeyPatch, bad: Sequence[str]) -> None:
    """Let the chunker lose the texts of some records."""
    cut = chunks_stage.chunk_document

    def losing(document: Any, *arguments: Any) -> Any:
        found = cut(document, *arguments)
        if document.record_id in bad:
            found = [chunk.model_copy(update={"text": ""}) for chunk in found]
        return found

    monkeypatch.setattr(chunks_stage, "chunk_document", losing)


def _failed(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckSeverity]:
    """Those that are not about time: what is upstream in these tests was written long ago."""
    return {
        name: check.severity for name, check in checks(result).items() if not check.passed and "fresh" not in name[1]
    }


def test_a_chunker_that_loses_all_texts_stops_the_run_before_the_stores(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_many(world)
    _empty_chunks(monkeypatch, [str(number) for number in range(MANY)])
    result = world.run(partition(0), succeeds=False)
    assert "no_empty_text" in str(reasons(result)["chunks"])
    assert {stage for stage, _ in materializations(result)} == {"raw", "documents", "chunks"}
    check = checks(result)["chunks", "no_empty_text"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    values = {name: value.value for name, value in check.metadata.items()}
    assert (values["failing"], values["judged"], values["tenants"]) == (MANY, MANY, "acme")
    assert values["partitions"] == partition(0)
    assert len(str(values["cases"]).splitlines()) == 20
    monkeypatch.undo()
    world.run(partition(0))
    assert len(world.documents("qdrant")) == MANY, "the next run, with the chunker mended, does all of it"


def test_one_document_that_loses_its_text_is_quarantined_and_the_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_many(world)
    _empty_chunks(monkeypatch, ["7"])
    result = world.run(partition(0))
    assert _failed(result) == {("chunks", "quarantine"): dg.AssetCheckSeverity.ERROR}
    assert checks(result)["chunks", "no_empty_text"].metadata["cases"].value == r"- acme\_freshdesk\_7"
    assert len(world.documents("pgvector")) == MANY - 1


@pytest.mark.slow
def test_an_upstream_that_pages_in_a_circle_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_many(world)
    extract = UpstreamSource.extract

    def circling(self: UpstreamSource, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        for _ in range(2):
            yield from extract(self, stream, since, until)

    monkeypatch.setattr(UpstreamSource, "extract", circling)
    result = world.run(partition(0), succeeds=False)
    assert _failed(result) == {("documents", "unique_ids"): dg.AssetCheckSeverity.ERROR}
    assert {stage for stage, _ in materializations(result)} == {"raw", "documents"}


def test_a_vector_that_went_bad_in_the_cache_reaches_no_store_and_many_stop_the_run(world: World) -> None:
    _write_many(world)
    world.run(partition(0), stages=("raw", "documents", "chunks", "embeddings"))
    _zero(world, "LIMIT 1")
    result = world.run(partition(0))
    assert _failed(result) == {("embeddings", "quarantine"): dg.AssetCheckSeverity.ERROR}
    assert len(world.documents("qdrant")) == MANY - 1
    _zero(world, "")
    result = world.run(partition(0), succeeds=False)
    assert ("embeddings", "vectors") in _failed(result)
    assert not any(stage in ("qdrant", "pgvector") for stage, _ in materializations(result))
    assert len(world.documents("qdrant")) == MANY - 1, "what stood in the stores stays"


def _zero(world: World, limit: str) -> None:
    """Damage cached vectors, as a faulty disk or hand would, and lose the files that have them too."""
    for path in world.services.settings.home.rglob("embeddings/**/*.parquet"):
        path.unlink()
    table = t.embedding_cache.fullname
    some = f"SELECT content_hash FROM {table} ORDER BY content_hash {limit}"
    with world.services.ledger.transaction() as connection:
        connection.execute(
            sa.text(f"UPDATE {table} SET vector = :zero WHERE content_hash IN ({some})"),
            {"zero": np.zeros(8, dtype=np.float32).tobytes()},
        )


@pytest.mark.slow
def test_documents_that_mostly_say_the_same_are_a_warning_that_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_many(world)
    monkeypatch.setattr(Document, "content_hash", property(lambda document: document.parts[0].text[:6]))
    result = world.run(partition(0))
    assert _failed(result) == {("documents", "duplicates"): dg.AssetCheckSeverity.WARN}
    found = checks(result)["documents", "duplicates"].metadata
    assert (found["failing"].value, found["judged"].value) == (MANY - 10, MANY), "1 and 10 to 19 begin alike"
    assert len(world.documents("qdrant")) == MANY
