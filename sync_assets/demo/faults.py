"""Faults that can be ordered from the simulator: refusals, delays, cut bodies and malformed records."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sync_assets.demo.records import Json

Malformation = Literal[
    "no_id", "unreadable_updated_at", "no_updated_at", "not_an_object", "numeric_subject", "null_text"
]

_TIMES = ("updated_at", "modifiedTime", "commentedTime", "updated")
_TITLES = ("subject", "title")
_TEXTS = ("description", "description_text", "answer", "summary", "content", "plainText", "plain")


class Fault(BaseModel):
    """One order, as posted to `/{tenant}/_demo/faults`, or `/{tenant}/_demo/zoho/faults` for a Zoho Desk account.

    Attributes:
        path: regular expression, searched in the path with its query, such as `/tickets\\?.*page=2`.
        times: how many matching requests it strikes; None strikes until the faults are cleared.
        status: answer with this status and do nothing; None answers as usual.
        retry_after: seconds, sent as `Retry-After` with `status`.
        delay: seconds to wait before answering.
        truncate: send only the first half of the body.
        rows: send only so many rows of a list.
        malformed: send the ticket or article `record_id` in this broken form.
        record_id: which ticket or article `malformed` is about.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    times: int | None = Field(default=None, ge=1)
    status: int | None = Field(default=None, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    delay: float = Field(default=0, ge=0)
    truncate: bool = False
    rows: int | None = Field(default=None, ge=0)
    malformed: Malformation | None = None
    record_id: int | str | None = None

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str) -> str:
        try:
            re.compile(path)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return path


class Faults:
    """The orders that stand for one account."""

    def __init__(self) -> None:
        self._standing: list[Fault] = []

    def order(self, fault: Fault) -> None:
        self._standing.append(fault.model_copy())

    def clear(self) -> None:
        self._standing.clear()

    def strike(self, path: str) -> list[Fault]:
        """The faults that strike a request for `path`; each is used up once."""
        struck = [fault for fault in self._standing if re.search(fault.path, path)]
        for fault in struck:
            if fault.times is not None:
                fault.times -= 1
        self._standing = [fault for fault in self._standing if fault.times != 0]
        return struck


def malform(answer: Any, faults: list[Fault]) -> Any:
    """The answer (an object, a list of them, or one below `data`) with rows left out and the ordered records broken."""
    if isinstance(answer, dict) and isinstance(answer.get("data"), list):
        return answer | {"data": malform(answer["data"], faults)}
    broken: dict[int | str | None, Malformation] = {
        fault.record_id: fault.malformed for fault in faults if fault.malformed
    }
    if isinstance(answer, list):
        rows = min((fault.rows for fault in faults if fault.rows is not None), default=len(answer))
        return [_broken(item, broken.get(item.get("id"))) for item in answer[:rows]]
    return _broken(answer, broken.get(answer.get("id"))) if isinstance(answer, dict) else answer


def _broken(record: Json, malformation: Malformation | None) -> Any:
    match malformation:
        case None:
            return record
        case "not_an_object":
            return "Internal error: record could not be rendered"
        case "no_id":
            return {name: value for name, value in record.items() if name != "id"}
        case "no_updated_at":
            return {name: value for name, value in record.items() if name not in _TIMES}
        case "unreadable_updated_at":
            return _replaced(record, _TIMES, "yesterday around noon")
        case "numeric_subject":
            return _replaced(record, _TITLES, 42)
        case "null_text":
            return _replaced(record, _TEXTS, None)


def _replaced(record: Json, names: tuple[str, ...], value: Any) -> Json:
    return record | {name: value for name in names if name in record}
