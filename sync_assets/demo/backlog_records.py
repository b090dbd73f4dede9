"""Backlog's objects as its API sends them: made here for the starting data and for every later action alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any

import orjson

from sync_assets.demo.records import Json

# Ids of activities' types.
ISSUE_CREATED, ISSUE_UPDATED, ISSUE_COMMENTED, ISSUE_DELETED = 1, 2, 3, 4
WIKI_CREATED, WIKI_UPDATED, WIKI_DELETED = 5, 6, 7

# Names as a user with the language English gets them.
PRIORITIES = [{"id": 2, "name": "High"}, {"id": 3, "name": "Normal"}, {"id": 4, "name": "Low"}]
RESOLUTIONS = [
    {"id": number, "name": name}
    for number, name in enumerate(["Fixed", "Won't Fix", "Invalid", "Duplicated", "Cannot Reproduce"])
]
_STATUSES = [("Open", "#ed8077"), ("In Progress", "#4488c5"), ("Resolved", "#5eb5a6"), ("Closed", "#b0be3c")]

_MARKS = (("# ", "heading"), ("- ", "bulletList"))


@dataclass
class SpaceData:
    """All that one space holds, in wire form.

    Attributes:
        space: its `spaceKey`, `name`, `timezone` and more.
        api_key: the key that reads the space; it is taken as an OAuth token too.
        reader: id of the user that the key belongs to.
        projects: by id; `settings` has the lists that a project's issues draw from, by its id.
        members: ids of users by id of the project.
        issues, wikis, documents: by id, without their attachments' bytes.
        trash: documents that were thrown away, by id.
        comments: of issues, by the issue's id, oldest first; `document_comments` likewise.
        activities: by id of the project, oldest first.
        files: bytes of attachments by their id.
        last_ids: the last id given out, by kind of object.
    """

    space: Json
    api_key: str
    reader: int
    users: dict[int, Json] = field(default_factory=dict[int, Json])
    projects: dict[int, Json] = field(default_factory=dict[int, Json])
    settings: dict[int, Json] = field(default_factory=dict[int, Json])
    members: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    issues: dict[int, Json] = field(default_factory=dict[int, Json])
    comments: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    wikis: dict[int, Json] = field(default_factory=dict[int, Json])
    documents: dict[str, Json] = field(default_factory=dict[str, Json])
    trash: dict[str, Json] = field(default_factory=dict[str, Json])
    document_comments: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    activities: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    files: dict[int, bytes] = field(default_factory=dict[int, bytes])
    last_ids: dict[str, int] = field(default_factory=dict[str, int])

    def next_id(self, kind: str) -> int:
        """The next id of a kind of object: comments, attachments and activities count over the whole space."""
        self.last_ids[kind] += 1
        return self.last_ids[kind]

    def user(self, handle: str) -> Json:
        """The user with this `userId`."""
        return _one(list(self.users.values()), "userId", handle)

    def project(self, key: str) -> Json:
        return _one(list(self.projects.values()), "projectKey", key)


def timestamp(moment: datetime) -> str:
    """A moment as Backlog sends it.

    >>> timestamp(datetime(2026, 11, 2, 9, 12, 3, tzinfo=UTC))
    '2026-11-02T09:12:03Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_user(user_id: int, handle: str, name: str, lang: str | None, nulab_account: bool) -> Json:
    """A user of the space; one who never made an account of the vendor's has `nulabAccount` null."""
    account = {"nulabId": sha256(handle.encode()).hexdigest()[:40], "name": name, "uniqueId": handle}
    return {
        "id": user_id,
        "userId": handle,
        "name": name,
        "roleType": 2,
        "lang": lang,
        "nulabAccount": account if nulab_account else None,
        "mailAddress": f"{handle}@shirakaba.example",
        "lastLoginTime": "2026-11-01T23:40:12Z",
    }


def new_project(project_id: int, key: str, name: str, rule: str) -> Json:
    """A project; `rule` is `backlog` or `markdown`."""
    return {
        "id": project_id,
        "projectKey": key,
        "name": name,
        "chartEnabled": False,
        "useResolvedForChart": False,
        "subtaskingEnabled": False,
        "projectLeaderCanEditProjectLeader": False,
        "useWiki": True,
        "useFileSharing": True,
        "useWikiTreeView": True,
        "useOriginalImageSizeAtWiki": False,
        "useDocument": True,
        "useGit": False,
        "useSubversion": False,
        "textFormattingRule": rule,
        "archived": False,
        "displayOrder": 2147483646,
        "useDevAttributes": True,
    }


def new_settings(project_id: int, profile: Json) -> Json:
    """The lists that a project's issues draw from.

    Args:
        profile: `issue_types`, `categories` and `versions` (names), `statuses` (names of its own, which stand between
            In Progress and Resolved), `custom_fields` (names with `fieldTypeId`, and `items` for those that have a
            choice).
    """
    number = project_id * 100
    statuses = [(rank + 1, *status) for rank, status in enumerate(_STATUSES)]
    own = [(number + rank, name, "#7ea800") for rank, name in enumerate(profile["statuses"], start=1)]
    ordered = [*statuses[:2], *own, *statuses[2:]]
    return {
        "statuses": [
            {"id": status_id, "projectId": project_id, "name": name, "color": color, "displayOrder": rank * 1000}
            for rank, (status_id, name, color) in enumerate(ordered, start=1)
        ],
        "issueType": [
            {"id": number + rank, "projectId": project_id, "name": name, "color": "#990000", "displayOrder": rank}
            for rank, name in enumerate(profile["issue_types"])
        ],
        "category": [
            {"id": number + rank, "projectId": project_id, "name": name, "displayOrder": rank}
            for rank, name in enumerate(profile["categories"])
        ],
        "versions": [
            {
                "id": number + rank,
                "projectId": project_id,
                "name": name,
                "description": "",
                "startDate": None,
                "releaseDueDate": None,
                "archived": False,
                "displayOrder": rank,
            }
            for rank, name in enumerate(profile["versions"])
        ],
        "customFields": [
            {
                "id": number + rank,
                "fieldTypeId": facts["fieldTypeId"],
                "name": name,
                "items": [
                    {"id": item_id, "name": item, "displayOrder": item_id}
                    for item_id, item in enumerate(facts.get("items", []), start=1)
                ],
            }
            for rank, (name, facts) in enumerate(profile["custom_fields"].items())
        ],
    }


def new_issue(settings: Json, project: Json, number: int, author: Json, summary: str, moment: datetime) -> Json:
    """An issue of the project's first type, without anything that is optional."""
    return {
        # Of no other issue, also when it is moved to another project, where it gets another key.
        "id": project["id"] * 1000 + number,
        "projectId": project["id"],
        "issueKey": f"{project['projectKey']}-{number}",
        "keyId": number,
        "issueType": settings["issueType"][0],
        "summary": summary,
        "description": "",
        "resolution": None,
        "priority": PRIORITIES[1],
        "status": settings["statuses"][0],
        "assignee": None,
        "category": [],
        "versions": [],
        "milestone": [],
        "startDate": None,
        "dueDate": None,
        "estimatedHours": None,
        "actualHours": None,
        "parentIssueId": None,
        "createdUser": author,
        "created": timestamp(moment),
        "updatedUser": author,
        "updated": timestamp(moment),
        "customFields": [
            {"id": each["id"], "fieldTypeId": each["fieldTypeId"], "name": each["name"], "value": None}
            for each in settings["customFields"]
        ],
        "attachments": [],
        "sharedFiles": [],
        "stars": [],
    }


def new_comment(
    comment_id: int, issue: Json, author: Json, content: str | None, changes: Sequence[Json], moment: datetime
) -> Json:
    """A comment; `content` is None for an entry that only has changes."""
    return {
        "id": comment_id,
        "projectId": issue["projectId"],
        "issueId": issue["id"],
        "content": content,
        "changeLog": list(changes) or None,
        "createdUser": author,
        "created": timestamp(moment),
        "updated": timestamp(moment),
        "stars": [],
        "notifications": [],
    }


def new_wiki(wiki_id: int, project_id: int, author: Json, name: str, content: str, moment: datetime) -> Json:
    return {
        "id": wiki_id,
        "projectId": project_id,
        "name": name,
        "content": content,
        "tags": [],
        "attachments": [],
        "sharedFiles": [],
        "stars": [],
        "createdUser": author,
        "created": timestamp(moment),
        "updatedUser": author,
        "updated": timestamp(moment),
    }


def new_document(project_id: int, author: Json, title: str, text: str, moment: datetime) -> Json:
    """A document, whose id begins with its moment as the vendor's do.

    Args:
        text: paragraphs; `# ` begins a heading and `- ` an item of a list.
    """
    digest = sha256(f"{project_id} {title} {moment}".encode()).hexdigest()
    return {
        "id": f"{int(moment.timestamp() * 1000):012x}7{digest[:19]}",
        "projectId": project_id,
        "title": title,
        **rich_text(text),
        "statusId": 1,
        "emoji": None,
        "attachments": [],
        "tags": [],
        "createdUser": author,
        "created": timestamp(moment),
        "updatedUser": author,
        "updated": timestamp(moment),
    }


def rich_text(text: str) -> Json:
    """A document's words as `plain`, and as the editor's `json`, which is a JSON text."""
    nodes: list[Json] = []
    plain: list[str] = []
    for kind, lines in groupby(filter(None, text.splitlines()), _kind_of):
        words = [line.removeprefix("# ").removeprefix("- ") for line in lines]
        plain += words
        blocks: list[Json] = [{"type": "paragraph", "content": [{"type": "text", "text": each}]} for each in words]
        match kind:
            case "bulletList":
                nodes.append({"type": kind, "content": [{"type": "listItem", "content": [each]} for each in blocks]})
            case "heading":
                nodes += [{**each, "type": kind, "attrs": {"level": 2}} for each in blocks]
            case _:
                nodes += blocks
    return {"plain": "\n".join(plain), "json": orjson.dumps({"type": "doc", "content": nodes}).decode()}


def new_attachment(attachment_id: int, author: Json, name: str, content: bytes, moment: datetime) -> Json:
    return {
        "id": attachment_id,
        "name": name,
        "size": len(content),
        "createdUser": author,
        "created": timestamp(moment),
    }


def _kind_of(line: str) -> str:
    return next((kind for mark, kind in _MARKS if line.startswith(mark)), "paragraph")


def _one(rows: list[Json], name: str, value: Any) -> Json:
    """The row with this value.

    Raises:
        KeyError: there is none.
    """
    for row in rows:
        if row[name] == value:
            return row
    raise KeyError(value)
