"""Bodies of articles: Markdown cut at its headings, each section below the headings that lead to it."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

from markdown_it.token import Token

from sync_assets.chunking.splitting import (
    MARKDOWN,
    Body,
    Layout,
    Names,
    Piece,
    line_starts,
    markdown_places,
    split_all,
)
from sync_assets.embedding import Tokenizer

# Title and six levels of headings leave room for text even where each is as long as it may be.
_HEADING_SHARE = 9
_SEPARATOR = " > "
_SLUG_CHARACTERS = 60


class _Heading(NamedTuple):
    level: int
    text: str
    begin: int
    end: int


class _Section(NamedTuple):
    """Text between two headings, and the headings above it from the outermost."""

    headings: list[str]
    path: str
    begin: int
    end: int


def pieces(text: str, title: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """Sections by heading, long ones split; named by the path of their headings.

    Each begins with a line of the article's title, where one is given, and its headings, so that it makes sense alone.
    A heading too long for that is read as text, and so long a title is left out, being in the article's header.
    """
    limit = max_tokens // _HEADING_SHARE
    tokens = MARKDOWN.parse(text)
    starts = [*line_starts(text), len(text)]
    headings = [heading for heading in _headings(tokens, starts) if heading.text]
    lengths = tokenizer.count([_SEPARATOR + line for line in [title, *(heading.text for heading in headings)]])
    root = [title] if title and lengths[0] <= limit else []
    short = [heading for heading, length in zip(headings, lengths[1:], strict=True) if length <= limit]
    sections = list(_sections(text, short))
    places = markdown_places(tokens, starts)
    bodies = []
    for section in sections:
        above = section.headings if section.headings[:1] == [title] else [*root, *section.headings]
        body = text[section.begin : section.end]
        bodies.append(Body(body, _SEPARATOR.join(above), _layout(places, body, section.begin)))
    return [
        piece.within(section.path, {})
        for section, pieces in zip(sections, split_all(bodies, tokenizer, max_tokens), strict=True)
        for piece in pieces
    ]


def _layout(places: Sequence[Sequence[int]], body: str, begin: int) -> Layout:
    """Layout of a section, of which the places are known from the whole article."""
    first = begin + len(body) - len(body.lstrip())
    last = begin + len(body)

    def within(_trimmed: str) -> list[list[int]]:
        return [
            [position - first for position in level[bisect_left(level, first) : bisect_left(level, last)]]
            for level in places
        ]

    return Layout(within, str.strip)


def _headings(tokens: Sequence[Token], starts: Sequence[int]) -> Iterator[_Heading]:
    """Headings that are not within a quote or a list."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            first, last = token.map
            yield _Heading(int(token.tag[1]), content.content.strip(), starts[first], starts[last])


def _sections(text: str, headings: Sequence[_Heading]) -> Iterator[_Section]:
    """The text before the first heading, and that below each; a heading followed by a lower one may have none."""
    before = headings[0].begin if headings else len(text)
    if text[:before].strip():
        yield _Section([], "", 0, before)
    names = Names()
    above: list[tuple[_Heading, str]] = []
    for heading, following in zip_longest(headings, headings[1:]):
        above = [entry for entry in above if entry[0].level < heading.level]
        path = names.add("/".join([*(name for _, name in above[-1:]), _slug(heading.text)]))
        above.append((heading, path))
        end = following.begin if following else len(text)
        if text[heading.end : end].strip() or following is None or following.level <= heading.level:
            yield _Section([entry.text for entry, _ in above], path, heading.end, end)


def _slug(heading: str) -> str:
    """A heading as a name in a path: lower case words, joined by hyphens."""
    return "-".join(re.findall(r"\w+", heading.lower()))[:_SLUG_CHARACTERS] or "section"
