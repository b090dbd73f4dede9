"""Neighbours: kept true through any history, and what makes a pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.graph import similarity
from sync_assets.graph.similarity import NEIGHBOURS, Neighbours, mutual_pairs, rounded, updated

_names = st.sampled_from([f"ticket:{number:02d}" for number in range(25)])
# Few directions, so that there are ties.
_directions = st.lists(st.integers(-2, 2), min_size=3, max_size=3).map(lambda values: rounded(np.array(values, float)))
_steps = st.lists(st.dictionaries(_names, st.none() | _directions, max_size=8), max_size=6)


@settings(deadline=None)
@given(_steps)
def test_any_history_of_vectors_ends_with_the_neighbours_of_a_computation_of_all_at_once(
    steps: list[dict[str, np.ndarray | None]],
) -> None:
    vectors: dict[str, np.ndarray] = {}
    neighbours: Neighbours = {}
    for step in steps:
        changed = frozenset(name for name, vector in step.items() if vector is not None)
        vectors |= {name: vector for name, vector in step.items() if vector is not None}
        for name in step.keys() - changed:
            vectors.pop(name, None)
        neighbours = updated(vectors, neighbours, changed)
    assert neighbours == updated(vectors, {}, frozenset())


def _scattered(count: int, dimension: int = 384) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(7).normal(size=(count, dimension))
    return {f"ticket:{number:05d}": rounded(row) for number, row in enumerate(draws)}


def test_the_neighbours_are_the_nearest_by_cosine_and_never_the_node_itself() -> None:
    vectors = _scattered(60)
    neighbours = updated(vectors, {}, frozenset())
    for name, found in neighbours.items():
        scores = {other: float(vectors[name] @ vectors[other]) for other in vectors if other != name}
        best = sorted(scores, key=lambda other: -scores[other])[:NEIGHBOURS]
        assert [neighbour.node_id for neighbour in found] == best


def test_scores_are_the_same_in_whatever_company_they_are_computed() -> None:
    vectors = _scattered(1500)
    few = dict(list(vectors.items())[:700])
    grown = updated(vectors, updated(few, {}, frozenset()), frozenset(vectors.keys() - few.keys()))
    assert grown == updated(vectors, {}, frozenset())


def test_a_pair_is_mutual_alike_enough_and_told_once() -> None:
    near = {name: rounded(np.array(vector, float)) for name, vector in {"a": [1, 0], "b": [3, 1], "c": [0, 1]}.items()}
    neighbours = updated(near, {}, frozenset())
    assert [(pair.first, pair.second) for pair in mutual_pairs(neighbours, 0.9)] == [("a", "b")]
    assert [(pair.first, pair.second) for pair in mutual_pairs(neighbours, 0.3)] == [("a", "b"), ("b", "c")]
    one_sided = {"a": neighbours["a"], "b": [], "c": []}
    assert mutual_pairs(one_sided, 0.0) == []


def test_above_the_limit_the_search_is_approximate_and_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = _scattered(800, 32)
    exact = updated(vectors, {}, frozenset())
    monkeypatch.setattr(similarity, "EXACT_UP_TO", 500)
    approximate = updated(vectors, {}, frozenset())
    assert approximate.keys() == exact.keys()
    found = sum(len(set(exact[name]) & set(approximate[name])) for name in exact)
    assert found / sum(map(len, exact.values())) > 0.95
