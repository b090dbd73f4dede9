"""What is wrong with a stored point by itself: its text, its payload and its vector against what they should make.

What belongs here: one point. What does not: whether it ought to be there at all (`stores.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from sync_assets.chunks import chunk_id, payload_hash
from sync_assets.documents import document_id
from sync_assets.embedding.cache import EmbeddingCache
from sync_assets.hashing import text_hash
from sync_assets.vector_stores import Point, StoredPoint
from sync_assets.vector_stores.lexical import terms
from sync_assets.vector_stores.matching import facets, readers

Flaw = Literal["altered", "vector"]

# Stores that compare by cosine may bring a vector to unit length themselves, in float32.
_TOLERANCE = 1e-4
# PostgreSQL keeps 1e16 as a whole number.
_FIRST_WHOLE_FLOAT = 10**16


class Inspected(NamedTuple):
    """A stored point, with the hashes that its text and payload make now.

    Attributes:
        document_id, source, stream: as the store says; empty where it does not.
        flaw: what is wrong with it by itself: `altered` where text or payload do not make the hashes that are stored
            with them, or name another place; `vector` where it has none, a zero or non-finite one, or another than the
            text has in the cache.
    """

    chunk_id: str
    document_id: str
    source: str
    stream: str
    content_hash: str
    payload_hash: str
    flaw: Flaw | None


def inspect(points: Sequence[StoredPoint], tenant: str, cache: EmbeddingCache, fingerprint: str) -> list[Inspected]:
    """Inspect a page of a tenant's points.

    Args:
        fingerprint: of the model that made their vectors, as the cache keys it.
    """
    read = [_read(stored) for stored in points]
    hashes = {text_hash(point.text) for point in read if point is not None}
    cached = cache.get(tenant, fingerprint, sorted(hashes))
    return [_inspected(stored, point, tenant, cached) for stored, point in zip(points, read, strict=True)]


def _inspected(stored: StoredPoint, point: Point | None, tenant: str, cached: Mapping[str, np.ndarray]) -> Inspected:
    named = {name: _word(stored.payload.get(name)) for name in ("document_id", "source", "stream")}
    if point is None:
        return Inspected(stored.chunk_id, **named, content_hash="", payload_hash="", flaw="altered")
    content = text_hash(point.text)
    payload = _payload_hash(point)
    flaw: Flaw | None = None
    if content != point.content_hash or payload != point.payload_hash or not _is_in_place(stored, point, tenant):
        flaw = "altered"
    elif not _is_sound(stored.vector, cached.get(content)):
        flaw = "vector"
    return Inspected(stored.chunk_id, **named, content_hash=content, payload_hash=payload, flaw=flaw)


def _read(stored: StoredPoint) -> Point | None:
    try:
        return Point.model_validate({**stored.payload, "chunk_id": stored.chunk_id}, strict=False)
    except ValidationError:
        return None


def _payload_hash(point: Point) -> str:
    """The hash of what is stored, numbers as they were before PostgreSQL made some of them whole."""
    try:
        made = payload_hash(point, point.title, point.url, point.metadata)
    except (TypeError, ValueError):  # whole numbers beyond 64 bits
        made = ""
    if made == point.payload_hash:
        return made
    try:
        again = payload_hash(point, point.title, point.url, _with_floats(point.metadata))
    except (TypeError, ValueError):
        return made
    return again if again == point.payload_hash else made


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and abs(value) >= _FIRST_WHOLE_FLOAT else value


def _is_in_place(stored: StoredPoint, point: Point, tenant: str) -> bool:
    """Whether it names the document and the place that its ids come from, and the keywords that searches ask for."""
    return (
        point.document_id == document_id(tenant, point.source, point.record_id)
        and stored.chunk_id == chunk_id(point.document_id, point.path)
        and sorted(_words(stored.payload.get("readers"))) == readers(point)
        and sorted(_words(stored.payload.get("facets"))) == facets(point)
        and sorted(_words(stored.payload.get("terms"))) == terms(point)
    )


def _is_sound(vector: np.ndarray | None, cached: np.ndarray | None) -> bool:
    """Whether a vector is the cached one, as it is or at unit length; where none is cached, any of unit length is."""
    if vector is None or not np.isfinite(vector).all() or not vector.any():
        return False
    if cached is None:
        return abs(float(np.linalg.norm(vector)) - 1.0) <= _TOLERANCE
    if vector.shape != cached.shape:
        return False
    length = float(np.linalg.norm(cached)) or 1.0
    return any(float(np.abs(vector - wanted).max()) <= _TOLERANCE for wanted in (cached, cached / length))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Any) -> list[str]:
    return [_word(item) for item in value] if isinstance(value, list | tuple) else []
