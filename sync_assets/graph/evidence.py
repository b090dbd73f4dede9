"""What the parts of the graph hand to each other: texts, evidence, and the names that texts are searched for.

What belongs here: rows without behaviour. What does not: how evidence is found (`extraction.py`), and where it is kept
(`store.py`).
"""

from datetime import datetime
from typing import NamedTuple

from sync_assets.documents import Visibility
from sync_assets.relations import EdgeKind, Entity, NodeKind

# The place of what a record's fields say, in which no text stands.
FIELDS = ""


class Text(NamedTuple):
    """A piece of a document, searched for mentions.

    Attributes:
        place: its path in the document: a chunk's where the stream's chunks feed the graph, else a part's.
        chunk_id: None where no chunk is known.
        role: `header`, `description`, `comment`, `resolution`, `message` ... of the part that it is from.
        principals: who may see it, where it is restricted.
    """

    place: str
    chunk_id: str | None
    role: str
    text: str
    visibility: Visibility
    principals: tuple[str, ...] = ()


class Subject(NamedTuple):
    """A document as extraction sees it.

    Attributes:
        entity: what the document stands for.
        is_resolved: it is a ticket that is closed or resolved.
        texts: in the order in which people read them.
    """

    document_id: str
    entity: Entity
    is_resolved: bool
    texts: tuple[Text, ...]


class Evidence(NamedTuple):
    """Why a node or an edge is there.

    Attributes:
        place: where it was found; FIELDS for the record's own fields.
        span: characters [start, end) of the text at that place; None for fields.
        extractor: what found it, with its version (`fields/1`, `rules/1`, `names/1`, `nl_core_news_lg/3.8.0`).
        probability: that it is right, in (0, 1].
        source: node that the edge begins at, or the node itself.
        edge: None for evidence of a node alone, which declares it: its name, aliases and facts are the record's own.
        target: node that the edge ends at; None where `edge` is None.
        told_at: when the record last changed that tells what its entities are called; None where it does not count.
    """

    document_id: str
    place: str
    chunk_id: str | None
    span: tuple[int, int] | None
    extractor: str
    probability: float
    source: Entity
    edge: EdgeKind | None
    target: Entity | None
    visibility: Visibility
    principals: tuple[str, ...] = ()
    told_at: datetime | None = None


class NamedNode(NamedTuple):
    """A node that texts may name."""

    node_id: str
    kind: NodeKind


class Name(NamedTuple):
    """What texts may call some nodes: one for a name that is theirs alone.

    Attributes:
        phrase: in lower case, with single spaces.
        scope: only texts of documents whose entity has this scope are searched for it; empty for all texts.
        nodes: sorted by id.
    """

    phrase: str
    scope: str
    nodes: tuple[NamedNode, ...]
