"""What every HTTP source shares: one client with retries, a circuit breaker, a limit on speed and clear errors.

What belongs here: how a request is made and what its failure means. What does not: paging, endpoints and fields of one
system (its own module).
"""

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar

import httpx
import orjson
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pyrate_limiter import Duration, InMemoryBucket, Rate, RateItem

from sync_assets.errors import SourceError
from sync_assets.sources.calls import Calls, counted
from sync_assets.sources.retries import retrying

Item = TypeVar("Item")
Result = TypeVar("Result")

_WINDOW = 60.0
_LONGEST_WINDOW = 3600.0


def _root(value: str) -> str:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
        raise ValueError("must be http(s)://host, without user, query and fragment")
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_root)]
"""Root of an account's addresses, without a trailing slash."""


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
        description="Longest wait before another attempt, in seconds; a request that is to wait longer fails at once",
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
        next_url: address of the next page, where a `Link` header with `rel="next"` (RFC 8288) names one.
    """

    body: Any
    next_url: str | None


class Timer(NamedTuple):
    """Where time comes from.

    Attributes:
        clock: seconds that only grow.
        sleep: waits for so many seconds.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class RateLimit:
    """The account's own limit, as the last answer gave it: calls allowed in its window, and calls left."""

    total: int
    remaining: int


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that clients trust, read once: reading them takes longer than most requests."""
    return httpx.create_ssl_context()


class ApiClient:
    """GET requests to one account. Safe to use from several threads.

    Args:
        tenant: whose account it is.
        base_url: root of all paths, without a trailing slash.
        setting: where the account is configured, for remedies (`tenants.acme.freshdesk`).
        auth: credentials; they never appear in an error.
        credential: the setting below `setting` that holds them, for remedies.
        failure_of: names a failure that may pass in an answer with status 200; None where the answer is a good one.
        timer: waits for a turn and while the account's own limit is nearly used up; pauses between attempts aside.
        transport: takes the place of the network in tests.
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
        failure_of: Callable[[Any], str | None] | None = None,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = httpx.URL(base_url)
        self.host = url.netloc.decode()
        self._tenant = tenant
        self._base_url = base_url
        self._setting = setting
        self._credential = credential
        self._limits = limits
        self._failure_of = failure_of
        self._timer = timer
        self._http = httpx.Client(auth=auth, timeout=limits.timeout, transport=transport, verify=trusted())
        self._calls = counted.get() or Calls()
        self._slots = threading.BoundedSemaphore(limits.max_concurrent_requests)
        self._pool = ThreadPoolExecutor(limits.max_concurrent_requests, thread_name_prefix=f"{tenant}-{self.host}")
        self._budget = _Budget(limits.reserve_share, timer)
        self._routes = _RouteBudgets(limits.max_retry_wait, timer)
        self._breaker = _breaker(tenant, self.host, limits)
        self._retry = retrying(
            limits.max_attempts, limits.total_timeout, limits.max_retry_wait, min(1.0, limits.max_retry_wait)
        )

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer said about the account's limit; None where it said nothing."""
        return self._budget.last

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        route: str = "",
        per_minute: int | None = None,
    ) -> Reply:
        """Ask for `path`, with retries.

        Args:
            route: what upstream counts this request as; the path where it is not given.
            per_minute: most requests of this route in any minute.

        Raises:
            ApiStatusError: a 3xx or 4xx status other than 408 and 429; a 5xx status in all attempts.
            SourceError: no usable answer after all attempts, or too many requests failed just before.
        """
        request = _Request(path, params, route or path, per_minute)
        try:
            return self._guarded(request)
        except CircuitBreakerError:
            raise SourceError(
                f"{self._tenant}: {self.host} was not asked for {path}: "
                f"{self._breaker.fail_max} requests in a row had failed.",
                f"Look at the first error; it is tried again {self._breaker.reset_timeout:g} s after the last failure.",
            ) from None
        except _Unusable as error:
            message = f"{self._tenant}: {self.host}: GET {path} failed, {error} ({self._tries(error)})."
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

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for a turn of the account and holds one of its slots: for a request to it that is not this client's.

        Raises:
            SourceError: no turn within `limits.total_timeout`.
        """
        self._budget.wait()
        try:
            self._take_turn("", None)
        except _Unusable as error:
            raise SourceError(f"{self._tenant}: {self.host} was not asked, {error}.", _transient_remedy(429)) from None
        self._calls.sent()
        with self._slots:
            yield

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn about the account's limit from the answer to such a request."""
        self._budget.note(headers)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def _guarded(self, request: "_Request") -> Reply:
        """Through the breaker. It holds its lock during a call, so while it is closed it only learns the outcome."""
        if self._breaker.current_state != STATE_CLOSED:
            return self._breaker.call(self._retry, self._wait_before_retry, self._attempt, request)
        outcome: Exception | None = None
        try:
            return self._retry(self._wait_before_retry, self._attempt, request)
        except (_Unusable, ApiStatusError) as error:
            outcome = error
            raise
        finally:
            with suppress(CircuitBreakerError, _Unusable, ApiStatusError):
                self._breaker.call(_raise, outcome)

    def _attempt(self, request: "_Request") -> Reply:
        self._budget.wait()
        self._routes.wait(request.route)
        self._take_turn(request.route, request.per_minute)
        self._calls.sent()
        try:
            with self._slots:
                response = self._http.get(f"{self._base_url}{request.path}", params=request.params)
        except httpx.TimeoutException:
            self._calls.brought_nothing(None)
            raise _Unusable(f"no answer within {self._limits.timeout:g} s") from None
        except httpx.RequestError as error:
            self._calls.brought_nothing(None)
            raise _Unusable(f"connection failed ({type(error).__name__})") from None
        self._budget.note(response.headers)
        self._routes.note(request.route, response.headers)
        status = response.status_code
        if status in (408, 429) or status >= 500:
            self._calls.brought_nothing(status)
            raise _Unusable(f"status {status}", status, _retry_after(response))
        if not response.is_success:
            raise ApiStatusError(
                f"{self._tenant}: {self.host} refused GET {request.path} with status {status}.",
                self._remedy(status),
                status,
            )
        next_url = response.links.get("next", {}).get("url")
        if status == 204:
            return Reply(None, next_url)
        try:
            body = _parsed(response.content)
        except ValueError:
            raise _Unusable("the body is not complete JSON") from None
        if self._failure_of is not None and (failure := self._failure_of(body)) is not None:
            raise _Unusable(failure)
        return Reply(body, next_url)

    def _take_turn(self, route: str, per_minute: int | None) -> None:
        """Wait until a request may start, by the account's settings and by its route."""
        limits, account = self._limits, (self._tenant, self.host)
        turns = [_turns(*account, "", limits.requests_per_minute, limits.request_delay, self._timer)]
        if per_minute is not None:
            turns.append(_turns(*account, route, per_minute, 0, self._timer))
        for each in turns:
            if each is not None and not each.take(limits.total_timeout):
                raise _Unusable(
                    f"no turn within {limits.total_timeout:g} s under requests_per_minute and request_delay"
                )

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if not isinstance(error, _Unusable) or self._waits_too_long(error):
            return False
        return True if error.retry_after is None else error.retry_after

    def _waits_too_long(self, error: "_Unusable") -> bool:
        return error.retry_after is not None and error.retry_after > self._limits.max_retry_wait

    def _tries(self, error: "_Unusable") -> str:
        if self._waits_too_long(error):
            return f"it asks to wait {error.retry_after:g} s, longer than limits.max_retry_wait"
        return "after retries"

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


class _Request(NamedTuple):
    path: str
    params: Mapping[str, str | int] | None
    route: str
    per_minute: int | None


class _Unusable(Exception):
    """One attempt brought nothing that can be used, and another may."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class _Budget:
    """Slows down before the account's own limit is used up, from the headers of its answers.

    A window ends when GitLab's answers say so. Any other one is taken to last a minute from the first answer seen in
    it, which is never earlier than it really began.
    """

    def __init__(self, reserve_share: float, timer: Timer) -> None:
        self.last: RateLimit | None = None
        self._reserve_share = reserve_share
        self._timer = timer
        self._lock = threading.Lock()
        self._window_began = 0.0
        self._paused_until = 0.0

    def wait(self) -> None:
        """Return at once, or after the rest of the minute while too little of the budget is left."""
        with self._lock:
            delay = self._paused_until - self._timer.clock()
        if delay > 0:
            self._timer.sleep(min(delay, _WINDOW))

    def note(self, headers: Mapping[str, str]) -> None:
        seen = _rate_limit(headers)
        if seen is None:
            return
        with self._lock:
            now = self._timer.clock()
            refilled = self.last is not None and seen.remaining > self.last.remaining + seen.total // 10
            if self.last is None or refilled or now - self._window_began >= _WINDOW:
                self._window_began = now
            self.last = seen
            short = seen.remaining < seen.total * self._reserve_share
            left = _seconds_left(headers)
            ends = self._window_began + _WINDOW if left is None else now + left
            self._paused_until = ends if short else now


def _rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """What an answer says of the account's limit, in Freshdesk's or GitLab's headers."""
    for prefix, total in (("X-RateLimit", "Total"), ("RateLimit", "Limit")):
        with suppress(KeyError, ValueError):
            return RateLimit(int(headers[f"{prefix}-{total}"]), int(headers[f"{prefix}-Remaining"]))
    return None


def _seconds_left(headers: Mapping[str, str]) -> float | None:
    """How long the window lasts that an answer tells the end of, in seconds since 1970; None where that can't be."""
    with suppress(KeyError, ValueError):
        left = float(headers["RateLimit-Reset"]) - datetime.now(UTC).timestamp()
        return left if 0 < left <= _LONGEST_WINDOW else None
    return None


class _RouteBudgets:
    """Waits where an answer said that its route's limit is used up, and for how long.

    The headers are those of Discord (discord.com/developers/docs/topics/rate-limits).
    """

    def __init__(self, longest: float, timer: Timer) -> None:
        self._longest = longest
        self._timer = timer
        self._paused_until: dict[str, float] = {}

    def wait(self, route: str) -> None:
        delay = self._paused_until.get(route, 0.0) - self._timer.clock()
        if delay > 0:
            self._timer.sleep(delay)

    def note(self, route: str, headers: Mapping[str, str]) -> None:
        try:
            remaining, pause = int(headers["X-RateLimit-Remaining"]), float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        if remaining == 0:
            self._paused_until[route] = self._timer.clock() + min(pause, self._longest)


class _Turns:
    """Hands out turns so that no rate is exceeded."""

    def __init__(self, rates: list[Rate], timer: Timer) -> None:
        self._bucket = InMemoryBucket(rates)
        self._timer = timer
        self._lock = threading.Lock()

    def take(self, longest: float) -> bool:
        """Wait for the next turn; False where it would come later than in `longest` seconds."""
        deadline = self._timer.clock() + longest
        while (wait := self._try()) > 0:
            if self._timer.clock() + wait > deadline:
                return False
            self._timer.sleep(wait)
        return True

    def _try(self) -> float:
        """Take a turn now and return 0, or the seconds until one can be tried again."""
        with self._lock:
            item = RateItem("request", int(self._timer.clock() * 1000))
            self._bucket.leak(item.timestamp)
            if self._bucket.put(item):
                return 0.0
            wait = self._bucket.waiting(item)
        assert isinstance(wait, int)  # noqa: S101 only a bucket elsewhere has to be awaited
        return max(wait, 1) / 1000


@cache
def _turns(tenant: str, host: str, route: str, per_minute: int | None, delay: float, timer: Timer) -> _Turns | None:
    """One for all clients of an account in this process; None where nothing is to be limited."""
    rates: list[Rate] = []
    pause = round(delay * 1000)
    if pause:
        rates.append(Rate(1, pause))
    if per_minute is not None and per_minute * pause < int(Duration.MINUTE):
        rates = rates if per_minute > 1 else []
        rates.append(Rate(per_minute, Duration.MINUTE))
    return _Turns(rates, timer) if rates else None


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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, as a number or a date (RFC 9110, section 10.2.3); None where it does not."""
    value = headers.get("Retry-After", "")
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    with suppress(ValueError, KeyError):  # Backlog's, in seconds since 1970
        return max(0.0, float(headers["X-RateLimit-Reset"]) - datetime.now(UTC).timestamp())
    return None


def _retry_after(response: httpx.Response) -> float | None:
    """The same, also where a number in the body says it, as Discord's does."""
    with suppress(ValueError, TypeError, KeyError):
        return max(0.0, float(_parsed(response.content)["retry_after"]))
    return retry_after(response.headers)


def _transient_remedy(status: int | None) -> str:
    if status == 429:
        return "The account's request limit is used up: lower limits.requests_per_minute, or sync later."
    return "Try again later; if it stays so, check the network and the system's status page."
