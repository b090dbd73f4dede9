"""One Zoho Desk account as it is served: its records, tokens, credits, faults and log."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from sync_assets.demo.faults import Faults
from sync_assets.demo.zoho_desk_protocol import ZohoData, ZohoRefusal
from sync_assets.demo.zoho_desk_tokens import Tokens

_DAY = 86_400


@dataclass(frozen=True)
class ZohoLimits:
    """What an account may ask for.

    Attributes:
        credits_per_day: credits in a calendar day; a list costs three, anything else one.
        tokens_per_window: access tokens for its refresh token in ten minutes.
    """

    credits_per_day: int = 100_000
    tokens_per_window: int = 10


class ZohoDesk:
    """One Zoho Desk account: what it holds now, its tokens and credits, its faults and its log.

    Attributes:
        data: the present records.
        requests: answered requests by method and path template, such as `GET /api/v1/tickets/{id}`.
    """

    def __init__(self, start: ZohoData) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: records, tokens, faults, counts and credits."""
        self.data = deepcopy(self._start)
        self.tokens = Tokens()
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self._day = 0
        self._used = 0

    def spend(self, weight: int, per_day: int, moment: datetime) -> dict[str, str]:
        """Take `weight` from the present day's credits; returns the headers that say so.

        Raises:
            ZohoRefusal: 429, where the day's credits are spent.
        """
        day, second = divmod(int(moment.timestamp()), _DAY)
        if day != self._day:
            self._day, self._used = day, 0
        allowed = self._used + weight <= per_day
        self._used += weight if allowed else 0
        headers = {
            "X-Rate-Limit-Remaining-v3": str(per_day - self._used),
            "X-Rate-Limit-Request-Weight-v3": str(weight),
        }
        if not allowed:
            raise too_many(_DAY - second, headers)
        return headers


def too_many(seconds: int, headers: Mapping[str, str] | None = None) -> ZohoRefusal:
    """Zoho's 429, which asks to wait."""
    body = {"errorCode": "TOO_MANY_REQUESTS", "message": "The limit of API credits is exceeded."}
    return ZohoRefusal(429, body, {**(headers or {}), "Retry-After": str(seconds)})
