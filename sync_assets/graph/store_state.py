"""What is derived or decided about whole nodes, in SQL: merges, people's decisions, vectors and their neighbours.

What belongs here: rows as `resolution.py` and `similarity.py` make them. What does not: how they make them.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import orjson
import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.bulk import PAGE, among, upsert
from sync_assets.hashing import text_hash
from sync_assets.paging import pages


class Merge(NamedTuple):
    """A node that is the same as another one, which stands for both.

    Attributes:
        score: how alike they are, 0..1.
        reason: for people.
    """

    node_id: str
    canonical_id: str
    score: float
    reason: str


class Decision(NamedTuple):
    """What a person decided of two nodes, in whatever order."""

    first_id: str
    second_id: str
    decision: Literal["same", "different"]
    note: str
    decided_at: datetime


class VectorRow(NamedTuple):
    """The vector of a document, and the nodes nearest to it.

    Attributes:
        content_digest: of what the vector was made of; empty where something of that was missing.
        vector: float32, little endian.
        neighbours: node ids with their similarity, the nearest first.
    """

    document_id: str
    node_id: str
    content_digest: str
    vector: bytes
    neighbours: list[tuple[str, float]]


def merges(connection: sa.Connection, tenant: str) -> list[Merge]:
    """The merges of a tenant, by node id."""
    stored = t.merges.c
    query = sa.select(stored.node_id, stored.canonical_id, stored.score, stored.reason).where(stored.tenant == tenant)
    return [Merge(*row) for row in connection.execute(query.order_by(stored.node_id))]


def replace_merges(connection: sa.Connection, tenant: str, rows: Sequence[Merge]) -> int:
    """Keep these merges in place of all that a tenant has; returns how many came, went or changed."""
    before = {row.node_id: row for row in merges(connection, tenant)}
    gone = sorted(before.keys() - {row.node_id for row in rows})
    new = [row for row in rows if before.get(row.node_id) != row]
    for page in pages(gone):
        connection.execute(
            sa.delete(t.merges).where(t.merges.c.tenant == tenant, among(connection, t.merges.c.node_id, page))
        )
    upsert(connection, t.merges, [(tenant, *row) for row in new])
    return len(gone) + len(new)


def decisions(connection: sa.Connection, tenant: str) -> list[Decision]:
    """People's decisions, by node ids; the smaller id comes first in each."""
    stored = t.decisions.c
    query = sa.select(stored.first_id, stored.second_id, stored.decision, stored.note, stored.decided_at).where(
        stored.tenant == tenant
    )
    return [Decision(*row) for row in connection.execute(query.order_by(stored.first_id, stored.second_id))]


def pin(connection: sa.Connection, tenant: str, decision: Decision) -> None:
    """Keep a decision, in place of an earlier one of the same two nodes."""
    first, second = sorted((decision.first_id, decision.second_id))
    upsert(connection, t.decisions, [(tenant, first, second, *decision[2:])])


def unpin(connection: sa.Connection, tenant: str, first_id: str, second_id: str) -> bool:
    """Drop the decision of two nodes; returns whether there was one."""
    stored = t.decisions.c
    first, second = sorted((first_id, second_id))
    these = (stored.tenant == tenant) & (stored.first_id == first) & (stored.second_id == second)
    return connection.execute(sa.delete(t.decisions).where(these)).rowcount > 0


def vectors(connection: sa.Connection, tenant: str, space: str) -> Iterator[VectorRow]:
    """The vectors of a tenant's documents in one space, read in pages, in a steady order."""
    stored = t.vectors.c
    query = (
        sa.select(t.vectors)
        .where(stored.tenant == tenant, stored.space == space)
        .order_by(stored.document_key)
        .limit(PAGE)
    )
    rows = connection.execute(query).all()
    while rows:
        for row in rows:
            neighbours = [(node_id, score) for node_id, score in orjson.loads(row.neighbours)]
            yield VectorRow(row.document_id, row.node_id, row.content_digest, row.vector, neighbours)
        rows = connection.execute(query.where(stored.document_key > rows[-1].document_key)).all()


def put_vectors(connection: sa.Connection, tenant: str, space: str, rows: Sequence[VectorRow]) -> None:
    """Keep vectors with their neighbours, in place of those of the same documents and space."""
    upsert(
        connection,
        t.vectors,
        [
            (
                tenant,
                space,
                text_hash(row.document_id),
                row.document_id,
                row.node_id,
                row.content_digest,
                row.vector,
                orjson.dumps(row.neighbours).decode(),
            )
            for row in rows
        ],
    )


def delete_vectors(
    connection: sa.Connection, tenant: str, document_ids: Collection[str], space: str | None = None
) -> None:
    """Drop the vectors of documents in one space; None for all."""
    stored = t.vectors.c
    within = stored.space == space if space is not None else sa.true()
    for page in pages(document_ids):
        keys = [text_hash(document_id) for document_id in page]
        connection.execute(
            sa.delete(t.vectors).where(stored.tenant == tenant, within, among(connection, stored.document_key, keys))
        )


def keep_spaces(connection: sa.Connection, tenant: str, spaces: Collection[str]) -> None:
    """Drop the vectors of a tenant in all other spaces."""
    stored = t.vectors.c
    connection.execute(sa.delete(t.vectors).where(stored.tenant == tenant, stored.space.not_in(spaces)))
