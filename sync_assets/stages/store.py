"""Store: a batch of change applied to one vector store, document by document.

Before a collection is touched its documents are marked dirty in the ledger, and cleared when the writes are durable: a
crash at any point is seen by the next run, which then writes those documents whole. New vectors are durable before old
ones go (law 10).
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sync_assets.batches import Batch, Partition, load_json
from sync_assets.chunking import CHUNKER_VERSION
from sync_assets.documents import Version, is_stale, next_floor
from sync_assets.embedding import Embedder
from sync_assets.errors import StoreError
from sync_assets.hashing import digest
from sync_assets.ledger import AppliedDocument, AppliedRow, NewCollection, RegisteredCollection
from sync_assets.stages import Context, QuarantineDesk, Report, advance_watermarks, record_states
from sync_assets.vector_stores import Point, VectorStore

# Deleting it changes nothing, and tells whether a store takes writes.
_NO_CHUNK = "00000000-0000-0000-0000-000000000000"


class _Target(NamedTuple):
    store: VectorStore
    registered: RegisteredCollection


class _Change(NamedTuple):
    """One document of a batch, and what stands in the collection."""

    document_id: str
    record_id: str
    version: Version
    deleted: bool
    points: list[Point]
    applied: AppliedDocument | None

    @property
    def chunks(self) -> dict[str, tuple[str, str]]:
        return {point.chunk_id: (point.content_hash, point.payload_hash) for point in self.points}


def chunking_fingerprint(context: Context, embedder: Embedder) -> tuple[str, str]:
    """Key and words of everything that decides what stands in a collection: model, chunker, chunk size (law 6)."""
    limits = context.stream.limits(embedder.fingerprint)
    key = digest([embedder.fingerprint.key, CHUNKER_VERSION, limits.model_dump()])
    return key, f"{embedder.fingerprint}, chunker {CHUNKER_VERSION}, chunks of {limits}"


def register_collection(context: Context, store_name: str) -> RegisteredCollection:
    """The stream's collection in a store, created in both where it is missing.

    Raises:
        FingerprintMismatch: it was made by another model or chunker.
    """
    embedder = context.services.embedder(context.stream.model)
    key, words = chunking_fingerprint(context, embedder)
    registered = context.services.ledger.register_collection(
        NewCollection(
            store=store_name,
            name=context.stream.collection,
            fingerprint=key,
            description=words,
            dimension=embedder.fingerprint.dimension,
            model=context.stream.model or context.services.settings.model,
            model_fingerprint=embedder.fingerprint.key,
        )
    )
    context.services.store(store_name).ensure_collection(registered.collection)
    return registered


def apply_to_store(context: Context, store_name: str, embeddings: Batch) -> Report:
    """Bring one store in line with a batch.

    Raises:
        StoreError: the store can't be reached; what was applied before stays, the next run does the rest.
    """
    report = Report.after(context, "embeddings", store_name, embeddings.partitions)
    target = _Target(context.services.store(store_name), register_collection(context, store_name))
    desk = QuarantineDesk(context, report)
    written_tenants: set[str] = set()
    for tenant in sorted({partition.tenant for partition in embeddings.partitions}):
        _distrust_what_was_lost(context, target, tenant)
    for partition, table in embeddings.document_pages():
        _apply_page(context, target, desk, partition, table, report)
        if report.counts[partition]["written"]:
            written_tenants.add(partition.tenant)
        context.advance(partition.tenant, store_name, report.total("chunks"), report.upstream_rows)
    for tenant in sorted(written_tenants):
        target.store.finish_load(target.registered.collection, tenant)
    advance_watermarks(context, report)
    record_states(context, report)()
    return report


def _distrust_what_was_lost(context: Context, target: _Target, tenant: str) -> None:
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
    context: Context, target: _Target, desk: QuarantineDesk, partition: Partition, table: pa.Table, report: Report
) -> None:
    ref = context.stream.of(partition.tenant)
    ledger = context.services.ledger
    name = target.registered.collection.name
    with ledger.lock("store", target.registered.store, name, partition.tenant):
        changes = _changes(context, target, partition, table)
        todo = []
        for change in changes:
            report.digests[partition].add([change.document_id, change.deleted, change.chunks])
            report.count(partition, "documents", not change.deleted)
            report.count(partition, "chunks", len(change.points))
            if _is_applied(change):
                report.count(partition, "unchanged")
            elif change.applied is not None and is_stale(change.version, change.applied.standing):
                report.count(partition, "stale")
            else:
                todo.append(change)
        failed: dict[str, str] = {}
        if todo:
            ledger.begin_apply(target.registered.id, ref, [change.document_id for change in todo])
            failed = _write_or_isolate(context, target, partition, todo, report)
        desk.settle(partition, failed, [change.record_id for change in changes])


def _changes(context: Context, target: _Target, partition: Partition, table: pa.Table) -> list[_Change]:
    rows = table.drop_columns(["vector"]).to_pylist()
    vectors = table["vector"].combine_chunks()
    matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, target.registered.collection.dimension)
    index = np.cumsum(vectors.is_valid().to_numpy(zero_copy_only=False)) - 1
    applied = context.services.ledger.applied_documents(
        target.registered.id, partition.tenant, list({row["document_id"] for row in rows})
    )
    numbered = groupby(enumerate(rows), key=lambda item: item[1]["document_id"])
    changes: dict[str, _Change] = {}
    for document_id, group in numbered:
        items = list(group)
        first = items[0][1]
        version = Version(
            modified_at=first["modified_at"], observed_at=first["observed_at"], authoritative=first["authoritative"]
        )
        points = [_point(row, matrix[index[number]]) for number, row in items if row["chunk_id"] is not None]
        # A document that was edited while it was fetched comes twice: the later row is the one that counts.
        earlier = changes.get(document_id)
        if earlier is None or earlier.version.observed_at <= version.observed_at:
            changes[document_id] = _Change(
                document_id, first["record_id"], version, first["deleted"], points, applied.get(document_id)
            )
    return list(changes.values())


def _is_applied(change: _Change) -> bool:
    applied = change.applied
    if applied is None:
        return False
    return (
        not applied.dirty
        and applied.chunks == change.chunks
        and applied.standing.deleted == change.deleted
        and applied.standing.modified_at == change.version.modified_at
        and applied.standing.observed_at == change.version.observed_at
    )


def _write_or_isolate(
    context: Context, target: _Target, partition: Partition, changes: Sequence[_Change], report: Report
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


def _write(context: Context, target: _Target, partition: Partition, changes: Sequence[_Change], report: Report) -> None:
    store, collection, tenant = target.store, target.registered.collection, partition.tenant
    upserts: list[Point] = []
    payloads: list[Point] = []
    deletes: list[str] = []
    unknown: dict[str, list[str]] = {}
    for change in changes:
        before = change.applied
        if before is None or before.dirty:
            upserts.extend(change.points)
            unknown[change.document_id] = [point.chunk_id for point in change.points]
            continue
        for point in change.points:
            stored = before.chunks.get(point.chunk_id)
            if stored is None or stored[0] != point.content_hash:
                upserts.append(point)
            elif stored[1] != point.payload_hash:
                payloads.append(point)
        deletes.extend(before.chunks.keys() - change.chunks.keys())
    if upserts:
        store.upsert(collection, tenant, upserts)
    if payloads:
        store.update_payloads(collection, tenant, payloads)
    if deletes:
        store.delete(collection, tenant, deletes)
    removed = store.delete_others(collection, tenant, unknown) if unknown else 0
    rows = [
        AppliedRow(change.document_id, change.version, _floor(change), change.deleted, change.chunks)
        for change in changes
    ]
    context.services.ledger.finish_apply(target.registered.id, context.stream.of(tenant), rows)
    report.count(partition, "written", len(upserts))
    report.count(partition, "payloads", len(payloads))
    report.count(partition, "removed", len(deletes) + removed)
    for change in changes:
        kind = _kind(change)
        report.count(partition, kind)
        report.show(partition, {"document": change.document_id, "change": kind, "chunks": len(change.points)})


def _kind(change: _Change) -> str:
    if change.deleted:
        return "deleted"
    new = change.applied is None or change.applied.standing.deleted or not change.applied.chunks
    return "added" if new else "changed"


def _floor(change: _Change) -> datetime:
    return next_floor(change.version, change.deleted, change.applied.standing if change.applied else None)


def _point(row: dict[str, Any], vector: np.ndarray) -> Point:
    names = ("chunk_id", "document_id", "source", "stream", "record_id", "path", "role", "text", "title", "url")
    return Point(
        **{name: row[name] for name in names},
        visibility=row["visibility"],
        principals=row["principals"],
        metadata=load_json(row["metadata"]),
        content_hash=row["content_hash"],
        payload_hash=row["payload_hash"],
        vector=vector,
    )
