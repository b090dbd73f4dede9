"""Quality of the knowledge graph, with rules alone: what is found of the labels in bench/data.

Prints precision, recall and F1 of mentions, nodes, edges and merges, and for each installed model the similarity from
which two documents count as alike. Texts held out, labelled without knowledge of the rules, have rows of their own and
count for nothing in whether the targets are met. `--errors` lists what is missed and what is found wrongly.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

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
from bench.graph_similarity import print_thresholds
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of the knowledge graph, with rules alone.")
    parser.add_argument("--errors", action="store_true", help="list what is missed and what is found wrongly")
    errors = parser.parse_args().errors
    print("| what | of | labelled | found | precision | recall | F1 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    totals = _print_texts("", read_texts(), errors)
    _print_texts("held out ", read_held_out(), errors)
    totals |= _print_resolution(errors)
    print()
    print_thresholds()
    below = [
        f"{what} {score.precision:.3f}/{score.recall:.3f}"
        for what, score in totals.items()
        if score.precision < PRECISION_TARGET or score.recall < RECALL_TARGET
    ]
    if below:
        sys.exit(f"Below precision {PRECISION_TARGET} or recall {RECALL_TARGET}: {', '.join(below)}.")


def _print_texts(group: str, texts: Sequence[LabelledText], errors: bool) -> dict[str, Score]:
    """Print the rows of what texts say, each named after the group, and return the scores of all of them."""
    found = _extract(texts)
    totals = {
        f"{group}mentions": _print_rows(
            f"{group}mentions",
            {item for text in texts for item in _spans(text, text.mentions)},
            {item for text in texts for item in _spans(text, found[text.id].mentions)},
        ),
        f"{group}nodes": _print_rows(
            f"{group}nodes",
            {item for text in texts for item in _nodes(text, text.mentions)},
            {item for text in texts for item in _nodes(text, found[text.id].mentions)},
        ),
        f"{group}edges": _print_rows(
            f"{group}edges",
            {item for text in texts for item in _edges(text, text.edges)},
            {item for text in texts for item in _edges(text, found[text.id].edges)},
        ),
    }
    unknown = sum(len(text.unknown) for text in texts)
    found_unknown = sum(one.unknown for one in found.values())
    print(f"| {group}names that no record knows | all | {unknown} | {found_unknown} | | | |")
    if errors:
        for text in texts:
            _print_errors(text, found[text.id])
    return totals


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


def _print_rows(what: str, labelled: set[Item], found: set[Item]) -> Score:
    """Print a row for all, for each language and for each kind; return the score of all."""
    total = _print_row(what, "all", labelled, found)
    for of in (*LANGUAGES, *sorted({item.kind for item in labelled | found})):
        _print_row(what, of, *({item for item in items if of in item[:2]} for items in (labelled, found)))
    return total


def _print_row(what: str, of: str, labelled: set[Item], found: set[Item]) -> Score:
    right = len(labelled & found)
    return _print_score(what, of, Score(right, len(found), right, len(labelled)))


def _print_score(what: str, of: str, score: Score) -> Score:
    print(
        f"| {what} | {of} | {score.labelled:.0f} | {score.found:.0f} "
        f"| {score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f} |"
    )
    return score


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


def _print_resolution(errors: bool) -> dict[str, Score]:
    """Print the rows of what is merged, and return the score of pairs."""
    labelled, found = set[Item](), set[Item]()
    cubed = list[Score]()
    for language, tenant in LANGUAGES.items():
        entities = read_entities()[tenant]
        merged = {merge.node_id: merge.canonical_id for merge in resolve([one.entity for one in entities], [])}
        truth = {one.entity.node_id: one.cluster for one in entities}
        clusters = {node_id: merged.get(node_id, node_id) for node_id in truth}
        labelled |= _pairs(language, tenant, truth)
        found |= _pairs(language, tenant, clusters)
        cubed += _cubed(truth, clusters)
    total = _print_rows("merged pairs", labelled, found)
    _print_score("entities, B-cubed", "all", Score(*(sum(each) for each in zip(*cubed, strict=True))))
    if errors:
        for pair in sorted(labelled ^ found, key=str):
            print(f"{_sign(pair in labelled)} {pair.where} {' = '.join(map(str, pair.detail))}")
    return {"merged pairs": total}


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


if __name__ == "__main__":
    main()
