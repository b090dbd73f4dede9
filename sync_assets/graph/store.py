"""The graph's database: connections, locks, migrations, and what concerns a tenant as a whole.

What belongs here: how the database is reached. What does not: questions and facts, which are functions over a
connection: documents and texts (`store_documents.py`), evidence (`store_evidence.py`), nodes and edges
(`store_nodes.py`), names (`store_names.py`), and what is derived or decided about nodes (`store_state.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psycopg
import pymysql
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from sync_assets.errors import GraphError, GraphRefusal
from sync_assets.graph import tables as t
from sync_assets.hashing import text_hash

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_MYSQL = "mysql+pymysql"
_MIGRATION = "sync_assets/graph/migrate"
_MYSQL_LOCK_TIMEOUT = 1205
# What PostgreSQL adds a page of evidence up in without files.
_WORK_MEM = "64MB"


class GraphStore:
    """The graph over a PostgreSQL, MySQL or MariaDB database; migrated on first use.

    All methods, and all that is done in its transactions, raise `GraphError` when the database can't be reached or a
    lock is not obtained in time.

    Args:
        url: `postgresql://` or `mysql://` URL; never shown.
        lock_timeout: seconds to wait for another process.
    """

    def __init__(self, url: str, lock_timeout: float = 60.0) -> None:
        given = sa.make_url(url)
        self._url = given.set(drivername=_DRIVERS.get(given.get_backend_name(), _MYSQL))
        self._lock_timeout = lock_timeout

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine, its database migrated to the newest schema."""
        engine = self._mysql_engine() if self._url.drivername == _MYSQL else self._postgres_engine()
        with _errors(), self._only_one(engine, _MIGRATION):
            migrate(engine)
        return engine

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction for the functions of `store_*.py`; database faults come out as `GraphError`."""
        with _errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def lock(self, tenant: str) -> Iterator[None]:
        """Only one process at a time changes a tenant's graph; released when its connection ends, however it ends."""
        with _errors(), self._only_one(self.engine, f"sync_assets/graph/{tenant}"):
            yield

    def forget(self, tenant: str) -> None:
        """Remove everything of a tenant, what people decided too."""
        with self.transaction() as connection:
            for table in t.metadata.sorted_tables:
                connection.execute(sa.delete(table).where(table.c.tenant == tenant))

    def _postgres_engine(self) -> sa.Engine:
        settings = {"lock_timeout": int(self._lock_timeout * 1000), "search_path": t.SCHEMA, "work_mem": _WORK_MEM}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        return sa.create_engine(
            self._url,
            pool_pre_ping=True,
            connect_args={"options": options, "connect_timeout": int(self._lock_timeout) or 1},
        )

    def _mysql_engine(self) -> sa.Engine:
        """Strict, so that nothing is cut to fit; and with the isolation that PostgreSQL has."""
        seconds = int(self._lock_timeout) or 1
        session = f"sql_mode='TRADITIONAL', time_zone='+00:00', innodb_lock_wait_timeout={seconds}"
        return sa.create_engine(
            self._url.update_query_dict({"charset": "utf8mb4"}),
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args={
                "init_command": f"SET SESSION {session}, lock_wait_timeout={seconds}",
                "connect_timeout": seconds,
            },
        )

    @contextmanager
    def _only_one(self, engine: sa.Engine, key: str) -> Iterator[None]:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if engine.dialect.name == "postgresql":
                take, release = (f"pg_advisory_{verb}(hashtextextended(:key, 0))" for verb in ("lock", "unlock"))
                values = {"key": key}
            else:
                # Names of locks are of the whole server there, and at most 64 characters.
                take, release = "GET_LOCK(:key, :seconds)", "RELEASE_LOCK(:key)"
                values = {"key": text_hash(f"{self._url.database}/{key}"), "seconds": self._lock_timeout}
            if connection.scalar(sa.text(f"SELECT {take}"), values) == 0:
                raise _held()
            try:
                yield
            finally:
                connection.execute(sa.text(f"SELECT {release}"), {"key": values["key"]})


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema. The caller sees to it that processes take turns."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.schema.CreateSchema(t.SCHEMA, if_not_exists=True))
        present = sa.text(f"SELECT version_num FROM {t.VERSIONS}")  # noqa: S608
        if sa.inspect(connection).has_table(t.VERSIONS) and connection.scalar(present) == head:
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _held() -> GraphError:
    """A lock was not obtained in time."""
    return GraphError(
        "Another process holds what this one waits for.", "Wait for it to end, or raise SYNC_ASSETS_LOCK_TIMEOUT."
    )


@contextmanager
def _errors() -> Iterator[None]:
    """Database faults as `GraphError`; what bulk writes ask of PostgreSQL's driver raises the driver's own."""
    try:
        yield
    except DBAPIError as error:
        raise _fault(error.orig) from None
    except psycopg.Error as error:
        raise _fault(error) from None


def _fault(error: BaseException | None) -> GraphError:
    """Texts of the drivers may quote parameters, so only the first line is kept."""
    line = str(error).strip().splitlines()[0]
    is_mysql = isinstance(error, pymysql.Error)
    if isinstance(error, psycopg.errors.LockNotAvailable) or (is_mysql and error.args[0] == _MYSQL_LOCK_TIMEOUT):
        return _held()
    if isinstance(error, psycopg.OperationalError | pymysql.OperationalError):
        return GraphError(
            f"The graph's database is out of reach: {line}.",
            "Check SYNC_ASSETS_GRAPH_URL, or SYNC_ASSETS_DATABASE_URL where that is not set.",
        )
    of_rows = psycopg.DataError | psycopg.IntegrityError | pymysql.DataError | pymysql.IntegrityError
    kind = GraphRefusal if isinstance(error, of_rows) else GraphError
    return kind(f"The graph's database refused: {line}.", "See its log; if it takes other writes, please report this.")
