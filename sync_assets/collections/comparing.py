"""How a collection differs from the one whose place it may take.

What belongs here: counts, and how alike the two answer. Which of them answers better is in `judging.py`.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from sync_assets.documents import Visibility
from sync_assets.golden import GoldenQuestion
from sync_assets.hashing import text_hash
from sync_assets.ledger import RegisteredCollection
from sync_assets.ledger.collections import holding, texts_apart
from sync_assets.paging import pages
from sync_assets.services import Services
from sync_assets.vector_stores import Audience

_FIRST = 10
# A document may have several chunks among the nearest.
_CHUNKS = 80
_TITLES = 25
_INSIDE = Audience(visibility=Visibility.INTERNAL)


class Question(NamedTuple):
    """What a tenant's people ask."""

    tenant: str
    text: str


class Side(NamedTuple):
    """One of two collections; `texts` counts different ones that the other does not hold."""

    collection: str
    description: str
    dimension: int
    documents: int
    chunks: int
    texts: int


class Comparison(NamedTuple):
    """Two collections of a store.

    Attributes:
        questions: that both were asked.
        overlap: mean share of the first ten documents that both find, 0..1; None where nothing was asked.
    """

    store: str
    old: Side
    new: Side
    questions: int
    overlap: float | None


def compare(
    services: Services, old: RegisteredCollection, new: RegisteredCollection, questions: Sequence[Question]
) -> Comparison:
    """Compare two collections of one store.

    Raises:
        FingerprintMismatch: the model of one is not what its name opens now.
        StoreError: the store can't be reached, or has no such collection.
    """
    only_old, only_new = texts_apart(services.ledger, old.id, new.id)
    before, after = _answers(services, old, questions), _answers(services, new, questions)
    shares = [_share(first, second) for first, second in zip(before, after, strict=True)]
    return Comparison(
        old.store,
        _side(services, old, only_old),
        _side(services, new, only_new),
        len(questions),
        sum(shares) / len(shares) if shares else None,
    )


def questions_about(
    services: Services, collection: RegisteredCollection, golden: Sequence[GoldenQuestion]
) -> list[Question]:
    """The golden set of each tenant that has one; of the others titles of some documents, always the same ones."""
    asked = [Question(one.tenant, one.text) for one in golden]
    known = {one.tenant for one in golden}
    tenants = set(services.store(collection.store).tenants(collection.collection)) - known
    return asked + _titles(services, collection, sorted(tenants))


def _titles(services: Services, collection: RegisteredCollection, tenants: Sequence[str]) -> list[Question]:
    store = services.store(collection.store)
    found: list[Question] = []
    for tenant in tenants:
        chosen: dict[str, str] = {}
        for page in pages(store.scan_points(collection.collection, tenant)):
            titles = {str(point.payload["document_id"]): str(point.payload["title"]) for point in page}
            chosen |= {one: title for one, title in titles.items() if title.strip()}
            chosen = {one: chosen[one] for one in heapq.nsmallest(_TITLES, chosen, key=text_hash)}
        found += [Question(tenant, title) for title in chosen.values()]
    return found


def _side(services: Services, registered: RegisteredCollection, texts: int) -> Side:
    held = holding(services.ledger, registered.id)
    collection = registered.collection
    return Side(collection.name, registered.description, collection.dimension, held.documents, held.chunks, texts)


def _answers(services: Services, registered: RegisteredCollection, questions: Sequence[Question]) -> list[list[str]]:
    """The first documents that a collection finds for each question."""
    embedder = services.embedder_that_made(registered)
    store = services.store(registered.store)
    found: list[list[str]] = []
    for question in questions:
        vector = embedder.embed_query(question.text)
        hits = store.search(registered.collection, question.tenant, _INSIDE, vector, _CHUNKS)
        found.append(list(dict.fromkeys(hit.document_id for hit in hits))[:_FIRST])
    return found


def _share(first: Sequence[str], second: Sequence[str]) -> float:
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else 1.0
