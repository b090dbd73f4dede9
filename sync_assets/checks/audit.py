"""The check of each store that compares every chunk and vector in it with the ledger.

What belongs here: how an audit becomes a check. What it compares is in `audit/`; upstream is not asked.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from sync_assets.checks.health import store_key
from sync_assets.checks.results import ERROR, result
from sync_assets.checks.selection import EQUALS_LEDGER
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

        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        with failures():
            for key, (stream, store) in places.items():
                if key in chosen:
                    yield _equals_ledger(services, stream, store, progress_of(context))

    return equals_ledger


def _equals_ledger(services: Services, stream: Stream, store: str, progress: Progress) -> dg.AssetCheckResult:
    from sync_assets.audit import AuditScope, audit

    found = audit(
        services, [stream], AuditScope(sources=(stream.source,), streams=(stream.name,), places=(store,)), progress
    )
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
