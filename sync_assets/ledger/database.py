"""The ledger's database: its engine, transactions, and the locks that processes take in it.

What belongs here: connections, and what their faults become. What does not: what stands in the tables.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from sync_assets.errors import LedgerError
from sync_assets.ledger import tables as t


class LedgerDatabase:
    """A PostgreSQL database; migrated on first use. See `Ledger`."""

    def __init__(self, url: str, lock_timeout: float = 60.0) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql+psycopg")
        self._lock_timeout = lock_timeout

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine, its database migrated to the newest schema."""
        options = f"-c lock_timeout={int(self._lock_timeout * 1000)}"
        engine = sa.create_engine(
            self._url,
            pool_pre_ping=True,
            connect_args={"options": options, "connect_timeout": int(self._lock_timeout) or 1},
        )
        with _errors():
            migrate(engine)
        return engine

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction; database faults come out as `LedgerError`."""
        with _errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def lock(self, *scope: str) -> Iterator[None]:
        """Only one process at a time works on `scope`; released when its connection ends, however the process ends."""
        with self._locked(scope, ""):
            yield

    @contextmanager
    def writing(self, store: str, name: str) -> Iterator[None]:
        """The collection of that name stays the active one meanwhile; any number of processes may write at once."""
        with self._locked(("active", store, name), "_shared"):
            yield

    @contextmanager
    def switching(self, store: str, name: str) -> Iterator[None]:
        """Nobody is `writing` meanwhile."""
        with self._locked(("active", store, name), ""):
            yield

    @contextmanager
    def filling(self, tenant: str) -> Iterator[None]:
        """Nothing of the tenant is erased meanwhile; any number of collections may be filled at once."""
        with self._locked(("kept", tenant), "_shared"):
            yield

    @contextmanager
    def erasing(self, tenant: str) -> Iterator[None]:
        """No collection is being filled with what is stored of the tenant meanwhile."""
        with self._locked(("kept", tenant), ""):
            yield

    @contextmanager
    def _locked(self, scope: Sequence[str], kind: str) -> Iterator[None]:
        with _errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": "/".join(scope)}
            connection.execute(sa.text(f"SELECT pg_advisory_lock{kind}(hashtextextended(:key, 0))"), key)
            try:
                yield
            finally:
                connection.execute(sa.text(f"SELECT pg_advisory_unlock{kind}(hashtextextended(:key, 0))"), key)

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection of its own, where each statement is a transaction; its temporary tables go with it."""
        with _errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                yield connection
            finally:
                connection.invalidate()


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema; processes that start together take turns."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('sync_assets/migrate', 0))"))
        connection.execute(sa.schema.CreateSchema(t.SCHEMA, if_not_exists=True))
        versions = sa.inspect(connection).has_table("alembic_version", schema=t.SCHEMA)
        if versions:
            present = connection.scalar(sa.text(f"SELECT version_num FROM {t.SCHEMA}.alembic_version"))  # noqa: S608
            if present == head:
                return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _errors() -> Iterator[None]:
    """Database faults as `LedgerError`; texts of the driver may quote parameters, so only the first line is kept."""
    try:
        yield
    except OperationalError as error:
        line = str(error.orig).strip().splitlines()[0]
        if "lock timeout" in line:
            raise LedgerError(
                "Another process holds what this one waits for.",
                "Wait for it to end, or raise SYNC_ASSETS_LOCK_TIMEOUT.",
            ) from None
        raise LedgerError(
            f"The ledger's database is out of reach: {line}.", "Check SYNC_ASSETS_DATABASE_URL."
        ) from None
    except DBAPIError as error:
        line = str(error.orig).strip().splitlines()[0]
        raise LedgerError(
            f"The ledger's database refused: {line}.", "This is a fault of sync_assets; please report it."
        ) from None
