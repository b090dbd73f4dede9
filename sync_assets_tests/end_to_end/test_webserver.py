"""Runs through a real webserver and daemon, and runs of the command line as the UI shows and repeats them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import ScheduleInstigatorData

from sync_assets.demo.server import DemoServers
from sync_assets.partitions import RANGE_END, RANGE_START, SOURCE_TAG, TENANTS_TAG
from sync_assets.run_processes import PROCESS_TAG
from sync_assets.runs import LOCATION
from sync_assets_tests.dagster_assets.world import STAGES, STORES, TENANTS
from sync_assets_tests.end_to_end.deployment import REPOSITORY, Deployment, asset_keys
from sync_assets_tests.postgres import fresh_database

Stored = dict[tuple[str, str], set[str]]

DAYS = ("2026-11-05", "2026-11-06", "2026-11-07")
RUN_SECONDS = 90.0
TICK_SECONDS = 150.0

_ADD_TENANT = """
mutation ($repository: RepositorySelector!, $tenant: String!) {
  addDynamicPartition(
    repositorySelector: $repository, partitionsDefName: "freshdesk_tenants", partitionKey: $tenant
  ) { __typename }
}
"""

_LAUNCH = """
mutation ($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) {
  launchPipelineExecution(
    executionParams: { selector: $selector, mode: "default", runConfigData: {}, executionMetadata: { tags: $tags } }
  ) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""

_REPEAT = """
mutation ($id: String!) {
  launchRunReexecution(reexecutionParams: { parentRunId: $id, strategy: ALL_STEPS }) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""

_BACKFILL = """
mutation ($assets: [AssetKeyInput!]!, $partitions: [String!]!) {
  launchPartitionBackfill(backfillParams: { assetSelection: $assets, partitionNames: $partitions }) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""

_TURN_ON = {
    "schedule": """
mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename ... on PythonError { message } }
}
""",
    "sensor": """
mutation ($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename ... on PythonError { message } }
}
""",
}

_BACKFILL_STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status error { message } } }
}
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[DemoServers]:
    with DemoServers() as servers:
        yield servers


@pytest.fixture(scope="module")
def deployment(
    postgres_url: str, servers: DemoServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    home: Path = tmp_path_factory.mktemp("deployment") / "home"
    with fresh_database(postgres_url) as url, Deployment(home, url, servers) as deployment:
        for tenant in TENANTS:
            added = deployment.query(_ADD_TENANT, repository=REPOSITORY, tenant=tenant)
            assert added["__typename"] == "AddDynamicPartitionSuccess", added
        yield deployment


def changed(servers: DemoServers, tenant: str, stream: Any, days: tuple[str, ...]) -> set[str]:
    """Ids of the demo company's live records that were changed on these days."""
    records = servers.company.records(tenant, stream)
    return {record_id for record_id, record in records if record["updated_at"][:10] in days}


def new_since(before: Stored, now: Stored) -> Stored:
    """What stores hold beyond `before`; nothing may have gone."""
    assert all(ids <= now[place] for place, ids in before.items())
    return {place: new for place, ids in now.items() if (new := ids - before.get(place, set()))}


def launch_range(deployment: Deployment, stream: str, first: str, last: str) -> str:
    """Start what the UI starts for a range of partitions of a whole chain; returns the run's id."""
    launched = deployment.query(
        _LAUNCH,
        selector={
            **REPOSITORY,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": asset_keys(stream, STAGES),
            "assetCheckSelection": None,
        },
        tags=[{"key": RANGE_START, "value": first}, {"key": RANGE_END, "value": last}],
    )
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def test_a_range_over_windows_and_tenants_is_one_run_that_fills_both_stores(
    deployment: Deployment, servers: DemoServers
) -> None:
    before, had = deployment.run_ids(), deployment.stored("articles")
    run_id = launch_range(deployment, "articles", f"{DAYS[0]}|acme", f"{DAYS[-1]}|polder")
    run = deployment.finish(run_id, RUN_SECONDS)
    assert deployment.run_ids() == [*before, run_id]
    assert (run["tags"][SOURCE_TAG], run["tags"][TENANTS_TAG]) == ("freshdesk", ",".join(TENANTS))
    materialized = {(found["assetKey"]["path"][-1], found["partition"]) for found in run["assetMaterializations"]}
    assert materialized == {(stage, f"{day}|{tenant}") for stage in STAGES for day in DAYS for tenant in TENANTS}
    expected = {tenant: changed(servers, tenant, "articles", DAYS) for tenant in TENANTS}
    assert all(expected.values())
    assert new_since(had, deployment.stored("articles")) == {
        (store, tenant): expected[tenant] for store in STORES for tenant in TENANTS
    }


def test_a_run_of_the_command_line_stands_under_its_code_location_and_can_be_repeated_there(
    deployment: Deployment, servers: DemoServers
) -> None:
    day = "2026-11-08"
    had = deployment.stored("tickets")
    result = deployment.command(
        "sync", "--source", "freshdesk", "--stream", "tickets", "--tenant", "polder", "--from", day, "--to", day
    )
    run_id, _ = result["runs"]  # the other one is what is made of whole graphs
    run = deployment.finish(run_id, RUN_SECONDS)
    assert run["repositoryOrigin"] == REPOSITORY
    assert run["repositoryOrigin"]["repositoryLocationName"] == LOCATION
    expected = changed(servers, "polder", "tickets", (day,))
    assert expected
    stored = deployment.stored("tickets")
    assert new_since(had, stored) == {(store, "polder"): expected for store in STORES}
    launched = deployment.query(_REPEAT, id=run_id)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    repeated = deployment.finish(launched["run"]["runId"], RUN_SECONDS)
    assert repeated["parentRunId"] == run_id
    assert {name: repeated["tags"][name] for name in (RANGE_START, RANGE_END)} == {
        RANGE_START: f"{day}|polder",
        RANGE_END: f"{day}|polder",
    }
    assert len(repeated["assetMaterializations"]) == len(run["assetMaterializations"]) == len(STAGES) + 1
    assert deployment.stored("tickets") == stored
    both = dg.RunsFilter([run_id, launched["run"]["runId"]])
    with deployment.instance() as instance:
        second, first = [run.asset_check_selection for run in instance.get_runs(both)]
    assert first
    assert second == first


@pytest.mark.slow
def test_a_run_of_the_ui_that_is_killed_has_failed_and_the_next_one_does_the_rest(
    deployment: Deployment, servers: DemoServers
) -> None:
    days = ("2026-11-12", "2026-11-13")
    had = deployment.stored("articles")
    run_id = launch_range(deployment, "articles", f"{days[0]}|acme", f"{days[1]}|polder")

    def began() -> str | None:
        run = deployment.run_of(run_id)
        # Some of its files are stored then, and no vectors yet.
        return run["tags"].get(PROCESS_TAG) if run["assetMaterializations"] else None

    _, process, *_ = deployment.wait(began, f"run {run_id} has begun", RUN_SECONDS).split()
    os.kill(int(process), signal.SIGKILL)
    assert deployment.end(run_id, RUN_SECONDS)["status"] == "FAILURE"
    assert new_since(had, deployment.stored("articles")) == {}
    launched = deployment.query(_REPEAT, id=run_id)
    deployment.finish(launched["run"]["runId"], RUN_SECONDS)
    assert new_since(had, deployment.stored("articles")) == {
        (store, tenant): changed(servers, tenant, "articles", days) for store in STORES for tenant in TENANTS
    }


@pytest.mark.slow  # Dagster's monitor of runs looks every 30 seconds.
def test_a_command_that_is_killed_has_failed_though_nobody_runs_another_one(deployment: Deployment) -> None:
    before = deployment.run_ids()
    process = deployment.start("sync", "--source", "freshdesk", "--stream", "tickets", "--all")

    def began() -> str | None:
        new = [run_id for run_id in deployment.run_ids() if run_id not in before]
        return new[0] if new and deployment.run_of(new[0])["status"] == "STARTED" else None

    run_id = deployment.wait(began, "the command's run has started", RUN_SECONDS)
    process.kill()
    process.wait()
    assert deployment.end(run_id, RUN_SECONDS)["status"] == "FAILURE"
    with deployment.instance() as instance:
        messages = " ".join(log.message or "" for log in instance.all_logs(run_id))
    assert f"The process of this run ({process.pid} on " in messages


@pytest.mark.slow  # Dagster's backfill daemon sleeps 30 seconds between its steps, and needs two.
def test_a_backfill_over_more_windows_than_tenants_is_one_run_for_each_tenant(
    deployment: Deployment, servers: DemoServers
) -> None:
    # Dagster makes a run for each key of the dimension that has fewer of them, and for each window where both have two.
    days = ("2026-11-09", "2026-11-10", "2026-11-11")
    before, had = deployment.run_ids(), deployment.stored("articles")
    launched = deployment.query(
        _BACKFILL,
        assets=asset_keys("articles", STAGES),
        partitions=[f"{day}|{tenant}" for day in days for tenant in TENANTS],
    )
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def ended() -> bool:
        found = deployment.query(_BACKFILL_STATUS, id=launched["backfillId"])
        assert found["error"] is None, found
        return found["status"] in ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED")

    deployment.wait(ended, "the backfill has ended", 240.0)
    runs = [deployment.finish(run_id, RUN_SECONDS) for run_id in deployment.run_ids() if run_id not in before]
    assert sorted((run["tags"][RANGE_START], run["tags"][RANGE_END]) for run in runs) == [
        (f"{days[0]}|{tenant}", f"{days[-1]}|{tenant}") for tenant in TENANTS
    ]
    assert new_since(had, deployment.stored("articles")) == {
        (store, tenant): changed(servers, tenant, "articles", days) for store in STORES for tenant in TENANTS
    }


@pytest.mark.slow  # Dagster's daemon looks at schedules once a minute, and at sensors every 30 seconds.
@pytest.mark.parametrize("kind", ["schedule", "sensor"])
def test_a_tick_of_the_daemon_starts_a_run_that_brings_the_stores_in_step(
    deployment: Deployment, servers: DemoServers, kind: str
) -> None:
    before = deployment.run_ids()
    name = {"schedule": "freshdesk_incremental", "sensor": "freshdesk_changes"}[kind]
    started = deployment.query(_TURN_ON[kind], selector={**REPOSITORY, f"{kind}Name": name})
    assert "error" not in started["__typename"].lower(), started
    if kind == "schedule":
        _backdate(deployment, name)

    def asked() -> list[str] | None:
        """The runs of the tick, once there is one for each tenant: the daemon makes them one after the other."""
        tags = {run_id: deployment.run_of(run_id)["tags"] for run_id in deployment.run_ids() if run_id not in before}
        ours = {run_id: found for run_id, found in tags.items() if found.get(f"dagster/{kind}_name") == name}
        reached = {tenant for found in ours.values() for tenant in found["sync_assets/tenants"].split(",")}
        return list(ours) if reached == set(TENANTS) else None

    runs = deployment.wait(asked, f"{name} has asked for a run of each tenant", TICK_SECONDS)
    for run_id in runs:
        deployment.finish(run_id, 5 * RUN_SECONDS)
    live = {tenant: set(servers.company.record_ids(tenant, "freshdesk", "articles")) for tenant in TENANTS}
    expected = {(store, tenant): live[tenant] for store in STORES for tenant in TENANTS}
    assert deployment.stored("articles") == expected


def _backdate(deployment: Deployment, schedule: str) -> None:
    """Let a schedule have been on for an hour, so that its last turn, of which each hour has one, is made up for."""
    with deployment.instance() as instance:
        (state,) = [found for found in instance.all_instigator_state() if found.name == schedule]
        data = state.instigator_data
        assert isinstance(data, ScheduleInstigatorData)
        earlier = (data.start_timestamp or 0) - 3600
        instance.update_instigator_state(state.with_data(ScheduleInstigatorData(data.cron_schedule, earlier)))
