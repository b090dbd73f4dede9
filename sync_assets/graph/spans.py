"""Spans of a text that do not overlap.

What belongs here: places alone. What does not: what stands there.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

Span = tuple[int, int]


class Spans:
    """A set of spans [start, end) without overlaps, which tells quickly what is in the way of another one."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: list[Span] = []
        for span in spans:
            self.take(span)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def overlapping(self, span: Span) -> list[Span]:
        """The spans that share a character with this one."""
        end = bisect_left(self._spans, (span[1],))
        first = end
        while first and self._spans[first - 1][1] > span[0]:
            first -= 1
        return self._spans[first:end]

    def take(self, span: Span) -> bool:
        """Add a span; False, and nothing is added, where others are in the way."""
        if self.overlapping(span):
            return False
        insort(self._spans, span)
        return True
