"""This project as a system of the workloads: tickets of a portal in MariaDB, kept in pgvector by Dagster runs."""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.corpus import Ticket
from bench.installation import STREAM, TENANT, Installation, Portal
from bench.systems import StoredRow, Synced, counts, environment
from sync_assets.documents import Visibility
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.vector_stores import Audience
from sync_assets_tests.mariadb import running_server

_STORE = "pgvector"
_FIRST_MODEL = "hash-384"
_AUDIENCE = Audience(visibility=Visibility.INTERNAL)


class SyncAssets:
    """See `systems.System`."""

    name = "sync_assets"

    def __init__(self, portal: Portal, home: Path) -> None:
        self._portal = portal
        self._home = Installation(home, portal.account, [_STORE], _FIRST_MODEL)
        self._counts = home / "embedded.txt"
        self._services = Services(Settings(home=home))

    def put(self, tickets: Iterable[Ticket], first: bool = False) -> None:
        (self._portal.fill if first else self._portal.put)(tickets)

    def delete(self, numbers: Iterable[int]) -> None:
        self._portal.delete(numbers)

    def sync(self, full: bool = False, fails_after: int | None = None) -> Synced:
        return self._run("all" if full else "incremental", fails_after)

    def sync_until(self, texts: int) -> Synced:
        self._counts.unlink(missing_ok=True)
        began = time.perf_counter()
        process = self._home.start("counted", "all", **environment(self._counts, None))
        while process.poll() is None and counts(self._counts) < texts:
            time.sleep(0.05)
        process.kill()
        process.wait()
        return Synced(time.perf_counter() - began, counts(self._counts), None, False)

    def stored(self) -> Iterable[StoredRow]:
        registered = self._services.ledger.active_collection(_STORE, STREAM)
        if registered is not None:
            for point in self._services.store(_STORE).scan_points(registered.collection, TENANT):
                told = point.payload
                yield StoredRow(int(told["record_id"]), told["text"], told["metadata"]["status"])

    def lose(self, step: int) -> int:
        registered = self._services.ledger.active_collection(_STORE, STREAM)
        assert registered is not None
        store = self._services.store(_STORE)
        ids = sorted(one.chunk_id for one in store.scan(registered.collection, TENANT))[::step]
        store.delete(registered.collection, TENANT, ids)
        return len(ids)

    def heal(self) -> Synced:
        return self._run("heal")

    def change_model(self, model: str) -> Synced:
        self._home.use_model(model)
        return self._run("change_model")

    def ask(self, text: str) -> tuple[int, set[str]]:
        from sync_assets.search import search
        from sync_assets.search.places import places

        asked = places(self._services, TENANT, None, None, {})
        found = search(self._services, text, tenant=TENANT, audience=_AUDIENCE, mode="dense", top_k=10)
        return len(found), {place.registered.model for place in asked}

    def size(self) -> int:
        return sum(path.stat().st_size for path in self._home.home.rglob("*") if path.is_file())

    def close(self) -> None:
        self._services.close()
        self._home.stop()

    def _run(self, step: str, fails_after: int | None = None) -> Synced:
        self._counts.unlink(missing_ok=True)
        began = time.perf_counter()
        process = self._home.start("counted", step, **environment(self._counts, fails_after))
        told, _ = process.communicate()
        lines: list[dict[str, Any]] = [json.loads(line) for line in told.splitlines() if line.startswith('{"step"')]
        peak = lines[-1]["peak"] if process.returncode == 0 else None
        return Synced(time.perf_counter() - began, counts(self._counts), peak, process.returncode == 0)


@contextmanager
def opened() -> Iterator[SyncAssets]:
    """An installation without a document, and a portal without a ticket; both are removed at the end."""
    with (
        running_server() as server,
        tempfile.TemporaryDirectory(prefix="sync_assets-bench-", ignore_cleanup_errors=True) as folder,
    ):
        system = SyncAssets(Portal(server), Path(folder))
        try:
            yield system
        finally:
            system.close()
