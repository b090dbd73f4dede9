"""Summaries through the whole chain: what is stored and asked, when it goes, and what a plan tells of it."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import stamina

from sync_assets.batches import Batch
from sync_assets.components.outcome import outcome
from sync_assets.components.source_sync import SourceSync
from sync_assets.documents import Visibility
from sync_assets.embedding.missing import MissingTexts
from sync_assets.enrichment import Article, EnrichmentError, enricher
from sync_assets.enrichment.coverage import coverage
from sync_assets.enrichment.summaries import Summaries
from sync_assets.errors import LimitError
from sync_assets.forgetting import Documents, erase
from sync_assets.forgetting.files import documents_in_files
from sync_assets.forgetting.rows import cached_texts, documents_in_ledger
from sync_assets.forgetting.stores import documents_in_stores
from sync_assets.ledger import tables as t
from sync_assets.ledger.rehearsal import RehearsalLedger
from sync_assets.services import Services
from sync_assets.stages import Context, Report
from sync_assets.stages.raw import RawOptions
from sync_assets.stages.rehearsal import Rehearsed, rehearse
from sync_assets_tests import articles
from sync_assets_tests.articles import TENANT, WINDOW, World
from sync_assets_tests.embedding.vendors import KEY, tokens_of
from sync_assets_tests.enrichment import language_models
from sync_assets_tests.enrichment.language_models import LanguageModel, summary_of
from sync_assets_tests.enrichment.test_summary_contents import DUTCH, ENGLISH, LONG
from sync_assets_tests.postgres import fresh_database

ASKED = Summaries(kind="llm", model="tiny-chat", max_characters=100)
CHOSEN = Summaries(max_characters=200)
PRICES = {"tiny-chat": (1_000.0, 10_000.0)}


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with language_models.openai() as server, stamina.set_testing(True, attempts=2):
        yield server


def ready(model: LanguageModel) -> LanguageModel:
    model.answer = summary_of
    model.bodies.clear()
    model.seen.clear()
    return model


@pytest.fixture
def world(tmp_path: Path, postgres_url: str, model: LanguageModel) -> Iterator[World]:
    """A help centre whose articles a language model summarises."""
    ready(model)
    with fresh_database(postgres_url) as url:
        made = World(
            tmp_path,
            url,
            summaries=ASKED,
            llm_url=model.url,
            llm_api_key=KEY,
            llm_prices=PRICES,
            sweep_max_delete_share=1.0,
        )
        yield made
        made.close()


def write(world: World, number: int, answer: str = LONG, **attributes: Any) -> None:
    values = (f"Article {number}", answer)
    world.centre.articles[str(number)] = articles.Article(*values, world.centre.tick(), **attributes)


def summaries(world: World) -> dict[str, tuple[str, str]]:
    """Text and visibility of the summaries in the store, by record id; each under the one path that it may have."""
    found = world.services.ledger.active_collection("pgvector", "help")
    assert found is not None
    with psycopg.connect(world.database_url) as connection:
        rows = connection.execute(
            f"SELECT record_id, path, text, visibility FROM vectors.\"{found.collection.name}\" WHERE role = 'summary'"  # pyright: ignore
        ).fetchall()
    assert all(path == "summary" for _, path, _, _ in rows)
    return {record_id: (text, visibility) for record_id, _, text, visibility in rows}


def in_sql(world: World) -> dict[str, str]:
    """Summaries among the bodies in SQL, by record id, as hybrid mode keeps them."""
    with world.services.ledger.transaction() as connection:
        rows = connection.execute(sa.select(t.document_bodies.c.document_id, t.document_bodies.c.parts)).all()
    return {
        row.document_id.rpartition("_")[2]: part["text"]
        for row in rows
        for part in row.parts
        if part["role"] == "summary"
    }


def expected(number: int, answer: str = LONG) -> str:
    return summary_of(f"Article {number}\n\n{answer}")


def held(world: World) -> dict[str, str]:
    return {record.record_id: record.reason for record in world.services.ledger.quarantined(TENANT)}


def did(reports: dict[str, Report]) -> tuple[int, int, int]:
    """Summaries made, texts embedded, vectors written."""
    return (
        reports["documents"].total("summarised"),
        reports["embeddings"].total("embedded"),
        reports["pgvector"].total("written"),
    )


def test_summaries_follow_edits_visibility_and_deletions_and_equal_texts_are_asked_for_once(
    world: World, model: LanguageModel
) -> None:
    for number in (1, 2):
        write(world, number)
    write(world, 3, "Press the button.")
    first = world.sync()
    assert summaries(world) == {"article-1": (expected(1), "public"), "article-2": (expected(2), "public")}
    assert in_sql(world) == {"article-1": expected(1), "article-2": expected(2)}
    assert model.asked == ["Article 1", "Article 2"]

    told = outcome(world.services, world.stream, first["documents"], None)[WINDOW]
    read = sum(tokens_of(f"Article {number}\n\n{LONG}") for number in (1, 2))
    written = sum(tokens_of(expected(number)) for number in (1, 2))
    assert (told["summarised"], told["summaries_reused"], told["tokens"]) == (2, 0, read + written)
    assert told["cost"] == pytest.approx((read * 1_000 + written * 10_000) / 1_000_000)

    model.bodies.clear()
    again = world.sync(sweep=True)
    assert did(again) == (0, 0, 0)
    assert outcome(world.services, world.stream, again["documents"], None)[WINDOW]["cost"] == 0.0
    # Another record with the same words: what was paid for is not paid for again.
    world.centre.articles["77"] = world.centre.articles.pop("2")
    assert did(world.sync(sweep=True))[0] == 0
    # A note for staff alone changes nothing of a public summary.
    write(world, 1, note="Secret. " + LONG)
    assert did(world.sync())[0] == 0
    assert model.bodies == []

    write(world, 1, "Edited. " + LONG, note="Secret. " + LONG)
    assert did(world.sync())[0] == 1
    assert summaries(world)["article-1"] == (expected(1, "Edited. " + LONG), "public")
    write(world, 1, "Edited. " + LONG, note="Secret. " + LONG, visibility=Visibility.INTERNAL)
    assert did(world.sync())[0] == 1
    assert summaries(world)["article-1"] == (expected(1, f"Edited. {LONG}\n\nSecret. {LONG}"), "internal")
    write(world, 1, "Edited. " + LONG, note="Secret. " + LONG)
    assert did(world.sync())[:2] == (0, 0), "the public one comes back from the caches"
    assert summaries(world)["article-1"] == (expected(1, "Edited. " + LONG), "public")
    assert "Secret" not in summaries(world)["article-1"][0]

    write(world, 1, "Short now.")
    del world.centre.articles["77"]
    world.sync(sweep=True)
    assert (summaries(world), in_sql(world), held(world)) == ({}, {}, {})


def test_a_document_goes_on_without_a_summary_waits_in_quarantine_and_gets_it_later(
    world: World, model: LanguageModel
) -> None:
    for number in range(3):
        write(world, number)
    model.answer = lambda text: "" if text.startswith("Article 1") else summary_of(text)
    reports = world.sync()
    assert set(summaries(world)) == {"article-0", "article-2"}
    assert reports["pgvector"].total("documents") == 3
    assert held(world) == {"article-1": "The language model's summary is empty."}
    ready(model)
    world.sync()
    assert model.asked == ["Article 1"]
    assert (set(summaries(world)), held(world)) == ({"article-0", "article-1", "article-2"}, {})


def test_a_model_that_refuses_us_is_left_alone_and_every_document_says_why(world: World, model: LanguageModel) -> None:
    for number in range(30):
        write(world, number)
    wrong = ASKED.model_copy(update={"model": "tiny-chart"})
    world.chain.stream = replace(world.stream, summaries=wrong)
    reports = world.sync()
    assert reports["pgvector"].total("documents") == 30
    reasons = held(world)
    assert len(reasons) == 30
    for reason in reasons.values():
        assert "has no model 'tiny-chart'. There are: tiny-chat, " in reason
        assert "pump" not in reason
    assert model.seen["/v1/chat/completions"] < 30
    assert KEY not in str(reasons)


def test_what_is_older_than_the_ledgers_version_is_not_asked_for(
    world: World, model: LanguageModel, tmp_path: Path
) -> None:
    write(world, 1)
    world.sync()
    layout = world.stream.layout("raw")
    stored = world.services.storage.get(layout.path(WINDOW), tmp_path)
    assert stored is not None
    older = shutil.copy(stored, tmp_path / "older.jsonl.gz")
    write(world, 1, "Edited. " + LONG)
    world.sync()
    with world.services.ledger.transaction() as connection:
        connection.execute(sa.delete(t.summaries))
    model.bodies.clear()
    reports = world.chain.replay(Batch({WINDOW: Path(older)}, layout))
    assert reports["documents"].total("stale") == 1
    assert model.bodies == []
    assert summaries(world)["article-1"][0] == expected(1, "Edited. " + LONG)


def test_keywords_and_summaries_go_together_and_the_coverage_of_keywords_knows_it(
    world: World, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stream = world.chain.stream = replace(world.stream, keywords=True)
    monkeypatch.setattr(enricher, "open_extractor", lambda _: _OneWord())
    for number in (1, 2):
        write(world, number)
    world.sync()
    assert set(summaries(world)) == {"article-1", "article-2"}
    with enricher.open_enricher(world.services) as opened:
        groups = coverage(world.services, world.stream, TENANT, opened).groups
    assert {name: ids for name, ids in groups.items() if ids} == {"with_both": ["article-1", "article-2"]}


class _OneWord:
    name, at_once = "word", 8

    def extract(self, articles: list[Article]) -> list[list[str] | EnrichmentError]:
        return [["pump"] for _ in articles]

    def close(self) -> None: ...


def test_what_was_made_of_a_forgotten_document_is_forgotten_and_what_others_share_stays(world: World) -> None:
    for number in (1, 2):
        write(world, number)
    world.sync()
    write(world, 1, "Edited. " + LONG)
    world.sync()

    def kept() -> set[str]:
        with world.services.ledger.transaction() as connection:
            return set(connection.scalars(sa.select(t.summaries.c.text)))

    assert kept() == {expected(1), expected(1, "Edited. " + LONG), expected(2)}
    documents = Documents.of(TENANT, [f"{TENANT}_freshdesk_article-1"])
    places = [
        *documents_in_stores(world.services, documents),
        documents_in_files(world.services, documents),
        cached_texts(world.services, documents),
        documents_in_ledger(world.services, documents),
    ]
    assert all(place.left == 0 for place in erase(places))
    assert kept() == {expected(2)}


def test_a_summary_that_is_cut_in_chunks_outlives_the_forgetting_of_another_document(
    world: World, model: LanguageModel
) -> None:
    world.chain.stream = replace(world.stream, chunk_tokens=16)
    model.answer = lambda text: f"{text.splitlines()[0]} " + "tells of a pump that stops and starts again. " * 4
    for number in (1, 2):
        write(world, number)
    world.sync()
    documents = Documents.of(TENANT, [f"{TENANT}_freshdesk_article-1"])
    for place in (
        *documents_in_stores(world.services, documents),
        documents_in_files(world.services, documents),
        cached_texts(world.services, documents),
        documents_in_ledger(world.services, documents),
    ):
        place.erase()
    with world.services.ledger.transaction() as connection:
        (left,) = connection.scalars(sa.select(t.summaries.c.text))
    assert left.startswith("Article 2 ")


# Plans and limits


def rehearsed(world: World) -> Rehearsed:
    with world.services.ledger.session() as session:
        services = Services(world.services.settings)
        services.__dict__.update(world.services.__dict__)
        services.ledger = RehearsalLedger(world.services.ledger, session)
        context = Context(services, world.chain.stream, clock=world.centre.tick, spared=Counter())
        return rehearse(context, [WINDOW], RawOptions(), MissingTexts(session))


COUNTS = {
    "documents": ("added", "changed", "unchanged", "documents"),
    "chunks": ("chunks",),
    "pgvector": ("added", "changed", "unchanged", "written", "removed", "payloads"),
}


def counts(reports: dict[str, Report]) -> dict[str, list[int]]:
    return {stage: [reports[stage].total(name) for name in names] for stage, names in COUNTS.items()}


def stored_summaries(world: World) -> int:
    with world.services.ledger.transaction() as connection:
        return len(connection.execute(sa.select(t.summaries)).all())


def test_a_plan_asks_nobody_and_tells_what_the_sync_asks_writes_and_costs_at_most(
    world: World, model: LanguageModel
) -> None:
    for number in (1, 2, 3):
        write(world, number, note="")
    write(world, 4, "Press the button.")
    for change in (lambda: None, lambda: write(world, 1, "Edited. " + LONG), lambda: None):
        change()
        ready(model)
        before = stored_summaries(world)
        told = rehearsed(world)
        assert (model.seen, stored_summaries(world)) == ({}, before)
        reports = world.sync()
        assert counts(told.reports) == counts(reports)
        assert told.texts.texts == reports["embeddings"].total("embedded")
        assert told.spared["summaries"] == len(model.bodies) == reports["documents"].total("summarised")
    assert told.spared["summaries"] == 0


def test_summaries_that_cost_more_than_allowed_are_refused_before_any_is_asked_for(
    world: World, model: LanguageModel
) -> None:
    for number in range(3):
        write(world, number)
    needed = rehearsed(world).spared
    cost = (needed["summary_tokens_read"] * 1_000 + needed["summary_tokens_written"] * 10_000) / 1_000_000
    assert cost > 0.5
    generous = world.services.settings.model_copy(update={"max_cost": cost})
    world.services.settings = generous.model_copy(update={"max_cost": 0.9 * cost})
    with pytest.raises(LimitError, match=r"3 documents to summarise for about \d+\.\d\d US dollars.*_MAX_COST"):
        world.sync()
    assert not model.seen
    assert held(world) == {}
    world.services.settings = generous
    assert did(world.sync())[0] == 3
    # What is known costs nothing, however low the limit is.
    world.services.settings = generous.model_copy(update={"max_cost": 0.0})
    assert did(world.sync(sweep=True)) == (0, 0, 0)


def test_summaries_chosen_here_cost_nothing_ask_nobody_and_are_told_exactly_beforehand(
    world: World, model: LanguageModel
) -> None:
    world.services.settings = world.services.settings.model_copy(update={"llm_url": None, "max_cost": 0.0})
    world.chain.stream = replace(world.stream, summaries=CHOSEN)
    write(world, 1, DUTCH)
    write(world, 2, ENGLISH * 2)
    told = rehearsed(world)
    assert stored_summaries(world) == 0
    reports = world.sync()
    assert counts(told.reports) == counts(reports)
    assert (told.texts.texts, told.spared["summaries"]) == (reports["embeddings"].total("embedded"), 0)
    found = summaries(world)
    assert set(found) == {"article-1", "article-2"}
    assert all(len(text) <= 200 for text, _ in found.values())
    assert did(world.sync(sweep=True)) == (0, 0, 0)
    assert not model.seen


# Configuration


def test_a_stream_says_in_yaml_how_it_is_summarised() -> None:
    def stream(given: str) -> Summaries | None:
        text = f"""
        source: freshdesk
        streams:
          tickets:
            description: Tickets.
            stores: [qdrant]
            {given}
        """
        return SourceSync.resolve_from_yaml(text).stream("tickets").summaries

    assert stream("") is None
    assert stream("summaries: {}") == Summaries()
    assert stream("summaries: {kind: llm, model: tiny-chat, max_characters: 100}") == ASKED
    with pytest.raises(Exception, match="kind bedrock needs a model"):
        stream("summaries: {kind: bedrock}")
