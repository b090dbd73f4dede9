"""Pictures of a neighbourhood: what is on them, and that texts of others stay texts."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from PIL import Image

from sync_assets.documents import Visibility
from sync_assets.graph.loading import load_graph
from sync_assets.graph.picture import HEIGHT, WIDTH, neighbourhood, place
from sync_assets.graph.store import GraphStore
from sync_assets.graph.view import draw, write_html
from sync_assets.relations import NodeKind
from sync_assets.vector_stores import Audience
from sync_assets_tests.graph.small_graph import HARDWARE, HOSTILE, SANNE, TENANT, fill, node
from sync_assets_tests.postgres import fresh_database

PUBLIC = Audience(visibility=Visibility.PUBLIC)


@pytest.fixture(scope="module")
def store(postgres_url: str) -> Iterator[GraphStore]:
    with fresh_database(postgres_url) as url:
        opened = GraphStore(url)
        fill(opened)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def graph(store: GraphStore) -> "nx.MultiDiGraph[str]":
    return load_graph(store, TENANT, None)


def page(store: GraphStore, audience: Audience | None, centres: list[str], path: Path, depth: int = 1) -> str:
    around = neighbourhood(load_graph(store, TENANT, audience), centres, depth)
    write_html(store, TENANT, audience, around, centres, path)
    return path.read_text()


def data_of(page: str) -> Any:
    found = re.search(r"^const data = (.*);$", page, re.MULTILINE)
    assert found
    return json.loads(found[1])


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_neighbourhood_has_what_is_near_and_not_more_than_asked(graph: "nx.MultiDiGraph[str]") -> None:
    around = neighbourhood(graph, [node("12")])
    assert set(around) == {node("12"), node("ci-1"), "error_code:0x80070005", HARDWARE.node_id, SANNE.node_id}
    wide = neighbourhood(graph, [node("12")], depth=2, limit=8)
    assert len(wide) == 9
    assert node("40") in wide
    assert nx.is_weakly_connected(wide)
    assert set(wide.edges) == {edge for edge in graph.edges if edge[0] in wide and edge[1] in wide}


def test_nodes_stand_apart_on_the_paper_and_equal_graphs_stand_equal(graph: "nx.MultiDiGraph[str]") -> None:
    around = neighbourhood(graph, [node("12")], depth=2)
    picture = place(around, [node("12")])
    assert picture == place(around.copy(), [node("12")])
    for spot in picture.spots:
        assert 0 < spot.x < WIDTH
        assert 0 < spot.y < HEIGHT
    for one, other in combinations(picture.spots, 2):
        assert abs(one.x - other.x) > 30 or abs(one.y - other.y) > 30
    assert set(picture.legend) == {data["kind"] for _, data in around.nodes(data=True)}


def test_edges_between_the_same_nodes_are_drawn_apart(graph: "nx.MultiDiGraph[str]") -> None:
    lines = place(neighbourhood(graph, [node("40")]), [node("40")]).lines
    bends = {line.kind: line.bend for line in lines if line.target == node("kb-7")}
    assert bends["DOCUMENTED_IN"] == -bends["RESOLVED_BY"] != 0


@pytest.mark.parametrize("kind", NodeKind)
def test_every_kind_has_a_colour_of_its_own(kind: NodeKind) -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for one in NodeKind:
        graph.add_node(f"{one}:x", kind=one.value, name="", aliases=(), facts={})
    legend = place(graph, []).legend
    assert list(legend.values()).count(legend[kind.value]) == 1


def test_the_page_shows_the_words_that_prove_an_edge(store: GraphStore, tmp_path: Path) -> None:
    data = data_of(page(store, None, [node("40")], tmp_path / "page.html"))
    (resolved,) = (edge for edge in data["edges"] if edge["kind"] == "RESOLVED_BY")
    (quote,) = resolved["evidence"][:1]
    assert (quote["before"], quote["marked"]) == ("Solved, see ", "KB-7")
    assert (quote["title"], quote["url"]) == ('#40 "No paper comes"', "https://portal.acme.test/40")
    assert quote["extractor"].startswith("names/")
    assert 0 < quote["probability"] <= 1


def test_customers_get_a_page_without_internal_words(store: GraphStore, tmp_path: Path) -> None:
    assert "Only for us" in page(store, None, [node("40")], tmp_path / "internal.html")
    public = page(store, PUBLIC, [node("40")], tmp_path / "public.html")
    assert "Only for us" not in public
    assert "10.1.2.3" not in public


def test_hostile_titles_make_no_markup(store: GraphStore, tmp_path: Path) -> None:
    found = page(store, None, [node("42")], tmp_path / "page.html")
    tags = Tags(found).seen
    assert [tag for tag, _ in tags].count("script") == 1
    assert not [tag for tag, _ in tags if tag in ("img", "iframe", "object", "link")]
    assert found.count("</script>") == 1
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    (hostile,) = (one for one in data_of(found)["nodes"] if one["node_id"] == node("42"))
    assert hostile["title"].removeprefix('#42 "').startswith(HOSTILE[:40])


def test_the_page_asks_no_network_for_anything(store: GraphStore, tmp_path: Path) -> None:
    found = page(store, None, [node("12")], tmp_path / "page.html")
    for _, attributes in Tags(found).seen:
        assert not {"src", "href", "data", "action"} & attributes.keys()
    assert "default-src 'none'" in found


def test_only_addresses_of_the_web_become_links(store: GraphStore, tmp_path: Path) -> None:
    around = neighbourhood(load_graph(store, TENANT, None), [node("12")])
    around.nodes[node("12")]["facts"]["url"] = "javascript:alert(1)"
    write_html(store, TENANT, None, around, [node("12")], tmp_path / "page.html")
    assert "javascript:" not in (tmp_path / "page.html").read_text()


def test_the_png_has_its_size_and_the_colours_of_its_nodes(graph: "nx.MultiDiGraph[str]", tmp_path: Path) -> None:
    around = neighbourhood(graph, [node("12")])
    around.nodes[node("12")]["name"] = "Costs $5 and ^2_ $x"  # no formula
    draw(around, [node("12")], tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == (1600, 1000)
        shown = {colour for _, colour in image.convert("RGB").getcolors(10**6) or ()}
    assert {(37, 99, 235), (220, 38, 38)} <= shown


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_the_page_and_runs_nothing_of_the_texts(store: GraphStore, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page(store, None, [node("42")], path, depth=2)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dumped = subprocess.run(
        ["chromium", *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    shown = Tags(dumped).seen
    spots = len(data_of(path.read_text())["nodes"])
    assert [attributes.get("class") for _, attributes in shown].count("node") == spots
    assert "blockquote" in {tag for tag, _ in shown}  # the evidence of the node in the middle
    assert "img" not in {tag for tag, _ in shown}
