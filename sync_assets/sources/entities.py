"""What all sources share in telling of the knowledge graph: reading fields that may be odd, and naming entities alike.

What belongs here: how keys are made, and which facts of a person not everybody may know. What does not: which fields
one system has (`<source>_graph.py`). Records are read here a second time, after their document: what can't be read
tells nothing of the graph, and never stops a record.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from sync_assets.documents import Document, document_id
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.text import decode

Id = int | str


class Loose(BaseModel):
    """Base of what is read of a payload: a field of another form counts as missing. All fields have defaults."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _other_things_are_empty(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(value)
        except ValidationError:
            return cls()

    @field_validator("*", mode="wrap")
    @classmethod
    def _odd_is_missing(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return read(value)
        except ValidationError:
            return cls.model_fields[info.field_name or ""].get_default(call_default_factory=True)


def line(text: str | None) -> str:
    """A name on one line, entities decoded."""
    return decode(_storable(text or ""))


def state_of(is_resolved: bool) -> str:
    return "resolved" if is_resolved else "open"


def known(
    kind: NodeKind,
    platform: str,
    number: Id | None,
    name: str | None = "",
    *,
    aliases: Iterable[str] = (),
    facts: Mapping[str, str | None] | None = None,
) -> Entity | None:
    """What a platform numbers or, without a number, calls by a name; None where it has neither."""
    called, numbered = line(name), line(str(number)) if number is not None else ""
    key = f"{platform}/{numbered}" if numbered else called.lower()
    if not key:
        return None
    return Entity(kind=kind, key=key, name=called, aliases=_filled(aliases), facts=_facts(facts or {}))


def named(kind: NodeKind, name: str | None) -> Entity | None:
    """What has a name only, the same on all platforms."""
    return known(kind, "", None, name)


def other(document: Document, kind: NodeKind, record_id: str, name: str | None = "", *aliases: str) -> Entity:
    """The entity of another record of the document's source, which its own document tells more of."""
    key = document_id(document.tenant, document.source, _storable(record_id))
    return Entity(kind=kind, key=key, name=line(name), aliases=_filled(aliases))


def person(
    platform: str,
    number: Id | None,
    name: str | None,
    *,
    username: str | None = "",
    email: str | None = "",
    phone: str | None = "",
    department: str | None = "",
) -> Entity | None:
    """A person; an address is no name."""
    address, user = line(email), line(username)
    return known(
        NodeKind.PERSON,
        platform,
        number,
        "" if "@" in line(name) else name,
        aliases=(address if "@" in address else "", f"@{user}" if user and "@" not in user else ""),
        facts={"email": address, "phone": phone, "department": department},
    )


def relate(
    kind: EdgeKind, target: Entity | None, *, source: Entity | None = None, internal: bool = False
) -> Iterator[Relation]:
    """A relation, where there is something to relate to."""
    if target is not None:
        yield Relation(kind=kind, target=target, source=source, internal=internal)


def relate_person(kind: EdgeKind, someone: Entity | None) -> Iterator[Relation]:
    """A relation to a person: by the name for all, then with address, phone and department for agents."""
    if someone is None:
        return
    shown = someone.model_copy(
        update={"aliases": tuple(name for name in someone.aliases if name.startswith("@")), "facts": {}}
    )
    yield from relate(kind, shown)
    if shown != someone:
        yield from relate(kind, someone, internal=True)


def belongs_to(someone: Entity | None, whole: Entity | None) -> Iterator[Relation]:
    """That a person is of an organisation or a department, which is for agents."""
    if someone is not None:
        yield from relate(EdgeKind.BELONGS_TO, whole, source=someone, internal=True)


def told(
    document: Document,
    kind: NodeKind,
    *relations: Iterable[Relation],
    aliases: Iterable[str] = (),
    scope: str = "",
    facts: Mapping[str, str | None] | None = None,
) -> Document:
    """A document with the entity that it stands for and its relations, each once, none to the entity itself.

    Args:
        facts: beside the document's `url`.
    """
    entity = Entity(
        kind=kind,
        key=document.document_id,
        name=_storable(document.title),
        aliases=_filled(aliases),
        scope=_storable(scope),
        facts=_facts({"url": document.url, **(facts or {})}),
    )
    return telling(document, entity, *relations)


def telling(document: Document, entity: Entity, *relations: Iterable[Relation]) -> Document:
    """As `told`, for documents that stand for something larger than themselves."""
    kept = {
        relation.model_dump_json(): relation
        for group in relations
        for relation in group
        if relation.target.node_id != (relation.source or entity).node_id
    }
    return document.model_copy(update={"entity": entity, "relations": list(kept.values())})


def _filled(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in map(_storable, names) if name))


def _facts(facts: Mapping[str, str | None]) -> dict[str, str]:
    return {key: fact for key, value in facts.items() if (fact := _storable(value or ""))}


def _storable(text: str) -> str:
    """Text without what databases can't keep: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()
