"""Names of nodes in SQL: what texts may call them, and for which names texts must be searched again.

What belongs here: the names that nodes give, and their coming and going. What does not: which phrases a node gives
(`gazetteer.py`).

A name is pending from when nodes come to be called so, or cease to be, until texts were searched again for it: a run
that ends in between leaves it pending.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import groupby

import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.bulk import among, upsert
from sync_assets.graph.evidence import Name, NamedNode
from sync_assets.hashing import digest
from sync_assets.paging import pages
from sync_assets.relations import Entity, NodeKind

# (phrase, scope) of each name that an entity gives.
PhrasesOf = Callable[[Entity], Iterable[tuple[str, str]]]

# All names of a tenant are read at once: to look a kind up is quicker than to make one of its value.
_KINDS = {kind.value: kind for kind in NodeKind}


def names_of(connection: sa.Connection, tenant: str) -> list[Name]:
    """The names of a tenant's nodes, by scope and phrase."""
    return _names(connection, t.names.c.tenant == tenant, t.names.c.present)


def settled_names(connection: sa.Connection, tenant: str) -> list[Name]:
    """The names of a tenant's nodes but for the pending ones: they stay the same until those are settled."""
    return _names(connection, t.names.c.tenant == tenant, t.names.c.present, ~_is_pending(tenant))


def pending_names(connection: sa.Connection, tenant: str) -> list[Name]:
    """Names for which texts must be searched again, with the nodes that are called so now: maybe none."""
    return _names(connection, t.names.c.tenant == tenant, _is_pending(tenant))


def update_names(connection: sa.Connection, tenant: str, node_ids: Collection[str], phrases_of: PhrasesOf) -> None:
    """Bring the names of nodes in line with what the nodes are called now; what changes becomes pending.

    Args:
        node_ids: nodes that came, went, or are called otherwise, as `refresh` returns them.
    """
    for page in pages(sorted(node_ids)):
        before = _given(connection, tenant, page)
        now = {
            (entity.node_id, phrase, scope)
            for entity in _entities(connection, tenant, page)
            for phrase, scope in phrases_of(entity)
        }
        changed = [(row, True) for row in sorted(now - before)] + [(row, False) for row in sorted(before - now)]
        upsert(
            connection,
            t.names,
            [
                (tenant, _key(phrase, scope), node_id, phrase, scope, present, True)
                for (node_id, phrase, scope), present in changed
            ],
        )


def settle_names(connection: sa.Connection, tenant: str, names: Iterable[Name]) -> None:
    """Texts were searched again for these names, as `pending_names` gave them, under the tenant's lock since then."""
    stored = t.names.c
    for page in pages(names):
        keys = [_key(name.phrase, name.scope) for name in page]
        these = (stored.tenant == tenant) & among(connection, stored.name_key, keys) & stored.pending
        connection.execute(sa.delete(t.names).where(these, ~stored.present))
        connection.execute(sa.update(t.names).where(these).values(pending=False))


def _is_pending(tenant: str) -> sa.ColumnElement[bool]:
    others = t.names.alias()
    return sa.exists().where(others.c.tenant == tenant, others.c.name_key == t.names.c.name_key, others.c.pending)


def _names(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Name]:
    stored = t.names.c
    query = sa.select(stored.scope, stored.phrase, stored.node_id, stored.present).where(*conditions)
    rows = connection.execute(query.order_by(stored.scope, stored.phrase, stored.node_id))
    return [
        Name(phrase, scope, tuple(_named(row.node_id) for row in group if row.present))
        for (scope, phrase), group in groupby(rows, key=lambda row: (row.scope, row.phrase))
    ]


def _named(node_id: str) -> NamedNode:
    return NamedNode(node_id, _KINDS[node_id.partition(":")[0]])


def _given(connection: sa.Connection, tenant: str, node_ids: Collection[str]) -> set[tuple[str, str, str]]:
    """Node id, phrase and scope of the names that nodes have given until now."""
    stored = t.names.c
    query = sa.select(stored.node_id, stored.phrase, stored.scope).where(
        stored.tenant == tenant, among(connection, stored.node_id, node_ids), stored.present
    )
    return {(node_id, phrase, scope) for node_id, phrase, scope in connection.execute(query)}


def _entities(connection: sa.Connection, tenant: str, node_ids: Collection[str]) -> Iterable[Entity]:
    """Nodes of which anything is told, as entities that have their names and aliases."""
    stored = t.nodes.c
    told = sa.select(stored.entity).where(
        stored.tenant == tenant, among(connection, stored.node_id, node_ids), stored.entity.is_not(None)
    )
    return map(Entity.model_validate_json, connection.scalars(told))


def _key(phrase: str, scope: str) -> str:
    return digest([scope, phrase])
