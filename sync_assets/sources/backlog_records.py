"""Backlog's rows as records: their ids, times and cheap versions.

What belongs here: what a row says, whichever request brought it. What does not: requests (`backlog_web.py`), and how a
record becomes a document (`backlog_documents.py`).
"""

from datetime import datetime
from typing import Any

from sync_assets.documents import Record
from sync_assets.hashing import digest
from sync_assets.sources.backlog_web import DOCUMENT, ISSUE, WIKI, Json, Kind, Project, moment

# What may change without the modification time moving, and stands in the listing and in the single record alike. No
# counters, and nothing of people but their names: stars and last logins are moved by readers.
_FACTS: dict[Kind, tuple[str, ...]] = {
    ISSUE: (
        "issueKey",
        "summary",
        "description",
        "issueType",
        "status",
        "priority",
        "resolution",
        "assignee",
        "category",
        "versions",
        "milestone",
        "startDate",
        "dueDate",
        "estimatedHours",
        "actualHours",
        "parentIssueId",
        "createdUser",
        "customFields",
        "attachments",
        "sharedFiles",
    ),
    WIKI: ("name", "tags", "createdUser", "updatedUser"),
    DOCUMENT: ("title", "plain", "json", "tags", "statusId", "attachments", "createdUser", "updatedUser"),
}
_NAMING = ("id", "name", "value", "otherValue")


def record_of(kind: Kind, row: Any, project: Project, observed_at: datetime) -> Record:
    """A row of a list, or a single record; malformed where its id or modification time can't be read."""
    item_id = item_id_of(kind, row)
    modified_at = modified_at_of(row)
    if item_id is None:
        return malformed(f"malformed-{digest_of(row)[:12]}", "it has no readable id", observed_at, row, modified_at)
    record = Record(
        record_id=f"{kind.name}-{item_id}",
        modified_at=modified_at,
        observed_at=observed_at,
        cheap_version=digest_of([_facts_of(project), *(_steady(row.get(name)) for name in _FACTS[kind])]),
        payload={"project": _facts_of(project), kind.name: row},
    )
    if modified_at is None:
        return record.model_copy(update={"event": "malformed", "problem": "updated is missing or not a time"})
    return record


def malformed(
    record_id: str, problem: str, observed_at: datetime, payload: Any = None, modified_at: datetime | None = None
) -> Record:
    return Record(
        record_id=record_id,
        event="malformed",
        modified_at=modified_at,
        observed_at=observed_at,
        payload=payload,
        problem=problem,
    )


def deleted(record_id: str, observed_at: datetime, modified_at: datetime | None = None) -> Record:
    return Record(record_id=record_id, event="deleted", modified_at=modified_at, observed_at=observed_at)


def item_id_of(kind: Kind, row: Any) -> str | None:
    """Upstream's id as text: digits, for a document letters and digits; None where it has none."""
    item_id = row.get("id") if isinstance(row, dict) else None
    if kind is DOCUMENT:
        return item_id if isinstance(item_id, str) and is_item_id(kind, item_id) else None
    return str(item_id) if type(item_id) is int and item_id >= 0 else None


def is_item_id(kind: Kind, text: str) -> bool:
    """Whether Backlog can be asked for a record of this id."""
    return text.isascii() and (text.isalnum() if kind is DOCUMENT else text.isdigit())


def modified_at_of(row: Any) -> datetime | None:
    return moment(row.get("updated") or row.get("created")) if isinstance(row, dict) else None


def project_id_of(row: Any) -> int | None:
    project_id = row.get("projectId") if isinstance(row, dict) else None
    return project_id if type(project_id) is int else None


def digest_of(value: Any) -> str:
    """As `digest`, also of half a surrogate pair, which no UTF-8 can hold, and of numbers beyond 64 bits."""
    try:
        return digest(value)
    except TypeError:
        return digest(repr(value))


def _facts_of(project: Project) -> Json:
    """What documents need of a project; a change of it changes all its records."""
    return {"key": project.projectKey, "name": project.name, "rule": project.textFormattingRule}


def _steady(value: Any) -> Any:
    """A value, and of objects only what names them."""
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, dict):
        return {name: _steady(value[name]) for name in _NAMING if value.get(name) is not None}
    return value
