"""What travels between the stages: batches of change, one file for each partition, read as a stream of Arrow tables.

A batch has the same type whether a run has one partition or a range of them, and memory follows the page that is being
read, never the batch (law 7). Raw batches are gzipped JSON lines, all others Parquet.
"""

import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip

from sync_assets.documents import RAW_SCHEMA
from sync_assets.errors import StorageError

Stage = Literal["raw", "documents", "chunks", "embeddings"]
Grain = Literal["hour", "day", "week", "month"]

PAGE_ROWS = 1000
_GZIP_LEVEL = 3  # the highest that there is
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Partition(NamedTuple):
    """One tenant's changes of one window [start, end), UTC.

    Attributes:
        window: the key of the window, as Dagster's time dimension names it (`2026-10-01`).
    """

    tenant: str
    window: str
    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """As Dagster names a partition of {date, tenant}."""
        return f"{self.window}|{self.tenant}"


@dataclass(frozen=True)
class FileLayout:
    """Where the files of one stage of one stream lie: the tenant's folder first, then hive-style time folders."""

    source: str
    stream: str
    stage: Stage
    grain: Grain

    @property
    def suffix(self) -> str:
        return ".jsonl.gz" if self.stage == "raw" else ".parquet"

    def path(self, partition: Partition) -> str:
        """Storage key of a partition's file.

        >>> from datetime import datetime
        >>> start, end = datetime(2026, 10, 1), datetime(2026, 10, 2)
        >>> FileLayout("freshdesk", "tickets", "raw", "day").path(Partition("acme", "2026-10-01", start, end))
        'acme/freshdesk/tickets/raw/year=2026/month=10/day=01.jsonl.gz'
        """
        formats = {
            "hour": "year=%Y/month=%m/day=%d/hour=%H",
            "day": "year=%Y/month=%m/day=%d",
            "week": "year=%Y/month=%m/day=%d",
            "month": "year=%Y/month=%m",
        }
        time = partition.start.strftime(formats[self.grain])
        return f"{self.folder(partition.tenant)}{time}{self.suffix}"

    def folder(self, tenant: str) -> str:
        """What all keys of a tenant begin with."""
        return f"{tenant}/{self.source}/{self.stream}/{self.stage}/"


class Batch:
    """The rows of one stage for one or more partitions.

    Args:
        files: local file of each partition, in the order in which they are read; at least one.
        layout: which stage of which stream this is.
        folder: a temporary folder to keep until the batch is gone.
        on_stored: called once all files are durable in storage; records what may be recorded only then.
        kept: partitions whose files are the stored ones.
    """

    def __init__(
        self,
        files: Mapping[Partition, Path],
        layout: FileLayout,
        folder: tempfile.TemporaryDirectory[str] | None = None,
        on_stored: Callable[[], None] = lambda: None,
        kept: Collection[Partition] = (),
    ) -> None:
        self.files = dict(files)
        self.layout = layout
        self.on_stored = on_stored
        self.kept = frozenset(kept)
        self._folder = folder

    @property
    def partitions(self) -> list[Partition]:
        return list(self.files)

    @property
    def schema(self) -> pa.Schema:
        """Of the tables; all files of a batch share it."""
        return RAW_SCHEMA if self.layout.stage == "raw" else pq.read_schema(next(iter(self.files.values())))

    def pages(
        self, rows: int = PAGE_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Partition, pa.Table]]:
        """Tables of about `rows` rows, each of one partition; of Parquet files, if asked, only some columns."""
        for partition, path in self.files.items():
            for table in _read(path, rows, partition, columns):
                if table.num_rows:
                    yield partition, table

    def document_pages(
        self, rows: int = PAGE_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Partition, pa.Table]]:
        """As `pages`, but the rows of one document always come together in one table."""
        for partition, path in self.files.items():
            held: pa.Table | None = None
            for table in _read(path, rows, partition, columns):
                if held is None:
                    held = table
                    continue
                both = pa.concat_tables([held, table])
                # Only the last document may go on in the next page.
                last = pc.equal(both["document_id"], both["document_id"][-1])  # pyright: ignore[reportAttributeAccessIssue]
                start = pc.index(last, True).as_py()
                if start:
                    yield partition, both.slice(0, start)
                held = both.slice(start)
            if held is not None and held.num_rows:
                yield partition, held

    def rows(self, partition: Partition, columns: Sequence[str] | None = None) -> "Rows":
        """The rows of one partition by their numbers; of Parquet files, if asked, only some columns."""
        return Rows(_read(self.files[partition], PAGE_ROWS, partition, columns))

    def only(self, partitions: Iterable[Partition]) -> "Batch":
        """Those of some partitions that there are, to be read as long as this batch is there."""
        return Batch({one: self.files[one] for one in partitions if one in self.files}, self.layout)

    def to_table(self) -> pa.Table:
        """Everything at once, for notebooks and tests; memory follows the batch."""
        tables = [table for _, table in self.pages()]
        return pa.concat_tables(tables) if tables else self.schema.empty_table()


class Rows:
    """Rows by their numbers, read forward and no further than they are asked for."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._number = 0
        self._held: pa.Table | None = None

    def between(self, start: int, stop: int) -> pa.Table:
        """Rows [start, stop), at least one; each call goes on behind the one before."""
        found: list[pa.Table] = []
        while self._number < stop:
            held = self._held if self._held is not None and self._held.num_rows else next(self._tables)
            taken = min(held.num_rows, (start if self._number < start else stop) - self._number)
            if self._number >= start:
                found.append(held.slice(0, taken))
            self._held = held.slice(taken)
            self._number += taken
        return pa.concat_tables(found)


class BatchWriter:
    """Spools the rows of a stage to local files, then becomes a `Batch`.

    Rows of one partition may come in several calls; for Parquet one partition after the other.
    """

    def __init__(self, layout: FileLayout, schema: pa.Schema, partitions: Sequence[Partition]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sync_assets-")
        self._schema = schema
        self.layout = layout
        root = Path(self._folder.name)
        self._paths = {partition: root / f"{n}{layout.suffix}" for n, partition in enumerate(partitions)}
        self._writer: tuple[Partition, pq.ParquetWriter] | None = None
        self._kept: set[Partition] = set()

    @property
    def folder(self) -> Path:
        """A temporary folder, which is there as long as the batch."""
        return Path(self._folder.name)

    def write(self, partition: Partition, table: pa.Table) -> None:
        with _disk_errors():
            path = self._paths[partition]
            if path.name.endswith(".gz"):
                _append_lines(path, table)
                return
            if self._writer is None or self._writer[0] != partition:
                self._close_writer()
                self._writer = (partition, _parquet_writer(path, self._schema))
            self._writer[1].write_table(table)

    def keep(self, partition: Partition, stored: Path) -> None:
        """Let a partition have the stored file as it is, and write no rows of it."""
        self._paths[partition] = stored
        self._kept.add(partition)

    def finish(self, on_stored: Callable[[], None] = lambda: None) -> Batch:
        """Close all files; partitions that got no row get an empty one."""
        with _disk_errors():
            self._close_writer()
            for path in self._paths.values():
                if path.exists():
                    continue
                if path.name.endswith(".gz"):
                    _append_lines(path, self._schema.empty_table())
                else:
                    pq.write_table(self._schema.empty_table(), path, compression="zstd")
        return Batch(self._paths, self.layout, self._folder, on_stored, self._kept)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer[1].close()
            self._writer = None


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Vectors never repeat: a dictionary of them only costs time and space, and their bytes compress better apart."""
    others = [name for name in schema.names if name != "vector"]
    special = {"use_dictionary": others, "column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"}}
    options = special if len(others) < len(schema) else {}
    return pq.ParquetWriter(path, schema, compression="zstd", **options)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"A temporary file could not be written: {error.strerror or error}.",
            "Free some disk, or point TMPDIR elsewhere.",
        ) from error


def dump_json(value: Any) -> str:
    """Any JSON value as text, also where it holds lone surrogates or numbers beyond 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def load_json(text: str) -> Any:
    """A JSON value; characters that neither UTF-8 nor PostgreSQL can hold come back as U+FFFD."""
    if "\\u0000" in text:  # looking for it costs a fiftieth of the search for how it is escaped
        text = _NUL.sub(r"\1\\ufffd", text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))


def _append_lines(path: Path, table: pa.Table) -> None:
    lines = []
    for row in table.to_pylist():
        payload = row.pop("payload")
        del row["partition"]
        row = {name: value for name, value in row.items() if value is not None}
        head = orjson.dumps(row, option=orjson.OPT_UTC_Z).decode()
        lines.append(f'{head[:-1]},"payload":{payload or "null"}}}\n')
    # A gzip stream may have several members: each call appends one.
    with path.open("ab") as file:
        file.write(igzip.compress("".join(lines).encode("utf-8", "surrogatepass"), _GZIP_LEVEL, mtime=0))


def _read(path: Path, rows: int, partition: Partition, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    if path.name.endswith(".gz"):
        yield from _read_lines(path, rows, partition)
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns and list(columns)):
            yield pa.Table.from_batches([batch])


def _read_lines(path: Path, rows: int, partition: Partition) -> Iterator[pa.Table]:
    page: list[dict[str, Any]] = []
    with igzip.IGzipFile(path) as file:
        for line in file:
            page.append(_parse_line(line.decode()))
            if len(page) >= rows:
                yield raw_table(page, partition)
                page = []
    if page:
        yield raw_table(page, partition)


def _parse_line(line: str) -> dict[str, Any]:
    head, payload = line.rstrip("\n").split(',"payload":', 1)
    row = orjson.loads(head + "}")
    for name in ("modified_at", "observed_at"):
        if name in row:
            row[name] = datetime.fromisoformat(row[name])
    return {**row, "payload": payload[:-1]}


def raw_table(rows: Sequence[Mapping[str, Any]], partition: Partition) -> pa.Table:
    """Rows of the raw stage as a table."""
    columns = {}
    for field in RAW_SCHEMA:
        if field.name == "partition":
            columns[field.name] = pa.array([partition.key] * len(rows), pa.string())
        else:
            columns[field.name] = pa.array([row.get(field.name) for row in rows], field.type)
    return pa.table(columns, schema=RAW_SCHEMA)
