"""Nodes and edges in SQL: what evidence amounts to, kept where all may see it and worked out for who may see less.

What belongs here: how rows of evidence make a node or an edge. What does not: how they are written
(`store_evidence.py`), and graphs in memory (`loading.py`).

Confidence is the noisy-or of the evidence: that not all of it is wrong. What one extractor found in one document counts
once, with its highest probability.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.bulk import PAGE, among, make_known, one_of
from sync_assets.graph.store_evidence import EdgeKey, Touched, visible
from sync_assets.paging import pages
from sync_assets.relations import EdgeKind, NodeKind
from sync_assets.vector_stores import Audience

_EXACT = 1e6  # confidence has six digits
# What certain evidence leaves of doubt: enough to add up logarithms, too little to be seen in a confidence.
_LEAST_DOUBT = 1e-12
# Logarithms are added up in billionths: sums of integers, unlike those of floats, do not depend on the order.
_BILLION = 1e9
# No confidence shows a smaller logarithm, and PostgreSQL refuses to take much smaller ones back.
_NO_DOUBT = -50.0
_NOTHING = {"name": "", "aliases": (), "scope": "", "facts": {}}
# Less the length of what is told, it has always the same number of digits; and so has this, less microseconds.
_SHORT = 9_999_999
_EVER, _NEVER = 500_000_000_000_000_000, -100_000_000_000_000_000
# Nodes or edges worked out in one query.
_PAGE = 5000


class NodeRow(NamedTuple):
    """A node.

    Attributes:
        confidence: (0, 1], to six digits.
        documents: how many have evidence of it.
        declared_by: document that stands for it.
    """

    node_id: str
    kind: NodeKind
    name: str
    aliases: tuple[str, ...]
    scope: str
    facts: dict[str, str]
    confidence: float
    documents: int
    declared_by: str | None


class EdgeRow(NamedTuple):
    """An edge between two nodes.

    Attributes:
        confidence: (0, 1], to six digits.
        documents: how many have evidence of it.
    """

    source: str
    kind: EdgeKind
    target: str
    confidence: float
    documents: int

    @property
    def key(self) -> EdgeKey:
        return self.source, self.kind, self.target


class Statistics(NamedTuple):
    """How much there is of a tenant: nodes and edges by kind, evidence by extractor, living documents."""

    nodes: dict[NodeKind, int]
    edges: dict[EdgeKind, int]
    evidence: dict[str, int]
    documents: int


def refresh(connection: sa.Connection, tenant: str, touched: Touched) -> set[str]:
    """Work nodes and edges out again whose evidence has changed; those without evidence go.

    Returns:
        Ids of nodes that came, went, or of which something else is told than before.
    """
    renamed: set[str] = set()
    if touched.nodes:
        make_known(connection, t.evidence)
    for page in pages(sorted(touched.nodes), _PAGE):
        renamed |= _refresh_nodes(connection, tenant, page)
    for page in pages(sorted(touched.edges), _PAGE):
        _refresh_edges(connection, tenant, page)
    return renamed


def nodes(connection: sa.Connection, tenant: str, audience: Audience | None = None) -> Iterator[NodeRow]:
    """Nodes by id, read in pages: those that the audience may see evidence of, as that evidence tells them.

    Args:
        audience: None for an operator, who sees all.
    """
    stored = t.nodes.c
    seen = visible(connection, tenant, audience)
    query = sa.select(t.nodes).where(stored.tenant == tenant).order_by(stored.node_id).limit(PAGE)
    rows = connection.execute(query).all()
    while rows:
        if audience is None:
            yield from map(_node, rows)
        else:
            amounts = _node_amounts(connection, tenant, [row.node_id for row in rows], seen)
            yield from map(_node, connection.execute(amounts.order_by(sa.column("node_id"))).all())
        rows = connection.execute(query.where(stored.node_id > rows[-1].node_id)).all()


def edges(connection: sa.Connection, tenant: str, audience: Audience | None = None) -> Iterator[EdgeRow]:
    """Edges by source, kind and target, read in pages: those that the audience may see evidence of.

    Args:
        audience: None for an operator, who sees all.
    """
    stored = t.edges.c
    seen = visible(connection, tenant, audience)
    query = (
        sa.select(t.edges)
        .where(stored.tenant == tenant)
        .order_by(stored.source_id, stored.kind, stored.target_id)
        .limit(PAGE)
    )
    rows = [_edge(row) for row in connection.execute(query)]
    while rows:
        yield from rows if audience is None else edges_of(connection, tenant, [row.key for row in rows], seen)
        source, kind, target = rows[-1].key
        # Not as a comparison of tuples, for which MySQL would read the index from its start.
        later = (stored.kind > kind.value) | ((stored.kind == kind.value) & (stored.target_id > target))
        further = (stored.source_id >= source) & ((stored.source_id > source) | later)
        rows = [_edge(row) for row in connection.execute(query.where(further))]


def nodes_of(
    connection: sa.Connection, tenant: str, node_ids: Collection[str], seen: sa.ColumnElement[bool]
) -> list[NodeRow]:
    """Those of some nodes of which evidence is seen, as that evidence tells them."""
    return [_node(row) for row in connection.execute(_node_amounts(connection, tenant, node_ids, seen))]


def edges_of(
    connection: sa.Connection, tenant: str, keys: Collection[EdgeKey], seen: sa.ColumnElement[bool]
) -> list[EdgeRow]:
    """Those of some edges of which evidence is seen, as that evidence tells them, in the order of the keys."""
    found = {row.key: row for row in map(_edge, connection.execute(_edge_amounts(connection, tenant, keys, seen)))}
    return [found[key] for key in keys if key in found]


def statistics(connection: sa.Connection, tenant: str) -> Statistics:
    """How much there is of a tenant."""
    living = sa.select(sa.func.count()).where(t.documents.c.tenant == tenant, ~t.documents.c.deleted)
    return Statistics(
        {NodeKind(kind): count for kind, count in _counts(connection, tenant, t.nodes.c.kind)},
        {EdgeKind(kind): count for kind, count in _counts(connection, tenant, t.edges.c.kind)},
        dict(_counts(connection, tenant, t.evidence.c.extractor)),
        connection.scalar(living) or 0,
    )


def _refresh_nodes(connection: sa.Connection, tenant: str, node_ids: list[str]) -> set[str]:
    before = _told(connection, tenant, node_ids)
    if before:
        connection.execute(sa.delete(t.nodes).where(_among_nodes(connection, tenant, before)))
    amounts = _node_amounts(connection, tenant, node_ids, sa.true())
    connection.execute(sa.insert(t.nodes).from_select(t.nodes.columns.keys(), amounts))
    now = _told(connection, tenant, before)
    return {node_id for node_id in node_ids if node_id not in now or before[node_id] != now[node_id]}


def _refresh_edges(connection: sa.Connection, tenant: str, keys: list[EdgeKey]) -> None:
    """Those between any of their sources and any of their targets too: that costs less than to leave them out."""
    connection.execute(sa.delete(t.edges).where(_between(connection, tenant, keys, t.edges)))
    amounts = _edge_amounts(connection, tenant, keys, sa.true())
    connection.execute(sa.insert(t.edges).from_select(t.edges.columns.keys(), amounts))


def _told(connection: sa.Connection, tenant: str, node_ids: Collection[str]) -> dict[str, str | None]:
    """What is told of nodes that are there, by id."""
    if not node_ids:
        return {}
    query = sa.select(t.nodes.c.node_id, t.nodes.c.entity).where(_among_nodes(connection, tenant, node_ids))
    return {row[0]: row[1] for row in connection.execute(query).all()}


def _among_nodes(connection: sa.Connection, tenant: str, node_ids: Collection[str]) -> sa.ColumnElement[bool]:
    return (t.nodes.c.tenant == tenant) & among(connection, t.nodes.c.node_id, node_ids)


def _between(
    connection: sa.Connection, tenant: str, keys: Collection[EdgeKey], table: sa.Table
) -> sa.ColumnElement[bool]:
    """That a row is of an edge between one of the sources and one of the targets."""
    return sa.and_(
        table.c.tenant == tenant,
        among(connection, table.c.source_id, {source for source, _, _ in keys}),
        one_of(connection, table.c.target_id, {target for _, _, target in keys}),
    )


def _node_amounts(
    connection: sa.Connection, tenant: str, node_ids: Collection[str], seen: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """Nodes as the evidence tells them that is seen, as rows of the table; those without any are left out.

    What tells best ranks lowest: the document's own entity, then the record that changed last, then the smallest
    document id, then the longest telling. Document ids are escaped and have no spaces.
    """
    ends = _ends(connection, tenant, node_ids, seen).subquery().c
    own = ends.edge.is_(None)
    length = sa.cast(_SHORT - sa.func.octet_length(ends.entity), sa.String(len(str(_SHORT))))
    age = sa.cast(_EVER - sa.func.coalesce(ends.told_at, _NEVER), sa.String(len(str(_EVER))))
    rank = sa.case((own, "0"), else_="1") + age + ends.document_id + " " + length + " "
    by_extractor = (
        sa.select(
            ends.node_id,
            ends.document_key,
            _doubt(ends.probability),
            sa.func.min(sa.case((own, ends.document_id))).label("declared_by"),
            sa.func.min(rank + ends.entity).label("told"),
        )
        .group_by(ends.node_id, ends.document_key, ends.extractor)
        .subquery()
    )
    found = _summed(by_extractor, "node_id", least=("declared_by", "told")).subquery().c
    stored = t.nodes.c
    kind = sa.func.substr(found.node_id, 1, _position(":", found.node_id) - 1, type_=stored.kind.type)
    entity = sa.func.substr(found.told, _position(" ", found.told) + len(f" {_SHORT} "), type_=stored.entity.type)
    return sa.select(
        sa.literal(tenant, stored.tenant.type).label("tenant"),
        found.node_id,
        kind.label("kind"),
        entity.label("entity"),
        _confidence(found.doubt),
        found.documents,
        found.declared_by,
    )


def _ends(
    connection: sa.Connection, tenant: str, node_ids: Collection[str], seen: sa.ColumnElement[bool]
) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """Evidence that names nodes, once for each end that is one of them, with what it says of that end."""
    stored = t.evidence.c
    ends = ((stored.source_id, stored.source_entity), (stored.target_id, stored.target_entity))
    shared = (
        stored.document_key,
        stored.document_id,
        stored.extractor,
        stored.probability,
        stored.edge,
        stored.told_at,
    )
    return sa.union_all(
        *(
            sa.select(end.label("node_id"), entity.label("entity"), *shared).where(
                stored.tenant == tenant, among(connection, end, node_ids), seen
            )
            for end, entity in ends
        )
    )


def _edge_amounts(
    connection: sa.Connection, tenant: str, keys: Collection[EdgeKey], seen: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """Edges as the evidence tells them that is seen, as rows of the table: all `_between` those that are asked for."""
    stored = t.evidence.c
    edge = (stored.source_id, stored.edge, stored.target_id)
    by_extractor = (
        sa.select(*edge, stored.document_key, _doubt(stored.probability))
        .where(_between(connection, tenant, keys, t.evidence), seen)
        .group_by(*edge, stored.document_key, stored.extractor)
        .subquery()
    )
    found = _summed(by_extractor, "source_id", "edge", "target_id").subquery().c
    return sa.select(
        sa.literal(tenant, t.edges.c.tenant.type).label("tenant"),
        found.source_id,
        found.edge.label("kind"),
        found.target_id,
        _confidence(found.doubt),
        found.documents,
    )


def _doubt(probability: sa.ColumnElement[float]) -> sa.Label[int]:
    """Logarithm of the probability that the likeliest of a group is wrong, in billionths."""
    wrong = sa.func.greatest(1.0 - sa.func.max(probability), _LEAST_DOUBT)
    return sa.cast(sa.func.round(sa.func.ln(wrong) * _BILLION), sa.BigInteger).label("doubt")


def _summed(by_extractor: sa.Subquery, *key: str, least: tuple[str, ...] = ()) -> sa.Select[*tuple[Any, ...]]:
    """What extractors found in documents, added up by `key`: doubt and documents, and the least of other columns."""
    rows = by_extractor.c
    return sa.select(
        *(rows[name] for name in key),
        sa.func.sum(rows.doubt).label("doubt"),
        sa.func.count(rows.document_key.distinct()).label("documents"),
        *(sa.func.min(rows[name]).label(name) for name in least),
    ).group_by(*(rows[name] for name in key))


def _confidence(doubt: sa.ColumnElement[Any]) -> sa.Label[float]:
    """Rounded with operations that all databases do alike."""
    certain = 1.0 - sa.func.exp(sa.func.greatest(sa.cast(doubt, sa.Double) / _BILLION, _NO_DOUBT))
    return (sa.func.floor(certain * _EXACT + 0.5) / _EXACT).label("confidence")


def _position(part: str, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Place of the first such part, from 1."""
    return sa.func.position(sa.literal(part).op("IN")(text), type_=sa.Integer)


def _counts(connection: sa.Connection, tenant: str, column: sa.Column[Any]) -> list[tuple[str, int]]:
    query = sa.select(column, sa.func.count()).where(column.table.c.tenant == tenant)
    return [(value, count) for value, count in connection.execute(query.group_by(column).order_by(column))]


def _node(row: sa.Row[Any]) -> NodeRow:
    says = orjson.loads(row.entity) if row.entity is not None else _NOTHING
    told = (says["name"], tuple(says["aliases"]), says["scope"], says["facts"])
    return NodeRow(row.node_id, NodeKind(row.kind), *told, row.confidence, row.documents, row.declared_by)


def _edge(row: sa.Row[Any]) -> EdgeRow:
    return EdgeRow(row.source_id, EdgeKind(row.kind), row.target_id, row.confidence, row.documents)
