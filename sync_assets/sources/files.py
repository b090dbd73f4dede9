"""Files at addresses that upstream names: fetched from chosen hosts only, and never longer than asked for.

What belongs here: how bytes are had. Which address a file has, and what may ask for it, is each source's own.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase

import httpx

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.http import ApiClient, Limits, Timer, retry_after, trusted
from sync_assets.sources.retries import retrying

_REDIRECTS = 5


class FileClient:
    """Reads files for one account. Safe to use from several threads.

    Args:
        home: root of the account's own API; it is always asked, with credentials.
        hosts: patterns of further hosts that are asked, without credentials.
        setting: where `hosts` stand, for remedies (`tenants.acme.freshdesk.attachment_hosts`).
        auth: credentials for `home`.
        account: client of the account, whose turns the requests to `home` wait for.
        timer: tells how long a file takes.
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
        account: ApiClient | None = None,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._home = httpx.URL(home)
        self._hosts = list(hosts)
        self._setting = setting
        self._limits = limits
        self._auth = auth
        self._account = account
        self._timer = timer
        self._http = httpx.Client(timeout=limits.timeout, transport=transport, verify=trusted())
        self._retry = retrying(limits.max_attempts, limits.total_timeout, limits.max_retry_wait)
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    def read(self, url: str, max_bytes: int) -> bytes:
        """The bytes at an address.

        Raises:
            FileUnavailable: the host is not one that is asked, it refused or failed after all attempts, or there are
                more than `max_bytes`.
            SourceError: the account's own host can't be connected to, or `limits.breaker_failures` files in a row
                failed, which is no matter of one file any more.
        """
        try:
            found = self._retry(self._wait_before_retry, self._read, url, max_bytes)
        except _Failed as error:
            raise self._failure(error) from None
        except FileUnavailable:
            self._failed_in_a_row = 0
            raise
        self._failed_in_a_row = 0
        return found

    def close(self) -> None:
        self._http.close()

    def _read(self, url: str, max_bytes: int) -> bytes:
        for _ in range(_REDIRECTS + 1):
            address = self._checked(url)
            try:
                with self._answer(address) as response:
                    if response.next_request is None:
                        return self._body(response, max_bytes)
                    url = str(response.next_request.url)
            except httpx.RequestError as error:
                away = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and self._is_own(address)
                raise _Failed(address.host, type(error).__name__, is_outage=away) from None
        raise FileUnavailable(f"its address leads on more than {_REDIRECTS} times")

    def _checked(self, url: str) -> httpx.URL:
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            raise FileUnavailable("its address is no URL") from None
        if self._is_own(address):
            return address
        if address.scheme != "https" or not any(fnmatchcase(address.host, pattern) for pattern in self._hosts):
            raise FileUnavailable(f"it lies at {address.host or 'no host'}, which {self._setting} does not name")
        return address

    def _is_own(self, address: httpx.URL) -> bool:
        return address.netloc == self._home.netloc and address.scheme == self._home.scheme

    @contextmanager
    def _answer(self, address: httpx.URL) -> Iterator[httpx.Response]:
        """The answer, its body still to be read; the turn lasts until it is."""
        own = self._is_own(address)
        account = self._account if own else None
        with account.turn() if account else nullcontext():
            request = self._http.build_request("GET", address)
            response = self._http.send(request, stream=True, auth=self._auth if own else None)
            try:
                if account:
                    account.note(response.headers)
                yield response
            finally:
                response.close()

    def _body(self, response: httpx.Response, max_bytes: int) -> bytes:
        host, status = response.url.host, response.status_code
        if status in (408, 429) or status >= 500:
            raise _Failed(host, f"status {status}", retry_after=retry_after(response.headers))
        if not response.is_success:
            raise FileUnavailable(f"{host} refused it with status {status}")
        found = bytearray()
        deadline = self._timer.clock() + self._limits.total_timeout
        for block in response.iter_bytes():
            found += block
            if len(found) > max_bytes:
                raise FileUnavailable(f"it has more than max_bytes={max_bytes}")
            if self._timer.clock() > deadline:
                raise FileUnavailable(f"it takes longer than limits.total_timeout, {self._limits.total_timeout:g} s")
        return bytes(found)

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if not isinstance(error, _Failed):
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self._limits.max_retry_wait else False

    def _failure(self, error: "_Failed") -> FileUnavailable | SourceError:
        with self._lock:
            self._failed_in_a_row += 1
            is_outage = error.is_outage or self._failed_in_a_row >= self._limits.breaker_failures
        if not is_outage:
            return FileUnavailable(f"{error.host} does not give it ({error}, after retries)")
        return SourceError(
            f"A file at {error.host} could not be fetched ({error}, after retries).",
            "Try again later; if it stays so, check the network. If only a few files fail, raise "
            "limits.breaker_failures, which counts those in a row.",
        )


class _Failed(Exception):
    """One attempt brought nothing, and another may."""

    def __init__(self, host: str, reason: str, *, is_outage: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.host = host
        self.is_outage = is_outage
        self.retry_after = retry_after
