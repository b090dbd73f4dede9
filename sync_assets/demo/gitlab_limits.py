"""GitLab's refusals, and its limits of requests."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sync_assets.demo.records import Json


class GitLabRefusal(Exception):
    """An answer other than success; a text body is sent as plain text."""

    def __init__(self, status: int, body: Json | str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


@dataclass(frozen=True)
class GitLabLimits:
    """What a token may ask for.

    Attributes:
        requests: all requests in `window`.
        project_requests: requests for a project itself (`/projects/:id`) in `window`; the headers do not tell it.
        window: seconds, from the first request that is counted.
        per_page: most rows of a page; more may be asked for and are not sent.
        counted_rows: a longer listing comes without its totals.
        max_offset: rows that a listing of projects may skip by page numbers.
    """

    requests: int = 2000
    project_requests: int = 400
    window: float = 60.0
    per_page: int = 100
    counted_rows: int = 10_000
    max_offset: int = 50_000


@dataclass
class Throttle:
    """The requests counted so far, by what is limited."""

    _windows: dict[str, tuple[datetime, int]] = field(default_factory=dict[str, tuple[datetime, int]])

    def take(self, limits: GitLabLimits, moment: datetime) -> dict[str, str]:
        """Count one request of the token; returns the headers that say what is left.

        Raises:
            GitLabRefusal: 429, where the requests are spent.
        """
        used, ends = self._count("token", limits.window, moment)
        reset = math.ceil(ends.timestamp())
        headers = {
            "RateLimit-Limit": str(limits.requests),
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": str(used),
            "RateLimit-Remaining": str(max(limits.requests - used, 0)),
            "RateLimit-Reset": str(reset),
            "RateLimit-ResetTime": datetime.fromtimestamp(reset, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        if used > limits.requests:
            raise too_many(math.ceil((ends - moment).total_seconds()), headers)
        return headers

    def take_project(self, limits: GitLabLimits, moment: datetime) -> None:
        """Count one request for a project itself.

        Raises:
            GitLabRefusal: 429, in the words of a limit that the headers do not tell.
        """
        used, _ = self._count("project", limits.window, moment)
        if used > limits.project_requests:
            message = "This endpoint has been requested too many times. Try again later."
            raise GitLabRefusal(429, {"message": {"error": message}})

    def _count(self, key: str, window: float, moment: datetime) -> tuple[int, datetime]:
        began, used = self._windows.get(key, (moment, 0))
        if not began <= moment < began + timedelta(seconds=window):
            began, used = moment, 0
        self._windows[key] = (began, used + 1)
        return used + 1, began + timedelta(seconds=window)


def too_many(seconds: int, headers: dict[str, str] | None = None) -> GitLabRefusal:
    """GitLab's 429, which asks to wait for so long."""
    return GitLabRefusal(429, "Retry later\n", {**(headers or {}), "Retry-After": str(seconds)})


def refused(status: int, message: str) -> GitLabRefusal:
    """A refusal in GitLab's usual form: the status and words such as `Forbidden`."""
    return GitLabRefusal(status, {"message": f"{status} {message}"})


def no_keyset() -> GitLabRefusal:
    return GitLabRefusal(405, {"error": "Keyset pagination is not yet available for this type of request"})
