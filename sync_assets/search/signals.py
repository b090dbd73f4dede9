"""What may count beside relevance: how new a document is, and whether it helped.

What belongs here: one function for each signal, and their weights. Both are 0..1, higher is better.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HALF_LIFE_DAYS = 180.0

# 95 % confidence.
_Z = 1.96
# Names under which systems count votes for and against an article.
_VOTES = (("helpful_count", "not_helpful_count"), ("helpful", "not_helpful"), ("thumbs_up", "thumbs_down"))
# States of a ticket that was solved, and as how many votes that counts.
_SOLVED, _SOLVED_VOTES = frozenset({"resolved", "closed"}), 2
_GOOD_RATING, _BAD_RATING = 4, 2


class Weights(BaseModel):
    """How much of the score is not relevance.

    Attributes:
        recency, feedback: shares of the score, together at most 1.
        half_life_days: after so many days without a change recency is half.
    """

    model_config = ConfigDict(frozen=True)

    recency: float = Field(default=0.0, ge=0, le=1)
    feedback: float = Field(default=0.0, ge=0, le=1)
    half_life_days: float = Field(default=HALF_LIFE_DAYS, gt=0)

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if self.recency + self.feedback > 1:
            raise ValueError("recency and feedback are more than 1 together")
        return self

    @property
    def relevance(self) -> float:
        return 1.0 - self.recency - self.feedback


def recency(modified_at: datetime, now: datetime, half_life_days: float) -> float:
    """1 for a document that was changed just now, half of that after each half-life."""
    days = max((now - modified_at).total_seconds(), 0.0) / 86_400
    return 0.5 ** (days / half_life_days)


def feedback(metadata: Mapping[str, Any]) -> float:
    """Share of readers whom a document helps, as it is at least (Wilson's lower bound); 0 where nobody said.

    Votes as articles carry them, a ticket's rating from 1 to 5, and that a ticket was solved, which says a little.
    """
    good = bad = 0
    for up, down in _VOTES:
        good += _count(metadata.get(up))
        bad += _count(metadata.get(down))
    rating = metadata.get("satisfaction_rating")
    if isinstance(rating, int | float):
        good += rating >= _GOOD_RATING
        bad += rating <= _BAD_RATING
    state = metadata.get("status", metadata.get("state"))
    if isinstance(state, str) and state.lower() in _SOLVED:
        good += _SOLVED_VOTES
    return _wilson(good, good + bad)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _wilson(good: int, votes: int) -> float:
    if not votes:
        return 0.0
    share = good / votes
    middle = share + _Z**2 / (2 * votes)
    margin = _Z * math.sqrt(share * (1 - share) / votes + _Z**2 / (4 * votes**2))
    return max((middle - margin) / (1 + _Z**2 / votes), 0.0)
