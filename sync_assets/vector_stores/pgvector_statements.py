"""Small statements that every call to PostgreSQL is made of, and what becomes of the database's errors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sync_assets.errors import StoreError


@contextmanager
def database_errors() -> Iterator[None]:
    """The driver's errors as `StoreError`."""
    try:
        yield
    except psycopg.Error as error:
        reason = error.diag.message_primary or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreError(
            f"PostgreSQL with pgvector: {reason.rstrip('.')}.", "Look at SYNC_ASSETS_DATABASE_URL and the server's log."
        ) from error


def lock(cursor: psycopg.Cursor[Any], name: str) -> None:
    """Let one transaction at a time do what `name` stands for."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"sync_assets {name}",))


def set_until_end(cursor: psycopg.Cursor[Any], name: str, value: str) -> None:
    """Set a configuration parameter until the end of the transaction."""
    cursor.execute("SELECT set_config(%s, %s, true)", (name, value))


def value_of(
    cursor: psycopg.Cursor[dict[str, Any]],
    statement: LiteralString | sql.Composed,
    values: Sequence[Any] | Mapping[str, Any],
) -> Any:
    """The only column of the only row that a statement gives."""
    (row,) = cursor.execute(statement, values).fetchall()
    (value,) = row.values()
    return value


def table_exists(cursor: psycopg.Cursor[dict[str, Any]], name: str) -> bool:
    """Whether the schema has this table now, also where another transaction has just made it."""
    statement = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'vectors' AND tablename = %s)"
    return value_of(cursor, statement, (name,))
