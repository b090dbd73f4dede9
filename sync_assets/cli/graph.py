"""`sync-assets graph`: a tenant's knowledge graph, looked at, exported, and corrected by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.graph_changes import merge, rebuild, split
from sync_assets.cli.graph_session import AudienceOption, Node, Other, Tenant, TenantGraph, opened
from sync_assets.cli.session import Json, print_json
from sync_assets.errors import SettingsError
from sync_assets.relations import EdgeKind, NodeKind
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    import networkx as nx

    from sync_assets.graph.analysis import Path as GraphPath
    from sync_assets.graph.quotes import Quote

graph_app = typer.Typer(no_args_is_help=True, help="A tenant's knowledge graph: what its records say of each other.")
for _command in (merge, split, rebuild):
    graph_app.command()(_command)

_SHOWN, _QUOTES = 20, 3


@graph_app.command("stats")
def stats(tenant: Tenant, audience: AudienceOption = None, as_json: Json = False) -> None:
    """How large the graph is, how it holds together, and what is in the middle of it.

    Examples:

        sync-assets graph stats --tenant acme

        sync-assets graph stats --tenant acme --audience public --json
    """
    from sync_assets.graph.analysis import centrality, communities, statistics
    from sync_assets.graph.loading import label

    with opened(tenant, audience) as graph:
        found = statistics(graph.loaded)
        groups = communities(graph.loaded)
        central = [
            {"node": label(graph.loaded, one.node_id), **one._asdict()} for one in centrality(graph.loaded, limit=10)
        ]
    summary = {
        **found._asdict(),
        "communities": len(groups),
        "largest_community": len(groups[0]),
        "central": central,
    }
    if as_json:
        print_json(summary)
        return
    out = console()
    for name in ("nodes", "edges"):
        rows = [{"kind": kind, name: number} for kind, number in summary[name].items()]
        print_rows(out, ("kind", name), rows, title=f"{sum(summary[name].values())} {name}")
    out.print(
        f"{found.average_degree:.1f} edges a node, density {found.density:.6f}; {found.components} components, the "
        f"largest of {found.largest_component} nodes; {len(groups)} communities, the largest of {len(groups[0])}.",
        soft_wrap=True,
    )
    print_rows(out, ("node", "node_id", "degree", "pagerank"), central, title="Most in the middle")


@graph_app.command("show")
def show(
    node: Node,
    tenant: Tenant,
    depth: Annotated[int, typer.Option("--depth", min=1, max=4, help="Edges from the node, in a picture.")] = 1,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page to click through to this file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write a picture to this file.")] = None,
    audience: AudienceOption = None,
    as_json: Json = False,
) -> None:
    """A node: its facts, its edges, and the evidence for them.

    Examples:

        sync-assets graph show PK-2026-0302 --tenant polder

        sync-assets graph show PK-2026-0302 --tenant polder --depth 2 --html ticket.html --png ticket.png
    """
    from sync_assets.graph.loading import label
    from sync_assets.graph.quotes import edge_quotes

    for file, suffix in ((html, ".html"), (png, ".png")):
        if file is not None and file.suffix != suffix:
            raise SettingsError(f"{file} is not named as a {suffix} file.", f"Give it the suffix {suffix}.")
    with opened(tenant, audience) as graph:
        node_id = graph.node(node)
        drawn = _draw(graph, node_id, depth, html, png)
        edges = [
            {"source": source, "kind": kind, "target": target, **graph.loaded.edges[source, target, kind]}
            for source, target, kind in _edges_of(graph.loaded, node_id)
        ]
        with graph.store.transaction() as connection:
            for edge in edges if as_json else edges[:_SHOWN]:
                ends = edge["source"], EdgeKind(edge["kind"]), edge["target"]
                edge["evidence"] = edge_quotes(connection, tenant, graph.audience, graph.loaded, ends, _QUOTES)
        labels = {end: label(graph.loaded, end) for edge in edges for end in (edge["source"], edge["target"])}
        about = {"node_id": node_id, "label": label(graph.loaded, node_id), **graph.loaded.nodes[node_id]}
    if as_json:
        print_json(
            {
                **about,
                "edges": [{**edge, "evidence": [quote._asdict() for quote in edge["evidence"]]} for edge in edges],
            }
        )
        return
    _print_node(about)
    _print_edges(edges, labels)
    for path in filter(None, (html, png)):
        console().print(f"Written: {escape(str(path))}{drawn}", soft_wrap=True)


@graph_app.command("path")
def path(
    node: Node,
    other: Other,
    tenant: Tenant,
    longest: Annotated[int, typer.Option("--longest", min=1, max=6, help="Edges of a path at most.")] = 4,
    audience: AudienceOption = None,
    as_json: Json = False,
) -> None:
    """Why two nodes belong together: the likeliest paths between them.

    Examples:

        sync-assets graph path PK-2026-0302 PK-2026-0301 --tenant polder
    """
    from sync_assets.graph.analysis import explain

    with opened(tenant, audience) as graph:
        first, second = graph.node(node), graph.node(other)
        if first == second:
            raise SettingsError(f"{node!r} and {other!r} are both {first}.", "Name two nodes.")
        paths = explain(graph.loaded, first, second, longest)
    if as_json:
        print_json({"first": first, "second": second, "paths": [_path(one) for one in paths]})
        return
    for one in paths:
        console().print(f"[bold]{one.score:.3f}[/bold] {escape(one.sentence)}", soft_wrap=True)
    if not paths:
        console().print(f"No path of {longest} edges or fewer explains it.")


@graph_app.command("related")
def related(
    node: Node,
    tenant: Tenant,
    kind: Annotated[list[NodeKind] | None, typer.Option("--kind", help="Only this kind; may be repeated.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 10,
    audience: AudienceOption = None,
    as_json: Json = False,
) -> None:
    """What is near to a node, and why.

    Examples:

        sync-assets graph related PK-2026-0302 --tenant polder --kind ticket --kind article
    """
    from sync_assets.graph.analysis import related as near
    from sync_assets.graph.loading import label

    with opened(tenant, audience) as graph:
        node_id = graph.node(node)
        found = near(graph.loaded, {node_id: 1.0}, kind or (), limit)
        rows = [
            {"node_id": one.node_id, "label": label(graph.loaded, one.node_id), "score": one.score, "path": one.path}
            for one in found
        ]
    if as_json:
        print_json({"node_id": node_id, "related": [{**row, "path": _path(row["path"])} for row in rows]})
        return
    for row in rows:
        console().print(f"[bold]{row['score']:.3f}[/bold] {escape(row['label'])}", soft_wrap=True)
        console().print(f"      {escape(row['path'].sentence)}", soft_wrap=True)
    if not rows:
        console().print("Nothing is near.")


@graph_app.command("export")
def export(
    output: Annotated[Path, typer.Argument(help="File; `.graphml` or `.json` says which format.")],
    tenant: Tenant,
    audience: AudienceOption = None,
    as_json: Json = False,
) -> None:
    """Write the graph to a file, for Gephi, networkx and the like.

    Examples:

        sync-assets graph export acme.graphml --tenant acme

        sync-assets graph export acme.json --tenant acme --audience public
    """
    from sync_assets.graph.export import write_graphml, write_json

    writers = {".graphml": write_graphml, ".json": write_json}
    if output.suffix not in writers:
        raise SettingsError(f"{output} is neither GraphML nor JSON.", "Give it the suffix .graphml or .json.")
    with opened(tenant, audience) as graph:
        writers[output.suffix](graph.loaded, output)
        counts = {"nodes": graph.loaded.number_of_nodes(), "edges": graph.loaded.number_of_edges()}
    if as_json:
        print_json({"file": str(output), **counts})
    else:
        console().print(
            f"{counts['nodes']} nodes and {counts['edges']} edges are in {escape(str(output))}.", soft_wrap=True
        )


def _edges_of(graph: "nx.MultiDiGraph[str]", node_id: str) -> list[tuple[str, str, str]]:
    """Edges that begin or end at a node, the surest first, as source, target, kind."""
    edges = {*graph.out_edges(node_id, keys=True), *graph.in_edges(node_id, keys=True)}
    return sorted(edges, key=lambda edge: (-graph.edges[edge]["confidence"], edge))


def _draw(graph: TenantGraph, node_id: str, depth: int, html: Path | None, png: Path | None) -> str:
    """Write the pictures that were asked for; what they leave out, in words."""
    import networkx as nx

    from sync_assets.graph.picture import neighbourhood
    from sync_assets.graph.view import draw, write_html

    if html is None and png is None:
        return ""
    around = neighbourhood(graph.loaded, [node_id], depth)
    if html is not None:
        write_html(graph.store, graph.tenant, graph.audience, around, [node_id], html)
    if png is not None:
        draw(around, [node_id], png)
    there = len(nx.single_source_shortest_path_length(graph.loaded.to_undirected(as_view=True), node_id, depth))
    return f" (the nearest {len(around)} of {there} nodes)" if len(around) < there else ""


def _print_node(about: Mapping[str, Any]) -> None:
    out = console()
    out.print(f"[bold]{escape(about['label'])}[/bold] ({about['kind'].replace('_', ' ')})", soft_wrap=True)
    rows = {
        "id": about["node_id"],
        "also": ", ".join(about["members"][1:]),
        "called": ", ".join(about["aliases"]),
        **about["facts"],
        "confidence": f"{about['confidence']:.2f}",
        "documents": about["documents"],
    }
    for name, value in rows.items():
        if value != "":
            out.print(f"  {escape(name)}: {escape(str(value))}", soft_wrap=True)


def _print_edges(edges: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    out = console()
    out.print(f"[bold]{len(edges)} edges[/bold]")
    for edge in edges[:_SHOWN]:
        words = f"{labels[edge['source']]} {edge['kind']} {labels[edge['target']]}"
        out.print(f"  [bold]{edge['confidence']:.2f}[/bold] {escape(words)}", soft_wrap=True)
        for quote in edge["evidence"]:
            out.print(f"       {_words(quote)}", soft_wrap=True)
    if len(edges) > _SHOWN:
        out.print(f"  ... and {len(edges) - _SHOWN} more; --json has all.")


def _words(quote: "Quote") -> str:
    """A row of evidence as one line of markup."""
    place = f"{quote.document_id} {quote.place}".strip()
    told = (
        f"{escape(quote.before)}[bold]{escape(quote.marked)}[/bold]{escape(quote.after)}" if quote.marked else "field"
    )
    return f"{told} ({escape(place)}, {escape(quote.extractor)}, {quote.probability:.2f})"


def _path(found: "GraphPath") -> dict[str, Any]:
    return {**found._asdict(), "steps": [step._asdict() for step in found.steps]}
