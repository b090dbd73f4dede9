"""Loading a seed folder into a tenant's tables.

What belongs here: the schema, the order, the writing and the counting. Which rows are written is in `planning.py`.

Each table is a transaction of its own, and one load of a tenant waits for the other. A batch that the database refuses
is written again row by row, so that the row at fault is alone with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.dml import ReturningInsert

from sync_assets.errors import LedgerError, SettingsError
from sync_assets.support_database.planning import Aliases, plan_rows
from sync_assets.support_database.report import LoadReport, RejectedRow, TableReport
from sync_assets.support_database.rows import Row
from sync_assets.support_database.seed import Seed, read_seed
from sync_assets.support_database.tables import TABLES, conversations, messages, metadata, schema_of

_BATCH_ROWS = 500

_TOUCH = """
    CREATE OR REPLACE FUNCTION {schema}.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.updated_at <= OLD.updated_at THEN
            NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
        END IF;
        RETURN NEW;
    END $$
"""
_TRIGGER = """
    CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON {schema}.{table}
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.touch_updated_at()
"""


def load(
    engine: sa.Engine,
    tenant: str,
    folder: Path,
    *,
    tables: Iterable[str] | None = None,
    reset: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> LoadReport:
    """Load the rows of a folder that are missing in the tenant's tables or differ there.

    Rows that the folder has not, and columns that a row has not, stay as they are. A later `updated_at` of a row in the
    folder is kept; else the trigger moves it.

    Args:
        tables: names of those to load; default all. What was merged in their parents is known all the same.
        reset: drop the tenant's schema with all its tables first.
        dry_run: do everything in one transaction, and take it back.
        on_progress: called with a table, and how many of how many of its rows are done.

    Returns:
        For each loaded table what became of each row.

    Raises:
        SettingsError: the folder, the tenant's name or a table's does not exist.
        LedgerError: the database can't be reached, or another load did not end in time.
    """
    schema = schema_of(tenant)
    names = frozenset(table.name for table in TABLES)
    wanted = names if tables is None else frozenset(tables)
    if wanted - names:
        raise SettingsError(f"Unknown table {min(wanted - names)!r}.", f"Tables are: {', '.join(sorted(names))}.")
    seed = read_seed(folder, names)
    report = LoadReport(tenant, notices=seed.notices)
    with _only_load(engine, schema) as connection, _taken_back(connection) if dry_run else nullcontext():
        step = connection.begin_nested if dry_run else connection.begin
        with step():
            if reset:
                connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
            _create(connection, schema)
        aliases: Aliases = {}
        needed = _with_ancestors(wanted)
        for table in TABLES:
            if table.name in wanted:
                with step():
                    report.tables[table.name] = _load_table(connection, table, seed, aliases, on_progress)
            elif table.name in needed:
                with step():
                    plan_rows(connection, table, seed.rows.get(table.name, []), aliases)
    return report


def _load_table(
    connection: sa.Connection,
    table: sa.Table,
    seed: Seed,
    aliases: Aliases,
    on_progress: Callable[[str, int, int], None] | None,
) -> TableReport:
    seed_rows = seed.rows.get(table.name, [])
    plan = plan_rows(connection, table, seed_rows, aliases)
    report = TableReport(read=len(seed_rows), merged=plan.merged, rejected=plan.rejected, notices=plan.notices)
    done = report.read - len(plan.accepted)
    remaining = iter(plan.accepted)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        for columns, rows in groupby(sorted(batch, key=_columns), key=_columns):
            _write(connection, _upsert(table, columns), list(rows), report)
        done += len(batch)
        if on_progress is not None:
            on_progress(table.name, done, report.read)
    if table is messages:
        _report_silent(connection, report)
    _number_ids(report)
    return report


# Writing


def _columns(row: Row) -> tuple[str, ...]:
    return tuple(sorted(row.values))


def _upsert(table: sa.Table, columns: Sequence[str]) -> ReturningInsert[bool]:
    """Insert a row, or change the stored one where it differs in these columns; returns only what was written."""
    statement = insert(table)
    new = statement.excluded
    compared = [name for name in columns if name not in ("id", "updated_at")]
    changes: dict[str, Any] = {name: new[name] for name in compared}
    differs = [table.c[name].is_distinct_from(new[name]) for name in compared]
    if "updated_at" in columns:
        changes["updated_at"] = sa.func.greatest(table.c.updated_at, new.updated_at)
        differs.append(new.updated_at > table.c.updated_at)
    return statement.on_conflict_do_update(index_elements=["id"], set_=changes, where=sa.or_(*differs)).returning(
        sa.literal_column("xmax = 0", sa.Boolean)
    )


def _write(connection: sa.Connection, statement: ReturningInsert[bool], rows: list[Row], report: TableReport) -> None:
    try:
        with connection.begin_nested():
            added = list(connection.scalars(statement, [row.values for row in rows]))
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise
        if len(rows) > 1:
            for row in rows:
                _write(connection, statement, [row], report)
            return
        reason = str(error.orig).strip().splitlines()[0]
        report.rejected.append(RejectedRow(rows[0].place, rows[0].row_id, f"the database refused it: {reason}"))
        return
    report.added += sum(added)
    report.changed += len(added) - sum(added)
    report.unchanged += len(rows) - len(added)


# Reporting


def _report_silent(connection: sa.Connection, report: TableReport) -> None:
    silent = sa.select(sa.func.count()).where(~sa.exists().where(messages.c.conversation_id == conversations.c.id))
    if count := connection.scalar(silent.select_from(conversations)):
        report.notices.append(f"{count} of the conversations have no message")


def _number_ids(report: TableReport) -> None:
    """Give every rejected row an id of its own: rows that share one carry their place too."""
    seen: set[str] = set()
    for number, row in enumerate(report.rejected):
        if row.row_id in seen:
            report.rejected[number] = row._replace(row_id=f"{row.row_id} ({row.place})")
        seen.add(row.row_id)


def _with_ancestors(names: frozenset[str]) -> set[str]:
    """These tables and all that their rows refer to, directly or not."""
    needed = set(names)
    for table in reversed(TABLES):
        if table.name in needed:
            needed |= {key.column.table.name for key in table.foreign_keys}
            needed |= {column.info["ids_of"] for column in table.columns if "ids_of" in column.info}
    return needed


# The schema


def _create(connection: sa.Connection, schema: str) -> None:
    """Make the schema and those of its tables that are missing."""
    connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    present = set(sa.inspect(connection).get_table_names(schema))
    missing = [table for table in TABLES if table.name not in present]
    if not missing:
        return
    metadata.create_all(connection, missing)
    quote = connection.dialect.identifier_preparer.quote_identifier
    connection.exec_driver_sql(_TOUCH.format(schema=quote(schema)))
    for table in missing:
        connection.exec_driver_sql(_TRIGGER.format(schema=quote(schema), table=quote(table.name)))


@contextmanager
def _only_load(engine: sa.Engine, schema: str) -> Iterator[sa.Connection]:
    """A connection to the tenant's schema that no other load has at the same time; outside a transaction."""
    key = {"key": f"support database {schema}"}
    options: dict[str, Any] = {"schema_translate_map": {None: schema}}
    with _errors(), engine.connect().execution_options(**options) as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), key)
        connection.commit()
        try:
            yield connection
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), key)
            connection.commit()


@contextmanager
def _taken_back(connection: sa.Connection) -> Iterator[None]:
    with connection.begin() as transaction:
        yield
        transaction.rollback()


@contextmanager
def _errors() -> Iterator[None]:
    """Faults of the database as `LedgerError`; of the driver's text, which may quote values, only the first line."""
    try:
        yield
    except DBAPIError as error:
        line = str(error.orig).strip().splitlines()[0]
        if "lock timeout" in line:
            raise LedgerError(
                "Another load of the support database has not ended yet.",
                "Wait for it to end, or raise SYNC_ASSETS_LOCK_TIMEOUT.",
            ) from None
        raise LedgerError(
            f"The support database can't be loaded: {line}.", "Check SYNC_ASSETS_DATABASE_URL and the server's log."
        ) from None
