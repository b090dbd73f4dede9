from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.files import FileClient
from sync_assets.sources.http import ApiClient, Limits, Timer

SECRET = "key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


class Web:
    """Answers by address; keeps what it was asked."""

    def __init__(self, **answers: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[request.url.path.strip("/")]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer()


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.now += seconds

    @property
    def timer(self) -> Timer:
        return Timer(lambda: self.now, self.wait)


def client(
    web: Web, limits: Limits | None = None, account: ApiClient | None = None, timer: Timer | None = None
) -> FileClient:
    return FileClient(
        "https://acme.desk.example/api",
        hosts=["*.files.example"],
        setting="tenants.acme.desk.attachment_hosts",
        limits=limits or Limits(),
        auth=httpx.BasicAuth(SECRET, "X"),
        account=account,
        timer=timer or Timer(),
        transport=httpx.MockTransport(web),
    )


def api(limits: Limits, timer: Timer) -> ApiClient:
    """A client of the same account; of a tenant of its own, since accounts share their turns."""
    return ApiClient(uuid4().hex, "https://acme.desk.example/api", setting="x", limits=limits, timer=timer)


def moved(url: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": url})


def test_a_file_of_the_accounts_own_host_is_asked_for_with_its_credentials() -> None:
    web = Web(offer=httpx.Response(200, content=b"12345"))
    assert client(web).read("https://acme.desk.example/offer", 5) == b"12345"
    assert "Authorization" in web.asked[0].headers


def test_other_hosts_get_no_credentials_also_after_a_redirect() -> None:
    web = Web(offer=moved("https://eu.files.example/there"), there=httpx.Response(200, content=b"x"))
    assert client(web).read("https://acme.desk.example/offer", 5) == b"x"
    assert ["Authorization" in request.headers for request in web.asked] == [True, False]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/offer",
        "https://files.example.evil.example/offer",
        "http://eu.files.example/offer",
        "http://acme.desk.example/offer",
        "https://169.254.169.254/offer",
        "file:///etc/passwd",
        "https://",
        "offer",
    ],
)
def test_hosts_that_nobody_named_are_not_asked(url: str) -> None:
    web = Web(offer=moved(url))
    with pytest.raises(FileUnavailable):
        client(web).read(url, 5)
    assert web.asked == []
    with pytest.raises(FileUnavailable):
        client(Web(offer=httpx.Response(302, headers={"Location": url}), **{"": moved(url)})).read(
            "https://acme.desk.example/offer", 5
        )


def test_a_file_that_is_too_long_is_not_read_to_its_end() -> None:
    blocks = iter([b"x" * 100] * 1000)
    taken = 0

    def stream() -> Iterator[bytes]:
        nonlocal taken
        for block in blocks:
            taken += 1
            yield block

    with pytest.raises(FileUnavailable, match="max_bytes=250"):
        client(Web(offer=httpx.Response(200, content=stream()))).read("https://acme.desk.example/offer", 250)
    assert taken <= 4


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refused_file_is_a_matter_of_that_file(status: int) -> None:
    with pytest.raises(FileUnavailable, match=str(status)) as caught:
        client(Web(offer=httpx.Response(status))).read("https://acme.desk.example/offer", 5)
    assert SECRET not in str(caught.value)


BROKEN = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503),
        httpx.Response(302, headers={"Location": "https://acme.desk.example:notaport/x"}),
        lambda: httpx.Response(200, headers=BROKEN, stream=httpx.ByteStream(b"no gzip at all")),
        httpx.RemoteProtocolError("x"),
    ],
    ids=["5xx", "location", "gzip", "protocol"],
)
def test_a_file_that_always_fails_is_a_matter_of_that_file(answer: Any) -> None:
    web = Web(offer=answer, good=httpx.Response(200, content=b"x"))
    files = client(web)
    for _ in range(8):
        with pytest.raises(FileUnavailable, match=r"acme\.desk\.example does not give it") as caught:
            files.read("https://acme.desk.example/offer?signature=secret", 5)
        assert "signature" not in str(caught.value)
        assert files.read("https://acme.desk.example/good", 5) == b"x"
    assert sum(request.url.path == "/offer" for request in web.asked) == 8 * 3


def test_files_that_fail_one_after_the_other_are_an_outage() -> None:
    files = client(Web(offer=httpx.Response(503)), Limits(breaker_failures=3))
    for _ in range(2):
        with pytest.raises(FileUnavailable):
            files.read("https://acme.desk.example/offer", 5)
    with pytest.raises(SourceError, match=r"acme\.desk\.example could not be fetched \(status 503"):
        files.read("https://acme.desk.example/offer", 5)


def test_an_account_that_cannot_be_connected_to_is_an_outage_and_another_host_is_not() -> None:
    web = Web(offer=httpx.ConnectError("x"), there=moved("https://eu.files.example/offer"))
    with pytest.raises(SourceError, match=r"acme\.desk\.example could not be fetched \(ConnectError"):
        client(web).read("https://acme.desk.example/offer", 5)
    with pytest.raises(FileUnavailable, match=r"eu\.files\.example does not give it"):
        client(web).read("https://acme.desk.example/there", 5)


def test_files_of_the_account_wait_for_its_turns_and_others_do_not() -> None:
    clock, limits = Clock(), Limits(request_delay=2)
    web = Web(offer=httpx.Response(200, content=b"x"))
    files = client(web, limits, api(limits, clock.timer))
    for _ in range(3):
        files.read("https://eu.files.example/offer", 5)
    assert clock.now == 0
    for _ in range(3):
        files.read("https://acme.desk.example/offer", 5)
    assert clock.now == pytest.approx(4, abs=0.1)


def test_files_of_the_account_take_its_slots() -> None:
    together = Barrier(2, timeout=0.3)
    met = False

    class Meeting(Web):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            nonlocal met
            try:
                together.wait()
                met = True
            except BrokenBarrierError:
                pass
            return super().__call__(request)

    limits = Limits(max_concurrent_requests=1)
    files = client(Meeting(offer=httpx.Response(200, content=b"x")), limits, api(limits, Clock().timer))
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda url: files.read(url, 5), ["https://acme.desk.example/offer"] * 2)) == [b"x"] * 2
    assert not met


def test_what_an_answer_says_of_the_accounts_limit_holds_for_files_too() -> None:
    clock, limits = Clock(), Limits()
    headers = {"X-RateLimit-Total": "100", "X-RateLimit-Remaining": "1"}
    files = client(Web(offer=httpx.Response(200, content=b"x", headers=headers)), limits, api(limits, clock.timer))
    files.read("https://acme.desk.example/offer", 5)
    assert clock.waits == []
    files.read("https://acme.desk.example/offer", 5)
    assert clock.waits == [60.0]


def test_a_wait_that_is_asked_for_and_too_long_is_not_waited_for() -> None:
    web = Web(offer=httpx.Response(429, headers={"Retry-After": "500"}))
    with pytest.raises(FileUnavailable, match="status 429"):
        client(web, Limits(max_retry_wait=100)).read("https://acme.desk.example/offer", 5)
    assert len(web.asked) == 1


def test_a_file_that_comes_too_slowly_is_given_up() -> None:
    clock = Clock()

    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            clock.now += 29
            yield b"x"

    with pytest.raises(FileUnavailable, match=r"limits\.total_timeout, 300 s"):
        client(Web(offer=httpx.Response(200, content=drip())), timer=clock.timer).read(
            "https://acme.desk.example/offer", 5000
        )
    assert clock.now < 400


def test_a_circle_of_redirects_ends() -> None:
    web = Web(offer=moved("https://acme.desk.example/offer"))
    with pytest.raises(FileUnavailable, match="leads on"):
        client(web).read("https://acme.desk.example/offer", 5)
