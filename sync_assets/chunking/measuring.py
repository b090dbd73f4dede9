"""How long texts count while they are cut: in the model's tokens, but a very long word by its characters.

A model reads a word of more than 100 characters (encoded bytes, a script that writes no blanks) as one unknown token.
Counted as one, tens of thousands of characters of it would go into one chunk.
"""

import re
from collections.abc import Iterable, Sequence

from sync_assets.embedding import Tokenizer

_LONGEST = 100  # characters of a token
# What no tokenizer that knows such words has within one of them.
_LONG_WORD = re.compile(rf"[^\s!-/:-@\[-`{{-~、。\u4e00-\u9fff]{{{_LONGEST + 1},}}")


class Counted:
    """A tokenizer that counted some texts beforehand: all at once, which uses every processor."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._known = dict(zip(texts, tokenizer.count(texts), strict=True)) if texts else {}

    def count(self, texts: Sequence[str]) -> list[int]:
        """As `Tokenizer.count`."""
        unknown = [text for text in texts if text not in self._known]
        if not unknown:
            return [self._known[text] for text in texts]
        counts = iter(self._tokenizer.count(unknown))
        return [self._known[text] if text in self._known else next(counts) for text in texts]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """As `Tokenizer.offsets`."""
        return self._tokenizer.offsets(text)


class Ruler:
    """A model's tokens, of which one that is longer than 100 characters counts as often as it has characters.

    Args:
        texts: all that is going to be measured is parts of these; where none of them has a long word, no stretch of
            them is searched for one again.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self._has_long_words = any(map(_has_long_word, texts))

    def count(self, texts: Sequence[str]) -> list[int]:
        """As `Tokenizer.count`."""
        counts = self._tokenizer.count(texts)
        if not self._has_long_words:
            return counts
        return [
            len(self.offsets(text)) if _has_long_word(text) else count
            for text, count in zip(texts, counts, strict=True)
        ]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """As `Tokenizer.offsets`."""
        return [
            stretch
            for begin, end in self._tokenizer.offsets(text)
            for stretch in ([(begin, end)] if end - begin <= _LONGEST else _characters(begin, end))
        ]

    def tokens(self, text: str, counted: int) -> int:
        """The model's own tokens of a text that counts as `counted`."""
        return self._tokenizer.count([text])[0] if self._has_long_words and _has_long_word(text) else counted


def _characters(begin: int, end: int) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(begin, end)]


def _has_long_word(text: str) -> bool:
    if len(text) <= _LONGEST or max(map(len, text.split()), default=0) <= _LONGEST:
        return False
    return _LONG_WORD.search(text) is not None
