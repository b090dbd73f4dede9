"""Servers on the loopback interface that speak as OpenAI's chat completions and as Bedrock's Converse API do.

What belongs here: what these vendors check, answer and refuse. OpenAI's errors are `{"error": {"message", "type",
"param", "code"}}`; Bedrock's carry their kind in the header `x-amzn-ErrorType`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from sync_assets_tests.embedding.vendors import KEY, Handler, Vendor, running, tokens_of

MODELS = ("tiny-chat", "tiny-chat-mini", "new-chat")
# Like OpenAI's models that think, it takes neither of these.
REFUSED_BY_NEW = {"max_tokens": "unsupported_parameter", "temperature": "unsupported_value"}
NOVA = "amazon.nova-lite-v1:0"
# Served through an inference profile only.
PROFILED = "anthropic.claude-haiku-4-5-20251001-v1:0"


def summary_of(text: str) -> str:
    """What the models answer: the title, and how many words there are."""
    return f"About {text.partition(chr(10))[0]}, told in {len(text.split())} words."


@dataclass
class LanguageModel(Vendor):
    """A running server; `answer` gives the words to a user's message, `broken_off` ends them too early."""

    answer: Callable[[str], Any] = summary_of
    broken_off: bool = False

    @property
    def asked(self) -> list[str]:
        """The first lines of what it was asked about, in order."""
        return sorted(_user_text(body).partition("\n")[0] for body in self.bodies)


def _user_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


def _model(handler: Handler) -> LanguageModel:
    return cast(LanguageModel, handler.vendor)


class _OpenAi(Handler):
    def _answer(self, body: dict[str, Any], failure: int | None) -> None:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._refuse(401, "Incorrect API key provided: pa-wr***. You can find your key.", "invalid_api_key")
        if self.command == "GET" and self.path == "/v1/models":
            rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for name in MODELS]
            return self._send(200, {"object": "list", "data": rows})
        if self.command != "POST" or self.path != "/v1/chat/completions":
            return self._refuse(404, f"Invalid URL ({self.command} {self.path})", None)
        if failure is not None:
            headers = {"Retry-After": self.vendor.retry_after} if self.vendor.retry_after and failure == 429 else {}
            return self._refuse(failure, "Rate limit reached for requests", "rate_limit_exceeded", headers=headers)
        model = body["model"]
        if model not in MODELS:
            words = f"The model `{model}` does not exist or you do not have access to it."
            return self._refuse(404, words, "model_not_found")
        for name, code in REFUSED_BY_NEW.items() if model == "new-chat" else ():
            if name in body:
                words = "parameter" if code == "unsupported_parameter" else "value"
                return self._refuse(400, f"Unsupported {words}: '{name}' is not supported.", code, name)
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        with self.vendor.lock:
            self.vendor.bodies.append(body)
        text = _user_text(body)
        said = _model(self).answer(text)
        read, written = tokens_of(text), tokens_of(str(said))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": said, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "length" if _model(self).broken_off else "stop",
        }
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": model}
        self._send(200, {**head, "choices": [choice], "usage": usage})

    def _refuse(
        self, status: int, message: str, code: str | None, param: str | None = None, headers: Any = None
    ) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self._send(status, {"error": error}, headers)


class _Bedrock(Handler):
    def _answer(self, body: dict[str, Any], failure: int | None) -> None:
        path = unquote(urlsplit(self.path).path)
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            return self._refuse(403, "UnrecognizedClientException", "The security token in the request is invalid.")
        if path == "/foundation-models":
            assert "byOutputModality=TEXT" in self.path
            rows = [{"modelArn": f"arn:aws:bedrock:eu-west-1::foundation-model/{NOVA}", "modelId": NOVA}]
            return self._send(200, {"modelSummaries": rows})
        if failure is not None:
            kind = "ThrottlingException" if failure == 429 else "ServiceUnavailableException"
            return self._refuse(failure, kind, "Too many requests, please wait before trying again.")
        model = path.removeprefix("/model/").removesuffix("/converse")
        if model == PROFILED:
            words = (
                f"Invocation of model ID {model} with on-demand throughput isn't supported. Retry your request with "
            )
            return self._refuse(400, "ValidationException", words + "the ID or ARN of an inference profile.")
        if model != NOVA:
            return self._refuse(400, "ValidationException", "The provided model identifier is invalid.")
        with self.vendor.lock:
            self.vendor.bodies.append(body)
        text = _user_text(body)
        said = _model(self).answer(text)
        read, written = tokens_of(text), tokens_of(said)
        self._send(
            200,
            {
                "output": {"message": {"role": "assistant", "content": [{"text": said}]}},
                "stopReason": "max_tokens" if _model(self).broken_off else "end_turn",
                "usage": {"inputTokens": read, "outputTokens": written, "totalTokens": read + written},
                "metrics": {"latencyMs": 12},
            },
        )

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._send(status, {"message": message}, {"x-amzn-ErrorType": kind})


@contextmanager
def openai() -> Iterator[LanguageModel]:
    """An API like OpenAI's; its `url` ends in `/v1`, its key is `KEY`."""
    with running(_OpenAi, LanguageModel()) as model:
        model.url += "/v1"
        yield model


@contextmanager
def bedrock() -> Iterator[LanguageModel]:
    """Bedrock's two services at one address; the access key is `KEY`."""
    with running(_Bedrock, LanguageModel()) as model:
        yield model
