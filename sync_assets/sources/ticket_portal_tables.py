"""The ticket portal's tables: which columns are read, under which names, and what their values mean.

What belongs here: the shape of the portal's database, as data, the queries that follow from it, and the way from a
stored value to the payload's. What does not: connections, and which records a query's rows make (`ticket_portal.py`).

A stream is a head table, one row for each record, and child tables whose rows belong to a head row by its key. Every
value is read from its text form, as it comes over the wire, so that what a driver can't read stops no listing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IS_DELETED = "is_deleted"

# No time before it is meant (the first that MariaDB promises to keep); zero dates are.
_EARLIEST = "1000-01-01 00:00:00"
# Two hours in practice (Troll).
_LARGEST_CLOCK_CHANGE = timedelta(hours=3)
_YES, _NO = {"1", "\x01", "true", "t", "yes", "y"}, {"", "0", "\x00", "false", "f", "no", "n"}

Json = dict[str, Any]


class Kind(StrEnum):
    """What a column holds, which says how its value is read."""

    NUMBER = "number"
    TEXT = "text"
    LONG_TEXT = "long text"
    TIME = "time"
    DATE = "date"
    FLAG = "flag"
    NARROWING_FLAG = "flag that hides its row, also where it is NULL"
    DELETION = "flag or time of a soft deletion"


_ID, _TEXT, _TIME = Kind.NUMBER, Kind.TEXT, Kind.TIME

SCHEMA: Mapping[str, Mapping[str, Kind]] = {
    "users": {
        "user_id": _ID,
        "first_name": _TEXT,
        "last_name": _TEXT,
        "department": _TEXT,
        "role": _TEXT,
    },
    "categories": {"category_id": _ID, "name": _TEXT},
    "category_fields": {
        "field_id": _ID,
        "field_name": _TEXT,
        "field_label": _TEXT,
        "field_type": _TEXT,
        "field_order": Kind.NUMBER,
    },
    "tickets": {
        "ticket_id": _ID,
        "ticket_number": _TEXT,
        "user_id": _ID,
        "assigned_agent_id": _ID,
        "category_id": _ID,
        "title": _TEXT,
        "description": Kind.LONG_TEXT,
        "priority": _TEXT,
        "ticket_type": _TEXT,
        "status": _TEXT,
        "source": _TEXT,
        "created_at": _TIME,
        "updated_at": _TIME,
        "resolved_at": _TIME,
        "resolution": Kind.LONG_TEXT,
        "satisfaction_rating": Kind.NUMBER,
        IS_DELETED: Kind.DELETION,
    },
    "ticket_comments": {
        "comment_id": _ID,
        "ticket_id": _ID,
        "user_id": _ID,
        "comment": Kind.LONG_TEXT,
        "is_internal": Kind.NARROWING_FLAG,
        "created_at": _TIME,
        IS_DELETED: Kind.DELETION,
    },
    "ticket_attachments": {
        "attachment_id": _ID,
        "ticket_id": _ID,
        "filename": _TEXT,
        "filepath": _TEXT,
        "filesize": Kind.NUMBER,
        "uploaded_at": _TIME,
        IS_DELETED: Kind.DELETION,
    },
    "ticket_field_values": {
        "value_id": _ID,
        "ticket_id": _ID,
        "field_id": _ID,
        "field_value": Kind.LONG_TEXT,
        "created_at": _TIME,
    },
    "ticket_ci_relations": {
        "relation_id": _ID,
        "ticket_id": _ID,
        "ci_id": _ID,
        "relation_type": _TEXT,
        "created_at": _TIME,
    },
    "configuration_items": {
        "ci_id": _ID,
        "ci_number": _TEXT,
        "type": _TEXT,
        "category": _TEXT,
        "brand": _TEXT,
        "model": _TEXT,
        "name": _TEXT,
        "serial_number": _TEXT,
        "asset_tag": _TEXT,
        "status": _TEXT,
        "owner_id": _ID,
        "department": _TEXT,
        "location": _TEXT,
        "purchase_date": Kind.DATE,
        "supplier": _TEXT,
        "warranty_expiry": Kind.DATE,
        "notes": Kind.LONG_TEXT,
        "created_at": _TIME,
        "updated_at": _TIME,
        IS_DELETED: Kind.DELETION,
    },
    "knowledge_base": {
        "kb_id": _ID,
        "category_id": _ID,
        "title": _TEXT,
        "content": Kind.LONG_TEXT,
        "tags": _TEXT,
        "author_id": _ID,
        "is_published": Kind.FLAG,
        "created_at": _TIME,
        "updated_at": _TIME,
        IS_DELETED: Kind.DELETION,
    },
}

# Without them a row has no identity, no parent, nothing it points to, or no way to tell whether it may be shown.
_NEEDED_EVERYWHERE = {"ticket_id", "field_id", "ci_id", "is_published"}
_NEEDED = {table: {next(iter(columns)), *(_NEEDED_EVERYWHERE & columns.keys())} for table, columns in SCHEMA.items()}


class TableNames(BaseModel):
    """What one portal calls a table and its columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, min_length=1, description="Name of the table or view; default the usual one")
    columns: dict[str, Annotated[str, Field(min_length=1)] | None] = Field(
        default={}, description="Names of columns that differ; null where this portal has no such column"
    )

    def column(self, usual: str) -> str | None:
        """Name of a column; None where there is none."""
        return self.columns.get(usual, None if usual == IS_DELETED else usual)


def check_names(tables: Mapping[str, TableNames]) -> None:
    """Refuse names that mean nothing here.

    Raises:
        ValueError: naming the table or column, and what is allowed.
    """
    for table, names in tables.items():
        if table not in SCHEMA:
            raise ValueError(f"no table {table!r} is read; those read are {', '.join(sorted(SCHEMA))}")
        for column, actual in names.columns.items():
            if column not in SCHEMA[table]:
                raise ValueError(f"{table} has no column {column!r} that is read; those read are {_list(table)}")
            if actual is None and column in _NEEDED[table]:
                raise ValueError(f"{table}.{column} can't be left out: give its name, or map the table to a view")


def _list(table: str) -> str:
    return ", ".join(sorted(SCHEMA[table]))


def actual_columns(table: str, names: TableNames) -> list[str]:
    """Names of the columns that are read of a table, as they are in the database."""
    found = (names.column(column) for column in SCHEMA[table])
    return sorted({name for name in found if name is not None})


class Join(NamedTuple):
    """Another table's row that a row points to.

    Attributes:
        part: its name in the payload; None where its columns stand among those of the row itself.
        on: the pointing column.
        columns: what is read, first the key.
    """

    part: str | None
    table: str
    on: str
    columns: tuple[str, ...]


class Rows(NamedTuple):
    """A table of a stream.

    Attributes:
        part: its name in the payload.
        columns: what is read of it, first the key.
        times: columns whose latest value is the record's modification time.
        order: columns that child rows of one record are sorted by.
    """

    part: str
    table: str
    columns: tuple[str, ...]
    times: tuple[str, ...]
    joins: tuple[Join, ...] = ()
    order: tuple[str, ...] = ()


class Stream(NamedTuple):
    """What makes the records of a stream; `prefix` stands before the key in their ids."""

    prefix: str
    head: Rows
    children: tuple[Rows, ...] = ()


_PERSON = ("user_id", "first_name", "last_name")

STREAMS: Mapping[str, Stream] = {
    "tickets": Stream(
        "",
        Rows(
            "ticket",
            "tickets",
            (
                *("ticket_id", "ticket_number", "title", "description", "priority", "ticket_type", "status", "source"),
                *("created_at", "updated_at", "resolved_at", "resolution", "satisfaction_rating"),
            ),
            ("created_at", "updated_at"),
            (
                Join("category", "categories", "category_id", ("category_id", "name")),
                Join("requester", "users", "user_id", (*_PERSON, "department")),
                Join("agent", "users", "assigned_agent_id", _PERSON),
            ),
        ),
        (
            Rows(
                "comments",
                "ticket_comments",
                ("comment_id", "comment", "is_internal", "created_at"),
                ("created_at",),
                (Join("author", "users", "user_id", (*_PERSON, "role")),),
                ("comment_id",),
            ),
            Rows(
                "fields",
                "ticket_field_values",
                ("value_id", "field_id", "field_value"),
                ("created_at",),
                (Join(None, "category_fields", "field_id", tuple(SCHEMA["category_fields"])),),
                ("field_order", "field_id"),
            ),
            Rows(
                "attachments",
                "ticket_attachments",
                ("attachment_id", "filename", "filepath", "filesize", "uploaded_at"),
                ("uploaded_at",),
                order=("attachment_id",),
            ),
            Rows(
                "related_cis",
                "ticket_ci_relations",
                ("relation_id", "relation_type", "ci_id"),
                ("created_at",),
                (Join(None, "configuration_items", "ci_id", ("ci_id", "ci_number", "name", "type")),),
                ("ci_id",),
            ),
        ),
    ),
    "knowledge_base": Stream(
        "kb-",
        Rows(
            "article",
            "knowledge_base",
            ("kb_id", "title", "content", "tags", "is_published", "created_at", "updated_at"),
            ("created_at", "updated_at"),
            (
                Join("category", "categories", "category_id", ("category_id", "name")),
                Join("author", "users", "author_id", _PERSON),
            ),
        ),
    ),
    "configuration_items": Stream(
        "ci-",
        Rows(
            "item",
            "configuration_items",
            (
                *("ci_id", "ci_number", "type", "category", "brand", "model", "name", "serial_number", "asset_tag"),
                *("status", "department", "location", "purchase_date", "supplier", "warranty_expiry", "notes"),
                *("created_at", "updated_at"),
            ),
            ("created_at", "updated_at"),
            (Join("owner", "users", "owner_id", _PERSON),),
        ),
    ),
}


class LongText(NamedTuple):
    """A text that a listing does not carry, and its MD5 as the database computes it."""

    md5: str | None
    text: str | None


_NESTED = (LongText, dict, list)


def with_texts(value: Any) -> Any:
    """A payload with its long texts."""
    if isinstance(value, LongText):
        return value.text
    if isinstance(value, dict):
        return {key: with_texts(item) if isinstance(item, _NESTED) else item for key, item in value.items()}
    return [with_texts(item) for item in value] if isinstance(value, list) else value


def md5_of(value: Any) -> str | None:
    """What stands for a long text in the digest that a listing and a record have in common."""
    if isinstance(value, LongText):
        return value.md5
    raise TypeError(f"{type(value).__name__} in a payload")


@dataclass(frozen=True)
class Item:
    """One row as it was read.

    Attributes:
        values: by column, those of joins without a part included.
        parts: rows that it points to; None where there is no such row.
        times: when it was made and changed, as far as known.
        is_deleted: it is marked as gone.
    """

    values: Json
    parts: dict[str, Json | None]
    times: list[datetime]
    is_deleted: bool


class _Column(NamedTuple):
    """One selected value.

    Attributes:
        zone: of a time that is stored without one.
        part: the part of the payload it belongs to; None for the row itself.
        is_shown: it stands in the payload.
        is_time: it counts for the modification time.
    """

    table: str
    name: str
    kind: Kind
    zone: tzinfo
    part: str | None = None
    is_shown: bool = True
    is_time: bool = False


@dataclass(frozen=True)
class Query:
    """The rows of one table that belong to the chosen records, latest record first; each record has at least one row.

    Each row begins with the record's key. In that order several queries can be read side by side.
    """

    rows: Rows
    statement: sa.Executable
    columns: tuple[_Column, ...]
    texts: bool

    def has_item(self, row: Sequence[Any]) -> bool:
        """Whether there is one: a record without any has one row of NULLs."""
        return row[1] is not None

    def read(self, row: Sequence[Any]) -> Item:
        """One row.

        Raises:
            ValueError: a value can't be read; the text names its column.
        """
        values: Json = {}
        parts: dict[str, Any] = {join.part: {} for join in self.rows.joins if join.part}
        times: list[datetime] = []
        is_deleted = False
        for column, value in zip(self.columns, self._values(row), strict=True):
            table, name, kind, zone, part, is_shown, is_time = column
            try:
                found = read_value(kind, value, zone)
            except ValueError as error:
                raise ValueError(f"{table}.{name} {error}") from None
            if kind is Kind.DELETION:
                is_deleted = bool(found)
                continue
            if kind is Kind.TIME and found is not None:
                if is_time:
                    times.append(found)
                found = found.isoformat().replace("+00:00", "Z")
            if is_shown:
                (values if part is None else parts[part])[name] = found
        for join in self.rows.joins:
            if join.part and parts[join.part][join.columns[0]] is None:
                parts[join.part] = None
        return Item(values, parts, times, is_deleted)

    def as_stored(self, row: Sequence[Any]) -> Json:
        """The row's own values as text, for a record that can't be read."""
        return {
            column.name: _text(value.text if isinstance(value, LongText) else value)
            for column, value in zip(self.columns, self._values(row), strict=True)
            if column.part is None
        }

    def _values(self, row: Sequence[Any]) -> list[Any]:
        """One value for each column: a long text has two places in the row, or one in a listing."""
        values = [row[place] for place in self._places]
        for number, place in self._long_texts:
            values[number] = LongText(_text(row[place]), _text(row[place + 1]) if self.texts else None)
        return values

    @cached_property
    def _places(self) -> list[int]:
        """Where each column begins in a row."""
        widths = [2 if self.texts and column.kind is Kind.LONG_TEXT else 1 for column in self.columns]
        return list(accumulate(widths[:-1], initial=1))

    @cached_property
    def _long_texts(self) -> list[tuple[int, int]]:
        """Numbers of the columns that are, with their places."""
        return [
            (number, self._places[number])
            for number, column in enumerate(self.columns)
            if column.kind is Kind.LONG_TEXT
        ]


class Tables:
    """The portal's tables under the names they bear in one database.

    Args:
        names: where they differ from the usual ones.
        zone: time zone of times that are stored without one.
        utc_columns: (table, column), in usual names, of times that the database itself gives in UTC.
        times_as_text: times are kept as text in some ISO form (SQLite), so that only their days can be compared.
    """

    def __init__(
        self,
        names: Mapping[str, TableNames],
        zone: tzinfo,
        utc_columns: Set[tuple[str, str]],
        *,
        times_as_text: bool = False,
    ) -> None:
        self._names = names
        self._zone = zone
        self._utc_columns = utc_columns
        self._times_as_text = times_as_text

    def everything(self, stream: Stream) -> sa.Subquery:
        """Keys of all records."""
        head = self._table(stream.head.table, "head")
        return sa.select(head[stream.head.columns[0]].label("id")).subquery("chosen")

    def these(self, stream: Stream, keys: Sequence[int]) -> sa.Subquery:
        """Those of the keys that there are."""
        head = self._table(stream.head.table, "head")
        key = head[stream.head.columns[0]]
        return sa.select(key.label("id")).where(key.in_(keys)).subquery("chosen")

    def touched(self, stream: Stream, since: datetime, until: datetime) -> sa.Subquery:
        """Keys of the records that have any time within [since, until), and of some that have one just outside."""
        found: list[sa.SelectBase] = []
        for rows, table, time in self._times(stream):
            column = table[time]
            earliest, end = self._bounds(self._zone_of(rows.table, time), since, until)
            key = table[stream.head.columns[0]]
            found.append(sa.select(key.label("id")).where(column >= earliest, column < end, key.is_not(None)))
        nothing = sa.select(sa.null().label("id")).where(sa.false())
        return (sa.union(*found) if found else nothing).subquery("chosen")

    def _bounds(self, zone: tzinfo, since: datetime, until: datetime) -> tuple[str, str]:
        """Bounds of a window as the database writes times."""
        if self._times_as_text:
            return str((since - timedelta(days=1)).date()), str((until + timedelta(days=2)).date())
        margin = timedelta(0) if zone is UTC else _LARGEST_CLOCK_CHANGE
        earliest, end = since.astimezone(zone) - margin, until.astimezone(zone) + margin
        return str(earliest.replace(tzinfo=None)), str(end.replace(tzinfo=None))

    def span(self, stream: Stream) -> tuple[sa.Executable | None, list[tzinfo]]:
        """Query for earliest and latest value of each time column, as (number, earliest, latest); and their zones.

        A record is as new as its latest time: when it was made counts where no later change is known, and no child's
        time can make it older.
        """
        found: list[sa.SelectBase] = []
        zones: list[tzinfo] = []
        for rows, table, time in self._times(stream):
            column = table[time]
            is_head = rows is stream.head
            earliest = sa.func.min(column) if is_head else sa.null()
            later = rows.times[rows.times.index(time) + 1 :] if is_head else ()
            unchanged = [sa.or_(table[name].is_(None), table[name] < _EARLIEST) for name in later if table.has(name)]
            bounds = (sa.literal_column(str(len(found))), earliest, sa.func.max(column))
            found.append(sa.select(*bounds).where(column >= _EARLIEST, *unchanged))
            zones.append(self._zone_of(rows.table, time))
        return (sa.union_all(*found) if found else None), zones

    def newest(self, stream: Stream) -> sa.Executable:
        """Query for the number of rows in each table of a stream and their latest time, by table and time column."""
        found: list[sa.SelectBase] = []
        for rows in (stream.head, *stream.children):
            table = self._table(rows.table, rows.part)
            count = sa.select(sa.func.count()).select_from(table.clause).scalar_subquery()
            found.append(sa.select(sa.literal_column(str(len(found))), sa.null(), count))
            for time in rows.times:
                if table.has(time):
                    found.append(sa.select(sa.literal_column(str(len(found))), sa.func.max(table[time]), sa.null()))
        return sa.union_all(*found)

    def counts(self) -> sa.Executable:
        """Query for the number of rows in each stream's head table, in the order of `STREAMS`."""
        heads = [self._table(stream.head.table, "head") for stream in STREAMS.values()]
        return sa.select(*(sa.select(sa.func.count()).select_from(head.clause).scalar_subquery() for head in heads))

    def queries(self, stream: Stream, chosen: sa.Subquery, texts: bool) -> list[Query]:
        """The head's query and one for each child, for the chosen records; without `texts` as a listing."""
        return [self._query(stream, rows, chosen, texts) for rows in (stream.head, *stream.children)]

    def _query(self, stream: Stream, rows: Rows, chosen: sa.Subquery, texts: bool) -> Query:
        main = self._table(rows.table, rows.part)
        is_head = rows is stream.head
        link = main[stream.head.columns[0]] == chosen.c.id
        source: sa.FromClause = chosen.join(main.clause, link, isouter=not is_head)
        columns = [self._column(rows.table, name, is_time=name in rows.times) for name in rows.columns]
        hidden = [name for name in rows.times if name not in rows.columns]
        columns += [self._column(rows.table, name, is_shown=False, is_time=True) for name in hidden]
        if IS_DELETED in SCHEMA[rows.table]:
            columns.append(self._column(rows.table, IS_DELETED, is_shown=False))
        values = [value for column in columns for value in _selected(main, column, texts)]
        for join in rows.joins:
            other = self._table(join.table, join.part or join.table)
            source = source.join(other.clause, other[join.columns[0]] == main[join.on], isouter=True)
            for name in join.columns if join.part else join.columns[1:]:
                columns.append(self._column(join.table, name, part=join.part))
                values += _selected(other, columns[-1], texts)
        statement = sa.select(chosen.c.id, *values).select_from(source).order_by(chosen.c.id.desc())
        return Query(rows, statement, tuple(columns), texts)

    def _column(
        self, table: str, name: str, *, part: str | None = None, is_shown: bool = True, is_time: bool = False
    ) -> _Column:
        return _Column(table, name, SCHEMA[table][name], self._zone_of(table, name), part, is_shown, is_time)

    def _times(self, stream: Stream) -> Iterator[tuple[Rows, "_Table", str]]:
        for rows in (stream.head, *stream.children):
            table = self._table(rows.table, rows.part)
            yield from ((rows, table, time) for time in rows.times if table.has(time))

    def _zone_of(self, table: str, column: str) -> tzinfo:
        return UTC if (table, column) in self._utc_columns else self._zone

    def _table(self, usual: str, alias: str) -> "_Table":
        return _Table(usual, self._names.get(usual, TableNames()), alias)


class _Table:
    """One table under an alias; its columns by their usual names."""

    def __init__(self, usual: str, names: TableNames, alias: str) -> None:
        self._names = names
        self.clause = sa.table(names.name or usual, *map(sa.column, actual_columns(usual, names))).alias(alias)

    def has(self, usual: str) -> bool:
        return self._names.column(usual) is not None

    def __getitem__(self, usual: str) -> sa.ColumnElement[Any]:
        actual = self._names.column(usual)
        return sa.null() if actual is None else self.clause.c[actual]


def _selected(table: _Table, column: _Column, texts: bool) -> list[sa.ColumnElement[Any]]:
    value = table[column.name]
    if column.kind is not Kind.LONG_TEXT:
        return [value]
    return [sa.func.md5(value), value] if texts else [sa.func.md5(value)]


def read_value(kind: Kind, value: Any, zone: tzinfo) -> Any:
    """A stored value as the payload has it, but for times, which come as moments in UTC.

    Raises:
        ValueError: it is none of its kind.
    """
    if kind is Kind.LONG_TEXT:
        return value
    text = value if isinstance(value, str) else _text(value)
    if kind is Kind.TEXT:
        return text
    if text is None:
        return _OF_NULL.get(kind)
    return read_time(text, zone) if kind is Kind.TIME else _OF_TEXT[kind](text)


def read_time(text: str, zone: tzinfo) -> datetime | None:
    """The moment that a stored time means; None for a zero date.

    Where the clocks of `zone` show a time twice or skip it, the later reading, so that no window comes too early.

    Raises:
        ValueError: it is no time.
    """
    if not text.strip() or _is_zero_date(text):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        if (offset := zone.utcoffset(None)) is not None:  # always the same, as in UTC
            return (moment - offset).replace(tzinfo=UTC)
        return max(moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError):
        raise ValueError(f"is no time: {text[:40]!r}") from None


def _text(value: Any) -> str | None:
    """A value's text. Bytes are UTF-8, else what Windows programs write (cp1252)."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("cp1252", errors="replace")
    return str(value)


def _number(text: str) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or number != int(number):
        raise ValueError(f"is no whole number: {text[:40]!r}")
    return int(number)


def _date(text: str) -> str | None:
    if not text.strip() or _is_zero_date(text):
        return None
    try:
        return date.fromisoformat(text.strip()[:10]).isoformat()
    except ValueError:
        raise ValueError(f"is no date: {text[:40]!r}") from None


def _flag(text: str) -> bool:
    word = text.strip(" ").casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError(f"is neither yes nor no: {text[:40]!r}")


def _is_zero_date(text: str) -> bool:
    """MariaDB's zero date, and dates whose month or day is zero."""
    return text[:5] == "0000-" or (text[4:5] == "-" and "00" in (text[5:7], text[8:10]))


def _is_deleted(text: str) -> bool:
    return text.strip().casefold() not in _NO and not _is_zero_date(text)


_OF_NULL = {Kind.FLAG: False, Kind.NARROWING_FLAG: True, Kind.DELETION: False}
_OF_TEXT: Mapping[Kind, Callable[[str], Any]] = {
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.FLAG: _flag,
    Kind.NARROWING_FLAG: _flag,
    Kind.DELETION: _is_deleted,
}
