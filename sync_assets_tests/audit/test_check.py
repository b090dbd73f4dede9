"""The check `equals_ledger` as Dagster evaluates it, over an installation's two stores."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.test_utils import create_run_for_test

from sync_assets.checks.audit import audit_checks
from sync_assets.definitions import build_defs
from sync_assets.ledger import NewCollection
from sync_assets_tests.audit.world import make_point
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


def test_what_names_no_stream_of_a_store_turns_one_check_red_whoever_it_names_and_wherever_it_lies(
    world: World,
) -> None:
    world.write("1", 0, "printer on fire")
    world.run(partition(0))
    ledger = world.services.ledger
    tickets = {store: ledger.active_collection(store, "freshdesk_tickets") for store in ("qdrant", "pgvector")}
    qdrant, pgvector = tickets["qdrant"], tickets["pgvector"]
    assert qdrant is not None
    assert pgvector is not None
    old = ledger.register_collection(NewCollection("chroma", "old", "f" * 32, "old", 8, "hash-8", "f" * 32, {}))
    world.services.store("chroma").ensure_collection(old.collection)
    for registered, tenant, source in (
        (qdrant, "acme", "crm"),
        (pgvector, "somebody", "freshdesk"),
        (old, "polder", "freshdesk"),
    ):
        world.services.store(registered.store).upsert(registered.collection, tenant, [make_point(tenant, source)])
    definitions = build_defs(world.services)
    graph = definitions.resolve_asset_graph()
    job = dg.define_asset_job(
        "audit",
        selection=dg.AssetSelection.checks(*(one for one in graph.asset_check_keys if one.name == "equals_ledger")),
    )
    result = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("audit")
    found = result.execute_in_process(instance=world.instance).get_asset_check_evaluations()
    red = {check.asset_key.to_user_string(): check for check in found if not check.passed}
    assert set(red) == {"freshdesk/tickets/qdrant", "freshdesk/tickets/pgvector", "backlog/documents/chroma"}
    said = {place.rpartition("/")[2]: (check.description, cases(check)) for place, check in red.items()}
    assert said["qdrant"] == (
        "1 documents differ; 1 of them name no stream that is kept there; "
        "`sync-assets audit --heal --store qdrant` mends it",
        "- acme crm/tickets stranger: acme_crm_1",
    )
    assert said["pgvector"][1] == "- somebody stranger: somebody_freshdesk_1"
    assert said["chroma"][1] == "- polder freshdesk/tickets stranger: polder_freshdesk_1"


def cases(check: dg.AssetCheckEvaluation) -> str:
    return str(check.metadata["cases"].value).replace("\\", "")


def test_a_collection_that_streams_share_is_read_once_for_all_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("1", 0, "printer on fire")
    world.run(partition(0))
    reads = Counter[tuple[str, str]]()
    for store in ("qdrant", "pgvector"):
        opened = world.services.store(store)

        def scan_points(collection: Any, tenant: str, store: str = store, scan: Any = opened.scan_points) -> Any:
            reads[store, tenant] += 1
            return scan(collection, tenant)

        monkeypatch.setattr(opened, "scan_points", scan_points)
    tickets = world.chain.stream
    checks = audit_checks([tickets, replace(tickets, name="articles"), replace(tickets, name="notes")])
    definitions = dg.Definitions(
        asset_checks=[checks], resources={"services": dg.ResourceDefinition.hardcoded_resource(world.services)}
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=world.instance)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True] * 6
    assert reads == {(store, tenant): 1 for store in ("qdrant", "pgvector") for tenant in ("acme", "polder")}
