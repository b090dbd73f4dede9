"""What each endpoint of Discord's REST API answers to the bot."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_assets.demo.discord_data import THREADS, ChannelType, GuildData, Permission
from sync_assets.demo.discord_limits import DiscordRefusal
from sync_assets.demo.discord_messages import sent_message
from sync_assets.demo.records import Json

_HISTORY = Permission.READ_MESSAGE_HISTORY
_MESSAGE_CONTENT_LIMITED = 1 << 19


@dataclass
class DiscordCall:
    """One request that passed authentication and the limits.

    Attributes:
        path: parameters of the path.
    """

    data: GuildData
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, str]


def refused(status: int, code: int, message: str, **more: Any) -> DiscordRefusal:
    """A refusal in the form that all of the API's errors have."""
    return DiscordRefusal(status, {"message": message, "code": code, **more})


def invalid(name: str, code: str, message: str) -> DiscordRefusal:
    """The refusal of a parameter."""
    errors = {name: {"_errors": [{"code": code, "message": message}]}}
    return refused(400, 50035, "Invalid Form Body", errors=errors)


def me(call: DiscordCall) -> Json:
    return call.data.users[call.data.bot_id]


def application(call: DiscordCall) -> Json:
    bot = me(call)
    return {
        "id": bot["id"],
        "name": bot["username"],
        "icon": None,
        "description": "Reads the community's answers.",
        "bot_public": False,
        "bot_require_code_grant": False,
        "rpc_origins": [],
        "tags": [],
        "approximate_guild_count": 1,
        "flags": _MESSAGE_CONTENT_LIMITED if call.data.message_content else 0,
        "verify_key": "0" * 64,
        "team": None,
        "owner": call.data.users[call.data.guild["owner_id"]],
        "bot": bot,
    }


def my_guilds(call: DiscordCall) -> list[Json]:
    guild = call.data.guild
    allowed = str(int(call.data.permissions(call.data.bot_id)))
    named = {name: guild[name] for name in ("id", "name", "icon", "features")}
    return [named | {"owner": False, "permissions": allowed}]


def get_guild(call: DiscordCall) -> Json:
    _check_guild(call)
    counts = {"approximate_member_count": len(call.data.members), "approximate_presence_count": 1}
    sent = call.data.guild | {"roles": list(call.data.roles.values()), "emojis": [], "stickers": []}
    return sent | (counts if call.query.get("with_counts") in ("1", "true") else {})


def list_roles(call: DiscordCall) -> list[Json]:
    _check_guild(call)
    return list(call.data.roles.values())


def list_channels(call: DiscordCall) -> list[Json]:
    """Every channel, seen by the bot or not; no threads."""
    _check_guild(call)
    return [channel for channel in call.data.channels.values() if channel["type"] not in THREADS]


def get_member(call: DiscordCall) -> Json:
    _check_guild(call)
    user_id = _snowflake("user_id", call.path["user"])
    if user_id not in call.data.members:
        raise refused(404, 10007, "Unknown Member")
    return call.data.members[user_id] | {"user": call.data.users[user_id]}


def list_active_threads(call: DiscordCall) -> Json:
    _check_guild(call)
    data = call.data
    threads = [
        channel
        for channel in data.channels.values()
        if channel["type"] in THREADS
        and not channel["thread_metadata"]["archived"]
        and data.may_view(data.bot_id, channel["id"])
    ]
    return _threads(call, sorted(threads, key=_number, reverse=True))


def get_channel(call: DiscordCall) -> Json:
    return _channel(call)


def list_messages(call: DiscordCall) -> list[Json]:
    """The asked messages, newest first; none where the bot may not read the history."""
    channel = _channel(call)
    if channel["type"] in (ChannelType.CATEGORY, ChannelType.FORUM):
        raise refused(400, 50024, "Cannot execute action on this channel type")
    limit = _limit(call, 1, 50)
    anchors = {
        name: int(_snowflake(name, call.query[name])) for name in ("before", "after", "around") if name in call.query
    }
    if len(anchors) > 1:
        raise invalid("before", "MUTUALLY_EXCLUSIVE", "Only one of before, after and around may be given.")
    if not call.data.permissions(call.data.bot_id, channel["id"]) & _HISTORY:
        return []
    kept = sorted(call.data.messages[channel["id"]].values(), key=_number)
    return [sent_message(call.data, message, call.now) for message in reversed(_page(kept, anchors, limit))]


def get_message(call: DiscordCall) -> Json:
    channel = _channel(call)
    message_id = _snowflake("message_id", call.path["message"])
    _require(call, channel, _HISTORY)
    kept = call.data.messages[channel["id"]]
    if message_id not in kept:
        raise refused(404, 10008, "Unknown Message")
    return sent_message(call.data, kept[message_id], call.now)


def list_public_archived(call: DiscordCall) -> Json:
    channel = _channel(call)
    _require(call, channel, _HISTORY)
    return _archived(call, channel, (ChannelType.PUBLIC_THREAD, ChannelType.ANNOUNCEMENT_THREAD))


def list_private_archived(call: DiscordCall) -> Json:
    channel = _channel(call)
    _require(call, channel, _HISTORY | Permission.MANAGE_THREADS)
    return _archived(call, channel, (ChannelType.PRIVATE_THREAD,))


def list_joined_archived(call: DiscordCall) -> Json:
    """The archived private threads that the bot is a member of, by id."""
    channel = _channel(call)
    _require(call, channel, _HISTORY)
    threads = [
        thread
        for thread in _archived_in(call, channel, (ChannelType.PRIVATE_THREAD,))
        if call.data.bot_id in call.data.thread_members[thread["id"]]
    ]
    if "before" in call.query:
        before = int(_snowflake("before", call.query["before"]))
        threads = [thread for thread in threads if _number(thread) < before]
    return _archived_page(call, sorted(threads, key=_number, reverse=True))


def list_thread_members(call: DiscordCall) -> list[Json]:
    thread = _channel(call)
    if thread["type"] not in THREADS:
        raise refused(400, 50024, "Cannot execute action on this channel type")
    return [
        {"id": thread["id"], "user_id": user_id, "join_timestamp": joined, "flags": 0}
        for user_id, joined in call.data.thread_members[thread["id"]].items()
    ]


def unknown(call: DiscordCall) -> None:
    raise refused(404, 0, "404: Not Found")


def _number(item: Json) -> int:
    return int(item["id"])


def _snowflake(name: str, value: str) -> str:
    if not value.isdecimal():
        raise invalid(name, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
    return value


def _limit(call: DiscordCall, least: int, default: int) -> int:
    value = call.query.get("limit", str(default))
    if not value.isdecimal():
        raise invalid("limit", "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
    if int(value) < least:
        raise invalid("limit", "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {least}.")
    if int(value) > 100:
        raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100.")
    return int(value)


def _check_guild(call: DiscordCall) -> None:
    if _snowflake("guild_id", call.path["guild"]) != call.data.guild["id"]:
        raise refused(404, 10004, "Unknown Guild")


def _channel(call: DiscordCall) -> Json:
    """The channel or thread of the path, which the bot sees."""
    channel_id = _snowflake("channel_id", call.path["channel"])
    if channel_id not in call.data.channels:
        raise refused(404, 10003, "Unknown Channel")
    if not call.data.may_view(call.data.bot_id, channel_id):
        raise refused(403, 50001, "Missing Access")
    return call.data.channels[channel_id]


def _require(call: DiscordCall, channel: Json, needed: Permission) -> None:
    if call.data.permissions(call.data.bot_id, channel["id"]) & needed != needed:
        raise refused(403, 50013, "Missing Permissions")


def _page(kept: list[Json], anchors: Mapping[str, int], limit: int) -> list[Json]:
    """The asked messages, oldest first, of all in that order."""
    match anchors:
        case {"before": before}:
            return [message for message in kept if _number(message) < before][-limit:]
        case {"after": after}:
            return [message for message in kept if _number(message) > after][:limit]
        case {"around": around}:
            older = [message for message in kept if _number(message) < around][-(limit // 2) :] if limit > 1 else []
            return older + [message for message in kept if _number(message) >= around][: limit - len(older)]
        case _:
            return kept[-limit:]


def _archived(call: DiscordCall, channel: Json, kinds: tuple[ChannelType, ...]) -> Json:
    """A page of archived threads, latest archived first."""
    threads = _archived_in(call, channel, kinds)
    if "before" in call.query:
        try:
            before = datetime.fromisoformat(call.query["before"])
        except ValueError:
            raise invalid("before", "DATE_TIME_TYPE_PARSE", "Could not parse the time.") from None
        if before.tzinfo is None:
            before = before.replace(tzinfo=call.now.tzinfo)
        threads = [thread for thread in threads if _archived_at(thread) < before]
    return _archived_page(call, sorted(threads, key=_archived_at, reverse=True))


def _archived_in(call: DiscordCall, channel: Json, kinds: tuple[ChannelType, ...]) -> list[Json]:
    return [
        thread
        for thread in call.data.channels.values()
        if thread["parent_id"] == channel["id"] and thread["type"] in kinds and thread["thread_metadata"]["archived"]
    ]


def _archived_at(thread: Json) -> datetime:
    return datetime.fromisoformat(thread["thread_metadata"]["archive_timestamp"])


def _archived_page(call: DiscordCall, threads: list[Json]) -> Json:
    limit = _limit(call, 2, 50)
    return _threads(call, threads[:limit]) | {"has_more": len(threads) > limit}


def _threads(call: DiscordCall, threads: list[Json]) -> Json:
    """Threads with the bot's own memberships of them."""
    mine = [
        {"id": thread["id"], "user_id": call.data.bot_id, "join_timestamp": joined, "flags": 0}
        for thread in threads
        for user_id, joined in call.data.thread_members[thread["id"]].items()
        if user_id == call.data.bot_id
    ]
    return {"threads": threads, "members": mine}
