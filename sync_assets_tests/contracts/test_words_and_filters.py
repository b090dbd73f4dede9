"""What every vector store must do with words, dates and groups of values, and that none of it shows what is hidden."""

import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError, SyncAssetsError
from sync_assets.vector_stores import Audience, Collection, Point, VectorStore, WordCounts, chroma, lexical, qdrant_edge
from sync_assets.vector_stores.chroma import ChromaStore
from sync_assets.vector_stores.chroma_clients import FolderClients
from sync_assets.vector_stores.lexical import words
from sync_assets.vector_stores.matching import AnyOf, Between, facets, wanted_facets
from sync_assets.vector_stores.pgvector import PgVectorStore
from sync_assets.vector_stores.qdrant_edge import QdrantEdgeStore
from sync_assets_tests.contracts.points import INSIDE, OUTSIDE, as_hit, make, new_collection, unit

pytestmark = [
    pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode|Api key):UserWarning"),
    pytest.mark.filterwarnings("ignore::platformdirs.api.RuntimeDirWarning"),
]


def told(store: VectorStore, collection: Collection, text: str, limit: int = 100, **filters: Any) -> list[str]:
    return [hit.record_id for hit in store.search_text(collection, "acme", INSIDE, text, limit, filters).hits]


def brute_force(points: Sequence[Point], text: str) -> list[tuple[float, str]]:
    """BM25 of all points, written down from its formula: k1 1.2, b 0.75, usual length 100."""
    texts = {point.chunk_id: Counter([*words(point.title), *words(point.text)]) for point in points}
    scores: dict[str, float] = {}
    for word in list(dict.fromkeys(words(text))):
        having = [chunk_id for chunk_id, found in texts.items() if found[word]]
        weight = math.log(1 + (len(texts) - len(having) + 0.5) / (len(having) + 0.5))
        for chunk_id in having:
            times, length = texts[chunk_id][word], texts[chunk_id].total()
            share = times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / 100))
            scores[chunk_id] = scores.get(chunk_id, 0.0) + weight * share
    return sorted(((score, chunk_id) for chunk_id, score in scores.items()), key=lambda one: (-one[0], one[1]))


def assert_equals(store: VectorStore, collection: Collection, audience: Audience, text: str, seen: list[Point]) -> None:
    """`search_text` gives the same points with the same scores; those of one score to nine digits in any order."""
    hits = store.search_text(collection, "acme", audience, text, 100).hits
    expected = brute_force(seen, text)
    assert {hit.chunk_id: pytest.approx(hit.score, rel=1e-9) for hit in hits} == {one: score for score, one in expected}
    assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected], rel=1e-9)


def test_words_find_identifiers_whole_and_in_parts(store: VectorStore, collection: Collection) -> None:
    points = [
        make(1, title="Error ERR-4711 after login", text="The VPN client stops."),
        make(2, title="Printer", text="Reset foo_bar at 10.0.0.1; see PROJ-45 and fooxbar."),
        make(3, title="部署", text="株式会社のプリンター"),
        make(4, title="Café", text="ＶＰＮ and straße, 100% of O'Neil's $HOME\\%TEMP%"),
        make(5, title="", text=""),
        make(6, title="?", text="fooxbar 10.0.011 err4711"),
    ]
    store.upsert(collection, "acme", points)
    for text, expected in [
        ("err-4711", {"1"}),
        ("4711", {"1"}),
        ("ERR", {"1"}),
        ("vpn", {"1", "4"}),
        ("FOO_BAR", {"2"}),
        ("fooxbar", {"2", "6"}),
        ("bar", {"2"}),
        ("ba", set()),
        ("10.0.0.1", {"2"}),
        ("10.0.0.1 fooxbar", {"2", "6"}),
        ("proj-45", {"2"}),
        ("株式", {"3"}),
        ("プリンター", {"3"}),
        ("部署", {"3"}),
        ("CAFÉ", {"4"}),
        ("STRASSE", {"4"}),
        ("%", set()),
        ("_", set()),
        ("", set()),
        ("'; DROP TABLE vectors; --", set()),
        ("unknown", set()),
    ]:
        assert set(told(store, collection, text)) == expected | ({"6"} if text == "10.0.0.1" else set()), text


@given(st.text(st.characters(max_codepoint=127)))
def test_words_are_the_same_whatever_stands_beside_them(text: str) -> None:
    assert [*words(text), "é"] == words(f"{text} é")


def test_scores_are_bm25_over_title_and_text_best_first(store: VectorStore, collection: Collection) -> None:
    points = [
        make(1, title="VPN", text="vpn vpn vpn is slow"),
        make(2, title="Mail", text="the vpn and the mail " + "is slow " * 40),
        make(3, title="Mail", text="mail is slow"),
        make(4, title="Mail", text="mail is slow"),
        make(5, title="Rare", text="quokka"),
    ]
    store.upsert(collection, "acme", points)
    for text in ("vpn", "mail is slow", "quokka vpn", "The slow MAIL mail", "vpn vpn vpn"):
        assert_equals(store, collection, INSIDE, text, points)
    ties = store.search_text(collection, "acme", INSIDE, "mail", 2).hits
    assert [hit.chunk_id for hit in ties] == sorted(hit.chunk_id for hit in ties)
    assert ties[0] == as_hit(next(one for one in points if one.chunk_id == ties[0].chunk_id), ties[0].score)
    counts = WordCounts(5, {"vpn": 2, "mail": 3})
    assert store.search_text(collection, "acme", INSIDE, "VPN mail unknown", 1).counts == counts
    assert told(store, collection, "vpn", limit=1) == ["1"]
    assert told(store, collection, "vpn", limit=0) == []


def test_a_search_by_words_follows_every_write(store: VectorStore, collection: Collection) -> None:
    assert told(store, collection, "old") == []
    store.upsert(collection, "acme", [make(1, text="old"), make(2, text="old")])
    store.update_payloads(collection, "acme", [make(1, text="new", vector=None)])
    assert (told(store, collection, "old"), told(store, collection, "new")) == (["2"], ["1"])
    store.upsert(collection, "acme", [make(2, text="newer")])
    assert (told(store, collection, "old"), told(store, collection, "newer")) == ([], ["2"])
    store.delete(collection, "acme", [make(1).chunk_id])
    assert told(store, collection, "new") == []
    store.drop_tenant(collection, "acme")
    assert told(store, collection, "newer") == []


def test_common_words_give_as_many_hits_as_are_asked_for(
    store: VectorStore, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "_CANDIDATES", 10)
    points = [make(number, title="", text="printer offline") for number in range(20, 60)]
    points += [make(1, title="", text="printer offline again"), make(2, title="", text="quokka printer")]
    store.upsert(collection, "acme", points)
    assert told(store, collection, "quokka printer", limit=1) == ["2"]
    assert len(told(store, collection, "quokka printer", limit=7)) == 7
    assert len(told(store, collection, "printer", limit=30)) == 30
    assert len(told(store, collection, "printer", limit=100)) == 42
    assert told(store, collection, "printer offline again", limit=1) == ["1"]


def test_of_common_words_the_points_that_have_most_are_looked_at(
    store: VectorStore, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "_CANDIDATES", 5)
    points = [make(number, title="", text="printer") for number in range(20)]
    points += [make(number, title="", text="offline") for number in range(20, 40)]
    points += [make(number, title="", text="printer offline") for number in range(40, 43)]
    store.upsert(collection, "acme", points)
    assert set(told(store, collection, "printer offline", limit=3)) == {"40", "41", "42"}


def test_get_gives_points_in_the_order_asked(store: VectorStore, collection: Collection) -> None:
    one, two = make(1, visibility=Visibility.PUBLIC), make(2)
    store.upsert(collection, "acme", [one, two])
    store.upsert(collection, "globex", [make(1, tenant="globex", visibility=Visibility.PUBLIC)])
    asked = [two.chunk_id, make(9).chunk_id, one.chunk_id, two.chunk_id, make(1, tenant="globex").chunk_id]
    assert store.get(collection, "acme", INSIDE, asked) == [as_hit(two, 0.0), as_hit(one, 0.0)]
    assert store.get(collection, "acme", OUTSIDE, asked) == [as_hit(one, 0.0)]
    odd = ["", "1", "' OR 1=1 --", "\0", "\ud800", one.chunk_id.upper(), one.chunk_id.replace("-", ""), "%", 40 * "é"]
    assert store.get(collection, "acme", INSIDE, odd) == store.get(collection, "acme", INSIDE, []) == []
    assert store.get(collection, "initech", INSIDE, asked) == []


def test_get_takes_more_ids_than_one_request(store: VectorStore, collection: Collection) -> None:
    points = [make(number) for number in range(3)]
    store.upsert(collection, "acme", points)
    unknown = [str(uuid.UUID(int=number)) for number in range(2500)]
    hits = store.get(collection, "acme", INSIDE, [points[0].chunk_id, *unknown, points[2].chunk_id])
    assert [hit.record_id for hit in hits] == ["0", "2"]


def test_any_of_and_between(store: VectorStore, collection: Collection) -> None:
    points = [
        make(1, metadata={"status": 2, "tags": ["vpn", "mail"], "created_at": "2026-04-30T23:30:00Z"}),
        make(2, metadata={"status": "3", "tags": ["vpn"], "created_at": "2026-05-01T01:30:00+02:00"}),
        make(3, metadata={"status": 4, "tags": "mail", "created_at": "2026-05-01"}),
        make(4, stream="articles", metadata={"created_at": ["2024-02-29", "2026-12-31T23:59:59.999Z"]}),
        make(5, metadata={"created_at": "soon", "due": "2026-04-30", "odd": "2026-13-45"}),
        make(6, metadata={"created_at": "0001-01-01T00:00:00+14:00", "2026-04-30": "x"}),
    ]
    store.upsert(collection, "acme", points)
    everything = {str(number) for number in range(1, 7)}
    for filters, expected in [
        ({"status": AnyOf([2, 3.0])}, {"1", "2"}),
        ({"tags": AnyOf(["mail"])}, {"1", "3"}),
        ({"tags": AnyOf(["mail", "x"]), "status": 2}, {"1"}),
        ({"tags": ["vpn", "mail"], "status": AnyOf(["2", "4"])}, {"1"}),
        ({"stream": AnyOf(["articles", "wiki"])}, {"4"}),
        ({"record_id": AnyOf(range(5, 9))}, {"5", "6"}),
        ({"status": AnyOf([])}, set()),
        ({"status": AnyOf(["2' OR 1=1 --"])}, set()),
        ({"source": AnyOf([f"s{number}" for number in range(300)] + ["freshdesk"])}, everything),
        ({"created_at": Between("2026-04-30", "2026-05-01")}, {"1", "2"}),
        ({"created_at": Between(date(2026, 5, 1), date(2026, 5, 2))}, {"3"}),
        ({"created_at": Between("2026-04-01", "2026-05-01")}, {"1", "2"}),
        ({"created_at": Between("2025-12-31", "2027-01-01")}, {"1", "2", "3", "4"}),
        ({"created_at": Between("2024-02-29", "2024-03-01")}, {"4"}),
        ({"created_at": Between("2026-12-31T00:00:00Z", None)}, {"4"}),
        ({"created_at": Between(None, "2026-05-01")}, {"1", "2", "4"}),
        ({"created_at": Between()}, {"1", "2", "3", "4"}),
        ({"created_at": Between("2026-05-01", "2026-05-01")}, set()),
        ({"created_at": Between("2026-05-02", "2026-05-01")}, set()),
        ({"due": Between("2026-01-01", "2027-01-01"), "created_at": "soon"}, {"5"}),
        ({"odd": Between()}, set()),
        ({"created_at": "2026-04"}, set()),
        ({"created_at@2026": AnyOf(["", "x"])}, set()),
    ]:
        hits = store.search(collection, "acme", INSIDE, unit(1.0), 100, filters)
        assert {hit.record_id for hit in hits} == expected, filters
        assert set(told(store, collection, "ticket", **filters)) == expected, filters


def test_chroma_fetches_no_more_ids_than_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma, "_MOST_COUNTED", 4)
    store, collection = ChromaStore(FolderClients(tmp_path, lock_timeout=20.0)), new_collection()
    store.ensure_collection(collection)
    store.upsert(collection, "acme", [make(number, title="", text="mail is slow") for number in range(2, 9)])
    store.upsert(collection, "acme", [make(1, title="", text="mail of a quokka")])
    found = store.search_text(collection, "acme", INSIDE, "quokka mail", 100)
    assert found.counts == WordCounts(4, {"quokka": 1, "mail": 4})
    assert (found.hits[0].record_id, len(found.hits)) == ("1", 8)
    store.close()


def test_a_pgvector_collection_of_an_older_version_gets_its_words(postgres_url: str) -> None:
    store, collection = PgVectorStore(postgres_url), new_collection()
    store.ensure_collection(collection)
    store.upsert(collection, "acme", [make(1)])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        table = sql.Identifier("vectors", collection.name)
        connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN terms").format(table))
    assert [hit.record_id for hit in store.search(collection, "acme", INSIDE, unit(1.0), 5)] == ["1"]
    assert "terms" not in next(iter(store.scan_points(collection, "acme"))).payload
    assert told(store, collection, "ticket") == []
    for _ in range(2):
        store.ensure_collection(collection)
    assert told(store, collection, "ticket") == []
    store.update_payloads(collection, "acme", [make(1)])
    store.upsert(collection, "globex", [make(1, tenant="globex")])
    assert told(store, collection, "ticket") == ["1"]
    store.close()


def test_a_qdrant_collection_of_an_older_version_gets_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, collection = QdrantEdgeStore(tmp_path, 20.0), new_collection()
    with monkeypatch.context() as older:
        older.setattr(qdrant_edge, "KEYWORD_FIELDS", ("tenant", "document_id", "readers", "facets"))
        store.ensure_collection(collection)
        store.upsert(collection, "acme", [make(1)])
    for _ in range(2):
        store.ensure_collection(collection)
    with store._open(collection) as shard:
        assert "terms" in shard.info().payload_schema
    assert told(store, collection, "ticket") == ["1"]
    store.close()


@pytest.mark.parametrize(
    "end", ["", "tomorrow", "2026-02-30", "1899-12-31", "2200-01-02", "2026-04-30 OR 1=1", "٢٠٢٦-٠٤-٣٠"]
)
def test_a_range_of_no_dates_is_refused(end: str) -> None:
    for ends in ((end, None), (None, end)):
        with pytest.raises(SettingsError, match="no date"):
            Between(*ends)


@settings(max_examples=100)
@given(
    first=st.dates(date(1999, 1, 1), date(2004, 1, 1)),
    days=st.integers(0, 1500),
    day=st.dates(date(1999, 1, 1), date(2008, 6, 1)),
)
def test_a_range_covers_its_days_and_no_other(first: date, days: int, day: date) -> None:
    until = date.fromordinal(first.toordinal() + days)
    (group,) = wanted_facets({"day": Between(first, until)})
    assert bool(set(group) & set(facets(make(1, metadata={"day": day.isoformat()})))) == (first <= day < until)


_ODD = [
    "",
    "x",
    "'",
    '"',
    "%",
    "_",
    "$",
    "$contains",
    "\0",
    "\ud800",
    "\\",
    "a=b",
    "tags=vpn",
    "' OR 1=1 --",
    "{}",
    "é" * 300,
]
_words = st.lists(st.sampled_from(["vpn", "mail", "foo_bar", "ERR-47", "株式会社", "the", "the", "O'Neil"]), max_size=5)
_points = st.lists(
    st.builds(
        lambda number, title, text, visibility, principals, tags: make(
            number,
            title=" ".join(title),
            text=" ".join(text),
            visibility=visibility,
            principals=principals,
            metadata={"tags": tags},
        ),
        st.integers(0, 9),
        _words,
        _words,
        st.sampled_from(Visibility),
        st.lists(st.sampled_from(["user:ann", "internal", "%"]), max_size=2),
        st.lists(st.sampled_from(["vpn", "%", "' OR 1=1 --"]), max_size=2),
    ),
    max_size=8,
    unique_by=lambda point: point.chunk_id,
)
_audiences = st.builds(
    Audience,
    visibility=st.sampled_from([Visibility.PUBLIC, Visibility.INTERNAL]),
    principals=st.frozensets(st.sampled_from(["user:ann", "user:bob", *_ODD]), max_size=2),
)
_values = st.one_of(
    st.sampled_from([*_ODD, "vpn", None, 1, 1.5, True]),
    st.lists(st.sampled_from([*_ODD, "vpn"]), max_size=2),
    st.lists(st.sampled_from([*_ODD, "vpn"]), max_size=2).map(AnyOf),
    st.just(Between("2020-01-01")),
    st.sampled_from([{"a": "\ud800"}, object(), [[1], {"a": 2}]]),
)
_filters = st.dictionaries(st.sampled_from(["tags", "source", *_ODD]), _values, max_size=2)
_texts = st.one_of(_words.map(" ".join), st.sampled_from(_ODD), st.text(max_size=20))


def may_see(point: Point, audience: Audience) -> bool:
    if point.visibility is Visibility.RESTRICTED:
        return bool(set(point.principals) & audience.principals)
    return point.visibility is Visibility.PUBLIC or audience.visibility is Visibility.INTERNAL


def shows_only_what_it_may(
    store: VectorStore,
    collection: Collection,
    points: list[Point],
    audience: Audience,
    filters: Mapping[str, Any],
    text: str,
) -> None:
    for tenant in ("acme", "globex"):
        store.drop_tenant(collection, tenant)
    theirs = [one.model_copy(update={"chunk_id": str(uuid.uuid5(uuid.NAMESPACE_OID, one.chunk_id))}) for one in points]
    store.upsert(collection, "acme", points)
    store.upsert(collection, "globex", theirs)
    seen = [point for point in points if may_see(point, audience)]
    ids = [one.chunk_id for one in [*theirs, *points]]
    assert [hit.chunk_id for hit in store.get(collection, "acme", audience, [text, *ids])] == [
        one.chunk_id for one in seen
    ]
    assert_equals(store, collection, audience, text, seen)
    for ask in (
        lambda: store.search(collection, "acme", audience, unit(1.0), 20, filters),
        lambda: store.search_text(collection, "acme", audience, text, 20, filters).hits,
    ):
        try:
            hits = ask()
        except SyncAssetsError:
            continue
        assert {hit.chunk_id for hit in hits} <= {one.chunk_id for one in seen}


_ASKED = {"points": _points, "audience": _audiences, "filters": _filters, "text": _texts}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**_ASKED)
def test_whatever_is_asked_nothing_hidden_is_found(store: VectorStore, collection: Collection, **asked: Any) -> None:
    shows_only_what_it_may(store, collection, **asked)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**_ASKED)
def test_whatever_else_is_asked_nothing_hidden_is_found(
    store: VectorStore, collection: Collection, **asked: Any
) -> None:
    shows_only_what_it_may(store, collection, **asked)
