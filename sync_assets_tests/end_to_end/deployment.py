"""A webserver and a daemon as `make dev` starts them, in a DAGSTER_HOME of their own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import httpx
import pytest
import yaml
from dagster import DagsterInstance

from sync_assets.demo.server import DemoServers
from sync_assets.runs import LOCATION
from sync_assets.services import Services
from sync_assets.settings import Settings

ROOT = Path(__file__).parent.parent.parent
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
_BIN = Path(sys.executable).parent
_START_SECONDS = 90.0
_STOP_SECONDS = 20.0
_LOG_CHARACTERS = 6000


class Deployment:
    """Webserver and daemon while the context is open; both have the checkout's workspace.

    Attributes:
        home: DAGSTER_HOME, with tenants that point at `servers`.
        url: of the webserver.
    """

    def __init__(self, home: Path, database_url: str, servers: DemoServers) -> None:
        self.home = home
        self.settings = Settings(**{"home": home, "database_url": database_url, "model": "hash-8"})
        home.mkdir(parents=True)
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
        (home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": servers.tenants}))
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "SYNC_ASSETS"))},
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(home),
            "SYNC_ASSETS_DATABASE_URL": database_url,
            "SYNC_ASSETS_MODEL": "hash-8",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        port = self.url.rsplit(":", 1)[-1]
        # As `dagster dev` does: two processes that both lay out an empty home get in each other's way.
        with self.instance():
            pass
        try:
            self._start("dagster-webserver", "--host", "127.0.0.1", "--port", port)
            self._start("dagster-daemon", "run")
            self.wait(self._is_loaded, "the webserver has loaded the code location", _START_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def query(self, query: str, **variables: Any) -> Any:
        """The one field that a GraphQL query or mutation asks for."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30)
        body = answer.json()
        assert not body.get("errors"), body["errors"]
        (value,) = body["data"].values()
        return value

    def wait(self, until: Callable[[], Any], what: str, seconds: float) -> Any:
        """Ask again and again, within a bound, until the answer is truthy; returns it."""
        deadline = time.monotonic() + seconds
        while not (answer := until()):
            dead = [process.args for process in self._processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                pytest.fail(f"{what}: not after {seconds:g} s; ended: {dead}\n{self.logs()}")
            time.sleep(0.2)
        return answer

    def run_ids(self) -> list[str]:
        """Of all runs, the oldest first."""
        found = self.query("{ runsOrError { ... on Runs { results { runId } } } }")
        return [run["runId"] for run in reversed(found["results"])]

    def run_of(self, run_id: str) -> dict[str, Any]:
        """A run as it is now: status, tags, origin and its materializations."""
        run = self.query(_RUN, id=run_id)
        assert run["__typename"] == "Run", run
        return {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}

    def end(self, run_id: str, seconds: float) -> dict[str, Any]:
        """Wait for a run's end, however it ends."""

        def ended() -> dict[str, Any] | None:
            run = self.run_of(run_id)
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return self.wait(ended, f"run {run_id} has ended", seconds)

    def finish(self, run_id: str, seconds: float) -> dict[str, Any]:
        """Wait for a run's success."""
        run = self.end(run_id, seconds)
        assert run["status"] == "SUCCESS", f"{run}\n{self.logs()}"
        return run

    def stored(self, stream: str) -> dict[tuple[str, str], set[str]]:
        """Record ids of the documents that each store holds of each tenant, by (store, tenant); empty ones left out."""
        services = Services(self.settings)
        try:
            found: dict[tuple[str, str], set[str]] = {}
            for store in ("qdrant", "pgvector"):
                registered = services.ledger.active_collection(store, f"freshdesk_{stream}")
                if registered is None:
                    continue
                for tenant in services.tenants.names("freshdesk"):
                    chunks = services.store(store).scan(registered.collection, tenant)
                    found[store, tenant] = {chunk.document_id.split("_", 2)[2] for chunk in chunks}
            return {place: ids for place, ids in found.items() if ids}
        finally:
            services.close()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Our command line in a process of its own, which nobody listens to."""
        return subprocess.Popen(
            [sys.executable, "-m", "sync_assets", *arguments],
            cwd=self.home,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """Dagster's own storage, without looking for dead runs."""
        # Its dagster.yaml names the variable.
        with (
            patch.dict(os.environ, DAGSTER_HOME=str(self.home)),
            DagsterInstance.from_config(str(self.home)) as instance,
        ):
            yield instance

    def command(self, *arguments: str) -> dict[str, Any]:
        """What our command line prints as JSON, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "sync_assets", *arguments, "--json"],
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def logs(self) -> str:
        """The end of what webserver and daemon said."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-_LOG_CHARACTERS:]}" for path in self.home.glob("*.log"))

    def _start(self, program: str, *arguments: str) -> None:
        with (self.home / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(_BIN / program), *arguments, "--workspace", str(ROOT / "workspace.yaml")],
                cwd=self.home,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def _stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes:
                _signal_group(process, number)
            for process in self._processes:
                with _overlong():
                    process.wait(_STOP_SECONDS)

    def _is_loaded(self) -> bool:
        try:
            found = self.query(
                "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"
            )
        except httpx.TransportError:
            return False
        return [node["location"]["name"] for node in found.get("nodes", [])] == [LOCATION]


_RUN = """
query ($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run {
      status
      parentRunId
      tags { key value }
      repositoryOrigin { repositoryName repositoryLocationName }
      assetMaterializations { partition assetKey { path } }
    }
  }
}
"""


def asset_keys(stream: str, stages: Sequence[str]) -> list[dict[str, list[str]]]:
    """As GraphQL takes them."""
    return [{"path": ["freshdesk", stream, stage]} for stage in stages]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """The whole group, whose code servers and runs may outlive the process that started them."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


@contextmanager
def _overlong() -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        return
