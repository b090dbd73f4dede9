"""Which conversations the companies' chats hold: the truth that synced stores are compared with.

Read from what the simulators hold, not over their protocols: what a person counts as said in a channel of the chat.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from sync_assets.demo.discord_data import THREADS, ChannelType, GuildData, MessageType, Permission, moment_of
from sync_assets.demo.records import Json
from sync_assets.demo.slack_records import SlackData, threads

# A message without a subtype is somebody's words, and so are these.
_SAID = ("me_message", "file_share", "thread_broadcast", "reminder_add")
_POLL_RESULT = 46
_READABLE = Permission.VIEW_CHANNEL | Permission.READ_MESSAGE_HISTORY


def slack_conversations(data: SlackData) -> Iterator[str]:
    """Record ids of the conversations in the channels that the app is in, bots' words left out; some twice."""
    for channel, messages in data.messages.items():
        if data.app_user not in data.members[channel]:
            continue
        key = f"private.{channel}" if data.channels[channel]["is_private"] else channel
        roots = threads(messages)
        for ts, message in messages.items():
            if message.get("subtype", _SAID[0]) not in _SAID or message.get("bot_id"):
                continue
            if "thread_ts" in message or ts in roots:
                yield f"{key}-{message.get('thread_ts', ts)}"
            else:
                yield f"{key}-{_day(ts)}"


def discord_conversations(data: GuildData) -> Iterator[str]:
    """Record ids of the conversations in the channels that the bot may read, programs' words left out; some twice."""
    for channel_id, messages in data.messages.items():
        channel = data.channels[channel_id]
        allowed = data.permissions(data.bot_id, channel_id)
        if channel["type"] == ChannelType.VOICE or allowed & _READABLE != _READABLE:
            continue
        for message_id, message in messages.items():
            if not _is_said(data, channel, message):
                continue
            if channel["type"] in THREADS:
                yield f"{_room(data, channel['parent_id'])}-{channel_id}"
            elif message_id not in data.channels:  # else a thread was started from it
                yield f"{_room(data, channel_id)}-{moment_of(message_id):%Y-%m-%d}"


def _room(data: GuildData, channel_id: str) -> str:
    """What the ids of a channel's conversations begin with, which tells whether all people may view it."""
    everyone, denied = data.guild["id"], set[str]()
    shown = int(data.roles[everyone]["permissions"])
    for rule in data.channels[channel_id]["permission_overwrites"]:
        if int(rule["deny"]) & Permission.VIEW_CHANNEL:
            denied.add(rule["id"])
        if rule["id"] == everyone:
            shown |= int(rule["allow"])
    is_open = shown & Permission.VIEW_CHANNEL and not denied - {data.bot_id}
    return channel_id if is_open else f"private.{channel_id}"


def _is_said(data: GuildData, channel: Json, message: Json) -> bool:
    if message["type"] == MessageType.THREAD_STARTER:
        starter = data.messages[channel["parent_id"]].get(channel["id"])
        return starter is not None and _is_said(data, channel, starter)
    by_person = message["author"]["id"] in data.users and not data.users[message["author"]["id"]].get("bot")
    return message["type"] in (MessageType.DEFAULT, MessageType.REPLY, _POLL_RESULT) and by_person


def _day(ts: str) -> str:
    return f"{datetime.fromtimestamp(int(ts.partition('.')[0]), UTC):%Y-%m-%d}"
