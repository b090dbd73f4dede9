"""Cutting documents into chunks: the router from a part's role to a strategy, and what all strategies share.

The laws of every strategy: a chunk is never longer than the model reads; nothing is cut off; an edit in one place
changes the chunks that it touches and no others, ids included.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync_assets.chunking import article, conversation, ticket
from sync_assets.chunking.splitting import Names, Piece
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part
from sync_assets.embedding import Tokenizer

# Goes into the fingerprint of every collection: a change of it means that collections are built anew. Raise it with any
# change of what the same document is cut into.
CHUNKER_VERSION = "1"

_MESSAGE = "message"
_CUT_BY_HEADINGS = {"body", "section", "answer"}

# An answer is embedded as it stands: short ones are what older stores hold vectors of, and the title has its own chunk.
_WITHOUT_TITLE = {"answer"}


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


def chunk_document(document: Document, tokenizer: Tokenizer, limits: ChunkLimits) -> list[Chunk]:
    """Chunks of all parts of a document, in its order. A part without a single token gives none.

    Raises:
        ValueError: two parts have one path, so that their chunks can't be told apart; a single character is too long.
    """
    for path, times in Counter(part.path for part in document.parts).items():
        if times > 1:
            raise ValueError(f"{times} parts of the document have the path {path!r}.")
    names = Names()
    found: list[Chunk] = []
    # Messages of different readers share no window.
    for (is_said, *_), group in groupby(
        document.parts, lambda part: (_is_said(part), part.visibility, part.principals)
    ):
        parts = list(group)
        chunks = (
            _of_conversation(parts, tokenizer, limits)
            if is_said
            else _of_parts(parts, document.title, tokenizer, limits)
        )
        found += [chunk.model_copy(update={"path": names.add(chunk.path)}) for chunk in chunks]
    return found


def _is_said(part: Part) -> bool:
    return part.role == _MESSAGE


def _of_conversation(parts: Sequence[Part], tokenizer: Tokenizer, limits: ChunkLimits) -> Iterator[Chunk]:
    for window in conversation.windows(parts, tokenizer, limits.max_tokens, limits.messages, limits.overlap):
        yield _chunk(parts[0], window.name, window.piece, window.metadata)


def _of_parts(parts: Sequence[Part], title: str, tokenizer: Tokenizer, limits: ChunkLimits) -> Iterator[Chunk]:
    for part in parts:
        if part.role in _CUT_BY_HEADINGS:
            above = "" if part.role in _WITHOUT_TITLE else title
            pieces = article.pieces(part.text, above, tokenizer, limits.max_tokens)
        else:
            pieces = ticket.pieces(part.text, tokenizer, limits.max_tokens)
        for piece in pieces:
            yield _chunk(part, f"{part.path}/{piece.name}" if piece.name else part.path, piece, part.metadata)


def _chunk(part: Part, path: str, piece: Piece, metadata: dict[str, Any]) -> Chunk:
    return Chunk(
        path=path,
        role=part.role,
        text=piece.text,
        tokens=piece.tokens,
        visibility=part.visibility,
        principals=part.principals,
        metadata=metadata,
    )
