"""Finding documents: one question, one tenant, one audience, the nearest chunks of each document.

What belongs here: which collections are asked and how their answers are put together. How one store finds the nearest
chunks is in `vector_stores/`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import numpy as np

from sync_assets.errors import FingerprintMismatch, SettingsError
from sync_assets.ledger import RegisteredCollection, StreamRef
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
    for collection, scope in _answering([found for found in collections if store in (None, found[0].store)]):
        if any(wanted.get(name, value) != value for name, value in scope.items()):
            continue
        model = collection.model_fingerprint
        if model not in vectors:
            vectors[model] = _embedded(services, collection, text)
        found = _search_collection(services, collection, vectors[model], tenant, audience, top_k, {**wanted, **scope})
        hits.setdefault(model, []).extend(found)
    return _merged(hits.values())[:top_k]


def _answering(
    collections: Sequence[tuple[RegisteredCollection, Mapping[StreamRef, datetime]]],
) -> Iterator[tuple[RegisteredCollection, dict[str, str]]]:
    """Each collection that answers for some stream, with the filters that keep it to those.

    For each stream the first store answers. A stream that was moved to another collection of a store is still in the
    one before: the one that follows it answers.
    """
    chosen: dict[StreamRef, tuple[RegisteredCollection, datetime]] = {}
    for collection, streams in collections:
        for stream, observed_at in streams.items():
            before, until = chosen.get(stream, (collection, observed_at))
            if before.store == collection.store and (observed_at, collection.id) >= (until, before.id):
                chosen[stream] = (collection, observed_at)
    for collection, streams in collections:
        own = [stream for stream in streams if chosen[stream][0].id == collection.id]
        if len(own) == len(streams):
            yield collection, {}
        else:
            yield from ((collection, {"source": stream.source, "stream": stream.stream}) for stream in own)


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
    embedder = services.embedder_of(registered.model)
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
    return embedder.embed_query(text)


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
