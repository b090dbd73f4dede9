"""What is read of the payloads that `backlog.py` builds of Backlog's rows."""

from typing import Any

from pydantic import Field

from sync_assets.sources.payloads import Payload


class Project(Payload):
    key: str
    name: str
    rule: str | None = None


class Named(Payload):
    name: str | None = None


class File(Payload):
    id: int | None = None
    name: str | None = None
    size: int | None = None


class CustomField(Payload):
    name: str
    value: Any = None
    otherValue: str | None = None  # noqa: N815 upstream's name


# Some answers hold a name where others hold a person.
Person = Named | str | None


class Issue(Payload):
    id: int
    issueKey: str  # noqa: N815 upstream's name
    summary: str
    description: str | None = None
    issueType: Named | None = None  # noqa: N815 upstream's name
    status: Named | None = None
    priority: Named | None = None
    resolution: Named | None = None
    assignee: Person = None
    category: list[Named] | None = None
    versions: list[Named] | None = None
    milestone: list[Named] | None = None
    startDate: str | None = None  # noqa: N815 upstream's name
    dueDate: str | None = None  # noqa: N815 upstream's name
    estimatedHours: float | None = None  # noqa: N815 upstream's name
    actualHours: float | None = None  # noqa: N815 upstream's name
    createdUser: Person = None  # noqa: N815 upstream's name
    created: str | None = None
    updated: str | None = None
    customFields: list[CustomField] | None = None  # noqa: N815 upstream's name
    attachments: list[File] | None = None
    sharedFiles: list[File] | None = None  # noqa: N815 upstream's name


class Comment(Payload):
    id: int
    content: str | None = None
    createdUser: Person = None  # noqa: N815 upstream's name
    created: str | None = None


class IssuePayload(Payload):
    project: Project
    issue: Issue
    comments: list[Comment] = Field(default_factory=list[Comment])


class Page(Payload):
    """What a wiki and a document have in common."""

    id: int | str
    tags: list[Named] | None = None
    createdUser: Person = None  # noqa: N815 upstream's name
    created: str | None = None
    updatedUser: Person = None  # noqa: N815 upstream's name
    updated: str | None = None
    attachments: list[File] | None = None
    sharedFiles: list[File] | None = None  # noqa: N815 upstream's name


class Wiki(Page):
    name: str
    content: str | None = None


class WikiPayload(Payload):
    project: Project
    wiki: Wiki


class DocumentReply(Payload):
    """What a comment on a document and a reply to it have in common.

    Attributes:
        content: as a document's JSON.
    """

    id: str
    plain: str | None = None
    content: Any = None
    createdUser: Person = None  # noqa: N815 upstream's name
    created: str | None = None


class DocumentComment(DocumentReply):
    replies: list[DocumentReply] | None = None


class DocumentPage(Page):
    title: str
    plain: str | None = None
    json_: Any = Field(default=None, alias="json")


class DocumentPayload(Payload):
    project: Project
    document: DocumentPage
    comments: list[DocumentComment] = Field(default_factory=list[DocumentComment])
