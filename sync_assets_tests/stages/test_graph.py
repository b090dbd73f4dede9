"""The graph's stage behind the others, over a real PostgreSQL: bad documents, damage that a sweep finds, and marks."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from sync_assets.batches import BatchWriter, Partition
from sync_assets.documents import GRAPH_FIELD
from sync_assets.enrichment.summaries import Summaries
from sync_assets.errors import GraphError
from sync_assets.graph import tables as t
from sync_assets.graph.applying import rebuild, settle
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_evidence import evidence_of_edge
from sync_assets.graph.store_nodes import edges, nodes
from sync_assets.io_managers.object_storage import stored_batch
from sync_assets.ledger import QuarantinedRecord
from sync_assets.postgres import database_url
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Report, Stream
from sync_assets.stages.graph import apply_to_graph
from sync_assets_tests.laws.upstream import DAY, START, Chain, Ticket, Upstream, install, window
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stages.telling import LONG_ROLE, TellingTenants, in_graph, living

_numbers = itertools.count()
_WINDOWS = 3


class World:
    """One tenant whose tickets are in the graph alone: there is no store."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.tenant = f"t{next(_numbers)}"
        self.upstream = Upstream()
        install(services, {}, {})
        services.__dict__["tenants"] = TellingTenants({self.tenant: self.upstream})
        stream = Stream("freshdesk", "tickets", "day", (), "none", model="hash-8", chunk_tokens=254, graph="chunks")
        self.chain = Chain(services, stream, lambda: datetime.now(UTC))
        self.ref = stream.of(self.tenant)

    def write(self, record_id: str, number: int, *texts: str, **attributes: Any) -> None:
        """Let a ticket be written upstream in a window."""
        self.upstream.now = max(self.upstream.now + timedelta(minutes=1), START + number * DAY)
        self.upstream.tickets[record_id] = Ticket(self.upstream.now, texts, **attributes)

    def sync(self, *numbers: int, sweep: bool = False) -> tuple[Report, dict[str, Report]]:
        """From upstream into the graph, of these windows or all; the report of the graph, and the others."""
        windows = self.windows(*numbers)
        others = self.chain.sync(windows, sweep=sweep)
        return self.apply(windows), others

    def apply(self, windows: Sequence[Partition]) -> Report:
        """The stored files of windows into the graph."""
        context = self.chain.context()
        upstream = Report.after(context, "chunks", "graph", windows).upstream
        batch = stored_batch(self.services.storage, self.chain.stream.layout("chunks"), windows)
        assert batch is not None
        report = apply_to_graph(context, batch, upstream)
        settle(self.services.graph, self.services.extractor, self.tenant)
        return report

    def rewrite(self, number: int, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Let a window's stored rows be others."""
        (partition,) = self.windows(number)
        layout = self.chain.stream.layout("chunks")
        batch = stored_batch(self.services.storage, layout, [partition])
        assert batch is not None
        table = batch.to_table()
        writer = BatchWriter(layout, batch.schema, [partition])
        writer.write(partition, pa.Table.from_pylist(change(table.to_pylist()), table.schema))
        for path in writer.finish().files.values():
            self.services.storage.put(path, layout.path(partition))

    def windows(self, *numbers: int) -> list[Partition]:
        return [window(self.tenant, number) for number in numbers or range(_WINDOWS)]

    def held(self) -> list[QuarantinedRecord]:
        return self.services.ledger.quarantined(*self.ref)

    def living(self) -> set[str]:
        return living(self.services.graph, self.ref)

    def graph(self) -> tuple[list[Any], list[Any]]:
        with self.services.graph.transaction() as connection:
            return list(nodes(connection, self.tenant)), list(edges(connection, self.tenant))

    def mark(self) -> datetime | None:
        return self.services.ledger.watermark(self.ref, "graph")

    def execute(self, statement: sa.Update | sa.Delete, record_id: str) -> None:
        """Damage the graph's row of a document."""
        of_record = t.documents.c.document_id == f"{self.tenant}_freshdesk_{record_id}"
        with self.services.graph.transaction() as connection:
            assert connection.execute(statement.where(of_record)).rowcount == 1


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with fresh_database(postgres_url) as url:
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=url, sweep_max_delete_share=1.0)  # pyright: ignore[reportArgumentType] a string becomes a secret
        services = Services(settings)
        parts = (services.ledger, services.graph)
        yield services
        for part in parts:
            part.close()


@pytest.fixture
def world(services: Services) -> Iterator[World]:
    kept = {name: getattr(services, name) for name in ("ledger", "storage", "cache")}
    yield World(services)
    services.__dict__.update(kept)


# Bad documents


def test_a_document_that_the_database_refuses_is_quarantined_alone_and_released_once_it_is_mended(
    world: World,
) -> None:
    world.write("1", 0, "printer on fire")
    world.write("2", 0, f"the secret of the {LONG_ROLE}")
    world.write("3", 0, "as #1 and #2 say")
    report, _ = world.sync()
    (held,) = world.held()
    assert (held.stage, held.record_id, held.window) == ("graph", "2", world.windows(0)[0].window)
    assert "too long" in held.reason
    assert "secret" not in held.reason
    assert "rrr" not in held.reason
    assert (report.total("added"), report.total("quarantined"), world.living()) == (2, 1, {"1", "3"})

    world.write("2", 1, "no secret any more")
    world.sync()
    assert (world.held(), world.living()) == ([], {"1", "2", "3"})
    assert {edge.target.rsplit("_", 1)[-1] for edge in world.graph()[1]} == {"1", "2"}


def test_a_page_of_one_bad_document_is_quarantined_and_the_next_run_does_not_repeat_the_others(world: World) -> None:
    world.write("1", 0, LONG_ROLE)
    for _ in range(2):
        report, _ = world.sync(0)
        assert (report.total("quarantined"), world.living()) == (1, set())
    world.write("2", 1, "good")
    assert world.sync(1)[0].total("added") == 1
    assert [held.record_id for held in world.held()] == ["1"]


def test_a_bad_document_that_is_deleted_upstream_leaves_quarantine(world: World) -> None:
    world.write("1", 0, LONG_ROLE)
    world.sync(0)
    world.write("1", 1, deleted=True)
    world.sync(1)
    assert (world.held(), world.living()) == ([], set())


def test_a_stored_row_that_tells_nonsense_is_quarantined_with_the_place_and_without_the_value(world: World) -> None:
    for record_id in ("1", "2", "3"):
        world.write(record_id, 0, f"text {record_id}")
    world.chain.sync(world.windows(0))
    told = orjson.dumps({"entity": {"kind": "ticket", "key": ["a secret"]}, "visibility": "public"}).decode()
    world.rewrite(0, lambda rows: [row | {"graph": told} if row["record_id"] == "2" else row for row in rows])
    world.apply(world.windows(0))
    (held,) = world.held()
    assert (held.record_id, held.stage, held.reason) == ("2", "graph", "entity.key: Input should be a valid string")
    assert world.living() == {"1", "3"}
    world.sync(0)
    assert (world.held(), world.living()) == ([], {"1", "2", "3"})


def test_a_stored_row_that_is_no_json_at_all_costs_only_itself(world: World) -> None:
    world.write("1", 0, "one")
    world.write("2", 0, "two")
    world.chain.sync(world.windows(0))
    world.rewrite(0, lambda rows: [row | {"graph": "{secret"} if row["record_id"] == "2" else row for row in rows])
    world.apply(world.windows(0))
    (held,) = world.held()
    assert held.record_id == "2"
    assert "secret" not in held.reason
    assert world.living() == {"1"}


def test_of_a_record_that_comes_twice_only_the_later_version_counts(world: World) -> None:
    def twice(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (row,) = rows
        before = row["observed_at"] - timedelta(minutes=1)
        return [row | {"observed_at": before, "modified_at": before, GRAPH_FIELD.name: '{"entity": 1}'}, row]

    world.write("1", 0, "in one piece")
    world.chain.sync(world.windows(0))
    world.rewrite(0, twice)
    report = world.apply(world.windows(0))
    assert (report.total("added"), world.held(), world.living()) == (1, [], {"1"})


def test_a_text_with_a_nul_is_in_the_graph_and_a_rebuild_gives_the_same(world: World) -> None:
    world.write("1", 0, "first")
    world.write("2", 0, "second")
    world.write("3", 0, "third")
    world.chain.sync(world.windows(0))
    text = "#1 is \0 broken, see #2"
    world.rewrite(0, lambda rows: [row | {"text": text} if row["record_id"] == "3" else row for row in rows])
    world.apply(world.windows(0))
    assert (world.held(), world.living()) == ([], {"1", "2", "3"})
    before = world.graph()
    with world.services.graph.transaction() as connection:
        found = [row for edge in before[1] for row in evidence_of_edge(connection, world.tenant, edge.key, None)]
    assert {text[slice(*row.span)] for row in found if row.span} == {"#1", "#2"}
    assert rebuild(world.services.graph, world.services.extractor, world.tenant) == 3
    assert world.graph() == before


# Sweeps


def test_a_summary_is_no_evidence(world: World) -> None:
    world.chain.stream = replace(world.chain.stream, summaries=Summaries(max_characters=100))
    said = "The pump of the second floor is as broken as #1 was. "
    world.write("1", 0, "first")
    world.write("2", 0, said * 5)
    _, reports = world.sync(0)
    assert (reports["documents"].total("summarised"), reports["chunks"].total("chunks")) == (1, 3)
    with world.services.graph.transaction() as connection:
        found = [row for edge in world.graph()[1] for row in evidence_of_edge(connection, world.tenant, edge.key, None)]
    assert len(found) > 0
    assert "summary" not in {row.place for row in found}


def test_a_sweep_finds_what_the_graph_lacks_has_older_or_keeps_alive_and_fetches_nothing_else(world: World) -> None:
    for record_id in ("1", "2", "3", "4"):
        world.write(record_id, 0, f"text {record_id}")
    world.write("3", 1, deleted=True)
    world.sync()
    sound = in_graph(world.services.graph, world.ref), world.graph()
    world.execute(sa.delete(t.documents), "1")
    earlier = t.documents.c.modified_at - timedelta(days=1)
    world.execute(sa.update(t.documents).values(modified_at=earlier, applied_digest="older"), "2")
    world.execute(sa.update(t.documents).values(deleted=False, applied_digest="older"), "3")

    report, others = world.sync(2, sweep=True)
    assert (others["raw"].problems, others["raw"].total("records")) == ([], 3)
    assert (report.total("added"), report.total("changed"), report.total("deleted")) == (1, 1, 1)
    assert (in_graph(world.services.graph, world.ref), world.graph()) == sound
    _, others = world.sync(2, sweep=True)
    assert others["raw"].total("records") == 0


def test_a_sweep_without_the_graph_s_database_mends_the_rest_and_says_that_the_graph_was_left_alone(
    world: World,
) -> None:
    world.write("1", 0, "one")
    world.write("2", 0, "two")
    world.sync()
    world.upstream.tickets["1"] = Ticket(world.upstream.now, ("one",), deleted=True, listed_as_deleted=False)
    graph = world.services.__dict__.pop("graph")
    settings = world.services.settings
    world.services.settings = settings.model_copy(
        update={"graph_url": Settings(graph_url="postgresql://nobody@127.0.0.1:1/none").graph_url}  # pyright: ignore[reportArgumentType]
    )
    reports = world.chain.sync(world.windows(2), sweep=True)
    world.services.__dict__["graph"] = graph
    world.services.settings = settings
    (problem,) = reports["raw"].problems
    assert f"{world.tenant}: the sweep of freshdesk/tickets left the graph alone" in problem
    assert reports["documents"].total("deleted") == 1
    assert world.living() == {"1", "2"}
    world.sync(2, sweep=True)
    assert world.living() == {"2"}


# Marks


def test_the_mark_follows_the_windows_that_are_in_the_graph(world: World) -> None:
    world.write("1", 0, "one")
    world.sync(0)
    assert world.mark() == START + DAY
    world.sync(2)
    assert world.mark() == START + DAY, "window 1 lies between"
    world.sync(1, 2)
    assert world.mark() == START + 3 * DAY


def test_a_mark_does_not_begin_after_windows_that_never_came_into_the_graph(world: World) -> None:
    for number in range(_WINDOWS):
        world.write(str(number), number, f"text {number}")
    world.chain.sync(world.windows())
    world.sync(2)
    assert (world.living(), world.mark()) == ({"2"}, None)
    world.sync()
    assert (world.living(), world.mark()) == ({"0", "1", "2"}, START + 3 * DAY)


def test_a_database_that_takes_nothing_is_a_failure_and_no_fault_of_the_documents(world: World) -> None:
    for number in range(3):
        world.write(str(number), 0, "printer on fire")
    kept = world.services.graph
    read_only = GraphStore(database_url(world.services.settings))
    event.listen(read_only.engine, "begin", lambda connection: connection.exec_driver_sql("SET TRANSACTION READ ONLY"))
    world.services.__dict__["graph"] = read_only
    try:
        with pytest.raises(GraphError, match="read-only"):
            world.sync()
    finally:
        world.services.__dict__["graph"] = kept
        read_only.close()
    assert (world.held(), world.mark()) == ([], None)
    world.sync()
    assert world.living() == {"0", "1", "2"}


def test_a_graph_that_was_lost_is_filled_again_from_the_start(world: World) -> None:
    world.write("1", 0, "printer on fire")
    world.write("2", 1, "no heat")
    world.sync()
    assert world.mark() is not None
    world.services.graph.forget(world.tenant)
    world.write("3", 2, "the valve leaks")
    world.sync(2)
    assert world.living() == {"3"}
    assert world.mark() is None, "older windows are lacking"
    assert world.services.ledger.first_missing(world.ref, "graph") == world.windows(0)[0].window
    world.sync()
    assert world.living() == {"1", "2", "3"}
    assert world.mark() is not None


def test_a_repeated_run_has_the_data_version_of_the_first(world: World) -> None:
    world.write("1", 0, "printer on fire")
    world.chain.sync(world.windows(0))
    world.write("1", 1, "printer on fire again")
    world.chain.sync(world.windows(1))
    first, second = (world.apply(world.windows(0, 1)) for _ in range(2))
    assert second.total("stale") > 0
    assert first.data_version == second.data_version
