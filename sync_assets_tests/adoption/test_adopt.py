"""Adoption over real PostgreSQL tables and files: what is taken over, what it costs, and a report that adds up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb

from sync_assets.adoption import KINDS, AdoptionReport, AdoptionRequest, adopt
from sync_assets.adoption.files import VectordataFiles
from sync_assets.adoption.rows import Row, Unreadable
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.errors import FingerprintMismatch, StorageError, StoreError
from sync_assets.ledger import tables as t
from sync_assets_tests.articles import TENANT, Article, World
from sync_assets_tests.conftest import BUCKET
from sync_assets_tests.postgres import fresh_database

TABLE = "public.langchain_pg_embedding"
ROWS = 700
OLD_SPELLING = "Batteries &amp; caf\u00e9\u00a0 of {number}: wait   {number} minutes"
TODAY = "Batteries & café of {number}: wait {number} minutes"


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path, database_url)
    made.centre.has_headers = False
    yield made
    made.close()


@pytest.fixture
def keyword_world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path, database_url, keywords=True)
    yield made
    made.close()


class OldTable:
    """LangChain's table, filled as the older system filled it."""

    def __init__(self, database_url: str, dimension: int = 32) -> None:
        self._embedder = HashEmbedder(dimension)
        self._rows = 0
        self.connection = psycopg.connect(database_url, autocommit=True)
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self.connection)
        self.connection.execute(
            "CREATE TABLE langchain_pg_embedding "
            "(id varchar PRIMARY KEY, collection_id uuid, embedding vector, document text, cmetadata jsonb)"
        )

    def add(self, text: str | None, metadata: Any, *, made_of: str | None = None, vector: Any = None) -> None:
        if vector is None:
            vector = self._embedder.embed([made_of or text or "nothing"])[0] * 3  # not of unit length
        self._rows += 1
        self.connection.execute(
            "INSERT INTO langchain_pg_embedding VALUES (%s, NULL, %s, %s, %s)",
            (str(UUID(int=self._rows)), vector, text, Jsonb(metadata)),
        )


@pytest.fixture
def old(database_url: str) -> Iterator[OldTable]:
    made = OldTable(database_url)
    yield made
    made.connection.close()


def request(world: World, **changes: Any) -> AdoptionRequest:
    values: dict[str, Any] = {"table": TABLE, **changes}
    return AdoptionRequest(TENANT, world.stream, world.database_url, **values)


def cached(world: World) -> int:
    query = t.embedding_cache.select().where(t.embedding_cache.c.tenant == TENANT)
    with world.services.ledger.transaction() as connection:
        return len(connection.execute(query).all())


def assert_adds_up(report: AdoptionReport, rows: int, documents: int) -> None:
    found = report.as_json()
    assert found["table"]["rows"].pop("total") == rows == sum(found["table"]["rows"].values())
    assert found["documents"].pop("total") == documents == sum(found["documents"].values())


def fill(world: World, old: OldTable) -> dict[str, int]:
    """700 rows of every kind; returns how many of each the report must name."""
    expected = {"matched": 650, "differs": 20, "gone": 15, "ambiguous": 10, "duplicate": 3, "unreadable": 2}
    articles = world.centre.articles
    for number in range(650):
        articles[str(number)] = Article(f"Question {number}", TODAY.format(number=number))
        by_title = {"title": f"Question {number}"}
        by_id = {"id": number, **by_title}
        old.add(OLD_SPELLING.format(number=number), by_id if number % 2 else by_title)
    for number in range(650, 670):
        articles[str(number)] = Article(f"Question {number}", f"The answer of today to {number}")
        old.add(f"An answer of once to {number}", {"zd_metadata": {"id": str(number)}, "title": f"Question {number}"})
    for number in range(900, 915):
        old.add(f"Of an article that is no more {number}", {"id": str(number), "title": f"Gone {number}"})
    for number in range(670, 680):
        articles[str(number)] = Article("The same title", f"One of many {number}")
        old.add(f"One of many {number}", {"title": "The same title"})
    for number in range(1, 7, 2):
        old.add(OLD_SPELLING.format(number=number), {"id": number, "title": f"Question {number}"})
    old.add("Some text of nobody", {"keywords": ""})
    old.add("Some text", {"id": "1"}, vector=np.ones(7))
    for number in range(700, 705):
        articles[str(number)] = Article(f"New {number}", f"An article that was never stored {number}")
    return expected


def test_an_older_table_of_700_rows_is_adopted_without_embedding_what_matches(world: World, old: OldTable) -> None:
    expected = fill(world, old)
    assert sum(expected.values()) == ROWS
    report = adopt(world.services, request(world))
    assert {kind: report.origins["table"].rows[kind] for kind in KINDS} == expected
    assert_adds_up(report, ROWS, 685)
    assert report.documents["missing"] == 15  # ten that no title tells apart, and five new ones
    assert report.origins["table"].basis == "text"
    # The texts that were embedded are of rows that match nothing.
    assert report.probed == world.embedder.texts_embedded == 8
    assert report.vectors == cached(world) == 650

    asked = world.embedder.texts_embedded
    counts = world.sync()["embeddings"]
    assert (counts.total("reused"), counts.total("embedded")) == (650, report.to_embed) == (650, 35)
    assert world.embedder.texts_embedded - asked == 35
    (point,) = HashEmbedder(32).embed([OLD_SPELLING.format(number=8)])
    hits = world.services.cache.get(TENANT, world.embedder.fingerprint.key, list(all_hashes(world)))
    assert max(float(vector @ point) for vector in hits.values()) == pytest.approx(1.0, abs=1e-5)


def all_hashes(world: World) -> set[str]:
    return {content for _, content in world.chain.stored("pgvector", TENANT).values()}


def test_a_second_adoption_takes_over_nothing_and_a_dry_run_writes_nothing(world: World, old: OldTable) -> None:
    fill(world, old)
    dry = adopt(world.services, request(world, dry_run=True))
    assert cached(world) == 0
    first = adopt(world.services, request(world))
    second = adopt(world.services, request(world))
    assert (dry.vectors, first.vectors, second.vectors) == (650, 650, 0)
    assert dry.to_embed == first.to_embed == second.to_embed
    assert cached(world) == 650


def test_vectors_of_the_combined_text_go_to_it_with_their_keywords(keyword_world: World, old: OldTable) -> None:
    world = keyword_world
    combined = "solar charge battery reset the"  # of an order that is not ours
    world.centre.articles["1"] = Article("Reset the battery", "Press the button.")
    world.centre.articles["2"] = Article("Clean a panel", "Use water only.")
    metadata = {"id": "1", "title": "Reset the battery", "keywords": "solar, charge", "combined_text": combined}
    old.add("Press the button.", metadata, made_of=combined)
    stale = {"id": "2", "title": "Clean a panel", "keywords": ["soap"], "combined_text": "clean panels with soap"}
    old.add("Use soap.", stale, made_of="clean panels with soap")
    report = adopt(world.services, request(world))
    origin = report.origins["table"]
    assert (origin.basis, origin.rows["matched"], origin.rows["differs"]) == ("combined_text", 1, 1)
    assert (report.vectors, report.keywords) == (1, 1)
    assert origin.groups == {"with_both": 2}
    world.sync()
    rows = stored_rows(world)
    assert rows["article-1", "combined_text"] == (combined, ["solar", "charge"])
    assert "soap" not in rows["article-2", "combined_text"][0]
    # The combined text of the first article was never embedded here.
    assert world.embedder.texts_embedded == report.probed + 3


def stored_rows(world: World) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Text and keywords by (record id, path), as pgvector has them."""
    found = world.services.ledger.active_collection("pgvector", "help")
    assert found is not None
    with psycopg.connect(world.database_url) as connection:
        rows = connection.execute(
            f"SELECT record_id, path, text, metadata->'keywords' FROM vectors.\"{found.collection.name}\""  # pyright: ignore
        ).fetchall()
    return {(record, path): (text, keywords) for record, path, text, keywords in rows}


def test_the_products_own_table_is_adopted_and_the_next_sync_embeds_nothing(
    keyword_world: World, tmp_path: Path, postgres_url: str
) -> None:
    world = keyword_world
    for number in range(40):
        world.centre.articles[str(number)] = Article(f"Reset battery {number}", f"Press button {number} twice.")
    world.sync()
    found = world.services.ledger.active_collection("pgvector", "help")
    assert found is not None
    with fresh_database(postgres_url) as other:
        fresh = World(tmp_path / "fresh", other, keywords=True)
        fresh.centre = world.centre
        fresh.services.__dict__["tenants"] = world.services.tenants
        table = f"vectors.{found.collection.name}"
        report = adopt(fresh.services, request(fresh, table=table)._replace(database_url=world.database_url))
        assert report.origins["table"].rows == {"matched": 80}
        assert (report.vectors, report.keywords, report.to_embed, report.probed) == (80, 40, 0, 0)
        counts = fresh.sync()["embeddings"]
        assert (counts.total("embedded"), counts.total("reused"), fresh.embedder.calls) == (0, 80, 0)
        assert stored_rows(fresh) == stored_rows(world)
        fresh.embedder = HashEmbedder(64)
        with pytest.raises(FingerprintMismatch, match="fingerprint"):
            adopt(fresh.services, request(fresh, table=table)._replace(database_url=world.database_url))
        fresh.close()


def test_vectors_of_another_model_are_refused_and_nothing_is_taken_over(world: World, old: OldTable) -> None:
    world.centre.articles["1"] = Article("Reset", "Press the button.")
    old.add("Press the button.", {"id": "1", "title": "Reset"}, vector=np.arange(1, 33, dtype=np.float32))
    with pytest.raises(FingerprintMismatch, match=r"1 of 1 .* not made by hash-32.*embedding_model"):
        adopt(world.services, request(world))
    old.connection.execute("DELETE FROM langchain_pg_embedding")
    old.add("Press the button.", {"id": "1", "title": "Reset"}, vector=np.ones(1024))
    with pytest.raises(FingerprintMismatch, match=r"1024 numbers.*hash-32.*embedding_model"):
        adopt(world.services, request(world))
    assert cached(world) == 0


@pytest.mark.parametrize("other", ["combined text", "another model"])
def test_a_table_of_vectors_of_two_kinds_is_refused_wherever_they_stand_in_it(
    world: World, old: OldTable, other: str
) -> None:
    for number in range(40):
        world.centre.articles[str(number)] = Article(f"Title {number}", f"Press button {number} twice.")
        combined = f"title {number} button pressing"
        metadata = {"id": str(number), "title": f"Title {number}", "combined_text": combined}
        made_of = combined if other == "combined text" and number >= 20 else f"Press button {number} twice."
        vector = np.arange(1, 33) if other == "another model" and number >= 20 else None
        old.add(f"Press button {number} twice.", metadata, made_of=made_of, vector=vector)
    error, text = {
        "combined text": (StoreError, r"both kinds: [1-7] of text, [1-7] of combined text"),
        "another model": (FingerprintMismatch, r"[1-7] of 8 .* not made by hash-32"),
    }[other]
    with pytest.raises(error, match=text):
        adopt(world.services, request(world))
    assert cached(world) == 0


def test_rows_without_a_combined_text_give_the_vector_of_their_text_beside_rows_with_one(
    keyword_world: World, old: OldTable
) -> None:
    for number in range(20):
        title, text = f"Title {number}", f"Press button {number} twice."
        keyword_world.centre.articles[str(number)] = Article(title, text)
        combined = f"title {number} pressing" if number < 2 else ""
        metadata = {"id": str(number), "title": title, "keywords": "pressing", "combined_text": combined}
        old.add(text, metadata, made_of=combined or text)
    report = adopt(keyword_world.services, request(keyword_world))
    assert (report.origins["table"].basis, report.vectors, report.keywords) == ("combined_text", 20, 20)
    # Two texts of each article of which one is here.
    assert (report.texts, report.to_embed) == (40, 20)


def test_a_text_that_differs_in_markup_alone_gives_its_keywords_and_no_vector_of_a_text(
    keyword_world: World, old: OldTable
) -> None:
    world = keyword_world
    world.centre.articles["1"] = Article("Reset it", "Press **Save** & [wait](https://a.example):\n\n1. one\n2. two")
    world.centre.articles["2"] = Article("Clean it", "Use `water` only.")
    world.centre.articles["3"] = Article("Mount it", "Use *four* screws.")
    old.add("Press Save &amp; wait: one two", {"id": "1", "title": "Reset it", "keywords": "button"})
    old.add("Use soap only.", {"id": "3", "title": "Mount it", "keywords": "soap"})
    report = adopt(world.services, request(world))
    assert report.origins["table"].rows == {"matched": 1, "differs": 1}
    assert (report.origins["table"].basis, report.vectors, report.keywords) == ("text", 0, 1)
    old.connection.execute("DELETE FROM langchain_pg_embedding")
    metadata = {"id": "2", "title": "Clean it", "keywords": "water", "combined_text": "clean it water"}
    old.add("Use water only.", metadata, made_of="clean it water")
    report = adopt(world.services, request(world))
    assert (report.origins["table"].basis, report.vectors, report.keywords) == ("combined_text", 1, 1)
    world.sync()
    assert stored_rows(world)["article-1", "combined_text"] == ("reset it button", ["button"])
    assert stored_rows(world)["article-2", "combined_text"] == ("clean it water", ["water"])


def test_an_adoption_of_other_keywords_stores_them_and_one_of_the_same_none(
    keyword_world: World, old: OldTable
) -> None:
    world = keyword_world
    world.centre.articles["1"] = Article("Reset the battery", "Press the button.")
    world.centre.articles["2"] = Article("Reset the battery", "Press the button.")
    for keywords, stored in (("charge", 1), ("charge", 0), ("solar, sun", 1), ("solar, sun", 0)):
        old.connection.execute("DELETE FROM langchain_pg_embedding")
        old.add("Press the button.", {"id": "1", "title": "Reset the battery", "keywords": keywords})
        dry = adopt(world.services, request(world, dry_run=True))
        assert adopt(world.services, request(world)).keywords == dry.keywords == stored
        world.sync()
        for record in ("article-1", "article-2"):
            assert stored_rows(world)[record, "combined_text"][1] == keywords.split(", ")


def test_a_table_of_an_unknown_layout_is_refused_with_what_was_expected(world: World, old: OldTable) -> None:
    old.connection.execute("CREATE TABLE other (id int, vec vector)")
    with pytest.raises(StoreError, match=r"columns id, vec.*cmetadata"):
        adopt(world.services, request(world, table="other"))
    with pytest.raises(StoreError, match=r"no table public\.absent"):
        adopt(world.services, request(world, table="absent"))


def test_a_database_without_the_table_says_so_where_it_has_no_vectors_at_all(world: World, postgres_url: str) -> None:
    with fresh_database(postgres_url) as empty, pytest.raises(StoreError, match=r"no table public\.langchain_pg"):
        adopt(world.services, request(world)._replace(database_url=empty))


def test_what_contradicts_upstream_is_listed_by_field(world: World, old: OldTable) -> None:
    world.centre.articles["1"] = Article("Reset", "Press the button.", category="Batteries")
    metadata = {"id": "1", "title": "Reset it", "link": "https://old.example/1", "metadata": {"category": "Panels"}}
    old.add("Press the button.", metadata)
    report = adopt(world.services, request(world))
    assert report.origins["table"].contradicting == {"title": 1, "category": 1}


# Files


def write(folder: Path, name: str, records: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))


def test_the_latest_synced_file_gives_its_keywords(keyword_world: World, tmp_path: Path) -> None:
    world = keyword_world
    world.centre.articles["1"] = Article("Reset the battery", "Press the button.")
    world.centre.articles["2"] = Article("Clean a panel", "Use water only.")
    folder = tmp_path / "old" / "zohodesk-data"
    record = {"id": "1", "title": "Reset the battery", "answer": "Press the button.", "metadata": {}}
    write(folder, "synced/vectordata_20240924_000000.json", [{**record, "keywords": ["stale"], "combined_text": ""}])
    for number in range(3):
        write(folder, f"synced/notes_{number}.json", [])
    older = {"id": "2", "title": "Clean a panel", "content": "Use water only.", "keywords": ""}
    records = [{**record, "keywords": "button, reset", "combined_text": ""}, older, "nonsense", {"title": "no text"}]
    write(folder, "synced/vectordata_20241211_000000.json", records)
    report = adopt(world.services, request(world, table=None, files=str(tmp_path / "old")))
    origin = report.origins["files"]
    assert (origin.rows["matched"], origin.rows["unreadable"], report.keywords) == (2, 2, 1)
    assert origin.groups == {"keywords_only": 1, "without_both": 1}
    assert (report.vectors, world.embedder.texts_embedded) == (0, 0)
    world.sync()
    assert stored_rows(world)["article-1", "combined_text"] == ("reset the battery button", ["button", "reset"])


def test_enriched_groups_count_where_there_are_any_and_two_tenants_are_refused(
    keyword_world: World, tmp_path: Path
) -> None:
    world = keyword_world
    for number in range(4):
        world.centre.articles[str(number)] = Article(f"Title {number}", f"Answer {number}.")
        record = {"id": str(number), "title": f"Title {number}", "answer": f"Answer {number}."}
        name = f"solara/enriched/0{number + 1}_synced_vectordata"
        write(tmp_path, f"{name}.json", [{**record, "keywords": ""}])
        write(tmp_path, f"{name}_temp.json", [{**record, "keywords": "half, done"}])
        if number:
            write(tmp_path, f"{name}_processed.json", [{**record, "keywords": f"done {number}"}])
    report = adopt(world.services, request(world, table=None, files=str(tmp_path / "solara")))
    assert (report.origins["files"].rows["matched"], report.keywords) == (4, 3)
    write(tmp_path, "polder/synced/vectordata_20241211_000000.json", [])
    with pytest.raises(StorageError, match="polder, solara"):
        adopt(world.services, request(world, table=None, files=str(tmp_path)))
    with pytest.raises(StorageError, match="no older files"):
        adopt(world.services, request(world, table=None, files=str(tmp_path / "nothing")))


def test_files_are_read_from_a_bucket_below_one_tenants_prefix(s3: Any, s3_url: str) -> None:
    record = {"id": "1", "title": "Question", "answer": "Answer", "keywords": "one, two"}
    stored = {
        "solara/zohodesk-data/synced/vectordata_20240101_000000.json": [record],
        "solara/zohodesk-data/synced/vectordata_20241231_000000.json": [record, {**record, "id": "2"}, "broken"],
        "other/zohodesk-data/synced/vectordata_20250101_000000.json": [{**record, "id": "of another tenant"}],
    }
    for key, content in stored.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content).encode())
    with VectordataFiles(f"s3://{BUCKET}/solara", s3_url) as files:
        for _ in range(2):
            rows = list(files)
            assert [row.ids for row in rows if isinstance(row, Row)] == [["1"], ["2"]]
            assert [row.reason for row in rows if isinstance(row, Unreadable)] == ["no JSON object"]
    with VectordataFiles(f"s3://{BUCKET}", s3_url) as files, pytest.raises(StorageError, match="2 folders"):
        list(files)
