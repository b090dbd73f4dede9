"""From what Freshdesk sends to documents: which texts there are, who may find them, and what stands beside them.

What belongs here: pure functions of a payload as `freshdesk.py` builds it. Embedded texts hold nothing that changes
without the words changing (status, priority, tags, visibility), and no signed URL or mail address.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from sync_assets.documents import Attachment, Document, Part, Visibility, public_metadata
from sync_assets.sources.payloads import Payload, read_payload, utc_time
from sync_assets.text import decode, html_to_markdown, strip_mail

PLATFORM = "freshdesk"

# Freshdesk API documentation, "Ticket Properties"; custom statuses have ids from 6 and their label from the account.
_STATUSES = {2: "open", 3: "pending", 4: "resolved", 5: "closed"}
_PRIORITIES = {1: "low", 2: "medium", 3: "high", 4: "urgent"}
_CHANNELS = {1: "email", 2: "portal", 3: "phone", 7: "chat", 9: "feedback widget", 10: "outbound email"}
# "Solutions": type and status of an article.
_ARTICLE_TYPES = {1: "permanent", 2: "workaround"}
# "Solutions", visibility of a folder: all and logged-in users; agents and bots; all others name companies or segments.
_PUBLIC_FOLDERS = (1, 2)
_INTERNAL_FOLDERS = (3, 5)

Scalar = str | int | float | bool


class _Attachment(Payload):
    id: int | None = None
    name: str
    content_type: str | None = None
    size: int | None = None


class _Conversation(Payload):
    id: int
    body: str | None = None
    private: bool = True
    incoming: bool = False
    user_id: int | None = None
    created_at: str | None = None
    attachments: list[_Attachment] | None = None


class _Ticket(Payload):
    id: int
    subject: str | None = None
    description: str | None = None
    status: int
    priority: int | None = None
    source: int | None = None
    type: str | None = None
    tags: list[str] | None = None
    requester_id: int | None = None
    responder_id: int | None = None
    company_id: int | None = None
    product_id: int | None = None
    custom_fields: dict[str, Scalar | list[Scalar] | None] | None = None
    created_at: str | None = None
    updated_at: str | None = None
    due_by: str | None = None


class _Names(Payload):
    status: str | None = None
    group: str | None = None
    requester: str | None = None
    agents: dict[str, str] = Field(default_factory=dict[str, str])
    fields: dict[str, str] = Field(default_factory=dict[str, str])


class _TicketPayload(Payload):
    ticket: _Ticket
    conversations: list[_Conversation]
    attachments: list[_Attachment] = []
    names: _Names = Field(default_factory=_Names)


class _Category(Payload):
    name: str | None = None


class _Folder(Payload):
    name: str | None = None
    visibility: int | None = None
    company_ids: list[int] | None = None
    contact_segment_ids: list[int] | None = None
    company_segment_ids: list[int] | None = None


class _Article(Payload):
    id: int
    title: str
    description: str | None = None
    type: int | None = None
    tags: list[str] | None = None
    attachments: list[_Attachment] | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _ArticlePayload(Payload):
    article: _Article
    folder: _Folder
    category: _Category
    language: str | None = None


def ticket_document(tenant: str, base_url: str, record_id: str, payload: Any) -> Document:
    """A ticket: its subject, description, custom fields, replies, notes and the names of its attachments.

    `public` means here "not for agents only": a ticket is a conversation between a customer and the company, and is
    never readable by the world. Description and replies are public; private notes, their attachments and the custom
    fields (which may be hidden from customers) are internal. The metadata stand beside public texts, so they count
    public things only, and the custom fields' values stand with their own part.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_TicketPayload, payload)
    ticket, names = read.ticket, read.names
    description = strip_mail(ticket.description or "")
    threads = [(conversation, strip_mail(conversation.body or "")) for conversation in read.conversations]
    threads = threads[_repeats_description(threads, description) :]
    attached = {
        Visibility.PUBLIC: list(read.attachments),
        Visibility.INTERNAL: [],
    }
    for conversation in read.conversations:
        attached[_conversation_visibility(conversation)] += conversation.attachments or []
    title = decode(ticket.subject or "") or f"Ticket {ticket.id}"
    custom_fields = public_metadata({"custom_fields": public_metadata(ticket.custom_fields or {})})
    parts = [
        Part(path="header", role="header", text=_header(ticket, names, title), visibility=Visibility.PUBLIC),
        Part(path="description", role="description", text=description, visibility=Visibility.PUBLIC),
        Part(path="fields", role="fields", text=_fields(ticket, names), metadata=custom_fields),
        *(_comment(conversation, text, ticket, names) for conversation, text in threads),
        _attachments("attachments", attached[Visibility.PUBLIC], Visibility.PUBLIC),
        _attachments("attachments-internal", attached[Visibility.INTERNAL], Visibility.INTERNAL),
    ]
    public_attachments = len(attached[Visibility.PUBLIC])
    public_conversations = sum(
        _conversation_visibility(conversation) is Visibility.PUBLIC for conversation in read.conversations
    )
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="tickets",
        record_id=record_id,
        title=title,
        url=f"{base_url}/a/tickets/{ticket.id}",
        parts=[part for part in parts if part.text],
        attachments=[file for level, files in attached.items() for file in _files(f"ticket/{ticket.id}", files, level)],
        visibility=Visibility.PUBLIC,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "ticket",
                "status": _status(ticket.status, names),
                "status_id": ticket.status,
                "priority": _word(_PRIORITIES, ticket.priority, "priority"),
                "priority_id": ticket.priority,
                "type": decode(ticket.type or ""),
                "tags": ticket.tags,
                "group": names.group,
                "agent": names.agents.get(str(ticket.responder_id)),
                "requester": names.requester,
                "company_id": ticket.company_id,
                "product_id": ticket.product_id,
                "channel": _word(_CHANNELS, ticket.source, "channel"),
                "channel_id": ticket.source,
                "created_at": ticket.created_at,
                "updated_at": ticket.updated_at,
                "due_by": ticket.due_by,
                "has_attachments": public_attachments > 0,
                "attachment_count": public_attachments,
                "conversation_count": public_conversations,
            }
        ),
    )


def article_document(tenant: str, base_url: str, record_id: str, payload: Any) -> Document:
    """A published solution article in one language; its folder's visibility says who may find it.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_ArticlePayload, payload)
    article = read.article
    visibility, principals = _folder_visibility(read.folder)
    title = decode(article.title)
    attachments = article.attachments or []
    translation = record_id.removeprefix(f"article-{article.id}").removeprefix("-")
    parts = [
        Part(path="header", role="header", text=title),
        Part(path="body", role="section", text=html_to_markdown(article.description or "")),
        _attachments("attachments", attachments, visibility),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="articles",
        record_id=record_id,
        title=title,
        url=f"{base_url}/a/solutions/articles/{article.id}" + (f"?lang={translation}" if translation else ""),
        parts=[
            part.model_copy(update={"visibility": visibility, "principals": principals}) for part in parts if part.text
        ],
        attachments=[
            file.model_copy(update={"principals": principals})
            for file in _files(f"article/{record_id.removeprefix('article-')}", attachments, visibility)
        ],
        visibility=visibility,
        principals=principals,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "article",
                "category": decode(read.category.name or ""),
                "folder": decode(read.folder.name or ""),
                "language": read.language,
                "article_type": _word(_ARTICLE_TYPES, article.type, "type"),
                "article_type_id": article.type,
                "tags": article.tags,
                "created_at": article.created_at,
                "updated_at": article.updated_at,
                "has_attachments": bool(attachments),
                "attachment_count": len(attachments),
            }
        ),
    )


def _header(ticket: _Ticket, names: _Names, title: str) -> str:
    lines = [
        f"Ticket {ticket.id}: {title}",
        f"Requester: {names.requester}" if names.requester else "",
        f"Created: {utc_time(ticket.created_at, '%Y-%m-%d')}" if utc_time(ticket.created_at, "%Y-%m-%d") else "",
    ]
    return "\n".join(line for line in lines if line)


def _fields(ticket: _Ticket, names: _Names) -> str:
    """Custom fields by label, ordered by their key; empty ones left out."""
    values = public_metadata(ticket.custom_fields or {})
    return "\n".join(f"{names.fields.get(key, key)}: {_value(values[key])}" for key in sorted(values))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_value, value)) if isinstance(value, list) else decode(str(value))


def _comment(conversation: _Conversation, text: str, ticket: _Ticket, names: _Names) -> Part:
    author, role = _author(conversation, ticket, names)
    time = utc_time(conversation.created_at, "%Y-%m-%d %H:%M UTC")
    opening = ", ".join(word for word in (f"{author} ({role})" if author else role.capitalize(), time) if word)
    return Part(
        path=f"conversation-{conversation.id}",
        role="comment",
        text=f"{opening}:\n{text}" if text else "",
        visibility=_conversation_visibility(conversation),
        metadata=public_metadata(
            {
                "author": author,
                "created_at": conversation.created_at,
                "incoming": conversation.incoming,
                "conversation_id": conversation.id,
            }
        ),
    )


def _author(conversation: _Conversation, ticket: _Ticket, names: _Names) -> tuple[str | None, str]:
    agent = names.agents.get(str(conversation.user_id))
    if agent:
        return agent, "agent"
    if conversation.user_id is not None and conversation.user_id == ticket.requester_id:
        return names.requester, "customer"
    return None, "customer" if conversation.incoming else "agent"


def _repeats_description(threads: list[tuple[_Conversation, str]], description: str) -> int:
    """1 where the first conversation is the description again, as in tickets made from a web chat; else 0."""
    if not threads or not description:
        return 0
    conversation, text = threads[0]
    return int(not conversation.private and text.split() == description.split())


def _conversation_visibility(conversation: _Conversation) -> Visibility:
    return Visibility.INTERNAL if conversation.private else Visibility.PUBLIC


def _files(owner: str, attachments: Iterable[_Attachment], visibility: Visibility) -> list[Attachment]:
    """Files of a ticket or article; one without an id can't be asked for.

    Args:
        owner: beginning of the locators, see `freshdesk.Source.read_file`.
    """
    return [
        Attachment(
            locator=f"{owner}/{file.id}",
            path=f"attachment-{file.id}",
            name=decode(file.name),
            content_type=file.content_type or "",
            size=file.size,
            visibility=visibility,
        )
        for file in attachments
        if file.id is not None
    ]


def _attachments(path: str, attachments: list[_Attachment], visibility: Visibility) -> Part:
    return Part(
        path=path, role="attachments", text="\n".join(map(_attachment_line, attachments)), visibility=visibility
    )


def _attachment_line(attachment: _Attachment) -> str:
    size = f"{attachment.size} bytes" if attachment.size is not None else ""
    facts = ", ".join(fact for fact in (attachment.content_type or "", size) if fact)
    return f"{decode(attachment.name)} ({facts})" if facts else decode(attachment.name)


def _folder_visibility(folder: _Folder) -> tuple[Visibility, list[str]]:
    """Unknown values count as the narrowest: restricted to nobody."""
    if folder.visibility in _PUBLIC_FOLDERS:
        return Visibility.PUBLIC, []
    if folder.visibility in _INTERNAL_FOLDERS:
        return Visibility.INTERNAL, []
    return Visibility.RESTRICTED, sorted(_principals(folder))


def _principals(folder: _Folder) -> Iterator[str]:
    yield from (f"company:{item}" for item in folder.company_ids or [])
    yield from (f"contact_segment:{item}" for item in folder.contact_segment_ids or [])
    yield from (f"company_segment:{item}" for item in folder.company_segment_ids or [])


def _status(status: int, names: _Names) -> str:
    return _STATUSES.get(status) or (names.status or f"status {status}").lower()


def _word(words: dict[int, str], code: int | None, kind: str) -> str | None:
    return None if code is None else words.get(code, f"{kind} {code}")
