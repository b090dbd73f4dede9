"""Syncs that are killed anywhere in their lives and resumed: what they leave equals what an undisturbed one leaves."""

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import dagster as dg
import psycopg
import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.ledger.tables import SCHEMA
from sync_assets_tests.command_line import STORES, Installation, small_company
from sync_assets_tests.postgres import fresh_database

SYNC = ("--all", "--stream", "tickets", "--tenant", "polder")
SEED = 20261108
KILLS, MANY_KILLS = 5, 30

# Forks a process for each line that it reads, which syncs the installation that the line names and dies at the n-th
# statement that anything sends to a database: the ledger, a store, the graph, or Dagster's own. It answers with the
# exit status, and the statements.
_FORKING = """
import os, signal, sys
import matplotlib.figure, qdrant_edge, spacy, sqlalchemy  # what each of them would load anew
import sync_assets.definitions, sync_assets.runs, sync_assets.sync
from sync_assets.cli import main

sync_assets.definitions.defs()
for line in sys.stdin:
    number, home, url = line.split()
    fatal = int(number)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ |= {"DAGSTER_HOME": home, "SYNC_ASSETS_DATABASE_URL": url}
        count = 0

        def counted(*_):
            global count
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", counted)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            main()
        finally:
            os.write(writing, str(count).encode())
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, os.read(reading, 20).decode() or fatal, flush=True)
    os.close(reading)
"""


class Syncs:
    """Syncs of installations, each in a process of its own.

    Args:
        any_of_them: has the environment that they share.
    """

    def __init__(self, any_of_them: Installation) -> None:
        self._process = any_of_them.start(
            *("sync", *SYNC, "--json"),
            program=("-W", "ignore", "-c", _FORKING),
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, installation: Installation, fatal: int = 0) -> tuple[int, int]:
        """One sync, killed at the statement of this number, or not at all; exit code, and number of statements."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{fatal} {installation.home} {installation.database_url}\n")
        self._process.stdin.flush()
        status, statements = self._process.stdout.readline().split()
        return int(status), int(statements)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def servers() -> Iterator[DemoServers]:
    with DemoServers(0, small_company()) as servers:
        yield servers


def state(installation: Installation) -> dict[str, Any]:
    """What an installation holds, without times of its own and without what only saves work."""
    with psycopg.connect(installation.database_url, options=f"-c search_path={SCHEMA},public") as connection:

        def rows(query: LiteralString) -> list[tuple[Any, ...]]:
            return sorted(connection.execute(query).fetchall(), key=repr)

        ledger = {
            "documents": rows("SELECT document_id, modified_at, deleted, content_hash, metadata_hash FROM documents"),
            "collections": rows(
                "SELECT store, name, document_id, dirty, deleted, chunk_ids, content_hashes, payload_hashes "
                "FROM collection_documents JOIN collections ON id = collection_id"
            ),
            "quarantine": rows("SELECT record_id, reason FROM quarantine"),
            "windows": rows("SELECT stage, \"window\", rows, complete FROM windows WHERE stage <> 'raw'"),
            "watermarks": rows("SELECT store FROM watermarks"),
        }
        graph = {
            "nodes": rows("SELECT node_id, kind, entity, confidence, documents FROM graph_nodes"),
            "edges": rows("SELECT source_id, kind, target_id, confidence, documents FROM graph_edges"),
            "documents": rows("SELECT document_id, modified_at, deleted, applied_digest FROM graph_documents"),
        }
    return {
        "stores": {store: installation.stored(store, "polder") for store in STORES},
        "files": [str(path.relative_to(installation.home)) for path in installation.files()],
        "ledger": ledger,
        "graph": graph,
    }


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.slow)])
def test_a_sync_killed_anywhere_and_resumed_leaves_what_an_undisturbed_one_does(
    kills: int, tmp_path: Path, postgres_url: str, servers: DemoServers
) -> None:
    places = random.Random(SEED)
    with fresh_database(postgres_url) as url, fresh_database(postgres_url) as other_url:
        undisturbed = Installation(tmp_path / "other", other_url, servers)
        disturbed = Installation(tmp_path / "home", url, servers)
        syncs = Syncs(undisturbed)
        code, first = syncs.run(undisturbed)
        assert code == 0
        undisturbed.reply("polder", "And one more thing.")
        # A sync that has one ticket to change sends the fewest statements of those below.
        code, least = syncs.run(undisturbed)
        assert code == 0
        assert 0 < least < first

        # One in each part of a run's life; the first one is killed while it loads everything.
        shares = places.sample([(number + places.random()) / kills for number in range(kills)], kills)
        for number, share in enumerate(shares):
            disturbed.reply("polder", f"Reply {number}.")
            fatal = int(share * (first if number == 0 else least)) + 1
            assert syncs.run(disturbed, fatal) == (-signal.SIGKILL, fatal)
        for installation in (disturbed, undisturbed):
            assert syncs.run(installation)[0] == 0
        syncs.close()
        assert state(disturbed) == state(undisturbed)
        disturbed.assert_in_step("polder")
        with disturbed.instance() as instance:
            ends = Counter(run.status for run in instance.get_runs())
        assert ends.keys() == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}, "none seems to be under way"
        assert ends[dg.DagsterRunStatus.FAILURE] <= kills
