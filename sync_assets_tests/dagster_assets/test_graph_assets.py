"""The graph's assets as Dagster runs them: windows, tenants that keep each other from nothing, and the schedule."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from sync_assets.definitions import build_defs
from sync_assets.graph import tables as t
from sync_assets.graph.store import GraphStore
from sync_assets.ledger import StreamRef
from sync_assets.partitions import GRAPH_TENANTS, RANGE_END, RANGE_START
from sync_assets.planning import Planner, SyncRequest
from sync_assets_tests.dagster_assets.world import TENANTS, World, partition, reasons
from sync_assets_tests.laws.upstream import DAY, START
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stages.telling import ARTICLE, TellingTenants, living

SOURCE_GRAPH = dg.AssetKey(["freshdesk", "graph"])
STEPS = [dg.AssetKey(["graph", name]) for name in ("resolution", "similarity", "summary")]
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def chain(stream: str) -> list[dg.AssetKey]:
    """The assets of a stream up to what feeds the graph."""
    stages = ("raw", "documents", "chunks") if stream == "tickets" else ("raw", "documents")
    return [dg.AssetKey(["freshdesk", stream, stage]) for stage in stages]


TICKETS = [*chain("tickets"), SOURCE_GRAPH]
BOTH = [*chain("tickets"), *chain("articles"), SOURCE_GRAPH]


class GraphWorld(World):
    """An installation whose two tenants tell of the knowledge graph; its runs store no vectors."""

    def __init__(self, home: Path, database_url: str) -> None:
        # Without vectors to wait for, tickets are compared once.
        super().__init__(home, database_url, lock_timeout=0.5, quarantine_max_attempts=1)
        self.instance.add_dynamic_partitions(GRAPH_TENANTS, list(TENANTS))
        # A schedule opens its instance anew, which that of the runs, in memory, does not admit.
        self.scheduling = dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})
        self.services.__dict__["tenants"] = TellingTenants(self.upstreams)
        self.repository = build_defs(self.services).get_repository_def()
        self.job = self.repository.get_implicit_global_asset_job_def()
        self.url = database_url

    def close(self) -> None:
        super().close()
        self.scheduling.dispose()

    def materialize(
        self, assets: Sequence[dg.AssetKey], first: str, last: str | None = None, succeeds: bool = True
    ) -> dict[str, str]:
        """One run over a rectangle of partitions, as the UI launches it; why steps failed."""
        result = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=assets,
            tags={RANGE_START: first, RANGE_END: last or first},
            run_config=_QUIET,
            raise_on_error=False,
        )
        assert result.success == succeeds, reasons(result)
        return reasons(result)

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        """What the schedule of whole graphs asks for, and why nothing."""
        schedule = self.repository.get_schedule_def("graph")
        with dg.build_schedule_context(
            instance=self.scheduling,
            resources={"services": self.services},
            repository_def=self.repository,
            scheduled_execution_time=datetime.now(UTC),
        ) as context:
            data = schedule.evaluate_tick(context)
        return list(data.run_requests or []), data.skip_message or ""

    def tenants_asked_for(self) -> list[str]:
        """The tenants of the runs that the schedule asks for, each with its own."""
        requests, _ = self.tick()
        assert all(sorted(request.asset_selection or []) == STEPS for request in requests)
        assert all(request.tags[RANGE_START] == request.tags[RANGE_END] for request in requests)
        return [request.tags[RANGE_START] for request in requests]

    def living(self, tenant: str, stream: str = "tickets") -> set[str]:
        return living(self.services.graph, StreamRef(tenant, "freshdesk", stream))

    def mark(self, tenant: str, stream: str = "tickets") -> Any:
        return self.services.ledger.watermark(StreamRef(tenant, "freshdesk", stream), "graph")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[GraphWorld]:
    with fresh_database(postgres_url) as url:
        made = GraphWorld(tmp_path_factory.mktemp("graph"), url)
        yield made
        made.close()


@pytest.fixture
def world(made: GraphWorld) -> GraphWorld:
    """One for all tests of the module, each of which has windows of its own; upstream holds nothing."""
    for upstream in made.upstreams.values():
        upstream.tickets.clear()
        upstream.now = START
    return made


def test_a_tenant_whose_graph_another_process_holds_keeps_no_other_from_its_own(world: GraphWorld) -> None:
    for tenant in TENANTS:
        world.write("1", 0, "printer on fire", tenant=tenant)
    before = world.mark("acme")
    other = GraphStore(world.url)
    with other.lock("acme"):
        failed = world.materialize(TICKETS, partition(0, "acme"), partition(0, "polder"), succeeds=False)
    other.close()
    assert list(failed) == ["graph"]
    assert failed["graph"].startswith("acme: Another process holds what this one waits for.")
    assert ("1" in world.living("acme"), "1" in world.living("polder")) == (False, True)
    assert world.mark("acme") == before
    world.materialize(TICKETS, partition(0, "acme"), partition(0, "polder"))
    assert "1" in world.living("acme")
    assert world.mark("acme") >= START + DAY


def test_the_graph_of_windows_without_files_fails_and_that_of_one_stream_s_files_does_not(world: GraphWorld) -> None:
    failed = world.materialize([SOURCE_GRAPH], partition(10), partition(11), succeeds=False)
    assert failed == {"graph": "freshdesk has no files of these windows. Materialize what the graph depends on."}
    world.write("tenth", 10, "the valve leaks")
    world.write(f"{ARTICLE}tenth", 10, "how valves are replaced")
    world.materialize(chain("tickets"), partition(10))
    world.materialize([SOURCE_GRAPH], partition(10), partition(11))
    assert ("tenth" in world.living("acme"), world.living("acme", "articles")) == (True, set())
    world.materialize(BOTH, partition(10))
    assert world.living("acme", "articles") == {f"{ARTICLE}tenth"}


def test_a_graph_that_does_not_hold_together_turns_a_check_red_that_names_the_tenant_and_cases(
    world: GraphWorld,
) -> None:
    world.write("fifteenth", 15, "no heat")
    world.materialize(TICKETS, partition(15))
    with world.services.graph.transaction() as connection:
        connection.execute(sa.update(t.nodes).where(t.nodes.c.tenant == "acme").values(confidence=1.5))
    result = world.job.execute_in_process(
        instance=world.instance, asset_selection=STEPS[2:], partition_key="acme", run_config=_QUIET
    )
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name for name, check in found.items() if not check.passed} == {"confidence", "stale"}
    values = {name: value.value for name, value in found["confidence"].metadata.items()}
    assert (values["tenants"], values["partitions"]) == ("acme", "acme")
    assert values["failing"] == str(values["cases"]).count("- acme: ") > 0
    with world.services.graph.transaction() as connection:
        connection.execute(sa.update(t.nodes).where(t.nodes.c.tenant == "acme").values(confidence=1.0))


def test_the_schedule_asks_for_the_tenants_whose_graph_changed(world: GraphWorld) -> None:
    for request in world.tick()[0]:
        world.materialize(STEPS, request.tags[RANGE_START], request.tags[RANGE_END])
    assert world.tick() == ([], "No graph changed.")

    world.write("twentieth", 20, "no heat")
    world.materialize(TICKETS, partition(20, "acme"), partition(20, "polder"))
    assert world.tenants_asked_for() == ["acme"]
    other = GraphStore(world.url)
    with other.lock("acme"):
        failed = world.materialize(STEPS, "acme", succeeds=False)
    other.close()
    assert set(failed) >= {"resolution", "similarity"}
    assert world.tenants_asked_for() == ["acme"], "it failed"

    # As the UI starts one, with no tags of ours.
    running = dg.DagsterRun("__ASSET_JOB", status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset(TICKETS))
    world.scheduling.add_run(running)
    requests, skipped = world.tick()
    assert (requests, skipped.partition(":")[0]) == ([], "A sync that may change graphs is still running")
    world.scheduling.delete_run(running.run_id)
    world.materialize(STEPS, "acme")
    assert world.tick() == ([], "No graph changed.")

    world.write("twentieth", 20, "no heat", tenant="polder")
    world.materialize(TICKETS, partition(20, "acme"), partition(20, "polder"))
    assert world.tenants_asked_for() == ["polder"]
    world.write("twenty-first", 21, "no heat")
    world.materialize(TICKETS, partition(21, "acme"), partition(21, "polder"))
    assert world.tenants_asked_for() == ["acme", "polder"]


def test_a_sync_goes_back_to_documents_that_never_came_into_the_graph(world: GraphWorld) -> None:
    planner = Planner(world.services, world.repository.asset_graph, world.instance)
    request = SyncRequest(("freshdesk",), ("tickets",), incremental=True)
    world.write("thirtieth", 30, "no heat", tenant="polder")
    world.materialize(chain("tickets"), partition(30, "polder"))
    world.write("thirtieth", 31, "edited since, so that upstream begins later", tenant="polder")
    first, _ = planner.span("freshdesk", "polder", planner.chains(request), request)
    assert first == START + 30 * DAY
    world.materialize(TICKETS, partition(30, "polder"), partition(31, "polder"))
    assert world.services.ledger.first_missing(StreamRef("polder", "freshdesk", "tickets"), "graph") is None
