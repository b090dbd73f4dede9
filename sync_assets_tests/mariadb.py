"""A real MariaDB server for tests and benchmarks, in a folder of its own, for as long as a `with` block."""

import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import geteuid
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from sync_assets_tests.servers import free_port, stop

MISSING = "MariaDB is not installed: install the package mariadb-server (its program mariadbd)"
SCHEMA = Path(__file__).parent / "data" / "ticket_portal.sql"
USER, PASSWORD = "portal_reader", "password-that-nobody-may-see"

_START_SECONDS = 60
_SYSTEM_USERS = ("mysql", "nobody")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        process_id: of `mariadbd`.
    """

    port: int
    process_id: int

    def admin_url(self, database: str = "") -> str:
        """URL of the user who may do everything."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def url(self, database: str) -> str:
        """URL of the user who may read everything and write nothing."""
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Name of a fresh database with the portal's tables, all empty."""
        name = f"portal_{uuid4().hex[:12]}"
        with self.engine() as engine, engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            connection.exec_driver_sql(f"USE {name}")
            for statement in statements(SCHEMA.read_text()):
                connection.exec_driver_sql(statement)
        return name

    def drop_database(self, name: str) -> None:
        with self.engine() as engine, engine.begin() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")

    @contextmanager
    def engine(self, database: str = "") -> Iterator[sa.Engine]:
        engine = sa.create_engine(self.admin_url(database), poolclass=sa.NullPool)
        try:
            yield engine
        finally:
            engine.dispose()


def is_installed() -> bool:
    return _program("mariadbd") is not None and _program("mariadb-install-db") is not None


def statements(script: str) -> list[str]:
    """The statements of a script that has no semicolon elsewhere."""
    return [statement.strip() for statement in script.split(";") if statement.strip()]


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server with an empty data folder, and stop it and remove its files at the end.

    Raises:
        RuntimeError: it is not installed, or it does not answer in time; the text has the end of its log.
    """
    server, installer = _program("mariadbd"), _program("mariadb-install-db")
    if server is None or installer is None:
        raise RuntimeError(MISSING)
    with tempfile.TemporaryDirectory(prefix="sync_assets-mariadb-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        log = folder / "server.log"
        options = ["--no-defaults", f"--datadir={folder / 'data'}", *_identity(folder)]
        with log.open("wb") as output:
            arguments = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
            subprocess.run(
                [installer, *options, *arguments], stdout=output, stderr=output, check=True, timeout=_START_SECONDS
            )
        port = free_port()
        arguments = [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'data' / 'pid'}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=48M",
            "--performance-schema=off",
            "--default-time-zone=+00:00",
        ]
        with log.open("ab") as output:
            process = subprocess.Popen([server, *options, *arguments], stdout=output, stderr=output)
        try:
            _wait_until_ready(process, port, log)
            running = Server(port, process.pid)
            _create_reader(running)
            yield running
        finally:
            stop(process)


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin")


def _identity(folder: Path) -> list[str]:
    """As root: hand the folder to a system user and let the server run as that one, since it refuses to run as root."""
    if geteuid() != 0:
        return []
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in _SYSTEM_USERS if name in known), None)
    if user is None:
        raise RuntimeError(f"MariaDB does not run as root, and there is no system user {' or '.join(_SYSTEM_USERS)}.")
    shutil.chown(folder, user)
    return [f"--user={user}"]


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{port}/", poolclass=sa.NullPool)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with engine.connect():
                return
        except OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"MariaDB did not start: {error.orig}\n{end}") from None
            time.sleep(0.05)


def _create_reader(server: Server) -> None:
    with server.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        connection.exec_driver_sql(f"GRANT SELECT, SHOW VIEW ON *.* TO {USER}@'127.0.0.1'")
