"""Plain parts: descriptions, comments, fields, headers. One chunk each, unless it is too long."""

from sync_assets.chunking.splitting import Piece, split
from sync_assets.embedding import Tokenizer


def pieces(text: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """The whole text where it fits, else pieces of it named by their content."""
    return split(text, tokenizer, max_tokens)
