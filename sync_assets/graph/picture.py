"""Where the nodes and edges of a neighbourhood stand on paper, in pixels.

What belongs here: which nodes are shown, and their places, sizes and colours. What does not: how they are drawn
(`view.py`). Equal graphs give equal pictures.
"""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sync_assets.graph.analysis import related
from sync_assets.graph.loading import label
from sync_assets.relations import NodeKind

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.MultiDiGraph[str]

WIDTH, HEIGHT = 1600, 1000
MOST_NODES = 30
COLOURS = {
    NodeKind.TICKET: "#2563eb",
    NodeKind.PERSON: "#f59e0b",
    NodeKind.ORGANISATION: "#b45309",
    NodeKind.DEPARTMENT: "#a16207",
    NodeKind.CONFIGURATION_ITEM: "#0d9488",
    NodeKind.ARTICLE: "#16a34a",
    NodeKind.CATEGORY: "#64748b",
    NodeKind.PRODUCT: "#7c3aed",
    NodeKind.ERROR_CODE: "#dc2626",
    NodeKind.HOST: "#0891b2",
    NodeKind.VERSION: "#c026d3",
    NodeKind.LOCATION: "#65a30d",
    NodeKind.CHANNEL: "#db2777",
    NodeKind.PROJECT: "#4d7c0f",
    NodeKind.MERGE_REQUEST: "#ea580c",
    NodeKind.COMMIT: "#78350f",
}

# Room for the title above, the legend below, and labels at the sides.
_LEFT, _TOP, _RIGHT, _BOTTOM = 130, 90, 130, 120
_RADIUS, _CENTRE_RADIUS = 15, 22
_LINE_LENGTH, _LINES = 24, 2
_LETTER, _LINE_HEIGHT = 7.2, 16
_MARGIN = 14
_ROUNDS = 400
_BEND = 0.22


class Spot(NamedTuple):
    """A node on paper.

    Attributes:
        x, y: its middle, from the left and from the top.
        lines: its label, which stands below it.
        note: what kind it is, and the state of a ticket.
    """

    node_id: str
    x: float
    y: float
    radius: int
    lines: tuple[str, ...]
    note: str
    colour: str


class Line(NamedTuple):
    """An edge on paper; `bend` is how far its middle stands from the straight line, as a part of its length."""

    source: str
    kind: str
    target: str
    confidence: float
    bend: float


class Picture(NamedTuple):
    """A neighbourhood on WIDTH x HEIGHT pixels, and the colours of the kinds that it has."""

    spots: list[Spot]
    lines: list[Line]
    legend: dict[str, str]


def neighbourhood(graph: "Graph", centres: Collection[str], depth: int = 1, limit: int = MOST_NODES) -> "Graph":
    """What is around some nodes.

    Args:
        centres: shown in any case.
        depth: edges from the nearest centre at most.
        limit: nodes at most, beside the centres; the nearest by score are shown.
    """
    import networkx as nx

    plain = graph.to_undirected(as_view=True)
    within: set[str] = set()
    for centre in centres:
        within |= nx.single_source_shortest_path_length(plain, centre, cutoff=depth).keys()
    shown = set(centres)
    for one in related(graph, dict.fromkeys(centres, 1.0), limit=len(graph)):
        # A node stands where the path to it can be seen.
        if within.issuperset(one.path.nodes) and len(shown.union(one.path.nodes)) <= limit + len(centres):
            shown.update(one.path.nodes)
    found = graph.subgraph(shown).copy()
    assert isinstance(found, nx.MultiDiGraph)  # noqa: S101 a part of one is one
    return found


def place(graph: "Graph", centres: Collection[str]) -> Picture:
    """Where a neighbourhood stands on paper.

    Args:
        centres: drawn larger.
    """
    labels = {node_id: _lines(label(graph, node_id)) for node_id in sorted(graph)}
    places = _apart(_scaled(_layout(graph)), labels)
    spots = [
        Spot(
            node_id,
            round(places[node_id][0], 1),
            round(places[node_id][1], 1),
            _CENTRE_RADIUS if node_id in centres else _RADIUS,
            labels[node_id],
            _note(graph, node_id),
            COLOURS[NodeKind(graph.nodes[node_id]["kind"])],
        )
        for node_id in sorted(graph)
    ]
    kinds = {node["kind"] for node in graph.nodes.values()}
    return Picture(spots, _bent(graph), {kind.value: COLOURS[kind] for kind in COLOURS if kind.value in kinds})


def _layout(graph: "Graph") -> dict[str, tuple[float, float]]:
    """Places in which lengths of lines are like lengths of paths; any scale."""
    import networkx as nx

    plain: nx.Graph[str] = nx.Graph()
    plain.add_nodes_from(sorted(graph))
    plain.add_edges_from(sorted((source, target) for source, target, _ in graph.edges))
    return {node_id: (float(x), float(y)) for node_id, (x, y) in nx.kamada_kawai_layout(plain).items()}


def _scaled(places: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The same over the whole paper."""

    def spread(values: Sequence[float], low: float, high: float) -> list[float]:
        least, most = min(values), max(values)
        if most - least < 1e-6:
            return [(low + high) / 2] * len(values)
        return [low + (value - least) / (most - least) * (high - low) for value in values]

    if not places:
        return {}
    xs, ys = zip(*places.values(), strict=True)
    across, down = spread(xs, _LEFT, WIDTH - _RIGHT), spread(ys, _TOP, HEIGHT - _BOTTOM)
    return dict(zip(places, zip(across, down, strict=True), strict=True))


def _apart(
    places: dict[str, tuple[float, float]], labels: dict[str, tuple[str, ...]]
) -> dict[str, tuple[float, float]]:
    """Push nodes apart whose labels overlap, the shorter way, as long as there is room."""
    sizes = {node_id: _size(lines) for node_id, lines in labels.items()}
    spots = {node_id: [x, y] for node_id, (x, y) in places.items()}
    ids = sorted(spots)
    for _ in range(_ROUNDS):
        moved = False
        for number, one in enumerate(ids):
            for other in ids[:number]:
                moved |= _push(spots[one], spots[other], sizes[one], sizes[other])
        for spot in spots.values():
            spot[0] = min(max(spot[0], _LEFT), WIDTH - _RIGHT)
            spot[1] = min(max(spot[1], _TOP), HEIGHT - _BOTTOM)
        if not moved:
            break
    return {node_id: (x, y) for node_id, (x, y) in spots.items()}


def _push(one: list[float], other: list[float], size: tuple[float, float], other_size: tuple[float, float]) -> bool:
    """Move two that overlap a little apart; returns whether they did."""
    overlaps = [(size[axis] + other_size[axis]) / 2 - abs(one[axis] - other[axis]) for axis in (0, 1)]
    if min(overlaps) <= 0:
        return False
    axis = 0 if overlaps[0] < overlaps[1] else 1
    step = overlaps[axis] / 2 if one[axis] >= other[axis] else -overlaps[axis] / 2
    one[axis] += step
    other[axis] -= step
    return True


def _size(lines: Sequence[str]) -> tuple[float, float]:
    width = max(map(len, lines), default=0) * _LETTER
    # The label stands below its node, with the note under it.
    return max(width, 2 * _CENTRE_RADIUS) + _MARGIN, 2 * _CENTRE_RADIUS + (len(lines) + 1) * _LINE_HEIGHT + _MARGIN


def _lines(words: str) -> tuple[str, ...]:
    return tuple(textwrap.wrap(words, _LINE_LENGTH, max_lines=_LINES, placeholder="…"))


def _note(graph: "Graph", node_id: str) -> str:
    node = graph.nodes[node_id]
    kind = node["kind"].replace("_", " ")
    state = node["facts"].get("state", "") if node["kind"] == NodeKind.TICKET else ""
    return f"{kind} · {state}" if state else kind


def _bent(graph: "Graph") -> list[Line]:
    """Edges, those between the same two nodes bent to different sides."""
    between: dict[tuple[str, ...], list[tuple[str, str, str]]] = {}
    for source, target, kind in sorted(graph.edges):
        between.setdefault(tuple(sorted((source, target))), []).append((source, target, kind))
    lines: list[Line] = []
    for (first, *_), edges in between.items():
        for number, (source, target, kind) in enumerate(edges):
            side = 1 if source == first else -1  # an edge the other way round has its left on the other side
            bend = side * (number - (len(edges) - 1) / 2) * _BEND
            lines.append(Line(source, kind, target, graph.edges[source, target, kind]["confidence"], round(bend, 3)))
    return lines
