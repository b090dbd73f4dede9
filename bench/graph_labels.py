"""The labelled texts and entities of bench/data, read into what the graph's modules take and should return.

What belongs here: the form of the label files. What does not: measuring (`graph.py`). The conventions that the labels
follow are in `data/README.md`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sync_assets.documents import Visibility
from sync_assets.graph.evidence import Subject, Text
from sync_assets.relations import EdgeKind, Entity, NodeKind

DATA = Path(__file__).parent / "data"
LANGUAGES = {"en": "brightwater", "nl": "zuiderkade"}

_MARKED = re.compile(r"\{\{([^|{}]+)\|([^|{}]+)(?:\|([A-Z_+]+))?\}\}")
_FOUND_BY_FORM = {"e": NodeKind.ERROR_CODE, "v": NodeKind.VERSION, "h": NodeKind.HOST}
# Short forms such as `#12` are understood in documents of these scopes.
_SCOPES = {
    "ticket": {"en": "freshdesk", "nl": "freshdesk"},
    "merge_request": {"en": "gitlab/shop", "nl": "gitlab/links"},
    "commit": {"en": "gitlab/shop", "nl": "gitlab/links"},
    "channel": {"en": "", "nl": ""},
}


class Mention(NamedTuple):
    """A span of a text that names a node.

    Attributes:
        place: path of the part that it stands in.
        node_id: empty where no record knows the person or organisation named.
    """

    place: str
    span: tuple[int, int]
    kind: str
    node_id: str


class Edge(NamedTuple):
    """What a document tells of two nodes."""

    kind: str
    source: str
    target: str


class LabelledText(NamedTuple):
    """A document with what a careful reader finds in it.

    Attributes:
        language: `en` or `nl`.
        unknown: mentions of what no record knows: whether they are found counts in no figure of the gate.
    """

    id: str
    language: str
    subject: Subject
    mentions: tuple[Mention, ...]
    unknown: tuple[Mention, ...]
    edges: frozenset[Edge]


class LabelledEntity(NamedTuple):
    """A declaration of an entity, and the cluster that it belongs to.

    Attributes:
        cluster: two entities are the same where it is equal.
    """

    entity: Entity
    cluster: str


class LabelledPair(NamedTuple):
    """Two records of the demo, and whether a person who knows one is helped by the other."""

    tenant: str
    stream: str
    record_ids: tuple[str, str]
    similar: bool


def read_world() -> dict[str, dict[str, Entity]]:
    """The entities of each tenant, by the short name that the labels use."""
    return {tenant: {name: Entity(**fields) for name, fields in entities.items()}
            for tenant, entities in _read("graph_world.yaml").items()}  # fmt: skip


def read_texts() -> list[LabelledText]:
    """The labelled texts that whoever writes rules may read, English first.

    Raises:
        ValueError: a label is not well formed, or names an entity that is not in the world.
    """
    return _texts({language: _read(f"graph_texts_{language}.yaml") for language in LANGUAGES})


def read_held_out() -> list[LabelledText]:
    """The labelled texts that no rule was written for, English first.

    Raises:
        ValueError: as in `read_texts`.
    """
    return _texts(_read("graph_held_out.yaml"))


def read_entities() -> dict[str, list[LabelledEntity]]:
    """The entities to be resolved, by tenant."""
    return {
        tenant: [
            LabelledEntity(Entity(**fields), f"{cluster}")
            for cluster, declarations in clusters.items()
            for fields in declarations
        ]
        for tenant, clusters in _read("graph_resolution.yaml").items()
    }


def read_pairs() -> list[LabelledPair]:
    """The labelled pairs of records of the demo."""
    return [
        LabelledPair(group["tenant"], group["stream"], (str(first), str(second)), similar)
        for group in _read("similar_pairs.yaml")
        for similar in (True, False)
        for first, second in group["similar" if similar else "different"]
    ]


def _read(name: str) -> Any:
    return yaml.safe_load((DATA / name).read_text(encoding="utf-8"))


def _texts(items: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[LabelledText]:
    world = read_world()
    return [_text(item, language, world[tenant]) for language, tenant in LANGUAGES.items() for item in items[language]]


def _text(item: Mapping[str, Any], language: str, world: Mapping[str, Entity]) -> LabelledText:
    kind = item.get("kind", "ticket")
    scope = _SCOPES[kind][language]
    entity = Entity(
        kind=NodeKind(kind), key=f"{LANGUAGES[language]}_labelled_{item['id']}", name=item["id"], scope=scope
    )
    texts, mentions, edges = list[Text](), list[Mention](), set[Edge]()
    for number, part in enumerate(item["parts"]):
        ((role, marked),) = part.items()
        place = f"{role}-{number}"
        plain, found = _unmarked(marked, place, world, item["id"])
        texts.append(Text(place, None, role, plain, Visibility.PUBLIC))
        mentions += [mention for mention, _ in found]
        edges |= {edge for mention, kinds in found for edge in _edges(mention, kinds, entity.node_id)}
    return LabelledText(
        id=item["id"],
        language=language,
        subject=Subject(entity.key, entity, item.get("resolved", False), tuple(texts)),
        mentions=tuple(mention for mention in mentions if mention.node_id),
        unknown=tuple(mention for mention in mentions if not mention.node_id),
        edges=frozenset(edges),
    )


def _unmarked(
    marked: str, place: str, world: Mapping[str, Entity], text_id: str
) -> tuple[str, list[tuple[Mention, list[EdgeKind]]]]:
    """The text without its marks, and each mention with the edges that it gives."""
    plain, found, end = "", list[tuple[Mention, list[EdgeKind]]](), 0
    for match in _MARKED.finditer(marked):
        words, label, kinds = match[1], match[2], match[3] or EdgeKind.MENTIONS.value
        plain += marked[end : match.start()]
        kind, node_id = _node(words, label, world, text_id)
        mention = Mention(place, (len(plain), len(plain) + len(words)), kind, node_id)
        found.append((mention, [EdgeKind(one) for one in kinds.split("+")]))
        plain, end = plain + words, match.end()
    plain += marked[end:]
    if "{{" in plain or "}}" in plain:
        raise ValueError(f"{text_id}: a mark that can't be read in {plain!r}")
    return plain, found


def _node(words: str, label: str, world: Mapping[str, Entity], text_id: str) -> tuple[str, str]:
    """Kind and id of what a label means: `?person`, `e`, `v:3.12` or a short name of the world."""
    form, _, key = label.partition(":")
    if label.startswith("?"):
        return label[1:], ""
    if form in _FOUND_BY_FORM:
        entity = Entity(kind=_FOUND_BY_FORM[form], key=key or words.lower())
    elif label in world:
        entity = world[label]
    else:
        raise ValueError(f"{text_id}: {label!r} is no entity of the world")
    return entity.kind.value, entity.node_id


def _edges(mention: Mention, kinds: list[EdgeKind], source: str) -> set[Edge]:
    """A merge request that fixes a ticket is also what the ticket is resolved by."""
    if not mention.node_id:
        return set()
    edges = {Edge(kind.value, source, mention.node_id) for kind in kinds}
    if EdgeKind.FIXES in kinds:
        edges.add(Edge(EdgeKind.RESOLVED_BY.value, mention.node_id, source))
    return edges
