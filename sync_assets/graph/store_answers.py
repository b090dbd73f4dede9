"""Which documents answer what a resolved ticket asks, as relations tell it, in SQL.

What belongs here: relations between documents that were told by a record's field, or in words that leave no doubt. What
is alike by its vectors is none of them: searches could not be measured by that. What questions are made of it is
decided in `golden/mining.py`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from sync_assets.documents import Visibility
from sync_assets.graph import tables as t
from sync_assets.graph.bulk import among
from sync_assets.hashing import text_hash
from sync_assets.paging import pages
from sync_assets.relations import EdgeKind, Entity, NodeKind

# From the question to its answer, but for a fix, which names what it fixes.
_ANSWERS = (EdgeKind.DOCUMENTED_IN, EdgeKind.RESOLVED_BY, EdgeKind.DUPLICATE_OF, EdgeKind.FIXES)
_READ = frozenset({NodeKind.ARTICLE, NodeKind.TICKET, NodeKind.MERGE_REQUEST, NodeKind.COMMIT})
_SURE = 0.9


class Answered(NamedTuple):
    """A resolved ticket, a document that answers it, and the relation that says so."""

    ticket: str
    title: str
    answer: str
    relation: EdgeKind


class _Document(NamedTuple):
    document_id: str
    entity: Entity
    is_resolved: bool


def answered(connection: sa.Connection, tenant: str, most: int) -> list[Answered]:
    """What answers the resolved tickets of a tenant, in a steady order; nothing that is restricted to some people.

    Args:
        most: relations that are looked at, always the same ones of more.
    """
    stored = t.evidence.c
    query = (
        sa.select(stored.source_id, stored.edge, stored.target_id)
        .where(
            stored.tenant == tenant,
            stored.edge.in_([kind.value for kind in _ANSWERS]),
            stored.probability >= _SURE,
            stored.visibility != Visibility.RESTRICTED.value,
        )
        .order_by(stored.document_key, stored.evidence_id)
        .limit(most)
    )
    rows = [(source, EdgeKind(edge), target) for source, edge, target in connection.execute(query)]
    pairs = {
        (target, source, edge) if edge is EdgeKind.FIXES else (source, target, edge) for source, edge, target in rows
    }
    known = _documents(connection, tenant, {end for asked, answer, _ in pairs for end in (asked, answer)})
    found = set[Answered]()
    for asked, answer, edge in pairs:
        ticket, document = known.get(asked), known.get(answer)
        if ticket is None or document is None or not ticket.is_resolved:
            continue
        if ticket.entity.kind is NodeKind.TICKET and document.entity.kind in _READ:
            found.add(Answered(ticket.document_id, ticket.entity.name, document.document_id, edge))
    return sorted(found)


def _documents(connection: sa.Connection, tenant: str, node_ids: Iterable[str]) -> dict[str, _Document]:
    """The living documents that stand for nodes, by node id."""
    nodes, documents = t.nodes.c, t.documents.c
    stands: dict[str, str] = {}
    for page in pages(sorted(node_ids)):
        query = sa.select(nodes.node_id, nodes.declared_by).where(
            nodes.tenant == tenant, among(connection, nodes.node_id, page), nodes.declared_by.is_not(None)
        )
        stands |= {text_hash(row.declared_by): row.node_id for row in connection.execute(query)}
    found: dict[str, _Document] = {}
    for page in pages(sorted(stands)):
        query = sa.select(t.documents).where(
            documents.tenant == tenant,
            among(connection, documents.document_key, page),
            ~documents.deleted,
            documents.entity.is_not(None),
            documents.visibility != Visibility.RESTRICTED.value,
        )
        for row in connection.execute(query):
            entity = Entity.model_validate_json(row.entity)
            found[stands[row.document_key]] = _Document(row.document_id, entity, row.is_resolved)
    return found
