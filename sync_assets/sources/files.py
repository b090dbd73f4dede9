"""Files at addresses that upstream names: fetched from chosen hosts only, and never longer than asked for.

What belongs here: how bytes are had. Which address a file has, and what may ask for it, is each source's own.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import httpx

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.http import Limits
from sync_assets.sources.retries import retrying

_REDIRECTS = 5


class FileClient:
    """Reads files for one account. Safe to use from several threads.

    Args:
        home: root of the account's own API; it is always asked, with credentials.
        hosts: patterns of further hosts that are asked, without credentials.
        setting: where `hosts` stand, for remedies (`tenants.acme.freshdesk.attachment_hosts`).
        auth: credentials for `home`.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        home: str,
        *,
        hosts: Sequence[str],
        setting: str,
        limits: Limits,
        auth: httpx.Auth | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._home = httpx.URL(home)
        self._hosts = list(hosts)
        self._setting = setting
        self._auth = auth
        self._http = httpx.Client(timeout=limits.timeout, transport=transport)
        self._retry = retrying(limits.max_attempts, limits.total_timeout, limits.max_retry_wait)

    def read(self, url: str, max_bytes: int) -> bytes:
        """The bytes at an address.

        Raises:
            FileUnavailable: the host is not one that is asked, or it refused, or there are more than `max_bytes`.
            SourceError: no answer after all attempts.
        """
        try:
            return self._retry(_may_pass, self._read, url, max_bytes)
        except (httpx.HTTPError, _Busy) as error:
            raise SourceError(
                f"A file at {httpx.URL(url).host} could not be fetched ({type(error).__name__}, after retries).",
                "Try again later; if it stays so, check the network.",
            ) from None

    def close(self) -> None:
        self._http.close()

    def _read(self, url: str, max_bytes: int) -> bytes:
        for _ in range(_REDIRECTS + 1):
            address = self._checked(url)
            own = address.netloc == self._home.netloc and address.scheme == self._home.scheme
            request = self._http.build_request("GET", address)
            response = self._http.send(request, stream=True, auth=self._auth if own else None)
            try:
                if response.next_request is None:
                    return _body(response, max_bytes)
                url = str(response.next_request.url)
            finally:
                response.close()
        raise FileUnavailable(f"its address leads on more than {_REDIRECTS} times")

    def _checked(self, url: str) -> httpx.URL:
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            raise FileUnavailable("its address is no URL") from None
        if address.netloc == self._home.netloc and address.scheme == self._home.scheme:
            return address
        if address.scheme != "https" or not any(fnmatchcase(address.host, pattern) for pattern in self._hosts):
            raise FileUnavailable(f"it lies at {address.host or 'no host'}, which {self._setting} does not name")
        return address


class _Busy(Exception):
    """An answer that may be another one later."""


def _body(response: httpx.Response, max_bytes: int) -> bytes:
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise _Busy
    if not response.is_success:
        raise FileUnavailable(f"{response.url.host} refused it with status {response.status_code}")
    found = bytearray()
    for block in response.iter_bytes():
        found += block
        if len(found) > max_bytes:
            raise FileUnavailable(f"it has more than max_bytes={max_bytes}")
    return bytes(found)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, (httpx.TransportError, _Busy))
