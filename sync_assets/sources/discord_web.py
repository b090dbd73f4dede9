"""Discord's REST API v10 as a bot sees it: the server, its threads and their messages.

What belongs here: requests, their paging and the form of their answers. What does not: which of them bring which
records (`discord.py`), and retries and limits (`http.py`). Facts about the API are from Discord's description of it
(discord.com/developers/docs).
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import httpx

from sync_assets.errors import SourceError
from sync_assets.sources.discord_documents import Snowflake
from sync_assets.sources.discord_permissions import Member, Permissions, Role
from sync_assets.sources.discord_server import (
    PUBLIC_THREADS,
    BrokenThread,
    Channel,
    PublicThread,
    Server,
    Thread,
    read_thread,
)
from sync_assets.sources.http import ApiClient, ApiStatusError, Limits, Timer
from sync_assets.sources.payloads import Payload, read_payload

Json = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")
# What a request about one channel is answered with where the bot may not read it, and where it does not exist.
REFUSED, UNKNOWN = 403, 404

_API = "/api/v10"
_USER_AGENT = "DiscordBot (sync_assets, 0.1)"
# The full intent, and the one that bots in fewer than 100 servers have.
_MESSAGE_CONTENT = 1 << 18 | 1 << 19
_SMALLEST_ARCHIVE_PAGE = 2
# Channels are shared out among so many locks. A prime, since ids are often even.
_LANES = 61
_DIGITS = re.compile(r"[0-9]{1,20}")
_TICK = timedelta(microseconds=1)


class _Participant(Payload):
    user_id: Snowflake


class Placed(NamedTuple):
    """A message as received, with its id as a number."""

    position: int
    message: Any


class BotAuth(httpx.Auth):
    """The bot's token, in the form that Discord asks for."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": _USER_AGENT}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._headers)
        yield request


class Web:
    """One bot's requests about one server.

    Args:
        setting: where the account is configured, for remedies.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        root: str,
        guild_id: str,
        token: str,
        *,
        setting: str,
        limits: Limits,
        timer: Timer,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._tenant = tenant
        self._guild_id = guild_id
        self._setting = setting
        self._page_size = limits.page_size
        self._archive_page = max(limits.page_size, _SMALLEST_ARCHIVE_PAGE)
        self._lanes = [Lock() for _ in range(_LANES)]
        self._api = ApiClient(
            tenant,
            root,
            setting=setting,
            limits=limits,
            auth=BotAuth(token),
            credential="token",
            timer=timer,
            transport=transport,
        )

    @property
    def host(self) -> str:
        return self._api.host

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `ApiClient.map`."""
        return self._api.map(function, items)

    def close(self) -> None:
        self._api.close()

    def server(self) -> Server:
        """The server as it is now.

        Raises:
            SourceError: the token is wrong, the bot is not in the server, or it may not read what messages say.
        """
        self._check_intent()
        bot_id = str(self._object("/users/@me").get("id"))
        try:
            guild = self._object(f"/guilds/{self._guild_id}")
            rows = self._list(f"/guilds/{self._guild_id}/channels")
            member = self._object(f"/guilds/{self._guild_id}/members/{bot_id}")
        except ApiStatusError as error:
            if error.status not in (REFUSED, UNKNOWN):
                raise
            raise SourceError(
                f"{self._tenant}: the bot is not in the Discord server {self._guild_id}, or there is none.",
                f"Invite the bot to it, or correct {self._setting}.guild_id.",
            ) from None
        roles = {role.id: role for role in (self._parsed(_role, "a role", row) for row in guild.get("roles") or [])}
        channels = [self._parsed(Channel.of, "a channel", row) for row in rows]
        return Server(
            name=str(guild.get("name")),
            bot=Member(bot_id, frozenset(map(str, member.get("roles") or []))),
            roles=roles,
            permissions=Permissions(self._guild_id, str(guild.get("owner_id")), roles),
            channels={channel.id: channel for channel in channels},
            mentioned={},
        )

    def active_threads(self) -> list[Thread | BrokenThread]:
        """All threads of the server that are not archived; private ones only where the bot takes part in them."""
        return self._threads(self._object(f"/guilds/{self._guild_id}/threads/active"))

    def archived_threads(self, channel_id: str, kind: str, since: datetime | None) -> Iterator[Thread | BrokenThread]:
        """A channel's archived threads, latest first; one may come twice.

        Args:
            kind: `public` or `private`.
            since: leave out those that were archived earlier; None for all.
        """
        path = f"/channels/{channel_id}/threads/archived/{kind}"
        params: dict[str, str | int] = {"limit": self._archive_page}
        before: datetime | None = None
        while True:
            body = self._object(path, params)
            threads = self._threads(body)
            yield from _archived_since(threads, since)
            oldest = min((thread.archived_at for thread in threads if isinstance(thread, Thread)), default=None)
            if not body.get("has_more") or (since is not None and oldest is not None and oldest < since):
                return
            # Threads archived in the same moment as the last of the page would be passed over.
            if oldest is None or (before is not None and oldest + _TICK >= before):
                raise self._broken(path, "a page that brings nothing new")
            before = oldest + _TICK
            params["before"] = before.isoformat()

    def joined_archived_threads(self, channel_id: str, since: datetime | None) -> Iterator[Thread | BrokenThread]:
        """A channel's archived private threads that the bot takes part in, which no permission is needed for.

        Args:
            since: leave out those that were archived earlier; None for all.
        """
        path = f"/channels/{channel_id}/users/@me/threads/archived/private"
        params: dict[str, str | int] = {"limit": self._archive_page}
        before: int | None = None
        while True:
            body = self._object(path, params)
            threads = self._threads(body)
            yield from _archived_since(threads, since)
            if not body.get("has_more"):
                return
            # Sorted by id, so that the time of archiving says nothing about the next page.
            oldest = min((int(thread.id) for thread in threads), default=None)
            if oldest is None or (before is not None and oldest >= before):
                raise self._broken(path, "a page that brings nothing new")
            before = oldest
            params["before"] = str(before)

    def thread(self, thread_id: str) -> Thread | BrokenThread:
        return self._parsed(read_thread, "a thread", self._object(f"/channels/{thread_id}"))

    def thread_members(self, thread_id: str) -> list[str]:
        """Ids of the users that take part in a thread.

        Raises:
            ValueError: one of them can't be read.
        """
        rows = self._list(f"/channels/{thread_id}/thread-members")
        return [read_payload(_Participant, row).user_id for row in rows]

    def public_thread(self, thread_id: str) -> PublicThread | None:
        """A public thread of this server; None where it is gone, private, no thread or of another server."""
        try:
            row = self._object(f"/channels/{thread_id}")
        except ApiStatusError as error:
            if error.status not in (400, REFUSED, UNKNOWN):
                raise
            return None
        if row.get("guild_id") != self._guild_id or row.get("type") not in PUBLIC_THREADS:
            return None
        thread = self._parsed(read_thread, "a thread", row)
        return PublicThread(thread.name, thread.parent_id) if isinstance(thread, Thread) else None

    def first_message(self, channel_id: str) -> Placed | None:
        """A channel's oldest message."""
        return next(iter(self._page(channel_id, 0, 1)), None)

    def messages(self, channel_id: str, start: int = 0, end: int | None = None) -> Iterator[Placed]:
        """Messages of a channel or thread with ids from `start` to below `end`, oldest first."""
        after = max(0, start - 1)
        while True:
            page = self._page(channel_id, after, self._page_size)
            for placed in page:
                if end is not None and placed.position >= end:
                    return
                yield placed
            if len(page) < self._page_size:
                return
            if page[-1].position <= after:
                raise self._broken(f"/channels/{channel_id}/messages", "a page that brings nothing new")
            after = page[-1].position

    def _page(self, channel_id: str, after: int, size: int) -> list[Placed]:
        """A page, oldest first. A message whose id can't be read stands where its neighbour does."""
        # One request at a time, since each answer says whether the channel's limit leaves room for the next one.
        with self._lanes[int(channel_id) % _LANES]:
            rows = self._list(f"/channels/{channel_id}/messages", {"after": str(after), "limit": size})
        page: list[Placed] = []
        position = after
        for row in reversed(rows):
            position = _number(row, position)
            page.append(Placed(position, row))
        return sorted(page, key=lambda placed: placed.position)

    def _check_intent(self) -> None:
        """Without the intent Discord sends messages without their words, as if all had been emptied."""
        flags = self._object("/applications/@me").get("flags")
        if not isinstance(flags, int) or not flags & _MESSAGE_CONTENT:
            raise SourceError(
                f"{self._tenant}: the Discord bot of {self._setting}.token lacks the Message Content intent.",
                "Switch it on in the Developer Portal: Bot, Message Content Intent.",
            )

    def _get(self, path: str, params: Json | None = None) -> Any:
        try:
            return self._api.get(f"{_API}{path}", params).body
        except ApiStatusError as error:
            if error.status != 401:
                raise
            raise SourceError(
                f"{self._tenant}: {self.host} refused the token (status 401).",
                f"Wrong token: set {self._setting}.token to the bot's token of the Developer Portal (Bot, Token).",
            ) from None

    def _object(self, path: str, params: Json | None = None) -> Json:
        body = self._get(path, params)
        if not isinstance(body, dict):
            raise self._broken(path, "something other than an object")
        return body

    def _list(self, path: str, params: Json | None = None) -> list[Any]:
        body = self._get(path, params)
        if not isinstance(body, list):
            raise self._broken(path, "something other than a list")
        return body

    def _threads(self, body: Json) -> list[Thread | BrokenThread]:
        return [self._parsed(read_thread, "a thread", row) for row in body.get("threads") or []]

    def _parsed(self, read: Callable[[Any], Result], what: str, row: Any) -> Result:
        try:
            return read(row)
        except ValueError as error:
            raise self._broken(what, f"something unreadable ({error})") from None

    def _broken(self, place: str, what: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: {self.host} answered {place} with {what}.",
            f"Check {self._setting}.base_url where it is set; nothing can be said to be deleted meanwhile.",
        )


def _role(row: Any) -> Role:
    return read_payload(Role, row)


def _archived_since(
    threads: Iterable[Thread | BrokenThread], since: datetime | None
) -> Iterator[Thread | BrokenThread]:
    """Threads that were archived at `since` or later, and those that do not say."""
    for thread in threads:
        if since is None or isinstance(thread, BrokenThread) or thread.archived_at >= since:
            yield thread


def _number(row: Any, otherwise: int) -> int:
    identity = row.get("id") if isinstance(row, dict) else None
    return int(identity) if isinstance(identity, str) and _DIGITS.fullmatch(identity) else otherwise
