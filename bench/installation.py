"""An installation with a portal of generated tickets: its home, its stream, and work done there in own processes.

What belongs here: how the measured system is set up and called. What is done in such a process is in `child.py`, what
is measured in the parts.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from bench.corpus import ROOT, Ticket
from sync_assets_tests.mariadb import Server

TENANT = "bench"
SOURCE, STREAM = "ticket_portal", "tickets"
# Windows of the first sync, from the first day on.
_FIRST_DAY = datetime(2026, 11, 1)
_DAYS = 5
_ROWS_AT_ONCE = 500


class Portal:
    """The tables of a ticket portal, and how tickets get there.

    Attributes:
        engine: of the user who may write.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.database = server.create_database()
        self.engine = sa.create_engine(server.admin_url(self.database), poolclass=sa.NullPool)
        self._execute(
            [
                "INSERT INTO users (user_id, email, password, first_name, last_name) VALUES (1, 'a', '', 'Jo', 'Vos')",
                "INSERT INTO categories (category_id, name) VALUES (1, 'Hardware')",
            ]
        )

    @property
    def account(self) -> dict[str, str]:
        """As `tenants.yaml` has it."""
        return {"database_url": self._server.url(self.database), "time_zone": "UTC"}

    def fill(self, tickets: Iterable[Ticket]) -> None:
        """Add tickets of some days of the past, those with one number after the other on the same day."""
        found = list(tickets)
        step = timedelta(days=_DAYS) / max(len(found), 1)
        self._write([(ticket, _FIRST_DAY + step * number) for number, ticket in enumerate(found)])

    def put(self, tickets: Iterable[Ticket]) -> None:
        """Change tickets, or add them, now."""
        now = datetime.now(UTC).replace(tzinfo=None)
        self._write([(ticket, now) for ticket in tickets])

    def delete(self, numbers: Iterable[int]) -> None:
        chosen = ", ".join(map(str, numbers))
        self._execute([f"DELETE FROM tickets WHERE ticket_id IN ({chosen})"])

    def close(self) -> None:
        self.engine.dispose()
        self._server.drop_database(self.database)

    def _write(self, changes: Sequence[tuple[Ticket, datetime]]) -> None:
        with self.engine.begin() as connection:
            for start in range(0, len(changes), _ROWS_AT_ONCE):
                some = changes[start : start + _ROWS_AT_ONCE]
                connection.exec_driver_sql(
                    "INSERT INTO tickets (ticket_id, ticket_number, user_id, category_id, title, description, status,"
                    " created_at, updated_at) VALUES (%s, %s, 1, 1, %s, %s, %s, '2026-10-01', %s)"
                    " ON DUPLICATE KEY UPDATE title = VALUES(title), description = VALUES(description),"
                    " status = VALUES(status), updated_at = VALUES(updated_at)",
                    [(one.number, f"B-{one.number}", one.title, one.description, one.status, at) for one, at in some],
                )
                numbers = ", ".join(str(one.number) for one, _ in some)
                # The comments that stay keep their ids: those of a ticket are numbered in their order.
                kept = [
                    (one.number * 100 + place, one.number, text)
                    for one, _ in some
                    for place, text in enumerate(one.comments)
                ]
                connection.exec_driver_sql(f"DELETE FROM ticket_comments WHERE ticket_id IN ({numbers})")
                if kept:
                    connection.exec_driver_sql(
                        "INSERT INTO ticket_comments (comment_id, ticket_id, user_id, comment, created_at)"
                        " VALUES (%s, %s, 1, %s, '2026-10-02')",
                        kept,
                    )

    def _execute(self, statements: Sequence[str]) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


class Installation:
    """A home of its own with one tenant, whose tickets are kept in some stores.

    Args:
        home: an empty folder.
        account: of the portal.
        model: of the stream.
    """

    def __init__(self, home: Path, account: dict[str, str], stores: Sequence[str], model: str) -> None:
        self.home = home
        self._stores = list(stores)
        (home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": {TENANT: {SOURCE: account}}}))
        (home / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
        self.use_model(model)

    def use_model(self, model: str) -> None:
        """Let `defs.yaml` name a model."""
        folder = self.home / "bench_defs" / SOURCE
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "__init__.py").touch()
        stream = {
            "description": "Tickets of the benchmark.",
            "stores": self._stores,
            "collection": STREAM,
            "embedding_model": model,
            "chunk_tokens": 128,
        }
        attributes = {"source": SOURCE, "start": f"{_FIRST_DAY:%Y-%m-%d}", "streams": {STREAM: stream}}
        text = yaml.safe_dump({"type": "sync_assets.components.SourceSync", "attributes": attributes})
        (folder / "defs.yaml").write_text(text)

    def start(self, *steps: str, **environment: str) -> "subprocess.Popen[str]":
        """Begin a process that does some steps of `child.py`, one after the other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNC_ASSETS_")}
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.child", str(self.home), *steps],
            text=True,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(self.home), **environment},
        )

    def run(self, *steps: str, **environment: str) -> list[dict[str, Any]]:
        """Do some steps in a new process; what each of them measured.

        Raises:
            RuntimeError: the process failed.
        """
        process = self.start(*steps, **environment)
        told, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(steps)} ended with {process.returncode}.")
        return [json.loads(line) for line in told.splitlines() if line.startswith('{"step"')]

    def stop(self) -> None:
        """Stop the embedded database."""
        from sync_assets.postgres import stop
        from sync_assets.settings import Settings

        stop(Settings(home=self.home))


@contextmanager
def installation(account: dict[str, str], stores: Sequence[str], model: str) -> Iterator[Installation]:
    """An installation in a temporary folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="sync_assets-bench-", ignore_cleanup_errors=True) as folder:
        made = Installation(Path(folder), account, stores, model)
        try:
            yield made
        finally:
            made.stop()
