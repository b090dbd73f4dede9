"""Dagster's event log in SQLite, with what it needs for each statement made once.

`event_log_storage` in dagster.yaml names it. Dagster's own one opens and closes a file a dozen times for every event,
makes an engine and compiles every statement anew for it, and has each event on the disk before it goes on: most of the
time of a sync with nothing to do. It also reads all its migrations to make the file of a run.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from dagster._config import StringSource
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import event

# Files of runs that are kept open, each by one connection; the index is one more.
_KEPT = 32


class EventLogStorage(SqliteEventLogStorage):
    """The files of Dagster's own storage, in the same place and form. Several processes may have them open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        super().__init__(base_dir, inst_data)
        self._watcher = SqlPollingEventWatcher(self)

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLogStorage":
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        return sa.inspect(self._engine(INDEX_SHARD_NAME)).has_table(table_name)

    # Dagster's own watcher waits for the file to change. A file that stays open changes seldom: news lie beside it.
    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: EventHandlerFn) -> None:
        self._watcher.unwatch_run(run_id, handler)

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def dispose(self) -> None:
        self._watcher.close()
        self._close()

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

    def _close(self) -> None:
        while self._engines:
            self._engines.popitem()[1].dispose()

    def _engine(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            if len(self._engines) > _KEPT:
                runs = (name for name in self._engines if name != INDEX_SHARD_NAME)
                self._engines.pop(next(runs)).dispose()
            self._engines[shard] = self._new_engine(shard)
        return self._engines[shard]

    def _new_engine(self, shard: str) -> sa.Engine:
        engine = sa.create_engine(
            self.conn_string_for_shard(shard), pool_size=1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )
        # A crash of the machine, not of a process, may cost the last events of a run, whose failure is told anyway.
        event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA synchronous = NORMAL"))
        return engine


def _made(path: Path) -> bool:
    """Make the file of a run as Dagster makes it, unless there is one already."""
    if path.exists():
        return False
    new = path.with_name(f".{uuid4().hex}.new")
    new.write_bytes(_empty())
    try:
        os.link(new, path)
    except OSError:  # another process was first, or these files can have no second name: Dagster makes it
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
