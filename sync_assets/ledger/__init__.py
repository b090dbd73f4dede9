"""What is true now, in SQL: versions, applied chunks, quarantine, windows, watermarks, collections.

What belongs here: questions and facts about documents and collections, each method one transaction. What does not:
which batch is applied when (`stages/`), and the vectors' cache (`embedding/cache.py`, over the same engine).

`Ledger` is put together from a module for each of these; `database.py` has its connections and locks.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from sync_assets.ledger import tables as t
from sync_assets.ledger.applied import Applied
from sync_assets.ledger.quarantine import Quarantine
from sync_assets.ledger.registry import Registry
from sync_assets.ledger.rows import (
    AppliedDocument,
    AppliedRow,
    AppliedVersion,
    DocumentRow,
    KnownDocument,
    NewCollection,
    QuarantinedRecord,
    RegisteredCollection,
    StreamRef,
    WindowState,
)
from sync_assets.ledger.values import scope_of, standing_of, text_array, upsert, version_values
from sync_assets.ledger.windows import Windows

__all__ = [
    "AppliedDocument",
    "AppliedRow",
    "AppliedVersion",
    "DocumentRow",
    "KnownDocument",
    "Ledger",
    "NewCollection",
    "QuarantinedRecord",
    "RegisteredCollection",
    "StreamRef",
    "WindowState",
]


class Ledger(Registry, Applied, Quarantine, Windows):
    """The ledger over a PostgreSQL database; migrated on first use.

    All methods raise `LedgerError` when the database can't be reached or a lock is not obtained in time.

    Args:
        url: `postgresql://` URL; never shown.
        lock_timeout: seconds to wait for another process.
    """

    def known_documents(self, ref: StreamRef, document_ids: Sequence[str]) -> dict[str, KnownDocument]:
        """What the ledger knows of these documents, by document id."""
        query = sa.select(t.documents).where(
            t.documents.c.tenant == ref.tenant, t.documents.c.document_id == sa.any_(text_array(document_ids))
        )
        with self.transaction() as connection:
            return {
                row.document_id: KnownDocument(standing_of(row), row.cheap_version, row.content_hash, row.metadata_hash)
                for row in connection.execute(query)
            }

    def record_documents(self, ref: StreamRef, rows: Sequence[DocumentRow]) -> None:
        """Record versions that were accepted. The caller holds the stream's lock."""
        if not rows:
            return
        statement = upsert(t.documents, "tenant", "document_id")
        values = [
            {
                **scope_of(ref),
                "document_id": row.document_id,
                "record_id": row.record_id,
                **version_values(row.version, row.floor, row.deleted),
                "cheap_version": row.cheap_version,
                "content_hash": row.content_hash,
                "metadata_hash": row.metadata_hash,
            }
            for row in rows
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def status(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """A row for each tenant, source, stream and store: documents, chunks, quarantined, last_success, collection.

        `last_success` is None where no sync of it has ended well.
        """
        applied, collections, marks = t.collection_documents, t.collections, t.watermarks
        counts = (
            sa.select(
                applied.c.tenant,
                applied.c.source,
                applied.c.stream,
                collections.c.store,
                collections.c.id.label("collection_id"),
                sa.func.count().filter(~applied.c.deleted & ~applied.c.dirty).label("documents"),
                sa.func.coalesce(sa.func.sum(sa.func.cardinality(applied.c.chunk_ids)), 0).label("chunks"),
            )
            .join(collections)
            .where(collections.c.active)
            .group_by(applied.c.tenant, applied.c.source, applied.c.stream, collections.c.store, collections.c.id)
            .subquery()
        )
        keys = ("tenant", "source", "stream", "store")
        of_stores = sa.select(marks).where(marks.c.store.in_(sa.select(collections.c.store))).subquery()  # no graph's
        known = sa.union(*(sa.select(*(place.c[key] for key in keys)) for place in (of_stores, counts))).subquery()
        held = t.quarantine
        quarantined = (
            sa.select(sa.func.count())
            .where(*(held.c[key] == known.c[key] for key in ("tenant", "source", "stream")))
            .where(held.c.stage.not_in(sa.select(collections.c.store)) | (held.c.stage == known.c.store))
            .scalar_subquery()
        )
        joined = known.outerjoin(counts, sa.and_(*(known.c[key] == counts.c[key] for key in keys)))
        joined = joined.outerjoin(marks, sa.and_(*(known.c[key] == marks.c[key] for key in keys)))
        query = (
            sa.select(
                *(known.c[key] for key in keys),
                counts.c.collection_id,
                sa.func.coalesce(counts.c.documents, 0).label("documents"),
                sa.func.coalesce(counts.c.chunks, 0).label("chunks"),
                quarantined.label("quarantined"),
                marks.c.last_success,
            )
            .select_from(joined)
            .order_by(*(known.c[key] for key in keys))
        )
        if tenant is not None:
            query = query.where(known.c.tenant == tenant)
        active = {collection.id: collection.collection for collection in self._collections()}
        with self.transaction() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [{**row, "collection": active.get(row.pop("collection_id"))} for row in rows]
