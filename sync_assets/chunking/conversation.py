"""Conversations: windows of messages, each beginning with the last ones of the window before it.

Where a conversation is cut is decided by the ids of its messages alone. While a stretch has too many messages for one
window, or too many tokens, it is cut behind the message whose id has the smallest hash (its last message aside). So a
new message changes the last window only, and one that goes changes the windows that held it, and at most merges one of
them with its neighbour; counted from the start, every later window would change.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sync_assets.chunking.splitting import Piece, split
from sync_assets.documents import Part
from sync_assets.embedding import Tokenizer


class Window(NamedTuple):
    """Messages in the order of their times.

    Attributes:
        name: steady name among the windows of its conversation, from the id of its first own message.
        metadata: who speaks in it, from when to when, how many messages, and a link to the first.
    """

    name: str
    piece: Piece
    metadata: dict[str, Any]


def windows(parts: Sequence[Part], tokenizer: Tokenizer, max_tokens: int, messages: int, overlap: int) -> list[Window]:
    """Windows of at most `messages` messages, `overlap` of them repeated from the window before as far as they fit.

    Args:
        parts: one for each message, with `author`, `sent_at` and `link` in its metadata.
    """
    counts = tokenizer.count([part.text for part in parts])
    found: list[Window] = []
    for first, last in _runs([_rank(part) for part in parts], counts, messages - overlap, max_tokens):
        shown = first
        for begin in range(max(0, first - overlap), first):
            text = _text(parts[begin:last])
            if sum(counts[begin:last]) <= max_tokens and tokenizer.count([text])[0] <= max_tokens:
                shown = begin
                break
        facts = _facts(parts[shown:last])
        for piece in split(_text(parts[shown:last]), tokenizer, max_tokens):
            name = "/".join(filter(None, [parts[first].path, piece.name]))
            found.append(Window(name, piece, facts))
    return found


def _runs(ranks: Sequence[int], counts: Sequence[int], longest: int, max_tokens: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of messages, in order; each message is in exactly one."""
    waiting = [(0, len(ranks))]
    while waiting:
        first, last = waiting.pop()
        if last - first > 1 and (last - first > longest or sum(counts[first:last]) > max_tokens):
            behind = min(range(first, last - 1), key=lambda place: ranks[place]) + 1
            waiting += [(behind, last), (first, behind)]
        elif last > first:
            yield first, last


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
