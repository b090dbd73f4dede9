"""Many rows at once into a table of the graph: by COPY in PostgreSQL, by INSERTs of many rows in MySQL.

What belongs here: how rows reach a table. What does not: which rows (`store_*.py`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql

# Values in the order of a table's columns.
Row = tuple[Any, ...]

# Ids in one query: enough to make few queries of many, little enough for any server to plan.
PAGE = 1000

_COPIED_AS = {
    sa.Integer: "int4",
    sa.BigInteger: "int8",
    sa.Double: "float8",
    sa.Boolean: "bool",
    sa.LargeBinary: "bytea",
    sa.DateTime: "timestamptz",
}


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Write rows, in place of those that have the same primary key.

    Args:
        rows: values in the order of the table's columns; no two with the same key.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _merge(connection, table, rows)
    else:
        _insert(connection, table, rows)


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """Write rows of which none is in the table.

    Args:
        rows: PostgreSQL takes them in while the next ones are made, so they must not ask the connection for anything.
    """
    if connection.dialect.name == "postgresql":
        with _driver(connection).cursor() as cursor:
            _copy(cursor, table, table.name, rows)
    else:
        _insert(connection, table, rows)


def among(connection: sa.Connection, column: sa.ColumnElement[str], values: Collection[str]) -> sa.ColumnElement[bool]:
    """That a column has one of these values, for which an index is at hand.

    In PostgreSQL they are one parameter, which is much cheaper than many. It comes as a subquery, of which the planner
    takes it that it has few values: with all of them at hand it would rather read the whole table.
    """
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.func.array(_listed(values).scalar_subquery()))
    return column.in_(values)


def one_of(connection: sa.Connection, column: sa.ColumnElement[str], values: Collection[str]) -> sa.ColumnElement[bool]:
    """That a column has one of these values, for rows that another condition finds."""
    return column.in_(_listed(values) if connection.dialect.name == "postgresql" else values)


def make_known(connection: sa.Connection, table: sa.Table) -> None:
    """Gather what PostgreSQL's planner knows of a table, where that is nothing yet: as in a first load.

    It would read all rows of a tenant for each page, until the server gathers it on its own.
    """
    if connection.dialect.name == "postgresql":
        rows = sa.text("SELECT reltuples FROM pg_class WHERE oid = CAST(:name AS regclass)")
        if connection.scalar(rows, {"name": table.name}) <= 0:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def _listed(values: Collection[str]) -> sa.Select[Any]:
    """Values as rows of PostgreSQL."""
    given = sa.cast(sa.literal(orjson.dumps(list(values)).decode()), postgresql.JSON)
    return sa.select(sa.func.json_array_elements_text(given))


def _merge(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """COPY into a temporary table, and from there over what is in the table."""
    names = sql.SQL(", ").join(map(sql.Identifier, table.columns.keys()))
    keys = sql.SQL(", ").join(map(sql.Identifier, table.primary_key.columns.keys()))
    replaced = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in _others(table))
    target = sql.Identifier(table.name)
    with _driver(connection).cursor() as cursor:
        cursor.execute(sql.SQL("CREATE TEMPORARY TABLE staging (LIKE {}) ON COMMIT DROP").format(target))
        _copy(cursor, table, "staging", rows)
        cursor.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM staging ON CONFLICT ({}) DO UPDATE SET {}").format(
                target, names, names, keys, replaced
            )
        )
        cursor.execute("DROP TABLE staging")


def _copy(cursor: psycopg.Cursor[Any], table: sa.Table, name: str, rows: Iterable[Row]) -> None:
    """COPY rows of `table` into the table `name`, which has the same columns."""
    names = sql.SQL(", ").join(map(sql.Identifier, table.columns.keys()))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(name), names)
    with cursor.copy(statement) as copy:
        copy.set_types([_COPIED_AS.get(type(column.type), "text") for column in table.columns])
        for row in rows:
            copy.write_row(row)


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """INSERT; PyMySQL makes statements of many rows of it, as long as it recognises their form."""
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, table.columns.keys()))
    marks = ", ".join(["%s"] * len(table.columns))
    replaced = ", ".join(f"{quote(name)} = VALUES({quote(name)})" for name in _others(table))
    statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks}) ON DUPLICATE KEY UPDATE {replaced}"  # noqa: S608
    converters = [_converter(column, connection.dialect) for column in table.columns]
    converted = [
        tuple(value if convert is None else convert(value) for convert, value in zip(converters, row, strict=True))
        for row in rows
    ]
    if converted:
        connection.exec_driver_sql(statement, converted)


def _others(table: sa.Table) -> list[str]:
    """Columns that are no part of the primary key."""
    return [column.name for column in table.columns if not column.primary_key]


def _driver(connection: sa.Connection) -> Any:
    """The driver's own connection, in the same transaction."""
    return connection.connection.driver_connection


def _converter(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What makes a value of the driver's of one of ours; None where they are the same."""
    return column.type.dialect_impl(dialect).bind_processor(dialect)
