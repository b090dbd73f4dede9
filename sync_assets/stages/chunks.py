"""Chunks: documents cut into pieces that the stream's model reads whole."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from sync_assets.batches import Batch, BatchWriter, Partition, dump_json
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunking.measuring import Counted
from sync_assets.chunks import CHUNK_SCHEMA, Chunk, chunk_id, payload_hash
from sync_assets.documents import GRAPH_FIELD, IDENTITY_FIELDS, Document, Visibility
from sync_assets.embedding import Tokenizer
from sync_assets.hashing import text_hash
from sync_assets.ledger.forgotten import without_forgotten
from sync_assets.stages import Context, QuarantineDesk, Report, record_states
from sync_assets.stages.document_rows import document_of
from sync_assets.stages.findings import ChunkRules
from sync_assets.stages.kept import KeptFiles

STAGE = "chunks"
_IDENTITY = [field.name for field in IDENTITY_FIELDS]
# What is told of a chunk in a report.
_TOLD = ["document_id", "record_id", "deleted", "chunk_id", "content_hash", "payload_hash", "path", "tokens"]
_TOLD += ["visibility", "text"]


def make_chunks(context: Context, documents: Batch) -> tuple[Batch, Report]:
    """Cut documents into chunks, one row each; a document without chunks keeps one row with a null chunk id.

    A partition whose documents would be cut as they were keeps its file.
    """
    report = Report.after(context, "documents", STAGE, documents.partitions)
    desk = QuarantineDesk(context, report)
    writer = BatchWriter(context.stream.layout(STAGE), CHUNK_SCHEMA, documents.partitions)
    embedder = context.services.embedder(context.stream.model)
    limits = context.stream.limits(embedder.fingerprint)
    rules = ChunkRules(embedder.fingerprint.max_tokens)
    report.findings, report.tokens = rules.findings, rules.tokens
    kept = KeptFiles(context, documents, writer, embedder.fingerprint.key, limits.model_dump())

    def tell(
        partition: Partition, rows: Sequence[dict[str, Any]], record_ids: list[str], failed: dict[str, str]
    ) -> None:
        _tell(report, rules, partition, rows)
        desk.settle(partition, failed, record_ids)
        context.advance(partition.tenant, STAGE, report.total("documents"), report.upstream_rows)

    for partition, table in kept.batch.document_pages(columns=_TOLD):
        tell(partition, table.to_pylist(), table["record_id"].to_pylist(), {})
    for partition, stored in kept.others.pages():
        table = without_forgotten(context.services.ledger, partition.tenant, stored)
        rows, failed = _cut(partition, table, embedder.tokenizer, limits, rules)
        if rows:
            writer.write(partition, pa.Table.from_pylist(rows, CHUNK_SCHEMA))
        if failed or table.num_rows < stored.num_rows:
            kept.lacks_something(partition)
        tell(partition, rows, table["record_id"].to_pylist(), failed)
    chunks = writer.finish(record_states(context, report))
    report.origins = kept.origins(chunks)
    return chunks, report


def _cut(
    partition: Partition, table: pa.Table, tokenizer: Tokenizer, limits: ChunkLimits, rules: ChunkRules
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of chunks for a page of documents, and reasons by record id for those that can't be cut."""
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    found = table.to_pylist()
    documents = {number: document_of(row) for number, row in enumerate(found) if not row["deleted"]}
    counted = Counted(tokenizer, list({part.text for document in documents.values() for part in document.parts}))
    for number, row in enumerate(found):
        identity = {name: row[name] for name in _IDENTITY}
        document = documents.get(number)
        if document is None:
            rows.append(identity)
            continue
        try:
            chunks = chunk_document(document, counted, limits)
            rules.refuse(partition, document.document_id, chunks)
        except ValueError as error:
            failed[row["record_id"]] = str(error)
            continue
        pieces = [_row(identity, document, chunk) for chunk in chunks]
        first, *others = pieces or [identity]
        rows += [{**first, GRAPH_FIELD.name: row.get(GRAPH_FIELD.name)}, *others]
    return rows, failed


def _tell(report: Report, rules: ChunkRules, partition: Partition, rows: Sequence[dict[str, Any]]) -> None:
    """Count, judge and show rows of whole documents."""
    pieces = [row for row in rows if row.get("chunk_id") is not None]
    documents = sum(1 for _ in groupby(row["document_id"] for row in rows if not row["deleted"]))
    report.count(partition, "documents", documents)
    report.count(partition, "chunks", len(pieces))
    rules.judge(partition, documents, pieces)
    for row in rows:
        report.digests[partition].add(
            [row["document_id"], row.get("chunk_id"), row.get("content_hash"), row.get("payload_hash")]
        )
    for piece in pieces:
        if piece["visibility"] == Visibility.PUBLIC:
            report.show(partition, {"path": piece["path"], "tokens": piece["tokens"], "text": piece["text"][:80]})


def _row(identity: dict[str, Any], document: Document, chunk: Chunk) -> dict[str, Any]:
    of_part = {f"part_{name}": value for name, value in chunk.metadata.items()}
    metadata = {**document.metadata, "strategy": chunk.strategy, **of_part}
    url = chunk.metadata.get("link", document.url)
    return {
        **identity,
        "chunk_id": chunk_id(document.document_id, chunk.path),
        "path": chunk.path,
        "role": chunk.role,
        "text": chunk.text,
        "tokens": chunk.tokens,
        "content_hash": text_hash(chunk.text),
        "visibility": chunk.visibility.value,
        "principals": chunk.principals,
        "title": document.title,
        "url": url,
        "metadata": dump_json(metadata),
        "payload_hash": payload_hash(chunk, document.title, url, metadata),
    }
