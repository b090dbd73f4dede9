"""The knowledge graph: all that is there because of documents, and what people decided of their nodes.

A node that other documents speak of stays, with what those say of it.
"""

from collections.abc import Collection, Iterator
from datetime import timedelta

import orjson
import sqlalchemy as sa

from sync_assets.clock import utc_now
from sync_assets.documents import Version
from sync_assets.forgetting.place import Documents, Place
from sync_assets.graph import tables as t
from sync_assets.graph.applying import Change, apply_changes, settle
from sync_assets.graph.bulk import among
from sync_assets.graph.store_documents import KnownDocument, known_documents
from sync_assets.hashing import text_hash
from sync_assets.ledger import StreamRef
from sync_assets.services import Services

_BY_KEY = (t.texts, t.evidence, t.vectors, t.documents)


def documents_in_graph(services: Services, documents: Documents) -> Place:
    """Counts rows: documents, texts, evidence, vectors, and nodes that they stand for."""
    tenant, keys = documents.tenant, [text_hash(one) for one in documents.ids]

    def count() -> int:
        with services.graph.transaction() as connection:
            return sum(
                connection.scalar(sa.select(sa.func.count()).select_from(table).where(condition)) or 0
                for table, condition in conditions(connection)
            )

    def conditions(connection: sa.Connection) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
        for table in _BY_KEY:
            yield table, (table.c.tenant == tenant) & among(connection, table.c.document_key, keys)
        yield t.nodes, (t.nodes.c.tenant == tenant) & among(connection, t.nodes.c.declared_by, documents.ids)

    def erase() -> None:
        if not count():
            return
        with services.graph.transaction() as connection:
            known = known_documents(connection, tenant, documents.ids)
        _forget_decisions(services, tenant, [one.entity.node_id for one in known.values() if one.entity])
        _delete(services, documents, known)
        # Names that went with them are looked for once more, and only then leave the table of names.
        settle(services.graph, services.extractor, tenant)
        with services.graph.lock(tenant), services.graph.transaction() as connection:
            for table, condition in conditions(connection):
                if table is not t.nodes:
                    connection.execute(sa.delete(table).where(condition))

    return Place("graph", count, erase)


def tenant_in_graph(services: Services, tenant: str) -> Place:
    """All rows of a tenant, what people decided too."""

    def count() -> int:
        with services.graph.transaction() as connection:
            return sum(
                connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.tenant == tenant)) or 0
                for table in t.metadata.sorted_tables
            )

    def erase() -> None:
        with services.graph.lock(tenant):
            services.graph.forget(tenant)

    return Place("graph", count, erase)


def _delete(services: Services, documents: Documents, known: dict[str, KnownDocument]) -> None:
    """As if upstream had deleted them, after all that was seen of them."""
    changes = []
    for document_id, one in known.items():
        moment = max(utc_now(), one.standing.observed_at + timedelta(microseconds=1))
        version = Version(modified_at=moment, observed_at=moment, authoritative=True)
        changes.append(Change(document_id, version, deleted=True, told=None, texts=()))
    if changes:
        # The rows that this writes of their streams are gone a moment later.
        apply_changes(services.graph, services.extractor, StreamRef(documents.tenant, "", ""), changes)


def _forget_decisions(services: Services, tenant: str, node_ids: Collection[str]) -> None:
    """Merges and decisions that name the documents' nodes, and those nodes among the neighbours of others."""
    pairs = ((t.merges, t.merges.c.node_id, t.merges.c.canonical_id),)
    pairs += ((t.decisions, t.decisions.c.first_id, t.decisions.c.second_id),)
    with services.graph.lock(tenant), services.graph.transaction() as connection:
        for table, first, second in pairs:
            named = among(connection, first, node_ids) | among(connection, second, node_ids)
            connection.execute(sa.delete(table).where(table.c.tenant == tenant, named))
        _forget_neighbours(connection, tenant, node_ids)


def _forget_neighbours(connection: sa.Connection, tenant: str, node_ids: Collection[str]) -> None:
    stored = t.vectors.c
    for node_id in node_ids:
        near = stored.neighbours.contains(node_id, autoescape=True)
        query = sa.select(stored.space, stored.document_key, stored.neighbours).where(stored.tenant == tenant, near)
        for space, key, neighbours in connection.execute(query).all():
            others = [pair for pair in orjson.loads(neighbours) if pair[0] != node_id]
            this = (stored.tenant == tenant, stored.space == space, stored.document_key == key)
            connection.execute(sa.update(t.vectors).where(*this).values(neighbours=orjson.dumps(others).decode()))
