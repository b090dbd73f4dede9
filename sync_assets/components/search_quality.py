"""The asset that tells how well searches answer each tenant's golden set, over time.

What belongs here: how measurements become metadata, a plot, a check and a schedule. How they are made is in `golden/`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from sync_assets.checks.results import ERROR, result
from sync_assets.components.failures import failures
from sync_assets.components.metadata import attach_partition_metadata, markdown_table
from sync_assets.components.plots import interval_plot
from sync_assets.components.progress import progress_of
from sync_assets.hashing import digest, text_hash
from sync_assets.partitions import GRAPH_TENANTS, SEARCH, TENANTS_TAG
from sync_assets.services import Services

if TYPE_CHECKING:
    from sync_assets.golden.measures import Interval
    from sync_assets.golden.measuring import Answers

_KEY = dg.AssetKey([SEARCH, "quality"])
_CHECK = "as_good_as_before"
# What is plotted over time and compared with the last measurement.
_MEASURE, _MODE = "nDCG@10", "hybrid"
# Of a measurement, by store: that measure of each question, by the beginning of its text's hash; the scores that the
# next one is compared with, which are older where this one had fallen; and by how much it had, in words.
_SCORES, _BAR, _FALLEN = "scores", "compared_with_next", "fallen"
_HASH = 12


class MeasureOptions(dg.Config):
    """How to measure; the run configuration of the asset."""

    accept: bool = Field(
        default=False, description="Hold the next measurements to what this one finds, also where it has fallen"
    )


class SearchQuality(dg.Component, dg.Model, dg.Resolvable):
    """How well each tenant's searches answer its golden set: by store and mode, with intervals.

    Attributes:
        schedule: when all tenants are measured, as a cron expression in UTC; default never.
        owners: of the asset, as e-mail addresses or `team:<name>`.
    """

    schedule: str | None = None
    owners: list[str] = []

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        @dg.asset(
            key=_KEY,
            partitions_def=dg.DynamicPartitionsDefinition(name=GRAPH_TENANTS),
            backfill_policy=dg.BackfillPolicy.single_run(),
            # What resolved tickets asked is mined from the graph, once its entities are resolved and summed up.
            deps=[dg.AssetKey(["graph", "summary"])],
            description="How well searches of every store answer the golden set: recall, MRR and nDCG by mode.",
            group_name=SEARCH,
            owners=self.owners,
            kinds={"python"},
            check_specs=[
                dg.AssetCheckSpec(
                    _CHECK,
                    asset=_KEY,
                    description=f"{_MEASURE} of {_MODE} search has not fallen, for any tenant, since the last "
                    "measurement that had not, by the questions that both asked. Materialize the tenant with "
                    "`accept: true` in the launchpad to accept what it has now.",
                )
            ],
        )
        def quality(
            context: dg.AssetExecutionContext, config: MeasureOptions, services: dg.ResourceParam[Services]
        ) -> dg.MaterializeResult:
            with failures():
                measured = {tenant: _measured(services, tenant, context) for tenant in context.partition_keys}
            last = _last(context.instance, {*services.tenants.names(), *measured})
            scores = {tenant: _scores(found) for tenant, found in measured.items()}
            told = {
                tenant: _told({} if config.accept else last.get(tenant, {}), found) for tenant, found in scores.items()
            }
            attach_partition_metadata(
                context, _KEY, {tenant: _metadata(found, told[tenant]) for tenant, found in measured.items()}
            )
            return dg.MaterializeResult(
                asset_key=_KEY,
                data_version=dg.DataVersion(digest(scores)),
                # Of all tenants: the result of one tenant's run would else stand for those before it.
                check_results=[_check({tenant: found.get(_FALLEN, {}) for tenant, found in (last | told).items()})],
            )

        return dg.Definitions(assets=[quality], schedules=[_schedule(self.schedule)] if self.schedule else [])


def _schedule(cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        cron_schedule=cron,
        name="search_quality",
        target=dg.AssetSelection.assets(_KEY),
        description="Measures how well searches answer each tenant's golden set, one run for each tenant.",
        execution_timezone="UTC",
        required_resource_keys={"services"},
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        services: Services = context.resources.services
        known = set(services.tenants.names())
        tenants = [one for one in context.instance.get_dynamic_partitions(GRAPH_TENANTS) if one in known]
        if not tenants:
            yield dg.SkipReason("No tenant was synced yet.")
        for tenant in tenants:
            yield dg.RunRequest(
                f"{tenant} {context.scheduled_execution_time:%Y-%m-%dT%H:%M:%S}",
                partition_key=tenant,
                tags={TENANTS_TAG: tenant},
            )

    return schedule


def _measured(services: Services, tenant: str, context: dg.AssetExecutionContext) -> list["Answers"]:
    from sync_assets.golden import golden_set
    from sync_assets.golden.measuring import measure

    return measure(services, golden_set(services, tenant), progress=progress_of(context))


def _metadata(measured: Sequence["Answers"], told: Mapping[str, Any]) -> dict[str, Any]:
    """A number for each store and mode, which the UI plots over time; the rest as a table, and the intervals drawn."""
    rows: list[dict[str, Any]] = []
    numbers: dict[str, Any] = {}
    drawn = {}
    for one in measured:
        for mode in one.scores:
            found = one.measured(mode)
            numbers[f"{one.store}_{mode}"] = round(found[_MEASURE].mean, 4)
            drawn[f"{one.store} {mode}"] = found[_MEASURE]
            measures = {name: f"{it.mean:.3f} ({it.low:.3f} to {it.high:.3f})" for name, it in found.items()}
            rows.append({"store": one.store, "questions": len(one.questions), "mode": mode, **measures})
    return {
        "questions": len({question.text for one in measured for question in one.questions}),
        **numbers,
        "measures": dg.MetadataValue.md(markdown_table(rows)),
        **({"intervals": dg.MetadataValue.md(interval_plot(drawn, _MEASURE))} if drawn else {}),
        **{name: dg.MetadataValue.json(value) for name, value in told.items()},
    }


def _scores(measured: Sequence["Answers"]) -> dict[str, dict[str, float]]:
    return {
        one.store: {
            text_hash(question.text)[:_HASH]: round(float(value), 4)
            for question, value in zip(one.questions, one.scores[_MODE][_MEASURE], strict=True)
        }
        for one in measured
    }


def _last(instance: dg.DagsterInstance, tenants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the last measurement of each tenant told, by name; those without one are left out."""
    wanted = set(tenants)
    found: dict[str, dict[str, Any]] = {}
    cursor = None
    while wanted:
        records = dg.AssetRecordsFilter(asset_key=_KEY, asset_partitions=sorted(wanted))
        page = instance.fetch_materializations(records, limit=len(wanted), cursor=cursor)
        for record in page.records:
            tenant, made = record.partition_key, record.asset_materialization
            if tenant in wanted and made is not None:
                told = ((name, made.metadata.get(name)) for name in (_SCORES, _BAR, _FALLEN))
                found[tenant] = {name: it.value for name, it in told if isinstance(it, dg.JsonMetadataValue)}
                wanted.remove(tenant)
        if not page.has_more:
            break
        cursor = page.cursor
    return found


def _check(fallen: Mapping[str, Mapping[str, str]]) -> dg.AssetCheckResult:
    cases = {
        f"{tenant}: {store}: {case}": tenant for tenant, stores in fallen.items() for store, case in stores.items()
    }
    return result(
        _KEY,
        _CHECK,
        ERROR,
        f"{len(cases)} stores answer worse than before; `sync-assets golden measure` tells more"
        if cases
        else "no store answers worse than before",
        passed=not cases,
        failing=len(cases),
        cases=list(cases),
        tenants=set(cases.values()),
    )


def _told(last: Mapping[str, Any], scores: Mapping[str, dict[str, float]]) -> dict[str, Any]:
    """What this measurement tells, by what the last one did.

    Where too few questions can be compared, or a store was not measured, what was told of it before goes on to stand,
    and new questions are held to what they have now.
    """
    bars: dict[str, dict[str, float]] = {}
    fallen: dict[str, str] = {}
    for store in sorted(scores.keys() | last.get(_BAR, {}).keys()):
        before, now = last.get(_BAR, {}).get(store, {}), scores.get(store, {})
        difference = _difference(before, now)
        if difference is not None and difference.high >= 0:
            bars[store] = now
            continue
        bars[store] = now | before
        if difference is not None:
            fallen[store] = (
                f"{_MEASURE} {difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}), "
                f"{len(before.keys() & now.keys())} questions"
            )
        elif store in last.get(_FALLEN, {}):
            fallen[store] = last[_FALLEN][store]
    return {_SCORES: scores, _BAR: bars, _FALLEN: fallen}


def _difference(before: Mapping[str, float], now: Mapping[str, float]) -> "Interval | None":
    """How much better the questions of both are answered now; None where they are too few to tell."""
    import numpy as np

    from sync_assets.golden.measures import FEWEST, interval

    both = sorted(before.keys() & now.keys())
    return interval(np.array([now[one] - before[one] for one in both])) if len(both) >= FEWEST else None
