"""Batches between the stages: one type for one partition and for many, whole files or none, in a folder and in S3."""

import errno
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError

from sync_assets.batches import Batch, BatchWriter, FileLayout, Partition, raw_table
from sync_assets.clock import utc_now
from sync_assets.documents import RAW_SCHEMA
from sync_assets.io_managers.object_storage import ObjectStorageIOManager
from sync_assets.partitions import RANGE_END, RANGE_START, build_partitions, to_partition
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets_tests.conftest import BUCKET
from sync_assets_tests.dagster_assets.world import (
    FILE_STAGES,
    TENANTS,
    World,
    key,
    materializations,
    partition,
    reasons,
)
from sync_assets_tests.laws.upstream import START

PREFIX = "some/prefix/"


class Files:
    """Where an installation's batches lie, read without our code."""

    def __init__(self, settings: dict[str, Any], folder: Path | None = None, client: Any = None) -> None:
        self.settings = settings
        self._folder = folder
        self._client = client

    def all(self) -> dict[str, bytes]:
        """Every file by its key."""
        if self._folder is not None:
            paths = [path for path in self._folder.rglob("*") if path.is_file()]
            return {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in paths}
        return {
            name.removeprefix(PREFIX): self._client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
            for name in self._keys()
        }

    def outside(self) -> list[str]:
        """Keys in the bucket that do not begin with the prefix; a folder's outside is for the test to watch."""
        return [name for name in self._keys() if not name.startswith(PREFIX)] if self._client is not None else []

    def _keys(self) -> list[str]:
        return [item["Key"] for item in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        folder = tmp_path / "storage"
        return Files({"storage_uri": str(folder)}, folder=folder)
    client = request.getfixturevalue("s3")
    url = request.getfixturevalue("s3_url")
    return Files({"storage_uri": f"s3://{BUCKET}/some/prefix", "s3_endpoint_url": url}, client=client)


PARTITIONS = build_partitions("freshdesk", "day", "2026-01-01")


class Pair:
    """Two assets with our IO manager between them: one writes what it is told, the other keeps what it reads.

    Attributes:
        read: the batches that the second one was handed, as (type, rows by partition).
    """

    def __init__(self, settings: Settings) -> None:
        self.services = Services(settings)
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("freshdesk_tenants", list(TENANTS))
        self.read: list[tuple[type, dict[str, list[str]]]] = []
        self.stored: list[list[str]] = []
        self._texts: dict[str, list[str]] = {}

    def write(
        self, texts: dict[str, list[str]], first: str, last: str | None = None, reading: bool = True
    ) -> dg.ExecuteInProcessResult:
        """One run that writes `texts`, payloads by partition key, and reads them again."""
        self._texts = texts
        return self._run([self._writer(), self._reader()] if reading else [self._writer()], first, last)

    def read_only(self, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
        """One run that reads what is there."""
        return self._run([self._reader()], first, last)

    def _run(self, assets: list[Any], first: str, last: str | None) -> dg.ExecuteInProcessResult:
        where: dict[str, Any] = {"tags": {RANGE_START: first, RANGE_END: last}} if last else {"partition_key": first}
        manager = ObjectStorageIOManager(self.services)
        resources = {"object_storage": manager}
        upstream = dg.AssetSpec(key("raw"), partitions_def=PARTITIONS)
        known = (
            assets
            if len(assets) > 1 or assets[0].key == key("raw")
            else [upstream.with_io_manager_key("object_storage"), *assets]
        )
        return dg.materialize(
            known,
            instance=self.instance,
            resources=resources,
            raise_on_error=False,
            selection=[asset.key for asset in assets],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            **where,
        )

    def _writer(self) -> dg.AssetsDefinition:
        @dg.asset(
            key=key("raw"),
            partitions_def=PARTITIONS,
            io_manager_key="object_storage",
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def writer(context: dg.AssetExecutionContext) -> Batch:
            return batch_of(
                {to_partition(PARTITIONS, name): self._texts[name] for name in context.partition_keys}, self
            )

        return writer

    def _reader(self) -> dg.AssetsDefinition:
        @dg.asset(
            key=key("reader"),
            partitions_def=PARTITIONS,
            ins={"batch": dg.AssetIn(key("raw"), input_manager_key="object_storage")},
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def reader(batch: Batch) -> dg.MaterializeResult:
            rows: dict[str, list[str]] = {found.key: [] for found in batch.partitions}
            for found, table in batch.pages():
                rows[found.key] += [json.loads(payload) for payload in table["payload"].to_pylist()]
            self.read.append((type(batch), rows))
            return dg.MaterializeResult(metadata={"rows": batch.to_table().num_rows})

        return reader


def batch_of(texts: dict[Partition, list[str]], pair: Pair | None = None) -> Batch:
    """A raw batch with a record for each text."""
    layout = FileLayout("freshdesk", "tickets", "raw", "day")
    writer = BatchWriter(layout, RAW_SCHEMA, list(texts))
    for found, payloads in texts.items():
        rows = [
            {
                "record_id": str(number),
                "event": "live",
                "observed_at": START,
                "authoritative": False,
                "payload": json.dumps(text),
            }
            for number, text in enumerate(payloads)
        ]
        if rows:
            writer.write(found, raw_table(rows, found))
    if pair is None:
        return writer.finish()
    return writer.finish(lambda: pair.stored.append([found.key for found in texts]))


@pytest.fixture
def pair(files: Files, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(Settings(**{"home": tmp_path / "home", **files.settings}))
    yield made
    made.instance.dispose()


# The contract, in a folder and in S3.
def test_one_partition_and_many_come_back_as_the_same_type(pair: Pair, files: Files) -> None:
    one = {partition(0): ["first", "second"]}
    assert pair.write(one, partition(0)).success
    many = {partition(window, tenant): [f"{tenant} {window}"] for tenant in TENANTS for window in range(3)}
    many[partition(1, "polder")] = []
    assert pair.write(many, partition(0, "acme"), partition(2, "polder")).success
    assert pair.read == [(Batch, one), (Batch, many)]
    assert set(files.all()) == {
        f"{tenant}/freshdesk/tickets/raw/year=2026/month=01/day=0{number}.jsonl.gz"
        for tenant in TENANTS
        for number in (1, 2, 3)
    }


def test_what_may_be_recorded_once_all_files_are_durable_is_recorded_then(pair: Pair) -> None:
    assert pair.write({partition(0): ["one"]}, partition(0)).success
    assert pair.stored == [[partition(0)]]


def test_a_partition_without_a_file_is_named_with_its_asset(pair: Pair) -> None:
    pair.write({partition(0): ["one"]}, partition(0), reading=False)
    result = pair.read_only(partition(0), partition(1))
    assert reasons(result) == {
        "reader": f"There is no file for partition {partition(1)} of freshdesk/tickets/raw. "
        "Materialize that asset for this partition first."
    }
    assert pair.read == []


def test_a_write_replaces_the_files_of_its_partitions_and_no_other(pair: Pair, files: Files) -> None:
    pair.write({partition(0): ["old"], partition(1): ["stays"]}, partition(0), partition(1))
    before = files.all()
    pair.write({partition(0): ["new"]}, partition(0))
    after = files.all()
    assert {name for name in before if before[name] != after[name]} == {
        "acme/freshdesk/tickets/raw/year=2026/month=01/day=01.jsonl.gz"
    }
    assert pair.read[-1] == (Batch, {partition(0): ["new"]})


@pytest.mark.parametrize("name", ["../../outside", "..", "a/b", "/etc"])
def test_a_hostile_tenant_partition_neither_writes_nor_reads(
    pair: Pair, files: Files, name: str, tmp_path: Path
) -> None:
    pair.instance.add_dynamic_partitions("freshdesk_tenants", [name])
    before = set(tmp_path.rglob("*"))
    # Past the check of names: the storage itself lets nothing out.
    hostile = Partition(name, "2026-01-01", START, START)
    context = dg.build_output_context(asset_key=key("raw"), partition_key=partition(0))
    with suppress(dg.Failure):
        ObjectStorageIOManager(pair.services).handle_output(context, batch_of({hostile: ["one"]}))
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "storage")}
    assert after - before <= {tmp_path / "storage"}
    assert not Path("/etc/freshdesk").exists()
    assert files.outside() == []
    result = pair.read_only(partition(0, name))
    assert "is not a tenant name" in reasons(result)["reader"]


def test_raw_files_written_before_the_retention_go_and_no_others(files: Files, tmp_path: Path) -> None:
    days, settings = 30, {"home": tmp_path / "home", **files.settings}
    pair = Pair(Settings(**settings))
    pair.write({partition(0): ["one"], partition(0, "polder"): ["theirs"]}, partition(0), partition(0, "polder"))
    foreign = FileLayout("freshdesk", "tickets_of_old", "raw", "day")
    for layout in (FileLayout("freshdesk", "tickets", "documents", "day"), foreign):
        pair.services.storage.put(Path(__file__), layout.path(to_partition(PARTITIONS, partition(0))))
    before = set(files.all())
    late = ObjectStorageIOManager(
        Services(Settings(**settings, raw_retention_days=days)), clock=lambda: utc_now() + timedelta(days=days + 1)
    )
    context = dg.build_output_context(asset_key=key("raw"), partition_key=partition(1))
    late.handle_output(context, batch_of({to_partition(PARTITIONS, partition(1)): ["two"]}))
    after = set(files.all())
    assert before - after == {"acme/freshdesk/tickets/raw/year=2026/month=01/day=01.jsonl.gz"}
    assert after - before == {"acme/freshdesk/tickets/raw/year=2026/month=01/day=02.jsonl.gz"}
    assert context.get_logged_metadata()["expired_raw_files"].value == "1 older than 30 days removed"


def test_all_keys_are_listed_where_there_are_more_than_a_page_of_them(files: Files, tmp_path: Path) -> None:
    storage = Services(Settings(**{"home": tmp_path / "home", **files.settings})).storage
    names = {f"acme/many/{number:04}.json" for number in range(1001)}
    for name in names | {"acme/more.json"}:
        storage.put(Path(os.devnull), name)
    listed = list(storage.list("acme/many/"))
    assert [file.key for file in listed] == sorted(names)
    assert all(abs(utc_now() - file.written_at) < timedelta(hours=1) for file in listed)
    for file in listed:
        storage.delete(file.key)
    assert [file.key for file in storage.list("acme/m")] == ["acme/more.json"]
    storage.delete("acme/many/0000.json")


# A folder.
@pytest.fixture
def folder(tmp_path: Path) -> Files:
    return Files({"storage_uri": str(tmp_path / "storage")}, folder=tmp_path / "storage")


def test_a_full_disk_leaves_the_old_file_whole_and_says_which(
    folder: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(Settings(**{"home": tmp_path / "home", **folder.settings}))
    pair.write({partition(0): ["old"]}, partition(0))
    before = folder.all()

    def fill_up(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", fill_up)
        result = pair.write({partition(0): ["new"]}, partition(0), reading=False)
    assert not result.success
    (reason,) = reasons(result).values()
    assert "day=01.jsonl.gz: No space left on device. Free some disk" in reason
    assert folder.all() == before, "the old file whole, and nothing half-written beside it"
    assert pair.stored == [[partition(0)]], "what depends on durable files was not recorded"
    assert pair.read_only(partition(0)).success
    assert pair.read[-1] == (Batch, {partition(0): ["old"]})


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(
    folder: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(Settings(**{"home": tmp_path / "home", **folder.settings}))
    pair.write({partition(0): ["old"]}, partition(0), reading=False)
    (path,) = (tmp_path / "storage").rglob("*.gz")
    copy, seen = shutil.copyfile, []

    def copy_slowly(source: Path, target: Path) -> None:
        copy(source, target)
        seen.append(json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])["payload"])

    monkeypatch.setattr(shutil, "copyfile", copy_slowly)
    pair.write({partition(0): ["new"]}, partition(0), reading=False)
    assert seen == ["old"]
    assert json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])["payload"] == "new"


# S3.
@pytest.fixture
def s3_pair(s3: Any, s3_url: str, tmp_path: Path) -> Pair:
    settings = {"storage_uri": f"s3://{BUCKET}/some/prefix", "s3_endpoint_url": s3_url}
    return Pair(Settings(**{"home": tmp_path / "home", **settings}))


def test_an_upload_that_breaks_half_way_leaves_the_old_object_whole(s3_pair: Pair, s3: Any) -> None:
    s3_pair.write({partition(0): ["old"]}, partition(0))
    # Random text does not compress: the file is large enough to go up in parts.
    large = [os.urandom(5_000_000).hex() for _ in range(2)]
    client = s3_pair.services.storage._client  # pyright: ignore[reportAttributeAccessIssue] that of the next upload
    sent = []

    def break_second(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["url_path"])
        if len(sent) > 1:
            raise EndpointConnectionError(endpoint_url="the endpoint")

    client.meta.events.register("before-call.s3.UploadPart", break_second)
    result = s3_pair.write({partition(0): large}, partition(0), reading=False)
    assert len(sent) >= 2
    (reason,) = reasons(result).values()
    assert f"s3://{BUCKET}/some/prefix/acme/freshdesk/tickets/raw/year=2026/month=01/day=01.jsonl.gz" in reason
    assert "Check SYNC_ASSETS_STORAGE_URI and the AWS credentials." in reason
    assert s3_pair.stored == [[partition(0)]]
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert s3_pair.read_only(partition(0)).success
    assert s3_pair.read[-1] == (Batch, {partition(0): ["old"]})


def test_a_missing_bucket_is_named(s3_url: str, s3: Any, tmp_path: Path) -> None:
    settings = {"storage_uri": "s3://elsewhere/files", "s3_endpoint_url": s3_url}
    pair = Pair(Settings(**{"home": tmp_path / "home", **settings}))
    (reason,) = reasons(pair.write({partition(0): ["one"]}, partition(0), reading=False)).values()
    assert "s3://elsewhere/files/acme" in reason
    assert "bucket" in reason


# What the chain leaves in storage, read without our code.
def test_the_files_of_a_run_can_be_read_by_anybody(files: Files, tmp_path: Path, database_url: str) -> None:
    world = World(tmp_path / "home", database_url, **files.settings)
    world.write("1", 0, "café ☕", "please restart it")
    world.write("2", 0, "fine", malformed=True)
    world.write("1", 1, "warmtepomp", tenant="polder")
    result = world.run(partition(0, "acme"), partition(1, "polder"))
    found = files.all()
    suffixes = {stage: "jsonl.gz" if stage == "raw" else "parquet" for stage in FILE_STAGES}
    assert set(found) == {
        f"{tenant}/freshdesk/tickets/{stage}/year=2026/month=01/day=0{number}.{suffix}"
        for tenant in TENANTS
        for stage, suffix in suffixes.items()
        for number in (1, 2)
    }
    lines = gzip.decompress(found["acme/freshdesk/tickets/raw/year=2026/month=01/day=01.jsonl.gz"]).splitlines()
    rows = {row["record_id"]: row for row in map(json.loads, lines)}
    assert rows["1"]["payload"] == {"texts": ["café ☕", "please restart it"], "status": "open", "private": False}
    assert (rows["2"]["payload"], rows["2"]["event"], rows["2"]["problem"]) == (["?"], "malformed", "not an object")
    assert gzip.decompress(found["polder/freshdesk/tickets/raw/year=2026/month=01/day=01.jsonl.gz"]) == b""
    tables = {
        stage: pq.read_table(BytesIO(found[f"acme/freshdesk/tickets/{stage}/year=2026/month=01/day=01.parquet"]))
        for stage in FILE_STAGES[1:]
    }
    assert tables["documents"]["document_id"].to_pylist() == ["acme_freshdesk_1"]
    assert sorted(part["text"] for part in tables["documents"]["parts"].to_pylist()[0]) == [
        "café ☕",
        "please restart it",
    ]
    assert tables["chunks"].num_rows == tables["embeddings"].num_rows == 2
    vectors = tables["embeddings"]["vector"]
    assert (vectors.type.value_type, vectors.type.list_size) == (pa.float32(), 8)
    for vector in vectors.to_pylist():
        assert sum(number * number for number in vector) == pytest.approx(1)
    uris = [metadata["dagster/uri"] for metadata in materializations(result).values() if "dagster/uri" in metadata]
    assert sorted(uris) == sorted(f"{files.settings['storage_uri']}/{name}" for name in found)
    assert materializations(result)["chunks", partition(1, "polder")]["dagster/uri"].endswith(
        "/polder/freshdesk/tickets/chunks/year=2026/month=01/day=02.parquet"
    )
    world.close()


# Documents in SQL.
def _bodies(url: str) -> dict[str, tuple[str, str, list[str]]]:
    """Rows of `document_bodies` by document id: the transaction that wrote it, title, and texts of the parts."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT document_id, xmin::text, title, parts FROM sync_assets.document_bodies")
        return {name: (xmin, title, [part["text"] for part in parts]) for name, xmin, title, parts in rows}


def test_hybrid_mode_keeps_the_live_documents_in_sql_and_writes_only_what_changed(
    tmp_path: Path, database_url: str
) -> None:
    world = World(tmp_path / "home", database_url, storage_mode="hybrid")
    world.write("1", 0, "one")
    world.write("2", 0, "two")
    first = world.run(partition(0), stages=FILE_STAGES)
    before = _bodies(database_url)
    assert {name: row[1:] for name, row in before.items()} == {
        "acme_freshdesk_1": ("Ticket 1", ["one"]),
        "acme_freshdesk_2": ("Ticket 2", ["two"]),
    }
    assert materializations(first)["documents", partition(0)]["rows_written_to_sql"] == "2 by this run"
    again = world.run(partition(0), stages=FILE_STAGES)
    assert _bodies(database_url) == before
    assert materializations(again)["documents", partition(0)]["rows_written_to_sql"] == "0 by this run"
    world.write("1", 1, "one, changed")
    world.write("3", 1, "three")
    world.delete("2", 1)
    world.run(partition(1), stages=FILE_STAGES)
    assert {name: row[1:] for name, row in _bodies(database_url).items()} == {
        "acme_freshdesk_1": ("Ticket 1", ["one, changed"]),
        "acme_freshdesk_3": ("Ticket 3", ["three"]),
    }
    world.close()


def test_vector_only_mode_keeps_no_text_in_the_documents_tables(tmp_path: Path, database_url: str) -> None:
    world = World(tmp_path / "home", database_url, storage_mode="vector_only")
    world.write("1", 0, "one")
    result = world.run(partition(0))
    assert world.documents("pgvector") == {"1"}
    assert _bodies(database_url) == {}
    assert "rows_written_to_sql" not in materializations(result)["documents", partition(0)]
    world.close()
