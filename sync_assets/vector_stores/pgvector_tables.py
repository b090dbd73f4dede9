"""The tables of the pgvector store: their definitions, what is asked of them, and points as their rows.

What belongs here: statements and their values. What does not: connections, transactions and when what is run
(`pgvector.py`). Names are quoted as identifiers, what a definition carries is quoted as a literal, and every value of
other statements is a parameter. Names of partitions and of indexes hold a `:`, which a collection's own name can't.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sync_assets.vector_stores import Audience, Collection, Point
from sync_assets.vector_stores.lexical import AnyWord, terms
from sync_assets.vector_stores.matching import facets, readers, wanted_facets, wanted_readers

TYPES = {
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
    "terms": "text[]",
}
PAYLOAD = list(TYPES)

TABLE = sql.SQL("""
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
        terms text[] NOT NULL DEFAULT '{{}}',
        embedding vector({dimension}) NOT NULL,
        PRIMARY KEY (tenant, chunk_id)
    ) PARTITION BY LIST (tenant);
    CREATE INDEX ON {table} (tenant, document_id);
    CREATE INDEX ON {table} USING gin (facets, readers);
    CREATE INDEX {index} ON {table} USING gin (terms);
    COMMENT ON TABLE {table} IS {config}
""")

# What a table of an older version of this program lacks: its rows get their words from `sync-assets audit --heal`.
ADD_TERMS = sql.SQL("""
    ALTER TABLE {table} ADD COLUMN terms text[] NOT NULL DEFAULT '{{}}';
    CREATE INDEX {index} ON {table} USING gin (terms)
""")

# Attaching a table, unlike creating it as a partition, waits for no reader of the other tenants.
PARTITION = sql.SQL("""
    CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS);
    ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES IN ({tenant})
""")

UPSERT = sql.SQL("""
    INSERT INTO {table} (tenant, {columns})
    SELECT %s, {columns} FROM staging
    ON CONFLICT (tenant, chunk_id) DO UPDATE SET {replaced}
""")

UPDATE = sql.SQL("""
    UPDATE {table} AS stored SET {replaced} FROM staging AS excluded
    WHERE stored.tenant = %s AND stored.chunk_id = excluded.chunk_id
""")

DELETE_OTHERS = sql.SQL("""
    WITH keep AS (SELECT * FROM unnest(%(documents)s::text[], %(chunks)s::uuid[]) AS keep (document_id, chunk_id))
    DELETE FROM {table} AS stored
    WHERE tenant = %(tenant)s
      AND document_id = ANY(%(all_documents)s)
      AND NOT EXISTS (
          SELECT FROM keep WHERE keep.document_id = stored.document_id AND keep.chunk_id = stored.chunk_id
      )
""")

HIT = sql.SQL(
    "chunk_id::text, document_id, source, stream, record_id, path, role, text, title, url, visibility, metadata"
)

SEARCH = sql.SQL("""
    SELECT 1 - (embedding <=> %(vector)s) AS score, {hit} FROM {table} WHERE {visible}
    ORDER BY embedding <=> %(vector)s, chunk_id
    LIMIT %(limit)s
""")

COUNT = sql.SQL("SELECT count(*) FROM {table} WHERE {visible}")

TEXTS = sql.SQL("""
    SELECT chunk_id::text, title, text FROM {table} WHERE {visible} ORDER BY chunk_id LIMIT %(limit)s
""")

GET = sql.SQL("SELECT 0.0 AS score, {hit} FROM {table} WHERE {visible} AND chunk_id = ANY(%(ids)s::uuid[])")

# From each tenant to the next one, by the primary key: no row but the first of each is read.
TENANTS = sql.SQL("""
    WITH RECURSIVE found AS (
        SELECT min(tenant) AS tenant FROM {table}
        UNION ALL
        SELECT (SELECT min(tenant) FROM {table} WHERE tenant > found.tenant) FROM found WHERE found.tenant IS NOT NULL
    )
    SELECT tenant FROM found WHERE tenant IS NOT NULL
""")


def visible(
    tenant: str, audience: Audience, filters: Mapping[str, Any] | None, groups: Sequence[AnyWord] = ()
) -> tuple[sql.Composed, dict[str, Any]]:
    """The condition for what an audience may see of a tenant, under filters and with words, and its values."""
    values: dict[str, Any] = {"tenant": tenant}
    conditions: list[sql.Composable] = [sql.SQL("tenant = %(tenant)s")]
    wanted = [("readers", wanted_readers(audience))]
    wanted += [("facets", list(group)) for group in wanted_facets(filters or {})]
    wanted += [("terms", list(group)) for group in groups]
    for number, (column, keywords) in enumerate(wanted):
        conditions.append(sql.SQL("{} && {}::text[]").format(sql.Identifier(column), sql.Placeholder(f"any_{number}")))
        values[f"any_{number}"] = keywords
    return sql.SQL(" AND ").join(conditions), values


def stage(cursor: psycopg.Cursor[Any], columns: list[str], rows: list[list[Any]]) -> None:
    """Copy rows into the temporary table `staging`, which goes with the transaction."""
    types = [TYPES.get(column, "vector") for column in columns]
    definition = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))  # pyright: ignore[reportArgumentType]
        for column, kind in zip(columns, types, strict=True)
    )
    cursor.execute(sql.SQL("CREATE TEMPORARY TABLE staging ({}) ON COMMIT DROP").format(definition))
    with cursor.copy(sql.SQL("COPY staging ({}) FROM STDIN (FORMAT BINARY)").format(names(columns))) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def row(point: Point, columns: list[str]) -> list[Any]:
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
        "terms": terms(point),
        "embedding": point.vector,
    }
    return [made[column] if column in made else getattr(point, column) for column in columns]


def table(collection: Collection) -> sql.Identifier:
    return sql.Identifier("vectors", collection.name)


def words_index(collection: Collection) -> sql.Identifier:
    return sql.Identifier(f"{collection.name}:terms")


def partition_name(collection: Collection, tenant: str) -> str:
    """The table of a tenant: 63 bytes at most, whatever the tenant's name holds."""
    return f"{collection.name}:{hashlib.blake2b(tenant.encode(), digest_size=7).hexdigest()}"


def partition(collection: Collection, tenant: str) -> sql.Identifier:
    return sql.Identifier("vectors", partition_name(collection, tenant))


def names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def replaced(columns: list[str]) -> sql.Composed:
    """`SET` list that takes every column but the key from the new row."""
    return sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in columns if column != "chunk_id"
    )
