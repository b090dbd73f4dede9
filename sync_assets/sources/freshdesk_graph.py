"""What Freshdesk's fields tell of the knowledge graph: who asked, who answers, and where a record belongs.

What belongs here: pure functions of a payload as `freshdesk.py` builds it, and of its document. What stands in the
document's public metadata may be known to customers; addresses, phones and companies may not.
"""

from collections.abc import Iterator
from typing import Any

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import (
    Id,
    Loose,
    belongs_to,
    known,
    line,
    other,
    person,
    relate,
    relate_person,
    state_of,
    told,
)

_PLATFORM = "freshdesk"

_OPEN, _RESOLVED = (2, 3), (4, 5)
# What accounts call their own statuses that end a ticket.
_ENDS = frozenset(
    {"resolved", "closed", "solved", "done", "completed", "cancelled", "opgelost", "gesloten", "afgerond"}
)


class _Requester(Loose):
    email: str | None = None
    phone: str | None = None
    mobile: str | None = None


class _Ticket(Loose):
    id: Id | None = None
    status: int | None = None
    requester_id: Id | None = None
    responder_id: Id | None = None
    company_id: Id | None = None
    group_id: Id | None = None
    product_id: Id | None = None
    requester: _Requester = _Requester()


class _Names(Loose):
    status: str | None = None
    group: str | None = None
    requester: str | None = None
    agents: dict[str, str] = {}
    agent_email: str | None = None


class _TicketPayload(Loose):
    ticket: _Ticket = _Ticket()
    names: _Names = _Names()


class _Numbered(Loose):
    id: Id | None = None
    name: str | None = None
    agent_id: Id | None = None


class _ArticlePayload(Loose):
    article: _Numbered = _Numbered()
    category: _Numbered = _Numbered()


def with_graph(document: Document, base_url: str, payload: Any) -> Document:
    """A document of any stream with its entity and its relations."""
    if document.stream == "tickets":
        return _ticket(document, base_url, _TicketPayload.model_validate(payload))
    return _article(document, base_url, _ArticlePayload.model_validate(payload))


def _ticket(document: Document, base_url: str, read: _TicketPayload) -> Document:
    ticket, names = read.ticket, read.names
    requester = _requester(ticket, names)
    company = known(NodeKind.ORGANISATION, _PLATFORM, ticket.company_id)
    return told(
        document,
        NodeKind.TICKET,
        relate_person(EdgeKind.CREATED_BY, requester),
        relate_person(EdgeKind.ASSIGNED_TO, _agent(ticket.responder_id, names)),
        relate(EdgeKind.BELONGS_TO, known(NodeKind.DEPARTMENT, _PLATFORM, ticket.group_id, names.group)),
        relate(EdgeKind.BELONGS_TO, company, internal=True),
        belongs_to(requester, company),
        relate(EdgeKind.AFFECTS, known(NodeKind.PRODUCT, _PLATFORM, ticket.product_id)),
        aliases=(f"#{ticket.id}", f"{base_url}/support/tickets/{ticket.id}") if ticket.id is not None else (),
        scope=_PLATFORM,
        facts={"state": state_of(_is_resolved(ticket, names))},
    )


def _article(document: Document, base_url: str, read: _ArticlePayload) -> Document:
    article, category = read.article, read.category
    return told(
        document,
        NodeKind.ARTICLE,
        relate_person(EdgeKind.CREATED_BY, person(_PLATFORM, article.agent_id, None)),
        relate(EdgeKind.BELONGS_TO, known(NodeKind.CATEGORY, _PLATFORM, category.id, category.name)),
        _translated(document, article),
        # Readers see the language they chose, so that this address is the article's and no translation's.
        aliases=(f"{base_url}/support/solutions/articles/{article.id}",) if _is_original(document, article) else (),
        scope=_PLATFORM,
    )


def _is_original(document: Document, article: _Numbered) -> bool:
    return document.record_id == f"article-{article.id}"


def _translated(document: Document, article: _Numbered) -> Iterator[Relation]:
    """That a translation belongs to its article, which has the number alone for its id."""
    if article.id is not None and not _is_original(document, article):
        yield from relate(EdgeKind.BELONGS_TO, other(document, NodeKind.ARTICLE, f"article-{article.id}"))


def _requester(ticket: _Ticket, names: _Names) -> Entity | None:
    said = ticket.requester
    return person(_PLATFORM, ticket.requester_id, names.requester, email=said.email, phone=said.phone or said.mobile)


def _agent(agent_id: Id | None, names: _Names) -> Entity | None:
    return person(_PLATFORM, agent_id, names.agents.get(str(agent_id)), email=names.agent_email)


def _is_resolved(ticket: _Ticket, names: _Names) -> bool:
    """An account's own status counts by its name, where the account tells it."""
    if ticket.status in (*_OPEN, *_RESOLVED):
        return ticket.status in _RESOLVED
    return line(names.status).lower() in _ENDS
