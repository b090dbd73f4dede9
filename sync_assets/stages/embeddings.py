"""Embeddings: a vector for every chunk, computed once for each text and model, ever."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sync_assets.batches import Batch, BatchWriter, Partition
from sync_assets.chunks import embedding_schema
from sync_assets.embedding import Embedder
from sync_assets.embedding.cache import EmbedResult, embed_missing
from sync_assets.ledger.forgotten import without_forgotten
from sync_assets.ledger.throughput import record_throughput
from sync_assets.stages import Context, QuarantineDesk, Report, record_states
from sync_assets.stages.findings import Finding, unusable
from sync_assets.stages.kept import KeptFiles
from sync_assets.stages.limits import refuse_beyond_limits
from sync_assets.stages.precision import refuse_unchecked

STAGE = "embeddings"

# Texts are sorted by length before they are embedded: the more at a time, the less padding. Rows are gathered over
# windows up to this number.
GATHERED_ROWS = 4096

_COUNTED = ["document_id", "record_id", "chunk_id", "content_hash", "payload_hash", "tokens", "deleted"]
_SHOWN, _LOOKED_THROUGH = 5, 100


def make_embeddings(context: Context, chunks: Batch) -> tuple[Batch, Report]:
    """Add vectors to chunks. A document with a text that can't be embedded goes to quarantine as a whole.

    A partition whose chunks did not change keeps its file, as long as the cache has its texts.

    Raises:
        EmbeddingError: the model can't be loaded, or fails on everything; what was embedded before stays in the cache.
        LimitError: the cache lacks more texts than the settings allow to embed.
        SettingsError: the model's precision has passed no check.
    """
    embedder = context.services.embedder(context.stream.model)
    refuse_unchecked(context.services, embedder)
    schema = embedding_schema(embedder.fingerprint.dimension)
    report = Report.after(context, "chunks", STAGE, chunks.partitions)
    report.findings["vectors"] = Finding()
    desk = QuarantineDesk(context, report)
    writer = BatchWriter(context.stream.layout(STAGE), schema, chunks.partitions)
    finding = report.findings["vectors"]
    kept = KeptFiles(context, chunks, writer, embedder.fingerprint.key, stands=partial(_is_cached, context, embedder))
    refuse_beyond_limits(context, kept.others)
    for partition, table in kept.batch.document_pages(GATHERED_ROWS, columns=_COUNTED):
        _without_failed(desk, partition, table, {}, finding)
        _count(report, partition, table)
        report.count(partition, "reused", pc.count_distinct(table["content_hash"]).as_py())  # pyright: ignore[reportAttributeAccessIssue] made at import
    for partition in kept.batch.partitions:
        for _, table in islice(kept.batch.only([partition]).pages(_LOOKED_THROUGH), 1):
            _show(report, partition, table)
    for tenant, gathered in _gathered(kept.others):
        pages = [(place, without_forgotten(context.services.ledger, tenant, table)) for place, table in gathered]
        result = _embed(context, embedder, tenant, pages, report)
        for (partition, page), (_, stored) in zip(pages, gathered, strict=True):
            good = _without_failed(desk, partition, page, result.failures, finding)
            if good.num_rows < stored.num_rows:
                kept.lacks_something(partition)
            table = _with_vectors(good, result.vectors, schema)
            _count(report, partition, table)
            _show(report, partition, table)
            writer.write(partition, table)
    embeddings = writer.finish(record_states(context, report))
    report.origins = kept.origins(embeddings)
    return embeddings, report


def _is_cached(context: Context, embedder: Embedder, partition: Partition, path: Path) -> bool:
    """Whether the cache has the texts of a stored file: others look there for their vectors."""
    stored = Batch({partition: path}, context.stream.layout(STAGE))
    return all(
        context.services.cache.has_all(
            partition.tenant,
            embedder.fingerprint.key,
            table["content_hash"].drop_null().unique().to_pylist(),
        )
        for _, table in stored.pages(GATHERED_ROWS, columns=["content_hash"])
    )


def _gathered(chunks: Batch) -> Iterator[tuple[str, list[tuple[Partition, pa.Table]]]]:
    """Pages of one tenant, as many windows together as make a good number of texts."""
    pages: list[tuple[Partition, pa.Table]] = []
    rows = 0
    for partition, table in chunks.document_pages(GATHERED_ROWS):
        if pages and (pages[0][0].tenant != partition.tenant or rows + table.num_rows > GATHERED_ROWS):
            yield pages[0][0].tenant, pages
            pages, rows = [], 0
        pages.append((partition, table))
        rows += table.num_rows
    if pages:
        yield pages[0][0].tenant, pages


def _embed(
    context: Context, embedder: Embedder, tenant: str, pages: list[tuple[Partition, pa.Table]], report: Report
) -> EmbedResult:
    """Vectors of all texts of the pages; each text is counted for the first window that has it."""
    texts: dict[str, str] = {}
    first: dict[str, Partition] = {}
    tokens: dict[str, int] = {}
    for partition, table in pages:
        columns = (table[name].to_pylist() for name in ("content_hash", "text", "tokens"))
        for key, text, length in zip(*columns, strict=True):
            if key is not None:
                texts.setdefault(key, text)
                first.setdefault(key, partition)
                tokens.setdefault(key, length)
    before = report.total("chunks")
    result = embed_missing(
        context.services.cache,
        embedder,
        tenant,
        texts,
        tokens,
        lambda done: context.advance(tenant, STAGE, before + done, report.upstream_rows),
    )
    if result.seconds:
        record_throughput(context.services.ledger, embedder.fingerprint.key, result.tokens, result.seconds)
    # A vendor counts with a tokenizer of its own: what it billed is shared out by the lengths that are known here.
    share = result.billed / result.tokens if result.billed and result.tokens else 1.0
    for number, key in enumerate(result.vectors):
        if number < result.reused:
            report.count(first[key], "reused")
        else:
            report.count(first[key], "embedded")
            report.count(first[key], "embedded_tokens", round(tokens[key] * share))
    bad = unusable(result.vectors, embedder.fingerprint.dimension)
    return result._replace(failures={**result.failures, **bad}) if bad else result


def _without_failed(
    desk: QuarantineDesk, partition: Partition, table: pa.Table, failures: Mapping[str, str], finding: Finding
) -> pa.Table:
    record_ids = table["record_id"].to_pylist()
    failed = {
        record_id: failures[key]
        for record_id, key in zip(record_ids, table["content_hash"].to_pylist(), strict=True)
        if key in failures
    }
    known = list(dict.fromkeys(record_ids))
    finding.judge(partition, len(known), failed)
    desk.settle(partition, failed, known)
    return table.filter(pa.array([record_id not in failed for record_id in record_ids])) if failed else table


def _count(report: Report, partition: Partition, table: pa.Table) -> None:
    rows = table.select(_COUNTED).to_pylist()
    report.count(partition, "documents", len({row["document_id"] for row in rows if not row["deleted"]}))
    for row in rows:
        del row["record_id"]
        report.count(partition, "chunks", row["chunk_id"] is not None)
        report.count(partition, "tokens", row.pop("tokens") or 0)
        report.digests[partition].add(list(row.values()))


def _show(report: Report, partition: Partition, table: pa.Table) -> None:
    public = pc.equal(table["visibility"], "public")  # pyright: ignore[reportAttributeAccessIssue] made at import
    for row in table.filter(public).slice(0, _SHOWN).to_pylist():
        head = ", ".join(f"{number:.3f}" for number in row["vector"][:4])
        report.show(partition, {"text": row["text"][:60], "vector": f"{head} ..."})


def _with_vectors(table: pa.Table, vectors: Mapping[str, np.ndarray], schema: pa.Schema) -> pa.Table:
    field = schema.field("vector")
    dimension = field.type.list_size
    hashes = table["content_hash"].to_pylist()
    matrix = np.zeros((len(hashes), dimension), dtype=np.float32)
    for row, key in enumerate(hashes):
        if key is not None:
            matrix[row] = vectors[key]
    missing = pa.array([key is None for key in hashes], pa.bool_())
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), dimension, mask=missing)
    return table.select(schema.names[:-1]).append_column(field, column)
