"""The embedded PostgreSQL: one server for a data folder, whoever asks and whatever died before."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
import pytest

from sync_assets import postgres
from sync_assets.errors import LedgerError, SettingsError
from sync_assets.settings import Settings


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own is not when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="pg"))
    path.chmod(0o755)
    yield path
    for home in [path, *path.rglob("*")]:
        if (home / "postgres").is_dir():
            with suppress(LedgerError):
                postgres.stop(settings_of(home))
    shutil.rmtree(path)


def settings_of(home: Path, **values: object) -> Settings:
    return Settings.model_validate({"home": home, "lock_timeout": 30.0, **values})


def ask(settings: Settings, query: LiteralString) -> object:
    with psycopg.connect(postgres.database_url(settings)) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def postmaster_pid(settings: Settings) -> int:
    return int((settings.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def report_postmaster(home: Path, queue: "multiprocessing.Queue[int]") -> None:
    settings = settings_of(home)
    ask(settings, "SELECT 1")
    queue.put(postmaster_pid(settings))


def postmasters_seen(home: Path, processes: int) -> set[int]:
    """What several new processes, started at once, find in the data folder."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=report_postmaster, args=(home, queue)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * processes
    return found


def test_server_outlives_its_starters_and_serves_all(folder: Path) -> None:
    settings = settings_of(folder)
    assert postgres.status(settings).running is False
    assert len(postmasters_seen(folder, 4)) == 1
    assert postmasters_seen(folder, 1) == {postmaster_pid(settings)}
    assert ask(settings, "SELECT current_database()") == postgres.DATABASE
    assert ask(settings, "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'") == 1
    assert postgres.status(settings) == (True, True, str(folder / "postgres"))

    assert postgres.stop(settings) is True
    assert postgres.stop(settings) is False
    assert postgres.status(settings).running is False


def test_recovers_from_a_killed_server_and_from_stale_files(folder: Path) -> None:
    settings = settings_of(folder)
    ask(settings, "SELECT 1")
    with psycopg.connect(postgres.database_url(settings)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    psutil.Process(postmaster_pid(settings)).kill()
    assert ask(settings, "SELECT number FROM kept") == 7

    pid_file = folder / "postgres" / "postmaster.pid"
    of_this_server = pid_file.read_text().splitlines()
    postgres.stop(settings)
    owner = (folder / "postgres").stat()
    for stale_pid in (str(os.getpid()), "999999", ""):
        pid_file.write_text("\n".join([stale_pid, *of_this_server[1:]]) if stale_pid else "")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        assert ask(settings, "SELECT number FROM kept") == 7
        postgres.stop(settings)


def test_zombie_is_not_a_server(folder: Path) -> None:
    settings = settings_of(folder)
    ask(settings, "SELECT 1")
    postgres.stop(settings)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        (folder / "postgres" / "postmaster.pid").write_text(f"{process.pid}\n")
        assert ask(settings, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["a" * 120, "with, comma", 'it\'s $HOME 100% "odd"'])
def test_home_of_any_name(folder: Path, name: str) -> None:
    settings = settings_of(folder / name)
    assert ask(settings, "SELECT current_database()") == postgres.DATABASE
    assert postgres.stop(settings) is True


def test_half_made_data_folder_is_made_again(folder: Path) -> None:
    (folder / "postgres.unfinished").mkdir()
    (folder / "postgres.unfinished" / "PG_VERSION").write_text("18")
    assert ask(settings_of(folder), "SELECT 1") == 1


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has to run the server as somebody else, so only root can be kept out"
)
def test_closed_home_serves_and_is_left_closed(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    settings = settings_of(private / "home")
    try:
        assert ask(settings, "SELECT 1") == 1
    finally:
        postgres.stop(settings)
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has to run the server as somebody else, so only root can be kept out"
)
def test_closed_home_is_refused_where_nothing_can_be_passed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(SettingsError, match=rf"DAGSTER_HOME .*{private}.*admits its owner only.*Set DAGSTER_HOME to"):
        postgres.database_url(settings_of(private / "home"))
    assert private.stat().st_mode & 0o777 == 0o700


def test_home_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(SettingsError, match=r"DAGSTER_HOME .* can't be written"):
        postgres.database_url(settings_of(folder / "file"))


def test_broken_server_says_why(folder: Path) -> None:
    settings = settings_of(folder)
    ask(settings, "SELECT 1")
    postgres.stop(settings)
    (folder / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(LedgerError, match=r"does not start: .*incompatible"):
        postgres.database_url(settings)


def test_configured_server_is_used_and_never_stopped(folder: Path) -> None:
    url = "postgresql://someone:secret@127.0.0.1:1/ledger"
    settings = settings_of(folder, database_url=url)
    assert postgres.database_url(settings) == url
    assert postgres.status(settings) == (False, False, "SYNC_ASSETS_DATABASE_URL")
    with pytest.raises(SettingsError, match="not ours to stop"):
        postgres.stop(settings)
    assert list(folder.iterdir()) == []
