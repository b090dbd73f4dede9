"""Finding documents: one question, one tenant, one audience, the nearest chunks of each document.

What belongs here: which collections are asked and how their answers are put together. How one store finds the nearest
chunks is in `vector_stores/`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from sync_assets.errors import FingerprintMismatch, SettingsError
from sync_assets.ledger import RegisteredCollection
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.vector_stores import Audience, Hit

_CHUNKS_PER_DOCUMENT = 4


def search(
    services: Services,
    text: str,
    *,
    tenant: str,
    audience: Audience,
    top_k: int = 5,
    source: str | None = None,
    store: str | None = None,
    filters: Mapping[str, Any] | None = None,
) -> list[Hit]:
    """The documents of a tenant that are nearest to a text, each by its nearest chunk, best first.

    Scores of different models can't be compared: where several answer, their first results come first, then their
    second ones, and so on.

    Args:
        audience: on whose behalf; there is no search without one.
        store: which vector store answers; where none is named, the first for each stream.
        filters: see `VectorStore.search`.

    Raises:
        SettingsError: nothing of the tenant is in any store, or not in the one that was named; or tenant or source are
            unknown.
        FingerprintMismatch: the collection's model is not what its name opens now.
    """
    if source is not None and source not in SOURCE_NAMES:
        raise SettingsError(f"Unknown source {source!r}.", f"Known are: {', '.join(SOURCE_NAMES)}.")
    collections = services.ledger.collections_of(tenant, source)
    if not collections and tenant not in (known := services.tenants.names()):
        raise SettingsError(f"Unknown tenant {tenant!r}.", f"Known are: {', '.join(known) or 'none'}.")
    stores = sorted({collection.store for collection, _ in collections})
    if not stores or store not in (None, *stores):
        where = f"in {store}" if store else "in any store"
        raise SettingsError(
            f"There is nothing of tenant {tenant!r} {where}.",
            f"Stores that have something: {', '.join(stores)}." if stores else "Run `sync-assets sync` first.",
        )
    wanted = {**(filters or {}), **({"source": source} if source else {})}
    hits: dict[str, list[Hit]] = {}
    vectors: dict[str, np.ndarray] = {}
    asked: set[str] = set()
    for collection, streams in collections:
        if store in (None, collection.store) and streams - asked:
            asked |= streams
            if collection.model_fingerprint not in vectors:
                vectors[collection.model_fingerprint] = _embedded(services, collection, text)
            vector = vectors[collection.model_fingerprint]
            found = _search_collection(services, collection, vector, tenant, audience, top_k, wanted)
            hits.setdefault(collection.model_fingerprint, []).extend(found)
    return _merged(hits.values())[:top_k]


def _merged(by_model: Iterable[Sequence[Hit]]) -> list[Hit]:
    """The hits of several models in turns, each model's best first, every document once."""
    ranked = (sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)) for hits in by_model)
    best: dict[str, Hit] = {}
    for turn in zip_longest(*ranked):
        for hit in sorted(filter(None, turn), key=lambda hit: (-hit.score, hit.chunk_id)):
            best.setdefault(hit.document_id, hit)
    return list(best.values())


def _embedded(services: Services, registered: RegisteredCollection, text: str) -> np.ndarray:
    """The question's vector, by the model that a collection was made with."""
    embedder = services.embedder(registered.model)
    if embedder.fingerprint.key != registered.model_fingerprint:
        raise FingerprintMismatch(
            f"Collection {registered.name} was made with {registered.description}; "
            f"{registered.model!r} is {embedder.fingerprint} now.",
            "Install that model again, or sync the stream into another collection.",
        )
    spans = embedder.tokenizer.offsets(text)
    if len(spans) > embedder.fingerprint.max_tokens:
        raise SettingsError(
            f"The question has {len(spans)} tokens; {registered.model} reads {embedder.fingerprint.max_tokens}.",
            "Ask a shorter one.",
        )
    return embedder.embed([text])[0]


def _search_collection(
    services: Services,
    registered: RegisteredCollection,
    vector: np.ndarray,
    tenant: str,
    audience: Audience,
    top_k: int,
    filters: Mapping[str, Any],
) -> list[Hit]:
    store = services.store(registered.store)
    limit = top_k * _CHUNKS_PER_DOCUMENT
    while True:
        hits = store.search(registered.collection, tenant, audience, vector, limit, filters)
        best: dict[str, Hit] = {}
        for hit in hits:
            best.setdefault(hit.document_id, hit)
        if len(best) >= top_k or len(hits) < limit:
            return list(best.values())[:top_k]
        limit *= 4
