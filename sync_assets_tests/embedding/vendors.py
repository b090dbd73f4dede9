"""Servers on the loopback interface with the vendors' protocols: true requests, answers and errors, and toy vectors.

What belongs here: what a vendor checks and how it says so. Voyage's errors are `{"detail": ...}`; Bedrock's carry their
kind in the header `x-amzn-ErrorType`.
"""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import numpy as np

from sync_assets.embedding.hash_embedder import HashEmbedder

AnyVendor = TypeVar("AnyVendor", bound="Vendor")

KEY = "pa-right"
VOYAGE_DIMENSIONS = {"voyage-4": (256, 512, 1024, 2048), "voyage-3-lite": (512,), "voyage-9": (128,)}
CALL_TOKENS = 120_000
TITAN = {"amazon.titan-embed-text-v2:0": (256, 512, 1024), "amazon.titan-embed-text-v1": (1536,)}
TITAN_TOKENS = 8_192


@dataclass
class Vendor:
    """A running server.

    Attributes:
        bodies: of the requests that came with a good key, in order.
        failures: statuses to answer the next requests with, first one first; 0 cuts the connection.
        retry_after: value of the header that goes with a 429; None for none.
        wrong_dimension: answers with vectors of that length.
        backwards: sends vectors in another order than the asked one; their `index` counts.
        together: where requests wait for each other, so many at a time.
    """

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    retry_after: str | None = None
    wrong_dimension: int | None = None
    backwards: bool = False
    together: threading.Barrier | None = None
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def tokens_of(text: str) -> int:
    """A vendor's count, which is not ours: two for each word."""
    return 2 * len(text.split())


def vector_of(text: str, dimension: int, kind: str = "document") -> np.ndarray:
    """A question's vector is another one than a document's."""
    prompted = text if kind == "document" else f"question {text}"
    return HashEmbedder(dimension).embed([prompted])[0] * 2


class Handler(BaseHTTPRequestHandler):
    """What every vendor's server does; how it answers is in `_answer`."""

    vendor: Vendor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.vendor.lock:
            failure = self.vendor.failures.pop(0) if self.vendor.failures else None
            self.vendor.seen[urlsplit(self.path).path] += 1
        if self.vendor.together is not None:
            self.vendor.together.wait(timeout=20)
        if failure == 0:
            self.close_connection = True
        else:
            self._answer(json.loads(content or b"{}"), failure)

    def _answer(self, body: dict[str, Any], failure: int | None) -> None:
        raise NotImplementedError

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)


class _Voyage(Handler):
    def _answer(self, body: dict[str, Any], failure: int | None) -> None:
        if self.path != "/v1/embeddings":
            return self._refuse(404, "Not Found")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._refuse(401, "Provided API key is invalid.")
        if failure is not None:
            headers = {"Retry-After": self.vendor.retry_after} if self.vendor.retry_after and failure == 429 else {}
            return self._send(failure, {"detail": "Rate limit reached."}, headers)
        with self.vendor.lock:
            self.vendor.bodies.append(body)
        model, texts = body["model"], body["input"]
        if model not in VOYAGE_DIMENSIONS:
            known = list(VOYAGE_DIMENSIONS)
            return self._refuse(400, f"Model {model} is not supported. Supported models are {known}.")
        if len(texts) > 1_000:
            return self._refuse(400, f"The batch size limit is 1000. Your batch size is {len(texts)}.")
        total = sum(map(tokens_of, texts))
        if total > CALL_TOKENS:
            return self._refuse(
                400,
                f"Request to model '{model}' failed. The max allowed tokens per submitted batch is {CALL_TOKENS}. "
                f"Your batch has {total} tokens after truncation. Please lower the number of tokens in the batch.",
            )
        dimensions = VOYAGE_DIMENSIONS[model]
        asked = body.get("output_dimension")
        if asked is not None and asked not in dimensions:
            return self._refuse(400, f"Value '{asked}' is not a valid output_dimension for model '{model}'.")
        default = 1024 if 1024 in dimensions else dimensions[0]
        dimension = self.vendor.wrong_dimension or asked or default
        rows = []
        for index, text in enumerate(texts):
            vector = vector_of(text, dimension, body.get("input_type") or "document")
            sent: Any = vector.tolist()
            if body.get("encoding_format") == "base64":
                sent = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            rows.append({"object": "embedding", "embedding": sent, "index": index})
        rows = rows[::-1] if self.vendor.backwards else rows
        self._send(200, {"object": "list", "data": rows, "model": model, "usage": {"total_tokens": total}})

    def _refuse(self, status: int, detail: str) -> None:
        self._send(status, {"detail": detail})


class _Bedrock(Handler):
    def _answer(self, body: dict[str, Any], failure: int | None) -> None:
        path = unquote(urlsplit(self.path).path)
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            return self._refuse(
                403, "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if path == "/foundation-models":
            return self._send(200, {"modelSummaries": [_summary(name) for name in TITAN]})
        if failure is not None:
            kind = "ThrottlingException" if failure == 429 else "ServiceUnavailableException"
            return self._refuse(failure, kind, "Too many requests, please wait before trying again.")
        with self.vendor.lock:
            self.vendor.bodies.append(body)
        model = path.removeprefix("/model/").removesuffix("/invoke")
        if model not in TITAN:
            return self._refuse(400, "ValidationException", "The provided model identifier is invalid.")
        text = body["inputText"]
        if not text:
            problem = "Malformed input request: #/inputText: expected minLength: 1, actual: 0"
            return self._refuse(400, "ValidationException", problem)
        tokens = tokens_of(text)
        if tokens > TITAN_TOKENS:
            problem = f"Too many input tokens. Max input tokens: {TITAN_TOKENS}, request input token count: {tokens}"
            return self._refuse(400, "ValidationException", f"400 Bad Request: {problem}")
        if "v1" in model and set(body) != {"inputText"}:
            problem = "Malformed input request: extraneous key [dimensions] is not permitted"
            return self._refuse(400, "ValidationException", problem)
        dimension = self.vendor.wrong_dimension or body.get("dimensions") or max(TITAN[model])
        vector = vector_of(text, dimension)
        if body.get("normalize"):
            vector = vector / np.linalg.norm(vector)
        self._send(200, {"embedding": vector.tolist(), "inputTextTokenCount": tokens})

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._send(status, {"message": message}, {"x-amzn-ErrorType": kind})


def _summary(name: str) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:eu-west-1::foundation-model/{name}",
        "modelId": name,
        "modelName": "Titan Text Embeddings",
        "providerName": "Amazon",
        "inputModalities": ["TEXT"],
        "outputModalities": ["EMBEDDING"],
        "inferenceTypesSupported": ["ON_DEMAND"],
    }


@contextmanager
def voyage() -> Iterator[Vendor]:
    """Voyage; its `url` ends in `/v1`."""
    with running(_Voyage, Vendor()) as vendor:
        vendor.url += "/v1"
        yield vendor


@contextmanager
def bedrock() -> Iterator[Vendor]:
    """Bedrock's two services at one address; the access key is `KEY`."""
    with running(_Bedrock, Vendor()) as vendor:
        yield vendor


@contextmanager
def running(handler: type[Handler], vendor: AnyVendor) -> Iterator[AnyVendor]:
    """A server on a port of its own, whose address the vendor gets."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"vendor": vendor}))
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
