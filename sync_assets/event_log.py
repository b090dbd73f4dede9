"""Dagster's event log in SQLite, with what it needs for each statement made once.

`event_log_storage` in dagster.yaml names it. Dagster's own one makes an engine, and compiles every statement anew, each
time that it opens a file, which is a dozen times for every event: an eighth of the time of a sync.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

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
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _new_engine(self, shard: str) -> sa.Engine:
        # Files are opened for a statement and closed after it, as Dagster does: other processes write them too.
        url = self.conn_string_for_shard(shard)
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
