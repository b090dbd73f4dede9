"""The fields of a Backlog issue: what a person chooses by name, as it is sent, and as a change log shows it."""

from typing import Any

from sync_assets.demo.backlog_records import PRIORITIES, RESOLUTIONS, SpaceData
from sync_assets.demo.records import Json

# Names of fields in change logs, where they are not those of the issue.
_LOGGED = {"assignee": "assigner", "category": "component", "versions": "version", "dueDate": "limitDate"}
_CHOSEN_MANY = {"category": "category", "versions": "versions", "milestone": "versions"}
_CHOICE_OF_ONE, _CHOICE_OF_MANY = (5, 8), (6, 7)


def change(data: SpaceData, issue: Json, changes: Json) -> list[Json]:
    """Give an issue's fields other values.

    Args:
        changes: by the field's name as it is sent. Types, statuses, priorities, resolutions, categories, versions and
            milestones are given by name, an assignee by handle, `customFields` as values by name, others as they are.

    Returns:
        The change log: an entry for each field that has another value than before.

    Raises:
        KeyError: a name that the project does not have.
    """
    log: list[Json] = []
    for field, value in changes.items():
        if field == "customFields":
            log += _change_custom_fields(data, issue, value)
            continue
        old, new = issue[field], _sent(data, issue["projectId"], field, value)
        issue[field] = new
        if old != new:
            log.append(_entry(_LOGGED.get(field, field), _shown(old), _shown(new)))
    return log


def attached(attachment: Json) -> Json:
    """The entry of a change log for a file that was put to an issue."""
    told = {"id": attachment["id"], "name": attachment["name"]}
    return _entry("attachment", None, attachment["name"]) | {"attachmentInfo": told}


def activity_changes(log: list[Json]) -> list[Json]:
    """A change log as activities have it."""
    return [
        {
            "field": entry["field"],
            "field_text": entry["field"],
            "new_value": entry["newValue"] or "",
            "old_value": entry["originalValue"] or "",
            "type": "custom" if entry["attributeInfo"] else "standard",
        }
        for entry in log
    ]


def _change_custom_fields(data: SpaceData, issue: Json, values: Json) -> list[Json]:
    kinds = {kind["name"]: kind for kind in data.settings[issue["projectId"]]["customFields"]}
    fields = {field["name"]: field for field in issue["customFields"]}
    log: list[Json] = []
    for name, value in values.items():
        kind, old = kinds[name], fields[name]["value"]
        items = {item["name"]: item for item in kind["items"]}
        new: Any = value
        if value is not None and kind["fieldTypeId"] in _CHOICE_OF_ONE:
            new = items[value]
        if value is not None and kind["fieldTypeId"] in _CHOICE_OF_MANY:
            new = [items[each] for each in value]
        fields[name]["value"] = new
        if old != new:
            about = {"id": kind["id"], "typeId": str(kind["fieldTypeId"])}
            log.append(_entry(name, _shown(old), _shown(new)) | {"attributeInfo": about})
    return log


def _sent(data: SpaceData, project_id: int, field: str, value: Any) -> Any:
    if field in _CHOSEN_MANY:
        rows = {row["name"]: row for row in data.settings[project_id][_CHOSEN_MANY[field]]}
        return [rows[name] for name in value]
    if value is None:
        return None
    match field:
        case "assignee":
            return data.user(value)
        case "status":
            return _named(data.settings[project_id]["statuses"], value)
        case "issueType":
            return _named(data.settings[project_id]["issueType"], value)
        case "priority":
            return _named(PRIORITIES, value)
        case "resolution":
            return _named(RESOLUTIONS, value)
        case "startDate" | "dueDate":
            return f"{value}T00:00:00Z"
        case _:
            return value


def _named(rows: list[Json], name: str) -> Json:
    return {row["name"]: row for row in rows}[name]


def _shown(value: Any) -> str | None:
    """A value as a change log has it."""
    if isinstance(value, list):
        return ", ".join(each["name"] for each in value) or None
    if isinstance(value, dict):
        return value["name"]
    return None if value is None else str(value)


def _entry(field: str, old: str | None, new: str | None) -> Json:
    return {
        "field": field,
        "newValue": new,
        "originalValue": old,
        "attachmentInfo": None,
        "attributeInfo": None,
        "notificationInfo": None,
    }
