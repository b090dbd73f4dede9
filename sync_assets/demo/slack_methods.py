"""Slack's methods: what each answers to a request that passed authentication and the rate limit.

A refusal is `SlackRefusal`, which is sent with status 200. Cursors hold the last item given, not its place in the list,
so a listing goes on rightly whatever was posted or deleted between two pages.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sync_assets.demo.records import Json
from sync_assets.demo.slack_records import SlackData, sent_message, shared_file, threads

_TYPES = {"public_channel": "channels", "private_channel": "groups", "mpim": "mpim", "im": "im"}
_TS = re.compile(r"\d{1,10}(\.\d{1,6})?")


class SlackRefusal(Exception):
    """An answer with `ok: false`."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body: Json = {"ok": False, "error": error, **more}


@dataclass(frozen=True)
class SlackCall:
    """One request.

    Attributes:
        given: the parameters of its query and of its form.
        page: most rows of a page.
    """

    data: SlackData
    given: Mapping[str, str]
    page: int


Method = Callable[[SlackCall], Json]


def auth_test(call: SlackCall) -> Json:
    data = call.data
    bot = next(bot for bot in data.bots.values() if bot.get("user_id") == data.app_user)
    return {
        "url": data.team["url"],
        "team": data.team["name"],
        "user": data.users[data.app_user]["name"],
        "team_id": data.team["id"],
        "user_id": data.app_user,
        "bot_id": bot["id"],
        "is_enterprise_install": False,
    }


def team_info(call: SlackCall) -> Json:
    _need(call, "team:read")
    return {"team": call.data.team}


def list_channels(call: SlackCall) -> Json:
    """The channels by their ids; private ones only where the app is a member."""
    types = [name.strip() for name in call.given.get("types", "public_channel").split(",")]
    if not set(types) <= set(_TYPES):
        raise SlackRefusal("invalid_types")
    for name in types:
        _need(call, f"{_TYPES[name]}:read")
    private = {name == "private_channel" for name in types if name.endswith("_channel")}
    chosen = [
        channel_id
        for channel_id, channel in sorted(call.data.channels.items())
        if channel["is_private"] in private
        and (not channel["is_private"] or _is_member(call, channel_id))
        and not (channel["is_archived"] and _flag(call, "exclude_archived"))
    ]
    page, cursor = _page(call, "team", chosen, 100, 1000)
    channels = [
        _sent_channel(call, channel_id) | {"num_members": len(call.data.members[channel_id])} for channel_id in page
    ]
    return {"channels": channels, "response_metadata": {"next_cursor": cursor}}


def channel_info(call: SlackCall) -> Json:
    channel_id = _channel(call, "read")
    channel = _sent_channel(call, channel_id)
    if _flag(call, "include_num_members"):
        channel["num_members"] = len(call.data.members[channel_id])
    return {"channel": channel}


def list_members(call: SlackCall) -> Json:
    """Ids of a channel's users, by these ids."""
    members = sorted(call.data.members[_channel(call, "read")])
    page, cursor = _page(call, "user", members, 100, 1000)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def history(call: SlackCall) -> Json:
    """A channel's messages, newest first; of replies only those that were sent to the channel too."""
    messages = call.data.messages[_readable(call)]
    replies = threads(messages)
    shown = [
        ts
        for ts in _within(call, sorted(messages, reverse=True))
        if "thread_ts" not in messages[ts] or messages[ts].get("subtype") == "thread_broadcast"
    ]
    page, cursor = _page(call, "next_ts", shown, 100, 999, newest_first=True)
    sent = [sent_message(messages, ts, replies[ts]) for ts in page]
    for message in sent:
        if message.get("subtype") == "thread_broadcast":
            root = message["thread_ts"]
            message["root"] = sent_message(messages, root, replies[root])
    return {
        "messages": sent,
        "has_more": bool(cursor),
        "pin_count": 0,
        "response_metadata": {"next_cursor": cursor},
    }


def replies(call: SlackCall) -> Json:
    """A thread, oldest first: its root and then up to `limit` replies, on every page."""
    messages = call.data.messages[_readable(call)]
    ts = call.given.get("ts", "")
    if ts not in messages:
        raise SlackRefusal("thread_not_found")
    root = messages[ts].get("thread_ts", ts)
    found = threads(messages)[root]
    page, cursor = _page(call, "next_ts", _within(call, found), 1000, 1000)
    return {
        "messages": [sent_message(messages, root, found), *(messages[ts] for ts in page)],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def list_users(call: SlackCall) -> Json:
    _need(call, "users:read")
    page, cursor = _page(call, "user", sorted(call.data.users), 1000, 1000)
    return {
        "members": [_sent_user(call, user_id) for user_id in page],
        "cache_ts": 0,
        "response_metadata": {"next_cursor": cursor},
    }


def user_info(call: SlackCall) -> Json:
    _need(call, "users:read")
    user_id = call.given.get("user", "")
    if user_id not in call.data.users:
        raise SlackRefusal("user_not_found")
    return {"user": _sent_user(call, user_id)}


def file_info(call: SlackCall) -> Json:
    _need(call, "files:read")
    file = shared_file(call.data, call.given.get("file", ""))
    if file is None:
        raise SlackRefusal("file_not_found")
    if file["mode"] == "tombstone":
        raise SlackRefusal("file_deleted")
    return {"file": file, "comments": [], "response_metadata": {"next_cursor": ""}}


def _need(call: SlackCall, scope: str) -> None:
    if scope not in call.data.scopes:
        raise SlackRefusal("missing_scope", needed=scope, provided=",".join(call.data.scopes))


def _is_member(call: SlackCall, channel_id: str) -> bool:
    return call.data.app_user in call.data.members[channel_id]


def _flag(call: SlackCall, name: str) -> bool:
    return call.given.get(name, "").lower() in ("1", "true")


def _channel(call: SlackCall, right: str) -> str:
    """The id of a channel that the app may know of."""
    channel_id = call.given.get("channel", "")
    channel = call.data.channels.get(channel_id)
    if channel is None or (channel["is_private"] and not _is_member(call, channel_id)):
        raise SlackRefusal("channel_not_found")
    _need(call, f"{'groups' if channel['is_private'] else 'channels'}:{right}")
    return channel_id


def _readable(call: SlackCall) -> str:
    """The id of a channel of which the app may read the messages."""
    channel_id = _channel(call, "history")
    if not _is_member(call, channel_id):
        raise SlackRefusal("not_in_channel")
    return channel_id


def _sent_channel(call: SlackCall, channel_id: str) -> Json:
    return call.data.channels[channel_id] | {"is_member": _is_member(call, channel_id)}


def _sent_user(call: SlackCall, user_id: str) -> Json:
    user = call.data.users[user_id]
    if "users:read.email" in call.data.scopes:
        return user
    return user | {"profile": {name: value for name, value in user["profile"].items() if name != "email"}}


def _within(call: SlackCall, listed: Sequence[str]) -> list[str]:
    """Those of the times that lie between `oldest` and `latest`, without these two unless `inclusive` is set."""
    for name in ("oldest", "latest"):
        if not _TS.fullmatch(call.given.get(name, "0")):
            raise SlackRefusal(f"invalid_ts_{name}")
    oldest = Decimal(call.given.get("oldest", "0"))
    latest = Decimal(call.given.get("latest", "Infinity"))
    ends = (oldest, latest) if _flag(call, "inclusive") else ()
    return [ts for ts in listed if oldest < Decimal(ts) < latest or Decimal(ts) in ends]


def _page(
    call: SlackCall, kind: str, listed: Sequence[str], default: int, largest: int, newest_first: bool = False
) -> tuple[list[str], str]:
    """The asked items of a sorted list, and the cursor of those after them; empty where nothing comes after."""
    limit = call.given.get("limit", "0") or "0"
    if not limit.isdigit() or int(limit) > largest:
        raise SlackRefusal("invalid_limit")
    last = _last_given(call, kind)
    rest = [item for item in listed if not last or (item < last if newest_first else item > last)]
    page = rest[: min(int(limit) or default, call.page)]
    more = len(page) < len(rest)
    return page, b64encode(f"{kind}:{page[-1]}".encode()).decode() if more else ""


def _last_given(call: SlackCall, kind: str) -> str:
    cursor = call.given.get("cursor", "")
    if not cursor:
        return ""
    try:
        name, _, item = b64decode(cursor, validate=True).decode().partition(":")
    except ValueError:
        name, item = "", ""
    if name != kind or not item:
        raise SlackRefusal("invalid_cursor")
    return item
