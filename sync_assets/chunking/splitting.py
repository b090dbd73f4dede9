"""Splitting a long text at places that its own content decides.

Every place where a text may be cut has a rank: first by its kind (between blocks of Markdown, between lines of a list,
table or code, between sentences, between words, between tokens), among equals by a hash of the characters around it. A
cut is made exactly where the stretch up to the nearest places of higher rank on both sides is too long for one piece.
Whether a place is cut thus depends on the text within one piece's length of it and on nothing else, so an edit moves
no cut further away. Neighbours that fit together are joined afterwards, at the cuts of the lowest rank first.
"""

import re
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt

from sync_assets.embedding import Tokenizer

MARKDOWN = MarkdownIt("commonmark").enable("table").disable("lheading")

_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*\s+|[。！？]|\n""")
_WORD_END = re.compile(r"\s+")
_CONTEXT = 32  # characters on each side that decide a place's rank
_NAME_CHARACTERS = 64  # of a piece's beginning that decide its name


class Piece(NamedTuple):
    """A part of a text, with its name among the pieces of that text (empty where it is the whole)."""

    name: str
    text: str
    tokens: int


class Names:
    """Names that differ: equal ones are told apart by their order among themselves (a, b, a~2)."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def add(self, name: str) -> str:
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}~{self._seen[name]}"


class _Place(NamedTuple):
    """Where a text may be cut: the larger the rank, the sooner."""

    rank: tuple[int, int]
    position: int


def split(text: str, tokenizer: Tokenizer, max_tokens: int, heading: str = "") -> list[Piece]:
    """Pieces of a text that, each below a heading, are no longer than `max_tokens`; together they hold all of it.

    Args:
        heading: first line of every piece's text, counted in its tokens.

    Raises:
        ValueError: a single character does not fit.
    """
    text = text.strip()
    prefix = f"{heading}\n" if heading else ""
    [whole] = tokenizer.count([prefix + text])
    if whole <= max_tokens:
        return [Piece("", (prefix + text).strip(), whole)] if whole else []
    room = max_tokens - (tokenizer.count([prefix])[0] if prefix else 0)
    texts = _cut(text, tokenizer, room)
    # Some tokenizers count a text alone differently than within its surroundings: what is too long now is cut again.
    while True:
        counts = tokenizer.count([prefix + piece for piece in texts])
        if max(counts) <= max_tokens:
            names = Names()
            return [
                Piece(names.add(_name(piece)), prefix + piece, count)
                for piece, count in zip(texts, counts, strict=True)
            ]
        texts = [
            part
            for piece, count in zip(texts, counts, strict=True)
            for part in (_halves(piece, tokenizer) if count > max_tokens else [piece])
        ]


def _name(text: str) -> str:
    """Short hash of how a piece begins: steady while it is edited further on, and wherever it stands."""
    return blake2b(text[:_NAME_CHARACTERS].encode(), digest_size=4).hexdigest()


def _cut(text: str, tokenizer: Tokenizer, room: int) -> list[str]:
    starts = [start for start, _ in tokenizer.offsets(text)]

    def tokens(begin: int, end: int) -> int:
        return bisect_left(starts, end) - bisect_left(starts, begin)

    # From coarse to fine; only stretches that are still too long are looked at more finely.
    blocks, lines = _markdown_places(text)
    kinds: list[Callable[[int, int], Iterable[int]]] = [
        lambda begin, end: blocks[bisect_left(blocks, begin) : bisect_left(blocks, end)],
        lambda begin, end: lines[bisect_left(lines, begin) : bisect_left(lines, end)],
        lambda begin, end: (found.end() for found in _SENTENCE_END.finditer(text, begin, end)),
        lambda begin, end: (found.end() for found in _WORD_END.finditer(text, begin, end)),
        lambda begin, end: starts[bisect_left(starts, begin) : bisect_left(starts, end)],
    ]
    cuts: list[_Place] = []
    for kind, places_between in enumerate(kinds):
        edges = [0, *sorted(cut.position for cut in cuts), len(text)]
        for begin, end in pairwise(edges):
            if tokens(begin, end) > room:
                positions = sorted({place for place in places_between(begin, end) if begin < place < end})
                places = [_Place((-kind, _hash_around(text, position)), position) for position in positions]
                cuts.extend(_needed(places, begin, end, lambda left, right: tokens(left, right) > room))
    edges = [0, *_joined(cuts, len(text), tokens, room), len(text)]
    slices = [text[begin:end].strip() for begin, end in pairwise(edges)]
    return [piece for piece in slices if piece]


def _needed(places: Sequence[_Place], begin: int, end: int, is_too_long: Callable[[int, int], bool]) -> list[_Place]:
    """Places where the stretch between their nearest neighbours of higher rank is too long; among equals the first."""
    left = _higher_before(places, begin, lambda one, other: one >= other)
    right = _higher_before(places[::-1], end, lambda one, other: one > other)[::-1]
    return [place for place, low, high in zip(places, left, right, strict=True) if is_too_long(low, high)]


def _higher_before(
    places: Sequence[_Place], start: int, outranks: Callable[[tuple[int, int], tuple[int, int]], bool]
) -> list[int]:
    """For each place the position of the nearest one before it that outranks it, or `start`."""
    open_places: list[_Place] = []
    result = []
    for place in places:
        while open_places and not outranks(open_places[-1].rank, place.rank):
            open_places.pop()
        result.append(open_places[-1].position if open_places else start)
        open_places.append(place)
    return result


def _joined(cuts: Iterable[_Place], end: int, tokens: Callable[[int, int], int], room: int) -> list[int]:
    """Positions of the cuts that remain when pieces that fit together are joined, weakest cuts first."""
    positions = [0, *sorted(cut.position for cut in cuts), end]
    before = dict(zip(positions[1:], positions, strict=False))
    after = dict(pairwise(positions))
    for _, position in sorted(cuts):
        low, high = before[position], after[position]
        if tokens(low, high) <= room:
            after[low], before[high] = high, low
            del before[position], after[position]
    return sorted(before.keys() & after.keys())


def _halves(text: str, tokenizer: Tokenizer) -> list[str]:
    if len(text) < 2:
        raise ValueError(f"The character {text!r} alone is longer than a chunk may be.")
    starts = [start for start, _ in tokenizer.offsets(text) if start > 0]
    middle = starts[len(starts) // 2] if starts else len(text) // 2
    return [half for half in (text[:middle].strip(), text[middle:].strip()) if half]


def _markdown_places(text: str) -> tuple[list[int], list[int]]:
    """Positions where a block of Markdown begins, and where a line within a list, quote, table or code begins."""
    line_starts = [0, *(found.end() for found in re.finditer("\n", text)), len(text)]
    blocks: set[int] = set()
    lines: set[int] = set()
    for token in MARKDOWN.parse(text):
        if token.map is None:
            continue
        first, last = token.map
        if token.level == 0:
            blocks.add(line_starts[first])
        elif token.type != "inline":
            lines.add(line_starts[first])
        if token.type in ("fence", "code_block"):
            lines.update(line_starts[first + 1 : last])
    return sorted(blocks), sorted(lines)


def _hash_around(text: str, position: int) -> int:
    return zlib.crc32(text[max(0, position - _CONTEXT) : position + _CONTEXT].encode())
