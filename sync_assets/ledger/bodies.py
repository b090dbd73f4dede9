"""Document bodies in SQL, in hybrid mode: the same state as the files' latest, one row for each live document."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.batches import Batch, load_json
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t

_COPIED = ("tenant", "document_id", "source", "stream", "title", "url", "visibility", "principals")
_OF_A_DELETION = ("tenant", "document_id", "deleted", "modified_at", "observed_at")
_COMPARED = ("modified_at", "content_hash", "metadata_hash")


def write_bodies(ledger: Ledger, documents: Batch, only_deletions: bool = False) -> int:
    """Bring `document_bodies` in line with a batch of documents; tombstones remove their row.

    A row is written only where the ledger holds the version of the batch, and where it differs from what stands there.

    Returns:
        How many rows were written or removed.
    """
    changed = 0
    for _, table in documents.pages(columns=_OF_A_DELETION if only_deletions else None):
        if only_deletions:
            table = table.filter(table["deleted"])
        rows = table.to_pylist()
        if not rows:
            continue
        with ledger.transaction() as connection:
            current = _current(connection, rows)
            live = [_values(row) for row in rows if not row["deleted"] and _is_current(row, current)]
            gone = [row["document_id"] for row in rows if row["deleted"] and _is_current(row, current)]
            changed += _upsert(connection, live) + _delete(connection, rows[0]["tenant"], gone)
    return changed


def _current(connection: sa.Connection, rows: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    documents = t.documents
    query = sa.select(documents.c.document_id, documents.c.modified_at, documents.c.observed_at).where(
        documents.c.tenant == rows[0]["tenant"], documents.c.document_id.in_([row["document_id"] for row in rows])
    )
    return {row.document_id: (row.modified_at, row.observed_at) for row in connection.execute(query.with_for_update())}


def _is_current(row: dict[str, Any], current: dict[str, tuple[Any, Any]]) -> bool:
    return current.get(row["document_id"]) == (row["modified_at"], row["observed_at"])


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in (*_COPIED, *_COMPARED)},
        "metadata": load_json(row["metadata"]),
        "parts": [{**part, "metadata": load_json(part["metadata"])} for part in row["parts"]],
    }


def _upsert(connection: sa.Connection, rows: list[dict[str, Any]]) -> int:
    if not rows:
        return 0
    table = t.document_bodies
    statement = insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant", "document_id"],
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if column.name not in ("tenant", "document_id")
        },
        where=sa.or_(*(table.c[name].is_distinct_from(statement.excluded[name]) for name in _COMPARED)),
    )
    written = connection.execute(
        statement.returning(table.c.document_id), list({row["document_id"]: row for row in rows}.values())
    )
    return len(written.all())


def _delete(connection: sa.Connection, tenant: str, document_ids: list[str]) -> int:
    table = t.document_bodies
    statement = sa.delete(table).where(table.c.tenant == tenant, table.c.document_id.in_(document_ids))
    return connection.execute(statement).rowcount if document_ids else 0
