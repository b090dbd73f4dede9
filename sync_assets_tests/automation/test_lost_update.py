"""The update that declarative automation loses, and that the schedule, which asks the graph itself, does not."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from sync_assets.definitions import build_defs
from sync_assets.partitions import GRAPH_TENANTS
from sync_assets.stages.tenant_graph import summarise
from sync_assets_tests.automation.world import BEGAN, QUIET, Automation

RESOLUTION, SIMILARITY, SUMMARY = (dg.AssetKey(["graph", name]) for name in ("resolution", "similarity", "summary"))
TICKETS = [dg.AssetKey(["freshdesk", "tickets", stage]) for stage in ("raw", "documents", "chunks")]
WINDOW = f"{BEGAN:%Y-%m-%d}|acme"


def test_an_update_that_declarative_automation_loses_is_repaired_by_the_schedule(
    automation: Callable[..., Automation],
) -> None:
    world = automation("acme")
    world.instance.add_dynamic_partitions(GRAPH_TENANTS, ["acme"])
    world.instance.add_dynamic_partitions("freshdesk_tenants", ["acme"])
    definitions = build_defs(world.services)
    job = definitions.resolve_implicit_global_asset_job_def()
    cursor: Any = None

    def materialize(assets: list[dg.AssetKey], partition: str) -> None:
        job.execute_in_process(
            instance=world.instance, asset_selection=assets, partition_key=partition, run_config=QUIET
        )

    def asked_for() -> int:
        """How many tenants' summaries a tick of declarative automation asks for."""
        nonlocal cursor
        result = dg.evaluate_automation_conditions(
            definitions, world.instance, asset_selection=dg.AssetSelection.assets(SUMMARY), cursor=cursor
        )
        cursor = result.cursor
        return result.get_num_requested(SUMMARY)

    def write(record_id: str) -> None:
        """A ticket comes into the graph, and a person runs the steps below the summary by hand."""
        world.write("acme", record_id, f"no dial tone on line {record_id}")
        materialize([*TICKETS, dg.AssetKey(["freshdesk", "graph"])], WINDOW)
        materialize([RESOLUTION, SIMILARITY], "acme")

    def shown() -> int:
        """How many nodes the last summary shows."""
        event = world.instance.get_latest_materialization_event(SUMMARY)
        assert event is not None
        assert event.asset_materialization is not None
        value = event.asset_materialization.metadata["nodes"].value
        assert isinstance(value, int)
        return value

    def there_are() -> int:
        return sum(summarise(world.services, "acme").counts["nodes"].values())

    write("1")
    materialize([SUMMARY], "acme")
    asked_for()
    write("2")
    assert asked_for() == 1, "what nobody interrupts is followed"
    materialize([SUMMARY], "acme")
    write("3")
    assert asked_for() == 0
    assert asked_for() == 0, "it came between the end of the summary's run and the tick, and is lost"
    before = shown()

    schedule = world.repository.get_schedule_def("graph")
    with dg.build_schedule_context(
        instance=world.instance,
        resources={"services": world.services},
        repository_def=world.repository,
        scheduled_execution_time=world.now,
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert world.run(request).success
    assert shown() == there_are() > before
