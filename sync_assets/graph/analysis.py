"""What people ask of a graph in memory: how it is built, what belongs together, and why.

What belongs here: questions about a whole graph, paths, and what is near. What does not: loading it (`loading.py`), and
whether its tables are in order (`health.py`). Equal graphs give equal answers.

Paths run along edges in either direction. A path is as likely as all of its edges together, weakened at every node that
it passes: what a thousand others share explains little, and so does what people are, or where.
"""

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sync_assets.graph.loading import label
from sync_assets.relations import EdgeKind, NodeKind

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.MultiDiGraph[str]

# How much two things have in common that share a node of this kind, were it theirs alone.
_SHARED = {
    NodeKind.PERSON: 0.3,
    NodeKind.ORGANISATION: 0.3,
    NodeKind.DEPARTMENT: 0.2,
    NodeKind.LOCATION: 0.2,
    NodeKind.CATEGORY: 0.2,
    NodeKind.CHANNEL: 0.2,
    NodeKind.PROJECT: 0.2,
}
# What tickets of alike words have in common: less than those that are about one device, whatever they say.
_ALIKE = 0.25
# Edges of a path.
LONGEST = 4
_PATHS = 5
# Less likely paths explain nothing; this also keeps searches from walking through the whole graph.
_LEAST_SCORE = 0.001
_SEED = 7
_DIGITS = 6


class Statistics(NamedTuple):
    """How a graph is built.

    Attributes:
        nodes, edges: how many, by kind, the most first.
        density: edges for each pair of nodes, 0..1 and beyond where nodes have several edges.
        average_degree: edges that begin or end at a node.
        components: groups of nodes that no edge leads out of; how many, and the size of the largest.
    """

    nodes: dict[str, int]
    edges: dict[str, int]
    density: float
    average_degree: float
    components: int
    largest_component: int


class Central(NamedTuple):
    """How much in the middle a node is.

    Attributes:
        degree: edges that begin or end there.
        pagerank: share of its time that a walk at random is there.
    """

    node_id: str
    degree: int
    pagerank: float


class Step(NamedTuple):
    """An edge as a path takes it, from `source` to `target` as the edge points."""

    source: str
    kind: EdgeKind
    target: str
    confidence: float


class Path(NamedTuple):
    """How two nodes belong together.

    Attributes:
        nodes: from the one to the other.
        steps: the edges between them, one fewer.
        score: (0, 1], how likely it is that this holds and means something.
        sentence: the same for people.
    """

    nodes: tuple[str, ...]
    steps: tuple[Step, ...]
    score: float
    sentence: str


class Related(NamedTuple):
    """A node near to others: its score in (0, 1], by all paths together, and the path that explains most of it."""

    node_id: str
    score: float
    path: Path


class _Trail(NamedTuple):
    """A path while it is being searched."""

    score: float
    nodes: tuple[str, ...]
    steps: tuple[Step, ...]


def statistics(graph: "Graph") -> Statistics:
    """How a graph is built."""
    import networkx as nx

    sizes = [len(component) for component in nx.weakly_connected_components(graph)]
    count = graph.number_of_nodes()
    return Statistics(
        nodes=_most_first(node["kind"] for node in graph.nodes.values()),
        edges=_most_first(kind for _, _, kind in graph.edges),
        density=round(nx.density(graph), _DIGITS),
        average_degree=round(2 * graph.number_of_edges() / count, 3) if count else 0.0,
        components=len(sizes),
        largest_component=max(sizes, default=0),
    )


def communities(graph: "Graph") -> list[list[str]]:
    """Groups of nodes that have more to do with each other than with the rest (Louvain), the largest first."""
    import networkx as nx

    found = nx.community.louvain_communities(_plain(graph), seed=_SEED)
    return sorted((sorted(group) for group in found), key=lambda group: (-len(group), group))


def centrality(graph: "Graph", limit: int = 20) -> list[Central]:
    """The nodes that are most in the middle, by PageRank along edges in either direction."""
    import networkx as nx

    ranks = nx.pagerank(_plain(graph))
    found = [Central(node_id, graph.degree(node_id), round(rank, _DIGITS)) for node_id, rank in ranks.items()]
    return sorted(found, key=lambda one: (-one.pagerank, one.node_id))[:limit]


def explain(graph: "Graph", first: str, second: str, longest: int = LONGEST) -> list[Path]:
    """The likeliest paths between two nodes, at most five, the likeliest first; none from a node to itself.

    Args:
        longest: edges of a path at most.

    Raises:
        KeyError: the graph lacks one of them.
    """
    ways = _Ways(graph)
    remaining = ways.spread({second: 1.0}, longest)
    found: list[Path] = []
    queue = [(-1.0, 0, _Trail(1.0, (first,), ()))] if first != second else []
    # What a trail comes to at best is known, so the first one to arrive is the likeliest.
    while queue and len(found) < _PATHS:
        _, length, trail = heapq.heappop(queue)
        if trail.nodes[-1] == second:
            found.append(_path(graph, trail))
        elif length < longest:
            for longer in ways.longer(trail):
                end = longer.nodes[-1]
                if end in remaining:
                    beyond = 1.0 if end == second else ways.weight(end) * remaining[end].score
                    heapq.heappush(queue, (-longer.score * beyond, length + 1, longer))
    return found


def related(
    graph: "Graph", seeds: Mapping[str, float], kinds: Collection[NodeKind] = (), limit: int = 10
) -> list[Related]:
    """Nodes that are near to others: to a ticket, or to what a search found; the nearest first.

    A node's score is the noisy-or over its neighbours of how likely each leads to a seed. So what shares a server, an
    error code and a version is nearer than what shares one of them.

    Args:
        seeds: weights in (0, 1] by node id; they are no results themselves, and ids that the graph lacks count for
            nothing.
        kinds: kinds of nodes that count as results; all, where none is named.
    """
    ways = _Ways(graph)
    known = {node_id: weight for node_id, weight in seeds.items() if node_id in graph}
    reached = ways.spread(known, LONGEST)
    wanted = {kind.value for kind in kinds or NodeKind}
    scores = {
        node_id: _score(ways, node_id, reached)
        for node_id in reached
        if node_id not in known and graph.nodes[node_id]["kind"] in wanted
    }
    nearest = sorted(scores, key=lambda node_id: (-scores[node_id], node_id))[:limit]
    return [Related(node_id, scores[node_id], _path(graph, reached[node_id])) for node_id in nearest]


class _Ways:
    """Where paths can go on from a node."""

    def __init__(self, graph: "Graph") -> None:
        self._graph = graph
        self._ties: dict[str, dict[str, Step]] = {}

    def ties(self, node_id: str) -> dict[str, Step]:
        """The surest edge to each neighbour; always in the same order."""
        if node_id not in self._ties:
            edges = (*self._graph.out_edges(node_id, keys=True), *self._graph.in_edges(node_id, keys=True))
            steps = [
                Step(source, EdgeKind(kind), target, self._graph.edges[source, target, kind]["confidence"])
                for source, target, kind in sorted(edges)
            ]
            steps.sort(key=_strength)  # of two edges to one neighbour the later one counts
            self._ties[node_id] = {step.target if step.source == node_id else step.source: step for step in steps}
        return self._ties[node_id]

    def weight(self, node_id: str) -> float:
        """What is left of a path that passes through a node: less the more others it could have gone to."""
        node = self._graph.nodes[node_id]
        ties = max(len(self.ties(node_id)), node.get("ties", 0))
        return _SHARED.get(NodeKind(node["kind"]), 1.0) / math.log2(1 + ties)

    def longer(self, trail: _Trail) -> Iterator[_Trail]:
        """A trail with one more edge, to each node that it has not passed."""
        end = trail.nodes[-1]
        score = trail.score * (self.weight(end) if trail.steps else 1.0)
        for other, step in self.ties(end).items():
            if other not in trail.nodes:
                yield _Trail(score * _strength(step), (*trail.nodes, other), (*trail.steps, step))

    def spread(self, seeds: Mapping[str, float], longest: int) -> dict[str, _Trail]:
        """The likeliest trail from a seed to each node within reach, of at most `longest` edges."""
        best = {node_id: _Trail(weight, (node_id,), ()) for node_id, weight in seeds.items()}
        newest = best
        for _ in range(longest):
            further: dict[str, _Trail] = {}
            for trail in newest.values():
                for longer in self.longer(trail):
                    end = longer.nodes[-1]
                    there = further.get(end) or best.get(end)
                    if longer.score >= _LEAST_SCORE and (there is None or _rank(longer) < _rank(there)):
                        further[end] = longer
            best = best | further
            newest = further
        return best


def _strength(step: Step) -> float:
    return step.confidence * (_ALIKE if step.kind is EdgeKind.SIMILAR_TO else 1.0)


def _score(ways: _Ways, node_id: str, reached: Mapping[str, _Trail]) -> float:
    """Noisy-or over the neighbours of what leads through each to the seeds, and not back through the node itself."""
    wrong = 1.0
    for other, step in ways.ties(node_id).items():
        trail = reached.get(other)
        if trail is not None and node_id not in trail.nodes:
            passing = ways.weight(other) if trail.steps else 1.0
            wrong *= 1.0 - trail.score * passing * _strength(step)
    return round(1.0 - wrong, _DIGITS)


def _rank(trail: _Trail) -> tuple[float, int, tuple[str, ...]]:
    """The likeliest first, then the shortest; the rest only makes answers equal for equal graphs."""
    return -trail.score, len(trail.nodes), trail.nodes


def _path(graph: "Graph", trail: _Trail) -> Path:
    score = round(trail.score, _DIGITS)
    return Path(trail.nodes, trail.steps, score, _sentence(graph, trail.nodes, trail.steps))


def _sentence(graph: "Graph", nodes: tuple[str, ...], steps: tuple[Step, ...]) -> str:
    """A path in words: `Ticket 12 AFFECTS CI-2025-001, which Ticket 40 AFFECTS`."""
    words = last = label(graph, nodes[0])
    for here, there, step in zip(nodes, nodes[1:], steps, strict=False):
        source, target = label(graph, here), label(graph, there)
        if step.source == here or step.kind is EdgeKind.SIMILAR_TO:
            joined = "" if here == nodes[0] else ", which" if last == source else f", and {source}"
            words += f"{joined} {step.kind} {target}"
            last = target
        else:
            words += f", which {target} {step.kind}" if last == source else f", and {target} {step.kind} {source}"
            last = ""
    return words


def _plain(graph: "Graph") -> "nx.Graph[str]":
    """The graph without directions and kinds of edges; an edge weighs as much as all edges between its ends."""
    import networkx as nx

    plain: nx.Graph[str] = nx.Graph()
    plain.add_nodes_from(sorted(graph))
    for source, target, kind in sorted(graph.edges):
        there = plain.get_edge_data(source, target, {"weight": 0.0})
        plain.add_edge(source, target, weight=there["weight"] + graph.edges[source, target, kind]["confidence"])
    return plain


def _most_first(kinds: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items(), key=lambda pair: (-pair[1], pair[0])))
