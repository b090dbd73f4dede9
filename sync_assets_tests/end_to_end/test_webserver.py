"""Runs through a real webserver and daemon, and runs of the command line as the UI shows and repeats them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.partitions import RANGE_END, RANGE_START
from sync_assets.runs import LOCATION
from sync_assets_tests.dagster_assets.world import STAGES, STORES, TENANTS, fresh_database
from sync_assets_tests.end_to_end.deployment import REPOSITORY, Deployment, asset_keys

Stored = dict[tuple[str, str], set[str]]

DAYS = ("2026-11-05", "2026-11-06", "2026-11-07")
RUN_SECONDS = 90.0

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
