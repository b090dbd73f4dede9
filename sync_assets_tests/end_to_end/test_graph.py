"""The knowledge graph from upstream to the command line: what a sync brings into it, changes and takes away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.dagster_assets.world import fresh_database

TENANT = "polder"


@pytest.fixture
def servers() -> Iterator[DemoServers]:
    with DemoServers(0, small_company()) as servers:
        yield servers


@pytest.fixture
def installation(servers: DemoServers, tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    with fresh_database(postgres_url) as url:
        yield Installation(tmp_path / "home", url, servers)


def asked(installation: Installation, *arguments: str) -> Any:
    outcome = installation.run("graph", *arguments, "--tenant", TENANT, "--json")
    assert outcome.code == 0, outcome
    return outcome.json


def exported(installation: Installation, folder: Path) -> dict[str, list[Any]]:
    """The whole graph, in an order of its own."""
    file = folder / "graph.json"
    assert installation.run("graph", "export", str(file), "--tenant", TENANT).code == 0
    found = json.loads(file.read_text())
    edges = "edges" if "edges" in found else "links"
    return {name: sorted(found[name], key=json.dumps) for name in ("nodes", edges)}


def checks(installation: Installation, synced: dict[str, Any]) -> dict[str, bool]:
    """Whether the checks passed that were last evaluated by the runs of a sync, by name."""
    with installation.instance() as instance:
        logs = [
            entry.get_dagster_event().asset_check_evaluation_data
            for run_id in synced["runs"]
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        ]
    return {found.check_name: found.passed for found in logs}


def test_tickets_come_into_the_graph_change_there_and_leave_it_as_they_do_upstream(
    installation: Installation, servers: DemoServers, tmp_path: Path, postgres_url: str
) -> None:
    first = installation.sync("--all", "--tenant", TENANT)
    assert {row["stage"] for row in first["stages"] if row["source"] == "graph"} >= {"resolution", "similarity"}
    tickets = installation.tickets(TENANT)
    assert asked(installation, "stats")["nodes"]["ticket"] == len(tickets)

    again = installation.sync("--incremental", "--tenant", TENANT)
    assert (again["embedded"], again["written"], len(again["runs"])) == (0, 0, 1), "no graph changed"

    copy, original = tickets[:2]
    with installation.upstream(TENANT) as client:
        words = f"This is a duplicate of ticket {original}."
        client.put(f"/api/v2/tickets/{copy}", json={"description": words})
    installation.sync("--incremental", "--tenant", TENANT)
    (step,) = asked(installation, "path", f"#{copy}", f"#{original}")["paths"][0]["steps"]
    assert step["kind"] == "DUPLICATE_OF"
    shown = installation.run("graph", "show", f"#{copy}", "--tenant", TENANT)
    assert words in " ".join(shown.out.split())

    with fresh_database(postgres_url) as url:
        anew = Installation(tmp_path / "anew", url, servers)
        anew.sync("--all", "--tenant", TENANT)
        assert exported(installation, tmp_path) == exported(anew, tmp_path)

    with installation.upstream(TENANT) as client:
        client.delete(f"/api/v2/tickets/{original}")
    last = installation.sync("--all", "--tenant", TENANT)
    assert asked(installation, "stats")["nodes"]["ticket"] == len(tickets) - 1
    gone = installation.run("graph", "show", f"#{original}", "--tenant", TENANT)
    assert gone.code == 2
    passed = checks(installation, last)
    assert passed.keys() >= {"dangling_edges", "evidence_without_document", "stale"}
    assert all(passed.values()), passed


def test_a_person_s_decision_merges_two_people_and_can_be_taken_back(installation: Installation) -> None:
    installation.sync("--all", "--tenant", TENANT)
    people = [
        row["node_id"]
        for row in asked(installation, "related", f"#{installation.tickets(TENANT)[0]}", "--kind", "person")["related"]
    ]
    assert len(people) >= 2
    one, other = people[:2]
    merged = asked(installation, "merge", one, other, "--note", "the same person")
    assert merged["together"]
    assert asked(installation, "merge", one, other, "--undo")["together"] is False
