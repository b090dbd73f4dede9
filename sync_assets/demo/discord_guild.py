"""One Discord guild: what it holds now, and what people do in it.

Channels, users, roles and webhooks are given by id or by name (`general`, `idris.p`), messages by id. What is not there
raises `KeyError`.
"""

from collections import Counter
from copy import deepcopy
from datetime import datetime
from typing import Any

from sync_assets.demo.discord_data import (
    THREADS,
    ChannelType,
    GuildData,
    MessageType,
    moment_of,
    named,
)
from sync_assets.demo.discord_limits import Buckets
from sync_assets.demo.faults import Faults
from sync_assets.demo.freshdesk import now
from sync_assets.demo.records import Json

_HAS_THREAD = 1 << 5


class DiscordGuild:
    """One guild: what it holds, the faults ordered for its API, and the log of requests.

    Attributes:
        data: what the guild holds now.
        buckets: the requests that count towards its API's limits.
        requests: answered requests by method and path template, such as `GET /api/v10/channels/{channel}/messages`.
    """

    def __init__(self, start: GuildData) -> None:
        self._start = deepcopy(start)
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: content, faults, limits and counts."""
        self.data = deepcopy(self._start)
        self.faults = Faults()
        self.buckets = Buckets()
        self.requests: Counter[str] = Counter()

    def channel_id(self, channel: str) -> str:
        """The id of a channel or thread given by its id or its present name."""
        return named(self.data.channels, channel, "name")

    def user_id(self, user: str) -> str:
        """The id of a user given by its id or its user name."""
        return named(self.data.users, user, "username")

    def post(
        self,
        channel: str,
        user: str,
        text: str,
        reply_to: str | None = None,
        at: datetime | None = None,
        **attributes: Any,
    ) -> Json:
        """Write a message; in an archived thread that opens the thread again.

        Args:
            user: a user or a webhook.
            reply_to: the message of the same channel that is replied to.
            at: when it is sent; now where it is not given.
            attributes: more of the message as the API sends it, such as `type`, `embeds`, `attachments` or `pinned`.

        Returns:
            The message as it is kept.
        """
        data, moment, channel_id = self.data, at or now(), self.channel_id(channel)
        message: Json = {
            "id": data.new_id(moment),
            "channel_id": channel_id,
            "type": MessageType.DEFAULT,
            "content": text,
            "timestamp": moment.isoformat(),
            "edited_timestamp": None,
            "flags": 0,
            "tts": False,
            "pinned": False,
            "mention_everyone": False,
            "attachments": [],
            "embeds": [],
            "components": [],
        }
        hook = next((key for key, author in data.webhooks.items() if user in (key, author["username"])), None)
        message["author"] = {"id": hook or self.user_id(user)}
        if hook is not None:
            message["webhook_id"] = hook
        if reply_to is not None:
            message |= {"type": MessageType.REPLY, "message_reference": self._reference(channel_id, reply_to)}
        message |= attributes
        data.messages[channel_id][message["id"]] = message
        self._count(channel_id, message)
        return message

    def edit(self, channel: str, message: str, text: str, at: datetime | None = None) -> Json:
        """Change a message's text; returns the message as it is kept."""
        kept = self.data.messages[self.channel_id(channel)][message]
        kept |= {"content": text, "edited_timestamp": (at or now()).isoformat()}
        return kept

    def delete(self, channel: str, message: str) -> None:
        """Delete a message; the thread that started from it stays, and the ids of last messages stay as they are."""
        channel_id = self.channel_id(channel)
        gone = self.data.messages[channel_id].pop(message)
        thread = self.data.channels[channel_id]
        if thread["type"] in THREADS and _is_counted(thread, gone):
            thread["message_count"] -= 1

    def open_thread(
        self,
        channel: str,
        starter: str | None,
        name: str,
        user: str | None = None,
        private: bool = False,
        at: datetime | None = None,
    ) -> Json:
        """Open a thread in a text or announcement channel.

        Args:
            starter: the message that it starts from and whose id it takes; None opens it from nothing.
            user: who opens it; the author of `starter` where it is not given.

        Returns:
            The thread as it is kept.
        """
        data, moment, channel_id = self.data, at or now(), self.channel_id(channel)
        kind = ChannelType.PRIVATE_THREAD if private else ChannelType.PUBLIC_THREAD
        if data.channels[channel_id]["type"] == ChannelType.ANNOUNCEMENT:
            kind = ChannelType.ANNOUNCEMENT_THREAD
        if starter is None:
            if user is None:
                raise KeyError("user")
            thread = self._new_thread(channel_id, data.new_id(moment), kind, name, self.user_id(user), moment)
            if not private:
                reference = {"type": 0, "channel_id": thread["id"], "guild_id": data.guild["id"]}
                self.post(
                    channel_id, user, name, None, moment, type=MessageType.THREAD_CREATED, message_reference=reference
                )
            return thread
        root = data.messages[channel_id][starter]
        owner = root["author"]["id"] if user is None else self.user_id(user)
        root["flags"] |= _HAS_THREAD
        thread = self._new_thread(channel_id, starter, kind, name, owner, moment)
        reference = self._reference(channel_id, starter)
        self.post(starter, owner, "", None, moment, type=MessageType.THREAD_STARTER, message_reference=reference)
        return thread

    def forum_post(
        self,
        channel: str,
        user: str,
        name: str,
        text: str,
        tags: tuple[str, ...] = (),
        at: datetime | None = None,
        **attributes: Any,
    ) -> Json:
        """Write a post in a forum: a thread whose first message has the thread's id.

        Args:
            tags: names of the forum's tags.
            attributes: more of the first message as the API sends it.

        Returns:
            The thread as it is kept.
        """
        data, moment, channel_id = self.data, at or now(), self.channel_id(channel)
        known = {tag["name"]: tag["id"] for tag in data.channels[channel_id]["available_tags"]}
        thread_id, owner = data.new_id(moment), self.user_id(user)
        thread = self._new_thread(channel_id, thread_id, ChannelType.PUBLIC_THREAD, name, owner, moment)
        thread["applied_tags"] = [known[tag] for tag in tags]
        data.channels[channel_id]["last_message_id"] = thread_id
        self.post(thread_id, owner, text, None, moment, id=thread_id, **attributes)
        return thread

    def archive_thread(self, thread: str, at: datetime | None = None) -> None:
        """Archive a thread, as Discord does after some days without a message."""
        state = self.data.channels[self.channel_id(thread)]["thread_metadata"]
        state |= {"archived": True, "archive_timestamp": (at or now()).isoformat()}

    def join_thread(self, thread: str, user: str, at: datetime | None = None) -> None:
        """Make a user a member of a thread, who then sees it even where it is private."""
        thread_id = self.channel_id(thread)
        members = self.data.thread_members[thread_id]
        members.setdefault(self.user_id(user), (at or now()).isoformat())
        self.data.channels[thread_id]["member_count"] = min(len(members), 50)

    def leave_thread(self, thread: str, user: str) -> None:
        """End a user's membership of a thread."""
        thread_id = self.channel_id(thread)
        members = self.data.thread_members[thread_id]
        del members[self.user_id(user)]
        self.data.channels[thread_id]["member_count"] = min(len(members), 50)

    def rename_channel(self, channel: str, name: str) -> None:
        """Give a channel or thread another name."""
        self.data.channels[self.channel_id(channel)]["name"] = name

    def delete_channel(self, channel: str) -> None:
        """Delete a thread, or a channel with all its threads."""
        channel_id = self.channel_id(channel)
        threads = [item["id"] for item in self.data.channels.values() if item["parent_id"] == channel_id]
        category = self.data.channels[channel_id]["type"] == ChannelType.CATEGORY
        for inner in threads if category else []:
            self.data.channels[inner]["parent_id"] = None
        for gone in [channel_id] if category else [channel_id, *threads]:
            del self.data.channels[gone], self.data.messages[gone]
            self.data.thread_members.pop(gone, None)

    def rename_user(self, user: str, name: str) -> None:
        """Give a user another display name; the user name stays."""
        self.data.users[self.user_id(user)]["global_name"] = name

    def overwrite(self, channel: str, target: str, kind: int, allow: int, deny: int) -> None:
        """Set what a role or a member may do in one channel.

        Args:
            target: id or name of the role or user.
            kind: 0 for a role, 1 for a member.
            allow: the bits that are allowed; 0 for none.
            deny: the bits that are denied; 0 for none.
        """
        target_id = self._target(target)
        self.remove_overwrite(channel, target_id)
        rules = self.data.channels[self.channel_id(channel)]["permission_overwrites"]
        rules.append({"id": target_id, "type": kind, "allow": str(int(allow)), "deny": str(int(deny))})

    def remove_overwrite(self, channel: str, target: str) -> None:
        """Let a role or a member have in one channel what it has in the guild."""
        kept, target_id = self.data.channels[self.channel_id(channel)], self._target(target)
        kept["permission_overwrites"] = [rule for rule in kept["permission_overwrites"] if rule["id"] != target_id]

    def set_role_permissions(self, role: str, permissions: int) -> None:
        """Set what a role may do in the whole guild."""
        self.data.roles[named(self.data.roles, role, "name")]["permissions"] = str(int(permissions))

    def switch_intent(self, on: bool) -> None:
        """Allow the bot to read what messages say, or take that away."""
        self.data.message_content = on

    def _target(self, target: str) -> str:
        try:
            return named(self.data.roles, target, "name")
        except KeyError:
            return self.user_id(target)

    def _reference(self, channel_id: str, message_id: str) -> Json:
        return {
            "type": 0,
            "channel_id": channel_id,
            "message_id": self.data.messages[channel_id][message_id]["id"],
            "guild_id": self.data.guild["id"],
        }

    def _new_thread(
        self, channel_id: str, thread_id: str, kind: ChannelType, name: str, owner: str, moment: datetime
    ) -> Json:
        opened = moment.isoformat()
        state: Json = {
            "archived": False,
            "archive_timestamp": opened,
            "auto_archive_duration": 4320,
            "locked": False,
            "create_timestamp": opened,
        }
        if kind == ChannelType.PRIVATE_THREAD:
            state["invitable"] = True
        thread: Json = {
            "id": thread_id,
            "guild_id": self.data.guild["id"],
            "parent_id": channel_id,
            "owner_id": owner,
            "type": kind,
            "name": name,
            "last_message_id": None,
            "thread_metadata": state,
            "message_count": 0,
            "total_message_sent": 0,
            "member_count": 0,
            "rate_limit_per_user": 0,
            "flags": 0,
        }
        self.data.channels[thread_id] = thread
        self.data.messages[thread_id] = {}
        self.data.thread_members[thread_id] = {}
        if owner in self.data.users:
            self.join_thread(thread_id, owner, moment)
        return thread

    def _count(self, channel_id: str, message: Json) -> None:
        """What a new message changes in its channel or thread."""
        channel = self.data.channels[channel_id]
        channel["last_message_id"] = max(channel["last_message_id"] or "0", message["id"], key=int)
        if channel["type"] not in THREADS:
            return
        if _is_counted(channel, message):
            channel["message_count"] += 1
            channel["total_message_sent"] += 1
        if message["author"]["id"] in self.data.users:
            self.join_thread(channel_id, message["author"]["id"], moment_of(message["id"]))
        state = channel["thread_metadata"]
        if state["archived"]:
            state |= {"archived": False, "archive_timestamp": message["timestamp"]}


def _is_counted(thread: Json, message: Json) -> bool:
    """Whether a thread counts the message: all but the one that it starts from."""
    return message["type"] != MessageType.THREAD_STARTER and message["id"] != thread["id"]
