"""Whether upstream, the ledger, the stores and the graph say the same, and how what differs is mended.

What belongs here: what an audit finds, and the whole of it over tenants, streams and stores. The parts are beside it:
points against the ledger in `stores.py` and `points.py`, documents in `documents.py`, mending in `healing.py`. Nothing
is written by an audit.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from sync_assets.clock import utc_now
from sync_assets.errors import SettingsError, SyncAssetsError
from sync_assets.ledger import RegisteredCollection, StreamRef
from sync_assets.ledger.audits import tenants_held
from sync_assets.services import Services
from sync_assets.stages import Progress, Stream, no_progress

Kind = Literal[
    "missing",
    "stranger",
    "altered",
    "other version",
    "vector",
    "behind",
    "not deleted",
    "not synced",
    "gone upstream",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

MEANINGS: dict[Kind, str] = {
    "missing": "chunks that the ledger has and the store has not",
    "stranger": "what the store or the graph has and the ledger never wrote",
    "altered": "text or payload that was changed in the store",
    "other version": "whole chunks, of another version than the ledger's",
    "vector": "a vector that is zero, not finite, or not its text's",
    "behind": "documents whose latest version did not arrive, or of which a write was not confirmed",
    "not deleted": "deleted documents that are still held",
    "not synced": "documents that upstream has and the ledger has not, or in another version",
    "gone upstream": "documents that the ledger has alive and upstream does not list",
}

GRAPH, UPSTREAM = "graph", "upstream"
_SHOWN = 20


class Finding(NamedTuple):
    """What is wrong in one way with a tenant's stream in one place.

    Attributes:
        place: a store, `graph` or `upstream`.
        documents: chunk ids by document id; no chunk ids where the document as a whole is meant.
        collection: where the chunks are; None for the graph and upstream.
    """

    ref: StreamRef
    place: str
    kind: Kind
    documents: dict[str, list[str]]
    collection: RegisteredCollection | None = None

    @property
    def chunks(self) -> int:
        return sum(map(len, self.documents.values()))

    @property
    def first(self) -> list[str]:
        """The first documents, by id."""
        return sorted(self.documents)[:_SHOWN]

    def summary(self) -> dict[str, Any]:
        """What a script reads."""
        counts = {"documents": len(self.documents), "chunks": self.chunks}
        return {**self.ref._asdict(), "place": self.place, "kind": self.kind, **counts, "first": self.first}


@dataclass(frozen=True)
class AuditScope:
    """What to audit; empty tuples mean everything.

    Attributes:
        places: stores, and `graph`.
        upstream: also compare a full listing of upstream with the ledger.
        seen_before: versions that were seen upstream since may be on their way, so none is called behind; None for the
            beginning of the audit.
    """

    tenants: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    upstream: bool = False
    seen_before: datetime | None = None

    def has_stream(self, source: str, stream: str) -> bool:
        return source in (self.sources or (source,)) and stream in (self.streams or (stream,))

    def has_place(self, place: str) -> bool:
        return place in (self.places or (place,))


@dataclass
class AuditResult:
    """What an audit found.

    Attributes:
        chunks: how many were looked at, over all stores.
        failures: what could not be audited, one line each; the rest was.
    """

    findings: list[Finding] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        return {
            "findings": [finding.summary() for finding in self.findings],
            "failures": self.failures,
            "chunks": self.chunks,
            "seconds": round(self.seconds, 2),
        }

    @property
    def exit_code(self) -> int:
        """0 all equal, 1 something could not be audited, 3 something differs."""
        if self.failures:
            return 1
        return 3 if self.findings else 0


def audit(
    services: Services, streams: Sequence[Stream], scope: AuditScope, progress: Progress = no_progress
) -> AuditResult:
    """Compare everything in scope; what can't be reached is in the result, and the rest is compared.

    Args:
        streams: all that are configured.

    Raises:
        SettingsError: a name in the scope is unknown.
        LedgerError: the ledger is out of reach.
    """
    from sync_assets.audit.documents import audit_documents, audit_graph, audit_upstream

    started, seen_before = time.monotonic(), scope.seen_before or utc_now()
    result = AuditResult()
    chosen = [stream for stream in streams if scope.has_stream(stream.source, stream.name)]
    collections = _collections(services, chosen, scope)
    tenants = _tenants(services, streams, scope)
    for tenant in tenants:
        for collection in collections:
            _audit_points(result, services, collection, tenant, scope, progress)
        for stream in chosen:
            name = f"{stream.source}/{stream.name}"
            with _told(result, f"{tenant} {name}"):
                result.findings += audit_documents(services, stream, tenant, scope, seen_before)
            if stream.graph and scope.has_place(GRAPH):
                with _told(result, f"{tenant} graph {name}"):
                    result.findings += audit_graph(services, stream, tenant, seen_before)
            if scope.upstream and tenant in services.tenants.names(stream.source):
                with _told(result, f"{tenant} upstream {name}"):
                    result.findings += audit_upstream(services, stream, tenant)
    if not scope.tenants:
        for collection in collections:
            for tenant in _unknown_tenants(result, services, collection, tenants):
                _audit_points(result, services, collection, tenant, scope, progress)
    result.seconds = time.monotonic() - started
    return result


def audit_collections(
    services: Services,
    collections: Sequence[RegisteredCollection],
    streams: Sequence[Stream],
    scope: AuditScope,
    progress: Progress = no_progress,
) -> Iterator[AuditResult]:
    """Compare all that collections hold with the ledger, each point read once for all streams that are kept there.

    Gives a result for each tenant: memory follows what differs of one of them.

    Args:
        streams: those whose documents are compared too.

    Raises:
        LedgerError: the ledger is out of reach.
    """
    from sync_assets.audit.documents import audit_documents

    seen_before = scope.seen_before or utc_now()
    tenants = _tenants(services, streams, scope)
    for tenant in tenants:
        result = AuditResult()
        for collection in collections:
            _audit_points(result, services, collection, tenant, scope, progress)
        for stream in streams:
            with _told(result, f"{tenant} {stream.source}/{stream.name}"):
                result.findings += audit_documents(services, stream, tenant, scope, seen_before)
        yield result
    for collection in collections:
        result = AuditResult()
        unknown = _unknown_tenants(result, services, collection, tenants)
        yield result
        for tenant in unknown:
            result = AuditResult()
            _audit_points(result, services, collection, tenant, scope, progress)
            yield result


def _audit_points(
    result: AuditResult,
    services: Services,
    collection: RegisteredCollection,
    tenant: str,
    scope: AuditScope,
    progress: Progress,
) -> None:
    """Add what a collection holds of a tenant."""
    from sync_assets.audit.stores import audit_collection

    with _told(result, f"{tenant} {collection.store}/{collection.name}"):
        found, chunks = audit_collection(services, collection, tenant, scope, progress)
        result.findings += found
        result.chunks += chunks


def _unknown_tenants(
    result: AuditResult, services: Services, collection: RegisteredCollection, tenants: Sequence[str]
) -> list[str]:
    """Tenants that nobody knows, and that a collection has points of."""
    held: set[str] = set()
    with _told(result, f"{collection.store}/{collection.name}"):
        held = services.store(collection.store).tenants(collection.collection)
    return sorted(held.difference(tenants))


def _collections(services: Services, chosen: Sequence[Stream], scope: AuditScope) -> list[RegisteredCollection]:
    """The collections in scope; where no source or stream is named, also those that no stream uses any more."""
    used = {(store, stream.collection) for stream in chosen for store in stream.stores}
    return [
        one
        for one in services.ledger.active_collections()
        if scope.has_place(one.store) and ((one.store, one.name) in used or not (scope.sources or scope.streams))
    ]


def _tenants(services: Services, streams: Sequence[Stream], scope: AuditScope) -> list[str]:
    """The tenants in scope: those of the tenants file, and those that a collection still holds."""
    known = {
        "tenant": sorted({*services.tenants.names(), *tenants_held(services.ledger)}),
        "source": sorted({stream.source for stream in streams}),
        "stream": sorted({stream.name for stream in streams}),
        "store": [*sorted({store for stream in streams for store in stream.stores}), GRAPH],
    }
    asked = {"tenant": scope.tenants, "source": scope.sources, "stream": scope.streams, "store": scope.places}
    for kind, names in asked.items():
        for name in names:
            if name not in known[kind]:
                raise SettingsError(f"Unknown {kind} {name!r}.", f"Known are: {', '.join(known[kind]) or 'none'}.")
    return [tenant for tenant in known["tenant"] if tenant in (scope.tenants or (tenant,))]


@contextmanager
def _told(result: AuditResult, what: str) -> Iterator[None]:
    """A failure of one part is told, and the other parts are audited."""
    try:
        yield
    except SyncAssetsError as error:
        result.failures.append(f"{what}: {error}")
