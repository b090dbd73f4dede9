"""Documents as the graph has them, and their texts, in SQL.

What belongs here: what was last applied of a document, and the texts that it may be searched in again. What does not:
what was found in them (`store_evidence.py`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from sync_assets.documents import Standing, Version, Visibility
from sync_assets.graph import tables as t
from sync_assets.graph.bulk import PAGE, among, upsert
from sync_assets.graph.evidence import Subject, Text
from sync_assets.hashing import text_hash
from sync_assets.ledger import AppliedVersion, StreamRef
from sync_assets.paging import pages
from sync_assets.relations import Entity, NodeKind


class DocumentRow(NamedTuple):
    """A document as it was just applied.

    Attributes:
        applied_digest: of all that its evidence was made of but names and what searches texts.
        entity: what it stands for; None for a tombstone.
        visibility: of the document as a whole, with `principals` where it is restricted.
    """

    document_id: str
    source: str
    stream: str
    version: Version
    floor: datetime
    deleted: bool
    applied_digest: str
    entity: Entity | None
    is_resolved: bool
    visibility: Visibility
    principals: tuple[str, ...] = ()


class KnownDocument(NamedTuple):
    """What the graph has of a document."""

    standing: Standing
    applied_digest: str
    entity: Entity | None
    is_resolved: bool
    source: str
    stream: str


class LivingDocument(NamedTuple):
    """A document that stands for a node."""

    document_id: str
    entity: Entity
    source: str
    stream: str
    applied_digest: str
    visibility: Visibility
    principals: tuple[str, ...]


class ScannedText(NamedTuple):
    """A text, with the scope of its document's entity."""

    document_id: str
    place: str
    text: str
    scope: str


def known_documents(connection: sa.Connection, tenant: str, document_ids: Collection[str]) -> dict[str, KnownDocument]:
    """What the graph has of these documents, by document id; those that it does not know are left out."""
    return {
        row.document_id: KnownDocument(
            Standing(modified_at=row.modified_at, observed_at=row.observed_at, floor=row.floor, deleted=row.deleted),
            row.applied_digest,
            _entity(row.entity),
            row.is_resolved,
            row.source,
            row.stream,
        )
        for row in _of_documents(connection, sa.select(t.documents), t.documents, tenant, document_ids)
    }


def applied_versions(connection: sa.Connection, ref: StreamRef) -> Iterator[AppliedVersion]:
    """The versions of a stream's documents that the graph has, read in pages."""
    stored = t.documents.c
    columns = (stored.document_key, stored.document_id, stored.modified_at, stored.observed_at, stored.deleted)
    query = (
        sa.select(*columns)
        .where(stored.tenant == ref.tenant, stored.source == ref.source, stored.stream == ref.stream)
        .order_by(stored.document_key)
        .limit(PAGE)
    )
    rows = connection.execute(query).all()
    while rows:
        yield from (AppliedVersion(*row[1:]) for row in rows)
        rows = connection.execute(query.where(stored.document_key > rows[-1].document_key)).all()


def record_documents(connection: sa.Connection, tenant: str, rows: Sequence[DocumentRow]) -> None:
    """Record what was applied, in place of what was before. No document may come twice."""
    upsert(
        connection,
        t.documents,
        [
            (
                tenant,
                text_hash(row.document_id),
                row.document_id,
                row.source,
                row.stream,
                row.version.modified_at,
                row.version.observed_at,
                row.floor,
                row.deleted,
                row.applied_digest,
                row.entity.model_dump_json() if row.entity else None,
                row.entity.scope if row.entity else "",
                row.is_resolved,
                row.visibility.value,
                _json(row.principals),
            )
            for row in rows
        ],
    )


def living_documents(
    connection: sa.Connection, tenant: str, kind: NodeKind, streams: Collection[tuple[str, str]]
) -> Iterator[LivingDocument]:
    """The living documents of some streams that stand for nodes of a kind, read in pages: memory follows the page.

    Args:
        streams: source and name of each.
    """
    stored = t.documents.c
    of_streams = sa.or_(
        sa.false(), *((stored.source == source) & (stored.stream == stream) for source, stream in streams)
    )
    query = (
        sa.select(t.documents)
        .where(stored.tenant == tenant, ~stored.deleted, stored.entity.is_not(None), of_streams)
        .order_by(stored.document_key)
        .limit(PAGE)
    )
    rows = connection.execute(query).all()
    while rows:
        for row in rows:
            entity = Entity.model_validate_json(row.entity)
            if entity.kind is kind:
                told = (row.source, row.stream, row.applied_digest, Visibility(row.visibility))
                yield LivingDocument(row.document_id, entity, *told, tuple(orjson.loads(row.principals)))
        rows = connection.execute(query.where(stored.document_key > rows[-1].document_key)).all()


def replace_texts(connection: sa.Connection, tenant: str, texts: Mapping[str, Sequence[Text]]) -> None:
    """Keep these texts of documents, by document id, in place of all that is kept of them."""
    for page in pages(texts):
        keys = [text_hash(document_id) for document_id in page]
        connection.execute(
            sa.delete(t.texts).where(t.texts.c.tenant == tenant, among(connection, t.texts.c.document_key, keys))
        )
    upsert(
        connection,
        t.texts,
        [
            (
                tenant,
                text_hash(document_id),
                position,
                text.place,
                text.chunk_id,
                text.role,
                text.text,
                text.visibility.value,
                _json(text.principals),
            )
            for document_id, found in texts.items()
            for position, text in enumerate(found)
        ],
    )


def subjects(connection: sa.Connection, tenant: str, document_ids: Collection[str]) -> list[Subject]:
    """Documents with their texts, by document id; tombstones and documents without an entity are left out."""
    by_place = sa.select(t.texts).order_by(t.texts.c.document_key, t.texts.c.position)
    found = groupby(
        _of_documents(connection, by_place, t.texts, tenant, document_ids), key=lambda row: row.document_key
    )
    texts = {key: tuple(_text(row) for row in rows) for key, rows in found}
    return [
        Subject(document_id, known.entity, known.is_resolved, texts.get(text_hash(document_id), ()))
        for document_id, known in sorted(known_documents(connection, tenant, document_ids).items())
        if known.entity is not None and not known.standing.deleted
    ]


def scan_texts(connection: sa.Connection, tenant: str, page: int = 500) -> Iterator[list[ScannedText]]:
    """All texts of a tenant's living documents, `page` at a time: memory follows the page.

    The texts of a document come together, in the order in which people read them.
    """
    documents, texts = t.documents.c, t.texts.c
    query = (
        sa.select(texts.document_key, texts.position, documents.document_id, texts.place, texts.text, documents.scope)
        .join(t.documents, (documents.tenant == texts.tenant) & (documents.document_key == texts.document_key))
        .where(texts.tenant == tenant, ~documents.deleted)
        .order_by(texts.document_key, texts.position)
        .limit(page)
    )
    rows = connection.execute(query).all()
    while rows:
        yield [ScannedText(*row[2:]) for row in rows]
        key, position = rows[-1][:2]
        # What indexes answer comes first, for both tables: without it each page reads all pages before it.
        from_here = (texts.document_key >= key) & (documents.document_key >= key)
        further = from_here & ((texts.document_key > key) | (texts.position > position))
        rows = connection.execute(query.where(further)).all()


def _of_documents(
    connection: sa.Connection, query: sa.Select[Any], table: sa.Table, tenant: str, document_ids: Collection[str]
) -> Iterator[sa.Row[Any]]:
    """Rows of a table that belong to documents; a document's rows come together."""
    for page in pages(document_ids):
        keys = [text_hash(document_id) for document_id in page]
        yield from connection.execute(
            query.where(table.c.tenant == tenant, among(connection, table.c.document_key, keys))
        )


def _entity(stored: str | None) -> Entity | None:
    return Entity.model_validate_json(stored) if stored is not None else None


def _json(principals: Collection[str]) -> str:
    return orjson.dumps(sorted(principals)).decode()


def _text(row: sa.Row[Any]) -> Text:
    return Text(
        row.place, row.chunk_id, row.role, row.text, Visibility(row.visibility), tuple(orjson.loads(row.principals))
    )
