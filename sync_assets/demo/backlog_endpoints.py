"""What the endpoints of Backlog's API answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams
from starlette.responses import Response

from sync_assets.demo.backlog_limits import ACCESS_DENIED, INVALID_REQUEST, NO_RESOURCE, BacklogRefusal
from sync_assets.demo.backlog_records import SpaceData, timestamp
from sync_assets.demo.records import Json

_MOST, _DEFAULT = 100, 20
_SORTED_BY = ("created", "updated", "summary", "dueDate")


@dataclass(frozen=True)
class BacklogCall:
    """One request: the space, the values in its path, its query, and what is left of each limit."""

    data: SpaceData
    path: dict[str, str]
    query: QueryParams
    left: Json


def space(call: BacklogCall) -> Json:
    return call.data.space


def myself(call: BacklogCall) -> Json:
    return call.data.users[call.data.reader]


def rate_limit(call: BacklogCall) -> Json:
    return {"rateLimit": call.left}


def list_projects(call: BacklogCall) -> list[Json]:
    archived = call.query.get("archived")
    return [
        project
        for project in call.data.projects.values()
        if _joined(call.data, project["id"]) and (archived is None or project["archived"] == (archived == "true"))
    ]


def get_project(call: BacklogCall) -> Json:
    return _project(call.data, call.path["project"])


def list_statuses(call: BacklogCall) -> list[Json]:
    return call.data.settings[get_project(call)["id"]]["statuses"]


def list_activities(call: BacklogCall) -> list[Json]:
    kinds = set(_numbers(call, "activityTypeId[]"))
    found = call.data.activities[get_project(call)["id"]]
    return _by_id(call, [activity for activity in found if not kinds or activity["type"] in kinds])


def list_issues(call: BacklogCall) -> list[Json]:
    sort = call.query.get("sort", "created")
    if sort not in _SORTED_BY:
        raise BacklogRefusal(400, INVALID_REQUEST, f"sort is invalid. : {sort}")
    found = sorted(_issues(call), key=lambda issue: (issue[sort] or "", issue["id"]), reverse=_descending(call))
    return _page(call, found)


def count_issues(call: BacklogCall) -> Json:
    return {"count": len(_issues(call))}


def get_issue(call: BacklogCall) -> Json:
    wanted = call.path["issue"]
    return _readable(
        call, (issue for issue in call.data.issues.values() if wanted in (str(issue["id"]), issue["issueKey"])), "issue"
    )


def list_comments(call: BacklogCall) -> list[Json]:
    return _by_id(call, call.data.comments[get_issue(call)["id"]])


def list_wikis(call: BacklogCall) -> list[Json]:
    """All pages of a project without their content."""
    project = _project(call.data, call.query.get("projectIdOrKey", ""))
    return [
        {name: value for name, value in page.items() if name not in ("content", "attachments", "sharedFiles", "stars")}
        for page in call.data.wikis.values()
        if page["projectId"] == project["id"]
    ]


def get_wiki(call: BacklogCall) -> Json:
    wanted = call.path["wiki"]
    return _readable(call, (page for page in call.data.wikis.values() if str(page["id"]) == wanted), "wiki page")


def list_documents(call: BacklogCall) -> list[Json]:
    projects = _asked_projects(call)
    found = [document for document in call.data.documents.values() if document["projectId"] in projects]
    sort = call.query.get("sort", "created")
    if sort not in ("created", "updated"):
        raise BacklogRefusal(400, INVALID_REQUEST, f"sort is invalid. : {sort}")
    return _page(call, sorted(found, key=lambda each: (each[sort], each["id"]), reverse=_descending(call)))


def document_tree(call: BacklogCall) -> Json:
    """The names of a project's documents and of those in its trash; here none is below another."""
    project_id = _project(call.data, call.query.get("projectIdOrKey", ""))["id"]

    def tree(name: str, documents: dict[str, Json]) -> Json:
        leaves = [
            {"id": each["id"], "name": each["title"], "children": [], "emoji": each["emoji"]}
            for each in documents.values()
            if each["projectId"] == project_id
        ]
        return {"id": name, "children": leaves}

    return {
        "projectId": project_id,
        "activeTree": tree("Active", call.data.documents),
        "trashTree": tree("Trash", call.data.trash),
    }


def get_document(call: BacklogCall) -> Json:
    wanted = call.path["document"]
    return _readable(call, (each for each in call.data.documents.values() if each["id"] == wanted), "document")


def list_document_comments(call: BacklogCall) -> list[Json]:
    return call.data.document_comments[get_document(call)["id"]]


def attachments_of(owner: Callable[[BacklogCall], Json]) -> Callable[[BacklogCall], list[Json]]:
    """The endpoint that lists the files of an issue or a wiki page."""
    return lambda call: owner(call)["attachments"]


def attachment_of(owner: Callable[[BacklogCall], Json]) -> Callable[[BacklogCall], Response]:
    """The endpoint that sends the bytes of one of its files."""

    def send(call: BacklogCall) -> Response:
        for attachment in owner(call)["attachments"]:
            if str(attachment["id"]) == call.path["attachment"]:
                disposition = f"attachment; filename*=UTF-8''{quote(attachment['name'])}"
                content = call.data.files[attachment["id"]]
                return Response(
                    content, media_type="application/octet-stream", headers={"Content-Disposition": disposition}
                )
        raise _missing("attachment")

    return send


def unknown(call: BacklogCall) -> Any:
    raise BacklogRefusal(404, NO_RESOURCE, "Undefined resource.")


def _missing(what: str) -> BacklogRefusal:
    return BacklogRefusal(404, NO_RESOURCE, f"No such {what}.")


def _joined(data: SpaceData, project_id: int) -> bool:
    return data.reader in data.members[project_id]


def _project(data: SpaceData, id_or_key: str) -> Json:
    """A project that the key's user is in."""
    for project in data.projects.values():
        if id_or_key in (str(project["id"]), project["projectKey"]):
            if not _joined(data, project["id"]):
                raise BacklogRefusal(403, ACCESS_DENIED, "You do not have permission to access this project.")
            return project
    raise _missing("project")


def _readable(call: BacklogCall, found: Iterable[Json], what: str) -> Json:
    """The record; one of a project that the key's user is not in is answered as if it did not exist."""
    for record in found:
        if _joined(call.data, record["projectId"]):
            return record
    raise _missing(what)


def _asked_projects(call: BacklogCall) -> set[int]:
    """Ids of the projects in the query; of all that the user is in where it names none."""
    asked = {_project(call.data, value)["id"] for value in call.query.getlist("projectId[]")}
    return asked or {project_id for project_id in call.data.projects if _joined(call.data, project_id)}


def _issues(call: BacklogCall) -> list[Json]:
    projects, ids = _asked_projects(call), set(_numbers(call, "id[]"))
    zone = ZoneInfo(call.data.space["timezone"])
    since, until = _day(call, "updatedSince", zone), _day(call, "updatedUntil", zone, timedelta(days=1))
    return [
        issue
        for issue in call.data.issues.values()
        if issue["projectId"] in projects
        and (not ids or issue["id"] in ids)
        and (since is None or issue["updated"] >= since)
        and (until is None or issue["updated"] < until)
    ]


def _day(call: BacklogCall, name: str, zone: ZoneInfo, after: timedelta = timedelta()) -> str | None:
    """The beginning of a day in the space's zone, or so long after it, as times are sent."""
    value = call.query.get(name)
    if value is None:
        return None
    try:
        day = datetime.strptime(value, "%Y-%m-%d").date()
    except ValueError:
        raise BacklogRefusal(400, INVALID_REQUEST, f"{name} is invalid. : {value}") from None
    return timestamp(datetime.combine(day, time(), zone).astimezone(UTC) + after)


def _page(call: BacklogCall, found: list[Json]) -> list[Json]:
    offset = _number(call, "offset", 0)
    return found[offset : offset + _count(call)]


def _by_id(call: BacklogCall, found: list[Json]) -> list[Json]:
    """Rows after `minId` and before `maxId`, neither of which is among them, in the order asked for."""
    low, high = _number(call, "minId", 0), _number(call, "maxId", 0)
    rows = [row for row in found if row["id"] > low and (not high or row["id"] < high)]
    return sorted(rows, key=lambda row: row["id"], reverse=_descending(call))[: _count(call)]


def _count(call: BacklogCall) -> int:
    count = _number(call, "count", _DEFAULT)
    if not 1 <= count <= _MOST:
        raise BacklogRefusal(400, INVALID_REQUEST, f"count must be between 1 and {_MOST}. : {count}")
    return count


def _descending(call: BacklogCall) -> bool:
    order = call.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BacklogRefusal(400, INVALID_REQUEST, f"order is invalid. : {order}")
    return order == "desc"


def _numbers(call: BacklogCall, name: str) -> list[int]:
    return [_int(name, value) for value in call.query.getlist(name)]


def _number(call: BacklogCall, name: str, default: int) -> int:
    return _int(name, call.query.get(name, str(default)))


def _int(name: str, value: str) -> int:
    if not value.isdecimal():
        raise BacklogRefusal(400, INVALID_REQUEST, f"{name} is invalid. : {value}")
    return int(value)
