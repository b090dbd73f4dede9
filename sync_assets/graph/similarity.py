"""Documents that are alike: mutual nearest neighbours by the cosine of their vectors.

What belongs here: neighbours, kept true as vectors come, change and go. What does not: where vectors come from, and the
evidence that pairs become (`stages/tenant_graph.py`).

Vectors are rounded so far that every product and sum of them is exact in double precision: scores are the same in
whatever order and company they are computed, so that a history of changes ends equal to a computation of all at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Roles of the chunks whose mean is a ticket's vector. Replies are left out: they are full of the same phrases.
ROLES = ("header", "description")
# From which cosine on two tickets are alike, by model: the smallest with a precision of 0.95 on the labelled pairs of
# `make bench`. Other models take the strictest.
THRESHOLDS = {"all-MiniLM-L6-v2": 0.725, "wordllama-256": 0.695}

NEIGHBOURS = 10
# Beyond so many vectors neighbours are searched approximately.
EXACT_UP_TO = 50_000

_STEPS = 2**11
_BLOCK = 256


class Neighbour(NamedTuple):
    node_id: str
    score: float


class Pair(NamedTuple):
    """Two nodes that are among each other's nearest; the smaller id first.

    Attributes:
        score: cosine of their vectors.
    """

    first: str
    second: str
    score: float


Neighbours = dict[str, list[Neighbour]]


def rounded(vector: np.ndarray) -> np.ndarray:
    """A vector of unit length, float32, in steps that keep sums of products exact; zero where it has no direction."""
    length = float(np.linalg.norm(vector))
    return (np.round(vector / length * _STEPS) / _STEPS if length else np.zeros_like(vector)).astype(np.float32)


def updated(
    vectors: Mapping[str, np.ndarray], before: Mapping[str, Sequence[Neighbour]], changed: frozenset[str]
) -> Neighbours:
    """The nearest neighbours of every node, best first, ties by id.

    Args:
        vectors: of all nodes as they are now, from `rounded`.
        before: neighbours as they were, from `lasting`; may name nodes that are gone.
        changed: nodes whose vector is new or another one than before.
    """
    ids = sorted(vectors)
    if not ids:
        return {}
    if len(ids) > EXACT_UP_TO:
        return _approximate(ids, vectors)
    moved = {
        one for one, found in before.items() if any(n.node_id in changed or n.node_id not in vectors for n in found)
    }
    anew = [one for one in ids if one in changed or one not in before or one in moved]
    matrix = np.array([vectors[one] for one in ids], dtype=np.float64)
    position = {one: number for number, one in enumerate(ids)}
    found = dict(_nearest(ids, matrix, [position[one] for one in anew]))
    rest = [one for one in ids if one not in found]
    found |= _joined(ids, matrix, before, rest, [position[one] for one in ids if one in changed])
    return {one: found[one] for one in ids}


def lasting(neighbours: Neighbours) -> Neighbours:
    """Neighbours that may be kept true from here on; approximate ones are found anew each time."""
    return neighbours if len(neighbours) <= EXACT_UP_TO else {}


def mutual_pairs(neighbours: Mapping[str, Sequence[Neighbour]], threshold: float) -> list[Pair]:
    """Pairs that are among each other's neighbours and at least as alike as `threshold`, sorted."""
    names = {one: {neighbour.node_id for neighbour in found} for one, found in neighbours.items()}
    return sorted(
        Pair(one, other, score)
        for one, found in neighbours.items()
        for other, score in found
        if one < other and score >= threshold and one in names.get(other, ())
    )


def _nearest(ids: Sequence[str], matrix: np.ndarray, rows: Sequence[int]) -> Iterator[tuple[str, list[Neighbour]]]:
    """Neighbours of some rows among all."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        scores = matrix[block] @ matrix.T
        scores[np.arange(len(block)), block] = -np.inf
        for row, line in zip(block, scores, strict=True):
            yield ids[row], _best(ids, line)


def _joined(
    ids: Sequence[str],
    matrix: np.ndarray,
    before: Mapping[str, Sequence[Neighbour]],
    rest: Sequence[str],
    changed: Sequence[int],
) -> Neighbours:
    """Neighbours of the nodes that lost none, with those changed nodes that are nearer than one they had."""
    found: Neighbours = {one: list(before[one]) for one in rest}
    if not rest or not changed:
        return found
    worst = np.array([before[one][-1].score if len(before[one]) == NEIGHBOURS else -np.inf for one in rest])
    position = {one: number for number, one in enumerate(ids)}
    for start in range(0, len(rest), _BLOCK):
        block = rest[start : start + _BLOCK]
        scores = matrix[[position[one] for one in block]] @ matrix[list(changed)].T
        enters = np.any(scores >= worst[start : start + _BLOCK, None], axis=1).tolist()
        for one, line, is_nearer in zip(block, scores, enters, strict=True):
            if is_nearer:
                new = [Neighbour(ids[column], float(score)) for column, score in zip(changed, line, strict=True)]
                found[one] = sorted([*found[one], *new], key=_rank)[:NEIGHBOURS]
    return found


def _best(ids: Sequence[str], scores: np.ndarray) -> list[Neighbour]:
    """The best of a line of scores; itself, at minus infinity, is none of them."""
    count = min(NEIGHBOURS, len(scores) - 1)
    if count <= 0:
        return []
    worst = np.partition(scores, -count)[-count]
    candidates = [Neighbour(ids[column], float(scores[column])) for column in np.flatnonzero(scores >= worst).tolist()]
    return sorted(candidates, key=_rank)[:NEIGHBOURS]


def _rank(neighbour: Neighbour) -> tuple[float, str]:
    return -neighbour.score, neighbour.node_id


def _approximate(ids: Sequence[str], vectors: Mapping[str, np.ndarray]) -> Neighbours:
    """Neighbours by an HNSW index: nearly all of them, in a time that grows with the number of vectors."""
    from usearch.index import Index

    matrix = np.array([vectors[one] for one in ids], dtype=np.float32)
    index = Index(ndim=matrix.shape[1], metric="ip", dtype="f32")
    # In one thread, so that the same vectors always give the same neighbours.
    index.add(np.arange(len(ids)), matrix, threads=1)
    found: Neighbours = {}
    for start in range(0, len(ids), _BLOCK):
        block = matrix[start : start + _BLOCK]
        keys = np.asarray(index.search(block, NEIGHBOURS + 1, threads=1).keys)
        for row, line in enumerate(keys.tolist(), start):
            others: list[int] = [key for key in line if key != row]
            scores = (matrix[others].astype(np.float64) @ matrix[row].astype(np.float64)).tolist()
            pairs = [Neighbour(ids[other], score) for other, score in zip(others, scores, strict=True)]
            found[ids[row]] = sorted(pairs, key=_rank)[:NEIGHBOURS]
    return found
