"""What every request to GitLab and its answer pass through on the wire.

What belongs here: the token, addresses that moved, and files that are too large. What does not: which requests there
are (`gitlab_web.py`).
"""

from collections.abc import Generator

import httpx

API = "/api/v4"

_FILES = "/repository/files/"
_MOVED = (301, 308)
_TOO_MANY = 429


class FileTooLarge(Exception):
    """A file's content was not read, since its headers told that there is too much of it.

    Attributes:
        size: in bytes.
    """

    def __init__(self, blob_id: str, size: int) -> None:
        super().__init__(blob_id)
        self.blob_id = blob_id
        self.size = size


class Wire(httpx.Auth):
    """Puts the token on requests, and follows a moved project's address, both on the account's own host only.

    An answer with a file larger than `max_file_bytes` ends before its content. Of those above 10 MB GitLab sends a few
    a minute only, and then refuses without saying until when; their headers it still sends.
    """

    def __init__(self, root: str, token: str, max_file_bytes: int) -> None:
        self._root = httpx.URL(root)
        self._token = token
        self._max_file_bytes = max_file_bytes

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Raises `FileTooLarge` through the client's call."""
        request.headers["PRIVATE-TOKEN"] = self._token
        response = yield request
        target = request.url.join(response.headers.get("Location", ""))
        if response.status_code in _MOVED and self.is_ours(target):
            response = yield httpx.Request("GET", target, headers=request.headers)
        if _FILES not in request.url.path:
            return
        if response.status_code == _TOO_MANY and "Retry-After" not in response.headers:
            response = yield httpx.Request("HEAD", response.request.url, headers=request.headers)
        self._check_size(response)

    def is_ours(self, url: httpx.URL) -> bool:
        """Whether an address is below the account's own, so that the token may be sent there."""
        root = self._root
        below = url.path.startswith(f"{root.path.rstrip('/')}{API}/")
        return (url.scheme, url.host, url.port, below) == (root.scheme, root.host, root.port, True)

    def _check_size(self, response: httpx.Response) -> None:
        blob_id, size = (response.headers.get(f"X-Gitlab-{name}", "") for name in ("Blob-Id", "Size"))
        if response.is_success and blob_id and size.isdecimal() and int(size) > self._max_file_bytes:
            raise FileTooLarge(blob_id, int(size))
