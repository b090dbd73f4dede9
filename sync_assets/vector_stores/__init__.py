"""One protocol for every vector store, and the way to open one by name.

What belongs here: how points are kept and found in one engine. What does not: which points ought to be there
(`stages.py` and the ledger decide). A new store is one module and one entry point in the group
`sync_assets.vector_stores`.

Every write and every read names its tenant; there is no call without one (law 5). Searches name their audience (law 9).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sync_assets.documents import Visibility


class Collection(BaseModel):
    """One physical collection: a kind of record embedded with one model.

    Attributes:
        name: physical name, lower case letters, digits and `_`, at most 48 characters.
        dimension: length of its vectors. Distance is cosine.
        fingerprint: of model and chunker; kept in the store itself and compared by `ensure_collection`.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]{1,48}$")
    dimension: int = Field(gt=0)
    fingerprint: str


class Point(BaseModel):
    """A chunk as a store keeps it. `vector` is float32 of unit length; None in an `update_payloads` call."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    chunk_id: str
    document_id: str
    source: str
    stream: str
    record_id: str
    path: str
    role: str
    text: str
    title: str
    url: str | None
    visibility: Visibility
    principals: list[str]
    metadata: dict[str, Any]
    content_hash: str
    payload_hash: str
    vector: np.ndarray | None = None


class StoredChunk(BaseModel):
    """What `scan` lists of a point."""

    model_config = ConfigDict(frozen=True)

    chunk_id: str
    document_id: str
    content_hash: str
    payload_hash: str


class StoredPoint(NamedTuple):
    """A point as it lies in a store, whoever put it there: nothing of it is checked.

    Attributes:
        payload: the fields of `Point` but `chunk_id` and `vector`, with the keywords `readers` and `facets`
            (`matching.py`) and `terms` (`lexical.py`); some may be missing, or of another type.
        vector: float32, as the store keeps it; None where it has none.
    """

    chunk_id: str
    payload: Mapping[str, Any]
    vector: np.ndarray | None


class Audience(BaseModel):
    """On whose behalf a search is made.

    `public` sees public chunks; `internal` sees public and internal ones. Restricted chunks are seen by those whose
    principals they name, in either audience.
    """

    model_config = ConfigDict(frozen=True)

    visibility: Literal[Visibility.PUBLIC, Visibility.INTERNAL]
    principals: frozenset[str] = frozenset()


class Hit(BaseModel):
    """One point that was found. Higher scores are better: `search` gives the cosine similarity, -1..1, `search_text` a
    BM25 score above 0, and `get` 0.0.
    """

    model_config = ConfigDict(frozen=True)

    score: float
    chunk_id: str
    document_id: str
    source: str
    stream: str
    record_id: str
    path: str
    role: str
    text: str
    title: str
    url: str | None
    visibility: Visibility
    metadata: dict[str, Any]


class WordCounts(NamedTuple):
    """How many points a search may see, and how many of these have each of its words; only words that some have."""

    points: int
    having: Mapping[str, int]


class WordHits(NamedTuple):
    """What a search by words found, and the counts that its scores are made of."""

    hits: list[Hit]
    counts: WordCounts


class VectorStore(Protocol):
    """All methods raise `StoreError`, with the remedy, when the store can't be reached or refuses.

    Writes are durable when the method returns, and idempotent: repeating one changes nothing.
    """

    def ensure_collection(self, collection: Collection) -> None:
        """Create the collection with its indexes where it is missing.

        Raises:
            FingerprintMismatch: it exists with another fingerprint or dimension; the text names both.
        """
        ...

    def upsert(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        """Write points whole, replacing those with the same chunk id."""
        ...

    def update_payloads(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        """Replace everything but the vector of points that exist; those that do not exist are left out."""
        ...

    def delete(self, collection: Collection, tenant: str, chunk_ids: Sequence[str]) -> None:
        """Remove points by id; ids that are not there are no error."""
        ...

    def delete_others(self, collection: Collection, tenant: str, keep: Mapping[str, Sequence[str]]) -> int:
        """For each document id in `keep`, remove its points whose chunk ids are not listed.

        Returns:
            How many points went.
        """
        ...

    def drop_tenant(self, collection: Collection, tenant: str) -> None:
        """Remove everything of a tenant."""
        ...

    def tenants(self, collection: Collection) -> set[str]:
        """The tenants that have any points; none where there is no such collection."""
        ...

    def count(self, collection: Collection, tenant: str) -> int:
        """How many points a tenant has."""
        ...

    def scan(self, collection: Collection, tenant: str) -> Iterator[StoredChunk]:
        """All points of a tenant, streamed, each once, in no particular order."""
        ...

    def scan_points(self, collection: Collection, tenant: str) -> Iterator[StoredPoint]:
        """The same, each with all that is stored of it; memory follows a page of them."""
        ...

    def search(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        vector: np.ndarray,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """The nearest points of a tenant that the audience may see, best first; ties by chunk id.

        Args:
            limit: at most so many hits; below 1 none.
            filters: each key equal to its value, all of them; keys are `source`, `stream`, `document_id`, `record_id`,
                `role`, or any metadata key. A metadata list matches when it contains the value; a list as value asks
                for all its items, `AnyOf` for one of several values, `Between` for a date in a range. Values are
                compared as text where either side is text (`matching.py`).

        Returns:
            `limit` hits when that many exist, whatever the filters.
        """
        ...

    def search_text(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        text: str,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> WordHits:
        """The points whose title and text have words of `text`, by BM25 (`lexical.py`), best first; ties by chunk id.

        Points that were written before there was a search by words are not found, in any store, until
        `sync-assets audit --heal`.

        Args:
            limit: at most so many hits; below 1 none.
            filters: as in `search`.

        Returns:
            `limit` hits when that many exist; none where `text` has no words. Scores of several collections can be
            compared once they are made of the same counts (`lexical.compared`).
        """
        ...

    def get(self, collection: Collection, tenant: str, audience: Audience, chunk_ids: Sequence[str]) -> list[Hit]:
        """Points by id, each once and in the order asked; those that the audience may not see are left out."""
        ...

    def finish_load(self, collection: Collection, tenant: str) -> None:
        """Called after a batch of writes: build or complete indexes that are better built after a load."""
        ...

    def drop_collection(self, collection: Collection) -> None:
        """Remove a collection with everything in it; one that is not there is no error."""
        ...

    def close(self) -> None:
        """Let go of connections, files and locks. Closing twice is no error."""
        ...
