"""The check `equals_ledger` as Dagster evaluates it, over an installation's two stores."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.test_utils import create_run_for_test

from sync_assets.definitions import build_defs
from sync_assets_tests.dagster_assets.world import World, key, partition
from sync_assets_tests.postgres import fresh_database


@pytest.fixture
def world(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    with fresh_database(postgres_url) as url:
        world = World(tmp_path, url)
        yield world
        world.close()


def evaluated(world: World) -> dict[str, dg.AssetCheckEvaluation]:
    """The check's results by store, of the ticket stream."""
    definitions = build_defs(world.services)
    keys = [dg.AssetCheckKey(key(store), "equals_ledger") for store in ("qdrant", "pgvector")]
    job = dg.define_asset_job("audit", selection=dg.AssetSelection.checks(*keys))
    found = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("audit")
    result = found.execute_in_process(instance=world.instance)
    return {check.asset_key.path[-1]: check for check in result.get_asset_check_evaluations()}


def test_what_a_run_under_way_has_not_brought_to_the_store_yet_is_no_difference(world: World) -> None:
    world.write("1", 0, "printer on fire")
    world.run(partition(0, "acme"))
    under_way = create_run_for_test(world.instance, status=dg.DagsterRunStatus.STARTED)
    with world.services.ledger.transaction() as connection:  # as that run's documents do before its stores
        connection.execute(sa.text("UPDATE sync_assets.documents SET observed_at = now()"))
    assert {store: check.passed for store, check in evaluated(world).items()} == {"qdrant": True, "pgvector": True}

    world.instance.report_run_failed(under_way)
    assert {store: check.passed for store, check in evaluated(world).items()} == {"qdrant": False, "pgvector": False}


def test_the_check_names_what_differs_and_which_tenant_and_stops_nothing(world: World) -> None:
    world.write("1", 0, "printer on fire")
    world.write("1", 0, "scanner on fire", tenant="polder")
    world.run(partition(0, "acme"), partition(0, "polder"))
    assert {store: check.passed for store, check in evaluated(world).items()} == {"qdrant": True, "pgvector": True}

    registered = world.services.ledger.active_collection("qdrant", "freshdesk_tickets")
    assert registered is not None
    world.services.store("qdrant").drop_tenant(registered.collection, "acme")
    found = evaluated(world)
    assert {store: check.passed for store, check in found.items()} == {"qdrant": False, "pgvector": True}
    values = {name: value.value for name, value in found["qdrant"].metadata.items()}
    assert (values["tenants"], values["failing"]) == ("acme", 1)
    assert "acme missing: acme" in str(values["cases"]).replace("\\", "")
    assert "audit --heal" in (found["qdrant"].description or "")
    assert not found["qdrant"].blocking
