"""Evidence in SQL: written by difference, so that what stays as it was is neither written nor touched.

What belongs here: rows of evidence, and which nodes and edges their changes touch. What does not: what evidence amounts
to (`store_nodes.py`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from sync_assets.documents import Visibility
from sync_assets.graph import tables as t
from sync_assets.graph.bulk import Row, among, insert, upsert
from sync_assets.graph.evidence import Evidence
from sync_assets.hashing import digest, text_hash
from sync_assets.paging import pages
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.vector_stores import Audience

# Source node, kind, target node.
EdgeKey = tuple[str, EdgeKind, str]

# Values of the words that rows are told in: an enumeration takes long to give them, and is asked for each row.
_KINDS = {kind.value: kind for kind in EdgeKind}
_VALUES = {word: word.value for word in (*EdgeKind, *Visibility)}
_FIELDS, _SIMILARITY = "fields/", "similarity/"
_COLUMNS = {name: number for number, name in enumerate(t.evidence.columns.keys())}
_DOCUMENT, _ID, _SOURCE, _EDGE, _TARGET = (
    _COLUMNS[name] for name in ("document_key", "evidence_id", "source_id", "edge", "target_id")
)
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class Touched(NamedTuple):
    """Nodes and edges whose evidence has changed."""

    nodes: set[str]
    edges: set[EdgeKey]

    def update(self, other: "Touched") -> None:
        """Add what another change has touched."""
        self.nodes.update(other.nodes)
        self.edges.update(other.edges)

    def add(self, row: Row) -> None:
        """Add what a row of evidence names."""
        source, edge, target = row[_SOURCE], row[_EDGE], row[_TARGET]
        self.nodes.add(source)
        if edge is not None:
            self.nodes.add(target)
            self.edges.add((source, _KINDS[edge], target))


def replace_evidence(
    connection: sa.Connection,
    tenant: str,
    document_ids: Collection[str],
    rows: Sequence[Evidence],
    keep_fields: bool = False,
) -> Touched:
    """Keep these rows of evidence of documents, in place of all that is kept of them but their similarity.

    Args:
        rows: of these documents only. Where two say the same from the same place, the likelier one counts.
        keep_fields: `rows` hold what texts say; what fields say is left as it is.

    Returns:
        What rows name that came, went or changed.
    """
    stored = t.evidence.c
    replaced = ~stored.extractor.startswith(_SIMILARITY)
    if keep_fields:
        replaced &= ~stored.extractor.startswith(_FIELDS)
    before = chain.from_iterable(
        connection.execute(
            sa.select(t.evidence).where(
                stored.tenant == tenant,
                among(connection, stored.document_key, [text_hash(document_id) for document_id in page]),
                replaced,
            )
        ).all()
        for page in pages(document_ids)
    )
    return _write_difference(connection, tenant, before, rows)


def replace_similarity(
    connection: sa.Connection, tenant: str, node_ids: Collection[str] | None, rows: Sequence[Evidence]
) -> Touched:
    """Keep these rows of similarity, in place of all that names one of these nodes at either end.

    Args:
        node_ids: None for all nodes of the tenant.
        rows: each names one of these nodes; none, where the nodes' documents are gone.

    Returns:
        What rows name that came, went or changed.
    """
    stored = t.evidence.c
    of_similarity = sa.select(t.evidence).where(stored.tenant == tenant, stored.extractor.startswith(_SIMILARITY))
    if node_ids is None:
        return _write_difference(connection, tenant, connection.execute(of_similarity), rows)
    before = chain.from_iterable(
        connection.execute(of_similarity.where(among(connection, end, page))).all()
        for page in pages(node_ids)
        for end in (stored.source_id, stored.target_id)
    )
    return _write_difference(connection, tenant, before, rows)


def evidence_of_node(
    connection: sa.Connection, tenant: str, node_id: str, audience: Audience | None, limit: int = 100
) -> list[Evidence]:
    """The likeliest evidence that names a node, of what the audience may see; None for an operator, who sees all."""
    stored = t.evidence.c
    return _shown(connection, tenant, (stored.source_id == node_id) | (stored.target_id == node_id), audience, limit)


def evidence_of_edge(
    connection: sa.Connection, tenant: str, edge: EdgeKey, audience: Audience | None, limit: int = 100
) -> list[Evidence]:
    """The likeliest evidence of an edge, of what the audience may see; None for an operator, who sees all."""
    stored = t.evidence.c
    source, kind, target = edge
    of_edge = (stored.source_id == source) & (stored.edge == kind.value) & (stored.target_id == target)
    return _shown(connection, tenant, of_edge, audience, limit)


def visible(connection: sa.Connection, tenant: str, audience: Audience | None) -> sa.ColumnElement[bool]:
    """Which evidence of a tenant an audience may see, for queries; None for an operator, who sees all."""
    if audience is None:
        return sa.true()
    stored = t.evidence.c
    restricted = stored.visibility == Visibility.RESTRICTED.value
    open_to_all = [Visibility.PUBLIC.value]
    if audience.visibility is Visibility.INTERNAL:
        open_to_all.append(Visibility.INTERNAL.value)
    circles = connection.scalars(sa.select(stored.principals).distinct().where(stored.tenant == tenant, restricted))
    shared = [circle for circle in circles if not audience.principals.isdisjoint(orjson.loads(circle))]
    return stored.visibility.in_(open_to_all) | (restricted & stored.principals.in_(shared))


def _write_difference(
    connection: sa.Connection, tenant: str, before: Iterable[sa.Row[Any]], rows: Sequence[Evidence]
) -> Touched:
    """Bring rows that are stored in line with evidence.

    Args:
        before: may have a row twice.
    """
    stored = {row[_ID]: tuple(row) for row in before}
    touched = Touched(set(), set())
    met: set[str] = set()
    changed: list[Row] = []

    def new() -> Iterator[Row]:
        for row in _wanted(tenant, rows):
            if row[_ID] in met:
                continue
            met.add(row[_ID])
            before = stored.get(row[_ID])
            if before is None:
                touched.add(row)
                yield row
            elif before != row:
                touched.add(row)
                changed.append(row)

    # Nobody else writes a tenant's rows while its lock is held.
    insert(connection, t.evidence, new())
    upsert(connection, t.evidence, changed)
    for page in pages(row for evidence_id, row in stored.items() if evidence_id not in met):
        documents, ids = {row[_DOCUMENT] for row in page}, [row[_ID] for row in page]
        columns = t.evidence.c
        these = among(connection, columns.document_key, documents) & among(connection, columns.evidence_id, ids)
        connection.execute(sa.delete(t.evidence).where(columns.tenant == tenant, these))
        for row in page:
            touched.add(row)
    return touched


def _wanted(tenant: str, rows: Sequence[Evidence]) -> Iterator[Row]:
    """Rows of the table, the likeliest first."""
    said = _Said()
    for row in sorted(rows, key=lambda row: row.probability, reverse=True):
        yield _values(tenant, row, said)


def _values(tenant: str, row: Evidence, said: "_Said") -> Row:
    source_id, source_says = said.of(row.source)
    target_id, target_says = said.of(row.target) if row.target is not None else (None, None)
    edge = _VALUES[row.edge] if row.edge is not None else None
    readers = (_VALUES[row.visibility], said.json(row.principals))
    # One record may tell the same in two fields, of which not everybody may see both.
    identity = [row.document_id, row.place, row.span, row.extractor, source_id, edge, target_id, *readers]
    start, end = row.span or (None, None)
    return (
        tenant,
        said.hash(row.document_id),
        digest(identity),
        row.document_id,
        row.place,
        row.chunk_id,
        start,
        end,
        row.extractor,
        row.probability,
        source_id,
        edge,
        target_id,
        source_says,
        target_says,
        *readers,
        said.when(row.told_at) if source_says or target_says else None,
    )


class _Said:
    """What many rows share, which is worked out once."""

    def __init__(self) -> None:
        # With the entity, which keeps its id for as long.
        self._known: dict[int, tuple[Entity, tuple[str, str | None]]] = {}
        self.hash = cache(text_hash)
        self.json = cache(_json)
        self.when = cache(_microseconds)

    def of(self, entity: Entity) -> tuple[str, str | None]:
        """Node id, and the entity as JSON; None where it says no more than the id."""
        known = self._known.get(id(entity))
        if known is None:
            says = entity.name or entity.aliases or entity.facts or entity.scope
            told = orjson.dumps(vars(entity)).decode() if says else None
            known = self._known[id(entity)] = (entity, (entity.node_id, told))
        return known[1]


def _json(principals: tuple[str, ...]) -> str:
    return orjson.dumps(sorted(principals)).decode()


def _microseconds(moment: datetime | None) -> int | None:
    return (moment - _EPOCH) // _MICROSECOND if moment is not None else None


def _shown(
    connection: sa.Connection,
    tenant: str,
    condition: sa.ColumnElement[bool],
    audience: Audience | None,
    limit: int,
) -> list[Evidence]:
    stored = t.evidence.c
    query = (
        sa.select(t.evidence)
        .where(stored.tenant == tenant, condition, visible(connection, tenant, audience))
        .order_by(stored.probability.desc(), stored.document_id, stored.evidence_id)
        .limit(limit)
    )
    return [_evidence(row) for row in connection.execute(query)]


def _evidence(row: sa.Row[Any]) -> Evidence:
    return Evidence(
        row.document_id,
        row.place,
        row.chunk_id,
        (row.span_start, row.span_end) if row.span_start is not None else None,
        row.extractor,
        row.probability,
        _entity(row.source_id, row.source_entity),
        EdgeKind(row.edge) if row.edge is not None else None,
        _entity(row.target_id, row.target_entity) if row.target_id is not None else None,
        Visibility(row.visibility),
        tuple(orjson.loads(row.principals)),
        _EPOCH + row.told_at * _MICROSECOND if row.told_at is not None else None,
    )


def _entity(node_id: str, stored: str | None) -> Entity:
    """The entity of a node as evidence tells it."""
    if stored is not None:
        return Entity.model_validate_json(stored)
    kind, _, key = node_id.partition(":")
    return Entity(kind=NodeKind(kind), key=key)
