"""From a request to runs: which tenants, streams and windows, as rectangles of Dagster's partitions.

What belongs here: what a sync would run. How it is run and summed up is in `sync.py`, when by itself in `automation/`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from sync_assets.clock import utc_now
from sync_assets.errors import SettingsError, SourceError
from sync_assets.ledger import QuarantinedRecord
from sync_assets.ledger.marks import first_missing, marks
from sync_assets.partitions import GRAPH_TENANTS, tenants_name, time_windows
from sync_assets.planned import Begin, Chain, GraphRun, PlannedRun, Span, SyncRequest, Until
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.stages.raw import has_no_id

__all__ = ["Begin", "Chain", "GraphRun", "PlannedRun", "Planner", "Span", "SyncRequest", "Until", "retry_requests"]

_STAGES = get_args(Until)


class Planner:
    """Turns a request into runs over the definitions' own partitions.

    Args:
        graph: of the code location.
        instance: knows the tenants' order among the dynamic partitions.
    """

    def __init__(
        self,
        services: Services,
        graph: BaseAssetGraph[Any],
        instance: dg.DagsterInstance,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._services = services
        self._graph = graph
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
            feeds = [key.path[1] for key in self._parents_of_graph(source)]
            chains.append(Chain(source, stream, keys, stores + ["graph"] * (stream in feeds)))
        return chains

    def by_source(self, request: SyncRequest) -> Iterator[tuple[str, list[Chain]]]:
        """The chosen streams of each source in which a chosen tenant has an account.

        Raises:
            SettingsError: there is none.
        """
        chains = self.chains(request)
        found = False
        for source in sorted({chain.source for chain in chains}):
            if self.tenants(source, request):
                found = True
                yield source, [chain for chain in chains if chain.source == source]
        if not found:
            raise SettingsError(
                f"No tenant has an account for this in {self._services.settings.tenants_path}.",
                "Add one there (see the README), or run `sync-assets demo`.",
            )

    def tenants(self, source: str, request: SyncRequest) -> list[str]:
        """The chosen tenants that have an account in a source.

        Raises:
            SettingsError: a tenant is unknown.
        """
        _known("tenant", request.tenants, self._services.tenants.names())
        return [name for name in self._services.tenants.names(source) if not request.tenants or name in request.tenants]

    def reachable(
        self, source: str, chains: Sequence[Chain], request: SyncRequest
    ) -> tuple[dict[str, Span], dict[str, str]]:
        """What to sync of each tenant whose credentials work, and why nothing of the others."""
        spans: dict[str, Span] = {}
        refused: dict[str, str] = {}
        for tenant in self.tenants(source, request):
            try:
                with self._services.tenants.open(source, tenant) as account:
                    account.check()
                spans[tenant] = self.span(source, tenant, chains, request)
            except SourceError as error:
                refused[tenant] = str(error)
        return spans, refused

    def plan_source(self, source: str, chains: Sequence[Chain], request: SyncRequest) -> list[PlannedRun]:
        """Runs for all chosen tenants of a source; asks upstream at most for its span.

        Raises:
            SourceError: upstream could not be asked.
        """
        spans = {tenant: self.span(source, tenant, chains, request) for tenant in self.tenants(source, request)}
        return self.plan(source, chains, spans, request)

    def plan(
        self, source: str, chains: Sequence[Chain], spans: Mapping[str, Span], request: SyncRequest
    ) -> list[PlannedRun]:
        """Runs over contiguous intervals of tenants that start at the same window. Writes nothing.

        Args:
            spans: what to sync of each tenant.
        """
        windows_def = time_windows(self._graph.get(chains[0].stages[0]).partitions_def)
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
                    assets=[key for chain in chains for key in chain.stages] + self._graph_of(source, request),
                )
            )
        return planned

    def _graph_of(self, source: str, request: SyncRequest) -> list[dg.AssetKey]:
        """The source's graph asset where the request goes that far."""
        key = _graph_key(source)
        return [key] if request.until == "stores" and self._graph.has(key) else []

    def _parents_of_graph(self, source: str) -> Collection[dg.AssetKey]:
        """The assets whose files feed the source's graph asset."""
        key = _graph_key(source)
        return self._graph.get(key).parent_keys if self._graph.has(key) else ()

    def register(self, source: str) -> None:
        """Add tenants that are new in the tenants file to the source's partitions and to the graphs', in order."""
        tenants = self._services.tenants.names(source)
        self._add(tenants_name(source), tenants)
        if self._graph_steps:
            self._add(GRAPH_TENANTS, tenants)

    def plan_graphs(self, tenants: Collection[str]) -> list[GraphRun]:
        """Runs that bring what is made of whole graphs in line, for those of the tenants that are behind.

        Raises:
            GraphError: its database can't be reached.
        """
        if not self._graph_steps:
            return []
        from sync_assets.definitions import streams
        from sync_assets.graph.store_tenants import tenants_behind
        from sync_assets.stages.tenant_graph import rules

        wanted, most_tries = rules(self._services, streams()), self._services.settings.quarantine_max_attempts
        with self._services.graph.transaction() as connection:
            behind = set(tenants_behind(connection, wanted, most_tries)).intersection(tenants)
        known = self._instance.get_dynamic_partitions(GRAPH_TENANTS)
        return [GraphRun(tenant, self._graph_steps) for tenant in known if tenant in behind]

    @property
    def _graph_steps(self) -> list[dg.AssetKey]:
        """The assets of whole graphs, which are of no source."""
        return sorted(key for key in self._graph.executable_asset_keys if key.path[0] == "graph")

    def _add(self, name: str, tenants: Sequence[str]) -> None:
        present = set(self._instance.get_dynamic_partitions(name))
        new = [tenant for tenant in tenants if tenant not in present]
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
            return self._whole_span(source, tenant, [chain.stream for chain in chains])
        if not request.incremental:
            return now - timedelta(hours=request.since_hours), now
        return self.span_from(source, tenant, self.begins([tenant], chains)[tenant])

    def begins(self, tenants: Collection[str], chains: Sequence[Chain]) -> dict[str, dict[str, Begin]]:
        """From where on each of these streams of a source is to be synced, by tenant; asks the ledger alone."""
        ledger, source = self._services.ledger, chains[0].source
        known = marks(ledger, source, tenants)

        def lacking(tenant: str, chain: Chain) -> set[str]:
            return set(chain.targets) - known.get((tenant, chain.stream), {}).keys()

        # The graph's mark is not to begin after documents that never came so far.
        fed = [chain for chain in chains if "graph" in chain.targets]
        behind = [tenant for tenant in tenants if any(lacking(tenant, chain) for chain in fed)]
        missing = first_missing(ledger, source, behind, "graph") if behind else {}

        def begin(tenant: str, chain: Chain) -> Begin:
            place = (tenant, chain.stream)
            if not lacking(tenant, chain):
                return Begin(min((known[place][target] for target in chain.targets), default=None), asks=False)
            first = missing.get(place) if chain in fed else None
            return Begin(_day_of(first) if first is not None else None, asks=True)

        return {tenant: {chain.stream: begin(tenant, chain) for chain in chains} for tenant in tenants}

    def span_from(self, source: str, tenant: str, begins: Mapping[str, Begin]) -> Span:
        """From the earliest of these beginnings until now; asks upstream at most, so that a thread may wait for it.

        Args:
            begins: by stream.

        Raises:
            SourceError: upstream could not be asked.
        """
        now = self._clock()
        found = [begin.known for begin in begins.values() if begin.known is not None]
        asking = [stream for stream, begin in begins.items() if begin.asks]
        if asking:
            found.append(self._whole_span(source, tenant, asking)[0])
        return min(found, default=now), now

    def _whole_span(self, source: str, tenant: str, streams: Iterable[str]) -> Span:
        with self._services.tenants.open(source, tenant) as account:
            found = [span for stream in streams if (span := account.span(stream)) is not None]
        now = self._clock()
        return min((first for first, _ in found), default=now), max((last for _, last in found), default=now)


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
            day = _day_of(window)
            requests.append(SyncRequest((source,), (stream,), (tenant,), first=day, last=day))
    return requests


def _graph_key(source: str) -> dg.AssetKey:
    return dg.AssetKey([source, "graph"])


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


def _day_of(window: str) -> datetime:
    """The start of the day that a window lies in, by the window's name."""
    return datetime.fromisoformat(window[:10]).replace(tzinfo=UTC)


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
