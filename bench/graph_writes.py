"""Writing a graph of 40,000 nodes and 60,000 edges with their evidence, against a bare COPY of the same rows."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from bench.results import Part, Row
from sync_assets.documents import Visibility
from sync_assets.graph import tables as t
from sync_assets.graph.evidence import FIELDS, Evidence
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_evidence import replace_evidence
from sync_assets.graph.store_nodes import refresh, statistics
from sync_assets.paging import pages
from sync_assets.postgres import database_url, stop
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.settings import Settings
from sync_assets_tests import mariadb

TENANT = "acme"
TOLD_AT = datetime(2026, 11, 2, tzinfo=UTC)
_DOCUMENTS, _PEOPLE = 30_000, 10_000
DOCUMENTS_IN_A_TRANSACTION = 2000
ROUNDS = 3

_WRITTEN = (t.nodes, t.edges, t.evidence)


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row]:
    size = _Size(max(20, round(_DOCUMENTS * scale)), max(10, round(_PEOPLE * scale)))
    rounds: list[_Seconds] = []
    for number in range(ROUNDS):
        tell(f"PostgreSQL, round {number + 1} of {ROUNDS}")
        rounds.append(_round(_postgres, _copy, size))
    yield _row("PostgreSQL", size, rounds)
    if mariadb.is_installed():
        tell("MariaDB")
        yield _row("MariaDB", size, [_round(_mariadb, _insert, size)])
    else:
        tell(mariadb.MISSING)


def _row(name: str, size: "_Size", rounds: "list[_Seconds]") -> Row:
    written, bare, alone = map(min, zip(*rounds, strict=True))
    return Row(
        table="Writing a graph with its evidence",
        values={
            "database": name,
            "nodes": size.documents + size.people,
            "edges": size.edges,
            "seconds": written,
            "bare rows, seconds": bare,
            "times these": written / bare,
            "bare nodes and edges alone, seconds": alone,
        },
    )


class _Size(NamedTuple):
    """Documents and people are the nodes; each document has two relations."""

    documents: int
    people: int

    @property
    def edges(self) -> int:
        return 2 * self.documents


class _Seconds(NamedTuple):
    """Of one round: what syncing takes, a bare copy of all rows that it wrote, and of the nodes and edges alone."""

    written: float
    bare: float
    alone: float


def _round(
    database: Callable[[], AbstractContextManager[str]],
    write_bare: Callable[[sa.Connection, sa.Table, list[Any]], None],
    size: _Size,
) -> _Seconds:
    with database() as url, closing(GraphStore(url)) as store:
        store.forget(TENANT)
        batches = pages(range(size.documents), DOCUMENTS_IN_A_TRANSACTION)
        written = sum(_sync(store, numbers, size) for numbers in batches)
        held = _held(store, size)
        alone = _timed(lambda: _write_bare(store, held, (t.nodes, t.edges), write_bare))
        evidence = _timed(lambda: _write_bare(store, held, (t.evidence,), write_bare))
    return _Seconds(written, alone + evidence, alone)


def _held(store: GraphStore, size: _Size) -> dict[sa.Table, list[Any]]:
    """The rows that were written, with an empty bare table for each of their tables."""
    with store.transaction() as connection:
        counts = statistics(connection, TENANT)
        assert (sum(counts.nodes.values()), sum(counts.edges.values())) == (size.documents + size.people, size.edges)
        for table in _WRITTEN:
            connection.execute(sa.text(f"CREATE TABLE bare_{table.name} AS SELECT * FROM {table.name} WHERE false"))
        return {table: [tuple(row) for row in connection.execute(sa.select(table))] for table in _WRITTEN}


def _sync(store: GraphStore, numbers: Sequence[int], size: _Size) -> float:
    """Write what some documents tell; the seconds that it takes."""
    document_ids = [f"{TENANT}_freshdesk_{number}" for number in numbers]
    rows = [row for number in numbers for row in _evidence(number, size)]

    def write() -> None:
        with store.lock(TENANT), store.transaction() as connection:
            refresh(connection, TENANT, replace_evidence(connection, TENANT, document_ids, rows))

    return _timed(write)


def _evidence(number: int, size: _Size) -> Iterator[Evidence]:
    """Of a document: its own node and two relations, to a person and to another document."""
    ticket = _ticket(number)
    person = number % size.people
    creator = Entity(
        kind=NodeKind.PERSON,
        key=f"freshdesk/{person}",
        name=f"Person {person}",
        facts={"email": f"person.{person}@example.test"},
    )
    told: list[tuple[EdgeKind | None, Entity | None]] = [
        (None, None),
        (EdgeKind.CREATED_BY, creator),
        (EdgeKind.MENTIONS, _ticket((number * 7 + 1) % size.documents)),
    ]
    for edge, target in told:
        yield Evidence(
            f"{TENANT}_freshdesk_{number}",
            FIELDS,
            None,
            None,
            "fields/1",
            1.0,
            ticket,
            edge,
            target,
            Visibility.INTERNAL,
            told_at=TOLD_AT,
        )


def _ticket(number: int) -> Entity:
    return Entity(
        kind=NodeKind.TICKET,
        key=f"{TENANT}_freshdesk_{number}",
        name=f"The printer on floor {number % 40} prints nothing since this morning",
        aliases=(f"#{number}",),
        scope="freshdesk",
        facts={"status": "open"},
    )


def _write_bare(
    store: GraphStore,
    held: dict[sa.Table, list[Any]],
    tables: Sequence[sa.Table],
    write: Callable[[sa.Connection, sa.Table, list[Any]], None],
) -> None:
    with store.transaction() as connection:
        for table in tables:
            write(connection, table, held[table])


def _copy(connection: sa.Connection, table: sa.Table, rows: list[Any]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY bare_{table.name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Any]) -> None:
    marks = ", ".join(["%s"] * len(table.columns))
    for page in pages(rows):
        connection.exec_driver_sql(f"INSERT INTO bare_{table.name} VALUES ({marks})", page)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def _postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sync_assets-bench-", ignore_cleanup_errors=True) as folder:
        settings = Settings(home=Path(folder))
        yield database_url(settings)
        stop(settings)


@contextmanager
def _mariadb() -> Iterator[str]:
    with mariadb.running_server() as server:
        with server.engine() as engine, engine.begin() as connection:
            connection.exec_driver_sql("CREATE DATABASE graph CHARACTER SET utf8mb4")
        yield server.admin_url("graph").replace("mysql+pymysql://", "mysql://")


PART = Part(
    "graph_writes",
    "Building the knowledge graph",
    """
The evidence goes through the functions that syncing uses, 2,000 documents in a transaction. It is what makes the nodes
and edges, so the rows that are written are these and its own. The bare rows are copied into tables without an index. Of
three rounds, each in a new database, the shortest time counts for each column. MariaDB has no COPY: its figure, of one
round, is compared with INSERTs of 1,000 rows.
""",
    measure,
)
