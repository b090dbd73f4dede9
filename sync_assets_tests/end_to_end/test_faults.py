"""What goes wrong in real life: a clear error, the rest proceeds, nothing is lost, and the next run heals it."""

import errno
import shutil
import signal
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.errors import EmbeddingError
from sync_assets_tests.command_line import STORES, TICKETS, Installation, small_company
from sync_assets_tests.postgres import fresh_database

ALL = ("--all", "--stream", "tickets")
POLDER = (*ALL, "--tenant", "polder")


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """Two tenants that nothing was synced of."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        yield Installation(tmp_path / "home", url, servers)


# Upstream


@pytest.mark.parametrize("malformed", ["no_id", "numeric_subject"])
def test_a_malformed_record_costs_only_itself(installation: Installation, malformed: str) -> None:
    ticket = installation.tickets()[2]
    others = {str(other) for other in installation.tickets() if other != ticket}
    installation.order_fault("polder", path=r"/tickets", malformed=malformed, record_id=ticket)
    counts = installation.sync("--since-hours", "60", "--stream", "tickets", "--tenant", "polder", code=3)
    assert (counts["documents"], counts["quarantined"]) == (TICKETS - 1, 1)
    for store in STORES:
        assert installation.documents(store, "polder") == others
    installation.mend("polder")
    healed = installation.sync(*POLDER)
    assert healed["reused"] == counts["chunks"]
    installation.assert_in_step("polder")


def test_a_wrong_key_of_one_tenant_costs_only_that_tenant(installation: Installation) -> None:
    installation.write_tenants(polder="wrong")
    outcome = installation.run("sync", *ALL)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "tenants.polder.freshdesk.api_key" in outcome.err
    installation.assert_in_step("acme")
    assert installation.stored("qdrant", "polder") == {}
    installation.write_tenants()
    assert installation.sync(*ALL)["written"] == len(installation.stored("qdrant", "polder")) * len(STORES)
    installation.assert_in_step()


def test_refusals_in_the_middle_of_a_listing_are_tried_again(installation: Installation) -> None:
    for status in (500, 503):
        installation.order_fault("polder", path=r"/tickets/\d+/conversations", status=status, times=1)
    installation.order_fault("polder", path=r"/tickets\?.*include", status=429, retry_after=0, times=1)
    installation.order_fault("polder", path=r"/tickets\?.*filter=deleted", truncate=True, times=1)
    installation.write_tenants()
    text = installation.tenants_file.read_text().replace("max_attempts: 2", "max_attempts: 4")
    installation.tenants_file.write_text(text)
    assert installation.sync(*POLDER)["failures"] == []
    installation.assert_in_step("polder")


def test_an_upstream_that_fails_half_way_costs_only_its_own_stream_and_tenant(installation: Installation) -> None:
    installation.order_fault("polder", path=r"/tickets\?.*include", status=500)
    counts = installation.sync("--all", code=1)
    (failure,) = counts["failures"]
    assert failure.startswith("polder freshdesk/tickets/raw: polder: 127.0.0.1:")
    assert "status 500" in failure
    installation.assert_in_step("acme")
    for tenant in ("acme", "polder"):
        assert installation.compare(tenant, "qdrant", "articles")["equal"]
    assert counts["written"] == sum(
        len(installation.stored(store, tenant, stream))
        for store in STORES
        for tenant, stream in (("acme", "tickets"), ("acme", "articles"), ("polder", "articles"))
    ), "what the first attempt wrote is counted too"
    assert installation.stored("qdrant", "polder") == {}
    installation.mend("polder")
    installation.sync("--incremental")
    installation.assert_in_step()


def test_a_tenant_whose_listing_fails_keeps_nobody_from_being_planned(installation: Installation) -> None:
    installation.order_fault("acme", path=r"/tickets\?.*order_type=desc", status=500)
    outcome = installation.run("sync", *ALL)
    assert outcome.code == 1
    assert "acme: 127.0.0.1" in outcome.err
    assert "status 500" in outcome.err
    installation.assert_in_step("polder")


# Stores and disks


def test_an_unreachable_store_costs_only_itself(installation: Installation) -> None:
    down = {"SYNC_ASSETS_QDRANT_URL": "http://127.0.0.1:1", "SYNC_ASSETS_LOCK_TIMEOUT": "5"}
    outcome = installation.run("sync", *POLDER, **down)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "polder freshdesk/tickets/qdrant: Qdrant server of SYNC_ASSETS_QDRANT_URL" in outcome.err
    installation.assert_in_step("polder", stores=("pgvector",))
    healed = installation.sync("--incremental", "--stream", "tickets", "--tenant", "polder")
    assert (healed["embedded"], healed["written"]) == (0, len(installation.stored("pgvector", "polder")))
    installation.assert_in_step("polder")


def test_an_unreachable_database_is_told_before_any_run(installation: Installation) -> None:
    outcome = installation.run("sync", *POLDER, SYNC_ASSETS_DATABASE_URL="postgresql://x:y@127.0.0.1:1/z")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: The ledger's database is out of reach:")
    assert outcome.err.count("\n") == 1
    assert "SYNC_ASSETS_DATABASE_URL" in outcome.err
    with installation.instance() as instance:
        assert instance.get_runs_count() == 0


def test_a_full_disk_where_the_stages_are_kept_fails_and_heals(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = "documents"
    copy = shutil.copyfile

    def full(source: Any, target: Any, **options: Any) -> Any:
        if f"/{stage}/" in str(target):
            Path(target).write_bytes(Path(source).read_bytes()[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target, **options)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        outcome = installation.run("sync", *POLDER)
    assert outcome.code == 1
    assert f"polder freshdesk/tickets/{stage}: " in outcome.err
    assert "No space left on device. Free some disk" in outcome.err
    assert [path for path in installation.home.rglob("*") if f"/{stage}/" in str(path) and path.is_file()] == []
    assert installation.stored("qdrant", "polder") == {}
    installation.sync(*POLDER)
    installation.assert_in_step("polder")


def test_a_full_temporary_disk_fails_and_heals(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", full)
        outcome = installation.run("sync", *POLDER)
    assert outcome.code == 1
    assert "No space left on device. Free some disk, or point TMPDIR elsewhere." in outcome.err
    installation.sync(*POLDER)
    installation.assert_in_step("polder")


# The model


def test_what_was_embedded_before_the_model_failed_is_not_embedded_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("sync_assets.embedding.cache"), "_BATCH_TEXTS", 8)
    embed = HashEmbedder.embed
    embedded: list[str] = []

    def fails_after_three_batches(self: HashEmbedder, texts: Sequence[str]) -> np.ndarray:
        if len(embedded) >= 24:
            raise EmbeddingError("The provider is overloaded.", "Try again later.")
        embedded.extend(texts)
        return embed(self, texts)

    with monkeypatch.context() as patched:
        patched.setattr(HashEmbedder, "embed", fails_after_three_batches)
        outcome = installation.run("sync", *POLDER)
    assert outcome.code == 1
    assert "polder freshdesk/tickets/embeddings: The provider is overloaded. Try again later." in outcome.err
    healed = installation.sync(*POLDER)
    assert len(embedded) == 24
    assert (healed["reused"], healed["embedded"]) == (24, healed["chunks"] - 24)
    installation.assert_in_step("polder")


def test_a_text_that_poisons_the_model_costs_only_its_document(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = installation.tickets()[1]
    with installation.upstream() as client:
        client.post(f"/api/v2/tickets/{ticket}/reply", json={"body": "<p>A poisonous sentence.</p>"})
    embed = HashEmbedder.embed

    def chokes(self: HashEmbedder, texts: Sequence[str]) -> np.ndarray:
        if any("poisonous" in text for text in texts):
            raise EmbeddingError("The model choked.")
        return embed(self, texts)

    with monkeypatch.context() as patched:
        patched.setattr(HashEmbedder, "embed", chokes)
        counts = installation.sync(*POLDER, code=3)
    assert counts["quarantined"] == 1
    (held,) = installation.run("quarantine", "list", "--json").json
    assert (held["record_id"], held["stage"], held["reason"]) == (str(ticket), "embeddings", "The model choked.")
    for store in STORES:
        others = {str(other) for other in installation.tickets() if other != ticket}
        assert installation.documents(store, "polder") == others
    assert installation.run("quarantine", "retry").code == 0
    installation.assert_in_step("polder")


# Processes


def test_two_syncs_of_the_same_partitions_at_once_both_end_and_lose_nothing(installation: Installation) -> None:
    processes = [installation.start("sync", *POLDER, "--json") for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0], ends
    installation.assert_in_step("polder")
    counts = installation.sync(*POLDER)
    assert (counts["embedded"], counts["written"]) == (0, 0)


@pytest.mark.parametrize(
    "moment",
    ["sync_assets.storage:LocalStorage.put", "sync_assets.ledger:Ledger.finish_apply"],
    ids=["before a file is stored", "between vectors and ledger"],
)
def test_a_sync_that_is_killed_is_healed_by_the_next_one(installation: Installation, moment: str) -> None:
    process = installation.start("sync", *POLDER, program=("-c", _ending(moment, "SIGKILL")))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with installation.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    written = {store: len(installation.stored(store, "polder")) for store in STORES}
    assert bool(written["pgvector"] + written["qdrant"]) == ("finish_apply" in moment)
    installation.sync(*POLDER)
    installation.assert_in_step("polder")


def test_ctrl_c_ends_a_sync_at_once_and_the_next_one_heals(installation: Installation) -> None:
    program = ("-c", _ending("sync_assets.batches:BatchWriter.write", "SIGINT"))
    process = installation.start("sync", *ALL, program=program)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Stopped. What was done so far is kept; the next sync does the rest."
    with installation.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE], "nothing was begun anew"
    installation.sync(*ALL)
    installation.assert_in_step()


def _ending(moment: str, by: str) -> str:
    """A program like `sync-assets` whose process gets a signal when it calls a method."""
    module, _, name = moment.partition(":")
    kind, _, method = name.partition(".")
    # A shell that starts tests in the background lets them ignore Ctrl-C.
    return (
        f"import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); from {module} import {kind}; "
        f"{kind}.{method} = lambda *_: os.kill(os.getpid(), signal.{by}); import sync_assets.__main__"
    )
