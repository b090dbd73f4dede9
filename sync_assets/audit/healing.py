"""What is done about the findings of an audit, so that a sweep can bring everything in line again.

What belongs here: strangers go, and what is damaged becomes dirty in the ledger. What does not: the sweep itself, whose
guard against mass deletion stays in force, and whose vectors come from the cache.
"""

from collections.abc import Sequence

from sync_assets.audit import GRAPH, AuditResult, AuditScope, Finding
from sync_assets.clock import utc_now
from sync_assets.documents import Version
from sync_assets.errors import StoreError
from sync_assets.ledger import RegisteredCollection
from sync_assets.paging import pages
from sync_assets.planning import SyncRequest
from sync_assets.services import Services
from sync_assets.stages import Stream

_PAGE = 500


def make_lost_collections(services: Services, scope: AuditScope) -> None:
    """Make collections that the ledger knows and a store lost, so that an audit can say what they lack."""
    for registered in services.ledger.active_collections():
        if scope.has_place(registered.store):
            try:
                services.store(registered.store).ensure_collection(registered.collection)
            except StoreError:
                continue  # the audit that follows tells of a store that can't be reached, for each tenant


def prepare(services: Services, result: AuditResult) -> None:
    """Delete strangers, and mark damaged documents dirty; `requests` says what is to be synced then."""
    for finding in result.findings:
        if finding.kind == "stranger" and finding.place == GRAPH:
            _remove_from_graph(services, finding)
        elif finding.collection is not None:
            for page in pages(sorted(finding.documents), _PAGE):
                _prepare_page(services, finding.collection, finding, page)


def requests(services: Services, streams: Sequence[Stream], result: AuditResult) -> list[SyncRequest]:
    """Sweeps of the streams in which something was found, for the tenants in which it was and that have an account."""
    tenants: dict[tuple[str, str], set[str]] = {}
    for finding in result.findings:
        tenants.setdefault((finding.ref.source, finding.ref.stream), set()).add(finding.ref.tenant)
    wanted: list[SyncRequest] = []
    for stream in streams:
        found = tenants.get((stream.source, stream.name), set())
        if chosen := tuple(name for name in services.tenants.names(stream.source) if name in found):
            wanted.append(SyncRequest((stream.source,), (stream.name,), chosen, sweep=True))
    return wanted


def _prepare_page(
    services: Services, registered: RegisteredCollection, finding: Finding, document_ids: Sequence[str]
) -> None:
    ledger, tenant, collection = services.ledger, finding.ref.tenant, registered.collection
    with ledger.lock("store", registered.store, collection.name, tenant):
        if finding.kind != "stranger":
            ledger.mark_dirty(registered.id, tenant, document_ids)
            return
        # What was written since the audit is no stranger any more.
        known = ledger.applied_documents(registered.id, tenant, document_ids)
        unknown = [
            chunk_id
            for document_id in document_ids
            for chunk_id in finding.documents[document_id]
            if document_id not in known or chunk_id not in known[document_id].chunks
        ]
        services.store(registered.store).delete(collection, tenant, unknown)


def _remove_from_graph(services: Services, finding: Finding) -> None:
    """Tombstones for documents that the ledger never saw; if they live upstream, the sweep brings them back."""
    from sync_assets.graph.applying import Change, apply_changes

    now = utc_now()
    version = Version(modified_at=now, observed_at=now, authoritative=True)
    for page in pages(sorted(finding.documents), _PAGE):
        changes = [Change(document_id, version, deleted=True, told=None, texts=()) for document_id in page]
        apply_changes(services.graph, services.extractor, finding.ref, changes)
