"""How a ticket portal's database is reached: MySQL or MariaDB through PyMySQL, or a file of SQLite.

What belongs here: connections, transactions, how rows are streamed, what the database says about its own tables, and
what its errors mean. What does not: which queries are run (`ticket_portal_tables.py`) and what their rows make
(`ticket_portal.py`).
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, tzinfo
from typing import Any
from urllib.parse import quote

import pymysql.converters
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError

from sync_assets.errors import SourceError
from sync_assets.sources.retries import retrying
from sync_assets.sources.ticket_portal_tables import SCHEMA, Kind, Query, TableNames, Tables, read_value

ALLOWED_URLS = "mysql://user:password@host/database (also mariadb:// and mysql+pymysql://) or sqlite:///path"

_DRIVER = "mysql+pymysql"
_SERVERS = ("mysql", "mariadb", _DRIVER)
_URL_OPTIONS = {"charset", "unix_socket", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher"}
# Rows held for each query under way; a text may have megabytes.
_ROW_BUFFER = 50
_READER_SECONDS = 3600  # how long the server waits for a reader that is busy with what it has read
_LONGEST_RETRY_WAIT = 10.0
# One summer and one winter noon: a server that runs on UTC shows both as they are.
_NOONS = {1768478400: "2026-01-15 12:00:00", 1784116800: "2026-07-15 12:00:00"}
# Too many connections, server shutting down, no connection, connection lost: another attempt may do.
_TRANSIENT = {1040, 1053, 1203, 1226, 2002, 2003, 2006, 2013}
_REFUSED = {1044, 1045, 1130, 1698}
_TOO_MANY = {1203, 1226}
_USER = re.compile(r"(?:user )?'[^']*'@'[^']*'")


def check_url(url: str) -> None:
    """Refuse a database that can't be read.

    Raises:
        ValueError: naming what is allowed, and not the URL.
    """
    try:
        target = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"not a URL; allowed is {ALLOWED_URLS}") from None
    if target.drivername != "sqlite" and url.count("@") > 1:
        raise ValueError("'@' in a user name or password is written %40, '/' %2F, ':' %3A and '%' %25")
    if target.drivername not in (*_SERVERS, "sqlite"):
        raise ValueError(f"{target.drivername}:// is not supported; allowed is {ALLOWED_URLS}")
    if not target.database or target.database == ":memory:":
        raise ValueError(f"names no database; allowed is {ALLOWED_URLS}")
    allowed = set[str]() if target.drivername == "sqlite" else _URL_OPTIONS
    if unknown := target.query.keys() - allowed:
        raise ValueError(f"option {min(unknown)!r} is not allowed; allowed are {', '.join(sorted(allowed)) or 'none'}")


class IdError(Exception):
    """A table's ids are not what records can be merged by."""


class _Unreachable(Exception):
    """One attempt brought no connection, and another may."""


class Database:
    """The connections to one portal's database, and what is known of its tables.

    Nothing is opened before it is needed.

    Args:
        setting: where the database is configured, for remedies (`tenants.acme.ticket_portal`).
        url: one that `check_url` has passed.
        connect_timeout: longest wait for a connection, in seconds.
        read_timeout: longest wait for a query's next rows, in seconds.
        max_attempts: how often a connection is tried.

    Attributes:
        place: host, port and database, or the file; without the user.
    """

    def __init__(
        self, tenant: str, setting: str, url: str, *, connect_timeout: int, read_timeout: int, max_attempts: int
    ) -> None:
        target = sa.make_url(url)
        self._tenant = tenant
        self._setting = setting
        self._is_sqlite = target.drivername == "sqlite"
        self.place = str(target.database) if self._is_sqlite else _place(target)
        self._engine = _sqlite_engine(target) if self._is_sqlite else _engine(target, connect_timeout, read_timeout)
        self._retry = retrying(
            max_attempts, max_attempts * (connect_timeout + _LONGEST_RETRY_WAIT), _LONGEST_RETRY_WAIT
        )

    @contextmanager
    def snapshot(self, count: int) -> Iterator[list[sa.Connection]]:
        """Connections in read-only transactions that begin at the same moment, as near as can be, in this order.

        Raises:
            SourceError: no connection, or an error of the database within the block.
        """
        try:
            with ExitStack() as stack:
                connections = [stack.enter_context(self._connect()) for _ in range(count)]
                if not self._is_sqlite:
                    for connection in connections:
                        stack.callback(_abandon_unread, connection, connection.connection.driver_connection)
                        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                yield connections
        except DBAPIError as error:
            raise SourceError(
                f"{self._tenant}: {self.place} failed: {_reason(error)}.",
                f"Try again later; if it stays so, check {self._setting}.",
            ) from None
        except IdError as error:
            raise SourceError(
                f"{self._tenant}: {self.place}: {error}.",
                f"Map it in {self._setting}.tables to a column of whole numbers, if need be in a view.",
            ) from None

    def tables(self, mapped: Mapping[str, TableNames], zone: tzinfo | None) -> Tables:
        """The tables, after a look that they and their columns exist.

        Args:
            mapped: names that differ from the usual ones.
            zone: of times that are stored without one; None for UTC where the server runs on it.

        Raises:
            SourceError: a table or column is missing, or the time zone is not known.
        """
        names = {table: mapped.get(table, TableNames()) for table in SCHEMA}
        with self.snapshot(1) as (connection,):
            found = self._columns(connection, {table: names[table].name or table for table in SCHEMA})
            self._check_names(names, found)
            times = {
                (table, column): found[table][actual.casefold()]
                for table, columns in SCHEMA.items()
                for column, kind in columns.items()
                if kind is Kind.TIME and (actual := names[table].column(column)) is not None
            }
            in_utc = {place for place, kind in times.items() if kind == "timestamp" and not self._is_sqlite}
            if zone is None and times.keys() != in_utc and not self._is_sqlite:
                self._check_server_time(connection)
        return Tables(names, zone or UTC, in_utc, times_as_text=self._is_sqlite)

    def server_of(self, connection: sa.Connection) -> str:
        """Name and version of the database's program."""
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
        if self._is_sqlite:
            return f"SQLite {version}"
        return f"{'MariaDB' if getattr(connection.dialect, 'is_mariadb', False) else 'MySQL'} {version}"

    def close(self) -> None:
        self._engine.dispose()

    def _connect(self) -> sa.Connection:
        try:
            return self._retry(_Unreachable, self._attempt)
        except _Unreachable as error:
            raise SourceError(
                f"{self._tenant}: {self.place} can't be reached: {error}.",
                f"Check {self._setting}.database_url, and that the database runs and admits this machine.",
            ) from None

    def _attempt(self) -> sa.Connection:
        try:
            return self._engine.connect()
        except DBAPIError as error:
            code, reason = _code(error), _reason(error)
            if code in _TOO_MANY:
                reason = "this user has too many connections open; five are needed at once"
            if code in _TRANSIENT:
                raise _Unreachable(reason) from None
            if code in _REFUSED:
                reason = "it refuses this user, password or machine"
            raise SourceError(
                f"{self._tenant}: {self.place} can't be opened: {reason}.", f"Check {self._setting}.database_url."
            ) from None
        except OSError as error:
            raise SourceError(
                f"{self._tenant}: {self.place}: a certificate can't be used: {error.strerror or type(error).__name__}.",
                f"Check ssl_ca, ssl_capath, ssl_cert and ssl_key in {self._setting}.database_url.",
            ) from None

    def _columns(self, connection: sa.Connection, tables: dict[str, str]) -> dict[str, dict[str, str]]:
        """Type of each column of the tables that exist, by usual table name and actual column name, in lower case.

        A server is asked through its information schema, which needs no more rights than reading the columns.
        """
        if self._is_sqlite:
            existing = sa.inspect(connection)
            return {
                usual: {column["name"].casefold(): "" for column in existing.get_columns(actual)}
                for usual, actual in tables.items()
                if existing.has_table(actual)
            }
        listing = sa.table(
            "columns",
            *map(sa.column, ("table_schema", "table_name", "column_name", "data_type")),
            schema="information_schema",
        )
        query = sa.select(listing.c.table_name, listing.c.column_name, listing.c.data_type).where(
            listing.c.table_schema == sa.func.database(), listing.c.table_name.in_(sorted(set(tables.values())))
        )
        by_name: dict[str, dict[str, str]] = {}
        for row in connection.execute(query):
            table, column, kind = (str(read_value(Kind.TEXT, value, UTC)).casefold() for value in row)
            by_name.setdefault(table, {})[column] = kind
        return {usual: by_name[actual.casefold()] for usual, actual in tables.items() if actual.casefold() in by_name}

    def _check_names(self, names: dict[str, TableNames], found: dict[str, dict[str, str]]) -> None:
        for table, columns in SCHEMA.items():
            actual_table = names[table].name or table
            if table not in found:
                raise SourceError(
                    f"{self._tenant}: {self.place} has no table {actual_table!r} that this user may read.",
                    f"Give the name of the portal's {table} in {self._setting}.tables.{table}.name.",
                )
            for column in columns:
                actual = names[table].column(column)
                if actual is not None and actual.casefold() not in found[table]:
                    raise SourceError(
                        f"{self._tenant}: {self.place}: table {actual_table!r} has no column {actual!r} that this user "
                        "may read.",
                        f"Give its name in {self._setting}.tables.{table}.columns.{column}, or null where this portal "
                        "has no such column.",
                    )

    def _check_server_time(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET time_zone = DEFAULT")
        shown = connection.execute(sa.select(*(sa.func.from_unixtime(second) for second in _NOONS))).one()
        connection.exec_driver_sql("SET time_zone = '+00:00'")
        if [read_value(Kind.TEXT, value, UTC)[:19] for value in shown] != list(_NOONS.values()):
            raise SourceError(
                f"{self._tenant}: {self.place} does not run on UTC, and {self._setting}.time_zone is not set.",
                f"Set {self._setting}.time_zone to the time zone in which the portal writes its times, such as "
                "Europe/Amsterdam.",
            )


def keyed_rows(connection: sa.Connection, query: Query) -> Iterator[tuple[int, sa.Row[Any]]]:
    """The rows of a query with their record's key, read as they are asked for."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_ROW_BUFFER)
    last = None
    for row in streaming.execute(query.statement):
        try:
            key = int(row[0])
        except ValueError:
            raise IdError(f"an id of {query.rows.table} is no whole number") from None
        if last is not None and key > last:
            raise IdError(f"the ids of {query.rows.table} are text, which is in another order than numbers")
        last = key
        yield key, row


def _engine(url: sa.URL, connect_timeout: int, read_timeout: int) -> sa.Engine:
    """Values come as the server sends them, undecoded: `read_value` knows what to do with bytes that are no UTF-8."""
    conversions = {kind: write for kind, write in pymysql.converters.conversions.items() if not isinstance(kind, int)}
    return sa.create_engine(
        url.set(drivername=_DRIVER).update_query_dict({"charset": "utf8mb4"}),
        isolation_level="REPEATABLE READ",
        pool_pre_ping=True,
        max_overflow=-1,
        connect_args={
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "init_command": f"SET time_zone = '+00:00', net_write_timeout = {_READER_SECONDS}, "
            f"wait_timeout = {_READER_SECONDS}",
            "use_unicode": False,
            "conv": conversions,
        },
    )


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    """Read-only: a missing file is an error."""
    target = sa.URL.create("sqlite", database=f"file:{quote(str(url.database))}", query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(target, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def add_functions(connection: Any, _: object) -> None:
        connection.create_function("md5", 1, _md5, deterministic=True)

    return engine


def _md5(value: Any) -> str | None:
    """What MD5() is in MariaDB."""
    if value is None:
        return None
    content = value if isinstance(value, bytes) else str(value).encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _place(url: sa.URL) -> str:
    """Host, port and database, without the user."""
    host = url.host or url.query.get("unix_socket") or "localhost"
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database}"


def _abandon_unread(connection: sa.Connection, driver: Any) -> None:
    """Close the connection where rows of its result are left: PyMySQL would read them all before it is free again."""
    unread = driver._result
    if unread is not None and unread.unbuffered_active:
        connection.invalidate()
        unread.unbuffered_active = False


def _code(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _reason(error: DBAPIError) -> str:
    """What the database said, without the user's name, the statement and its values."""
    arguments = getattr(error.orig, "args", ())
    said = str(arguments[-1]) if arguments else type(error.orig).__name__
    return _USER.sub("this user", said).rstrip(".")
