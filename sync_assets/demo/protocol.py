"""What all Freshdesk endpoints share: the request, refusals, validation and paging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sync_assets.demo.records import AccountData, Json

Item = TypeVar("Item")

_TYPE_NAMES = {str: "String", int: "Integer", bool: "Boolean", list: "Array", dict: "key/value pair"}


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: Json | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass
class Call:
    """One request that passed authentication and the rate limit.

    Attributes:
        path: parameters of the path.
        agent_id: whose API key it is.
        has_next: set by `page_of` where a further page exists.
    """

    account: AccountData
    now: datetime
    agent_id: int
    path: Mapping[str, Any]
    query: Mapping[str, str]
    body: Any = None
    has_next: bool = field(default=False, init=False)

    @property
    def id(self) -> int:
        return int(self.path["id"])

    @property
    def include(self) -> list[str]:
        return included(self.query)

    @property
    def page(self) -> int:
        return _number(self.query, "page", 1, 10**9)

    @property
    def per_page(self) -> int:
        return _number(self.query, "per_page", 30, 100)


def included(query: Mapping[str, str]) -> list[str]:
    """The names in `include=`."""
    return [name for name in query.get("include", "").split(",") if name]


def invalid(*errors: tuple[str, str, str]) -> Refusal:
    """Freshdesk's 400 for a request with these wrong fields: `(field, message, code)`."""
    return Refusal(
        400,
        {
            "description": "Validation failed",
            "errors": [{"field": name, "message": message, "code": code} for name, message, code in errors],
        },
    )


def found(items: Mapping[int, Item], item_id: int) -> Item:
    """The item, or Freshdesk's 404 with an empty body."""
    if item_id not in items:
        raise Refusal(404)
    return items[item_id]


def page_of(call: Call, items: Sequence[Item], last_page: int | None = None, beyond: str = "") -> list[Item]:
    """The asked page of `items`; a page after `last_page` is refused with the message `beyond`."""
    page, size = call.page, call.per_page
    if last_page is not None and page > last_page:
        raise invalid(("page", beyond, "invalid_value"))
    call.has_next = page * size < len(items)
    return list(items[(page - 1) * size : page * size])


def checked(
    body: Any,
    types: Mapping[str, type],
    required: Sequence[str] = (),
    choices: Mapping[str, Sequence[int]] | None = None,
) -> Json:
    """The body of a write, where every field is known and of the right type and value."""
    if not isinstance(body, dict):
        raise Refusal(400, {"code": "invalid_json", "message": "Request body has invalid json format"})
    errors: list[tuple[str, str, str]] = [
        (name, f"It should be a/an {_TYPE_NAMES[types[name]]}", "missing_field")
        for name in required
        if body.get(name) in (None, "")
    ]
    for name, value in body.items():
        if name not in types:
            errors.append((name, "Unexpected/invalid field in request", "invalid_field"))
        elif value is not None and type(value) is not types[name]:
            message = f"Value set is of type {_type_name(value)}.It should be a/an {_TYPE_NAMES[types[name]]}"
            errors.append((name, message, "datatype_mismatch"))
        elif choices and name in choices and value not in choices[name]:
            allowed = ",".join(map(str, choices[name]))
            errors.append((name, f"It should be one of these values: '{allowed}'", "invalid_value"))
    if errors:
        raise invalid(*errors)
    return dict(body)


def _type_name(value: Any) -> str:
    return next((name for kind, name in _TYPE_NAMES.items() if type(value) is kind), "Null")


def _number(query: Mapping[str, str], name: str, default: int, largest: int) -> int:
    value = query.get(name, str(default))
    if not value.isdigit() or not 1 <= int(value) <= largest:
        limit = f" less than or equal to {largest}" if largest == 100 else ""
        raise invalid((name, f"It should be a Positive Integer{limit}", "invalid_value"))
    return int(value)
