"""Nothing is embedded twice, one bad text costs only itself, and what was paid for survives a crash."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa

from sync_assets.embedding.cache import EmbeddingCache, EmbedResult, embed_missing
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.errors import EmbeddingError, LedgerError
from sync_assets.hashing import text_hash
from sync_assets.ledger import Ledger


class FaultyEmbedder(HashEmbedder):
    """Refuses texts with `poison`, gives a useless vector for `zero` and `nan`, and fails for good after some texts."""

    fails_after: int | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if any("poison" in text for text in texts):
            raise EmbeddingError("The text is poisoned.")
        if self.fails_after is not None and self.texts_embedded >= self.fails_after:
            raise EmbeddingError("The provider is down.")
        vectors = super().embed(texts)
        for vector, text in zip(vectors, texts, strict=True):
            if text in ("zero", "nan"):
                vector[:] = 0.0 if text == "zero" else np.nan
        return vectors


class ShapelessEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return super().embed(texts)[:, 1:]


@pytest.fixture
def cache(postgres_url: str) -> Iterator[EmbeddingCache]:
    ledger = Ledger(postgres_url, lock_timeout=10.0)
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE sync_assets.embedding_cache"))
    yield EmbeddingCache(ledger.engine)
    ledger.close()


def by_hash(texts: Sequence[str]) -> dict[str, str]:
    return {text_hash(text): text for text in texts}


def lengths(embedder: HashEmbedder, texts: Sequence[str]) -> dict[str, int]:
    return {text_hash(text): length for text, length in zip(texts, embedder.tokenizer.count(texts), strict=True)}


def run(cache: EmbeddingCache, embedder: HashEmbedder, texts: Sequence[str], tenant: str = "acme") -> EmbedResult:
    return embed_missing(cache, embedder, tenant, by_hash(texts), lengths(embedder, texts), lambda done: None)


def test_vectors_come_back_as_they_were_put(cache: EmbeddingCache) -> None:
    vectors = {f"{number:032x}": np.arange(number, number + 8, dtype=np.float32) for number in range(5000)}
    cache.put("acme", "one", vectors)
    cache.put("acme", "one", {f"{0:032x}": np.zeros(8, dtype=np.float32)})
    found = cache.get("acme", "one", [*vectors, "unknown"])
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[key], vectors[key]) for key in vectors)
    assert cache.get("other", "one", list(vectors)) == {}
    assert cache.get("acme", "two", list(vectors)) == {}


def test_only_missing_texts_are_embedded(cache: EmbeddingCache) -> None:
    embedder = HashEmbedder()
    texts = [f"text number {number} " * (1 + number % 7) for number in range(600)]
    first = run(cache, embedder, texts[:500])
    assert (first.embedded, first.reused, embedder.texts_embedded) == (500, 0, 500)
    progress: list[int] = []
    second = embed_missing(cache, embedder, "acme", by_hash(texts), lengths(embedder, texts), progress.append)
    assert (second.embedded, second.reused, second.failures, embedder.texts_embedded) == (100, 500, {}, 600)
    assert progress == [500, 600]
    for text, vector in zip(texts, HashEmbedder().embed(texts), strict=True):
        np.testing.assert_array_equal(second.vectors[text_hash(text)], vector)
    assert run(cache, embedder, texts, tenant="other").embedded == 600


def test_bad_texts_cost_only_themselves(cache: EmbeddingCache) -> None:
    result = run(cache, FaultyEmbedder(), [*(f"text {number}" for number in range(300)), "poison", "zero", "nan"])
    assert result.embedded == 300
    assert result.failures == {
        text_hash("poison"): "The text is poisoned.",
        text_hash("zero"): "hash-64 gave a vector that is empty or not a number.",
        text_hash("nan"): "hash-64 gave a vector that is empty or not a number.",
    }
    again = run(cache, FaultyEmbedder(), ["poison"])
    assert (again.vectors, list(again.failures.values())) == ({}, ["The text is poisoned."])


def test_model_that_is_down_fails_the_run_and_keeps_what_was_done(cache: EmbeddingCache) -> None:
    texts = [f"text {number}" for number in range(600)]
    embedder = FaultyEmbedder()
    embedder.fails_after = 300
    with pytest.raises(EmbeddingError, match="provider is down"):
        run(cache, embedder, texts)
    assert run(cache, HashEmbedder(), texts).reused == 512
    with pytest.raises(EmbeddingError, match="shape"):
        run(cache, ShapelessEmbedder(), ["new text"])


def test_processes_with_the_same_texts_do_not_block_each_other(cache: EmbeddingCache) -> None:
    hashes = [f"{number:032x}" for number in range(2000)]
    vector = np.ones(8, dtype=np.float32)
    orders = [hashes, hashes[::-1], hashes[1000:] + hashes[:1000], hashes]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda order: cache.put("acme", "one", dict.fromkeys(order, vector)), orders))
    assert len(cache.get("acme", "one", hashes)) == 2000


def test_database_out_of_reach_is_a_ledger_error() -> None:
    engine = sa.create_engine("postgresql+psycopg://user:secret@127.0.0.1:1/nowhere")
    with pytest.raises(LedgerError, match="out of reach") as caught:
        EmbeddingCache(engine).get("acme", "one", ["hash"])
    assert "secret" not in str(caught.value)


def test_nothing_missing_imports_no_torch(cache: EmbeddingCache, postgres_url: str) -> None:
    script = f"""
import sys
import numpy as np
from sync_assets.embedding import open_embedder
from sync_assets.embedding.cache import EmbeddingCache, embed_missing
from sync_assets.ledger import Ledger

cache = EmbeddingCache(Ledger({postgres_url!r}, 10.0).engine)
embedder = open_embedder("all-MiniLM-L6-v2")
cache.put("acme", embedder.fingerprint.key, {{"hash": np.ones(384, dtype=np.float32)}})
assert embedder.tokenizer.count(["two words"]) == [2]
assert embed_missing(cache, embedder, "acme", {{"hash": "two words"}}, {{"hash": 2}}, lambda done: None).reused == 1
assert not {{"torch", "transformers", "sentence_transformers"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
