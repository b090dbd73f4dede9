"""The static model of the wheel `wordllama`: a text's vector is the mean of its tokens' vectors.

Needs no torch and no processor worth mentioning. It knows words and not their order, so it suits short texts made of
names and numbers. Its files are read without the library, whose import turns on logging for the whole process.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sync_assets.embedding import ModelFingerprint
from sync_assets.embedding.sentence_transformers import FileTokenizer
from sync_assets.errors import EmbeddingError

MODEL = "wordllama-256"

_WEIGHTS = "l2_supercat_256.safetensors"
_WEIGHTS_DIGEST = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
_TOKENIZER = "l2_supercat_tokenizer_config.json"

# The model has no limit, but the mean of more words says little.
_MAX_TOKENS = 254


class _Tokenizer(FileTokenizer):
    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as rows of the weights."""
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


class WordLlamaEmbedder:
    """The model `wordllama-256`: 256 dimensions, weights kept in 16 bits and reckoned with in 32."""

    billed_tokens = 0
    fingerprint = ModelFingerprint(
        name=MODEL,
        revision=_WEIGHTS_DIGEST,
        dimension=256,
        normalised=True,
        backend="static",
        precision="float16",
        max_tokens=_MAX_TOKENS,
    )

    @property
    def tokenizer(self) -> FileTokenizer:
        """The tokens of the wheel's file.

        Raises:
            EmbeddingError: the wheel is not installed.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> _Tokenizer:
        return _Tokenizer(_folder() / "tokenizers" / _TOKENIZER)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `Embedder.embed`. A text's vector is the same whatever other texts come with it.

        Raises:
            EmbeddingError: the model could not be loaded, or a text has no tokens.
        """
        vectors = np.empty((len(texts), self.fingerprint.dimension), dtype=np.float32)
        for vector, tokens in zip(vectors, self._tokenizer.ids(texts), strict=True):
            if not tokens:
                raise EmbeddingError(f"{MODEL} finds no words in an empty text.")
            mean = self._weights[tokens].mean(axis=0)
            vector[:] = mean / np.linalg.norm(mean)
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed([text])[0]

    @cached_property
    def _weights(self) -> np.ndarray:
        """A row for each token."""
        from safetensors.numpy import load

        path = _folder() / "weights" / _WEIGHTS
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EmbeddingError(f"{path} can't be read: {error.strerror}.", "Install wordllama again.") from error
        found = hashlib.sha256(content).hexdigest()
        if found != _WEIGHTS_DIGEST:
            raise EmbeddingError(
                f"The weights of {MODEL} in {path} have SHA-256 {found}, not {_WEIGHTS_DIGEST}.",
                "Install wordllama 0.4 again from a source you trust.",
            )
        return load(content)["embedding.weight"].astype(np.float32)


def _folder() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise EmbeddingError(f"{MODEL} is not installed.", "Install wordllama, or name another embedding model.")
    return Path(spec.origin).parent
