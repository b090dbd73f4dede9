"""Store: a batch of change applied to one vector store, document by document.

Before a collection is touched its documents are marked dirty in the ledger, and cleared when the writes are durable: a
crash at any point is seen by the next run, which then writes those documents whole. New vectors are durable before old
ones go (law 10).
"""

from collections.abc import Sequence
from typing import NamedTuple

from sync_assets.batches import Batch, Partition
from sync_assets.chunking import CHUNKER_VERSION
from sync_assets.embedding import Embedder
from sync_assets.embedding.precisions import exact_name
from sync_assets.errors import StoreError
from sync_assets.hashing import digest
from sync_assets.ledger import NewCollection, RegisteredCollection
from sync_assets.ledger.forgotten import forgotten_among
from sync_assets.stages import Context, QuarantineDesk, Report, advance_watermarks, record_states
from sync_assets.stages.changes import (
    Change,
    Page,
    applied_rows,
    changes_of,
    count_changes,
    difference,
    left_to_apply,
    pages_of,
)
from sync_assets.stages.precision import refuse_unchecked
from sync_assets.vector_stores import VectorStore

# Deleting it changes nothing, and tells whether a store takes writes.
_NO_CHUNK = "00000000-0000-0000-0000-000000000000"


class Target(NamedTuple):
    """A store, and the stream's collection in it."""

    store: VectorStore
    registered: RegisteredCollection


def chunking_fingerprint(context: Context, embedder: Embedder) -> tuple[str, str]:
    """Key and words of everything that decides what stands in a collection: model, chunker, chunk size (law 6)."""
    limits = context.stream.limits(embedder.fingerprint)
    key = digest([embedder.fingerprint.key, CHUNKER_VERSION, limits.model_dump()])
    return key, f"{embedder.fingerprint}, chunker {CHUNKER_VERSION}, chunks of {limits}"


def wanted_collection(context: Context, store_name: str) -> NewCollection:
    """The stream's collection in a store, as its model and its chunker make it now."""
    embedder = context.services.embedder(context.stream.model)
    key, words = chunking_fingerprint(context, embedder)
    return NewCollection(
        store=store_name,
        name=context.stream.collection,
        fingerprint=key,
        description=words,
        dimension=embedder.fingerprint.dimension,
        model=exact_name(context.stream.model or context.services.settings.model, embedder.fingerprint),
        model_fingerprint=embedder.fingerprint.key,
        limits=context.stream.limits(embedder.fingerprint).model_dump(),
    )


def register_collection(context: Context, store_name: str) -> RegisteredCollection:
    """The stream's collection in a store, created in both where it is missing.

    Raises:
        FingerprintMismatch: it was made by another model or chunker.
        SettingsError: it would be the first of its model in a precision that no check has passed.
    """
    refuse_unchecked(context.services, context.services.embedder(context.stream.model))
    registered = context.services.ledger.register_collection(wanted_collection(context, store_name))
    context.services.store(store_name).ensure_collection(registered.collection)
    return registered


def apply_to_store(context: Context, store_name: str, embeddings: Batch) -> Report:
    """Bring one store in line with a batch.

    Raises:
        StoreError: the store can't be reached; what was applied before stays, the next run does the rest.
        FingerprintMismatch: the collection was made by another model or chunker.
    """
    # Until the end: what is written to a collection that is switched off meanwhile would not be in the next one.
    with context.services.ledger.writing(store_name, context.stream.collection):
        return _apply(context, store_name, embeddings)


def _apply(context: Context, store_name: str, embeddings: Batch) -> Report:
    report = Report.after(context, "embeddings", store_name, embeddings.partitions)
    target = Target(context.services.store(store_name), register_collection(context, store_name))
    report.collection = target.registered.collection.name
    desk = QuarantineDesk(context, report)
    written_tenants: set[str] = set()
    for tenant in sorted({partition.tenant for partition in embeddings.partitions}):
        distrust_what_was_lost(context, target, tenant)
    for partition, page in pages_of(embeddings):
        _apply_page(context, target, desk, partition, page, report)
        if report.counts[partition]["written"]:
            written_tenants.add(partition.tenant)
        context.advance(partition.tenant, store_name, report.total("chunks"), report.upstream_rows)
    for tenant in sorted(written_tenants):
        target.store.finish_load(target.registered.collection, tenant)
    advance_watermarks(context, report)
    record_states(context, report)()
    return report


def distrust_what_was_lost(context: Context, target: Target, tenant: str) -> None:
    """Where a store has more or fewer chunks of a tenant than the ledger says, it is another one, or lost some.

    All of the tenant's documents in it become dirty: those of this run are written whole now, the others when a sweep
    asks for them. Vectors come from the cache.
    """
    ledger, registered = context.services.ledger, target.registered
    with ledger.lock("store", registered.store, registered.collection.name, tenant):
        expected = ledger.applied_chunks(registered.id, tenant)
        if expected is not None and expected != target.store.count(registered.collection, tenant):
            ledger.mark_dirty(registered.id, tenant)


def _apply_page(
    context: Context, target: Target, desk: QuarantineDesk, partition: Partition, page: Page, report: Report
) -> None:
    ref = context.stream.of(partition.tenant)
    ledger = context.services.ledger
    name = target.registered.collection.name
    with ledger.lock("store", target.registered.store, name, partition.tenant):
        changes = _changes(context, target, partition, page)
        todo = left_to_apply(changes, partition, report)
        failed: dict[str, str] = {}
        if todo:
            ledger.begin_apply(target.registered.id, ref, [change.document_id for change in todo])
            failed = _write_or_isolate(context, target, partition, todo, report)
        desk.settle(partition, failed, [change.record_id for change in changes])


def _changes(context: Context, target: Target, partition: Partition, page: Page) -> list[Change]:
    ledger, ids = context.services.ledger, page.document_ids
    applied = ledger.applied_documents(target.registered.id, partition.tenant, ids)
    return changes_of(page, applied, forgotten_among(ledger, partition.tenant, ids))


def _write_or_isolate(
    context: Context, target: Target, partition: Partition, changes: Sequence[Change], report: Report
) -> dict[str, str]:
    """Write all changes at once; where the store refuses, one by one, so that a bad one costs only itself.

    Raises:
        StoreError: the store takes nothing at all.
    """
    try:
        _write(context, target, partition, changes, report)
        return {}
    except StoreError as error:
        refusal = error
    failed: dict[str, str] = {}
    for change in changes:
        try:
            _write(context, target, partition, [change], report)
        except StoreError as error:
            failed[change.record_id] = str(error)
            target.store.delete(target.registered.collection, partition.tenant, [_NO_CHUNK])
    if len(failed) == len(changes) > 1:
        raise refusal
    return failed


def _write(context: Context, target: Target, partition: Partition, changes: Sequence[Change], report: Report) -> None:
    store, collection, tenant = target.store, target.registered.collection, partition.tenant
    found = difference(changes)
    if found.upserts:
        store.upsert(collection, tenant, found.upserts)
    if found.payloads:
        store.update_payloads(collection, tenant, found.payloads)
    if found.deletes:
        store.delete(collection, tenant, found.deletes)
    removed = store.delete_others(collection, tenant, found.unknown) if found.unknown else 0
    context.services.ledger.finish_apply(target.registered.id, context.stream.of(tenant), applied_rows(changes))
    count_changes(report, partition, changes, found, removed)
