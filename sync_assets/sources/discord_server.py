"""A Discord server as it is now: its channels and threads, which of them are open to all, and what ids tell of that.

What belongs here: the form of what Discord says about channels and threads, read as far as it can be, and what follows
from it. What does not: requests (`discord_web.py`), and the rules of permissions (`discord_permissions.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AwareDatetime, Strict

from sync_assets.sources.discord_documents import Snowflake, snowflake_time
from sync_assets.sources.discord_permissions import Member, Overwrite, Permission, Permissions, Role
from sync_assets.sources.payloads import Payload, read_payload

PUBLIC_THREADS, PRIVATE_THREAD = (10, 11), 12
# Kinds of channels: text and announcements; forums and media channels have no messages of their own.
WITH_MESSAGES = (0, 5)
WITH_THREADS = (*WITH_MESSAGES, 15, 16)

_PRIVATE = "private."

# Sent as ISO 8601.
AwareTime = Annotated[AwareDatetime, Strict(False)]


class Room(NamedTuple):
    """A channel, and whether it was open to all when a record of it was made: the record's id begins with its text.

    What was stored while a channel was open to all is found by all, so it is another record than what is said in the
    same channel once it is private.

    >>> str(Room("1214", private=True)), Room.of("1214-2026-11-05")
    ('private.1214', Room(channel_id='1214', private=False))
    """

    channel_id: str
    private: bool

    @classmethod
    def of(cls, record_id: str) -> Self:
        """The room that a record's id begins with."""
        text = record_id.partition("-")[0]
        return cls(text.removeprefix(_PRIVATE), text.startswith(_PRIVATE))

    @property
    def prefix(self) -> str:
        """What the ids of all its records begin with."""
        return f"{self}-"

    def __str__(self) -> str:
        return f"{_PRIVATE if self.private else ''}{self.channel_id}"


class Tag(Payload):
    """What a forum's posts can be tagged with."""

    id: Snowflake
    name: str


class _ChannelRow(Payload):
    id: Snowflake
    type: int
    name: str
    permission_overwrites: list[Overwrite] = []
    available_tags: list[Tag] = []
    last_message_id: Snowflake | None = None


class _Identified(Payload):
    id: Snowflake


class _Placed(_Identified):
    parent_id: Snowflake


@dataclass(frozen=True)
class Channel:
    """A channel of the server. A forum has no messages of its own, only threads.

    Attributes:
        type: None where it can't be read; so is `name`.
        permission_overwrites: those that can be read.
        problem: what about the channel can't be read; None where all can.
    """

    id: str
    type: int | None
    name: str | None
    permission_overwrites: list[Overwrite]
    available_tags: list[Tag]
    last_message_id: str | None
    problem: str | None = None

    @classmethod
    def of(cls, row: Any) -> Self:
        """A channel as received.

        Raises:
            ValueError: it has no id that can be read.
        """
        try:
            return cls(**dict(read_payload(_ChannelRow, row)))
        except ValueError as error:
            problem = str(error)
        channel_id, kind, name = read_payload(_Identified, row).id, row.get("type"), row.get("name")
        return cls(
            id=channel_id,
            type=kind if isinstance(kind, int) else None,
            name=name if isinstance(name, str) else None,
            permission_overwrites=_readable_overwrites(row.get("permission_overwrites")),
            available_tags=[],
            last_message_id=None,
            problem=problem,
        )

    @property
    def title(self) -> str:
        """The channel for people."""
        return f"#{self.name}" if self.name is not None else f"channel {self.id}"

    @property
    def may_hold_records(self) -> bool:
        return self.type is None or self.type in WITH_THREADS


class ThreadState(Payload):
    """What a thread says of its life."""

    archive_timestamp: AwareTime
    create_timestamp: AwareTime | None = None


class Thread(Payload):
    """A thread of a channel, or a post in a forum."""

    id: Snowflake
    type: int
    parent_id: Snowflake
    last_message_id: Snowflake | None = None
    thread_metadata: ThreadState
    name: str
    applied_tags: list[str] = []

    @property
    def active_at(self) -> datetime:
        """When its last message was written, deleted or not."""
        return snowflake_time(int(self.last_message_id or self.id))

    @property
    def begun_at(self) -> datetime:
        """When it was made; as late as it was active where it does not say (threads from before 2022)."""
        return self.thread_metadata.create_timestamp or self.active_at

    @property
    def archived_at(self) -> datetime:
        return self.thread_metadata.archive_timestamp


class BrokenThread(NamedTuple):
    """A thread of which no more can be read than where it belongs."""

    id: str
    parent_id: str
    problem: str


def read_thread(row: Any) -> Thread | BrokenThread:
    """A thread as received.

    Raises:
        ValueError: its id or its channel's can't be read.
    """
    placed = read_payload(_Placed, row)
    try:
        return read_payload(Thread, row)
    except ValueError as error:
        return BrokenThread(placed.id, placed.parent_id, str(error))


class PublicThread(NamedTuple):
    """A thread that everybody may read who may read its channel, as far as mentions need it."""

    name: str
    parent_id: str


@dataclass(frozen=True)
class Server:
    """The server as it is now.

    Attributes:
        channels: by id, threads aside.
        mentioned: public threads once they were asked for, by id; None where it is none, or can't be had.
    """

    name: str
    bot: Member
    roles: dict[str, Role]
    permissions: Permissions
    channels: dict[str, Channel]
    mentioned: dict[str, PublicThread | None]

    def allowed(self, channel: Channel) -> Permission:
        return self.permissions.of(self.bot, channel.permission_overwrites)

    def is_open(self, channel: Channel) -> bool:
        """Whether all members may view a channel, as far as it can be read."""
        return self.permissions.open_to_all(self.bot, channel.permission_overwrites)

    def room(self, channel: Channel) -> Room:
        """What the ids of a channel's records begin with as it is now."""
        return Room(channel.id, private=not self.is_open(channel))

    def shows_name(self, channel_id: str, inside: str) -> bool:
        """Whether all who may read the channel `inside` may know the name of another one."""
        channel = self.channels.get(channel_id)
        if channel is None or channel.problem is not None:
            return False
        return channel_id == inside or self.is_open(channel)


def _readable_overwrites(rows: Any) -> list[Overwrite]:
    found: list[Overwrite] = []
    for row in rows if isinstance(rows, Iterable) else ():
        try:
            found.append(read_payload(Overwrite, row))
        except ValueError:
            continue  # the channel's `problem` tells of it
    return found
