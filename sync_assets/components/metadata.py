"""What people see of a stage in the Dagster UI: column schemas, counts and previews."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import dagster as dg
import pyarrow as pa

from sync_assets.ledger import Ledger, QuarantinedRecord
from sync_assets.stages import Partition, Report

_SAMPLE = 20
_URL = re.compile(r"https?://[^\s<>()|]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#!|~])")


def column_schema(schema: pa.Schema, made_of: Mapping[str, Sequence[str]] = MappingProxyType({})) -> dg.TableSchema:
    """The columns of a stage with their descriptions.

    Args:
        made_of: columns of the stage before that a column is made of, where their names differ.
    """
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                _type_name(field.type),
                _description(field, made_of.get(field.name)),
                dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def _description(field: pa.Field, made_of: Sequence[str] | None) -> str | None:
    told = (field.metadata or {}).get(b"description", b"").decode()
    return f"{told}; from {', '.join(made_of)}" if told and made_of else told or None


def _type_name(kind: pa.DataType) -> str:
    """A column's type as people say it; the fields of nested ones are in its description."""
    if pa.types.is_fixed_size_list(kind):
        return "vector"
    if pa.types.is_list(kind):
        return f"list of {_type_name(kind.value_type)}s"
    if pa.types.is_struct(kind):
        return "object"
    return "timestamp" if pa.types.is_timestamp(kind) else str(kind)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table. Cells show words as they are, whatever Markdown upstream put there, and link URLs."""
    if not rows:
        return "*nothing to show*"
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


# Always shown, so that the UI can plot them over time.
_COUNTS = {
    "raw": ("records", "live", "deleted", "malformed", "calls", "http_429", "http_failed"),
    "documents": ("documents", "added", "changed", "unchanged", "deleted", "stale"),
    "chunks": ("documents", "chunks"),
    "embeddings": ("documents", "chunks", "tokens", "embedded", "reused", "embedded_tokens"),
    "graph": ("documents", "added", "changed", "unchanged", "deleted", "stale", "searched_again"),
}
_STORE_COUNTS = ("documents", "chunks", "added", "changed", "unchanged", "deleted", "written", "payloads", "removed")


def report_metadata(report: Report) -> dict[str, Any]:
    """Metadata that a run's partitions share: how long it took, what went wrong as a whole, what is worth knowing."""
    # No integer: those are summed over the partitions of a run.
    seconds: dict[str, Any] = {"run_seconds": round(time.monotonic() - report.started, 3)}
    told = {"problems": report.problems, "notes": report.notes[:_SAMPLE]}
    written = {"physical_collection": report.collection} if report.collection else {}
    return (
        seconds
        | written
        | {name: dg.MetadataValue.md("\n".join(f"- {line}" for line in lines)) for name, lines in told.items() if lines}
    )


def partition_metadata(report: Report, more: Mapping[Partition, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Metadata of each partition of a run, by partition key, and nothing of any other partition.

    Counts, zeros included, what went to quarantine, a preview, what changed, the digest.

    Args:
        more: of a partition: its file, what it cost.
    """
    quarantined: dict[tuple[str, str], list[QuarantinedRecord]] = {}
    for record in report.quarantined:
        quarantined.setdefault((record.tenant, record.window), []).append(record)
    names = (*_COUNTS.get(report.stage, _STORE_COUNTS), "quarantined")
    found: dict[str, dict[str, Any]] = {}
    for partition, counts in report.counts.items():
        metadata = found[partition.key] = {
            "dagster/partition_row_count": report.digests[partition].rows,
            **{name: counts[name] for name in names},
        }
        if held := quarantined.get((partition.tenant, partition.window)):
            metadata["quarantined_records"] = dg.MetadataValue.md(_quarantine_table(held))
        if partition in report.previews:
            metadata["preview"] = dg.MetadataValue.md(markdown_table(report.previews[partition]))
        if partition in report.changes:
            metadata["changes"] = dg.MetadataValue.md(markdown_table(report.changes[partition]))
        metadata |= more.get(partition, {})
        metadata["digest"] = report.digests[partition].hexdigest()
    return found


def attach_partition_metadata(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, metadata: Mapping[str, Mapping[str, Any]]
) -> None:
    """Attach metadata to each partition of the run.

    Does what `context.add_asset_metadata(..., partition_key=...)` does, without its check of every key against all keys
    of the run, which takes 13 of 65 seconds at 940 partitions. Uses Dagster's internals.
    """
    step = context.get_step_execution_context()
    for partition, values in metadata.items():
        step._metadata_accumulator = step._metadata_accumulator.with_additional_asset_metadata(
            asset_key, partition, values
        )


def held_at(ledger: Ledger, report: Report, source: str, stream: str | None) -> list[QuarantinedRecord]:
    """What is in quarantine at a report's stage, of its tenants; None for all streams of the source."""
    tenants = {partition.tenant for partition in report.counts}
    return [record for record in ledger.quarantined(None, source, stream, report.stage) if record.tenant in tenants]


def summary(report: Report) -> str:
    """One line of a run's log about a stage: how much of what, in which time."""
    names = (*_COUNTS.get(report.stage, _STORE_COUNTS), "quarantined")
    told = ", ".join(f"{number} {name}" for name in names if (number := report.total(name)))
    seconds = time.monotonic() - report.started
    return f"{report.stage}: {told or 'nothing to do'}; {len(report.counts)} partitions in {seconds:.1f} s"


def _quarantine_table(records: Sequence[QuarantinedRecord]) -> str:
    return markdown_table(
        [
            {"tenant": record.tenant, "record": record.record_id, "stage": record.stage, "reason": record.reason[:200]}
            for record in records[:_SAMPLE]
        ]
    )


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    text = " ".join(str("" if value is None else value).split())
    return f"[open]({text})" if _URL.fullmatch(text) else as_words(text)


def as_words(text: str) -> str:
    """A text as Markdown that shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", text)
