"""What every vector store must do, asked of each through the protocol."""

import multiprocessing
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.documents import Visibility
from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.settings import Settings
from sync_assets.vector_stores import (
    Audience,
    Collection,
    Point,
    StoredChunk,
    StoredPoint,
    VectorStore,
    chroma,
    chroma_clients,
    lexical,
    matching,
    pgvector,
    qdrant,
)
from sync_assets.vector_stores.chroma import ChromaStore
from sync_assets.vector_stores.chroma_clients import FolderClients, ServerClients
from sync_assets.vector_stores.pgvector import PgVectorStore
from sync_assets.vector_stores.qdrant_edge import QdrantEdgeStore
from sync_assets.vector_stores.qdrant_server import QdrantServerStore, connect
from sync_assets_tests.contracts.points import (
    DIMENSION,
    INSIDE,
    OUTSIDE,
    as_hit,
    make,
    new_collection,
    unit,
    unit_vectors,
)
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES

pytestmark = [
    pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode|Api key):UserWarning"),
    pytest.mark.filterwarnings("ignore::platformdirs.api.RuntimeDirWarning"),
]

EMBEDDED: dict[str, Callable[[Path, float], VectorStore]] = {
    "qdrant": lambda folder, lock_timeout: QdrantEdgeStore(folder, lock_timeout),
    "chroma": lambda folder, lock_timeout: ChromaStore(FolderClients(folder / "chroma", lock_timeout)),
}

UNREACHABLE: dict[str, tuple[Callable[[int], VectorStore], str]] = {
    "qdrant_server": (
        lambda port: QdrantServerStore(connect(f"http://127.0.0.1:{port}", "s3cret", grpc_port=port)),
        "SYNC_ASSETS_QDRANT_URL",
    ),
    "pgvector": (
        lambda port: PgVectorStore(f"postgresql://me:s3cret@127.0.0.1:{port}/db"),
        "SYNC_ASSETS_DATABASE_URL",
    ),
    "chroma_server": (
        lambda port: ChromaStore(ServerClients(f"http://me:s3cret@127.0.0.1:{port}")),
        "SYNC_ASSETS_CHROMA_URL",
    ),
    "pgvector with a wrong URL": (lambda port: PgVectorStore("postgresq://me:s3cret@%zz"), "SYNC_ASSETS_DATABASE_URL"),
}

HOSTILE_TENANTS = [
    "acme",
    "ACME",
    "acme ",
    "acme'",
    'acme"; DROP TABLE vectors."x"; --',
    "acme'); DROP SCHEMA vectors CASCADE; --",
    "acme%",
    "acme_",
    "../acme",
    "acme\\",
    "{acme}",
    "%s%(tenant)s",
    "株式会社🏢",
    "a" * 200,
    "a" * 199 + "b",
    "é" * 200,
    "",
]


def listed(point: Point) -> StoredChunk:
    return StoredChunk.model_validate(point.model_dump())


def lying(point: Point) -> tuple[dict[str, Any], list[float]]:
    """Payload and vector of a point as `scan_points` gives them."""
    fields = point.model_dump(mode="json", exclude={"chunk_id", "vector"})
    assert point.vector is not None
    return {
        **fields,
        "readers": matching.readers(point),
        "facets": matching.facets(point),
        "terms": lexical.terms(point),
    }, point.vector.tolist()


def scanned(store: VectorStore, collection: Collection, tenant: str = "acme") -> dict[str, StoredChunk]:
    rows = list(store.scan(collection, tenant))
    assert len({row.chunk_id for row in rows}) == len(rows)
    return {row.chunk_id: row for row in rows}


def scanned_points(store: VectorStore, collection: Collection) -> dict[str, StoredPoint]:
    rows = list(store.scan_points(collection, "acme"))
    assert len({row.chunk_id for row in rows}) == len(rows)
    return {row.chunk_id: row for row in rows}


def found(store: VectorStore, collection: Collection, audience: Audience = INSIDE, **filters: Any) -> set[str]:
    return {hit.record_id for hit in store.search(collection, "acme", audience, unit(1.0), 100, filters)}


def test_ensuring_a_collection_twice_keeps_its_points(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1)])
    store.ensure_collection(collection)
    assert store.count(collection, "acme") == 1


@pytest.mark.parametrize("change", [{"fingerprint": "model-b/2"}, {"dimension": 16}])
def test_another_model_is_refused_naming_both(
    store: VectorStore, collection: Collection, change: dict[str, Any]
) -> None:
    with pytest.raises(FingerprintMismatch) as caught:
        store.ensure_collection(collection.model_copy(update=change))
    for value in ("model-a/1", str(DIMENSION), *(str(value) for value in change.values())):
        assert value in str(caught.value)
    store.ensure_collection(collection)


def test_a_missing_collection_is_named(store: VectorStore) -> None:
    missing = new_collection()
    for ask in (
        lambda: store.count(missing, "acme"),
        lambda: list(store.scan(missing, "acme")),
        lambda: list(store.scan_points(missing, "acme")),
        lambda: store.search(missing, "acme", INSIDE, unit(1.0), 1),
        lambda: store.upsert(missing, "acme", [make(1)]),
    ):
        with pytest.raises(StoreError, match=missing.name):
            ask()


def test_an_empty_tenant_has_nothing(store: VectorStore, collection: Collection) -> None:
    assert store.count(collection, "acme") == 0
    assert scanned(store, collection) == {}
    assert store.search(collection, "acme", INSIDE, unit(1.0), 5) == []
    assert store.delete_others(collection, "acme", {"acme_freshdesk_1": []}) == 0
    assert store.delete_others(collection, "acme", {}) == 0
    store.upsert(collection, "acme", [])
    store.update_payloads(collection, "acme", [make(1)])
    store.delete(collection, "acme", [])
    store.delete(collection, "acme", [make(1).chunk_id])
    store.drop_tenant(collection, "acme")
    store.finish_load(collection, "acme")
    assert store.count(collection, "acme") == 0


def test_upsert_writes_whole_points_and_is_idempotent(store: VectorStore, collection: Collection) -> None:
    metadata = {"status": "open", "tags": ["vpn", "ä'\"\\"], "nested": {"a": [1, None, 2.5]}, "id": 2**53, "none": None}
    full = make(1, url="https://example.com/1", visibility=Visibility.PUBLIC, principals=["x"], metadata=metadata)
    for _ in range(2):
        store.upsert(collection, "acme", [full, make(2)])
        assert store.count(collection, "acme") == 2
        assert scanned(store, collection) == {one.chunk_id: listed(one) for one in (full, make(2))}
        (hit,) = store.search(collection, "acme", OUTSIDE, unit(1.0, 1.0), 5)
        assert hit == as_hit(full, hit.score)
        assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_upsert_replaces_payload_and_vector(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1, metadata={"status": "open"})])
    store.upsert(collection, "acme", [make(1, vector=unit(0.0, -1.0), metadata={"priority": 2})])
    (hit,) = store.search(collection, "acme", INSIDE, unit(0.0, -1.0), 5)
    assert (hit.metadata, hit.score) == ({"priority": 2}, pytest.approx(1.0, abs=1e-5))
    assert found(store, collection, status="open") == set()


def test_of_one_chunk_twice_in_a_call_the_last_stands(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1, text="first"), make(1, text="second")])
    assert [hit.text for hit in store.search(collection, "acme", INSIDE, unit(1.0), 5)] == ["second"]
    store.update_payloads(collection, "acme", [make(1, text="third"), make(1, text="fourth")])
    assert [hit.text for hit in store.search(collection, "acme", INSIDE, unit(1.0), 5)] == ["fourth"]


def test_more_points_than_one_request_takes(store: VectorStore, collection: Collection) -> None:
    count, changes = (600, 20) if isinstance(store, QdrantServerStore) else (1100, 260)  # local mode is slow
    points = [make(number) for number in range(count)]
    store.upsert(collection, "acme", points)
    changed = [one.model_copy(update={"payload_hash": "new"}) for one in points[:changes]]
    store.update_payloads(collection, "acme", changed)
    assert scanned(store, collection) == {one.chunk_id: listed(one) for one in [*points, *changed]}
    keep = {one.document_id: [] for one in points[:150]} | {one.document_id: [one.chunk_id] for one in points[150:300]}
    assert store.delete_others(collection, "acme", keep) == 150
    store.delete(collection, "acme", [one.chunk_id for one in points[:-10]])
    assert set(scanned(store, collection)) == {one.chunk_id for one in points[-10:]}


def test_a_point_without_a_vector_is_a_mistake_of_the_caller(store: VectorStore, collection: Collection) -> None:
    with pytest.raises(ValueError, match="no vector"):
        store.upsert(collection, "acme", [make(1, vector=None)])
    assert store.count(collection, "acme") == 0


def test_payload_update_keeps_the_vector_and_creates_nothing(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1, vector=unit(0.6, 0.8), metadata={"status": "open", "old": 1})])
    changed = make(1, vector=None, visibility=Visibility.PUBLIC, metadata={"status": "closed"}, payload_hash="p2")
    for _ in range(2):
        store.update_payloads(collection, "acme", [changed, make(2, vector=None)])
        assert scanned(store, collection) == {changed.chunk_id: listed(changed)}
        (hit,) = store.search(collection, "acme", OUTSIDE, unit(0.6, 0.8), 5, {"status": "closed"})
        assert hit == as_hit(changed, hit.score)
        assert hit.score == pytest.approx(1.0, abs=1e-5)
    assert found(store, collection, status="open") == set()


def test_delete(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1), make(2), make(3)])
    for _ in range(2):
        store.delete(collection, "acme", [make(1).chunk_id, make(3).chunk_id, make(9).chunk_id])
        assert set(scanned(store, collection)) == {make(2).chunk_id}


def test_delete_others_removes_what_is_not_listed(store: VectorStore, collection: Collection) -> None:
    first = [make(number, document_id="first") for number in range(3)]
    second = [make(number, document_id="second") for number in range(3, 6)]
    third = [make(6, document_id="third")]
    store.upsert(collection, "acme", [*first, *second, *third])
    keep = {"first": [first[0].chunk_id, third[0].chunk_id], "second": [], "unknown": [make(8).chunk_id]}
    assert store.delete_others(collection, "acme", keep) == 5
    assert store.delete_others(collection, "acme", keep) == 0
    assert set(scanned(store, collection)) == {first[0].chunk_id, third[0].chunk_id}


def test_tenants_never_mix_whatever_their_names(store: VectorStore, collection: Collection) -> None:
    for tenant in HOSTILE_TENANTS:
        store.upsert(collection, tenant, [make(1, tenant=tenant, text=tenant), make(2, tenant=tenant, text=tenant)])
    for tenant in HOSTILE_TENANTS:
        theirs = {make(1, tenant=tenant).chunk_id, make(2, tenant=tenant).chunk_id}
        hits = store.search(collection, tenant, INSIDE, unit(1.0), 100)
        assert {hit.text for hit in hits} == {tenant}
        assert {hit.chunk_id for hit in hits} == set(scanned(store, collection, tenant)) == theirs
        assert store.count(collection, tenant) == 2


def test_a_tenant_touches_no_point_of_another(store: VectorStore, collection: Collection) -> None:
    theirs = make(1, tenant="globex", document_id="shared")
    store.upsert(collection, "globex", [theirs])
    store.update_payloads(collection, "acme", [theirs.model_copy(update={"text": "stolen"})])
    store.delete(collection, "acme", [theirs.chunk_id])
    assert store.delete_others(collection, "acme", {"shared": []}) == 0
    store.drop_tenant(collection, "acme")
    (hit,) = store.search(collection, "globex", INSIDE, unit(1.0), 5)
    assert hit == as_hit(theirs, hit.score)


def test_drop_tenant_leaves_the_others(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1)])
    store.upsert(collection, "globex", [make(2, tenant="globex")])
    for _ in range(2):
        store.drop_tenant(collection, "acme")
        assert store.count(collection, "acme") == 0
        assert store.count(collection, "globex") == 1
    store.upsert(collection, "acme", [make(3)])
    assert set(scanned(store, collection)) == {make(3).chunk_id}


def test_a_dropped_collection_is_gone_for_every_tenant_and_may_be_made_again(
    store: VectorStore, collection: Collection
) -> None:
    other = new_collection()
    store.ensure_collection(other)
    store.upsert(other, "acme", [make(1)])
    for tenant in ("acme", "株式会社🏢"):
        store.upsert(collection, tenant, [make(1, tenant=tenant)])
    store.finish_load(collection, "acme")
    for _ in range(2):
        store.drop_collection(collection)
        assert store.tenants(collection) == set()
        with pytest.raises(StoreError, match=collection.name):
            store.count(collection, "acme")
    wider = collection.model_copy(update={"dimension": 16, "fingerprint": "model-b/2"})
    store.ensure_collection(wider)
    assert store.count(wider, "acme") == store.count(wider, "株式会社🏢") == 0
    assert store.count(other, "acme") == 1


def test_tenants_are_those_that_have_points(store: VectorStore, collection: Collection) -> None:
    assert store.tenants(collection) == set()
    for tenant in ("acme", "globex", "株式会社 & Co"):
        store.upsert(collection, tenant, [make(1, tenant=tenant)])
    store.delete(collection, "globex", [make(1, tenant="globex").chunk_id])
    assert store.tenants(collection) == {"acme", "株式会社 & Co"}
    assert store.tenants(collection.model_copy(update={"name": "never_made"})) == set()


def test_what_an_audience_sees(store: VectorStore, collection: Collection) -> None:
    restricted = Visibility.RESTRICTED
    store.upsert(
        collection,
        "acme",
        [
            make(1, visibility=Visibility.PUBLIC),
            make(2, visibility=Visibility.INTERNAL, principals=["group:sre"]),
            make(3, visibility=restricted, principals=["group:sre", "user:ann"]),
            make(4, visibility=restricted, principals=["user:bob"]),
            make(5, visibility=restricted, principals=[]),
            make(6, visibility=restricted, principals=["public", "internal"]),
        ],
    )
    ann = frozenset({"user:ann"})
    assert found(store, collection, OUTSIDE) == {"1"}
    assert found(store, collection, INSIDE) == {"1", "2"}
    assert found(store, collection, Audience(visibility=Visibility.PUBLIC, principals=ann)) == {"1", "3"}
    assert found(store, collection, Audience(visibility=Visibility.INTERNAL, principals=ann)) == {"1", "2", "3"}
    nobody = Audience(visibility=Visibility.INTERNAL, principals=frozenset({"group", "user:an", "USER:BOB"}))
    assert found(store, collection, nobody) == {"1", "2"}


def test_an_audience_may_have_thousands_of_principals(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(1, visibility=Visibility.RESTRICTED, principals=["user:2999"]), make(2)])
    many = frozenset(f"user:{number}" for number in range(3000))
    assert found(store, collection, Audience(visibility=Visibility.PUBLIC, principals=many)) == {"1"}


def test_filters(store: VectorStore, collection: Collection) -> None:
    long = "x" * 5000
    store.upsert(
        collection,
        "acme",
        [
            make(1, metadata={"priority_id": 2, "tags": ["vpn", "mail"], "spam": False}),
            make(2, metadata={"priority_id": "2", "tags": [], "note": long}),
            make(3, metadata={"priority_id": 20, "spam": True, "share": 0.5, "a=b": "c", "source": "elsewhere"}),
            make(4, stream="articles", role="section", metadata={"tags": "vpn", "a": "b=c", "note": long + "y"}),
        ],
    )
    for filters, expected in [
        ({}, {"1", "2", "3", "4"}),
        ({"priority_id": 2}, {"1", "2"}),
        ({"priority_id": "2"}, {"1", "2"}),
        ({"priority_id": 2.0}, {"1", "2"}),
        ({"priority_id": "20"}, {"3"}),
        ({"tags": "vpn"}, {"1", "4"}),
        ({"tags": ["vpn", "mail"]}, {"1"}),
        ({"tags": "vpn", "priority_id": 2}, {"1"}),
        ({"spam": False}, {"1"}),
        ({"spam": "true"}, {"3"}),
        ({"spam": 0}, set()),
        ({"share": 0.5}, {"3"}),
        ({"share": "0.5"}, {"3"}),
        ({"a": "b=c"}, {"4"}),
        ({"a=b": "c"}, {"3"}),
        ({"note": long}, {"2"}),
        ({"source": "freshdesk"}, {"1", "2", "3", "4"}),
        ({"source": "elsewhere"}, set()),
        ({"stream": "articles"}, {"4"}),
        ({"role": "section", "stream": "articles"}, {"4"}),
        ({"record_id": 3}, {"3"}),
        ({"document_id": "acme_freshdesk_1"}, {"1"}),
        ({"unknown": "x"}, set()),
        ({"tags": "vpn' OR 1=1 --"}, set()),
    ]:
        assert found(store, collection, **filters) == expected, filters


def test_best_first_and_ties_by_chunk_id(store: VectorStore, collection: Collection) -> None:
    near = [make(number, vector=unit(1.0)) for number in range(40)]
    far = [make(100 + number, vector=unit(1.0, 0.1 * (number + 1))) for number in range(10)]
    store.upsert(collection, "acme", [*far, *near])
    best = sorted(one.chunk_id for one in near)
    assert [hit.chunk_id for hit in store.search(collection, "acme", INSIDE, unit(1.0), 3)] == best[:3]
    hits = store.search(collection, "acme", INSIDE, unit(1.0), 45)
    assert [hit.chunk_id for hit in hits] == [*best, *(one.chunk_id for one in far[:5])]
    assert hits[44].score == pytest.approx(float(unit(1.0) @ unit(1.0, 0.5)), abs=1e-5)
    assert store.search(collection, "acme", INSIDE, unit(1.0), 0) == []


def test_a_selective_filter_finds_all_that_exist_after_the_load(store: VectorStore, collection: Collection) -> None:
    count = 500 if isinstance(store, QdrantServerStore) else 5000  # local mode is slow, and has no index to be wrong
    vectors = unit_vectors(count)
    rare = set(range(3, count, count // 20))
    points = [
        make(number, vector=vectors[number], metadata={"status": "rare" if number in rare else "common"})
        for number in range(count)
    ]
    store.upsert(collection, "acme", points)
    for _ in range(2):
        store.finish_load(collection, "acme")
        for query in vectors[:5]:
            hits = store.search(collection, "acme", INSIDE, query, 20, {"status": "rare"})
            assert {int(hit.record_id) for hit in hits} == rare
            assert len(store.search(collection, "acme", INSIDE, query, 15, {"status": "rare"})) == 15
    store.upsert(collection, "acme", [make(9000, vector=vectors[0], metadata={"status": "late"})])
    hits = store.search(collection, "acme", INSIDE, vectors[0], 2)
    assert {hit.record_id for hit in hits} == {"0", "9000"}


def test_a_scan_stands_writes_in_between(store: VectorStore, collection: Collection) -> None:
    store.upsert(collection, "acme", [make(number) for number in range(1100)])
    seen = []
    for row in store.scan(collection, "acme"):
        seen.append(row.chunk_id)
        if len(seen) == 10:
            store.delete(collection, "acme", [row.chunk_id])
    assert len(set(seen)) == len(seen) == 1100
    unfinished = store.scan(collection, "acme")
    next(unfinished)
    store.drop_tenant(collection, "globex")
    store.upsert(collection, "initech", [make(1, tenant="initech")])


def test_whole_points_are_scanned_as_they_were_written(store: VectorStore, collection: Collection) -> None:
    assert scanned_points(store, collection) == {}
    store.upsert(collection, "globex", [make(1, tenant="globex")])
    points = [
        make(
            1,
            text="café ☕ \n株式会社",
            url="https://desk.example/1",
            metadata={"tags": ["a"], "n": 2, "deep": {"x": 1.5}},
        ),
        make(2, visibility=Visibility.RESTRICTED, principals=["user:ann", "group:sre"]),
        make(3, visibility=Visibility.RESTRICTED),
        *(make(number) for number in range(4, 1200)),
    ]
    store.upsert(collection, "acme", points)
    rows = scanned_points(store, collection)
    assert len(rows) == len(points)
    for point in points:
        row, (payload, vector) = rows[point.chunk_id], lying(point)
        assert dict(row.payload) == payload
        assert row.vector is not None
        assert row.vector.dtype == np.float32
        assert row.vector.tolist() == pytest.approx(vector, abs=1e-6)


def test_points_outlive_the_store_object(reopen: Callable[[], VectorStore]) -> None:
    store, collection = reopen(), new_collection()
    store.ensure_collection(collection)
    store.upsert(collection, "acme", [make(1), make(2)])
    store = reopen()
    store.ensure_collection(collection)
    assert set(scanned(store, collection)) == {make(1).chunk_id, make(2).chunk_id}
    store.delete(collection, "acme", [make(1).chunk_id])
    store = reopen()
    assert [hit.record_id for hit in store.search(collection, "acme", INSIDE, unit(1.0), 5)] == ["2"]
    store.close()
    store.close()


def test_threads_share_a_store(store: VectorStore, collection: Collection) -> None:
    if isinstance(store, QdrantServerStore):
        pytest.skip("the client's local mode, unlike a server, admits one thread")
    threads = [
        threading.Thread(target=store.upsert, args=(collection, "acme", [make(number), make(number + 1)]))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.count(collection, "acme") == 9


_numbers = st.integers(0, 7)
_points = st.builds(
    lambda number, document, version, visibility, tags: make(
        number,
        document_id=f"document {document}",
        text=f"version {version}",
        content_hash=f"content-{version}",
        payload_hash=f"payload-{version}",
        visibility=visibility,
        principals=["me"],
        metadata={"tags": tags, "version": version},
    ),
    _numbers,
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from(Visibility),
    st.lists(st.sampled_from(["vpn", "mail", "ünïcode"]), max_size=2),
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(_points, max_size=4)),
        st.tuples(st.just("update_payloads"), st.lists(_points, max_size=4)),
        st.tuples(st.just("delete"), st.lists(_numbers, max_size=3)),
        st.tuples(
            st.just("delete_others"),
            st.dictionaries(
                st.integers(0, 2).map(lambda document: f"document {document}"),
                st.lists(_numbers, max_size=3),
                max_size=2,
            ),
        ),
        st.tuples(st.sampled_from(["drop_tenant", "finish_load"]), st.none()),
    ),
    max_size=8,
)


def equals_a_dictionary(store: VectorStore, collection: Collection, steps: list[tuple[str, Any]]) -> None:
    """Apply the steps to a store and to a dictionary, and compare all that the store tells."""
    store.drop_tenant(collection, "acme")
    model: dict[str, Point] = {}
    for step, value in steps:
        match step:
            case "upsert":
                store.upsert(collection, "acme", value)
                model |= {point.chunk_id: point for point in value}
            case "update_payloads":
                store.update_payloads(collection, "acme", value)
                for point in value:
                    if point.chunk_id in model:
                        model[point.chunk_id] = point.model_copy(update={"vector": model[point.chunk_id].vector})
            case "delete":
                store.delete(collection, "acme", [make(number).chunk_id for number in value])
                for number in value:
                    model.pop(make(number).chunk_id, None)
            case "delete_others":
                keep = {document: [make(number).chunk_id for number in numbers] for document, numbers in value.items()}
                gone = {
                    point.chunk_id
                    for point in model.values()
                    if point.document_id in keep and point.chunk_id not in keep[point.document_id]
                }
                assert store.delete_others(collection, "acme", keep) == len(gone)
                model = {chunk_id: point for chunk_id, point in model.items() if chunk_id not in gone}
            case "drop_tenant":
                store.drop_tenant(collection, "acme")
                model.clear()
            case _:
                store.finish_load(collection, "acme")
    assert store.count(collection, "acme") == len(model)
    assert scanned(store, collection) == {chunk_id: listed(point) for chunk_id, point in model.items()}
    everyone = Audience(visibility=Visibility.INTERNAL, principals=frozenset({"me"}))
    hits = {hit.chunk_id: hit for hit in store.search(collection, "acme", everyone, unit(1.0), 20)}
    assert hits == {chunk_id: as_hit(point, hits[chunk_id].score) for chunk_id, point in model.items()}
    for chunk_id, point in model.items():
        assert point.vector is not None
        assert hits[chunk_id].score == pytest.approx(float(point.vector @ unit(1.0)), abs=1e-5)
    tagged = store.search(collection, "acme", OUTSIDE, unit(1.0), 20, {"tags": "vpn"})
    assert {hit.chunk_id for hit in tagged} == {
        point.chunk_id
        for point in model.values()
        if point.visibility is Visibility.PUBLIC and "vpn" in point.metadata["tags"]
    }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_any_sequence_of_writes_equals_a_dictionary(
    store: VectorStore, collection: Collection, steps: list[tuple[str, Any]]
) -> None:
    equals_a_dictionary(store, collection, steps)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_any_long_sequence_of_writes_equals_a_dictionary(
    store: VectorStore, collection: Collection, steps: list[tuple[str, Any]]
) -> None:
    equals_a_dictionary(store, collection, steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qdrant_edge", "pgvector"])
def test_a_large_load_is_found_again(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store, collection = STORES[name](request, tmp_path), new_collection(dimension=384)
    store.ensure_collection(collection)
    vectors = unit_vectors(20_000, 384)
    for start in range(0, len(vectors), 1000):
        numbers = range(start, start + 1000)
        points = [make(number, vector=vectors[number], metadata={"bucket": number % 500}) for number in numbers]
        store.upsert(collection, "acme", points)
    store.finish_load(collection, "acme")
    assert store.count(collection, "acme") == 20_000
    for number in range(0, 20_000, 1000):
        assert store.search(collection, "acme", INSIDE, vectors[number], 1)[0].record_id == str(number)
        hits = store.search(collection, "acme", INSIDE, vectors[number], 40, {"bucket": "7"})
        assert len(hits) == 40
    store.close()


@pytest.mark.parametrize("name", list(UNREACHABLE))
def test_a_store_that_is_down_is_named_without_its_secret(name: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    open_store, setting = UNREACHABLE[name]
    store = open_store(port)
    with pytest.raises(StoreError, match=setting) as caught:
        store.ensure_collection(new_collection())
    chain = [str(error) for error in (caught.value, caught.value.__cause__) if error]
    assert "s3cret" not in " ".join(chain)
    store.close()


def test_the_settings_choose_the_engine_of_qdrant(tmp_path: Path) -> None:
    embedded = Settings.model_validate({"home": tmp_path})
    server = Settings.model_validate({"home": tmp_path, "qdrant_url": "http://127.0.0.1:1", "qdrant_api_key": "s3cret"})
    assert isinstance(qdrant.open_store(embedded), QdrantEdgeStore)
    assert isinstance(qdrant.open_store(server), QdrantServerStore)


def test_the_settings_name_the_database_of_pgvector(tmp_path: Path, postgres_url: str) -> None:
    collection = new_collection()
    store = pgvector.open_store(Settings.model_validate({"home": tmp_path, "database_url": postgres_url}))
    store.ensure_collection(collection)
    assert store.count(collection, "acme") == 0
    store.close()


def _write_from_another_process(name: str, folder: Path, collection: Collection, numbers: range) -> None:
    store = EMBEDDED[name](folder, 60.0)
    store.ensure_collection(collection)
    for number in numbers:
        store.upsert(collection, "acme", [make(number)])
    store.close()


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_an_embedded_store_serves_two_processes_at_once(name: str, tmp_path: Path) -> None:
    collection = new_collection()
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=_write_from_another_process, args=(name, tmp_path, collection, range(start, start + 30)))
        for start in (0, 30)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert set(scanned(EMBEDDED[name](tmp_path, 20.0), collection)) == {make(number).chunk_id for number in range(60)}


def _hold(name: str, folder: Path, collection: Collection, held: Any, enough: Any) -> None:
    store: Any = EMBEDDED[name](folder, 20.0)  # its own parts: no call of the protocol takes so long
    store.ensure_collection(collection)
    with store._open(collection) if isinstance(store, QdrantEdgeStore) else store._clients.opened():
        held.set()
        enough.wait(60)


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_an_embedded_store_names_the_lock_that_another_process_holds(name: str, tmp_path: Path) -> None:
    collection = new_collection()
    spawn = multiprocessing.get_context("spawn")
    held, enough = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold, args=(name, tmp_path, collection, held, enough))
    holder.start()
    assert held.wait(60)
    store = EMBEDDED[name](tmp_path, 0.3)
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.count(collection, "acme")
    assert time.monotonic() - start < 5
    assert f"{collection.name if name == 'qdrant' else name}.lock" in caught.value.message
    assert "SYNC_ASSETS_LOCK_TIMEOUT" in caught.value.remedy
    assert f"SYNC_ASSETS_{name.upper()}_URL" in caught.value.remedy
    enough.set()
    holder.join(60)
    assert store.count(collection, "acme") == 0


def _crash(name: str, folder: Path, collection: Collection) -> None:
    store = EMBEDDED[name](folder, 20.0)
    store.ensure_collection(collection)
    store.upsert(collection, "acme", [make(1)])
    os._exit(1)


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_an_embedded_store_outlives_a_crash_that_holds_the_lock(name: str, tmp_path: Path) -> None:
    collection = new_collection()
    process = multiprocessing.get_context("spawn").Process(target=_crash, args=(name, tmp_path, collection))
    process.start()
    process.join(60)
    assert process.exitcode == 1
    assert set(scanned(EMBEDDED[name](tmp_path, 20.0), collection)) == {make(1).chunk_id}


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_an_embedded_store_lets_others_in_when_idle(name: str, tmp_path: Path) -> None:
    collection = new_collection()
    store = EMBEDDED[name](tmp_path, 20.0)
    store.ensure_collection(collection)
    writer = multiprocessing.get_context("spawn").Process(
        target=_write_from_another_process, args=(name, tmp_path, collection, range(3))
    )
    writer.start()
    writer.join(60)
    assert writer.exitcode == 0
    assert store.count(collection, "acme") == 3


def _die_while_writing(folder: Path, collection: Collection, tenant: str) -> None:
    store: Any = EMBEDDED["chroma"](folder, 20.0)  # its own parts: no call can choose the moment of death
    store.ensure_collection(collection)
    store.upsert(collection, tenant, [make(number, tenant=tenant) for number in range(1200)])
    with store._writing(collection, tenant):
        os._exit(1)


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[VectorStore, Collection]:
    """An embedded Chroma with points of two tenants, whose process died while it wrote those of acme."""
    collection = new_collection()
    store = EMBEDDED["chroma"](tmp_path, 20.0)
    store.ensure_collection(collection)
    store.upsert(collection, "globex", [make(1, tenant="globex")])
    store.close()
    writer = multiprocessing.get_context("spawn").Process(
        target=_die_while_writing, args=(tmp_path, collection, "acme")
    )
    writer.start()
    writer.join(60)
    assert writer.exitcode == 1
    assert (tmp_path / "chroma.writing").exists()
    return store, collection


def _unreadable(header: Path) -> None:
    header.write_bytes(b"half")
    os.utime(header, (1, 1))


def _newer_than_the_rest(header: Path) -> None:
    later = time.time() + 60
    os.utime(header, (later, later))


@pytest.mark.parametrize("damage", [None, _unreadable, _newer_than_the_rest])
def test_embedded_chroma_drops_an_index_that_a_crash_damaged(
    damage: Callable[[Path], None] | None, crashed: tuple[VectorStore, Collection], tmp_path: Path
) -> None:
    store, collection = crashed
    if damage:
        index = max((tmp_path / "chroma").glob("*/data_level0.bin"), key=lambda file: file.stat().st_size)
        damage(index.with_name("header.bin"))
    damaged = damage is not None
    assert store.count(collection, "acme") == (0 if damaged else 1200)
    assert store.count(collection, "globex") == 1
    store.upsert(collection, "acme", [make(1)])
    assert len(store.search(collection, "acme", INSIDE, unit(1.0), 2)) == (1 if damaged else 2)


@pytest.mark.parametrize("program", ["exit 1", "exec sleep 60"])
def test_a_look_at_embedded_chroma_that_fails_drops_nothing(
    program: str, crashed: tuple[VectorStore, Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, collection = crashed
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        patch.setattr(chroma_clients, "_CHECK_SECONDS", 0.3)
        with pytest.raises(StoreError, match=collection.name):
            store.count(collection, "acme")
    assert store.count(collection, "acme") == 1200


def test_a_refused_point_leaves_embedded_chroma_open_and_no_note(tmp_path: Path) -> None:
    collection = new_collection()
    store = EMBEDDED["chroma"](tmp_path, 20.0)
    store.ensure_collection(collection)
    with pytest.raises(StoreError):
        store.upsert(collection, "acme", [make(1, text="\ud800")])
    assert not (tmp_path / "chroma.writing").exists()
    store.upsert(collection, "acme", [make(2)])
    assert store.count(collection, "acme") == 1


def test_a_dropped_tenant_leaves_nothing_in_embedded_chroma(tmp_path: Path) -> None:
    collection = new_collection()
    store = EMBEDDED["chroma"](tmp_path, 20.0)
    store.ensure_collection(collection)
    store.upsert(collection, "acme", [make(number, metadata={"status": "open"}) for number in range(1100)])
    store.drop_tenant(collection, "acme")
    store.close()
    with closing(sqlite3.connect(tmp_path / "chroma" / "chroma.sqlite3")) as database:
        for table in ("embeddings", "embedding_metadata", "embedding_metadata_array"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


class _Proxy(BaseHTTPRequestHandler):
    """Notes what it is asked, and is no Chroma."""

    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(502)
        self.end_headers()
        self.wfile.write(b"<html>\nbad gateway")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_chroma_server_may_stand_behind_a_path_and_a_password() -> None:
    with HTTPServer(("127.0.0.1", 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = ChromaStore(ServerClients(f"http://me:s%2Fcret@127.0.0.1:{server.server_port}/behind"))
        with pytest.raises(StoreError, match=r"bad gateway.*SYNC_ASSETS_CHROMA_URL"):
            store.ensure_collection(new_collection())
        server.shutdown()
    assert _Proxy.asked == [("/behind/api/v2/heartbeat", "Basic bWU6cy9jcmV0")]


def test_a_chroma_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma_clients, "_CONNECT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = ChromaStore(ServerClients(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(StoreError, match="SYNC_ASSETS_CHROMA_URL"):
            store.ensure_collection(new_collection())


def test_the_settings_choose_the_engine_of_chroma(tmp_path: Path, chroma_url: str) -> None:
    collection = new_collection()
    for changes, place in [({}, tmp_path / "chroma"), ({"chroma_url": chroma_url}, None)]:
        store = chroma.open_store(Settings.model_validate({"home": tmp_path, **changes}))
        with pytest.raises(StoreError, match=collection.name):
            store.count(collection, "acme")
        store.ensure_collection(collection)
        assert store.count(collection, "acme") == 0
        assert place is None or place.is_dir()
        store.close()


def _ensure_and_write(url: str, collection: Collection, number: int, failures: list[BaseException]) -> None:
    store = PgVectorStore(url)
    try:
        store.ensure_collection(collection)
        store.upsert(collection, "acme", [make(number)])
    except StoreError as error:
        failures.append(error)
    finally:
        store.close()


def test_pgvector_collections_and_tenants_can_be_made_at_once(postgres_url: str) -> None:
    collection, failures = new_collection(), []
    threads = [
        threading.Thread(target=_ensure_and_write, args=(postgres_url, collection, number, failures))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert PgVectorStore(postgres_url).count(collection, "acme") == 6


def test_an_index_is_made_where_processes_can_share_no_memory_for_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "_INDEX_MEMORY", "1500GB")  # more than any /dev/shm has
    vectors = unit_vectors(1000)
    with fresh_database(postgres_url) as url, closing(PgVectorStore(url)) as store:
        collection = new_collection()
        store.ensure_collection(collection)
        store.upsert(collection, "acme", [make(number, vector=vectors[number]) for number in range(1000)])
        store.finish_load(collection, "acme")
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'").fetchall()
        assert len(found) == 1
        assert store.search(collection, "acme", INSIDE, vectors[7], 1)[0].record_id == "7"
