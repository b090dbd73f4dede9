"""The law of the graph: any history of documents and crashes ends equal to a rebuild from them as they are."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from sync_assets.documents import Told, Version, Visibility, document_id
from sync_assets.graph.applying import Change, apply_changes, settle
from sync_assets.graph.evidence import Text
from sync_assets.graph.extraction import Extractor, open_extractor
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_names import pending_names
from sync_assets.graph.store_nodes import edges, nodes
from sync_assets.ledger import StreamRef
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets_tests.dagster_assets.world import fresh_database

START = datetime(2026, 11, 2, tzinfo=UTC)
_numbers = itertools.count()

# What tickets and items are called changes, so that texts begin and cease to name them.
ITEM_NAMES = ("Latitude 5520", "Latitude", "PRT-07", "Koelcel Noord", "")
WORDS = (
    "The",
    "Latitude 5520",
    "latitude",
    "PRT-07",
    "#1",
    "#2",
    "#3",
    "Koelcel Noord",
    "0x80070005",
    "Ada Byron",
    "duplicate of",
)


class Planned(NamedTuple):
    """A document as a history has it; no text for one that is deleted."""

    number: int
    is_item: bool
    name: str
    requester: int | None
    visibility: Visibility
    texts: tuple[str, ...] | None


_documents = st.builds(
    Planned,
    number=st.integers(1, 4),
    is_item=st.booleans(),
    name=st.sampled_from(ITEM_NAMES),
    requester=st.none() | st.integers(1, 2),
    visibility=st.sampled_from(Visibility),
    texts=st.none() | st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=2).map(tuple),
)
# Pages of a sync, each with the number of statements after which it breaks off.
_pages = st.lists(
    st.tuples(st.lists(_documents, max_size=4), st.none() | st.integers(0, 30), st.booleans()), max_size=6
)


class Crash(Exception):
    """The process was killed here."""


def change_of(planned: Planned, tenant: str, moment: datetime) -> Change:
    record = f"{'ci-' if planned.is_item else ''}{planned.number}"
    identity = document_id(tenant, "portal", record)
    version = Version(modified_at=moment, observed_at=moment)
    if planned.texts is None:
        return Change(identity, version, True, None, ())
    kind = NodeKind.CONFIGURATION_ITEM if planned.is_item else NodeKind.TICKET
    alias = f"CI-{planned.number}" if planned.is_item else f"#{planned.number}"
    entity = Entity(
        kind=kind, key=identity, name=planned.name, aliases=(alias,), scope="portal", facts={"state": "resolved"}
    )
    relations = []
    if planned.requester:
        person = Entity(
            kind=NodeKind.PERSON, key=f"portal/{planned.requester}", name=("Ada Byron", "Bob")[planned.requester - 1]
        )
        relations.append(Relation(kind=EdgeKind.CREATED_BY, target=person, internal=True))
    told = Told(entity=entity, relations=relations, visibility=planned.visibility, principals=["user:1"])
    texts = tuple(
        Text(f"part-{number}", None, ("header", "comment")[number], text, planned.visibility, ("user:1",))
        for number, text in enumerate(planned.texts)
    )
    return Change(identity, version, False, told, texts)


def graph_of(store: GraphStore, tenant: str) -> tuple[list[Any], list[Any]]:
    with store.transaction() as connection:
        assert pending_names(connection, tenant) == []
        return list(nodes(connection, tenant)), list(edges(connection, tenant))


def unique(changes: Sequence[Change]) -> list[Change]:
    return list({change.document_id: change for change in changes}.values())


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return open_extractor({})


class Fuse:
    """Breaks off before a statement of that number. Locks are left alone: a process that is killed gives them back."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.left is not None and "advisory" not in statement:
            self.left -= 1
            if self.left < 0:
                raise Crash


@pytest.fixture(scope="module")
def fuse() -> Fuse:
    return Fuse()


@pytest.fixture(scope="module")
def store(postgres_url: str, fuse: Fuse) -> Iterator[GraphStore]:
    with fresh_database(postgres_url) as url:
        opened = GraphStore(url)
        event.listen(opened.engine, "before_cursor_execute", fuse)
        yield opened
        opened.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_pages)
def test_any_history_of_documents_ends_equal_to_a_rebuild(
    store: GraphStore, extractor: Extractor, fuse: Fuse, pages: list[tuple[list[Planned], int | None, bool]]
) -> None:
    history, anew = (f"tenant{next(_numbers)}" for _ in range(2))
    latest: dict[tuple[int, bool], tuple[Planned, datetime]] = {}
    seen: list[list[tuple[Planned, datetime]]] = []
    for number, (planned, statements, is_settled) in enumerate(pages):
        page = [(one, START + timedelta(minutes=number)) for one in planned]
        seen.append(page)
        latest |= {(one.number, one.is_item): (one, moment) for one, moment in page}
        fuse.left = statements
        with suppress(Crash):
            sync(store, extractor, history, page)
            if is_settled:
                settle(store, extractor, history)
        fuse.left = None
    # What broke off is run again, as Dagster would; an older window may be last.
    for page in reversed(seen):
        sync(store, extractor, history, page)
    settle(store, extractor, history)
    sync(store, extractor, anew, list(latest.values()))
    settle(store, extractor, anew)
    assert graph_of(store, history) == graph_of(store, anew)


def sync(
    store: GraphStore, extractor: Extractor, tenant: str, page: Sequence[tuple[Planned, datetime]]
) -> dict[str, str]:
    # The ids are the same for both tenants, as those of one tenant's documents would be.
    changes = unique([change_of(planned, "acme", moment) for planned, moment in page])
    return apply_changes(store, extractor, StreamRef(tenant, "portal", "tickets"), changes)
