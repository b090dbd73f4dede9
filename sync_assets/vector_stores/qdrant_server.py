"""A Qdrant server, spoken to through its own client.

What belongs here: saying in the client's words what `qdrant.py` asks. The client's local mode stands in for a server in
tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.paging import pages
from sync_assets.vector_stores import Collection, Point
from sync_assets.vector_stores.qdrant import (
    HIT_FIELDS,
    KEYWORD_FIELDS,
    MOST_TENANTS,
    TENANT_FIELD,
    Condition,
    FieldIn,
    IdIn,
    QdrantStore,
    Where,
    existing,
    payload_of,
    vector_of,
)
from sync_assets.vector_stores.ranking import Found

_TIMEOUT_SECONDS = 60
_POINTS_AT_ONCE = 256


def connect(url: str, api_key: str | None, grpc_port: int = 6334) -> QdrantClient:
    """A client of the server at `url`, by gRPC. Nothing is asked of the server yet."""
    return QdrantClient(
        url=url,
        grpc_port=grpc_port,
        api_key=api_key,
        prefer_grpc=True,
        timeout=_TIMEOUT_SECONDS,
        check_compatibility=False,
    )


class QdrantServerStore(QdrantStore):
    """Collections of a Qdrant server, version 1.16 or later (older ones keep no fingerprint with a collection)."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client

    def ensure_collection(self, collection: Collection) -> None:
        with _server_errors():
            if not self._client.collection_exists(collection.name):
                self._create(collection)
            found = self._client.get_collection(collection.name)
            # Also where a process died between a collection and its indexes.
            for field in KEYWORD_FIELDS:
                if field not in found.payload_schema:
                    self._index(collection, field)
        config = found.config
        vectors = config.params.vectors
        dimension = vectors.size if isinstance(vectors, models.VectorParams) else None
        fingerprint = (config.metadata or {}).get("fingerprint")
        if (dimension, fingerprint) != (collection.dimension, collection.fingerprint):
            raise FingerprintMismatch(
                f"Qdrant collection {collection.name} holds vectors of {fingerprint} ({dimension} dimensions), "
                f"not of {collection.fingerprint} ({collection.dimension} dimensions).",
                "Write to a new collection; one collection has one model.",
            )

    def tenants(self, collection: Collection) -> set[str]:
        with _server_errors():
            if not self._client.collection_exists(collection.name):
                return set()
            found = self._client.facet(collection.name, TENANT_FIELD, limit=MOST_TENANTS, exact=True)
        return {str(hit.value) for hit in found.hits if hit.count}

    def finish_load(self, collection: Collection, tenant: str) -> None:
        """The server builds its indexes by itself."""

    def drop_collection(self, collection: Collection) -> None:
        with _server_errors():
            if self._client.collection_exists(collection.name):
                self._client.delete_collection(collection.name)

    def close(self) -> None:
        self._client.close()

    def _create(self, collection: Collection) -> None:
        try:
            self._client.create_collection(
                collection.name,
                vectors_config=models.VectorParams(size=collection.dimension, distance=models.Distance.COSINE),
                # Every search names its tenant: one graph for each, none over all.
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
                metadata={"fingerprint": collection.fingerprint},
            )
        except (ValueError, UnexpectedResponse, grpc.RpcError):
            # Another process may have been faster; whatever else it was, the caller finds out when it reads on.
            if not self._client.collection_exists(collection.name):
                raise

    def _index(self, collection: Collection, field: str) -> None:
        tenant = field == TENANT_FIELD
        index = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=tenant, enable_hnsw=tenant)
        self._client.create_payload_index(collection.name, field, index)

    def _write(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        for some in pages(points, _POINTS_AT_ONCE):
            rows = [
                models.PointStruct(id=one.chunk_id, vector=vector_of(one), payload=payload_of(tenant, one))
                for one in some
            ]
            with _server_errors():
                self._client.upsert(collection.name, rows, wait=True)

    def _overwrite(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        with _server_errors():
            for some in pages(points, _POINTS_AT_ONCE):
                operations = [
                    models.OverwritePayloadOperation(
                        overwrite_payload=models.SetPayload(
                            payload=payload_of(tenant, one), filter=_filter(existing(tenant, one.chunk_id))
                        )
                    )
                    for one in some
                ]
                self._client.batch_update_points(collection.name, operations, wait=True)

    def _delete(self, collection: Collection, where: Where) -> None:
        with _server_errors():
            self._client.delete(collection.name, models.FilterSelector(filter=_filter(where)), wait=True)

    def _count(self, collection: Collection, where: Where) -> int:
        with _server_errors():
            return self._client.count(collection.name, _filter(where), exact=True).count

    def _page(
        self, collection: Collection, where: Where, fields: list[str], start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any]]], Any]:
        with _server_errors():
            records, following = self._client.scroll(
                collection.name, scroll_filter=_filter(where), limit=rows, offset=start, with_payload=fields
            )
        return [(str(record.id), record.payload or {}) for record in records], following

    def _points(
        self, collection: Collection, where: Where, start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any], Any]], Any]:
        with _server_errors():
            records, following = self._client.scroll(
                collection.name,
                scroll_filter=_filter(where),
                limit=rows,
                offset=start,
                with_payload=True,
                with_vectors=True,
            )
        return [(str(record.id), record.payload or {}, record.vector) for record in records], following

    def _nearest(
        self, collection: Collection, where: Where, vector: list[float], limit: int, exact: bool
    ) -> list[Found]:
        with _server_errors():
            points = self._client.query_points(
                collection.name,
                query=vector,
                query_filter=_filter(where),
                search_params=models.SearchParams(exact=exact),
                limit=limit,
                with_payload=HIT_FIELDS,
            ).points
        return [Found(point.score, str(point.id), point.payload or {}) for point in points]


@contextmanager
def _server_errors() -> Iterator[None]:
    """Errors as one line that names the setting. The chain is cut: requests carry the key."""
    try:
        yield
    except ResponseHandlingException as error:
        raise _error(str(error.source)) from None
    except UnexpectedResponse as error:
        raise _error(f"{error.status_code} {error.reason_phrase}") from None
    except ApiException as error:
        raise _error(type(error).__name__) from None
    except ValueError as error:
        raise _error(str(error)) from None
    except grpc.RpcError as error:
        reason = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.Call) else type(error).__name__
        raise _error(reason) from None


def _error(reason: str) -> StoreError:
    return StoreError(
        f"Qdrant server of SYNC_ASSETS_QDRANT_URL: {reason}.", "Look at the URL, the key and the server's log."
    )


def _filter(where: Where) -> models.Filter:
    return models.Filter(
        must=[_condition(one) for one in where.must] or None,
        should=[_condition(one) for one in where.should] or None,
        must_not=[_condition(one) for one in where.must_not] or None,
    )


def _condition(condition: Condition) -> models.FieldCondition | models.HasIdCondition | models.Filter:
    match condition:
        case FieldIn(key, values):
            return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        case IdIn(ids):
            return models.HasIdCondition(has_id=list(ids))
        case Where():
            return _filter(condition)
