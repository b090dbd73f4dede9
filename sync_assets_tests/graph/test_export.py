"""Files of the graph: other programs read back exactly what is in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import pytest

from sync_assets.graph.export import write_graphml, write_json
from sync_assets.graph.loading import load_graph
from sync_assets.graph.store import GraphStore
from sync_assets_tests.graph.small_graph import HOSTILE, SAME_SANNE, SANNE, TENANT, fill, node
from sync_assets_tests.postgres import fresh_database


@pytest.fixture(scope="module")
def graph(postgres_url: str) -> Iterator["nx.MultiDiGraph[str]"]:
    with fresh_database(postgres_url) as url:
        store = GraphStore(url)
        fill(store, merges=[(SAME_SANNE.node_id, SANNE.node_id, 0.9, "same name")])
        yield load_graph(store, TENANT, None)
        store.close()


def keyed(graph: "nx.MultiDiGraph[str]") -> set[tuple[str, str, str, float]]:
    return {(source, target, edge["kind"], edge["confidence"]) for source, target, edge in graph.edges(data=True)}


def expected(graph: "nx.MultiDiGraph[str]") -> set[tuple[str, str, str, float]]:
    return {(*edge, values["confidence"]) for edge, values in graph.edges.items()}


def test_networkx_reads_the_graphml(graph: "nx.MultiDiGraph[str]", tmp_path: Path) -> None:
    write_graphml(graph, tmp_path / "graph.graphml")
    read = nx.read_graphml(tmp_path / "graph.graphml")
    assert isinstance(read, nx.MultiDiGraph)
    assert set(read) == set(graph)
    assert keyed(read) == expected(graph)
    assert read.nodes[node("42")]["name"] == HOSTILE
    sanne = read.nodes[SANNE.node_id]
    assert (sanne["fact_email"], sanne["fact_phone"]) == ("sanne@acme.test", "+31 20 555 01 00")
    assert (sanne["label"], sanne["aliases"], sanne["confidence"]) == ("Sanne de Wit", "S. de Wit", 1.0)
    assert type(read.nodes[node("12")]["documents"]) is int


def test_every_edge_of_the_graphml_has_an_id_of_its_own_and_known_attributes(
    graph: "nx.MultiDiGraph[str]", tmp_path: Path
) -> None:
    write_graphml(graph, tmp_path / "graph.graphml")
    root = ElementTree.parse(tmp_path / "graph.graphml").getroot()
    space = "{http://graphml.graphdrawing.org/xmlns}"
    ids = [edge.get("id") for edge in root.iter(f"{space}edge")]
    assert len(ids) == len(set(ids)) == graph.number_of_edges()
    declared = {key.get("id") for key in root.iter(f"{space}key")}
    assert {data.get("key") for data in root.iter(f"{space}data")} == declared
    assert {"edge_weight", "node_label"} <= declared


def test_networkx_reads_the_json(graph: "nx.MultiDiGraph[str]", tmp_path: Path) -> None:
    write_json(graph, tmp_path / "graph.json")
    read = nx.node_link_graph(json.loads((tmp_path / "graph.json").read_bytes()), edges="edges")
    assert isinstance(read, nx.MultiDiGraph)
    assert set(read) == set(graph)
    assert set(read.edges) == set(graph.edges)
    assert keyed(read) == expected(graph)
    assert read.nodes[SANNE.node_id]["fact_email"] == "sanne@acme.test"


@pytest.mark.parametrize("write", [write_graphml, write_json])
def test_equal_graphs_give_equal_files(graph: "nx.MultiDiGraph[str]", tmp_path: Path, write: type) -> None:
    turned: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    turned.add_nodes_from(reversed(list(graph.nodes(data=True))))
    for source, target, kind in reversed(list(graph.edges)):
        turned.add_edge(source, target, kind, **graph.edges[source, target, kind])
    for name, one in (("first", graph), ("second", turned)):
        write(one, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_characters_that_xml_has_no_way_to_write_are_left_out(tmp_path: Path) -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_node("host:a\x0b", kind="host", name="bell\x07 \ud83d", aliases=(), facts={"a\x01b": "\x02c"})
    graph.nodes["host:a\x0b"].update(confidence=1.0, documents=1, document="", members=("host:a\x0b",))
    write_graphml(graph, tmp_path / "graph.graphml")
    ((node_id, values),) = nx.read_graphml(tmp_path / "graph.graphml").nodes(data=True)
    assert (node_id, values["name"], values["fact_ab"]) == ("host:a", "bell ", "c")


@pytest.mark.parametrize("write", [write_graphml, write_json])
def test_an_empty_graph_is_a_valid_file(tmp_path: Path, write: type) -> None:
    write(nx.MultiDiGraph(), tmp_path / "graph")
    if write is write_json:
        assert json.loads((tmp_path / "graph").read_bytes())["nodes"] == []
    else:
        assert len(nx.read_graphml(tmp_path / "graph")) == 0
