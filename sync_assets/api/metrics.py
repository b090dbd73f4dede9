"""What Prometheus reads: what is stored and how fresh it is, runs by status, and searches.

What belongs here: the metrics. They are of the whole installation, so only the operator's key reads them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sync_assets.api.gate import OperatorKey
from sync_assets.api.parts import PartsOf
from sync_assets.clock import utc_now
from sync_assets.ledger import Ledger

_PLACE = ("tenant", "source", "stream", "store")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

router = APIRouter(tags=["operation"])


class Metrics:
    """The metrics of one app: of its searches, and of ledger and runs when they are read."""

    def __init__(self, ledger: Ledger, instance: dg.DagsterInstance) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Stored(ledger, instance))
        self._searches = Counter(
            "sync_assets_searches", "Searches by mode and outcome.", ("mode", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "sync_assets_search_seconds", "How long searches took.", ("mode",), buckets=_BUCKETS, registry=self.registry
        )

    @contextmanager
    def search(self, mode: str) -> Iterator[None]:
        """Count a search, and how long it takes."""
        started, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "answered"
        finally:
            self._searches.labels(mode, outcome).inc()
            self._seconds.labels(mode).observe(time.monotonic() - started)


class _Stored(Collector):
    """Reads the ledger and Dagster's records anew for each scrape."""

    def __init__(self, ledger: Ledger, instance: dg.DagsterInstance) -> None:
        self._ledger = ledger
        self._instance = instance

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read the ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        families = {
            "documents": GaugeMetricFamily("sync_assets_documents", "Documents in a store.", labels=_PLACE),
            "chunks": GaugeMetricFamily("sync_assets_chunks", "Chunks in a store.", labels=_PLACE),
            "quarantined": GaugeMetricFamily(
                "sync_assets_quarantined", "Records that could not be processed.", labels=_PLACE
            ),
        }
        fresh = GaugeMetricFamily(
            "sync_assets_seconds_since_success", "Since the last sync that ended well.", labels=_PLACE
        )
        now = utc_now()
        for row in self._ledger.status():
            place = [row[name] for name in _PLACE]
            for name, family in families.items():
                family.add_metric(place, row[name])
            if row["last_success"] is not None:
                fresh.add_metric(place, max(0.0, (now - row["last_success"]).total_seconds()))
        yield from families.values()
        yield fresh
        runs = GaugeMetricFamily("sync_assets_runs", "Dagster runs by status.", labels=("status",))
        for status in dg.DagsterRunStatus:
            count = self._instance.get_runs_count(dg.RunsFilter(statuses=[status]))
            runs.add_metric([status.value.lower()], count)
        yield runs


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
def metrics(parts: PartsOf, _: OperatorKey) -> Response:
    """Documents, chunks, quarantine and freshness by tenant, source, stream and store; runs; searches by mode."""
    return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)
