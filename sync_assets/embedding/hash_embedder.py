"""A deterministic embedder without a model, for tests and benchmarks: fast, and texts that share words are near."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

from sync_assets.embedding import ModelFingerprint

_WORD = re.compile(r"\S+")


class WhitespaceTokenizer:
    """One token for each word."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _WORD.finditer(text)]


class HashEmbedder:
    """Bags of hashed words, unit length.

    Args:
        dimension: length of the vectors; its model name is `hash-<dimension>`.
        max_tokens: longest text in words that chunking may make for it.

    Attributes:
        calls: how often `embed` was called.
        texts_embedded: how many texts it was given in all.
    """

    def __init__(self, dimension: int = 64, max_tokens: int = 254) -> None:
        self.billed_tokens = 0
        self.calls = 0
        self.texts_embedded = 0
        self.tokenizer = WhitespaceTokenizer()
        self.fingerprint = ModelFingerprint(
            name=f"hash-{dimension}",
            revision="1",
            dimension=dimension,
            normalised=True,
            backend="hash",
            precision="float32",
            max_tokens=max_tokens,
        )

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        self.texts_embedded += len(texts)
        dimension = self.fingerprint.dimension
        vectors = np.zeros((len(texts), dimension), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            words = [zlib.crc32(word.encode()) % dimension for word in text.lower().split()]
            vector += np.bincount(words, minlength=dimension)
            # The order of words counts a little, so that two texts seldom share a vector.
            vector[zlib.crc32(text.encode()) % dimension] += 0.5
            vector /= np.linalg.norm(vector)
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed([text])[0]
