"""From rows of a ticket portal to documents: which texts there are, who may find them, and what stands beside them.

What belongs here: pure functions of a payload as `ticket_portal.py` builds it. Embedded texts hold nothing that changes
without the words changing (status, priority, tags, visibility), and internal facts stand beside internal parts only.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

from sync_assets.documents import Attachment, Document, Part, Visibility, public_metadata
from sync_assets.sources.payloads import Payload, read_payload, utc_time
from sync_assets.text import decode, repair, to_markdown

PLATFORM = "ticket_portal"

# Checkboxes keep a JSON list. What a field was whose definition is gone is not known.
_LIST_TYPES = ("checkbox", None)

Text = Annotated[str, AfterValidator(repair)]


class _Category(Payload):
    name: Text | None = None


class _Person(Payload):
    first_name: Text | None = None
    last_name: Text | None = None
    department: Text | None = None
    role: Text | None = None


class _Ticket(Payload):
    ticket_id: int
    ticket_number: Text | None = None
    title: Text | None = None
    description: Text | None = None
    priority: Text | None = None
    ticket_type: Text | None = None
    status: Text | None = None
    source: Text | None = None
    created_at: str | None = None
    updated_at: str | None = None
    resolved_at: str | None = None
    resolution: Text | None = None
    satisfaction_rating: int | None = None


class _Comment(Payload):
    comment_id: int
    comment: Text | None = None
    is_internal: bool | None = None
    created_at: str | None = None
    author: _Person | None = None


class _Field(Payload):
    field_id: int
    field_name: Text | None = None
    field_label: Text | None = None
    field_type: Text | None = None
    field_order: int | None = None
    field_value: Text | None = None


class _Attachment(Payload):
    attachment_id: int
    filename: Text | None = None
    filepath: str | None = None  # as it stands: a repaired path would name another file
    filesize: int | None = None
    uploaded_at: str | None = None


class _RelatedItem(Payload):
    ci_id: int
    ci_number: Text | None = None
    name: Text | None = None
    type: Text | None = None


class _TicketPayload(Payload):
    ticket: _Ticket
    category: _Category | None = None
    requester: _Person | None = None
    agent: _Person | None = None
    comments: list[_Comment]
    fields: list[_Field]
    attachments: list[_Attachment]
    related_cis: list[_RelatedItem]


class _Article(Payload):
    kb_id: int
    title: Text | None = None
    content: Text | None = None
    tags: Text | None = None
    is_published: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _ArticlePayload(Payload):
    article: _Article
    category: _Category | None = None
    author: _Person | None = None


class _Item(Payload):
    ci_id: int
    ci_number: Text | None = None
    type: Text | None = None
    category: Text | None = None
    brand: Text | None = None
    model: Text | None = None
    name: Text | None = None
    serial_number: Text | None = None
    asset_tag: Text | None = None
    status: Text | None = None
    department: Text | None = None
    location: Text | None = None
    purchase_date: str | None = None
    supplier: Text | None = None
    warranty_expiry: str | None = None
    notes: Text | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _ItemPayload(Payload):
    item: _Item
    owner: _Person | None = None


def ticket_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A ticket: its title, description, dynamic fields, comments, resolution, attachment names and related items.

    `public` means here "also for the requester". Internal comments are internal, as are related configuration items,
    which belong to asset administration. The metadata stand beside public texts, so they tell of public things only.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    found = read_payload(_TicketPayload, payload)
    ticket, channel = found.ticket, _line(found.ticket.source)
    is_mail = channel.casefold() == "email"
    comments = sorted(found.comments, key=lambda comment: comment.comment_id)
    parts = [
        _public("header", _header(found)),
        _public("description", to_markdown(ticket.description or "", is_mail=is_mail)),
        _fields(found.fields),
        *(_comment(comment, is_mail) for comment in comments),
        _public("resolution", to_markdown(ticket.resolution or "")),
        _attachments(found.attachments),
        _related_items(found.related_cis),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="tickets",
        record_id=record_id,
        title=_line(ticket.title) or _ticket_name(ticket),
        parts=[part for part in parts if part.text],
        attachments=_files(found.attachments),
        visibility=Visibility.PUBLIC,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "ticket",
                "ticket_id": ticket.ticket_id,
                "ticket_number": _line(ticket.ticket_number),
                "status": _line(ticket.status),
                "priority": _line(ticket.priority),
                "type": _line(ticket.ticket_type),
                "category": _category(found.category),
                "channel": channel,
                "requester": _name(found.requester),
                "department": _line(found.requester.department) if found.requester else None,
                "agent": _name(found.agent),
                "created_at": ticket.created_at,
                "updated_at": ticket.updated_at,
                "resolved_at": ticket.resolved_at,
                "satisfaction_rating": ticket.satisfaction_rating,
                "comment_count": sum(_visibility(comment) is Visibility.PUBLIC for comment in comments),
                "has_attachments": bool(found.attachments),
                "attachment_count": len(found.attachments),
            }
        ),
    )


def article_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A knowledge-base article; public where it is published, else internal.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    found = read_payload(_ArticlePayload, payload)
    article = found.article
    visibility = Visibility.PUBLIC if article.is_published else Visibility.INTERNAL
    title = _line(article.title) or f"Article {article.kb_id}"
    parts = [
        Part(path="header", role="header", text=title, visibility=visibility),
        Part(path="body", role="section", text=to_markdown(article.content or ""), visibility=visibility),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="knowledge_base",
        record_id=record_id,
        title=title,
        parts=[part for part in parts if part.text],
        visibility=visibility,
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "kb_article",
                "kb_id": article.kb_id,
                "category": _category(found.category),
                "author": _name(found.author),
                "tags": [tag for tag in map(_line, (article.tags or "").split(",")) if tag],
                "created_at": article.created_at,
                "updated_at": article.updated_at,
            }
        ),
    )


def item_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A configuration item: its specification and its notes. All of it is internal.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    found = read_payload(_ItemPayload, payload)
    item = found.item
    specification = {
        "CI": item.ci_number,
        "Type": item.type,
        "Name": item.name,
        "Brand": item.brand,
        "Model": item.model,
        "Serial number": item.serial_number,
        "Asset tag": item.asset_tag,
        "Category": item.category,
        "Department": item.department,
        "Location": item.location,
        "Supplier": item.supplier,
    }
    parts = [
        Part(
            path="specification",
            role="ci_item",
            text=_labelled({label: _line(fact) for label, fact in specification.items()}),
        ),
        Part(path="notes", role="notes", text=to_markdown(item.notes or "")),
    ]
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream="configuration_items",
        record_id=record_id,
        title=_line(item.name) or _line(item.ci_number) or f"CI {item.ci_id}",
        parts=[part for part in parts if part.text],
        metadata=public_metadata(
            {
                "platform": PLATFORM,
                "doc_type": "ci_item",
                "ci_id": item.ci_id,
                "ci_number": _line(item.ci_number),
                "type": _line(item.type),
                "name": _line(item.name),
                "brand": _line(item.brand),
                "model": _line(item.model),
                "status": _line(item.status),
                "owner": _name(found.owner),
                "purchase_date": item.purchase_date,
                "warranty_expiry": item.warranty_expiry,
                "created_at": item.created_at,
                "updated_at": item.updated_at,
            }
        ),
    )


def _public(role: str, text: str, metadata: dict[str, Any] | None = None) -> Part:
    return Part(path=role, role=role, text=text, visibility=Visibility.PUBLIC, metadata=metadata or {})


def _header(found: _TicketPayload) -> str:
    name, title = _ticket_name(found.ticket), _line(found.ticket.title)
    facts = _labelled({"Category": _category(found.category), "Requester": _name(found.requester)})
    return "\n".join(line for line in (f"{name}: {title}" if title else name, facts) if line)


def _ticket_name(ticket: _Ticket) -> str:
    return f"Ticket {_line(ticket.ticket_number) or ticket.ticket_id}"


def _fields(fields: Sequence[_Field]) -> Part:
    """The filled fields in the form's order; those without a definition stand last."""
    lines: list[str] = []
    values: dict[str, str | list[str]] = {}
    for field in sorted(fields, key=lambda field: (field.field_order is None, field.field_order, field.field_id)):
        value = _value(field)
        if value:
            name = _line(field.field_name) or f"field {field.field_id}"
            values[f"{name} {field.field_id}" if name in values else name] = value
            lines.append(f"{_line(field.field_label) or name}: {value if isinstance(value, str) else ', '.join(value)}")
    return _public("fields", "\n".join(lines), public_metadata({"fields": values}))


def _value(field: _Field) -> str | list[str]:
    """What was filled in, as one line, or as a list of such lines where several things could be ticked."""
    text = field.field_value or ""
    if field.field_type in _LIST_TYPES:
        try:
            items: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            items = None
        if isinstance(items, list):
            # JSON may have hidden what is to be repaired behind its escapes.
            ticked = [_one_line(repair(str(item))) for item in items if item is not None]
            return [item for item in ticked if item]
    return _one_line(text)


def _comment(comment: _Comment, is_mail: bool) -> Part:
    author, role = _name(comment.author), _line(comment.author.role) if comment.author else ""
    writer = f"{author} ({role})" if author and role else author or role.capitalize() or "Comment"
    time = utc_time(comment.created_at, "%Y-%m-%d %H:%M UTC")
    opening = ", ".join(word for word in (writer, time) if word)
    text = to_markdown(comment.comment or "", is_mail=is_mail)
    return Part(
        path=f"comment-{comment.comment_id}",
        role="comment",
        text=f"{opening}:\n{text}" if text else "",
        visibility=_visibility(comment),
        metadata=public_metadata(
            {"author": author, "created_at": comment.created_at, "comment_id": comment.comment_id}
        ),
    )


def _visibility(comment: _Comment) -> Visibility:
    """Unknown counts as internal."""
    return Visibility.PUBLIC if comment.is_internal is False else Visibility.INTERNAL


def _attachments(attachments: Sequence[_Attachment]) -> Part:
    names = [_line(item.filename) for item in sorted(attachments, key=lambda item: item.attachment_id)]
    return _public("attachments", "\n".join(name for name in names if name))


def _files(attachments: Sequence[_Attachment]) -> list[Attachment]:
    """Attachments whose path is known and can be one, see `ticket_portal.Source.read_file` for their locators."""
    return [
        Attachment(
            locator=f"{item.attachment_id} {item.uploaded_at or '-'} {item.filesize or 0} {item.filepath}",
            path=f"attachment-{item.attachment_id}",
            name=_line(item.filename) or PurePath(item.filepath).name,
            size=item.filesize,
            visibility=Visibility.PUBLIC,
        )
        for item in sorted(attachments, key=lambda item: item.attachment_id)
        if item.filepath and "\0" not in item.filepath
    ]


def _related_items(items: Sequence[_RelatedItem]) -> Part:
    items = sorted(items, key=lambda item: item.ci_id)
    numbers = [number for item in items if (number := _line(item.ci_number))]
    return Part(
        path="related_cis",
        role="related_cis",
        text="\n".join(line for line in map(_related_item, items) if line),
        metadata=public_metadata({"ci_ids": [f"ci-{item.ci_id}" for item in items], "ci_numbers": numbers}),
    )


def _related_item(item: _RelatedItem) -> str:
    """Empty where the item itself is gone."""
    described = ": ".join(word for word in (_line(item.ci_number), _line(item.name)) if word)
    kind = _line(item.type)
    return f"{described} ({kind})" if described and kind else described


def _category(category: _Category | None) -> str:
    return _line(category.name) if category else ""


def _name(person: _Person | None) -> str:
    return _line(f"{person.first_name or ''} {person.last_name or ''}") if person else ""


def _labelled(facts: Mapping[str, str]) -> str:
    """A line for each fact that is known."""
    return "\n".join(f"{label}: {fact}" for label, fact in facts.items() if fact)


def _line(text: str | None) -> str:
    """A name or other short text, on one line."""
    return decode(text or "")


def _one_line(text: str) -> str:
    """A body on one line."""
    return " ".join(to_markdown(text).split())
