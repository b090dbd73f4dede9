"""`sync-assets forget`: what it shows, what it erases beside files and vectors, and how it ends."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import STORES, Installation, small_company
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.test_forgetting import files_with, rows_with

TENANT = "polder"
MARKER = "zebrafinch"


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """A tenant that was synced once; one of its tickets says the marker."""
    company = small_company()
    tickets = company.desks[TENANT].data.tickets
    first = min(tickets)
    tickets[first] |= {"subject": f"The {MARKER} is loose", "description_text": f"Our {MARKER} left its cage."}
    with DemoServers(0, company) as servers, fresh_database(postgres_url) as url:
        installation = Installation(tmp_path / "home", url, servers)
        installation.sync(
            "--tenant",
            TENANT,
            "--source",
            "freshdesk",
            "--stream",
            "tickets",
            "--all",
            SYNC_ASSETS_STORAGE_MODE="hybrid",
        )
        yield installation


@pytest.fixture(scope="module")
def nothing_synced(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    with DemoServers(0, small_company()) as servers:
        yield Installation(tmp_path_factory.mktemp("nothing") / "home", postgres_url, servers)


def document(installation: Installation) -> str:
    return f"{TENANT}_freshdesk_{min(installation.servers.company.desks[TENANT].data.tickets)}"


def history_with(installation: Installation, text: str) -> list[str]:
    """Dagster's databases that have an event, or what is kept of one, in which a text stands."""
    found = []
    for path in sorted(installation.home.glob("history/**/*.db")):
        with sqlite3.connect(path) as connection:
            if any(text in line for line in connection.iterdump()):
                found.append(path.name)
    return found


def traces(installation: Installation, text: str) -> list[str]:
    with installation.services() as services:
        return [
            *files_with(services.storage, text),
            *rows_with(services.ledger.engine, text),
            *history_with(installation, text),
        ]


def test_a_document_is_shown_then_erased_then_kept_away_until_that_is_undone(installation: Installation) -> None:
    one = document(installation)
    assert {name.rpartition("/")[-1] for name in traces(installation, MARKER)} > {"index.db"}
    found = traces(installation, MARKER)

    shown = installation.run("forget", "--tenant", TENANT, "--document", one, "--json")
    assert shown.code == 0
    places = {row["place"]: row["found"] for row in shown.json["places"]}
    assert min(places[name] for name in ("previews in Dagster", "graph", "files", "embedding cache", "ledger")) > 0
    assert traces(installation, MARKER) == found

    erased = installation.run("forget", "--tenant", TENANT, "--document", one, "--yes", "--json")
    assert erased.code == 0, erased
    assert {row["place"]: row["erased"] for row in erased.json["places"]} == places
    assert erased.json["left"] == 0
    assert traces(installation, MARKER) == []
    assert traces(installation, one) == []

    installation.sync(
        "--tenant", TENANT, "--source", "freshdesk", "--stream", "tickets", "--all", SYNC_ASSETS_STORAGE_MODE="hybrid"
    )
    assert traces(installation, MARKER) == []
    assert [installation.compare(TENANT, store)["equal"] for store in STORES] == [False, False]

    undone = installation.run("forget", "--tenant", TENANT, "--document", one, "--undo")
    assert (undone.code, "1 may come back" in undone.out) == (0, True)
    again = installation.run("forget", "--tenant", TENANT, "--document", one, "--undo")
    assert (again.code, "None of these documents was forgotten" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "one thing at a time"),
        (("--document", "acme_freshdesk_1"), "--tenant is missing"),
        (("--tenant", "acme", "--document", "4711"), "no document id of acme"),
        (("--tenant", "acme", "--all-documents", "--yes"), "--confirm acme"),
        (("--tenant", "acme", "--all-documents", "--confirm", "polder"), "--confirm acme"),
        (("--tenant", "acme", "--all-documents", "--undo"), "--undo is about documents alone"),
        (("--tenant", "acme", "--all-documents", "--confirm", "acme"), "Take it out of that file first"),
        (("--tombstones",), "SYNC_ASSETS_TOMBSTONE_RETENTION_DAYS is not set"),
    ],
)
def test_what_is_not_meant_as_said_is_refused(
    arguments: tuple[str, ...], says: str, nothing_synced: Installation
) -> None:
    outcome = nothing_synced.run("forget", *arguments)
    assert (outcome.code, says in outcome.err) == (2, True), outcome


def test_one_that_waits_too_long_for_a_build_says_that_nothing_comes_back_and_what_to_do(
    nothing_synced: Installation,
) -> None:
    arguments = ("forget", "--tenant", TENANT, "--document", f"{TENANT}_freshdesk_1", "--yes")
    with nothing_synced.services() as services, services.ledger.erasing(TENANT):
        outcome = nothing_synced.run(*arguments, SYNC_ASSETS_LOCK_TIMEOUT="1")
    assert outcome.code == 1
    assert "From now on no sync brings these documents back, but not all of them is erased." in outcome.err
    assert outcome.err.rstrip().endswith("Then give the same command again.")
    assert nothing_synced.run(*arguments).code == 0


def test_questions_that_people_wrote_down_for_an_erased_tenant_are_told(nothing_synced: Installation) -> None:
    golden = nothing_synced.home / "golden.yaml"
    golden.write_text("gone: [{question: Why, documents: [gone_freshdesk_1]}]\n")
    outcome = nothing_synced.run("forget", "--tenant", "gone", "--all-documents", "--confirm", "gone")
    assert (outcome.code, f"{golden} has 1 questions of gone: take them out by hand." in outcome.err) == (0, True)
