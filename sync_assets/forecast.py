"""What a sync would do, found out by rehearsing it: nothing is written.

What belongs here: from a request to counts, time and money. Which runs a request makes is in `planning.py`, how one is
rehearsed in `stages/rehearsal.py`, how a forecast is printed in `cli/plan.py`.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dagster as dg

from sync_assets.embedding.missing import MissingTexts, Texts
from sync_assets.errors import LimitError, SyncAssetsError
from sync_assets.ledger.rehearsal import RehearsalLedger
from sync_assets.ledger.throughput import tokens_per_second
from sync_assets.partitions import time_windows, to_partition
from sync_assets.planning import PlannedRun, Planner, SyncRequest
from sync_assets.services import Services
from sync_assets.sources.calls import counting_calls
from sync_assets.stages import Context, Partition, Progress, Stream
from sync_assets.stages.limits import Asked, check_limits, check_summaries, summaries_cost, summary_tokens
from sync_assets.stages.raw import RawOptions
from sync_assets.stages.rehearsal import Rehearsed, rehearse

_DOCUMENTS = ("added", "changed", "deleted", "unchanged", "stale", "quarantined")


class StreamForecast(NamedTuple):
    """What a sync would do of one tenant's stream.

    Attributes:
        documents: added, changed, deleted, unchanged, stale and quarantined ones.
        texts, tokens: to embed; each text is counted for the first stream of the sync that has it.
        seconds: that the model needs for them; None where it was never measured here.
        cost: of them, in US dollars.
        files, keywords: to fetch and to derive; what they add to chunks and texts is not known.
        summaries: to ask a language model for; texts and tokens have one of the longest for each.
        summaries_cost: of them, in US dollars, about.
        calls: to the tenant's account, made to find this out; a sync makes as many.
        stores: of each store, documents as above, and chunks_added, chunks_changed, chunks_dropped and payloads.
    """

    tenant: str
    source: str
    stream: str
    documents: dict[str, int]
    chunks: int
    texts: int
    tokens: int
    seconds: float | None
    cost: float
    files: int
    keywords: int
    summaries: int
    summaries_cost: float
    calls: int
    stores: dict[str, dict[str, int]]


@dataclass
class Forecast:
    """What a sync would do.

    Attributes:
        failures: why something of it would fail, one line each.
        notes: what its sweeps would tell.
    """

    streams: list[StreamForecast] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        return sum(getattr(stream, name) for stream in self.streams)

    @property
    def seconds(self) -> float | None:
        """For all texts; None where a model that has some was never measured."""
        found = [stream.seconds for stream in self.streams]
        return None if None in found else sum(seconds or 0.0 for seconds in found)

    @property
    def cost(self) -> float:
        return sum(stream.cost for stream in self.streams)

    @property
    def summaries_cost(self) -> float:
        return sum(stream.summaries_cost for stream in self.streams)

    def summary(self) -> dict[str, Any]:
        """The forecast as a script reads it."""
        names = ("texts", "tokens", "files", "keywords", "summaries", "calls")
        return {
            **{name: self.total(name) for name in names},
            "seconds": self.seconds,
            "cost": self.cost,
            "summaries_cost": self.summaries_cost,
            "failures": self.failures,
            "notes": self.notes,
            "streams": [stream._asdict() for stream in self.streams],
        }


class Forecaster:
    """Rehearses what a request makes.

    Args:
        progress: told about each stage.
    """

    def __init__(
        self,
        services: Services,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        progress: Progress,
    ) -> None:
        from sync_assets.definitions import streams

        self._services = services
        self._graph = definitions.resolve_asset_graph()
        self._planner = Planner(services, self._graph, instance)
        self._streams = {(stream.source, stream.name): stream for stream in streams()}
        self._progress = progress

    def forecast(self, request: SyncRequest) -> Forecast:
        """What a sync of a request would do if it began now. What can't be told is in the failures, the rest goes on.

        Raises:
            SettingsError: no tenant has an account for this.
            LedgerError: the ledger's database is out of reach.
        """
        forecast = Forecast()
        with _rehearsal(self._services) as (services, missing):
            for source, chains in self._planner.by_source(request):
                spans, refused = self._planner.reachable(source, chains, request)
                forecast.failures += [f"{source}: {reason}" for reason in refused.values()]
                for run in self._planner.plan(source, chains, spans, request) if spans else ():
                    for name in run.streams:
                        self._add(forecast, services, run, self._streams[source, name], request, missing)
        return forecast

    def _add(
        self,
        forecast: Forecast,
        services: Services,
        run: PlannedRun,
        stream: Stream,
        request: SyncRequest,
        missing: MissingTexts,
    ) -> None:
        """Rehearse one stream of a run, tenant by tenant."""
        options = RawOptions(sweep=request.sweep, limit=request.limit, records=list(request.records))
        texts = tokens = 0
        spared: Counter[str] = Counter()
        for tenant in run.tenants:
            context = Context(services, stream, self._progress, spared=Counter())
            try:
                with counting_calls() as others:
                    rehearsed = rehearse(context, self._partitions(run, stream, tenant), options, missing)
            except SyncAssetsError as error:
                forecast.failures.append(f"{tenant} {stream.source}/{stream.name}: {error}")
                continue
            found = self._forecast(tenant, stream, rehearsed, others.asked)
            texts, tokens = texts + found.texts, tokens + found.tokens
            spared += rehearsed.spared
            forecast.streams.append(found)
            forecast.notes += rehearsed.reports["raw"].problems
        if not request.no_limits:
            try:
                check_summaries(self._services, stream, Asked(spared["summaries"], summary_tokens(spared)))
                check_limits(self._services, stream, Texts(texts, tokens))
            except LimitError as error:
                forecast.failures.append(str(error))

    def _partitions(self, run: PlannedRun, stream: Stream, tenant: str) -> list[Partition]:
        definition = self._graph.get(dg.AssetKey([stream.source, stream.name, "raw"])).partitions_def
        assert definition is not None  # noqa: S101 every chain has one
        span = dg.PartitionKeyRange(run.first_window, run.last_window)
        keys = time_windows(definition).get_partition_keys_in_range(span)
        return [to_partition(definition, f"{key}|{tenant}") for key in keys]

    def _forecast(self, tenant: str, stream: Stream, rehearsed: Rehearsed, other_calls: int) -> StreamForecast:
        reports, texts = rehearsed.reports, rehearsed.texts
        speed = tokens_per_second(self._services.ledger, self._services.embedder(stream.model).fingerprint.key)
        seconds = texts.tokens / speed if speed else None
        documents = {name: reports["documents"].total(name) for name in _DOCUMENTS}
        documents["quarantined"] += reports["chunks"].total("quarantined")
        return StreamForecast(
            tenant=tenant,
            source=stream.source,
            stream=stream.name,
            documents=documents,
            chunks=reports["chunks"].total("chunks"),
            texts=texts.texts,
            tokens=texts.tokens,
            seconds=seconds if texts.texts else 0.0,
            cost=self._services.settings.price(stream.model, texts.tokens),
            files=rehearsed.spared["files"],
            keywords=rehearsed.spared["keywords"],
            summaries=rehearsed.spared["summaries"],
            summaries_cost=summaries_cost(self._services, stream, summary_tokens(rehearsed.spared)),
            calls=reports["raw"].total("calls") + other_calls,
            stores={
                store: {
                    **{name: reports[store].total(name) for name in ("added", "changed", "deleted", "unchanged")},
                    "chunks_added": reports[store].total("new"),
                    "chunks_changed": reports[store].total("written") - reports[store].total("new"),
                    "chunks_dropped": reports[store].total("removed"),
                    "payloads": reports[store].total("payloads"),
                }
                for store in stream.stores
            },
        )


@contextmanager
def _rehearsal(services: Services) -> Iterator[tuple[Services, MissingTexts]]:
    """The same services with a ledger that forgets, and the texts that are counted in it."""
    with services.ledger.session() as session:
        rehearsing = copy.copy(services)
        rehearsing.ledger = RehearsalLedger(services.ledger, session)
        yield rehearsing, MissingTexts(session)
