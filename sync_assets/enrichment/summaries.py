"""Summaries of documents: what one is made of, whom it is for, and how a document looks with it.

What belongs here: the contract. Who summarises is in `extractive.py` and `llm.py`, what was made once in
`summariser.py`.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync_assets.documents import Document, Part, Visibility
from sync_assets.enrichment import Article, EnrichmentError, Tokens, is_as_wide
from sync_assets.processors import ATTACHMENT

# Path and role of a summary.
SUMMARY = "summary"

# What has no sentences that tell what a document is about.
_LEFT_OUT = frozenset({"header", "fields", "attachments", "code", "diff", "sheet", "ci_item", "related_cis", SUMMARY})
# Of a longer text the beginning and the end are given, which tell the question and how it ended.
_BEGINNING, _END = 16_000, 8_000
# A text that is hardly longer than its summary needs none.
_TIMES_LONGER = 2
# What databases and files don't take.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class Summaries(BaseModel):
    """How a stream's documents are summarised, as `defs.yaml` says it.

    Attributes:
        kind: `extractive` chooses sentences of the document itself, here; `llm` asks the model behind
            SYNC_ASSETS_LLM_URL, `bedrock` one on Amazon Bedrock.
        model: of the last two; default SYNC_ASSETS_LLM_MODEL for `llm`.
        max_characters: how long a summary is at most; what a language model writes may be up to twice as long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["extractive", "llm", "bedrock"] = "extractive"
    model: str | None = Field(default=None, min_length=1)
    max_characters: int = Field(default=400, ge=100, le=2_000)

    @model_validator(mode="after")
    def _model_of_its_kind(self) -> "Summaries":
        if self.kind == "bedrock" and self.model is None:
            raise ValueError("kind bedrock needs a model, such as eu.amazon.nova-lite-v1:0")
        if self.kind == "extractive" and self.model is not None:
            raise ValueError("kind extractive has no model; kinds with one are llm and bedrock")
        return self

    def paid_model(self, llm_model: str | None) -> str | None:
        """The model that prices are looked up for; None where sentences are chosen here.

        Args:
            llm_model: that of the settings.
        """
        return self.model or (llm_model if self.kind == "llm" else None)


class Summariser(Protocol):
    """Summarises texts.

    Attributes:
        name: with all that its summaries depend on beside the text; what they are stored under.
        at_once: how many texts it is handed between two commits.
        max_characters: how long its summaries are asked to be at most.
        billed: what the vendor of a hosted model has counted so far; nothing for one that works here.
    """

    name: str
    at_once: int
    max_characters: int

    @property
    def billed(self) -> Tokens: ...

    def estimate(self, article: Article) -> Tokens:
        """About how many tokens an article will be billed; none where it is summarised here."""
        ...

    def summarise(self, articles: Sequence[Article]) -> list[str | EnrichmentError]:
        """A summary of each article, or why there is none; in their order. Empty where it has nothing to tell."""
        ...

    def close(self) -> None: ...


class Summarised(NamedTuple):
    """What is summarised of a document, and who may read the summary."""

    article: Article
    visibility: Visibility
    principals: list[str]


def to_summarise(document: Document, max_characters: int) -> Summarised | None:
    """What a document's summary is made of; None where it needs none.

    A summary is for the readers of the document, and is made of the parts that all of them may read. Where these say
    too little in a public document, it is made of what all its staff may read, and is internal.
    """
    audiences = [(document.visibility, document.principals)]
    if document.visibility is Visibility.PUBLIC:
        audiences.append((Visibility.INTERNAL, []))
    for visibility, principals in audiences:
        parts = (part for part in document.parts if _has_sentences(part) and is_as_wide(part, visibility, principals))
        text = "\n\n".join(part.text for part in parts)
        if len(text) >= _TIMES_LONGER * max_characters:
            language = document.metadata.get("language") or document.metadata.get("locale") or ""
            article = Article(document.title, _ends(text), str(language))
            return Summarised(article, visibility, principals)
    return None


def with_summary(document: Document, of: Summarised, text: str, made_by: str) -> Document:
    """The document with a summary as its last part."""
    part = Part(
        path=SUMMARY,
        role=SUMMARY,
        text=text,
        visibility=of.visibility,
        principals=of.principals,
        metadata={"made_by": made_by},
    )
    return document.model_copy(update={"parts": [*document.parts, part]})


def cleaned(text: str) -> str:
    """A summary on one line, without characters that databases don't take."""
    return " ".join(_NO_TEXT.sub("", text).split())


def _has_sentences(part: Part) -> bool:
    return part.role not in _LEFT_OUT and ATTACHMENT not in part.metadata


def _ends(text: str) -> str:
    """The text, without its middle where it is long; cut between lines where it can be."""
    if len(text) <= _BEGINNING + _END:
        return text
    first = text.rfind("\n", _BEGINNING // 2, _BEGINNING)
    last = text.find("\n", len(text) - _END, len(text) - _END // 2)
    return f"{text[: first if first > 0 else _BEGINNING]}\n\n{text[last if last > 0 else len(text) - _END :].lstrip()}"
