"""What an audit asks of the ledger: what each collection should hold, and what is behind in it or in the graph.

What belongs here: questions in SQL, so that memory follows the difference. What does not: what the stores hold
(`audit/`), and what upstream says differently (`sweeps.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from sync_assets.ledger import AppliedVersion, Ledger, StreamRef
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.ledger.sweeps import fill, is_applied, is_held, is_in, lives_in, temporary

_PAGE = 1000


class Expected(NamedTuple):
    """What a collection should hold of a document: chunk id to (content hash, payload hash).

    Nothing can be said of a dirty one: a write was begun and never confirmed.
    """

    document_id: str
    source: str
    stream: str
    dirty: bool
    chunks: Mapping[str, tuple[str, str]]


class GraphDifference(NamedTuple):
    """What the graph has differently from the ledger, as document ids.

    Attributes:
        behind: living documents that it lacks, or has in another version.
        held: deleted ones that it has alive.
        strangers: those that it has alive and the ledger never saw.
    """

    behind: list[str]
    held: list[str]
    strangers: list[str]


def expected_documents(ledger: Ledger, collection_id: int, tenant: str) -> Iterator[Expected]:
    """All that a collection should hold of a tenant, in pages of one transaction each."""
    applied = t.collection_documents.c
    query = _expected(collection_id, tenant).order_by(applied.document_id).limit(_PAGE)
    after = ""
    while True:
        with ledger.transaction() as connection:
            rows = [_read(row) for row in connection.execute(query.where(applied.document_id > after))]
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].document_id


def expected_of(ledger: Ledger, collection_id: int, tenant: str, document_ids: Sequence[str]) -> dict[str, Expected]:
    """What a collection should hold of these documents, by document id."""
    query = _expected(collection_id, tenant).where(t.collection_documents.c.document_id == any_of(document_ids))
    with ledger.transaction() as connection:
        return {row.document_id: _read(row) for row in connection.execute(query)}


def tenants_held(ledger: Ledger) -> set[str]:
    """The tenants of which any collection holds something."""
    with ledger.transaction() as connection:
        return set(connection.scalars(sa.select(t.collection_documents.c.tenant).distinct()))


def documents_behind(
    ledger: Ledger, ref: StreamRef, collection_id: int, store: str, seen_before: datetime
) -> list[str]:
    """Living documents of which a collection has not the ledger's version, but for those in quarantine.

    Args:
        seen_before: versions that were seen upstream since are left out: they may be on their way.
    """
    documents = t.documents.c
    query = sa.select(documents.document_id).where(
        _of(ref),
        documents.observed_at < seen_before,
        ~documents.deleted,
        ~is_applied(collection_id),
        ~_is_in_quarantine(ref, ("chunks", "embeddings", store)),
    )
    with ledger.transaction() as connection:
        return sorted(connection.scalars(query))


def documents_held(ledger: Ledger, ref: StreamRef, collection_id: int, seen_before: datetime) -> list[str]:
    """Documents whose deletion was seen before a moment, and that a collection still has, or may have."""
    documents = t.documents.c
    query = sa.select(documents.document_id).where(
        _of(ref), documents.observed_at < seen_before, documents.deleted, is_held([collection_id])
    )
    with ledger.transaction() as connection:
        return sorted(connection.scalars(query))


def graph_difference(
    ledger: Ledger, ref: StreamRef, versions: Iterable[AppliedVersion], seen_before: datetime
) -> GraphDifference:
    """Compare what the graph has of a stream with the ledger; an error from `versions` passes through.

    Args:
        seen_before: versions that were seen upstream since are left out: they may be on their way.
    """
    documents = t.documents.c
    settled = _of(ref) & (documents.observed_at < seen_before)
    graph = temporary("in_graph", "document_id", observed_at=sa.DateTime(timezone=True), deleted=sa.Boolean)
    behind = sa.select(documents.document_id).where(
        settled, ~documents.deleted, ~is_in(graph), ~_is_in_quarantine(ref, ("chunks", "graph"))
    )
    held = sa.select(documents.document_id).where(settled, documents.deleted, lives_in(graph))
    known = sa.exists().where(documents.tenant == ref.tenant, documents.document_id == graph.c.document_id)
    strangers = sa.select(graph.c.document_id).where(~graph.c.deleted, ~known)
    with ledger.transaction() as connection:
        fill(connection, graph, (version._asdict() for version in versions))
        return GraphDifference(*(sorted(connection.scalars(query)) for query in (behind, held, strangers)))


def _expected(collection_id: int, tenant: str) -> sa.Select[Any]:
    applied = t.collection_documents
    return sa.select(applied).where(applied.c.collection_id == collection_id, applied.c.tenant == tenant)


def _read(row: sa.Row[Any]) -> Expected:
    hashes = zip(row.content_hashes, row.payload_hashes, strict=True)
    return Expected(row.document_id, row.source, row.stream, row.dirty, dict(zip(row.chunk_ids, hashes, strict=True)))


def _of(ref: StreamRef) -> sa.ColumnElement[bool]:
    documents = t.documents.c
    return (documents.tenant == ref.tenant) & (documents.source == ref.source) & (documents.stream == ref.stream)


def _is_in_quarantine(ref: StreamRef, stages: Sequence[str]) -> sa.ColumnElement[bool]:
    held = t.quarantine.c
    return sa.exists().where(
        held.tenant == ref.tenant,
        held.source == ref.source,
        held.stream == ref.stream,
        held.record_id == t.documents.c.record_id,
        held.stage.in_(stages),
    )
