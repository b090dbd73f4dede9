import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina
from pydantic import ValidationError

from sync_assets.errors import SourceError
from sync_assets.sources.http import ApiClient, ApiStatusError, Limits, RateLimit, Timer

SECRET = "key-that-nobody-may-see"
Handler = Callable[[httpx.Request], httpx.Response]


class Time:
    """A clock that only moves by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the retries waited, without the waiting."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


def new_tenant() -> str:
    """A tenant whose circuit breaker no other test has seen."""
    return f"tenant-{uuid4().hex[:8]}"


def client(
    handler: Handler,
    limits: Limits | None = None,
    tenant: str | None = None,
    clock: Time | None = None,
    failure_of: Callable[[Any], str | None] | None = None,
) -> ApiClient:
    clock = clock or Time()
    return ApiClient(
        tenant or new_tenant(),
        "https://desk.example",
        setting="tenants.acme.freshdesk",
        limits=limits or Limits(),
        auth=httpx.BasicAuth(SECRET, "X"),
        failure_of=failure_of,
        timer=Timer(lambda: clock.now, clock.sleep),
        transport=httpx.MockTransport(handler),
    )


def answers(*responses: httpx.Response | Exception) -> Handler:
    """The responses in turn, the last one for ever."""
    waiting = list(responses)

    def handler(_: httpx.Request) -> httpx.Response:
        response = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(response, Exception):
            raise response
        return response

    return handler


def json_response(value: object = "ok", **headers: str) -> httpx.Response:
    return httpx.Response(200, json=value, headers={name.replace("_", "-"): text for name, text in headers.items()})


TRANSIENT: list[httpx.Response | Exception] = [
    httpx.Response(429),
    httpx.Response(500),
    httpx.Response(503),
    httpx.ReadTimeout("slow"),
    httpx.ConnectError("refused"),
    httpx.RemoteProtocolError("cut"),
    httpx.Response(200, content=b'[{"id": 1}, {"id"'),
    httpx.Response(200, content=b"<html>maintenance</html>"),
    httpx.Response(200, content=b""),
]


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_passing_trouble_is_retried(trouble: httpx.Response | Exception) -> None:
    assert client(answers(trouble, trouble, json_response([1]))).get("/things").body == [1]


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_lasting_trouble_names_tenant_host_path_and_remedy_but_no_secret(trouble: httpx.Response | Exception) -> None:
    tenant = new_tenant()
    with pytest.raises(SourceError) as caught:
        client(answers(trouble), tenant=tenant).get("/things", {"token": SECRET})
    text = str(caught.value)
    assert f"{tenant}: desk.example: GET /things failed" in text
    assert caught.value.remedy
    assert SECRET not in text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "check tenants.acme.freshdesk.api_key"),
        (403, "permission"),
        (404, "tenants.acme.freshdesk.base_url"),
        (301, "redirects"),
        (400, "Check tenants.acme.freshdesk"),
    ],
)
def test_a_refusal_is_not_retried_and_has_a_remedy(status: int, remedy: str) -> None:
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(status)

    with pytest.raises(ApiStatusError) as caught:
        client(handler).get("/things")
    assert caught.value.status == status
    assert remedy in caught.value.remedy
    assert calls == ["/things"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_setting_that_holds_the_credentials(status: int) -> None:
    api = ApiClient(
        new_tenant(),
        "https://desk.example",
        setting="tenants.acme.zoho_desk",
        credential="refresh_token",
        limits=Limits(),
        transport=httpx.MockTransport(answers(httpx.Response(status))),
    )
    with pytest.raises(ApiStatusError, match=r"tenants\.acme\.zoho_desk\.refresh_token"):
        api.get("/things")


def test_no_content_is_an_answer() -> None:
    assert client(answers(httpx.Response(204))).get("/things").body is None


def test_a_next_link_says_that_there_is_more() -> None:
    more = client(answers(json_response([], Link='<https://desk.example/things?page=2>; rel="next"')))
    assert more.get("/things").next_url == "https://desk.example/things?page=2"
    assert client(answers(json_response([]))).get("/things").next_url is None


def test_retry_after_is_honoured(sleeps: list[float]) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    handler = answers(
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503, headers={"Retry-After": "1.337"}),
        httpx.Response(429, json={"message": "You are being rate limited.", "retry_after": 64.57, "global": False}),
        httpx.Response(429, headers={"Retry-After": at}),
        json_response(),
    )
    client(handler, Limits(max_retry_wait=90)).get("/things")
    assert sleeps[:3] == [7, 1.337, 64.57]
    assert 45 < sleeps[3] <= 50


def test_a_wait_beyond_the_ceiling_fails_at_once_and_says_so(sleeps: list[float]) -> None:
    api = client(answers(httpx.Response(429, headers={"Retry-After": "3600"})), Limits(max_retry_wait=90))
    with pytest.raises(SourceError, match=r"asks to wait 3600 s, longer than limits\.max_retry_wait"):
        api.get("/things")
    assert sleeps == []


def test_backoff_grows_and_has_ceilings(sleeps: list[float]) -> None:
    with pytest.raises(SourceError):
        client(answers(httpx.Response(500)), Limits(max_attempts=6, max_retry_wait=5)).get("/things")
    assert len(sleeps) == 5
    assert 1 <= sleeps[0] <= 2
    assert 2 <= sleeps[1] <= 3
    assert max(sleeps) == 5


@pytest.mark.usefixtures("no_backoff")
def test_the_breaker_opens_for_the_account_and_closes_after_the_reset() -> None:
    down = True
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(503) if down else json_response()

    limits = Limits(max_attempts=1, breaker_failures=3, breaker_reset=0.05)
    first, second = client(handler, limits, "initech"), client(handler, limits, "initech")
    for api in (first, second, first):
        with pytest.raises(SourceError, match="status 503"):
            api.get("/things")
    with pytest.raises(SourceError, match="was not asked for /things: 3 requests in a row had failed"):
        second.get("/things")
    assert len(calls) == 3
    assert client(answers(json_response()), limits, "umbrella").get("/things").body == "ok"
    down = False
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert second.get("/things").body == "ok"
            break
        except SourceError:
            continue
    assert first.get("/things").body == "ok"


@pytest.mark.usefixtures("no_backoff")
def test_a_refusal_does_not_count_as_an_outage() -> None:
    api = client(answers(httpx.Response(404)), Limits(breaker_failures=2))
    for _ in range(5):
        with pytest.raises(ApiStatusError):
            api.get("/things")


def test_requests_slow_down_before_the_accounts_limit_is_used_up() -> None:
    clock = Time()
    left = iter([30, 20, 9, 49, 48])

    def handler(_: httpx.Request) -> httpx.Response:
        return json_response(X_RateLimit_Total="50", X_RateLimit_Remaining=str(next(left)))

    api = client(handler, Limits(reserve_share=0.2), clock=clock)
    assert api.rate_limit is None
    for _ in range(3):
        api.get("/things")
        clock.now += 10
    assert clock.slept == []
    assert api.rate_limit == RateLimit(total=50, remaining=9)
    api.get("/things")
    api.get("/things")
    assert clock.slept == [pytest.approx(30)]


@pytest.mark.parametrize(("ends_in", "waits"), [(20, 20), (-5, 60), (100_000, 60)])
def test_a_window_ends_when_the_answer_says_and_else_after_a_minute(ends_in: float, waits: float) -> None:
    clock = Time()
    reset = str(datetime.now(UTC).timestamp() + ends_in)

    def handler(_: httpx.Request) -> httpx.Response:
        return json_response(RateLimit_Limit="2000", RateLimit_Remaining="150", RateLimit_Reset=reset)

    api = client(handler, Limits(reserve_share=0.1), clock=clock)
    api.get("/things")
    assert api.rate_limit == RateLimit(total=2000, remaining=150)
    api.get("/things")
    assert clock.slept == [pytest.approx(waits, abs=2)]


def test_an_unreadable_rate_limit_is_ignored() -> None:
    api = client(answers(json_response(X_RateLimit_Total="many", X_RateLimit_Remaining="few")))
    api.get("/things")
    assert api.rate_limit is None


def test_requests_per_minute_and_delay_are_kept() -> None:
    clock = Time()
    per_minute = client(answers(json_response()), Limits(requests_per_minute=3), clock=clock)
    for _ in range(4):
        per_minute.get("/things")
    assert sum(clock.slept) == pytest.approx(60, abs=0.1)
    clock.slept.clear()
    delayed = client(answers(json_response()), Limits(request_delay=2, requests_per_minute=30), clock=clock)
    for _ in range(3):
        delayed.get("/things")
    assert sum(clock.slept) == pytest.approx(4, abs=0.1)


def test_each_route_has_a_number_of_requests_in_a_minute_of_its_own() -> None:
    clock = Time()
    api = client(answers(json_response()), clock=clock)
    for number in range(5):
        api.get("/history", {"page": number}, per_minute=5)
        api.get(f"/things/{number}", route="things", per_minute=5)
    assert clock.slept == []
    api.get("/things/6", route="things", per_minute=5)
    assert sum(clock.slept) == pytest.approx(60, abs=0.1)


def test_a_route_whose_limit_is_used_up_waits_as_long_as_the_answer_says() -> None:
    clock = Time()
    left = iter([1, 0, 4, 4])

    def handler(_: httpx.Request) -> httpx.Response:
        return json_response(X_RateLimit_Remaining=str(next(left)), X_RateLimit_Reset_After="4.5")

    api = client(handler, clock=clock)
    api.get("/messages/1", route="messages")
    api.get("/messages/2", route="messages")
    api.get("/members")
    assert clock.slept == []
    api.get("/messages/3", route="messages")
    assert clock.slept == [4.5]


@pytest.mark.usefixtures("no_backoff")
def test_a_failure_told_in_a_good_answer_is_tried_again() -> None:
    handler = answers(json_response({"ok": False, "error": "internal_error"}), json_response({"ok": True}))
    api = client(handler, failure_of=lambda body: None if body["ok"] else body["error"])
    assert api.get("/things").body == {"ok": True}
    always = client(
        answers(json_response({"ok": False, "error": "internal_error"})), failure_of=lambda body: "worn out"
    )
    with pytest.raises(SourceError, match="worn out"):
        always.get("/things")


def test_map_keeps_order_bounds_concurrency_and_reads_items_lazily() -> None:
    lock = threading.Lock()
    running = most = 0
    gate = threading.Barrier(3)

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(5)
        with lock:
            running -= 1
        return json_response(request.url.path)

    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(300):
            read.append(number)
            yield number

    api = client(handler, Limits(max_concurrent_requests=3))
    results = api.map(lambda number: api.get(f"/{number}").body, items())
    assert [next(results) for _ in range(3)] == ["/0", "/1", "/2"]
    assert len(read) < 10
    assert list(results) == [f"/{number}" for number in range(3, 300)]
    assert most == 3
    api.close()


@pytest.mark.parametrize("setting", [{"page_size": 0}, {"page_size": 101}, {"timeout": 0}, {"speed": 1}])
def test_limits_out_of_bounds_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(setting)
