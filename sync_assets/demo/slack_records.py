"""Slack's objects as its API sends them: made here for the starting data and for every later action alike."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from mimetypes import guess_type
from typing import Any

from sync_assets.demo.files import file_bytes
from sync_assets.demo.records import Json

SCOPES = (
    "channels:history",
    "channels:read",
    "files:read",
    "groups:history",
    "groups:read",
    "team:read",
    "users:read",
    "users:read.email",
)
SLACKBOT = "USLACKBOT"
FILES_HOST = "https://files.slack.com"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MARKUP = re.compile(r"[<>&*_~`:\n]")
_USERS_SHOWN = 5


@dataclass
class SlackData:
    """All that one workspace holds, in wire form.

    Attributes:
        token: the token of the app that reads the workspace.
        app_user: that app's bot user.
        scopes: what the token may do.
        bots: bot profiles by bot id; one with a `user_id` posts as that user, one without as a webhook.
        members: ids of users by channel id, in order of joining.
        messages: by channel id, then by `ts`. A reply has the `thread_ts` of its root; what a root says about its
            replies is not kept but counted when it is sent.
    """

    team: Json
    token: str
    app_user: str
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    users: dict[str, Json] = field(default_factory=dict[str, Json])
    bots: dict[str, Json] = field(default_factory=dict[str, Json])
    channels: dict[str, Json] = field(default_factory=dict[str, Json])
    members: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    messages: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])


def timestamp(moment: datetime) -> str:
    """A moment as Slack sends it.

    >>> timestamp(datetime(2026, 11, 2, 9, 12, 3, 100, tzinfo=UTC))
    '1793610723.000100'
    """
    seconds, micros = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return f"{seconds}.{micros:06}"


def free_ts(messages: Mapping[str, Json], moment: datetime) -> str:
    """The first `ts` from `moment` on that no message of the channel has."""
    while (ts := timestamp(moment)) in messages:
        moment += _MICROSECOND
    return ts


def seconds_of(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def new_user(user_id: str, team_id: str, handle: str, name: str, moment: datetime, **facts: Any) -> Json:
    """A member of the workspace.

    Args:
        handle: its `name`, also the local part of its address.
        facts: `display_name`, `title`, `deleted`, `is_bot`, `is_admin` where they are not empty or false.
    """
    deleted, is_bot = facts.get("deleted", False), facts.get("is_bot", False)
    display_name = facts.get("display_name", "")
    user: Json = {
        "id": user_id,
        "team_id": team_id,
        "name": handle,
        "deleted": deleted,
        "is_bot": is_bot,
        "is_app_user": False,
        "updated": seconds_of(moment),
        "profile": {
            "title": facts.get("title", ""),
            "real_name": name,
            "real_name_normalized": name,
            "display_name": display_name,
            "display_name_normalized": display_name,
            "status_text": "",
            "status_emoji": "",
            "team": team_id,
        },
    }
    if not is_bot:
        user["profile"]["email"] = f"{handle}@acme.example"
    if deleted:
        return user
    return user | {
        "color": sha256(user_id.encode()).hexdigest()[:6],
        "real_name": name,
        "tz": "Europe/London",
        "tz_label": "Greenwich Mean Time",
        "tz_offset": 0,
        "is_admin": facts.get("is_admin", False),
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_email_confirmed": not is_bot,
        "who_can_share_contact_card": "EVERYONE",
    }


def new_channel(channel_id: str, team_id: str, name: str, creator: str, moment: datetime, **facts: Any) -> Json:
    """A channel without members.

    Args:
        facts: `topic`, `purpose`, `is_private`, `is_archived`, `is_general` where they are not empty or false.
    """
    channel: Json = {
        "id": channel_id,
        "name": name,
        "name_normalized": name,
        "previous_names": [],
        "created": seconds_of(moment),
        "updated": seconds_of(moment) * 1000,
        "creator": creator,
        "context_team_id": team_id,
        "is_im": False,
        "is_mpim": False,
        "is_archived": facts.get("is_archived", False),
        "is_general": facts.get("is_general", False),
        "is_shared": False,
        "is_ext_shared": False,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
        "unlinked": 0,
        "shared_team_ids": [team_id],
        "pending_shared": [],
        "pending_connected_team_ids": [],
    }
    for words in ("topic", "purpose"):
        channel[words] = {"value": facts.get(words, ""), "creator": creator, "last_set": seconds_of(moment)}
    make_private(channel, facts.get("is_private", False))
    return channel


def make_private(channel: Json, private: bool) -> None:
    channel.update(is_private=private, is_channel=not private, is_group=private)


def new_message(data: SlackData, author: str, text: str, ts: str) -> Json:
    """A message of a person, of a bot that has a user, or (by a bot's id) of a webhook.

    Raises:
        KeyError: nobody has that id.
    """
    message: Json = {"type": "message", "text": text, "ts": ts}
    if author in data.bots:
        bot = data.bots[author]
        return message | {"subtype": "bot_message", "bot_id": author, "username": bot["name"]}
    user = data.users[author]
    message |= {"user": author, "team": data.team["id"]}
    if user["is_bot"]:
        bot = next(bot for bot in data.bots.values() if bot.get("user_id") == author)
        return message | {"bot_id": bot["id"], "app_id": bot["app_id"], "bot_profile": bot}
    message["client_msg_id"] = sha256(f"{author} {ts}".encode()).hexdigest()[:32]
    return message | editor_blocks(text)


def editor_blocks(text: str) -> Json:
    """The same words once more, as Slack's editor sends them beside the text; none for a text with markup."""
    if not text or _MARKUP.search(text):
        return {}
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"blocks": [{"type": "rich_text", "block_id": "b1", "elements": [section]}]}


def new_file(data: SlackData, name: str, user: str, ts: str) -> Json:
    """A file of a message; what it holds is made of its name."""
    file_id = "F" + sha256(f"{name} {ts}".encode()).hexdigest()[:10].upper()
    address = f"{FILES_HOST}/files-pri/{data.team['id']}-{file_id}"
    return {
        "id": file_id,
        "created": int(ts.partition(".")[0]),
        "timestamp": int(ts.partition(".")[0]),
        "name": name,
        "title": name,
        "mimetype": guess_type(name)[0] or "application/octet-stream",
        "filetype": name.rpartition(".")[2],
        "mode": "hosted",
        "user": user,
        "size": len(file_bytes(name)),
        "is_external": False,
        "file_access": "visible",
        "url_private": f"{address}/{name}",
        "url_private_download": f"{address}/download/{name}",
        "permalink": f"{data.team['url']}files/{user}/{file_id}/{name}",
    }


def shared_file(data: SlackData, file_id: str) -> Json | None:
    """A file that was shared in a channel of which the app may read the messages."""
    for channel, messages in data.messages.items():
        for message in messages.values() if data.app_user in data.members[channel] else ():
            for file in message.get("files", []):
                if file["id"] == file_id:
                    return file
    return None


def tombstone(ts: str) -> Json:
    """What is left of a deleted root while it has replies."""
    return {
        "type": "message",
        "subtype": "tombstone",
        "user": SLACKBOT,
        "text": "This message was deleted.",
        "hidden": True,
        "ts": ts,
    }


def threads(messages: Mapping[str, Json]) -> dict[str, list[str]]:
    """The `ts` of the replies by the `ts` of their root, oldest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for ts, message in sorted(messages.items()):
        if "thread_ts" in message:
            found[message["thread_ts"]].append(ts)
    return found


def sent_message(messages: Mapping[str, Json], ts: str, replies: Sequence[str]) -> Json:
    """A message as it is sent: a root says how many replies it has, of whom, and when the last one came.

    Args:
        replies: what `threads` has for the message.
    """
    if not replies:
        return dict(messages[ts])
    authors = list(dict.fromkeys(messages[reply].get("user") or messages[reply].get("bot_id") for reply in replies))
    return messages[ts] | {
        "thread_ts": ts,
        "reply_count": len(replies),
        "reply_users_count": len(authors),
        "reply_users": authors[:_USERS_SHOWN],
        "latest_reply": replies[-1],
        "is_locked": False,
        "subscribed": False,
    }
