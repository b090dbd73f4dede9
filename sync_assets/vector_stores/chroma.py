"""Chroma, in this process or as a server: a database for each tenant, a collection of the same name in each.

What belongs here: how the protocol is said in Chroma's words. What does not: how a point lies in it
(`chroma_points.py`), in which database and collection (`chroma_places.py`), and how a Chroma is reached
(`chroma_clients.py`).

A catalogue, a database of our own with an empty collection for each that was made, knows collections that no tenant has
anything in yet, and carries their fingerprints.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from sync_assets.batches import load_json
from sync_assets.paging import pages
from sync_assets.vector_stores import Audience, Collection, Hit, Point, StoredChunk, StoredPoint, VectorStore, WordHits
from sync_assets.vector_stores.chroma_places import (
    CATALOGUE,
    check_catalogue,
    database_of,
    emptied_and_dropped,
    made,
    name_of,
    stored_of,
    tenant_in,
)
from sync_assets.vector_stores.chroma_points import (
    document_of,
    having,
    hit_of,
    metadata_of,
    payload_of,
    vector_of,
    visible_to,
)
from sync_assets.vector_stores.lexical import NOTHING, AnyWord, as_hits, ranked
from sync_assets.vector_stores.matching import wanted_ids
from sync_assets.vector_stores.ranking import Found, best

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection as ChromaCollection

    from sync_assets.settings import Settings
    from sync_assets.vector_stores.chroma_clients import Chroma, Clients

_ROWS = 1000
_DOCUMENTS_AT_ONCE = 100
# SQLite takes 32,766 variables in a statement; who asks for more gets the exact answer.
_MOST_RESULTS = 10_000
# Points of one word whose ids are fetched to count them: what more have tells nothing about any of them.
_MOST_COUNTED = 50_000


class ChromaStore:
    """`VectorStore` in Chroma.

    Args:
        clients: how Chroma is reached.
    """

    def __init__(self, clients: "Clients") -> None:
        self._clients = clients

    def ensure_collection(self, collection: Collection) -> None:
        with self._clients.opened() as chroma:
            made(chroma, CATALOGUE, collection)

    def upsert(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if not points:
            return
        last = {point.chunk_id: point for point in points}
        vectors = np.stack([vector_of(point) for point in last.values()])
        with self._writing(collection, tenant) as chroma:
            check_catalogue(chroma, collection)
            stored = made(chroma, database_of(tenant), collection)
            for start in range(0, len(vectors), chroma.max_batch):
                some = list(last.values())[start : start + chroma.max_batch]
                stored.upsert(
                    ids=[point.chunk_id for point in some],
                    embeddings=vectors[start : start + chroma.max_batch],
                    documents=[document_of(point) for point in some],
                    metadatas=[metadata_of(point) for point in some],
                )

    def update_payloads(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        last = {point.chunk_id: point for point in points}
        with self._writing(collection, tenant) as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is None:
                return
            for ids in pages(list(last), chroma.max_batch):
                known = stored.get(ids, include=[])["ids"]
                if known:
                    some = [last[chunk_id] for chunk_id in known]
                    documents = [document_of(point) for point in some]
                    chroma.update(stored, known, documents, [metadata_of(point) for point in some])

    def delete(self, collection: Collection, tenant: str, chunk_ids: Sequence[str]) -> None:
        if not chunk_ids:
            return
        with self._writing(collection, tenant) as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is not None:
                for ids in pages(list(dict.fromkeys(chunk_ids)), chroma.max_batch):
                    stored.delete(ids)

    def delete_others(self, collection: Collection, tenant: str, keep: Mapping[str, Sequence[str]]) -> int:
        gone = 0
        with self._writing(collection, tenant) as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is None:
                return 0
            for documents in pages(list(keep), _DOCUMENTS_AT_ONCE):
                kept = {(document, chunk_id) for document in documents for chunk_id in keep[document]}
                where = {"document_id": {"$in": documents}}
                others = [
                    chunk_id
                    for chunk_id, metadata in _pages(stored, where)
                    if (metadata["document_id"], chunk_id) not in kept
                ]
                for ids in pages(others, chroma.max_batch):
                    stored.delete(ids)
                gone += len(others)
        return gone

    def drop_tenant(self, collection: Collection, tenant: str) -> None:
        with self._writing(collection, tenant) as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is not None:
                emptied_and_dropped(chroma, database_of(tenant), stored)

    def tenants(self, collection: Collection) -> set[str]:
        with self._clients.opened() as chroma:
            held = (tenant_in(chroma, database, collection) for database in chroma.databases())
            return {tenant for tenant in held if tenant is not None}

    def count(self, collection: Collection, tenant: str) -> int:
        with self._clients.opened() as chroma:
            stored = stored_of(chroma, collection, tenant)
            return 0 if stored is None else stored.count()

    def scan(self, collection: Collection, tenant: str) -> Iterator[StoredChunk]:
        for answer in self._scanned(collection, tenant, ["metadatas"]):
            for chunk_id, metadata in _rows(answer):
                yield StoredChunk(
                    chunk_id=chunk_id,
                    document_id=metadata["document_id"],
                    content_hash=metadata["content_hash"],
                    payload_hash=metadata["payload_hash"],
                )

    def scan_points(self, collection: Collection, tenant: str) -> Iterator[StoredPoint]:
        for answer in self._scanned(collection, tenant, ["metadatas", "documents", "embeddings"]):
            columns = (answer[name] for name in ("ids", "metadatas", "documents", "embeddings"))
            for chunk_id, metadata, document, vector in zip(*columns, strict=True):
                yield StoredPoint(chunk_id, payload_of(metadata or {}, document), np.asarray(vector, np.float32))

    def _scanned(self, collection: Collection, tenant: str, include: Sequence[Any]) -> Iterator[Any]:
        """Pages of a tenant's points. Ids are listed first: pages by offset shift when something is written."""
        with self._clients.opened() as chroma:
            stored = stored_of(chroma, collection, tenant)
            chunk_ids = [] if stored is None else [chunk_id for chunk_id, _ in _pages(stored, None, [])]
        for ids in pages(chunk_ids, _ROWS):
            with self._clients.opened() as chroma:
                stored = stored_of(chroma, collection, tenant)
                answer = None if stored is None else stored.get(ids, include=list(include))
            if answer is not None:
                yield answer

    def search(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        vector: np.ndarray,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        visible = visible_to(audience, filters)
        query = vector.astype(np.float32)
        with self._clients.opened() as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is None or limit < 1:
                return []
            ask = {True: _nearest_exactly, False: _nearest}
            found = best(lambda asked, exact: ask[exact](stored, visible, query, asked), limit)
        return [hit_of(one.score, one.chunk_id, one.payload, one.payload["document"]) for one in found]

    def search_text(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        text: str,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> WordHits:
        with self._clients.opened() as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is None:
                return NOTHING
            ranking = ranked(text, _Words(stored, visible_to(audience, filters)), limit)
        return as_hits(ranking, self.get(collection, tenant, audience, [one.chunk_id for one in ranking[0]]))

    def get(self, collection: Collection, tenant: str, audience: Audience, chunk_ids: Sequence[str]) -> list[Hit]:
        ids = wanted_ids(chunk_ids)
        found: dict[str, Hit] = {}
        with self._clients.opened() as chroma:
            stored = stored_of(chroma, collection, tenant)
            if stored is None:
                return []
            for some in pages(ids, _ROWS):
                answer: Any = stored.get(some, where=visible_to(audience), include=["metadatas", "documents"])
                columns = (answer[name] for name in ("ids", "metadatas", "documents"))
                found |= {one: hit_of(0.0, one, *rest) for one, *rest in zip(*columns, strict=True)}
        return [found[chunk_id] for chunk_id in ids if chunk_id in found]

    def finish_load(self, collection: Collection, tenant: str) -> None:
        """Chroma completes its indexes by itself."""

    def drop_collection(self, collection: Collection) -> None:
        name = name_of(collection)
        with self._clients.opened() as chroma:
            databases = [one for one in chroma.databases() if one != CATALOGUE]
        # The catalogue comes last: while it has the collection, a drop that was broken off can be done again.
        for database in [*databases, CATALOGUE]:
            with self._clients.opened(writes=(database, name)) as chroma:
                stored = chroma.found(database, name)
                if stored is not None:
                    emptied_and_dropped(chroma, database, stored)

    def close(self) -> None:
        self._clients.close()

    def _writing(self, collection: Collection, tenant: str) -> "AbstractContextManager[Chroma]":
        return self._clients.opened(writes=(database_of(tenant), name_of(collection)))


class _Words:
    """`lexical.Words` of the points of a tenant that `visible` selects."""

    def __init__(self, stored: "ChromaCollection", visible: dict[str, Any]) -> None:
        self._stored = stored
        self._visible = visible

    def count(self, groups: Sequence[AnyWord]) -> int:
        # Chroma counts nothing under a condition. Page by page, or by halving an offset, it would meet that anew each
        # time, which takes ten times as long.
        found: Any = self._stored.get(
            where=self._visible, where_document=having(groups), limit=_MOST_COUNTED, include=[]
        )
        return len(found["ids"])

    def texts(self, groups: Sequence[AnyWord], limit: int) -> Iterator[tuple[str, str, str]]:
        found: Any = self._stored.get(
            where=self._visible, where_document=having(groups), limit=limit, include=["metadatas"]
        )
        for chunk_id, metadata in _rows(found):
            point = load_json(metadata["point"])
            if "text" in point:  # else an older version of this program wrote it, without its words
                yield chunk_id, point["title"], point["text"]


def open_store(settings: "Settings") -> VectorStore:
    """The Chroma server of `SYNC_ASSETS_CHROMA_URL`, or one embedded in this process."""
    from sync_assets.vector_stores.chroma_clients import FolderClients, ServerClients

    if settings.chroma_url is None:
        return ChromaStore(FolderClients(settings.home / "chroma", settings.lock_timeout))
    return ChromaStore(ServerClients(settings.chroma_url.get_secret_value()))


def _nearest(stored: "ChromaCollection", where: dict[str, Any], vector: np.ndarray, asked: int) -> list[Found]:
    answer: Any = stored.query(
        query_embeddings=[vector],
        n_results=min(asked, _MOST_RESULTS),
        where=where,
        include=["metadatas", "documents", "distances"],
    )
    columns = (answer[name][0] for name in ("ids", "distances", "metadatas", "documents"))
    return [
        Found(1.0 - distance, chunk_id, {**metadata, "document": document})
        for chunk_id, distance, metadata, document in zip(*columns, strict=True)
    ]


def _nearest_exactly(stored: "ChromaCollection", where: dict[str, Any], vector: np.ndarray, asked: int) -> list[Found]:
    """Chroma's graph may find fewer points than there are under a filter: all of them are compared."""
    nearest: list[tuple[float, str]] = []
    offset = 0
    while True:
        answer: Any = stored.get(where=where, limit=_ROWS, offset=offset, include=["embeddings"])
        if not answer["ids"]:
            break
        scores = np.asarray(answer["embeddings"], dtype=np.float32) @ vector
        nearest = sorted([*nearest, *((-float(s), i) for s, i in zip(scores, answer["ids"], strict=True))])[:asked]
        offset += len(answer["ids"])
    found: list[Found] = []
    for some in pages(nearest, _ROWS):
        answer = stored.get([chunk_id for _, chunk_id in some], include=["metadatas", "documents"])
        columns = (answer[name] for name in ("ids", "metadatas", "documents"))
        rows = {
            chunk_id: {**metadata, "document": document} for chunk_id, metadata, document in zip(*columns, strict=True)
        }
        found += [Found(-score, chunk_id, rows[chunk_id]) for score, chunk_id in some if chunk_id in rows]
    return found


def _pages(
    stored: "ChromaCollection", where: dict[str, Any] | None, include: Sequence[Any] = ("metadatas",)
) -> Iterator[tuple[str, Any]]:
    """Ids of the points that meet `where`, with their metadata where they are included."""
    offset = 0
    while True:
        answer: Any = stored.get(where=where, limit=_ROWS, offset=offset, include=list(include))
        yield from _rows(answer)
        offset += len(answer["ids"])
        if len(answer["ids"]) < _ROWS:
            return


def _rows(answer: Any) -> Iterator[tuple[str, Any]]:
    return zip(answer["ids"], answer["metadatas"] or [None] * len(answer["ids"]), strict=True)
