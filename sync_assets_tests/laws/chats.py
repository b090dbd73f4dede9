"""Two small chats, served over HTTP, and what people do in them: the upstream of the laws for chats.

What belongs here: a Slack workspace and a Discord server with the actions that a history is made of, and what a person
would find in them. What does not: the laws (`test_chats.py`), and the simulators themselves (`sync_assets/demo/`).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import httpx

from sync_assets.demo.chats import discord_conversations, slack_conversations
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.discord_content import build_guild
from sync_assets.demo.discord_data import THREADS, ChannelType, MessageType, Permission
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.records import Json
from sync_assets.demo.server import DemoServers
from sync_assets.demo.slack_content import build_workspace
from sync_assets.demo.slack_workspace import SlackWorkspace
from sync_assets.sources import Source, discord, slack
from sync_assets.vector_stores import Audience
from sync_assets_tests.laws.world import PEOPLE, WORD, Clock, System, inside

CHAT = "chat"

_ROLE, _MEMBER = 0, 1

_SLACK: dict[str, Any] = {
    "team": {"id": "T1", "name": "Small", "domain": "small", "email_domain": "small.example"},
    "token": "xoxb-small",
    "app": "app",
    "people": {name: {"name": name.title()} for name in PEOPLE},
    "bots": {"app": {"name": "App", "webhook": False}},
    "channels": {
        name: {"id": f"C0{name.upper()}", "creator": "ada", "is_private": private, "members": members, "days": {}}
        for name, private, members in (
            ("help", False, [*PEOPLE, "app"]),
            ("ops", False, ["ada", "app"]),
            ("secret", True, ["ada", "ben", "app"]),
        )
    },
}
_DISCORD: dict[str, Any] = {
    "token": "discord-small",
    "guild": {"name": "Small", "created": "2026-01-01 10:00", "owner": "ada", "description": ""},
    "bot": "bot",
    "emojis": [],
    "webhooks": [],
    "roles": [
        {"name": "@everyone", "allow": ["VIEW_CHANNEL", "SEND_MESSAGES", "READ_MESSAGE_HISTORY"]},
        {"name": "Team", "allow": []},
        {"name": "Reader", "allow": ["MANAGE_THREADS"], "managed": True},
    ],
    "people": [
        {"username": name, "name": name.title(), "roles": roles, "joined": "2026-01-01 11:00", "bot": name == "bot"}
        for name, roles in (("bot", ["Reader"]), ("ada", []), ("ben", ["Team"]), ("cleo", []))
    ],
    "channels": [
        {"name": "help", "type": "TEXT"},
        {
            "name": "secret",
            "type": "TEXT",
            "overwrites": [
                {"role": "@everyone", "allow": [], "deny": ["VIEW_CHANNEL"]},
                {"role": "Team", "allow": ["VIEW_CHANNEL"], "deny": []},
                {"role": "Reader", "allow": ["VIEW_CHANNEL"], "deny": []},
            ],
        },
        {"name": "forum", "type": "FORUM", "tags": []},
    ],
}


class SmallCompany(DemoCompany):
    """A company that has nothing but the two chats."""

    def __init__(self) -> None:
        self.desks = {}
        self.zoho = {}
        self.slack = {CHAT: SlackWorkspace(build_workspace(_SLACK))}
        self.discord = {CHAT: DiscordGuild(build_guild(_DISCORD))}
        self.gitlab = {}
        self.backlog = {}
        self.portal = self.seed = None


class Chat(System):
    """A chat. Numbers of its actions choose a channel, a message or a person.

    Attributes:
        channels: their ids, by number.
    """

    stream = "messages"
    channels: list[str]

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock, CHAT)

    def make_one(self) -> None:
        self.post(0)

    @abstractmethod
    def post(self, channel: int, person: int = 0) -> tuple[str, str]:
        """Say something new in a channel, a minute later; returns where, and the id of the message."""

    @abstractmethod
    def lose(self, channel: int, right: int = 0) -> None:
        """The app may not see a channel any more."""

    @abstractmethod
    def thread(self, channel: int, replies: int) -> list[tuple[str, str]]:
        """Start a thread; returns its messages, the first one aside, as `post` returns them."""

    @abstractmethod
    def reply(self, number: int, person: int) -> None:
        """Answer to a message that is there."""

    @abstractmethod
    def change(self, message: tuple[str, str]) -> None:
        """Give a message another text."""

    @abstractmethod
    def remove(self, message: tuple[str, str]) -> None:
        """Delete a message."""

    def edit(self, number: int, _: int) -> None:
        if found := self._message(number):
            self.change(found)

    def delete(self, number: int, _: int) -> None:
        if found := self._message(number):
            self.remove(found)

    @abstractmethod
    def _message(self, number: int) -> tuple[str, str] | None:
        """One message that somebody wrote, as `post` returns it; None where there is none."""


class SlackChat(Chat):
    """The channels `help` and `ops`, and the private channel `secret`, which cleo is not in."""

    source = "slack"
    actions = (
        *("post", "post", "reply", "reply", "broadcast", "edit", "delete", "delete", "next_day"),
        *("join", "leave", "rename_person", "rename_channel", "turn", "lose", "regain", "archive", "open_again"),
    )

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        self.workspace = servers.company.slack[CHAT]
        self.workspace.reset()
        self.channels = sorted(self.workspace.data.channels)
        users = self.workspace.data.users
        self._people = [next(user for user in users if users[user]["name"] == name) for name in PEOPLE]

    def open(self, tenant: str, transport: httpx.BaseTransport) -> Source:
        account = slack.Account(**{**self.account, "thread_rescan_days": 1, **self.settings})
        return slack.Source(tenant, account, clock=self.clock, timer=self.clock.timer, transport=transport)

    def mend(self) -> None:
        for channel in range(len(self.channels)):
            self.open_again(channel)
            self.regain(channel)

    def record_ids(self) -> list[str]:
        return sorted(set(slack_conversations(self.workspace.data)))

    def principals(self) -> frozenset[str]:
        return frozenset(f"user:{user}" for user in self.workspace.data.users)

    def readers(self) -> Iterator[tuple[Audience, set[str]]]:
        data = self.workspace.data
        for person in self._people:
            found: set[str] = set()
            for channel, facts in data.channels.items():
                if not facts["is_private"] or person in data.members[channel]:
                    found.update(*(WORD.findall(message["text"]) for message in data.messages[channel].values()))
            yield inside(f"user:{person}"), found

    def post(self, channel: int, person: int = 0, thread: str | None = None, **attributes: Any) -> tuple[str, str]:
        channel_id, user = self.of(self.channels, channel), self.of(self._people, person)
        moment = self.clock.tick()
        sent = self.workspace.post(channel_id, user, self.text(), thread, moment, **attributes)
        return channel_id, sent["ts"]

    def thread(self, channel: int, replies: int) -> list[tuple[str, str]]:
        _, root = self.post(channel)
        return [self.post(channel, number, root) for number in range(replies)]

    def change(self, message: tuple[str, str]) -> None:
        self.workspace.edit(*message, self.text(), self.clock.tick())

    def remove(self, message: tuple[str, str]) -> None:
        self.clock.tick()
        self.workspace.delete(*message)

    def reply(self, number: int, person: int) -> None:
        if found := self._message(number):
            self.post(self.channels.index(found[0]), person, found[1])

    def broadcast(self, number: int, person: int) -> None:
        if found := self._message(number):
            self.post(self.channels.index(found[0]), person, found[1], subtype="thread_broadcast")

    def join(self, channel: int, person: int) -> None:
        self.workspace.join(self.of(self.channels, channel), self.of(self._people, person), self.clock.now)

    def leave(self, channel: int, person: int) -> None:
        self.workspace.leave(self.of(self.channels, channel), self.of(self._people, person), self.clock.now)

    def rename_person(self, person: int, _: int) -> None:
        self.workspace.rename_user(self.of(self._people, person), self.name(), self.clock.now)

    def rename_channel(self, channel: int, _: int = 0) -> None:
        self.workspace.rename_channel(self.of(self.channels, channel), self.name(), self.clock.now)

    def turn(self, channel: int, _: int) -> None:
        """Make a public channel private, or a private one public."""
        channel_id = self.of(self.channels, channel)
        self.workspace.set_private(channel_id, not self.workspace.data.channels[channel_id]["is_private"])

    def lose(self, channel: int, right: int = 0) -> None:
        self.workspace.leave(self.of(self.channels, channel), self.workspace.data.app_user, self.clock.now)

    def regain(self, channel: int, _: int = 0) -> None:
        if not self._facts(channel)["is_archived"]:
            self.workspace.join(self.of(self.channels, channel), self.workspace.data.app_user, self.clock.now)

    def archive(self, channel: int, _: int = 0) -> None:
        if not self._facts(channel)["is_archived"]:
            self.workspace.archive(self.of(self.channels, channel), True, self.clock.now)

    def open_again(self, channel: int, _: int = 0) -> None:
        if self._facts(channel)["is_archived"]:
            self.workspace.archive(self.of(self.channels, channel), False, self.clock.now)

    def _facts(self, channel: int) -> Json:
        return self.workspace.data.channels[self.of(self.channels, channel)]

    def _message(self, number: int) -> tuple[str, str] | None:
        data = self.workspace.data
        found = sorted(
            (ts, channel_id)
            for channel_id, messages in data.messages.items()
            for ts, message in messages.items()
            if WORD.search(message["text"])
        )
        ts, channel_id = self.of(found, number) if found else ("", "")
        return (channel_id, ts) if ts else None


class DiscordChat(Chat):
    """The channel `help`, the channel `secret` that only the role Team may view, and a forum."""

    source = "discord"
    actions = (
        *("post", "post", "reply", "reply", "edit", "delete", "delete", "next_day", "open_thread", "open_thread"),
        *("open_apart", "archive_thread", "join_thread", "leave_thread", "delete_thread", "rename_person"),
        *("rename_channel", "hide", "show", "admit", "expel", "lose", "regain", "blind", "mend"),
    )

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        self.guild = servers.company.discord[CHAT]
        self.guild.reset()
        self.channels = list(self.guild.data.channels)
        self._people = [self.guild.user_id(name) for name in PEOPLE]

    def open(self, tenant: str, transport: httpx.BaseTransport) -> Source:
        account = discord.Account(**{**self.account, "thread_rescan_days": 1, **self.settings})
        return discord.Source(tenant, account, clock=self.clock, timer=self.clock.timer, transport=transport)

    def mend(self, *_: int) -> None:
        self.guild.switch_intent(True)
        for channel in range(len(self.channels)):
            self.regain(channel)

    def record_ids(self) -> list[str]:
        return sorted(set(discord_conversations(self.guild.data)))

    def principals(self) -> frozenset[str]:
        data = self.guild.data
        return frozenset({*(f"user:{user}" for user in data.users), *(f"role:{role}" for role in data.roles)})

    def readers(self) -> Iterator[tuple[Audience, set[str]]]:
        data = self.guild.data
        for person in self._people:
            found: set[str] = set()
            for room, messages in data.messages.items():
                private = data.channels[room]["type"] == ChannelType.PRIVATE_THREAD
                if person in data.thread_members[room] if private else data.may_view(person, room):
                    found.update(*(WORD.findall(message["content"]) for message in messages.values()))
            roles = data.members[person]["roles"]
            yield inside(f"user:{person}", *(f"role:{role}" for role in roles)), found

    def post(self, channel: int, person: int = 0) -> tuple[str, str]:
        """A message in a channel or thread, or a post in a forum."""
        room, user, moment = self.of(self._rooms(), channel), self.of(self._people, person), self.clock.tick()
        if self.guild.data.channels[room]["type"] == ChannelType.FORUM:
            thread = self.guild.forum_post(room, user, self.name(), self.text(), at=moment)["id"]
            return thread, thread
        return room, self.guild.post(room, user, self.text(), at=moment)["id"]

    def thread(self, channel: int, replies: int) -> list[tuple[str, str]]:
        room, message = self.post(channel)
        self.guild.open_thread(room, message, self.name(), at=self.clock.tick())
        place = self._rooms().index(message)
        return [self.post(place, number) for number in range(replies)]

    def change(self, message: tuple[str, str]) -> None:
        self.guild.edit(*message, self.text(), self.clock.tick())

    def remove(self, message: tuple[str, str]) -> None:
        self.clock.tick()
        self.guild.delete(*message)

    def reply(self, number: int, person: int) -> None:
        """In a thread as well as in a channel: a message that points at another one."""
        if found := self._message(number):
            self.guild.post(found[0], self.of(self._people, person), self.text(), found[1], self.clock.now)

    def open_thread(self, number: int, person: int) -> None:
        """A thread with a first answer, from a message of a channel that has none."""
        found = self._message(number)
        channels = self.guild.data.channels
        if found and channels[found[0]]["type"] not in THREADS and found[1] not in channels:
            user = self.of(self._people, person)
            self.guild.open_thread(*found, self.name(), user, at=self.clock.now)
            self.guild.post(found[1], user, self.text(), at=self.clock.tick())

    def open_apart(self, channel: int, person: int) -> None:
        """A thread that starts from no message, private where the number of the person is odd."""
        parent, user, moment = self.channels[channel % 2], self.of(self._people, person), self.clock.now
        thread = self.guild.open_thread(parent, None, self.name(), user, person % 2 == 1, moment)["id"]
        self.guild.post(thread, user, self.text(), at=self.clock.tick())

    def archive_thread(self, number: int, _: int) -> None:
        for thread in self._thread(number):
            self.guild.archive_thread(thread, self.clock.now)

    def delete_thread(self, number: int, _: int) -> None:
        for thread in self._thread(number):
            self.guild.delete_channel(thread)

    def join_thread(self, number: int, person: int) -> None:
        for thread in self._thread(number):
            self.guild.join_thread(thread, self.of(self._people, person), self.clock.now)

    def leave_thread(self, number: int, person: int) -> None:
        for thread in self._thread(number):
            if self.of(self._people, person) in self.guild.data.thread_members[thread]:
                self.guild.leave_thread(thread, self.of(self._people, person))

    def rename_person(self, person: int, _: int) -> None:
        self.guild.rename_user(self.of(self._people, person), self.name())

    def rename_channel(self, channel: int, _: int = 0) -> None:
        self.guild.rename_channel(self.of(self._rooms(), channel), self.name())

    def hide(self, channel: int, _: int = 0) -> None:
        """Only those that are let in may view a channel."""
        self.guild.overwrite(self.of(self.channels, channel), "Reader", _ROLE, Permission.VIEW_CHANNEL, 0)
        self.guild.overwrite(self.of(self.channels, channel), "@everyone", _ROLE, 0, Permission.VIEW_CHANNEL)

    def show(self, channel: int, _: int = 0) -> None:
        self.guild.remove_overwrite(self.of(self.channels, channel), "@everyone")

    def admit(self, channel: int, whom: int) -> None:
        """Let a role, or a member by itself, view a channel."""
        target, kind = ("Team", _ROLE) if whom % 2 else ("cleo", _MEMBER)
        self.guild.overwrite(self.of(self.channels, channel), target, kind, Permission.VIEW_CHANNEL, 0)

    def expel(self, channel: int, whom: int) -> None:
        self.guild.remove_overwrite(self.of(self.channels, channel), "Team" if whom % 2 else "cleo")

    def lose(self, channel: int, right: int = 0) -> None:
        """The bot may not view a channel any more or, where `right` is odd, not read its history."""
        denied = Permission.READ_MESSAGE_HISTORY if right % 2 else Permission.VIEW_CHANNEL
        self.guild.overwrite(self.of(self.channels, channel), "bot", _MEMBER, 0, denied)

    def regain(self, channel: int, _: int = 0) -> None:
        self.guild.remove_overwrite(self.of(self.channels, channel), "bot")

    def blind(self, *_: int) -> None:
        self.guild.switch_intent(False)

    def _rooms(self) -> list[str]:
        return [*self.channels, *(room for room in self.guild.data.channels if room not in self.channels)]

    def _thread(self, number: int) -> list[str]:
        """One thread, or none."""
        threads = self._rooms()[len(self.channels) :]
        return [self.of(threads, number)] if threads else []

    def _message(self, number: int) -> tuple[str, str] | None:
        found = sorted(
            (message_id, room)
            for room, messages in self.guild.data.messages.items()
            for message_id, message in messages.items()
            if message["type"] in (MessageType.DEFAULT, MessageType.REPLY)
        )
        message_id, room = self.of(found, number) if found else ("", "")
        return (room, message_id) if message_id else None
