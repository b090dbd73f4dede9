"""Access tokens of Zoho: one for each set of credentials in this process, whoever asks.

What belongs here: how a refresh token becomes an access token, and what its refusal means. Zoho allows ten access
tokens for each refresh token in ten minutes, so all assets and tenants with the same credentials share one. Tokens are
kept in memory only.
"""

import re
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import httpx

from sync_assets.errors import SourceError
from sync_assets.hashing import digest

_PATH = "/oauth/v2/token"
# Renewed so long before its end that a request under way is not overtaken, in seconds.
_MARGIN = 60.0
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,39}")


@dataclass(repr=False)
class _Token:
    """The access token of one set of credentials; times in seconds of the clock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: str = ""
    renew_at: float = 0.0


_TOKENS: dict[str, _Token] = {}


class TokenAuth(httpx.Auth):
    """Puts the access token and the organisation on each request, and renews the token where it is due.

    Args:
        setting: where the account is configured, for remedies (`tenants.acme.zoho_desk`).
        accounts_url: root of the accounts server of the data centre, without a trailing slash.
        org_id: sent as `orgId`, but not with the list of organisations.
        clock: seconds that only grow.

    Raises (when a request is made):
        SourceError: Zoho refuses the credentials, or refuses a token that it gave just before.
    """

    def __init__(
        self,
        *,
        setting: str,
        accounts_url: str,
        org_id: str,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._setting = setting
        self._url = f"{accounts_url}{_PATH}"
        self._org_id = org_id
        self._form = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": refresh_token,
        }
        self._clock = clock
        # A digest for a key, so that no secret stands in a structure that somebody may print.
        self._token = _TOKENS.setdefault(digest([self._url, self._form]), _Token())

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token; after a 401 once more with a new one.

        Where the accounts server is in passing trouble, its answer stands for the request's: the client tries again.
        """
        if not request.url.path.endswith("/organizations"):
            request.headers["orgId"] = self._org_id
        refused: str | None = None
        while True:
            token = yield from self._current(refused)
            if token is None:
                return
            request.headers["Authorization"] = f"Zoho-oauthtoken {token}"
            response = yield request
            if response.status_code != 401:
                return
            if refused is not None:
                raise SourceError(
                    f"{request.url.host} refuses the token that {httpx.URL(self._url).host} gave.",
                    f"Check {self._setting}.data_center and the scopes of {self._setting}.refresh_token.",
                )
            refused = token

    def _current(self, refused: str | None) -> Generator[httpx.Request, httpx.Response, str | None]:
        """The token to use, one that is not `refused`; None where the accounts server is in passing trouble."""
        with self._token.lock:
            if self._token.value in ("", refused) or self._clock() >= self._token.renew_at:
                response = yield httpx.Request("POST", self._url, data=self._form)
                if response.status_code == 429 or response.status_code >= 500:
                    return None
                response.read()
                self._take(response)
            return self._token.value

    def _take(self, response: httpx.Response) -> None:
        """Keep the token of an answer. Refusals come with status 200 as well."""
        try:
            body: Any = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or ("error" not in body and "access_token" not in body):
            raise SourceError(
                f"{self._setting}: {response.url.host} answered {_PATH} ({response.status_code}) without a token.",
                f"Check {self._setting}.data_center, and base_url where it is set.",
            )
        if "error" in body:
            raise self._refusal(body["error"])
        value, lifetime = body["access_token"], body.get("expires_in", 3600)
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise SourceError(f"{self._setting}: {response.url.host} gave an unreadable token.", "Try again later.")
        seconds = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else 3600.0
        self._token.value = value
        self._token.renew_at = self._clock() + seconds - min(_MARGIN, seconds / 10)

    def _refusal(self, error: Any) -> SourceError:
        code = error if isinstance(error, str) and _CODE.fullmatch(error) else "an unknown error"
        host = httpx.URL(self._url).host
        match code:
            case "invalid_client" | "invalid_client_secret":
                remedy = (
                    f"Check {self._setting}.client_id and client_secret, and that data_center is the one where this "
                    "client was registered."
                )
            case "invalid_code":
                remedy = (
                    f"{self._setting}.refresh_token is wrong, revoked or of another data centre than "
                    f"{self._setting}.data_center: grant access anew."
                )
            case "Access Denied" | "access_denied":
                remedy = (
                    f"Too many tokens were asked for with {self._setting}.refresh_token (ten in ten minutes are "
                    "allowed): wait ten minutes, and let no other program use it."
                )
            case _:
                remedy = f"Check client_id, client_secret, refresh_token and data_center below {self._setting}."
        return SourceError(f"{self._setting}: {host} gave no access token: {code}.", remedy)
