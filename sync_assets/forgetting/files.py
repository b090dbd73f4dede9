"""The stages' files: which hold rows of documents, the same files without them, and which texts the others have.

What belongs here: files in object storage, one at a time. What does not: which documents are meant (`place.py`).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from sync_assets.batches import PAGE_ROWS, Batch, BatchWriter, FileLayout, Partition, Stage
from sync_assets.enrichment.summaries import SUMMARY
from sync_assets.forgetting.place import Documents, Place
from sync_assets.hashing import SetDigest, text_hash
from sync_assets.ledger import tables as t
from sync_assets.services import Services
from sync_assets.stages.raw import digest_rows
from sync_assets.storage import Storage

_KEY = re.compile(
    r"(?P<tenant>[^/]+)/(?P<source>[^/]+)/(?P<stream>[^/]+)/(?P<stage>raw|documents|chunks|embeddings)"
    r"/year=(?P<year>\d+)/month=(?P<month>\d+)(/day=(?P<day>\d+))?(/hour=(?P<hour>\d+))?\.(jsonl\.gz|parquet)"
)
# What the digest of a stage's window is made of, as the stages do it; that of raw is theirs.
_DIGESTED = {
    "documents": ["document_id", "content_hash", "metadata_hash", "deleted"],
    "chunks": ["document_id", "chunk_id", "content_hash", "payload_hash"],
    "embeddings": ["document_id", "chunk_id", "content_hash", "payload_hash", "deleted"],
}


@dataclass(frozen=True)
class StageFile:
    """A stage's file, and what its key says of it."""

    key: str
    layout: FileLayout
    partition: Partition

    def opened(self, path: Path) -> Batch:
        return Batch({self.partition: path}, self.layout)


def tenant_files(storage: Storage, tenant: str, source: str = "") -> Iterator[StageFile]:
    """The stages' files of a tenant, of one source or of all."""
    for stored in storage.list(f"{tenant}/{source}/" if source else f"{tenant}/"):
        if match := _KEY.fullmatch(stored.key):
            yield _stage_file(match)


def documents_in_files(services: Services, documents: Documents) -> Place:
    """The rows of documents in the files of all stages and windows; counts the files that have some."""

    def holding() -> Iterator[tuple[StageFile, Path]]:
        for source in sorted(documents.records):
            for file in list(tenant_files(services.storage, documents.tenant, source)):
                with local_copy(services.storage, file) as path:
                    if path is not None and any(any(_of(file, ids, documents)) for ids in _ids(file, path)):
                        yield file, path

    def erase() -> None:
        for file, path in holding():
            _rewrite(services, file, path, documents)

    return Place("files", lambda: sum(1 for _ in holding()), erase)


def rows_in_files(services: Services, documents: Documents, stage: Stage) -> Iterator[dict[str, Any]]:
    """The rows of documents in one stage's files, older versions too."""
    for source in sorted(documents.records):
        for file in tenant_files(services.storage, documents.tenant, source):
            if file.layout.stage != stage:
                continue
            with local_copy(services.storage, file) as path:
                if path is not None:
                    for _, table in file.opened(path).pages():
                        mask = _of(file, table["document_id"].to_pylist(), documents)
                        yield from table.filter(pa.array(mask, pa.bool_())).to_pylist()


def texts_in_files(services: Services, tenant: str, without: Documents) -> Iterator[set[str]]:
    """Content hashes of the chunks in a tenant's files, and of whole summaries, which may be cut in several chunks.

    Page by page, those of some documents left out.
    """
    for file in tenant_files(services.storage, tenant):
        if file.layout.stage == "raw":
            continue
        with local_copy(services.storage, file) as path:
            if path is None:
                continue
            column = "parts" if file.layout.stage == "documents" else "content_hash"
            for ids, values in _columns(path, "document_id", column):
                kept = (value for one, value in zip(ids, values, strict=True) if value and one not in without.ids)
                found = {key for value in kept for key in ([value] if isinstance(value, str) else _summaries(value))}
                if found:
                    yield found


def files_of_tenant(services: Services, tenant: str) -> Place:
    """Everything below a tenant's folder."""
    storage = services.storage

    def erase() -> None:
        for file in list(storage.list(f"{tenant}/")):
            storage.delete(file.key)

    return Place("files", lambda: sum(1 for _ in storage.list(f"{tenant}/")), erase)


@contextmanager
def local_copy(storage: Storage, file: StageFile) -> Iterator[Path | None]:
    """The file to be read; None where it went meanwhile."""
    with TemporaryDirectory(prefix="sync_assets-") as folder:
        yield storage.get(file.key, Path(folder))


def _stage_file(match: re.Match[str]) -> StageFile:
    numbers = [int(match[name] or default) for name, default in (("year", 1), ("month", 1), ("day", 1), ("hour", 0))]
    start = datetime(*numbers, tzinfo=UTC)
    window = f"{start:%Y-%m-%d-%H:%M}" if match["hour"] else f"{start:%Y-%m-%d}"
    # The grain is in the key already, and the end is asked of nobody.
    layout = FileLayout(match["source"], match["stream"], cast(Stage, match["stage"]), "day")
    return StageFile(match[0], layout, Partition(match["tenant"], window, start, start))


def _ids(file: StageFile, path: Path) -> Iterator[list[str]]:
    """The ids that `_of` compares, page by page."""
    if file.layout.stage != "raw":
        yield from (ids for (ids,) in _columns(path, "document_id"))
        return
    for _, table in file.opened(path).pages():
        yield table["record_id"].to_pylist()


def _of(file: StageFile, ids: list[str], documents: Documents) -> list[bool]:
    wanted = documents.records[file.layout.source] if file.layout.stage == "raw" else documents.ids
    return [one in wanted for one in ids]


def _columns(path: Path, *names: str) -> Iterator[list[list[Any]]]:
    with pq.ParquetFile(path) as parquet:
        for page in parquet.iter_batches(PAGE_ROWS, columns=list(names)):
            yield [page[name].to_pylist() for name in names]


def _summaries(parts: list[dict[str, Any]]) -> list[str]:
    return [text_hash(part["text"]) for part in parts if part["role"] == SUMMARY]


def _rewrite(services: Services, file: StageFile, path: Path, documents: Documents) -> None:
    """Put a file without some documents in its place, and let the ledger describe it where it did so before."""
    batch = file.opened(path)
    writer = BatchWriter(file.layout, batch.schema, [file.partition])
    rows_of = _digested(file)
    before, after = SetDigest(), SetDigest()
    for _, table in batch.pages():
        ids = table["record_id" if file.layout.stage == "raw" else "document_id"].to_pylist()
        kept = table.filter(pa.array([not one for one in _of(file, ids, documents)], pa.bool_()))
        for digest, rows in ((before, table), (after, kept)):
            for row in rows_of(rows):
                digest.add(row)
        if kept.num_rows:
            writer.write(file.partition, kept)
    written = writer.finish()
    services.storage.put(written.files[file.partition], file.key)
    window, layout = t.windows.c, file.layout
    statement = sa.update(t.windows).where(
        window.tenant == file.partition.tenant,
        window.source == layout.source,
        window.stream == layout.stream,
        window.stage == layout.stage,
        window.window == file.partition.window,
        window.digest == before.hexdigest(),
    )
    with services.ledger.transaction() as connection:
        connection.execute(statement.values(digest=after.hexdigest(), rows=after.rows))


def _digested(file: StageFile) -> Callable[[pa.Table], Iterator[list[Any]]]:
    if file.layout.stage == "raw":
        return digest_rows
    names = _DIGESTED[file.layout.stage]
    return lambda table: (list(row.values()) for row in table.select(names).to_pylist())
