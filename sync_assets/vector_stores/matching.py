"""Who may see a chunk and which filters it meets: one rule for every store, as lists of plain keywords.

What belongs here: the two keyword lists that are stored with each point, and the keywords that a search asks for. A
store then needs no rule of its own: a point is found when it has *any* of the readers asked for, and of *each* group of
facets asked for any.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.vector_stores import Audience, Point

_MAX_KEYWORD_BYTES = 256
_NOT_KEPT = re.compile("[\0\ud800-\udfff]")

# Dates before or after are not found by date.
_FIRST_DAY, _END = date(1900, 1, 1), date(2200, 1, 1)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:?[0-9]{2}.*)?")

# No point has this facet: it has neither `=` nor `@`.
_NOTHING = "nothing"


@dataclass(frozen=True)
class AnyOf:
    """A filter's value: the point's equals, or contains, one of `values`; of none where there are none."""

    values: Iterable[Any]


@dataclass(frozen=True)
class Between:
    """A filter's value: the point's is, or contains, a date or time on these days, in UTC.

    Args:
        since: the first day; None from 1900 on.
        until: the day after the last one; None until 2199. Of a time, here and above, its day in UTC counts.

    Raises:
        SettingsError: an end is no ISO date or time, or not of these years.
    """

    since: date | str | None = None
    until: date | str | None = None

    def __post_init__(self) -> None:
        for end in (self.since, self.until):
            day = None if end is None else _day(str(end))
            if end is not None and (day is None or not _FIRST_DAY <= day <= _END):
                raise SettingsError(
                    f"{str(end)[:40]!r} is no date between {_FIRST_DAY:%Y} and {_END:%Y}.",
                    "Write it as 2026-04-30 or 2026-04-30T12:00:00Z.",
                )

    def days(self) -> tuple[date, date]:
        """The first day, and the one after the last."""
        first, end = (None if end is None else _day(str(end)) for end in (self.since, self.until))
        return first or _FIRST_DAY, end or _END


def facets(point: Point) -> list[str]:
    """What filters can ask of a point: `key=value` for its identity and for each value in its metadata.

    For each value that is an ISO date or time also its year, month and day in UTC, as `key@2026`, `key@2026-04` and
    `key@2026-04-30`. Identity wins where metadata has a key of the same name.
    """
    identity = {name: getattr(point, name) for name in ("source", "stream", "document_id", "record_id", "role")}
    found = set()
    for key, value in {**point.metadata, **identity}.items():
        for item in _items(value):
            found |= _of_text(key, str(item)) if isinstance(item, str) else {_equals(key, item)}
    return sorted(found)


@lru_cache(4_096)  # the chunks of a document have most of them in common
def _of_text(key: str, text: str) -> frozenset[str]:
    return frozenset([_equals(key, text), *(_on(key, period) for period in _periods(text))])


def wanted_facets(filters: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Groups of facets: to meet all filters, a point must have one of each group.

    Numbers and truth values are written as JSON, whole numbers without a fraction: 2, 2.0 and "2" are one value.

    >>> wanted_facets({"status": "open", "tags": ["vpn", "mail"], "priority_id": AnyOf([1, 2.0]), "spam": False})
    [('priority_id=1', 'priority_id=2'), ('spam=false',), ('status=open',), ('tags=mail',), ('tags=vpn',)]
    >>> wanted_facets({"created_at": Between("2026-03-31", "2026-05-02")})
    [('created_at@2026-03-31', 'created_at@2026-04', 'created_at@2026-05-01')]

    Raises:
        SettingsError: a value is no JSON.
    """
    try:
        return sorted({group for key, value in filters.items() for group in _groups(key, value)})
    except TypeError:
        raise SettingsError(
            "A filter has a value that is no JSON.", "Ask for texts, numbers and truth values."
        ) from None


def wanted_ids(chunk_ids: Iterable[str]) -> list[str]:
    """Each id once, in the order asked, without those that no chunk can have."""
    return [chunk_id for chunk_id in dict.fromkeys(chunk_ids) if _is_chunk_id(chunk_id)]


def readers(point: Point) -> list[str]:
    """Who may see a point: everybody, everybody inside, or the principals that it names."""
    if point.visibility is Visibility.RESTRICTED:
        return sorted({_principal(name) for name in point.principals})
    return [point.visibility.value]


def wanted_readers(audience: Audience) -> list[str]:
    """The readers on whose behalf a search is made.

    >>> wanted_readers(Audience(visibility=Visibility.INTERNAL, principals=frozenset({"group:sre"})))
    ['public', 'internal', 'principal:group:sre']
    """
    inside = [Visibility.INTERNAL.value] if audience.visibility is Visibility.INTERNAL else []
    return [Visibility.PUBLIC.value, *inside, *sorted(_principal(name) for name in audience.principals)]


def _principal(name: str) -> str:
    return _keyword(f"principal:{name}")


def _equals(key: str, value: Any) -> str:
    return _keyword(f"{_name(key)}={_text(value)}")


def _groups(key: str, value: Any) -> Iterator[tuple[str, ...]]:
    match value:
        case AnyOf(values):
            yield tuple(sorted({_equals(key, item) for item in values})) or (_NOTHING,)
        case Between():
            yield tuple(_on(key, period) for period in _cover(*value.days())) or (_NOTHING,)
        case _:
            yield from ((_equals(key, item),) for item in _items(value))


def _on(key: str, period: str) -> str:
    return _keyword(f"{_name(key)}@{period}")


def _name(key: str) -> str:
    return key.replace("%", "%25").replace("=", "%3D")


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple | set | frozenset) else [value]


def _periods(text: str) -> Iterator[str]:
    """Year, month and day of a text that is an ISO date or time."""
    day = _day(text)
    if day is not None and _FIRST_DAY <= day < _END:
        yield from (f"{day:%Y}", f"{day:%Y-%m}", f"{day:%Y-%m-%d}")


def _day(text: str) -> date | None:
    """The UTC day of an ISO date or time; one without an offset is UTC."""
    if not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo is None else time.astimezone(UTC)).date()
    except (ValueError, OverflowError):
        return None


def _cover(first: date, end: date) -> Iterator[str]:
    """The fewest years, months and days that make the days from `first` to before `end`."""
    while first < end:
        next_year = date(first.year + 1, 1, 1)
        next_month = date(first.year, first.month + 1, 1) if first.month < 12 else next_year
        if (first.month, first.day) == (1, 1) and next_year <= end:
            yield f"{first:%Y}"
            first = next_year
        elif first.day == 1 and next_month <= end:
            yield f"{first:%Y-%m}"
            first = next_month
        else:
            yield f"{first:%Y-%m-%d}"
            first += timedelta(days=1)


def _is_chunk_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _keyword(text: str) -> str:
    """`text`, or its hash where it is longer than an index takes, or has a character that no store does."""
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= _MAX_KEYWORD_BYTES and not _NOT_KEPT.search(text):
        return text
    return f"#{hashlib.blake2b(encoded, digest_size=16).hexdigest()}"
