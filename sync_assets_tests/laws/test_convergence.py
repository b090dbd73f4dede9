"""Laws 1-4, 7, 9 and 10: any history of edits, deletions, syncs and crashes ends equal to a rebuild from upstream."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.documents import Visibility
from sync_assets.errors import StoreError
from sync_assets.ledger import tables as t
from sync_assets.search import search
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream
from sync_assets.stages.chunks import make_chunks
from sync_assets.stages.documents import make_documents
from sync_assets.stages.embeddings import make_embeddings
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets.stages.store import apply_to_store
from sync_assets.vector_stores import Audience
from sync_assets_tests.laws.upstream import DAY, START, Chain, Crash, Fuse, Ticket, Upstream, edited, install, window
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES

pytestmark = pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode):UserWarning")

WINDOWS = 3
_numbers = itertools.count()


class World:
    """One tenant with an upstream, a ledger, files and a store; every example gets a tenant of its own."""

    def __init__(self, services: Services, store: str, opened: Any, tells_versions: bool = False) -> None:
        self.tenant = f"t{next(_numbers)}"
        self.store = store
        self.upstream = Upstream(tells_versions=tells_versions)
        self.fuse: Fuse = install(services, {self.tenant: self.upstream}, {store: opened})
        stream = Stream("freshdesk", "tickets", "day", (store,), "laws", model="hash-8", chunk_tokens=64)
        self.chain = Chain(services, stream, lambda: self.upstream.tick())
        self.windows = [window(self.tenant, number) for number in range(WINDOWS)]

    def now_in(self, number: int) -> None:
        """Let upstream's clock stand in a window; it never goes back."""
        start = START + number * DAY
        if self.upstream.now < start:
            self.upstream.now = start

    def finish(self) -> dict[str, Any]:
        """The sync that ends every history: all windows, with a sweep."""
        self.now_in(WINDOWS - 1)
        return self.chain.sync(self.windows, sweep=True)

    def assert_converged(self) -> None:
        expected = self.chain.expected(self.tenant, self.upstream)
        assert self.chain.stored(self.store, self.tenant) == expected
        assert self.bodies() == {document for document, _ in expected.values()} | self.without_chunks()

    def without_chunks(self) -> set[str]:
        return {
            f"{self.tenant}_freshdesk_{record_id}"
            for record_id, ticket in self.upstream.live().items()
            if not any(ticket.texts)
        }

    def bodies(self) -> set[str]:
        query = sa.select(t.document_bodies.c.document_id).where(t.document_bodies.c.tenant == self.tenant)
        with self.chain.services.ledger.transaction() as connection:
            return set(connection.scalars(query))

    def rows(self) -> list[Any]:
        """Every row of the tenant in the tables that hold state, with the transaction that wrote it."""
        found = []
        with self.chain.services.ledger.transaction() as connection:
            for table in (t.documents, t.collection_documents, t.embedding_cache, t.document_bodies):
                query = sa.select(sa.literal_column("xmin::text"), table).where(table.c.tenant == self.tenant)
                found += sorted(map(str, connection.execute(query)))
        return found


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home: Path = tmp_path_factory.mktemp("laws")
    with fresh_database(postgres_url) as url:
        services = Services(Settings(home=home, database_url=url, sweep_max_delete_share=1.0))  # pyright: ignore
        ledger = services.ledger
        yield services
        ledger.close()


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """The name of a store, and the store."""
    opened = STORES[request.param](request, tmp_path_factory.mktemp(request.param))
    yield request.param, opened
    opened.close()


NewWorld = Callable[..., World]


@pytest.fixture
def new_world(services: Services, store: tuple[str, Any]) -> Iterator[NewWorld]:
    """Makes worlds with one store; each has an upstream and a tenant of its own."""
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}
    name, opened = store

    def make(tells_versions: bool = False) -> World:
        services.__dict__.update(kept)
        return World(services, name, opened, tells_versions)

    yield make
    services.__dict__.update(kept)


ids = st.sampled_from(["1", "2", "3", "4"])
texts = st.lists(
    st.sampled_from(["", "printer on fire", "please restart it", "thanks", "poison", "café ☕"]), max_size=3
)
statuses = st.sampled_from(["open", "closed"])
actions = st.one_of(
    st.tuples(st.just("write"), ids, texts, statuses, st.booleans()),
    st.tuples(st.just("relabel"), ids, statuses, st.booleans()),
    st.tuples(st.just("touch_up"), ids, texts, statuses),
    st.tuples(st.just("delete"), ids, st.booleans()),
    st.tuples(st.just("restore"), ids),
    st.tuples(st.just("rewind"), ids, texts),
    st.tuples(st.just("garble"), ids),
    st.tuples(st.just("next_day")),
    st.tuples(
        st.just("sync"), st.integers(0, WINDOWS - 1), st.integers(0, WINDOWS - 1), st.booleans(), st.integers(0, 25)
    ),
    st.tuples(st.just("replay"), st.integers(0, WINDOWS - 1), st.integers(0, 25)),
    st.tuples(st.just("limited"), st.integers(0, WINDOWS - 1), st.integers(1, 2)),
)


def play(world: World, action: tuple[Any, ...]) -> None:
    """One step of a history."""
    upstream, name = world.upstream, action[0]
    tickets = upstream.tickets
    if name == "write":
        tickets[action[1]] = Ticket(upstream.tick(), tuple(action[2]), action[3], action[4])
    elif name == "next_day":
        world.now_in(min((upstream.now - START).days + 1, WINDOWS - 1))
    elif name in ("relabel", "touch_up", "delete", "restore", "rewind", "garble"):
        if action[1] in tickets:
            tickets[action[1]] = _changed(upstream, tickets[action[1]], action)
    elif name == "sync":
        first, last = sorted(action[1:3])
        _with_crash(world, action[4], lambda: world.chain.sync(world.windows[first : last + 1], sweep=action[3]))
    elif name == "limited":
        world.chain.sync([world.windows[action[1]]], limit=action[2])
    else:
        with TemporaryDirectory() as folder_name:
            folder: Any = type("Folder", (), {"name": folder_name})
            batch = world.chain.stored_raw([world.windows[action[1]]], folder)
            if batch is not None:
                _with_crash(world, action[2], lambda: world.chain.replay(batch))


def _changed(upstream: Upstream, ticket: Ticket, action: tuple[Any, ...]) -> Ticket:
    name = action[0]
    if name == "relabel":
        return edited(ticket, modified_at=upstream.tick(), status=action[2], private=action[3])
    if name == "touch_up":
        # Moves no modification time where the listing has something else to tell the change by.
        modified_at = ticket.modified_at if upstream.tells_versions else upstream.tick()
        return edited(ticket, modified_at=modified_at, texts=tuple(action[2]), status=action[3])
    if name == "delete":
        return edited(
            ticket,
            modified_at=upstream.tick() if action[2] else ticket.modified_at,
            deleted=True,
            listed_as_deleted=action[2],
        )
    if name == "restore":
        return edited(ticket, deleted=False)
    if name == "rewind":
        return edited(ticket, modified_at=max(START, ticket.modified_at - DAY / 2), texts=tuple(action[2]))
    return edited(ticket, malformed=not ticket.malformed, modified_at=upstream.tick())


def _with_crash(world: World, writes: int, run: Any) -> None:
    """Crash before the write of that number; a run with fewer writes ends well."""
    world.fuse.left = writes
    with suppress(Crash):
        run()
    world.fuse.left = None


def check_history(world: World, history: list[tuple[Any, ...]]) -> None:
    for action in history:
        play(world, action)
    # What a malformed or poisoned record looked like before it broke stays in the stores: it is mended first.
    for record_id, ticket in list(world.upstream.tickets.items()):
        if ticket.malformed or "poison" in ticket.texts:
            mended = edited(ticket, modified_at=world.upstream.tick(), texts=("mended",), malformed=False)
            world.upstream.tickets[record_id] = mended
    # An empty listing is no proof: a sweep would refuse to delete the last document.
    world.upstream.tickets["last"] = Ticket(world.upstream.tick(), ("still here",))
    world.finish()
    world.assert_converged()
    before = world.rows()
    reports = world.finish()
    assert {name: reports["embeddings"].total(name) for name in ("embedded",)} == {"embedded": 0}
    assert [reports[world.store].total(name) for name in ("written", "payloads", "removed")] == [0, 0, 0]
    assert world.rows() == before
    again = world.finish()
    assert {stage: report.data_version for stage, report in again.items() if stage != "raw"} == {
        stage: report.data_version for stage, report in reports.items() if stage != "raw"
    }


def _down(*_: Any) -> None:
    raise StoreError("The store is down.", "Start it.")


_relaxed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=25, deadline=None, suppress_health_check=_relaxed)
@given(st.lists(actions, max_size=12), st.booleans())
def test_any_history_converges(new_world: NewWorld, history: list[tuple[Any, ...]], tells_versions: bool) -> None:
    check_history(new_world(tells_versions), history)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=_relaxed)
@given(st.lists(actions, max_size=30), st.booleans())
def test_any_long_history_converges(new_world: NewWorld, history: list[tuple[Any, ...]], tells_versions: bool) -> None:
    check_history(new_world(tells_versions), history)


def test_a_crash_before_every_single_write_is_healed_by_the_next_run(new_world: NewWorld) -> None:
    for number in range(200):
        world = new_world()
        world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("first", "second", "third"))
        world.upstream.tickets["2"] = Ticket(world.upstream.tick(), ("gone soon",))
        world.chain.sync(world.windows)
        world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("first", "new", "newer", "newest"))
        world.upstream.tickets["2"] = edited(
            world.upstream.tickets["2"], deleted=True, modified_at=world.upstream.tick()
        )
        world.fuse.left = number
        try:
            world.chain.sync(world.windows)
        except Crash:
            world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("first", "last"))
            world.chain.sync(world.windows)
            world.assert_converged()
        else:
            assert number > 10, "the fuse saw hardly any write"
            return
    pytest.fail("the run never got past its writes")


def test_a_change_of_status_or_visibility_updates_payloads_and_embeds_nothing(
    new_world: NewWorld,
) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one", "two"))
    world.chain.sync(world.windows)
    world.upstream.tickets["1"] = edited(
        world.upstream.tickets["1"], status="closed", private=True, modified_at=world.upstream.tick()
    )
    reports = world.chain.sync(world.windows)
    assert reports["embeddings"].total("embedded") == 0
    assert (reports[world.store].total("written"), reports[world.store].total("payloads")) == (0, 2)
    inside, outside = (
        search(world.chain.services, "one two", tenant=world.tenant, audience=Audience(visibility=visibility))
        for visibility in (Visibility.INTERNAL, Visibility.PUBLIC)
    )
    assert [hit.metadata["status"] for hit in inside] == ["closed"]
    assert outside == [], "nothing of it is public any more"


def test_an_edit_embeds_and_writes_exactly_the_chunks_it_touches(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one", "two", "three"))
    world.chain.sync(world.windows)
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one", "two, changed", "three"))
    reports = world.chain.sync(world.windows)
    assert reports["embeddings"].total("embedded") == 1
    assert reports[world.store].total("written") == 1


def test_deletions_come_by_the_feed_and_by_the_sweep_and_restored_records_return(
    new_world: NewWorld,
) -> None:
    world = new_world()
    for record_id in ("1", "2", "3"):
        world.upstream.tickets[record_id] = Ticket(world.upstream.tick(), (f"text {record_id}",))
    world.chain.sync(world.windows)
    tickets = world.upstream.tickets
    tickets["1"] = edited(tickets["1"], deleted=True, modified_at=world.upstream.tick())
    tickets["2"] = edited(tickets["2"], deleted=True, listed_as_deleted=False)
    world.chain.sync(world.windows)
    assert len(world.chain.stored(world.store, world.tenant)) == 2
    world.chain.sync(world.windows, sweep=True)
    world.assert_converged()
    tickets["2"] = edited(tickets["2"], deleted=False)
    reports = world.chain.sync(world.windows, sweep=True)
    world.assert_converged()
    assert reports["embeddings"].total("embedded") == 0, "restored text comes from the cache"


def test_a_change_that_moves_no_time_is_found_by_the_sweep_and_by_no_window(new_world: NewWorld) -> None:
    world = new_world(tells_versions=True)
    for record_id in ("1", "2"):
        world.upstream.tickets[record_id] = Ticket(world.upstream.tick(), (f"text {record_id}", "shared"))
    world.chain.sync(world.windows)
    world.now_in(1)
    world.upstream.tickets["1"] = edited(world.upstream.tickets["1"], texts=("another text", "shared"))
    assert world.chain.sync(world.windows[1:])["raw"].total("records") == 0
    reports = world.chain.sync(world.windows[1:], sweep=True)
    world.assert_converged()
    counts = [reports["raw"].total("records"), reports["embeddings"].total("embedded")]
    assert [*counts, reports[world.store].total("written")] == [1, 1, 1]


def test_a_sweep_fetches_once_what_changed_for_the_listing_and_for_no_document(new_world: NewWorld) -> None:
    world = new_world(tells_versions=True)
    for record_id in ("1", "2"):
        world.upstream.tickets[record_id] = Ticket(world.upstream.tick(), (f"text {record_id}",))
    world.chain.sync(world.windows)
    world.now_in(1)
    world.upstream.tickets["1"] = edited(world.upstream.tickets["1"], unread=1)
    first, second = (world.chain.sync(world.windows[1:], sweep=True) for _ in range(2))
    world.assert_converged()
    assert [report["raw"].total("records") for report in (first, second)] == [1, 0]
    assert first["documents"].total("unchanged") == 1
    assert first[world.store].total("payloads") == 0


@pytest.mark.parametrize("fault", ["broken", "lists_nothing", "too_many"])
def test_a_sweep_that_cannot_be_trusted_deletes_nothing(new_world: NewWorld, fault: str) -> None:
    world = new_world()
    for number in range(10):
        world.upstream.tickets[str(number)] = Ticket(world.upstream.tick(), (f"text {number}",))
    world.chain.sync(world.windows)
    services = world.chain.services
    services.settings = services.settings.model_copy(update={"sweep_max_delete_share": 0.2})
    try:
        if fault == "too_many":
            for number in range(3):
                ticket = world.upstream.tickets[str(number)]
                world.upstream.tickets[str(number)] = edited(ticket, deleted=True, listed_as_deleted=False)
            reports = world.chain.sync(world.windows, sweep=True)
            assert "SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE" in reports["raw"].problems[0]
        elif fault == "lists_nothing":
            world.upstream.lists_nothing = True
            reports = world.chain.sync(world.windows, sweep=True)
            assert "lists nothing" in reports["raw"].problems[0]
        else:
            world.upstream.broken = True
            with suppress(Exception):
                world.chain.sync(world.windows, sweep=True)
    finally:
        services.settings = services.settings.model_copy(update={"sweep_max_delete_share": 1.0})
    assert len(world.chain.stored(world.store, world.tenant)) == 10


def test_what_upstream_hides_is_not_gone_and_the_rest_is_swept(new_world: NewWorld) -> None:
    world = new_world()
    for number in range(10):
        world.upstream.tickets[f"{number % 2}-{number}"] = Ticket(world.upstream.tick(), (f"text {number}",))
    world.chain.sync(world.windows)
    del world.upstream.tickets["1-1"]
    world.upstream.hidden = {"0-"}
    services = world.chain.services
    services.settings = services.settings.model_copy(update={"sweep_max_delete_share": 0.2})
    try:
        reports = world.chain.sync(world.windows, sweep=True)
    finally:
        services.settings = services.settings.model_copy(update={"sweep_max_delete_share": 1.0})
    world.assert_converged()
    assert ["left 5 documents as they are: we were put out" in problem for problem in reports["raw"].problems] == [True]
    world.upstream.hidden = set()
    assert world.chain.sync(world.windows, sweep=True)["raw"].problems == []
    world.assert_converged()


def test_bad_records_go_to_quarantine_the_rest_goes_on_and_a_later_run_retries(
    new_world: NewWorld,
) -> None:
    world = new_world()
    tickets = world.upstream.tickets
    tickets["1"] = Ticket(world.upstream.tick(), ("good",))
    tickets["2"] = Ticket(world.upstream.tick(), ("poison",))
    tickets["3"] = Ticket(world.upstream.tick(), ("fine",), malformed=True)
    reports = world.chain.sync(world.windows[:1])
    assert reports["documents"].total("quarantined") == 2
    ledger = world.chain.services.ledger
    reasons = {record.record_id: record.reason for record in ledger.quarantined(world.tenant)}
    assert reasons == {"2": "poison", "3": "not an object"}
    assert len(world.chain.stored(world.store, world.tenant)) == 1
    # Mended without a new modification time, and asked for in another window.
    tickets["2"] = edited(tickets["2"], texts=("antidote",))
    tickets["3"] = edited(tickets["3"], malformed=False)
    world.now_in(1)
    world.chain.sync(world.windows[1:2])
    assert ledger.quarantined(world.tenant) == []
    world.assert_converged()


def test_a_store_that_was_down_is_healed_by_the_next_run(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one",))
    world.upstream.tickets["2"] = Ticket(world.upstream.tick(), ("two",))
    store: Any = world.chain.services.store(world.store)

    store.upsert = _down
    with pytest.raises(StoreError, match="down"):
        world.chain.sync(world.windows)
    assert world.chain.services.ledger.watermark(world.chain.stream.of(world.tenant), world.store) is None
    del store.upsert
    world.chain.sync(world.windows)
    world.assert_converged()


def test_a_document_that_a_store_refuses_costs_only_itself(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["bad"] = Ticket(world.upstream.tick(), ("refused",))
    world.now_in(1)
    world.upstream.tickets["good"] = Ticket(world.upstream.tick(), ("fine",))
    store: Any = world.chain.services.store(world.store)
    upsert = store.upsert

    def picky(collection: Any, tenant: str, points: Any) -> None:
        if any(point.text == "refused" for point in points):
            raise StoreError("The store refuses this text.")
        upsert(collection, tenant, points)

    store.upsert = picky
    reports = world.chain.sync(world.windows)
    assert reports[world.store].total("quarantined") == 1
    assert {document for document, _ in world.chain.stored(world.store, world.tenant).values()} == {
        f"{world.tenant}_freshdesk_good"
    }
    del store.upsert
    world.chain.sync(world.windows)
    world.assert_converged()
    assert world.chain.services.ledger.quarantined(world.tenant) == []


def test_a_store_that_lost_its_chunks_is_filled_again_from_the_cache(new_world: NewWorld) -> None:
    world = new_world()
    for number in range(WINDOWS):
        world.now_in(number)
        world.upstream.tickets[str(number)] = Ticket(world.upstream.tick(), (f"text {number}",))
    world.chain.sync(world.windows)
    registered = world.chain.services.ledger.active_collection(world.store, world.chain.stream.collection)
    assert registered is not None
    world.chain.services.store(world.store).drop_tenant(registered.collection, world.tenant)
    first = world.chain.sync(world.windows[-1:])
    second = world.chain.sync(world.windows[-1:], sweep=True)
    world.assert_converged()
    assert [report["embeddings"].total("embedded") for report in (first, second)] == [0, 0]


def test_a_stream_that_moved_to_another_collection_is_searched_where_it_is_followed(new_world: NewWorld) -> None:
    world = new_world()
    for record_id in ("1", "2"):
        world.upstream.tickets[record_id] = Ticket(world.upstream.tick(), (f"printer {record_id}",))
    world.chain.sync(world.windows)
    world.chain.stream = replace(world.chain.stream, collection="moved", model="hash-16")
    world.chain.sync(world.windows, sweep=True)
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("scanner 1",))
    ticket = world.upstream.tickets["2"]
    world.upstream.tickets["2"] = edited(ticket, deleted=True, modified_at=world.upstream.tick())
    world.chain.sync(world.windows)
    found = search(
        world.chain.services, "printer", tenant=world.tenant, audience=Audience(visibility=Visibility.INTERNAL)
    )
    assert [hit.text for hit in found] == ["scanner 1"]


def test_a_rewound_record_reaches_a_store_that_was_down(new_world: NewWorld) -> None:
    world = new_world()
    world.now_in(1)
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("newer",))
    world.chain.sync(world.windows)
    world.upstream.tickets["1"] = Ticket(START, ("restored from a backup",))
    store: Any = world.chain.services.store(world.store)
    store.upsert = store.delete = _down
    with pytest.raises(StoreError):
        world.chain.sync(world.windows, sweep=True)
    del store.upsert, store.delete
    world.chain.sync(world.windows, sweep=True)
    world.assert_converged()


def test_an_old_batch_does_not_bring_back_what_a_store_never_had(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("soon gone",))
    context = world.chain.context()
    raw, _ = extract_raw(context, world.windows, RawOptions())
    documents, _ = make_documents(context, raw)
    chunks, _ = make_chunks(context, documents)
    old, _ = make_embeddings(context, chunks)
    ticket = world.upstream.tickets["1"]
    world.upstream.tickets["1"] = edited(ticket, deleted=True, modified_at=world.upstream.tick())
    world.chain.sync(world.windows)
    apply_to_store(context, world.store, old)
    world.assert_converged()


def test_an_older_copy_takes_no_record_out_of_quarantine(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("good",))
    world.chain.sync(world.windows[:1])
    with TemporaryDirectory() as folder_name:
        folder: Any = type("Folder", (), {"name": folder_name})
        old = world.chain.stored_raw(world.windows[:1], folder)
        assert old is not None
        world.now_in(1)
        world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("poison",))
        world.chain.sync(world.windows[1:2])
        world.chain.replay(old)
    assert [record.record_id for record in world.chain.services.ledger.quarantined(world.tenant)] == ["1"]


def test_a_limited_sync_moves_no_watermark_and_the_next_one_fetches_the_rest(
    new_world: NewWorld,
) -> None:
    world = new_world()
    for number in range(5):
        world.upstream.tickets[str(number)] = Ticket(world.upstream.tick(), (f"text {number}",))
    reports = world.chain.sync(world.windows, limit=2)
    ref = world.chain.stream.of(world.tenant)
    assert reports["raw"].total("records") == 2
    assert world.chain.services.ledger.watermark(ref, world.store) is None
    states = world.chain.services.ledger.window_states(ref, "raw", [world.windows[0].window])
    assert not states[world.windows[0].window].complete
    world.chain.sync(world.windows)
    world.assert_converged()
    assert world.chain.services.ledger.watermark(ref, world.store) is not None


def test_todays_window_is_continued_from_the_last_fetch_and_merged(new_world: NewWorld) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("early",))
    world.upstream.tick(DAY / 4)
    world.chain.sync(world.windows[:1])
    world.upstream.tick(DAY / 4)
    world.upstream.tickets["2"] = Ticket(world.upstream.tick(), ("late",))
    fetched: list[str] = []
    source = type(world.chain.services.tenants.open("freshdesk", world.tenant))
    original = source.extract

    def counted(self: Any, stream: str, since: Any, until: Any) -> Any:
        for record in original(self, stream, since, until):
            fetched.append(record.record_id)
            yield record

    source.extract = counted
    try:
        reports = world.chain.sync(world.windows[:1])
    finally:
        source.extract = original
    assert fetched == ["2"]
    assert reports["raw"].total("records") == 2, "the record that was stored before is carried over"
    world.assert_converged()
