"""What is done in a process of its own: `python -m bench.child HOME STEP ...` prints one line of JSON for each step.

Every line has the seconds, and the processor time of this process, that the step took, and the peak memory so far.
"""

import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from bench.installation import SOURCE, STREAM, TENANT

Told = dict[str, Any]


def main(home: str, *steps: str) -> None:
    sys.path.insert(0, home)
    os.environ["DAGSTER_HOME"] = home
    import bench_defs  # pyright: ignore[reportMissingImports] `Installation` wrote it

    from sync_assets import definitions
    from sync_assets.runs import open_instance
    from sync_assets.services import Services
    from sync_assets.settings import load_settings

    definitions.sync_assets.defs = bench_defs
    services = Services(load_settings())
    try:
        # The databases are there, and the definitions are loaded, before anything is timed.
        services.ledger.active_collection("none", "none")
        with open_instance():
            definitions.defs()
        for step in steps:
            started, processor = time.perf_counter(), time.process_time()
            told = STEPS[step](services)
            # A step may have timed a part of it.
            told.setdefault("seconds", time.perf_counter() - started)
            told.setdefault("processor", time.process_time() - processor)
            told["peak"] = _peak_megabytes()
            print(json.dumps({"step": step, **told}), flush=True)
    finally:
        services.close()


def _peak_megabytes() -> int:
    """Of this process alone: on Linux `getrusage` begins with what the process held that started this one."""
    with suppress(FileNotFoundError):
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(line) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _sync(**options: Any) -> Callable[[Any], Told]:
    def sync(services: Any) -> Told:
        from sync_assets.cli.session import run_sync
        from sync_assets.planning import SyncRequest

        result = run_sync(services, SyncRequest(**options), quiet=True)
        if result.failures:
            sys.exit("\n".join(result.failures))
        counts = result.summary()
        return {name: counts[name] for name in ("documents", "chunks", "embedded", "reused", "written", "payloads")}

    return sync


def _counted(services: Any) -> Told:
    """From now on the models note how many texts they embed (`systems.counted`)."""
    from bench.systems import ProviderFailed, counted
    from sync_assets.embedding.hash_embedder import HashEmbedder
    from sync_assets.embedding.wordllama import WordLlamaEmbedder
    from sync_assets.errors import EmbeddingError

    def counting(embed: Callable[..., Any]) -> Callable[..., Any]:
        def embed_and_count(model: Any, texts: Sequence[str]) -> Any:
            try:
                return counted(texts, embed(model, texts))
            except ProviderFailed as error:
                raise EmbeddingError(str(error)) from error

        return embed_and_count

    for kind in (HashEmbedder, WordLlamaEmbedder):
        setattr(kind, "embed", counting(kind.embed))  # noqa: B010 a type checker takes it for a mistake
    return {}


def _heal(services: Any) -> Told:
    from sync_assets.cli import app

    services.close()
    code = app(["audit", "--tenant", TENANT, "--heal", "--json"], standalone_mode=False)
    return {"code": code}


def _change_model(services: Any) -> Told:
    """Build the collection that `defs.yaml` wants now, and let it take the active one's place."""
    from sync_assets.collections.building import build
    from sync_assets.collections.switching import switch
    from sync_assets.definitions import streams

    build(services, streams(), STREAM)
    switch(services, streams(), STREAM)
    return {}


def _warm(services: Any) -> Told:
    services.embedder(_model(services)).embed(["warm"])
    return {}


def _bare(services: Any) -> Told:
    """Embed the distinct texts of all stored chunks, and nothing else."""
    import pyarrow.parquet as pq

    texts: dict[str | None, str] = {}
    for path in Path(services.settings.storage_root).glob(f"*/{SOURCE}/{STREAM}/chunks/**/*.parquet"):
        table = pq.read_table(path, columns=["content_hash", "text"])
        texts.update(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    texts.pop(None, None)  # of documents without chunks
    embedder = services.embedder(_model(services))
    started, processor = time.perf_counter(), time.process_time()
    embedder.embed(list(texts.values()))
    return {
        "texts": len(texts),
        "alone": time.perf_counter() - started,
        "alone_processor": time.process_time() - processor,
    }


def _empty(services: Any) -> Told:
    """A chain of five assets that do nothing, over the partitions of the last sync, in Dagster as it comes."""
    return _nothing(5)


def _empty_here(services: Any) -> Told:
    """The same with this project's event log."""
    return _nothing(5, here=True)


def _start(services: Any) -> Told:
    """One asset that does nothing, likewise: the start of a run."""
    return _nothing(1)


def _nothing(length: int, here: bool = False) -> Told:
    """The second of two runs: the first one imports what Dagster imports late."""
    import dagster as dg

    from sync_assets.partitions import RANGE_END, RANGE_START, build_partitions

    partitions = build_partitions(SOURCE, "day", "2026-11-01")
    assets: list[dg.AssetsDefinition] = []
    for number in range(length):

        @dg.asset(
            key=["empty", str(number)],
            deps=[assets[-1]] if assets else [],
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def nothing() -> None: ...

        assets.append(nothing)
    told: Told = {}
    with dg.DagsterInstance.get() as own, tempfile.TemporaryDirectory() as folder:
        tags = next(run.tags for run in own.get_runs() if RANGE_START in run.tags)
        with nullcontext(own) if here else dg.DagsterInstance.local_temp(folder) as instance:
            instance.add_dynamic_partitions(f"{SOURCE}_tenants", [TENANT])
            for _ in range(2):
                started, processor = time.perf_counter(), time.process_time()
                result = dg.materialize(
                    assets,
                    instance=instance,
                    tags={name: tags[name] for name in (RANGE_START, RANGE_END)},
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
                told = {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}
                if not result.success:
                    sys.exit("The empty chain failed.")
    return told


def _model(services: Any) -> str:
    from sync_assets.definitions import streams

    (stream,) = streams()
    return stream.model or services.settings.model


def _search(services: Any) -> Told:
    from bench.searching import answers

    return answers(services)


STEPS: dict[str, Callable[[Any], Told]] = {
    "sync": _sync(everything=True),
    "all": _sync(everything=True, sweep=True),
    "incremental": _sync(incremental=True),
    "warm": _warm,
    "bare": _bare,
    "empty": _empty,
    "empty_here": _empty_here,
    "start": _start,
    "search": _search,
    "counted": _counted,
    "heal": _heal,
    "change_model": _change_model,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
