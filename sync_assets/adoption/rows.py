"""What an older row says, whatever table or file it stands in.

A record of the older form has `id`, `title`, `answer` (or `content`), `link`, `keywords` (a list, a comma-separated
string, or empty), `combined_text` and `metadata` with `zd_metadata`; a table's `cmetadata` has the same fields, all or
some of them, on one level or the next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from sync_assets.text import decode

# What older rows call a fact that documents have under another name.
_NAMES = {
    "last_updated": "updated_at",
    "modified_time": "updated_at",
    "created_time": "created_at",
    "locale": "language",
}

Origin = Literal["table", "files"]


class Unreadable(NamedTuple):
    """A row that nothing can be made of, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One older row.

    Attributes:
        name: how people find it: its id in table or file, or its title.
        row_id: its own key, which may be a record's id and may be anything.
        ids: upstream ids that it names.
        text: what stood in the store for readers.
        is_chunk: one piece of a document, as the product's own tables have them.
        is_combined: `text` is itself the combined text, which is a row of its own there.
        fields: whatever else it says, by name in snake case; numbers, texts and truth values only.
        vector: None where it has none.
    """

    name: str
    row_id: str
    ids: list[str]
    title: str
    text: str
    keywords: list[str]
    combined_text: str
    is_chunk: bool = False
    is_combined: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    vector: np.ndarray | None = None


def row_of(values: Mapping[str, Any], name: str, row_id: str, text: Any, vector: np.ndarray | None = None) -> Row:
    """A row of the older form.

    Args:
        text: None where it stands in `values`.

    Raises:
        ValueError: it has no text, or neither an id nor a title; the text says which.
    """
    inner = _mapping(values.get("metadata"))
    raw = {**_mapping(values.get("zd_metadata")), **_mapping(inner.get("zd_metadata"))}
    text = text or values.get("answer") or values.get("content")
    title = values.get("title") or raw.get("title")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("no text")
    ids = list(dict.fromkeys(str(found) for found in (values.get("id"), raw.get("id")) if found not in (None, "")))
    if not ids and not title:
        raise ValueError("neither an id nor a title")
    combined = values.get("combined_text") or inner.get("combined_text")
    return Row(
        name=name or (ids[0] if ids else str(title)),
        row_id=row_id,
        ids=ids,
        title=decode(str(title or "")),
        text=text,
        keywords=keyword_list(values.get("keywords") or inner.get("keywords")),
        combined_text=combined.strip() if isinstance(combined, str) else "",
        fields=_fields(raw) | _fields(inner) | _fields(values),
        vector=vector,
    )


def keyword_list(value: Any) -> list[str]:
    """Keywords as a list, from a list, a comma-separated string or nothing."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return list(dict.fromkeys(" ".join(part.split()) for part in parts if isinstance(part, str) and part.strip()))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    snake = {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(name)).lower(): value for name, value in values.items()}
    return {
        _NAMES.get(name, name): value
        for name, value in snake.items()
        if isinstance(value, (str, int, float)) and value != ""
    }
