"""From a seed row to a row: real types, stable ids, and the faults of a row in words.

What belongs here: what can be told from one row alone. What needs other rows is in `planning.py`.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from sync_assets.hashing import text_hash
from sync_assets.support_database.rules import shown
from sync_assets.support_database.seed import SeedRow

# Names that descriptions of the files use, and the columns that they mean.
_OTHER_NAMES = {
    "invoices": {"due_date": "due_at"},
    "payments": {"method": "payment_method"},
    "customer_health_events": {"score_change": "new_value"},
    "leads": {"status": "qualification_status"},
}
_IDS = uuid5(NAMESPACE_URL, "sync_assets/support_database")
_MAX_INTEGER = 2**31 - 1


class Row(NamedTuple):
    """A seed row as its table wants it.

    Attributes:
        row_id: the id as the file has it, or the place, for people.
        id: the id in the table.
        values: by column, only those that the file gives.
        key: what tells beside the id that two rows are the same; None where the table has no such key.
        faults: why it can't be loaded; empty where it can.
        unknown: names in the file that are no columns.
    """

    place: str
    row_id: str
    id: UUID
    values: dict[str, Any]
    key: str | None
    faults: list[str]
    unknown: list[str]


def read_row(table: sa.Table, seed_row: SeedRow) -> Row:
    """A seed row with the types of its table; nothing raises, what is wrong is among the faults."""
    given = _with_column_names(table, seed_row.values)
    values: dict[str, Any] = {}
    faults = [seed_row.problem] if seed_row.problem else []
    if not faults:
        for column in table.columns:
            try:
                values |= _column_value(column, given)
            except ValueError as error:
                faults.append(f"{column.name} {error}")
        if not faults:
            faults += filter(None, (rule.fault(values) for rule in table.info["rules"]))
    key = None if faults else key_of(table, values)
    values.setdefault("id", uuid5(_IDS, f"{table.name}\n{key or json.dumps(seed_row.values, sort_keys=True)}"))
    return Row(
        place=seed_row.place,
        row_id=_printable(given.get("id"), seed_row.place),
        id=values["id"],
        values=values,
        key=key,
        faults=faults,
        unknown=sorted(name for name in given if name not in table.columns),
    )


def key_of(table: sa.Table, values: Mapping[str, Any]) -> str | None:
    """Hash of what a row's key holds beside its id; None where the table has none, or the row lacks a part of it."""
    parts = [values[name] for name in table.info["key"] if values.get(name) is not None]
    if not parts or len(parts) < len(table.info["key"]):
        return None
    if table.info["key"] == ("email",):
        parts = [parts[0].strip().lower()]
    return text_hash(json.dumps(parts, default=str))


def row_uuid(table: str, given: Any) -> UUID:
    """The id in a table for an id in a file: itself where it is a UUID, else always the same one for the same text.

    Raises:
        ValueError: it is neither a text nor a number.
    """
    if isinstance(given, str | int) and not isinstance(given, bool):
        text = str(given).strip()
        try:
            return UUID(text)
        except ValueError:
            return uuid5(_IDS, f"{table}/{_encodable(text)}")
    raise ValueError(f"is {shown(given)}, must be an id")


def _with_column_names(table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
    others = _OTHER_NAMES.get(table.name, {})
    return {others.get(name, name) if others.get(name) not in values else name: value for name, value in values.items()}


def _column_value(column: sa.Column, given: Mapping[str, Any]) -> dict[str, Any]:
    """The column's value, or nothing where the file leaves it to the table.

    Raises:
        ValueError: the value has another type, or is missing.
    """
    value = given.get(column.name)
    if column.primary_key:
        return {} if value is None or value == "" else {column.name: row_uuid(column.table.name, value)}
    if value is None:
        if not column.nullable and column.server_default is None:
            raise ValueError("is missing")
        return {column.name: None} if column.nullable and column.name in given else {}
    if column.foreign_keys:
        (foreign_key,) = column.foreign_keys
        return {column.name: row_uuid(foreign_key.column.table.name, value)}
    return {column.name: _converter(column.type)(column.type, value)}


# Values by type. Each takes the column's type and a value that is not null, and raises ValueError.


def _text(kind: Any, value: Any) -> str:
    if isinstance(value, str):
        if kind.length is not None and len(value) > kind.length:
            raise ValueError(f"has {len(value)} characters, must have at most {kind.length}")
        return _encodable(value)
    raise ValueError(f"is {shown(value)}, must be text")


def _integer(kind: Any, value: Any) -> int:
    number = _decimal(int(value) if isinstance(value, bool) else value, "a whole number")
    if number != number.to_integral_value() or abs(number) > _MAX_INTEGER:
        raise ValueError(f"is {shown(value)}, must be a whole number of at most {_MAX_INTEGER}")
    return int(number)


def _numeric(kind: Any, value: Any) -> Decimal:
    number = _decimal(value, "a number")
    limit = Decimal(10) ** (kind.precision - kind.scale)
    if abs(number) >= limit:
        raise ValueError(f"is {shown(value)}, must be less than {limit}")
    rounded = number.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_UP)
    if abs(rounded) >= limit:
        raise ValueError(f"is {shown(value)}, must be less than {limit}")
    return rounded


def _float(kind: Any, value: Any) -> float:
    number = float(_decimal(value, "a number"))
    if not math.isfinite(number):
        raise ValueError(f"is {shown(value)}, must be a finite number")
    return number


def _decimal(value: Any, allowed: str) -> Decimal:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        # Beyond this no column's type holds it, and the arithmetic below would be slow.
        if number.is_finite() and abs(number.adjusted()) < 400:
            return number
    raise ValueError(f"is {shown(value)}, must be {allowed}")


def _boolean(kind: Any, value: Any) -> bool:
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError(f"is {shown(value)}, must be true or false")


def _timestamp(kind: Any, value: Any) -> datetime:
    """A moment; without a time zone it is in UTC."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"is {shown(value)}, must be a time such as 2026-11-02T08:30:00Z")


def _date(kind: Any, value: Any) -> date:
    try:
        return _timestamp(kind, value).date()
    except ValueError:
        raise ValueError(f"is {shown(value)}, must be a date such as 2026-11-02") from None


def _texts(kind: Any, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"is {shown(value)}, must be a list of texts")
    return [_encodable(item) for item in value]


def _json(kind: Any, value: Any) -> Any:
    match value:
        case dict():
            return {_encodable(name): _json(kind, item) for name, item in value.items()}
        case list():
            return [_json(kind, item) for item in value]
        case str():
            return _encodable(value)
        case float() if not math.isfinite(value):
            raise ValueError(f"holds {value}, which JSON has not")
    return value


def _uuid(kind: Any, value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"is {shown(value)}, must be a UUID") from None


# The first that fits; a float is a kind of numeric to SQLAlchemy.
_CONVERTERS: tuple[tuple[type[sa.types.TypeEngine], Callable[[Any, Any], Any]], ...] = (
    (sa.Boolean, _boolean),
    (sa.DateTime, _timestamp),
    (sa.Date, _date),
    (JSONB, _json),
    (sa.ARRAY, _texts),
    (sa.Uuid, _uuid),
    (sa.Integer, _integer),
    (sa.Float, _float),
    (sa.Numeric, _numeric),
    (sa.String, _text),
)


def _converter(kind: sa.types.TypeEngine) -> Callable[[Any, Any], Any]:
    return next(convert for handled, convert in _CONVERTERS if isinstance(kind, handled))


def _encodable(text: str) -> str:
    """The text, where PostgreSQL can hold it.

    Raises:
        ValueError: it can't.
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL or half a surrogate pair, which no database text may")
    return text


def _printable(given: Any, place: str) -> str:
    """An id as the file has it, fit for a report."""
    if not isinstance(given, str | int) or given == "":
        return place
    text = str(given)
    return text if text.isprintable() and len(text) <= 200 else shown(given)
