"""How Backlog's issues, wikis and documents become documents.

What belongs here: which parts and facts a payload yields. What does not: requests (`backlog_web.py`), and how texts are
marked up (`backlog_markup.py`). Nobody outside the space sees any of it, so all is internal.
"""

import re
from collections.abc import Sequence
from typing import Any

from sync_assets.documents import Attachment, Document, Part, public_metadata
from sync_assets.sources.backlog_markup import backlog_to_markdown, json_text
from sync_assets.sources.backlog_payloads import (
    Comment,
    CustomField,
    DocumentPayload,
    DocumentReply,
    File,
    IssuePayload,
    Named,
    Page,
    Person,
    Project,
    WikiPayload,
)
from sync_assets.sources.backlog_records import item_id_of
from sync_assets.sources.backlog_web import DOCUMENT, ISSUE, WIKI, Kind
from sync_assets.sources.payloads import read_payload

PLATFORM = "backlog"

# Blanks and line ends, but not the wide space of Japanese texts.
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_BACKLOG_RULE = "backlog"


def issue_document(tenant: str, record_id: str, base_url: str, payload: Any) -> Document:
    """An issue: its summary, description, comments with words, and names of files; all else is metadata.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(IssuePayload, payload)
    project, issue = read.project, read.issue
    title = _line(issue.summary) or issue.issueKey
    url = f"{base_url}/view/{issue.issueKey}"
    files = [*(issue.attachments or []), *(issue.sharedFiles or [])]
    comments = [_comment(project, comment, url) for comment in sorted(read.comments, key=lambda one: one.id)]
    parts = [
        Part(path="header", role="header", text=title),
        Part(path="description", role="description", text=_markdown(project, issue.description)),
        *comments,
        _attachments(files),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream=ISSUE.stream,
        record_id=record_id,
        title=title,
        url=url,
        parts=[part for part in parts if part.text],
        attachments=_readable(f"{ISSUE.stream}/{issue.id}", issue.attachments or []),
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "issue",
                **_project_facts(project),
                "issue_key": issue.issueKey,
                "issue_type": _name(issue.issueType),
                "status": _name(issue.status),
                "priority": _name(issue.priority),
                "resolution": _name(issue.resolution),
                "category": _names(issue.category),
                "versions": _names(issue.versions),
                "milestone": _names(issue.milestone),
                "assignee": _person(issue.assignee),
                "created_by": _person(issue.createdUser),
                "created_at": issue.created,
                "updated_at": issue.updated,
                "start_date": issue.startDate,
                "due_by": issue.dueDate,
                "estimated_hours": issue.estimatedHours,
                "actual_hours": issue.actualHours,
                "custom_fields": _custom_fields(issue.customFields or []),
                "comment_count": sum(bool(comment.text) for comment in comments),
                **_file_facts(files),
            }
        ),
    )


def wiki_document(tenant: str, record_id: str, base_url: str, payload: Any) -> Document:
    """A wiki page.

    Raises:
        ValueError: as for `issue_document`.
    """
    read = read_payload(WikiPayload, payload)
    return _page_document(
        tenant=tenant,
        kind=WIKI,
        record_id=record_id,
        title=_line(read.wiki.name),
        url=f"{base_url}/alias/wiki/{read.wiki.id}",
        project=read.project,
        page=read.wiki,
        body=_markdown(read.project, read.wiki.content),
    )


def document_document(tenant: str, record_id: str, base_url: str, payload: Any) -> Document:
    """A page of the document feature: its plain text, or where it has none the texts of its JSON, and its comments.

    Raises:
        ValueError: as for `issue_document`, or its JSON can't be read where it is needed.
    """
    read = read_payload(DocumentPayload, payload)
    document = read.document
    said = [each for comment in read.comments for each in (comment, *(comment.replies or []))]
    return _page_document(
        tenant=tenant,
        kind=DOCUMENT,
        record_id=record_id,
        title=_line(document.title),
        url=f"{base_url}/document/{read.project.key}/{document.id}",
        project=read.project,
        page=document,
        body=_words(document.plain, document.json_),
        comments=[_document_comment(each) for each in said],
    )


def _page_document(
    *,
    tenant: str,
    kind: Kind,
    record_id: str,
    title: str,
    url: str,
    project: Project,
    page: Page,
    body: str,
    comments: Sequence[Part] = (),
) -> Document:
    if item_id_of(kind, {"id": page.id}) is None:
        raise ValueError(f"{kind.name}.id: it is of another form than Backlog's")
    title = title or record_id
    files = [*(page.attachments or []), *(page.sharedFiles or [])]
    parts = [
        Part(path="header", role="header", text=title),
        Part(path="body", role="body", text=body),
        *comments,
        _attachments(files),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream=kind.stream,
        record_id=record_id,
        title=title,
        url=url,
        parts=[part for part in parts if part.text],
        attachments=_readable(f"{kind.stream}/{page.id}", page.attachments or []),
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": kind.name,
                **_project_facts(project),
                "tags": _names(page.tags),
                "created_by": _person(page.createdUser),
                "updated_by": _person(page.updatedUser),
                "created_at": page.created,
                "updated_at": page.updated,
                "comment_count": sum(bool(comment.text) for comment in comments) if kind is DOCUMENT else None,
                **_file_facts(files),
            }
        ),
    )


def _comment(project: Project, comment: Comment, url: str) -> Part:
    """A comment; one without words only tells what was changed, and leaves no text."""
    text = _markdown(project, comment.content)
    return _said(comment, text, link=f"{url}#comment-{comment.id}")


def _document_comment(comment: DocumentReply) -> Part:
    """A comment on a document, to which no address leads."""
    return _said(comment, _words(comment.plain, comment.content))


def _said(comment: Comment | DocumentReply, text: str, **facts: str) -> Part:
    author = _person(comment.createdUser)
    return Part(
        path=f"comment-{comment.id}",
        role="comment",
        text=f"{author}: {text}" if author and text else text,
        metadata=public_metadata({"author": author, "created_at": comment.created, **facts}),
    )


def _words(plain: str | None, written: Any) -> str:
    """A plain text, or where there is none the texts of its JSON."""
    return (plain or "").strip() or json_text(written)


def _attachments(files: list[File]) -> Part:
    lines = [
        f"{name} ({file.size} bytes)" if file.size is not None else name for file in files if (name := _name(file))
    ]
    return Part(path="attachments", role="attachments", text="\n".join(lines))


def _readable(owner: str, files: list[File]) -> list[Attachment]:
    """Attached files, which Backlog gives by id; shared files are not among them.

    Args:
        owner: beginning of the locators, see `backlog.Source.read_file`.
    """
    return [
        Attachment(
            locator=f"{owner}/attachments/{file.id}",
            path=f"attachment-{file.id}",
            name=_name(file) or "",
            size=file.size,
        )
        for file in files
        if file.id is not None
    ]


def _file_facts(files: list[File]) -> dict[str, Any]:
    return {"has_attachments": bool(files), "attachment_count": len(files)}


def _project_facts(project: Project) -> dict[str, Any]:
    return {"project": project.key, "project_name": _line(project.name)}


def _custom_fields(fields: list[CustomField]) -> dict[str, Any]:
    return public_metadata({_line(field.name): _custom_value(field) for field in fields})


def _custom_value(field: CustomField) -> Any:
    """A text, a number, the name of what was chosen, or the names of all; with what was typed for "other"."""
    value, other = _shown(field.value), _line(field.otherValue or "")
    if not other:
        return value
    return [*value, other] if isinstance(value, list) else f"{value}: {other}" if value else other


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [shown for shown in map(_shown, value) if shown not in (None, "")]
    if isinstance(value, dict):
        return _line(str(value.get("name") or ""))
    return value.strip() if isinstance(value, str) else value


def _markdown(project: Project, text: str | None) -> str:
    written = (text or "").replace("\r\n", "\n").strip()
    return backlog_to_markdown(written) if project.rule == _BACKLOG_RULE else written


def _names(items: list[Named] | None) -> list[str]:
    return [name for item in items or [] if (name := _name(item))]


def _name(item: Named | File | None) -> str | None:
    return _line(item.name or "") or None if item else None


def _person(person: Person) -> str | None:
    """A person's name; a mail address is none."""
    name = _line(person) if isinstance(person, str) else _name(person)
    return name if name and "@" not in name else None


def _line(text: str) -> str:
    """Plain text on one line."""
    return _BLANKS.sub(" ", text).strip()
