"""The chunks that each collection offers, put together by document.

What belongs here: asking stores, by meaning and by words. What does not: which collections (`places.py`), and what
the scores come to (`fusion.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from sync_assets.errors import SettingsError
from sync_assets.ledger import RegisteredCollection
from sync_assets.search.fusion import USUAL, fuse, weighted
from sync_assets.search.places import Place
from sync_assets.search.results import Mode
from sync_assets.services import Services
from sync_assets.vector_stores import Audience, Hit, WordHits
from sync_assets.vector_stores.lexical import NOTHING, compared

_CHUNKS_PER_DOCUMENT = 4


class Question(NamedTuple):
    """What is asked, for whom, and how many documents are wanted."""

    text: str
    tenant: str
    audience: Audience
    mode: Mode
    documents: int


@dataclass
class Candidate:
    """A document that was found.

    Attributes:
        hits: its chunks that were found, by id; their own scores are in `dense` and `lexical`, by id.
    """

    registered: RegisteredCollection
    hits: dict[str, Hit] = field(default_factory=dict)
    dense: dict[str, float] = field(default_factory=dict)
    lexical: dict[str, float] = field(default_factory=dict)
    relevance: float = 0.0
    modified_at: datetime | None = None

    def ranked(self) -> list[tuple[Hit, float]]:
        """Its chunks with how much of the document's best score in each mode they have, best first."""
        scores = weighted([(1.0, self.dense), (1.0, self.lexical)])
        return [(self.hits[one], scores[one]) for one in sorted(scores, key=lambda one: (-scores[one], one))]

    @property
    def best(self) -> Hit:
        return self.ranked()[0][0]

    @property
    def scores(self) -> dict[str, float]:
        """Its best score in each mode that found it."""
        modes = {"dense": self.dense, "lexical": self.lexical}
        return {name: max(scores.values()) for name, scores in modes.items() if scores}


def gather(services: Services, question: Question, asked: Iterable[Place]) -> dict[str, Candidate]:
    """Candidates by document id, with their relevance: at least as many as are wanted where so many exist.

    Raises:
        SettingsError: the question is longer than a model reads.
        FingerprintMismatch: a collection's model is not what its name opens now.
    """
    found: dict[str, Candidate] = {}
    vectors: dict[str, np.ndarray] = {}
    worded: list[tuple[Place, WordHits]] = []
    for place in asked:
        if question.mode != "lexical":
            model = place.registered.model_fingerprint
            if model not in vectors:
                vectors[model] = _embedded(services, place.registered, question.text)
            for hit in _nearest(services, question, place, vectors[model]):
                _candidate(found, place, hit).dense[hit.chunk_id] = hit.score
        if question.mode != "dense":
            worded.append((place, _worded(services, question, place)))
    for (place, _), hits in zip(worded, compared([one for _, one in worded]), strict=True):
        for hit in hits:
            _candidate(found, place, hit).lexical[hit.chunk_id] = hit.score
    for document_id, score in relevance(found, question.mode).items():
        found[document_id].relevance = score
    return found


def relevance(found: dict[str, Candidate], mode: Mode) -> dict[str, float]:
    """How relevant each of the candidates is that a mode has found, 0..1."""
    dense = _dense_by_model(found) if mode != "lexical" else []
    return fuse(dense, _best(found, "lexical") if mode != "dense" else {})


def _candidate(found: dict[str, Candidate], place: Place, hit: Hit) -> Candidate:
    candidate = found.setdefault(hit.document_id, Candidate(place.registered))
    candidate.hits[hit.chunk_id] = hit
    return candidate


def _dense_by_model(found: dict[str, Candidate]) -> list[dict[str, float]]:
    by_model: dict[str, dict[str, float]] = {}
    for document_id, score in _best(found, "dense").items():
        by_model.setdefault(found[document_id].registered.model_fingerprint, {})[document_id] = score
    return list(by_model.values())


def _best(found: dict[str, Candidate], mode: Mode) -> dict[str, float]:
    return {one: scores[mode] for one, candidate in found.items() if mode in (scores := candidate.scores)}


def _nearest(services: Services, question: Question, place: Place, vector: np.ndarray) -> list[Hit]:
    store, collection = services.store(place.registered.store), place.registered.collection
    return _enough(
        lambda limit: store.search(collection, question.tenant, question.audience, vector, limit, place.filters),
        question.documents,
    )


def _worded(services: Services, question: Question, place: Place) -> WordHits:
    store, collection = services.store(place.registered.store), place.registered.collection
    found = NOTHING

    def ask(limit: int) -> list[Hit]:
        nonlocal found
        found = store.search_text(collection, question.tenant, question.audience, question.text, limit, place.filters)
        return found.hits

    _enough(ask, question.documents)
    return found


def _enough(ask: Callable[[int], list[Hit]], documents: int) -> list[Hit]:
    """Hits of at least so many documents, or all there are: few documents may have the first many chunks.

    The first hits are always enough to say what is usual among them.
    """
    limit = max(documents, USUAL) * _CHUNKS_PER_DOCUMENT
    while True:
        hits = ask(limit)
        if len({hit.document_id for hit in hits}) >= documents or len(hits) < limit:
            return hits
        limit *= 4


def _embedded(services: Services, registered: RegisteredCollection, text: str) -> np.ndarray:
    """The question's vector, by the model that a collection was made with."""
    embedder = services.embedder_that_made(registered)
    spans = embedder.tokenizer.offsets(text)
    if len(spans) > embedder.fingerprint.max_tokens:
        raise SettingsError(
            f"The question has {len(spans)} tokens; {registered.model} reads {embedder.fingerprint.max_tokens}.",
            "Ask a shorter one, or search by its words (mode lexical).",
        )
    return embedder.embed_query(text)
