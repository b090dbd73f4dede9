"""Dagster's event log in SQLite, with what it needs for each statement made once.

`event_log_storage` in dagster.yaml names it. Dagster's own one makes an engine, and compiles every statement anew, each
time that it opens a file, which is a dozen times for every event: an eighth of the time of a sync. It also reads all
its migrations to make the file of a run.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from dagster._config import StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

# Files of runs whose engines are kept; the index is one more.
_KEPT = 32


class EventLogStorage(SqliteEventLogStorage):
    """The files of Dagster's own storage, in the same place and form."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = lru_cache(_KEPT)(self._new_engine)
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLogStorage":
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        return sa.inspect(self._engine(INDEX_SHARD_NAME)).has_table(table_name)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                if shard == INDEX_SHARD_NAME or not _made(Path(self.path_for_shard(shard))):
                    self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def dispose(self) -> None:
        """Close what is open."""
        self._engine.cache_clear()
        super().dispose()

    def wipe(self) -> None:
        """Remove all files; those made later are others."""
        super().wipe()
        self._engine.cache_clear()

    def _new_engine(self, shard: str) -> sa.Engine:
        url = self.conn_string_for_shard(shard)
        if shard == INDEX_SHARD_NAME:
            # Most statements are for this file.
            return sa.create_engine(
                url,
                poolclass=sa.QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
        # A run's file is closed after each statement, as Dagster does: the UI follows a run by the changes of the file.
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


def _made(path: Path) -> bool:
    """Make the file of a run as Dagster makes it, unless there is one already."""
    if path.exists():
        return False
    new = path.with_name(f".{uuid4().hex}.new")
    new.write_bytes(_empty())
    try:
        os.link(new, path)
    except FileExistsError:  # another process was first
        return False
    finally:
        new.unlink()
    return True


@cache
def _empty() -> bytes:
    """The content of a run's file without events."""
    with tempfile.TemporaryDirectory(prefix="sync_assets-events-") as folder:
        dagsters = SqliteEventLogStorage(folder)
        with dagsters.run_connection("empty"):
            pass
        return Path(dagsters.path_for_shard("empty")).read_bytes()
