"""What is asked for and what is planned: a request, the chains it is about, and the runs that it becomes.

What belongs here: the shapes, and what a run is told. What does not: how a request becomes runs (`planning.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import dagster as dg

from sync_assets.partitions import NO_LIMITS, RANGE_END, RANGE_START, SOURCE_TAG, TENANTS_TAG

Until = Literal["raw", "documents", "chunks", "embeddings", "stores"]
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class SyncRequest:
    """What to sync; empty tuples mean everything.

    Attributes:
        since_hours: changes of the last hours; 0 means all.
        incremental: from where each tenant's last success ended.
        first, last: windows of these days, both included.
        everything: all windows that upstream has changes in.
        records: only these records of one tenant's stream, fetched by id.
        no_limits: embed also what is more than the settings allow.
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
    no_limits: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """What each of its runs is to know."""
        return {NO_LIMITS: "true"} if self.no_limits else {}


class Chain(NamedTuple):
    """The assets of one stream, in order, as the definitions have them.

    Attributes:
        targets: what follows upstream, each up to a watermark of its own: the stores, and the graph where it is fed.
    """

    source: str
    stream: str
    stages: list[dg.AssetKey]
    targets: list[str]


class Begin(NamedTuple):
    """From where on a tenant's stream is to be synced, as far as the ledger knows.

    Attributes:
        known: the earliest mark of its targets; where one has none, the first day whose documents the graph lacks, if
            there is one.
        asks: a target has no mark, so that all of the stream that upstream has is to be synced.
    """

    known: datetime | None
    asks: bool


class PlannedRun(NamedTuple):
    """One run: a rectangle of windows and tenants of one source."""

    source: str
    streams: list[str]
    tenants: list[str]
    first_window: str
    last_window: str
    windows: int
    assets: list[dg.AssetKey]

    @property
    def tags(self) -> dict[str, str]:
        """Those of the run: its partitions, and what people filter by."""
        return {
            RANGE_START: f"{self.first_window}|{self.tenants[0]}",
            RANGE_END: f"{self.last_window}|{self.tenants[-1]}",
            SOURCE_TAG: self.source,
            TENANTS_TAG: ",".join(self.tenants),
        }

    def config(self, request: SyncRequest, sweeping: Collection[str] = ()) -> dict[str, Any]:
        """The run configuration: how raw is to fetch.

        Args:
            sweeping: streams that are swept though the request does not say so.
        """
        fetch = {"limit": request.limit, "records": list(request.records)}
        return {
            "ops": {
                "__".join(key.path): {"config": {"sweep": request.sweep or key.path[1] in sweeping, **fetch}}
                for key in self.assets
                if key.path[-1] == "raw"
            }
        }

    def only(self, tenant: str, streams: Collection[str]) -> "PlannedRun":
        """The part of this run that is about some of its streams and one of its tenants, and the graph of it."""
        chosen = [stream for stream in self.streams if stream in streams]
        assets = [key for key in self.assets if key.path[1] in (*streams, "graph")]
        return self._replace(tenants=[tenant], streams=chosen, assets=assets)


class GraphRun(NamedTuple):
    """One run of what is made of a tenant's whole graph. Each tenant has its own, so that none stops another."""

    tenant: str
    assets: list[dg.AssetKey]

    @property
    def tags(self) -> dict[str, str]:
        return {
            RANGE_START: self.tenant,
            RANGE_END: self.tenant,
            SOURCE_TAG: "graph",
            TENANTS_TAG: self.tenant,
        }
