"""A rehearsal writes nothing, and the sync that follows it does what it told."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.embedding.missing import MissingTexts
from sync_assets.ledger import tables as t
from sync_assets.ledger.rehearsal import RehearsalLedger
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Context, Report
from sync_assets.stages.raw import RawOptions
from sync_assets.stages.rehearsal import Rehearsed, rehearse
from sync_assets_tests.laws.test_convergence import WINDOWS, World, actions, play
from sync_assets_tests.laws.upstream import Ticket, edited
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES

STORE = "pgvector"
RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
EVERYWHERE = ("added", "changed", "deleted", "unchanged", "stale")
COUNTS = {
    "raw": ("records", "live", "deleted", "malformed"),
    "documents": (*EVERYWHERE, "documents", "quarantined"),
    "chunks": ("documents", "chunks", "quarantined"),
    STORE: (*EVERYWHERE, "documents", "chunks", "written", "payloads", "removed"),
}


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home: Path = tmp_path_factory.mktemp("rehearsal")
    with fresh_database(postgres_url) as url:
        services = Services(Settings(home=home, database_url=url, sweep_max_delete_share=1.0))  # pyright: ignore
        ledger = services.ledger
        yield services
        ledger.close()


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = STORES[STORE](request, tmp_path_factory.mktemp(STORE))
    yield opened
    opened.close()


@pytest.fixture
def new_world(services: Services, store: Any) -> Iterator[Callable[[], World]]:
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}

    def make() -> World:
        services.__dict__.update(kept)
        return World(services, STORE, store)

    yield make
    services.__dict__.update(kept)


def rehearsed(world: World, sweep: bool) -> Rehearsed:
    chain = world.chain
    with chain.services.ledger.session() as session:
        services = Services(chain.services.settings)
        services.__dict__.update(chain.services.__dict__)
        services.ledger = RehearsalLedger(chain.services.ledger, session)
        context = Context(services, chain.stream, clock=chain.clock, spared=Counter())
        return rehearse(context, world.windows, RawOptions(sweep=sweep), MissingTexts(session))


def counts(reports: dict[str, Report]) -> dict[str, dict[str, int]]:
    return {stage: {name: reports[stage].total(name) for name in names} for stage, names in COUNTS.items()}


def state(world: World) -> list[Any]:
    """Every row of the tenant, with the transaction that wrote it; its files; and what the store lists."""
    found: list[Any] = [sorted(world.chain.stored(STORE, world.tenant).items())]
    with world.chain.services.ledger.transaction() as connection:
        for table in t.metadata.sorted_tables:
            if "tenant" in table.columns:
                query = sa.select(sa.literal_column("xmin::text"), table).where(table.c.tenant == world.tenant)
                found += sorted(map(str, connection.execute(query)))
    folder = world.chain.services.settings.home / "storage" / world.tenant
    return found + [(path, path.read_bytes()) for path in sorted(folder.rglob("*.*"))]


def check(world: World, sweep: bool) -> dict[str, Report]:
    """Rehearse a sync, find nothing written, and run it; both counted the same."""
    before = state(world)
    told = rehearsed(world, sweep)
    assert state(world) == before
    reports = world.chain.sync(world.windows, sweep=sweep)
    assert counts(told.reports) == counts(reports)
    assert told.texts.texts == reports["embeddings"].total("embedded")
    return reports


@settings(max_examples=10, deadline=None, suppress_health_check=RELAXED)
@given(history=st.lists(actions, max_size=12), sweep=st.booleans())
def test_after_a_history_a_sync_does_what_its_rehearsal_told(
    new_world: Callable[[], World], history: list[tuple[Any, ...]], sweep: bool
) -> None:
    check_after(new_world(), history, sweep)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=RELAXED)
@given(history=st.lists(actions, max_size=20), sweep=st.booleans())
def test_after_many_histories_a_sync_does_what_its_rehearsal_told(
    new_world: Callable[[], World], history: list[tuple[Any, ...]], sweep: bool
) -> None:
    check_after(new_world(), history, sweep)


def check_after(world: World, history: list[tuple[Any, ...]], sweep: bool) -> None:
    for action in history:
        play(world, action)
    world.now_in(WINDOWS - 1)
    check(world, sweep)


def test_each_kind_of_change_is_told(new_world: Callable[[], World]) -> None:
    world = new_world()
    upstream = world.upstream
    for number in ("1", "2", "3", "4"):
        upstream.tickets[number] = Ticket(upstream.tick(), (f"text {number}", "the same words"))
    first = check(world, sweep=False)
    assert first["embeddings"].total("embedded") == 5
    tickets = upstream.tickets
    tickets["1"] = edited(tickets["1"], modified_at=upstream.tick(), texts=("text 1", "other words"))
    tickets["2"] = edited(tickets["2"], modified_at=upstream.tick(), status="closed")
    tickets["3"] = edited(tickets["3"], modified_at=upstream.tick(), deleted=True)
    tickets["4"] = edited(tickets["4"], modified_at=upstream.tick(), texts=("text 4",))
    second = check(world, sweep=True)
    # Of 1 and 4 all payloads stay; of 2 both change.
    assert counts(second)[STORE] == {
        **dict.fromkeys(COUNTS[STORE], 0),
        "changed": 3,
        "deleted": 1,
        "documents": 3,
        "chunks": 5,
        "written": 1,
        "payloads": 2,
        "removed": 3,
    }


def test_a_store_that_lost_points_is_told_to_be_written_whole(new_world: Callable[[], World], store: Any) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one", "two"))
    check(world, sweep=False)
    registered = world.chain.services.ledger.active_collection(STORE, "laws")
    assert registered is not None
    (lost, *_) = world.chain.stored(STORE, world.tenant)
    store.delete(registered.collection, world.tenant, [lost])
    assert check(world, sweep=False)[STORE].total("written") == 2
    assert check(world, sweep=False)[STORE].total("written") == 0


def test_a_store_that_lost_its_collection_is_told_to_be_written_whole(
    new_world: Callable[[], World], store: Any
) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one", "two"))
    check(world, sweep=False)
    registered = world.chain.services.ledger.active_collection(STORE, "laws")
    assert registered is not None
    with store._transaction() as cursor:
        cursor.execute(f"DROP TABLE vectors.{registered.collection.name}")
    assert rehearsed(world, sweep=False).reports[STORE].total("written") == 2
    assert world.chain.sync(world.windows)[STORE].total("written") == 2


def test_a_rehearsal_waits_for_no_other_process_and_holds_up_none(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("one",))
    ref = world.chain.stream.of(world.tenant)
    with world.chain.services.ledger.lock("documents", *ref):
        assert rehearsed(world, sweep=False).texts.texts == 1


def test_what_would_go_to_quarantine_is_told_and_not_put_there(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.upstream.tickets["1"] = Ticket(world.upstream.tick(), ("poison",))
    assert check(world, sweep=False)["documents"].total("quarantined") == 1
    world.upstream.tickets["1"] = edited(
        world.upstream.tickets["1"], modified_at=world.upstream.tick(), texts=("good",)
    )
    # Listed, and asked for again as one in quarantine: the second finds what the first brought.
    found = counts(check(world, sweep=False))["documents"]
    assert (found["added"], found["unchanged"]) == (1, 1)
