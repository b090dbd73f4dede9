"""A ticket portal's database (MySQL or MariaDB; SQLite in the demo): tickets, knowledge base, configuration items.

What belongs here: which rows make which records. What does not: connections (`ticket_portal_database.py`), tables and
queries (`ticket_portal_tables.py`), attached files (`ticket_portal_files.py`), and how a record becomes a document
(`ticket_portal_documents.py`).

A listing runs a constant number of queries, all begun at the same moment in read-only transactions and each over a
connection of its own, and reads their ordered results side by side. So memory follows one ticket and not the listing.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import cached_property
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.hashing import digest
from sync_assets.sources import LiveId
from sync_assets.sources.ticket_portal_database import ALLOWED_URLS, Database, check_url, keyed_rows
from sync_assets.sources.ticket_portal_documents import article_document, item_document, ticket_document
from sync_assets.sources.ticket_portal_files import FileFolder
from sync_assets.sources.ticket_portal_graph import with_graph
from sync_assets.sources.ticket_portal_tables import (
    EPOCH,
    STREAMS,
    Item,
    Kind,
    Query,
    Stream,
    TableNames,
    Tables,
    check_names,
    md5_of,
    read_value,
    with_texts,
)

_WRITTEN_OFF = "afgeschreven"
_SLICE = 200
_DIGITS = re.compile(r"[1-9][0-9]{0,17}")


class Account(BaseModel):
    """One tenant's portal database, as it stands in `tenants.yaml`. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_url: SecretStr = Field(description=f"Where the portal's tables are: {ALLOWED_URLS}; reading suffices")
    time_zone: str | None = Field(
        default=None,
        description="Time zone in which the portal writes DATETIME columns, such as Europe/Amsterdam; default UTC, "
        "where the server runs on UTC",
    )
    tables: dict[str, TableNames] = Field(default={}, description="Names of tables and columns that differ")
    files: Path | None = Field(
        default=None,
        description="Folder that the paths of attachments begin at, as this machine sees it, such as a mount of the "
        "portal's uploads; without it attachments are only named",
    )
    connect_timeout: int = Field(default=10, ge=1, le=300, description="Longest wait for a connection")
    read_timeout: int = Field(default=600, ge=1, le=3600, description="Longest wait for a query's next rows")
    max_attempts: int = Field(default=5, ge=1, le=20, description="How often a connection is tried")

    @field_validator("database_url")
    @classmethod
    def _supported(cls, value: SecretStr) -> SecretStr:
        check_url(value.get_secret_value())
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Amsterdam") from None
        return value

    @field_validator("tables")
    @classmethod
    def _known_tables(cls, value: dict[str, TableNames]) -> dict[str, TableNames]:
        check_names(value)
        return value

    @field_validator("files")
    @classmethod
    def _with_paths(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        names = info.data.get("tables", {}).get("ticket_attachments", TableNames())
        if value is not None and not value.is_absolute():
            raise ValueError(f"{value} is no absolute path, such as /mnt/portal")
        if value is not None and names.column("filepath") is None:
            raise ValueError("needs the column ticket_attachments.filepath, which tables leaves out")
        return value


class Source:
    """One tenant's portal database, opened for one run. See `sync_assets.sources.Source` for the contract.

    A ticket's modification time is the latest of its own times and those of its comments, field values, attachments and
    links to configuration items. What moves none of them is seen in `cheap_version`. A record without any time counts
    as modified at the start of 1970, so that sweeps carry it. Unpublished articles, configuration items that were
    written off, and rows marked as deleted are gone.

    Args:
        clock: wall clock, for `observed_at`.
    """

    def __init__(self, tenant: str, account: Account, *, clock: Callable[[], datetime] = utc_now) -> None:
        setting = f"tenants.{tenant}.ticket_portal"
        self._tenant = tenant
        self._account = account
        self._clock = clock
        self._files_setting = f"{setting}.files"
        self._files = FileFolder(tenant, account.files, self._files_setting) if account.files else None
        self._database = Database(
            tenant,
            setting,
            account.database_url.get_secret_value(),
            connect_timeout=account.connect_timeout,
            read_timeout=account.read_timeout,
            max_attempts=account.max_attempts,
        )

    def check(self) -> str:
        query = self._tables.counts()
        with self._database.snapshot(1) as (connection,):
            counts = connection.execute(query).one()
            server = self._database.server_of(connection)
        streams = zip(counts, ("tickets", "articles", "configuration items"), strict=True)
        facts = [server, self._database.place, *(f"{int(count)} {name}" for count, name in streams)]
        if self._files is not None:
            facts.append(self._files.check())
        return ", ".join(facts)

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        query, zones = self._tables.span(self._stream(stream))
        if query is None:
            return None
        earliest: list[datetime] = []
        latest: list[datetime] = []
        with self._database.snapshot(1) as (connection,):
            for number, *bounds in connection.execute(query):
                for times, bound in zip((earliest, latest), bounds, strict=True):
                    with suppress(ValueError):
                        times += filter(None, [read_value(Kind.TIME, bound, zones[int(number)])])
        return (min(earliest or latest), max(latest)) if latest else None

    def probe(self, stream: str) -> str:
        """Rows and latest time of each table whose rows are part of the stream's records: one query."""
        query = self._tables.newest(self._stream(stream))
        with self._database.snapshot(1) as (connection,):
            return digest(sorted([str(value) for value in row] for row in connection.execute(query)))

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        spec = self._stream(stream)
        chosen = self._tables.everything(spec) if since <= EPOCH else self._tables.touched(spec, since, until)
        with closing(self._records(stream, chosen)) as records:
            for record in records:
                if record.modified_at is None or since <= record.modified_at < until:
                    yield record

    def live_ids(self, stream: str) -> Iterator[LiveId]:
        chosen = self._tables.everything(self._stream(stream))
        with closing(self._records(stream, chosen, texts=False)) as records:
            for record in records:
                if record.event != "deleted":
                    yield LiveId(
                        record_id=record.record_id,
                        modified_at=record.modified_at or EPOCH,
                        cheap_version=record.cheap_version,
                    )

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        spec = self._stream(stream)
        remaining = iter(record_ids)
        while asked := list(islice(remaining, _SLICE)):
            keys = {record_id: key for record_id in asked if (key := _key_of(spec, record_id)) is not None}
            observed_at = self._clock()
            if keys:
                with closing(self._records(stream, self._tables.these(spec, list(keys.values())))) as records:
                    for record in records:
                        keys.pop(record.record_id)
                        yield record
            for record_id in dict.fromkeys(asked):
                if _key_of(spec, record_id) is None:
                    problem = f"the portal can't be asked for it: {stream} has no such id"
                    yield Record(record_id=record_id, event="malformed", observed_at=observed_at, problem=problem)
                elif record_id in keys:
                    yield Record(record_id=record_id, event="deleted", observed_at=observed_at)

    def to_document(self, stream: str, record: Record) -> Document:
        self._stream(stream)
        to_document = {
            "tickets": ticket_document,
            "knowledge_base": article_document,
            "configuration_items": item_document,
        }
        document = with_graph(to_document[stream](self._tenant, record.record_id, record.payload), record.payload)
        # A record may be of a time when the account named a folder.
        return document if self._files is not None else document.model_copy(update={"attachments": []})

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """See `sync_assets.sources.FileSource`.

        Args:
            locator: `{attachment_id} {uploaded_at} {filesize} {filepath}`. Time and size are there so that a file that
                was replaced where it lies is read again, which takes that the portal's row tells of it.
        """
        if self._files is None:
            raise FileUnavailable(f"{self._files_setting} is not set")
        return self._files.read(locator.split(" ", 3)[3], max_bytes)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _stream(self, name: str) -> Stream:
        if name not in STREAMS:
            raise SourceError(f"The ticket portal has no stream {name!r}.", f"Streams are: {', '.join(STREAMS)}.")
        return STREAMS[name]

    @cached_property
    def _tables(self) -> Tables:
        """The portal's tables, after a look at the database that they and their columns exist."""
        zone = self._account.time_zone
        return self._database.tables(self._names(), ZoneInfo(zone) if zone else None)

    def _names(self) -> dict[str, TableNames]:
        """Names that differ. Paths are read only where files are: naming a folder changes every record that has one,
        so that a sweep reads it again, and a portal without paths is read as well as any."""
        if self._files is not None:
            return self._account.tables
        attachments = self._account.tables.get("ticket_attachments", TableNames())
        columns = {**attachments.columns, "filepath": None}
        return {**self._account.tables, "ticket_attachments": attachments.model_copy(update={"columns": columns})}

    # Records

    def _records(self, stream: str, chosen: sa.Subquery, texts: bool = True) -> Generator[Record, None, None]:
        """The chosen records, latest id first; without `texts`, for a listing, long texts are None."""
        spec = self._stream(stream)
        queries = self._tables.queries(spec, chosen, texts)
        observed_at = self._clock()
        with self._database.snapshot(len(queries)) as connections:
            results = [keyed_rows(connection, query) for connection, query in zip(connections, queries, strict=True)]
            children = [_Groups(rows) for rows in results[1:]]
            for key, rows in groupby(results[0], key=itemgetter(0)):
                _, head = next(rows)
                groups = [child.of(key) for child in children]
                # None: the record was changed or removed after the first query's beginning, and belongs to a later
                # window or to none.
                if None not in groups:
                    yield _record(stream, spec, queries, key, head, groups, observed_at)


def _record(
    stream: str,
    spec: Stream,
    queries: list[Query],
    key: int,
    head_row: sa.Row[Any],
    groups: list[Any],
    observed_at: datetime,
) -> Record:
    """One record of its head row and a group of child rows for each further query."""
    record_id = f"{spec.prefix}{key}"
    head_query, *child_queries = queries
    try:
        head = head_query.read(head_row)
        if head.is_deleted or _is_gone(stream, head):
            modified_at = max(head.times, default=EPOCH)
            return Record(record_id=record_id, event="deleted", modified_at=modified_at, observed_at=observed_at)
        children = [_items(query, rows) for query, rows in zip(child_queries, groups, strict=True)]
    except ValueError as error:
        stored = {spec.head.part: head_query.as_stored(head_row)}
        return Record(
            record_id=record_id, event="malformed", observed_at=observed_at, payload=stored, problem=str(error)
        )
    modified_at = max((time for items in ([head], *children) for item in items for time in item.times), default=EPOCH)
    payload = {spec.head.part: head.values, **head.parts}
    for rows, items in zip(spec.children, children, strict=True):
        payload[rows.part] = [{**item.values, **item.parts} for item in items]
    return Record(
        record_id=record_id,
        modified_at=modified_at,
        cheap_version=digest(payload, default=md5_of),
        observed_at=observed_at,
        payload=with_texts(payload),
    )


def _items(query: Query, rows: Iterable[sa.Row[Any]]) -> list[Item]:
    """The child rows of one record, in their order, without those that are marked as deleted."""
    items = [item for row in rows if query.has_item(row) and not (item := query.read(row)).is_deleted]
    # The key comes last: rows that are alike in the rest come in one order, in listings and records alike.
    order = (*query.rows.order, query.rows.columns[0])
    return sorted(items, key=lambda item: [(item.values[name] is None, item.values[name]) for name in order])


def _is_gone(stream: str, head: Item) -> bool:
    match stream:
        case "knowledge_base":
            return not head.values["is_published"]
        case "configuration_items":
            return (head.values["status"] or "").strip().casefold() == _WRITTEN_OFF
        case _:
            return False


def _key_of(spec: Stream, record_id: str) -> int | None:
    """The key that a record id carries; None where it is no id of this stream."""
    if not record_id.startswith(spec.prefix):
        return None
    key = record_id.removeprefix(spec.prefix)
    return int(key) if _DIGITS.fullmatch(key) else None


class _Groups:
    """The rows of a query by their record's key, asked for in the order in which they come."""

    def __init__(self, rows: Iterator[tuple[int, sa.Row[Any]]]) -> None:
        self._groups = groupby(rows, key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, key: int) -> list[sa.Row[Any]] | None:
        """The rows of one record; None where the query did not meet it."""
        while self._next is not None and self._next[0] > key:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != key:
            return None
        rows = [row for _, row in self._next[1]]
        self._next = next(self._groups, None)
        return rows
