"""The graph as files for other programs: GraphML for Gephi and the like, and node-link JSON.

What belongs here: the two formats, written node by node. What does not: which nodes and edges there are (`loading.py`).
Facts become attributes of their own, `fact_email`, since GraphML knows no nested values; both formats have the same.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import orjson

from sync_assets.graph.loading import label

if TYPE_CHECKING:
    import networkx as nx

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_TYPES = {str: "string", int: "long", float: "double"}
# What GraphML has as attributes of its elements.
_OWN = frozenset({"id", "source", "target", "key"})
# Texts come from anywhere, and XML 1.0 has no way to write these.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_graphml(graph: "nx.MultiDiGraph[str]", path: Path) -> None:
    """Write a graph as GraphML. Gephi shows `label`, and draws edges as wide as their `weight`."""
    with path.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        _start(xml, "graphml", {"xmlns": _NAMESPACE})
        for target, rows in (("node", _nodes(graph)), ("edge", _edges(graph))):
            types = {name: _TYPES[type(value)] for row in rows for name, value in row.items() if name not in _OWN}
            for name, kind in sorted(types.items()):
                declared = {"id": f"{target}_{name}", "for": target, "attr.name": name, "attr.type": kind}
                _start(xml, "key", declared)
                xml.endElement("key")
        _start(xml, "graph", {"edgedefault": "directed"})
        for row in _nodes(graph):
            _element(xml, "node", {"id": row["id"]}, row)
        for number, row in enumerate(_edges(graph)):
            ends = {"id": f"e{number}", "source": row["source"], "target": row["target"]}
            _element(xml, "edge", ends, row)
        xml.endElement("graph")
        xml.endElement("graphml")
        xml.endDocument()


def write_json(graph: "nx.MultiDiGraph[str]", path: Path) -> None:
    """Write a graph as node-link JSON, as `networkx.node_link_graph` reads it."""
    with path.open("wb") as file:
        file.write(b'{"directed":true,"multigraph":true,"graph":{},"nodes":[')
        _write_rows(file.write, _nodes(graph))
        file.write(b'],"edges":[')
        _write_rows(file.write, _edges(graph))
        file.write(b"]}\n")


def _write_rows(write: Any, rows: Iterator[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        write((b",\n" if number else b"\n") + orjson.dumps(row))


def _nodes(graph: "nx.MultiDiGraph[str]") -> Iterator[dict[str, Any]]:
    """Nodes by id, as flat values; aliases and the ids of merged entities on lines of their own."""
    for node_id in sorted(graph):
        node = graph.nodes[node_id]
        yield {
            "id": node_id,
            "label": label(graph, node_id),
            "kind": node["kind"],
            "name": node["name"],
            "aliases": "\n".join(node["aliases"]),
            "members": "\n".join(node["members"]),
            "confidence": node["confidence"],
            "documents": node["documents"],
            "document": node["document"],
            **{f"fact_{name}": value for name, value in sorted(node["facts"].items())},
        }


def _edges(graph: "nx.MultiDiGraph[str]") -> Iterator[dict[str, Any]]:
    """Edges by source, target and kind."""
    for source, target, kind in chain.from_iterable(sorted(graph.out_edges(one, keys=True)) for one in sorted(graph)):
        edge = graph.edges[source, target, kind]
        yield {
            "source": source,
            "target": target,
            "key": kind,
            "kind": kind,
            "label": kind,
            "weight": edge["confidence"],
            "confidence": edge["confidence"],
            "documents": edge["documents"],
        }


def _element(xml: XMLGenerator, name: str, attributes: dict[str, str], row: dict[str, Any]) -> None:
    """A node or edge with the rest of its row as data."""
    _start(xml, name, attributes)
    for key, value in row.items():
        if key not in _OWN:
            _start(xml, "data", {"key": f"{name}_{key}"})
            xml.characters(_clean(str(value)))
            xml.endElement("data")
    xml.endElement(name)


def _start(xml: XMLGenerator, name: str, attributes: dict[str, str]) -> None:
    xml.startElement(name, AttributesImpl({key: _clean(value) for key, value in attributes.items()}))


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("", text)
