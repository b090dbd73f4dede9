"""All that one Discord guild holds, its ids, and who may do what in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, IntFlag
from typing import TypeVar

from sync_assets.demo.records import Json

Item = TypeVar("Item")

_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


class ChannelType(IntEnum):
    """The types of channel that the guild knows; the last three are threads."""

    TEXT = 0
    VOICE = 2
    CATEGORY = 4
    ANNOUNCEMENT = 5
    FORUM = 15
    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12


class MessageType(IntEnum):
    """The types of message that the guild itself makes."""

    DEFAULT = 0
    THREAD_CREATED = 18
    REPLY = 19
    THREAD_STARTER = 21


class Permission(IntFlag):
    """The permissions that decide about reading."""

    ADMINISTRATOR = 1 << 3
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    READ_MESSAGE_HISTORY = 1 << 16
    MANAGE_THREADS = 1 << 34


EVERYTHING = (1 << 53) - 1
THREADS = (ChannelType.ANNOUNCEMENT_THREAD, ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD)


@dataclass
class GuildData:
    """What a guild holds, in wire form but for what depends on the reader and on the moment.

    Attributes:
        token: what the bot shows, without the word `Bot`.
        bot_id: the bot's user id.
        guild: the guild's own attributes.
        message_content: whether the bot's privileged intent to read messages is on.
        users: by id.
        members: by user id; `user` is left out.
        webhooks: as authors of messages, by id.
        channels: by id, threads too.
        thread_members: user ids with the time they joined, by thread id.
        messages: by channel or thread id, then by id. `author` holds the id alone, attachments have no address, and
            mentions and the message that a reply points at are left out.
        used_ids: every id that was ever given out.
    """

    token: str
    bot_id: str
    guild: Json
    message_content: bool = True
    roles: dict[str, Json] = field(default_factory=dict[str, Json])
    users: dict[str, Json] = field(default_factory=dict[str, Json])
    members: dict[str, Json] = field(default_factory=dict[str, Json])
    webhooks: dict[str, Json] = field(default_factory=dict[str, Json])
    channels: dict[str, Json] = field(default_factory=dict[str, Json])
    thread_members: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    messages: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    used_ids: set[int] = field(default_factory=set[int])

    def new_id(self, moment: datetime) -> str:
        """An id that nothing has, made from the moment.

        Its last bits are never all 0, so that an id shows when it was read as a floating-point number.
        """
        number = snowflake(moment) + 1 + int(moment.timestamp()) // 60 % 199
        while number in self.used_ids:
            number += 1
        self.used_ids.add(number)
        return str(number)

    def permissions(self, user_id: str, channel_id: str | None = None) -> Permission:
        """What a member may do in the guild, or in one channel; a thread has the permissions of its channel."""
        if user_id == self.guild["owner_id"]:
            return Permission(EVERYTHING)
        roles = [self.guild["id"], *self.members[user_id]["roles"]]
        allowed = 0
        for role_id in roles:
            allowed |= int(self.roles[role_id]["permissions"])
        if allowed & Permission.ADMINISTRATOR:
            return Permission(EVERYTHING)
        if channel_id is None:
            return Permission(allowed)
        channel = self.channels[channel_id]
        if channel["type"] in THREADS:
            return self.permissions(user_id, channel["parent_id"])
        overwrites = {overwrite["id"]: overwrite for overwrite in channel["permission_overwrites"]}
        for ids in (roles[:1], roles[1:], [user_id]):
            rules = [overwrites[one] for one in ids if one in overwrites]
            for rule in rules:
                allowed &= ~int(rule["deny"])
            for rule in rules:
                allowed |= int(rule["allow"])
        return Permission(allowed)

    def may_view(self, user_id: str, channel_id: str) -> bool:
        """Whether a member sees a channel or thread; a private thread shows to its members and to moderators."""
        allowed = self.permissions(user_id, channel_id)
        if not allowed & Permission.VIEW_CHANNEL:
            return False
        if self.channels[channel_id]["type"] != ChannelType.PRIVATE_THREAD:
            return True
        return bool(allowed & Permission.MANAGE_THREADS) or user_id in self.thread_members[channel_id]


def snowflake(moment: datetime) -> int:
    """The first id of a moment's millisecond.

    >>> snowflake(datetime(2026, 11, 2, tzinfo=UTC))
    1566602742988800000
    """
    return (moment - _EPOCH) // timedelta(milliseconds=1) << 22


def moment_of(identity: str) -> datetime:
    """The moment that an id was made from, to the millisecond.

    >>> moment_of("1566602742988800000").isoformat()
    '2026-11-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(milliseconds=int(identity) >> 22)


def named(items: Mapping[str, Item], key: str, attribute: str) -> str:
    """The id of an item that is given by its id or by its name.

    Args:
        items: by id.
        attribute: which attribute holds the name.

    Raises:
        KeyError: there is no such item.
    """
    if key in items:
        return key
    for identity, item in items.items():
        if isinstance(item, dict) and item.get(attribute) == key:
            return identity
    raise KeyError(key)
