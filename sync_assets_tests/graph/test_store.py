"""The graph in SQL, over a real PostgreSQL and a real MariaDB alike."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sync_assets.documents import Standing, Version, Visibility
from sync_assets.errors import GraphError
from sync_assets.graph import tables as t
from sync_assets.graph.evidence import FIELDS, Evidence, Name, NamedNode, Subject, Text
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_documents import (
    DocumentRow,
    KnownDocument,
    LivingDocument,
    ScannedText,
    known_documents,
    living_documents,
    record_documents,
    replace_texts,
    scan_texts,
    subjects,
)
from sync_assets.graph.store_evidence import (
    EdgeKey,
    evidence_of_edge,
    evidence_of_node,
    replace_evidence,
    replace_similarity,
)
from sync_assets.graph.store_names import names_of, pending_names, settle_names, update_names
from sync_assets.graph.store_nodes import EdgeRow, NodeRow, edges, nodes, refresh, statistics
from sync_assets.graph.store_state import (
    Decision,
    Merge,
    VectorRow,
    decisions,
    delete_vectors,
    keep_spaces,
    merges,
    pin,
    put_vectors,
    replace_merges,
    unpin,
    vectors,
)
from sync_assets.graph.store_tenants import Step, count_change, record_step
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.vector_stores import Audience
from sync_assets_tests import mariadb
from sync_assets_tests.postgres import fresh_database

TENANT, OTHER = "acme", "polder"
NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
PUBLIC = Audience(visibility=Visibility.PUBLIC)
INTERNAL = Audience(visibility=Visibility.INTERNAL)

ANNA = Entity(kind=NodeKind.PERSON, key="anna", name="Anna de Vries", facts={"email": "anna@acme.test"})
BARE_ANNA = Entity(kind=NodeKind.PERSON, key="anna")


@contextmanager
def fresh_mysql(server: mariadb.Server) -> Iterator[str]:
    name = f"graph_{uuid4().hex[:12]}"
    with server.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield server.admin_url(name).replace("mysql+pymysql://", "mysql://")
    server.drop_database(name)


@contextmanager
def fresh_url(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database on a server of that kind."""
    if kind == "postgresql":
        with fresh_database(request.getfixturevalue("postgres_url")) as found:
            yield found
    else:
        with fresh_mysql(request.getfixturevalue("mariadb_server")) as found:
            yield found


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with fresh_url(request.param, request) as found:
        yield found


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def opened(request: pytest.FixtureRequest) -> Iterator[GraphStore]:
    with fresh_url(request.param, request) as found:
        store = GraphStore(found, lock_timeout=20)
        yield store
        store.close()


@pytest.fixture
def store(opened: GraphStore) -> Iterator[GraphStore]:
    """A store that has nothing of either tenant."""
    yield opened
    opened.forget(TENANT)
    opened.forget(OTHER)


def ticket(number: int | str, name: str = "", **values: Any) -> Entity:
    return Entity(kind=NodeKind.TICKET, key=str(number), name=name or f"Ticket {number}", **values)


def evidence(
    document_id: str, source: Entity, edge: EdgeKind | None = None, target: Entity | None = None, **values: Any
):
    fields: dict[str, Any] = {
        "place": FIELDS,
        "chunk_id": None,
        "span": None,
        "extractor": "fields/1",
        "probability": 1.0,
        "visibility": Visibility.PUBLIC,
    }
    return Evidence(document_id=document_id, source=source, edge=edge, target=target, **{**fields, **values})


def mention(document_id: str, source: Entity, target: Entity, probability: float, start: int = 0, **values: Any):
    found = {"place": "comment-1", "span": (start, start + 4), "extractor": "rules/1", "probability": probability}
    return evidence(document_id, source, EdgeKind.MENTIONS, target, **{**found, **values})


def apply(store: GraphStore, rows: Sequence[Evidence], *document_ids: str, tenant: str = TENANT, **options: Any):
    """Replace the evidence of documents, of those in `rows` and others; returns what `refresh` returns."""
    ids = {*document_ids, *(row.document_id for row in rows)}
    with store.transaction() as connection:
        return refresh(connection, tenant, replace_evidence(connection, tenant, ids, rows, **options))


def all_nodes(store: GraphStore, audience: Audience | None = None, tenant: str = TENANT) -> dict[str, NodeRow]:
    with store.transaction() as connection:
        return {row.node_id: row for row in nodes(connection, tenant, audience)}


def all_edges(store: GraphStore, audience: Audience | None = None, tenant: str = TENANT) -> dict[EdgeKey, EdgeRow]:
    with store.transaction() as connection:
        return {row.key: row for row in edges(connection, tenant, audience)}


def document(document_id: str, **values: Any) -> DocumentRow:
    fields: dict[str, Any] = {
        "source": "freshdesk",
        "stream": "tickets",
        "version": Version(modified_at=NOON, observed_at=NOON + timedelta(minutes=1)),
        "floor": NOON - timedelta(days=1),
        "deleted": False,
        "applied_digest": "0" * 32,
        "entity": ticket(document_id),
        "is_resolved": False,
        "visibility": Visibility.PUBLIC,
    }
    return DocumentRow(document_id=document_id, **{**fields, **values})


# Documents and texts


def test_what_was_recorded_of_a_document_is_known_and_recording_again_replaces_it(store: GraphStore) -> None:
    amsterdam = timezone(timedelta(hours=2))
    first = document("d1", version=Version(modified_at=NOON.astimezone(amsterdam), observed_at=NOON))
    long_id = "acme_gitlab_" + "map%2F" * 400
    with store.transaction() as connection:
        record_documents(connection, TENANT, [first, document(long_id), document("d2")])
        record_documents(connection, TENANT, [document("d2", deleted=True, entity=None, applied_digest="1" * 32)])
    with store.transaction() as connection:
        known = known_documents(connection, TENANT, ["d1", "d2", long_id, "d3"])
        assert known_documents(connection, OTHER, ["d1"]) == {}
    standing = Standing(modified_at=NOON, observed_at=NOON, floor=NOON - timedelta(days=1), deleted=False)
    assert known["d1"] == KnownDocument(standing, "0" * 32, ticket("d1"), False, "freshdesk", "tickets")
    assert known["d1"].standing.modified_at.microsecond == 123456
    assert known["d2"].standing.deleted
    assert known["d2"].entity is None
    assert known.keys() == {"d1", "d2", long_id}


def test_texts_come_back_as_subjects_in_the_order_in_which_people_read_them(store: GraphStore) -> None:
    texts = [
        Text("description", "chunk-1", "description", "Écran noir 🖥️ " + "x" * 100_000, Visibility.PUBLIC),
        Text("comment-9", None, "comment", "O'Brien zegt: 100% \\ ok", Visibility.RESTRICTED, ("b", "a")),
    ]
    with store.transaction() as connection:
        record_documents(
            connection,
            TENANT,
            [
                document("d1", is_resolved=True),
                document("d2"),
                document("d3", deleted=True, entity=None),
                document("d4", entity=None),
            ],
        )
        replace_texts(connection, TENANT, {"d1": [texts[1], texts[0], texts[0]], "d3": texts, "d4": texts})
        replace_texts(connection, TENANT, {"d1": texts, "d3": []})
    with store.transaction() as connection:
        found = subjects(connection, TENANT, ["d4", "d3", "d2", "d1", "d0"])
    read = (texts[0], texts[1]._replace(principals=("a", "b")))
    assert found == [Subject("d1", ticket("d1"), True, read), Subject("d2", ticket("d2"), False, ())]


def test_living_documents_of_streams_come_with_those_who_may_see_them(store: GraphStore) -> None:
    numbers = range(1, 1202)
    article = Entity(kind=NodeKind.ARTICLE, key="a")
    shared = document("d0", visibility=Visibility.RESTRICTED, principals=("b", "a"), applied_digest="1" * 32)
    streams = [("freshdesk", "tickets"), ("zoho", "chats")]
    with store.transaction() as connection:
        record_documents(connection, TENANT, [shared, *(document(f"d{number}") for number in numbers)])
        record_documents(connection, TENANT, [document("x1", entity=article), document("x2", entity=None)])
        record_documents(connection, TENANT, [document("x3", deleted=True, entity=None)])
        record_documents(connection, TENANT, [document("x5", source="zoho"), document("x6", stream="chats")])
        record_documents(connection, OTHER, [document("x4")])
        found = {one.document_id: one for one in living_documents(connection, TENANT, NodeKind.TICKET, streams)}
        assert list(living_documents(connection, TENANT, NodeKind.TICKET, [])) == []
    assert found.keys() == {"d0", *(f"d{number}" for number in numbers)}
    assert found["d0"] == LivingDocument(
        "d0", ticket("d0"), "freshdesk", "tickets", "1" * 32, Visibility.RESTRICTED, ("a", "b")
    )
    assert found["d1"].visibility is Visibility.PUBLIC


def test_scanning_gives_every_text_of_living_documents_once_with_its_scope(store: GraphStore) -> None:
    with store.transaction() as connection:
        scoped = ticket("d1", scope="gitlab/shop")
        rows = [document("d1", entity=scoped), document("d2"), document("d3", deleted=True, entity=None)]
        record_documents(connection, TENANT, rows)
        record_documents(connection, OTHER, [document("d9")])
        texts = {
            document_id: [
                Text(f"part-{number}", None, "comment", f"{document_id} {number}", Visibility.PUBLIC)
                for number in range(count)
            ]
            for document_id, count in {"d1": 5, "d2": 3, "d3": 2}.items()
        }
        replace_texts(connection, TENANT, texts)
        replace_texts(connection, OTHER, {"d9": texts["d1"]})
    with store.transaction() as connection:
        found = list(scan_texts(connection, TENANT, page=3))
    assert [len(page) for page in found] == [3, 3, 2]
    expected = {ScannedText("d1", f"part-{number}", f"d1 {number}", "gitlab/shop") for number in range(5)}
    expected |= {ScannedText("d2", f"part-{number}", f"d2 {number}", "") for number in range(3)}
    assert {row for page in found for row in page} == expected


# Evidence, nodes and edges


def test_confidence_counts_an_extractor_once_for_each_document(store: GraphStore) -> None:
    vpn = Entity(kind=NodeKind.ERROR_CODE, key="0x1", name="0x1")
    rows = [
        evidence("d1", ticket(1)),
        mention("d1", ticket(1), vpn, 0.5, start=0),
        mention("d1", ticket(1), vpn, 0.6, start=10),
        mention("d1", ticket(1), vpn, 0.6, start=20),
        mention("d1", ticket(1), vpn, 0.3, extractor="names/1"),
        evidence("d2", ticket(2)),
        mention("d2", ticket(1), vpn, 0.2),
    ]
    apply(store, rows)
    edge = all_edges(store)["ticket:1", EdgeKind.MENTIONS, "error_code:0x1"]
    assert edge.confidence == pytest.approx(1 - 0.4 * 0.7 * 0.8, abs=1e-6)
    assert edge.documents == 2
    found = all_nodes(store)
    assert found["error_code:0x1"].confidence == edge.confidence
    assert found["error_code:0x1"].declared_by is None
    assert found["ticket:1"] == NodeRow("ticket:1", NodeKind.TICKET, "Ticket 1", (), "", {}, 1.0, 2, "d1")


def test_a_node_is_called_as_its_own_document_says_else_as_the_first_one_that_says_anything(store: GraphStore) -> None:
    own = ticket(7, "Printer is stuk", aliases=("INC-7",), scope="freshdesk", facts={"status": "open"})
    other = Entity(kind=NodeKind.PERSON, key="anna", name="A. de Vries")
    rows = [
        evidence("d1", ticket(1), EdgeKind.DUPLICATE_OF, ticket(7, "Printer (old)")),
        evidence("d7", own),
        mention("d0", ticket(0), BARE_ANNA, 0.5),
        evidence("d2", ticket(2), EdgeKind.CREATED_BY, ANNA),
        evidence("d3", ticket(3), EdgeKind.CREATED_BY, other),
    ]
    apply(store, rows)
    found = all_nodes(store)
    assert found["ticket:7"] == NodeRow(
        "ticket:7", NodeKind.TICKET, own.name, own.aliases, own.scope, own.facts, 1.0, 2, "d7"
    )
    assert (found["person:anna"].name, found["person:anna"].facts) == (ANNA.name, ANNA.facts)
    assert found["person:anna"].documents == 3
    assert apply(store, [], "d2", "d7") == {"ticket:7", "ticket:2", "person:anna"}
    found = all_nodes(store)
    assert found["ticket:7"].name == "Printer (old)"
    assert found["ticket:7"].declared_by is None
    assert found["person:anna"].name == "A. de Vries"


def test_a_node_is_called_as_the_record_says_that_changed_last_and_at_equal_times_as_the_first(
    store: GraphStore,
) -> None:
    def told(number: int, name: str, minutes: int | None) -> Evidence:
        at = NOON + timedelta(minutes=minutes) if minutes is not None else None
        anna = Entity(kind=NodeKind.PERSON, key="anna", name=name)
        return evidence(f"d{number}", ticket(number), EdgeKind.CREATED_BY, anna, told_at=at)

    apply(store, [told(1, "Anna de Vries", 0), told(2, "Anna Bakker", 1), told(3, "Anna", None)])
    assert all_nodes(store)["person:anna"].name == "Anna Bakker"
    assert apply(store, [told(1, "Anna de Vries", 1)]) == {"person:anna"}
    assert all_nodes(store)["person:anna"].name == "Anna de Vries"
    assert apply(store, [told(2, "Anna Bakker", 2)]) == {"person:anna"}
    assert all_nodes(store)["person:anna"].name == "Anna Bakker"
    ancient = told(2, "Anna Bakker", 2)._replace(told_at=datetime(1, 1, 1, tzinfo=UTC))
    apply(store, [ancient])
    assert all_nodes(store)["person:anna"].name == "Anna de Vries"
    apply(store, [], "d1")
    assert all_nodes(store)["person:anna"].name == "Anna Bakker"
    with store.transaction() as connection:
        assert evidence_of_node(connection, TENANT, "person:anna", None) == [ancient, told(3, "Anna", None)]
    own = [evidence("d8", ticket(7, "New"), told_at=NOON), evidence("d9", ticket(7, "Old"), told_at=ancient.told_at)]
    apply(
        store,
        [*own, evidence("d1", ticket(1), EdgeKind.DUPLICATE_OF, ticket(7, "Newest"), told_at=NOON + timedelta(1))],
    )
    assert all_nodes(store)["ticket:7"].name == "New"


def test_what_has_no_evidence_left_goes_and_comes_back_with_it(store: GraphStore) -> None:
    rows = [evidence("d1", ticket(1)), evidence("d1", ticket(1), EdgeKind.CREATED_BY, ANNA)]
    assert apply(store, rows) == {"ticket:1", "person:anna"}
    before = all_nodes(store), all_edges(store)
    assert apply(store, rows[:1]) == {"person:anna"}
    assert (all_nodes(store).keys(), all_edges(store)) == ({"ticket:1"}, {})
    apply(store, rows)
    assert (all_nodes(store), all_edges(store)) == before
    apply(store, [], "d1")
    assert (all_nodes(store), all_edges(store)) == ({}, {})


def test_only_changed_evidence_is_written_and_touches_anything(store: GraphStore) -> None:
    rows = [
        evidence("d1", ticket(1)),
        evidence("d1", ticket(1), EdgeKind.CREATED_BY, ANNA),
        mention("d1", ticket(1), ticket(2), 0.5),
    ]
    apply(store, rows)
    with store.transaction() as connection:
        again = replace_evidence(connection, TENANT, ["d1"], [*rows[::-1], rows[2]._replace(probability=0.4)])
        assert (again.nodes, again.edges) == (set(), set())
        likelier = rows[2]._replace(probability=0.9)
        touched = replace_evidence(connection, TENANT, ["d1"], [*rows[:2], likelier])
        assert touched.nodes == {"ticket:1", "ticket:2"}
        assert touched.edges == {("ticket:1", EdgeKind.MENTIONS, "ticket:2")}
        refresh(connection, TENANT, touched)
    assert all_edges(store)["ticket:1", EdgeKind.MENTIONS, "ticket:2"].confidence == 0.9


def test_texts_are_searched_again_without_a_change_to_fields_and_similarity(store: GraphStore) -> None:
    alike = evidence("d1", ticket(1), EdgeKind.SIMILAR_TO, ticket(2), extractor="similarity/1", probability=0.8)
    rows = [evidence("d1", ticket(1)), mention("d1", ticket(1), ticket(3), 0.5)]
    apply(store, rows)
    with store.transaction() as connection:
        refresh(connection, TENANT, replace_similarity(connection, TENANT, None, [alike]))
        again = replace_similarity(connection, TENANT, None, [alike])
        assert (again.nodes, again.edges) == (set(), set())
    apply(store, [mention("d1", ticket(1), ticket(4), 0.5)], keep_fields=True)
    assert all_nodes(store).keys() == {"ticket:1", "ticket:2", "ticket:4"}
    apply(store, rows[:1])
    assert all_edges(store).keys() == {("ticket:1", EdgeKind.SIMILAR_TO, "ticket:2")}
    for gone in (["ticket:9"], ["ticket:2"]):
        with store.transaction() as connection:
            refresh(connection, TENANT, replace_similarity(connection, TENANT, gone, []))
        assert len(all_edges(store)) == (gone == ["ticket:9"])
    assert all_nodes(store).keys() == {"ticket:1"}
    with store.transaction() as connection:
        replace_similarity(connection, OTHER, None, [alike])
        replace_similarity(connection, TENANT, None, [alike])
        replace_similarity(connection, TENANT, None, [])
        assert evidence_of_node(connection, TENANT, "ticket:2", None) == []
        assert evidence_of_node(connection, OTHER, "ticket:2", None) == [alike]


def test_readers_see_what_their_evidence_tells_and_nothing_else(store: GraphStore) -> None:
    secret = Entity(kind=NodeKind.PERSON, key="anna", name="Anna", facts={"phone": "secret"})
    rows = [
        evidence("d1", ticket(1)),
        evidence("d1", ticket(1), EdgeKind.CREATED_BY, secret, visibility=Visibility.INTERNAL),
        mention("d1", ticket(1), BARE_ANNA, 0.4),
        evidence("d2", ticket(2), visibility=Visibility.RESTRICTED, principals=("group:hr", "group:it")),
        evidence("d3", ticket(3), visibility=Visibility.RESTRICTED),
    ]
    apply(store, rows)
    assert all_nodes(store).keys() == {"ticket:1", "ticket:2", "ticket:3", "person:anna"}
    found = all_nodes(store, PUBLIC)
    assert found.keys() == {"ticket:1", "person:anna"}
    assert found["person:anna"] == NodeRow("person:anna", NodeKind.PERSON, "", (), "", {}, 0.4, 1, None)
    assert all_edges(store, PUBLIC).keys() == {("ticket:1", EdgeKind.MENTIONS, "person:anna")}
    assert all_nodes(store, INTERNAL)["person:anna"].facts == {"phone": "secret"}
    assert len(all_edges(store, INTERNAL)) == 2
    hr = Audience(visibility=Visibility.PUBLIC, principals=frozenset({"group:hr", "group:other"}))
    assert all_nodes(store, hr).keys() == {"ticket:1", "ticket:2", "person:anna"}
    assert all_nodes(store, hr.model_copy(update={"principals": frozenset({"group:h"})})).keys() == found.keys()
    with store.transaction() as connection:
        assert evidence_of_node(connection, TENANT, "person:anna", PUBLIC) == [rows[2]]
        assert evidence_of_node(connection, TENANT, "person:anna", None) == [rows[1], rows[2]]
        assert evidence_of_node(connection, TENANT, "person:anna", None, limit=1) == [rows[1]]
        assert evidence_of_node(connection, TENANT, "ticket:2", hr) == [rows[3]]
        edge: EdgeKey = ("ticket:1", EdgeKind.CREATED_BY, "person:anna")
        assert evidence_of_edge(connection, TENANT, edge, INTERNAL) == [rows[1]]
        assert evidence_of_edge(connection, TENANT, edge, PUBLIC) == []


def test_the_same_relation_told_twice_is_seen_by_all_who_may_see_one_of_them(store: GraphStore) -> None:
    told = evidence("d1", ticket(1), EdgeKind.CREATED_BY, ANNA)
    apply(store, [told, told._replace(visibility=Visibility.INTERNAL)])
    assert all_edges(store, PUBLIC).keys() == {("ticket:1", EdgeKind.CREATED_BY, "person:anna")}
    apply(store, [told._replace(visibility=Visibility.INTERNAL)])
    assert all_edges(store, PUBLIC) == {}


def test_ids_that_differ_in_case_accents_or_spaces_are_different_nodes(store: GraphStore) -> None:
    keys = ["jan", "Jan", "jän", "jan ", "jan\u0301", "k" * 300, "k" * 299 + "l", "🖥️"]
    people = [Entity(kind=NodeKind.PERSON, key=key, name=key) for key in keys]
    apply(store, [evidence("d1", ticket(1), EdgeKind.MENTIONS, person) for person in people])
    found = all_nodes(store)
    assert {row.name for row in found.values() if row.kind is NodeKind.PERSON} == set(keys)
    assert len(all_edges(store)) == len(keys)
    assert list(found) == sorted(found)
    apply(store, [evidence("d1", ticket(1), EdgeKind.MENTIONS, people[3])])
    assert all_nodes(store).keys() == {"ticket:1", "person:jan "}


def test_more_than_a_page_of_nodes_and_edges_is_read_back_whole_and_in_order(store: GraphStore) -> None:
    rows = [
        row
        for number in range(1300)
        for row in (
            evidence(f"d{number}", ticket(number)),
            evidence(f"d{number}", ticket(number), EdgeKind.CREATED_BY, ANNA),
            evidence(f"d{number}", ticket(number), EdgeKind.BELONGS_TO, ticket(number % 7)),
        )
    ]
    apply(store, rows)
    found, between = all_nodes(store, PUBLIC), all_edges(store, PUBLIC)
    assert (len(found), len(between)) == (1301, 2600)
    assert found["person:anna"].documents == 1300
    assert (found, between) == (all_nodes(store), all_edges(store))
    assert list(found) == sorted(found)
    assert list(between) == sorted(between)
    with store.transaction() as connection:
        counts = statistics(connection, TENANT)
    assert counts.nodes == {NodeKind.PERSON: 1, NodeKind.TICKET: 1300}
    assert counts.edges == {EdgeKind.BELONGS_TO: 1300, EdgeKind.CREATED_BY: 1300}
    assert counts.evidence == {"fields/1": 3900}
    apply(store, [], *(f"d{number}" for number in range(1300)))
    assert (all_nodes(store), all_edges(store)) == ({}, {})


def test_both_databases_hold_the_same_graph_of_the_same_evidence(
    postgres_url: str, mariadb_server: mariadb.Server
) -> None:
    rows = [
        mention(f"d{number % 40}", ticket(number % 40), ticket(number % 11), 0.01 + number % 97 / 100, start=number)
        for number in range(800)
    ]
    with fresh_database(postgres_url) as first, fresh_mysql(mariadb_server) as second:
        held = []
        for url, order in ((first, rows), (second, rows[::-1])):
            store = GraphStore(url)
            for start in range(0, len(order), 100):
                ids = {row.document_id for row in order[start : start + 100]}
                apply(store, [row for row in order if row.document_id in ids])
            held.append((all_nodes(store), all_edges(store), all_nodes(store, PUBLIC)))
            store.close()
    assert held[0] == held[1]
    assert len(held[0][1]) > 100
    assert all(0 < row.confidence <= 1 and not math.isnan(row.confidence) for row in held[0][1].values())


# Names


def phrases_of(entity: Entity) -> list[tuple[str, str]]:
    if entity.kind is NodeKind.TICKET:
        return [(alias.lower(), entity.scope) for alias in entity.aliases]
    return [(entity.name.lower(), "")] if entity.name else []


def name(phrase: str, *node_ids: str, scope: str = "") -> Name:
    return Name(phrase, scope, tuple(NamedNode(node_id, NodeKind(node_id.split(":")[0])) for node_id in node_ids))


def test_names_come_and_go_with_nodes_and_stay_pending_until_they_are_settled(store: GraphStore) -> None:
    namesake = Entity(kind=NodeKind.ORGANISATION, key="7", name="anna DE vries")
    scoped = ticket(1, aliases=("#1", "INC-1"), scope="gitlab/shop")

    def sync(rows: Sequence[Evidence]) -> None:
        with store.transaction() as connection:
            renamed = refresh(connection, TENANT, replace_evidence(connection, TENANT, ["d1"], rows))
            update_names(connection, TENANT, renamed, phrases_of)

    def held() -> tuple[list[Name], list[Name]]:
        with store.transaction() as connection:
            assert names_of(connection, OTHER) == pending_names(connection, OTHER) == []
            return names_of(connection, TENANT), pending_names(connection, TENANT)

    def settle() -> None:
        with store.transaction() as connection:
            settle_names(connection, TENANT, pending_names(connection, TENANT))

    anna = evidence("d1", scoped, EdgeKind.CREATED_BY, ANNA)
    own = evidence("d1", scoped)
    numbers = [name("#1", "ticket:1", scope="gitlab/shop"), name("inc-1", "ticket:1", scope="gitlab/shop")]
    sync([own, anna])
    assert held() == ([name("anna de vries", "person:anna"), *numbers],) * 2
    settle()
    assert held() == ([name("anna de vries", "person:anna"), *numbers], [])
    sync([own, anna, evidence("d1", scoped, EdgeKind.BELONGS_TO, namesake)])
    both = name("anna de vries", "organisation:7", "person:anna")
    assert held() == ([both, *numbers], [both])
    sync([own])
    assert held() == (numbers, [name("anna de vries")])
    sync([own, anna])
    again = name("anna de vries", "person:anna")
    assert held() == ([again, *numbers], [again])
    settle()
    sync([evidence("d1", scoped.model_copy(update={"aliases": ("#1",)})), anna])
    assert held() == ([again, numbers[0]], [name("inc-1", scope="gitlab/shop")])
    settle()
    assert held() == ([again, numbers[0]], [])
    sync([evidence("d1", scoped.model_copy(update={"aliases": ("#1",), "facts": {"status": "closed"}})), anna])
    assert held() == ([again, numbers[0]], [])


# Merges, decisions, vectors


def test_merges_are_replaced_by_difference(store: GraphStore) -> None:
    first = [Merge("person:b", "person:a", 0.93, "same mail address"), Merge("person:c", "person:a", 1.0, "pinned")]
    with store.transaction() as connection:
        assert replace_merges(connection, TENANT, first) == 2
        assert replace_merges(connection, TENANT, first[::-1]) == 0
        assert replace_merges(connection, OTHER, []) == 0
        assert merges(connection, TENANT) == first
        assert replace_merges(connection, TENANT, [first[0]._replace(score=0.5)]) == 2
    with store.transaction() as connection:
        assert merges(connection, TENANT) == [first[0]._replace(score=0.5)]


def test_the_latest_decision_of_two_nodes_counts_whichever_comes_first(store: GraphStore) -> None:
    with store.transaction() as connection:
        pin(connection, TENANT, Decision("person:b", "person:a", "same", "asked her", NOON))
        later = Decision("person:a", "person:b", "different", "", NOON + timedelta(days=1))
        pin(connection, TENANT, later)
        assert decisions(connection, TENANT) == [later]
        assert not unpin(connection, OTHER, "person:a", "person:b")
        assert unpin(connection, TENANT, "person:b", "person:a")
        assert not unpin(connection, TENANT, "person:b", "person:a")
        assert decisions(connection, TENANT) == []


def test_vectors_come_back_byte_by_byte_and_go_with_their_documents(store: GraphStore) -> None:
    rows = [
        VectorRow(f"d{number}", f"ticket:{number}", "a" * 32, bytes(range(256)), [("ticket:0", 0.5)])
        for number in range(3)
    ]
    with store.transaction() as connection:
        put_vectors(connection, TENANT, "model-1", [row._replace(neighbours=[]) for row in rows])
        put_vectors(connection, TENANT, "model-1", rows)
        put_vectors(connection, TENANT, "model-2", rows[:2])
        put_vectors(connection, OTHER, "model-2", rows[:1])
        delete_vectors(connection, TENANT, ["d1", "d9"])
        delete_vectors(connection, TENANT, ["d2"], "model-2")
        delete_vectors(connection, TENANT, ["d0"], "model-1")
        delete_vectors(connection, OTHER, ["d0"], "model-1")
    with store.transaction() as connection:
        assert list(vectors(connection, TENANT, "model-1")) == rows[2:]
        assert list(vectors(connection, TENANT, "model-2")) == rows[:1]
        assert list(vectors(connection, OTHER, "model-1")) == []
        keep_spaces(connection, TENANT, ["model-1"])
        assert list(vectors(connection, TENANT, "model-1")) == rows[2:]
        assert list(vectors(connection, TENANT, "model-2")) == []
        keep_spaces(connection, TENANT, [])
        assert list(vectors(connection, TENANT, "model-1")) == []
        assert list(vectors(connection, OTHER, "model-2")) == rows[:1]


# The database as a whole


def test_forgetting_a_tenant_leaves_nothing_of_it_and_all_of_another(store: GraphStore) -> None:
    for tenant in (TENANT, OTHER):
        apply(store, [evidence("d1", ticket(1), EdgeKind.CREATED_BY, ANNA)], tenant=tenant)
        with store.transaction() as connection:
            record_documents(connection, tenant, [document("d1")])
            replace_texts(connection, tenant, {"d1": [Text("p", None, "comment", "text", Visibility.PUBLIC)]})
            update_names(connection, tenant, ["person:anna"], phrases_of)
            replace_merges(connection, tenant, [Merge("a:b", "a:a", 1.0, "")])
            pin(connection, tenant, Decision("a:a", "a:b", "same", "", NOON))
            put_vectors(connection, tenant, "m", [VectorRow("d1", "ticket:1", "0", b"\0", [])])
            count_change(connection, tenant)
            record_step(connection, tenant, Step.SUMMARY, "summary/1")
    store.forget(TENANT)
    with store.transaction() as connection:
        for table in t.metadata.sorted_tables:
            held = set(connection.scalars(sa.select(table.c.tenant).distinct()))
            assert held == {OTHER}, table.name


def test_a_transaction_that_fails_leaves_nothing_behind(store: GraphStore) -> None:
    def apply_and_fail() -> None:
        with store.transaction() as connection:
            record_documents(connection, TENANT, [document("d1")])
            replace_evidence(connection, TENANT, ["d1"], [evidence("d1", ticket(1))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        apply_and_fail()
    with store.transaction() as connection:
        assert known_documents(connection, TENANT, ["d1"]) == {}
        assert statistics(connection, TENANT).evidence == {}


def test_migrations_make_the_tables_that_the_code_knows_and_run_once(url: str) -> None:
    failures: list[Exception] = []

    def open_store() -> None:
        store = GraphStore(url)
        try:
            with store.transaction() as connection:
                statistics(connection, TENANT)
        except GraphError as error:
            failures.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=open_store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = GraphStore(url)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": t.VERSIONS})
        assert compare_metadata(context, t.metadata) == []
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {t.VERSIONS}")) == 1
    store.close()


def test_a_migration_that_was_broken_off_is_done_again(url: str) -> None:
    store = GraphStore(url)
    with store.transaction() as connection:
        connection.execute(sa.text(f"DELETE FROM {t.VERSIONS}"))
        connection.execute(sa.text("DROP TABLE graph_vectors"))
    store.close()
    again = GraphStore(url)
    with again.transaction() as connection:
        assert list(vectors(connection, TENANT, "m")) == []
    again.close()


def test_a_tenant_is_changed_by_one_at_a_time_and_waiting_has_a_limit(url: str) -> None:
    first, second = GraphStore(url), GraphStore(url, lock_timeout=1)
    refused = pytest.raises(GraphError, match="SYNC_ASSETS_LOCK_TIMEOUT")
    with first.lock(TENANT), second.lock(OTHER), refused, second.lock(TENANT):
        pass
    with second.lock(TENANT):
        pass
    first.close()
    second.close()


def test_a_database_out_of_reach_is_named_by_its_setting_and_never_by_its_password() -> None:
    for url in ("postgresql://graph:hunter2@127.0.0.1:1/graph", "mysql://graph:hunter2@127.0.0.1:1/graph"):
        store = GraphStore(url, lock_timeout=2)
        with pytest.raises(GraphError, match="SYNC_ASSETS_GRAPH_URL") as caught, store.transaction():
            pass
        assert "hunter2" not in str(caught.value)


def test_a_value_that_does_not_fit_is_refused_and_never_cut(store: GraphStore) -> None:
    with pytest.raises(GraphError), store.transaction() as connection:
        record_documents(connection, TENANT, [document("d1", source="s" * 300)])
    with store.transaction() as connection:
        assert known_documents(connection, TENANT, ["d1"]) == {}
