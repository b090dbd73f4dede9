"""Finding by words: what a word is, and the BM25 ranking, equal for every store.

What belongs here: the tokeniser, the words that are stored with each point, and which points are fetched and how they
are scored. What does not: how a store finds the points that have a word; it counts and lists them (`Words`).

A store keeps no statistics of words: how many points have one is asked for each search, of those points only that the
audience may see under the filters. So nobody learns from a score what stands in points that he may not see.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import regex

from sync_assets.vector_stores import Hit, Point, WordCounts, WordHits

# Points that are fetched to be scored, unless more hits are asked for.
_CANDIDATES = 1000
# Of a question: more words make a search slow and hardly better.
_MOST_WORDS = 32
_MOST_CHARACTERS = 64

# BM25: how soon repeating a word stops counting, how much a long text pays, and what is long.
_SATURATION, _LENGTH_SHARE, _USUAL_LENGTH = 1.2, 0.75, 100

# A run in a script that puts no spaces between words, or letters, digits and marks; several of these with single
# connectors between them are an identifier.
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
WORD = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{SPACELESS}]]+"
_RUNS = regex.compile(rf"[{SPACELESS}][{SPACELESS}\p{{M}}]*|{WORD}(?:[._@-]{WORD})*", regex.V1)
# The same of text that is plain ASCII, five times as fast.
_ASCII_RUNS = re.compile(r"[0-9a-z]+(?:[._@-][0-9a-z]+)*")
_STARTS_SPACELESS = regex.compile(rf"[{SPACELESS}]", regex.V1)
_CONNECTORS = regex.compile(r"[._@-]")

AnyWord = tuple[str, ...]


class Words(Protocol):
    """What a store tells of the points that a search may see, under its tenant, audience and filters."""

    def count(self, groups: Sequence[AnyWord]) -> int:
        """How many of them have, of each group, any word; all of them where there is no group."""
        ...

    def texts(self, groups: Sequence[AnyWord], limit: int) -> Iterable[tuple[str, str, str]]:
        """Chunk id, title and text of at most `limit` of those."""
        ...


class Ranked(NamedTuple):
    """A chunk and its BM25 score, above 0, higher is better."""

    chunk_id: str
    score: float


NOTHING = WordHits([], WordCounts(0, {}))


def words(text: str) -> list[str]:
    """The words of a text, in order, as they are compared: without case, width or ligatures, and not stemmed.

    Identifiers stand whole and in parts. Scripts that put no spaces between words give overlapping pairs of characters.

    >>> words("The VPN-2 of ERR_47")
    ['the', 'vpn-2', 'vpn', '2', 'of', 'err_47', 'err', '47']
    >>> words("株式会社")
    ['株式', '式会', '会社']
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for run in (_ASCII_RUNS if folded.isascii() else _RUNS).findall(folded):
        if run.isascii() and run.isalnum():
            found.append(run[:_MOST_CHARACTERS])
        else:
            found += _words_of_run(run)
    return found


def terms(point: Point) -> list[str]:
    """The words that a point is found by: those of its title and its text, each once."""
    return sorted({*words(point.title), *words(point.text)})


def ranked(text: str, stored: Words, limit: int) -> tuple[list[Ranked], WordCounts]:
    """The points that have words of `text`, best first, ties by chunk id; `limit` of them when that many exist. And how
    many points have each word, of how many: those of other collections may be rarer for it.

    Every point is scored that has one of the rarest words, as many words as have at most `_CANDIDATES` points together;
    then, while there is room, points that have the most of the other words.
    """
    asked = list(dict.fromkeys(words(text)))[:_MOST_WORDS] if limit > 0 else []
    having = {word: count for word in asked if (count := stored.count([(word,)]))}
    counts = WordCounts(stored.count([]), having) if asked else NOTHING.counts
    if not having:
        return [], counts
    weights = _weights(counts)
    scored = [
        Ranked(chunk_id, score)
        for chunk_id, (title, body) in _candidates(stored, having, max(limit, _CANDIDATES)).items()
        if (score := _score(weights, [*words(title), *words(body)]))
    ]
    return sorted(scored, key=lambda one: (-one.score, one.chunk_id))[:limit], counts


def as_hits(ranking: tuple[Sequence[Ranked], WordCounts], points: Iterable[Hit]) -> WordHits:
    """The points that were ranked, each with its score, in the order of `points`."""
    found, counts = ranking
    scores = dict(found)
    return WordHits([point.model_copy(update={"score": scores[point.chunk_id]}) for point in points], counts)


def compared(found: Sequence[WordHits]) -> list[list[Hit]]:
    """The hits of several collections for one question, with the scores that they have in all of these together.

    A word's weight is how rare it is where one looks: the same one may be rare in one collection and in every point of
    another, and a small collection has no rare words at all.
    """
    if len(found) == 1:
        return [found[0].hits]
    having: Counter[str] = Counter()
    for one in found:
        having.update(one.counts.having)
    weights = _weights(WordCounts(sum(one.counts.points for one in found), having))
    return [
        [hit.model_copy(update={"score": _score(weights, [*words(hit.title), *words(hit.text)])}) for hit in one.hits]
        for one in found
    ]


def _words_of_run(run: str) -> list[str]:
    if _STARTS_SPACELESS.match(run):
        return [run[start : start + 2] for start in range(max(1, len(run) - 1))]
    parts = _CONNECTORS.split(run)
    return [part[:_MOST_CHARACTERS] for part in ([run, *parts] if len(parts) > 1 else parts)]


def _candidates(stored: Words, counts: Mapping[str, int], most: int) -> dict[str, tuple[str, str]]:
    """Title and text by chunk id of the points that are scored: `2 * most` at most."""
    rarest_first = sorted(counts, key=lambda word: (counts[word], word))
    together = accumulate(counts[word] for word in rarest_first)
    rare = tuple(word for word, points in zip(rarest_first, together, strict=True) if points <= most)
    common = rarest_first[len(rare) :]
    wanted = [[rare]] if rare else []
    wanted += [[(word,) for word in common[:size]] for size in range(len(common), 1, -1)]
    wanted += [[tuple(rarest_first)]] if common else []
    found: dict[str, tuple[str, str]] = {}
    for groups in wanted:
        if len(found) < most:
            found |= {chunk_id: (title, text) for chunk_id, title, text in stored.texts(groups, most)}
    return found


def _weights(counts: WordCounts) -> dict[str, float]:
    """How much each word says: the rarer, the more, and never less than nothing."""
    return {
        word: math.log1p((max(counts.points - count, 0) + 0.5) / (count + 0.5)) for word, count in counts.having.items()
    }


def _score(weights: Mapping[str, float], found: Sequence[str]) -> float:
    damping = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * len(found) / _USUAL_LENGTH)
    times = Counter(word for word in found if word in weights)
    return sum(weights[word] * times[word] * (_SATURATION + 1) / (times[word] + damping) for word in weights)
