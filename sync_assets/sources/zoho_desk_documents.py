"""From what Zoho Desk sends to documents: which texts there are, who may find them, and what stands beside them.

What belongs here: pure functions of a payload as `zoho_desk.py` builds it. Embedded texts hold nothing that changes
without the words changing (status, priority, tags, visibility), and no signed URL or mail address. Ids are texts of
up to 19 digits, and stay texts.
"""

import html
import re
import unicodedata
from email.utils import parseaddr
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from sync_assets.documents import Attachment, Document, Part, Visibility, public_metadata
from sync_assets.sources.payloads import Payload, read_payload, utc_time
from sync_assets.text import decode, strip_mail, to_markdown

PLATFORM = "zoho_desk"

# Who may read an article in the help centre. Any other permission names groups that only Zoho knows.
_PERMISSIONS = {
    "ALL": Visibility.PUBLIC,
    "REGISTEREDUSERS": Visibility.PUBLIC,
    "AGENTS": Visibility.INTERNAL,
}
_FROM_WIDE_TO_NARROW = [Visibility.PUBLIC, Visibility.INTERNAL, Visibility.RESTRICTED]
_HTML = ("html", "text/html")
_API_PATH = re.compile(r"/api/v1/tickets/[0-9]+/(?:threads/[0-9]+/|comments/[0-9]+/)?attachments/[0-9]+/content$")
_MENTION = re.compile(r"zsu\[[@#](\w+):([^\]]*)\]zsu( ?)")

Scalar = str | int | float | bool


class _Part(Payload):
    """Base of what Zoho sends, whose names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Named(_Part):
    name: str | None = None


class _Person(_Part):
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    type: str | None = None


class _Article(_Part):
    """An article or a translation of one."""

    title: str
    answer: str | None = None
    status: str
    permission: str | None = None
    locale: str | None = None
    category: _Named | None = None
    tags: list[str | _Named] | None = None
    author: _Person | None = None
    department_id: str | None = None
    latest_published_version: str | None = None
    created_time: str | None = None
    modified_time: str | None = None
    web_url: str | None = None
    portal_url: str | None = None


class _ArticlePayload(_Part):
    article: _Article
    translation: _Article | None = None


class _Attachment(_Part):
    id: str | None = None
    name: str
    size: str | int | None = None
    href: str | None = None


class _Thread(_Part):
    id: str
    content: str | None = None
    plain_text: str | None = None
    content_type: str | None = None
    status: str | None = None
    is_draft: bool | None = None
    is_forward: bool | None = None
    is_description_thread: bool | None = None
    visibility: str | None = None
    direction: str | None = None
    created_time: str | None = None
    from_email_address: str | None = None
    author: _Person | None = None
    attachments: list[_Attachment] | None = None


class _Mention(_Part):
    id: str | None = None
    zuid: str | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class _Comment(_Part):
    id: str
    content: str | None = None
    is_public: bool | None = None
    commented_time: str | None = None
    commenter: _Person | None = None
    mention: list[_Mention] | None = None
    attachments: list[_Attachment] | None = None


class _Ticket(_Part):
    id: str
    ticket_number: str | None = None
    subject: str | None = None
    description: str | None = None
    resolution: str | None = None
    status: str
    status_type: str | None = None
    priority: str | None = None
    channel: str | None = None
    category: str | None = None
    sub_category: str | None = None
    classification: str | None = None
    language: str | None = None
    contact: _Person | None = None
    assignee: _Person | None = None
    department: _Named | None = None
    team: _Named | None = None
    custom_fields: dict[str, Scalar | list[Scalar] | None] | None = None
    created_time: str | None = None
    modified_time: str | None = None
    closed_time: str | None = None
    due_date: str | None = None
    web_url: str | None = None


class _TicketPayload(_Part):
    ticket: _Ticket
    threads: list[_Thread] = Field(default_factory=list[_Thread])
    comments: list[_Comment] = Field(default_factory=list[_Comment])


def is_draft(thread: dict[str, Any]) -> bool:
    """Whether a thread, as any list or answer has it, was never sent."""
    return _never_sent(thread.get("isDraft"), thread.get("status"))


def article_document(tenant: str, record_id: str, payload: Any) -> Document:
    """An article or a translation; its permission says who may find it.

    What is not published is for agents at most, and a translation for no more people than its article.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_ArticlePayload, payload)
    parent, article = read.article, read.translation or read.article
    visibility = _article_visibility(parent, article)
    title = _line(article.title) or f"Article {record_id.removeprefix('article-')}"
    parts = [
        Part(path="header", role="header", text=title, visibility=visibility),
        Part(path="answer", role="answer", text=_markdown(article.answer), visibility=visibility),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="articles",
        record_id=record_id,
        title=title,
        url=_url(article, visibility) or _url(parent, visibility),
        parts=[part for part in parts if part.text],
        visibility=visibility,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "article",
                "category": _name(article.category) or _name(parent.category),
                "tags": [tag for tag in map(_tag, article.tags or []) if tag],
                "author": _person(article.author) or _person(parent.author),
                "status": article.status,
                "permission": article.permission or parent.permission,
                "language": article.locale,
                "department_id": article.department_id or parent.department_id,
                "version": article.latest_published_version,
                "created_at": article.created_time,
                "updated_at": article.modified_time,
            }
        ),
    )


def ticket_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A ticket: its subject, description, custom fields, resolution, threads, comments and names of attachments.

    `public` means here "not for agents only", as in every ticket system: what customer and company wrote to each other.
    Private comments, forwarded mails, the resolution and the custom fields are internal; drafts are left out. The
    metadata stand beside public texts, so they count public things only, and the custom fields' values stand with their
    own part.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_TicketPayload, payload)
    ticket = read.ticket
    sent = [thread for thread in read.threads if not _never_sent(thread.is_draft, thread.status)]
    sent.sort(key=lambda thread: (thread.created_time or "", thread.id))
    comments = sorted(read.comments, key=lambda comment: (comment.commented_time or "", comment.id))
    title = _line(ticket.subject or "") or f"Ticket {ticket.ticket_number or ticket.id}"
    description, threads = _description(ticket, sent)
    spoken = sorted(
        [*(_thread(thread) for thread in threads), *(_comment(comment) for comment in comments)],
        key=lambda part: str(part.metadata.get("created_at", "")),
    )
    attached: dict[Visibility, list[_Attachment]] = {Visibility.PUBLIC: [], Visibility.INTERNAL: []}
    for item in (*sent, *comments):
        attached[_said_to(item)] += item.attachments or []
    custom_fields = public_metadata(ticket.custom_fields or {})
    parts = [
        Part(path="header", role="header", text=_header(ticket, title), visibility=Visibility.PUBLIC),
        description,
        Part(
            path="fields",
            role="fields",
            text="\n".join(f"{_line(label)}: {_value(custom_fields[label])}" for label in sorted(custom_fields)),
            metadata=public_metadata({"custom_fields": custom_fields}),
        ),
        *spoken,
        Part(path="resolution", role="comment", text=_markdown(ticket.resolution)),
        _attachments("attachments", attached[Visibility.PUBLIC], Visibility.PUBLIC),
        _attachments("attachments-internal", attached[Visibility.INTERNAL], Visibility.INTERNAL),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="tickets",
        record_id=record_id,
        title=title,
        url=_web(ticket.web_url),
        parts=[part for part in parts if part.text],
        attachments=[file for level, files in attached.items() for file in _files(files, level)],
        visibility=Visibility.PUBLIC,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "ticket",
                "ticket_number": ticket.ticket_number,
                "status": _line(ticket.status_type or ticket.status).lower(),
                "status_name": _line(ticket.status),
                "priority": _line(ticket.priority or "").lower(),
                "channel": _line(ticket.channel or "").lower(),
                "category": _line(ticket.category or ""),
                "sub_category": _line(ticket.sub_category or ""),
                "classification": _line(ticket.classification or ""),
                "language": ticket.language,
                "requester": _person(ticket.contact),
                "agent": _person(ticket.assignee),
                "department": _name(ticket.department),
                "group": _name(ticket.team),
                "created_at": ticket.created_time,
                "updated_at": ticket.modified_time,
                "closed_at": ticket.closed_time,
                "due_by": ticket.due_date,
                "has_attachments": bool(attached[Visibility.PUBLIC]),
                "attachment_count": len(attached[Visibility.PUBLIC]),
                "conversation_count": sum(part.visibility is Visibility.PUBLIC for part in spoken if part.text),
            }
        ),
    )


def _article_visibility(*articles: _Article) -> Visibility:
    """The narrowest that the permission of any of them and the status of the last, which is shown, allow.

    An unknown permission is for nobody.
    """
    *above, shown = articles
    levels = [_PERMISSIONS.get(shown.permission or above[0].permission or "", Visibility.RESTRICTED)]
    levels += [_PERMISSIONS.get(article.permission or "", Visibility.RESTRICTED) for article in above]
    if shown.status != "Published":
        levels.append(Visibility.INTERNAL)
    return max(levels, key=_FROM_WIDE_TO_NARROW.index)


def _url(article: _Article, visibility: Visibility) -> str | None:
    """Where readers find a public article, and agents any other."""
    portal = _web(article.portal_url) if visibility is Visibility.PUBLIC else None
    return portal or _web(article.web_url)


def _web(url: str | None) -> str | None:
    return url if url and url.startswith(("https://", "http://")) else None


def _header(ticket: _Ticket, title: str) -> str:
    requester, created = _person(ticket.contact), utc_time(ticket.created_time, "%Y-%m-%d")
    lines = [
        f"Ticket {ticket.ticket_number or ticket.id}: {title}",
        f"Requester: {requester}" if requester else "",
        f"Created: {created}" if created else "",
    ]
    return "\n".join(line for line in lines if line)


def _description(ticket: _Ticket, sent: list[_Thread]) -> tuple[Part, list[_Thread]]:
    """The description, and the threads without those that repeat it.

    A ticket that came as a mail often has no description of its own: then its first thread is that.
    """
    text = _markdown(ticket.description, is_mail=True)
    if text:
        first = sent[:1]
        repeated = [thread for thread in first if _mail(thread).split() == text.split()]
        threads = [thread for thread in sent if thread.is_description_thread is not True and thread not in repeated]
        return Part(path="description", role="description", text=text, visibility=Visibility.PUBLIC), threads
    for thread in sent:
        if thread.is_description_thread is True:
            threads = [other for other in sent if other is not thread]
            return _part("description", "description", _mail(thread), _said_to(thread)), threads
    return _part("description", "description", "", Visibility.PUBLIC), sent


def _part(path: str, role: str, text: str, visibility: Visibility) -> Part:
    return Part(path=path, role=role, text=text, visibility=visibility)


def _thread(thread: _Thread) -> Part:
    is_customer = thread.direction == "in"
    author = _person(thread.author) or _sender(thread.from_email_address)
    return Part(
        path=f"thread-{thread.id}",
        role="comment",
        text=_said(author, is_customer, thread.created_time, _mail(thread)),
        visibility=_said_to(thread),
        metadata=public_metadata(
            {
                "author": author,
                "created_at": thread.created_time,
                "incoming": is_customer,
                "conversation_id": thread.id,
            }
        ),
    )


def _comment(comment: _Comment) -> Part:
    author = _person(comment.commenter)
    is_customer = comment.commenter is not None and comment.commenter.type == "END_USER"
    text = _markdown(_with_names(comment.content or "", comment.mention or []))
    return Part(
        path=f"comment-{comment.id}",
        role="comment",
        text=_said(author, is_customer, comment.commented_time, text),
        visibility=_said_to(comment),
        metadata=public_metadata(
            {"author": author, "created_at": comment.commented_time, "conversation_id": comment.id}
        ),
    )


def _said(author: str | None, is_customer: bool, time: str | None, text: str) -> str:
    role = "customer" if is_customer else "agent"
    moment = utc_time(time, "%Y-%m-%d %H:%M UTC")
    opening = ", ".join(word for word in (f"{author} ({role})" if author else role.capitalize(), moment) if word)
    return f"{opening}:\n{text}" if text else ""


def _said_to(item: _Thread | _Comment) -> Visibility:
    """Public is only what Zoho calls so; a mail that was passed on went to others than the customer."""
    if isinstance(item, _Comment):
        return Visibility.PUBLIC if item.is_public is True else Visibility.INTERNAL
    return Visibility.PUBLIC if item.visibility == "public" and not item.is_forward else Visibility.INTERNAL


def _never_sent(is_draft: Any, status: Any) -> bool:
    return is_draft is True or (isinstance(status, str) and status.upper() == "DRAFT")


def _with_names(content: str, mentions: list[_Mention]) -> str:
    """Mentions (`zsu[@user:55]zsu`, `zsu[@team:7_Support]zsu`) as `@name`; without one they go."""
    names = {key: _person(mention) for mention in mentions for key in (mention.id, mention.zuid) if key}

    def name_of(match: re.Match[str]) -> str:
        kind, value, space = match.groups()
        name = value.partition("_")[2] if kind == "team" else names.get(value)
        return html.escape(f"@{name}") + space if name else ""

    return _MENTION.sub(name_of, content)


def _mail(thread: _Thread) -> str:
    """A thread's own words: without quoted mails and signature."""
    if thread.content and thread.content_type in _HTML:
        return _normal(strip_mail(thread.content))
    return _markdown(thread.content or thread.plain_text, is_mail=True)


def _files(attachments: list[_Attachment], visibility: Visibility) -> list[Attachment]:
    """Files that Zoho gives an address within its API."""
    return [
        Attachment(
            locator=path,
            path=f"attachment-{file.id}",
            name=_line(file.name),
            size=int(file.size) if file.size is not None and str(file.size).isdigit() else None,
            visibility=visibility,
        )
        for file in attachments
        if file.id
        for path in _API_PATH.findall(file.href or "")
    ]


def _attachments(path: str, attachments: list[_Attachment], visibility: Visibility) -> Part:
    return _part(path, "attachments", "\n".join(map(_attachment_line, attachments)), visibility)


def _attachment_line(attachment: _Attachment) -> str:
    name = _line(attachment.name)
    return f"{name} ({attachment.size} bytes)" if attachment.size not in (None, "") else name


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_value, value)) if isinstance(value, list) else _line(str(value))


def _tag(tag: str | _Named) -> str | None:
    return _line(tag) if isinstance(tag, str) else _name(tag)


def _name(named: _Named | None) -> str | None:
    return _line(named.name or "") or None if named else None


def _person(person: _Person | _Mention | None) -> str | None:
    """A person's name; a mail address is none."""
    if person is None:
        return None
    name = _line(person.name or " ".join(filter(None, [person.first_name, person.last_name])))
    return name if name and "@" not in name else None


def _sender(address: str | None) -> str | None:
    """The name in `"Name"<mail@host>`."""
    return _person(_Person(name=parseaddr(address or "")[0]))


def _markdown(text: str | None, *, is_mail: bool = False) -> str:
    return _normal(to_markdown(text or "", is_mail=is_mail))


def _line(text: str) -> str:
    """Plain text on one line, entities decoded."""
    return " ".join(_normal(decode(text)).split())


def _normal(text: str) -> str:
    """One form for characters that look alike (NFKC), as older collections of these articles have it."""
    return unicodedata.normalize("NFKC", text).strip()
