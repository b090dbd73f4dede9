"""A small account, synced into one store, and the ways to damage that store behind our back.

What belongs here: what the tests of audits share. Damage is done through the stores' own engines.
"""

import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge
from psycopg import sql
from psycopg.types.json import Jsonb
from qdrant_client import models

from sync_assets.audit import AuditResult, AuditScope, audit
from sync_assets.audit.healing import make_lost_collections, prepare
from sync_assets.batches import dump_json
from sync_assets.documents import Visibility
from sync_assets.ledger import RegisteredCollection
from sync_assets.services import Services
from sync_assets.stages import Report, Stream
from sync_assets.vector_stores import Point
from sync_assets.vector_stores.chroma import ChromaStore
from sync_assets.vector_stores.pgvector import PgVectorStore
from sync_assets.vector_stores.qdrant_edge import QdrantEdgeStore
from sync_assets.vector_stores.qdrant_server import QdrantServerStore
from sync_assets_tests.laws.upstream import START, Chain, Ticket, Upstream, install, window

DIMENSION = 8
NewWorld = Callable[..., "World"]
_numbers = itertools.count()


class World:
    """A tenant of its own with some tickets of several chunks each, synced into one store."""

    def __init__(self, services: Services, store: str, opened: Any, tickets: int = 6) -> None:
        self.tenant = f"audited{next(_numbers)}"
        self.store = store
        self.upstream = Upstream()
        self.services = services
        install(services, {self.tenant: self.upstream}, {store: opened})
        self.opened = opened
        self.stream = Stream("freshdesk", "tickets", "day", (store,), "audited", model="hash-8", chunk_tokens=64)
        self.chain = Chain(services, self.stream, lambda: self.upstream.tick())
        self.upstream.now = START
        for number in range(tickets):
            self.write(str(number), f"printer {number} is on fire", f"restart {number}", "thanks")
        self.sync()

    def write(self, record_id: str, *texts: str) -> None:
        self.upstream.tickets[record_id] = Ticket(self.upstream.tick(), texts, status=f"status {record_id}")

    def sync(self, sweep: bool = True) -> dict[str, Report]:
        self.upstream.tick()
        return self.chain.sync([window(self.tenant, 0)], sweep=sweep)

    @property
    def registered(self) -> RegisteredCollection:
        found = self.services.ledger.active_collection(self.store, "audited")
        assert found is not None
        return found

    def document(self, record_id: str) -> str:
        return f"{self.tenant}_freshdesk_{record_id}"

    def chunks(self, record_id: str) -> list[str]:
        """Ids of the chunks that the store has of a ticket, in the order of their places."""
        rows = self.contents().items()
        found = [(payload["path"], key) for key, (payload, _) in rows if payload["record_id"] == record_id]
        return [key for _, key in sorted(found)]

    def contents(self) -> dict[str, tuple[dict[str, Any], list[float]]]:
        """All that the store has of the tenant, payload and vector, by chunk id."""
        found: dict[str, tuple[dict[str, Any], list[float]]] = {}
        for row in self.opened.scan_points(self.registered.collection, self.tenant):
            assert row.vector is not None
            found[row.chunk_id] = (dict(row.payload), [round(float(number), 4) for number in row.vector])
        return found

    def audit(self, upstream: bool = False) -> AuditResult:
        scope = AuditScope(tenants=(self.tenant,), places=(self.store,), upstream=upstream)
        return audit(self.services, [self.stream], scope)

    def found(self, upstream: bool = False) -> dict[str, dict[str, list[str]]]:
        """What an audit finds: chunk ids by document id, by kind."""
        result = self.audit(upstream)
        assert result.failures == []
        return {
            finding.kind: {document: sorted(ids) for document, ids in finding.documents.items()}
            for finding in result.findings
        }

    def heal(self) -> dict[str, Report]:
        """What `audit --heal` does, with the chain run by hand."""
        make_lost_collections(self.services, AuditScope(places=(self.store,)))
        prepare(self.services, self.audit(upstream=True))
        return self.sync(sweep=True)


def drop(store: Any, registered: RegisteredCollection, tenant: str, chunk_ids: Sequence[str]) -> None:
    """Remove points through the engine."""
    name = registered.collection.name
    match store:
        case QdrantEdgeStore():
            with store._open(registered.collection) as shard:
                shard.update(qdrant_edge.UpdateOperation.delete_points(list(chunk_ids)))
                shard.flush()
        case QdrantServerStore():
            store._client.delete(name, models.PointIdsList(points=list(chunk_ids)))
        case PgVectorStore():
            statement = sql.SQL("DELETE FROM {} WHERE chunk_id = ANY(%s::uuid[])")
            with store._transaction() as cursor:
                cursor.execute(statement.format(sql.Identifier("vectors", name)), (list(chunk_ids),))
        case ChromaStore():
            with store._clients.opened(writes=(f"tenant-{tenant}", name)) as chroma:
                found = chroma.found(f"tenant-{tenant}", name)
                assert found is not None
                found.delete(list(chunk_ids))
        case _:
            raise AssertionError(store)


def put(
    store: Any,
    registered: RegisteredCollection,
    tenant: str,
    chunk_id: str,
    payload: Mapping[str, Any],
    vector: Sequence[float],
) -> None:
    """Write a point through the engine, whatever is in it, in place of one with the same id."""
    name = registered.collection.name
    match store:
        case QdrantEdgeStore():
            point = qdrant_edge.Point(chunk_id, list(vector), {**payload, "tenant": tenant})
            with store._open(registered.collection) as shard:
                shard.update(qdrant_edge.UpdateOperation.upsert_points([point]))
                shard.flush()
        case QdrantServerStore():
            row = models.PointStruct(id=chunk_id, vector=list(vector), payload={**payload, "tenant": tenant})
            store._client.upsert(name, [row], wait=True)
        case PgVectorStore():
            _put_in_postgres(store, name, tenant, {**payload, "chunk_id": chunk_id}, vector)
        case ChromaStore():
            beside = {"document_id", "content_hash", "payload_hash", "readers", "facets"}
            has_words = "terms" in payload  # else it lies there as older versions of this program wrote it
            document = f" {' '.join(payload['terms'])} " if has_words else payload["text"]
            packed = {key: value for key, value in payload.items() if key not in {*beside, "terms"}}
            if not has_words:
                del packed["text"]
            metadata = {key: payload[key] for key in beside} | {"point": dump_json(packed)}
            with store._clients.opened(writes=(f"tenant-{tenant}", name)) as chroma:
                found = chroma.found(f"tenant-{tenant}", name)
                assert found is not None
                found.upsert([chunk_id], [np.asarray(vector, np.float32)], [metadata], [document])
        case _:
            raise AssertionError(store)


def _put_in_postgres(
    store: PgVectorStore, name: str, tenant: str, values: Mapping[str, Any], vector: Sequence[float]
) -> None:
    row = {
        "terms": [],
        **values,
        "tenant": tenant,
        "metadata": Jsonb(values["metadata"]),
        "embedding": np.asarray(vector, np.float32),
    }
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    replaced = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(key)) for key in row)
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (tenant, chunk_id) DO UPDATE SET {}").format(
        sql.Identifier("vectors", name), columns, sql.SQL(", ").join(sql.Placeholder() * len(row)), replaced
    )
    with store._transaction() as cursor:
        cursor.execute(statement, list(row.values()))


def home(folder: Path, database_url: str) -> dict[str, Any]:
    """Settings of an installation in which sweeps may delete everything."""
    return {"home": folder, "database_url": database_url, "sweep_max_delete_share": 1.0}


def make_point(tenant: str, source: str = "freshdesk") -> Point:
    """A point that no sync wrote."""
    return Point(
        chunk_id=str(uuid.uuid4()),
        document_id=f"{tenant}_{source}_1",
        source=source,
        stream="tickets",
        record_id="1",
        path="description",
        role="description",
        text="whose am I?",
        title="",
        url=None,
        visibility=Visibility.PUBLIC,
        principals=[],
        metadata={},
        content_hash="0" * 32,
        payload_hash="0" * 32,
        vector=np.eye(DIMENSION, dtype=np.float32)[0],
    )
