"""`sync-assets demo`: it proves what it says, and says so where a store differs."""

import json
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sync_assets.demo import asking, tour
from sync_assets.demo.company import QUESTIONS, TENANTS, DemoCompany
from sync_assets.demo.portal import PORTAL_STREAMS
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.vector_stores import Collection, Point, VectorStore
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """A home without tenants; its servers don't run."""
    with fresh_database(postgres_url) as url:
        made = Installation(tmp_path / "home", url, DemoServers(0, small_company()))
        made.tenants_file.unlink()
        yield made


def companies(monkeypatch: pytest.MonkeyPatch, *whole: str) -> None:
    """The tour through small Freshdesk accounts and, as they are, the other systems that are named; it asks little."""

    def small(portal: Path, seed: Path) -> DemoCompany:
        company, complete = small_company(), DemoCompany(portal, seed)
        for name in whole:
            setattr(company, name, getattr(complete, name))
        return company

    monkeypatch.setattr(tour, "DemoCompany", small)
    monkeypatch.setattr(asking, "QUESTIONS", QUESTIONS[::8])


def port_of(installation: Installation) -> str:
    """The port that the last demo wrote into the tenants file."""
    accounts = yaml.safe_load(installation.tenants_file.read_text())["tenants"]
    return accounts["acme"]["freshdesk"]["base_url"].split("/")[2].split(":")[1]


EXPECTED = {
    *(
        (tenant, "freshdesk", stream, store)
        for tenant in TENANTS
        for stream in ("tickets", "articles")
        for store in ("pgvector", "qdrant")
    ),
    *(("polder", "ticket_portal", stream, "chroma") for stream in PORTAL_STREAMS),
    *(("solara", "zoho_desk", stream, "pgvector") for stream in ("articles", "tickets")),
    ("acme", "support_database", "kb_articles", "qdrant"),
    ("acme", "slack", "messages", "chroma"),
    ("solara", "discord", "messages", "chroma"),
    *(("acme", "gitlab", stream, "chroma") for stream in ("issues", "merge_requests", "commits", "files", "wikis")),
    *(("polder", "backlog", stream, "chroma") for stream in ("issues", "wikis", "documents")),
}
CHATS = (("acme", "slack"), ("solara", "discord"))
# The first collection of each store that the sabotage below strikes.
STRUCK = {"chroma": "configuration_items", "pgvector": "freshdesk_tickets", "qdrant": "freshdesk_tickets"}


def title_of(portal: Path, ticket_id: int) -> str:
    with closing(sqlite3.connect(portal)) as connection:
        return connection.execute("SELECT title FROM tickets WHERE ticket_id = ?", (ticket_id,)).fetchone()[0]


def places(rows: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    return {(row["tenant"], row["source"], row["stream"], row["store"]) for row in rows}


def test_the_demo_syncs_what_is_over_http_into_its_stores(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies(monkeypatch, "zoho", "slack", "discord", "gitlab", "backlog")
    monkeypatch.setattr(tour, "_WANTED_RECALL", 0.0)
    outcome = installation.run("demo", "--json", "--port", "0")
    assert outcome.code == 0, outcome
    assert (outcome.json["ok"], outcome.json["stores_equal"]) == (True, True)
    rows = outcome.json["comparisons"]
    assert len(rows) == len(places(rows))
    assert places(rows) == {place for place in EXPECTED if place[1] not in ("ticket_portal", "support_database")}
    assert all(row["stored"] == row["expected"] > 0 for row in rows)
    # Of the few tickets that there are no question is asked.
    assert {item["store"] for item in outcome.json["searches"]} >= {"chroma", "pgvector"}
    assert [item["store"] for item in outcome.json["answers"]] == [item["store"] for item in outcome.json["searches"]]
    assert all(item["hits"] for item in outcome.json["searches"])
    played = outcome.json["played"]
    assert {(row["tenant"], row["source"], row["change"]) for row in played["changes"]} == {
        (*chat, change) for chat in CHATS for change in ("late reply", "edit", "deletion")
    }
    assert all(row["gone"] and row["kept"] + row["gone"] == row["windows"] for row in played["changes"])
    assert all(row["kept"] + row["new"] > 0 for row in played["changes"])
    assert played["embedded"] <= sum(row["new"] for row in played["changes"])
    assert played["put_back"] == {"equal": True, "embedded": 0}


@pytest.mark.slow  # Three demos, one after the other.
def test_the_demo_repeats_without_work_and_notices_a_text_that_is_not_upstreams(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies(monkeypatch, "portal", "seed", "slack")
    first = installation.run("demo", "--port", "0")
    assert first.code == 1, "the cheap model of these tests finds too few answers"
    assert "Every store equals upstream." in first.out
    present = ("freshdesk", "ticket_portal", "support_database", "slack")
    asked = Counter(one.source for one in QUESTIONS[::8])
    assert f"chroma, {asked['ticket_portal'] + asked['slack']} questions" in first.out
    assert re.search(r"nDCG@10: hybrid is .* the better of dense and lexical: ", first.out)
    assert "A recall@5 below 60%" in first.out
    assert "sync-assets upstream serve --port" in first.out
    assert "923 read, 919 added, 0 unchanged, 1 merged, 3 rejected rows" in first.out
    portal = installation.home / "demo" / "ticket_portal.sqlite"
    (change,) = re.findall(r"^ *python (-c .*)$", first.out, re.MULTILINE)
    subprocess.run([sys.executable, *shlex.split(change)], check=True)
    assert title_of(portal, 171) == "De liftknop zwijgt"

    monkeypatch.setattr(tour, "_WANTED_RECALL", 0.0)
    again = ("demo", "--json", "--port", port_of(installation))
    second = installation.run(*again)
    assert second.code == 0, second
    assert title_of(portal, 171) == "Alarmknop in de goederenlift belt niemand", "the portal is made anew at each start"
    assert (second.json["ok"], second.json["stores_equal"]) == (True, True)
    assert (second.json["embedded"], second.json["written"]) == (0, 0)
    assert places(second.json["comparisons"]) == {place for place in EXPECTED if place[1] in present}
    assert second.json["expansion"]["ok"]

    for store, name in STRUCK.items():
        with installation.services() as services:
            registered = services.ledger.active_collection(store, name)
            assert registered is not None
            _overwrite_one(services.store(store), registered.collection)
    third = installation.run(*again)
    assert third.code == 1
    assert (third.json["ok"], third.json["stores_equal"]) == (False, False)
    bad = [row for row in third.json["comparisons"] if not row["equal"]]
    assert places(bad) == {
        ("polder", "ticket_portal", "configuration_items", "chroma"),
        ("polder", "freshdesk", "tickets", "pgvector"),
        ("polder", "freshdesk", "tickets", "qdrant"),
    }
    assert [(row["missing"], row["surplus"], row["different"]) for row in bad] == [(0, 0, 1)] * len(STRUCK)


def _overwrite_one(store: VectorStore, collection: Collection) -> None:
    """Put another text in the place of some chunk, behind everybody's back."""
    victim = next(iter(store.scan(collection, "polder")))
    vector = np.ones(collection.dimension, dtype=np.float32) / np.sqrt(collection.dimension, dtype=np.float32)
    names = ("source", "stream", "record_id", "path", "role", "text", "title")
    point = Point(
        **{**dict.fromkeys(names, "someone else's"), **victim.model_dump(), "content_hash": "another"},
        url=None,
        visibility=Visibility.PUBLIC,
        principals=[],
        metadata={},
        vector=vector,
    )
    store.upsert(collection, "polder", [point])


def test_somebodys_own_tenants_are_left_alone(installation: Installation) -> None:
    own = "tenants: {mine: {}}\n"
    installation.tenants_file.write_text(own)
    outcome = installation.run("demo", "--port", "0")
    assert outcome.code == 2
    assert f"Error: {installation.tenants_file} holds tenants of your own. " in outcome.err
    assert installation.tenants_file.read_text() == own


def test_a_port_that_is_taken_is_named(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = installation.run("demo", "--port", str(port))
    assert outcome.code == 2
    assert f"port {port}" in outcome.err
    assert not installation.tenants_file.exists()
    assert not (installation.home / "demo").exists(), "a portal that another demo uses stays as it is"


@pytest.mark.slow
def test_the_whole_demo_with_the_real_model(installation: Installation) -> None:
    environment = {"SYNC_ASSETS_MODEL": ""}
    first = installation.run("demo", "--json", "--port", "0", **environment)
    assert first.code == 0, first
    assert first.json["stores_equal"]
    assert first.json["recall_at_5"].keys() == STRUCK.keys()
    assert min(first.json["recall_at_5"].values()) >= 0.8
    assert first.json["documents"] >= 480 + 300 + 56 + 130 + 100 + 30
    assert first.json["embedded"] > 0
    second = installation.run("demo", "--json", "--port", port_of(installation), **environment)
    assert second.code == 0, second
    assert (second.json["embedded"], second.json["written"], second.json["stores_equal"]) == (0, 0, True)
    assert json.loads(first.out)["chunks"] == second.json["chunks"]
