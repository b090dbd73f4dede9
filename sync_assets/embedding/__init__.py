"""Turning texts into vectors: the protocol, and the way to open a model by name.

What belongs here: models, their tokenizers, the cache of computed vectors. Importing this package imports no torch; a
model is loaded by the first call of `embed`.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, SecretStr

from sync_assets.errors import EmbeddingError
from sync_assets.hashing import digest

Precision = Literal["float32", "bfloat16"]


class ModelOptions(NamedTuple):
    """What an installation's settings say of its models; `Settings` describes each.

    Attributes:
        requests_per_minute: to the API of a hosted model.
    """

    precision: Precision | Literal["auto"] = "float32"
    voyage_api_key: SecretStr | None = None
    voyage_url: str | None = None
    bedrock_region: str | None = None
    requests_per_minute: int | None = None


class ModelFingerprint(BaseModel):
    """Everything that makes vectors comparable: two collections with one fingerprint may be mixed, others never.

    Attributes:
        revision: digest or commit of the weights.
        max_tokens: longest text the model reads whole, special tokens not counted.
        prompts: what the model's own files put before each text and before each question; None where that is nothing.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    revision: str
    dimension: int
    normalised: bool
    backend: str
    precision: str
    max_tokens: int
    prompts: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """32 hex digits: the name of this fingerprint in cache and registry."""
        return digest(self.model_dump(exclude_none=True))

    def __str__(self) -> str:
        prompts = f", prompts {self.prompts[0]!r} and {self.prompts[1]!r}" if self.prompts else ""
        return f"{self.name} ({self.dimension}d, {self.backend} {self.precision}, {self.revision[:12]}{prompts})"


class Tokenizer(Protocol):
    """The model's own tokens; cheap to open, imports no torch."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in tokens, special tokens not counted."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of a text, in order, special tokens left out."""
        ...


class Embedder(Protocol):
    """A model. `fingerprint` and `tokenizer` are cheap; `embed` loads the model on first use.

    Attributes:
        billed_tokens: what the vendor of a hosted model has counted in this process; 0 for a model that runs here.
    """

    billed_tokens: int

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

    def embed_query(self, text: str) -> np.ndarray:
        """The vector of a question, shape (dimension,): some models tell questions from what answers them.

        Raises:
            EmbeddingError: as `embed`.
        """
        ...


def open_embedder(model: str, options: ModelOptions = ModelOptions()) -> Embedder:  # noqa: B008 it is immutable
    """A model by name, opened once in a process; loads nothing yet.

    Args:
        model: a name that `SentenceTransformersEmbedder` knows, with `@<precision>` at the end where it is to be
            another one than the options say; `wordllama-256`; `voyage-...` or `amazon.titan-embed-...`, with
            `@<dimension>` for vectors of another length; or `hash-<dimension>` for tests and benchmarks.

    Raises:
        EmbeddingError: it does not compute in the precision that it is named with.
    """
    from sync_assets.embedding.precisions import resolved, split

    name, precision = split(model)
    exact = _exact(name, options)
    if exact is None:
        return _sentence_transformers(name, precision or resolved(options.precision))
    if precision not in (None, "float32"):
        raise EmbeddingError(f"{name} has no precision {precision}.", f"Name it {name}.")
    return exact


@cache
def _sentence_transformers(name: str, precision: Precision) -> Embedder:
    from sync_assets.embedding.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(name, precision)


@cache
def _exact(name: str, options: ModelOptions) -> Embedder | None:
    """A model that knows no precision but float32; None for one of the sentence-transformers library."""
    if match := re.fullmatch(r"hash-([1-9]\d*)", name):
        from sync_assets.embedding.hash_embedder import HashEmbedder

        return HashEmbedder(int(match[1]))
    if name == "wordllama-256":
        from sync_assets.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder()
    if name.startswith("voyage-"):
        from sync_assets.embedding.voyage import VoyageEmbedder

        return VoyageEmbedder(name, options)
    if name.startswith("amazon."):
        from sync_assets.embedding.bedrock import TitanEmbedder

        return TitanEmbedder(name, options)
    return None
