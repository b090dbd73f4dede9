"""The event log in SQLite: several processes have its files open, and each sees what the others write."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sync_assets.event_log import _KEPT, EventLogStorage


@pytest.fixture
def storages(tmp_path: Path) -> Iterator[tuple[EventLogStorage, EventLogStorage]]:
    """Two over the same files, as two processes have them."""
    both = EventLogStorage(str(tmp_path)), EventLogStorage(str(tmp_path))
    yield both
    for one in both:
        one.dispose()


def entry(run_id: str, text: str) -> dg.EventLogEntry:
    return dg.EventLogEntry(error_info=None, level="info", user_message=text, run_id=run_id, timestamp=time.time())


def texts(storage: EventLogStorage, run_id: str) -> list[str]:
    return [record.event_log_entry.user_message for record in storage.get_records_for_run(run_id).records]


def test_each_sees_at_once_what_the_other_writes(storages: tuple[EventLogStorage, EventLogStorage]) -> None:
    for number in range(4):
        storages[number % 2].store_event(entry("a", str(number)))
        assert [texts(one, "a") for one in storages] == [[str(told) for told in range(number + 1)]] * 2


def test_a_watcher_is_told_what_another_process_writes(storages: tuple[EventLogStorage, EventLogStorage]) -> None:
    writing, watching = storages
    told: list[str] = []
    both = threading.Event()

    def hear(event: dg.EventLogEntry, cursor: str) -> None:
        told.append(event.user_message)
        if len(told) == 2:
            both.set()

    writing.store_event(entry("a", "before"))
    watching.watch("a", None, hear)
    writing.store_event(entry("a", "after"))
    assert both.wait(30)
    assert told == ["before", "after"]
    watching.end_watch("a", hear)


def test_a_run_that_ended_without_closing_its_file_is_read(storages: tuple[EventLogStorage, EventLogStorage]) -> None:
    storages[0].store_event(entry("a", "last words"))
    assert texts(EventLogStorage(storages[0]._base_dir), "a") == ["last words"]


def test_a_file_system_without_links_has_a_log_too(
    storages: tuple[EventLogStorage, EventLogStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    storages[0].store_event(entry("a", "here"))
    assert [texts(one, "a") for one in storages] == [["here"]] * 2
    assert [path.name for path in Path(storages[0]._base_dir).glob(".*.new")] == []


def test_files_of_many_runs_are_not_all_kept_open(storages: tuple[EventLogStorage, EventLogStorage]) -> None:
    storage, _ = storages
    for number in range(_KEPT + 8):
        storage.store_event(entry(f"run-{number}", "here"))
    opened = {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}
    held = {path for path in opened if path.startswith(storage._base_dir) and path.endswith(".db")}
    assert len(held) <= _KEPT + 1
    assert texts(storage, "run-0") == ["here"]


def test_a_wiped_log_is_empty_and_takes_new_events(storages: tuple[EventLogStorage, EventLogStorage]) -> None:
    storage, _ = storages
    storage.store_event(entry("a", "old"))
    storage.wipe()
    assert texts(storage, "a") == []
    storage.store_event(entry("a", "new"))
    assert texts(storage, "a") == ["new"]


def _is_open(name: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{name}")
