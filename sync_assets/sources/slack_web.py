"""Slack's Web API: which requests bring channels, days, threads, members and names.

What belongs here: methods, cursors, error codes and the pace that Slack allows. What does not: which channels are
wanted and what becomes of their messages (`slack.py`), retries and limits (`http.py`).
"""

from collections.abc import Generator, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any

import httpx
from pydantic import SecretStr

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.files import FileClient
from sync_assets.sources.http import ApiClient, Limits, Timer
from sync_assets.sources.slack_files import HOME, download
from sync_assets.sources.slack_messages import (
    Channel,
    ChannelUnreadable,
    Day,
    Thread,
    created_at,
    moment,
    once,
    problem_of,
    shown_name,
)

Json = dict[str, Any]
Params = dict[str, str | int]

_ROOT = "https://slack.com"
_PAGE = 200
_NEWEST = 15  # messages that every app may ask for at once
_EPOCH = date(1970, 1, 1)
# Calls of one method that a workspace allows in a minute, by the method's tier (docs.slack.dev, "Rate limits"); of the
# two that list messages the settings say how many.
_PER_MINUTE = {
    "auth.test": 100,
    "conversations.list": 20,
    "users.list": 20,
    "conversations.info": 50,
    "conversations.members": 100,
    "users.info": 100,
    "files.info": 100,
}
_PASSING = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited", "rate_limited"}
_WRONG_TOKEN = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
_CHANNEL_CLOSED = {"not_in_channel", "channel_not_found"}
_NO_THREAD = "thread_not_found"
_STRANGER = {"user_not_found", "user_not_visible", "users_not_found"}


class WebWorkspace:
    """A workspace through the Web API, opened for one run. See `slack_messages.Workspace` for the contract."""

    has_files = True

    def __init__(
        self,
        tenant: str,
        *,
        token: SecretStr,
        private: bool,
        base_url: str | None,
        history_per_minute: int,
        limits: Limits,
        timer: Timer,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._tenant = tenant
        self._setting = f"tenants.{tenant}.slack"
        self._history_per_minute = history_per_minute
        self._types = "public_channel,private_channel" if private else "public_channel"
        self._api = ApiClient(
            tenant,
            base_url or _ROOT,
            setting=self._setting,
            limits=limits,
            auth=_Bearer(token),
            credential="token",
            transport=transport,
            timer=timer,
            failure_of=_passing_failure,
        )
        self._files = FileClient(
            base_url or HOME,
            hosts=[],
            setting=f"{self._setting}.base_url",
            limits=limits,
            auth=_Bearer(token),
            account=self._api,
            transport=transport,
        )
        self._address: str | None = None
        self._channels: dict[str, Channel] | None = None
        self._unlisted: dict[str, Channel | None] = {}
        self._members: dict[str, list[str]] = {}
        self._names: dict[str, str | None] | None = None

    def check(self) -> str:
        account = self._call("auth.test")
        return (
            f"{_host(account.get('url')) or self._api.host}, workspace {account.get('team')}, as {account.get('user')}"
        )

    def address(self) -> str:
        if self._address is None:
            url = self._call("auth.test").get("url")
            self._address = url.rstrip("/") if isinstance(url, str) and url.startswith("http") else _ROOT
        return self._address

    def channels(self) -> dict[str, Channel]:
        if self._channels is None:
            rows = self._pages("conversations.list", "channels", {"types": self._types, "exclude_archived": "false"})
            found = [self._channel(row) for row in rows]
            self._channels = {channel.id: channel for channel in found}
        return self._channels

    def unlisted(self, channel_id: str) -> Channel | None:
        if channel_id not in self._unlisted:
            self._unlisted[channel_id] = self._asked_for(channel_id)
        return self._unlisted[channel_id]

    def begins(self) -> date | None:
        return None

    def members(self, channel_id: str) -> list[str]:
        if channel_id not in self._members:
            with _ChannelErrors():
                rows = list(self._pages("conversations.members", "members", {"channel": channel_id}))
            self._members[channel_id] = sorted({row for row in rows if isinstance(row, str)})
        return self._members[channel_id]

    def name_of(self, user_id: str) -> str | None:
        if self._names is None:
            rows = self._pages("users.list", "members", {})
            self._names = {str(row.get("id")): shown_name(row) for row in rows if isinstance(row, dict)}
        if user_id not in self._names:
            self._names[user_id] = self._name_of_stranger(user_id)
        return self._names[user_id]

    def days(self, channel_id: str, first: date, last: date) -> Iterator[Day]:
        bounds = {"oldest": _ts(max(first, _EPOCH)), "latest": f"{_seconds(last + timedelta(days=1)) - 1}.999999"}
        params: Params = {"channel": channel_id, **bounds, "inclusive": "true"}
        limits: list[bool] = []
        with _ChannelErrors():
            rows = self._pages("conversations.history", "messages", params, limits)
            held: Day | None = None
            for day, group in groupby(rows, key=_DayOf(last)):
                if held is not None and day >= held.day:
                    raise SourceError(
                        f"{self._tenant}: {self._api.host} listed channel {channel_id} out of order.",
                        "Nothing can be said about its messages; try again later.",
                    )
                if held is not None:
                    yield held
                messages = once(group)
                held = Day(day, messages, next(filter(None, map(problem_of, messages)), None))
        if any(limits):
            held = (held or Day(first, []))._replace(is_limited=True)
        if held is not None:
            yield held

    def newest(self, channel_id: str) -> list[Any]:
        with _ChannelErrors():
            rows = self._call("conversations.history", {"channel": channel_id, "limit": _NEWEST}).get("messages")
        if not isinstance(rows, list):
            raise self._nonsense("conversations.history", "without a list of messages")
        told = ("ts", "reply_count", "latest_reply", "edited")
        return [[row.get(key) for key in told] for row in rows if isinstance(row, dict)]

    def thread(self, channel_id: str, root: str) -> Thread:
        params: Params = {"channel": channel_id, "ts": root}
        limits: list[bool] = []
        try:
            with _ChannelErrors():
                # The root comes first on every page.
                messages = once(self._pages("conversations.replies", "messages", params, limits))
        except _Refused as error:
            if error.code == _NO_THREAD:
                return Thread([])
            raise
        return Thread(messages, next(filter(None, map(problem_of, messages)), None), any(limits))

    def read_file(self, file_id: str, max_bytes: int) -> bytes:
        # Addresses in stored messages may be old ones.
        try:
            file = self._call("files.info", {"file": file_id}).get("file")
        except _Refused as error:
            if error.code in _WRONG_TOKEN:
                raise
            raise FileUnavailable(error.message, error.remedy) from None
        return download(self._files, file, max_bytes)

    def close(self) -> None:
        self._api.close()
        self._files.close()

    def _channel(self, row: Any) -> Channel:
        channel_id = row.get("id") if isinstance(row, dict) else None
        if not isinstance(channel_id, str) or not channel_id.isalnum():
            raise SourceError(
                f"{self._tenant}: {self._api.host} lists a channel whose id can't be read.",
                "Nothing can be said about its messages; report it to Slack if it stays so.",
            )
        name = row.get("name")
        return Channel(
            id=channel_id,
            name=name if isinstance(name, str) and name else channel_id,
            is_private=row.get("is_private") is True or row.get("is_group") is True,
            is_open=row.get("is_member") is not False,
            is_archived=row.get("is_archived") is True,
            created=created_at(row),
        )

    def _asked_for(self, channel_id: str) -> Channel | None:
        try:
            return self._channel(self._call("conversations.info", {"channel": channel_id}).get("channel"))
        except _Refused as error:
            # A private channel is not found, or found to lie beyond the token's scopes.
            if error.code in (*_CHANNEL_CLOSED, "missing_scope"):
                return None
            raise

    def _name_of_stranger(self, user_id: str) -> str | None:
        try:
            return shown_name(self._call("users.info", {"user": user_id}).get("user"))
        except _Refused as error:
            if error.code in _STRANGER:
                return None
            raise

    def _pages(self, method: str, key: str, params: Params, limits: list[bool] | None = None) -> Iterator[Any]:
        """All rows of a listing. A page may be short, or empty, and not be the last.

        Args:
            limits: takes, for each page, whether the workspace's plan keeps messages back from it.
        """
        cursors: set[str] = set()
        cursor = ""
        while True:
            body = self._call(method, {**params, "limit": _PAGE, **({"cursor": cursor} if cursor else {})})
            rows = body.get(key)
            if not isinstance(rows, list):
                raise self._nonsense(method, f"without a list of {key}")
            if limits is not None:
                limits.append(body.get("is_limited") is True)
            yield from rows
            after = body.get("response_metadata")
            cursor = after.get("next_cursor") or "" if isinstance(after, dict) else ""
            if not cursor and body.get("has_more") is True:
                raise self._nonsense(method, "that has more and does not say where")
            if not cursor:
                return
            if not isinstance(cursor, str) or cursor in cursors:
                raise self._nonsense(method, "whose cursor does not lead on")
            cursors.add(cursor)

    def _call(self, method: str, params: Params | None = None) -> Json:
        """One answer whose `ok` is true.

        Raises:
            _Refused: Slack names an error that concerns the channel, the thread or the person asked for.
            SourceError: any other error.
        """
        per_minute = _PER_MINUTE.get(method, self._history_per_minute)
        body = self._api.get(f"/api/{method}", params or {}, route=method, per_minute=per_minute).body
        if not isinstance(body, dict) or "ok" not in body:
            raise self._nonsense(method, "that is not Slack's")
        if body["ok"] is True:
            return body
        code = str(body.get("error"))
        raise _Refused(code, f"{self._tenant}: {self._api.host} refused {method}: {code}.", self._remedy(code, body))

    def _remedy(self, code: str, body: Json) -> str:
        if code in _WRONG_TOKEN:
            return f"Wrong token: check {self._setting}.token."
        if code == "missing_scope":
            return f"Give the app the scope {body.get('needed')}, install it again, and check {self._setting}.token."
        return f"Check {self._setting}; docs.slack.dev says what the code means."

    def _nonsense(self, method: str, what: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: {self._api.host} gave an answer to {method} {what}.",
            f"Check {self._setting}.base_url where it is set; else try again later.",
        )


class _Bearer(httpx.Auth):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


class _Refused(SourceError):
    """An answer whose `ok` is false."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.code = code


class _ChannelErrors:
    """Within it, a refusal that concerns the channel alone becomes `ChannelUnreadable`."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _Refused) and error.code in _CHANNEL_CLOSED:
            raise ChannelUnreadable(f"Slack answers {error.code}") from None


class _DayOf:
    """The day of each message of a listing; one whose time can't be read is taken to be of the day before it."""

    def __init__(self, last: date) -> None:
        self._day = last

    def __call__(self, message: Any) -> date:
        sent_at = moment(message.get("ts")) if isinstance(message, dict) else None
        if sent_at is not None:
            self._day = sent_at.date()
        return self._day


def _passing_failure(body: Any) -> str | None:
    code = body.get("error") if isinstance(body, dict) and body.get("ok") is False else None
    return code if isinstance(code, str) and code in _PASSING else None


def _host(url: Any) -> str:
    try:
        return httpx.URL(url).host
    except (TypeError, httpx.InvalidURL):
        return ""


def _seconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _ts(day: date) -> str:
    return f"{_seconds(day)}.000000"
