"""Older vectors in PostgreSQL with pgvector: the layout of `langchain_pg_embedding`, and the product's own.

Rows are streamed with a server-side cursor, all passes in one read-only transaction, so that they see the same table.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import dict_row

from sync_assets.adoption.probing import ANOTHER_MODEL
from sync_assets.adoption.rows import Row, Unreadable, keyword_list, row_of
from sync_assets.embedding import ModelFingerprint
from sync_assets.enrichment import COMBINED_TEXT
from sync_assets.errors import FingerprintMismatch, StoreError

if TYPE_CHECKING:
    from sync_assets.adoption import AdoptionRequest

_LANGCHAIN = {"embedding", "document", "cmetadata"}
_PRODUCT = {"tenant", "chunk_id", "source", "stream", "record_id", "path", "text", "title", "metadata", "embedding"}
_COLLECTIONS = "langchain_pg_collection"
_CONNECT_SECONDS = 10
_ROWS = 200


@contextmanager
def open_table(request: "AdoptionRequest", key: str, model: ModelFingerprint) -> Iterator["Table"]:
    """The table of a request, its layout known.

    Args:
        key: fingerprint that a table of the product must carry to be of this stream's model.

    Raises:
        StoreError: the database is out of reach, the table is missing, or its columns are of no known layout.
        FingerprintMismatch: its vectors are of another model.
    """
    with _database_errors(), psycopg.connect(request.database_url, connect_timeout=_CONNECT_SECONDS) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield Table(connection, request, key, model)


class Table:
    """The rows of one table that belong to the request; iterated any number of times."""

    def __init__(
        self, connection: psycopg.Connection, request: "AdoptionRequest", key: str, model: ModelFingerprint
    ) -> None:
        self._connection = connection
        self._request = request
        schema, _, name = (request.table or "").rpartition(".")
        self._schema, self._name = schema or "public", name
        self._label = f"{self._schema}.{name}"
        columns = self._columns()
        register_vector(connection)
        self._is_product = columns >= _PRODUCT
        if not self._is_product and not columns >= _LANGCHAIN:
            raise StoreError(
                f"{self._label} has the columns {', '.join(sorted(columns))}.",
                f"Known are tables with {', '.join(sorted(_LANGCHAIN))} (LangChain's) and with "
                f"{', '.join(sorted(_PRODUCT))} (the product's own).",
            )
        self._key = next((column for column in ("id", "uuid", "custom_id") if column in columns), None)
        if self._is_product:
            self._check_fingerprint(key, model)
        self._query, self._values = self._product() if self._is_product else self._langchain(columns)
        self._check_dimension(model)

    def __iter__(self) -> Iterator[Row | Unreadable]:
        with _database_errors(), self._connection.cursor("adoption", row_factory=dict_row) as cursor:
            cursor.itersize = _ROWS
            cursor.execute(self._query, self._values)
            for number, values in enumerate(cursor, 1):
                name = str(values["row_id"] or f"row {number}")
                try:
                    yield _product_row(values, name) if self._is_product else _langchain_row(values, name)
                except ValueError as error:
                    yield Unreadable(name, str(error))

    def _columns(self) -> set[str]:
        rows = self._connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            (self._schema, self._name),
        ).fetchall()
        if not rows:
            raise StoreError(
                f"There is no table {self._label}.",
                "Name it with --table schema.table, and its database with SYNC_ASSETS_ADOPT_DATABASE_URL.",
            )
        return {name for (name,) in rows}

    def _check_fingerprint(self, key: str, model: ModelFingerprint) -> None:
        row = self._connection.execute(
            "SELECT obj_description(to_regclass(%s), 'pg_class')",
            (sql.Identifier(self._schema, self._name).as_string(),),
        ).fetchone()
        comment = str(row and row[0])
        if key not in comment:
            raise FingerprintMismatch(
                f"{self._label} says of its vectors {comment}; this stream's fingerprint is {key} ({model}).",
                ANOTHER_MODEL,
            )

    def _check_dimension(self, model: ModelFingerprint) -> None:
        """Refuse a table whose vectors all have another length; a few are rows that can't be read."""
        query = sql.SQL(
            "SELECT vector_dims(embedding) AS found FROM ({}) AS adopted WHERE embedding IS NOT NULL GROUP BY found"
        ).format(self._query)
        found = sorted(length for (length,) in self._connection.execute(query, self._values))
        if found and model.dimension not in found:
            raise FingerprintMismatch(
                f"{self._label} holds vectors of {', '.join(map(str, found))} numbers; {model} gives "
                f"{model.dimension}.",
                ANOTHER_MODEL,
            )

    def _product(self) -> tuple[sql.Composed, Mapping[str, Any]]:
        query = sql.SQL(
            "SELECT chunk_id::text AS row_id, record_id, path, text, title, metadata, embedding FROM {}"
            " WHERE tenant = %(tenant)s AND source = %(source)s AND stream = %(stream)s ORDER BY chunk_id"
        ).format(sql.Identifier(self._schema, self._name))
        stream = self._request.stream
        return query, {"tenant": self._request.tenant, "source": stream.source, "stream": stream.name}

    def _langchain(self, columns: set[str]) -> tuple[sql.Composed, Mapping[str, Any]]:
        key = sql.SQL("{}::text").format(sql.Identifier(self._key)) if self._key else sql.SQL("''")
        where = sql.SQL("")
        if self._request.collection is not None:
            where = sql.SQL(" WHERE collection_id = %(collection)s")
        query = sql.SQL(
            "SELECT {key} AS row_id, document, cmetadata, embedding FROM {table}{where} ORDER BY {key}, document"
        ).format(key=key, table=sql.Identifier(self._schema, self._name), where=where)
        return query, {"collection": self._collection()} if self._request.collection is not None else {}

    def _collection(self) -> Any:
        """Id of the collection that was asked for."""
        table = sql.Identifier(self._schema, _COLLECTIONS)
        found = self._connection.execute("SELECT to_regclass(%s)", (table.as_string(),)).fetchone()
        names: dict[str, Any] = {}
        if found and found[0] is not None:
            names = dict(self._connection.execute(sql.SQL("SELECT name, uuid FROM {}").format(table)).fetchall())
        wanted = self._request.collection or ""
        if wanted not in names:
            raise StoreError(
                f"{self._schema}.{_COLLECTIONS} has no collection {wanted!r}.",
                f"It has: {', '.join(sorted(map(str, names))) or 'none'}.",
            )
        return names[wanted]


def _langchain_row(values: Mapping[str, Any], name: str) -> Row:
    metadata = values["cmetadata"]
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError("cmetadata is no object")
    return row_of(metadata or {}, name, name, values["document"], _vector(values["embedding"]))


def _product_row(values: Mapping[str, Any], name: str) -> Row:
    metadata = values["metadata"] if isinstance(values["metadata"], dict) else {}
    is_combined = values["path"] == COMBINED_TEXT
    return Row(
        name=name,
        row_id=name,
        ids=[values["record_id"]],
        title=values["title"],
        text=values["text"],
        keywords=keyword_list(metadata.get("keywords")),
        combined_text=values["text"] if is_combined else "",
        is_chunk=True,
        is_combined=is_combined,
        fields=metadata,
        vector=_vector(values["embedding"]),
    )


def _vector(value: Any) -> np.ndarray:
    """The numbers of a stored vector.

    Raises:
        ValueError: there is none.
    """
    if isinstance(value, (Vector, HalfVector)):
        value = value.to_numpy()
    if value is None:
        raise ValueError("no vector")
    return np.asarray(value, dtype=np.float32)


@contextmanager
def _database_errors() -> Iterator[None]:
    """Turn what the driver says into one line without the URL.

    Raises:
        StoreError: the database is out of reach or refused.
    """
    try:
        yield
    except psycopg.Error as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()
        raise StoreError(
            f"The database to adopt from is out of reach or refused: {reason}.",
            "Check SYNC_ASSETS_ADOPT_DATABASE_URL.",
        ) from None
