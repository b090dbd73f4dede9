"""The check of each store that compares every chunk and vector in it with the ledger.

What belongs here: how an audit becomes checks, one for each stream in each store. What it compares is in `audit/`;
upstream is not asked.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from sync_assets.checks.health import store_key
from sync_assets.checks.results import ERROR, result
from sync_assets.checks.selection import EQUALS_LEDGER
from sync_assets.clock import utc_now
from sync_assets.components.progress import progress_of
from sync_assets.ledger import RegisteredCollection
from sync_assets.services import Services
from sync_assets.stages import Progress, Stream
from sync_assets.stages.findings import SAMPLE

_RULE = "The store holds what the ledger says, chunk by chunk: texts, payloads and vectors."


class _Shelf(NamedTuple):
    """A collection in a store, with the streams that share it, by asset. It is read once for all of them."""

    store: str
    collection: str
    streams: dict[dg.AssetKey, Stream]


@dataclass
class _Tally:
    """What was found for one asset: counts, and the first cases."""

    failing: int = 0
    cases: list[str] = field(default_factory=list[str])
    counts: list[str] = field(default_factory=list[str])
    tenants: set[str] = field(default_factory=set[str])
    strangers: int = 0


def audit_checks(streams: Sequence[Stream]) -> dg.AssetChecksDefinition:
    """The audits of all stores, as one step that stops nothing."""
    shelves = _shelves(streams)

    @dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec(EQUALS_LEDGER, asset=key, description=_RULE) for shelf in shelves for key in shelf.streams
        ],
        name="stores_audit",
        description="Reads everything that the stores hold, and compares it with the ledger.",
        can_subset=True,
    )
    def equals_ledger(
        context: dg.AssetCheckExecutionContext, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.AssetCheckResult]:
        from sync_assets.components.failures import failures  # which imports this package

        seen_before = _begin_of_runs(context.instance, context.run.run_id)
        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        with failures():
            for shelf, collections in _with_collections(services, shelves):
                if keys := chosen.intersection(shelf.streams):
                    yield from _audited(services, shelf, collections, keys, seen_before, progress_of(context))

    return equals_ledger


def _shelves(streams: Sequence[Stream]) -> list[_Shelf]:
    found: dict[tuple[str, str], dict[dg.AssetKey, Stream]] = defaultdict(dict)
    for stream in streams:
        for store in stream.stores:
            found[store, stream.collection][store_key(stream, store)] = stream
    return [_Shelf(*place, dict(sorted(kept.items()))) for place, kept in sorted(found.items())]


def _with_collections(
    services: Services, shelves: Sequence[_Shelf]
) -> Iterator[tuple[_Shelf, list[RegisteredCollection]]]:
    """Each shelf with its collection; those that no stream uses any more are with the first one of their store."""
    used = {(shelf.store, shelf.collection) for shelf in shelves}
    left = services.ledger.active_collections()
    for shelf in shelves:
        mine = [
            one
            for one in left
            if one.store == shelf.store and (one.name == shelf.collection or (one.store, one.name) not in used)
        ]
        left = [one for one in left if one not in mine]
        yield shelf, mine


def _begin_of_runs(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """When the first of the other runs under way began: what was seen upstream since may not have arrived yet."""
    under_way = instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES)))
    # One that goes on with what a failed one made began with that.
    first = [run.root_run_id or run.run_id for run in under_way if run.run_id != run_id]
    records = instance.get_run_records(dg.RunsFilter(run_ids=first)) if first else []
    return min([utc_now(), *(record.create_timestamp for record in records)])


def _audited(
    services: Services,
    shelf: _Shelf,
    collections: Sequence[RegisteredCollection],
    chosen: Collection[dg.AssetKey],
    seen_before: datetime,
    progress: Progress,
) -> Iterator[dg.AssetCheckResult]:
    """The results of the chosen assets of a shelf. What names none of its streams stands at the first asset of it."""
    from sync_assets.audit import AuditScope, audit_collections

    started = time.monotonic()
    tallies = {key: _Tally() for key in shelf.streams}
    failures: list[str] = []
    chunks = 0
    scope = AuditScope(places=(shelf.store,), seen_before=seen_before)
    streams = [shelf.streams[key] for key in sorted(chosen)]
    for part in audit_collections(services, collections, streams, scope, progress):
        failures += part.failures
        chunks += part.chunks
        for one in part.findings:
            named = dg.AssetKey([one.ref.source, one.ref.stream, shelf.store])
            tally = tallies.get(named) or next(iter(tallies.values()))
            tally.failing += len(one.documents)
            tally.strangers += len(one.documents) * (named not in tallies)
            where = one.ref.tenant if named in tallies else f"{one.ref.tenant} {one.ref.source}/{one.ref.stream}"
            tally.cases += [f"{where} {one.kind}: {document}" for document in one.first][: SAMPLE - len(tally.cases)]
            counted = f"{where}: {len(one.documents)} documents, {one.chunks} chunks {one.kind}"
            tally.counts += [counted][: SAMPLE - len(tally.counts)]
            tally.tenants.add(one.ref.tenant)
    read = {"chunks": chunks, "seconds": round(time.monotonic() - started, 2)}
    for key in sorted(chosen):
        yield _result(key, shelf, tallies[key], failures, read)


def _result(
    key: dg.AssetKey, shelf: _Shelf, tally: _Tally, failures: Sequence[str], read: Mapping[str, float]
) -> dg.AssetCheckResult:
    stream = shelf.streams[key]
    of_stream = "" if tally.strangers else f" --source {stream.source} --stream {stream.name}"
    told = [f"{tally.failing} documents differ"] * bool(tally.failing)
    told += [f"{tally.strangers} of them name no stream that is kept there"] * bool(tally.strangers)
    told += [f"`sync-assets audit --heal{of_stream} --store {shelf.store}` mends it"] * bool(tally.failing)
    return result(
        key,
        EQUALS_LEDGER,
        ERROR,
        " ".join([*failures, "; ".join(told) or "the store is equal to the ledger"]),
        passed=not tally.failing and not failures,
        failing=tally.failing,
        cases=tally.cases,
        tenants=tally.tenants,
        more={**read, **({"differences": "; ".join(tally.counts)} if tally.counts else {})},
    )
