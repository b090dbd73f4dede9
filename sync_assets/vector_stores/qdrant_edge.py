"""Qdrant's own engine in this process: one folder for each collection, for one process at a time.

What belongs here: opening a shard in this process's turn, and saying in the engine's words what `qdrant.py` asks.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as qdrant

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
from sync_assets.vector_stores.turns import Turns

_POINTS_AT_ONCE = 1000
_EXACT_BELOW_KILOBYTES = 200_000
_CONFIG_FILE = "collection.json"


class QdrantEdgeStore(QdrantStore):
    """Collections in a local folder.

    Args:
        folder: where the collections lie; made when the first one is.
        lock_timeout: seconds to wait for a collection that another process has open.
    """

    def __init__(self, folder: Path, lock_timeout: float) -> None:
        self._folder = folder
        self._lock_timeout = lock_timeout

    def ensure_collection(self, collection: Collection) -> None:
        shard = self._shard(collection)
        with shard.turns.locked(self._lock_timeout), _engine_errors(collection):
            shard.create(collection)
            stored = shard.read_config()
            _add_indexes(shard.opened(collection))
        wanted = _config_of(collection)
        if stored != wanted:
            raise FingerprintMismatch(
                f"Qdrant collection {collection.name} holds vectors of {_described(stored)}, "
                f"not of {_described(wanted)}.",
                "Write to a new collection; one collection has one model.",
            )

    def tenants(self, collection: Collection) -> set[str]:
        shard = self._shard(collection)
        with shard.turns.locked(self._lock_timeout), _engine_errors(collection):
            if not shard.folder.exists():
                return set()
            found = shard.opened(collection).facet(qdrant.FacetRequest(TENANT_FIELD, MOST_TENANTS, exact=True))
        # Those whose points are all gone stay in the index for a while.
        return {str(hit.value) for hit in found.hits if hit.count}

    def finish_load(self, collection: Collection, tenant: str) -> None:
        with self._open(collection) as shard:
            if shard.optimize():
                shard.flush()

    def drop_collection(self, collection: Collection) -> None:
        shard = self._shard(collection)
        with shard.turns.locked(self._lock_timeout), _engine_errors(collection):
            shard.drop()

    def close(self) -> None:
        for shard in _shards_below(self._folder):
            shard.turns.release(self._lock_timeout)

    def _write(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        with self._open(collection) as shard:
            for some in pages(points, _POINTS_AT_ONCE):
                rows = [qdrant.Point(one.chunk_id, vector_of(one), payload_of(tenant, one)) for one in some]
                shard.update(qdrant.UpdateOperation.upsert_points(rows))
            shard.flush()

    def _overwrite(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        with self._open(collection) as shard:
            for one in points:
                where = _filter(existing(tenant, one.chunk_id))
                shard.update(qdrant.UpdateOperation.overwrite_payload_by_filter(where, payload_of(tenant, one)))
            shard.flush()

    def _delete(self, collection: Collection, where: Where) -> None:
        with self._open(collection) as shard:
            shard.update(qdrant.UpdateOperation.delete_points_by_filter(_filter(where)))
            shard.flush()

    def _count(self, collection: Collection, where: Where) -> int:
        with self._open(collection) as shard:
            return shard.count(qdrant.CountRequest(filter=_filter(where)))

    def _page(
        self, collection: Collection, where: Where, fields: list[str], start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any]]], Any]:
        request = qdrant.ScrollRequest(offset=start, limit=rows, filter=_filter(where), with_payload=fields)
        with self._open(collection) as shard:
            records, following = shard.scroll(request)
        return [(str(record.id), record.payload or {}) for record in records], following

    def _points(
        self, collection: Collection, where: Where, start: Any, rows: int
    ) -> tuple[list[tuple[str, Mapping[str, Any], Any]], Any]:
        request = qdrant.ScrollRequest(
            offset=start, limit=rows, filter=_filter(where), with_payload=True, with_vector=True
        )
        with self._open(collection) as shard:
            records, following = shard.scroll(request)
        return [(str(record.id), record.payload or {}, record.vector) for record in records], following

    def _nearest(
        self, collection: Collection, where: Where, vector: list[float], limit: int, exact: bool
    ) -> list[Found]:
        request = qdrant.QueryRequest(
            limit,
            query=qdrant.Query.Nearest(vector),
            filter=_filter(where),
            with_payload=HIT_FIELDS,
            params=qdrant.SearchParams(exact=exact),
        )
        with self._open(collection) as shard:
            points = shard.query(request)
        return [Found(point.score, str(point.id), point.payload or {}) for point in points]

    @contextmanager
    def _open(self, collection: Collection) -> Iterator[qdrant.EdgeShard]:
        shard = self._shard(collection)
        with shard.turns.locked(self._lock_timeout), _engine_errors(collection):
            yield shard.opened(collection)

    def _shard(self, collection: Collection) -> "_Shard":
        return _shard_at((self._folder / collection.name).absolute())


class _Shard:
    """The folder of one collection, with its locks; all stores of this process share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.turns = Turns(folder, self._close, "a Qdrant server (SYNC_ASSETS_QDRANT_URL)")
        self._shard: qdrant.EdgeShard | None = None

    def opened(self, collection: Collection) -> qdrant.EdgeShard:
        """The open shard; call it under `locked`."""
        if self._shard is None:
            if not self.folder.exists():
                raise StoreError(
                    f"Qdrant collection {collection.name} does not exist.",
                    "Run `sync-assets audit --heal`, which fills it again.",
                )
            self._shard = qdrant.EdgeShard.load(str(self.folder / "shard"))
        return self._shard

    def create(self, collection: Collection) -> None:
        """Make the folder where it is missing, in one step; call it under `locked`."""
        if self.folder.exists():
            return
        unfinished = self.folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        (unfinished / _CONFIG_FILE).write_text(json.dumps(_config_of(collection)))
        (unfinished / "shard").mkdir()
        shard = qdrant.EdgeShard.create(
            str(unfinished / "shard"),
            qdrant.EdgeConfig(
                vectors=qdrant.EdgeVectorParams(collection.dimension, qdrant.Distance.Cosine),
                # Every search names its tenant: one graph for each, none over all.
                hnsw_config=qdrant.HnswIndexConfig(
                    m=0, payload_m=16, ef_construct=128, full_scan_threshold=_EXACT_BELOW_KILOBYTES
                ),
                optimizers=qdrant.EdgeOptimizersConfig(indexing_threshold=_EXACT_BELOW_KILOBYTES),
            ),
        )
        _add_indexes(shard)
        shard.close()
        os.replace(unfinished, self.folder)

    def drop(self) -> None:
        """Remove the folder, if it is there, from others' view in one step; call it under `locked`."""
        self._close()
        unfinished = self.folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        if self.folder.exists():
            os.replace(self.folder, unfinished)
            shutil.rmtree(unfinished)

    def read_config(self) -> dict[str, Any]:
        return json.loads((self.folder / _CONFIG_FILE).read_text())

    def _close(self) -> None:
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.close()


_shards: dict[Path, _Shard] = {}
_shards_lock = threading.Lock()


def _shard_at(folder: Path) -> _Shard:
    with _shards_lock:
        if folder not in _shards:
            _shards[folder] = _Shard(folder)
        return _shards[folder]


def _shards_below(folder: Path) -> list[_Shard]:
    with _shards_lock:
        return [shard for path, shard in _shards.items() if path.parent == folder.absolute()]


def _add_indexes(shard: qdrant.EdgeShard) -> None:
    """Add those that a shard lacks: a new one, or one of an older version of this program."""
    missing = [field for field in KEYWORD_FIELDS if field not in shard.info().payload_schema]
    for field in missing:
        tenant = field == TENANT_FIELD
        index = qdrant.KeywordIndexParams(is_tenant=tenant, enable_hnsw=tenant)
        shard.update(qdrant.UpdateOperation.create_field_index(field, index))
    if missing:
        shard.flush()


def _config_of(collection: Collection) -> dict[str, Any]:
    return {"dimension": collection.dimension, "fingerprint": collection.fingerprint}


def _described(config: Mapping[str, Any]) -> str:
    return f"{config['fingerprint']} ({config['dimension']} dimensions)"


@contextmanager
def _engine_errors(collection: Collection) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"Qdrant collection {collection.name}: {error}.", "Look at DAGSTER_HOME's disk.") from error
    except Exception as error:
        # The engine raises nothing narrower; anything narrower is not the engine's.
        if type(error) is not Exception:
            raise
        raise StoreError(f"Qdrant collection {collection.name}: {error}.", "Look at DAGSTER_HOME's disk.") from error


def _filter(where: Where) -> qdrant.Filter:
    return qdrant.Filter(
        must=[_condition(one) for one in where.must] or None,
        should=[_condition(one) for one in where.should] or None,
        must_not=[_condition(one) for one in where.must_not] or None,
    )


def _condition(condition: Condition) -> qdrant.FieldCondition | qdrant.HasIdCondition | qdrant.Filter:
    match condition:
        case FieldIn(key, values):
            return qdrant.FieldCondition(key, match=qdrant.MatchAny(list(values)))
        case IdIn(ids):
            return qdrant.HasIdCondition(set(ids))
        case Where():
            return _filter(condition)
