"""The check of each store that compares every chunk and vector in it with the ledger.

What belongs here: how an audit becomes a check. What it compares is in `audit/`; upstream is not asked.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from sync_assets.checks.health import store_key
from sync_assets.checks.results import ERROR, result
from sync_assets.checks.selection import EQUALS_LEDGER
from sync_assets.clock import utc_now
from sync_assets.components.progress import progress_of
from sync_assets.services import Services
from sync_assets.stages import Progress, Stream
from sync_assets.stages.findings import SAMPLE


def audit_checks(source: str, streams: Sequence[Stream]) -> dg.AssetChecksDefinition:
    """The audits of all stores of a source, as one step that stops nothing."""
    places = {store_key(stream, store): (stream, store) for stream in streams for store in stream.stores}
    rule = "The store holds what the ledger says, chunk by chunk: texts, payloads and vectors."

    @dg.multi_asset_check(
        specs=[dg.AssetCheckSpec(EQUALS_LEDGER, asset=key, description=rule) for key in places],
        name=f"{source}_audit",
        description=f"Reads everything that {source}'s stores hold, and compares it with the ledger.",
        can_subset=True,
    )
    def equals_ledger(
        context: dg.AssetCheckExecutionContext, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.AssetCheckResult]:
        from sync_assets.components.failures import failures  # which imports this package

        seen_before = _begin_of_runs(context.instance, context.run.run_id)
        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        with failures():
            for key, (stream, store) in places.items():
                if key in chosen:
                    yield _equals_ledger(services, stream, store, seen_before, progress_of(context))

    return equals_ledger


def _begin_of_runs(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """When the first of the other runs under way began: what was seen upstream since may not have arrived yet."""
    under_way = instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES)))
    # One that goes on with what a failed one made began with that.
    first = [run.root_run_id or run.run_id for run in under_way if run.run_id != run_id]
    records = instance.get_run_records(dg.RunsFilter(run_ids=first)) if first else []
    return min([utc_now(), *(record.create_timestamp for record in records)])


def _equals_ledger(
    services: Services, stream: Stream, store: str, seen_before: datetime, progress: Progress
) -> dg.AssetCheckResult:
    from sync_assets.audit import AuditScope, audit

    scope = AuditScope(sources=(stream.source,), streams=(stream.name,), places=(store,), seen_before=seen_before)
    found = audit(services, [stream], scope, progress)
    cases = [f"{one.ref.tenant} {one.kind}: {document}" for one in found.findings for document in one.first]
    counts = [
        f"{one.ref.tenant}: {len(one.documents)} documents, {one.chunks} chunks {one.kind}" for one in found.findings
    ]
    failing = sum(len(one.documents) for one in found.findings)
    remedy = f"`sync-assets audit --heal --source {stream.source} --stream {stream.name} --store {store}` mends it"
    description = f"{failing} documents differ; {remedy}" if failing else "the store is equal to the ledger"
    return result(
        store_key(stream, store),
        EQUALS_LEDGER,
        ERROR,
        " ".join([*found.failures, description]),
        passed=not found.findings and not found.failures,
        failing=failing,
        cases=cases,
        tenants={one.ref.tenant for one in found.findings},
        more={
            "chunks": found.chunks,
            "seconds": round(found.seconds, 2),
            **({"differences": "; ".join(counts[:SAMPLE])} if counts else {}),
        },
    )
