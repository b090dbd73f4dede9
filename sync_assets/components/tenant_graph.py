"""The assets of a tenant's whole knowledge graph: entities that are the same, tickets that are alike, and a summary.

What belongs here: how those steps become assets, partitioned by tenant. What they do is in `stages/tenant_graph.py`,
how records come into the graph in `components/source_graph.py`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from sync_assets.automation.schedules import graph_schedule
from sync_assets.checks.results import ERROR, WARN, result
from sync_assets.components.failures import failures
from sync_assets.components.metadata import attach_partition_metadata, markdown_table
from sync_assets.components.progress import progress_of
from sync_assets.components.source_graph import graph_key
from sync_assets.hashing import digest
from sync_assets.partitions import GRAPH_TENANTS
from sync_assets.services import Services

if TYPE_CHECKING:
    from sync_assets.graph.health import Finding

T = TypeVar("T")

_GROUP = "graph"
# By the attributes of `graph.health.Health`: what holds, and how bad it is where it does not.
_CHECKS = {
    "dangling_edges": ("Every edge ends at nodes that are there.", ERROR),
    "evidence_without_document": ("All evidence is of documents that are there.", ERROR),
    "evidence_without_text": ("All evidence is of texts that are there.", ERROR),
    "confidence": ("Every confidence is above 0 and at most 1.", ERROR),
    "stale": ("Nodes and edges are what their evidence amounts to.", ERROR),
    "degree_outliers": ("No node has far more edges than others of its kind.", WARN),
}


class TenantGraph(dg.Component, dg.Model, dg.Resolvable):
    """What is made of each tenant's knowledge graph as a whole.

    Attributes:
        sources: those whose graph assets feed it.
        schedule: when to bring it in line for the tenants whose graph changed, as a cron expression in UTC; default
            never. A sync on the command line does so at its end.
        owners: of every asset, as e-mail addresses or `team:<name>`.
    """

    sources: list[str]
    schedule: str | None = None
    owners: list[str] = []

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        sources = [
            dg.AssetDep(graph_key(source), partition_mapping=dg.AllPartitionMapping()) for source in self.sources
        ]
        steps = [self._key("resolution"), self._key("similarity")]
        every = [*steps, self._key("summary")]
        return dg.Definitions(
            schedules=[graph_schedule(self.sources, every, self.schedule)] if self.schedule else [],
            sensors=[_summary_sensor(self._key("summary"))],
            assets=[
                self._step(
                    "resolution",
                    "Entities that are the same under several names, by rules and by what people decided.",
                    sources,
                    _resolution,
                ),
                self._step(
                    "similarity",
                    "Pairs of tickets that are alike, by the vectors of their chunks.",
                    sources,
                    _similarity,
                ),
                self._summary(steps),
            ],
        )

    def _key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([_GROUP, name])

    def _step(
        self,
        name: str,
        description: str,
        deps: list[dg.AssetDep],
        work: Callable[[Services, str], Mapping[str, int]],
    ) -> dg.AssetsDefinition:
        key = self._key(name)

        def step(context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]) -> dg.MaterializeResult:
            found = _each_tenant(context, name, lambda tenant: work(services, tenant))
            attach_partition_metadata(context, key, found)
            return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(digest(found)))

        return self._asset(step, name, description, deps=deps)

    def _summary(self, deps: list[dg.AssetKey]) -> dg.AssetsDefinition:
        key = self._key("summary")

        def summary(context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]) -> dg.MaterializeResult:
            from sync_assets.stages.tenant_graph import summarise

            found = _each_tenant(context, "summary", lambda tenant: summarise(services, tenant))
            attach_partition_metadata(context, key, {tenant: _shown(one.counts) for tenant, one in found.items()})
            findings = {name: {tenant: getattr(one.health, name) for tenant, one in found.items()} for name in _CHECKS}
            return dg.MaterializeResult(
                asset_key=key,
                data_version=dg.DataVersion(digest({tenant: one.counts for tenant, one in found.items()})),
                check_results=[_check(key, name, by_tenant) for name, by_tenant in findings.items()],
            )

        specs = [dg.AssetCheckSpec(name, asset=key, description=words) for name, (words, _) in _CHECKS.items()]
        return self._asset(
            summary,
            "summary",
            "How large each tenant's graph is, and whether it holds together.",
            deps,
            specs,
            # It has its tenants' partitions in common with what it depends on, and is small: no other asset is both.
            dg.AutomationCondition.eager(),
        )

    def _asset(
        self,
        function: Callable[..., Any],
        name: str,
        description: str,
        deps: list[Any],
        checks: list[dg.AssetCheckSpec] | None = None,
        condition: dg.AutomationCondition[Any] | None = None,
    ) -> dg.AssetsDefinition:
        made = dg.asset(
            key=self._key(name),
            partitions_def=dg.DynamicPartitionsDefinition(name=GRAPH_TENANTS),
            backfill_policy=dg.BackfillPolicy.single_run(),
            deps=deps,
            description=description,
            group_name=_GROUP,
            owners=self.owners,
            kinds={"python", "postgres"},
            check_specs=checks or [],
            automation_condition=condition,
        )(function)
        assert isinstance(made, dg.AssetsDefinition)  # noqa: S101 what the decorator returns for a function
        return made


def _summary_sensor(summary: dg.AssetKey) -> dg.AutomationConditionSensorDefinition:
    """Brings the summary in line after a person ran one of the steps alone.

    What changes between the end of the summary's run and the next tick escapes it. The schedule does not miss that: it
    asks the graph itself who is behind.
    """
    return dg.AutomationConditionSensorDefinition(
        "graph_summary",
        target=dg.AssetSelection.assets(summary),
        description="Sums a tenant's graph up again after its entities or its similar tickets were found alone.",
    )


def _each_tenant(context: dg.AssetExecutionContext, name: str, work: Callable[[str], T]) -> dict[str, T]:
    """What is done for each tenant of a run."""
    found: dict[str, T] = {}
    with failures():
        for number, tenant in enumerate(context.partition_keys):
            progress_of(context)(f"graph {name}", number, len(context.partition_keys))
            found[tenant] = work(tenant)
    return found


def _resolution(services: Services, tenant: str) -> Mapping[str, int]:
    from sync_assets.stages.tenant_graph import resolve_entities

    return resolve_entities(services, tenant)


def _similarity(services: Services, tenant: str) -> Mapping[str, int]:
    from sync_assets.definitions import streams
    from sync_assets.stages.tenant_graph import find_similar

    return find_similar(services, tenant, streams())


def _shown(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Totals, which the UI plots over time, and tables of the kinds."""
    totals = {name: sum(kinds.values()) for name, kinds in counts.items()}
    tables: dict[str, Any] = {}
    for name, numbers in counts.items():
        sort = "extractor" if name == "evidence" else "kind"
        rows = [{sort: one, "number": number} for one, number in sorted(numbers.items())]
        tables[f"{name}_by_{sort}"] = dg.MetadataValue.md(markdown_table(rows))
    return {**totals, **tables}


def _check(key: dg.AssetKey, name: str, findings: Mapping[str, "Finding"]) -> dg.AssetCheckResult:
    bad = {tenant: found for tenant, found in findings.items() if found.number}
    number = sum(found.number for found in bad.values())
    return result(
        key,
        name,
        _CHECKS[name][1],
        f"{number} found" if bad else "none found",
        passed=not bad,
        failing=number,
        cases=[f"{tenant}: {what}" for tenant, found in bad.items() for what in found.samples],
        partitions=bad,
        tenants=bad,
    )
