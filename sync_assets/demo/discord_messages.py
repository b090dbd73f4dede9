"""Messages as Discord sends them to the bot: with people, mentions and addresses, without what it may not read."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from sync_assets.demo.discord_data import GuildData, MessageType
from sync_assets.demo.records import Json

_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_POINTING = (MessageType.REPLY, MessageType.THREAD_STARTER)


def sent_message(data: GuildData, message: Json, moment: datetime, nested: bool = False) -> Json:
    """A kept message as the API sends it.

    Args:
        moment: what the signatures of attachments' addresses are made for.
        nested: whether it is sent inside another one, and so without the message that it points at.
    """
    sent = message | {
        "author": _author(data, message),
        "mentions": _mentions(data, message),
        "mention_roles": [role for role in _ROLE.findall(message["content"]) if role in data.roles],
        "attachments": [_attachment(message["channel_id"], item, moment) for item in message["attachments"]],
    }
    if "message_snapshots" in message:
        sent["message_snapshots"] = [
            _snapshot(message, item["message"], moment) for item in message["message_snapshots"]
        ]
    if message["id"] in data.channels and message["id"] != message["channel_id"]:
        sent["thread"] = data.channels[message["id"]]
    if message["type"] in _POINTING and not nested:
        target = _target(data, message)
        sent["referenced_message"] = None if target is None else sent_message(data, target, moment, nested=True)
    return sent if _may_read(data, sent) else _blanked(sent)


def _target(data: GuildData, message: Json) -> Json | None:
    reference = message["message_reference"]
    return data.messages.get(reference["channel_id"], {}).get(reference["message_id"])


def _author(data: GuildData, message: Json) -> Json:
    author_id = message["author"]["id"]
    return data.webhooks[author_id] if "webhook_id" in message else data.users[author_id]


def _mentions(data: GuildData, message: Json) -> list[Json]:
    """The users that a message names, and the author that it replies to, each once."""
    ids = _USER.findall(message["content"])
    target = _target(data, message) if message["type"] == MessageType.REPLY else None
    if target is not None:
        ids.append(target["author"]["id"])
    return [data.users[user_id] for user_id in dict.fromkeys(ids) if user_id in data.users]


def _snapshot(message: Json, copied: Json, moment: datetime) -> Json:
    channel_id = message["message_reference"]["channel_id"]
    attachments = [_attachment(channel_id, item, moment) for item in copied["attachments"]]
    return {"message": copied | {"attachments": attachments}}


def _attachment(channel_id: str, attachment: Json, moment: datetime) -> Json:
    """An attachment with its two addresses, signed for a day."""
    path = f"/attachments/{channel_id}/{attachment['id']}/{quote(attachment['filename'])}"
    issued = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first, last = (f"{int(time.timestamp()):x}" for time in (issued, issued + timedelta(days=1)))
    signature = hashlib.sha256(f"{path}{first}{last}".encode()).hexdigest()
    query = f"?ex={last}&is={first}&hm={signature}&"
    return attachment | {
        "url": f"https://cdn.discordapp.com{path}{query}",
        "proxy_url": f"https://media.discordapp.net{path}{query}",
    }


def _may_read(data: GuildData, sent: Json) -> bool:
    """Without the intent, a bot reads its own messages and those that mention it."""
    readers = [sent["author"]["id"], *(user["id"] for user in sent["mentions"])]
    return data.message_content or data.bot_id in readers


def _blanked(sent: Json) -> Json:
    blank = sent | {"content": "", "embeds": [], "attachments": [], "components": []}
    blank.pop("poll", None)
    if "message_snapshots" in blank:
        blank["message_snapshots"] = [
            {"message": snapshot["message"] | {"content": "", "embeds": [], "attachments": [], "components": []}}
            for snapshot in blank["message_snapshots"]
        ]
    return blank
