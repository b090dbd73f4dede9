"""Discord's limits of requests: per route and channel or guild, and of the whole bot."""

import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sync_assets.demo.records import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Key = tuple[str, str]

MESSAGES = "GET /api/v10/channels/{channel}/messages"


class DiscordRefusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


@dataclass(frozen=True)
class DiscordLimits:
    """What a bot may ask for.

    Attributes:
        messages: listings of one channel's messages in `window`.
        others: requests of any other route, for one channel or guild, in `window`.
        window: seconds, from the first request that is counted.
        per_second: requests of the bot in a second, over all routes.
    """

    messages: int = 5
    others: int = 10
    window: float = 5.0
    per_second: int = 50


@dataclass
class Buckets:
    """The requests counted so far."""

    _windows: dict[_Key, tuple[datetime, int]] = field(default_factory=dict[_Key, tuple[datetime, int]])

    def take(self, limits: DiscordLimits, template: str, major: str, moment: datetime) -> dict[str, str]:
        """Count one request; returns the headers that say what is left.

        Args:
            template: method and path template of the route.
            major: id of the channel or guild that the route's requests are counted by; empty for none.

        Raises:
            DiscordRefusal: 429, where the route's or the bot's requests are spent.
        """
        overall = self._count(("", ""), limits.per_second, timedelta(seconds=1), moment)
        if overall.left < 0:
            headers = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
            raise too_many(_seconds(overall.ends - moment), headers, everywhere=True)
        limit = limits.messages if template == MESSAGES else limits.others
        bucket = self._count((template, major), limit, timedelta(seconds=limits.window), moment)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(bucket.left, 0)),
            "X-RateLimit-Reset": str(_seconds(bucket.ends - _EPOCH)),
            "X-RateLimit-Reset-After": str(_seconds(bucket.ends - moment)),
            "X-RateLimit-Bucket": hashlib.md5(template.encode(), usedforsecurity=False).hexdigest(),
        }
        if bucket.left < 0:
            raise too_many(_seconds(bucket.ends - moment), headers | {"X-RateLimit-Scope": "user"})
        return headers

    def _count(self, key: _Key, limit: int, window: timedelta, moment: datetime) -> "_Left":
        began, used = self._windows.get(key, (moment, 0))
        if not began <= moment < began + window:
            began, used = moment, 0
        self._windows[key] = (began, min(used + 1, limit))
        return _Left(limit - used - 1, began + window)


@dataclass(frozen=True)
class _Left:
    """Requests that are left, -1 where there was none, and the moment when there are more."""

    left: int
    ends: datetime


def too_many(seconds: float, headers: dict[str, str] | None = None, everywhere: bool = False) -> DiscordRefusal:
    """Discord's 429, which asks to wait.

    Args:
        seconds: for how long; the header has them rounded up.
        everywhere: whether no route of the bot is answered meanwhile.
    """
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
    # `Via` tells a client that the answer comes from the API, and not from the network in front of it.
    return DiscordRefusal(
        429, body, {**(headers or {}), "Retry-After": str(math.ceil(seconds)), "Via": "1.1 discord.example"}
    )


def _seconds(duration: timedelta) -> float:
    """Seconds to the millisecond, never rounded down: who waits for so long is answered."""
    return -(-duration // timedelta(milliseconds=1)) / 1000
