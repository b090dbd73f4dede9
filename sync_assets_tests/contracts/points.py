"""Points and audiences that the contracts of the vector stores share."""

import uuid
from typing import Any

import numpy as np

from sync_assets.documents import Visibility
from sync_assets.vector_stores import Audience, Collection, Hit, Point

DIMENSION = 8
INSIDE = Audience(visibility=Visibility.INTERNAL)
OUTSIDE = Audience(visibility=Visibility.PUBLIC)


def new_collection(dimension: int = DIMENSION) -> Collection:
    return Collection(name=f"c_{uuid.uuid4().hex}", dimension=dimension, fingerprint="model-a/1")


def unit(*numbers: float) -> np.ndarray:
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def unit_vectors(count: int, dimension: int = DIMENSION) -> np.ndarray:
    vectors = np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make(number: int = 0, *, tenant: str = "acme", **changes: Any) -> Point:
    values: dict[str, Any] = {
        "chunk_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant}\n{number}")),
        "document_id": f"{tenant}_freshdesk_{number}",
        "source": "freshdesk",
        "stream": "tickets",
        "record_id": str(number),
        "path": "description",
        "role": "description",
        "text": f"text {number}",
        "title": f"Ticket {number}",
        "url": None,
        "visibility": Visibility.INTERNAL,
        "principals": [],
        "metadata": {},
        "content_hash": f"content-{number}",
        "payload_hash": f"payload-{number}",
        "vector": unit(1.0, float(number)),
    }
    return Point(**{**values, **changes})


def as_hit(point: Point, score: float) -> Hit:
    return Hit.model_validate({**point.model_dump(), "score": score})
