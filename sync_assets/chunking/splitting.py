"""Splitting a long text at places that its own content decides.

Every place where a text may be cut has a rank: first by its kind (places of its structure from coarse to fine, as
between blocks of Markdown, between statements, between lines; then between sentences, between words, between tokens),
among equals by a hash of the characters around it. A cut is made exactly where the stretch up to the nearest places of
higher rank on both sides is too long for one piece. Whether a place is cut thus depends on the text within one piece's
length of it and on nothing else, so an edit moves no cut further away. Neighbours that fit together are joined
afterwards, at the cuts of the lowest rank first.
"""

import re
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sync_assets.embedding import Tokenizer

# What stands within a line is of no interest here, and reading it takes most of the time.
MARKDOWN = MarkdownIt("commonmark").enable("table").disable(["lheading", "inline"])

_LINE_END = re.compile(r"\r\n?|\n")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*\s+|[。！？]|\n""")
_WORD_END = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")
_CONTEXT = 32  # characters on each side that decide a place's rank
_NAME_CHARACTERS = 64  # of a piece's beginning that decide its name


class Piece(NamedTuple):
    """A part of a text.

    Attributes:
        name: steady among the pieces of that text, empty where it is the whole.
        tokens: length of `text` in the model's tokens, special tokens not counted.
        metadata: facts of the piece that are stored beside it.
    """

    name: str
    text: str
    tokens: int
    metadata: dict[str, Any] = {}

    def within(self, path: str, facts: dict[str, Any]) -> "Piece":
        """This piece named below the path of what it is in, with that one's facts beside its own."""
        return self._replace(name="/".join(filter(None, [path, self.name])), metadata={**facts, **self.metadata})


class Layout(NamedTuple):
    """How the texts of one kind are built.

    Attributes:
        places: positions in a trimmed text where it is best cut, one ascending list for each kind of place, the
            coarsest first.
        trim: a text without what may go at its ends.
    """

    places: Callable[[str], Sequence[Sequence[int]]]
    trim: Callable[[str], str]


class Body(NamedTuple):
    """A text to split.

    Attributes:
        heading: first line of every piece's text, counted in its tokens.
    """

    text: str
    heading: str
    layout: Layout


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


def line_starts(text: str) -> list[int]:
    """Positions where the lines of a text begin, the first included."""
    return [0, *[found.end() for found in _LINE_END.finditer(text)]]


def trim_lines(text: str) -> str:
    """A text without blank lines at its ends; the first line keeps its indentation.

    >>> trim_lines("\\n  \\n  if ready:\\n    go()\\n")
    '  if ready:\\n    go()'
    """
    blank = _BLANK_LINES.match(text)
    return text[blank.end() if blank else 0 :].rstrip()


def hashed_name(text: str) -> str:
    """Short hash of how a text begins: steady while it is edited further on, and wherever it stands."""
    return blake2b(text[:_NAME_CHARACTERS].encode(), digest_size=4).hexdigest()


def runs(ranks: Sequence[int], counts: Sequence[int], longest: int, max_tokens: int) -> Iterator[tuple[int, int]]:
    """Begin and end of stretches of neighbours (messages, rows) that go together, in order; each is in exactly one.

    While a stretch has more than `longest` members or more than `max_tokens` tokens, it is cut behind the member of the
    smallest rank (its last one aside): what changes in one place moves no cut further away.

    Args:
        ranks: a steady number for each member, in no order that the members have.
        counts: tokens of each member.
    """
    sums = [0, *accumulate(counts)]
    waiting = [(0, len(ranks))]
    while waiting:
        first, last = waiting.pop()
        if last - first > 1 and (last - first > longest or sums[last] - sums[first] > max_tokens):
            behind = min(range(first, last - 1), key=lambda place: ranks[place]) + 1
            waiting += [(behind, last), (first, behind)]
        elif last > first:
            yield first, last


def split(text: str, tokenizer: Tokenizer, max_tokens: int, heading: str = "") -> list[Piece]:
    """Pieces of a Markdown or plain text: see `split_all`."""
    return split_all([Body(text, heading, PROSE)], tokenizer, max_tokens)[0]


def split_all(bodies: Sequence[Body], tokenizer: Tokenizer, max_tokens: int) -> list[list[Piece]]:
    """For each text its pieces that, below its heading, are no longer than `max_tokens`; together they hold all of it.

    Raises:
        ValueError: a single character does not fit.
    """
    bodies = [body._replace(text=body.layout.trim(body.text)) for body in bodies]
    texts = [f"{body.heading}\n{body.text}" if body.heading else body.text for body in bodies]
    found = []
    for body, text, whole in zip(bodies, texts, tokenizer.count(texts), strict=True):
        if whole > max_tokens:
            found.append(_split_long(body, tokenizer, max_tokens))
        else:
            found.append([Piece("", text.rstrip(), whole)] if whole else [])
    return found


def _split_long(body: Body, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    prefix = f"{body.heading}\n" if body.heading else ""
    room = max_tokens - (tokenizer.count([prefix])[0] if prefix else 0)
    texts = _cut(body.text, tokenizer, room, body.layout)
    # Some tokenizers count a text alone differently than within its surroundings: what is too long now is cut again.
    while True:
        counts = tokenizer.count([prefix + piece for piece in texts])
        if max(counts) <= max_tokens:
            names = Names()
            return [
                Piece(names.add(hashed_name(piece)), prefix + piece, count)
                for piece, count in zip(texts, counts, strict=True)
            ]
        texts = [
            part
            for piece, count in zip(texts, counts, strict=True)
            for part in (_halves(piece, tokenizer) if count > max_tokens else [piece])
        ]


class _Ruler:
    """Tokens between two places of a text: counted between its structure's places, where that is too long one by one.

    Attributes:
        starts: ascending positions where tokens begin, in the stretches that are longer than `room`.
    """

    def __init__(self, text: str, places: Iterable[int], tokenizer: Tokenizer, room: int) -> None:
        edges = sorted({0, *places, len(text)})
        self.starts: list[int] = []
        self._positions: list[int] = []
        self._tokens: list[int] = []
        total = 0
        counts = tokenizer.count([text[begin:end] for begin, end in pairwise(edges)])
        for (begin, end), count in zip(pairwise(edges), counts, strict=True):
            self._positions.append(begin)
            self._tokens.append(total)
            if count > room:
                inner = [begin + start for start, _ in tokenizer.offsets(text[begin:end])]
                self.starts += inner
                self._positions += inner
                self._tokens += range(total, total + len(inner))
                count = len(inner)
            total += count
        self._positions.append(len(text))
        self._tokens.append(total)

    def tokens(self, begin: int, end: int) -> int:
        return self._before(end) - self._before(begin)

    def _before(self, position: int) -> int:
        return self._tokens[bisect_left(self._positions, position)]


def _cut(text: str, tokenizer: Tokenizer, room: int, layout: Layout) -> list[str]:
    levels = layout.places(text)
    ruler = _Ruler(text, (place for level in levels for place in level), tokenizer, room)
    # From coarse to fine; only stretches that are still too long are looked at more finely.
    kinds: list[Callable[[int, int], Iterable[int]]] = [
        *(_between(level) for level in levels),
        lambda begin, end: (found.end() for found in _SENTENCE_END.finditer(text, begin, end)),
        lambda begin, end: (found.end() for found in _WORD_END.finditer(text, begin, end)),
        _between(ruler.starts),
    ]
    cuts: list[_Place] = []
    edges = [0, len(text)]
    for kind, places_between in enumerate(kinds):
        long = [(begin, end) for begin, end in pairwise(edges) if ruler.tokens(begin, end) > room]
        for begin, end in long:
            positions = sorted({place for place in places_between(begin, end) if begin < place < end})
            places = [_Place((-kind, _hash_around(text, position)), position) for position in positions]
            cuts.extend(_needed(places, begin, end, lambda left, right: ruler.tokens(left, right) > room))
        if not long:
            break
        edges = [0, *sorted(cut.position for cut in cuts), len(text)]
    edges = [0, *_joined(cuts, len(text), ruler.tokens, room), len(text)]
    slices = [layout.trim(text[begin:end]) for begin, end in pairwise(edges)]
    return [piece for piece in slices if piece]


def _between(positions: Sequence[int]) -> Callable[[int, int], Iterable[int]]:
    return lambda begin, end: positions[bisect_left(positions, begin) : bisect_left(positions, end)]


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


def markdown_places(tokens: Iterable[Token], starts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Positions where a block of Markdown begins, and where a line within a list, quote, table or code begins.

    Args:
        starts: positions of the lines' beginnings, and of the text's end.
    """
    blocks: set[int] = set()
    lines: set[int] = set()
    for token in tokens:
        if token.map is None:
            continue
        first, last = token.map
        if token.level == 0:
            blocks.add(starts[first])
        elif token.type != "inline":
            lines.add(starts[first])
        if token.type in ("fence", "code_block"):
            lines.update(starts[first + 1 : last])
    return sorted(blocks), sorted(lines)


def _hash_around(text: str, position: int) -> int:
    return zlib.crc32(text[max(0, position - _CONTEXT) : position + _CONTEXT].encode())


PROSE = Layout(lambda text: markdown_places(MARKDOWN.parse(text), [*line_starts(text), len(text)]), str.strip)
LINES = Layout(lambda text: [line_starts(text)], trim_lines)
