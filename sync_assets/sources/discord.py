"""Discord: the conversations of one server's channels, forums and threads.

What belongs here: the account, and which channels are read or reported as out of reach. What does not: requests
(`discord_web.py`), what a channel's records are (`discord_conversations.py`), how a record becomes a document
(`discord_documents.py`), and what a permission means (`discord_permissions.py`).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.hashing import digest
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.conversations import ConversationId
from sync_assets.sources.discord_conversations import (
    BEGINNING,
    Conversations,
    Scope,
    deleted,
    malformed,
)
from sync_assets.sources.discord_documents import message_document, snowflake_time
from sync_assets.sources.discord_graph import with_graph
from sync_assets.sources.discord_permissions import Permission
from sync_assets.sources.discord_server import WITH_MESSAGES, Channel, Room, Server, Thread
from sync_assets.sources.discord_web import REFUSED, UNKNOWN, Web
from sync_assets.sources.http import ApiStatusError, BaseUrl, Limits, Timer

STREAMS = ("messages",)

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
Name = Annotated[str, StringConstraints(min_length=1)]

_NEEDED = Permission.VIEW_CHANNEL | Permission.READ_MESSAGE_HISTORY
_PERMISSION_NAMES = {
    Permission.VIEW_CHANNEL: "View Channels",
    Permission.READ_MESSAGE_HISTORY: "Read Message History",
}
_GLOB = re.compile(r"[*?\[]")


class DiscordLimits(Limits):
    """As `Limits`, at most 40 requests a second. Discord allows a bot 50 in all, and some arrive later than others."""

    request_delay: float = Field(
        default=0.025, ge=0, le=60, description="Least time between the starts of two requests, in seconds"
    )


class Account(BaseModel):
    """One tenant's Discord server, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr = Field(min_length=1, description="Token of the bot")
    guild_id: Digits = Field(description="Id of the server, in quotes")
    channels: list[Name] | None = Field(
        default=None,
        min_length=1,
        description="Names, ids (in quotes) or globs of the channels to sync; default all that the bot may read",
    )
    exclude_channels: list[Name] = Field(
        default=[], description="Names, ids (in quotes) or globs of channels to leave out; what is stored of them goes"
    )
    bots: bool = Field(default=False, description="Whether messages of bots and webhooks are kept")
    thread_rescan_days: int = Field(
        default=30, ge=1, le=3650, description="How long archived threads are looked at for late replies, in days"
    )
    base_url: BaseUrl | None = Field(
        default=None, description="Another root than https://discord.com, for a proxy or a simulator"
    )
    limits: DiscordLimits = Field(
        default_factory=DiscordLimits, description="How fast and how patiently the account is asked"
    )

    def selects(self, channel_id: str, name: str | None) -> bool:
        """Whether a channel is to be synced.

        Args:
            name: None where it is not known, because the channel is gone or broken; then only its id can deselect it.
        """
        if _matches(self.exclude_channels, channel_id, name):
            return False
        return self.channels is None or name is None or _matches(self.channels, channel_id, name)

    def names(self, channel_id: str, name: str | None) -> bool:
        """Whether a channel is asked for by its own name or id, and not by a glob or by default."""
        return _matches([entry for entry in self.channels or [] if not _GLOB.search(entry)], channel_id, name)


class Source:
    """One tenant's Discord server, opened for one run. See `sync_assets.sources.Source` for the contract.

    A record is a thread, or a channel's messages of one UTC day. Discord tells neither edits nor deletions by time:
    they show in `cheap_version`, which is the digest of the conversation's document. The id says whether the channel
    was open to all (`Room`), so that what all could find goes when it becomes private, read again or not.

    Args:
        clock: wall clock, for `observed_at` and the upper bound of listings.
        timer: see `ApiClient`.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        account: Account,
        *,
        clock: Callable[[], datetime] = utc_now,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._account = account
        self._clock = clock
        self._setting = f"tenants.{tenant}.discord"
        self._web = Web(
            tenant,
            account.base_url or "https://discord.com",
            account.guild_id,
            account.token.get_secret_value(),
            setting=self._setting,
            limits=account.limits,
            timer=timer,
            transport=transport,
        )
        self._conversations = Conversations(tenant, account.guild_id, self._web, bots=account.bots, clock=clock)

    def check(self) -> str:
        server = self._web.server()
        unknown = [
            entry
            for entry in self._account.channels or []
            if not _GLOB.search(entry) and not any(_matches([entry], one.id, one.name) for one in _possible(server))
        ]
        if unknown:
            raise SourceError(
                f"{self._tenant}: the Discord server {server.name} has no channel {', '.join(unknown)}.",
                f"Correct {self._setting}.channels.",
            )
        problems = [record.problem for record in self._unreadable(server)]
        if problems:
            raise SourceError(f"{self._tenant}: {problems[0]}")
        count = len(list(self._scopes(server)))
        return f"{self._web.host}, server {server.name} ({self._account.guild_id}), {count} channels to sync"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        """Bounds that hold every conversation; deleted messages may make them wider."""
        server = self._server(stream)
        active = self._web.active_threads()
        times: list[datetime] = []
        for scope in self._scopes(server):
            channel = scope.channel
            if channel.type in WITH_MESSAGES and (first := self._web.first_message(channel.id)) is not None:
                times.append(snowflake_time(first.position))
                times.append(snowflake_time(int(channel.last_message_id or first.position)))
            threads = self._conversations.threads(scope, active)
            times += [thread.active_at for thread in threads if isinstance(thread, Thread)]
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        """The newest message of each channel and living thread that can be read. Edits and deletions: sweeps find them.

        It takes six calls whatever the server's size: which channels count follows from the bot's permissions.
        """
        server = self._server(stream)
        channels = {scope.channel.id: scope.channel for scope in self._scopes(server)}
        rooms = [[str(server.room(channel)), channel.name, channel.last_message_id] for channel in channels.values()]
        threads = [
            [thread.id, thread.name, thread.last_message_id] if isinstance(thread, Thread) else [thread.id]
            for thread in self._web.active_threads()
            if thread.parent_id in channels
        ]
        return digest(json.dumps([sorted(rooms, key=str), sorted(threads, key=str)]))

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        server = self._server(stream)
        yield from self._unreadable(server)
        active = self._web.active_threads()
        since, until = max(since, BEGINNING), max(until, BEGINNING)
        rescan = timedelta(days=self._account.thread_rescan_days)
        for scope in self._scopes(server):
            try:
                yield from self._conversations.changed(scope, active, since, until, rescan)
            except ApiStatusError as error:
                yield self._refused(scope.channel.id, error)

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        server = self._server(stream)
        active = self._web.active_threads()
        for channel in _possible(server):
            if not self._account.selects(channel.id, channel.name):
                continue
            problem = self._problem(server, channel.id)
            if problem is not None:
                yield from _hidden(server, channel, problem)
                continue
            try:
                yield from map(_live_id, self._conversations.all(Scope.of(server, channel), active))
            except ApiStatusError as error:
                yield from _hidden(server, channel, self._refused(channel.id, error).problem or "")

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        wanted = list(record_ids)
        if not wanted:
            return
        server = self._server(stream)
        missing: list[Record] = []
        for record in self._web.map(partial(self._now, server), wanted):
            if record.event == "deleted":
                missing.append(record)
            else:
                yield record
        if missing:
            yield from self._confirmed(self._server(stream), missing)

    def to_document(self, stream: str, record: Record) -> Document:
        self._check_stream(stream)
        return with_graph(message_document(self._tenant, record.record_id, record.payload), record.payload)

    def close(self) -> None:
        self._web.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _check_stream(self, stream: str) -> None:
        if stream not in STREAMS:
            raise SourceError(f"Discord has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")

    def _server(self, stream: str) -> Server:
        self._check_stream(stream)
        return self._web.server()

    # Channels

    def _scopes(self, server: Server) -> Iterator[Scope]:
        """The channels that are chosen and can be read."""
        for channel in _possible(server):
            if self._account.selects(channel.id, channel.name) and self._problem(server, channel.id) is None:
                yield Scope.of(server, channel)

    def _unreadable(self, server: Server) -> Iterator[Record]:
        """A malformed record for each channel that is asked for by name or id and can't be read."""
        for channel in _possible(server):
            wanted = self._account.selects(channel.id, channel.name) and self._account.names(channel.id, channel.name)
            problem = self._problem(server, channel.id) if wanted else None
            if problem is not None:
                yield malformed(channel.id, problem, self._clock())

    def _problem(self, server: Server, channel_id: str) -> str | None:
        """Why a channel can't be read; None where it can. Without the history its listing would just be empty."""
        channel = server.channels.get(channel_id)
        to_remove = self._to_remove(channel_id)
        if channel is None:
            return f"the server has no channel {channel_id} any more; {to_remove}"
        if channel.problem is not None:
            return f"Discord sent {channel.title} in a form that can't be read ({channel.problem}); {to_remove}"
        if not channel.may_hold_records:
            return f"{channel.title} is of a kind that holds no messages to sync; {to_remove}"
        if lacks := _NEEDED & ~server.allowed(channel):
            names = " and ".join(_PERMISSION_NAMES[one] for one in lacks)
            return f"the bot lacks {names} in {channel.title}; let the bot read it, or {to_remove}"
        return None

    def _refused(self, record_id: str, error: ApiStatusError) -> Record:
        """A malformed record for a channel or thread that the bot was refused; any other error passes through."""
        if error.status not in (REFUSED, UNKNOWN):
            raise error
        way_out = f"let the bot read it, or {self._to_remove(Room.of(record_id).channel_id)}"
        return malformed(record_id, f"{error.message} {way_out}", self._clock())

    def _to_remove(self, channel_id: str) -> str:
        return f"name {channel_id} in {self._setting}.exclude_channels to remove what is stored of it"

    # Single records

    def _now(self, server: Server, record_id: str) -> Record:
        """A record as it is now. Runs in the client's threads."""
        settled, conversation = self._settled(server, record_id), ConversationId.parse(record_id)
        if settled is not None or conversation is None:
            return settled or deleted(record_id, self._clock())
        try:
            return self._conversations.now(
                Scope.of(server, server.channels[Room.of(record_id).channel_id]), conversation
            )
        except ApiStatusError as error:
            return self._refused(record_id, error)

    def _settled(self, server: Server, record_id: str) -> Record | None:
        """What can be said of a record without reading its channel; None where that tells nothing.

        What was open to all goes as soon as its channel is not, whether the bot may read it or not.
        """
        room, conversation = Room.of(record_id), ConversationId.parse(record_id)
        is_id = conversation is None or conversation.is_day or conversation.root.isdigit()
        if not (record_id.isascii() and room.channel_id.isdigit() and is_id):
            return malformed(record_id, "Discord can't be asked for it: its id is of another form", self._clock())
        channel = server.channels.get(room.channel_id)
        private = channel is None or server.room(channel).private
        problem = self._problem(server, room.channel_id)
        if self._is_deselected(server, room.channel_id) or (conversation and private and not room.private):
            return deleted(record_id, self._clock())
        if problem is not None:
            return malformed(record_id, problem, self._clock())
        return deleted(record_id, self._clock()) if room.private and not private else None

    def _is_deselected(self, server: Server, channel_id: str) -> bool:
        channel = server.channels.get(channel_id)
        return not self._account.selects(channel_id, channel.name if channel else None)

    def _confirmed(self, server: Server, missing: Iterable[Record]) -> Iterator[Record]:
        """What was not found, looked at again: a listing is also empty where a permission was just lost."""
        for record in missing:
            yield self._settled(server, record.record_id) or record


def _live_id(record: Record) -> LiveId | Hidden:
    """What a sweep is told of a conversation; one without a time could not be read at all."""
    if record.modified_at is None:
        return Hidden(prefix=record.record_id, reason=record.problem or "")
    return LiveId(record_id=record.record_id, modified_at=record.modified_at, cheap_version=record.cheap_version)


def _hidden(server: Server, channel: Channel, reason: str) -> Iterator[Hidden]:
    """A channel that can't be read; of one that is private now only what was stored as private is kept."""
    for private in (True,) if server.room(channel).private else (False, True):
        yield Hidden(prefix=Room(channel.id, private).prefix, reason=reason)


def _possible(server: Server) -> list[Channel]:
    """Channels of the kinds that are synced: another kind may share a name with one of them."""
    return [channel for channel in server.channels.values() if channel.may_hold_records]


def _matches(entries: Iterable[str], channel_id: str, name: str | None) -> bool:
    known = [channel_id] if name is None else [channel_id, name]
    return any(fnmatchcase(value, entry.removeprefix("#")) for entry in entries for value in known)
