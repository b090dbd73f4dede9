"""One way to hash values, so that equal content has equal hashes everywhere."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import orjson


def digest(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Hash of any JSON-like value (32 hex digits); keys are sorted, so equal content gives equal hashes.

    Args:
        default: what stands in the hash for a value that JSON does not know.
    """
    return hashlib.blake2b(orjson.dumps(value, default, orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def text_hash(text: str) -> str:
    """Hash of the exact text that is embedded (32 hex digits)."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class SetDigest:
    """Digest of a set of rows: independent of their order, and built in constant memory."""

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, row: Iterable[Any]) -> None:
        self._sum = (self._sum + int(digest(list(row)), 16)) % (1 << 128)
        self.rows += 1

    def hexdigest(self) -> str:
        return f"{self._sum:032x}"
