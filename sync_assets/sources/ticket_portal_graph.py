"""What a ticket portal's rows tell of the knowledge graph: people, departments, places, products, related items.

What belongs here: pure functions of a payload as `ticket_portal.py` builds it, and of its document. Related
configuration items belong to asset administration, which requesters do not see.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import (
    Loose,
    belongs_to,
    known,
    line,
    named,
    other,
    person,
    relate,
    relate_person,
    state_of,
    told,
)
from sync_assets.text import repair

_PLATFORM = "ticket_portal"

_RESOLVED = ("resolved", "closed")
# Other relations, and those without a kind, say no more than that the ticket names the item.
_RELATIONS: Mapping[str, EdgeKind] = {
    "affects": EdgeKind.AFFECTS,
    "caused_by": EdgeKind.AFFECTS,
    "resolved_by": EdgeKind.RESOLVED_BY,
}
# Fields that portals of this kind have for some categories.
_SOFTWARE = ("software_name", "software_name_custom")
_BRAND, _MODEL = "hardware_brand", "hardware_model"
_PLACES = ("hardware_location", "installation_location", "network_location")
# What is chosen where the list has not what is meant.
_OTHER = frozenset({"", "anders", "overig", "other"})

Text = Annotated[str, AfterValidator(repair)]


class _Category(Loose):
    category_id: int | None = None
    name: Text | None = None

    @property
    def entity(self) -> Entity | None:
        return known(NodeKind.CATEGORY, _PLATFORM, self.category_id, self.name)


class _Person(Loose):
    user_id: int | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    department: Text | None = None

    @property
    def entity(self) -> Entity | None:
        name = f"{self.first_name or ''} {self.last_name or ''}"
        return person(_PLATFORM, self.user_id, name, department=line(self.department))


class _Field(Loose):
    field_name: Text | None = None
    field_value: Text | None = None


class _Item(Loose):
    ci_id: int | None = None
    ci_number: Text | None = None
    name: Text | None = None
    relation_type: str | None = None
    brand: Text | None = None
    model: Text | None = None
    serial_number: Text | None = None
    asset_tag: Text | None = None
    status: Text | None = None
    department: Text | None = None
    location: Text | None = None


class _Ticket(Loose):
    ticket_number: Text | None = None
    status: str | None = None


class _TicketPayload(Loose):
    ticket: _Ticket = _Ticket()
    category: _Category = _Category()
    requester: _Person = _Person()
    agent: _Person = _Person()
    dynamic: list[_Field] = Field(default=[], alias="fields")
    related_cis: list[_Item] = []


class _Article(Loose):
    kb_id: int | None = None


class _ArticlePayload(Loose):
    article: _Article = _Article()
    category: _Category = _Category()
    author: _Person = _Person()


class _ItemPayload(Loose):
    item: _Item = _Item()
    owner: _Person = _Person()


def with_graph(document: Document, payload: Any) -> Document:
    """A document of any stream with its entity and its relations."""
    match document.stream:
        case "tickets":
            return _ticket(document, _TicketPayload.model_validate(payload))
        case "knowledge_base":
            return _article(document, _ArticlePayload.model_validate(payload))
        case _:
            return _item(document, _ItemPayload.model_validate(payload))


def _ticket(document: Document, read: _TicketPayload) -> Document:
    requester = read.requester.entity
    values = {field.field_name or "": line(field.field_value) for field in read.dynamic}
    return told(
        document,
        NodeKind.TICKET,
        relate_person(EdgeKind.CREATED_BY, requester),
        relate_person(EdgeKind.ASSIGNED_TO, read.agent.entity),
        relate(EdgeKind.BELONGS_TO, read.category.entity),
        belongs_to(requester, named(NodeKind.DEPARTMENT, read.requester.department)),
        (relation for item in read.related_cis for relation in _related(document, item)),
        (relation for product in _products(values) for relation in relate(EdgeKind.AFFECTS, product)),
        (relation for place in _PLACES for relation in _located(values.get(place))),
        aliases=(line(read.ticket.ticket_number),),
        scope=_PLATFORM,
        facts={"state": state_of(line(read.ticket.status).lower() in _RESOLVED)},
    )


def _article(document: Document, read: _ArticlePayload) -> Document:
    return told(
        document,
        NodeKind.ARTICLE,
        relate_person(EdgeKind.CREATED_BY, read.author.entity),
        relate(EdgeKind.BELONGS_TO, read.category.entity),
        aliases=(f"KB-{read.article.kb_id}",) if read.article.kb_id is not None else (),
        scope=_PLATFORM,
    )


def _item(document: Document, read: _ItemPayload) -> Document:
    item = read.item
    facts = {name: line(getattr(item, name)) for name in ("serial_number", "brand", "model", "status")}
    return told(
        document,
        NodeKind.CONFIGURATION_ITEM,
        relate_person(EdgeKind.ASSIGNED_TO, read.owner.entity),
        relate(EdgeKind.BELONGS_TO, named(NodeKind.DEPARTMENT, item.department)),
        relate(EdgeKind.BELONGS_TO, named(NodeKind.PRODUCT, _product_name(item.brand, item.model))),
        _located(item.location),
        aliases=map(line, (item.ci_number, item.serial_number, item.asset_tag)),
        scope=_PLATFORM,
        facts=facts,
    )


def _related(document: Document, item: _Item) -> Iterator[Relation]:
    """A related item, under the document id that it has; its own document tells more of it."""
    if item.ci_id is not None:
        number = line(item.ci_number)
        target = other(document, NodeKind.CONFIGURATION_ITEM, f"ci-{item.ci_id}", item.name, number)
        kind = _RELATIONS.get(item.relation_type or "", EdgeKind.MENTIONS)
        yield from relate(kind, target, internal=True)


def _products(values: Mapping[str, str]) -> Iterator[Entity | None]:
    for field in _SOFTWARE:
        yield named(NodeKind.PRODUCT, _chosen(values.get(field)))
    model = _chosen(values.get(_MODEL))
    yield named(NodeKind.PRODUCT, _product_name(_chosen(values.get(_BRAND)), model))


def _chosen(value: str | None) -> str:
    return "" if (value or "").lower() in _OTHER else value or ""


def _product_name(brand: str | None, model: str | None) -> str:
    """`Dell Latitude 5440`; a brand alone is no product."""
    maker, kind = line(brand), line(model)
    return kind if not kind or kind.lower().startswith(f"{maker.lower()} ") else f"{maker} {kind}".strip()


def _located(place: str | None) -> Iterator[Relation]:
    return relate(EdgeKind.LOCATED_AT, named(NodeKind.LOCATION, place))
