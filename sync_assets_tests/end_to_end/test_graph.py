"""The knowledge graph from upstream to the command line: what a sync brings into it, changes and takes away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.ledger import StreamRef
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database

TENANT = "polder"
# Nobody listens there.
DOWN = {"SYNC_ASSETS_GRAPH_URL": "postgresql://nobody@127.0.0.1:1/none"}


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
    """Whether the checks passed that were last evaluated by the runs of a sync, by asset and name."""
    with installation.instance() as instance:
        logs = [
            entry.get_dagster_event().asset_check_evaluation_data
            for run_id in synced["runs"]
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        ]
    return {f"{found.asset_key.to_user_string()}:{found.check_name}": found.passed for found in logs}


def marks(installation: Installation) -> dict[str, Any]:
    """Up to where the graph follows each stream."""
    with installation.services() as services:
        streams = {stream: StreamRef(TENANT, "freshdesk", stream) for stream in ("tickets", "articles")}
        return {stream: services.ledger.watermark(ref, "graph") for stream, ref in streams.items()}


def describe(installation: Installation, ticket: int, words: str) -> None:
    """Let a ticket be about something else upstream."""
    with installation.upstream(TENANT) as client:
        client.put(f"/api/v2/tickets/{ticket}", json={"description": words})


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
    assert passed.keys() >= {f"graph/summary:{name}" for name in ("dangling_edges", "evidence_without_text", "stale")}
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


def test_what_a_sync_without_the_graph_s_database_missed_is_made_up_by_the_next(installation: Installation) -> None:
    tickets = installation.tickets(TENANT)
    failed = installation.sync("--all", "--tenant", TENANT, code=1, **DOWN)
    sweeps = {"freshdesk/tickets/raw", "freshdesk/articles/raw"}
    steps = {failure.partition(":")[0] for failure in failed["failures"]}
    assert steps == {f"{TENANT} freshdesk/graph", "graph", *sweeps}
    assert all("SYNC_ASSETS_GRAPH_URL" in failure for failure in failed["failures"])
    installation.assert_in_step(TENANT)
    assert marks(installation) == {"tickets": None, "articles": None}

    made_up = installation.sync("--incremental", "--tenant", TENANT)
    assert (made_up["embedded"], made_up["written"], made_up["payloads"]) == (0, 0, 0)
    assert asked(installation, "stats")["nodes"]["ticket"] == len(tickets)
    assert None not in marks(installation).values()

    with installation.upstream(TENANT) as client:
        client.post(f"/_demo/tickets/{tickets[-1]}/purge")
    describe(installation, tickets[0], "It says 0x8007BEEF.")
    failed = installation.sync("--sweep", "--tenant", TENANT, code=1, **DOWN)
    assert [failure for failure in failed["failures"] if "of freshdesk/tickets left the graph alone" in failure]
    assert failed["deleted"] == 1
    installation.assert_in_step(TENANT)
    assert asked(installation, "stats")["nodes"]["ticket"] == len(tickets)
    edited = installation.sync("--incremental", "--tenant", TENANT)
    assert (edited["embedded"], edited["written"]) == (0, 0)
    assert "0x8007BEEF" in installation.run("graph", "show", f"#{tickets[0]}", "--tenant", TENANT).out
    swept = installation.sync("--sweep", "--tenant", TENANT)
    assert (swept["embedded"], swept["written"]) == (0, 0)
    assert "graph" not in {row["store"] for row in installation.run("status", "--json").json}
    assert asked(installation, "stats")["nodes"]["ticket"] == len(tickets) - 1


def test_a_ticket_that_the_graph_s_database_refuses_is_in_quarantine_until_it_is_mended(
    installation: Installation,
) -> None:
    installation.sync("--all", "--tenant", TENANT)
    before = marks(installation)
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE sync_assets.graph_texts ADD CHECK (text NOT LIKE '%zirconium%')")
    bad, good = installation.tickets(TENANT)[:2]
    describe(installation, bad, "The zirconium valve leaks.")
    describe(installation, good, f"This is a duplicate of ticket {bad}.")
    synced = installation.sync("--incremental", "--stream", "tickets", "--tenant", TENANT, code=3)
    assert (synced["failures"], synced["quarantined"]) == ([], 1)
    (row,) = installation.run("quarantine", "list", "--json").json
    assert (row["tenant"], row["record_id"], row["stage"]) == (TENANT, str(bad), "graph")
    assert "violates check constraint" in row["reason"]
    assert "zirconium" not in row["reason"]
    assert checks(installation, synced)["freshdesk/graph:quarantine"] is False
    assert "violates check" in " ".join(installation.run("quarantine", "list", COLUMNS="200").out.split())
    (step,) = asked(installation, "path", f"#{good}", f"#{bad}")["paths"][0]["steps"]
    assert step["kind"] == "DUPLICATE_OF", "its neighbour is in the graph"
    installation.assert_in_step(TENANT)

    assert installation.run("quarantine", "retry").code == 3, "it is still the same upstream"
    assert marks(installation)["articles"] == before["articles"], "articles were not synced since"
    assert marks(installation)["tickets"] >= before["tickets"]

    describe(installation, bad, "The brass valve says 0x8007BEEF.")
    installation.sync("--incremental", "--stream", "tickets", "--tenant", TENANT)
    assert installation.run("quarantine", "list", "--json").json == []
    assert "0x8007BEEF" in installation.run("graph", "show", f"#{bad}", "--tenant", TENANT).out
