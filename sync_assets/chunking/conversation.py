"""Conversations: windows of messages, each beginning with the last ones of the window before it.

Where a conversation is cut is decided by the ids of its messages alone. While a stretch has too many messages for one
window, or too many tokens, it is cut behind the message whose id has the smallest hash (its last message aside). So a
new message changes the last window only, and one that goes changes the windows that held it, and at most merges one of
them with its neighbour; counted from the start, every later window would change.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from sync_assets.chunking.splitting import Piece, runs, split
from sync_assets.documents import Part
from sync_assets.embedding import Tokenizer


def windows(parts: Sequence[Part], tokenizer: Tokenizer, max_tokens: int, messages: int, overlap: int) -> list[Piece]:
    """Windows of at most `messages` messages, `overlap` of them repeated from the window before as far as they fit.

    Each is named by the path of its first own message. Its facts: who speaks in it, from when to when, how many
    messages, and a link to the first.

    Args:
        parts: one for each message in the order of their times, with `author`, `sent_at` and `link` in its metadata.
    """
    counts = tokenizer.count([part.text for part in parts])
    found: list[Piece] = []
    for first, last in runs([_rank(part) for part in parts], counts, messages - overlap, max_tokens):
        shown = first
        for begin in range(max(0, first - overlap), first):
            text = _text(parts[begin:last])
            if sum(counts[begin:last]) <= max_tokens and tokenizer.count([text])[0] <= max_tokens:
                shown = begin
                break
        facts = _facts(parts[shown:last])
        cut = split(_text(parts[shown:last]), tokenizer, max_tokens)
        found += [piece.within(parts[first].path, facts) for piece in cut]
    return found


def _rank(part: Part) -> int:
    return int.from_bytes(blake2b(part.path.encode(), digest_size=8).digest())


def _text(parts: Sequence[Part]) -> str:
    return "\n".join(part.text for part in parts)


def _facts(parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "participants": sorted({part.metadata["author"] for part in parts}),
        "started_at": parts[0].metadata["sent_at"],
        "ended_at": parts[-1].metadata["sent_at"],
        "messages": len(parts),
        "link": parts[0].metadata["link"],
    }
