"""Keywords through the whole chain: what is stored, what is asked, and what happens where nobody answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.documents import Document, Part, Visibility
from sync_assets.enrichment import (
    Article,
    EnrichmentError,
    Extractor,
    ExtractorUnreachable,
    article_of,
    combined_text,
    enricher,
)
from sync_assets.enrichment.chat import OpenAiChat
from sync_assets.enrichment.coverage import coverage
from sync_assets.enrichment.llm import LlmExtractor
from sync_assets.enrichment.local import LocalExtractor
from sync_assets.errors import SettingsError
from sync_assets.ledger import tables as t
from sync_assets.stages import Report
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets_tests import articles
from sync_assets_tests.adoption.test_adopt import stored_rows
from sync_assets_tests.articles import START, TENANT, WINDOW, World
from sync_assets_tests.postgres import fresh_database


class Scripted:
    """An extractor that answers with a word of its own for each text, or fails; counts what it is asked."""

    name = "scripted"
    at_once = 2

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: EnrichmentError | None = None

    def extract(self, articles: list[Article]) -> list[list[str] | EnrichmentError]:
        self.asked += [article.title for article in articles]
        return [self.failure or [f"word{len(self.asked)}"] for _ in articles]

    def close(self) -> None: ...


@pytest.fixture
def world(tmp_path: Path, postgres_url: str) -> Iterator[World]:
    with fresh_database(postgres_url) as url:
        made = World(tmp_path, url, keywords=True)
        yield made
        made.close()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    made = Scripted()
    monkeypatch.setattr(enricher, "open_extractor", lambda _: made)
    return made


def write(world: World, number: int, title: str = "", answer: str = "", **attributes: Any) -> None:
    values = (title or f"Reset battery {number}", answer or f"Press button {number}.")
    world.centre.articles[str(number)] = articles.Article(*values, world.centre.tick(), **attributes)


def groups(world: World) -> dict[str, list[str]]:
    """Groups that have documents."""
    with enricher.open_enricher(world.services) as opened:
        found = coverage(world.services, world.stream, TENANT, opened)
    return {name: ids for name, ids in found.groups.items() if ids}


def held(world: World) -> dict[str, str]:
    return {record.record_id: record.reason for record in world.services.ledger.quarantined(TENANT)}


# The chain


def test_keywords_and_combined_text_are_stored_in_the_headers_place(world: World) -> None:
    write(world, 1, "How do I reset the battery of my solar inverter?", "Press the reset button. The battery restarts.")
    world.sync()
    rows = stored_rows(world)
    assert set(rows) == {("article-1", "combined_text"), ("article-1", "answer")}
    text, keywords = rows["article-1", "combined_text"]
    assert 1 <= len(keywords) <= 2
    assert text == combined_text("How do I reset the battery of my solar inverter?", keywords)
    assert rows["article-1", "answer"] == ("Press the reset button. The battery restarts.", keywords)


def test_the_same_text_is_asked_for_once_whatever_is_run_again_renamed_or_moved(
    world: World, scripted: Scripted
) -> None:
    for number in range(5):
        write(world, number)
    world.sync()
    world.sync(sweep=True)
    world.centre.articles["77"] = world.centre.articles.pop("3")
    with world.services.ledger.transaction() as connection:
        connection.execute(sa.delete(t.documents))
    world.sync(sweep=True)
    assert sorted(scripted.asked) == [f"Reset battery {number}" for number in range(5)]
    before = stored_rows(world)
    report = world.sync()
    assert (report["embeddings"].total("embedded"), report["pgvector"].total("written")) == (0, 0)
    assert stored_rows(world) == before


def test_a_document_without_keywords_goes_on_waits_in_quarantine_and_gets_them_later(
    world: World, scripted: Scripted
) -> None:
    scripted.failure = ExtractorUnreachable("Nobody answers.")
    for number in range(20):
        write(world, number)
    world.sync()
    assert len(scripted.asked) == 4  # after three times in a row the rest was not asked for
    assert len(stored_rows(world)) == 40
    assert {path for _, path in stored_rows(world)} == {"header", "answer"}
    assert len(held(world)) == 20
    assert "Nobody answers." in held(world).values()
    assert groups(world) == {"without_both": [f"article-{number}" for number in range(20)]}
    scripted.failure = None
    world.sync()
    assert held(world) == {}
    assert {path for _, path in stored_rows(world)} == {"combined_text", "answer"}
    assert groups(world) == {"with_both": [f"article-{number}" for number in range(20)]}
    assert sorted(set(scripted.asked)) == sorted(f"Reset battery {number}" for number in range(20))


def test_bad_answers_are_no_outage(world: World, scripted: Scripted) -> None:
    scripted.failure = EnrichmentError("The language model's answer is not what was asked for.")
    for number in range(10):
        write(world, number)
    world.sync()
    assert len(scripted.asked) == len(held(world)) == 10


def test_keywords_of_a_public_article_come_from_its_public_parts_alone() -> None:
    parts = [
        Part(path="header", role="header", text="Title", visibility=Visibility.PUBLIC),
        Part(path="answer", role="answer", text="Open words.", visibility=Visibility.PUBLIC),
        Part(path="note", role="comment", text="Secret words.", visibility=Visibility.INTERNAL),
        Part(path="boss", role="comment", text="For one.", visibility=Visibility.RESTRICTED, principals=["boss"]),
    ]
    document = Document(
        tenant="a", source="b", stream="c", record_id="1", title="Title", parts=parts, visibility=Visibility.PUBLIC
    )
    assert article_of(document) == Article("Title", "Open words.", "")
    internal = document.model_copy(update={"visibility": Visibility.INTERNAL})
    assert article_of(internal).text == "Open words."  # its header, hence the combined text, is public
    header = parts[0].model_copy(update={"visibility": Visibility.INTERNAL})
    hidden = internal.model_copy(update={"parts": [header, *parts[1:]]})
    assert article_of(hidden).text == "Open words.\n\nSecret words."


def test_combined_text_has_each_word_once_in_order() -> None:
    assert (
        combined_text("Reset the Battery, now!", ["battery reset", "Solar E-Mail"])
        == "reset the battery now solar e-mail"
    )
    assert combined_text("", []) == ""


# Coverage and records by id


def test_what_contradicts_upstream_is_listed_and_exactly_that_is_updated(world: World, scripted: Scripted) -> None:
    for number in range(4):
        write(world, number)
    world.sync()
    world.centre.articles["2"].category = "Panels"  # its time does not move
    write(world, 9)
    del world.centre.articles["3"]
    asked = list(scripted.asked)
    assert groups(world) == {
        "with_both": ["article-0", "article-1"],
        "contradicts_upstream": ["article-2"],
        "not_in_step": ["article-9"],
    }
    assert scripted.asked == asked
    world.centre.fetched.clear()
    listings = world.centre.listings
    by_id(world, "article-2", "article-9")
    assert world.centre.fetched == ["article-2", "article-9"]
    assert world.centre.listings == listings
    assert groups(world) == {"with_both": [f"article-{number}" for number in (0, 1, 2, 9)]}


def by_id(world: World, *record_ids: str) -> Report:
    """A sync of these records alone; what raw reports."""
    raw, report = extract_raw(world.chain.context(), [WINDOW], RawOptions(records=list(record_ids)))
    for partition, path in raw.files.items():
        world.services.storage.put(path, raw.layout.path(partition))
    raw.on_stored()
    world.chain.replay(raw)
    return report


def test_a_sync_by_id_keeps_the_windows_file_and_its_state_and_moves_no_watermark(
    world: World, scripted: Scripted
) -> None:
    ref = world.stream.of(TENANT)
    by_id(world, "article-5")
    state = world.services.ledger.window_states(ref, "raw", [WINDOW.window])[WINDOW.window]
    assert (state.complete, state.fetched_until) == (False, None)
    assert world.services.ledger.watermark(ref, "pgvector") is None
    for number in range(3):
        write(world, number)
    world.centre.now = START.replace(hour=3)
    world.sync()
    before = world.services.ledger.window_states(ref, "raw", [WINDOW.window])[WINDOW.window]
    mark = world.services.ledger.watermark(ref, "pgvector")
    assert before.complete
    del world.centre.articles["2"]
    by_id(world, "article-1", "article-2")
    after = world.services.ledger.window_states(ref, "raw", [WINDOW.window])[WINDOW.window]
    assert (after.complete, after.fetched_until) == (True, before.fetched_until)
    assert after.rows == 3  # two articles, and the tombstone that was asked for
    assert world.services.ledger.watermark(ref, "pgvector") == mark
    write(world, 7)
    world.sync()
    assert {record for record, _ in stored_rows(world)} == {"article-0", "article-1", "article-7"}


def test_an_id_that_nobody_knows_is_told_and_leaves_no_trace(world: World, scripted: Scripted) -> None:
    write(world, 1)
    report = by_id(world, "article-1", "article-x", "articel-1")
    assert [problem.partition(" has no record ")[2].partition(",")[0] for problem in report.problems] == [
        "'article-x'",
        "'articel-1'",
    ]
    assert report.total("records") == 1
    assert held(world) == {}


# Extractors


def test_the_local_extractor_gives_at_most_two_keywords_and_the_same_ones_again() -> None:
    article = Article(
        "Clean the panels", "Clean solar panels with water. Water removes dust from solar panels.", "en-GB"
    )
    first = LocalExtractor().extract([article, Article("", "", ""), Article("Größe", "Größe der Batterie", "de")])
    assert first == LocalExtractor().extract(
        [article, Article("", "", ""), Article("Größe", "Größe der Batterie", "de")]
    )
    assert first[0]
    assert first[1] == []
    assert all(isinstance(found, list) and len(found) <= 2 for found in first)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80), st.text(max_size=300), st.sampled_from(["", "en", "de", "zz"]))
def test_the_local_extractor_takes_any_text(title: str, text: str, language: str) -> None:
    (found,) = LocalExtractor().extract([Article(title, text, language)])
    assert isinstance(found, list)


def llm(answer: Callable[[httpx.Request], httpx.Response]) -> Extractor:
    chat = OpenAiChat("https://llm.example/v1", "tiny", "sesame", transport=httpx.MockTransport(answer))
    return LlmExtractor(chat)


def said(text: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})


def test_the_language_model_is_sent_the_article_alone_and_its_phrases_are_taken() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return said(' "Battery reset", solar.\n')

    assert llm(answer).extract([Article("Reset", "Press it.", "en")]) == [["Battery reset", "solar"]]
    (request,) = requests
    assert str(request.url) == "https://llm.example/v1/chat/completions"
    assert request.headers["Authorization"] == "Bearer sesame"
    body = json.loads(request.content)
    assert (body["model"], body["messages"][1]) == ("tiny", {"role": "user", "content": "Reset\n\nPress it."})


@pytest.mark.parametrize(
    "text", ["a, b, c", "", None, "I think that this article is about all sorts of things", "x" * 70, "a\nb", 5]
)
def test_an_answer_that_is_not_what_was_asked_for_is_a_failure(text: Any) -> None:
    (found,) = llm(lambda _: said(text)).extract([Article("Reset", "Press it.", "en")])
    assert isinstance(found, EnrichmentError)
    assert "SYNC_ASSETS_LLM_URL" in found.remedy


def test_a_busy_language_model_is_asked_again_and_a_refusal_is_not_and_names_no_key() -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(503, headers={"Retry-After": "0"})]
    assert llm(lambda _: answers.pop() if answers else said("solar")).extract([Article("a", "b", "")]) == [["solar"]]
    asked: list[int] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(401, text="sesame is no key")

    (found,) = llm(refuse).extract([Article("a", "b", "")])
    assert (len(asked), str(found).partition(" Check")[0]) == (
        1,
        "The language model's API refused the key with status 401.",
    )
    assert "sesame" not in str(found)


def test_a_language_models_url_needs_a_model(world: World) -> None:
    with pytest.raises(SettingsError, match="SYNC_ASSETS_LLM_MODEL"):
        enricher.open_extractor(world.services.settings.model_copy(update={"llm_url": "http://localhost/v1"}))
