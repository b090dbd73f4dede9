"""The sentences of a chunk that answer a question, with the question's words in them.

What belongs here: where words stand in a text. What a word is says `vector_stores/lexical.py`.
"""

from collections.abc import Iterator

import regex

from sync_assets.search.results import Highlight
from sync_assets.vector_stores.lexical import SPACELESS, WORD, words

_MOST = 2
_LONGEST = 240

# Sentences and lines.
_SENTENCE = regex.compile(r"\S(?:[^\n.!?。！？]|[.!?](?!\s))*+[.!?。！？]*")
# A word, or an identifier of several; where words are not parted by spaces, one character.
_RUN = regex.compile(rf"[{SPACELESS}]|{WORD}(?:[._@-]{WORD})*", regex.V1)
_PART = regex.compile(WORD, regex.V1)
_SHORT = 3
# Words of one stem, roughly: they begin alike, and neither goes on for long.
_STEM, _ENDING = 5, 3


def highlights(question: str, text: str) -> list[Highlight]:
    """At most two parts of a text, in its order: those with most of the question's words, else its beginning.

    Words of up to three letters count only where the question has no other ones, numbers always; words of one stem
    count as the same.
    """
    asked = _telling(question)
    marked = [(start, part, _spans(part, asked)) for start, part in _parts(text)]
    weights = {start: _weight(part, spans) for start, part, spans in marked}
    best = [start for start in sorted(weights, key=lambda start: (-weights[start], start))[:_MOST] if weights[start]]
    if not best and text.strip():
        return [Highlight(text=_cut(text.strip()), start=len(text) - len(text.lstrip()), spans=[])]
    return [Highlight(text=part, start=start, spans=spans) for start, part, spans in marked if start in best]


def _telling(question: str) -> frozenset[str]:
    asked = frozenset(words(question))
    long = frozenset(word for word in asked if len(word) > _SHORT or not word.isascii() or not word.isalpha())
    return long or asked


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Sentences with where they begin; a long one in pieces."""
    for found in _SENTENCE.finditer(text):
        start, sentence = found.start(), found.group().rstrip()
        while sentence:
            piece = _cut(sentence)
            yield start, piece
            rest = sentence[len(piece) :].lstrip()
            start, sentence = start + len(sentence) - len(rest), rest


def _cut(text: str) -> str:
    """The beginning of a text, up to a space where there is one."""
    if len(text) <= _LONGEST:
        return text
    space = text.rfind(" ", 1, _LONGEST)
    return text[: space if space > 0 else _LONGEST].rstrip()


def _spans(part: str, asked: frozenset[str]) -> list[tuple[int, int]]:
    """Where the question's words stand, in order; characters that follow each other are one span."""
    spans: list[tuple[int, int]] = []
    for start, end in _found(part, asked):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _found(part: str, asked: frozenset[str]) -> Iterator[tuple[int, int]]:
    for run in _RUN.finditer(part):
        start, end = run.span()
        # In scripts without spaces a pair of characters is a word.
        pair = part[start : start + 2]
        if _is_asked(run.group(), asked):
            yield start, end
        elif end - start == 1 and _is_asked(pair, asked):
            yield start, start + len(pair)
        else:
            pieces = (piece.span() for piece in _PART.finditer(part, start, end))
            yield from ((first, last) for first, last in pieces if _is_asked(part[first:last], asked))


def _is_asked(text: str, asked: frozenset[str]) -> bool:
    """Whether a text is one of the words, or of the stem of one."""
    found = words(text)
    return bool(found) and (found[0] in asked or any(_is_alike(found[0], word) for word in asked))


def _is_alike(one: str, other: str) -> bool:
    stem = max(_STEM, max(len(one), len(other)) - _ENDING)
    return one[:stem] == other[:stem] and one.isalpha() and other.isalpha()


def _weight(part: str, spans: list[tuple[int, int]]) -> int:
    """Characters of different words of the question: long words say more, and repeating one says nothing new."""
    return sum(len(word) for word in {part[start:end].casefold() for start, end in spans})
