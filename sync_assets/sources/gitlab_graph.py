"""What GitLab's fields tell of the knowledge graph: who wrote, who is assigned, and which project a record is of.

What belongs here: pure functions of a payload as `gitlab_work.py` and `gitlab_repository.py` build it, and of its
document. Files and pages count as articles: they are what people look things up in.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import Id, Loose, known, other, person, relate, relate_person, state_of, told

_PLATFORM = "gitlab"
_SHORT_SHA = 8
_CLOSED = "closed"
# Issues name each other by their addresses in the API.
_ISSUE = re.compile(r"/projects/([0-9]+)/issues/([0-9]+)$")


class _Project(Loose):
    id: Id | None = None
    path: str | None = None
    web_url: str | None = None

    @property
    def entity(self) -> Entity | None:
        return known(NodeKind.PROJECT, _PLATFORM, self.id, self.path, facts={"url": self.web_url})

    @property
    def scope(self) -> str:
        return f"{_PLATFORM}/{self.path}" if self.path else ""

    def references(self, mark: str, iid: Id | None) -> tuple[str, ...]:
        """`#12` and `group/project#12`."""
        return (f"{mark}{iid}", f"{self.path}{mark}{iid}") if self.path and iid is not None else ()


class _Person(Loose):
    id: Id | None = None
    name: str | None = None
    username: str | None = None

    @property
    def entity(self) -> Entity | None:
        return person(_PLATFORM, self.id, self.name or self.username, username=self.username)


class _Links(Loose):
    closed_as_duplicate_of: str | None = None


class _Item(Loose):
    iid: Id | None = None
    state: str | None = None
    author: _Person = _Person()
    assignees: list[_Person] = []
    closed_by: _Person = _Person()
    links: _Links = Field(default=_Links(), alias="_links")


class _Commit(Loose):
    id: str = ""
    author_name: str | None = None
    author_email: str | None = None


class _WorkPayload(Loose):
    project: _Project = _Project()
    item: _Item = _Item()


class _CommitPayload(Loose):
    project: _Project = _Project()
    item: _Commit = _Commit()


class _PagePayload(Loose):
    project: _Project = _Project()


def with_graph(document: Document, payload: Any) -> Document:
    """A document of any stream with its entity and its relations."""
    match document.stream:
        case "issues":
            return _issue(document, _WorkPayload.model_validate(payload))
        case "merge_requests":
            return _merge_request(document, _WorkPayload.model_validate(payload))
        case "commits":
            return _commit(document, _CommitPayload.model_validate(payload))
        case _:
            project = _PagePayload.model_validate(payload).project
            return told(document, NodeKind.ARTICLE, _of_project(project), scope=project.scope)


def _issue(document: Document, read: _WorkPayload) -> Document:
    project, issue = read.project, read.item
    is_closed = issue.state == _CLOSED
    return told(
        document,
        NodeKind.TICKET,
        _people(issue),
        relate_person(EdgeKind.RESOLVED_BY, issue.closed_by.entity) if is_closed else (),
        _duplicate(document, issue),
        _of_project(project),
        aliases=project.references("#", issue.iid),
        scope=project.scope,
        facts={"state": state_of(is_closed)},
    )


def _merge_request(document: Document, read: _WorkPayload) -> Document:
    project, request = read.project, read.item
    return told(
        document,
        NodeKind.MERGE_REQUEST,
        _people(request),
        _of_project(project),
        aliases=project.references("!", request.iid),
        scope=project.scope,
    )


def _commit(document: Document, read: _CommitPayload) -> Document:
    """Git knows an author by name and address only; an address is no key, since keys are for all to see."""
    commit = read.item
    author = person(_PLATFORM, None, commit.author_name, email=commit.author_email)
    return told(
        document,
        NodeKind.COMMIT,
        relate_person(EdgeKind.CREATED_BY, author if author and author.name else None),
        _of_project(read.project),
        aliases=(commit.id[:_SHORT_SHA], commit.id),
        scope=read.project.scope,
    )


def _people(item: _Item) -> Iterator[Relation]:
    yield from relate_person(EdgeKind.CREATED_BY, item.author.entity)
    for assignee in item.assignees:
        yield from relate_person(EdgeKind.ASSIGNED_TO, assignee.entity)


def _of_project(project: _Project) -> Iterator[Relation]:
    return relate(EdgeKind.BELONGS_TO, project.entity)


def _duplicate(document: Document, issue: _Item) -> Iterator[Relation]:
    """The issue that this one was closed as a duplicate of, of whichever project; who may see it is not known."""
    for project, iid in _ISSUE.findall(issue.links.closed_as_duplicate_of or ""):
        original = other(document, NodeKind.TICKET, f"issue-{project}-{iid}")
        yield from relate(EdgeKind.DUPLICATE_OF, original, internal=True)
