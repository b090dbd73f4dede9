"""Documents of a stream in the ledger, against what collections and the graph were given, and against upstream.

What belongs here: whole documents. Single chunks are in `stores.py`.
"""

from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime

from sync_assets.audit import GRAPH, UPSTREAM, AuditScope, Finding, Kind
from sync_assets.documents import document_id
from sync_assets.ledger import RegisteredCollection, StreamRef
from sync_assets.ledger.audits import documents_behind, documents_held, graph_difference
from sync_assets.ledger.forgotten import forgotten_records
from sync_assets.ledger.sweeps import sweep_difference
from sync_assets.services import Services
from sync_assets.sources import Hidden
from sync_assets.stages import Stream
from sync_assets.stages.raw import NO_COLLECTION, shown


def audit_documents(
    services: Services, stream: Stream, tenant: str, scope: AuditScope, seen_before: datetime
) -> list[Finding]:
    """Documents that a store was not given, or was not told to delete, in versions that were seen before a moment."""
    ref, ledger = stream.of(tenant), services.ledger
    found: list[Finding] = []
    for store in filter(scope.has_place, stream.stores):
        collection = ledger.active_collection(store, stream.collection)
        number = NO_COLLECTION if collection is None else collection.id
        # While nobody writes there: what is not confirmed then is on no way.
        physical = collection and collection.collection.name
        with ledger.lock("store", store, physical, tenant) if physical else nullcontext():
            behind = documents_behind(ledger, ref, number, store, seen_before)
            held = documents_held(ledger, ref, number, seen_before)
        found += _finding(ref, store, "behind", behind, collection)
        found += _finding(ref, store, "not deleted", held, collection)
    return found


def audit_graph(services: Services, stream: Stream, tenant: str, seen_before: datetime) -> list[Finding]:
    """Documents that the graph lacks or holds too long, in versions as above, or has and the ledger has not.

    Raises:
        GraphError: its database can't be reached.
    """
    from sync_assets.graph.store_documents import applied_versions

    ref = stream.of(tenant)
    with services.graph.transaction() as connection:
        difference = graph_difference(services.ledger, ref, applied_versions(connection, ref), seen_before)
    return [
        *_finding(ref, GRAPH, "behind", difference.behind),
        *_finding(ref, GRAPH, "not deleted", difference.held),
        *_finding(ref, GRAPH, "stranger", difference.strangers),
    ]


def audit_upstream(services: Services, stream: Stream, tenant: str) -> list[Finding]:
    """What a full listing of upstream says differently from the ledger, but for what is in quarantine or was forgotten.

    Raises:
        SourceError: upstream refused, or can't be reached.
    """
    ref = stream.of(tenant)
    hidden: list[Hidden] = []
    with services.tenants.open(stream.source, tenant) as account:
        difference = sweep_difference(services.ledger, ref, shown(account.live_ids(stream.name), hidden), [])
    held = {record.record_id for record in services.ledger.quarantined(*ref)}
    left_out = held | forgotten_records(services.ledger, ref, difference.wanted)
    gone = [record for record in difference.gone if not record.startswith(tuple(one.prefix for one in hidden))]
    return [
        *_finding(ref, UPSTREAM, "not synced", _identities(ref, set(difference.wanted) - left_out)),
        *_finding(ref, UPSTREAM, "gone upstream", _identities(ref, gone)),
    ]


def _finding(
    ref: StreamRef, place: str, kind: Kind, documents: Iterable[str], collection: RegisteredCollection | None = None
) -> list[Finding]:
    """A finding about these documents; none where there are none."""
    named: dict[str, list[str]] = {document: [] for document in documents}
    return [Finding(ref, place, kind, named, collection)] if named else []


def _identities(ref: StreamRef, record_ids: Iterable[str]) -> list[str]:
    return [document_id(ref.tenant, ref.source, record_id) for record_id in record_ids]
