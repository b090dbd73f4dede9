"""What Backlog's fields tell of the knowledge graph: who wrote, who is assigned, and where a record belongs.

What belongs here: pure functions of a payload as `backlog_records.py` builds it, and of its document. Pages count as
articles. Nobody outside the space sees any of it.
"""

from collections.abc import Iterator
from typing import Any

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.backlog_web import ISSUE
from sync_assets.sources.entities import Id, Loose, known, other, person, relate, relate_person, state_of, told

_PLATFORM = "backlog"

# Resolved and Closed; a project's own statuses have higher ids, and nothing says which of them end an issue.
_RESOLVED = (3, 4)


class _Project(Loose):
    key: str | None = None
    name: str | None = None


class _Named(Loose):
    id: Id | None = None
    name: str | None = None


class _Person(_Named):
    mailAddress: str | None = None  # noqa: N815 upstream's name


class _Item(Loose):
    projectId: Id | None = None  # noqa: N815 upstream's name
    issueKey: str | None = None  # noqa: N815 upstream's name
    parentIssueId: int | None = None  # noqa: N815 upstream's name
    status: _Named = _Named()
    category: list[_Named] = []
    # Some answers hold a name where others hold a person.
    assignee: str | _Person | None = None
    createdUser: str | _Person | None = None  # noqa: N815 upstream's name


class _Payload(Loose):
    project: _Project = _Project()
    issue: _Item | None = None
    wiki: _Item | None = None
    document: _Item | None = None

    @property
    def item(self) -> _Item:
        return self.issue or self.wiki or self.document or _Item()


def with_graph(document: Document, base_url: str, payload: Any) -> Document:
    """A document of any stream with its entity and its relations."""
    read = _Payload.model_validate(payload)
    item = read.item
    is_issue = document.stream == ISSUE.stream
    return told(
        document,
        NodeKind.TICKET if is_issue else NodeKind.ARTICLE,
        relate_person(EdgeKind.CREATED_BY, _entity(item.createdUser)),
        relate_person(EdgeKind.ASSIGNED_TO, _entity(item.assignee)),
        relate(EdgeKind.BELONGS_TO, _project(base_url, read)),
        *(
            relate(EdgeKind.BELONGS_TO, known(NodeKind.CATEGORY, _PLATFORM, category.id, category.name))
            for category in item.category
        ),
        _parent(document, item),
        aliases=(item.issueKey,) if item.issueKey else (),
        scope=_PLATFORM,
        facts={"state": state_of(item.status.id in _RESOLVED)} if is_issue else {},
    )


def _project(base_url: str, read: _Payload) -> Entity | None:
    key = read.project.key
    url = f"{base_url}/projects/{key}" if key else ""
    return known(NodeKind.PROJECT, _PLATFORM, read.item.projectId, read.project.name, facts={"url": url})


def _parent(document: Document, item: _Item) -> Iterator[Relation]:
    if item.parentIssueId is not None:
        parent = other(document, NodeKind.TICKET, f"{ISSUE.name}-{item.parentIssueId}")
        yield from relate(EdgeKind.BELONGS_TO, parent)


def _entity(someone: str | _Person | None) -> Entity | None:
    if isinstance(someone, str):
        return person(_PLATFORM, None, someone) if "@" not in someone else None
    return person(_PLATFORM, someone.id, someone.name, email=someone.mailAddress) if someone else None
