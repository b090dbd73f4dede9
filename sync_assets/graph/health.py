"""Whether a tenant's tables hold together: what a fault of the code, or a hand in the database, would leave behind.

What belongs here: questions to the tables, after which all is as it was. What does not: mending (`applying.rebuild`).
"""

from collections import Counter
from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_evidence import EdgeKey, Touched
from sync_assets.graph.store_nodes import refresh
from sync_assets.relations import EdgeKind

_SAMPLES = 20
# An outlier has so many times the edges that half of the nodes of its kind have at most, and so many at least.
_TIMES, _LEAST_DEGREE = 20, 200
# Nodes, and edges, that are worked out again.
_CHECKED = 500


class Finding(NamedTuple):
    """What is not as it should be: how many, and the first of them, for people."""

    number: int
    samples: list[str]


class Health(NamedTuple):
    """The state of a tenant's tables. All but `degree_outliers` are faults.

    Attributes:
        dangling_edges: edges one end of which is no node.
        evidence_without_document: evidence of documents that the graph does not have, or that were deleted.
        evidence_without_text: evidence found in texts that are not there any more.
        confidence: nodes, edges and evidence whose confidence is not in (0, 1].
        stale: nodes and edges that differ from what their evidence amounts to, of a sample of each.
        degree_outliers: nodes with far more edges than others of their kind.
    """

    dangling_edges: Finding
    evidence_without_document: Finding
    evidence_without_text: Finding
    confidence: Finding
    stale: Finding
    degree_outliers: Finding


def health(store: GraphStore, tenant: str) -> Health:
    """Look through a tenant's tables; nothing is changed.

    Raises:
        GraphError: the database is out of reach.
    """
    with store.lock(tenant), store.transaction() as connection:
        return Health(
            dangling_edges=_dangling_edges(connection, tenant),
            evidence_without_document=_without_document(connection, tenant),
            evidence_without_text=_without_text(connection, tenant),
            confidence=_confidence(connection, tenant),
            stale=_stale(connection, tenant),
            degree_outliers=_degree_outliers(connection, tenant),
        )


def _dangling_edges(connection: sa.Connection, tenant: str) -> Finding:
    edge, node = t.edges.c, t.nodes.c

    def is_missing(end: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return ~sa.exists().where(node.tenant == tenant, node.node_id == end)

    condition = (edge.tenant == tenant) & (is_missing(edge.source_id) | is_missing(edge.target_id))
    return _finding(connection, condition, edge.source_id, edge.kind, edge.target_id)


def _without_document(connection: sa.Connection, tenant: str) -> Finding:
    row, document = t.evidence.c, t.documents.c
    is_living = sa.exists().where(
        document.tenant == tenant, document.document_key == row.document_key, ~document.deleted
    )
    return _finding(connection, (row.tenant == tenant) & ~is_living, row.document_id, row.extractor, row.source_id)


def _without_text(connection: sa.Connection, tenant: str) -> Finding:
    row, text = t.evidence.c, t.texts.c
    is_there = sa.exists().where(
        text.tenant == tenant,
        text.document_key == row.document_key,
        text.place == row.place,
        text.chunk_id.is_not_distinct_from(row.chunk_id),
        sa.func.char_length(text.text) >= row.span_end,
    )
    condition = (row.tenant == tenant) & row.span_end.is_not(None) & ~is_there
    return _finding(connection, condition, row.document_id, row.place, row.extractor)


def _confidence(connection: sa.Connection, tenant: str) -> Finding:
    node, edge, row = t.nodes.c, t.edges.c, t.evidence.c
    findings = [
        _finding(connection, (value.table.c.tenant == tenant) & ~((value > 0) & (value <= 1)), *shown, value)
        for value, shown in (
            (node.confidence, (node.node_id,)),
            (edge.confidence, (edge.source_id, edge.kind, edge.target_id)),
            (row.probability, (row.document_id, row.extractor, row.source_id)),
        )
    ]
    samples = [sample for found in findings for sample in found.samples]
    return Finding(sum(found.number for found in findings), samples[:_SAMPLES])


def _stale(connection: sa.Connection, tenant: str) -> Finding:
    """Work a sample out again, compare, and roll back."""
    touched = Touched(_sampled_nodes(connection, tenant), _sampled_edges(connection, tenant))
    before = _rows(connection, tenant, touched)
    attempt = connection.begin_nested()
    refresh(connection, tenant, touched)
    after = _rows(connection, tenant, touched)
    attempt.rollback()
    different = sorted(" ".join(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return Finding(len(different), different[:_SAMPLES])


def _sampled_nodes(connection: sa.Connection, tenant: str) -> set[str]:
    """Nodes from here and there in the evidence: what lacks its row is stale as well."""
    row = t.evidence.c
    named = sa.select(row.source_id, row.target_id).where(row.tenant == tenant)
    ends = connection.execute(named.order_by(row.evidence_id).limit(_CHECKED))
    node = t.nodes.c
    stored = sa.select(node.node_id).where(node.tenant == tenant).order_by(sa.func.md5(node.node_id)).limit(_CHECKED)
    return {*connection.scalars(stored), *(end for pair in ends for end in pair if end is not None)}


def _sampled_edges(connection: sa.Connection, tenant: str) -> set[EdgeKey]:
    row, edge = t.evidence.c, t.edges.c
    of_edge = sa.select(row.source_id, row.edge, row.target_id).where(row.tenant == tenant, row.edge.is_not(None))
    stored = sa.select(edge.source_id, edge.kind, edge.target_id).where(edge.tenant == tenant)
    mixed = sa.func.md5(edge.source_id.concat(edge.target_id))
    queries = of_edge.order_by(row.evidence_id).limit(_CHECKED), stored.order_by(mixed).limit(_CHECKED)
    return {(source, EdgeKind(kind), target) for query in queries for source, kind, target in connection.execute(query)}


def _rows(connection: sa.Connection, tenant: str, touched: Touched) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Rows of nodes and edges, by their ids."""
    node, edge = t.nodes.c, t.edges.c
    nodes = sa.select(t.nodes).where(node.tenant == tenant, node.node_id.in_(touched.nodes))
    edges = sa.select(t.edges).where(
        edge.tenant == tenant, sa.tuple_(edge.source_id, edge.kind, edge.target_id).in_(touched.edges)
    )
    found: dict[tuple[str, ...], tuple[Any, ...]] = {(row.node_id,): tuple(row) for row in connection.execute(nodes)}
    return found | {(row.source_id, row.kind, row.target_id): tuple(row) for row in connection.execute(edges)}


def _degree_outliers(connection: sa.Connection, tenant: str) -> Finding:
    edge, node = t.edges.c, t.nodes.c
    ends = sa.union_all(
        *(sa.select(end.label("node_id")).where(edge.tenant == tenant) for end in (edge.source_id, edge.target_id))
    ).subquery()
    degrees = sa.select(ends.c.node_id, sa.func.count().label("degree")).group_by(ends.c.node_id).subquery()
    joined = (
        sa.select(node.kind, degrees.c.degree, node.node_id)
        .select_from(t.nodes.join(degrees, node.node_id == degrees.c.node_id))
        .where(node.tenant == tenant)
        .subquery()
    ).c
    counts: dict[str, Counter[int]] = {}
    for kind, degree, count in connection.execute(
        sa.select(joined.kind, joined.degree, sa.func.count()).group_by(joined.kind, joined.degree)
    ):
        counts.setdefault(kind, Counter())[degree] = count
    limits = {kind: max(_LEAST_DEGREE, _TIMES * median(count.elements())) for kind, count in counts.items()}
    too_many = sa.or_(sa.false(), *((joined.kind == kind) & (joined.degree >= limit) for kind, limit in limits.items()))
    rows = connection.execute(
        sa.select(joined.node_id, joined.degree).where(too_many).order_by(joined.degree.desc(), joined.node_id)
    ).all()
    # Ids alone: what a node is called may not be for everybody who sees the checks.
    return Finding(len(rows), [f"{node_id}: {degree} edges" for node_id, degree in rows[:_SAMPLES]])


def _finding(connection: sa.Connection, condition: sa.ColumnElement[bool], *shown: sa.Column[Any]) -> Finding:
    """Rows of which a condition is true."""
    count = connection.scalar(sa.select(sa.func.count()).select_from(shown[0].table).where(condition)) or 0
    rows = connection.execute(sa.select(*shown).where(condition).order_by(*shown).limit(_SAMPLES)) if count else ()
    return Finding(count, [" ".join(map(str, row)) for row in rows])
