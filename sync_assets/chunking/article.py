"""Bodies of articles: Markdown cut at its headings, each section below the headings that lead to it."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

from sync_assets.chunking.splitting import MARKDOWN, Names, Piece, split
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
    text: str


def pieces(text: str, title: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """Sections by heading, long ones split; named by the path of their headings.

    Each begins with a line of the article's title, where one is given, and its headings, so that it makes sense alone.
    A heading too long for that is read as text, and so long a title is left out, being in the article's header.
    """
    limit = max_tokens // _HEADING_SHARE
    headings = [heading for heading in _headings(text) if heading.text]
    lengths = tokenizer.count([_SEPARATOR + line for line in [title, *(heading.text for heading in headings)]])
    root = [title] if title and lengths[0] <= limit else []
    found: list[Piece] = []
    short = [heading for heading, length in zip(headings, lengths[1:], strict=True) if length <= limit]
    for section in _sections(text, short):
        above = section.headings if section.headings[:1] == [title] else [*root, *section.headings]
        for piece in split(section.text, tokenizer, max_tokens, _SEPARATOR.join(above)):
            found.append(piece._replace(name="/".join(filter(None, [section.path, piece.name]))))
    return found


def _headings(text: str) -> Iterator[_Heading]:
    """Headings that are not within a quote or a list."""
    line_starts = [0, *(found.end() for found in re.finditer("\n", text)), len(text)]
    tokens = MARKDOWN.parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            first, last = token.map
            yield _Heading(int(token.tag[1]), content.content.strip(), line_starts[first], line_starts[last])


def _sections(text: str, headings: Sequence[_Heading]) -> Iterator[_Section]:
    """The text before the first heading, and that below each; a heading followed by a lower one may have none."""
    before = text[: headings[0].begin if headings else len(text)]
    if before.strip():
        yield _Section([], "", before)
    names = Names()
    above: list[tuple[_Heading, str]] = []
    for heading, following in zip_longest(headings, headings[1:]):
        above = [entry for entry in above if entry[0].level < heading.level]
        path = names.add("/".join([*(name for _, name in above[-1:]), _slug(heading.text)]))
        above.append((heading, path))
        body = text[heading.end : following.begin if following else len(text)]
        if body.strip() or following is None or following.level <= heading.level:
            yield _Section([entry.text for entry, _ in above], path, body)


def _slug(heading: str) -> str:
    """A heading as a name in a path: lower case words, joined by hyphens."""
    return "-".join(re.findall(r"\w+", heading.lower()))[:_SLUG_CHARACTERS] or "section"
