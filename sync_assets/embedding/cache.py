"""Vectors that were computed once are never computed again: the cache, and embedding only what it lacks.

Keyed by tenant, model fingerprint and hash of the exact text, so that moved, repeated and restored texts cost nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from sync_assets.embedding import Embedder
from sync_assets.errors import EmbeddingError, LedgerError

_STORED = np.dtype("<f4")
_HASHES_A_QUERY = 4_096

# Texts embedded between two commits: what a crash may cost.
_BATCH_TEXTS = 256

# A text that every model can embed: where it fails too, the fault is not in the texts.
_PROBE = "probe"


class EmbeddingCache:
    """The table `embedding_cache` of the ledger's database.

    Args:
        engine: the ledger's, on the psycopg driver.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, tenant: str, fingerprint: str, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Cached vectors by content hash; what is not cached is left out.

        Args:
            fingerprint: the model's `ModelFingerprint.key`.
        """
        query = (
            "SELECT content_hash, vector FROM sync_assets.embedding_cache"
            " WHERE tenant = %s AND fingerprint = %s AND content_hash = ANY(%s)"
        )
        found: dict[str, np.ndarray] = {}
        if hashes:
            with self._connection() as connection, connection.cursor(binary=True) as cursor:
                for start in range(0, len(hashes), _HASHES_A_QUERY):
                    page = list(hashes[start : start + _HASHES_A_QUERY])
                    for content_hash, vector in cursor.execute(query, (tenant, fingerprint, page)):
                        found[content_hash] = np.frombuffer(vector, _STORED).astype(np.float32, copy=False)
        return found

    def has_all(self, tenant: str, fingerprint: str, hashes: Sequence[str]) -> bool:
        """Whether each of these texts is cached. The hashes differ from each other."""
        query = (
            "SELECT count(*) FROM sync_assets.embedding_cache"
            " WHERE tenant = %s AND fingerprint = %s AND content_hash = ANY(%s)"
        )
        with self._connection() as connection, connection.cursor() as cursor:
            found = cursor.execute(query, (tenant, fingerprint, list(hashes))).fetchone()
        return found is not None and found[0] == len(hashes)

    def put(self, tenant: str, fingerprint: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Add vectors by content hash, durable on return; those that are there already stay."""
        if not vectors:
            return
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE incoming (content_hash text, vector bytea) ON COMMIT DROP")
            with cursor.copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "bytea"])
                for content_hash, vector in vectors.items():
                    copy.write_row((content_hash, vector.astype(_STORED, copy=False).tobytes()))
            # In one order everywhere, so that two processes with the same texts wait for each other in turn.
            cursor.execute(
                "INSERT INTO sync_assets.embedding_cache (tenant, fingerprint, content_hash, vector)"
                " SELECT %s, %s, content_hash, vector FROM incoming ORDER BY content_hash ON CONFLICT DO NOTHING",
                (tenant, fingerprint),
            )

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        """A pooled connection in one transaction.

        Raises:
            LedgerError: the database is out of reach or refused.
        """
        try:
            pooled = self._engine.raw_connection()
            try:
                connection = pooled.driver_connection
                if not isinstance(connection, psycopg.Connection):
                    raise TypeError(f"The cache needs an engine on psycopg, not {self._engine.driver}.")
                with connection.transaction():
                    yield connection
            finally:
                pooled.close()
        except (psycopg.Error, OperationalError) as error:
            reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            raise LedgerError(
                f"The embedding cache is out of reach: {reason}.", "Check SYNC_ASSETS_DATABASE_URL."
            ) from None


class EmbedResult(NamedTuple):
    """What became of some texts, by content hash.

    Attributes:
        vectors: those from the cache first.
        embedded: vectors computed now.
        reused: vectors found in the cache.
        failures: why a text has no vector.
        tokens: of the texts that were given to the model, by its tokenizer here.
        billed: those that the vendor of a hosted model counted; 0 for a model that runs here.
        seconds: that the model took for them, its loading included.
    """

    vectors: dict[str, np.ndarray]
    embedded: int
    reused: int
    failures: dict[str, str]
    tokens: int
    billed: int
    seconds: float


def embed_missing(
    cache: EmbeddingCache,
    embedder: Embedder,
    tenant: str,
    texts_by_hash: Mapping[str, str],
    tokens_by_hash: Mapping[str, int],
    on_progress: Callable[[int], None],
) -> EmbedResult:
    """Vectors of all texts, from the cache where it has them; new ones are cached batch by batch.

    A text that fails alone is reported and the others go on. Where nothing is missing, the model is not loaded.

    Args:
        texts_by_hash: texts by content hash, as many as fit in memory with their vectors.
        tokens_by_hash: their lengths, in tokens of the model.
        on_progress: called with the number of texts that are done, cached and failed ones included.

    Raises:
        EmbeddingError: the model fails on everything; what was embedded before stays cached.
        LedgerError: the cache's database is out of reach.
    """
    key = embedder.fingerprint.key
    vectors = cache.get(tenant, key, list(texts_by_hash))
    failures: dict[str, str] = {}
    reused = len(vectors)
    missing = [content_hash for content_hash in texts_by_hash if content_hash not in vectors]
    seconds = 0.0
    billed_before = embedder.billed_tokens
    missing.sort(key=tokens_by_hash.__getitem__)
    if reused:
        on_progress(reused)
    for start in range(0, len(missing), _BATCH_TEXTS):
        batch = {content_hash: texts_by_hash[content_hash] for content_hash in missing[start : start + _BATCH_TEXTS]}
        computed: dict[str, np.ndarray] = {}
        started = time.monotonic()
        try:
            _embed_batch(embedder, batch, computed, failures)
        finally:
            seconds += time.monotonic() - started
            cache.put(tenant, key, computed)
        vectors.update(computed)
        on_progress(len(vectors) + len(failures))
    billed = embedder.billed_tokens - billed_before
    tokens = sum(tokens_by_hash[content_hash] for content_hash in missing)
    return EmbedResult(vectors, len(vectors) - reused, reused, failures, tokens, billed, seconds)


def _embed_batch(
    embedder: Embedder, texts: Mapping[str, str], vectors: dict[str, np.ndarray], failures: dict[str, str]
) -> None:
    """Fill `vectors` with those of a batch; where it fails as a whole, text by text, those at fault into `failures`.

    Raises:
        EmbeddingError: the model fails on a harmless text too.
    """
    try:
        vectors.update(zip(texts, _embed_checked(embedder, list(texts.values())), strict=True))
    except EmbeddingError:
        for content_hash, text in texts.items():
            try:
                vectors[content_hash] = _embed_checked(embedder, [text])[0]
            except EmbeddingError as error:
                _embed_checked(embedder, [_PROBE])
                failures[content_hash] = str(error)


def _embed_checked(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts, none of which is empty, unusable or of the wrong length."""
    vectors = embedder.embed(texts)
    name = embedder.fingerprint.name
    expected = (len(texts), embedder.fingerprint.dimension)
    if vectors.shape != expected:
        raise EmbeddingError(f"{name} gave vectors of shape {vectors.shape}, not {expected}.")
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise EmbeddingError(f"{name} gave a vector that is empty or not a number.")
    return vectors.astype(np.float32, copy=False)
