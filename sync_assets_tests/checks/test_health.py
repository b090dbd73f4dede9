"""What the health checks tell of stores at any time, without a sync."""

from datetime import UTC, datetime

import dagster as dg
import pytest
import sqlalchemy as sa

from sync_assets.checks import health
from sync_assets.ledger import tables as t
from sync_assets_tests.dagster_assets.world import STORES, World, checks, key, partition
from sync_assets_tests.laws.upstream import DAY, START


def _evaluate(
    world: World, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Health checks of the ticket stores alone, as the schedule evaluates them."""
    monkeypatch.setattr(health, "utc_now", lambda: now)
    names = ("freshness", "failed_partitions", "one_fingerprint", "no_deleted_documents")
    selection = [dg.AssetCheckKey(key(store), name) for store in STORES for name in names]
    found = checks(world.evaluate(selection))
    assert len(found) == len(selection)
    return found


def test_freshness_names_the_tenants_that_are_late_and_those_never_synced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("1", 0, "printer on fire")
    world.run(partition(0))
    found = _evaluate(world, monkeypatch, START + DAY)
    check = found["pgvector", "freshness"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["cases"].value == "- polder: never synced"
    world.run(partition(0, "polder"))
    assert _evaluate(world, monkeypatch, START + DAY)["qdrant", "freshness"].passed
    check = _evaluate(world, monkeypatch, START + 6 * DAY)["qdrant", "freshness"]
    assert check.metadata["tenants"].value == "acme, polder"
    assert "acme: not synced for 5 days" in str(check.metadata["cases"].value)
    assert check.metadata["hours_since_sync"].value == 120.0
    assert "they have no changes, or are behind" in str(check.description), "a sensor does not sync a quiet tenant"


def test_partitions_that_failed_last_are_named_until_they_succeed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    world.write("1", 0, "printer on fire")
    world.run(partition(1))
    world.upstreams["acme"].broken = True
    world.run(partition(0), partition(1), succeeds=False)
    check = _evaluate(world, monkeypatch, now)["qdrant", "failed_partitions"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["failing"].value == 2
    assert check.metadata["partitions"].value == f"{partition(0)}, {partition(1)}"
    world.upstreams["acme"].broken = False
    world.run(partition(0), partition(1))
    assert _evaluate(world, monkeypatch, now)["qdrant", "failed_partitions"].passed


def test_another_model_and_vectors_of_deleted_documents_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("1", 0, "printer on fire")
    world.run(partition(0))
    now = datetime.now(UTC)
    found = _evaluate(world, monkeypatch, now)
    names = ("one_fingerprint", "no_deleted_documents")
    assert all(found[store, name].passed for store in STORES for name in names)
    with world.services.ledger.transaction() as connection:
        connection.execute(sa.update(t.documents).values(deleted=True))
        qdrant = t.collections.c.store == "qdrant"
        connection.execute(sa.update(t.collections).where(qdrant).values(fingerprint="f" * 32))
    found = _evaluate(world, monkeypatch, now)
    assert {name for name, check in found.items() if not check.passed and name[1] in names} == {
        ("qdrant", "one_fingerprint"),
        ("qdrant", "no_deleted_documents"),
        ("pgvector", "no_deleted_documents"),
    }
    assert found["pgvector", "no_deleted_documents"].metadata["cases"].value == r"- acme\_freshdesk\_1"
