"""The gate that requests pass: whose key they carry, how often it asked, and which tenant it may name.

What belongs here: the dependencies of routes. A wrong key is answered as none is, and a tenant that a key does not open
as one that does not exist.
"""

import math
import time
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from sync_assets.api.keys import Key
from sync_assets.api.parts import PartsOf
from sync_assets.api.problems import Refusal
from sync_assets.cli.session import log
from sync_assets.errors import SettingsError

_BEARER = HTTPBearer(auto_error=False, description="A tenant's key, or the operator's.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients without Bearer.")


class Rates:
    """How often each key, and each address without one, may ask: counted over the last minute in this process."""

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limit: RateLimitItem = RateLimitItemPerMinute(per_minute)

    def count(self, who: str) -> None:
        """Count a request.

        Raises:
            Refusal: it is one too many.
        """
        if not self._limiter.hit(self._limit, who):
            reset = self._limiter.get_window_stats(self._limit, who).reset_time
            seconds = max(1, math.ceil(reset - time.time()))
            raise Refusal(
                429, f"Only {self._limit.amount} requests a minute. Ask again later.", {"Retry-After": str(seconds)}
            )


def authenticated(
    request: Request,
    parts: PartsOf,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    header: Annotated[str | None, Depends(_HEADER)],
) -> Key:
    """The key of a request.

    Raises:
        Refusal: it has none or a wrong one, two that differ, or asks too often; or the tenants file has a mistake.
    """
    presented = {value for value in (bearer.credentials if bearer else None, header) if value}
    try:
        key = parts.keys.find(presented.pop()) if len(presented) == 1 else None
    except SettingsError as error:  # it names files and tenants, and nobody knows who is asking
        unknown(request, parts)
        log.error("%s %s: %s", request.state.id, type(error).__name__, error)
        raise Refusal(503, "No key can be checked now. The log says why, under this request's id.") from None
    if key is None:
        unknown(request, parts)
        raise Refusal(401, "Send a key as `Authorization: Bearer KEY` or `X-API-Key`.", {"WWW-Authenticate": "Bearer"})
    parts.rates.count(key.id)
    return key


AnyKey = Annotated[Key, Depends(authenticated)]


def _internal(key: AnyKey) -> Key:
    if not key.is_internal:
        raise Refusal(403, "This key is for searches in what is public.")
    return key


def _operator(key: AnyKey) -> Key:
    if not key.is_operator:
        raise Refusal(403, "Only the operator's key may do this.")
    return key


def unknown(request: Request, parts: PartsOf) -> None:
    """Count a request without a key that is known, by its address."""
    parts.rates.count(f"address {request.client.host if request.client else ''}")


InternalKey = Annotated[Key, Depends(_internal)]
OperatorKey = Annotated[Key, Depends(_operator)]


def tenant_of(key: Key, named: str | None) -> str:
    """The tenant that a request is about.

    Raises:
        Refusal: it names one that the key does not open, be there one of that name or not; or none.
    """
    if key.tenant is None:
        if named is None:
            raise Refusal(422, "tenant: the operator's key opens every tenant; name one.")
        return named
    if named not in (None, key.tenant):
        raise Refusal(403, "This key does not open that tenant.")
    return key.tenant
