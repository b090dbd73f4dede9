"""What all Zoho Desk endpoints share: the account, the request, refusals, checked parameters and lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sync_assets.demo.records import Json

Item = TypeVar("Item")

LAST_OFFSET = 4999


@dataclass
class ZohoData:
    """All that one account holds, in wire form.

    Attributes:
        data_center: which of the vendor's data centres keeps it, such as `eu`; part of every address.
        locale: language that articles are written in first.
        categories: root categories, each with its `children`.
        articles: by article id, then by locale; every one is a full article.
        versions: title and answer of older versions, by `translationId`, then by version.
        threads: mails and other messages by ticket id, in order of creation; every one is a full thread.
        comments: by ticket id, in order of creation.
        attachments: those of its threads and comments by ticket id.
    """

    portal: str
    org_id: str
    data_center: str
    client_id: str
    client_secret: str
    refresh_token: str
    locale: str
    company: str
    departments: list[Json] = field(default_factory=list[Json])
    agents: dict[str, Json] = field(default_factory=dict[str, Json])
    contacts: dict[str, Json] = field(default_factory=dict[str, Json])
    categories: list[Json] = field(default_factory=list[Json])
    articles: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    versions: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    tickets: dict[str, Json] = field(default_factory=dict[str, Json])
    threads: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    comments: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    attachments: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    last_id: int = 155_000_000_010_000_000

    def new_id(self) -> str:
        """An id that nothing has: 18 digits, sent as a string."""
        self.last_id += 1
        return str(self.last_id)

    @property
    def host(self) -> str:
        return f"https://desk.zoho.{self.data_center}"


class ZohoRefusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass
class ZohoCall:
    """One request that passed authentication and the credit limit.

    Attributes:
        path: parameters of the path.
    """

    account: ZohoData
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None


def timestamp(moment: datetime) -> str:
    """A moment as Zoho Desk sends it.

    >>> timestamp(datetime(2026, 11, 2, 9, 12, 3, tzinfo=UTC))
    '2026-11-02T09:12:03.000Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def refused(status: int, code: str, message: str, **more: Any) -> ZohoRefusal:
    """A refusal in the form that all of the API's errors have."""
    return ZohoRefusal(status, {"errorCode": code, "message": message, **more})


def unprocessable(message: str) -> ZohoRefusal:
    """A parameter that is unknown or has a wrong value."""
    return refused(422, "UNPROCESSABLE_ENTITY", message)


def found(items: Mapping[str, Item], key: str) -> Item:
    """The item, or Zoho's 404."""
    if key not in items:
        raise refused(404, "RESOURCE_NOT_FOUND", "No such resource.")
    return items[key]


def only(query: Mapping[str, str], *known: str) -> None:
    """Refuse a parameter that the endpoint does not know; the real API ignores none either."""
    for name in query:
        if name not in known:
            raise unprocessable(f"Extra query parameter '{name}' is present in the input.")


def included(query: Mapping[str, str], *known: str) -> list[str]:
    """The names in `include=`."""
    names = [name for name in query.get("include", "").split(",") if name]
    for name in names:
        if name not in known:
            raise unprocessable(f"The value '{name}' passed for the parameter 'include' is not allowed.")
    return names


def page_of(call: ZohoCall, items: Sequence[Item], largest: int, default: int = 10) -> list[Item]:
    """The asked rows: `limit` of them from the 0-based offset `from`."""
    start = _number(call.query, "from", 0, 0, LAST_OFFSET)
    return list(items[start : start + _number(call.query, "limit", default, 1, largest)])


def within(items: Sequence[Json], query: Mapping[str, str], parameter: str, name: str) -> list[Json]:
    """The items whose time lies in the range `{first},{last}` of a parameter, ends included; all without one."""
    if parameter not in query:
        return list(items)
    try:
        first, last = (datetime.fromisoformat(moment) for moment in query[parameter].split(","))
        return [item for item in items if first <= datetime.fromisoformat(item[name]) <= last]
    except (ValueError, TypeError):
        raise unprocessable(f"The value passed for the parameter '{parameter}' is not a range of two times.") from None


def chosen(items: Sequence[Json], query: Mapping[str, str], **fields: str) -> list[Json]:
    """The items that have one of the comma-separated values of each parameter (`parameter=name of the field`)."""
    kept = list(items)
    for parameter, name in fields.items():
        if parameter in query:
            values = query[parameter].split(",")
            kept = [item for item in kept if item[name] in values]
    return kept


def ordered(items: Sequence[Json], query: Mapping[str, str], default: str, *allowed: str) -> list[Json]:
    """The items in the order of `sortBy`: ascending, descending with a minus before the field; ids break ties."""
    order = query.get("sortBy", default)
    name = order.removeprefix("-")
    if name not in allowed:
        raise unprocessable(f"The value '{order}' passed for the parameter 'sortBy' is not allowed.")
    return sorted(items, key=lambda item: (_sortable(item[name]), int(item["id"])), reverse=order.startswith("-"))


def checked(body: Any, types: Mapping[str, type], *required: str) -> Json:
    """The body of a write, where every field is known and of the right type."""
    if not isinstance(body, dict):
        raise refused(422, "INVALID_DATA", "The body is not a JSON object.")
    errors = [(name, "missing") for name in required if body.get(name) in (None, "")]
    for name, value in body.items():
        if name not in types or (value is not None and not isinstance(value, types[name])):
            errors.append((name, "invalid"))
    if errors:
        raise refused(
            422,
            "INVALID_DATA",
            "The data is invalid due to validation restrictions",
            errors=[{"fieldName": f"/{name}", "errorType": kind, "errorMessage": ""} for name, kind in errors],
        )
    return dict(body)


def _sortable(value: Any) -> Any:
    """Counts come as strings of digits and sort as numbers; times sort as text."""
    return int(value) if isinstance(value, str) and value.isdigit() else str(value or "")


def _number(query: Mapping[str, str], name: str, default: int, least: int, largest: int) -> int:
    value = query.get(name, str(default))
    if not value.isdigit() or not least <= int(value) <= largest:
        raise unprocessable(
            f"The value '{value}' passed for the parameter '{name}' exceeds the range of '{least}-{largest}'."
        )
    return int(value)
