"""How good rankings are, and how sure that is.

What belongs here: arithmetic over rankings and labels. What does not: where they come from (`measuring.py`).

The measures are those of trec_eval. A question whose answers were not found counts as 0 in all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# How many documents of a ranking count.
DEPTH = 10

# recall@k: the share of the documents that answer which stand among the first k. MRR: one divided by the place of the
# first of them. nDCG@10: each by its place, as a share of what the best order would give.
MEASURES = {"recall@5": "R@5", "recall@10": "R@10", "MRR": "RR", "nDCG@10": "nDCG@10"}

# Of fewer questions nothing is concluded: a few unlucky ones would decide.
FEWEST = 20

_RESAMPLES = 10_000
_CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over questions, with the bounds within which it would be with 95 % of other such questions."""

    mean: float
    low: float
    high: float


def score(answers: Sequence[Collection[str]], rankings: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Each measure for each question, 0..1, by name.

    Args:
        answers: for each question, the documents that answer it; at least one.
        rankings: what was found for it, best first, each document once; what stands behind the first ten counts for
            nothing.
    """
    import ir_measures

    asked = {str(number): dict.fromkeys(found, 1) for number, found in enumerate(answers)}
    # trec_eval orders by score alone.
    found = {
        str(number): {document: -float(place) for place, document in enumerate(ranking[:DEPTH])}
        for number, ranking in enumerate(rankings)
    }
    names = {ir_measures.parse_measure(words): name for name, words in MEASURES.items()}
    scores = {name: np.zeros(len(answers)) for name in MEASURES}
    for one in ir_measures.iter_calc(list(names), asked, found):
        scores[names[one.measure]][int(one.query_id)] = one.value
    return scores


def interval(values: np.ndarray) -> Interval:
    """The mean of values, one for each question, with its bootstrap interval: the same for the same values.

    Of fewer than two values nothing can be said: the interval is from -1 to 1, which all measures and differences of
    them are within.
    """
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else 0.0, -1.0, 1.0)
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, confidence_level=_CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    return Interval(float(values.mean()), float(found.low), float(found.high))


def better(scores: Mapping[str, np.ndarray]) -> str:
    """The name of the values with the highest mean; of equal ones the first."""
    return max(scores, key=lambda name: float(scores[name].mean()))
