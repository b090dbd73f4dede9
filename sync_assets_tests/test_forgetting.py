"""Forgetting: nothing of a document is found anywhere afterwards, everything else stays, and it stays away."""

import gzip
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress as ignored
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from sync_assets.batches import Batch
from sync_assets.errors import SettingsError
from sync_assets.forgetting import Documents, Outcome, document_places, erase, tenant_places, traces
from sync_assets.forgetting.graph import documents_in_graph
from sync_assets.forgetting.stores import documents_in_stores
from sync_assets.forgetting.tombstones import expired_tombstones
from sync_assets.ledger.forgotten import readmit, suppress
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets.storage import Storage
from sync_assets_tests.conftest import BUCKET
from sync_assets_tests.laws.upstream import DAY, START, Chain, Crash, Fuse, Ticket, Upstream, edited, install, window
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES

pytestmark = pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode):UserWarning")

TENANTS = ("acme", "polder")
MARKER = "zebrafinch"
SECRET = f"the {MARKER} sings at night"
DOCUMENT = "acme_freshdesk_2"
WINDOWS = 3


class World:
    """Two tenants with three tickets each; acme's second one says the marker, and was edited on another day.

    Args:
        store: a name of `STORES`.
    """

    def __init__(self, services: Services, store: str, opened: Any) -> None:
        self.services = services
        self.store = store
        self.upstreams = {tenant: Upstream() for tenant in TENANTS}
        self.fuse: Fuse = install(services, self.upstreams, {store: opened})
        self.stream = Stream("freshdesk", "tickets", "day", (store,), "forgetting", model="hash-8", chunk_tokens=64)
        self.chains = {tenant: Chain(services, self.stream, self.upstreams[tenant].tick) for tenant in TENANTS}
        for tenant, upstream in self.upstreams.items():
            said = SECRET if tenant == "acme" else "a finch sings"
            upstream.tickets = {
                "1": Ticket(START + timedelta(hours=1), ("the pump leaks", "shared by two")),
                "2": Ticket(START + timedelta(hours=2), (said, "shared by two")),
                "3": Ticket(START + DAY, ("the valve is stuck",)),
            }
            upstream.now = START + DAY + timedelta(hours=2)
            self.sync(tenant)
            second = upstream.tickets["2"]
            texts = (*second.texts, f"once more: {said}")
            upstream.tickets["2"] = edited(second, texts=texts, modified_at=START + DAY + timedelta(hours=3))
            upstream.now = START + 2 * DAY
            # The window of the first version keeps its files.
            self.chains[tenant].sync([window(tenant, 1)])

    def sync(self, tenant: str = "acme") -> dict[str, Any]:
        return self.chains[tenant].sync([window(tenant, number) for number in range(WINDOWS)], sweep=True)

    def delete_in_silence(self) -> Upstream:
        """Let acme's second ticket be gone upstream, and a sweep find that out; earlier windows keep their files."""
        upstream = self.upstreams["acme"]
        upstream.tickets["2"] = edited(upstream.tickets["2"], deleted=True, listed_as_deleted=False)
        self.chains["acme"].sync([window("acme", 2)], sweep=True)
        return upstream

    def stored(self, tenant: str = "acme") -> dict[str, tuple[str, str]]:
        return self.chains[tenant].stored(self.store, tenant)

    def forget(self) -> list[Outcome]:
        documents = Documents.of("acme", [DOCUMENT])
        suppress(self.services.ledger, "acme", documents.ids)
        return erase(document_places(self.services, documents))

    def assert_converged(self, *without: str) -> None:
        """The stores hold what a rebuild gives, of acme without some documents."""
        for tenant in TENANTS:
            expected = self.chains[tenant].expected(tenant, self.upstreams[tenant])
            wanted = {key: value for key, value in expected.items() if value[0] not in without}
            assert self.stored(tenant) == wanted

    def old_raw(self) -> Callable[[], dict[str, Any]]:
        """A run that has read the raw files as they are now, and goes on when it is called."""
        folder = TemporaryDirectory()
        found: dict[Any, Path] = {}
        for number in range(WINDOWS):
            place = window("acme", number)
            path = self.services.storage.get(self.stream.layout("raw").path(place), Path(folder.name))
            if path is not None:
                found[place] = Path(folder.name) / f"{number}.jsonl.gz"
                found[place].write_bytes(path.read_bytes())
        batch = Batch(found, self.stream.layout("raw"), folder)
        return lambda: self.chains["acme"].replay(batch)


@pytest.fixture
def make_services(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., Services]]:
    """Makes one installation with a database of its own."""
    with fresh_database(postgres_url) as url:
        opened: list[Services] = []

        def make(**settings: Any) -> Services:
            values = {"home": tmp_path, "database_url": url, "model": "hash-8", "sweep_max_delete_share": 1.0}
            services = Services(Settings(**{**values, **settings}))
            opened.append(services)
            return services

        yield make
        for services in opened:
            services.__dict__.pop("_stores", None)
            services._stores = {}
            services.close()


@pytest.fixture(params=STORES)
def world(request: pytest.FixtureRequest, make_services: Callable[..., Services], tmp_path: Path) -> Iterator[World]:
    opened = STORES[request.param](request, tmp_path / "store")
    yield World(make_services(), request.param, opened)
    opened.close()


@pytest.fixture
def new_world(
    request: pytest.FixtureRequest, make_services: Callable[..., Services], tmp_path: Path
) -> Iterator[Callable[..., World]]:
    """Makes a world with one cheap store."""
    opened = STORES["qdrant_edge"](request, tmp_path / "store")
    yield lambda **settings: World(make_services(**settings), "qdrant_edge", opened)
    opened.close()


def rows_with(engine: sa.Engine, text: str) -> list[str]:
    """Tables of a database with a row in which a text stands, whatever the column."""
    return [table for table, rows in all_rows(engine).items() if any(text in row for row in rows)]


def polder_rows(engine: sa.Engine) -> dict[str, list[str]]:
    """The rows of the other tenant, by table, with the transactions that wrote them."""
    found = {table: [row for row in rows if "polder" in row] for table, rows in all_rows(engine).items()}
    return {table: rows for table, rows in found.items() if rows}


def all_rows(engine: sa.Engine) -> dict[str, list[str]]:
    """Every row of every table of a database as a text, by table."""
    tables = sa.text("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|info)'")
    with engine.connect() as connection:
        return {
            table: sorted(connection.scalars(sa.text(f"SELECT r.xmin::text || r::text FROM {table} AS r")))
            for table in connection.scalars(tables).all()
        }


def polder_files(storage: Storage) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        found = {stored.key: storage.get(stored.key, Path(folder)) for stored in storage.list("polder/")}
        return {key: path.read_bytes() for key, path in found.items() if path is not None}


def files_with(storage: Storage, text: str) -> list[str]:
    """Keys of the files in which a text stands, as they read when they are unpacked."""
    found = []
    with TemporaryDirectory() as folder:
        for stored in storage.list(""):
            path = storage.get(stored.key, Path(folder))
            assert path is not None
            if text in _unpacked(path):
                found.append(stored.key)
    return found


def _unpacked(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode(errors="replace")


def states(world: World, stage: str) -> dict[str, Any]:
    names = [window("acme", number).window for number in range(WINDOWS)]
    return world.services.ledger.window_states(world.stream.of("acme"), stage, names)


def test_a_forgotten_document_is_nowhere_the_rest_is_as_it_was_and_it_stays_away_until_undone(world: World) -> None:
    goes_on = world.old_raw()
    kept = {key: value for key, value in world.stored().items() if value[0] != DOCUMENT}
    polder = world.stored("polder")
    files, rows = polder_files(world.services.storage), polder_rows(world.services.ledger.engine)
    assert len(files_with(world.services.storage, MARKER)) == 2 * 4  # two windows, four stages
    assert rows_with(world.services.ledger.engine, MARKER)

    outcomes = {outcome.place: outcome for outcome in world.forget()}

    assert [outcome.left for outcome in outcomes.values()] == [0] * len(outcomes)
    assert outcomes["files"].erased == 2 * 4
    assert all(outcome.erased for place, outcome in outcomes.items() if "forgetting" in place)
    assert outcomes["ledger"].erased == 3  # its version, its body, and what the store has of it
    assert files_with(world.services.storage, MARKER) == []
    assert files_with(world.services.storage, DOCUMENT) == []
    assert rows_with(world.services.ledger.engine, MARKER) == []
    assert rows_with(world.services.ledger.engine, DOCUMENT) == []
    assert world.stored() == kept
    assert world.stored("polder") == polder
    assert polder_files(world.services.storage) == files
    assert polder_rows(world.services.ledger.engine) == rows

    # A sweep finds it upstream, and a run that was on its way has read it already.
    for run in (goes_on, world.sync):
        reports = run()
        assert reports["embeddings"].total("embedded") == 0
        world.assert_converged(DOCUMENT)
        assert files_with(world.services.storage, MARKER) == []
        assert rows_with(world.services.ledger.engine, DOCUMENT) == []
    assert reports["raw"].problems == []

    assert readmit(world.services.ledger, "acme", [DOCUMENT]) == {DOCUMENT}
    world.sync()
    world.assert_converged()


def test_a_cached_vector_goes_where_no_other_document_has_its_text(new_world: Callable[..., World]) -> None:
    world = new_world()
    query = sa.text("SELECT count(*) FROM sync_assets.embedding_cache WHERE tenant = :tenant")

    def cached(tenant: str) -> int:
        with world.services.ledger.transaction() as connection:
            return connection.scalar(query, {"tenant": tenant}) or 0

    before, polder = cached("acme"), cached("polder")
    hashes = {value for document, value in world.stored().values() if document != DOCUMENT}
    world.forget()
    # Of the old version and the new: two texts were its own, one is ticket 1's too.
    assert cached("acme") == len(hashes) < before
    assert cached("polder") == polder
    assert world.sync()["embeddings"].total("embedded") == 0


def test_the_ledger_describes_the_files_without_it_as_if_they_had_never_held_it(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    world.forget()
    after = {stage: states(world, stage) for stage in ("raw", "documents", "chunks", "embeddings")}
    world.sync()
    for stage, found in after.items():
        again = states(world, stage)
        assert {name: (state.digest, state.rows) for name, state in found.items()} == {
            name: (again[name].digest, again[name].rows) for name in found
        }, stage


@pytest.mark.parametrize("broken_off", [(1, 4, 8), pytest.param(range(12), marks=pytest.mark.slow)])
def test_one_that_broke_off_anywhere_is_finished_by_the_next(
    new_world: Callable[..., World], broken_off: Sequence[int]
) -> None:
    world = new_world()
    for writes in broken_off:
        world.fuse.left = writes
        with ignored(Crash):
            world.forget()
    world.fuse.left = None
    assert sum(outcome.left for outcome in world.forget()) == 0
    assert files_with(world.services.storage, MARKER) == []
    world.sync()
    world.assert_converged(DOCUMENT)


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_files_in_a_bucket_are_written_anew_without_it(new_world: Callable[..., World], s3_url: str) -> None:
    world = new_world(storage_uri=f"s3://{BUCKET}/files", s3_endpoint_url=s3_url)
    assert files_with(world.services.storage, MARKER)
    world.forget()
    assert files_with(world.services.storage, MARKER) == []
    assert world.sync()["embeddings"].total("embedded") == 0
    world.assert_converged(DOCUMENT)


def test_a_tombstone_goes_together_with_the_old_copies_that_it_kept_from_coming_back(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    upstream = world.delete_in_silence()
    seen = upstream.now
    assert files_with(world.services.storage, MARKER)
    assert list(expired_tombstones(world.services, seen - DAY)) == []

    (expired,) = expired_tombstones(world.services, seen + DAY)
    assert expired == Documents("acme", frozenset({DOCUMENT}))
    assert sum(outcome.left for outcome in erase(document_places(world.services, expired))) == 0
    assert list(expired_tombstones(world.services, seen + DAY)) == []

    assert files_with(world.services.storage, MARKER) == []
    world.old_raw()()
    world.assert_converged()
    world.sync()
    world.assert_converged()


def test_a_tombstone_stays_while_a_store_has_not_followed_it(new_world: Callable[..., World]) -> None:
    world = new_world()
    upstream = world.delete_in_silence()
    with world.services.ledger.transaction() as connection:
        connection.execute(
            sa.text("UPDATE sync_assets.collection_documents SET dirty = true WHERE document_id = :one"),
            {"one": DOCUMENT},
        )
    assert list(expired_tombstones(world.services, upstream.now + DAY)) == []


def test_a_record_that_is_asked_for_by_id_is_not_fetched_and_the_run_says_why(new_world: Callable[..., World]) -> None:
    world = new_world()
    world.forget()
    _, report = extract_raw(world.chains["acme"].context(), [window("acme", 2)], RawOptions(records=["1", "2"]))
    assert report.total("records") == 1
    assert [problem for problem in report.problems if "record '2' was forgotten" in problem] == report.problems != []


def test_of_a_whole_tenant_nothing_is_left_and_the_other_is_as_it_was(new_world: Callable[..., World]) -> None:
    world = new_world()
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("freshdesk_tenants", "graph_tenants"):
            instance.add_dynamic_partitions(name, list(TENANTS))
        with world.services.ledger.transaction() as connection:
            connection.execute(sa.text("CREATE SCHEMA support_acme"))
            connection.execute(sa.text("CREATE TABLE support_acme.customers AS SELECT 'ocelot' AS name"))
        polder, files = world.stored("polder"), polder_files(world.services.storage)
        rows = polder_rows(world.services.ledger.engine)

        outcomes = erase(tenant_places(world.services, instance, "acme"))

        assert [outcome.place for outcome in outcomes if outcome.left] == []
        assert [outcome.place for outcome in outcomes if not outcome.erased] == ["previews in Dagster", "graph"]
        assert list(instance.get_dynamic_partitions("freshdesk_tenants")) == ["polder"]
        assert list(instance.get_dynamic_partitions("graph_tenants")) == ["polder"]
    assert list(world.services.storage.list("acme/")) == []
    assert rows_with(world.services.ledger.engine, "acme") == rows_with(world.services.ledger.engine, "ocelot") == []
    assert world.stored() == {}
    assert (world.stored("polder"), polder_files(world.services.storage)) == (polder, files)
    assert polder_rows(world.services.ledger.engine) == rows


def test_more_documents_than_a_statement_takes_parameters_are_searched_and_erased(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    many = Documents("acme", frozenset([DOCUMENT, *(f"acme_freshdesk_x{number}" for number in range(70_000))]))
    places = [documents_in_graph(world.services, many), *documents_in_stores(world.services, many)]
    assert [outcome.left for outcome in erase(places)] == [0, 0]
    assert DOCUMENT not in {document for document, _ in world.stored().values()}


def test_results_of_checks_of_a_whole_store_are_searched_though_their_run_names_no_tenant(tmp_path: Path) -> None:
    def of_a_store(source: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=dg.AssetKey([source, "tickets", "qdrant"]), name=f"{source}_audit")
        def check() -> dg.AssetCheckResult:
            shown = dg.MetadataValue.md(f"- acme missing: {source} {MARKER}")
            return dg.AssetCheckResult(passed=False, metadata={"cases": shown, "failing": 1})

        return check

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        definitions = dg.Definitions(
            asset_checks=[of_a_store("freshdesk"), of_a_store("slack")],
            jobs=[dg.define_asset_job("audit", dg.AssetSelection.all_asset_checks())],
        )
        definitions.resolve_job_def("audit").execute_in_process(instance=instance)
        documents = Documents.of("acme", [DOCUMENT])

        assert dagster_shows(tmp_path, f"freshdesk {MARKER}")
        (outcome,) = erase(traces(instance, documents))
        assert (outcome.erased > 0, outcome.left) == (True, 0)
        assert not dagster_shows(tmp_path, f"freshdesk {MARKER}")
        assert dagster_shows(tmp_path, f"slack {MARKER}")


def dagster_shows(folder: Path, text: str) -> bool:
    """Whether a text stands in any of Dagster's databases."""
    found = False
    for path in folder.rglob("*.db"):
        with sqlite3.connect(path) as connection:
            found |= any(text in line for line in connection.iterdump())
    return found


@pytest.mark.parametrize("given", ["4711", "polder_freshdesk_2", "acme_freshdesk", "acme_freshdesk_", "acme_a_b_c"])
def test_what_is_no_id_of_the_tenant_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="no document id of acme"):
        Documents.of("acme", [given])
