"""The measures against cases that were worked out by hand, and what holds of all rankings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.golden.measures import MEASURES, better, interval, score

NAMES = [f"d{number}" for number in range(15)]
ANSWERS = st.sets(st.sampled_from(NAMES), min_size=1, max_size=8)
RANKINGS = st.permutations(NAMES)


def test_measures_are_those_worked_out_by_hand() -> None:
    answers = [{"a", "b"}, {"a"}, {"a", "x"}, {"z"}]
    rankings = [["q", "a", "r", "b"], ["1", "2", "3", "4", "5", "a"], [], [*map(str, range(10)), "z"]]
    found = score(answers, rankings)
    first = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    assert found["recall@5"].tolist() == [1, 0, 0, 0]
    assert found["recall@10"].tolist() == [1, 1, 0, 0], "what stands behind the tenth place counts for nothing"
    assert found["MRR"] == pytest.approx([1 / 2, 1 / 6, 0, 0])
    assert found["nDCG@10"] == pytest.approx([first, 1 / math.log2(7), 0, 0])
    (half,) = score([{"a", "b"}], [["a"]])["recall@5"]
    assert half == 0.5


@given(answers=ANSWERS, ranking=RANKINGS)
def test_measures_stay_within_bounds_and_the_best_order_has_all(answers: set[str], ranking: list[str]) -> None:
    best = [*sorted(answers), *(name for name in ranking if name not in answers)]
    behind = ranking[:10]
    swapped = [*ranking[:10], *reversed(ranking[10:])]
    found = score([answers] * 3, [best, behind, swapped])
    for name in MEASURES:
        assert ((found[name] >= 0) & (found[name] <= 1)).all()
        assert found[name][1] == found[name][2], "the order behind the tenth place does not matter"
        assert found[name][0] >= found[name][1] - 1e-9
    assert [found[name][0] for name in ("MRR", "nDCG@10", "recall@10")] == pytest.approx([1, 1, 1])
    assert found["recall@5"][0] == pytest.approx(min(5, len(answers)) / len(answers))


@given(asked=st.lists(st.tuples(ANSWERS, RANKINGS), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_questions_do_not_touch_each_other(asked: list[tuple[set[str], list[str]]], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(asked))
    there = score([one for one, _ in asked], [one for _, one in asked])
    shuffled = score([asked[place][0] for place in order], [asked[place][1] for place in order])
    for name in MEASURES:
        assert shuffled[name] == pytest.approx(there[name][order])


def test_an_interval_holds_the_mean_is_always_the_same_and_narrows() -> None:
    values = np.random.default_rng(3).uniform(size=200)
    few, many = interval(values[:20]), interval(values)
    assert few.low < few.mean < few.high
    assert few.mean == pytest.approx(values[:20].mean())
    assert many.high - many.low < few.high - few.low
    assert interval(values) == many
    # The normal approximation is close for so many.
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert (many.mean - many.low, many.high - many.mean) == pytest.approx((half, half), rel=0.15)
    assert interval(np.full(30, 0.25)) == pytest.approx((0.25, 0.25, 0.25))
    assert (interval(np.array([0.5])), interval(np.array([]))) == ((0.5, -1, 1), (0.0, -1, 1))


def test_the_better_one_has_the_higher_mean() -> None:
    assert better({"dense": np.array([0, 1.0]), "lexical": np.array([1.0, 1])}) == "lexical"
    assert better({"dense": np.array([0, 1.0]), "lexical": np.array([1.0, 0])}) == "dense"
