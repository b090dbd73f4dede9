"""Zoho's account server: access tokens for a refresh token, with the limits that it sets."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from sync_assets.demo.zoho_desk_protocol import ZohoData, ZohoRefusal, refused

LIFETIME = timedelta(hours=1)
_WINDOW = timedelta(minutes=10)


class Tokens:
    """The access tokens that one account has given out, each good for an hour."""

    def __init__(self) -> None:
        self._issued: dict[str, datetime] = {}
        self._ended: set[str] = set()

    def grant(self, account: ZohoData, form: Mapping[str, str], now: datetime, per_window: int) -> dict[str, str | int]:
        """The answer of `/oauth/v2/token`; wrong values are answered with status 200 too.

        Args:
            form: the request's parameters.
            per_window: how many tokens may be had in ten minutes.

        Raises:
            ZohoRefusal: 400, where the refresh token was used too often.
        """
        if form.get("client_id") != account.client_id or form.get("client_secret") != account.client_secret:
            return {"error": "invalid_client"}
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != account.refresh_token:
            return {"error": "invalid_code"}
        if sum(moment > now - _WINDOW for moment in self._issued.values()) >= per_window:
            reason = "Too many requests for this refresh token. Try again later."
            raise ZohoRefusal(400, {"error": "Access Denied", "error_description": reason, "status": "failure"})
        token = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        self._issued[token] = now
        return {
            "access_token": token,
            "api_domain": f"https://www.zohoapis.{account.data_center}",
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
        }

    def check(self, authorization: str, now: datetime) -> None:
        """Let a request pass that has a token which is good now.

        Raises:
            ZohoRefusal: 401, where the header has none.
        """
        scheme, _, token = authorization.partition(" ")
        issued = self._issued.get(token)
        if scheme != "Zoho-oauthtoken" or issued is None or token in self._ended or now >= issued + LIFETIME:
            raise refused(401, "INVALID_OAUTH", "The OAuth Token you provided is invalid.")

    def end(self) -> None:
        """No token is good any more, as when its grant is revoked; they still count against the limit."""
        self._ended.update(self._issued)
