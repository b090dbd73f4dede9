"""Schedules: at each tick one range of windows for a source's whole chain, from where each tenant's last success ended.

They are off until somebody turns them on in the UI.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from sync_assets.planning import Planner, SyncRequest


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
        if _is_running(context.instance, source):
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
            yield dg.RunRequest(asset_selection=planned.assets, run_config=planned.config(request), tags=planned.tags)

    return schedule


def _is_running(instance: dg.DagsterInstance, source: str) -> bool:
    """Whether a run of the source is under way: two would share the limits of its API."""
    waiting = dg.RunsFilter(
        tags={"sync_assets/source": source},
        statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
    )
    return instance.get_runs_count(waiting) > 0
