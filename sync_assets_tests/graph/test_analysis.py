"""The graph in memory: what is one node, what readers see, what is near, and the paths that explain it."""

import math
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import networkx as nx
import pytest

from sync_assets.documents import Visibility
from sync_assets.errors import GraphError
from sync_assets.graph import loading, neighbourhood
from sync_assets.graph.analysis import LONGEST, centrality, communities, explain, related, statistics
from sync_assets.graph.loading import edge_keys, label, load_graph
from sync_assets.graph.neighbourhood import load_around
from sync_assets.graph.store import GraphStore
from sync_assets.relations import EdgeKind, NodeKind
from sync_assets.vector_stores import Audience
from sync_assets_tests.graph.small_graph import HARDWARE, SAME_SANNE, SANNE, TENANT, fill, identity, node
from sync_assets_tests.postgres import fresh_database

PUBLIC = Audience(visibility=Visibility.PUBLIC)
MERGE = (SAME_SANNE.node_id, SANNE.node_id, 0.9, "same name")
ERROR, HOST = "error_code:0x80070005", "host:10.1.2.3"


@pytest.fixture(scope="module")
def store(postgres_url: str) -> Iterator[GraphStore]:
    with fresh_database(postgres_url) as url:
        opened = GraphStore(url)
        fill(opened, merges=[MERGE])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def graph(store: GraphStore) -> "nx.MultiDiGraph[str]":
    return load_graph(store, TENANT, None)


def made_of(*edges: tuple[str, EdgeKind, str, float]) -> "nx.MultiDiGraph[str]":
    """A graph of nodes `kind:name`."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for source, kind, target, confidence in edges:
        for one in (source, target):
            graph.add_node(one, kind=one.partition(":")[0], name="", aliases=(), facts={}, members=(one,))
        graph.add_edge(source, target, kind.value, confidence=confidence, documents=1)
    return graph


def test_entities_that_are_the_same_become_one_node(graph: "nx.MultiDiGraph[str]") -> None:
    sanne = graph.nodes[SANNE.node_id]
    assert SAME_SANNE.node_id not in graph
    assert (sanne["name"], sanne["aliases"]) == ("Sanne de Wit", ("S. de Wit",))
    assert sanne["facts"] == {"email": "sanne@acme.test", "phone": "+31 20 555 01 00"}
    assert sanne["members"] == (SANNE.node_id, SAME_SANNE.node_id)
    reported = {source for source, _, kind in graph.in_edges(SANNE.node_id, keys=True) if kind == EdgeKind.CREATED_BY}
    assert reported == {node("12"), node("41"), node("42")}


def test_edges_of_merged_nodes_count_together_and_those_within_a_node_are_gone(postgres_url: str) -> None:
    ci, ticket = node("ci-1"), node("12")
    with fresh_database(postgres_url) as url:
        store = GraphStore(url)
        # The two tickets become one, which names the item twice; and the reporter becomes a ticket's own node.
        fill(store, merges=[(node("40"), ticket, 1.0, "test"), (SANNE.node_id, ticket, 1.0, "test")])
        merged = load_graph(store, TENANT, None)
        sure = load_graph(store, TENANT, None, min_confidence=0.6)
        store.close()
    assert merged.edges[ticket, ci, "AFFECTS"] == {"confidence": 0.75, "documents": 2}
    assert not list(nx.selfloop_edges(merged))
    assert sure.has_edge(ticket, ci, "AFFECTS")
    assert not sure.has_edge(node("42"), ci, "AFFECTS")
    assert all(edge["confidence"] >= 0.6 for edge in sure.edges.values())
    assert list(edge_keys(merged, ticket, EdgeKind.AFFECTS, ci))[-1] == (node("40"), EdgeKind.AFFECTS, ci)


def test_customers_see_nothing_of_internal_notes(store: GraphStore, graph: "nx.MultiDiGraph[str]") -> None:
    public = load_graph(store, TENANT, PUBLIC)
    assert HOST in graph
    assert HOST not in public
    assert graph.edges[node("40"), ERROR, "MENTIONS"] == public.edges[node("40"), ERROR, "MENTIONS"]


def test_a_merge_never_shows_a_node_that_the_reader_may_not_see(postgres_url: str) -> None:
    with fresh_database(postgres_url) as url:
        store = GraphStore(url)
        fill(store, merges=[(ERROR, HOST, 1.0, "test")])
        public, internal = load_graph(store, TENANT, PUBLIC), load_graph(store, TENANT, None)
        store.close()
    assert HOST not in public
    assert public.nodes[ERROR]["members"] == (ERROR,)
    assert internal.nodes[HOST]["members"] == (HOST, ERROR)


def test_a_graph_that_memory_should_not_be_asked_for_is_refused(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MOST_EDGES", 100)
    with pytest.raises(GraphError, match=r"'acme' has \d+ edges; at most 100"):
        load_graph(store, TENANT, None)


def test_the_ticket_that_solved_the_same_comes_first_with_the_reason(graph: "nx.MultiDiGraph[str]") -> None:
    first, second, *_ = related(graph, {node("12"): 1.0}, [NodeKind.TICKET])
    assert first.node_id == node("40")
    assert first.path.sentence == '#12 "Printing fails" MENTIONS 0x80070005, which #40 "No paper comes" MENTIONS'
    assert first.score > first.path.score  # the laptop counts as well
    assert second.node_id == node("42")


def test_only_nodes_of_the_wanted_kinds_are_results_and_seeds_never_are(graph: "nx.MultiDiGraph[str]") -> None:
    seeds = {node("12"): 1.0, node("40"): 0.5, "ticket:unknown": 1.0}
    found = related(graph, seeds, [NodeKind.ARTICLE, NodeKind.TICKET], limit=100)
    assert node("kb-7") in {one.node_id for one in found}
    assert {graph.nodes[one.node_id]["kind"] for one in found} == {"article", "ticket"}
    assert not seeds.keys() & {one.node_id for one in found}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert related(graph, {"ticket:unknown": 1.0}) == []


@pytest.mark.parametrize("kind", [EdgeKind.DUPLICATE_OF, EdgeKind.FIXES])
def test_a_direct_relation_is_nearer_than_anything_shared(kind: EdgeKind) -> None:
    graph = made_of(
        ("ticket:a", kind, "ticket:b", 0.8),
        ("ticket:a", EdgeKind.AFFECTS, "product:x", 1.0),
        ("ticket:c", EdgeKind.AFFECTS, "product:x", 1.0),
    )
    assert [one.node_id for one in related(graph, {"ticket:b": 1.0}, [NodeKind.TICKET])] == ["ticket:a", "ticket:c"]
    assert [one.node_id for one in related(graph, {"ticket:a": 1.0}, [NodeKind.TICKET])] == ["ticket:b", "ticket:c"]


def test_a_device_that_both_are_about_counts_more_than_words_that_are_alike() -> None:
    graph = made_of(
        ("ticket:a", EdgeKind.SIMILAR_TO, "ticket:b", 0.9),
        ("ticket:a", EdgeKind.AFFECTS, "configuration_item:x", 1.0),
        ("ticket:c", EdgeKind.AFFECTS, "configuration_item:x", 1.0),
    )
    assert [one.node_id for one in related(graph, {"ticket:a": 1.0}, [NodeKind.TICKET])] == ["ticket:c", "ticket:b"]


def test_what_thousands_share_explains_little() -> None:
    many = [(f"ticket:{number}", EdgeKind.AFFECTS, "product:hub", 1.0) for number in range(3000)]
    few = [(f"ticket:{number}", EdgeKind.MENTIONS, "error_code:e", 0.6) for number in (0, 2999)]
    first, second = related(made_of(*many, *few), {"ticket:0": 1.0}, [NodeKind.TICKET], limit=2)
    assert (first.node_id, second.node_id) == ("ticket:2999", "ticket:1")
    assert first.score > 3 * second.score


def test_paths_come_by_likelihood_and_say_which_way_edges_point(graph: "nx.MultiDiGraph[str]") -> None:
    paths = explain(graph, node("12"), node("40"))
    assert [path.nodes[1] for path in paths[:3]] == [ERROR, node("ci-1"), HARDWARE.node_id]
    assert [path.score for path in paths] == sorted((path.score for path in paths), reverse=True)
    assert paths[0].steps[0].target == paths[0].steps[1].target == ERROR
    assert all(len(path.steps) <= 4 for path in paths)
    assert len(explain(graph, node("12"), node("kb-7"), longest=1)) == 0
    assert explain(graph, node("12"), node("12")) == []


def test_the_likeliest_paths_are_those_that_a_search_of_all_paths_finds() -> None:
    kinds = ("ticket", "product", "person", "host")
    names = [f"{kinds[number % 4]}:{number}" for number in range(9)]
    edges = [
        (one, EdgeKind.MENTIONS, other, ((3 * i + 5 * j) % 7 + 2) / 10)
        for i, one in enumerate(names)
        for j, other in enumerate(names)
        if i < j and (i * j) % 3 != 1
    ]
    graph = made_of(*edges)
    plain = graph.to_undirected()

    def score(path: list[str]) -> float:
        sure = math.prod(plain.edges[one, other, "MENTIONS"]["confidence"] for one, other in pairwise(path))
        passed = ((0.3 if one.startswith("person") else 1.0) / math.log2(1 + plain.degree(one)) for one in path[1:-1])
        return sure * math.prod(passed)

    every = sorted(map(score, nx.all_simple_paths(plain, names[0], names[8], cutoff=3)), reverse=True)
    found = explain(graph, names[0], names[8], longest=3)
    assert [path.score for path in found] == pytest.approx(every[:5], abs=1e-6)
    assert len(every) > 5


@pytest.mark.parametrize(
    ("edges", "ends", "expected"),
    [
        ([("host:b", EdgeKind.BELONGS_TO, "host:a", 1.0)], "ab", "a, which b BELONGS_TO"),
        ([("host:b", EdgeKind.SIMILAR_TO, "host:a", 1.0)], "ab", "a SIMILAR_TO b"),
        (
            [("host:b", EdgeKind.FIXES, "host:a", 1.0), ("host:b", EdgeKind.MENTIONS, "host:c", 1.0)],
            "ac",
            "a, which b FIXES, and b MENTIONS c",
        ),
        (
            [
                ("host:a", EdgeKind.AFFECTS, "host:b", 1.0),
                ("host:b", EdgeKind.LOCATED_AT, "host:c", 1.0),
                ("host:d", EdgeKind.LOCATED_AT, "host:c", 1.0),
            ],
            "ad",
            "a AFFECTS b, which LOCATED_AT c, which d LOCATED_AT",
        ),
        (
            [("host:b", EdgeKind.FIXES, "host:a", 1.0), ("host:c", EdgeKind.FIXES, "host:b", 1.0)],
            "ac",
            "a, which b FIXES, and c FIXES b",
        ),
    ],
)
def test_a_sentence_tells_a_path(edges: list[tuple[str, EdgeKind, str, float]], ends: str, expected: str) -> None:
    (path,) = explain(made_of(*edges), f"host:{ends[0]}", f"host:{ends[1]}")
    assert path.sentence == expected


def test_statistics_count_by_kind(graph: "nx.MultiDiGraph[str]") -> None:
    found = statistics(graph)
    assert next(iter(found.nodes.items())) == ("ticket", 54)
    assert found.nodes["person"] == 2
    assert found.edges["BELONGS_TO"] == found.edges["CREATED_BY"] == 54
    assert found.average_degree == round(2 * graph.number_of_edges() / graph.number_of_nodes(), 3)
    assert (found.components, found.largest_component) == (1, graph.number_of_nodes())
    assert statistics(nx.MultiDiGraph()).components == 0


def test_the_category_of_all_tickets_is_most_in_the_middle(graph: "nx.MultiDiGraph[str]") -> None:
    first, *rest = centrality(graph, limit=5)
    assert (first.node_id, first.degree, len(rest)) == (HARDWARE.node_id, 54, 4)
    assert centrality(nx.MultiDiGraph()) == []


def test_communities_cover_all_nodes_and_put_two_cliques_apart() -> None:
    cliques = [
        (f"host:{side}{one}", EdgeKind.MENTIONS, f"host:{side}{other}", 1.0)
        for side in "ab"
        for one in range(5)
        for other in range(one)
    ]
    bridge = ("host:a0", EdgeKind.MENTIONS, "host:b0", 0.1)
    assert communities(made_of(*cliques, bridge)) == [[f"host:{side}{number}" for number in range(5)] for side in "ab"]
    assert communities(nx.MultiDiGraph()) == []


_PROGRAM = """
import networkx as nx
from sync_assets.graph.analysis import LONGEST, centrality, communities, related
graph = nx.MultiDiGraph()
graph.add_nodes_from((f"host:{i}" for i in range(60)), kind="host", name="", aliases=())
for i in range(60):
    for j in range(i):
        if (i * 7 + j * 13) % 11 == 0:
            graph.add_edge(f"host:{i}", f"host:{j}", "MENTIONS", confidence=(i + j) % 5 / 10 + 0.5)
print(communities(graph), centrality(graph), related(graph, {"host:3": 1.0}))
"""


def test_equal_graphs_give_equal_answers_in_every_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_labels_have_the_number_and_are_cut(graph: "nx.MultiDiGraph[str]") -> None:
    assert label(graph, node("ci-1")) == "Latitude 5520"
    assert label(graph, ERROR) == "0x80070005"
    assert len(label(graph, node("42"))) < 70


@pytest.mark.parametrize("audience", [None, PUBLIC, Audience(visibility=Visibility.INTERNAL)])
def test_what_is_near_is_the_same_in_the_part_of_the_graph_around(store: GraphStore, audience: Audience | None) -> None:
    kinds = [NodeKind.TICKET, NodeKind.ARTICLE]
    whole = load_graph(store, TENANT, audience)
    for record in ("12", "40", "kb-7", "110"):
        around = load_around(store, TENANT, audience, [identity(record)], LONGEST + 1)
        seeds = {node(record): 1.0}
        assert related(around, seeds, kinds, 60) == related(whole, seeds, kinds, 60)
    assert len(load_around(store, TENANT, audience, [identity("unknown")], LONGEST + 1)) == 0


def test_what_many_documents_speak_of_is_not_passed_and_what_is_far_is_not_read(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_hop = load_around(store, TENANT, None, [identity("12")], 1)
    assert node("12") in one_hop
    assert node("40") not in one_hop
    monkeypatch.setattr(neighbourhood, "_MOST_DOCUMENTS", 20)
    around = load_around(store, TENANT, None, [identity("12")], LONGEST + 1)
    assert {node("40"), node("41"), node("42")} <= set(around)
    assert node("110") not in around, "it shares the category alone, as fifty others do"
    category = around.nodes[HARDWARE.node_id]
    assert category["ties"] == category["documents"] > 50
    (first, *_) = related(around, {node("12"): 1.0}, [NodeKind.TICKET])
    assert first.node_id == node("40")
