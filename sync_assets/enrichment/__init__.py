"""Keywords for documents with the combined text that stands in their header's place, and summaries.

What belongs here: what an extractor is given, what it gives, and how a document looks with it. Who extracts is in
`local.py` and `llm.py`, what was paid for once in `enricher.py`, what the stores lack in `coverage.py`; summaries begin
in `summaries.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sync_assets.documents import Document, Part, Visibility
from sync_assets.errors import SyncAssetsError
from sync_assets.hashing import digest

COMBINED_TEXT = "combined_text"
MOST_KEYWORDS = 2

_HEADER = "header"
_PUNCTUATION = ".,;:!?()[]{}<>\"'“”‘’«»„¿¡…"


class EnrichmentError(SyncAssetsError):
    """An extractor or summariser gave nothing for a text."""


class ExtractorUnreachable(EnrichmentError):
    """It answers nobody now, or not us: the next text would fare no better."""


class Article(NamedTuple):
    """All that an extractor is given of a document.

    Attributes:
        language: code such as `en` or `de-DE`; empty where the document does not tell.
    """

    title: str
    text: str
    language: str

    @property
    def content_hash(self) -> str:
        return digest(list(self))


@dataclass(frozen=True)
class Tokens:
    """What a language model was given and what it answered, in its own tokens."""

    read: int = 0
    written: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read + other.read, self.written + other.written)

    def __sub__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read - other.read, self.written - other.written)


class Enrichment(NamedTuple):
    """What a document gets: at most two keywords as a rule, and the text that is embedded with its title."""

    keywords: list[str]
    combined_text: str


class Extractor(Protocol):
    """Derives keywords.

    Attributes:
        name: what its results are stored under.
        at_once: how many articles it is handed between two commits.
    """

    name: str
    at_once: int

    def extract(self, articles: Sequence[Article]) -> list[list[str] | EnrichmentError]:
        """Keywords of each article, or why there are none; in the order of the articles."""
        ...

    def close(self) -> None: ...


def combined_text(title: str, keywords: Sequence[str]) -> str:
    """The distinct lower-case words of title and keywords, in the order in which they first appear.

    >>> combined_text("Reset the inverter", ["inverter reset", "Solar"])
    'reset the inverter solar'
    """
    return " ".join(words(" ".join([title, *keywords])))


def words(text: str) -> list[str]:
    """Distinct words of a text in order, in lower case, without the punctuation around them."""
    found = (word.strip(_PUNCTUATION) for word in text.lower().split())
    return list(dict.fromkeys(word for word in found if word))


def article_of(document: Document) -> Article:
    """What an extractor may read: parts that everybody may read who may read what the keywords will stand in."""
    header = _header(document)
    texts = [
        part.text
        for part in document.parts
        if part.path != _HEADER
        and is_as_wide(part, document.visibility, document.principals)
        and is_as_wide(part, header.visibility, header.principals)
    ]
    language = document.metadata.get("language") or document.metadata.get("locale") or ""
    return Article(document.title, "\n\n".join(texts), str(language))


def enriched(document: Document, enrichment: Enrichment) -> Document:
    """The document with its keywords, and the combined text in its header's place."""
    header = _header(document).model_copy(update={"path": COMBINED_TEXT, "text": enrichment.combined_text})
    parts = [header, *(part for part in document.parts if part.path != _HEADER)]
    return document.model_copy(update={"parts": parts, "metadata": with_keywords(document, enrichment).metadata})


def with_keywords(document: Document, enrichment: Enrichment) -> Document:
    """The document with its keywords alone."""
    if not enrichment.keywords:
        return document
    return document.model_copy(update={"metadata": {**document.metadata, "keywords": enrichment.keywords}})


def _header(document: Document) -> Part:
    """The document's header; where it has none, an empty one that is as visible as the document."""
    for part in document.parts:
        if part.path == _HEADER:
            return part
    return Part(path=_HEADER, role="header", text="", visibility=document.visibility, principals=document.principals)


def is_as_wide(part: Part, visibility: Visibility, principals: Sequence[str]) -> bool:
    """Whether everybody may read a part who may read what has this visibility and these principals."""
    if part.visibility is Visibility.PUBLIC:
        return True
    return part.visibility is visibility and sorted(part.principals) == sorted(principals)
