"""A point as it lies in Chroma, and conditions in its words.

What belongs here: what is stored under which key, and back. What does not: which collection is asked what
(`chroma.py`).

Everything that a search returns of a point is one JSON string in its metadata, and beside it stand only the keys that
are asked for. Chroma's document, which it has an index of three-letter pieces for, is the list of the point's words,
each between two spaces: as a list in the metadata they would be a row each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sync_assets.batches import dump_json, load_json
from sync_assets.paging import pages
from sync_assets.vector_stores import Audience, Hit, Point
from sync_assets.vector_stores.lexical import AnyWord, terms
from sync_assets.vector_stores.matching import facets, readers, wanted_facets, wanted_readers

# Chroma takes no empty list. No audience asks for this one.
_NOBODY = ["nobody"]
_CONDITIONS_AT_ONCE = 100


def metadata_of(point: Point) -> dict[str, Any]:
    """Always the same keys: Chroma keeps those that a later write does not name."""
    beside = {"chunk_id", "document_id", "content_hash", "payload_hash", "vector"}
    return {
        "document_id": point.document_id,
        "content_hash": point.content_hash,
        "payload_hash": point.payload_hash,
        "point": dump_json(point.model_dump(mode="json", exclude=beside)),
        "facets": facets(point),
        "readers": readers(point) or _NOBODY,
    }


def vector_of(point: Point) -> np.ndarray:
    if point.vector is None:
        raise ValueError(f"chunk {point.chunk_id} has no vector")
    return point.vector.astype(np.float32)


def document_of(point: Point) -> str:
    """Chroma's document: the words of a point, each between two spaces.

    Raises:
        ValueError: the text can't be written as UTF-8.
    """
    point.text.encode()
    return f" {' '.join(terms(point))} "


def visible_to(audience: Audience, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The condition on metadata for what an audience may see, under filters."""
    seen_by = [{"readers": {"$contains": reader}} for reader in wanted_readers(audience)]
    asked = [[{"facets": {"$contains": facet}} for facet in group] for group in wanted_facets(filters or {})]
    return _joined("$and", [_joined("$or", some) for some in (seen_by, *asked)])


def having(groups: Sequence[AnyWord]) -> Any:
    """The condition on documents for points that have, of each group, any word; None where there is no group."""
    asked = [_joined("$or", [{"$contains": f" {word} "} for word in group]) for group in groups]
    return _joined("$and", asked) if asked else None


def _joined(operator: str, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    """Conditions as a tree: Chroma takes no single one, and SQLite no expression deeper than 1,000."""
    if len(conditions) == 1:
        return conditions[0]
    if len(conditions) <= _CONDITIONS_AT_ONCE:
        return {operator: conditions}
    branches = [_joined(operator, some) for some in pages(conditions, _CONDITIONS_AT_ONCE)]
    return _joined(operator, branches)


def hit_of(score: float, chunk_id: str, metadata: Mapping[str, Any], document: str) -> Hit:
    """What lies in Chroma of a point, as it is found."""
    point = {"text": document, **load_json(metadata["point"]), "document_id": metadata["document_id"]}
    return Hit.model_validate({**point, "score": score, "chunk_id": chunk_id})


def payload_of(metadata: Mapping[str, Any], document: str | None) -> dict[str, Any]:
    """What lies in Chroma of a point, under the names that a point has; a part that can't be read is left out."""
    plain = {name: value for name, value in metadata.items() if name != "point"}
    if plain.get("readers") == _NOBODY:
        plain["readers"] = []
    try:
        packed = load_json(metadata["point"])
    except (KeyError, TypeError, ValueError):
        packed = None
    if not isinstance(packed, dict):
        packed = {}
    if "text" not in packed:
        # As older versions of this program wrote it: the document is the text.
        return {**packed, **plain, "text": document}
    return {**packed, **plain, "terms": (document or "").split()}
