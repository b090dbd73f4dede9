"""Makes a guild at its start from a profile: its people, channels and conversations, played in the order they stand."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sync_assets.demo.discord_data import ChannelType, GuildData, Permission, named
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.records import Json

_MONTH = "2026-11-"
_MARKUP = re.compile(r"<(@!|@&|@|#)([^<>]+)>")
_FORWARD = 1
_HAS_SNAPSHOT = 1 << 14
_POLL_RESULT = 46
_FORWARDED = ("type", "content", "embeds", "attachments", "components", "timestamp", "edited_timestamp", "flags")


def build_guild(profile: Json) -> GuildData:
    """A guild as it stands in `data/{tenant}/discord.yaml`, whose head says how it is written."""
    created = _moment(profile["guild"]["created"])
    data = GuildData(token=profile["token"], bot_id="", guild={"emojis": profile["emojis"]})
    data.guild |= {
        "id": data.new_id(created),
        "name": profile["guild"]["name"],
        "description": profile["guild"]["description"],
        "icon": None,
        "features": ["COMMUNITY", "NEWS"],
        "stickers": [],
        "preferred_locale": "en-GB",
        "premium_tier": 0,
        "nsfw_level": 0,
    }
    for position, role in enumerate(profile["roles"]):
        _add_role(data, role, position, created)
    for person in profile["people"]:
        _add_person(data, person)
    data.guild["owner_id"] = named(data.users, profile["guild"]["owner"], "username")
    data.bot_id = named(data.users, profile["bot"], "username")
    for position, channel in enumerate(profile["channels"]):
        _add_channel(data, channel, position, created)
    for hook in profile["webhooks"]:
        author = {"id": data.new_id(created), "username": hook["username"], "discriminator": "0000", "bot": True}
        data.webhooks[author["id"]] = author | {"avatar": None, "global_name": None, "public_flags": 0, "flags": 0}
    guild = DiscordGuild(data)
    player = _Player(guild)
    for channel in profile["channels"]:
        channel_id = guild.channel_id(channel["name"])
        player.play(channel_id, channel.get("messages", []))
        for post in channel.get("posts", []):
            player.play_post(channel_id, post)
    return guild.data


class _Player:
    """Plays written conversations in a guild.

    Args:
        guild: where they are played.
    """

    def __init__(self, guild: DiscordGuild) -> None:
        self._guild = guild
        self._keys: dict[str, Json] = {}

    def play(self, channel_id: str, entries: list[Any]) -> None:
        """Write the messages of a channel or thread; what is marked so is deleted when all are written."""
        gone: list[str] = []
        previous = ""
        for entry in entries:
            if isinstance(entry, dict):
                self._open(channel_id, entry)
                continue
            time, user, text, more = entry if len(entry) == 4 else [*entry, {}]
            message = self._post(channel_id, _moment(time), user, text, more, previous)
            previous = message["id"]
            if "thread" in more:
                self._answer(channel_id, message["id"], more["thread"])
            if more.get("deleted"):
                gone.append(message["id"])
        for message_id in gone:
            self._guild.delete(channel_id, message_id)

    def play_post(self, channel_id: str, post: Json) -> None:
        """Write a post of a forum with its answers."""
        text, moment = self._resolved(post["text"]), _moment(post["at"])
        thread = self._guild.forum_post(channel_id, post["by"], post["name"], text, tuple(post["tags"]), moment)
        self._fill(thread["id"], post)

    def _open(self, channel_id: str, entry: Json) -> None:
        private, moment = entry.get("private", False), _moment(entry["at"])
        thread = self._guild.open_thread(channel_id, None, entry["opens"], entry["by"], private, moment)
        for member in entry.get("members", []):
            self._guild.join_thread(thread["id"], member, moment)
        self._fill(thread["id"], entry)

    def _answer(self, channel_id: str, starter: str, thread: Json) -> None:
        """Open a thread at a message when the first answer comes, by whom it comes from."""
        time, user = thread["messages"][0][:2]
        self._guild.open_thread(channel_id, starter, thread["name"], user, at=_moment(time))
        self._fill(starter, thread)

    def _fill(self, thread_id: str, thread: Json) -> None:
        self.play(thread_id, thread["messages"])
        if "archived" in thread:
            self._guild.archive_thread(thread_id, _moment(thread["archived"]))

    def _post(self, channel_id: str, moment: datetime, user: str, text: str, more: Json, previous: str) -> Json:
        reply_to = previous if more.get("reply") else None
        attributes = self._attributes(moment, more)
        message = self._guild.post(channel_id, user, self._resolved(text), reply_to, moment, **attributes)
        self._keys[more.get("key", "")] = message
        return message

    def _attributes(self, moment: datetime, more: Json) -> Json:
        """What else a message has, as the API sends it."""
        new_id = self._guild.data.new_id
        made = {name: more[name] for name in ("type", "embeds", "pinned", "mention_everyone") if name in more}
        if "edited" in more:
            made["edited_timestamp"] = _moment(more["edited"]).isoformat()
        if "files" in more:
            made["attachments"] = [{"id": new_id(moment), **file} for file in more["files"]]
        if "stickers" in more:
            made["sticker_items"] = [
                {"id": new_id(moment), "name": name, "format_type": 1} for name in more["stickers"]
            ]
        if "poll" in more:
            made["poll"] = _poll(more["poll"])
        if "forward" in more:
            made |= self._forward(self._keys[more["forward"]])
        if "result" in more:
            made |= _poll_result(self._keys[more["result"]], self._guild.data.guild["id"])
        return made

    def _forward(self, message: Json) -> Json:
        reference = _reference(message, self._guild.data.guild["id"]) | {"type": _FORWARD}
        snapshot = {name: message[name] for name in _FORWARDED} | {"mentions": [], "mention_roles": []}
        return {
            "flags": _HAS_SNAPSHOT,
            "message_reference": reference,
            "message_snapshots": [{"message": snapshot}],
        }

    def _resolved(self, text: str) -> str:
        """The text with ids in place of names in its mentions."""
        data = self._guild.data

        def resolve(match: re.Match[str]) -> str:
            mark, name = match.groups()
            items, attribute = {
                "#": (data.channels, "name"),
                "@&": (data.roles, "name"),
            }.get(mark, (data.users, "username"))
            return f"<{mark}{named(items, name, attribute)}>"

        return _MARKUP.sub(resolve, text)


def _moment(written: str) -> datetime:
    """`02 09:12` of the month, or a whole date with its time."""
    return datetime.fromisoformat(written if len(written) > 8 else f"{_MONTH}{written}").replace(tzinfo=UTC)


def _bits(names: list[str]) -> str:
    return str(sum(int(Permission[name]) for name in names))


def _add_role(data: GuildData, role: Json, position: int, created: datetime) -> None:
    role_id = data.guild["id"] if role["name"] == "@everyone" else data.new_id(created)
    data.roles[role_id] = {
        "id": role_id,
        "name": role["name"],
        "permissions": _bits(role["allow"]),
        "position": position,
        "color": role.get("color", 0),
        "hoist": False,
        "managed": role.get("managed", False),
        "mentionable": True,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def _add_person(data: GuildData, person: Json) -> None:
    joined = _moment(person["joined"])
    user: Json = {
        "id": data.new_id(joined - timedelta(days=200)),
        "username": person["username"],
        "global_name": person["name"],
        "discriminator": "0",
        "avatar": None,
        "banner": None,
        "accent_color": None,
        "avatar_decoration_data": None,
        "collectibles": None,
        "primary_guild": None,
        "public_flags": 0,
        "flags": 0,
    }
    if person.get("bot"):
        user["bot"] = True
    data.users[user["id"]] = user
    data.members[user["id"]] = {
        "nick": person.get("nick"),
        "avatar": None,
        "banner": None,
        "roles": [named(data.roles, role, "name") for role in person["roles"]],
        "joined_at": joined.isoformat(),
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }


def _add_channel(data: GuildData, channel: Json, position: int, created: datetime) -> None:
    kind = ChannelType[channel["type"]]
    category = channel.get("category")
    made: Json = {
        "id": data.new_id(created),
        "guild_id": data.guild["id"],
        "type": kind,
        "name": channel["name"],
        "position": position,
        "parent_id": None if category is None else named(data.channels, category, "name"),
        "permission_overwrites": [
            {
                "id": named(data.roles, rule["role"], "name"),
                "type": 0,
                "allow": _bits(rule["allow"]),
                "deny": _bits(rule["deny"]),
            }
            for rule in channel.get("overwrites", [])
        ],
        "flags": 0,
    }
    if kind != ChannelType.CATEGORY:
        made |= {
            "topic": channel.get("topic"),
            "nsfw": False,
            "last_message_id": None,
            "rate_limit_per_user": 0,
        }
    if kind == ChannelType.VOICE:
        made |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    if kind == ChannelType.FORUM:
        tags = [
            {"id": data.new_id(created), "name": tag, "moderated": False, "emoji_id": None, "emoji_name": None}
            for tag in channel["tags"]
        ]
        made |= {
            "available_tags": tags,
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 1,
        }
    data.channels[made["id"]] = made
    data.messages[made["id"]] = {}


def _reference(message: Json, guild_id: str) -> Json:
    return {"type": 0, "channel_id": message["channel_id"], "message_id": message["id"], "guild_id": guild_id}


def _poll(poll: Json) -> Json:
    numbered = list(enumerate(poll["answers"], start=1))
    votes = dict(enumerate(poll["votes"], start=1))
    return {
        "question": {"text": poll["question"]},
        "answers": [{"answer_id": number, "poll_media": {"text": text}} for number, text in numbered],
        "expiry": _moment(poll["expiry"]).isoformat(),
        "allow_multiselect": False,
        "layout_type": 1,
        "results": {
            "is_finalized": True,
            "answer_counts": [{"id": number, "count": votes[number], "me_voted": False} for number, _ in numbered],
        },
    }


def _poll_result(message: Json, guild_id: str) -> Json:
    """The message that Discord writes when a poll has ended."""
    poll = message["poll"]
    counts = poll["results"]["answer_counts"]
    winner = max(counts, key=lambda count: count["count"])
    text = next(answer["poll_media"]["text"] for answer in poll["answers"] if answer["answer_id"] == winner["id"])
    values = {
        "poll_question_text": poll["question"]["text"],
        "victor_answer_votes": str(winner["count"]),
        "total_votes": str(sum(count["count"] for count in counts)),
        "victor_answer_id": str(winner["id"]),
        "victor_answer_text": text,
    }
    fields = [{"name": name, "value": value, "inline": False} for name, value in values.items()]
    return {
        "type": _POLL_RESULT,
        "message_reference": _reference(message, guild_id),
        "embeds": [{"type": "poll_result", "fields": fields}],
    }
