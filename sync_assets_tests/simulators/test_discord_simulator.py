"""The demo company's Discord: its protocol over the wire, its limits and faults, its content, and discord.py."""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, TypeVar

import discord
import httpx
import pytest
import uvicorn
import yaml
from discord.http import HTTPClient, Route

from sync_assets.demo.discord_api import create_app
from sync_assets.demo.discord_content import build_guild
from sync_assets.demo.discord_data import GuildData, Permission
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.freshdesk import now

Found = TypeVar("Found")

AT = datetime(2026, 11, 14, 12, tzinfo=UTC)
AMPLE = DiscordLimits(messages=100_000, others=100_000, per_second=100_000)
LISTING = "GET /api/v10/channels/{channel}/messages"


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.moment = AT

    def __call__(self) -> datetime:
        return self.moment


class Ticking(Clock):
    """A clock that goes on by 0.15 s with each request."""

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=0.15)
        return self.moment


class Server(uvicorn.Server):
    """Tells when it listens, or has failed to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.listens.set()


@contextmanager
def serving(guild: DiscordGuild, clock: Callable[[], datetime], limits: DiscordLimits | None) -> Iterator[str]:
    """Serve a guild in a thread; gives the root of its addresses."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(guild, clock, limits)
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    server.listens.wait()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def start() -> GuildData:
    text = files("sync_assets.demo").joinpath("data", "solara", "discord.yaml").read_text(encoding="utf-8")
    return build_guild(yaml.safe_load(text))


@pytest.fixture(scope="module")
def served(start: GuildData) -> Iterator[tuple[DiscordGuild, Clock, str]]:
    guild, clock = DiscordGuild(start), Clock()
    with serving(guild, clock, AMPLE) as root:
        yield guild, clock, root


@pytest.fixture
def clock(served: tuple[DiscordGuild, Clock, str]) -> Clock:
    served[1].moment = AT
    return served[1]


@pytest.fixture
def guild(served: tuple[DiscordGuild, Clock, str], clock: Clock) -> DiscordGuild:
    """The guild at its start."""
    served[0].reset()
    return served[0]


@pytest.fixture
def root(served: tuple[DiscordGuild, Clock, str]) -> str:
    return served[2]


@pytest.fixture
def http(guild: DiscordGuild, root: str) -> Iterator[httpx.Client]:
    with client_of(guild, root) as client:
        yield client


@pytest.fixture
def control(guild: DiscordGuild, root: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{root}/_demo") as client:
        yield client


@pytest.fixture
def limited(start: GuildData) -> Iterator[tuple[DiscordGuild, Clock, httpx.Client]]:
    """A guild with the vendor's limits, and its own clock."""
    guild, clock = DiscordGuild(start), Clock()
    with serving(guild, clock, None) as root, client_of(guild, root) as client:
        yield guild, clock, client


def client_of(guild: DiscordGuild, root: str) -> httpx.Client:
    return httpx.Client(base_url=f"{root}/api/v10", headers={"Authorization": f"Bot {guild.data.token}"})


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    return answer.status_code, answer.json()["code"], answer.json()["message"]


def ids(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["id"]) for message in messages]


def of(guild: DiscordGuild, channel: str) -> list[int]:
    """The ids of a channel's messages, oldest first, read from memory."""
    return sorted(int(message_id) for message_id in guild.data.messages[guild.channel_id(channel)])


def found(messages: list[dict[str, Any]], text: str) -> dict[str, Any]:
    return next(message for message in messages if text in message["content"])


@pytest.fixture
def general(guild: DiscordGuild) -> str:
    return f"/channels/{guild.channel_id('general')}"


@pytest.fixture
def team(guild: DiscordGuild) -> str:
    return f"/channels/{guild.channel_id('team-room')}"


class TestContent:
    def test_the_channels_have_the_types_of_a_community(self, http: httpx.Client, guild: DiscordGuild) -> None:
        channels = http.get(f"/guilds/{guild.data.guild['id']}/channels").json()
        assert {channel["name"]: channel["type"] for channel in channels} == {
            "Information": 4,
            "welcome": 5,
            "Owners": 4,
            "general": 0,
            "installations": 0,
            "troubleshooting": 15,
            "Sunday coffee": 2,
            "Solara Team": 4,
            "team-room": 0,
            "moderators": 0,
        }

    def test_the_messages_are_of_all_kinds_that_a_reader_meets(self, start: GuildData) -> None:
        messages = [message for kept in start.messages.values() for message in kept.values()]
        types = Counter(int(message["type"]) for message in messages)
        assert len(messages) >= 180
        assert set(types) == {0, 6, 7, 8, 18, 19, 20, 21, 46}
        assert all(
            any(message.get(name) for message in messages)
            for name in ("embeds", "attachments", "sticker_items", "poll", "message_snapshots", "webhook_id", "pinned")
        )

    def test_the_texts_have_every_kind_of_markup(self, start: GuildData) -> None:
        text = "\n".join(message["content"] for kept in start.messages.values() for message in kept.values())
        for markup in (r"<@\d+>", r"<@!\d+>", r"<@&\d+>", r"<#\d+>", r"<:\w+:\d+>", r"<a:\w+:\d+>", r"<t:\d+:F>"):
            assert re.search(markup, text), markup
        assert re.search(r"</\w+:\d+>", text)
        assert re.search(r"\|\|.+\|\|", text)

    def test_every_message_lies_in_the_demos_days(self, start: GuildData) -> None:
        days = {message["timestamp"][:10] for kept in start.messages.values() for message in kept.values()}
        assert min(days) == "2026-11-02"
        assert max(days) == "2026-11-13"

    def test_two_starts_are_the_same_guild(self, start: GuildData) -> None:
        text = files("sync_assets.demo").joinpath("data", "solara", "discord.yaml").read_text(encoding="utf-8")
        assert build_guild(yaml.safe_load(text)) == start

    def test_ids_are_text_that_a_floating_point_number_cannot_hold(self, start: GuildData) -> None:
        every = [message_id for kept in start.messages.values() for message_id in kept]
        assert all(str(int(float(message_id))) != message_id for message_id in every)


class TestAuthentication:
    @pytest.mark.parametrize("authorization", ["", "Bearer demo-discord-token-solara", "demo-discord-token-solara"])
    def test_only_the_bots_token_after_the_word_bot_is_let_in(self, root: str, authorization: str) -> None:
        answer = httpx.get(f"{root}/api/v10/users/@me", headers={"Authorization": authorization})
        assert (answer.status_code, answer.json()) == (401, {"message": "401: Unauthorized", "code": 0})

    def test_the_bot_sees_itself_and_its_one_guild(self, http: httpx.Client, guild: DiscordGuild) -> None:
        assert http.get("/users/@me").json()["username"] == "sunny"
        assert [item["name"] for item in http.get("/users/@me/guilds").json()] == ["Solara Owners"]

    def test_the_flags_of_the_application_tell_whether_it_may_read_messages(
        self, http: httpx.Client, guild: DiscordGuild
    ) -> None:
        assert http.get("/applications/@me").json()["flags"] & (1 << 18 | 1 << 19)
        guild.switch_intent(False)
        assert not http.get("/applications/@me").json()["flags"] & (1 << 18 | 1 << 19)


class TestGuild:
    def test_the_guild_has_its_roles_with_permissions_as_text(self, http: httpx.Client, guild: DiscordGuild) -> None:
        path = f"/guilds/{guild.data.guild['id']}"
        roles = http.get(f"{path}/roles").json()
        assert http.get(path).json()["roles"] == roles
        assert roles[0]["id"] == guild.data.guild["id"]
        assert roles[0]["permissions"] == str(1 << 10 | 1 << 11 | 1 << 16)

    def test_a_member_has_roles_and_a_name_of_the_guild(self, http: httpx.Client, guild: DiscordGuild) -> None:
        path = f"/guilds/{guild.data.guild['id']}/members"
        member = http.get(f"{path}/{guild.user_id('ottilie')}").json()
        assert (member["nick"], member["user"]["global_name"]) == ("Ottilie (Solara)", "Ottilie Marsh")
        assert refusal(http.get(f"{path}/1")) == (404, 10007, "Unknown Member")

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/guilds/1", (404, 10004, "Unknown Guild")),
            ("/channels/1", (404, 10003, "Unknown Channel")),
            ("/channels/1/messages", (404, 10003, "Unknown Channel")),
            ("/channels/general", (400, 50035, "Invalid Form Body")),
            ("/nothing", (404, 0, "404: Not Found")),
        ],
    )
    def test_what_is_not_there_is_refused(self, http: httpx.Client, path: str, expected: tuple[int, int, str]) -> None:
        assert refusal(http.get(path)) == expected


class TestMessages:
    def test_fifty_come_newest_first_where_no_limit_is_given(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        assert ids(http.get(f"{general}/messages").json()) == of(guild, "general")[:-51:-1]

    def test_paging_back_to_the_first_message_gives_each_once(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        read: list[int] = []
        page = http.get(f"{general}/messages", params={"limit": 7}).json()
        while page:
            read += ids(page)
            page = http.get(f"{general}/messages", params={"limit": 7, "before": page[-1]["id"]}).json()
        assert read == of(guild, "general")[::-1]

    def test_paging_forward_gives_the_next_messages_each_page_newest_first(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        read: list[int] = []
        page = http.get(f"{general}/messages", params={"limit": 7, "after": "0"}).json()
        while page:
            assert ids(page) == sorted(ids(page), reverse=True)
            read += ids(page)[::-1]
            page = http.get(f"{general}/messages", params={"limit": 7, "after": page[0]["id"]}).json()
        assert read == of(guild, "general")

    def test_around_gives_what_stands_on_both_sides(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        kept = of(guild, "general")
        page = http.get(f"{general}/messages", params={"limit": 5, "around": kept[10]}).json()
        assert ids(page) == kept[8:13][::-1]

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=x", "before=1&after=1"])
    def test_a_wrong_parameter_is_an_invalid_form(self, http: httpx.Client, general: str, query: str) -> None:
        assert refusal(http.get(f"{general}/messages?{query}")) == (400, 50035, "Invalid Form Body")

    def test_a_message_of_its_own_is_as_the_listing_has_it(self, http: httpx.Client, general: str) -> None:
        listed = http.get(f"{general}/messages").json()[3]
        assert http.get(f"{general}/messages/{listed['id']}").json() == listed

    def test_a_reply_holds_the_message_that_it_answers_and_mentions_its_author(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        reply = found(http.get(f"{general}/messages?limit=100").json(), "Web portal, not the app")
        assert reply["type"] == 19
        assert reply["referenced_message"]["id"] == reply["message_reference"]["message_id"]
        assert "yearly statement" in reply["referenced_message"]["content"]
        assert [user["username"] for user in reply["mentions"]] == ["cuthbert_v"]

    def test_a_forward_holds_a_copy_of_the_message(self, http: httpx.Client, general: str) -> None:
        messages = http.get(f"{general}/messages?limit=100").json()
        forward = next(message for message in messages if "message_snapshots" in message)
        assert (forward["content"], forward["message_reference"]["type"]) == ("", 1)
        assert "backup circuit" in forward["message_snapshots"][0]["message"]["content"]

    def test_a_forwarded_attachment_has_an_address_too(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        kept = guild.data.messages[guild.channel_id("installations")]
        source = next(message for message in kept.values() if message["attachments"])
        reference = {"type": 1, "channel_id": source["channel_id"], "message_id": source["id"]}
        copies = [{"message": source}]
        guild.post("general", "idris", "", at=AT, message_reference=reference, message_snapshots=copies)
        copied = http.get(f"{general}/messages?limit=1").json()[0]["message_snapshots"][0]["message"]
        original = http.get(f"/channels/{source['channel_id']}/messages/{source['id']}").json()
        assert copied["attachments"] == original["attachments"]

    def test_a_webhook_has_a_name_and_no_member(self, http: httpx.Client, guild: DiscordGuild) -> None:
        messages = http.get(f"/channels/{guild.channel_id('welcome')}/messages").json()
        by_hook = [message for message in messages if "webhook_id" in message]
        assert {message["author"]["username"] for message in by_hook} == {"Solara Status"}
        assert all(message["author"]["id"] == message["webhook_id"] for message in by_hook)
        assert by_hook[-1]["embeds"][0]["title"] == "Solara Home: cloud maintenance"

    def test_addresses_of_attachments_are_signed_anew_from_day_to_day(
        self, http: httpx.Client, clock: Clock, guild: DiscordGuild
    ) -> None:
        path = f"/channels/{guild.channel_id('installations')}/messages?limit=100"
        first = found(http.get(path).json(), "meter cupboard")["attachments"][0]
        clock.moment += timedelta(days=1)
        second = found(http.get(path).json(), "meter cupboard")["attachments"][0]
        assert first["url"].partition("?")[0] == second["url"].partition("?")[0]
        assert set(httpx.URL(first["url"]).params) >= {"ex", "is", "hm"}
        assert first["url"] != second["url"]

    def test_an_edit_changes_the_text_and_tells_when(
        self, http: httpx.Client, clock: Clock, guild: DiscordGuild, general: str
    ) -> None:
        sent = guild.post("general", "idris", "Fogg", at=AT)
        guild.edit("general", sent["id"], "Fog", at=AT + timedelta(minutes=1))
        message = http.get(f"{general}/messages/{sent['id']}").json()
        assert (message["content"], message["edited_timestamp"]) == ("Fog", "2026-11-14T12:01:00+00:00")

    def test_a_deleted_message_is_unknown_and_its_reply_stays_without_it(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        asked = guild.post("general", "idris", "Anybody?", at=AT)
        guild.post("general", "noemi", "Me", reply_to=asked["id"], at=AT)
        guild.delete("general", asked["id"])
        assert refusal(http.get(f"{general}/messages/{asked['id']}")) == (404, 10008, "Unknown Message")
        assert http.get(f"{general}/messages?limit=1").json()[0]["referenced_message"] is None

    def test_a_new_name_of_a_person_stands_at_all_their_messages(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        guild.rename_user("idris", "Idris Penhaligon")
        messages = http.get(f"{general}/messages?limit=100").json()
        names = {item["author"]["global_name"] for item in messages if item["author"]["username"] == "idris"}
        assert names == {"Idris Penhaligon"}

    @pytest.mark.parametrize("channel", ["troubleshooting", "Owners"])
    def test_a_forum_or_category_has_no_messages(self, http: httpx.Client, guild: DiscordGuild, channel: str) -> None:
        answer = http.get(f"/channels/{guild.channel_id(channel)}/messages")
        assert refusal(answer) == (400, 50024, "Cannot execute action on this channel type")


def archived(http: httpx.Client, path: str, limit: int) -> list[dict[str, Any]]:
    """All archived threads of a channel, read to the end."""
    threads: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = http.get(path, params=query).json()
        threads += page["threads"]
        if not page["has_more"]:
            return threads
        query["before"] = page["threads"][-1]["thread_metadata"]["archive_timestamp"]


class TestThreads:
    def test_active_threads_are_those_of_all_channels_and_no_archived_one(
        self, http: httpx.Client, guild: DiscordGuild
    ) -> None:
        answer = http.get(f"/guilds/{guild.data.guild['id']}/threads/active").json()
        kept = [item for item in guild.data.channels.values() if "thread_metadata" in item]
        expected = [int(item["id"]) for item in kept if not item["thread_metadata"]["archived"]]
        assert ids(answer["threads"]) == sorted(expected, reverse=True)
        assert {thread["parent_id"] for thread in answer["threads"]} == {
            guild.channel_id(name) for name in ("welcome", "general", "installations", "troubleshooting", "team-room")
        }

    def test_archived_threads_are_read_to_the_end_latest_archived_first(
        self, http: httpx.Client, guild: DiscordGuild
    ) -> None:
        path = f"/channels/{guild.channel_id('troubleshooting')}/threads/archived/public"
        for day, name in enumerate(("Heat pump with SG Ready", "Backup does not take over")):
            guild.archive_thread(name, AT + timedelta(days=day))
        threads = archived(http, path, limit=2)
        assert [thread["name"] for thread in threads] == [
            "Backup does not take over",
            "Heat pump with SG Ready",
            "Reading values with Modbus",
            "Pairing fails with my mesh router",
            "Error 218 since the update to 9.2",
        ]
        assert threads == archived(http, path, limit=100)

    @pytest.mark.parametrize("query", ["limit=1", "limit=101", "before=yesterday"])
    def test_a_wrong_parameter_of_archived_threads_is_an_invalid_form(
        self, http: httpx.Client, general: str, query: str
    ) -> None:
        answer = http.get(f"{general}/threads/archived/public?{query}")
        assert refusal(answer) == (400, 50035, "Invalid Form Body")

    def test_archived_private_threads_show_with_the_right_to_manage_threads_or_to_members(
        self, http: httpx.Client, guild: DiscordGuild, team: str
    ) -> None:
        names = [item["name"] for item in http.get(f"{team}/threads/archived/private").json()["threads"]]
        assert names == ["Complaint of a neighbour"]
        assert not http.get(f"{team}/threads/archived/public").json()["threads"]
        guild.set_role_permissions("Sunny", 0)
        answer = http.get(f"{team}/threads/archived/private")
        assert refusal(answer) == (403, 50013, "Missing Permissions")
        joined = http.get(f"{team}/users/@me/threads/archived/private").json()
        assert [item["name"] for item in joined["threads"]] == names
        assert [item["user_id"] for item in joined["members"]] == [guild.data.bot_id]
        assert not http.get(
            f"{team}/users/@me/threads/archived/private", params={"before": joined["threads"][0]["id"]}
        ).json()["threads"]

    def test_a_private_thread_shows_to_nobody_but_members_and_moderators(
        self, http: httpx.Client, guild: DiscordGuild
    ) -> None:
        path = f"/channels/{guild.channel_id('Complaint of a neighbour')}"
        members = http.get(f"{path}/thread-members").json()
        assert {item["user_id"] for item in members} == {
            guild.user_id(name) for name in ("sunny", "ottilie", "benedict")
        }
        guild.set_role_permissions("Sunny", 0)
        assert http.get(path).status_code == 200
        guild.leave_thread("Complaint of a neighbour", "sunny")
        assert refusal(http.get(path)) == (403, 50001, "Missing Access")
        guild.join_thread("Complaint of a neighbour", "sunny")
        assert http.get(path).status_code == 200

    def test_a_thread_has_the_id_of_the_message_that_it_starts_from(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        root = found(http.get(f"{general}/messages?limit=100").json(), "*Battery > Storm mode*")
        thread = http.get(f"/channels/{root['id']}").json()
        messages = http.get(f"/channels/{root['id']}/messages").json()
        assert root["thread"] == thread
        assert (thread["name"], thread["type"], thread["parent_id"]) == ("Storm mode", 11, guild.channel_id("general"))
        assert (messages[-1]["type"], messages[-1]["content"]) == (21, "")
        assert messages[-1]["referenced_message"]["id"] == root["id"]
        assert thread["last_message_id"] == messages[0]["id"]
        assert thread["message_count"] == thread["total_message_sent"] == len(messages) - 1

    def test_a_post_in_a_forum_starts_with_a_message_of_the_threads_id(
        self, http: httpx.Client, guild: DiscordGuild
    ) -> None:
        forum = http.get(f"/channels/{guild.channel_id('troubleshooting')}").json()
        thread = http.get(f"/channels/{guild.channel_id('Backup does not take over')}").json()
        messages = http.get(f"/channels/{thread['id']}/messages").json()
        tags = {tag["id"]: tag["name"] for tag in forum["available_tags"]}
        assert messages[-1]["id"] == thread["id"]
        assert thread["message_count"] == len(messages) - 1
        assert [tags[tag] for tag in thread["applied_tags"]] == ["battery"]
        newest = max(
            (item for item in guild.data.channels if guild.data.channels[item]["parent_id"] == forum["id"]), key=int
        )
        assert forum["last_message_id"] == newest

    def test_a_deleted_starter_leaves_its_thread(self, http: httpx.Client, guild: DiscordGuild, general: str) -> None:
        thread_id = guild.channel_id("Storm mode")
        guild.delete("general", thread_id)
        assert refusal(http.get(f"{general}/messages/{thread_id}")) == (404, 10008, "Unknown Message")
        assert http.get(f"/channels/{thread_id}/messages").json()[-1]["referenced_message"] is None

    def test_deleted_answers_show_in_the_counts_of_a_thread(self, http: httpx.Client, guild: DiscordGuild) -> None:
        sent = guild.post("Storm mode", "idris", "Never mind", at=AT)
        guild.delete("Storm mode", sent["id"])
        thread = http.get(f"/channels/{guild.channel_id('Storm mode')}").json()
        assert thread["total_message_sent"] - thread["message_count"] == 1
        assert thread["last_message_id"] == sent["id"]

    def test_an_answer_opens_an_archived_thread_again(self, http: httpx.Client, guild: DiscordGuild) -> None:
        guild.post("Reading values with Modbus", "idris", "Still fine?", at=AT)
        state = http.get(f"/channels/{guild.channel_id('Reading values with Modbus')}").json()["thread_metadata"]
        assert (state["archived"], state["archive_timestamp"]) == (False, AT.isoformat())

    def test_a_thread_from_nothing_is_told_in_its_channel(self, http: httpx.Client, guild: DiscordGuild) -> None:
        thread = guild.open_thread("general", None, "Meeting in spring", "idris", at=AT)
        told = http.get(f"/channels/{guild.channel_id('general')}/messages?limit=1").json()[0]
        assert (told["type"], told["content"]) == (18, "Meeting in spring")
        assert told["message_reference"]["channel_id"] == thread["id"] != told["id"]

    def test_a_deleted_channel_is_gone_with_its_threads(self, http: httpx.Client, guild: DiscordGuild) -> None:
        general, thread = guild.channel_id("general"), guild.channel_id("Storm mode")
        guild.delete_channel("general")
        for gone in (general, thread):
            assert refusal(http.get(f"/channels/{gone}")) == (404, 10003, "Unknown Channel")

    def test_a_deleted_category_leaves_its_channels(self, http: httpx.Client, guild: DiscordGuild) -> None:
        guild.delete_channel("Owners")
        assert http.get(f"/channels/{guild.channel_id('general')}").json()["parent_id"] is None


class TestPermissions:
    def test_a_hidden_channel_is_listed_and_can_not_be_read(self, http: httpx.Client, guild: DiscordGuild) -> None:
        hidden = guild.channel_id("moderators")
        assert hidden in {item["id"] for item in http.get(f"/guilds/{guild.data.guild['id']}/channels").json()}
        for path in ("", "/messages", "/messages/1", "/threads/archived/public"):
            assert refusal(http.get(f"/channels/{hidden}{path}")) == (403, 50001, "Missing Access")

    def test_a_role_opens_a_private_channel_to_the_bot(
        self, http: httpx.Client, guild: DiscordGuild, team: str
    ) -> None:
        assert len(http.get(f"{team}/messages").json()) == len(of(guild, "team-room"))
        guild.remove_overwrite("team-room", "Sunny")
        assert refusal(http.get(f"{team}/messages")) == (403, 50001, "Missing Access")
        active = http.get(f"/guilds/{guild.data.guild['id']}/threads/active").json()["threads"]
        assert "Loose terminals" not in [thread["name"] for thread in active]

    def test_what_is_said_about_the_member_wins_over_its_roles(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        guild.overwrite("general", "Sunny", 0, Permission.VIEW_CHANNEL, 0)
        guild.overwrite("general", "sunny", 1, 0, Permission.VIEW_CHANNEL)
        assert refusal(http.get(f"{general}/messages")) == (403, 50001, "Missing Access")

    def test_without_the_right_to_read_the_history_a_listing_is_empty(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        one = of(guild, "general")[0]
        guild.overwrite("general", "@everyone", 0, 0, Permission.READ_MESSAGE_HISTORY)
        answer = http.get(f"{general}/messages")
        assert (answer.status_code, answer.json()) == (200, [])
        assert refusal(http.get(f"{general}/messages/{one}")) == (403, 50013, "Missing Permissions")
        assert refusal(http.get(f"{general}/threads/archived/public")) == (403, 50013, "Missing Permissions")

    def test_an_administrator_reads_everything(self, http: httpx.Client, guild: DiscordGuild) -> None:
        guild.set_role_permissions("Sunny", Permission.ADMINISTRATOR)
        assert http.get(f"/channels/{guild.channel_id('moderators')}/messages").json()

    def test_without_the_intent_messages_of_others_are_blank(
        self, http: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        mention = guild.post("general", "idris", f"Hello <@{guild.data.bot_id}>", at=AT)
        answered = guild.post("general", "idris", "Thanks", reply_to=mention["id"], at=AT)
        before = http.get(f"{general}/messages?limit=100").json()
        guild.switch_intent(False)
        messages = http.get(f"{general}/messages?limit=100").json()
        assert ids(messages) == ids(before)
        readable = [message for message in messages if message["content"]]
        assert {message["author"]["username"] for message in readable} == {"sunny", "idris"}
        assert [message["id"] for message in readable if message["author"]["username"] == "idris"] == [mention["id"]]
        assert any(message["attachments"] or message["embeds"] or "poll" in message for message in before)
        assert not any(message["attachments"] or message["embeds"] or "poll" in message for message in messages)
        forward = next(message for message in messages if "message_snapshots" in message)
        assert forward["message_snapshots"][0]["message"]["content"] == ""
        assert answered["id"] == messages[0]["id"]
        assert messages[0]["referenced_message"]["content"] == mention["content"]


class TestLimits:
    def test_the_sixth_listing_of_a_channel_in_five_seconds_has_to_wait(
        self, limited: tuple[DiscordGuild, Clock, httpx.Client]
    ) -> None:
        guild, clock, http = limited
        path = f"/channels/{guild.channel_id('general')}/messages"
        answers = []
        for _ in range(5):
            answers.append(http.get(path).headers)
            clock.moment += timedelta(milliseconds=100)
        assert [headers["X-RateLimit-Remaining"] for headers in answers] == ["4", "3", "2", "1", "0"]
        assert [headers["X-RateLimit-Reset-After"] for headers in answers] == ["5.0", "4.9", "4.8", "4.7", "4.6"]
        assert {headers["X-RateLimit-Reset"] for headers in answers} == {str((AT + timedelta(seconds=5)).timestamp())}
        refused = http.get(path)
        assert refused.status_code == 429
        assert refused.json() == {"message": "You are being rate limited.", "retry_after": 4.5, "global": False}
        assert (refused.headers["Retry-After"], refused.headers["X-RateLimit-Scope"]) == ("5", "user")
        clock.moment += timedelta(seconds=4.5)
        assert http.get(path).status_code == 200

    def test_each_channel_and_route_is_counted_by_itself_in_one_named_bucket(
        self, limited: tuple[DiscordGuild, Clock, httpx.Client]
    ) -> None:
        guild, _, http = limited
        paths = [f"/channels/{guild.channel_id(name)}" for name in ("general", "installations")]
        answers = [http.get(f"{path}{part}").headers for path in paths for part in ("/messages", "")]
        assert [headers["X-RateLimit-Remaining"] for headers in answers] == ["4", "9", "4", "9"]
        assert answers[0]["X-RateLimit-Bucket"] == answers[2]["X-RateLimit-Bucket"]
        assert answers[0]["X-RateLimit-Bucket"] != answers[1]["X-RateLimit-Bucket"]

    def test_more_than_fifty_requests_in_a_second_are_too_many_for_all_routes(
        self, limited: tuple[DiscordGuild, Clock, httpx.Client]
    ) -> None:
        _, clock, http = limited
        for number in range(50):
            assert http.get(f"/channels/{number}").status_code == 404
        refused = http.get("/users/@me")
        assert (refused.status_code, refused.json()["global"]) == (429, True)
        assert (refused.headers["X-RateLimit-Global"], refused.headers["X-RateLimit-Scope"]) == ("true", "global")
        clock.moment += timedelta(seconds=refused.json()["retry_after"])
        assert http.get("/users/@me").status_code == 200

    def test_a_reset_of_the_guild_forgets_what_was_counted(
        self, limited: tuple[DiscordGuild, Clock, httpx.Client]
    ) -> None:
        guild, _, http = limited
        path = f"/channels/{guild.channel_id('general')}/messages"
        http.get(path)
        guild.reset()
        assert http.get(path).headers["X-RateLimit-Remaining"] == "4"


class TestControl:
    def test_a_person_writes_edits_and_deletes(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        made = control.post("/messages", json={"channel": "general", "user": "idris", "text": "Hi"})
        assert made.status_code == 201
        path = f"/messages/general/{made.json()['id']}"
        assert control.patch(path, json={"text": "Hello"}).json()["edited_timestamp"] == AT.isoformat()
        assert http.get(f"{general}/messages?limit=1").json()[0]["content"] == "Hello"
        assert control.delete(path).status_code == 204
        assert control.delete(path).status_code == 404
        assert made.json()["id"] not in {item["id"] for item in http.get(f"{general}/messages").json()}

    def test_threads_and_posts_are_opened_and_archived(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild
    ) -> None:
        starter = control.post("/messages", json={"channel": "general", "user": "idris", "text": "Hi"}).json()["id"]
        thread = control.post("/threads", json={"channel": "general", "starter": starter, "name": "Hello"}).json()
        post = control.post(
            "/threads",
            json={"channel": "troubleshooting", "user": "idris", "name": "Fog", "text": "Help", "tags": ["app"]},
        ).json()
        assert thread["id"] == starter
        assert http.get(f"/channels/{post['id']}/messages").json()[0]["content"] == "Help"
        assert control.patch(f"/channels/{post['id']}", json={"name": "Mist", "archived": True}).status_code == 204
        listed = http.get(f"/channels/{guild.channel_id('troubleshooting')}/threads/archived/public").json()["threads"]
        assert listed[0]["name"] == "Mist"
        assert control.delete(f"/channels/{thread['id']}").status_code == 204
        assert http.get(f"/channels/{thread['id']}").status_code == 404

    def test_permissions_names_members_and_the_intent_change(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild, general: str, team: str
    ) -> None:
        rule = {"type": 0, "allow": "0", "deny": str(1 << 10)}
        assert control.put("/overwrites/general/@everyone", json=rule).status_code == 204
        assert http.get(general).status_code == 403
        assert control.delete("/overwrites/general/@everyone").status_code == 204
        assert control.patch("/users/idris", json={"name": "Idris"}).status_code == 204
        assert control.put("/threads/Loose terminals/members/sunny").status_code == 204
        assert control.put("/intent", json={"on": False}).status_code == 204
        messages = http.get(f"{general}/messages?limit=100").json()
        idris = [item for item in messages if item["author"]["username"] == "idris"]
        assert {(item["author"]["global_name"], item["content"]) for item in idris} == {("Idris", "")}
        loose = guild.channel_id("Loose terminals")
        assert guild.data.bot_id in {item["user_id"] for item in http.get(f"/channels/{loose}/thread-members").json()}
        assert control.delete("/threads/Loose terminals/members/sunny").status_code == 204
        assert guild.data.bot_id not in guild.data.thread_members[loose]

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/messages", {"channel": "nowhere", "user": "idris", "text": ""}, 404),
            ("/messages", {"channel": "general", "user": "nobody", "text": ""}, 404),
            ("/messages", {"channel": "general"}, 400),
            ("/faults", {"status": 7}, 400),
        ],
    )
    def test_an_order_that_makes_no_sense_is_refused(
        self, control: httpx.Client, path: str, body: dict[str, Any], status: int
    ) -> None:
        assert control.post(path, json=body).status_code == status

    def test_requests_are_counted_by_route(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        http.get(f"{general}/messages")
        http.get(f"{general}/messages?limit=1")
        assert control.get("/requests").json() == {LISTING: 2}
        control.delete("/requests")
        assert not guild.requests

    def test_a_reset_puts_everything_back(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild, start: GuildData
    ) -> None:
        guild.delete_channel("general")
        guild.switch_intent(False)
        control.post("/faults", json={"status": 500})
        assert control.post("/reset").status_code == 204
        assert guild.data == start
        assert http.get("/users/@me").status_code == 200


class TestFaults:
    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    def test_an_ordered_refusal_strikes_as_often_as_asked(
        self, http: httpx.Client, control: httpx.Client, general: str, status: int
    ) -> None:
        control.post("/faults", json={"path": r"/messages\?", "status": status, "times": 1})
        assert http.get(general).status_code == 200
        assert http.get(f"{general}/messages?limit=2").status_code == status
        assert http.get(f"{general}/messages?limit=2").status_code == 200

    def test_an_ordered_429_asks_to_wait(self, http: httpx.Client, control: httpx.Client, general: str) -> None:
        control.post("/faults", json={"status": 429, "retry_after": 1337})
        answer = http.get(general)
        assert (answer.status_code, answer.json()["retry_after"]) == (429, 1337.0)

    def test_bodies_are_cut_and_records_broken(
        self, http: httpx.Client, control: httpx.Client, guild: DiscordGuild, general: str
    ) -> None:
        one = str(of(guild, "general")[0])
        control.post("/faults", json={"malformed": "null_text", "record_id": one, "times": 1})
        assert http.get(f"{general}/messages/{one}").json()["content"] is None
        control.post("/faults", json={"rows": 2, "times": 2})
        assert len(http.get(f"{general}/messages").json()) == 2
        assert len(http.get(f"/guilds/{guild.data.guild['id']}/threads/active").json()["threads"]) == 2
        control.post("/faults", json={"truncate": True, "times": 1})
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            http.get(f"{general}/messages").json()


def with_discord_py(token: str, act: Callable[[HTTPClient], Awaitable[Found]]) -> Found:
    """What `act` gets through the HTTP layer of discord.py."""

    async def run() -> Found:
        client = HTTPClient(asyncio.get_running_loop())
        try:
            await client.static_login(token)
            return await act(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def history(client: HTTPClient, channel: str, size: int) -> list[int]:
    """All messages of a channel, newest first."""
    read: list[int] = []
    page = await client.logs_from(channel, size)
    while page:
        read += [int(message["id"]) for message in page]
        page = await client.logs_from(channel, size, before=page[-1]["id"])
    return read


class TestDiscordPy:
    @pytest.fixture(autouse=True)
    def _base(self, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
        monkeypatch.setattr(Route, "BASE", f"{root}/api/v10")

    def test_it_reads_the_whole_guild(self, guild: DiscordGuild) -> None:
        guild_id, forum = guild.data.guild["id"], guild.channel_id("troubleshooting")

        async def read(client: HTTPClient) -> list[str]:
            channels = await client.get_all_guild_channels(guild_id)
            active = (await client.get_active_threads(guild_id))["threads"]
            old = (await client.get_public_archived_threads(forum, limit=2))["threads"]
            rest = await client.get_public_archived_threads(
                forum,
                before=old[-1]["thread_metadata"]["archive_timestamp"],
                limit=2,
            )
            assert not rest["has_more"]
            threads = [thread for thread in (*active, *old, *rest["threads"]) if thread["parent_id"] == forum]
            assert len(channels) == 10
            return sorted(str(thread["id"]) for thread in threads)

        posts = [key for key, item in guild.data.channels.items() if item["parent_id"] == forum]
        assert with_discord_py(guild.data.token, read) == sorted(posts)

    def test_it_raises_its_own_errors(self, guild: DiscordGuild) -> None:
        general, hidden = guild.channel_id("general"), guild.channel_id("moderators")
        with pytest.raises(discord.NotFound) as missing:
            with_discord_py(guild.data.token, lambda client: client.get_message(general, 1))
        with pytest.raises(discord.Forbidden) as forbidden:
            with_discord_py(guild.data.token, lambda client: client.logs_from(hidden, 1))
        with pytest.raises(discord.LoginFailure):
            with_discord_py("wrong", lambda client: client.logs_from(general, 1))
        assert (missing.value.code, forbidden.value.code) == (10008, 50001)

    def test_it_waits_and_asks_again_after_an_ordered_429(self, guild: DiscordGuild, control: httpx.Client) -> None:
        general = guild.channel_id("general")
        control.post("/faults", json={"path": "/messages", "status": 429, "retry_after": 0, "times": 2})
        page = with_discord_py(guild.data.token, lambda client: client.logs_from(general, 100))
        assert len(page) == len(of(guild, "general"))
        assert guild.requests[LISTING] == 3

    def test_it_keeps_to_the_buckets_that_the_headers_tell(
        self, start: GuildData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guild = DiscordGuild(start)
        general = guild.channel_id("general")
        limits = DiscordLimits(messages=2, window=0.2)
        with serving(guild, now, limits) as root:
            monkeypatch.setattr(Route, "BASE", f"{root}/api/v10")
            read = with_discord_py(guild.data.token, lambda client: history(client, general, 10))
        assert read == of(guild, "general")[::-1]
        # One request for each page and one for the empty page at the end: none was refused.
        assert guild.requests[LISTING] == len(read) // 10 + 2

    def test_it_recovers_where_another_client_has_spent_the_bucket(
        self, start: GuildData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guild = DiscordGuild(start)
        general = guild.channel_id("general")
        with serving(guild, Ticking(), DiscordLimits(messages=1, window=0.25)) as root, client_of(guild, root) as other:
            monkeypatch.setattr(Route, "BASE", f"{root}/api/v10")

            async def read(client: HTTPClient) -> int:
                other.get(f"/channels/{general}/messages")
                return len(await client.logs_from(general, 100))

            assert with_discord_py(guild.data.token, read) == len(of(guild, "general"))
        assert guild.requests[LISTING] == 3
