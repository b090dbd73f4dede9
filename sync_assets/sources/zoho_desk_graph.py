"""What Zoho Desk's fields tell of the knowledge graph: who asked, who answers, and where a record belongs.

What belongs here: pure functions of a payload as `zoho_desk.py` builds it, and of its document. What stands in the
document's public metadata may be known to customers; addresses, phones and accounts may not.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import (
    Id,
    Loose,
    belongs_to,
    known,
    named,
    other,
    person,
    relate,
    relate_person,
    state_of,
    told,
)

_PLATFORM = "zoho_desk"


class _Part(Loose):
    """Base of what Zoho sends, whose names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Named(_Part):
    id: Id | None = None
    name: str | None = None


class _Account(_Part):
    id: Id | None = None
    account_name: str | None = None


class _Person(_Part):
    id: Id | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile: str | None = None
    account: _Account = _Account()

    def entity(self, number: Id | None) -> Entity | None:
        """Args:
        number: its id as the record itself has it, for where the person was not sent along.
        """
        name = self.name or " ".join(filter(None, (self.first_name, self.last_name)))
        return person(_PLATFORM, self.id or number, name, email=self.email, phone=self.phone or self.mobile)


class _Ticket(_Part):
    ticket_number: Id | None = None
    status: str | None = None
    status_type: str | None = None
    category: str | None = None
    contact_id: Id | None = None
    account_id: Id | None = None
    assignee_id: Id | None = None
    department_id: Id | None = None
    team_id: Id | None = None
    product_id: Id | None = None
    contact: _Person = _Person()
    assignee: _Person = _Person()
    department: _Named = _Named()
    team: _Named = _Named()


class _TicketPayload(_Part):
    ticket: _Ticket = _Ticket()


class _Article(_Part):
    id: Id | None = None
    category_id: Id | None = None
    department_id: Id | None = None
    author_id: Id | None = None
    category: _Named = _Named()
    author: _Person = _Person()
    web_url: str | None = None
    portal_url: str | None = None


class _ArticlePayload(_Part):
    article: _Article = _Article()
    translation: _Article | None = None


def with_graph(document: Document, payload: Any) -> Document:
    """A document of any stream with its entity and its relations."""
    if document.stream == "tickets":
        return _ticket(document, _TicketPayload.model_validate(payload).ticket)
    return _article(document, _ArticlePayload.model_validate(payload))


def _ticket(document: Document, ticket: _Ticket) -> Document:
    contact, account = ticket.contact.entity(ticket.contact_id), ticket.contact.account
    # The ticket's account may be another one than the contact's own.
    own = known(NodeKind.ORGANISATION, _PLATFORM, account.id, account.account_name)
    customer = own if ticket.account_id in (None, account.id) else None
    department, team = ticket.department, ticket.team
    return told(
        document,
        NodeKind.TICKET,
        relate_person(EdgeKind.CREATED_BY, contact),
        relate_person(EdgeKind.ASSIGNED_TO, ticket.assignee.entity(ticket.assignee_id)),
        _belongs(NodeKind.DEPARTMENT, department.id or ticket.department_id, department.name),
        _belongs(NodeKind.DEPARTMENT, team.id or ticket.team_id, team.name),
        relate(EdgeKind.BELONGS_TO, named(NodeKind.CATEGORY, ticket.category)),
        relate(
            EdgeKind.BELONGS_TO,
            customer or known(NodeKind.ORGANISATION, _PLATFORM, ticket.account_id),
            internal=True,
        ),
        belongs_to(contact, own),
        relate(EdgeKind.AFFECTS, known(NodeKind.PRODUCT, _PLATFORM, ticket.product_id)),
        aliases=(f"#{ticket.ticket_number}",) if ticket.ticket_number else (),
        scope=_PLATFORM,
        facts={"state": state_of((ticket.status_type or ticket.status or "").strip().lower() == "closed")},
    )


def _article(document: Document, read: _ArticlePayload) -> Document:
    parent, article = read.article, read.translation or read.article
    category = article.category if article.category.name else parent.category
    author = article.author if article.author.name else parent.author
    return told(
        document,
        NodeKind.ARTICLE,
        relate_person(EdgeKind.CREATED_BY, author.entity(article.author_id or parent.author_id)),
        _belongs(NodeKind.CATEGORY, category.id or article.category_id or parent.category_id, category.name),
        _belongs(NodeKind.DEPARTMENT, article.department_id or parent.department_id, None),
        _translated(document, parent) if read.translation is not None else (),
        aliases=(url for url in (article.web_url, article.portal_url) if url and "://" in url),
        scope=_PLATFORM,
    )


def _belongs(kind: NodeKind, number: Id | None, name: str | None) -> Iterator[Relation]:
    return relate(EdgeKind.BELONGS_TO, known(kind, _PLATFORM, number, name))


def _translated(document: Document, parent: _Article) -> Iterator[Relation]:
    """That a translation belongs to its article, whose title need not be published yet."""
    if parent.id is not None:
        yield from relate(EdgeKind.BELONGS_TO, other(document, NodeKind.ARTICLE, f"article-{parent.id}"))
