"""Schedules: at each tick one range of windows for a source's whole chain, from where each tenant's last success ended.

What is made of whole graphs has a schedule of its own, for the tenants whose graph changed. All schedules are off until
somebody turns them on in the UI.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from sync_assets.partitions import RANGE_START
from sync_assets.planning import Planner, SyncRequest
from sync_assets.services import Services


def sync_schedule(source: str, assets: Sequence[dg.AssetKey], cron: str, sweep: bool) -> dg.ScheduleDefinition:
    """The schedule of a source, for all tenants that have an account in it.

    Args:
        assets: of its chains.
        cron: when, in UTC.
        sweep: also compare all live ids upstream with the ledger each time.
    """
    request = SyncRequest(sources=(source,), incremental=True, sweep=sweep)

    @dg.schedule(
        cron_schedule=cron,
        name=f"{source}_sync",
        target=dg.AssetSelection.assets(*assets),
        description=f"Syncs {source} from where each tenant's last success ended{', with a sweep' if sweep else ''}.",
        execution_timezone="UTC",
        required_resource_keys={"services"},
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        planner = Planner(context.resources.services, context.repository_def.asset_graph, context.instance)
        if not planner.tenants(source, request):
            yield dg.SkipReason(f"No tenant has an account in {source}.")
            return
        if _is_running(context.instance, [source]):
            yield dg.SkipReason(f"A sync of {source} is still running.")
            return
        planner.register(source)
        chains = planner.chains(request)
        spans, refused = planner.reachable(source, chains, request)
        for reason in refused.values():
            context.log.error(reason)
        if not spans:
            yield dg.SkipReason(" ".join(refused.values()))
            return
        for planned in planner.plan(source, chains, spans, request):
            yield dg.RunRequest(
                _run_key(context, planned.tags),
                asset_selection=planned.assets,
                run_config=planned.config(request),
                tags=planned.tags,
            )

    return schedule


def graph_schedule(sources: Sequence[str], assets: Sequence[dg.AssetKey], cron: str) -> dg.ScheduleDefinition:
    """The schedule of what is made of whole graphs, for the tenants whose graph changed.

    Args:
        sources: those that feed the graphs; while one of them is synced, its vectors may not all be there yet.
        cron: when, in UTC.
    """

    @dg.schedule(
        cron_schedule=cron,
        name="graph",
        target=dg.AssetSelection.assets(*assets),
        description="Resolves entities, compares tickets and sums up where a tenant's graph changed.",
        execution_timezone="UTC",
        required_resource_keys={"services"},
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        services: Services = context.resources.services
        if _is_running(context.instance, ["graph", *sources]):
            yield dg.SkipReason("A sync that may change graphs is still running.")
            return
        planner = Planner(services, context.repository_def.asset_graph, context.instance)
        for source in sources:
            planner.register(source)  # the tenants of runs that were started in the UI may not be
        planned = planner.plan_graphs(services.tenants.names())
        if not planned:
            yield dg.SkipReason("No graph changed.")
        for one in planned:
            yield dg.RunRequest(_run_key(context, one.tags), asset_selection=one.assets, tags=one.tags)

    return schedule


def _run_key(context: dg.ScheduleEvaluationContext, tags: Mapping[str, str]) -> str:
    """What tells a run of a tick from the others of that tick, and a repeated tick from the next."""
    return f"{tags['sync_assets/tenants']} {tags[RANGE_START]} {context.scheduled_execution_time:%Y-%m-%dT%H:%M:%S}"


def _is_running(instance: dg.DagsterInstance, sources: Sequence[str]) -> bool:
    """Whether a run of one of these sources is under way, whoever started it: two would share the limits of its API."""
    under_way = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    )
    return any(key.path[0] in sources for run in instance.get_runs(under_way) for key in run.asset_selection or ())
