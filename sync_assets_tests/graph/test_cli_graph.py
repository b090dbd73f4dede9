"""`sync-assets graph` as people run it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import networkx as nx
import pytest

from sync_assets.graph.extraction import open_extractor
from sync_assets.graph.store_evidence import replace_evidence
from sync_assets.graph.store_nodes import refresh
from sync_assets.graph.store_state import Merge, decisions, merges, replace_merges
from sync_assets.graph.store_tenants import searched_with
from sync_assets_tests.command_line import Installation
from sync_assets_tests.graph.small_graph import BO, HARDWARE, SAME_SANNE, SANNE, TENANT, fill, identity, node
from sync_assets_tests.postgres import fresh_database

PNG = b"\x89PNG\r\n\x1a\n"


class Home(Installation):
    """An installation that has the small graph, and no upstream."""

    def write_tenants(self, **keys: str) -> None:
        self.tenants_file.write_text("tenants: {polder: {freshdesk: {base_url: https://a.example, api_key: key}}}\n")

    def graph(self, *arguments: str, tenant: str = TENANT, code: int = 0) -> str:
        """What a command prints; on stderr where it is to fail."""
        outcome = self.run("graph", *arguments, "--tenant", tenant)
        assert outcome.code == code, outcome
        return outcome.err if code else outcome.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.graph(*arguments, "--json"))


def home(path: Path, url: str) -> Home:
    made = Home(path, url, cast(Any, None))
    with made.services() as services:
        fill(services.graph, open_extractor({}))
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Home]:
    """For tests that only read."""
    with fresh_database(postgres_url) as url:
        yield home(tmp_path_factory.mktemp("graph") / "home", url)


@pytest.fixture
def own(tmp_path: Path, postgres_url: str) -> Iterator[Home]:
    with fresh_database(postgres_url) as url:
        yield home(tmp_path / "home", url)


def test_stats_tell_how_large_the_graph_is(shared: Home) -> None:
    found = shared.json("stats")
    assert found["nodes"]["ticket"] == found["edges"]["BELONGS_TO"] == 54
    assert found["central"][0]["node_id"] == HARDWARE.node_id
    printed = shared.graph("stats")
    assert f"{sum(found['nodes'].values())} nodes" in printed
    assert "Hardware" in printed


@pytest.mark.parametrize(
    "words", ["#40", "40", node("40"), identity("40"), "no paper comes", "No paper", "  #40 "], ids=repr
)
def test_a_node_is_named_by_id_document_number_or_name(shared: Home, words: str) -> None:
    assert shared.json("show", words)["node_id"] == node("40")


def test_a_node_is_shown_with_its_facts_edges_and_the_words_that_prove_them(shared: Home) -> None:
    shown = shared.json("show", "#40")
    assert shown["facts"]["state"] == "resolved"
    (resolved,) = (edge for edge in shown["edges"] if edge["kind"] == "RESOLVED_BY")
    assert resolved["target"] == node("kb-7")
    (quote,) = (quote for quote in resolved["evidence"] if quote["place"] == "part-3" or "Solved" in quote["before"])
    assert (quote["before"], quote["marked"], quote["after"]) == ("Solved, see ", "KB-7", ".")
    printed = shared.graph("show", "#40")
    assert '#40 "No paper comes" RESOLVED_BY KB-7 "Repair the print queue"' in printed
    assert "Solved, see KB-7." in printed


def test_customers_are_shown_nothing_of_internal_notes(shared: Home) -> None:
    assert "Only for us" in shared.graph("show", "#40")
    public = shared.graph("show", "#40", "--audience", "public")
    assert "Only for us" not in public
    assert "10.1.2.3" not in public
    assert "no node '10.1.2.3'" in shared.graph("show", "10.1.2.3", "--audience", "public", code=2)


def test_an_ambiguous_name_lists_who_may_be_meant(shared: Home) -> None:
    said = shared.graph("show", "de Wit", code=2)
    assert SANNE.node_id in said
    assert SAME_SANNE.node_id in said
    assert "Name one by its id" in said


def test_an_unknown_node_and_an_empty_graph_are_errors_with_a_remedy(shared: Home) -> None:
    assert "no node 'nobody'" in shared.graph("show", "nobody", code=2)
    assert "NODE is empty." in shared.graph("show", " ", code=2)
    assert "are both" in shared.graph("path", "#12", "12", code=2)
    assert "never the same" in shared.graph("merge", "#12", "Sanne de Wit", code=2)
    assert "suffix .png" in shared.graph("show", "#12", "--png", ".", code=2)
    assert "sync-assets sync --tenant polder" in shared.graph("stats", tenant="polder", code=1)
    assert "--audience is public or internal" in shared.graph("stats", "--audience", "restricted", code=2)


def test_markup_in_titles_is_printed_as_it_is(shared: Home) -> None:
    assert '<script>alert("1")</script>' in shared.graph("show", "#42")


def test_pictures_are_written(shared: Home, tmp_path: Path) -> None:
    page, picture = tmp_path / "a.html", tmp_path / "a.png"
    said = shared.graph("show", "#12", "--depth", "2", "--html", str(page), "--png", str(picture))
    assert str(page) in said
    assert page.read_text().startswith("<!doctype html>")
    assert picture.read_bytes().startswith(PNG)


def test_a_path_explains_why_two_belong_together(shared: Home) -> None:
    sentence = '#12 "Printing fails" MENTIONS 0x80070005, which #40 "No paper comes" MENTIONS'
    assert sentence in shared.graph("path", "#12", "#40")
    assert shared.json("path", "#12", "#40")["paths"][0]["sentence"] == sentence
    assert "No path of 1 edges or fewer" in shared.graph("path", "#12", "#40", "--longest", "1")


def test_related_lists_the_ticket_that_solved_the_same_first(shared: Home) -> None:
    found = shared.json("related", "#12", "--kind", "ticket", "--limit", "3")
    assert [len(found["related"]), found["related"][0]["node_id"]] == [3, node("40")]
    assert '#40 "No paper comes"' in shared.graph("related", "#12", "--kind", "ticket").splitlines()[0]


@pytest.mark.parametrize("suffix", ["graphml", "json"])
def test_an_export_has_the_whole_graph(shared: Home, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph.{suffix}"
    counts = shared.json("export", str(path))
    if suffix == "graphml":
        read = nx.read_graphml(path)
    else:
        read = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
    assert (len(read), read.number_of_edges()) == (counts["nodes"], counts["edges"])


def test_an_export_of_another_suffix_is_refused(shared: Home, tmp_path: Path) -> None:
    assert "suffix .graphml or .json" in shared.graph("export", str(tmp_path / "graph.csv"), code=2)
    assert not (tmp_path / "graph.csv").exists()


def test_a_decision_merges_nodes_and_is_taken_back(own: Home) -> None:
    merged = own.json("merge", "Sanne de Wit", "Bo Jansen", "--note", "married")
    assert merged["together"]
    assert [row["reason"] for row in merged["merged"]] == ["decided by a person: married"]
    assert set(own.json("show", "Bo Jansen")["members"]) == {SANNE.node_id, BO.node_id}
    assert "nothing to take back" in own.graph("split", "Sanne de Wit", "Bo Jansen", "--undo", code=2)
    undone = own.json("merge", "Bo Jansen", "Sanne de Wit", "--undo")
    assert (undone["together"], len(undone["separated"])) == (False, 1)
    assert own.json("show", "Bo Jansen")["members"] == [BO.node_id]
    with own.services() as services, services.graph.transaction() as connection:
        assert decisions(connection, TENANT) == []


def test_a_split_holds_against_merges_with_a_third(own: Home) -> None:
    assert own.json("merge", SANNE.node_id, SAME_SANNE.node_id)["together"]
    divided = own.json("split", SANNE.node_id, SAME_SANNE.node_id, "--note", "father and son")
    assert not divided["together"]
    own.graph("merge", BO.node_id, SANNE.node_id)
    said = own.graph("merge", BO.node_id, SAME_SANNE.node_id)
    assert "now stands for" in said
    assert "no longer stands for" in said
    assert SANNE.node_id not in own.json("show", BO.node_id)["members"]


def test_a_decision_that_has_no_effect_is_said(own: Home) -> None:
    outcome = own.run("graph", "merge", node("12"), node("40"), "--tenant", TENANT)
    together = own.json("show", "#12")["members"] != [node("12")]
    assert together or "are two still" in outcome.err
    assert "are both" in own.graph("merge", "#12", "12", code=2)


def test_a_rebuild_changes_nothing_of_a_graph_that_is_in_order(own: Home, tmp_path: Path) -> None:
    own.graph("rebuild")
    own.graph("export", str(tmp_path / "before.json"))
    found = own.json("rebuild")
    assert (found["documents"], found["changed"]) == (56, 0)
    own.graph("export", str(tmp_path / "after.json"))
    assert (tmp_path / "before.json").read_bytes() == (tmp_path / "after.json").read_bytes()


def test_a_rebuild_finds_what_was_lost_and_tells_what_it_did(own: Home, tmp_path: Path) -> None:
    own.graph("rebuild")
    own.graph("export", str(tmp_path / "before.json"))
    lost = [Merge(BO.node_id, SANNE.node_id, 1.0, "by mistake")]
    with own.services() as services, services.graph.transaction() as connection:
        kept = merges(connection, TENANT)
        replace_merges(connection, TENANT, lost)
        ids = [identity("12"), identity("40")]
        refresh(connection, TENANT, replace_evidence(connection, TENANT, ids, [], keep_fields=True))
    found, merged = own.graph("rebuild").splitlines()
    assert found == "The texts of 56 documents were searched again."
    assert re.fullmatch(rf"Of \d+ entities {len(kept)} stand for another one; {len(kept) + 1} changed.", merged)
    own.graph("export", str(tmp_path / "after.json"))
    assert (tmp_path / "before.json").read_bytes() == (tmp_path / "after.json").read_bytes()


def test_a_rebuild_of_a_misspelt_tenant_is_an_error_and_leaves_no_trace(own: Home) -> None:
    assert "Unknown tenant 'typo'." in own.graph("rebuild", tenant="typo", code=2)
    with own.services() as services, services.graph.transaction() as connection:
        assert searched_with(connection, "typo") is None
