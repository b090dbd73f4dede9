"""`sync-assets collections` as a user runs it, from the first look to the last drop; and what the golden set says."""

import json
import re
from collections.abc import Iterator

import pytest

from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import STORES, TICKETS, Installation, small_company
from sync_assets_tests.postgres import fresh_database

NAME = "freshdesk_tickets"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    """One tenant, synced, and a question about each of two of its tickets."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        made = Installation(tmp_path_factory.mktemp("collections") / "home", url, servers)
        made.keep_tenants("acme")
        made.sync("--all", "--stream", "tickets")
        found = made.run("search", "internet", "--tenant", "acme", "--audience", "internal", "--json").json
        entries = [
            {"question": hit["title"], "documents": [hit["document_id"]], "audience": "internal"} for hit in found[:2]
        ]
        entries[1]["documents"].append("acme_freshdesk_lost")
        (made.home / "golden.yaml").write_text(json.dumps({"acme": entries}))
        yield made


def test_a_model_is_changed_and_changed_back_from_the_command_line(installation: Installation) -> None:
    run = installation.run
    (old,) = {row["collection"] for row in run("collections", "list", "--json").json}

    estimate = run("collections", "build", NAME, "--model", "hash-16", "--dry-run", "--json").json
    assert estimate["documents"] == TICKETS
    assert estimate["texts"] > 0
    assert len(run("collections", "list", "--json").json) == len(STORES)
    requests = installation.requests("acme")
    built = run("collections", "build", NAME, "--model", "hash-16", "--json").json
    assert installation.requests("acme") == requests, "nothing is asked upstream"
    assert (built["embedded"], built["missing"], built["failed"]) == (estimate["texts"], [], [])
    rows = run("collections", "list", "--json").json
    assert sorted((row["store"], row["state"]) for row in rows) == [
        (store, state) for store in STORES for state in ("active", "built")
    ]

    compared = run("collections", "compare", NAME, "--json").json
    assert [(row["store"], row["old"]["dimension"], row["new"]["dimension"]) for row in compared] == [
        (store, 8, 16) for store in STORES
    ]
    assert all(0 <= row["overlap"] <= 1 for row in compared)
    assert [(row["questions"], row["golden_questions"]) for row in compared] == [(2, 2)] * len(STORES)
    assert [one["measure"] for one in compared[0]["golden"]] == ["recall@5", "recall@10", "MRR", "nDCG@10"]

    switched = run("collections", "switch", NAME)
    assert "Hybrid search of qdrant, 2 golden questions" in switched.out
    assert switched.code == 0, switched.err
    assert "Syncs refuse to write until SYNC_ASSETS_MODEL" in switched.out
    (new,) = {row["collection"] for row in run("collections", "list", "--json").json if row["state"] == "active"}
    assert new in switched.out
    refused = run("sync", "--stream", "tickets")
    assert refused.code == 1
    assert "was made with hash-16" in " ".join(refused.err.split())
    installation.sync("--stream", "tickets", SYNC_ASSETS_MODEL="hash-16")
    found = run("search", "internet", "--tenant", "acme", "--audience", "internal", "--json").json
    assert len(found) == 5

    kept = run("collections", "drop", old, "--yes")
    assert (kept.code, "SYNC_ASSETS_COLLECTION_RETENTION_DAYS" in kept.err) == (1, True)
    back = run("collections", "rollback", NAME, "--json").json
    assert {(row["old"], row["new"]) for row in back["switched"]} == {(new, old)}
    assert back["syncs_refuse"] is False

    shown = run("collections", "drop", new, "--force")
    assert "Nothing was dropped" in shown.out
    assert len(run("collections", "list", "--json").json) == 2 * len(STORES)
    assert run("collections", "drop", new, "--force", "--yes").code == 0
    assert {row["collection"] for row in run("collections", "list", "--json").json} == {old}


def test_the_golden_set_is_listed_and_measured(installation: Installation) -> None:
    run = installation.run
    first, second = run("golden", "list", "--json").json
    assert (first["unknown"], second["unknown"]) == ([], ["acme_freshdesk_lost"])
    assert "acme_freshdesk_lost  in no store" in run("golden", "list", "--tenant", "acme").out
    rows = run("golden", "measure", "--json").json
    assert [(row["store"], row["questions"]) for row in rows] == [(store, 2) for store in STORES]
    assert rows[0]["modes"]["lexical"]["MRR"]["mean"] == 1
    assert set(rows[0]["hybrid_gain"]["nDCG@10"]) == {"mean", "low", "high"}
    shown = run("golden", "measure", "--store", "qdrant", "--tenant", "acme").out
    assert re.search(r"qdrant, 2 questions.*1 documents are in no store", shown, re.DOTALL)
    assert "pgvector" not in shown
    unknown = run("golden", "measure", "--tenant", "nobody")
    assert (unknown.code, "Known are: acme" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("build", "unknown"), 2, f"Known are: .*{NAME}"),
        (("build", NAME), 1, "already"),
        (("switch", NAME), 1, f"collections build {NAME}"),
        (("switch", "unknown"), 2, f"Known are: {NAME}"),
        (("compare", NAME), 1, "Nothing was built"),
        (("rollback", NAME), 1, "no earlier collection"),
        (("drop", NAME), 2, "no collection"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_way_out(
    installation: Installation, arguments: tuple[str, ...], code: int, words: str
) -> None:
    outcome = installation.run("collections", *arguments)
    assert outcome.code == code
    assert re.search(words, outcome.err)
