"""Today's documents of a stream, as older rows are compared with them: ids, titles, and the hashes of their texts.

Memory holds hashes and titles, never bodies.
"""

import html
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from markdown_it import MarkdownIt

from sync_assets.adoption.rows import Row
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document, Part
from sync_assets.embedding import Tokenizer
from sync_assets.enrichment import COMBINED_TEXT, Enrichment, article_of
from sync_assets.hashing import text_hash

_PAGE = 500
_MARKDOWN = MarkdownIt("commonmark").enable("table").disable(["lheading", "code"])


def plain(text: str) -> str:
    """A text as it is compared: entities decoded, NFKC, white space folded; case kept.

    >>> plain(" R&amp;D\\u00a0 Support ")
    'R&D Support'
    """
    return " ".join(unicodedata.normalize("NFKC", html.unescape(text)).split())


def bare(text: str) -> str:
    """What a text in Markdown says, without its markup and without white space.

    >>> bare("Press **Save** and [wait](https://a.example/):\\n\\n1. one\\n2. two")
    'PressSaveandwait:onetwo'
    """
    blocks = _MARKDOWN.parse(text)
    said = "".join(token.content for block in blocks for token in (block.children or [block]))
    return "".join(plain(said).split())


@dataclass
class Entry:
    """One document.

    Attributes:
        article: hash of all that its keywords belong to.
        texts: hash of each text as it is compared, to the hash of the chunk that is this text; empty for a text that
            is cut into several chunks.
        bare_texts: hashes of its texts without markup.
        chunks: hashes of its chunks, the combined text's left out where the stream has keywords.
        fields: what its metadata says, with its title.
        has_row, differs, keywords, combined: what older rows have told of it.
    """

    record_id: str
    title: str
    article: str
    texts: dict[str, str]
    bare_texts: set[str]
    chunks: list[str]
    fields: dict[str, Any]
    enrichment: Enrichment | None = None
    has_row: bool = False
    differs: bool = False
    keywords: list[str] = field(default_factory=list)
    combined: str = ""

    def offer(self, row: Row) -> None:
        """Keep what a row that matches says; one with combined text says more."""
        if row.keywords and (not self.keywords or row.combined_text):
            self.keywords, self.combined = row.keywords, row.combined_text

    def contradictions(self, row: Row) -> list[str]:
        """Names of the fields in which a row says otherwise than upstream."""
        said = {**row.fields, "title": row.title} if row.title else row.fields
        return [name for name, value in self.fields.items() if name in said and not _is_same(value, said[name])]


class Index:
    """The documents of one stream of one tenant.

    Args:
        keywords: the stream has keywords, so that the header's chunk is the combined text's.
    """

    def __init__(self, tokenizer: Tokenizer, limits: ChunkLimits, keywords: bool) -> None:
        self._tokenizer = tokenizer
        self._limits = limits
        self._keywords = keywords
        self._entries: dict[str, Entry] = {}
        self._aliases: dict[str, str | None] = {}
        self._titles: dict[str, list[str]] = {}

    def add(self, document: Document) -> bool:
        """Add a document; False where it can't be cut into chunks."""
        body = document.parts
        if self._keywords:
            body = [part for part in body if part.role != "header"]
        try:
            chunks = chunk_document(document.model_copy(update={"parts": body}), self._tokenizer, self._limits)
        except ValueError:
            return False
        entry = Entry(
            record_id=document.record_id,
            title=document.title,
            article=article_of(document).content_hash,
            texts={self.text_key(part.text): "" for part in body}
            | {self.text_key(chunk.text): text_hash(chunk.text) for chunk in chunks},
            bare_texts={self.bare_key(part.text) for part in body},
            chunks=[text_hash(chunk.text) for chunk in chunks],
            fields=_fields(document),
        )
        self._entries[document.record_id] = entry
        kind, _, number = document.record_id.partition("-")
        if kind.isalpha() and number:
            # `article-77` is 77 to those who know of articles only.
            self._aliases[number] = None if number in self._aliases else document.record_id
        self._titles.setdefault(plain(document.title), []).append(document.record_id)
        return True

    @staticmethod
    def text_key(text: str) -> str:
        return text_hash(plain(text))

    @staticmethod
    def bare_key(text: str) -> str:
        return text_hash(bare(text))

    def by_id(self, record_id: str) -> Entry | None:
        return self._entries.get(record_id) or self._entries.get(self._aliases.get(record_id) or "")

    def by_title(self, title: str) -> list[Entry]:
        """Documents of a title, as `plain` gives it."""
        return [self._entries[record_id] for record_id in self._titles.get(title, ())]

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def pages(self) -> Iterator[list[Entry]]:
        entries = self.entries()
        while page := list(islice(entries, _PAGE)):
            yield page

    def header_hash(self, text: str) -> str:
        """Hash of the chunk that a combined text is; empty where it is cut into several, or is nothing."""
        hashes = self._header_hashes(text)
        return hashes[0] if len(hashes) == 1 else ""

    def chunk_hashes(self, entry: Entry) -> list[str]:
        """Hashes of all texts that a document is stored with, as far as its keywords are known."""
        combined = entry.enrichment.combined_text if self._keywords and entry.enrichment else ""
        return [*self._header_hashes(combined), *entry.chunks]

    def _header_hashes(self, text: str) -> list[str]:
        document = Document(
            tenant="",
            source="",
            stream="",
            record_id="",
            title="",
            parts=[Part(path=COMBINED_TEXT, role="header", text=text)],
        )
        return [text_hash(chunk.text) for chunk in chunk_document(document, self._tokenizer, self._limits)]


def _fields(document: Document) -> dict[str, Any]:
    """What a document says of itself in single values; not its link, of which a record has several."""
    found = {name: value for name, value in document.metadata.items() if isinstance(value, (str, int, float))}
    return {**found, "title": document.title}


def _is_same(ours: Any, theirs: Any) -> bool:
    """Whether two values mean the same: counts come as texts, and one moment has several spellings."""
    first, second = plain(str(ours)), plain(str(theirs))
    if first.casefold() == second.casefold():
        return True
    try:
        return datetime.fromisoformat(first) == datetime.fromisoformat(second)
    except (ValueError, TypeError):  # not both are moments
        return False
