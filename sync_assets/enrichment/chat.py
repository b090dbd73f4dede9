"""Language models behind an API: a task and a text go in, words come out.

What belongs here: turns, further attempts, what was billed, and the protocol of OpenAI's chat completions, which most
other servers speak too (platform.openai.com/docs/api-reference/chat). Bedrock's is in `bedrock.py`, what is asked and
what becomes of the answers in `llm.py`.
"""

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import httpx

from sync_assets.embedding.hosted import Passing, wait_before_retry
from sync_assets.enrichment import EnrichmentError, ExtractorUnreachable, Tokens
from sync_assets.errors import SourceError
from sync_assets.sources.http import ApiClient, Limits, retry_after
from sync_assets.sources.retries import retrying

AT_ONCE = 4
TIMEOUT = 60.0

_ATTEMPTS = 4
_TOTAL_TIMEOUT = 180.0
_LONGEST_WAIT = 60.0
_NAMED = 20
# What newer models may think beside what they answer, in tokens.
_THINKING = 4_000
# Too long, or not to its taste; any other status is about the endpoint.
_OF_ONE_TEXT = (400, 413, 422)
_UNKNOWN_MODEL = re.compile(
    r"\bmodel\b.{0,120}(?:not found|not exist|not available|not a valid model)|(?:unknown|invalid|no such) model", re.I
)


class Answer(NamedTuple):
    """What a model answered; `is_whole` is false where it was broken off."""

    text: str
    is_whole: bool


class Chat(ABC):
    """One model behind an API. Safe to use from several threads.

    Args:
        vendor: as errors name it.
        model: the vendor's name of it.
        requests_per_minute: most requests in any minute; None for no limit.

    Attributes:
        billed: what the vendor has counted so far, of answers that could not be used too.
        setting: where it is configured; `remedy`: what to look at there.
    """

    setting: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, vendor: str, model: str, requests_per_minute: int | None) -> None:
        self.model = model
        self.billed = Tokens()
        self._vendor = vendor
        self._limits = Limits(max_concurrent_requests=AT_ONCE, requests_per_minute=requests_per_minute)
        self._retry = retrying(_ATTEMPTS, _TOTAL_TIMEOUT, _LONGEST_WAIT)
        self._lock = threading.Lock()

    def ask(self, task: str, texts: Sequence[str], longest: int | None = None) -> list[str | EnrichmentError]:
        """The answer about each text, or why there is none, in their order; several are asked for at a time.

        Args:
            longest: most tokens of an answer.
        """
        return list(self._account.map(lambda text: self._asked(task, text, longest), texts))

    def close(self) -> None:
        if "_account" in self.__dict__:
            self._account.close()

    @property
    @abstractmethod
    def _address(self) -> str:
        """Root of the vendor's API."""

    @abstractmethod
    def _complete(self, task: str, text: str, longest: int | None) -> Answer:
        """One attempt.

        Raises:
            EnrichmentError: another attempt would fare no better.
            Passing: it might.
        """

    @abstractmethod
    def _names(self) -> list[str]:
        """The models that there are; empty where that can't be told."""

    def _unknown(self) -> ExtractorUnreachable:
        """What to say of a model that the vendor does not have: the names most like it first."""
        names = sorted(self._listed, key=lambda name: (-SequenceMatcher(None, self.model, name).ratio(), name))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ExtractorUnreachable(
            f"{self._vendor} has no model {self.model!r}.",
            f"There are: {', '.join(names[:_NAMED])}{more}." if names else self.remedy,
        )

    @cached_property
    def _listed(self) -> list[str]:
        return self._names()

    def _bill(self, read: Any, written: Any) -> None:
        with self._lock:
            self.billed += Tokens(int(read or 0), int(written or 0))

    def _asked(self, task: str, text: str, longest: int | None) -> str | EnrichmentError:
        try:
            answer = self._retry(wait_before_retry, self._in_turn, task, text, longest)
        except EnrichmentError as error:
            return error
        except Passing as error:
            return ExtractorUnreachable(f"{self._vendor} gave no answer: {error}, after all attempts.", self.remedy)
        except SourceError as error:
            remedy = "Raise SYNC_ASSETS_MODEL_REQUESTS_PER_MINUTE."
            return ExtractorUnreachable(f"{self._vendor} was not asked: {error.message}", remedy)
        if not answer.is_whole:
            return EnrichmentError(f"{self._vendor}'s {self.model} was broken off before the end of its answer.")
        return answer.text

    def _in_turn(self, task: str, text: str, longest: int | None) -> Answer:
        with self._account.turn():
            return self._complete(task, text, longest)

    @cached_property
    def _account(self) -> ApiClient:
        return ApiClient(self._vendor, self._address, setting=self.setting, limits=self._limits)


class OpenAiChat(Chat):
    """A model behind an API like OpenAI's.

    Args:
        url: root of the API, such as `https://host/v1`.
        key: sent as a bearer token; never shown.
        transport: takes the place of the network in tests.
    """

    setting = "SYNC_ASSETS_LLM_URL"
    remedy = "Check SYNC_ASSETS_LLM_URL, the model's name and SYNC_ASSETS_LLM_API_KEY."

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None = None,
        requests_per_minute: int | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__("The language model's API", model, requests_per_minute)
        self._url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=TIMEOUT,
            transport=transport,
        )
        # Fields that this model does not take.
        self._refused: set[str] = set()

    def close(self) -> None:
        super().close()
        self._client.close()

    @property
    def _address(self) -> str:
        return self._url

    def _names(self) -> list[str]:
        with suppress(httpx.HTTPError, ValueError, LookupError, TypeError):
            reply = self._client.get("/models")
            if reply.is_success:
                return [str(row["id"]) for row in reply.json()["data"]]
        return []

    def _complete(self, task: str, text: str, longest: int | None) -> Answer:
        messages = [{"role": "system", "content": task}, {"role": "user", "content": text}]
        while True:
            options = self._options(longest)
            reply = self._post({"model": self.model, "messages": messages, **options})
            if reply.is_success:
                return self._answer(reply)
            if reply.status_code != 400 or not self._learns(reply, options):
                raise self._refusal(reply)

    def _options(self, longest: int | None) -> dict[str, int]:
        options = {"temperature": 0}
        if longest is not None:
            options["max_tokens"] = longest
            if "max_tokens" in self._refused:
                options["max_completion_tokens"] = longest + _THINKING
        return {name: value for name, value in options.items() if name not in self._refused}

    def _learns(self, reply: httpx.Response, options: dict[str, int]) -> bool:
        """Whether the refusal is about a field that can be left out next time: OpenAI's newer models refuse some."""
        said = re.search(r"unsupported \w+: '(\w+)'", _told(reply)["message"], re.I)
        if said is None or said[1] not in options:
            return False
        self._refused.add(said[1])
        return True

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        try:
            return self._client.post("/chat/completions", json=body)
        except httpx.TimeoutException:
            raise Passing(f"no answer within {TIMEOUT:g} s") from None
        except httpx.HTTPError as error:
            raise Passing(f"connection failed ({type(error).__name__})") from None

    def _answer(self, reply: httpx.Response) -> Answer:
        try:
            body = reply.json()
            usage = body.get("usage") or {}
            self._bill(usage.get("prompt_tokens"), usage.get("completion_tokens"))
            choice = body["choices"][0]
            text = choice["message"]["content"]
            if not isinstance(text, str):
                raise TypeError
            return Answer(text, choice.get("finish_reason") != "length")
        except (ValueError, LookupError, TypeError, AttributeError):
            raise EnrichmentError("The language model's answer is not what was asked for.", self.remedy) from None

    def _refusal(self, reply: httpx.Response) -> Exception:
        status, told = reply.status_code, _told(reply)
        if status == 429 and told["code"] == "insufficient_quota":
            return ExtractorUnreachable(f"{self._vendor} has no credit left (status 429).", "Buy some, or wait.")
        if status in (408, 429) or status >= 500:
            return Passing(f"status {status}", retry_after(reply.headers))
        if status in (401, 403):
            return ExtractorUnreachable(
                f"{self._vendor} refused the key with status {status}.", "Check SYNC_ASSETS_LLM_API_KEY and its rights."
            )
        if told["code"] == "model_not_found" or _UNKNOWN_MODEL.search(told["message"]):
            return self._unknown()
        kind = EnrichmentError if status in _OF_ONE_TEXT else ExtractorUnreachable
        return kind(f"{self._vendor} refused the request with status {status}.", self.remedy)


def _told(reply: httpx.Response) -> dict[str, str]:
    """Code and message of a refusal; the message may quote what was sent, so it is looked into and never shown."""
    with suppress(ValueError, AttributeError):
        body = reply.json()
        error = body.get("error") or body
        if isinstance(error, dict):
            return {"code": str(error.get("code")), "message": str(error.get("message"))}
        return {"code": "", "message": str(error)}
    return {"code": "", "message": ""}
