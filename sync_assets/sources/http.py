"""What every HTTP source shares: one client with retries, a circuit breaker, a limit on speed and clear errors.

What belongs here: how a request is made and what its failure means. What does not: paging, endpoints and fields of one
system (its own module).
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar

import httpx
import orjson
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError
from pydantic import BaseModel, ConfigDict, Field
from pyrate_limiter import Duration, Limiter, Rate

from sync_assets.errors import SourceError
from sync_assets.sources.retries import retrying

Item = TypeVar("Item")
Result = TypeVar("Result")

_WINDOW = 60.0


class Limits(BaseModel):
    """How fast and how patiently an account is asked. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_concurrent_requests: int = Field(default=5, ge=1, le=50, description="Requests under way at the same time")
    request_delay: float = Field(
        default=0.0, ge=0, le=60, description="Least time between the starts of two requests, in seconds"
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, le=100_000, description="Most requests in any minute; default what the account allows"
    )
    reserve_share: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="Share of the account's own limit that is left to others; below it requests wait",
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Records asked for in one page")
    max_attempts: int = Field(default=5, ge=1, le=20, description="How often one request is tried")
    timeout: float = Field(default=30.0, gt=0, le=600, description="Longest wait for one answer, in seconds")
    total_timeout: float = Field(
        default=300.0, gt=0, le=3600, description="No attempt starts later than this after the first, in seconds"
    )
    max_retry_wait: float = Field(
        default=120.0,
        ge=0,
        le=600,
        description="Longest wait before another attempt, whatever Retry-After asks, in seconds",
    )
    breaker_failures: int = Field(
        default=5, ge=1, le=1000, description="Requests failed in a row (after retries) that stop all further ones"
    )
    breaker_reset: float = Field(
        default=60.0, gt=0, le=3600, description="Time until a stopped account is tried again, in seconds"
    )


class ApiStatusError(SourceError):
    """The upstream answered with a status that trying again won't change, or did not change."""

    def __init__(self, message: str, remedy: str, status: int) -> None:
        super().__init__(message, remedy)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """One successful answer.

    Attributes:
        body: the JSON value; None for status 204.
        has_next: a `Link` header with `rel="next"` (RFC 8288) says that there is a further page.
    """

    body: Any
    has_next: bool


@dataclass(frozen=True)
class RateLimit:
    """The account's own limit, as the last answer gave it: calls allowed in its window, and calls left."""

    total: int
    remaining: int


class ApiClient:
    """GET requests to one account. Safe to use from several threads.

    Args:
        tenant: whose account it is.
        base_url: root of all paths, without a trailing slash.
        setting: where the account is configured, for remedies (`tenants.acme.freshdesk`).
        auth: credentials; they never appear in an error.
        credential: the setting below `setting` that holds them, for remedies.
        transport: takes the place of the network in tests.
        clock: seconds that only grow.
        sleep: waits for so many seconds while the account's own limit is nearly used up.
    """

    def __init__(
        self,
        tenant: str,
        base_url: str,
        *,
        setting: str,
        limits: Limits,
        auth: httpx.Auth | None = None,
        credential: str = "api_key",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        url = httpx.URL(base_url)
        self.host = url.netloc.decode()
        self._tenant = tenant
        self._base_url = base_url
        self._setting = setting
        self._credential = credential
        self._limits = limits
        self._http = httpx.Client(auth=auth, timeout=limits.timeout, transport=transport)
        self._slots = threading.BoundedSemaphore(limits.max_concurrent_requests)
        self._pool = ThreadPoolExecutor(limits.max_concurrent_requests, thread_name_prefix=f"{tenant}-{self.host}")
        self._budget = _Budget(limits.reserve_share, clock, sleep)
        self._limiter = _limiter(tenant, self.host, limits.requests_per_minute, limits.request_delay)
        self._breaker = _breaker(tenant, self.host, limits)
        self._retry = retrying(
            limits.max_attempts, limits.total_timeout, limits.max_retry_wait, min(1.0, limits.max_retry_wait)
        )

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer said about the account's limit; None where it said nothing."""
        return self._budget.last

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """Ask for `path`, with retries.

        Raises:
            ApiStatusError: a 3xx or 4xx status other than 408 and 429; a 5xx status in all attempts.
            SourceError: no usable answer after all attempts, or too many requests failed just before.
        """
        try:
            return self._guarded(path, params)
        except CircuitBreakerError:
            raise SourceError(
                f"{self._tenant}: {self.host} was not asked for {path}: "
                f"{self._breaker.fail_max} requests in a row had failed.",
                f"Look at the first error; it is tried again {self._breaker.reset_timeout:g} s after the last failure.",
            ) from None
        except _Unusable as error:
            message = f"{self._tenant}: {self.host}: GET {path} failed, {error} (after retries)."
            remedy = _transient_remedy(error.status)
            if error.status is not None and error.status >= 500:
                raise ApiStatusError(message, remedy, error.status) from None
            raise SourceError(message, remedy) from None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of `items`, computed concurrently within the account's limit.

        Items are read only as fast as results are taken, so memory follows the limit and not the number of items.
        """
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(function, item))
                if len(pending) > self._limits.max_concurrent_requests:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def _guarded(self, path: str, params: Mapping[str, str | int] | None) -> Reply:
        """Through the breaker. It holds its lock during a call, so while it is closed it only learns the outcome."""
        if self._breaker.current_state != STATE_CLOSED:
            return self._breaker.call(self._retry, self._wait_before_retry, self._attempt, path, params)
        outcome: Exception | None = None
        try:
            return self._retry(self._wait_before_retry, self._attempt, path, params)
        except (_Unusable, ApiStatusError) as error:
            outcome = error
            raise
        finally:
            with suppress(CircuitBreakerError, _Unusable, ApiStatusError):
                self._breaker.call(_raise, outcome)

    def _attempt(self, path: str, params: Mapping[str, str | int] | None) -> Reply:
        self._budget.wait()
        if self._limiter is not None and not self._limiter.try_acquire(self.host, timeout=self._limits.total_timeout):
            raise _Unusable(
                f"no turn within {self._limits.total_timeout:g} s under requests_per_minute and request_delay"
            )
        try:
            with self._slots:
                response = self._http.get(f"{self._base_url}{path}", params=params)
        except httpx.TimeoutException:
            raise _Unusable(f"no answer within {self._limits.timeout:g} s") from None
        except httpx.RequestError as error:
            raise _Unusable(f"connection failed ({type(error).__name__})") from None
        self._budget.note(response.headers)
        status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _Unusable(f"status {status}", status, _retry_after(response.headers.get("Retry-After", "")))
        if not response.is_success:
            raise ApiStatusError(
                f"{self._tenant}: {self.host} refused GET {path} with status {status}.", self._remedy(status), status
            )
        has_next = "next" in response.links
        if status == 204:
            return Reply(None, has_next)
        try:
            return Reply(_parsed(response.content), has_next)
        except ValueError:
            raise _Unusable("the body is not complete JSON") from None

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if not isinstance(error, _Unusable):
            return False
        return True if error.retry_after is None else min(error.retry_after, self._limits.max_retry_wait)

    def _remedy(self, status: int) -> str:
        match status:
            case 401:
                return f"Wrong key: check {self._setting}.{self._credential}."
            case 403:
                return f"The owner of {self._setting}.{self._credential} lacks permission: widen its role or scope."
            case 404:
                return f"It does not exist there, or {self._setting}.base_url names another account."
            case 301 | 302 | 307 | 308:
                return f"It redirects: set {self._setting}.base_url to the address it ends at."
            case _:
                return f"Check {self._setting}."


def _parsed(content: bytes) -> Any:
    """The JSON value, also where it holds half a surrogate pair, which the fast parser refuses."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content)


class _Unusable(Exception):
    """One attempt brought nothing that can be used, and another may."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class _Budget:
    """Slows down before the account's own limit is used up, from the X-RateLimit headers of its answers.

    A window is taken to last a minute from the first answer seen in it, which is never earlier than it really began.
    """

    def __init__(self, reserve_share: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.last: RateLimit | None = None
        self._reserve_share = reserve_share
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._window_began = 0.0
        self._paused_until = 0.0

    def wait(self) -> None:
        """Return at once, or after the rest of the minute while too little of the budget is left."""
        with self._lock:
            delay = self._paused_until - self._clock()
        if delay > 0:
            self._sleep(min(delay, _WINDOW))

    def note(self, headers: Mapping[str, str]) -> None:
        try:
            seen = RateLimit(int(headers["X-RateLimit-Total"]), int(headers["X-RateLimit-Remaining"]))
        except (KeyError, ValueError):
            return
        with self._lock:
            now = self._clock()
            refilled = self.last is not None and seen.remaining > self.last.remaining + seen.total // 10
            if self.last is None or refilled or now - self._window_began >= _WINDOW:
                self._window_began = now
            self.last = seen
            short = seen.remaining < seen.total * self._reserve_share
            self._paused_until = self._window_began + _WINDOW if short else now


@cache
def _limiter(tenant: str, host: str, requests_per_minute: int | None, request_delay: float) -> Limiter | None:
    """One for all clients of an account in this process; None where nothing is to be limited."""
    rates: list[Rate] = []
    delay = round(request_delay * 1000)
    if delay:
        rates.append(Rate(1, delay))
    if requests_per_minute is not None and requests_per_minute * delay < int(Duration.MINUTE):
        rates = rates if requests_per_minute > 1 else []
        rates.append(Rate(requests_per_minute, Duration.MINUTE))
    return Limiter(rates) if rates else None


_BREAKERS: dict[tuple[str, str], CircuitBreaker] = {}


def _breaker(tenant: str, host: str, limits: Limits) -> CircuitBreaker:
    """One for all clients of an account in this process; the latest client's limits hold."""
    fresh = CircuitBreaker(exclude=[ApiStatusError], throw_new_error_on_trip=False)
    breaker = _BREAKERS.setdefault((tenant, host), fresh)
    breaker.fail_max = limits.breaker_failures
    breaker.reset_timeout = limits.breaker_reset
    return breaker


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, section 10.2.3)."""
    with suppress(ValueError):
        return max(0.0, float(int(value)))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return None


def _transient_remedy(status: int | None) -> str:
    if status == 429:
        return "The account's request limit is used up: lower limits.requests_per_minute, or sync later."
    return "Try again later; if it stays so, check the network and the system's status page."
