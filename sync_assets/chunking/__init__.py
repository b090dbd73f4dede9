"""Cutting documents into chunks: the router from a part's role to a strategy, and what all strategies share.

The laws of every strategy: a chunk is never longer than the model reads; nothing is cut off; an edit in one place
changes the chunks that it touches and no others, ids included.
"""

from collections import Counter

from pydantic import BaseModel, ConfigDict, Field

from sync_assets.chunking import article, ticket
from sync_assets.chunking.splitting import Names
from sync_assets.chunks import Chunk
from sync_assets.documents import Document
from sync_assets.embedding import Tokenizer

# Goes into the fingerprint of every collection: a change of it means that collections are built anew. Raise it with any
# change of what the same document is cut into.
CHUNKER_VERSION = "1"

_CUT_BY_HEADINGS = {"body", "section", "answer"}

# An answer is embedded as it stands: short ones are what older stores hold vectors of, and the title has its own chunk.
_WITHOUT_TITLE = {"answer"}


class ChunkLimits(BaseModel):
    """How long chunks may be.

    Attributes:
        max_tokens: longest chunk in the model's tokens, special tokens not counted.
    """

    model_config = ConfigDict(frozen=True)

    max_tokens: int = Field(ge=16)


def chunk_document(document: Document, tokenizer: Tokenizer, limits: ChunkLimits) -> list[Chunk]:
    """Chunks of all parts of a document, in its order. A part without a single token gives none.

    Raises:
        ValueError: two parts have one path, so that their chunks can't be told apart; a single character is too long.
    """
    for path, times in Counter(part.path for part in document.parts).items():
        if times > 1:
            raise ValueError(f"{times} parts of the document have the path {path!r}.")
    names = Names()
    chunks: list[Chunk] = []
    for part in document.parts:
        if part.role in _CUT_BY_HEADINGS:
            title = "" if part.role in _WITHOUT_TITLE else document.title
            pieces = article.pieces(part.text, title, tokenizer, limits.max_tokens)
        else:
            pieces = ticket.pieces(part.text, tokenizer, limits.max_tokens)
        chunks.extend(
            Chunk(
                path=names.add(f"{part.path}/{piece.name}" if piece.name else part.path),
                role=part.role,
                text=piece.text,
                tokens=piece.tokens,
                visibility=part.visibility,
                principals=part.principals,
                metadata=part.metadata,
            )
            for piece in pieces
        )
    return chunks
