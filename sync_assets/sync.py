"""A sync as people ask for one, run as Dagster assets and summed up.

What belongs here: from runs to counts. Which runs is in `planning.py`, how one is executed in `runs.py`, how a sync is
printed in `cli/`.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from sync_assets import runs
from sync_assets.errors import GraphError
from sync_assets.planning import Chain, PlannedRun, Planner, SyncRequest
from sync_assets.services import Services

# Run configuration: nothing of the run's log on the terminal.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class SyncResult:
    """What a sync did.

    Attributes:
        rows: counts by (source, stream, stage or store).
        failures: one line each; empty when all went well.
        held: records in quarantine, of the tenants and streams that were asked for.
    """

    rows: dict[tuple[str, str, str], Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    seconds: float = 0.0
    held: int = 0

    def total(self, name: str, *stages: str) -> int:
        return sum(counts[name] for (_, _, stage), counts in self.rows.items() if not stages or stage in stages)

    def summary(self) -> dict[str, Any]:
        """The counts that a script reads. `written` counts vectors over all stores."""
        return {
            "documents": self.total("documents", "documents"),
            "chunks": self.total("chunks", "chunks"),
            "embedded": self.total("embedded", "embeddings"),
            "reused": self.total("reused", "embeddings"),
            "written": self.total("written"),
            "payloads": self.total("payloads"),
            "deleted": self.total("deleted", "documents"),
            "quarantined": self.held,
            "seconds": round(self.seconds, 2),
            "failures": self.failures,
            "runs": self.run_ids,
            "stages": [
                {"source": source, "stream": stream, "stage": stage, **dict(sorted(counts.items()))}
                for (source, stream, stage), counts in self.rows.items()
            ],
        }

    @property
    def exit_code(self) -> int:
        """0 all good, 1 something failed, 3 finished but something was quarantined."""
        if self.failures:
            return 1
        return 3 if self.held else 0


class Syncer:
    """Runs a request and sums it up.

    Args:
        announce: called with one line about each run before it starts.
        tags: of every run, beside its own.
    """

    def __init__(
        self,
        services: Services,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        announce: Callable[[str], None],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._services = services
        self._instance = instance
        self._announce = announce
        self._tags = tags or {}
        self._planner = Planner(services, definitions.resolve_asset_graph(), instance)

    def plan(self, request: SyncRequest) -> list[PlannedRun]:
        """What `sync` would run; asks upstream at most for its span."""
        return [
            run
            for source, chains in self._planner.by_source(request)
            for run in self._planner.plan_source(source, chains, request)
        ]

    def sync(self, request: SyncRequest, result: SyncResult | None = None) -> SyncResult:
        """Run everything that was asked for; what fails is in the result, the rest goes on.

        Args:
            result: of an earlier request, to add to.
        """
        started = time.monotonic()
        result = result or SyncResult()
        with self._services.ledger.transaction():
            pass  # where it is out of reach, this says so before any run begins
        for source, chains in self._planner.by_source(request):
            self._planner.register(source)
            spans, refused = self._planner.reachable(source, chains, request)
            result.failures += [f"{source}: {reason}" for reason in refused.values()]
            if spans:
                for planned in self._planner.plan(source, chains, spans, request):
                    self.run(planned, request, result)
        self.settle(request, result)
        result.seconds += time.monotonic() - started
        return result

    def settle(self, request: SyncRequest, result: SyncResult) -> None:
        """What follows the runs of a request: records in quarantine are counted, whole graphs brought in line."""
        related: set[str] = set()
        for source, chains in self._planner.by_source(request):
            result.held += self._held(chains, self._planner.tenants(source, request))
            if request.until == "stores":
                related.update(self._planner.tenants(source, request))
        self._relate(related, result)

    def _relate(self, tenants: Collection[str], result: SyncResult) -> None:
        """Bring in line what is made of these tenants' whole graphs, where a graph changed since that was last done."""
        try:
            planned = self._planner.plan_graphs(tenants)
        except GraphError as error:
            result.failures.append(f"graph: {error}")
            return
        for one in planned:
            self._announce(f"graph of {one.tenant}")
            run = self._execute(one.assets, {}, one.tags, result)
            reasons = {**runs.failures(run), **runs.failed_checks(run)}
            result.failures += [f"{one.tenant} {what}: {why}" for what, why in reasons.items()]
            if not run.success and not reasons:
                result.failures.append(_unexplained(one.tenant, run))

    def _execute(
        self, assets: Sequence[dg.AssetKey], config: Mapping[str, Any], tags: Mapping[str, str], result: SyncResult
    ) -> dg.JobExecutionResult:
        """One run, its counts added to the result.

        Raises:
            KeyboardInterrupt: Ctrl-C ended it.
        """
        # The run opens stores of its own; the embedded ones admit one process, and one opening, at a time.
        self._services.close()
        run = runs.execute(self._instance, assets, {**config, **QUIET}, {**tags, **self._tags})
        if runs.interrupted(run):
            raise KeyboardInterrupt
        result.run_ids.append(run.run_id)
        for key, numbers in runs.counts(run).items():
            source, *stream, stage = key.path  # a graph is of all streams
            ours = {name: number for name, number in numbers.items() if "/" not in name}  # "dagster/..." is not
            result.rows.setdefault((source, "".join(stream), stage), Counter()).update(ours)
        return run

    def _held(self, chains: Sequence[Chain], tenants: Sequence[str]) -> int:
        return sum(
            len(self._services.ledger.quarantined(tenant, chain.source, chain.stream))
            for tenant in tenants
            for chain in chains
        )

    def run(self, planned: PlannedRun, request: SyncRequest, result: SyncResult) -> None:
        """One of the runs of a request; streams that failed in it are run again for each of its tenants alone."""
        self._announce(
            f"{planned.source}: {', '.join(planned.streams)} of {', '.join(planned.tenants)}, "
            f"{planned.windows} windows from {planned.first_window} to {planned.last_window}"
        )
        run = self._execute(planned.assets, planned.config(request), {**planned.tags, **request.tags}, result)
        reasons = runs.failures(run)
        # One tenant's upstream failed half-way in these streams: the others go on without it.
        again = {_stream(step) for step in reasons if step.endswith("/raw")} if len(planned.tenants) > 1 else set()
        tenants = ", ".join(planned.tenants)
        result.failures += [f"{tenants} {step}: {why}" for step, why in reasons.items() if _stream(step) not in again]
        result.failures += [
            f"{name}: {description}" for name, description in runs.failed_checks(run).items() if name.endswith(":sweep")
        ]
        if not run.success and not reasons:
            result.failures.append(_unexplained(tenants, run))
        if again:
            for tenant in planned.tenants:
                self.run(planned.only(tenant, again), request, result)


def _unexplained(tenants: str, run: dg.JobExecutionResult) -> str:
    return f"{tenants}: run {run.run_id} failed; see it in the Dagster UI."


def _stream(step: str) -> str:
    return step.split("/")[1]
