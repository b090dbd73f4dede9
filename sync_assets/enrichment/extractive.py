"""Summaries without a language model: the sentences of a document that are nearest to all of it, and unlike each other.

The same text gives the same summary, on every machine and beside whatever other texts. So vectors are those of the
static model in the package `wordllama`, whatever model the stream is embedded with: a summary is not to change with it.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from markdown_it.token import Token
from segtok.segmenter import split_single

from sync_assets.chunking.splitting import MARKDOWN
from sync_assets.embedding import Embedder, open_embedder
from sync_assets.embedding.wordllama import MODEL
from sync_assets.enrichment import Article, EnrichmentError, Tokens
from sync_assets.enrichment.summaries import cleaned

# Part of what summaries are stored under: raise it with any change of what the same text gives.
_VERSION = 1
# How much nearness to the whole counts against likeness to a sentence that is chosen already.
_NEARNESS = 0.7
# How much the title counts in the whole, in sentences.
_TITLE = 0.2
_FEWEST_WORDS = 4
_FEWEST_LETTERS = 8
_LETTER_SHARE = 0.6
# So that the order in which a processor adds up decides nothing.
_DECIMALS = 5
# Marks that end a sentence without a space behind them.
_CLOSED = re.compile(r"(?<=[。！？])")
# Dutch abbreviations that the library takes for the end of a sentence.
_GOES_ON = re.compile(
    r"\b(?:dhr|mevr|mw|ca|bijv|bv|fam|art|incl|excl|m\.b\.t|t\.a\.v|n\.a\.v|i\.v\.m|d\.w\.z)\.$", re.I
)


class ExtractiveSummariser:
    """See `enrichment.summaries.Summariser`."""

    at_once = 256
    billed = Tokens()

    def __init__(self, max_characters: int) -> None:
        self.name = f"extractive {_VERSION} {max_characters}"
        self.max_characters = max_characters

    def estimate(self, article: Article) -> Tokens:
        return Tokens()

    def summarise(self, articles: Sequence[Article]) -> list[str | EnrichmentError]:
        return [self._summary(article) for article in articles]

    def close(self) -> None: ...

    def _summary(self, article: Article) -> str:
        found = list(dict.fromkeys(sentences(article.text)))
        short = [sentence for sentence in found if len(sentence) <= self.max_characters]
        if not short:
            return ""
        vectors = self._model.embed(short)
        whole = vectors.mean(axis=0)
        if title := cleaned(article.title):
            whole = whole + _TITLE * self._model.embed([title])[0]
        chosen = self._chosen(vectors, whole, [len(sentence) for sentence in short])
        return " ".join(short[number] for number in sorted(chosen))

    def _chosen(self, vectors: np.ndarray, whole: np.ndarray, lengths: Sequence[int]) -> list[int]:
        """Numbers of sentences that fit together, the most telling one first (maximal marginal relevance).

        Greetings and the like, which are further from the whole than most, fill no room that is left.
        """
        near = np.round(vectors @ whole, _DECIMALS)
        alike = np.zeros(len(lengths))
        room = self.max_characters
        left = near >= np.round(near.mean(), _DECIMALS)
        chosen: list[int] = []
        while (fits := left & (np.asarray(lengths) <= room)).any():
            worth = np.round(_NEARNESS * near - (1 - _NEARNESS) * alike, _DECIMALS)
            best = int(np.where(fits, worth, -np.inf).argmax())
            chosen.append(best)
            left[best] = False
            room -= lengths[best] + 1
            alike = np.maximum(alike, np.round(vectors @ vectors[best], _DECIMALS))
        return chosen

    @cached_property
    def _model(self) -> Embedder:
        return open_embedder(MODEL)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a Markdown text that say something, on one line each; headings, tables and code have none."""
    tokens = MARKDOWN.parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before is not None and before.type == "paragraph_open":
            yield from filter(_says_something, _sentences_in(token))


def _sentences_in(paragraph: Token) -> Iterator[str]:
    held = ""
    for piece in _CLOSED.split(cleaned(paragraph.content)):
        for sentence in split_single(piece):
            held = f"{held} {sentence}".strip()
            if not _GOES_ON.search(held):
                yield held
                held = ""
    if held:
        yield held


def _says_something(sentence: str) -> bool:
    letters = sum(map(str.isalpha, sentence))
    if letters < _FEWEST_LETTERS or letters < _LETTER_SHARE * len(sentence.replace(" ", "")):
        return False
    # Scripts without spaces have no words to count.
    return len(sentence.split()) >= _FEWEST_WORDS or not sentence.isascii()
