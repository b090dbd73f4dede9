"""What a full listing of upstream says differently from the ledger, the collections and the graph.

What belongs here: the comparison of a sweep, in SQL, so that memory follows the difference. What does not: what is done
about it (`stages/raw.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.ledger import AppliedVersion, Ledger, StreamRef
from sync_assets.ledger import tables as t
from sync_assets.paging import pages
from sync_assets.sources import LiveId


class SweepDifference(NamedTuple):
    """What a full listing says differently from the ledger.

    Attributes:
        wanted: ids that live upstream and are missing, changed, tombstoned here, or behind in a collection or the
            graph; and ids of tombstones that one of those still holds.
        rewound: those of them that are older upstream than in the ledger (restored from a backup, say).
        gone: ids that the ledger has alive and the listing has not.
        living: how many documents the ledger has alive.
        listed: how many ids the listing had.
    """

    wanted: list[str]
    rewound: set[str]
    gone: list[str]
    living: int
    listed: int


def sweep_difference(
    ledger: Ledger,
    ref: StreamRef,
    listing: Iterable[LiveId],
    collection_ids: Sequence[int],
    graph: Iterable[AppliedVersion] | None = None,
) -> SweepDifference:
    """Compare a full listing of a stream with what the ledger has of it; nothing is changed.

    An error from `listing` or `graph` passes through.

    Args:
        graph: what the graph has of the stream; None where it is not to be compared.
    """
    documents, live = t.documents.c, temporary("live_ids", "record_id", cheap_version=sa.Text)
    in_graph = temporary("in_graph", "document_id", observed_at=sa.DateTime(timezone=True), deleted=sa.Boolean)
    of_stream = (documents.tenant == ref.tenant) & (documents.source == ref.source) & (documents.stream == ref.stream)
    alive = of_stream & ~documents.deleted
    behind = [~is_applied(collection_id) for collection_id in collection_ids]
    if graph is not None:
        behind.append(~is_in(in_graph))
    joined = live.outerjoin(t.documents, of_stream & (documents.record_id == live.c.record_id))
    wanted = (
        sa.select(live.c.record_id)
        .select_from(joined)
        .where(
            documents.document_id.is_(None)
            | documents.deleted
            | (documents.modified_at != live.c.modified_at)
            | (documents.cheap_version != live.c.cheap_version)
            | sa.or_(sa.false(), *behind)
        )
    )
    rewound = (
        sa.select(live.c.record_id)
        .select_from(joined)
        .where(~documents.deleted, documents.modified_at > live.c.modified_at)
    )
    lingering = sa.select(documents.record_id).where(
        of_stream, documents.deleted, is_held(collection_ids) | lives_in(in_graph)
    )
    gone = sa.select(documents.record_id).where(alive, ~sa.exists().where(live.c.record_id == documents.record_id))
    with ledger.transaction() as connection:
        fill(connection, live, (item.model_dump() for item in listing))
        fill(connection, in_graph, (version._asdict() for version in graph or ()))
        return SweepDifference(
            wanted=sorted({*connection.scalars(wanted), *connection.scalars(lingering)}),
            rewound=set(connection.scalars(rewound)),
            gone=sorted(connection.scalars(gone)),
            living=connection.scalar(sa.select(sa.func.count()).where(alive)) or 0,
            listed=connection.scalar(sa.select(sa.func.count()).select_from(live)) or 0,
        )


def temporary(name: str, key: str, **more: Any) -> sa.Table:
    """A table of one transaction: an id, when it was modified, and more columns by type."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column(key, sa.Text, primary_key=True),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(column, kind, nullable=False) for column, kind in more.items()),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


def fill(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Make a table of rows; of those with the same id the first counts."""
    table.create(connection)
    for page in pages(rows):
        connection.execute(insert(table).on_conflict_do_nothing(), page)


def is_applied(collection_id: int) -> sa.ColumnElement[bool]:
    """That a collection has the ledger's version of a document."""
    applied, documents = t.collection_documents.c, t.documents.c
    return sa.exists().where(
        applied.collection_id == collection_id,
        applied.tenant == documents.tenant,
        applied.document_id == documents.document_id,
        applied.modified_at == documents.modified_at,
        applied.observed_at == documents.observed_at,
        ~applied.dirty,
    )


def is_in(graph: sa.Table) -> sa.ColumnElement[bool]:
    """That the graph has the ledger's version of a document."""
    return sa.exists().where(
        graph.c.document_id == t.documents.c.document_id,
        graph.c.modified_at == t.documents.c.modified_at,
        graph.c.observed_at == t.documents.c.observed_at,
    )


def is_held(collection_ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """That a collection has a document alive, or may have."""
    applied, documents = t.collection_documents.c, t.documents.c
    return sa.exists().where(
        applied.collection_id == sa.any_(sa.bindparam(None, list(collection_ids), type_=sa.ARRAY(sa.Integer))),
        applied.tenant == documents.tenant,
        applied.document_id == documents.document_id,
        ~applied.deleted | applied.dirty,
    )


def lives_in(graph: sa.Table) -> sa.ColumnElement[bool]:
    return sa.exists().where(graph.c.document_id == t.documents.c.document_id, ~graph.c.deleted)
