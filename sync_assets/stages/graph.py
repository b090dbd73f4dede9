"""Graph: a batch of change applied to the tenant's knowledge graph, document by document.

Streams of tickets feed it by their chunks, the others by their documents; what a record's fields tell comes with both.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from sync_assets.batches import Batch, Partition, load_json
from sync_assets.documents import GRAPH_FIELD, Told, Version, Visibility
from sync_assets.enrichment.summaries import SUMMARY
from sync_assets.errors import GraphRefusal
from sync_assets.graph.applying import Change, apply_changes
from sync_assets.graph.evidence import Text
from sync_assets.graph.store_tenants import is_known
from sync_assets.ledger import StreamRef, WindowState
from sync_assets.ledger.forgotten import without_forgotten
from sync_assets.services import Services
from sync_assets.stages import Context, QuarantineDesk, Report, advance_watermarks, record_states

STAGE = "graph"
_NO_NUL = str.maketrans({"\0": "\ufffd"})


def apply_to_graph(context: Context, batch: Batch, upstream: Mapping[tuple[str, str], WindowState]) -> Report:
    """Bring the graph in line with a batch of chunks or documents; `graph.applying.settle` is to follow.

    Args:
        upstream: how far upstream was known when the batch was stored, by (tenant, window), as `Report.after` has it.

    Raises:
        GraphError: its database can't be reached; what was applied before stays, the next run does the rest.
    """
    report = Report.of(STAGE, batch.partitions)
    report.upstream.update(upstream)
    _distrust_what_was_lost(context, {partition.tenant for partition in batch.partitions})
    desk = QuarantineDesk(context, report)
    for partition, stored in batch.document_pages():
        table = without_forgotten(context.services.ledger, partition.tenant, stored)
        changes, failed = _changes(table)
        outcomes, refused = _apply_or_isolate(context.services, context.stream.of(partition.tenant), changes)
        for record_id, outcome in outcomes.items():
            change = changes[record_id]
            report.count(partition, outcome)
            report.count(partition, "documents", not change.deleted)
            report.digests[partition].add([change.document_id, change.content])
        desk.settle(partition, failed | refused, list(changes))
        context.advance(partition.tenant, STAGE, report.total("documents"), report.upstream_rows)
    record_states(context, report)()
    _advance_watermarks(context, report)
    return report


def _distrust_what_was_lost(context: Context, tenants: Collection[str]) -> None:
    """Where the graph has nothing of a tenant, all that the ledger says of it is of another graph, or of a lost one."""
    for tenant in tenants:
        with context.services.graph.transaction() as connection:
            known = is_known(connection, tenant)
        if not known:
            context.services.ledger.forget_progress(tenant, STAGE)


def _advance_watermarks(context: Context, report: Report) -> None:
    """Move the marks of tenants; one does not begin after documents that never came into the graph.

    A run may be about few windows, or of another stream: all that came before it would then count as known.
    """
    ledger = context.services.ledger
    counts: dict[Partition, Counter[str]] = {}
    for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
        windows, ref = list(group), context.stream.of(tenant)
        missing = ledger.first_missing(ref, STAGE)
        if ledger.watermark(ref, STAGE) is not None or missing is None or missing > windows[0].window:
            counts |= {window: report.counts[window] for window in windows}
    advance_watermarks(context, replace(report, counts=counts))


def _apply_or_isolate(
    services: Services, ref: StreamRef, changes: dict[str, Change]
) -> tuple[dict[str, str], dict[str, str]]:
    """Apply a page at once; where that fails, one by one, so that a bad document costs only itself.

    Returns:
        What was done with each, and why it failed, by record id.
    """
    try:
        return _apply(services, ref, changes), {}
    except (GraphRefusal, ValueError):
        outcomes: dict[str, str] = {}
        failed: dict[str, str] = {}
    for record_id, change in changes.items():
        try:
            outcomes |= _apply(services, ref, {record_id: change})
        except (GraphRefusal, ValueError) as error:
            failed[record_id] = _reason(error) if isinstance(error, ValueError) else str(error)
    return outcomes, failed


def _apply(services: Services, ref: StreamRef, changes: dict[str, Change]) -> dict[str, str]:
    done = apply_changes(services.graph, services.extractor, ref, list(changes.values()))
    return {record_id: done[change.document_id] for record_id, change in changes.items()}


def _changes(table: pa.Table) -> tuple[dict[str, Change], dict[str, str]]:
    """The documents of a page, and why some can't be read, by record id.

    One that was edited while it was fetched comes twice: the later counts.
    """
    rows = table.to_pylist()
    rows.sort(key=lambda row: (row["record_id"], row["observed_at"]))
    changes: dict[str, Change] = {}
    failed: dict[str, str] = {}
    for (record_id, _), group in groupby(rows, key=lambda row: (row["record_id"], row["observed_at"])):
        try:
            changes[record_id] = _change(list(group))
            failed.pop(record_id, None)
        except ValueError as error:
            failed[record_id] = _reason(error)
    return changes, failed


def _reason(error: ValueError) -> str:
    """Why a stored row can't be read, without what stands in it."""
    if not isinstance(error, ValidationError):
        return f"What the record tells of the graph can't be read: {type(error).__name__}."
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _change(rows: list[dict[str, Any]]) -> Change:
    first = rows[0]
    told = next((row[GRAPH_FIELD.name] for row in rows if row.get(GRAPH_FIELD.name)), None)
    return Change(
        document_id=first["document_id"],
        version=Version(
            modified_at=first["modified_at"], observed_at=first["observed_at"], authoritative=first["authoritative"]
        ),
        deleted=first["deleted"],
        told=Told.model_validate(load_json(told)) if told else None,
        texts=tuple(_texts(rows)),
    )


def _texts(rows: list[dict[str, Any]]) -> Iterator[Text]:
    """All texts but summaries, which are no evidence: they say again what others say, or what nobody said."""
    for row in rows:
        if "parts" not in row:
            if row["chunk_id"] is not None and row["role"] != SUMMARY:
                yield _text(row, row["chunk_id"])
            continue
        for part in row["parts"] or []:
            if part["role"] != SUMMARY:
                yield _text(part, None)


def _text(row: dict[str, Any], chunk_id: str | None) -> Text:
    visibility = Visibility(row["visibility"])
    # Databases take no NUL; what stands for it is as long, so that spans are right.
    text = row["text"].translate(_NO_NUL)
    return Text(row["path"], chunk_id, row["role"], text, visibility, tuple(row["principals"] or ()))
