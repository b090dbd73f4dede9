"""Graph: a batch of change applied to the tenant's knowledge graph, document by document.

Streams of tickets feed it by their chunks, the others by their documents; what a record's fields tell comes with both.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa

from sync_assets.batches import Batch, load_json
from sync_assets.documents import GRAPH_FIELD, Told, Version, Visibility
from sync_assets.graph.applying import Change, apply_changes, settle
from sync_assets.graph.evidence import Text
from sync_assets.services import Services
from sync_assets.stages import Context, Report, record_states

STAGE = "graph"


def apply_to_graph(context: Context, batch: Batch) -> Report:
    """Bring the graph in line with a batch of chunks or documents; `search_again` is to follow.

    Raises:
        GraphError: its database can't be reached; what was applied before stays, the next run does the rest.
    """
    report = Report.after(context, batch.layout.stage, STAGE, batch.partitions)
    services = context.services
    for partition, table in batch.document_pages():
        changes = {change.document_id: change for change in _in_order(table)}
        ref = context.stream.of(partition.tenant)
        outcomes = apply_changes(services.graph, services.extractor, ref, list(changes.values()))
        for document_id, outcome in outcomes.items():
            report.count(partition, outcome)
            report.count(partition, "documents", not changes[document_id].deleted)
            if outcome != "stale":
                report.digests[partition].add([document_id, changes[document_id].content])
        context.advance(partition.tenant, STAGE, report.total("documents"), report.upstream_rows)
    record_states(context, report)()
    return report


def search_again(services: Services, report: Report) -> None:
    """Search the texts of the report's tenants again for names that came or went; once for all streams of a run.

    Raises:
        GraphError: its database can't be reached; the next run does the rest.
    """
    for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
        report.count(next(group), "searched_again", settle(services.graph, services.extractor, tenant))


def _in_order(table: pa.Table) -> Iterator[Change]:
    """The documents of a page; one that was edited while it was fetched comes twice, the later last."""
    rows = table.to_pylist()
    rows.sort(key=lambda row: (row["document_id"], row["observed_at"]))
    for _, group in groupby(rows, key=lambda row: (row["document_id"], row["observed_at"])):
        yield _change(list(group))


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
    for row in rows:
        if "parts" not in row:
            if row["chunk_id"] is not None:
                yield _text(row, row["chunk_id"])
            continue
        for part in row["parts"] or []:
            yield _text(part, None)


def _text(row: dict[str, Any], chunk_id: str | None) -> Text:
    visibility = Visibility(row["visibility"])
    return Text(row["path"], chunk_id, row["role"], row["text"], visibility, tuple(row["principals"] or ()))
