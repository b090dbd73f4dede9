"""Turning texts into vectors: the protocol, and the way to open a model by name.

What belongs here: models, their tokenizers, the cache of computed vectors. Importing this package imports no torch; a
model is loaded by the first call of `embed`.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from sync_assets.hashing import digest


class ModelFingerprint(BaseModel):
    """Everything that makes vectors comparable: two collections with one fingerprint may be mixed, others never.

    Attributes:
        revision: digest or commit of the weights.
        max_tokens: longest text the model reads whole, special tokens not counted.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    revision: str
    dimension: int
    normalised: bool
    backend: str
    precision: str
    max_tokens: int

    @property
    def key(self) -> str:
        """32 hex digits: the name of this fingerprint in cache and registry."""
        return digest(self.model_dump())

    def __str__(self) -> str:
        return f"{self.name} ({self.dimension}d, {self.backend} {self.precision}, {self.revision[:12]})"


class Tokenizer(Protocol):
    """The model's own tokens; cheap to open, imports no torch."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in tokens, special tokens not counted."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of a text, in order, special tokens left out."""
        ...


class Embedder(Protocol):
    """A model. `fingerprint` and `tokenizer` are cheap; `embed` loads the model on first use."""

    @property
    def fingerprint(self) -> ModelFingerprint: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors in the order of the texts: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingError: the model could not be loaded, or failed on these texts.
        """
        ...


@cache
def open_embedder(model: str) -> Embedder:
    """A model by name, opened once in a process; loads nothing yet.

    Args:
        model: a name that `SentenceTransformersEmbedder` knows, `wordllama-256`, or `hash-<dimension>` for tests and
            benchmarks.
    """
    if match := re.fullmatch(r"hash-([1-9]\d*)", model):
        from sync_assets.embedding.hash_embedder import HashEmbedder

        return HashEmbedder(int(match[1]))
    if model == "wordllama-256":
        from sync_assets.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder()
    from sync_assets.embedding.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(model)
