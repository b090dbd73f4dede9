"""PostgreSQL with pgvector: one table for each collection, one partition of it for each tenant.

What belongs here: connections, transactions and what is done in each, all in the schema `vectors`. What does not: how a
statement reads (`pgvector_tables.py`). A table's comment keeps the dimension and fingerprint of its collection.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import dict_row

from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.vector_stores import Audience, Collection, Hit, Point, StoredChunk, StoredPoint, VectorStore, WordHits
from sync_assets.vector_stores import pgvector_tables as tables
from sync_assets.vector_stores.lexical import NOTHING, AnyWord, as_hits, ranked
from sync_assets.vector_stores.matching import wanted_ids
from sync_assets.vector_stores.pgvector_statements import database_errors, lock, set_until_end, table_exists, value_of

if TYPE_CHECKING:
    from sync_assets.settings import Settings

_CONNECT_SECONDS = 10
_SCAN_ROWS = 2000
_INDEX_FROM_ROWS = 1000
_INDEX_MAX_DIMENSION = 2000
_INDEX_MEMORY = "512MB"
_BITMAP_MEMORY = "64MB"
_MIN_EF_SEARCH = 200
_MAX_EF_SEARCH = 1000

_HAS_COLUMN = """
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s AND NOT attisdropped)
"""

_HAS_VECTOR_INDEX = """
    SELECT EXISTS (
        SELECT FROM pg_index
        JOIN pg_class ON pg_class.oid = pg_index.indexrelid
        JOIN pg_am ON pg_am.oid = pg_class.relam
        WHERE pg_index.indrelid = %s::regclass AND pg_am.amname = 'hnsw'
    )
"""


class PgVectorStore:
    """`VectorStore` in a PostgreSQL database.

    Keeps one connection, which the threads of a process use one after the other. Collections of more than 2,000
    dimensions, the most that pgvector indexes, are always searched exactly.

    Args:
        conninfo: libpq connection string or `postgresql://` URL.
        lock_timeout: seconds to wait for a lock that another session holds.
    """

    def __init__(self, conninfo: str, lock_timeout: float = 60.0) -> None:
        self._conninfo = conninfo
        self._lock_timeout = lock_timeout
        self._threads = threading.RLock()
        self._connection: psycopg.Connection | None = None

    def ensure_collection(self, collection: Collection) -> None:
        table, index = tables.table(collection), tables.words_index(collection)
        config = orjson.dumps({"dimension": collection.dimension, "fingerprint": collection.fingerprint}).decode()
        with self._transaction() as cursor:
            lock(cursor, "vectors")
            cursor.execute("CREATE SCHEMA IF NOT EXISTS vectors")
            if not table_exists(cursor, collection.name):
                dimension = sql.Literal(collection.dimension)
                definition = tables.TABLE.format(
                    table=table, index=index, dimension=dimension, config=sql.Literal(config)
                )
                cursor.execute(definition)
            elif not value_of(cursor, _HAS_COLUMN, (table.as_string(), "terms")):
                cursor.execute(tables.ADD_TERMS.format(table=table, index=index))
            stored = value_of(cursor, "SELECT obj_description(to_regclass(%s), 'pg_class')", (table.as_string(),))
        if stored != config:
            raise FingerprintMismatch(
                f"pgvector collection {collection.name} holds vectors of {stored}, not of {config}.",
                "Write to a new collection; one collection has one model.",
            )

    def upsert(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if not points:
            return
        columns = [*tables.PAYLOAD, "embedding"]
        self._ensure_partition(collection, tenant)
        with self._transaction() as cursor:
            tables.stage(cursor, columns, [tables.row(point, columns) for point in _last_of_each(points)])
            statement = tables.UPSERT.format(
                table=tables.table(collection), columns=tables.names(columns), replaced=tables.replaced(columns)
            )
            cursor.execute(statement, (tenant,))

    def update_payloads(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if not points:
            return
        with self._transaction() as cursor:
            tables.stage(cursor, tables.PAYLOAD, [tables.row(point, tables.PAYLOAD) for point in _last_of_each(points)])
            cursor.execute(
                tables.UPDATE.format(table=tables.table(collection), replaced=tables.replaced(tables.PAYLOAD)),
                (tenant,),
            )

    def delete(self, collection: Collection, tenant: str, chunk_ids: Sequence[str]) -> None:
        if not chunk_ids:
            return
        statement = sql.SQL("DELETE FROM {table} WHERE tenant = %s AND chunk_id = ANY(%s::uuid[])")
        with self._transaction() as cursor:
            cursor.execute(statement.format(table=tables.table(collection)), (tenant, list(chunk_ids)))

    def delete_others(self, collection: Collection, tenant: str, keep: Mapping[str, Sequence[str]]) -> int:
        if not keep:
            return 0
        pairs = [(document, chunk) for document, chunks in keep.items() for chunk in chunks]
        values = {
            "tenant": tenant,
            "all_documents": list(keep),
            "documents": [document for document, _ in pairs],
            "chunks": [chunk for _, chunk in pairs],
        }
        with self._transaction() as cursor:
            return cursor.execute(tables.DELETE_OTHERS.format(table=tables.table(collection)), values).rowcount

    def drop_tenant(self, collection: Collection, tenant: str) -> None:
        with self._transaction() as cursor:
            lock(cursor, "vectors")
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(tables.partition(collection, tenant)))

    def tenants(self, collection: Collection) -> set[str]:
        with self._transaction() as cursor:
            if not table_exists(cursor, collection.name):
                return set()
            return {row["tenant"] for row in cursor.execute(tables.TENANTS.format(table=tables.table(collection)))}

    def count(self, collection: Collection, tenant: str) -> int:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE tenant = %s").format(tables.table(collection))
        with self._transaction() as cursor:
            return value_of(cursor, statement, (tenant,))

    def scan(self, collection: Collection, tenant: str) -> Iterator[StoredChunk]:
        statement = sql.SQL(
            "SELECT chunk_id::text, document_id, content_hash, payload_hash FROM {} WHERE tenant = %s"
        ).format(tables.table(collection))
        for row in self._streamed(statement, tenant):
            yield StoredChunk(**row)

    def scan_points(self, collection: Collection, tenant: str) -> Iterator[StoredPoint]:
        statement = sql.SQL("SELECT * FROM {} WHERE tenant = %s").format(tables.table(collection))
        for row in self._streamed(statement, tenant):
            del row["tenant"]
            yield StoredPoint(str(row.pop("chunk_id")), row, np.asarray(row.pop("embedding").to_list(), np.float32))

    def _streamed(self, statement: sql.Composed, tenant: str) -> Iterator[dict[str, Any]]:
        # A connection of its own: the caller may write while it reads.
        with (
            database_errors(),
            self._connect() as connection,
            connection.transaction(),
            connection.cursor("scan", row_factory=dict_row) as cursor,
        ):
            cursor.itersize = _SCAN_ROWS
            cursor.execute(statement, (tenant,))
            yield from cursor

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
        visible, values = tables.visible(tenant, audience, filters)
        statement = tables.SEARCH.format(hit=tables.HIT, table=tables.table(collection), visible=visible)
        values |= {"vector": vector.astype(np.float32), "limit": limit}
        with self._transaction() as cursor:
            set_until_end(cursor, "hnsw.iterative_scan", "strict_order")
            set_until_end(cursor, "hnsw.ef_search", str(min(max(_MIN_EF_SEARCH, limit), _MAX_EF_SEARCH)))
            rows = cursor.execute(statement, values).fetchall()
            if len(rows) < limit:
                # The walk through the graph gives up after `hnsw.max_scan_tuples`; what is rarer is found exactly.
                set_until_end(cursor, "enable_indexscan", "off")
                rows = cursor.execute(statement, values).fetchall()
        return [Hit(**row) for row in rows]

    def search_text(
        self,
        collection: Collection,
        tenant: str,
        audience: Audience,
        text: str,
        limit: int,
        filters: Mapping[str, Any] | None = None,
    ) -> WordHits:
        with self._transaction() as cursor:
            if not value_of(cursor, _HAS_COLUMN, (tables.table(collection).as_string(), "terms")):
                return NOTHING  # an older version made the table, and nothing was written since
            # Rows that are read one by one have their words unpacked; those that a bitmap names have not.
            set_until_end(cursor, "enable_seqscan", "off")
            set_until_end(cursor, "enable_indexscan", "off")
            set_until_end(cursor, "work_mem", _BITMAP_MEMORY)
            ranking = ranked(text, _Words(cursor, collection, tenant, audience, filters), limit)
        return as_hits(ranking, self.get(collection, tenant, audience, [one.chunk_id for one in ranking[0]]))

    def get(self, collection: Collection, tenant: str, audience: Audience, chunk_ids: Sequence[str]) -> list[Hit]:
        ids = wanted_ids(chunk_ids)
        visible, values = tables.visible(tenant, audience, None)
        statement = tables.GET.format(hit=tables.HIT, table=tables.table(collection), visible=visible)
        with self._transaction() as cursor:
            rows = cursor.execute(statement, {**values, "ids": ids}).fetchall()
        found = {row["chunk_id"]: Hit(**row) for row in rows}
        return [found[chunk_id] for chunk_id in ids if chunk_id in found]

    def finish_load(self, collection: Collection, tenant: str) -> None:
        name, partition = tables.partition_name(collection, tenant), tables.partition(collection, tenant)
        counted = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT %s) AS first_rows").format(partition)
        with self._transaction() as cursor:
            lock(cursor, name)
            if collection.dimension > _INDEX_MAX_DIMENSION or not table_exists(cursor, name):
                return
            if value_of(cursor, _HAS_VECTOR_INDEX, (partition.as_string(),)):
                return
            if value_of(cursor, counted, (_INDEX_FROM_ROWS,)) < _INDEX_FROM_ROWS:
                return
            set_until_end(cursor, "maintenance_work_mem", _INDEX_MEMORY)
            # Vectors lie beside the table, so that PostgreSQL takes it for one too small for several processes.
            set_until_end(cursor, "min_parallel_table_scan_size", "0")
            definition = sql.SQL("CREATE INDEX ON {} USING hnsw (embedding vector_cosine_ops)").format(partition)
            try:
                with cursor.connection.transaction():
                    cursor.execute(definition)
            except psycopg.errors.DiskFull:
                # Several processes share the memory in /dev/shm, of which a container has 64 MB where nobody asks.
                set_until_end(cursor, "max_parallel_maintenance_workers", "0")
                cursor.execute(definition)
            cursor.execute(sql.SQL("ANALYZE {}").format(partition))

    def drop_collection(self, collection: Collection) -> None:
        with self._transaction() as cursor:
            lock(cursor, "vectors")
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(tables.table(collection)))

    def close(self) -> None:
        with self._threads:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ensure_partition(self, collection: Collection, tenant: str) -> None:
        name = tables.partition_name(collection, tenant)
        with self._transaction() as cursor:
            if table_exists(cursor, name):
                return
            lock(cursor, "vectors")
            if not table_exists(cursor, name):
                definition = tables.PARTITION.format(
                    partition=tables.partition(collection, tenant),
                    table=tables.table(collection),
                    tenant=sql.Literal(tenant),
                )
                cursor.execute(definition)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
        with self._threads, database_errors():
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
                set_until_end(cursor, "lock_timeout", f"{self._lock_timeout:g}s")
                yield cursor

    def _connect(self) -> psycopg.Connection:
        try:
            # Without prepared statements each is planned for its tenant, hence for one partition.
            connection = psycopg.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT_SECONDS
            )
        except psycopg.ProgrammingError:
            raise StoreError(
                "SYNC_ASSETS_DATABASE_URL is no PostgreSQL URL.", "Write postgresql://user@host/db."
            ) from None
        with connection.transaction(), connection.cursor() as cursor:
            lock(cursor, "vectors")
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        return connection


class _Words:
    """`lexical.Words` of what an audience may see of a tenant, under filters."""

    def __init__(
        self,
        cursor: psycopg.Cursor[dict[str, Any]],
        collection: Collection,
        tenant: str,
        audience: Audience,
        filters: Mapping[str, Any] | None,
    ) -> None:
        self._cursor = cursor
        self._table = tables.table(collection)
        self._visible = lambda groups: tables.visible(tenant, audience, filters, groups)

    def count(self, groups: Sequence[AnyWord]) -> int:
        visible, values = self._visible(groups)
        return value_of(self._cursor, tables.COUNT.format(table=self._table, visible=visible), values)

    def texts(self, groups: Sequence[AnyWord], limit: int) -> Iterator[tuple[str, str, str]]:
        visible, values = self._visible(groups)
        statement = tables.TEXTS.format(table=self._table, visible=visible)
        for row in self._cursor.execute(statement, {**values, "limit": limit}):
            yield row["chunk_id"], row["title"], row["text"]


def open_store(settings: "Settings") -> VectorStore:
    """The database of `SYNC_ASSETS_DATABASE_URL`, or the embedded server."""
    from sync_assets.postgres import database_url

    return PgVectorStore(database_url(settings), settings.lock_timeout)


def _last_of_each(points: Sequence[Point]) -> list[Point]:
    """The points without those that a later one replaces."""
    return list({point.chunk_id: point for point in points}.values())
