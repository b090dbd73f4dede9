"""Questions about the state of an installation that need no run: marks, volumes, vectors of deleted documents."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from sync_assets.ledger import Ledger, StreamRef
from sync_assets.ledger import tables as t


def synced_until(ledger: Ledger, source: str, stream: str, store: str) -> dict[str, datetime]:
    """Up to where a store follows a stream without a gap, by tenant."""
    marks = t.watermarks.c
    query = sa.select(marks.tenant, marks.synced_until).where(
        marks.source == source, marks.stream == stream, marks.store == store
    )
    with ledger.transaction() as connection:
        return {row.tenant: row.synced_until for row in connection.execute(query)}


def rows_by_window(ledger: Ledger, ref: StreamRef, stage: str, before: str, limit: int) -> list[tuple[str, int]]:
    """The last windows before one, with the rows that were stored of each; oldest first."""
    windows = t.windows.c
    query = (
        sa.select(windows.window, windows.rows)
        .where(*(windows[name] == value for name, value in ref._asdict().items()))
        .where(windows.stage == stage, windows.window < before)
        .order_by(windows.window.desc())
        .limit(limit)
    )
    with ledger.transaction() as connection:
        return [(row.window, row.rows) for row in connection.execute(query)][::-1]


def deleted_but_stored(ledger: Ledger, collection_id: int, source: str, stream: str) -> Sequence[tuple[str, str]]:
    """Documents that are gone upstream and have vectors in a collection, as (tenant, document id)."""
    documents, applied = t.documents.c, t.collection_documents.c
    query = (
        sa.select(documents.tenant, documents.document_id)
        .join(
            t.collection_documents,
            sa.and_(applied.tenant == documents.tenant, applied.document_id == documents.document_id),
        )
        .where(documents.source == source, documents.stream == stream, documents.deleted)
        .where(applied.collection_id == collection_id, sa.func.cardinality(applied.chunk_ids) > 0)
        .order_by(documents.tenant, documents.document_id)
    )
    with ledger.transaction() as connection:
        return [(row.tenant, row.document_id) for row in connection.execute(query)]
