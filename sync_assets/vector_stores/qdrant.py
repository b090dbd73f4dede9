"""What both Qdrant stores share: payloads, conditions, and the protocol written over a few primitives.

What belongs here: how a point lies in Qdrant and what is asked of it. What does not: how one engine is spoken to
(`qdrant_edge.py` in this process, `qdrant_server.py` over the network).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sync_assets.paging import pages
from sync_assets.vector_stores import Audience, Collection, Hit, Point, StoredChunk, StoredPoint, VectorStore, WordHits
from sync_assets.vector_stores.lexical import AnyWord, as_hits, ranked, terms
from sync_assets.vector_stores.matching import facets, readers, wanted_facets, wanted_ids, wanted_readers
from sync_assets.vector_stores.ranking import Found, best

if TYPE_CHECKING:
    from sync_assets.settings import Settings

TENANT_FIELD = "tenant"
KEYWORD_FIELDS = (TENANT_FIELD, "document_id", "readers", "facets", "terms")

# More tenants than any collection has: the engines ask for a limit.
MOST_TENANTS = 1_000_000

_SCAN_ROWS = 1000
_DOCUMENTS_AT_ONCE = 100
HIT_FIELDS = [name for name in Hit.model_fields if name not in ("score", "chunk_id")]
_LISTED = ["document_id", "content_hash", "payload_hash"]


@dataclass(frozen=True)
class FieldIn:
    """The keyword field `key` has one of `values`, or contains one where it is a list."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class IdIn:
    """The point's id is one of `ids`."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Where:
    """All of `must`, one of `should` where there are any, none of `must_not`."""

    must: "tuple[Condition, ...]" = ()
    should: "tuple[Condition, ...]" = ()
    must_not: "tuple[Condition, ...]" = ()


Condition = FieldIn | IdIn | Where


class QdrantStore(ABC):
    """`VectorStore` over the primitives of one engine.

    All primitives raise `StoreError`; those that write are durable when they return.
    """

    @abstractmethod
    def ensure_collection(self, collection: Collection) -> None: ...

    @abstractmethod
    def tenants(self, collection: Collection) -> set[str]: ...

    @abstractmethod
    def finish_load(self, collection: Collection, tenant: str) -> None: ...

    @abstractmethod
    def drop_collection(self, collection: Collection) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _write(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        """Write points whole."""

    @abstractmethod
    def _overwrite(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        """Replace the payloads of those points that exist."""

    @abstractmethod
    def _delete(self, collection: Collection, where: Where) -> None: ...

    @abstractmethod
    def _count(self, collection: Collection, where: Where) -> int: ...

    @abstractmethod
    def _page(
        self, collection: Collection, where: Where, fields: list[str], start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any]]], Any]:
        """Ids and `fields` of up to `rows` points from the id `start` on, and the id of the next page or None."""

    @abstractmethod
    def _points(
        self, collection: Collection, where: Where, start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any], Any]], Any]:
        """As `_page`, with whole payloads, and what the engine gives as vectors."""

    @abstractmethod
    def _nearest(
        self, collection: Collection, where: Where, vector: list[float], limit: int, exact: bool
    ) -> list[Found]:
        """The nearest points, best first; `exact` compares all that `where` selects."""

    def upsert(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if points:
            self._write(collection, tenant, points)

    def update_payloads(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if points:
            self._overwrite(collection, tenant, points)

    def delete(self, collection: Collection, tenant: str, chunk_ids: Sequence[str]) -> None:
        if chunk_ids:
            self._delete(collection, Where(must=(_of(tenant), IdIn(tuple(chunk_ids)))))

    def delete_others(self, collection: Collection, tenant: str, keep: Mapping[str, Sequence[str]]) -> int:
        gone = 0
        for documents in pages(list(keep.items()), _DOCUMENTS_AT_ONCE):
            others = tuple(
                Where(must=(FieldIn("document_id", (document,)),), must_not=(IdIn(tuple(ids)),) if ids else ())
                for document, ids in documents
            )
            where = Where(must=(_of(tenant),), should=others)
            count = self._count(collection, where)
            if count:
                self._delete(collection, where)
            gone += count
        return gone

    def drop_tenant(self, collection: Collection, tenant: str) -> None:
        self._delete(collection, Where(must=(_of(tenant),)))

    def count(self, collection: Collection, tenant: str) -> int:
        return self._count(collection, Where(must=(_of(tenant),)))

    def scan(self, collection: Collection, tenant: str) -> Iterator[StoredChunk]:
        start: Any = None
        while True:
            rows, start = self._page(collection, Where(must=(_of(tenant),)), _LISTED, start, _SCAN_ROWS)
            for chunk_id, payload in rows:
                yield StoredChunk(chunk_id=chunk_id, **payload)
            if start is None:
                return

    def scan_points(self, collection: Collection, tenant: str) -> Iterator[StoredPoint]:
        start: Any = None
        while True:
            rows, start = self._points(collection, Where(must=(_of(tenant),)), start, _SCAN_ROWS)
            for chunk_id, payload, vector in rows:
                fields = {name: value for name, value in payload.items() if name != TENANT_FIELD}
                is_plain = isinstance(vector, list)  # else it has none, or several by name
                yield StoredPoint(chunk_id, fields, np.asarray(vector, np.float32) if is_plain else None)
            if start is None:
                return

    def search(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        vector: np.ndarray,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        if limit < 1:
            return []
        where = _visible(tenant, audience, filters)
        numbers = vector.astype(np.float32).tolist()
        found = best(lambda asked, exact: self._nearest(collection, where, numbers, asked, exact), limit)
        return [Hit.model_validate({**one.payload, "score": one.score, "chunk_id": one.chunk_id}) for one in found]

    def search_text(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        text: str,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> WordHits:
        ranking = ranked(text, _Words(self, collection, _visible(tenant, audience, filters)), limit)
        return as_hits(ranking, self.get(collection, tenant, audience, [one.chunk_id for one in ranking[0]]))

    def get(self, collection: Collection, tenant: str, audience: Audience, chunk_ids: Sequence[str]) -> list[Hit]:
        ids = wanted_ids(chunk_ids)
        visible = _visible(tenant, audience, None)
        found: dict[str, Hit] = {}
        for some in pages(ids, _SCAN_ROWS):
            where = Where(must=(*visible.must, IdIn(tuple(some))))
            rows, _ = self._page(collection, where, HIT_FIELDS, None, len(some))
            found |= {i: Hit.model_validate({**payload, "score": 0.0, "chunk_id": i}) for i, payload in rows}
        return [found[chunk_id] for chunk_id in ids if chunk_id in found]


class _Words:
    """`lexical.Words` of the points that `visible` selects."""

    def __init__(self, store: QdrantStore, collection: Collection, visible: Where) -> None:
        self._store, self._collection, self._visible = store, collection, visible

    def count(self, groups: Sequence[AnyWord]) -> int:
        return self._store._count(self._collection, self._with(groups))

    def texts(self, groups: Sequence[AnyWord], limit: int) -> Iterator[tuple[str, str, str]]:
        rows, _ = self._store._page(self._collection, self._with(groups), ["title", "text"], None, limit)
        return ((chunk_id, payload["title"], payload["text"]) for chunk_id, payload in rows)

    def _with(self, groups: Sequence[AnyWord]) -> Where:
        return Where(must=(*self._visible.must, *(FieldIn("terms", group) for group in groups)))


def payload_of(tenant: str, point: Point) -> dict[str, Any]:
    """All that is stored of a point beside its id and vector."""
    return {
        **point.model_dump(mode="json", exclude={"chunk_id", "vector"}),
        TENANT_FIELD: tenant,
        "readers": readers(point),
        "facets": facets(point),
        "terms": terms(point),
    }


def vector_of(point: Point) -> list[float]:
    """The vector as the engines take it.

    Raises:
        ValueError: the point has none.
    """
    if point.vector is None:
        raise ValueError(f"chunk {point.chunk_id} has no vector")
    return point.vector.astype(np.float32).tolist()


def existing(tenant: str, chunk_id: str) -> Where:
    """The point with this id, if the tenant has it."""
    return Where(must=(_of(tenant), IdIn((chunk_id,))))


def _of(tenant: str) -> FieldIn:
    return FieldIn(TENANT_FIELD, (tenant,))


def _visible(tenant: str, audience: Audience, filters: Mapping[str, Any] | None) -> Where:
    """What an audience may see of a tenant, under filters."""
    asked = (FieldIn("facets", group) for group in wanted_facets(filters or {}))
    return Where(must=(_of(tenant), FieldIn("readers", tuple(wanted_readers(audience))), *asked))


def open_store(settings: "Settings") -> VectorStore:
    """The Qdrant server of `SYNC_ASSETS_QDRANT_URL`, or the engine embedded in this process."""
    if settings.qdrant_url is None:
        from sync_assets.vector_stores.qdrant_edge import QdrantEdgeStore

        return QdrantEdgeStore(settings.home / "qdrant", settings.lock_timeout)

    from sync_assets.vector_stores.qdrant_server import QdrantServerStore, connect

    key = settings.qdrant_api_key
    return QdrantServerStore(connect(settings.qdrant_url, key.get_secret_value() if key else None))
