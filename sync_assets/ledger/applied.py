"""What collections hold of each document, as it was last written and confirmed.

What belongs here: marking a write, confirming it, and what is recorded. What does not: which writes are needed
(`stages/changes.py`).
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.documents import Version
from sync_assets.ledger import tables as t
from sync_assets.ledger.database import LedgerDatabase
from sync_assets.ledger.rows import AppliedDocument, AppliedRow, StreamRef
from sync_assets.ledger.values import scope_of, standing_of, text_array, upsert, version_values


class Applied(LedgerDatabase):
    """What `Ledger` knows of the collections' documents."""

    def applied_documents(
        self, collection_id: int, tenant: str, document_ids: Sequence[str]
    ) -> dict[str, AppliedDocument]:
        """What a collection holds of these documents, by document id."""
        applied = t.collection_documents
        query = sa.select(applied).where(
            applied.c.collection_id == collection_id,
            applied.c.tenant == tenant,
            applied.c.document_id == sa.any_(text_array(document_ids)),
        )
        with self.transaction() as connection:
            return {
                row.document_id: AppliedDocument(
                    standing_of(row),
                    row.dirty,
                    dict(zip(row.chunk_ids, zip(row.content_hashes, row.payload_hashes, strict=True), strict=True)),
                )
                for row in connection.execute(query)
            }

    def begin_apply(self, collection_id: int, ref: StreamRef, document_ids: Sequence[str]) -> None:
        """Mark documents dirty before a collection is written, so that a crash in between is seen by the next run."""
        start = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        statement = insert(t.collection_documents)
        statement = statement.on_conflict_do_update(
            index_elements=["collection_id", "tenant", "document_id"], set_={"dirty": True}
        )
        values = [
            {
                "collection_id": collection_id,
                **scope_of(ref),
                "document_id": document_id,
                **version_values(Version(modified_at=start, observed_at=start), start, deleted=False),
                "dirty": True,
                "chunk_ids": [],
                "content_hashes": [],
                "payload_hashes": [],
            }
            for document_id in document_ids
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def finish_apply(self, collection_id: int, ref: StreamRef, rows: Sequence[AppliedRow]) -> None:
        """Record what a collection holds now, after its writes are durable."""
        statement = upsert(t.collection_documents, "collection_id", "tenant", "document_id")
        values = [
            {
                "collection_id": collection_id,
                **scope_of(ref),
                "document_id": row.document_id,
                **version_values(row.version, row.floor, row.deleted),
                "dirty": False,
                "chunk_ids": list(row.chunks),
                "content_hashes": [content for content, _ in row.chunks.values()],
                "payload_hashes": [payload for _, payload in row.chunks.values()],
            }
            for row in rows
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def applied_chunks(self, collection_id: int, tenant: str) -> int | None:
        """How many chunks a collection should hold of a tenant; None while some of it is dirty."""
        applied = t.collection_documents
        query = sa.select(
            sa.func.coalesce(sa.func.sum(sa.func.cardinality(applied.c.chunk_ids)), 0),
            sa.func.coalesce(sa.func.bool_or(applied.c.dirty), sa.false()),
        ).where(applied.c.collection_id == collection_id, applied.c.tenant == tenant)
        with self.transaction() as connection:
            chunks, dirty = connection.execute(query).one()
        return None if dirty else chunks

    def mark_dirty(self, collection_id: int, tenant: str, document_ids: Sequence[str] | None = None) -> None:
        """Trust nothing that is recorded of a tenant's documents in a collection; without ids, of all of them."""
        applied = t.collection_documents
        statement = sa.update(applied).where(applied.c.collection_id == collection_id, applied.c.tenant == tenant)
        if document_ids is not None:
            statement = statement.where(applied.c.document_id == sa.any_(text_array(document_ids)))
        with self.transaction() as connection:
            connection.execute(statement.values(dirty=True))
