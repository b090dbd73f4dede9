"""Processors that leave parts out."""

from sync_assets.documents import Document, Part

_FEW_LETTERS = 12


def drop_short_parts(part: Part, document: Document) -> Part | None:
    """Leave out what says next to nothing ("ok", "+1")."""
    return part if sum(letter.isalnum() for letter in part.text) >= _FEW_LETTERS else None
