"""A neighbourhood of the graph to look at: a page that stands alone, and a PNG.

What belongs here: how a picture is drawn, and what a click on it shows. What does not: which nodes it has, and where
they stand (`picture.py`). Texts are hostile until proven otherwise: the page is made of data, never of markup.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sync_assets.graph.loading import label
from sync_assets.graph.picture import HEIGHT, WIDTH, Picture, Spot, place
from sync_assets.graph.quotes import Quote, edge_quotes
from sync_assets.graph.store import GraphStore
from sync_assets.relations import EdgeKind
from sync_assets.vector_stores import Audience

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

    Graph = nx.MultiDiGraph[str]

_TEMPLATE = "view.html.j2"
_QUOTES = 5
_GREY, _DARK, _PAPER = "#94a3b8", "#0f172a", "#ffffff"
_DPI = 100


def write_html(
    store: GraphStore, tenant: str, audience: Audience | None, graph: "Graph", centres: Collection[str], path: Path
) -> None:
    """Write a neighbourhood as one HTML page that asks no network for anything.

    Args:
        audience: on whose behalf `graph` was loaded.
        graph: the neighbourhood, as `picture.neighbourhood` makes it.
        centres: nodes that it is around.

    Raises:
        GraphError: the database is out of reach.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    with store.transaction() as connection:
        data = _data(connection, tenant, audience, graph, centres)
    pages = Environment(loader=PackageLoader("sync_assets.graph", ""), autoescape=True, undefined=StrictUndefined)
    page = pages.get_template(_TEMPLATE).render(title=_title(graph, centres), data=data)
    path.write_text(page, encoding="utf-8")


def draw(graph: "Graph", centres: Collection[str], path: Path) -> None:
    """Write a neighbourhood as a PNG of 1600 x 1000 pixels.

    Args:
        graph: the neighbourhood, as `picture.neighbourhood` makes it.
        centres: nodes that it is around.
    """
    from matplotlib.figure import Figure

    picture = place(graph, centres)
    figure = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor=_PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.axis("off")
    _draw_lines(axes, picture)
    for spot in picture.spots:
        _draw_spot(axes, spot)
    _draw_legend(axes, picture.legend)
    axes.text(30, 40, _title(graph, centres), fontsize=15, color=_DARK, weight="bold", parse_math=False)
    figure.savefig(path, dpi=_DPI)


def _draw_lines(axes: "Axes", picture: Picture) -> None:
    import math

    from matplotlib.patches import FancyArrowPatch

    spots = {spot.node_id: spot for spot in picture.spots}
    for line in picture.lines:
        source, target = spots[line.source], spots[line.target]
        axes.add_patch(
            FancyArrowPatch(
                (source.x, source.y),
                (target.x, target.y),
                connectionstyle=f"arc3,rad={-line.bend}",
                arrowstyle="-" if line.kind == EdgeKind.SIMILAR_TO else "-|>",
                mutation_scale=13,
                shrinkA=source.radius * 0.72 + 2,
                shrinkB=target.radius * 0.72 + 3,
                color=_GREY,
                linewidth=1 + 1.5 * line.confidence,
                alpha=0.4 + 0.6 * line.confidence,
                zorder=1,
            )
        )
        x, y = _middle(source, target, line.bend)
        angle = math.degrees(math.atan2(source.y - target.y, target.x - source.x))
        axes.text(
            x,
            y,
            f"{line.kind} {line.confidence:.2f}",
            fontsize=7.5,
            color="#475569",
            ha="center",
            va="center",
            rotation=(angle + 90) % 180 - 90,
            bbox={"facecolor": _PAPER, "edgecolor": "none", "pad": 1, "alpha": 0.85},
            zorder=2,
        )


def _middle(source: Spot, target: Spot, bend: float) -> tuple[float, float]:
    """The middle of a bent line."""
    across, down = target.x - source.x, target.y - source.y
    return (source.x + target.x) / 2 + bend * down / 2, (source.y + target.y) / 2 - bend * across / 2


def _draw_spot(axes: "Axes", spot: Spot) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((spot.x, spot.y), spot.radius, facecolor=spot.colour, edgecolor=_PAPER, lw=2, zorder=3))
    words = [(line, 9.5, _DARK) for line in spot.lines] + [(spot.note, 7.5, "#64748b")]
    for number, (line, size, colour) in enumerate(words):
        axes.text(
            spot.x,
            spot.y + spot.radius + 12 + 15 * number,
            line,
            fontsize=size,
            color=colour,
            ha="center",
            va="center",
            parse_math=False,
            bbox={"facecolor": _PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
            zorder=4,
        )


def _draw_legend(axes: "Axes", legend: Mapping[str, str]) -> None:
    x = 40.0
    for kind, colour in legend.items():
        words = kind.replace("_", " ")
        axes.plot([x], [HEIGHT - 28], "o", color=colour, markersize=10)
        axes.text(x + 14, HEIGHT - 28, words, fontsize=10, color=_DARK, va="center")
        x += 46 + 8.2 * len(words)


def _title(graph: "Graph", centres: Collection[str]) -> str:
    return " and ".join(label(graph, centre) for centre in centres)


def _data(
    connection: sa.Connection, tenant: str, audience: Audience | None, graph: "Graph", centres: Collection[str]
) -> dict[str, Any]:
    """All that the page shows, as JSON."""
    picture = place(graph, centres)
    by_document = {node["document"]: node_id for node_id, node in graph.nodes.items() if node["document"]}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "legend": picture.legend,
        "nodes": [spot._asdict() | _about(graph, spot.node_id) for spot in picture.spots],
        "edges": [
            line._asdict()
            | {
                "evidence": [
                    _shown(graph, quote, by_document)
                    for quote in edge_quotes(
                        connection,
                        tenant,
                        audience,
                        graph,
                        (line.source, EdgeKind(line.kind), line.target),
                        limit=_QUOTES,
                    )
                ]
            }
            for line in picture.lines
        ],
    }


def _about(graph: "Graph", node_id: str) -> dict[str, Any]:
    node = graph.nodes[node_id]
    facts = {name: value for name, value in node["facts"].items() if name != "url"}
    return {
        "title": label(graph, node_id),
        "aliases": node["aliases"],
        "facts": facts,
        "confidence": node["confidence"],
        "documents": node["documents"],
        "url": _link(node),
    }


def _shown(graph: "Graph", quote: Quote, by_document: Mapping[str, str]) -> dict[str, Any]:
    node_id = by_document.get(quote.document_id)
    record = {"title": label(graph, node_id), "url": _link(graph.nodes[node_id])} if node_id else {}
    return quote._asdict() | {"title": quote.document_id, "url": ""} | record


def _link(node: Mapping[str, Any]) -> str:
    """Where people can open what a node stands for; only addresses of the web are links."""
    url = node["facts"].get("url", "")
    return url if url.startswith(("https://", "http://")) else ""
