"""Jobs: real runs in a process of their own, which pausing and cancelling really end."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from fastapi.testclient import TestClient

from sync_assets import runs
from sync_assets.demo.server import DemoServers
from sync_assets.jobs import Job, Jobs
from sync_assets.jobs.job import JOB_TAG
from sync_assets.jobs.worker import work
from sync_assets.run_processes import RunProcess, claim
from sync_assets_tests.api.installations import INTERNAL, OF_ACME, OPERATOR, api, bearer, installation_with_keys
from sync_assets_tests.command_line import YESTERDAY, Installation, small_company
from sync_assets_tests.postgres import fresh_database

SECONDS = 120
LISTING = r"/tickets\?.*include"


@pytest.fixture
def own(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        yield installation_with_keys(tmp_path / "home", url, servers)


def start(client: TestClient, **body: Any) -> dict[str, Any]:
    asked = {"sources": ["freshdesk"], "streams": ["tickets"], **body}
    response = client.post("/v1/jobs", json=asked, headers=bearer(INTERNAL))
    assert response.status_code == 202, response.text
    assert response.json()["status"] == "pending"
    return response.json()


def show(client: TestClient, job_id: str) -> dict[str, Any]:
    return client.get(f"/v1/jobs/{job_id}", headers=bearer(INTERNAL)).json()


def control(client: TestClient, job_id: str, action: str, status: int = 200) -> dict[str, Any]:
    response = client.post(f"/v1/jobs/{job_id}/{action}", headers=bearer(INTERNAL))
    assert response.status_code == status, response.text
    return response.json()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def done(job: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {stage["stage"]: (stage["done"], stage["total"]) for stage in job["progress"]}


def statuses(installation: Installation, job_id: str) -> list[dg.DagsterRunStatus]:
    with installation.instance() as instance:
        return [run.status for run in instance.get_runs(dg.RunsFilter(tags={JOB_TAG: job_id}), ascending=True)]


def process_of(installation: Installation, job_id: str) -> psutil.Process:
    with installation.instance() as instance:
        process = RunProcess.of(instance.get_runs(dg.RunsFilter(tags={JOB_TAG: job_id}))[0])
    assert process is not None
    return psutil.Process(process.pid)


@pytest.mark.slow
def test_a_job_is_paused_resumed_by_another_api_and_completed(own: Installation) -> None:
    day = f"{YESTERDAY:%Y-%m-%d}"
    with api(own) as client:
        own.order_fault("polder", path=LISTING, delay=SECONDS)
        job = start(client, since=day)["id"]
        wait_for(lambda: any("include" in request for request in own.requests("polder")) or _began(client, job))
        process = process_of(own, job)
        second = start(client, since=day)["id"]
        paused = control(client, job, "pause")
        assert (paused["status"], paused["remaining_seconds"], paused["errors"]) == ("paused", None, [])
        assert not process.is_running()
        assert statuses(own, job) == [dg.DagsterRunStatus.CANCELED]
        assert control(client, second, "cancel")["status"] == "cancelled"
        control(client, second, "resume", 409)
        own.mend("polder")
    with api(own) as client:  # one that never heard of it
        listed = client.get("/v1/jobs", params={"status": "paused"}, headers=bearer(INTERNAL)).json()
        assert [one["id"] for one in listed["jobs"]] == [job]
        control(client, job, "resume")
        wait_for(lambda: show(client, job)["status"] not in ("pending", "running"))
        completed = show(client, job)
        assert completed["status"] == "completed"
        assert all(did == of for did, of in done(completed).values())
        assert set(done(completed)) >= {"raw", "documents", "chunks", "embeddings", "pgvector", "qdrant"}
        assert (completed["counts"]["documents"], completed["errors_count"]) == (6, 0)
        assert (completed["since"], completed["started_at"] < completed["ended_at"]) == (day, True)
        for action in ("pause", "resume", "cancel"):
            control(client, job, action, 409)
        own.assert_in_step("polder")

        assert client.get(f"/v1/jobs/{job}", headers=bearer(OF_ACME)).json()["detail"] == "There is no such job."
        assert client.get("/v1/jobs", headers=bearer(OF_ACME)).json()["total"] == 0
        every = client.get("/v1/jobs", params={"per_page": 1, "page": 2}, headers=bearer(OPERATOR)).json()
        assert ([one["id"] for one in every["jobs"]], every["total"]) == ([job], 2)


def _began(client: TestClient, job: str) -> bool:
    return show(client, job)["started_at"] is not None


def test_a_job_that_is_resumed_twice_at_once_has_one_worker(own: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []

    def launch(jobs: Jobs, job_id: str, made: Sequence[dg.DagsterRun]) -> None:
        """A process that only waits, in the worker's place."""
        process = subprocess.Popen(["/bin/sleep", str(SECONDS)])
        launched.append(job_id)
        for run in made:
            claim(jobs._instance, run.run_id, process.pid)

    look_up, both = Jobs.get, threading.Barrier(2, timeout=SECONDS)

    def together(jobs: Jobs, job_id: str) -> Job | None:
        found = look_up(jobs, job_id)
        both.wait()
        return found

    monkeypatch.setattr(Jobs, "_launch", launch)
    with api(own) as client:
        job = start(client, since=f"{YESTERDAY:%Y-%m-%d}")["id"]
        assert control(client, job, "pause")["status"] == "paused"
        url = f"/v1/jobs/{job}/resume"
        with monkeypatch.context() as meanwhile, ThreadPoolExecutor(2) as executor:
            meanwhile.setattr(Jobs, "get", together)
            asked = [executor.submit(client.post, url, headers=bearer(INTERNAL)) for _ in range(2)]
            assert sorted(one.result().status_code for one in asked) == [200, 409]
        assert launched == [job, job], "when it was started, and when it was resumed"
        assert control(client, job, "cancel")["status"] == "cancelled"


def test_a_worker_leaves_a_run_that_another_one_has_begun(own: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[dg.DagsterRun] = []
    monkeypatch.setattr(Jobs, "_launch", lambda *_: None)
    monkeypatch.setattr(runs, "execute_made", lambda _, run: executed.append(run))
    monkeypatch.setattr(runs, "interrupted", lambda _: False)
    with api(own) as client, own.instance() as instance:
        job = start(client, since=f"{YESTERDAY:%Y-%m-%d}")["id"]
        (run,) = instance.get_runs(dg.RunsFilter(tags={JOB_TAG: job}))
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", run.job_name), run.run_id)
        work(job)
    assert run.run_id not in [one.run_id for one in executed]


def test_a_tenant_is_told_what_kind_of_thing_failed_and_the_operator_all(
    own: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Jobs, "_launch", lambda *_: None)
    with api(own) as client:
        job = start(client, since=f"{YESTERDAY:%Y-%m-%d}")["id"]
        own.order_fault("polder", status=401)
        work(job)
        (told,) = show(client, job)["errors"]
        assert told == "freshdesk/tickets/raw: Upstream refused, or could not be reached."
        (whole,) = client.get(f"/v1/jobs/{job}", headers=bearer(OPERATOR)).json()["errors"]
        assert whole.startswith("freshdesk/tickets/raw: ")
        assert "127.0.0.1" in whole


def test_what_can_not_be_synced_is_refused_before_anything_is_made(own: Installation) -> None:
    with api(own) as client:
        for body, status in (
            ({"sources": ["slack"]}, 422),
            ({"streams": ["nothing"]}, 422),
            ({"all": True, "incremental": True}, 422),
            ({"until": "2026-01-01"}, 422),
        ):
            assert client.post("/v1/jobs", json=body, headers=bearer(INTERNAL)).status_code == status
        own.order_fault("polder", status=401)
        refused = client.post("/v1/jobs", json={"sources": ["freshdesk"]}, headers=bearer(INTERNAL))
        assert refused.status_code == 502
        assert client.get("/v1/jobs", headers=bearer(INTERNAL)).json()["total"] == 0
