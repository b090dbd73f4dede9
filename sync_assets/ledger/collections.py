"""Collections that are not active: registering, switching and dropping them, and what they lack.

What belongs here: rows of the registry, and comparisons of what a collection holds with the ledger's documents, each
function one transaction. What does not: the points themselves (`sync_assets/collections/`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.errors import CollectionError
from sync_assets.ledger import Ledger, NewCollection, RegisteredCollection, StreamRef
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.ledger.sweeps import is_applied

_PAGE = 1000


class Holding(NamedTuple):
    """How much a collection holds: living documents, their chunks, and of how many tenants."""

    documents: int
    chunks: int
    tenants: int


class Tombstone(NamedTuple):
    """A document that upstream deleted, in the ledger's version."""

    document_id: str
    record_id: str
    modified_at: datetime
    observed_at: datetime
    floor: datetime


def register_beside(ledger: Ledger, new: NewCollection) -> RegisteredCollection:
    """The collection of this fingerprint, registered as inactive where there is none, and no longer retired.

    Raises:
        CollectionError: it is the active one.
    """
    values = {**new._asdict(), "physical_name": new.physical_name, "active": False}
    statement = insert(t.collections).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["store", "physical_name"], set_={"retired_at": None, "limits": statement.excluded.limits}
    )
    with ledger.transaction() as connection:
        connection.execute(statement)
    found = next(one for one in collections_named(ledger, new.name, new.store) if _is(one, new))
    if found.active:
        raise CollectionError(
            f"Collection {new.name} in {new.store} is made with {new.description} already.",
            "Name another model or chunk size: --model, --chunk-tokens, SYNC_ASSETS_MODEL, or defs.yaml.",
        )
    return found


def collections_named(ledger: Ledger, name: str, store: str | None = None) -> list[RegisteredCollection]:
    """All collections of a name, of one store or of all, active or not, oldest first in each store."""
    return [one for one in ledger.every_collection() if one.name == name and store in (None, one.store)]


def switch_collections(ledger: Ledger, pairs: Sequence[tuple[RegisteredCollection, RegisteredCollection]]) -> None:
    """Put for each pair the second collection in the place of the first, all at once.

    Raises:
        CollectionError: one of the first is not active any more, or one of the second is gone.
    """
    columns = t.collections.c
    with ledger.transaction() as connection:
        for old, new in pairs:
            off = sa.update(t.collections).where(columns.id == old.id, columns.active)
            on = sa.update(t.collections).where(columns.id == new.id, ~columns.active)
            switched = [
                connection.execute(off.values(active=False, retired_at=sa.func.now())).rowcount,
                connection.execute(on.values(active=True, retired_at=None)).rowcount,
            ]
            if switched != [1, 1]:
                raise CollectionError(
                    f"Collection {old.name} in {old.store} was switched or dropped meanwhile.",
                    "Look at `sync-assets collections list`.",
                )


def unregister(ledger: Ledger, collection: RegisteredCollection) -> None:
    """Forget a collection, and what it held, unless it was made active meanwhile."""
    columns = t.collections.c
    as_it_was = (columns.id == collection.id, columns.active == collection.active)
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.collections).where(*as_it_was))


def holding(ledger: Ledger, collection_id: int) -> Holding:
    """How much a collection holds, as the ledger has it."""
    applied = t.collection_documents.c
    alive = ~applied.deleted & ~applied.dirty
    query = sa.select(
        sa.func.count().filter(alive),
        sa.func.coalesce(sa.func.sum(sa.func.cardinality(applied.chunk_ids)).filter(alive), 0),
        sa.func.count(applied.tenant.distinct()).filter(alive),
    ).where(applied.collection_id == collection_id)
    with ledger.transaction() as connection:
        return Holding(*connection.execute(query).one())


def held_documents(ledger: Ledger, collection_id: int, tenant: str, document_ids: Sequence[str]) -> set[str]:
    """Those of some documents that a collection holds, and that are living."""
    applied = t.collection_documents.c
    query = sa.select(applied.document_id).where(
        applied.collection_id == collection_id,
        applied.tenant == tenant,
        applied.document_id == any_of(document_ids),
        ~applied.deleted,
    )
    with ledger.transaction() as connection:
        return set(connection.scalars(query))


def tenants_of_stream(ledger: Ledger, source: str, stream: str) -> list[str]:
    """The tenants of which the ledger knows documents of a stream."""
    documents = t.documents.c
    query = sa.select(documents.tenant).where(documents.source == source, documents.stream == stream).distinct()
    with ledger.transaction() as connection:
        return sorted(connection.scalars(query))


def not_applied(ledger: Ledger, ref: StreamRef, collection_ids: Collection[int], living: bool | None = None) -> int:
    """How many documents of a stream, living or deleted ones or both, one of some collections lacks in this version."""
    documents = t.documents.c
    conditions = [] if living is None else [documents.deleted != living]
    query = sa.select(sa.func.count()).where(_of(ref), _is_lacked(collection_ids), *conditions)
    with ledger.transaction() as connection:
        return connection.scalar(query) or 0


def not_applied_among(
    ledger: Ledger, ref: StreamRef, collection_ids: Collection[int], document_ids: Sequence[str]
) -> dict[str, tuple[datetime, datetime]]:
    """Those living ones of some documents that a collection lacks: when the ledger's version was modified and seen."""
    documents = t.documents.c
    query = sa.select(documents.document_id, documents.modified_at, documents.observed_at).where(
        _of(ref), ~documents.deleted, documents.document_id == any_of(document_ids), _is_lacked(collection_ids)
    )
    with ledger.transaction() as connection:
        return {row.document_id: (row.modified_at, row.observed_at) for row in connection.execute(query)}


def tombstones_not_applied(
    ledger: Ledger, ref: StreamRef, collection_ids: Collection[int]
) -> Iterator[list[Tombstone]]:
    """Deleted documents whose deletion one of some collections was not told, in pages of one transaction each."""
    documents = t.documents.c
    columns = [documents[name] for name in Tombstone._fields]
    query = sa.select(*columns).where(_of(ref), documents.deleted, _is_lacked(collection_ids))
    query = query.order_by(documents.document_id).limit(_PAGE)
    after = ""
    while True:
        with ledger.transaction() as connection:
            rows = [Tombstone(*row) for row in connection.execute(query.where(documents.document_id > after))]
        if not rows:
            return
        yield rows
        after = rows[-1].document_id


def lost_by_switching(ledger: Ledger, ref: StreamRef, old_id: int, new_id: int) -> list[str]:
    """Documents of a stream that would be found less well, or again, if one collection took another's place.

    What both of them lack in the same way is not among them: a document in quarantine does not hold up a switch.
    """
    documents = t.documents.c
    old, new = t.collection_documents.alias("old"), t.collection_documents.alias("new")
    joined = t.documents
    for applied, number in ((old, old_id), (new, new_id)):
        same = [applied.c[name] == documents[name] for name in ("tenant", "document_id")]
        joined = joined.outerjoin(applied, sa.and_(applied.c.collection_id == number, *same))
    neither = ~_may_hold(old) & ~_may_hold(new)
    version = ("modified_at", "observed_at", "deleted", "dirty")
    alike = sa.and_(~new.c.dirty, *(old.c[name] == new.c[name] for name in version))
    behind = ~is_applied(old_id) & (neither | sa.func.coalesce(alike, sa.false()))
    query = sa.select(documents.document_id).select_from(joined).where(_of(ref), ~is_applied(new_id), ~behind)
    with ledger.transaction() as connection:
        return sorted(connection.scalars(query))


def left_behind(ledger: Ledger, collection_id: int, refs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Living documents that a collection holds of other streams than these, by (source, stream)."""
    applied = t.collection_documents.c
    query = (
        sa.select(applied.source, applied.stream, sa.func.count())
        .where(applied.collection_id == collection_id, ~applied.deleted, ~applied.dirty)
        .group_by(applied.source, applied.stream)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).all()
    return {(source, stream): number for source, stream, number in rows if (source, stream) not in refs}


def texts_apart(ledger: Ledger, first_id: int, second_id: int) -> tuple[int, int]:
    """How many different texts only the first, and only the second of two collections holds, tenant by tenant."""
    counted = [_texts(here).except_(_texts(there)).subquery() for here, there in _both_ways(first_id, second_id)]
    with ledger.transaction() as connection:
        only = [connection.scalar(sa.select(sa.func.count()).select_from(one)) or 0 for one in counted]
    return only[0], only[1]


def _texts(collection_id: int) -> sa.Select[Any, Any]:
    applied = t.collection_documents.c
    return sa.select(applied.tenant, sa.func.unnest(applied.content_hashes)).where(
        applied.collection_id == collection_id
    )


def _both_ways(first: int, second: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (first, second), (second, first)


def _is(one: RegisteredCollection, new: NewCollection) -> bool:
    return one.collection.fingerprint == new.fingerprint


def _is_lacked(collection_ids: Collection[int]) -> sa.ColumnElement[bool]:
    return sa.or_(*(~is_applied(number) for number in collection_ids))


def _may_hold(applied: Any) -> sa.ColumnElement[bool]:
    """That a joined row of a collection stands for chunks that are there, or may be."""
    return sa.func.coalesce(~applied.c.deleted | applied.c.dirty, sa.false())


def _of(ref: StreamRef) -> sa.ColumnElement[bool]:
    documents = t.documents.c
    scope: Mapping[str, str] = ref._asdict()
    return sa.and_(*(documents[name] == value for name, value in scope.items()))
