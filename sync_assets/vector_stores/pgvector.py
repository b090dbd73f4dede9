"""PostgreSQL with pgvector: one table for each collection, one partition of it for each tenant.

What belongs here: the tables, their indexes and every statement on them, all in the schema `vectors`. Names are quoted
as identifiers, what a definition carries is quoted as a literal, and every value of other statements is a parameter.
A table's comment keeps the dimension and fingerprint of its collection. Names of partitions hold a `:`, which a
collection's own name can't.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

import numpy as np
import orjson
import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.vector_stores import Audience, Collection, Hit, Point, StoredChunk, StoredPoint, VectorStore
from sync_assets.vector_stores.matching import facets, readers, wanted_facets, wanted_readers

if TYPE_CHECKING:
    from sync_assets.settings import Settings

_CONNECT_SECONDS = 10
_SCAN_ROWS = 2000
_INDEX_FROM_ROWS = 1000
_INDEX_MAX_DIMENSION = 2000
_INDEX_MEMORY = "512MB"
_MIN_EF_SEARCH = 200
_MAX_EF_SEARCH = 1000

_TYPES = {
    "chunk_id": "uuid",
    "document_id": "text",
    "source": "text",
    "stream": "text",
    "record_id": "text",
    "path": "text",
    "role": "text",
    "text": "text",
    "title": "text",
    "url": "text",
    "visibility": "text",
    "principals": "text[]",
    "metadata": "jsonb",
    "content_hash": "text",
    "payload_hash": "text",
    "readers": "text[]",
    "facets": "text[]",
}
_PAYLOAD = list(_TYPES)

_TABLE = sql.SQL("""
    CREATE TABLE {table} (
        tenant text NOT NULL,
        chunk_id uuid NOT NULL,
        document_id text NOT NULL,
        source text NOT NULL,
        stream text NOT NULL,
        record_id text NOT NULL,
        path text NOT NULL,
        role text NOT NULL,
        text text NOT NULL,
        title text NOT NULL,
        url text,
        visibility text NOT NULL,
        principals text[] NOT NULL,
        metadata jsonb NOT NULL,
        content_hash text NOT NULL,
        payload_hash text NOT NULL,
        readers text[] NOT NULL,
        facets text[] NOT NULL,
        embedding vector({dimension}) NOT NULL,
        PRIMARY KEY (tenant, chunk_id)
    ) PARTITION BY LIST (tenant);
    CREATE INDEX ON {table} (tenant, document_id);
    CREATE INDEX ON {table} USING gin (facets, readers);
    COMMENT ON TABLE {table} IS {config}
""")

# Attaching a table, unlike creating it as a partition, waits for no reader of the other tenants.
_PARTITION = sql.SQL("""
    CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS);
    ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES IN ({tenant})
""")

_UPSERT = sql.SQL("""
    INSERT INTO {table} (tenant, {columns})
    SELECT %s, {columns} FROM staging
    ON CONFLICT (tenant, chunk_id) DO UPDATE SET {replaced}
""")

_UPDATE = sql.SQL("""
    UPDATE {table} AS stored SET {replaced} FROM staging AS excluded
    WHERE stored.tenant = %s AND stored.chunk_id = excluded.chunk_id
""")

_DELETE_OTHERS = sql.SQL("""
    WITH keep AS (SELECT * FROM unnest(%(documents)s::text[], %(chunks)s::uuid[]) AS keep (document_id, chunk_id))
    DELETE FROM {table} AS stored
    WHERE tenant = %(tenant)s
      AND document_id = ANY(%(all_documents)s)
      AND NOT EXISTS (
          SELECT FROM keep WHERE keep.document_id = stored.document_id AND keep.chunk_id = stored.chunk_id
      )
""")

_SEARCH = sql.SQL("""
    SELECT 1 - (embedding <=> %(vector)s) AS score, chunk_id::text, document_id, source, stream, record_id, path, role,
           text, title, url, visibility, metadata
    FROM {table}
    WHERE tenant = %(tenant)s AND readers && %(readers)s::text[] AND facets @> %(facets)s::text[]
    ORDER BY embedding <=> %(vector)s, chunk_id
    LIMIT %(limit)s
""")

# From each tenant to the next one, by the primary key: no row but the first of each is read.
_TENANTS = sql.SQL("""
    WITH RECURSIVE found AS (
        SELECT min(tenant) AS tenant FROM {table}
        UNION ALL
        SELECT (SELECT min(tenant) FROM {table} WHERE tenant > found.tenant) FROM found WHERE found.tenant IS NOT NULL
    )
    SELECT tenant FROM found WHERE tenant IS NOT NULL
""")

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
        table = _table(collection)
        config = orjson.dumps({"dimension": collection.dimension, "fingerprint": collection.fingerprint}).decode()
        with self._transaction() as cursor:
            _lock(cursor, "vectors")
            cursor.execute("CREATE SCHEMA IF NOT EXISTS vectors")
            if not _exists(cursor, collection.name):
                definition = _TABLE.format(
                    table=table, dimension=sql.Literal(collection.dimension), config=sql.Literal(config)
                )
                cursor.execute(definition)
            stored = _value(cursor, "SELECT obj_description(to_regclass(%s), 'pg_class')", (table.as_string(),))
        if stored != config:
            raise FingerprintMismatch(
                f"pgvector collection {collection.name} holds vectors of {stored}, not of {config}.",
                "Write to a new collection; one collection has one model.",
            )

    def upsert(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if not points:
            return
        columns = [*_PAYLOAD, "embedding"]
        self._ensure_partition(collection, tenant)
        with self._transaction() as cursor:
            _stage(cursor, columns, [_row(point, columns) for point in _last_of_each(points)])
            statement = _UPSERT.format(table=_table(collection), columns=_names(columns), replaced=_replaced(columns))
            cursor.execute(statement, (tenant,))

    def update_payloads(self, collection: Collection, tenant: str, points: Sequence[Point]) -> None:
        if not points:
            return
        with self._transaction() as cursor:
            _stage(cursor, _PAYLOAD, [_row(point, _PAYLOAD) for point in _last_of_each(points)])
            cursor.execute(_UPDATE.format(table=_table(collection), replaced=_replaced(_PAYLOAD)), (tenant,))

    def delete(self, collection: Collection, tenant: str, chunk_ids: Sequence[str]) -> None:
        if not chunk_ids:
            return
        statement = sql.SQL("DELETE FROM {table} WHERE tenant = %s AND chunk_id = ANY(%s::uuid[])")
        with self._transaction() as cursor:
            cursor.execute(statement.format(table=_table(collection)), (tenant, list(chunk_ids)))

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
            return cursor.execute(_DELETE_OTHERS.format(table=_table(collection)), values).rowcount

    def drop_tenant(self, collection: Collection, tenant: str) -> None:
        with self._transaction() as cursor:
            _lock(cursor, "vectors")
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_partition(collection, tenant)))

    def tenants(self, collection: Collection) -> set[str]:
        with self._transaction() as cursor:
            if not _exists(cursor, collection.name):
                return set()
            return {row["tenant"] for row in cursor.execute(_TENANTS.format(table=_table(collection)))}

    def count(self, collection: Collection, tenant: str) -> int:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE tenant = %s").format(_table(collection))
        with self._transaction() as cursor:
            return _value(cursor, statement, (tenant,))

    def scan(self, collection: Collection, tenant: str) -> Iterator[StoredChunk]:
        statement = sql.SQL(
            "SELECT chunk_id::text, document_id, content_hash, payload_hash FROM {} WHERE tenant = %s"
        ).format(_table(collection))
        for row in self._streamed(statement, tenant):
            yield StoredChunk(**row)

    def scan_points(self, collection: Collection, tenant: str) -> Iterator[StoredPoint]:
        columns = _names([*_PAYLOAD, "embedding"])
        statement = sql.SQL("SELECT {} FROM {} WHERE tenant = %s").format(columns, _table(collection))
        for row in self._streamed(statement, tenant):
            yield StoredPoint(str(row.pop("chunk_id")), row, np.asarray(row.pop("embedding").to_list(), np.float32))

    def _streamed(self, statement: sql.Composed, tenant: str) -> Iterator[dict[str, Any]]:
        # A connection of its own: the caller may write while it reads.
        with (
            _database_errors(),
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
        statement = _SEARCH.format(table=_table(collection))
        values = {
            "tenant": tenant,
            "readers": wanted_readers(audience),
            "facets": wanted_facets(filters or {}),
            "vector": vector.astype(np.float32),
            "limit": limit,
        }
        with self._transaction() as cursor:
            _set(cursor, "hnsw.iterative_scan", "strict_order")
            _set(cursor, "hnsw.ef_search", str(min(max(_MIN_EF_SEARCH, limit), _MAX_EF_SEARCH)))
            rows = cursor.execute(statement, values).fetchall()
            if len(rows) < limit:
                # The walk through the graph gives up after `hnsw.max_scan_tuples`; what is rarer is found exactly.
                _set(cursor, "enable_indexscan", "off")
                rows = cursor.execute(statement, values).fetchall()
        return [Hit(**row) for row in rows]

    def finish_load(self, collection: Collection, tenant: str) -> None:
        name, partition = _partition_name(collection, tenant), _partition(collection, tenant)
        counted = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT %s) AS first_rows").format(partition)
        with self._transaction() as cursor:
            _lock(cursor, name)
            if collection.dimension > _INDEX_MAX_DIMENSION or not _exists(cursor, name):
                return
            if _value(cursor, _HAS_VECTOR_INDEX, (partition.as_string(),)):
                return
            if _value(cursor, counted, (_INDEX_FROM_ROWS,)) < _INDEX_FROM_ROWS:
                return
            _set(cursor, "maintenance_work_mem", _INDEX_MEMORY)
            cursor.execute(sql.SQL("CREATE INDEX ON {} USING hnsw (embedding vector_cosine_ops)").format(partition))
            cursor.execute(sql.SQL("ANALYZE {}").format(partition))

    def drop_collection(self, collection: Collection) -> None:
        with self._transaction() as cursor:
            _lock(cursor, "vectors")
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_table(collection)))

    def close(self) -> None:
        with self._threads:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ensure_partition(self, collection: Collection, tenant: str) -> None:
        name = _partition_name(collection, tenant)
        with self._transaction() as cursor:
            if _exists(cursor, name):
                return
            _lock(cursor, "vectors")
            if not _exists(cursor, name):
                definition = _PARTITION.format(
                    partition=_partition(collection, tenant), table=_table(collection), tenant=sql.Literal(tenant)
                )
                cursor.execute(definition)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
        with self._threads, _database_errors():
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
                _set(cursor, "lock_timeout", f"{self._lock_timeout:g}s")
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
            _lock(cursor, "vectors")
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        return connection


def open_store(settings: "Settings") -> VectorStore:
    """The database of `SYNC_ASSETS_DATABASE_URL`, or the embedded server."""
    from sync_assets.postgres import database_url

    return PgVectorStore(database_url(settings), settings.lock_timeout)


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        reason = error.diag.message_primary or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreError(
            f"PostgreSQL with pgvector: {reason.rstrip('.')}.", "Look at SYNC_ASSETS_DATABASE_URL and the server's log."
        ) from error


def _lock(cursor: psycopg.Cursor[Any], name: str) -> None:
    """Let one transaction at a time do what `name` stands for."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"sync_assets {name}",))


def _set(cursor: psycopg.Cursor[Any], name: str, value: str) -> None:
    """Set a configuration parameter until the end of the transaction."""
    cursor.execute("SELECT set_config(%s, %s, true)", (name, value))


def _value(
    cursor: psycopg.Cursor[dict[str, Any]], statement: LiteralString | sql.Composed, values: Sequence[Any]
) -> Any:
    """The only column of the only row that a statement gives."""
    (row,) = cursor.execute(statement, values).fetchall()
    (value,) = row.values()
    return value


def _exists(cursor: psycopg.Cursor[dict[str, Any]], name: str) -> bool:
    """Whether the schema has this table now, also where another transaction has just made it."""
    statement = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'vectors' AND tablename = %s)"
    return _value(cursor, statement, (name,))


def _stage(cursor: psycopg.Cursor[Any], columns: list[str], rows: list[list[Any]]) -> None:
    """Copy rows into the temporary table `staging`, which goes with the transaction."""
    types = [_TYPES.get(column, "vector") for column in columns]
    definition = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))  # pyright: ignore[reportArgumentType]
        for column, kind in zip(columns, types, strict=True)
    )
    cursor.execute(sql.SQL("CREATE TEMPORARY TABLE staging ({}) ON COMMIT DROP").format(definition))
    with cursor.copy(sql.SQL("COPY staging ({}) FROM STDIN (FORMAT BINARY)").format(_names(columns))) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _row(point: Point, columns: list[str]) -> list[Any]:
    """Values of a point in the order of `columns`.

    Raises:
        ValueError: a vector is asked for and the point has none.
    """
    if "embedding" in columns and point.vector is None:
        raise ValueError(f"chunk {point.chunk_id} has no vector")
    made = {
        "chunk_id": UUID(point.chunk_id),
        "visibility": point.visibility.value,
        "metadata": Jsonb(point.metadata),
        "readers": readers(point),
        "facets": facets(point),
        "embedding": point.vector,
    }
    return [made[column] if column in made else getattr(point, column) for column in columns]


def _last_of_each(points: Sequence[Point]) -> list[Point]:
    """The points without those that a later one replaces."""
    return list({point.chunk_id: point for point in points}.values())


def _table(collection: Collection) -> sql.Identifier:
    return sql.Identifier("vectors", collection.name)


def _partition_name(collection: Collection, tenant: str) -> str:
    """The table of a tenant: 63 bytes at most, whatever the tenant's name holds."""
    return f"{collection.name}:{hashlib.blake2b(tenant.encode(), digest_size=7).hexdigest()}"


def _partition(collection: Collection, tenant: str) -> sql.Identifier:
    return sql.Identifier("vectors", _partition_name(collection, tenant))


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _replaced(columns: list[str]) -> sql.Composed:
    """`SET` list that takes every column but the key from the new row."""
    return sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in columns if column != "chunk_id"
    )
