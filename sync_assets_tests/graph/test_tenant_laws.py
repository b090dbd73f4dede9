"""The law of what is made of a whole graph: any history ends equal to a computation on a tenant that is built anew."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from sync_assets.documents import Told, Version, Visibility, document_id
from sync_assets.embedding import open_embedder
from sync_assets.graph import similarity
from sync_assets.graph import tables as t
from sync_assets.graph.applying import Change, apply_changes, settle
from sync_assets.graph.evidence import Text
from sync_assets.graph.store_nodes import edges, nodes
from sync_assets.graph.store_state import Decision, merges, pin
from sync_assets.graph.store_tenants import count_change, tenants_behind
from sync_assets.hashing import text_hash
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream, tenant_graph
from sync_assets.stages.tenant_graph import find_similar, resolve_entities, rules, summarise
from sync_assets_tests.postgres import fresh_database

START = datetime(2026, 11, 2, tzinfo=UTC)
SOURCES = ("freshdesk", "zoho_desk")
MODELS = ("hash-2", "hash-3")
# Few texts, so that many tickets are alike; of each model the vectors point another way.
TEXTS = ("printer is broken", "printer prints nothing", "screen stays black", "no mail since monday", "")
NAMES = ("Ada Byron", "Ada King", "A. Byron")
NOBODY, SOMEBODY, EVERYBODY = (), ("group:it",), ("group:it", "user:1")
_numbers = itertools.count()


class Planned(NamedTuple):
    """A ticket as a history has it.

    Attributes:
        place: number of its source.
        texts: of header, description, an internal description, and a comment; None for a ticket that is deleted.
        requester: number of the person, and how it is called there.
    """

    place: int
    number: int
    texts: tuple[str, ...] | None
    visibility: Visibility
    principals: tuple[str, ...]
    requester: tuple[int, str]


class Round(NamedTuple):
    """What happens at once.

    Attributes:
        tickets: that changed.
        touched: places and numbers of those, by their last change, of which only the time changed.
        embedded: texts with their models that have vectors from now on.
        models: what the two streams are embedded with from now on; None for one that feeds the graph no more.
        decided: two people, by number, and what somebody says of them; None for nothing.
        is_made: the steps of the whole graph run at the end.
    """

    tickets: Sequence[Planned] = ()
    touched: Collection[tuple[int, int]] = ()
    embedded: Collection[tuple[str, str]] = ()
    models: tuple[str | None, str | None] | None = None
    decided: tuple[int, int, Literal["same", "different"]] | None = None
    is_made: bool = False


_texts = st.sampled_from(TEXTS)
_all_texts = st.tuples(_texts, _texts, _texts, _texts)
_tickets = st.builds(
    Planned,
    place=st.integers(0, 1),
    number=st.integers(1, 4),
    texts=_all_texts | _all_texts | st.none(),
    visibility=st.sampled_from(Visibility),
    principals=st.sampled_from((NOBODY, SOMEBODY, EVERYBODY)),
    requester=st.tuples(st.integers(1, 3), st.sampled_from(NAMES)),
)
_model = st.sampled_from(MODELS)
_rounds = st.builds(
    Round,
    tickets=st.lists(_tickets, max_size=6),
    touched=st.sets(st.tuples(st.integers(0, 1), st.integers(1, 4)), max_size=2),
    embedded=st.sets(st.tuples(_texts, _model), max_size=3),
    models=st.none() | st.tuples(_model, _model) | st.tuples(_model | st.none(), _model | st.none()),
    decided=st.none() | st.tuples(st.just(1), st.integers(2, 3), st.sampled_from(["same", "different"])),
    is_made=st.booleans() | st.just(True),
)
_histories = st.lists(_rounds, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with fresh_database(postgres_url) as url:
        home = tmp_path_factory.mktemp("tenant_laws")
        opened = Services(Settings(home=home, database_url=SecretStr(url), model=MODELS[0]))
        yield opened
        opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_histories)
def test_any_history_ends_equal_to_a_computation_on_a_tenant_that_is_built_anew(
    services: Services, history: list[Round]
) -> None:
    lived = Tenant(services)
    for event in history:
        lived.happen(event)
    lived.make()
    anew = Tenant(services)
    anew.happen(Round(embedded=lived.embedded, models=lived.models))
    for pair, decision in lived.decided.items():
        anew.happen(Round(decided=(*pair, decision)))
    anew.apply(lived.latest)
    anew.make()
    assert lived.shown() == anew.shown()


def test_a_vector_is_made_again_when_what_it_lacked_is_there(services: Services) -> None:
    tenant = Tenant(services)
    both, other = ("printer is broken", "screen stays black", "", ""), ("no mail since monday",) * 4
    empty = ("", "hash-2")
    tenant.happen(Round([ticket(1, both), ticket(2, both), ticket(3, other)], embedded=[(both[0], "hash-2"), empty]))
    assert tenant.make()["changed"] == 2
    assert tenant.make()["changed"] == 0
    tenant.happen(Round(embedded=[(both[1], "hash-2"), (other[0], "hash-2")]))
    assert tenant.make()["changed"] == 3
    assert tenant.make()["changed"] == 0
    assert tenant.vectors() == 3
    tenant.happen(Round([ticket(1, ("printer prints nothing",) * 4)], is_made=True))
    assert tenant.vectors() == 2


def test_a_model_that_no_stream_uses_leaves_nothing_behind(services: Services) -> None:
    tenant = Tenant(services)
    alike = ("printer is broken",) * 4
    tickets = [ticket(number, alike, place) for number in (1, 2) for place in (0, 1)]
    tenant.happen(Round(tickets, embedded=[(alike[0], model) for model in MODELS], is_made=True))
    # Each ticket is like the three others, or like the other one of its model.
    assert (tenant.pairs(), tenant.vectors()) == (6, 4)
    for models, pairs, held in (
        (("hash-2", "hash-3"), 2, 4),
        (("hash-3", "hash-2"), 2, 4),
        (("hash-3", "hash-3"), 6, 4),
        (("hash-2", "hash-2"), 6, 4),
        ((None, "hash-2"), 1, 2),
        ((None, None), 0, 0),
    ):
        tenant.happen(Round(models=models))
        assert tenant.make()["pairs"] == pairs
        assert (tenant.pairs(), tenant.vectors()) == (pairs, held)


def test_another_threshold_or_rule_counts_though_no_vector_changed(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = Tenant(services)
    tenant.embed("a", np.array([1.0, 0.0], np.float32), "hash-2")
    tenant.embed("b", np.array([0.9, np.sqrt(1 - 0.81)], np.float32), "hash-2")
    tenant.happen(Round([ticket(1, ("a",) * 4), ticket(2, ("b",) * 4)], is_made=True))
    assert tenant.pairs() == 1
    monkeypatch.setitem(similarity.THRESHOLDS, "hash-2", 0.95)
    assert tenant.make() == {"tickets": 2, "changed": 0, "pairs": 0, "lacking": 0}
    assert tenant.pairs() == 0
    monkeypatch.delitem(similarity.THRESHOLDS, "hash-2")
    monkeypatch.setattr(tenant_graph, "_EXTRACTOR", "similarity/2")
    assert tenant.make()["changed"] == 2
    assert tenant.extractors() == {"fields/1", "similarity/2"}
    assert tenant.vectors() == 2


def test_neighbours_that_were_searched_approximately_are_not_built_upon(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = Tenant(services)
    text = "printer is broken"
    tenant.happen(Round([ticket(number, (text,) * 4) for number in (1, 2, 3)], embedded=[(text, "hash-2")]))

    def finds_nothing(ids: Sequence[str], _vectors: Mapping[str, np.ndarray]) -> similarity.Neighbours:
        return {one: [] if one == ids[0] else [similarity.Neighbour(ids[0], 0.9)] for one in ids}

    with monkeypatch.context() as patched:
        patched.setattr(similarity, "EXACT_UP_TO", 2)
        patched.setattr(similarity, "_approximate", finds_nothing)
        tenant.make()
        assert tenant.pairs() == 0
    tenant.make()
    assert tenant.pairs() == 3


def test_tickets_are_compared_up_to_the_graph_as_it_is_also_where_there_are_none(services: Services) -> None:
    tenant = f"tenant{next(_numbers)}"
    with services.graph.transaction() as connection:
        count_change(connection, tenant)
    resolve_entities(services, tenant)
    summarise(services, tenant)
    assert is_behind(services, tenant, [])
    assert find_similar(services, tenant, [])["tickets"] == 0
    assert not is_behind(services, tenant, [])


def test_a_tenant_stays_behind_while_vectors_are_lacking_but_not_for_ever(services: Services) -> None:
    tenant = Tenant(services)
    text = "printer is broken"
    tenant.happen(Round([ticket(1, (text,) * 4), ticket(2, (text,) * 4)], is_made=True))
    assert (tenant.is_behind(), tenant.pairs()) == (True, 0)
    tenant.happen(Round(embedded=[(text, "hash-2")], is_made=True))
    assert (tenant.is_behind(), tenant.pairs()) == (False, 1)

    tenant.happen(Round([ticket(3, ("no heat",) * 4)]))
    tries = services.settings.quarantine_max_attempts
    seen = [(tenant.make()["lacking"] > 0, tenant.is_behind()) for _ in range(tries)]
    assert seen == [(True, True)] * (tries - 1) + [(True, False)]


def test_another_model_leaves_a_tenant_behind_though_nothing_changed(services: Services) -> None:
    tenant = Tenant(services)
    text = "printer is broken"
    embedded = [(text, model) for model in MODELS]
    tenant.happen(Round([ticket(1, (text,) * 4), ticket(2, (text,) * 4)], embedded=embedded, is_made=True))
    assert not tenant.is_behind()
    tenant.happen(Round(models=("hash-3", "hash-3")))
    assert tenant.is_behind()


def is_behind(services: Services, tenant: str, streams: Sequence[Stream]) -> bool:
    with services.graph.transaction() as connection:
        most = services.settings.quarantine_max_attempts
        return tenant in tenants_behind(connection, rules(services, streams), most)


def test_a_person_is_called_as_the_newest_ticket_says_though_only_its_time_is_new(services: Services) -> None:
    tenant = Tenant(services)
    texts = ("",) * 4
    tenant.happen(Round([ticket(1, texts, requester=(1, "Ada Byron"))]))
    tenant.happen(Round([ticket(2, texts, requester=(1, "Ada King"))]))
    assert tenant.name_of(1) == "Ada King"
    tenant.happen(Round(touched=[(0, 1)]))
    assert tenant.name_of(1) == "Ada Byron"


class Tenant:
    """A tenant with two streams of tickets, and what its history came to."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._name = f"tenant{next(_numbers)}"
        self._minutes = 0
        self.models: tuple[str | None, str | None] = (MODELS[0], MODELS[0])
        self.latest: dict[tuple[int, int], tuple[Planned, datetime]] = {}
        self.embedded: set[tuple[str, str]] = set()
        self.decided: dict[tuple[int, int], Literal["same", "different"]] = {}

    def happen(self, event: Round) -> None:
        self._minutes += 1
        moment = START + timedelta(minutes=self._minutes)
        touched = {key: (self.latest[key][0], moment) for key in event.touched if key in self.latest}
        changed = touched | {(one.place, one.number): (one, moment) for one in event.tickets}
        self.latest |= changed
        self.apply(changed)
        for text, model in event.embedded:
            # A bag of no words has no direction.
            vector = open_embedder(model).embed([text])[0] if text else np.ones(int(model[-1]), np.float32)
            self.embed(text, vector, model)
        self.models = event.models or self.models
        if event.decided:
            self._decide(*event.decided)
        if event.is_made:
            self.make()

    def apply(self, tickets: Mapping[tuple[int, int], tuple[Planned, datetime]]) -> None:
        services = self._services
        for place, stream in enumerate(self._streams()):
            changes = [change_of(*one) for one in tickets.values() if one[0].place == place]
            apply_changes(services.graph, services.extractor, stream.of(self._name), changes)
        settle(services.graph, services.extractor, self._name)

    def embed(self, text: str, vector: np.ndarray, model: str) -> None:
        """The cache has the vector of a text from now on."""
        self.embedded.add((text, model))
        fingerprint = open_embedder(model).fingerprint.key
        self._services.cache.put(self._name, fingerprint, {text_hash(text): vector})

    def make(self) -> dict[str, int]:
        resolve_entities(self._services, self._name)
        found = find_similar(self._services, self._name, self._streams())
        summarise(self._services, self._name)
        return found

    def is_behind(self) -> bool:
        return is_behind(self._services, self._name, self._streams())

    def shown(self) -> dict[str, Any]:
        """Nodes, edges and merges, and evidence and vectors, without the tenant."""
        with self._services.graph.transaction() as connection:
            evidence, held = t.evidence.c, t.vectors.c
            return {
                "nodes": list(nodes(connection, self._name)),
                "edges": list(edges(connection, self._name)),
                "merges": merges(connection, self._name),
                "evidence": self._rows(connection, t.evidence, evidence.document_key, evidence.evidence_id),
                "vectors": self._rows(connection, t.vectors, held.space, held.document_key),
            }

    def pairs(self) -> int:
        with self._services.graph.transaction() as connection:
            return sum(edge.kind is EdgeKind.SIMILAR_TO for edge in edges(connection, self._name))

    def vectors(self) -> int:
        with self._services.graph.transaction() as connection:
            return len(self._rows(connection, t.vectors))

    def extractors(self) -> set[str]:
        with self._services.graph.transaction() as connection:
            return set(connection.scalars(sa.select(t.evidence.c.extractor).where(t.evidence.c.tenant == self._name)))

    def name_of(self, number: int) -> str:
        with self._services.graph.transaction() as connection:
            return {node.node_id: node.name for node in nodes(connection, self._name)}[person(number, "").node_id]

    def _decide(self, first: int, second: int, decision: Literal["same", "different"]) -> None:
        self.decided[first, second] = decision
        ids = (person(first, "").node_id, person(second, "").node_id)
        with self._services.graph.transaction() as connection:
            pin(connection, self._name, Decision(*ids, decision, "", START))

    def _streams(self) -> list[Stream]:
        made = [Stream(source, "tickets", "day", (), source, graph="chunks") for source in SOURCES]
        return [
            replace(stream, model=model, graph="chunks" if model else None)
            for stream, model in zip(made, self.models, strict=True)
        ]

    def _rows(self, connection: sa.Connection, table: sa.Table, *order: sa.Column[Any]) -> list[tuple[Any, ...]]:
        columns = [column for column in table.columns if column.name != "tenant"]
        query = sa.select(*columns).where(table.c.tenant == self._name).order_by(*order)
        return [tuple(row) for row in connection.execute(query)]


def ticket(number: int, texts: tuple[str, ...], place: int = 0, requester: tuple[int, str] = (1, NAMES[0])) -> Planned:
    return Planned(place, number, texts, Visibility.PUBLIC, (), requester)


def person(number: int, name: str) -> Entity:
    return Entity(kind=NodeKind.PERSON, key=f"{'pq'[number % 2]}/{number}", name=name)


def change_of(planned: Planned, moment: datetime) -> Change:
    # The ids are the same for all tenants, as those of one tenant's documents would be.
    identity = document_id("acme", SOURCES[planned.place], str(planned.number))
    version = Version(modified_at=moment, observed_at=moment)
    if planned.texts is None:
        return Change(identity, version, True, None, ())
    entity = Entity(kind=NodeKind.TICKET, key=identity, name=f"Ticket {planned.number}")
    relations = [Relation(kind=EdgeKind.CREATED_BY, target=person(*planned.requester))]
    readers = (planned.visibility, planned.principals)
    told = Told(entity=entity, relations=relations, visibility=planned.visibility, principals=list(planned.principals))
    header, description, internal, comment = planned.texts
    texts = (
        Text("header", "c0", "header", header, *readers),
        Text("description", "c1", "description", description, *readers),
        Text("note", "c2", "description", internal, Visibility.INTERNAL),
        Text("comment", "c3", "comment", comment, *readers),
    )
    return Change(identity, version, False, told, texts)
