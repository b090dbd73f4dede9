"""Documents that are to stay away though upstream still has them.

What belongs here: the list of them, which holds a hash of each id and nothing else. What does not: how a document is
erased (`forgetting/`).
"""

from collections.abc import Collection

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.documents import document_id
from sync_assets.hashing import text_hash
from sync_assets.ledger import Ledger, StreamRef
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of

_ANY = sa.select(sa.exists().where(t.forgotten.c.tenant == sa.bindparam("tenant")))


def suppress(ledger: Ledger, tenant: str, document_ids: Collection[str]) -> None:
    """Let documents stay away from now on, durable on return."""
    statement = insert(t.forgotten).on_conflict_do_nothing()
    rows = [{"tenant": tenant, "document_key": text_hash(one)} for one in sorted(set(document_ids))]
    if rows:
        with ledger.transaction() as connection:
            connection.execute(statement, rows)


def readmit(ledger: Ledger, tenant: str, document_ids: Collection[str]) -> set[str]:
    """Let documents come back; returns those that had to stay away until now."""
    keys = {text_hash(one): one for one in document_ids}
    stored = t.forgotten.c
    statement = sa.delete(t.forgotten).where(stored.tenant == tenant, stored.document_key == any_of(keys))
    with ledger.transaction() as connection:
        return {keys[key] for key in connection.scalars(statement.returning(stored.document_key))}


def forgotten_among(ledger: Ledger, tenant: str, document_ids: Collection[str]) -> set[str]:
    """Those of some documents that are to stay away."""
    if not _has_any(ledger, tenant):
        return set()
    keys = {text_hash(one): one for one in document_ids}
    stored = t.forgotten.c
    query = sa.select(stored.document_key).where(stored.tenant == tenant, stored.document_key == any_of(keys))
    with ledger.transaction() as connection:
        return {keys[key] for key in connection.scalars(query)}


def forgotten_records(ledger: Ledger, ref: StreamRef, record_ids: Collection[str]) -> set[str]:
    """Those of a stream's records whose documents are to stay away."""
    if not _has_any(ledger, ref.tenant):
        return set()
    ids = {document_id(ref.tenant, ref.source, record_id): record_id for record_id in record_ids}
    return {ids[one] for one in forgotten_among(ledger, ref.tenant, ids)}


def without_forgotten(ledger: Ledger, tenant: str, table: pa.Table) -> pa.Table:
    """The rows of a tenant's page, by their column `document_id`, that are not to stay away."""
    gone = forgotten_among(ledger, tenant, set(table["document_id"].to_pylist()))
    if not gone:
        return table
    return table.filter(pa.array([one not in gone for one in table["document_id"].to_pylist()], pa.bool_()))


def _has_any(ledger: Ledger, tenant: str) -> bool:
    """Most tenants have nothing forgotten, and every page of every stage asks."""
    with ledger.transaction() as connection:
        return bool(connection.scalar(_ANY, {"tenant": tenant}))
