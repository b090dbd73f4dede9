"""Voyage's embedding models over its REST API (docs.voyageai.com/reference/embeddings-api).

What belongs here: its models and limits, its requests, answers and errors.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

import httpx
import numpy as np

from sync_assets.embedding import ModelOptions
from sync_assets.embedding.hosted import TOKENS_FOR_ONE, HostedEmbedder, HostedModel, Passing
from sync_assets.errors import EmbeddingError
from sync_assets.sources.http import Timer, retry_after

_URL = "https://api.voyageai.com/v1"
_TIMEOUT = 60.0
_CALL_TEXTS = 1_000

# Vectors of several lengths (docs.voyageai.com/docs/flexible-dimensions-and-quantization); tokens of one request by
# model as docs.voyageai.com/reference/embeddings-api says. All read 32,000 tokens, the older ones 4,000 or more.
_FLEXIBLE = (1024, 256, 512, 2048)
MODELS = {
    "voyage-4-large": HostedModel(_FLEXIBLE, 120_000),
    "voyage-4": HostedModel(_FLEXIBLE, 320_000),
    "voyage-4-lite": HostedModel(_FLEXIBLE, 1_000_000),
    "voyage-3-large": HostedModel(_FLEXIBLE, 120_000),
    "voyage-3.5": HostedModel(_FLEXIBLE, 320_000),
    "voyage-3.5-lite": HostedModel(_FLEXIBLE, 1_000_000),
    "voyage-code-3": HostedModel(_FLEXIBLE, 120_000),
    "voyage-3": HostedModel((1024,), 120_000),
    "voyage-3-lite": HostedModel((512,), 120_000),
    "voyage-finance-2": HostedModel((1024,), 120_000),
    "voyage-law-2": HostedModel((1024,), 120_000),
    "voyage-multilingual-2": HostedModel((1024,), 120_000),
    "voyage-code-2": HostedModel((1536,), 120_000),
    "voyage-large-2": HostedModel((1536,), 120_000),
    "voyage-2": HostedModel((1024,), 320_000),
}


class VoyageEmbedder(HostedEmbedder):
    """One model of Voyage. What is synced is embedded as documents, a question as a query.

    Args:
        name: such as `voyage-4`, or `voyage-4@512` for vectors of that length.
        timer: see `HostedEmbedder`.
    """

    def __init__(self, name: str, options: ModelOptions, timer: Timer = Timer()) -> None:  # noqa: B008 it is immutable
        super().__init__("Voyage", name, MODELS, options.requests_per_minute, timer)
        self._key = options.voyage_api_key
        self._root = (options.voyage_url or _URL).rstrip("/")

    def _embed(self, texts: Sequence[str], lengths: Sequence[int]) -> np.ndarray:
        return np.concatenate(self._map(self._documents, self._calls(texts, lengths)))

    def _embed_query(self, text: str) -> np.ndarray:
        return self._asked(self._query, text)

    @property
    def _address(self) -> str:
        return self._root

    def _names(self) -> list[str]:
        return list(self._models)

    def _calls(self, texts: Sequence[str], lengths: Sequence[int]) -> Iterator[list[str]]:
        """The texts in as few requests as the vendor allows, in their order."""
        limit = self._call_tokens() // TOKENS_FOR_ONE
        call: list[str] = []
        tokens = 0
        for text, length in zip(texts, lengths, strict=True):
            if call and (len(call) == _CALL_TEXTS or tokens + length > limit):
                yield call
                call, tokens = [], 0
            call.append(text)
            tokens += length
        yield call

    def _documents(self, texts: Sequence[str]) -> np.ndarray:
        return self._post(texts, "document")

    def _query(self, text: str) -> np.ndarray:
        return self._post([text], "query")

    def _post(self, texts: Sequence[str], input_type: Literal["document", "query"]) -> np.ndarray:
        """One request, where a text that is too long is refused and not cut."""
        body: dict[str, Any] = {
            "input": list(texts),
            "model": self.model,
            "input_type": input_type,
            "truncation": False,
        }
        known = self._models.get(self.model)
        if known is None or len(known.dimensions) > 1:
            body["output_dimension"] = self.fingerprint.dimension
        try:
            response = self._client.post("/embeddings", json=body)
        except httpx.TimeoutException:
            raise Passing(f"no answer within {_TIMEOUT:g} s") from None
        except httpx.RequestError as error:
            raise Passing(f"connection failed ({type(error).__name__})") from None
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise Passing(f"status {response.status_code}", retry_after(response.headers))
        if not response.is_success:
            raise self._refusal(response)
        try:
            answer = response.json()
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float64)
            self._bill(int(answer["usage"]["total_tokens"]))
        except (ValueError, LookupError, TypeError):
            raise Passing("the answer is not what was asked for") from None
        return vectors

    def _refusal(self, response: httpx.Response) -> EmbeddingError:
        status = response.status_code
        detail = ""
        with suppress(ValueError, LookupError, TypeError):
            detail = str(response.json()["detail"])
        if status in (401, 403):
            return EmbeddingError(
                f"Voyage refused the key with status {status}.", "Check SYNC_ASSETS_VOYAGE_API_KEY and its rights."
            )
        if status == 404:
            return EmbeddingError("Voyage's API is not there (status 404).", "Check SYNC_ASSETS_VOYAGE_URL.")
        if re.search(r"not supported|does not exist|not found|invalid model", detail, re.IGNORECASE):
            return self._unknown()
        if re.search(r"tokens?\b|context length", detail, re.IGNORECASE):
            return EmbeddingError(
                f"Voyage refused texts that are too long for {self.model} (status {status}).",
                "Set a lower chunk_tokens in defs.yaml.",
            )
        return EmbeddingError(f"Voyage refused the request for {self.model} with status {status}.")

    @cached_property
    def _client(self) -> httpx.Client:
        if self._key is None:
            raise EmbeddingError(f"{self.model} needs a key.", "Set SYNC_ASSETS_VOYAGE_API_KEY.")
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        return httpx.Client(base_url=self._root, headers=headers, timeout=_TIMEOUT)
