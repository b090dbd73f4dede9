"""The law of the graph: any history of documents, extractors and crashes ends equal to a rebuild at its end."""

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from sync_assets.documents import Told, Version, Visibility, document_id
from sync_assets.graph.applying import Change, apply_changes, rebuild, settle
from sync_assets.graph.evidence import Text
from sync_assets.graph.extraction import Extractor, open_extractor
from sync_assets.graph.gazetteer import phrases_of
from sync_assets.graph.pipelines import Pipelines
from sync_assets.graph.spans import Span
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_names import pending_names
from sync_assets.graph.store_nodes import edges, nodes
from sync_assets.ledger import StreamRef
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets_tests.postgres import fresh_database

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


_texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
_documents = st.builds(
    Planned,
    number=st.integers(1, 4),
    is_item=st.booleans(),
    name=st.sampled_from(ITEM_NAMES),
    requester=st.none() | st.integers(1, 2),
    visibility=st.sampled_from(Visibility),
    texts=st.lists(_texts, max_size=2).map(tuple) | st.lists(_texts, min_size=1, max_size=2).map(tuple) | st.none(),
)


class Page(NamedTuple):
    """What one run of a sync does.

    Attributes:
        statements: after which it breaks off.
        is_old: whether it is run by an older version of the program.
    """

    documents: list[Planned]
    statements: int | None
    is_settled: bool
    is_old: bool


_pages = st.lists(
    st.builds(
        Page,
        documents=st.lists(_documents, min_size=1, max_size=4),
        statements=st.none() | st.integers(0, 60),
        is_settled=st.booleans(),
        is_old=st.booleans(),
    ),
    max_size=6,
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


class OldPipelines(Pipelines):
    """Takes many words for a product."""

    def __init__(self) -> None:
        super().__init__({})
        self.versions = ("en=old/1",)

    def find(self, text: str) -> Iterator[tuple[Entity, Span, str, float]]:
        for word in re.finditer("The|latitude|Byron|Noord|duplicate", text):
            yield Entity(kind=NodeKind.PRODUCT, key="the"), word.span(), "old/1", 0.5


def old_phrases(entity: Entity) -> Iterator[tuple[str, str]]:
    return ((phrase.removesuffix(" 5520"), scope) for phrase, scope in phrases_of(entity))


class Program:
    """A version of the program: what it finds, and what it takes nodes to be called."""

    def __init__(self, is_old: bool) -> None:
        self.extractor = Extractor(OldPipelines()) if is_old else open_extractor({})
        self._phrases = patch("sync_assets.graph.applying.phrases_of", old_phrases if is_old else phrases_of)

    def sync(self, store: GraphStore, tenant: str, page: Sequence[tuple[Planned, datetime]]) -> dict[str, str]:
        """Apply documents, those of each stream in a page of their own."""
        outcomes: dict[str, str] = {}
        for stream in ("tickets", "items"):
            # The ids are the same for both tenants, as those of one tenant's documents would be.
            changes = [change_of(one, "acme", moment) for one, moment in page if one.is_item == (stream == "items")]
            with self._phrases:
                outcomes |= apply_changes(store, self.extractor, StreamRef(tenant, "portal", stream), unique(changes))
        return outcomes

    def settle(self, store: GraphStore, tenant: str) -> int:
        with self._phrases:
            return settle(store, self.extractor, tenant)


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(is_old=False)


@pytest.fixture(scope="module")
def old() -> Program:
    return Program(is_old=True)


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


def planned(number: int, *texts: str, item: str = "") -> tuple[Planned, datetime]:
    return Planned(number, bool(item), item, None, Visibility.PUBLIC, texts), START


# The older version finds its product in both tickets, and the item in the second.
DOCUMENTS = [planned(1, "The #2"), planned(2, "The latitude is Latitude"), planned(1, item="Latitude 5520")]
OLD_EDGES = {("1", "2"), ("1", "the"), ("2", "the"), ("2", "ci-1")}


@example([Page([one for one, _ in DOCUMENTS], None, is_settled, True) for is_settled in (True, False)])
@example([Page([planned(3, "The end")[0]], None, False, True)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_pages)
def test_any_history_of_documents_ends_equal_to_a_rebuild(
    store: GraphStore, program: Program, old: Program, fuse: Fuse, pages: list[Page]
) -> None:
    history, anew = (f"tenant{next(_numbers)}" for _ in range(2))
    latest: dict[tuple[int, bool], tuple[Planned, datetime]] = {}
    seen: list[list[tuple[Planned, datetime]]] = []
    for number, run in enumerate(pages):
        page = [(one, START + timedelta(minutes=number)) for one in run.documents]
        seen.append(page)
        latest |= {(one.number, one.is_item): (one, moment) for one, moment in page}
        fuse.left = run.statements
        running = old if run.is_old else program
        with suppress(Crash):
            running.sync(store, history, page)
            if run.is_settled:
                running.settle(store, history)
        fuse.left = None
    # What broke off is run again, as Dagster would; an older window may be last.
    for page in reversed(seen):
        program.sync(store, history, page)
    program.settle(store, history)
    program.sync(store, anew, list(latest.values()))
    program.settle(store, anew)
    assert graph_of(store, history) == graph_of(store, anew)
    assert program.settle(store, history) == 0


def mentions_of(store: GraphStore, tenant: str) -> set[tuple[str, str]]:
    """Ends of the edges that tickets have: numbers of records, or words."""
    return {tuple(re.split("[:_]", end)[-1] for end in edge[:3:2]) for edge in graph_of(store, tenant)[1]}  # pyright: ignore[reportReturnType]


def test_another_extractor_searches_everything_again_once(store: GraphStore, program: Program, old: Program) -> None:
    tenant = f"tenant{next(_numbers)}"
    old.sync(store, tenant, DOCUMENTS)
    old.settle(store, tenant)
    assert mentions_of(store, tenant) == OLD_EDGES
    assert program.settle(store, tenant) == 2
    assert mentions_of(store, tenant) == {("1", "2")}
    assert program.settle(store, tenant) == 0
    assert old.settle(store, tenant) == 2
    assert mentions_of(store, tenant) == OLD_EDGES


def test_one_page_of_another_extractor_is_enough(store: GraphStore, program: Program, old: Program) -> None:
    tenant = f"tenant{next(_numbers)}"
    program.sync(store, tenant, DOCUMENTS)
    program.settle(store, tenant)
    old.sync(store, tenant, [planned(3, "The end")])
    assert program.settle(store, tenant) == 3
    assert mentions_of(store, tenant) == {("1", "2")}


def test_a_search_of_everything_that_breaks_off_anywhere_is_made_up_for(
    store: GraphStore, program: Program, old: Program, fuse: Fuse
) -> None:
    tenant = f"tenant{next(_numbers)}"
    old.sync(store, tenant, DOCUMENTS)
    old.settle(store, tenant)
    for statements in itertools.count():
        fuse.left = statements
        with suppress(Crash):
            program.settle(store, tenant)
        whole, fuse.left = fuse.left >= 0, None
        program.settle(store, tenant)
        assert mentions_of(store, tenant) == {("1", "2")}, statements
        if whole:
            break
        old.settle(store, tenant)


def test_a_rebuild_searches_everything_with_the_same_extractor(store: GraphStore, program: Program) -> None:
    tenant = f"tenant{next(_numbers)}"
    assert rebuild(store, program.extractor, tenant) == 0
    program.sync(store, tenant, DOCUMENTS)
    program.settle(store, tenant)
    before = graph_of(store, tenant)
    assert rebuild(store, program.extractor, tenant) == 2
    assert graph_of(store, tenant) == before
    assert program.settle(store, tenant) == 0
