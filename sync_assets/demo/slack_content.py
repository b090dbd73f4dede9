"""The starting data of a Slack workspace, made from a profile such as `data/acme/slack.yaml`.

In a profile people, bots and channels have short names. A message is a mapping whose first key is its time (UTC) and
its author and whose value is its text, `09:12 tomas: Morning`; a reply of another day has the date before the time.
Texts say `<@tomas>` and `<#releases>`; here these become ids. Further keys of a message are attributes as Slack sends
them, and these, which are resolved here:

    thread      replies
    broadcast   true for a reply that was sent to the channel too
    edited      the time of an edit
    deleted     true for a message that was deleted after its replies came
    files       names of files, or files as Slack sends them
    stranger    the id of the author's account in another workspace, of whom this one knows nothing
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zlib import crc32

from sync_assets.demo.records import Json
from sync_assets.demo.slack_records import SLACKBOT, SlackData, new_channel, new_file, new_user, timestamp
from sync_assets.demo.slack_workspace import SlackWorkspace

_FOUNDED = datetime(2026, 11, 2, 6, tzinfo=UTC)
_MENTION = re.compile(r"<([@#])([a-z0-9-]+)>")
_USER_KEYS = ("user", "user_id", "users")


def build_workspace(profile: Json) -> SlackData:
    """The workspace that a profile describes.

    Args:
        profile: `team`, `token`, `app`, `people`, `bots`, and `channels` with their `days` of messages.
    """
    team = profile["team"] | {"url": f"https://{profile['team']['domain']}.slack.com/"}
    data = SlackData(team=team, token=profile["token"], app_user="")
    names = _add_users(data, profile)
    data.app_user = names[profile["app"]]
    names |= {name: channel["id"] for name, channel in profile["channels"].items()}
    workspace = SlackWorkspace(data)
    for name, channel in profile["channels"].items():
        _add_channel(workspace, names, name, channel)
    return workspace.data


def _add_users(data: SlackData, profile: Json) -> dict[str, str]:
    """Give the workspace its people and bots; returns their ids by short name."""
    names: dict[str, str] = {}
    make = partial(new_user, team_id=data.team["id"], moment=_FOUNDED)
    for number, (handle, facts) in enumerate(profile["people"].items(), start=1):
        names[handle] = f"U08ACME{number:03}"
        data.users[names[handle]] = make(names[handle], handle=handle, **facts)
    for number, (handle, facts) in enumerate(profile["bots"].items(), start=1):
        bot_id, user_id = f"B08ACME{number:03}", f"U08ABOT{number:03}"
        names[handle] = bot_id if facts["webhook"] else user_id
        data.bots[bot_id] = {"id": bot_id, "deleted": False, "name": facts["name"], "app_id": f"A08ACME{number:03}"}
        if not facts["webhook"]:
            data.bots[bot_id]["user_id"] = user_id
            data.users[user_id] = make(user_id, handle=handle, name=facts["name"], is_bot=True)
    data.users[SLACKBOT] = make(SLACKBOT, handle="slackbot", name="Slackbot")
    return names


def _add_channel(workspace: SlackWorkspace, names: dict[str, str], name: str, profile: Json) -> None:
    data, channel_id = workspace.data, profile["id"]
    facts = {fact: profile[fact] for fact in ("topic", "purpose", "is_private", "is_general") if fact in profile}
    data.channels[channel_id] = new_channel(
        channel_id, data.team["id"], name, names[profile["creator"]], _FOUNDED, **facts
    )
    data.members[channel_id] = [names[member] for member in profile["members"]]
    data.messages[channel_id] = {}
    for day, entries in profile["days"].items():
        for entry in entries:
            _add_message(workspace, names, channel_id, day, entry)
    if "archived" in profile:
        workspace.archive(channel_id, at=profile["archived"].replace(tzinfo=UTC))


def _add_message(
    workspace: SlackWorkspace, names: dict[str, str], channel_id: str, day: date, entry: Json, root: str | None = None
) -> None:
    (heading, text), *more = entry.items()
    when, _, author = heading.rpartition(" ")
    moment = _moment(day, when)
    # A time has no seconds, real ones have; two messages of one minute keep their order.
    moment += timedelta(microseconds=crc32(f"{channel_id} {moment}".encode()) % 60_000_000)
    attributes = dict(more)
    thread, edited = attributes.pop("thread", []), attributes.pop("edited", None)
    deleted, stranger = attributes.pop("deleted", False), attributes.pop("stranger", None)
    if attributes.pop("broadcast", False):
        attributes["subtype"] = "thread_broadcast"
    if "files" in attributes:
        attributes["files"] = [
            file if isinstance(file, dict) else new_file(workspace.data, file, names[author], timestamp(moment))
            for file in attributes["files"]
        ]
    ids = _resolved(attributes, names)
    ts: str = workspace.post(channel_id, names[author], _mentioned(text, names), root, moment, **ids)["ts"]
    for reply in thread:
        _add_message(workspace, names, channel_id, day, reply, root=ts)
    message = workspace.data.messages[channel_id][ts]
    if stranger is not None:
        message["user"] = stranger
    if edited is not None:
        workspace.edit(channel_id, ts, message["text"], _moment(day, edited))
    if deleted:
        workspace.delete(channel_id, ts)


def _moment(day: date, when: str) -> datetime:
    """`09:12` on that day, or `2026-11-06 09:12`."""
    return datetime.fromisoformat(when if " " in when else f"{day} {when}").replace(tzinfo=UTC)


def _mentioned(text: str, names: dict[str, str]) -> str:
    def mention(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return f"<@{names[name]}>" if kind == "@" else f"<#{names[name]}|{name}>"

    return _MENTION.sub(mention, text)


def _resolved(value: Any, names: dict[str, str], key: str = "") -> Any:
    """The value with ids for short names, in texts and where a user or a channel is named."""
    if isinstance(value, dict):
        return {name: _resolved(item, names, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, names, key) for item in value]
    if key in (*_USER_KEYS, "channel_id"):
        return names.get(value, value)
    return _mentioned(value, names) if isinstance(value, str) else value
