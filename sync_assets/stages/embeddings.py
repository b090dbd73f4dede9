"""Embeddings: a vector for every chunk, computed once for each text and model, ever."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sync_assets.batches import Batch, BatchWriter, Partition
from sync_assets.chunks import embedding_schema
from sync_assets.embedding import Embedder
from sync_assets.embedding.cache import embed_missing
from sync_assets.stages import Context, QuarantineDesk, Report, record_states

STAGE = "embeddings"

# Texts are sorted by length within a page before they are embedded; a larger page wastes less padding.
PAGE_ROWS = 4096


def make_embeddings(context: Context, chunks: Batch) -> tuple[Batch, Report]:
    """Add vectors to chunks. A document with a text that can't be embedded goes to quarantine as a whole.

    Raises:
        EmbeddingError: the model can't be loaded, or fails on everything; what was embedded before stays in the cache.
    """
    embedder = context.services.embedder(context.stream.model)
    schema = embedding_schema(embedder.fingerprint.dimension)
    report = Report.after(context, "chunks", STAGE, chunks.partitions)
    writer = BatchWriter(context.stream.layout(STAGE), schema, chunks.partitions)
    for partition, table in chunks.document_pages(PAGE_ROWS):
        writer.write(partition, _embed(context, embedder, schema, partition, table, report))
    return writer.finish(record_states(context, report)), report


def _embed(
    context: Context, embedder: Embedder, schema: pa.Schema, partition: Partition, table: pa.Table, report: Report
) -> pa.Table:
    hashes = table["content_hash"].to_pylist()
    texts = {key: text for key, text in zip(hashes, table["text"].to_pylist(), strict=True) if key is not None}
    done_before = report.total("embedded") + report.total("reused")
    result = embed_missing(
        context.services.cache,
        embedder,
        partition.tenant,
        texts,
        lambda done: context.advance(partition.tenant, STAGE, done_before + done, report.upstream_rows),
    )
    record_ids = table["record_id"].to_pylist()
    failed = {
        record_id: result.failures[key]
        for record_id, key in zip(record_ids, hashes, strict=True)
        if key in result.failures
    }
    QuarantineDesk(context, report).settle(partition, failed, list(dict.fromkeys(record_ids)))
    if failed:
        table = table.filter(pa.array([record_id not in failed for record_id in record_ids]))
        hashes = table["content_hash"].to_pylist()
    report.count(partition, "documents", len(set(table["document_id"].to_pylist())))
    report.count(partition, "chunks", sum(key is not None for key in hashes))
    report.count(partition, "embedded", result.embedded)
    report.count(partition, "reused", result.reused)
    report.count(partition, "tokens", sum(tokens or 0 for tokens in table["tokens"].to_pylist()))
    for row in table.select(["document_id", "chunk_id", "content_hash", "payload_hash"]).to_pylist():
        report.digests[partition].add(list(row.values()))
    public = pc.equal(table["visibility"], "public")  # pyright: ignore[reportAttributeAccessIssue] made at import
    for row in table.filter(public).slice(0, 5).to_pylist():
        head = ", ".join(f"{number:.3f}" for number in result.vectors[row["content_hash"]][:4])
        report.show({"text": row["text"][:60], "vector": f"{head} ..."})
    return table.append_column(schema.field("vector"), _vectors(hashes, result.vectors, embedder.fingerprint.dimension))


def _vectors(hashes: list[str | None], vectors: dict[str, np.ndarray], dimension: int) -> pa.Array:
    missing = np.array([key is None for key in hashes], dtype=bool)
    empty = np.zeros(dimension, dtype=np.float32)
    rows = [empty if key is None else vectors[key] for key in hashes]
    flat = pa.array(np.concatenate(rows) if rows else np.zeros(0, dtype=np.float32), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, dimension, mask=pa.array(missing))
