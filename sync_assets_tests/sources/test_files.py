from collections.abc import Iterator

import httpx
import pytest
import stamina

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.files import FileClient
from sync_assets.sources.http import Limits

SECRET = "key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


class Web:
    """Answers by address; keeps what it was asked."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers[request.url.path.strip("/")]


def client(web: Web) -> FileClient:
    return FileClient(
        "https://acme.desk.example/api",
        hosts=["*.files.example"],
        setting="tenants.acme.desk.attachment_hosts",
        limits=Limits(),
        auth=httpx.BasicAuth(SECRET, "X"),
        transport=httpx.MockTransport(web),
    )


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


def test_an_outage_is_tried_again_and_then_told_without_the_address() -> None:
    web = Web(offer=httpx.Response(503))
    with pytest.raises(SourceError, match=r"acme\.desk\.example could not be fetched") as caught:
        client(web).read("https://acme.desk.example/offer?signature=secret", 5)
    assert "signature" not in str(caught.value)
    assert len(web.asked) == 3


def test_a_circle_of_redirects_ends() -> None:
    web = Web(offer=moved("https://acme.desk.example/offer"))
    with pytest.raises(FileUnavailable, match="leads on"):
        client(web).read("https://acme.desk.example/offer", 5)
