"""Checks of a source's stores that need no sync: how fresh they are, what failed, one model, nothing that was deleted.

What belongs here: what is asked of the ledger and of Dagster's own records, at any time. They are evaluated after each
sync, by a schedule, and by hand. What compares the stores themselves with the ledger is in `checks/audit.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import dagster as dg

from sync_assets.checks.results import ERROR, WARN, result
from sync_assets.clock import utc_now
from sync_assets.ledger.health import deleted_but_stored, synced_until
from sync_assets.services import Services
from sync_assets.stages import Context, Stream
from sync_assets.stages.findings import SAMPLE


def store_key(stream: Stream, store: str) -> dg.AssetKey:
    """The asset of a stream in a store."""
    return dg.AssetKey([stream.source, stream.name, store])


def health_checks(source: str, streams: Sequence[Stream], limit_hours: int) -> dg.AssetChecksDefinition:
    """The health checks of all stores of a source, as one step.

    Args:
        limit_hours: how long ago a tenant's last sync may have ended.
    """
    places = {store_key(stream, store): (stream, store) for stream in streams for store in stream.stores}
    rules = {
        "freshness": f"Every tenant was synced within {limit_hours} hours, be there changes or not: a sensor alone "
        "leaves out those without any.",
        "failed_partitions": "No partition failed when it was last run.",
        "one_fingerprint": "The collection was made by the model and chunker that are configured now.",
        "no_deleted_documents": "No vector is of a document that is gone upstream.",
    }
    specs = [dg.AssetCheckSpec(name, asset=key, description=rule) for key in places for name, rule in rules.items()]

    @dg.multi_asset_check(
        specs=specs,
        name=f"{source}_health",
        description=f"How fresh and how sound {source}'s stores are, from the ledger and from Dagster's records.",
        can_subset=True,
    )
    def health(
        context: dg.AssetCheckExecutionContext, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.AssetCheckResult]:
        from sync_assets.components.failures import failures  # which imports this package

        chosen = context.selected_asset_check_keys
        with failures():
            for key, (stream, store) in places.items():
                wanted = {check.name for check in chosen if check.asset_key == key}
                if "freshness" in wanted:
                    yield _freshness(services, stream, store, timedelta(hours=limit_hours))
                if "failed_partitions" in wanted:
                    yield _failed_partitions(context.instance, key)
                if "one_fingerprint" in wanted:
                    yield _one_fingerprint(services, stream, store)
                if "no_deleted_documents" in wanted:
                    yield _no_deleted_documents(services, stream, store)

    return health


def _freshness(services: Services, stream: Stream, store: str, limit: timedelta) -> dg.AssetCheckResult:
    marks = synced_until(services.ledger, stream.source, stream.name, store)
    now = utc_now()
    cases: Mapping[str, str] = {
        tenant: f"{tenant}: not synced for {_time(now - marks[tenant])}"
        if tenant in marks
        else f"{tenant}: never synced"
        for tenant in services.tenants.names(stream.source)
        if tenant not in marks or now - marks[tenant] > limit
    }
    known = [marks[tenant] for tenant in services.tenants.names(stream.source) if tenant in marks]
    return result(
        store_key(stream, store),
        "freshness",
        WARN,
        f"{len(cases)} tenants were not synced for a while: they have no changes, or are behind; "
        f"`sync-assets sync --source {stream.source} --incremental`, or the schedule {stream.source}_incremental, "
        "makes sure"
        if cases
        else "every tenant was synced lately",
        passed=not cases,
        failing=len(cases),
        cases=list(cases.values()),
        tenants=cases,
        more={"hours_since_sync": round((now - min(known)) / timedelta(hours=1), 2)} if known else {},
    )


def _time(time: timedelta) -> str:
    hours = time // timedelta(hours=1)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"


def _failed_partitions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.AssetCheckResult:
    attempts = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    runs = sorted({run_id for run_id, _ in attempts.values()})
    failed_runs: set[str] = set()
    if runs:
        ended = dg.RunsFilter(run_ids=runs, statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
        failed_runs = {run.run_id for run in instance.get_runs(ended)}
    failed = sorted(partition for partition, (run_id, _) in attempts.items() if run_id in failed_runs)
    return result(
        key,
        "failed_partitions",
        WARN,
        f"{len(failed)} partitions failed last; `sync-assets sync --from DATE --to DATE`, or `Materialize` with the "
        "failed ones chosen, runs them again"
        if failed
        else "no partition failed last",
        passed=not failed,
        failing=len(failed),
        cases=failed,
        partitions=failed,
        tenants={partition.rpartition("|")[2] for partition in failed},
        more={"runs": ", ".join(sorted(failed_runs)[:SAMPLE]) or "none"},
    )


def _one_fingerprint(services: Services, stream: Stream, store: str) -> dg.AssetCheckResult:
    from sync_assets.stages.store import chunking_fingerprint

    configured, words = chunking_fingerprint(Context(services, stream), services.embedder(stream.model))
    active = services.ledger.active_collection(store, stream.collection)
    same = active is None or active.collection.fingerprint == configured
    return result(
        store_key(stream, store),
        "one_fingerprint",
        ERROR,
        "one model and chunker" if same else "syncs refuse to write: the collection was made by another one",
        passed=same,
        failing=not same,
        more={"configured": words, "collection": active.description if active else "not there yet"},
    )


def _no_deleted_documents(services: Services, stream: Stream, store: str) -> dg.AssetCheckResult:
    active = services.ledger.active_collection(store, stream.collection)
    found = deleted_but_stored(services.ledger, active.id, stream.source, stream.name) if active else []
    return result(
        store_key(stream, store),
        "no_deleted_documents",
        ERROR,
        f"{len(found)} deleted documents can still be found; "
        f"`sync-assets sync --all --source {stream.source}` removes them"
        if found
        else "no vector of a deleted document",
        passed=not found,
        failing=len(found),
        cases=[document_id for _, document_id in found],
        tenants={tenant for tenant, _ in found},
    )
