"""Search over documents that each test writes down, in all three stores."""

from itertools import product
from typing import Any

import pytest

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.search import MODIFIED, Mode, Result, search
from sync_assets.search.finding import rank
from sync_assets.vector_stores import Audience
from sync_assets.vector_stores.matching import AnyOf, Between
from sync_assets.vector_stores.pgvector import PgVectorStore
from sync_assets_tests.graph.small_graph import TENANT, fill
from sync_assets_tests.search.corpus import NOW, STORES, Corpus, note, secret

PUBLIC = Audience(visibility=Visibility.PUBLIC)
INTERNAL = Audience(visibility=Visibility.INTERNAL)
FRIEND = Audience(visibility=Visibility.PUBLIC, principals=frozenset({"group:sre"}))
MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


def found(corpus: Corpus, text: str, audience: Audience = PUBLIC, **more: Any) -> list[Result]:
    return search(corpus.services, text, tenant=corpus.tenant, audience=audience, **more)


def records(results: list[Result]) -> list[str]:
    return [result.record_id for result in results]


def test_modes_find_by_meaning_by_words_or_by_both(corpus: Corpus) -> None:
    corpus.add("alike", "router restarts every night at two")
    corpus.add("code", "unrelated words about paper", "and in the end ERR_4711 alone")
    for store in STORES:
        assert records(found(corpus, "ERR_4711", mode="lexical", store=store)) == ["code"]
        dense = found(corpus, "router restarts every night", mode="dense", store=store)
        assert records(dense) == ["alike", "code"]
        assert set(dense[0].scores) == {"dense"}
        both = found(corpus, "ERR_4711 router", store=store)
        assert {"dense", "lexical"} == set(both[0].scores)
        assert both[0].store == store
        assert found(corpus, "?!", mode="lexical", store=store) == []


def test_every_document_comes_once_with_its_best_chunk_and_the_others_beside_it(corpus: Corpus) -> None:
    corpus.add("1", "hello there", "the lift phone is silent", "lift phone", "bye")
    corpus.add("2", "lift")
    first, second = found(corpus, "lift phone is silent")
    assert (first.record_id, first.text, second.record_id) == ("1", "the lift phone is silent", "2")
    assert first.more[0].text == "lift phone"
    assert all(0 <= passage.score <= 1 for passage in first.more)
    assert 1 >= first.score > second.score > 0
    (highlight,) = first.highlights
    assert [highlight.text[start:end] for start, end in highlight.spans] == ["lift", "phone", "silent"]


def test_documents_of_several_models_and_collections_are_one_order(corpus: Corpus) -> None:
    for number in range(12):
        corpus.add(f"t{number}", f"weather number {number}")
    corpus.add("answer", "printer jams with glossy paper", collection="kb", stream="articles", model="hash-32")
    corpus.add("other", "weather", collection="kb", stream="articles", model="hash-32")
    results = found(corpus, "printer jams with paper", top_k=14)
    assert results[0].record_id == "answer"
    assert len(set(records(results))) == 14
    assert [result.score for result in results] == sorted((result.score for result in results), reverse=True)
    assert records(found(corpus, "printer jams with paper", filters={"stream": AnyOf(["articles"])})) == [
        "answer",
        "other",
    ]


def test_a_word_weighs_what_it_weighs_in_all_collections_together(corpus: Corpus) -> None:
    """One in a small collection is rare all the same, and one that is half of a large one is not."""
    for number in range(12):
        corpus.add(f"b{number}", "reset it" if number < 3 else "wait", stores=["pgvector"])
    for record, text in (("rare", "a quokka"), ("other", "weather")):
        corpus.add(record, text, stores=["pgvector"], collection="guides", stream="articles")
    results = found(corpus, "quokka reset", mode="lexical")
    assert records(results) == ["rare", "b0", "b1", "b2"]
    assert results[0].scores["lexical"] > results[1].scores["lexical"]


def test_a_collection_without_a_word_makes_it_rarer(corpus: Corpus) -> None:
    for number in range(4):
        corpus.add(f"b{number}", "reset it" if number < 3 else "wait", stores=["pgvector"])
    alone = found(corpus, "reset", mode="lexical")
    for number in range(12):
        corpus.add(f"o{number}", "weather", stores=["pgvector"], collection="guides", stream="articles")
    together = found(corpus, "reset", mode="lexical")
    assert records(together) == records(alone) == ["b0", "b1", "b2"]
    assert together[0].scores["lexical"] > alone[0].scores["lexical"]


def test_one_look_into_a_store_ranks_as_searches_in_each_mode_do(corpus: Corpus) -> None:
    for number in range(9):
        corpus.add(f"t{number}", f"paper of kind {number}", "the printer jams" if number % 3 else "a toner is empty")
    corpus.add("kb", "printer jams with glossy paper", collection="kb", stream="articles", model="hash-32")
    for store, text in product(STORES, ("printer jams with paper", "toner 4", "?!")):
        asked: dict[str, Any] = {"tenant": corpus.tenant, "audience": PUBLIC, "store": store, "top_k": 6}
        ranked = rank(corpus.services, text, **asked, instead={})
        for mode in MODES:
            results = search(corpus.services, text, **asked, mode=mode)
            assert ranked[mode] == [result.document_id for result in results], (store, text, mode)


def test_no_more_is_fetched_than_the_documents_that_are_asked_for_need(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        corpus.add(f"{number}", *(f"vpn drops {number} {place}" for place in range(120)), stores=["pgvector"])
    asked: list[int] = []
    for name in ("search", "search_text"):
        ask = getattr(PgVectorStore, name)

        def counting(store: Any, *arguments: Any, ask: Any = ask) -> Any:
            asked.append(arguments[4])
            return ask(store, *arguments)

        monkeypatch.setattr(PgVectorStore, name, counting)
    assert len(found(corpus, "vpn drops", top_k=1)) == 1
    assert len(asked) == 2, "once by meaning, once by words"
    assert len(found(corpus, "vpn drops", top_k=1, recency=0.1)) == 1
    assert len(asked) > 4, "recency orders the fifty most relevant ones"


@pytest.mark.parametrize("store", STORES)
def test_a_filtered_search_returns_as_many_documents_as_there_are(corpus: Corpus, store: str) -> None:
    """Few documents with many chunks that match better fill the first pages."""
    for number in range(3):
        loud = [f"vpn drops again {number} {place}" for place in range(120)]
        corpus.add(f"loud{number}", *loud, stores=[store], metadata={"status": "open"})
    for number in range(6):
        corpus.add(f"quiet{number}", f"vpn {number}", stores=[store], metadata={"status": "open", "tags": ["a"]})
    corpus.add("closed", "vpn drops again", stores=[store], metadata={"status": "closed"})
    for mode in MODES:
        results = found(corpus, "vpn drops again", mode=mode, top_k=9, filters={"status": "open"})
        assert len(results) == 9
        assert {result.metadata["status"] for result in results} == {"open"}
        assert len(found(corpus, "vpn drops", mode=mode, top_k=5, filters={"tags": "a"})) == 5
    any_of = {"status": AnyOf(["open", "closed"]), "record_id": AnyOf(["closed", "quiet1"])}
    assert sorted(records(found(corpus, "vpn", filters=any_of))) == ["closed", "quiet1"]


def test_dates_are_those_of_the_last_change_and_of_the_last_message(corpus: Corpus) -> None:
    corpus.add("new", "vpn", days_old=2)
    corpus.add("old", "vpn", days_old=60)
    spoken = {"updated_at": None, "ended_at": NOW.isoformat()}
    corpus.add("chat", "vpn", stream="messages", source="slack", collection="chats", metadata=spoken)
    undated = {"updated_at": None}
    corpus.add("file", "vpn", stream="files", source="gitlab", collection="repositories", metadata=undated)
    assert "file" in records(found(corpus, "vpn"))
    results = found(corpus, "vpn", filters={MODIFIED: Between(NOW.replace(year=NOW.year - 1), None)}, top_k=9)
    assert sorted(records(results)) == ["chat", "new", "old"]
    (late,) = found(corpus, "vpn", filters={MODIFIED: Between(None, str((results[0].modified_at or NOW).date()))})[-1:]
    assert late.record_id == "old"
    assert records(found(corpus, "vpn", filters={MODIFIED: Between("2199-01-01", None)})) == []


def test_nothing_of_another_tenant_or_audience_is_seen_in_any_mode(corpus: Corpus) -> None:
    for tenant in (corpus.tenant, f"{corpus.tenant}x"):
        corpus.add("1", "open word", note("inner word"), secret("hidden word", "group:sre"), "last word", tenant=tenant)
        corpus.add("2", note("inner word alone"), tenant=tenant)
    seen = [(PUBLIC, {"open", "last"}), (INTERNAL, {"open", "last", "inner"}), (FRIEND, {"open", "last", "hidden"})]
    asked = ("word", "inner word", "hidden word")
    for store, mode, (audience, allowed), text in product(STORES, MODES, seen, asked):
        results = found(corpus, text, audience, mode=mode, store=store, neighbours=3, expand=True, top_k=100)
        assert results
        assert all(result.document_id.startswith(f"{corpus.tenant}_") for result in results)
        texts = [result.text for result in results]
        texts += [one.text for result in results for one in (*result.more, *result.neighbours, *result.highlights)]
        assert {one.split()[0] for one in texts} <= allowed
        if text == "word":
            assert {one.split()[0] for one in texts} == allowed


@pytest.mark.parametrize("store", STORES)
def test_neighbours_stand_in_the_order_of_the_document(corpus: Corpus, store: str) -> None:
    corpus.add("1", "alpha", "beta", note("gamma"), "delta", "epsilon", stores=[store])
    (result,) = found(corpus, "delta", mode="lexical", neighbours=2)
    assert [(one.offset, one.text) for one in result.neighbours] == [(-2, "beta"), (1, "epsilon")]
    (result,) = found(corpus, "alpha", INTERNAL, mode="lexical", neighbours=2)
    assert [(one.offset, one.text) for one in result.neighbours] == [(1, "beta"), (2, "gamma")]
    assert found(corpus, "delta", mode="lexical")[0].neighbours == []


def test_expansion_names_what_is_near_in_the_graph_and_why(corpus: Corpus) -> None:
    corpus = Corpus(corpus.services, TENANT)
    fill(corpus.services.graph)
    corpus.add("12", "Printing fails on my laptop", source="portal")
    (result,) = found(corpus, "printing fails", expand=True)
    nearest = result.related[0]
    assert (nearest.document_id, nearest.kind) == ("acme_portal_40", "ticket")
    assert nearest.url == "https://portal.acme.test/40"
    assert "0x80070005" in nearest.sentence or "Latitude" in nearest.sentence
    assert all(one.document_id != result.document_id for one in result.related)
    corpus.add("40", "Printing shows no paper", source="portal")
    both = found(corpus, "printing", expand=True)
    assert all(one.document_id != "acme_portal_40" for result in both for one in result.related), "it is a result"


def test_recency_and_feedback_change_the_order_and_are_told(corpus: Corpus) -> None:
    corpus.add("old", "vpn drops", days_old=360)
    corpus.add("new", "vpn drops often", days_old=0)
    corpus.add("solved", "vpn drops for her", days_old=30, metadata={"status": "Closed"})
    assert records(found(corpus, "vpn drops"))[0] == "old"
    recent = found(corpus, "vpn drops", recency=0.9, half_life_days=180)
    assert [result.record_id for result in recent] == ["new", "solved", "old"]
    assert [result.scores["recency"] for result in recent] == pytest.approx([1, 0.5 ** (1 / 6), 0.25], abs=0.01)
    helped = found(corpus, "vpn drops", feedback=0.9)
    assert helped[0].record_id == "solved"
    assert helped[0].scores["feedback"] == pytest.approx(0.342, abs=0.001)
    assert {result.scores["feedback"] for result in helped[1:]} == {0.0}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": " "}, "question is empty"),
        ({"text": "x" * 2001}, "2001 characters"),
        ({"mode": "fuzzy"}, "Unknown mode 'fuzzy'"),
        ({"top_k": 0}, "0 documents"),
        ({"top_k": 101}, "101 documents"),
        ({"neighbours": 11}, "11 neighbours"),
        ({"recency": 0.6, "feedback": 0.6}, "more than 1 together"),
        ({"half_life_days": 0}, "half_life_days"),
        ({"rerank": True}, "SYNC_ASSETS_RERANKER is not set"),
        ({"source": "zendesk"}, "Unknown source 'zendesk'"),
        ({"store": "attic"}, r"nothing of tenant '.*' in attic"),
    ],
)
def test_what_can_not_be_asked_is_told(corpus: Corpus, asked: dict[str, Any], said: str) -> None:
    corpus.add("1", "vpn", stores=["pgvector"])
    with pytest.raises(SettingsError, match=said):
        found(corpus, asked.pop("text", "vpn"), **asked)
