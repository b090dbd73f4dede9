"""Loading each vector store through its module, against a bulk load of the same points by the engine's own means."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import orjson

from bench.corpus import tickets
from bench.results import Part, Row
from sync_assets.documents import Visibility
from sync_assets.embedding import open_embedder
from sync_assets.hashing import text_hash
from sync_assets.paging import pages
from sync_assets.postgres import database_url, stop
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.vector_stores import Collection, Point

_TICKETS = 2500
_AT_ONCE = 2000  # points, as much as a page of a batch
_MODEL = "wordllama-256"
_TABLE = "Loading points of 256 dimensions with their texts"
_COLLECTION = Collection(name="bench", dimension=256, fingerprint="bench")
_TENANT = "bench"
_NAMESPACE = UUID(int=7)

_COLUMNS = ("chunk_id", "document_id", "title", "text", "metadata", "embedding")
_TYPES = ("uuid", "text", "text", "text", "jsonb", "vector")


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row]:
    points = _points(max(2, round(_TICKETS * scale)))
    with tempfile.TemporaryDirectory(prefix="sync_assets-bench-", ignore_cleanup_errors=True) as folder:
        settings = Settings(home=Path(folder))
        services = Services(settings)
        try:
            for store, raw in (("pgvector", _pgvector), ("qdrant", _qdrant), ("chroma", _chroma)):
                tell(f"{len(points)} points into {store}")
                bare = _timed(lambda raw=raw: raw(settings, points))
                written, indexed = _load(services, store, points)
                yield _row(f"{store}, through its module", points, written, indexed, (written + indexed) / bare)
                yield _row(f"{store}, bulk load and index", points, bare, None, None)
                services.close()
        finally:
            services.close()
            stop(settings)


def _points(count: int) -> list[Point]:
    chunks = [(ticket, place, text) for ticket in tickets(count) for place, text in enumerate(ticket.paragraphs)]
    vectors = open_embedder(_MODEL).embed([text for _, _, text in chunks])
    return [
        Point(
            chunk_id=str(uuid5(_NAMESPACE, f"{ticket.number}/{place}")),
            document_id=f"{_TENANT}_ticket_portal_{ticket.number}",
            source="ticket_portal",
            stream="tickets",
            record_id=str(ticket.number),
            path=f"part-{place}",
            role="comment",
            text=text,
            title=ticket.title,
            url=None,
            visibility=Visibility.PUBLIC,
            principals=[],
            metadata={"status": ticket.status, "category": "Hardware", "priority": "medium"},
            content_hash=text_hash(text),
            payload_hash=text_hash(ticket.title),
            vector=vector,
        )
        for (ticket, place, text), vector in zip(chunks, vectors, strict=True)
    ]


def _load(services: Services, name: str, points: Sequence[Point]) -> tuple[float, float]:
    """Seconds of writing, and of what `finish_load` does."""
    store = services.store(name)
    store.ensure_collection(_COLLECTION)
    written = _timed(lambda: [store.upsert(_COLLECTION, _TENANT, some) for some in pages(points, _AT_ONCE)])
    indexed = _timed(lambda: store.finish_load(_COLLECTION, _TENANT))
    assert store.count(_COLLECTION, _TENANT) == len(points)
    return written, indexed


def _pgvector(settings: Settings, points: Sequence[Point]) -> None:
    """A binary COPY into a table without an index, then the same index on vectors."""
    import psycopg
    from pgvector.psycopg import register_vector
    from psycopg.types.json import Jsonb

    with psycopg.connect(database_url(settings)) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        cursor = connection.cursor()
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(_COLUMNS, _TYPES, strict=True))
        columns = columns.replace("embedding vector", f"embedding vector({_COLLECTION.dimension})")
        cursor.execute(f"CREATE TABLE bare ({columns})".encode())
        with cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_TYPES)
            for one in points:
                head = (UUID(one.chunk_id), one.document_id, one.title, one.text)
                copy.write_row((*head, Jsonb(one.metadata), one.vector))
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute("CREATE INDEX ON bare USING hnsw (embedding vector_cosine_ops)")


def _qdrant(settings: Settings, points: Sequence[Point]) -> None:
    """Points with their payload into a shard without indexes on fields, then its optimizer."""
    import qdrant_edge as qdrant

    folder = settings.home / "bare_qdrant"
    folder.mkdir()
    vectors = qdrant.EdgeVectorParams(_COLLECTION.dimension, qdrant.Distance.Cosine)
    shard = qdrant.EdgeShard.create(str(folder), qdrant.EdgeConfig(vectors=vectors))
    for some in pages(points, _AT_ONCE):
        rows = [qdrant.Point(one.chunk_id, _vector(one).tolist(), _payload(one)) for one in some]
        shard.update(qdrant.UpdateOperation.upsert_points(rows))
    shard.flush()
    shard.optimize()
    shard.close()


def _chroma(settings: Settings, points: Sequence[Point]) -> None:
    """Points with their texts as documents, as many at once as Chroma takes."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    client = chromadb.PersistentClient(str(settings.home / "bare_chroma"), ChromaSettings(anonymized_telemetry=False))
    collection = client.create_collection("bare", configuration={"hnsw": {"space": "cosine"}})
    for some in pages(points, client.get_max_batch_size()):
        collection.add(
            ids=[one.chunk_id for one in some],
            embeddings=np.stack([_vector(one) for one in some]),
            documents=[one.text for one in some],
            metadatas=[{"point": orjson.dumps(_payload(one)).decode()} for one in some],
        )


def _payload(point: Point) -> dict[str, Any]:
    return {"document_id": point.document_id, "title": point.title, "text": point.text, "metadata": point.metadata}


def _vector(point: Point) -> np.ndarray:
    assert point.vector is not None
    return point.vector


def _row(what: str, points: Sequence[Point], seconds: float, index: float | None, ratio: float | None) -> Row:
    whole = seconds + (index or 0.0)
    return Row(
        table=_TABLE,
        values={
            "what": what,
            "points": len(points),
            "points in a second": len(points) / whole,
            "seconds of writing": seconds,
            "of its index": index,
            "times the bulk load": ratio,
        },
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


PART = Part(
    "stores",
    "Loading each store",
    """
The module of a store writes more than a bulk load does: the words of each text for search by words, who may read it,
what it can be filtered by, and the indexes on them; it replaces points that are there already, and what it wrote is
durable. The bulk load writes ids, text, title, metadata and vector once, with an index on vectors alone.
""",
    measure,
    (_TABLE, "what", "points in a second"),
)
