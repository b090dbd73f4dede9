"""Quality of the knowledge graph, with rules alone: what is found of the labels in bench/data.

Precision, recall and F1 of mentions, nodes, edges and merges. `python -m bench.graph` lists what is missed and what is
found wrongly.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.graph_labels import (
    LANGUAGES,
    Edge,
    LabelledText,
    Mention,
    read_entities,
    read_held_out,
    read_texts,
    read_world,
)
from bench.results import Bound, Part, Row
from sync_assets.graph.evidence import Evidence
from sync_assets.graph.extraction import open_extractor
from sync_assets.graph.gazetteer import names_of
from sync_assets.graph.resolution import resolve
from sync_assets.relations import EdgeKind

PRECISION_TARGET = 0.95
RECALL_TARGET = 0.85


class Score(NamedTuple):
    """Counts of one kind of thing; a score of B-cubed has sums of shares instead.

    Attributes:
        right_found, found: of what was found; their ratio is the precision.
        right_labelled, labelled: of what is labelled; their ratio is the recall.
    """

    right_found: float
    found: float
    right_labelled: float
    labelled: float

    @property
    def precision(self) -> float:
        return self.right_found / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right_labelled / self.labelled if self.labelled else 1.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


class Item(NamedTuple):
    """Something labelled or found, told from all others.

    Attributes:
        where: id of the text, or the tenant.
        detail: what tells it from others of its kind there.
    """

    language: str
    kind: str
    where: str
    detail: tuple[Hashable, ...]


class Found(NamedTuple):
    """What extraction finds in one text, without what no record knows.

    Attributes:
        unknown: how many of the names that no record knows were found.
    """

    mentions: frozenset[Mention]
    edges: frozenset[Edge]
    unknown: int


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    """All of the labels, whatever the scale: they are few."""
    totals: dict[str, Score] = {}
    held_out = read_held_out()
    for what, labelled, found in [*_of_texts("", read_texts()), *_of_texts("held out ", held_out), _of_resolution()]:
        totals[what] = _score(labelled, found)
        yield _row(what, "all", totals[what])
        for of in (*LANGUAGES, *sorted({item.kind for item in labelled | found})):
            some = ({item for item in items if of in item[:2]} for items in (labelled, found))
            yield _row(what, of, _score(*some))
    yield _row("entities, B-cubed", "all", Score(*(sum(each) for each in zip(*_cubed_scores(), strict=True))))
    for what, score in totals.items():
        if not what.startswith("held out"):
            yield _bound(f"precision of {what}", PRECISION_TARGET, score.precision)
            yield _bound(f"recall of {what}", RECALL_TARGET, score.recall)


def _bound(claim: str, limit: float, measured: float) -> Bound:
    return Bound(claim=claim, limit=limit, measured=measured, at_least=True)


def _row(what: str, of: str, score: Score) -> Row:
    counts = {"what": what, "of": of, "labelled": round(score.labelled), "found": round(score.found)}
    return Row(
        table="Knowledge graph, names and rules alone",
        values={**counts, "precision": score.precision, "recall": score.recall, "F1": score.f1},
    )


def _score(labelled: set[Item], found: set[Item]) -> Score:
    right = len(labelled & found)
    return Score(right, len(found), right, len(labelled))


def _of_texts(group: str, texts: Sequence[LabelledText]) -> Iterator[tuple[str, set[Item], set[Item]]]:
    """What is labelled and what is found of each kind of thing, named after the group."""
    found = _extract(texts)
    yield (
        f"{group}mentions",
        {item for text in texts for item in _spans(text, text.mentions)},
        {item for text in texts for item in _spans(text, found[text.id].mentions)},
    )
    yield (
        f"{group}nodes",
        {item for text in texts for item in _nodes(text, text.mentions)},
        {item for text in texts for item in _nodes(text, found[text.id].mentions)},
    )
    yield (
        f"{group}edges",
        {item for text in texts for item in _edges(text, text.edges)},
        {item for text in texts for item in _edges(text, found[text.id].edges)},
    )


def _extract(texts: Sequence[LabelledText]) -> dict[str, Found]:
    extractor = open_extractor(models={})
    world = read_world()
    evidence = defaultdict[str, list[Evidence]](list)
    for language, tenant in LANGUAGES.items():
        subjects = [text.subject for text in texts if text.language == language]
        for row in extractor.extract(subjects, names_of(world[tenant].values())):
            evidence[row.document_id].append(row)
    return {text.id: _found(text, evidence[text.subject.document_id]) for text in texts}


def _found(text: LabelledText, evidence: Iterable[Evidence]) -> Found:
    own = text.subject.entity.node_id
    mentions, edges, unknown = set[Mention](), set[Edge](), set[Mention]()
    for row in evidence:
        if row.span is None:
            continue
        named = row.target if row.target is not None and row.source.node_id == own else row.source
        mention = Mention(row.place, row.span, named.kind.value, named.node_id)
        beyond = {one for one in text.unknown if _overlap(one, mention)}
        unknown |= beyond
        if beyond:
            continue
        mentions.add(mention)
        if row.edge is not None and row.target is not None:
            edges.add(Edge(row.edge.value, row.source.node_id, row.target.node_id))
    return Found(frozenset(mentions), frozenset(edges), len(unknown))


def _overlap(one: Mention, other: Mention) -> bool:
    return one.place == other.place and one.span[0] < other.span[1] and other.span[0] < one.span[1]


def _spans(text: LabelledText, mentions: Iterable[Mention]) -> set[Item]:
    return {Item(text.language, one.kind, text.id, (one.place, *one.span)) for one in mentions}


def _nodes(text: LabelledText, mentions: Iterable[Mention]) -> set[Item]:
    return {Item(text.language, one.kind, text.id, (one.node_id,)) for one in mentions}


def _edges(text: LabelledText, edges: frozenset[Edge]) -> set[Item]:
    """Without MENTIONS of what a more specific edge is labelled or found for: it is implied."""
    specific = {edge[1:] for edge in text.edges | edges if edge.kind != EdgeKind.MENTIONS}
    labelled = {edge[1:] for edge in text.edges if edge.kind == EdgeKind.MENTIONS}
    return {
        Item(text.language, edge.kind, text.id, edge[1:])
        for edge in edges
        if edge.kind != EdgeKind.MENTIONS or edge[1:] in labelled or edge[1:] not in specific
    }


def _print_errors(text: LabelledText, found: Found) -> None:
    parts = {part.place: part.text for part in text.subject.texts}
    for mention in sorted(frozenset(text.mentions) ^ found.mentions):
        (start, end), whole = mention.span, parts[mention.place]
        words = f"{whole[max(0, start - 30) : start]}[{whole[start:end]}]{whole[end : end + 30]}".replace("\n", " ")
        print(f"{_sign(mention in text.mentions)} {text.id} {mention.node_id} in {mention.place}: {words}")
    labelled, told = _edges(text, text.edges), _edges(text, found.edges)
    for edge in sorted(labelled ^ told, key=str):
        print(f"{_sign(edge in labelled)} {text.id} {edge.kind} {' -> '.join(map(str, edge.detail))}")


def _sign(is_labelled: bool) -> str:
    return "missed" if is_labelled else "wrong "


def _of_resolution() -> tuple[str, set[Item], set[Item]]:
    labelled, found = set[Item](), set[Item]()
    for language, tenant, truth, clusters in _resolved():
        labelled |= _pairs(language, tenant, truth)
        found |= _pairs(language, tenant, clusters)
    return "merged pairs", labelled, found


def _cubed_scores() -> list[Score]:
    return [score for _, _, truth, clusters in _resolved() for score in _cubed(truth, clusters)]


def _resolved() -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Of each language its tenant, and the cluster of each node: the true one, and the one that is found."""
    for language, tenant in LANGUAGES.items():
        entities = read_entities()[tenant]
        merged = {merge.node_id: merge.canonical_id for merge in resolve([one.entity for one in entities], [])}
        truth = {one.entity.node_id: one.cluster for one in entities}
        yield language, tenant, truth, {node_id: merged.get(node_id, node_id) for node_id in truth}


def _pairs(language: str, tenant: str, clusters: Mapping[str, str]) -> set[Item]:
    return {
        Item(language, first.partition(":")[0], tenant, (first, second))
        for first, second in combinations(sorted(clusters), 2)
        if clusters[first] == clusters[second]
    }


def _cubed(truth: Mapping[str, str], clusters: Mapping[str, str]) -> list[Score]:
    """For each entity the share of its cluster that belongs there, and the share of its true cluster that is there."""
    scores = list[Score]()
    for node_id in truth:
        together = {other for other in clusters if clusters[other] == clusters[node_id]}
        belonging = {other for other in truth if truth[other] == truth[node_id]}
        right = len(together & belonging)
        scores.append(Score(right / len(together), 1, right / len(belonging), 1))
    return scores


def main() -> None:
    for texts in (read_texts(), read_held_out()):
        found = _extract(texts)
        for text in texts:
            _print_errors(text, found[text.id])
    _, labelled, merged = _of_resolution()
    for pair in sorted(labelled ^ merged, key=str):
        print(f"{_sign(pair in labelled)} {pair.where} {' = '.join(map(str, pair.detail))}")


PART = Part(
    "graph",
    "Quality of the knowledge graph",
    """
What names and rules find of the labels in `bench/data`, in English and Dutch, without a statistical model. Texts held
out were labelled by somebody who did not know the rules; they count for nothing in what must hold.
""",
    measure,
)


if __name__ == "__main__":
    main()
