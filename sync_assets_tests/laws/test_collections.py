"""Law 6 under change: a collection is built beside the active one, and takes its place without a gap or a mixture."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from sync_assets.collections import Pair, building, judging
from sync_assets.collections.building import Built, build, estimate
from sync_assets.collections.comparing import Question, compare, questions_about
from sync_assets.collections.judging import Change, Judgement, golden_questions, judge, refuse_worse
from sync_assets.collections.switching import Switched, drop, droppable, rollback, switch
from sync_assets.documents import Visibility
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.errors import (
    CollectionError,
    FingerprintMismatch,
    GraphError,
    LedgerError,
    LimitError,
    SettingsError,
)
from sync_assets.forgetting import Documents, Place, erase
from sync_assets.forgetting.files import files_of_tenant
from sync_assets.forgetting.rows import tenant_in_ledger
from sync_assets.forgetting.stores import documents_in_stores, tenant_in_stores
from sync_assets.golden import GoldenQuestion
from sync_assets.golden.measures import Interval
from sync_assets.ledger import Ledger, NewCollection, RegisteredCollection
from sync_assets.ledger import tables as t
from sync_assets.ledger.beside import BesideLedger
from sync_assets.ledger.collections import collections_named, switch_collections
from sync_assets.search import search
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream
from sync_assets.stages import chunks as chunks_stage
from sync_assets.vector_stores import Audience, Point
from sync_assets_tests.laws.upstream import Chain, Crash, Fuse, Ticket, Upstream, edited, install, window
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES

INSIDE = Audience(visibility=Visibility.INTERNAL)
LONG = "the printer on the second floor is on fire again and nobody knows where the water is kept this week "
# Cuts LONG in pieces, where the active collection has it whole.
PIECES = 16
_numbers = itertools.count()


class World:
    """One tenant with a stream and collections of its own, in one store."""

    def __init__(self, services: Services, store: str, opened: Any, url: str) -> None:
        number = next(_numbers)
        self.url = url
        self.store, self.tenant, self.name = store, f"c{number}", f"built{number}"
        self.upstream = Upstream()
        self.fuse: Fuse = install(services, {self.tenant: self.upstream}, {store: opened})
        stream = Stream("freshdesk", f"s{number}", "day", (store,), self.name, model="hash-8", chunk_tokens=64)
        self.chain = Chain(services, stream, lambda: self.upstream.tick())
        self.windows = [window(self.tenant, day) for day in range(2)]
        self.services = services
        for ticket in range(4):
            self.write(str(ticket), f"{LONG}{ticket}")

    def write(self, record_id: str, *texts: str) -> None:
        self.upstream.tickets[record_id] = Ticket(self.upstream.tick(), texts)

    def remove(self, record_id: str) -> None:
        ticket = self.upstream.tickets[record_id]
        self.upstream.tickets[record_id] = edited(ticket, modified_at=self.upstream.tick(), deleted=True)

    def sync(self) -> dict[str, Any]:
        return self.chain.sync(self.windows, sweep=True)

    def build(self, **options: Any) -> Built:
        return build(self.services, [self.chain.stream], self.name, **{"chunk_tokens": PIECES, **options})

    def switch(self, **options: Any) -> Switched:
        return switch(self.services, [self.chain.stream], self.name, **options)

    def rollback(self) -> None:
        rollback(self.services, [self.chain.stream], self.name)

    def collections(self) -> list[RegisteredCollection]:
        return collections_named(self.services.ledger, self.name)

    def with_pieces(self, **changes: Any) -> Chain:
        """The chain, its stream as `build` makes its collection."""
        return replace(self.chain, stream=replace(self.chain.stream, chunk_tokens=PIECES, **changes))

    def content(self, collection: RegisteredCollection) -> dict[str, Any]:
        """All that a store holds of the tenant in a collection: payloads and vectors by chunk id."""
        points = self.services.store(self.store).scan_points(collection.collection, self.tenant)
        found: dict[str, Any] = {}
        for point in points:
            assert point.vector is not None
            payload = {name: value for name, value in point.payload.items() if name != "principals" or value}
            found[point.chunk_id] = (payload, np.round(point.vector, 4).tolist())
        return found

    def applied(self, collection: RegisteredCollection) -> list[Any]:
        """What the ledger says of it."""
        table = t.collection_documents
        columns = [column for column in table.c if column.name != "collection_id"]
        query = sa.select(*columns).where(table.c.collection_id == collection.id).order_by(table.c.document_id)
        with self.services.ledger.transaction() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def answer(self) -> dict[str, str]:
        """The texts that a search finds of the tenant, by record: each document by its nearest chunk."""
        hits = search(self.services, LONG, tenant=self.tenant, audience=INSIDE, top_k=100)
        return {hit.record_id: hit.text for hit in hits}

    def untouched(self) -> Any:
        """What a build must leave alone: files, and the ledger's rows but those of collections."""
        storage = self.services.storage
        files = {file.key: file.written_at for file in storage.list(f"{self.tenant}/")}
        rows = []
        with self.services.ledger.transaction() as connection:
            for table in (t.documents, t.windows, t.watermarks, t.quarantine):
                query = sa.select(sa.literal_column("xmin::text"), table).where(table.c.tenant == self.tenant)
                rows += sorted(map(str, connection.execute(query)))
        active = self.active()
        return files, rows, self.applied(active), self.content(active)

    def active(self) -> RegisteredCollection:
        (found,) = [one for one in self.collections() if one.active]
        return found

    def inactive(self) -> RegisteredCollection:
        (found,) = [one for one in self.collections() if not one.active]
        return found


NewWorld = Callable[[], World]


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def services(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home: Path = tmp_path_factory.mktemp("collections")
    services = Services(Settings(home=home, database_url=database, sweep_max_delete_share=1.0))  # pyright: ignore
    ledger = services.ledger
    yield services
    ledger.close()


def _opened(name: str, request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    opened = STORES[name](request, factory.mktemp(name))
    yield name, opened
    opened.close()


@pytest.fixture(scope="module", params=["pgvector", "qdrant_edge", "chroma_embedded"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    yield from _opened(request.param, request, tmp_path_factory)


@pytest.fixture(scope="module")
def one_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    yield from _opened("pgvector", request, tmp_path_factory)


@contextmanager
def _worlds(services: Services, store: tuple[str, Any], database: str) -> Iterator[NewWorld]:
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}

    def make() -> World:
        services.__dict__.update(kept)
        return World(services, *store, database)

    yield make
    services.__dict__.update(kept)


@pytest.fixture
def new_world(services: Services, store: tuple[str, Any], database: str) -> Iterator[NewWorld]:
    with _worlds(services, store, database) as make:
        yield make


@pytest.fixture
def world(services: Services, one_store: tuple[str, Any], database: str) -> Iterator[World]:
    """A world with a synced history: an edit, and a document that was deleted."""
    with _worlds(services, one_store, database) as make:
        yield with_history(make())


def with_history(world: World) -> World:
    world.sync()
    world.upstream.now += timedelta(days=1)
    world.write("1", f"{LONG}edited")
    world.remove("2")
    world.sync()
    return world


def test_a_build_equals_a_sync_from_scratch_and_touches_nothing_else(new_world: NewWorld) -> None:
    world = with_history(new_world())
    before = world.untouched()
    built = world.build()
    assert world.untouched() == before
    assert built.is_complete
    assert built.counts["lacking"] == 4
    scratch = replace(world.with_pieces(collection=f"scratch{world.tenant}"), services=world.services)
    scratch.sync(world.windows, sweep=True)
    (other,) = collections_named(world.services.ledger, scratch.stream.collection)
    assert world.content(world.inactive()) == world.content(other)
    assert world.applied(world.inactive()) == world.applied(other)
    assert len(world.content(other)) > len(world.content(world.active())), "it is cut in smaller pieces"


def test_a_second_build_does_only_what_is_newer(world: World) -> None:
    world.build()
    again = world.build()
    assert not again.counts["lacking"]
    assert not again.counts["written"]
    world.write("0", "short and new")
    world.remove("1")
    world.sync()
    third = world.build()
    assert (third.counts["lacking"], third.counts["embedded"] + third.counts["reused"]) == (2, 1)
    assert {payload["record_id"] for payload, _ in world.content(world.inactive()).values()} == {"0", "3"}


@pytest.mark.parametrize(
    "store",
    ["pgvector", *(pytest.param(name, marks=pytest.mark.slow) for name in ("qdrant_edge", "chroma_embedded"))],
    indirect=True,
)
def test_a_build_that_dies_anywhere_goes_on_where_it_was(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_history(new_world())
    world.build()
    expected = world.content(world.inactive()), world.applied(world.inactive())
    for name in ("begin_apply", "finish_apply"):
        monkeypatch.setattr(BesideLedger, name, _burning(world.fuse, getattr(BesideLedger, name)))
    crashes = 0
    while True:
        drop(world.services, [world.chain.stream], world.inactive().collection.name)
        with world.services.ledger.transaction() as connection:
            connection.execute(sa.delete(t.embedding_cache).where(t.embedding_cache.c.tenant == world.tenant))
        world.fuse.left = crashes
        try:
            world.build()
            break
        except Crash:
            crashes += 1
        world.build()
        assert (world.content(world.inactive()), world.applied(world.inactive())) == expected
    world.fuse.left = None
    assert crashes >= 5, "cache, collection, marks, points and their confirmation"


def _burning(fuse: Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def burning(*args: Any, **kwargs: Any) -> Any:
        fuse.burn()
        return method(*args, **kwargs)

    return burning


def test_a_reader_sees_whole_answers_of_one_collection_all_the_time(new_world: NewWorld) -> None:
    world = with_history(new_world())
    whole = world.answer()
    done = threading.Event()

    def read() -> list[dict[str, str]]:
        answers: list[dict[str, str]] = []
        while not done.is_set():
            answers.append(world.answer())
        return answers

    with ThreadPoolExecutor(1) as executor:
        reader = executor.submit(read)
        try:
            world.build()
            world.switch()
            pieces = world.answer()
            world.rollback()
        finally:
            done.set()
        answers = reader.result()
    assert len(whole) == len(pieces) == 3
    assert not set(whole.values()) & set(pieces.values())
    assert answers
    assert [answer for answer in answers if answer not in (whole, pieces)] == []
    assert world.answer() == whole


def test_a_search_that_began_before_the_switch_ends_on_the_old_collection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = world.answer()
    world.build()
    true_embedder = world.services.embedder_of
    switched: list[bool] = []

    def embedder_of(model: str) -> Any:
        """Called by the search, after it has chosen its collections."""
        monkeypatch.undo()
        world.switch()
        switched.append(True)
        return true_embedder(model)

    monkeypatch.setattr(world.services, "embedder_of", embedder_of)
    assert world.answer() == whole
    assert switched
    assert world.answer() != whole


def test_a_build_and_a_switch_in_the_middle_of_a_search_leave_no_gap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Ledger._collections
    pieces: list[dict[str, str]] = []

    def slow(ledger: Ledger, *conditions: Any) -> Any:
        """Whatever a search had asked the ledger before this is out of date now."""
        monkeypatch.undo()
        world.build()
        world.switch()
        pieces.append(world.answer())
        return ask(ledger, *conditions)

    monkeypatch.setattr(Ledger, "_collections", slow)
    assert world.answer() == pieces[0]
    assert len(pieces[0]) == 3


def test_a_switch_is_made_for_all_stores_or_for_none(world: World) -> None:
    world.build()
    active, built = world.active(), world.inactive()
    gone = built.model_copy(update={"id": -1})
    with pytest.raises(CollectionError, match="switched or dropped meanwhile"):
        switch_collections(world.services.ledger, [(active, built), (built, gone)])
    assert (world.active(), world.inactive()) == (active, built)


def test_a_switch_brings_what_was_synced_since_the_build_and_a_rollback_too(world: World) -> None:
    world.build()
    world.write("0", f"{LONG}after the build")
    world.remove("3")
    world.sync()
    world.switch()
    assert {payload["record_id"] for payload, _ in world.content(world.active()).values()} == {"0", "1"}
    world.write("4", f"{LONG}after the switch")
    world.remove("1")
    world.with_pieces().sync(world.windows, sweep=True)
    world.rollback()
    assert world.answer() == {"0": f"{LONG}after the build", "4": f"{LONG}after the switch"}


def test_a_sync_with_the_other_model_is_refused_naming_both_and_the_way(world: World) -> None:
    other = replace(world.chain, stream=replace(world.chain.stream, model="hash-16"))
    way = f"SYNC_ASSETS_MODEL.*`sync-assets collections build {world.name}`.*collections switch {world.name}`"
    with pytest.raises(FingerprintMismatch, match=f"made with hash-8 .*uses hash-16 .*{way}"):
        other.sync(world.windows)
    world.build(model="hash-16")
    with pytest.raises(FingerprintMismatch, match="made with hash-8 "):
        other.sync(world.windows)
    world.sync()
    world.switch()
    with pytest.raises(FingerprintMismatch, match=r"made with hash-16 .*uses hash-8 .*Name hash-16"):
        world.sync()


def test_a_stored_file_that_is_gone_is_counted_and_holds_up_the_switch(world: World) -> None:
    storage = world.services.storage
    for file in list(storage.list(f"{world.tenant}/freshdesk/{world.chain.stream.name}/documents/")):
        storage.delete(file.key)
    assert world.build().missing == {world.chain.stream.of(world.tenant): 3}
    with pytest.raises(CollectionError, match=r"lacks 3 documents of .*`sync-assets sync --all"):
        world.switch()
    assert world.active().collection.fingerprint != world.inactive().collection.fingerprint
    world.chain.sync(world.windows)
    assert world.build().is_complete
    world.switch()


def test_what_the_new_model_cannot_make_is_told_and_holds_up_the_switch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = chunks_stage.chunk_document

    def picky(document: Any, tokenizer: Any, limits: Any) -> Any:
        if document.record_id == "1" and limits.max_tokens == PIECES:
            raise ValueError("too fine")
        return cut(document, tokenizer, limits)

    monkeypatch.setattr(chunks_stage, "chunk_document", picky)
    ref = world.chain.stream.of(world.tenant)
    built = world.build()
    assert (built.failed, built.missing) == ({(ref, "1"): "too fine"}, {})
    assert world.services.ledger.quarantined(world.tenant) == []
    with pytest.raises(CollectionError, match=r"lacks 1 documents of .*1 can't be made with hash-8"):
        world.switch()
    assert world.inactive().retired_at is None


def test_a_record_that_is_in_quarantine_for_both_holds_up_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = chunks_stage.chunk_document

    def picky(document: Any, tokenizer: Any, limits: Any) -> Any:
        if document.record_id == "9":
            raise ValueError("never")
        return cut(document, tokenizer, limits)

    monkeypatch.setattr(chunks_stage, "chunk_document", picky)
    world.write("9", LONG)
    world.sync()
    assert list(world.build().failed.values()) == ["never"]
    world.switch()
    assert [record.record_id for record in world.services.ledger.quarantined(world.tenant)] == ["9"]


def test_damage_in_the_new_collection_holds_up_the_switch(world: World) -> None:
    world.build()
    store, collection = world.services.store(world.store), world.inactive().collection
    points = list(store.scan_points(collection, world.tenant))
    fields = {name: points[0].payload[name] for name in points[0].payload if name not in ("readers", "facets")}
    forged = Point(chunk_id=points[0].chunk_id, vector=points[1].vector, **{**fields, "content_hash": "0"})
    store.upsert(collection, world.tenant, [forged])
    with pytest.raises(CollectionError, match=r"damaged for tenant .*1 altered"):
        world.switch()


def test_a_rollback_writes_again_what_an_older_version_stored_without_words(world: World, postgres_url: str) -> None:
    old, whole, content = world.active(), world.answer(), world.content(world.active())
    world.build()
    world.switch()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        table = sql.Identifier("vectors", old.collection.name)
        connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN terms").format(table))
    world.rollback()
    assert world.active().id == old.id
    assert world.content(world.active()) == content
    assert world.answer() == whole


def test_a_switch_and_a_rollback_hold_to_the_limits(world: World) -> None:
    def write(text: str) -> None:
        for number in ("0", "3"):
            world.write(number, f"{LONG}{text} {number}")

    def refused_then_done(act: Callable[[], object]) -> None:
        settings, active = world.services.settings, world.active()
        world.services.settings = settings.model_copy(update={"max_embedded_texts": 1})
        try:
            with pytest.raises(LimitError, match=r"SYNC_ASSETS_MAX_EMBEDDED_TEXTS=1 .*build --dry-run"):
                act()
        finally:
            world.services.settings = settings
        assert world.active() == active
        act()
        assert world.active().id != active.id

    world.build(model="hash-16")
    write("after the build")
    world.sync()
    refused_then_done(world.switch)
    write("after the switch")
    replace(world.chain, stream=replace(world.chain.stream, model="hash-16", chunk_tokens=PIECES)).sync(world.windows)
    refused_then_done(world.rollback)


def test_a_switch_and_syncs_that_write_wait_for_each_other_only_so_long(world: World) -> None:
    world.build()
    world.services.__dict__["ledger"] = impatient = Ledger(world.url, lock_timeout=0.2)
    writer = Ledger(world.url)
    with writer.writing(world.store, world.name), pytest.raises(LedgerError, match="SYNC_ASSETS_LOCK_TIMEOUT"):
        world.switch()
    assert world.inactive().retired_at is None
    with writer.switching(world.store, world.name), pytest.raises(LedgerError, match="SYNC_ASSETS_LOCK_TIMEOUT"):
        world.sync()
    world.switch()
    writer.close()
    impatient.close()


def test_an_estimate_writes_nothing_and_tells_what_the_build_does(world: World) -> None:
    before = world.untouched()
    told = estimate(world.services, [world.chain.stream], world.name, chunk_tokens=PIECES)
    assert world.untouched() == before
    assert len(world.collections()) == 1
    built = world.build()
    assert told.texts == built.counts["embedded"] > 0
    assert told.documents == built.counts["lacking"]
    assert told.collections == [world.inactive().collection.name]
    assert estimate(world.services, [world.chain.stream], world.name, chunk_tokens=PIECES).texts == 0


def test_a_build_beyond_the_limits_embeds_nothing(world: World) -> None:
    settings = world.services.settings
    world.services.settings = settings.model_copy(update={"max_embedded_texts": 1})
    try:
        with pytest.raises(LimitError, match="SYNC_ASSETS_MAX_EMBEDDED_TEXTS=1"):
            world.build()
        assert len(world.collections()) == 1
    finally:
        world.services.settings = settings


def test_what_cannot_be_built_switched_or_rolled_back_is_refused(world: World) -> None:
    with pytest.raises(CollectionError, match=r"is made with hash-8 .* already"):
        world.build(chunk_tokens=64)
    with pytest.raises(CollectionError, match="Nothing was built"):
        world.switch()
    with pytest.raises(CollectionError, match="no earlier collection"):
        world.rollback()
    with pytest.raises(SettingsError, match="No stream has a collection 'unknown'"):
        build(world.services, [world.chain.stream], "unknown")
    with pytest.raises(CollectionError, match="in elsewhere to build beside"):
        world.build(store="elsewhere")
    world.build()
    world.build(model="hash-16")
    with pytest.raises(CollectionError, match="Several collections were built"):
        world.switch()


def test_an_older_collection_whose_chunk_size_was_not_kept_gets_it_by_its_next_sync(world: World) -> None:
    old = world.active()
    world.build()
    world.switch()
    with world.services.ledger.transaction() as connection:
        connection.execute(sa.update(t.collections).where(t.collections.c.id == old.id).values(limits=None))
    with pytest.raises(CollectionError, match="was not kept yet"):
        world.rollback()
    with world.services.ledger.transaction() as connection:
        for number, active in ((world.active().id, False), (old.id, True)):
            statement = sa.update(t.collections).where(t.collections.c.id == number)
            connection.execute(statement.values(active=active, retired_at=None))
    world.sync()
    assert world.active().limits == old.limits == {"max_tokens": 64, "messages": 10, "overlap": 2}


def test_only_what_is_neither_active_nor_lately_retired_is_dropped(world: World) -> None:
    world.build()
    built, store = world.inactive().collection, world.services.store(world.store)
    drop(world.services, [world.chain.stream], built.name)
    assert len(world.collections()) == 1
    assert store.tenants(built) == set()
    world.build()
    world.switch()
    with pytest.raises(CollectionError, match="is the active collection"):
        drop(world.services, [world.chain.stream], world.active().collection.name)
    retired = world.inactive().collection
    with pytest.raises(CollectionError, match="SYNC_ASSETS_COLLECTION_RETENTION_DAYS=7"):
        drop(world.services, [world.chain.stream], retired.name)
    (shown,) = droppable(world.services, [world.chain.stream], retired.name, force=True)
    assert shown.holding == (3, 3, 1)
    assert store.count(retired, world.tenant) == 3, "nothing was dropped yet"
    drop(world.services, [world.chain.stream], retired.name, force=True)
    assert world.collections() == [world.active()]
    with pytest.raises(SettingsError, match="no collection"):
        drop(world.services, [world.chain.stream], retired.name)


def test_a_store_that_no_stream_names_any_more_holds_up_no_switch_and_may_go(world: World) -> None:
    gone = world.active()
    new = NewCollection("elsewhere", gone.name, "f" * 32, "old", 8, gone.model, gone.model_fingerprint, {})
    left = world.services.ledger.register_collection(new)
    world.build()
    world.switch()
    world.rollback()
    assert [one.store for one in world.collections() if one.active] == sorted(["elsewhere", world.store])
    kept = [world.chain.stream]
    with pytest.raises(CollectionError, match="is the active collection"):
        droppable(world.services, [replace(kept[0], stores=("elsewhere",))], left.collection.name)
    assert [one.collection for one in droppable(world.services, kept, left.collection.name)] == [left]
    with pytest.raises(CollectionError, match="No stream names a store"):
        switch(world.services, [replace(kept[0], stores=())], world.name)
    (own,) = [one for one in world.collections() if one.active and one.store == world.store]
    drop(world.services, [replace(kept[0], stores=())], own.collection.name)
    assert own not in world.collections()


def test_nothing_is_built_in_a_precision_that_passed_no_check(world: World) -> None:
    for act in (estimate, build):
        with pytest.raises(SettingsError, match="sync-assets models check all-MiniLM-L6-v2`"):
            act(world.services, [world.chain.stream], world.name, model="all-MiniLM-L6-v2@bfloat16")
    assert world.collections() == [world.active()]


def test_a_switch_after_which_searches_would_find_less_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.chain = replace(world.chain, stream=replace(world.chain.stream, model="hash-512"))
    world.name, world.chain.stream = "judged", replace(world.chain.stream, collection="judged")
    # Texts of the same few words, which a model of three dimensions does not tell apart.
    vocabulary = ("fax", "toner", "paper", "tray", "lamp", "cable", "door", "switch")
    texts = list(itertools.islice(itertools.combinations(vocabulary, 5), 24))
    asked = {f"q{number}": " ".join(reversed(words)) for number, words in enumerate(texts)}
    for number, words in enumerate(texts):
        world.write(f"q{number}", " ".join(words))
    world.sync()
    golden = world.services.settings.home / "golden.yaml"
    entries = [{"question": text, "documents": [f"{world.tenant}_freshdesk_{one}"]} for one, text in asked.items()]
    golden.write_text(json.dumps({world.tenant: entries}))
    try:
        world.build(model="hash-3", chunk_tokens=64)
        old, new = world.active(), world.inactive()
        judged = judge(world.services, Pair(old, new))
        with monkeypatch.context() as few:
            few.setattr(judging, "_MOST", 3)
            some = [golden_questions(world.services, Pair(old, new)) for _ in range(2)]
        assert some[0] == some[1]
        assert len({one.text for one in some[0]}) == 3
        (mrr,) = [one for one in judged.worse if one.measure == "MRR"]
        assert mrr.before == 1
        with pytest.raises(CollectionError) as refused:
            world.switch()
        said = str(refused.value)
        assert f"Searches of {world.store} would find less, by the 24 questions of the golden set:" in said
        assert f"MRR 1.000 -> {mrr.after:.3f} (difference {mrr.difference.low:.3f} to" in said
        assert "`sync-assets collections compare judged`" in said
        assert world.active().id == old.id
        with monkeypatch.context() as lost:
            lost.setattr(judging, "golden_set", _no_graph)
            with pytest.raises(CollectionError, match=r"mined from the graph: No graph\. .* with --force\."):
                world.switch()
        assert world.active().id == old.id

        assert world.switch(force=True).judgements == []
        assert world.active().id == new.id
        world.rollback()
        drop(world.services, [world.chain.stream], new.collection.name, force=True)
        world.build(model="hash-500", chunk_tokens=64)
        (judgement,) = world.switch().judgements
        assert (judgement.questions, judgement.worse) == (24, [])
        assert world.active().collection.dimension == 500
    finally:
        golden.unlink()


def _no_graph(services: Services, tenant: str) -> list[GoldenQuestion]:
    raise GraphError("No graph.", "Start it.")


def test_a_collection_that_nobody_can_ask_any_more_is_replaced_without_a_judgement(world: World) -> None:
    golden = world.services.settings.home / "golden.yaml"
    golden.write_text(json.dumps({world.tenant: [{"question": LONG, "documents": [f"{world.tenant}_freshdesk_0"]}]}))
    old = world.active()
    try:
        world.build(model="hash-16")
        with world.services.ledger.transaction() as connection:
            statement = sa.update(t.collections).where(t.collections.c.id == old.id)
            connection.execute(statement.values(model_fingerprint="of files that were replaced"))
        with pytest.raises(FingerprintMismatch, match="`sync-assets collections build"):
            world.answer()
        (judgement,) = world.switch().judgements
        assert (judgement.questions, judgement.changes) == (1, [])
        assert world.answer().keys() == {"0", "1", "3"}
    finally:
        golden.unlink()


def test_another_collection_that_nobody_can_ask_does_not_pass_for_the_active_one(world: World) -> None:
    golden = world.services.settings.home / "golden.yaml"
    golden.write_text(json.dumps({world.tenant: [{"question": LONG, "documents": [f"{world.tenant}_freshdesk_0"]}]}))
    other = f"other{world.tenant}"
    stream = replace(world.chain.stream, name="other", collection=other)
    try:
        replace(world.chain, stream=stream).sync(world.windows)
        world.build(model="hash-16")
        pair = Pair(world.active(), world.inactive())
        assert judge(world.services, pair).changes
        with world.services.ledger.transaction() as connection:
            statement = sa.update(t.collections).where(t.collections.c.name == other)
            connection.execute(statement.values(model_fingerprint="of files that were replaced"))
        with pytest.raises(FingerprintMismatch, match=other):
            world.switch()
        assert world.active().id == pair.old.id
        world.switch(force=True)
        assert world.active().id == pair.new.id
    finally:
        golden.unlink()


def test_a_few_questions_hold_up_no_switch() -> None:
    worse = Change("MRR", 1.0, 0.2, Interval(-0.8, -0.9, -0.7))
    refuse_worse([Judgement("qdrant", 19, [worse])], "tickets")
    with pytest.raises(CollectionError, match=r"Searches of qdrant .* 20 questions"):
        refuse_worse([Judgement("qdrant", 20, [worse])], "tickets")


def test_a_comparison_asks_as_a_search_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build()
    asked: list[str] = []
    embed_query = HashEmbedder.embed_query

    def telling(embedder: HashEmbedder, text: str) -> np.ndarray:
        asked.append(text)
        return embed_query(embedder, text)

    monkeypatch.setattr(HashEmbedder, "embed_query", telling)
    compare(world.services, world.active(), world.inactive(), [Question(world.tenant, "Ticket 0")])
    assert asked == ["Ticket 0", "Ticket 0"]
    changed = world.inactive().model_copy(update={"model_fingerprint": "another"})
    with pytest.raises(FingerprintMismatch, match=f"`sync-assets collections build {world.name}`"):
        compare(world.services, world.active(), changed, [])


def test_a_comparison_counts_and_asks_both(world: World) -> None:
    world.build()
    questions = questions_about(world.services, world.active(), [])
    asked = [question for question in questions if question.tenant == world.tenant]
    assert sorted(question.text for question in asked) == ["Ticket 0", "Ticket 1", "Ticket 3"]
    found = compare(world.services, world.active(), world.inactive(), asked)
    assert (found.old.documents, found.old.chunks, found.old.texts) == (3, 3, 3)
    assert (found.new.documents, found.new.dimension) == (3, 8)
    assert found.new.chunks > 3
    assert found.overlap == 1.0, "three documents, which both find"
    missing = [Question("nobody", "anything")]
    assert compare(world.services, world.active(), world.inactive(), missing).overlap == 1.0


def test_what_is_forgotten_goes_from_collections_that_are_not_active_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.build()
    own = world.collections()  # those of other tests are in stores that are not open here
    monkeypatch.setattr(Ledger, "every_collection", lambda _: own)
    document = f"{world.tenant}_freshdesk_0"
    places = list(documents_in_stores(world.services, Documents.of(world.tenant, [document])))
    assert len(places) == 2
    assert all(place.count() > 0 for place in places)
    for place in places:
        place.erase()
    held = [world.content(one) for one in world.collections()]
    assert all(payload["document_id"] != document for one in held for payload, _ in one.values())


def test_a_tenant_that_is_erased_beside_a_build_is_in_no_collection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [one.name for one in world.collections()]
    every = Ledger.every_collection
    monkeypatch.setattr(Ledger, "every_collection", lambda ledger: [one for one in every(ledger) if one.name in own])
    embed = building.make_embeddings
    impatient = Ledger(world.url, lock_timeout=0.2)
    refused: list[LedgerError] = []

    def erase_tenant(ledger: Ledger) -> int:
        with ledger.erasing(world.tenant):
            return sum(one.left for one in erase([*tenant_in_stores(world.services, world.tenant), *rest()]))

    def rest() -> list[Place]:
        services = world.services
        return [files_of_tenant(services, world.tenant), tenant_in_ledger(services, world.tenant)]

    def slow(*arguments: Any) -> Any:
        """What was read before this is written after it."""
        with pytest.raises(LedgerError, match="SYNC_ASSETS_LOCK_TIMEOUT") as caught:
            erase_tenant(impatient)
        refused.append(caught.value)
        return embed(*arguments)

    monkeypatch.setattr(building, "make_embeddings", slow)
    world.build()
    monkeypatch.setattr(building, "make_embeddings", embed)
    assert refused
    held = Ledger._locked

    @contextmanager
    def waiting(ledger: Ledger, scope: Any, kind: str) -> Iterator[None]:
        """A build with yet another model begins and ends while the lock is waited for."""
        if scope == ("kept", world.tenant) and not kind:
            monkeypatch.setattr(Ledger, "_locked", held)
            world.build(model="hash-16")
        with held(ledger, scope, kind):
            yield

    monkeypatch.setattr(Ledger, "_locked", waiting)
    assert erase_tenant(world.services.ledger) == 0
    impatient.close()
    assert len(world.collections()) == 3
    assert [world.content(one) for one in world.collections()] == [{}, {}, {}]
    assert [world.applied(one) for one in world.collections()] == [[], [], []]
