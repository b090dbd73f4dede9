"""Backlog's limits of requests, by kind and per minute, and its answers other than success."""

import math
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sync_assets.demo.records import Json

Kind = Literal["read", "update", "search", "icon"]

ACCESS_DENIED, NO_RESOURCE, INVALID_REQUEST, AUTHENTICATION, TOO_MANY_REQUESTS = 4, 6, 7, 11, 13

_WINDOW = timedelta(minutes=1)


class BacklogRefusal(Exception):
    """An answer other than success.

    Args:
        status: of HTTP.
        code: Backlog's own number of the error.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"errors": [{"message": message, "code": code, "moreInfo": ""}]}


@dataclass(frozen=True)
class BacklogLimits:
    """What a user may ask for in a minute.

    Attributes:
        read: requests that read, other than these:
        search: lists and counts of issues.
        update, icon: nothing here is counted so; `/rateLimit` says what they would be.
    """

    read: int = 600
    update: int = 150
    search: int = 150
    icon: int = 60


@dataclass
class Windows:
    """The requests counted so far. A window begins with the first request that is counted in it."""

    _windows: dict[Kind, tuple[datetime, int]] = field(default_factory=dict[Kind, tuple[datetime, int]])

    def take(self, limits: BacklogLimits, kind: Kind, moment: datetime) -> bool:
        """Count one request; False where the minute's requests are spent."""
        began, used = self._window(kind, moment)
        allowed = used < getattr(limits, kind)
        self._windows[kind] = began, used + allowed
        return allowed

    def left(self, limits: BacklogLimits, kind: Kind, moment: datetime) -> Json:
        """`limit`, `remaining`, and `reset` in seconds of the epoch, as `/rateLimit` sends them."""
        began, used = self._window(kind, moment)
        limit: int = getattr(limits, kind)
        # Rounded up, so that who waits until then is answered.
        return {"limit": limit, "remaining": limit - used, "reset": math.ceil((began + _WINDOW).timestamp())}

    def all_left(self, limits: BacklogLimits, moment: datetime) -> Json:
        """What is left of every kind."""
        return {kind: self.left(limits, kind, moment) for kind in asdict(limits)}  # pyright: ignore[reportArgumentType]

    def _window(self, kind: Kind, moment: datetime) -> tuple[datetime, int]:
        began, used = self._windows.get(kind, (moment, 0))
        return (began, used) if began <= moment < began + _WINDOW else (moment, 0)
