"""From texts to evidence: what each text of a document names, and what that says of the document's entity.

What belongs here: the order in which names, rules and statistical pipelines search a text, and the evidence that comes
of it. What does not: how each of them finds (`matching.py`, `rules.py`, `pipelines.py`), what a mention means
(`mentions.py`), and what becomes of evidence (`applying.py`).

What is found in a document follows from its texts, its entity and the names alone.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sync_assets.graph.evidence import Evidence, Name, Subject, Text
from sync_assets.graph.matching import Match, NameMatcher, wholes
from sync_assets.graph.mentions import Mention, around, meanings
from sync_assets.graph.pipelines import Pipelines, open_pipelines
from sync_assets.graph.rules import find
from sync_assets.graph.spans import Span, Spans
from sync_assets.relations import Entity, NodeKind

NAMES, RULES, _MENTIONS = "names/1", "rules/1", "mentions/1"
_MOST_OF_A_NODE = 5
_MOST_OF_A_NAME = 5
_FINAL_ROLES = frozenset({"resolution"})
_LAST_ROLES = frozenset({"comment", "answer"})
_BLOCKED = re.compile(r"block|geblok|download", re.IGNORECASE)


class _Named(NamedTuple):
    """A node that a text names, and what found it."""

    entity: Entity
    span: Span
    extractor: str
    probability: float
    is_link: bool = False


class Extractor:
    """Finds evidence in the texts of documents.

    Attributes:
        fingerprint: another one where equal documents may give other evidence.
    """

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines
        self._names: tuple[Name, ...] = ()
        self._matcher = NameMatcher(())
        self.fingerprint = ";".join((NAMES, RULES, _MENTIONS, *pipelines.versions))

    def extract(self, subjects: Sequence[Subject], names: Sequence[Name]) -> list[Evidence]:
        """Evidence of what the texts name, document by document in the order of the texts.

        Args:
            names: of the tenant's nodes. The search for them is prepared once for as long as they are equal.
        """
        if self._names != (names := tuple(names)):
            self._names, self._matcher = names, NameMatcher(names)
        return [row for subject in subjects for row in self._of_document(subject)]

    def _of_document(self, subject: Subject) -> Iterator[Evidence]:
        final = _final_places(subject) if subject.is_resolved else frozenset[str]()
        for text in subject.texts:
            seen = Counter[str]()
            for named in self._named(text.text, subject.entity):
                seen[named.entity.node_id] += 1
                if seen[named.entity.node_id] <= _MOST_OF_A_NODE:
                    yield from _evidence(subject, text, named, is_final=text.place in final)

    def _named(self, text: str, own: Entity) -> list[_Named]:
        """The nodes that a text names beside the document's own, in order: names first, then rules, then pipelines."""
        whole = wholes(text)
        matches = self._matcher.find(text, own.scope, whole)
        found = [named for match in matches for named in _of_name(match, own)]
        taken = Spans(match.span for match in matches)
        product_ends = {match.end for match in matches if _is_product(match)}
        ruled = [one for one in find(text, whole, product_ends) if taken.take(one.span)]
        in_trouble = any(one.key.startswith("http ") for one in ruled) and not _BLOCKED.search(text)
        for one in ruled:
            found.append(
                _Named(_bare(one.kind, one.key), one.span, RULES, one.probability, one.is_link and not in_trouble)
            )
        for entity, span, extractor, probability in self._pipelines.find(text):
            if entity.node_id != own.node_id and taken.take(span):
                found.append(_Named(entity, span, extractor, probability))
        return sorted(found, key=lambda named: (named.span, named.entity.node_id))


def open_extractor(models: Mapping[str, str]) -> Extractor:
    """What finds evidence with names, rules, and the installed spaCy pipelines given.

    Args:
        models: name or folder of a pipeline by language (`{"nl": "nl_core_news_lg"}`); empty for names and rules alone.

    Raises:
        SettingsError: a pipeline is not installed.
    """
    return Extractor(open_pipelines(models))


def _final_places(subject: Subject) -> frozenset[str]:
    """Places of the resolution and of the last comment."""
    comments = [text.place for text in subject.texts if text.role in _LAST_ROLES]
    return frozenset(comments[-1:]) | {text.place for text in subject.texts if text.role in _FINAL_ROLES}


def _of_name(match: Match, own: Entity) -> Iterator[_Named]:
    """The nodes that a name is of; each as likely as the others. The document's own is none of them.

    What very many are called, such as a model of laptops, names none of them.
    """
    nodes = match.name.nodes
    if len(nodes) > _MOST_OF_A_NAME or any(node.node_id == own.node_id for node in nodes):
        return
    for node in nodes:
        yield _Named(_bare(node.kind, node.node_id.partition(":")[2]), match.span, NAMES, 1 / len(nodes))


@lru_cache(maxsize=10_000)
def _bare(kind: NodeKind, key: str) -> Entity:
    """An entity that says no more than which node it is: texts name nodes, records describe them."""
    return Entity(kind=kind, key=key)


def _is_product(match: Match) -> bool:
    return any(node.kind is NodeKind.PRODUCT for node in match.name.nodes)


def _evidence(subject: Subject, text: Text, named: _Named, *, is_final: bool) -> Iterator[Evidence]:
    own = _bare(subject.entity.kind, subject.entity.key)
    before, after = around(text.text, *named.span)
    mention = Mention(named.entity.kind, own.kind, text.role, is_final, before, after, named.is_link)
    for meaning in meanings(mention):
        ends = (named.entity, own) if meaning.is_reversed else (own, named.entity)
        yield Evidence(
            document_id=subject.document_id,
            place=text.place,
            chunk_id=text.chunk_id,
            span=named.span,
            extractor=named.extractor,
            probability=round(meaning.probability * named.probability, 4),
            source=ends[0],
            edge=meaning.edge,
            target=ends[1],
            visibility=text.visibility,
            principals=text.principals,
        )
