"""What Slack's Web API and its export archives share: channels, days, threads, and the kinds of messages.

What belongs here: the facts of Slack's messages that say which conversation they belong to. What does not: how they
are got (`slack_web.py`, `slack_export.py`), and their texts (`slack_text.py`).
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self

Json = dict[str, Any]

# What a person did not write: joins and leaves, settings of the channel, pins, apps that come and go.
_NOISE_PREFIXES = ("channel_", "group_")
_NOISE = {
    "pinned_item",
    "unpinned_item",
    "bot_add",
    "bot_remove",
    "bot_enable",
    "bot_disable",
    "app_conversation_join",
    "app_conversation_leave",
    "ekm_access_denied",
    "huddle_thread",
    "tombstone",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_PRIVATE = "private."
_TS = re.compile(r"([0-9]{1,11})\.([0-9]{6})")


class ChannelKey(NamedTuple):
    """A channel as the ids of its records begin with it.

    Private channels are told apart, so that one that was public leaves behind all that everybody could find.

    >>> str(ChannelKey("C0A1", is_private=False))
    'C0A1'
    >>> ChannelKey.parse("private.C0A1")
    ChannelKey(channel_id='C0A1', is_private=True)
    """

    channel_id: str
    is_private: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        channel_id = text.removeprefix(_PRIVATE)
        return cls(channel_id, channel_id != text)

    def __str__(self) -> str:
        return f"{_PRIVATE if self.is_private else ''}{self.channel_id}"


class Channel(NamedTuple):
    """A channel as the settings choose it.

    Attributes:
        is_open: the app may read its messages, as far as the listing says.
        is_archived: closed upstream for good; its messages stay as they are.
        created: when it was made; 1970 where that is not said.
    """

    id: str
    name: str
    is_private: bool
    is_open: bool
    is_archived: bool = False
    created: datetime = EPOCH

    @property
    def key(self) -> ChannelKey:
        return ChannelKey(self.id, self.is_private)


class Day(NamedTuple):
    """What a channel's history holds of one UTC day, as received.

    Attributes:
        problem: why a part of it could not be read.
        is_limited: Slack keeps messages back, of this day or of earlier ones that were asked for.
    """

    day: date
    messages: list[Any]
    problem: str | None = None
    is_limited: bool = False


class Thread(NamedTuple):
    """A root and its replies, as received; without any message where there is no such thread.

    Attributes:
        problem: why a part of it could not be read.
        is_limited: Slack keeps messages back.
    """

    messages: list[Any]
    problem: str | None = None
    is_limited: bool = False


class ChannelUnreadable(Exception):
    """One channel can't be read, and others can; the text says why, and what can be done."""


class Workspace(Protocol):
    """Where the conversations of a workspace are read: the Web API, or an export archive.

    All methods raise `SourceError` when a whole request failed for good; those that name a channel raise
    `ChannelUnreadable` when that channel can't be read.

    Attributes:
        has_files: whether `read_file` can give anything.
    """

    has_files: bool

    def check(self) -> str:
        """One line about the workspace, for people."""
        ...

    def address(self) -> str:
        """Root of all links, without a trailing slash."""
        ...

    def channels(self) -> dict[str, Channel]:
        """Every public channel by id, and where the settings ask for it every private one that the app is in."""
        ...

    def unlisted(self, channel_id: str) -> Channel | None:
        """A channel that `channels` lacks; None where nothing is said about it."""
        ...

    def begins(self) -> date | None:
        """The first day that it holds messages of, by its own calendar; None where it holds all that there are."""
        ...

    def members(self, channel_id: str) -> list[str]:
        """Ids of the people in a channel, sorted."""
        ...

    def name_of(self, user_id: str) -> str | None:
        """The name that is shown; None for a stranger."""
        ...

    def days(self, channel_id: str, first: date, last: date) -> Iterator[Day]:
        """The channel's days that hold messages, newest first, each once, replies left out.

        Where Slack keeps messages of these days back, the last one that is given says so: the first day asked for, and
        without messages, where none are shown.
        """
        ...

    def newest(self, channel_id: str) -> list[Any]:
        """What changes when the channel's newest messages do; JSON-like, no texts."""
        ...

    def thread(self, channel_id: str, root: str) -> Thread:
        """A thread, oldest message first."""
        ...

    def read_file(self, file_id: str, max_bytes: int) -> bytes:
        """The bytes of a file that a message shares. See `sync_assets.sources.FileSource`."""
        ...

    def close(self) -> None: ...


def moment(ts: Any) -> datetime | None:
    """The time in a message's `ts`, to the microsecond; None where it is no such text."""
    found = _TS.fullmatch(ts) if isinstance(ts, str) else None
    if found is None:
        return None
    return datetime.fromtimestamp(int(found[1]), UTC) + timedelta(microseconds=int(found[2]))


def created_at(row: Json) -> datetime:
    """When a channel was made; 1970 where its row does not say."""
    return moment(f"{row.get('created')}.000000") or EPOCH


def problem_of(message: Any) -> str | None:
    """Why it can't be told where a message belongs; None where it can."""
    if not isinstance(message, dict):
        return "a message is not an object"
    if moment(message.get("ts")) is None:
        return "the ts of a message is missing or not a time"
    if message.get("thread_ts") is not None and moment(message["thread_ts"]) is None:
        return f"the thread_ts of message {message['ts']} is not a time"
    return None


def once(messages: Iterable[Any]) -> list[Any]:
    """Messages in their order, without those that come a second time."""
    by_ts: dict[Any, Any] = {}
    for number, message in enumerate(messages):
        ts = message.get("ts") if isinstance(message, dict) else None
        by_ts.setdefault(ts if isinstance(ts, str) else number, message)
    return list(by_ts.values())


def shown_name(user: Any) -> str | None:
    """The name that Slack shows for a person; None where it can't be read."""
    if not isinstance(user, dict):
        return None
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    names = [profile.get("display_name"), user.get("real_name"), profile.get("real_name"), user.get("name")]
    return next((name.strip() for name in names if isinstance(name, str) and name.strip()), None)


def is_root(message: Json) -> bool:
    """Whether a message of a history has replies."""
    return message.get("thread_ts") == message.get("ts") and message.get("reply_count") != 0


def is_reply(message: Json) -> bool:
    """Whether a message belongs to the thread of another one; a history holds those that were sent to all."""
    thread = message.get("thread_ts")
    return thread is not None and thread != message.get("ts")


def is_said(message: Json, *, bots: bool) -> bool:
    """Whether somebody said something: no joins, no tombstones, and bots only where they are wanted."""
    subtype = message.get("subtype")
    if isinstance(subtype, str) and (subtype in _NOISE or subtype.startswith(_NOISE_PREFIXES)):
        return False
    is_bots = subtype == "bot_message" or message.get("bot_id") is not None
    return bots or not is_bots
