"""The chain as Dagster runs it: one case for each law, and what people see of a run."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from psycopg import sql

from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.embedding import open_embedder
from sync_assets.errors import StoreError
from sync_assets.ledger import StreamRef
from sync_assets.vector_stores import Audience
from sync_assets_tests.dagster_assets.world import (
    STAGES,
    STORES,
    TENANTS,
    Installation,
    World,
    checks,
    data_versions,
    key,
    materializations,
    partition,
    reasons,
    total,
)
from sync_assets_tests.laws.upstream import DAY, START, STORE_WRITES

ACME = StreamRef("acme", "freshdesk", "tickets")


def test_one_partition_is_stored_in_both_stores(world: World) -> None:
    world.write("1", 0, "printer on fire", "please restart it")
    world.write("2", 1, "of another day")
    result = world.run(partition(0))
    for store in STORES:
        assert world.documents(store) == {"1"}
        assert len(world.stored(store)) == 2
    assert set(materializations(result)) == {(stage, partition(0)) for stage in STAGES}
    # What is upstream in these tests was written long ago.
    assert all(check.passed for (_, name), check in checks(result).items() if name != "freshness")


def test_a_range_of_windows_and_tenants_is_one_run_with_counts_for_each_partition(world: World) -> None:
    world.write("1", 0, "printer on fire", "please restart it")
    world.write("2", 2, "thanks")
    world.write("1", 1, "de warmtepomp is koud", tenant="polder")
    result = world.run(partition(0, "acme"), partition(2, "polder"))
    assert world.instance.get_runs_count() == 1
    world.assert_converged()
    found = materializations(result)
    partitions = [partition(window, tenant) for tenant, window in product(TENANTS, range(3))]
    assert set(found) == {(stage, name) for stage, name in product(STAGES, partitions)}
    rows = {name: [found[stage, name]["dagster/partition_row_count"] for stage in STAGES] for name in partitions}
    assert rows == {
        partition(0): [1, 1, 2, 2, 1, 1],
        partition(1): [0] * 6,
        partition(2): [1, 1, 1, 1, 1, 1],
        partition(0, "polder"): [0] * 6,
        partition(1, "polder"): [1, 1, 1, 1, 1, 1],
        partition(2, "polder"): [0] * 6,
    }
    assert [found["embeddings", name]["embedded"] for name in partitions] == [2, 0, 1, 0, 1, 0]
    assert [found["qdrant", name]["written"] for name in partitions] == [2, 0, 1, 0, 1, 0]


def test_the_preview_of_a_partition_shows_its_own_rows_and_upstream_words_as_words(world: World) -> None:
    words = "<img src=x> ![x](http://there/x.png) [a](javascript:1) a|b"
    world.write("1", 0, words)
    world.write("2", 0, "only internal", private=True)
    world.write("1", 1, "de warmtepomp is koud", tenant="polder")
    found = materializations(world.run(partition(0, "acme"), partition(1, "polder")))
    assert "Ticket 1" in found["documents", partition(0)]["preview"]
    assert "Ticket 2" not in found["documents", partition(0)]["preview"]
    assert "warmtepomp" in found["chunks", partition(1, "polder")]["preview"]
    for (stage, name), metadata in found.items():
        other = "warmtepomp" if name.endswith("acme") else "there/x.png"
        assert other not in str(metadata), (stage, name)
        assert "only internal" not in str(metadata), (stage, name)
    assert "preview" not in found["chunks", partition(1)]
    preview = found["chunks", partition(0)]["preview"]
    assert r"\<img src=x\> \!\[x\](http://there/x.png) \[a\](javascript:1) a\|b" in preview


def test_the_same_ticket_number_of_two_tenants_is_two_documents_that_never_meet(world: World) -> None:
    for tenant in TENANTS:
        world.write("1", 0, f"the secret of {tenant}", tenant=tenant)
    world.run(partition(0, "acme"), partition(0, "polder"))
    acme, polder = (set(world.stored("pgvector", tenant)) for tenant in TENANTS)
    assert (len(acme), len(polder)) == (1, 1)
    assert not acme & polder
    vector = open_embedder("hash-8").embed(["the secret of polder"])[0]
    for store in STORES:
        collection = world.services.ledger.active_collection(store, "freshdesk_tickets")
        assert collection is not None
        audience = Audience(visibility=Visibility.INTERNAL)
        hits = world.services.store(store).search(collection.collection, "acme", audience, vector, 10)
        assert [hit.document_id for hit in hits] == ["acme_freshdesk_1"]
        assert "the secret of acme" in hits[0].text


def test_windows_asked_for_with_a_gap_store_these_alone_and_the_watermark_waits_at_the_gap(world: World) -> None:
    for window in range(3):
        world.write(str(window), window, f"text {window}")
    world.run(partition(0))
    world.run(partition(2))
    assert world.documents("qdrant") == world.documents("pgvector") == {"0", "2"}
    assert [world.services.ledger.watermark(ACME, store) for store in STORES] == [START + DAY] * 2
    world.run(partition(0), partition(2))
    world.assert_converged()
    assert [world.services.ledger.watermark(ACME, store) for store in STORES] == [START + 3 * DAY] * 2


# Law 1.
def test_edits_and_deletions_converge_in_whatever_order_the_windows_come(world: World) -> None:
    world.write("1", 0, "first", "second")
    world.write("2", 0, "gone soon")
    world.write("3", 0, "stays")
    world.run(partition(0))
    world.write("1", 1, "first", "second, changed", "third")
    world.delete("2", 1)
    world.write("3", 2, "stays, edited later")
    world.run(partition(2))
    world.run(partition(0))
    world.run(partition(1))
    world.assert_converged()
    assert world.documents("qdrant") == {"1", "3"}


def test_files_of_an_older_state_turn_nothing_back(world: World) -> None:
    world.write("1", 0, "old words")
    world.run(partition(0))
    world.write("1", 1, "new words")
    world.run(partition(1))
    # The files of the first window still hold the old words; only what stands behind them runs again.
    world.run(partition(0), stages=STAGES[1:])
    world.assert_converged()


def test_a_run_that_died_between_two_writes_is_healed_by_the_next(world: World) -> None:
    world.write("1", 0, "one")
    world.write("2", 0, "two")
    world.run(partition(0))
    world.write("1", 1, "one", "more")
    world.delete("2", 1)
    fuse = world.guard("pgvector", *STORE_WRITES)
    fuse.left = 2  # the new vectors are written, the old ones not yet removed
    assert set(reasons(world.run(partition(1), succeeds=False))) == {"pgvector"}
    assert world.documents("pgvector") == {"1", "2"}
    world.run(partition(1))
    world.assert_converged()


# Law 2.
def test_a_second_run_writes_nothing_and_has_the_same_data_versions(world: World, database_url: str) -> None:
    world.write("1", 0, "printer on fire", "please restart it")
    world.write("2", 1, "thanks", private=True)
    world.write("1", 1, "warmtepomp", tenant="polder")
    everything = partition(0, "acme"), partition(1, "polder")
    world.run(*everything)
    first = world.run(*everything)
    before = _rows(database_url)
    fuses = [world.guard(store, *set(STORE_WRITES) - {"ensure_collection"}) for store in STORES]
    for fuse in fuses:
        fuse.left = 0
    second = world.run(*everything)
    assert data_versions(second) == data_versions(first)
    assert _rows(database_url) == before
    assert (total(second, "embeddings", "embedded"), total(second, "embeddings", "reused")) == (0, 4)
    # The guards do see a write.
    world.write("1", 1, "printer still on fire")
    assert set(reasons(world.run(*everything, succeeds=False))) == set(STORES)


def test_the_data_version_follows_the_content(world: World) -> None:
    world.write("1", 0, "one")
    before = data_versions(world.run(partition(0)))
    world.write("2", 0, "two")
    after = data_versions(world.run(partition(0)))
    assert [stage for stage in STAGES if before[stage, partition(0)] == after[stage, partition(0)]] == []


def _rows(url: str) -> dict[str, list[str]]:
    """Every row of the database with the transaction that wrote it, but for what says when the last run was."""
    found: dict[str, list[str]] = {}
    vectors = 0
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema IN ('sync_assets', 'vectors') AND table_name NOT IN ('windows', 'watermarks')"
        ).fetchall()
        for schema, name in tables:
            query = sql.SQL("SELECT xmin, x::text FROM ONLY {} AS x").format(sql.Identifier(schema, name))
            found[name] = sorted(map(str, connection.execute(query)))
            vectors += len(found[name]) if schema == "vectors" else 0
    assert vectors == 4, "what is compared includes pgvector's rows"
    return found


# Law 3.
def test_the_deletion_feed_and_the_sweep_remove_what_is_gone(world: World) -> None:
    for number in range(10):
        world.write(str(number), 0, f"text {number}")
    world.run(partition(0))
    world.delete("0", 1)
    world.delete("1", 1, listed=False)
    world.run(partition(1))
    assert world.documents("qdrant") == world.documents("pgvector") == set("123456789")
    result = world.run(partition(1), sweep=True)
    assert total(result, "documents", "deleted") == 1
    assert checks(result)["raw", "sweep"].passed
    world.assert_converged()


def test_a_sweep_that_would_delete_too_much_deletes_nothing_and_its_check_says_so(world: World) -> None:
    for number in range(10):
        world.write(str(number), 0, f"text {number}")
    world.run(partition(0))
    for number in range(3):
        world.delete(str(number), 1, listed=False)
    result = world.run(partition(1), sweep=True)
    check = checks(result)["raw", "sweep"]
    assert not check.passed
    assert "3 of 10 documents are missing upstream" in (check.description or "")
    assert "SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE=0.2" in (check.description or "")
    assert (check.metadata["failing"].value, check.metadata["tenants"].value) == (1, "acme")
    assert len(world.stored("qdrant")) == len(world.stored("pgvector")) == 10


# Law 4.
def test_a_malformed_record_turns_the_check_red_and_a_later_run_retries_it(world: World) -> None:
    world.write("1", 0, "good")
    world.write("2", 0, "fine", malformed=True)
    world.write("1", 0, "goed", tenant="polder")
    result = world.run(partition(0), partition(0, "polder"))
    check = checks(result)["documents", "quarantine"]
    assert not check.passed
    values = {name: value.value for name, value in check.metadata.items()}
    assert (values["failing"], values["tenants"], values["partitions"]) == (1, "acme", partition(0))
    assert values["cases"] == "- acme 2: not an object"
    named = {"failing", "cases", "partitions", "tenants"}
    assert all(named <= check.metadata.keys() for check in checks(result).values())
    found = materializations(result)
    assert found["raw", partition(0)]["malformed"] == 1
    assert found["documents", partition(0)]["quarantined"] == 1
    assert "not an object" in found["documents", partition(0)]["quarantined_records"]
    assert found["documents", partition(0, "polder")]["quarantined"] == 0
    assert "not an object" not in str(found["documents", partition(0, "polder")])
    assert all(
        check.passed
        for (stage, name), check in checks(result).items()
        if (stage, name) != ("documents", "quarantine") and name != "freshness"
    )
    assert world.documents("qdrant") == world.documents("pgvector") == {"1"}
    world.write("2", 1, "fine", malformed=False)
    assert checks(world.run(partition(1)))["documents", "quarantine"].passed
    world.assert_converged()


def test_the_check_stays_red_for_a_tenant_whose_record_is_still_held_and_green_for_others(world: World) -> None:
    world.write("2", 0, "fine", malformed=True)
    world.run(partition(0))
    world.write("1", 1, "goed", tenant="polder")
    assert checks(world.run(partition(1, "polder")))["documents", "quarantine"].passed
    assert not checks(world.run(partition(1)))["documents", "quarantine"].passed


def test_a_limited_run_says_how_far_it_came_and_moves_no_watermark(world: World) -> None:
    for number in range(4):
        world.write(str(number), 0, f"text {number}")
    result = world.run(partition(0), limit=2)
    assert total(result, "raw", "records") == 2
    assert world.services.ledger.watermark(ACME, "qdrant") is None
    world.run(partition(0))
    world.assert_converged()
    assert world.services.ledger.watermark(ACME, "qdrant") == START + DAY


# Law 5.
@pytest.mark.parametrize("name", ["../x", "acme; DROP", "Acme", "..", "a/b"])
def test_a_tenant_partition_added_by_hand_under_a_hostile_name_fails_and_writes_nothing(
    world: World, name: str, tmp_path: Path
) -> None:
    world.write("1", 0, "one")
    world.run(partition(0))
    before = world.files(), _outside(world, tmp_path)
    world.instance.add_dynamic_partitions("freshdesk_tenants", [name])
    result = world.run(partition(0, name), succeeds=False)
    assert reasons(result) == {
        "raw": f"{name!r} is not a tenant name. Use 1-48 lower case letters, digits, '-' and '_'."
    }
    assert (world.files(), _outside(world, tmp_path)) == before
    # Nor does a later stage read by such a name.
    result = world.run(partition(0, name), stages=["documents"], succeeds=False)
    assert "is not a tenant name" in reasons(result)["documents"]


def _outside(world: World, folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if not path.is_relative_to(world.services.settings.home)]


def test_a_partition_name_with_the_separator_in_it_fails_and_writes_nothing(world: World, tmp_path: Path) -> None:
    world.instance.add_dynamic_partitions("freshdesk_tenants", ["a|b"])
    with pytest.raises(Exception, match=r"a\|b"):
        world.run(partition(0, "a|b"))
    assert world.files() == {}
    assert _outside(world, tmp_path) == []


# Law 6.
def test_another_model_is_refused_naming_both_and_the_old_vectors_stay(world: World) -> None:
    world.write("1", 0, "one", "two")
    world.run(partition(0))
    before = {store: world.stored(store) for store in STORES}
    settings = world.services.settings
    world.services.settings = settings.model_copy(update={"model": "hash-16"})
    world.write("2", 0, "three")
    result = world.run(partition(0), succeeds=False)
    assert set(reasons(result)) == set(STORES)
    for reason in reasons(result).values():
        assert "hash-8 (8d" in reason
        assert "hash-16 (16d" in reason
    assert {store: world.stored(store) for store in STORES} == before
    world.services.settings = settings
    world.run(partition(0))
    world.assert_converged()


# Law 9.
def test_a_change_of_visibility_updates_payloads_and_computes_no_embedding(world: World) -> None:
    world.write("1", 0, "one", "two")
    world.run(partition(0))
    world.write("1", 1, "one", "two", private=True)
    result = world.run(partition(1))
    assert total(result, "embeddings", "embedded") == 0
    vector = open_embedder("hash-8").embed(["one"])[0]
    for store in STORES:
        assert (total(result, store, "written"), total(result, store, "payloads")) == (0, 2)
        collection = world.services.ledger.active_collection(store, "freshdesk_tickets")
        assert collection is not None
        hits = {
            visibility: world.services.store(store).search(
                collection.collection, "acme", Audience(visibility=visibility), vector, 10
            )
            for visibility in (Visibility.PUBLIC, Visibility.INTERNAL)
        }
        assert (len(hits[Visibility.PUBLIC]), len(hits[Visibility.INTERNAL])) == (0, 2)


# Law 10.
def test_a_store_that_is_down_fails_its_asset_and_the_other_store_goes_on(world: World) -> None:
    world.write("1", 0, "one")

    def down(*_: Any) -> None:
        raise StoreError("The store is down.", "Start it.")

    world.guard("pgvector")
    store: Any = world.services.store("pgvector")
    store.upsert = store.delete = down
    result = world.run(partition(0), succeeds=False)
    assert reasons(result) == {"pgvector": "The store is down. Start it."}
    assert ("qdrant", partition(0)) in materializations(result)
    assert ("pgvector", partition(0)) not in materializations(result)
    assert world.documents("qdrant") == {"1"}
    assert world.services.ledger.watermark(ACME, "pgvector") is None
    del store.upsert, store.delete
    world.run(partition(0), stages=["pgvector"])
    world.assert_converged()


def test_an_upstream_that_is_down_fails_the_run_before_anything_is_stored(world: World) -> None:
    world.write("1", 0, "one")
    world.upstreams["acme"].broken = True
    result = world.run(partition(0), succeeds=False)
    assert reasons(result) == {"raw": "Upstream is down. Wait."}
    assert materializations(result) == {}
    assert [name for name in world.files() if name.startswith("storage")] == []


# Laws 8 and 9, with the real source over the real wire.
@pytest.fixture
def demo(tmp_path: Path, database_url: str) -> Iterator[tuple[Installation, DemoServers]]:
    tenants = tmp_path / "tenants.yaml"
    with DemoServers() as servers:
        tenants.write_text(yaml.safe_dump({"tenants": servers.tenants}))
        installation = Installation(tmp_path / "home", database_url, tenants_file=tenants)
        yield installation, servers
        installation.close()


def test_nothing_that_people_see_of_a_run_holds_a_private_note_or_a_secret(
    demo: tuple[Installation, DemoServers],
) -> None:
    installation, servers = demo
    account = servers.company.desks["acme"].data
    window, notes = next(
        (ticket["updated_at"][:10], private)
        for number, ticket in account.tickets.items()
        if (private := [item["body_text"] for item in account.conversations[number] if item["private"]])
    )
    result = installation.run(f"{window}|acme")
    events = _told(installation, result.run_id)
    path = f"acme/freshdesk/tickets/documents/year={window[:4]}/month={window[5:7]}/day={window[8:]}.parquet"
    rows = pq.read_table(installation.services.settings.home / "storage" / path).to_pylist()
    parts = [part for row in rows for part in row["parts"] or ()]
    texts = " ".join(" ".join(part["text"].split()) for part in parts if part["visibility"] == "internal")
    for note in notes:
        last_words = " ".join(note.split()[-4:])
        assert last_words in texts, "the note was processed"
        assert last_words not in events
    assert account.api_key not in events
    found = materializations(result)
    for stage in ("raw", "documents", "chunks", "embeddings"):
        assert found[stage, f"{window}|acme"]["preview"].count("\n") >= 2, "the preview has rows"


def test_a_wrong_key_is_named_by_its_place_and_never_shown(tmp_path: Path, database_url: str) -> None:
    tenants = tmp_path / "tenants.yaml"
    with DemoServers() as servers:
        accounts = servers.tenants
        accounts["acme"]["freshdesk"]["api_key"] = "wrong-key-4711"
        tenants.write_text(yaml.safe_dump({"tenants": accounts}))
        installation = Installation(tmp_path / "home", database_url, tenants_file=tenants)
        result = installation.run(partition(0), succeeds=False)
        assert "401" in reasons(result)["raw"]
        assert "wrong-key-4711" not in _told(installation, result.run_id)
        installation.close()


def test_a_database_that_is_away_fails_the_run_without_showing_its_password(tmp_path: Path) -> None:
    url = "postgresql://sync:password-4711@127.0.0.1:1/nothing"
    installation = Installation(tmp_path / "home", url)
    result = installation.run(partition(0), succeeds=False)
    assert list(reasons(result)) == ["raw"]
    assert "password-4711" not in _told(installation, result.run_id)
    installation.close()


def _told(installation: Installation, run_id: str) -> str:
    """All that the event log holds of a run: events, metadata, errors with their traces, and log lines."""
    text = "\n".join(
        json.dumps(json.loads(entry.to_json()), ensure_ascii=False) for entry in installation.instance.all_logs(run_id)
    )
    assert key("raw").to_user_string() in text or "freshdesk__tickets__raw" in text
    return text
