"""The part of a tenant's graph around some documents, read hop by hop.

What belongs here: which nodes and edges are read. What does not: how they become a graph in memory (`loading.py`).

What very many documents speak of is read, and not passed: it explains little, and leads to most of the graph. Such a
node carries `ties`, since not all of its neighbours are there to be counted.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.bulk import PAGE, among
from sync_assets.graph.loading import assembled
from sync_assets.graph.resolution import resolve, to_resolve
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_documents import known_documents
from sync_assets.graph.store_evidence import EdgeKey, visible
from sync_assets.graph.store_nodes import EdgeRow, NodeRow, edges_of, nodes_of
from sync_assets.graph.store_state import Merge, decisions, merges
from sync_assets.paging import pages
from sync_assets.relations import EdgeKind
from sync_assets.vector_stores import Audience

if TYPE_CHECKING:
    import networkx as nx

# What more documents than this speak of is not passed.
_MOST_DOCUMENTS = 500
# Beyond so many nodes no further hop is read.
_MOST_NODES = 20_000


def load_around(
    store: GraphStore, tenant: str, audience: Audience | None, document_ids: Collection[str], hops: int
) -> "nx.MultiDiGraph[str]":
    """The graph that an audience may see, as far as `hops` edges lead from the nodes that documents stand for.

    For a reader who may see less than all, entities count as the same where they do for an operator too, and what that
    reader sees of them says so.

    Args:
        audience: None for an operator, who sees all.

    Raises:
        GraphError: the database is out of reach.
    """
    with store.transaction() as connection:
        around = _Around(connection, tenant, audience)
        around.read(document_ids, hops)
        graph = assembled(around.nodes, around.merges(), around.edges.values())
    for node_id in around.unread:
        if node_id in graph:
            graph.nodes[node_id]["ties"] = graph.nodes[node_id]["documents"]
    return graph


class _Around:
    """Nodes and edges that were read; `unread` are nodes of which not all edges were."""

    def __init__(self, connection: sa.Connection, tenant: str, audience: Audience | None) -> None:
        self._connection = connection
        self._tenant = tenant
        self._audience = audience
        self._seen = visible(connection, tenant, audience)
        self._merged = {one.node_id: one for one in merges(connection, tenant)}
        self._clusters: dict[str, set[str]] = {}
        for one in self._merged.values():
            self._clusters.setdefault(one.canonical_id, {one.canonical_id}).add(one.node_id)
        self.nodes: dict[str, NodeRow] = {}
        self.edges: dict[EdgeKey, EdgeRow] = {}
        self.unread: set[str] = set()

    def read(self, document_ids: Collection[str], hops: int) -> None:
        documents = known_documents(self._connection, self._tenant, document_ids).values()
        frontier = self._new(one.entity.node_id for one in documents if one.entity is not None)
        for hop in range(hops + 1):
            rows = [row for page in pages(sorted(frontier), PAGE) for row in self._nodes(page)]
            self.nodes |= {row.node_id: row for row in rows}
            passed = {row.node_id for row in rows if row.documents <= _MOST_DOCUMENTS or hop == 0}
            if hop == hops or len(self.nodes) > _MOST_NODES:
                passed = set()
            self.unread |= {row.node_id for row in rows} - passed
            if not passed:
                return
            found = {row.key: row for page in pages(sorted(passed), PAGE) for row in self._edges(page)}
            self.edges |= found
            frontier = self._new(end for source, _, target in found for end in (source, target))

    def merges(self) -> list[Merge]:
        """What is the same, as far as the reader may know."""
        if self._audience is None:
            return list(self._merged.values())
        decided = decisions(self._connection, self._tenant)
        found = resolve(to_resolve(self.nodes.values(), decided), decided)
        return [one for one in found if self._stands_for(one.node_id) == self._stands_for(one.canonical_id)]

    def _new(self, node_ids: Iterable[str]) -> set[str]:
        """Nodes that were not read yet, with those that are the same."""
        wanted = set(node_ids)
        for node_id in list(wanted):
            wanted |= self._clusters.get(self._stands_for(node_id), set())
        return wanted - self.nodes.keys()

    def _stands_for(self, node_id: str) -> str:
        return self._merged[node_id].canonical_id if node_id in self._merged else node_id

    def _nodes(self, node_ids: Collection[str]) -> list[NodeRow]:
        return nodes_of(self._connection, self._tenant, node_ids, self._seen)

    def _edges(self, node_ids: Collection[str]) -> list[EdgeRow]:
        """The edges that begin or end at nodes. Found by their evidence, which has an index for either end."""
        stored = t.evidence.c
        keys: set[EdgeKey] = set()
        for end in (stored.source_id, stored.target_id):
            query = sa.select(stored.source_id, stored.edge, stored.target_id).distinct()
            query = query.where(
                stored.tenant == self._tenant,
                stored.edge.is_not(None),
                among(self._connection, end, node_ids),
                self._seen,
            )
            keys |= {(source, EdgeKind(kind), target) for source, kind, target in self._connection.execute(query)}
        return [
            row
            for page in pages(sorted(keys), PAGE)
            for row in edges_of(self._connection, self._tenant, page, self._seen)
        ]
