"""One order from several lists of scores that can't be compared: of several models, and of vectors and words.

What belongs here: arithmetic. What does not: where scores come from.

A model's cosines are compared with what is usual among its own best documents for this question, so a model that
found one document far better than the rest outweighs one whose documents are all alike. Chosen by measuring, on the
demo's questions, against reciprocal ranks, and scores scaled to their range, to their best or to their spread.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, pstdev

# How many of a list's best documents say what is usual.
USUAL = 50
_DENSE, _LEXICAL = 0.7, 0.3
_LEAST_SPREAD = 1e-6

Scores = Mapping[str, float]


def fuse(dense: Iterable[Scores], lexical: Scores) -> dict[str, float]:
    """Scores of dense search, a list for each model, and of lexical search as one, 0..1, higher is better.

    What only one of the two has found counts as nothing in the other; a mode that found nothing at all has no say. The
    order of the lists does not matter, and what is first in all of them is first.
    """
    return weighted([(_DENSE, _unusual(dense)), (_LEXICAL, lexical)])


def weighted(signals: Sequence[tuple[float, Scores]]) -> dict[str, float]:
    """The mean of signals by their weights, each as a share of its best score; scores below 0 count as 0."""
    telling = [(weight, best, scores) for weight, scores in signals if (best := max(scores.values(), default=0.0)) > 0]
    total = sum(weight for weight, _, _ in telling)
    fused = {key: 0.0 for _, scores in signals for key in scores}
    for weight, best, scores in telling:
        for key, score in scores.items():
            fused[key] += weight / total * max(score, 0.0) / best
    return fused


def _unusual(lists: Iterable[Scores]) -> dict[str, float]:
    """How far above the usual of its list each score is: above 0, about 0.7 for the usual, growing with the score.

    Among few scores none can be unusual: a short list is measured by the best of the others too.
    """
    ranked = [(scores, sorted(scores.values(), reverse=True)[:USUAL]) for scores in lists if scores]
    found: dict[str, float] = {}
    for scores, best in ranked:
        others = sorted((score for other, taken in ranked if other is not scores for score in taken), reverse=True)
        usual = [*best, *others[: USUAL - len(best)]]
        mean, spread = fmean(usual), pstdev(usual)
        for key, score in scores.items():
            above = (score - mean) / (spread if spread > _LEAST_SPREAD else 1.0)
            found[key] = max(found.get(key, 0.0), math.log1p(math.exp(above)))
    return found
