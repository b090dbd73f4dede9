"""Schedules: at a tenant's turn a range of windows for a source's whole chain, one run with others whose turn it is.

What is made of whole graphs has a schedule of its own, for the tenants whose graph changed. All schedules are off until
somebody turns them on in the UI. Whose turn it is, is in `turns.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from sync_assets.automation.asking import BUDGET_SECONDS, NONE_ASKED, Answers, ask_all
from sync_assets.automation.refusals import note
from sync_assets.automation.turns import TURN, Turn, due, yesterday
from sync_assets.checks.selection import checks_of_sync
from sync_assets.errors import SourceError
from sync_assets.partitions import RANGE_START, TENANTS_TAG
from sync_assets.planning import Planner, Span, SyncRequest
from sync_assets.run_processes import RunProcess, fail_dead_runs
from sync_assets.services import Services

_EVERY_QUARTER = "*/15 * * * *"
_QUARTER_SECONDS = 900


class SyncKind(StrEnum):
    """What a schedule of a source syncs each time."""

    INCREMENTAL = "incremental"
    DAILY = "daily"
    SWEEP = "sweep"


_WORDS = {
    SyncKind.INCREMENTAL: "Syncs {source} from where each tenant's last success ended",
    SyncKind.DAILY: "Syncs yesterday and today of {source} once more, each window as a whole",
    SyncKind.SWEEP: "Syncs {source} from where each tenant's last success ended",
}


def sync_schedule(
    source: str,
    assets: Sequence[dg.AssetKey],
    kind: SyncKind,
    cron: str,
    *,
    sweeps: bool,
    budget: float = BUDGET_SECONDS,
) -> dg.ScheduleDefinition:
    """One of a source's schedules, for all tenants that have an account in it, each in its own time zone.

    Args:
        assets: of its chains.
        cron: when, by the clocks of a tenant's time zone.
        sweeps: also compare all live ids upstream with the ledger each time.
        budget: how long upstream is asked in one tick, in seconds.
    """
    name = f"{source}_{kind}"
    request = SyncRequest(sources=(source,), incremental=kind is not SyncKind.DAILY, sweep=sweeps)

    @dg.schedule(
        # The tenants' file is not read before a tick: so each tick looks whose turn it is.
        cron_schedule=_EVERY_QUARTER,
        name=name,
        target=dg.AssetSelection.assets(*assets),
        description=f"{_WORDS[kind].format(source=source)}{', with a sweep' if sweeps else ''}: at `{cron}` in each "
        "tenant's time zone. It looks every quarter of an hour whose turn it is.",
        execution_timezone="UTC",
        required_resource_keys={"services"},
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        services: Services = context.resources.services
        now = context.scheduled_execution_time
        planner = Planner(services, context.repository_def.asset_graph, context.instance)
        tenants = planner.tenants(source, request)
        turns = due(context.instance, name, cron, services.tenants, tenants, now)
        if not tenants:
            yield dg.SkipReason(f"No tenant has an account in {source}.")
        elif not turns:
            yield dg.SkipReason("It is no tenant's turn.")
        elif (run := run_under_way(context.instance, [source])) is not None:
            yield dg.SkipReason(f"A sync of {source} is still running: {run}")
        else:
            planner.register(source)
            answers = _reach(services, planner, request, turns, now, budget)
            note(context.instance, name, source, tenants, answers)
            spans, reasons = answers.found, list(answers.failed.values())
            if answers.left:
                reasons.append(f"Not asked for lack of time, so at the next tick: {', '.join(answers.left)}.")
            for reason in reasons:
                context.log.error(reason)
            if not spans:
                raise SourceError(NONE_ASKED + " ".join(reasons))
            for turn, names in [(turn, names) for turn, groups in turns.items() for names in groups]:
                reached = {tenant: spans[tenant] for tenant in names if tenant in spans}
                for planned in planner.plan(source, planner.chains(request), reached, request):
                    yield dg.RunRequest(
                        _run_key(context, planned.tags),
                        asset_selection=planned.assets,
                        asset_check_keys=sorted(checks_of_sync(context.repository_def.asset_graph, planned.assets)),
                        run_config=planned.config(request),
                        tags={**planned.tags, TURN: turn.tag},
                    )

    return schedule


def _reach(
    services: Services,
    planner: Planner,
    request: SyncRequest,
    turns: Mapping[Turn, Iterable[Sequence[str]]],
    now: datetime,
    budget: float,
) -> Answers[Span]:
    """What to sync of each tenant whose credentials work."""
    (source,) = request.sources
    moments = {name: turn.moment for turn, groups in turns.items() for names in groups for name in names}
    tenants = list(moments)
    # Here and not in a thread, since it is of the ledger.
    begins = planner.begins(tenants, planner.chains(request)) if request.incremental else {}

    def span(tenant: str) -> Span:
        with services.tenants.open(source, tenant) as account:
            account.check()
        if request.incremental:
            return planner.span_from(source, tenant, begins[tenant])
        # A turn that is taken late is still about its own day.
        return yesterday(services.tenants.time_zone(tenant), moments[tenant]), now

    # Some other one comes first each time, so that those that do not answer keep nobody from its turn.
    first = int(now.timestamp()) // _QUARTER_SECONDS % len(tenants)
    return ask_all([*tenants[first:], *tenants[:first]], span, budget)


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
        if (run := run_under_way(context.instance, ["graph", *sources])) is not None:
            yield dg.SkipReason(f"A sync that may change graphs is still running: {run}")
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
    return f"{tags[TENANTS_TAG]} {tags[RANGE_START]} {context.scheduled_execution_time:%Y-%m-%dT%H:%M:%S}"


def run_under_way(instance: dg.DagsterInstance, sources: Sequence[str]) -> str | None:
    """A run of one of these sources, whoever started it, in words: two would share the limits of its API.

    Returns:
        The run's id, and the remedy where nothing is known of its process; None where no run is under way.
    """
    fail_dead_runs(instance)
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        if any(key.path[0] in sources for key in run.asset_selection or ()):
            process = RunProcess.of(run)
            known = run.status is dg.DagsterRunStatus.QUEUED or (process is not None and process.is_here())
            return f"run {run.run_id}.{'' if known else ' If nothing executes it any more, terminate it in the UI.'}"
    return None
