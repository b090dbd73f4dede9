"""A sync as people ask for one: which tenants, streams and windows, run as Dagster assets, summed up.

What belongs here: from a request to runs, and from runs to counts. How a run is executed is in `runs.py`, how it is
printed in `cli/`.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

import dagster as dg

from sync_assets import runs
from sync_assets.components.partitions import tenants_name, time_windows
from sync_assets.errors import SettingsError, SourceError
from sync_assets.ledger import QuarantinedRecord, StreamRef
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.stages import utc_now
from sync_assets.stages.raw import has_no_id

Until = Literal["raw", "documents", "chunks", "embeddings", "stores"]
Span = tuple[datetime, datetime]
_STAGES = get_args(Until)


@dataclass(frozen=True)
class SyncRequest:
    """What to sync; empty tuples mean everything.

    Attributes:
        since_hours: changes of the last hours; 0 means all.
        incremental: from where each tenant's last success ended.
        first, last: windows of these days, both included.
        everything: all windows that upstream has changes in.
        records: only these records of one tenant's stream, fetched by id.
    """

    sources: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    since_hours: float = 24
    incremental: bool = False
    first: datetime | None = None
    last: datetime | None = None
    everything: bool = False
    until: Until = "stores"
    sweep: bool = False
    limit: int | None = None
    records: tuple[str, ...] = ()


class Chain(NamedTuple):
    """The assets of one stream, in order, as the definitions have them."""

    source: str
    stream: str
    stages: list[dg.AssetKey]
    stores: list[str]


class PlannedRun(NamedTuple):
    """One run: a rectangle of windows and tenants of one source."""

    source: str
    streams: list[str]
    tenants: list[str]
    first_window: str
    last_window: str
    windows: int
    assets: list[dg.AssetKey]

    def only(self, tenant: str, streams: Collection[str]) -> "PlannedRun":
        """The part of this run that is about some of its streams and one of its tenants."""
        chosen = [stream for stream in self.streams if stream in streams]
        assets = [key for key in self.assets if key.path[1] in streams]
        return self._replace(tenants=[tenant], streams=chosen, assets=assets)


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


class Planner:
    """Turns a request into runs over the definitions' own partitions.

    Args:
        definitions: of the code location.
        instance: knows the tenants' order among the dynamic partitions.
    """

    def __init__(
        self,
        services: Services,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._services = services
        self._graph = definitions.resolve_asset_graph()
        self._instance = instance
        self._clock = clock

    def chains(self, request: SyncRequest) -> list[Chain]:
        """The chosen streams.

        Raises:
            SettingsError: a source or stream is unknown.
        """
        found: dict[tuple[str, str], dict[str, dg.AssetKey]] = {}
        for key in self._graph.executable_asset_keys:
            if "stage" not in self._graph.get(key).tags:
                continue  # a table of the support database, which `support-db load` materializes
            source, stream, stage = key.path
            found.setdefault((source, stream), {})[stage] = key
        _known("source", request.sources, sorted({source for source, _ in found} & set(SOURCE_NAMES)))
        _known("stream", request.streams, sorted({stream for _, stream in found}))
        chains = []
        for (source, stream), stages in sorted(found.items()):
            if request.sources and source not in request.sources:
                continue
            if request.streams and stream not in request.streams:
                continue
            stores = sorted(stage for stage in stages if stage not in _STAGES)
            wanted = _STAGES[: _STAGES.index(request.until) + 1]
            keys = [stages[stage] for stage in wanted if stage in stages]
            if request.until == "stores":
                keys += [stages[store] for store in stores]
            chains.append(Chain(source, stream, keys, stores))
        return chains

    def tenants(self, source: str, request: SyncRequest) -> list[str]:
        """The chosen tenants that have an account in a source.

        Raises:
            SettingsError: a tenant is unknown.
        """
        _known("tenant", request.tenants, self._services.tenants.names())
        return [name for name in self._services.tenants.names(source) if not request.tenants or name in request.tenants]

    def plan(
        self, source: str, chains: Sequence[Chain], spans: Mapping[str, Span], request: SyncRequest
    ) -> list[PlannedRun]:
        """Runs over contiguous intervals of tenants that start at the same window. Writes nothing.

        Args:
            spans: what to sync of each tenant.
        """
        windows_def = time_windows(self._graph.get(chains[0].stages[0]).partitions_def)  # pyright: ignore[reportArgumentType]
        if request.everything:
            # One run for all of them costs less than the empty windows of some.
            whole = (min(first for first, _ in spans.values()), max(last for _, last in spans.values()))
            spans = dict.fromkeys(spans, whole)
        planned: list[PlannedRun] = []
        for span, group in _intervals(spans, self._order(source)):
            keys = _window_keys(windows_def, *span)
            planned.append(
                PlannedRun(
                    source=source,
                    streams=[chain.stream for chain in chains],
                    tenants=group,
                    first_window=keys[0],
                    last_window=keys[-1],
                    windows=len(keys),
                    assets=[key for chain in chains for key in chain.stages],
                )
            )
        return planned

    def register(self, source: str) -> None:
        """Add tenants that are new in the tenants file to the source's partitions, in order."""
        name = tenants_name(source)
        present = set(self._instance.get_dynamic_partitions(name))
        new = [tenant for tenant in self._services.tenants.names(source) if tenant not in present]
        if new:
            self._instance.add_dynamic_partitions(name, new)

    def _order(self, source: str) -> list[str]:
        """All partitions of a source in Dagster's order, those that `register` would add at the end."""
        present = list(self._instance.get_dynamic_partitions(tenants_name(source)))
        return present + [tenant for tenant in self._services.tenants.names(source) if tenant not in present]

    def span(self, source: str, tenant: str, chains: Sequence[Chain], request: SyncRequest) -> Span:
        """First and last moment that a request is about, for one tenant; asks upstream where it is about everything.

        Raises:
            SourceError: upstream could not be asked.
        """
        now = self._clock()
        if request.records:
            return now, now
        if request.first is not None:
            return request.first, (request.last or now) + timedelta(days=1) - timedelta(microseconds=1)
        if request.everything or (request.since_hours == 0 and not request.incremental):
            return self._whole_span(source, tenant, chains)
        if not request.incremental:
            return now - timedelta(hours=request.since_hours), now
        marks = [
            self._services.ledger.watermark(StreamRef(tenant, chain.source, chain.stream), store)
            for chain in chains
            for store in chain.stores
        ]
        known = [mark for mark in marks if mark is not None]
        if len(known) < len(marks):
            return self._whole_span(source, tenant, chains)[0], now
        return min(known), now

    def _whole_span(self, source: str, tenant: str, chains: Sequence[Chain]) -> Span:
        with self._services.tenants.open(source, tenant) as account:
            found = [span for chain in chains if (span := account.span(chain.stream)) is not None]
        now = self._clock()
        return min((first for first, _ in found), default=now), max((last for _, last in found), default=now)


class Syncer:
    """Runs a request and sums it up.

    Args:
        announce: called with one line about each run before it starts.
    """

    def __init__(
        self,
        services: Services,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        announce: Callable[[str], None],
    ) -> None:
        self._services = services
        self._instance = instance
        self._announce = announce
        self._planner = Planner(services, definitions, instance)

    def plan(self, request: SyncRequest) -> list[PlannedRun]:
        """What `sync` would run; asks upstream at most for its span."""
        return [run for source, chains in self._by_source(request) for run in self._plan(source, chains, request)]

    def sync(self, request: SyncRequest, result: SyncResult | None = None) -> SyncResult:
        """Run everything that was asked for; what fails is in the result, the rest goes on.

        Args:
            result: of an earlier request, to add to.
        """
        started = time.monotonic()
        result = result or SyncResult()
        with self._services.ledger.transaction():
            pass  # where it is out of reach, this says so before any run begins
        for source, chains in self._by_source(request):
            self._planner.register(source)
            spans = self._reachable(source, chains, request, result)
            if spans:
                for planned in self._planner.plan(source, chains, spans, request):
                    self._run(planned, request, result)
            result.held += self._held(chains, self._planner.tenants(source, request))
        result.seconds += time.monotonic() - started
        return result

    def _held(self, chains: Sequence[Chain], tenants: Sequence[str]) -> int:
        return sum(
            len(self._services.ledger.quarantined(tenant, chain.source, chain.stream))
            for tenant in tenants
            for chain in chains
        )

    def _by_source(self, request: SyncRequest) -> Iterator[tuple[str, list[Chain]]]:
        chains = self._planner.chains(request)
        found = False
        for source in sorted({chain.source for chain in chains}):
            if self._planner.tenants(source, request):
                found = True
                yield source, [chain for chain in chains if chain.source == source]
        if not found:
            raise SettingsError(
                f"No tenant has an account for this in {self._services.settings.tenants_path}.",
                "Add one there (see the README), or run `sync-assets demo`.",
            )

    def _plan(self, source: str, chains: Sequence[Chain], request: SyncRequest) -> list[PlannedRun]:
        tenants = self._planner.tenants(source, request)
        spans = {tenant: self._planner.span(source, tenant, chains, request) for tenant in tenants}
        return self._planner.plan(source, chains, spans, request)

    def _reachable(
        self, source: str, chains: Sequence[Chain], request: SyncRequest, result: SyncResult
    ) -> dict[str, Span]:
        """Spans of the tenants whose credentials work; the others fail here, and cost the rest nothing."""
        spans: dict[str, Span] = {}
        for tenant in self._planner.tenants(source, request):
            try:
                with self._services.tenants.open(source, tenant) as account:
                    account.check()
                spans[tenant] = self._planner.span(source, tenant, chains, request)
            except SourceError as error:
                result.failures.append(f"{source}: {error}")
        return spans

    def _run(self, planned: PlannedRun, request: SyncRequest, result: SyncResult) -> None:
        self._announce(
            f"{planned.source}: {', '.join(planned.streams)} of {', '.join(planned.tenants)}, "
            f"{planned.windows} windows from {planned.first_window} to {planned.last_window}"
        )
        # The run opens stores of its own; the embedded ones admit one process, and one opening, at a time.
        self._services.close()
        run = runs.execute(
            self._instance,
            planned.assets,
            f"{planned.first_window}|{planned.tenants[0]}",
            f"{planned.last_window}|{planned.tenants[-1]}",
            _run_config(planned, request),
            {"sync_assets/source": planned.source, "sync_assets/tenants": ",".join(planned.tenants)},
        )
        if runs.interrupted(run):
            raise KeyboardInterrupt
        result.run_ids.append(run.run_id)
        reasons = runs.failures(run)
        # One tenant's upstream failed half-way in these streams: the others go on without it.
        again = {_stream(step) for step in reasons if step.endswith("/raw")} if len(planned.tenants) > 1 else set()
        tenants = ", ".join(planned.tenants)
        result.failures += [f"{tenants} {step}: {why}" for step, why in reasons.items() if _stream(step) not in again]
        result.failures += [
            f"{name}: {description}" for name, description in runs.failed_checks(run).items() if name.endswith(":sweep")
        ]
        if not run.success and not reasons:
            result.failures.append(f"{tenants}: run {run.run_id} failed; see it in the Dagster UI.")
        for key, numbers in runs.counts(run).items():
            source, stream, stage = key.path
            ours = {name: number for name, number in numbers.items() if "/" not in name}  # "dagster/..." is not
            result.rows.setdefault((source, stream, stage), Counter()).update(ours)
        if again:
            for tenant in planned.tenants:
                self._run(planned.only(tenant, again), request, result)


def retry_requests(records: Sequence[QuarantinedRecord]) -> list[SyncRequest]:
    """Requests that send quarantined records through the chain again.

    Any run of a tenant's stream fetches its quarantined records by their ids; those without an id that can be asked for
    are found again only in the windows in which they lie.
    """
    found: dict[tuple[str, str, str], list[QuarantinedRecord]] = {}
    for record in records:
        found.setdefault((record.source, record.stream, record.tenant), []).append(record)
    requests = []
    for (source, stream, tenant), held in sorted(found.items()):
        windows = {record.window for record in held if has_no_id(record.record_id)}
        for window in sorted(windows or {max(record.window for record in held)}):
            day = datetime.fromisoformat(window[:10]).replace(tzinfo=UTC)
            requests.append(SyncRequest((source,), (stream,), (tenant,), first=day, last=day))
    return requests


def _stream(step: str) -> str:
    return step.split("/")[1]


def _run_config(planned: PlannedRun, request: SyncRequest) -> dict[str, Any]:
    ops = {
        "__".join(key.path): {
            "config": {"sweep": request.sweep, "limit": request.limit, "records": list(request.records)}
        }
        for key in planned.assets
        if key.path[-1] == "raw"
    }
    return {"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _known(kind: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise SettingsError(f"Unknown {kind} {name!r}.", f"Known are: {', '.join(known) or 'none'}.")


def _intervals(spans: Mapping[str, Span], order: Sequence[str]) -> Iterator[tuple[Span, list[str]]]:
    """Neighbouring tenants whose spans fall together, with the span that covers them."""
    group: list[str] = []
    for tenant in [*order, None]:
        joins = tenant in spans and (not group or _day(spans[tenant]) == _day(spans[group[0]]))
        if not joins and group:
            covered = [spans[member] for member in group]
            yield (min(first for first, _ in covered), max(last for _, last in covered)), group
            group = []
        if tenant in spans:
            group.append(tenant)


def _day(span: Span) -> datetime:
    return span[0].astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _window_keys(windows: dg.TimeWindowPartitionsDefinition, first: datetime, last: datetime) -> list[str]:
    """Keys of the windows that [first, last] touches, at least one."""
    keys = [
        key
        for key in windows.get_partition_keys()
        if (window := windows.time_window_for_partition_key(key)).end > first and window.start <= last
    ]
    if not keys:
        raise SettingsError(
            f"No window lies between {first:%Y-%m-%d} and {last:%Y-%m-%d}.",
            f"Windows start at {windows.start:%Y-%m-%d} (`start` in defs.yaml) and end today.",
        )
    return keys
