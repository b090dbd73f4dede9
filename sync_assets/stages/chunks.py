"""Chunks: documents cut into pieces that the stream's model reads whole."""

from typing import Any

import pyarrow as pa

from sync_assets.batches import Batch, BatchWriter, dump_json
from sync_assets.chunking import chunk_document
from sync_assets.chunks import CHUNK_SCHEMA, Chunk, chunk_id, payload_hash
from sync_assets.documents import GRAPH_FIELD, IDENTITY_FIELDS, Document, Visibility
from sync_assets.hashing import text_hash
from sync_assets.ledger.forgotten import without_forgotten
from sync_assets.stages import Context, QuarantineDesk, Report, record_states
from sync_assets.stages.document_rows import document_of
from sync_assets.stages.findings import ChunkRules

STAGE = "chunks"
_IDENTITY = [field.name for field in IDENTITY_FIELDS]


def make_chunks(context: Context, documents: Batch) -> tuple[Batch, Report]:
    """Cut documents into chunks, one row each; a document without chunks keeps one row with a null chunk id."""
    report = Report.after(context, "documents", STAGE, documents.partitions)
    desk = QuarantineDesk(context, report)
    writer = BatchWriter(context.stream.layout(STAGE), CHUNK_SCHEMA, documents.partitions)
    embedder = context.services.embedder(context.stream.model)
    limits = context.stream.limits(embedder.fingerprint)
    rules = ChunkRules(embedder.fingerprint.max_tokens)
    report.findings, report.tokens = rules.findings, rules.tokens
    for partition, stored in documents.pages():
        table = without_forgotten(context.services.ledger, partition.tenant, stored)
        rows: list[dict[str, Any]] = []
        failed: dict[str, str] = {}
        for row in table.to_pylist():
            identity = {name: row[name] for name in _IDENTITY}
            if row["deleted"]:
                rows.append(identity)
                continue
            document = document_of(row)
            try:
                chunks = chunk_document(document, embedder.tokenizer, limits)
                rules.judge(partition, document.document_id, chunks)
            except ValueError as error:
                failed[row["record_id"]] = str(error)
                continue
            pieces = [_row(identity, document, chunk) for chunk in chunks]
            report.count(partition, "documents")
            report.count(partition, "chunks", len(pieces))
            first, *others = pieces or [identity]
            rows += [{**first, GRAPH_FIELD.name: row.get(GRAPH_FIELD.name)}, *others]
            for piece in pieces:
                if piece["visibility"] == Visibility.PUBLIC:
                    report.show(
                        partition, {"path": piece["path"], "tokens": piece["tokens"], "text": piece["text"][:80]}
                    )
        for piece in rows:
            report.digests[partition].add(
                [piece["document_id"], piece.get("chunk_id"), piece.get("content_hash"), piece.get("payload_hash")]
            )
        desk.settle(partition, failed, table["record_id"].to_pylist())
        if rows:
            writer.write(partition, pa.Table.from_pylist(rows, CHUNK_SCHEMA))
        context.advance(partition.tenant, STAGE, report.total("documents"), report.upstream_rows)
    return writer.finish(record_states(context, report)), report


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
