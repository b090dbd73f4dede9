"""Diffs: a unified diff of one file, cut into its hunks.

The line numbers of a hunk are facts beside it and no text, so that lines that move embed nothing.
"""

import re
from collections.abc import Sequence

from sync_assets.chunking.splitting import LINES, Body, Names, Piece, hashed_name, split_all
from sync_assets.embedding import Tokenizer

# No line of a file begins like this in a diff: each has a blank, a plus or a minus before it.
_HUNK = re.compile(r"^@@+ -\d+(?:,\d+)?(?: -\d+(?:,\d+)?)* \+(\d+)(?:,(\d+))? @@+(.*)\n?", re.MULTILINE)

# A longer function context than this part of a chunk is left out.
_HEADING_SHARE = 4


def pieces(text: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """The hunks, each below the function context that stands behind its `@@`; named by how they begin.

    Their facts are `first_line` and `last_line`, in the file as it is after the change. What stands before the first
    hunk (a rename, a changed mode) is a piece of its own.
    """
    hunks = list(_HUNK.finditer(text))
    contexts = _short([hunk[3].strip() for hunk in hunks], tokenizer, max_tokens // _HEADING_SHARE)
    ends = [*(hunk.start() for hunk in hunks), len(text)]
    before = Body(text[: ends[0]], "", LINES)
    bodies = [
        Body(text[hunk.end() : end], context, LINES)
        for hunk, end, context in zip(hunks, ends[1:], contexts, strict=True)
    ]
    [head, *found] = split_all([before, *bodies], tokenizer, max_tokens)
    names = Names()
    for hunk, body, cut in zip(hunks, bodies, found, strict=True):
        name = names.add(hashed_name(body.text))
        first, lines = int(hunk[1]), int(hunk[2] or 1)
        facts = {"first_line": first, "last_line": max(first, first + lines - 1)}
        head += [piece.within(name, facts) for piece in cut]
    return head


def _short(lines: Sequence[str], tokenizer: Tokenizer, limit: int) -> list[str]:
    return [line if count <= limit else "" for line, count in zip(lines, tokenizer.count(lines), strict=True)]
