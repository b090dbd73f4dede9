"""`sync-assets demo`: it proves what it says, and says so where a store differs."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync_assets.demo import tour
from sync_assets.demo.company import QUESTIONS, TENANTS
from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import STORES, Installation, small_company
from sync_assets_tests.dagster_assets.world import fresh_database


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """A home without tenants; its servers don't run."""
    with fresh_database(postgres_url) as url:
        made = Installation(tmp_path / "home", url, DemoServers())
        made.tenants_file.unlink()
        yield made


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour through a small company; the cheap model of these tests need not find answers."""
    monkeypatch.setattr(tour, "DemoServers", lambda port: DemoServers(port, small_company()))
    monkeypatch.setattr(tour, "_WANTED_RECALL", 0.0)


def port_of(installation: Installation) -> str:
    """The port that the last demo wrote into the tenants file."""
    accounts = yaml.safe_load(installation.tenants_file.read_text())["tenants"]
    return accounts["acme"]["freshdesk"]["base_url"].split("/")[2].split(":")[1]


def differing(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = [row for row in found["comparisons"] if not row["equal"]]
    return [(row["tenant"], row["stream"], row["store"]) for row in rows]


@pytest.mark.usefixtures("small_demo")
@pytest.mark.parametrize("store", STORES)
def test_the_demo_repeats_without_work_and_notices_a_vector_that_is_missing(
    installation: Installation, store: str
) -> None:
    first = installation.run("demo", "--json", "--port", "0")
    assert first.code == 0, first
    assert (first.json["ok"], first.json["stores_equal"]) == (True, True)
    rows = first.json["comparisons"]
    assert {(row["tenant"], row["stream"], row["store"]) for row in rows} == {
        (tenant, stream, name) for tenant in TENANTS for stream in ("tickets", "articles") for name in STORES
    }
    assert all(row["stored"] == row["expected"] > 0 for row in rows)
    assert first.json["written"] == sum(row["stored"] for row in rows)
    assert len(first.json["searches"]) == 3

    with installation.services() as services:
        registered = services.ledger.active_collection(store, "freshdesk_tickets")
        assert registered is not None
        victim = next(iter(services.store(store).scan(registered.collection, "polder"))).chunk_id
        services.store(store).delete(registered.collection, "polder", [victim])
    second = installation.run("demo", "--json", "--port", port_of(installation))
    assert second.code == 1
    assert (second.json["ok"], second.json["stores_equal"]) == (False, False)
    assert (second.json["embedded"], second.json["written"]) == (0, 0)
    assert differing(second.json) == [("polder", "tickets", store)]
    (row,) = [row for row in second.json["comparisons"] if not row["equal"]]
    assert (row["missing"], row["surplus"], row["different"]) == (1, 0, 0)


@pytest.mark.usefixtures("small_demo")
def test_the_demo_fails_where_the_questions_find_no_answers(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tour, "_WANTED_RECALL", 0.8)
    outcome = installation.run("demo", "--port", "0")
    assert outcome.code == 1
    assert "Every store equals upstream." in outcome.out
    assert f"{len(QUESTIONS)} questions with their document in the first five results: " in outcome.out
    assert "sync-assets upstream serve --port" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 200


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


@pytest.mark.slow
def test_the_whole_demo_with_the_real_model(installation: Installation) -> None:
    environment = {"SYNC_ASSETS_MODEL": ""}
    first = installation.run("demo", "--json", "--port", "0", **environment)
    assert first.code == 0, first
    assert first.json["stores_equal"]
    assert min(first.json["recall_at_5"][store] for store in STORES) >= 0.8
    assert first.json["documents"] >= 480
    assert first.json["embedded"] > 0
    second = installation.run("demo", "--json", "--port", port_of(installation), **environment)
    assert second.code == 0, second
    assert (second.json["embedded"], second.json["written"], second.json["stores_equal"]) == (0, 0, True)
    assert json.loads(first.out)["chunks"] == second.json["chunks"]
