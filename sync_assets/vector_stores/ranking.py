"""The best points of a search, with ties in one order whatever the engine's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_TIES = 1000


@dataclass(frozen=True)
class Found:
    """One point that a query found; `score` is the cosine similarity."""

    score: float
    chunk_id: str
    payload: Mapping[str, Any]


def best(nearest: Callable[[int, bool], list[Found]], limit: int) -> list[Found]:
    """The `limit` nearest points, best first and ties by chunk id.

    Args:
        nearest: asked for a number of points, and whether exactly; answers best first. It is asked for more while the
            last one ties with that at the limit (up to `_MAX_TIES`), and exactly where it finds too few.
    """
    asked = limit + 1
    while True:
        found = nearest(asked, False)
        if len(found) < asked:
            found = nearest(asked, True)
        if len(found) < asked or found[limit - 1].score > found[-1].score or asked > limit + _MAX_TIES:
            return sorted(found, key=lambda one: (-one.score, one.chunk_id))[:limit]
        asked *= 2
