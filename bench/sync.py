"""Ratios that the README quotes, measured in one run on the demo company's Freshdesk accounts.

Cold sync against embedding the same texts alone; a sync with nothing to do against an empty chain of five assets over
the same partitions.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import dagster as dg
import yaml

from sync_assets.cli.session import run_sync
from sync_assets.demo.server import DemoServers
from sync_assets.ledger import tables as t
from sync_assets.partitions import RANGE_END, RANGE_START, build_partitions
from sync_assets.planning import SyncRequest
from sync_assets.postgres import stop
from sync_assets.services import Services
from sync_assets.settings import load_settings
from sync_assets.sync import SyncResult

T = TypeVar("T")


def main() -> None:
    with _installation() as services:
        cold, cold_seconds = _timed(lambda: _sync(services))
        texts = _texts(services)
        embed_seconds = _timed(lambda: services.embedder(None).embed(texts))[1]
        _, no_op_seconds = _timed(lambda: _sync(services))
        empty_seconds = _timed(lambda: _empty_chain(services))[1]
    rows = [
        (
            f"cold sync: {cold.total('documents', 'documents')} documents, {len(texts)} texts, two stores",
            cold_seconds,
            "",
        ),
        ("embedding the same texts alone", embed_seconds, f"cold sync = {cold_seconds / embed_seconds:.2f} x this"),
        ("sync with nothing to do", no_op_seconds, ""),
        ("empty chains of five assets", empty_seconds, f"nothing to do = {no_op_seconds / empty_seconds:.2f} x this"),
    ]
    print("| measured | seconds | ratio |")
    print("| --- | --- | --- |")
    for name, seconds, ratio in rows:
        print(f"| {name} | {seconds:.1f} | {ratio} |")


@contextmanager
def _installation() -> Iterator[Services]:
    """An installation of its own with the demo company's Freshdesk accounts, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="sync_assets-bench-") as folder, DemoServers() as servers:
        os.environ["DAGSTER_HOME"] = folder
        for name in [name for name in os.environ if name.startswith("SYNC_ASSETS_")]:
            del os.environ[name]
        config = Path(__file__).parent.parent / "dagster_home" / "dagster.yaml"
        Path(folder, "dagster.yaml").write_text(config.read_text())
        accounts = {tenant: found for tenant, found in servers.tenants.items() if "freshdesk" in found}
        Path(folder, "tenants.yaml").write_text(yaml.safe_dump({"tenants": accounts}))
        services = Services(load_settings())
        try:
            # The database is started, and the model loaded, before anything is timed.
            services.ledger.active_collection("none", "none")
            services.embedder(None).embed(["warm"])
            yield services
        finally:
            services.close()
            stop(load_settings())


def _sync(services: Services) -> SyncResult:
    result = run_sync(services, SyncRequest(everything=True, sweep=False), quiet=True)
    if result.failures:
        raise SystemExit("\n".join(result.failures))
    return result


def _texts(services: Services) -> list[str]:
    """The distinct texts that the cold sync embedded, tenant by tenant, from the stored chunk files."""
    import pyarrow.parquet as pq

    texts: dict[tuple[str, str], str] = {}
    for path in Path(services.settings.storage_root).glob("*/*/*/chunks/**/*.parquet"):
        table = pq.read_table(path, columns=["tenant", "content_hash", "text"])
        for row in table.to_pylist():
            if row["text"] is not None:
                texts[row["tenant"], row["content_hash"]] = row["text"]
    with services.ledger.transaction() as connection:
        cached = connection.execute(
            t.embedding_cache.select().with_only_columns(t.embedding_cache.c.content_hash)
        ).all()
    assert len(cached) == len(texts)
    return list(texts.values())


def _empty_chain(services: Services) -> None:
    """Two streams of five assets that do nothing, over the partitions of the sync."""
    partitions = build_partitions("freshdesk", "day", "2020-01-01")

    def chain(stream: str) -> list[dg.AssetsDefinition]:
        assets: list[dg.AssetsDefinition] = []
        for stage in ("raw", "documents", "chunks", "embeddings", "store"):

            @dg.asset(
                key=["empty", stream, stage],
                deps=[assets[-1]] if assets else [],
                partitions_def=partitions,
                backfill_policy=dg.BackfillPolicy.single_run(),
            )
            def nothing() -> None: ...

            assets.append(nothing)
        return assets

    with dg.DagsterInstance.get() as instance:
        tenants = instance.get_dynamic_partitions("freshdesk_tenants")
        tags = next(run.tags for run in instance.get_runs(limit=1))
        assert len(tenants) == len(services.tenants.names())
        result = dg.materialize(
            [*chain("tickets"), *chain("articles")],
            instance=instance,
            tags={name: tags[name] for name in (RANGE_START, RANGE_END)},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    assert result.success


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    value = work()
    return value, time.perf_counter() - started


if __name__ == "__main__":
    main()
