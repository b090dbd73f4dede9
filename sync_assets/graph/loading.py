"""A tenant's graph as a networkx multigraph, with entities that are the same as one node.

What belongs here: how rows become a graph in memory. What does not: rows in SQL (`store*.py`), and what people ask of
the graph (`analysis.py`).

A node's attributes are those of `Node`; an edge's key is its kind, and it has `confidence` and `documents`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import sqlalchemy as sa

from sync_assets.errors import GraphError
from sync_assets.graph import tables as t
from sync_assets.graph.resolution import resolve, to_resolve
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_evidence import EdgeKey
from sync_assets.graph.store_nodes import EdgeRow, NodeRow, edges, nodes
from sync_assets.graph.store_state import Merge, decisions, merges
from sync_assets.relations import EdgeKind
from sync_assets.vector_stores import Audience

if TYPE_CHECKING:
    import networkx as nx

MOST_EDGES = 5_000_000

_DIGITS = 6
# Read the same from both ends; stored once, with the smaller node id first.
_MUTUAL = frozenset({EdgeKind.SIMILAR_TO})
# Kinds of which texts and people use the number before the title.
_NUMBERED = frozenset({"ticket", "article", "merge_request", "commit"})
_LONGEST_LABEL = 60


class Node(TypedDict):
    """Attributes of a node.

    Attributes:
        kind: a value of `NodeKind`.
        name: for people; may be empty.
        aliases: what else it is called, the names of entities that are the same included.
        facts: of all entities that are the same; where they differ, those of the one that stands for them.
        confidence: (0, 1].
        documents: how many have evidence of it; one that names two entities that are the same counts for both.
        document: id of the document that it stands for; empty for none.
        members: ids of the entities that are this node, its own id first.
        ties: about how many neighbours it has, where not all of them are in the graph (`neighbourhood.py`).
    """

    kind: str
    name: str
    aliases: tuple[str, ...]
    facts: dict[str, str]
    confidence: float
    documents: int
    document: str
    members: tuple[str, ...]
    ties: NotRequired[int]


def load_graph(
    store: GraphStore, tenant: str, audience: Audience | None, min_confidence: float = 0.0
) -> "nx.MultiDiGraph[str]":
    """The graph that an audience may see.

    Args:
        audience: None for an operator, who sees all.
        min_confidence: nodes and edges below it are left out.

    Raises:
        GraphError: the database is out of reach, or the tenant has more edges than memory should be asked for.
    """
    with store.transaction() as connection:
        _check_size(connection, tenant)
        found = {row.node_id: row for row in nodes(connection, tenant, audience)}
        merged = _merges(connection, tenant, audience, found.values())
        return assembled(found, merged, edges(connection, tenant, audience), min_confidence)


def assembled(
    found: dict[str, NodeRow], merged: Iterable[Merge], edge_rows: Iterable[EdgeRow], min_confidence: float = 0.0
) -> "nx.MultiDiGraph[str]":
    """The graph of some nodes by id, with those that are the same as one, and of the edges between them."""
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    clusters = _clusters(merged, found)
    for members in clusters:
        node = _node([found[node_id] for node_id in members])
        if node["confidence"] >= min_confidence:
            graph.add_node(members[0], **node)
    canonical = {node_id: members[0] for members in clusters for node_id in members}
    for row in edge_rows:
        _add_edge(graph, row, canonical)
    # Only now, since edges of entities that are the same count together.
    doubted = [edge for edge, values in graph.edges.items() if values["confidence"] < min_confidence]
    graph.remove_edges_from(doubted)
    return graph


def edge_keys(graph: "nx.MultiDiGraph[str]", source: str, kind: EdgeKind, target: str) -> Iterator[EdgeKey]:
    """The edges in SQL that an edge of the graph may stand for: between the entities that are its ends."""
    for one in graph.nodes[source]["members"]:
        for other in graph.nodes[target]["members"]:
            first, second = (other, one) if kind in _MUTUAL and other < one else (one, other)
            yield first, kind, second


def label(graph: "nx.MultiDiGraph[str]", node_id: str) -> str:
    """What people call a node: its number and title, its name, or its id where it has neither."""
    node = graph.nodes[node_id]
    name = node["name"] or node_id.partition(":")[2]
    if len(name) > _LONGEST_LABEL:
        name = f"{name[: _LONGEST_LABEL - 1].rstrip()}…"
    number = next((alias for alias in node["aliases"] if "://" not in alias), "") if node["kind"] in _NUMBERED else ""
    return f'{number} "{name}"' if number and number != name else name


def _check_size(connection: sa.Connection, tenant: str) -> None:
    count = connection.scalar(sa.select(sa.func.count()).where(t.edges.c.tenant == tenant)) or 0
    if count > MOST_EDGES:
        raise GraphError(
            f"The graph of {tenant!r} has {count} edges; at most {MOST_EDGES} are loaded into memory.",
            "Ask the tables graph_nodes and graph_edges by SQL, or split the tenant.",
        )


def _merges(connection: sa.Connection, tenant: str, audience: Audience | None, rows: Iterable[NodeRow]) -> list[Merge]:
    """What is the same, as far as the reader may know: by facts that they may see, and by people's decisions."""
    if audience is None:
        return merges(connection, tenant)
    decided = decisions(connection, tenant)
    return resolve(to_resolve(rows, decided), decided)


def _clusters(merged: Iterable[Merge], found: dict[str, NodeRow]) -> list[tuple[str, ...]]:
    """Ids of nodes that are the same, the one that stands for them first; of one that the reader may not see, none."""
    clusters: dict[str, list[str]] = {}
    canonical = {merge.node_id: merge.canonical_id for merge in merged}
    for node_id in sorted(found):
        clusters.setdefault(canonical.get(node_id, node_id), []).append(node_id)
    return [tuple(sorted(members, key=lambda one: (one != stands, one))) for stands, members in clusters.items()]


def _node(rows: list[NodeRow]) -> Node:
    """One node of those that are the same; the first stands for them."""
    names = [row.name for row in rows if row.name]
    called = chain(names[1:], *(row.aliases for row in rows))
    name = names[0] if names else ""
    return Node(
        kind=rows[0].kind.value,
        name=name,
        aliases=tuple(dict.fromkeys(alias for alias in called if alias != name)),
        facts={key: value for row in reversed(rows) for key, value in row.facts.items()},
        confidence=_either(row.confidence for row in rows),
        documents=sum(row.documents for row in rows),
        document=next((row.declared_by for row in rows if row.declared_by), ""),
        members=tuple(row.node_id for row in rows),
    )


def _add_edge(graph: "nx.MultiDiGraph[str]", row: EdgeRow, canonical: dict[str, str]) -> None:
    """Add an edge between the nodes that stand for its ends; within one node it says nothing."""
    source, target = canonical.get(row.source), canonical.get(row.target)
    if source is None or target is None or source == target or source not in graph or target not in graph:
        return
    if row.kind in _MUTUAL and target < source:
        source, target = target, source
    there: dict[str, Any] | None = graph.get_edge_data(source, target, row.kind.value)
    if there is None:
        graph.add_edge(source, target, row.kind.value, confidence=row.confidence, documents=row.documents)
    else:
        there["confidence"] = _either((there["confidence"], row.confidence))
        there["documents"] += row.documents


def _either(confidences: Iterable[float]) -> float:
    """Noisy-or: that not all are wrong."""
    wrong = 1.0
    for confidence in confidences:
        wrong *= 1.0 - confidence
    return round(1.0 - wrong, _DIGITS)
