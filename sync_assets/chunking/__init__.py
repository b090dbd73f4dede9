"""Cutting documents into chunks: the router from a part's role to a strategy, and what all strategies share.

The laws of every strategy: a chunk is never longer than the model reads; nothing is cut off; an edit in one place
changes the chunks that it touches and no others, ids included.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync_assets.chunking import article, code, conversation, diff, sheet, ticket
from sync_assets.chunking.grammars import is_known
from sync_assets.chunking.measuring import Ruler
from sync_assets.chunking.splitting import Names, Piece
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part
from sync_assets.embedding import Tokenizer

# Goes into the fingerprint of every collection: a change of it means that collections are built anew. Raise it with any
# change of what the same document is cut into, and with it the version of the strategy that changed.
CHUNKER_VERSION = "2"


class ChunkLimits(BaseModel):
    """How long chunks may be.

    Attributes:
        max_tokens: longest chunk in the model's tokens, special tokens not counted.
        messages: most messages in one window of a conversation.
        overlap: how many of them are the last ones of the window before.
    """

    model_config = ConfigDict(frozen=True)

    max_tokens: int = Field(ge=16)
    messages: int = Field(default=10, ge=1)
    overlap: int = Field(default=2, ge=0)

    def __str__(self) -> str:
        return f"{self.max_tokens} tokens, windows of {self.messages} messages with {self.overlap} repeated"

    @model_validator(mode="after")
    def _some_message_of_its_own(self) -> "ChunkLimits":
        if self.overlap >= self.messages:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than messages ({self.messages})")
        return self


class Strategy(NamedTuple):
    """A way to cut parts.

    Attributes:
        name: with the version of what it does (`code/1`); stands in each chunk.
        cut: pieces of neighbouring parts, which have the same readers, with the paths of their chunks as names; the
            title is the document's.
    """

    name: str
    cut: Callable[[Sequence[Part], str, Tokenizer, ChunkLimits], list[Piece]]


def chunk_document(document: Document, tokenizer: Tokenizer, limits: ChunkLimits) -> list[Chunk]:
    """Chunks of all parts of a document, in its order. A part without a single token gives none.

    Raises:
        ValueError: two parts have one path, so that their chunks can't be told apart; a single character is too long.
    """
    for path, times in Counter(part.path for part in document.parts).items():
        if times > 1:
            raise ValueError(f"{times} parts of the document have the path {path!r}.")
    names = Names()
    ruler = Ruler(tokenizer, [document.title, *(part.text for part in document.parts)])
    found: list[Chunk] = []
    # Messages of different readers share no window.
    for _, group in groupby(
        document.parts, lambda part: (strategy_of(part).name, part.role, part.visibility, part.principals)
    ):
        parts = list(group)
        strategy = strategy_of(parts[0])
        for piece in strategy.cut(parts, document.title, ruler, limits):
            found.append(
                Chunk(
                    path=names.add(piece.name),
                    role=parts[0].role,
                    strategy=strategy.name,
                    text=piece.text,
                    tokens=ruler.tokens(piece.text, piece.tokens),
                    visibility=parts[0].visibility,
                    principals=parts[0].principals,
                    metadata=piece.metadata,
                )
            )
    return found


def strategy_of(part: Part) -> Strategy:
    """How a part is cut: by its role, and code by its language too."""
    if part.role == "code" and not is_known(part.metadata.get("language", "")):
        return _PLAIN
    return _STRATEGIES.get(part.role, _PLAIN)


def _each(
    cut: Callable[[Part, str, Tokenizer, int], list[Piece]],
) -> Callable[[Sequence[Part], str, Tokenizer, ChunkLimits], list[Piece]]:
    """Each part by itself; its pieces are below its path and have its metadata beside their own."""

    def cut_each(parts: Sequence[Part], title: str, tokenizer: Tokenizer, limits: ChunkLimits) -> list[Piece]:
        return [
            piece.within(part.path, part.metadata)
            for part in parts
            for piece in cut(part, title, tokenizer, limits.max_tokens)
        ]

    return cut_each


def _windows(parts: Sequence[Part], title: str, tokenizer: Tokenizer, limits: ChunkLimits) -> list[Piece]:
    return conversation.windows(parts, tokenizer, limits.max_tokens, limits.messages, limits.overlap)


_PLAIN = Strategy("plain/1", _each(lambda part, title, *limit: ticket.pieces(part.text, *limit)))
_MARKDOWN = Strategy("markdown/1", _each(lambda part, title, *limit: article.pieces(part.text, title, *limit)))
# An answer is embedded as it stands: short ones are what older stores hold vectors of, and the title has its own chunk.
_ANSWER = Strategy("markdown/1", _each(lambda part, title, *limit: article.pieces(part.text, "", *limit)))

_STRATEGIES = {
    "answer": _ANSWER,
    "body": _MARKDOWN,
    "code": Strategy(
        "code/1", _each(lambda part, title, *limit: code.pieces(part.text, part.metadata["language"], *limit))
    ),
    "diff": Strategy("diff/1", _each(lambda part, title, *limit: diff.pieces(part.text, *limit))),
    "message": Strategy("conversation/1", _windows),
    "page": _ANSWER,
    "section": _MARKDOWN,
    "sheet": Strategy(
        "sheet/1", _each(lambda part, title, *limit: sheet.pieces(part.text, part.metadata.get("sheet", ""), *limit))
    ),
}
