import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina
from pydantic import ValidationError

from sync_assets.documents import Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources import Source as SourceContract
from sync_assets.sources.discord import Account, Source
from sync_assets.sources.http import Timer

TOKEN = "bot-token-nobody-sees"
GUILD, BOT, OWNER, ANNA, BEN = "900", "901", "902", "903", "904"
HELPERS = "950"
NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
VIEW, HISTORY, MANAGE_THREADS, ADMINISTRATOR = 1 << 10, 1 << 16, 1 << 34, 1 << 3
Json = dict[str, Any]


def at(text: str) -> datetime:
    """`05 10:00` in November 2026."""
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def snowflake(moment: datetime) -> int:
    return (round(moment.timestamp() * 1000) - 1_420_070_400_000) << 22


class Guild:
    """What Discord would answer about one server, and the requests that it got."""

    def __init__(self) -> None:
        self.intent = True
        self.everyone, self.bot_roles = VIEW | HISTORY, [HELPERS]
        self.helpers = 0
        self.more_roles: list[Json] = []
        self.owner = OWNER
        self.users = {user: {"id": user, "username": f"user{user}", "global_name": None} for user in (ANNA, BEN, OWNER)}
        self.users[ANNA]["global_name"] = "Anna"
        self.users[BOT] = {"id": BOT, "username": "reader", "global_name": None, "bot": True}
        self.channels: dict[str, Json] = {}
        self.threads: dict[str, Json] = {}
        self.messages: dict[str, dict[int, Json]] = {}
        self.members: dict[str, list[str]] = {}
        self.unreadable: set[str] = set()
        self.answers: dict[str, list[httpx.Response]] = {}
        self.asked: list[str] = []
        self.before_answer: Callable[[str], None] = lambda path: None
        self.signature = 0
        self.seconds = 1000.0

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def channel(self, channel_id: str, name: str, kind: int = 0, **more: Any) -> str:
        self.channels[channel_id] = {"id": channel_id, "name": name, "type": kind, "permission_overwrites": []} | more
        self.messages[channel_id] = {}
        return channel_id

    def overwrite(self, channel_id: str, target: str, kind: int, allow: int = 0, deny: int = 0) -> None:
        mine = {"id": target, "type": kind, "allow": str(allow), "deny": str(deny)}
        others = [one for one in self.channels[channel_id]["permission_overwrites"] if one["id"] != target]
        self.channels[channel_id]["permission_overwrites"] = [*others, mine]

    def post(self, place: str, text: str, moment: datetime, author: str = ANNA, **more: Any) -> str:
        number = snowflake(moment)
        while number in self.messages[place]:
            number += 1
        message = {
            "id": str(number),
            "channel_id": place,
            "type": 0,
            "content": text,
            "author": self.users.get(author, {"id": author, "username": "hook"}),
        }
        self.messages[place][number] = message | more
        (self.threads.get(place) or self.channels[place])["last_message_id"] = str(number)
        return str(number)

    def thread(self, parent: str, name: str, moment: datetime, starter: str | None = None, kind: int = 11) -> str:
        """A thread from a message of its parent, or a thread of its own (a forum's post, a private one)."""
        thread_id = starter or str(snowflake(moment))
        self.threads[thread_id] = {
            "id": thread_id,
            "type": kind,
            "guild_id": GUILD,
            "parent_id": parent,
            "name": name,
            "last_message_id": None,
            "thread_metadata": {
                "archived": False,
                "archive_timestamp": moment.isoformat(),
                "create_timestamp": moment.isoformat(),
            },
        }
        self.messages[thread_id] = {}
        if starter:
            self.post(thread_id, "", moment, type=21, message_reference={"message_id": starter, "channel_id": parent})
        return thread_id

    def archive(self, thread_id: str, moment: datetime) -> None:
        self.threads[thread_id]["thread_metadata"] |= {"archived": True, "archive_timestamp": moment.isoformat()}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Bot {TOKEN}"
        assert request.headers["User-Agent"].startswith("DiscordBot (")
        path = request.url.path.removeprefix("/api/v10")
        self.asked.append(path)
        self.before_answer(path)
        if self.answers.get(path):
            return self.answers[path].pop(0)
        with suppress(KeyError):
            return self._answer(path, request.url.params)
        return httpx.Response(404, json={"code": 10003, "message": "Unknown Channel"})

    def _answer(self, path: str, params: httpx.QueryParams) -> httpx.Response:
        place = re.fullmatch(r"/channels/([^/]+)(/.*)?", path)
        if place is None:
            return httpx.Response(200, json=self._of_guild(path))
        channel_id, what = place[1], place[2] or ""
        if channel_id in self.unreadable:
            return httpx.Response(403, json={"code": 50001, "message": "Missing Access"})
        if what == "/messages":
            return httpx.Response(200, json=self.page(channel_id, int(params["after"]), int(params["limit"])))
        if what == "/thread-members":
            return httpx.Response(200, json=[{"id": channel_id, "user_id": user} for user in self.members[channel_id]])
        if what.startswith("/threads/archived/"):
            return httpx.Response(200, json=self._archived(channel_id, what.endswith("private"), params))
        if what == "/users/@me/threads/archived/private":
            return httpx.Response(200, json=self._joined(channel_id, params))
        return httpx.Response(200, json=self.threads.get(channel_id) or self.channels[channel_id])

    def _of_guild(self, path: str) -> Any:
        active = [one for one in self.threads.values() if not one["thread_metadata"]["archived"]]
        everyone = {"id": GUILD, "name": "@everyone", "permissions": str(self.everyone)}
        helpers = {"id": HELPERS, "name": "Helpers", "permissions": str(self.helpers)}
        roles = [everyone, helpers, *self.more_roles]
        return {
            "/applications/@me": {"id": BOT, "flags": 1 << 19 if self.intent else 0},
            "/users/@me": self.users[BOT],
            f"/guilds/{GUILD}": {"id": GUILD, "name": "Sun", "owner_id": self.owner, "roles": roles},
            f"/guilds/{GUILD}/channels": list(self.channels.values()),
            f"/guilds/{GUILD}/members/{BOT}": {"user": self.users[BOT], "roles": self.bot_roles},
            f"/guilds/{GUILD}/threads/active": {"threads": active, "members": []},
        }[path]

    def page(self, channel_id: str, after: int, limit: int) -> list[Json]:
        found = [number for number in sorted(self.messages[channel_id]) if number > after][:limit]
        return [self._sent(self.messages[channel_id][number]) for number in reversed(found)]

    def _sent(self, message: Json) -> Json:
        sent = dict(message)
        if message["type"] == 21:
            reference = message["message_reference"]
            starter = self.messages[reference["channel_id"]].get(int(reference["message_id"]))
            sent["referenced_message"] = starter and self._sent(starter)
        if message["id"] in self.threads and message["channel_id"] != message["id"]:
            sent["thread"] = self.threads[message["id"]]
        for attachment in sent.get("attachments", []):
            attachment["url"] = f"https://cdn.discordapp.com/a/{attachment['filename']}?ex={self.signature}&hm=1"
        return sent

    def _archived(self, channel_id: str, private: bool, params: httpx.QueryParams) -> Json:
        def moment(thread: Json) -> datetime:
            return datetime.fromisoformat(thread["thread_metadata"]["archive_timestamp"])

        before = datetime.fromisoformat(params["before"]) if "before" in params else FAR_AHEAD
        found = [
            one
            for one in sorted(self.threads.values(), key=moment, reverse=True)
            if one["parent_id"] == channel_id and one["thread_metadata"]["archived"]
            if (one["type"] == 12) == private and moment(one) < before
        ]
        limit = int(params["limit"])
        return {"threads": found[:limit], "members": [], "has_more": len(found) > limit}

    def _joined(self, channel_id: str, params: httpx.QueryParams) -> Json:
        """Archived private threads of the bot, by id."""
        before = int(params.get("before", 1 << 63))
        found = [
            one
            for one in sorted(self.threads.values(), key=lambda one: int(one["id"]), reverse=True)
            if one["parent_id"] == channel_id and one["thread_metadata"]["archived"]
            if one["type"] == 12 and BOT in self.members[one["id"]] and int(one["id"]) < before
        ]
        limit = int(params["limit"])
        return {"threads": found[:limit], "members": [], "has_more": len(found) > limit}


@pytest.fixture
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def guild() -> Guild:
    """A server with a text channel `general` (1), a private one `staff` (2) and a forum `help` (3)."""
    guild = Guild()
    guild.channel("1", "general")
    guild.channel("2", "staff")
    guild.overwrite("2", GUILD, 0, deny=VIEW)
    guild.overwrite("2", HELPERS, 0, allow=VIEW)
    guild.overwrite("2", BEN, 1, allow=VIEW)
    guild.channel("3", "help", 15, available_tags=[{"id": "31", "name": "battery"}, {"id": "32", "name": "solved"}])
    guild.channel("4", "voices", 2)
    return guild


def opened(guild: Guild, **changes: Any) -> Source:
    """An account whose circuit breaker no other test has seen, and a clock that only moves by waiting."""
    settings = {"token": TOKEN, "guild_id": GUILD, "base_url": "https://discord.example"} | changes
    return Source(
        f"solara-{uuid4().hex[:8]}",
        Account.model_validate(settings),
        clock=lambda: NOW,
        timer=Timer(lambda: guild.seconds, guild.wait),
        transport=httpx.MockTransport(guild),
    )


def extracted(source: SourceContract, since: datetime = LONG_AGO, until: datetime = FAR_AHEAD) -> dict[str, Record]:
    records = list(source.extract("messages", since, until))
    assert len({record.record_id for record in records}) == len(records)
    assert all(record.authoritative for record in records)
    return {record.record_id: record for record in records}


def living(records: dict[str, Record]) -> dict[str, Record]:
    return {record_id: record for record_id, record in records.items() if record.event == "live"}


def fetched(source: SourceContract, *record_ids: str) -> dict[str, Record]:
    return {record.record_id: record for record in source.fetch("messages", record_ids)}


def listed(source: SourceContract) -> dict[str, tuple[datetime, str]]:
    rows = [row for row in source.live_ids("messages") if isinstance(row, LiveId)]
    assert len({row.record_id for row in rows}) == len(rows)
    return {row.record_id: (row.modified_at, row.cheap_version) for row in rows}


def hidden(source: SourceContract) -> dict[str, str]:
    return {row.prefix: row.reason for row in source.live_ids("messages") if isinstance(row, Hidden)}


def texts(source: SourceContract, record: Record) -> list[str]:
    return [part.text for part in source.to_document("messages", record).parts]


def version(source: SourceContract, record_id: str) -> str:
    return fetched(source, record_id)[record_id].cheap_version


def versions(records: dict[str, Record]) -> dict[str, tuple[datetime | None, str]]:
    return {record_id: (record.modified_at, record.cheap_version) for record_id, record in records.items()}


def furnish(guild: Guild) -> dict[str, str]:
    """One conversation of each kind; their record ids by name."""
    guild.post("1", "Good morning", at("05 08:00"))
    root = guild.post("1", "Does it snow on the panels?", at("05 09:00"))
    guild.post("1", "Bye, see <#3> and <@&950>", at("05 23:59"))
    guild.post("1", "A new day", at("06 00:00"))
    late = guild.thread("1", "Snow", at("06 10:00"), starter=root)
    guild.post(late, "Yes, brush it off", at("09 10:00"), author=BEN)
    guild.post("2", "Prices go up in January", at("06 11:00"))
    post = guild.thread("3", "Battery beeps", at("04 10:00"))
    guild.threads[post]["applied_tags"] = ["31"]
    guild.post(post, "It beeps at night", at("04 10:00"))
    guild.post(post, "That is the relay", at("04 12:00"), author=BEN)
    guild.archive(post, at("07 12:00"))
    private = guild.thread("1", "Refund", at("07 10:00"), kind=12)
    guild.members[private] = [BEN, ANNA]
    guild.post(private, "Here is the invoice", at("07 10:05"))
    return {
        "day": "1-2026-11-05",
        "next day": "1-2026-11-06",
        "late": f"1-{late}",
        "staff": "private.2-2026-11-06",
        "post": f"3-{post}",
        "private": f"1-{private}",
    }


# What the records are


def test_days_threads_posts_and_private_threads_are_the_records(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        records = extracted(source)
        assert living(records).keys() == set(names.values())
        assert texts(source, records[names["day"]]) == ["Anna: Good morning", "Anna: Bye, see #help and @Helpers"]
        assert texts(source, records[names["late"]]) == [
            "Anna: Does it snow on the panels?",
            "user904: Yes, brush it off",
        ]
        assert texts(source, records[names["post"]]) == ["Anna: It beeps at night", "user904: That is the relay"]
    assert records[names["day"]].modified_at == at("05 23:59")
    assert records[names["late"]].modified_at == at("09 10:00")
    assert records[names["post"]].modified_at == at("04 12:00")


def test_a_document_says_where_it_was_said_and_who_may_find_it(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        records = extracted(source)
        late, post, staff, private, day = (
            source.to_document("messages", records[names[name]]) for name in ("late", "post", "staff", "private", "day")
        )
    root = names["late"].partition("-")[2]
    assert (late.title, late.url) == ("#general: Snow", f"https://discord.com/channels/900/1/{root}")
    assert day.title == "#general, 2026-11-05"
    assert (post.title, post.metadata["tags"]) == ("#help: Battery beeps", ["battery"])
    assert late.visibility == day.visibility == post.visibility == Visibility.INTERNAL
    assert (staff.visibility, staff.principals) == (
        Visibility.RESTRICTED,
        [f"role:{HELPERS}", f"user:{OWNER}", f"user:{BEN}"],
    )
    assert (private.visibility, private.principals) == (Visibility.RESTRICTED, [f"user:{ANNA}", f"user:{BEN}"])


@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_extract_fetch_and_live_ids_agree_on_every_record(guild: Guild, page_size: int) -> None:
    names = furnish(guild)
    guild.everyone |= MANAGE_THREADS
    for number in range(5):
        thread = guild.thread("3", f"Post {number}", at(f"0{number + 3} 07:00"))
        guild.post(thread, f"Question {number}, see <#{names['post'].partition('-')[2]}>", at(f"0{number + 3} 07:00"))
        guild.archive(thread, at(f"0{number + 4} 07:00"))
    guild.archive(names["private"].partition("-")[2], at("08 10:00"))
    with opened(guild, limits={"page_size": page_size}) as source:
        records = living(extracted(source))
        assert len(records) == 11
        assert listed(source) == versions(records) == versions(fetched(source, *records))
        assert all(cheap_version for _, cheap_version in versions(records).values())


def test_every_window_gives_what_was_last_said_in_it(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        windows = [
            living(extracted(source, start, start + timedelta(hours=6)))
            for start in (at("03 00:00") + timedelta(hours=6 * number) for number in range(40))
        ]
        whole = living(extracted(source))
    assert {record_id for window in windows for record_id in window} == set(names.values())
    # A day is given once more when a thread takes a message from it.
    again = [record_id for window in windows for record_id in window]
    assert sorted(again) == sorted([*whole, names["day"]])


def test_a_late_reply_in_an_old_thread_asks_for_that_thread_and_no_old_history(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        guild.asked.clear()
        records = extracted(source, at("09 00:00"), at("10 00:00"))
    assert records.keys() == {names["late"]}
    thread = names["late"].partition("-")[2]
    asked = [path for path in guild.asked if path.endswith("/messages")]
    assert sorted(asked) == sorted(["/channels/1/messages", "/channels/2/messages", f"/channels/{thread}/messages"])


def test_a_reply_to_an_archived_thread_that_was_archived_again_is_found(guild: Guild) -> None:
    names = furnish(guild)
    post = names["post"].partition("-")[2]
    guild.post(post, "It stopped, thank you", at("10 08:00"))
    guild.archive(post, at("10 09:00"))
    with opened(guild) as source:
        records = extracted(source, at("10 00:00"), at("11 00:00"))
        assert texts(source, records[names["post"]])[-1] == "Anna: It stopped, thank you"
    assert records.keys() == {names["post"]}


def test_a_thread_whose_archive_time_lags_behind_its_reply_is_found_within_the_rescan_age(guild: Guild) -> None:
    names = furnish(guild)
    guild.post(names["post"].partition("-")[2], "It stopped, thank you", at("10 08:00"))
    with opened(guild) as source:
        assert extracted(source, at("10 00:00"), at("11 00:00")).keys() == {names["post"]}
    with opened(guild, thread_rescan_days=1) as source:
        assert extracted(source, at("10 00:00"), at("11 00:00")) == {}


def test_a_window_that_starts_at_noon_gives_whole_days(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        records = extracted(source, at("05 12:00"), at("06 00:00"))
        assert texts(source, records[names["day"]])[0] == "Anna: Good morning"
        assert records.keys() == {names["day"]}


def test_archived_threads_older_than_the_rescan_age_are_not_paged_through(guild: Guild) -> None:
    for number in range(10):
        thread = guild.thread("3", f"Post {number}", at("01 07:00") + timedelta(minutes=number))
        guild.post(thread, "Question", at("01 08:00") + timedelta(minutes=number))
        guild.archive(thread, at("02 08:00") + timedelta(minutes=number))
    with opened(guild, thread_rescan_days=2, limits={"page_size": 2}) as source:
        assert extracted(source, at("08 00:00"), at("09 00:00")) == {}
        assert guild.asked.count("/channels/3/threads/archived/public") == 1
        assert len(listed(source)) == 10


def test_a_day_whose_message_became_a_thread_is_given_again(guild: Guild) -> None:
    guild.post("1", "Good morning", at("05 08:00"))
    root = guild.post("1", "Does it snow?", at("05 09:00"))
    with opened(guild) as source:
        guild.thread("1", "Snow", at("10 10:00"), starter=root)
        records = extracted(source, at("10 00:00"), at("11 00:00"))
        assert texts(source, records["1-2026-11-05"]) == ["Anna: Good morning"]
        assert texts(source, records[f"1-{root}"]) == ["Anna: Does it snow?"]
        assert versions(living(records)) == listed(source)


def test_a_day_that_lost_its_only_message_to_a_thread_is_deleted(guild: Guild) -> None:
    root = guild.post("1", "Does it snow?", at("05 09:00"))
    guild.thread("1", "Snow", at("10 10:00"), starter=root)
    with opened(guild) as source:
        records = extracted(source, at("10 00:00"), at("11 00:00"))
        assert {record_id: record.event for record_id, record in records.items()} == {
            "1-2026-11-05": "deleted",
            f"1-{root}": "live",
        }
        assert fetched(source, "1-2026-11-05")["1-2026-11-05"].event == "deleted"
        assert listed(source).keys() == {f"1-{root}"}


def test_a_thread_whose_starter_was_deleted_keeps_its_replies(guild: Guild) -> None:
    names = furnish(guild)
    del guild.messages["1"][int(names["late"].partition("-")[2])]
    with opened(guild) as source:
        assert texts(source, fetched(source, names["late"])[names["late"]]) == ["user904: Yes, brush it off"]
        assert names["late"] in listed(source)


def test_a_thread_whose_last_message_was_deleted_is_read_from_what_is_there(guild: Guild) -> None:
    names = furnish(guild)
    thread = names["late"].partition("-")[2]
    gone = guild.post(thread, "Never mind", at("10 10:00"))
    del guild.messages[thread][int(gone)]
    with opened(guild) as source:
        record = extracted(source, at("10 00:00"), at("11 00:00"))[names["late"]]
        assert record.modified_at == at("09 10:00")
        assert listed(source)[names["late"]] == (record.modified_at, record.cheap_version)


def test_bots_and_webhooks_are_read_only_where_they_are_asked_for(guild: Guild) -> None:
    guild.post("1", "Joined", at("05 08:00"), type=7)
    guild.post("1", "Daily report", at("05 09:00"), author=BOT)
    guild.post("1", "Build failed", at("05 09:01"), author="77", webhook_id="77")
    guild.post("1", "Your tariff is B", at("05 09:02"), author=BOT, type=20)
    with opened(guild) as source:
        assert listed(source) == {}
        assert extracted(source) == {}
    with opened(guild, bots=True) as source:
        assert texts(source, extracted(source)["1-2026-11-05"]) == [
            "reader: Daily report",
            "hook: Build failed",
            "reader: Your tariff is B",
        ]


# What changes without a time


def test_an_edit_a_deletion_and_a_rename_show_in_the_cheap_version_alone(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        before = listed(source)
        first, *_ = guild.messages["1"].values()
        first["content"] = "Good evening"
        assert changed(before, listed(source)) == {names["day"]}
        first["content"] = "Good morning"
        assert listed(source) == before
        del guild.messages["1"][int(first["id"])]
        assert changed(before, listed(source)) == {names["day"]}
        guild.messages["1"][int(first["id"])] = first
        guild.users[BEN]["global_name"] = "Ben"
        assert changed(before, listed(source)) == {names["late"], names["post"]}


def changed(before: dict[str, tuple[datetime, str]], after: dict[str, tuple[datetime, str]]) -> set[str]:
    assert before.keys() == after.keys()
    assert all(before[record_id][0] == after[record_id][0] for record_id in before)
    return {record_id for record_id in before if before[record_id] != after[record_id]}


def test_signatures_reactions_pins_and_archiving_change_nothing(guild: Guild) -> None:
    names = furnish(guild)
    guild.post("1", "Look", at("08 08:00"), attachments=[{"filename": "roof.png"}])
    with opened(guild) as source:
        before = listed(source)
        guild.signature += 1
        for message in guild.messages["1"].values():
            message |= {"pinned": True, "reactions": [{"count": 3, "emoji": {"name": "sun"}}]}
        guild.archive(names["late"].partition("-")[2], at("11 10:00"))
        assert listed(source) == before
        assert texts(source, fetched(source, "1-2026-11-08")["1-2026-11-08"]) == ["Anna: Look\n\nAttachment: roof.png"]


def test_a_change_of_overwrites_changes_who_may_find_it_and_no_text(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        before = fetched(source, names["staff"])[names["staff"]]
        guild.overwrite("2", ANNA, 1, allow=VIEW)
        after = fetched(source, names["staff"])[names["staff"]]
        assert after.modified_at == before.modified_at
        assert after.cheap_version != before.cheap_version
        documents = [source.to_document("messages", record) for record in (before, after)]
        assert documents[0].content_hash == documents[1].content_hash
        assert set(documents[1].principals) - set(documents[0].principals) == {f"user:{ANNA}"}


def test_joining_a_private_thread_changes_its_principals(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        before = listed(source)
        guild.members[names["private"].partition("-")[2]].append(OWNER)
        assert changed(before, listed(source)) == {names["private"]}


# What must never be taken for a deletion


@pytest.mark.parametrize("lost", [VIEW, HISTORY])
def test_a_lost_permission_is_malformed_and_never_deleted(guild: Guild, lost: int) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        everything = listed(source)
        guild.overwrite("1", BOT, 1, deny=lost)
        assert listed(source).keys() == {names["staff"], names["post"]}
        assert hidden(source).keys() == {"1-", "private.1-"}
        assert "the bot lacks" in hidden(source)["1-"]
        now = fetched(source, *everything, "1", "private.1-2026-11-05")
    assert {record_id for record_id, record in now.items() if record.event == "malformed"} == {
        *(record_id for record_id in [*everything, "1"] if record_id.partition("-")[0] == "1"),
        "private.1-2026-11-05",
    }
    problem = now[names["day"]].problem
    assert problem is not None
    assert "the bot lacks" in problem
    assert "exclude_channels" in problem


def test_a_permission_lost_between_the_look_and_the_listing_is_not_a_deletion(guild: Guild) -> None:
    names = furnish(guild)

    def lose(path: str) -> None:
        if path == "/channels/1/messages":
            guild.overwrite("1", BOT, 1, deny=HISTORY)
            guild.messages["1"] = {}

    guild.before_answer = lose
    with opened(guild) as source:
        assert fetched(source, names["day"])[names["day"]].event == "malformed"


def test_an_unreadable_channel_is_reported_where_it_is_named_and_left_out_elsewhere(guild: Guild) -> None:
    furnish(guild)
    guild.overwrite("2", HELPERS, 0)
    for channels, reported in (
        (["staff", "general"], {"2"}),
        (["2"], {"2"}),
        (["s*", "#general"], set[str]()),
        (None, set[str]()),
    ):
        with opened(guild, channels=channels) as source:
            records = extracted(source)
            assert {record_id for record_id, record in records.items() if record.event == "malformed"} == reported
            assert not any(record_id.startswith("2-") for record_id in records)
    with opened(guild, channels=["staff"]) as source, pytest.raises(SourceError, match="lacks View Channels in #staff"):
        source.check()


def test_a_voice_channel_of_the_same_name_is_passed_over(guild: Guild) -> None:
    names = furnish(guild)
    guild.channel("5", "general", 2)
    with opened(guild, channels=["general"]) as source:
        assert living(extracted(source)).keys() == {names[name] for name in ("day", "next day", "late", "private")}
        assert not any(record.event == "malformed" for record in extracted(source).values())
        assert source.check().endswith("1 channels to sync")


def test_a_channel_that_can_be_read_again_is_no_problem_any_more(guild: Guild) -> None:
    guild.overwrite("2", HELPERS, 0)
    with opened(guild) as source:
        assert fetched(source, "2")["2"].event == "malformed"
        guild.overwrite("2", HELPERS, 0, allow=VIEW)
        assert fetched(source, "2")["2"].event == "deleted"
    with opened(guild, exclude_channels=["2"]) as source:
        guild.overwrite("2", HELPERS, 0)
        assert fetched(source, "2")["2"].event == "deleted"


def test_a_refused_channel_and_a_refused_thread_stop_no_others(guild: Guild) -> None:
    names = furnish(guild)
    guild.unreadable = {"2", names["late"].partition("-")[2]}
    with opened(guild) as source:
        records = extracted(source)
        assert {record_id for record_id, record in records.items() if record.event == "malformed"} == {
            "2",
            names["late"],
        }
        assert living(records).keys() == set(names.values()) - {names["staff"], names["late"]}
        assert hidden(source).keys() == {"private.2-", names["late"]}
        assert listed(source).keys() == set(names.values()) - {names["staff"], names["late"]}
        assert fetched(source, names["staff"])[names["staff"]].event == "malformed"
        assert fetched(source, names["late"])[names["late"]].event == "malformed"


def test_a_private_channel_that_is_listed_no_more_stays_until_it_is_deselected_by_id(guild: Guild) -> None:
    names = furnish(guild)
    del guild.channels["2"], guild.messages["2"]
    for changes, event in (
        ({}, "malformed"),
        ({"channels": ["general"]}, "malformed"),
        ({"exclude_channels": ["2"]}, "deleted"),
    ):
        with opened(guild, **changes) as source:
            record = fetched(source, names["staff"])[names["staff"]]
            assert record.event == event
            if record.problem is not None:
                assert "name 2 in" in record.problem
                assert "let the bot read it" not in record.problem


def test_a_deselected_channel_and_its_threads_are_deleted(guild: Guild) -> None:
    names = furnish(guild)
    for changes in (
        {"exclude_channels": ["gen*"]},
        {"channels": ["staff"]},
        {"channels": ["*"], "exclude_channels": ["1"]},
    ):
        with opened(guild, **changes) as source:
            assert not any(record_id.startswith("1-") for record_id in listed(source))
            assert hidden(source) == {}
            now = fetched(source, names["day"], names["late"])
            assert {record.event for record in now.values()} == {"deleted"}


def test_a_deleted_thread_and_an_emptied_day_are_deleted(guild: Guild) -> None:
    names = furnish(guild)
    thread = names["late"].partition("-")[2]
    del guild.threads[thread], guild.messages[thread]
    next_day = [number for number, message in guild.messages["1"].items() if message["content"] == "A new day"]
    del guild.messages["1"][next_day[0]]
    with opened(guild) as source:
        now = fetched(source, names["late"], names["next day"], names["day"])
        assert {record_id: record.event for record_id, record in now.items()} == {
            names["late"]: "deleted",
            names["next day"]: "deleted",
            names["day"]: "live",
        }
        # The message that it was started from is the day's again.
        assert "Anna: Does it snow on the panels?" in texts(source, now[names["day"]])


def test_without_the_message_content_intent_nothing_is_listed(guild: Guild) -> None:
    furnish(guild)
    guild.intent = False
    with opened(guild) as source:
        for attempt in (
            lambda: extracted(source),
            lambda: listed(source),
            lambda: fetched(source, "1-2026-11-05"),
            lambda: source.span("messages"),
            source.check,
        ):
            guild.asked.clear()
            with pytest.raises(SourceError, match="Developer Portal: Bot, Message Content Intent"):
                attempt()
            assert guild.asked == ["/applications/@me"]


@pytest.mark.usefixtures("no_backoff")
def test_a_listing_that_breaks_off_is_an_error(guild: Guild) -> None:
    furnish(guild)
    for path in (f"/guilds/{GUILD}/threads/active", "/channels/1/messages", "/channels/3/threads/archived/public"):
        guild.answers = {path: [httpx.Response(500)] * 3}
        with opened(guild) as source, pytest.raises(SourceError):
            listed(source)
        guild.answers = {path: [httpx.Response(200, json="nonsense")]}
        with opened(guild) as source, pytest.raises(SourceError, match="answered"):
            listed(source)


def test_an_archive_that_promises_more_and_brings_nothing_is_an_error(guild: Guild) -> None:
    guild.answers = {
        "/channels/3/threads/archived/public": [httpx.Response(200, json={"threads": [], "has_more": True})]
    }
    with opened(guild) as source, pytest.raises(SourceError, match="nothing new"):
        listed(source)


def test_threads_archived_in_the_same_moment_are_all_listed(guild: Guild) -> None:
    for number in range(4):
        thread = guild.thread("3", f"Post {number}", at("01 07:00") + timedelta(minutes=number))
        guild.post(thread, "Question", at("01 08:00"))
        guild.archive(thread, at("02 08:00") + timedelta(minutes=number // 2))
    with opened(guild, limits={"page_size": 3}) as source:
        assert len(listed(source)) == 4


def test_a_message_that_cannot_be_read_makes_its_conversation_malformed_and_no_other(guild: Guild) -> None:
    names = furnish(guild)
    first, second, *_ = guild.messages["1"].values()
    first["content"] = 7
    guild.messages[names["post"].partition("-")[2]][snowflake(at("04 12:00"))]["id"] = None
    with opened(guild) as source:
        records = extracted(source)
        assert {record_id for record_id, record in records.items() if record.event == "malformed"} == {
            names["day"],
            names["post"],
        }
        problem = records[names["day"]].problem
        assert problem is not None
        assert problem.startswith("messages.0.content: ")
        assert listed(source).keys() == set(names.values())
        assert second["id"] in names["late"]


@pytest.mark.parametrize(
    "record_id",
    [
        "nonsense",
        "private.",
        "private.x-2026-11-05",
        "private.private.1-2026-11-05",
        "1-x",
        "1-2026-02-30",
        "malformed-123",
        "१-2026-11-05",
    ],
)
def test_an_id_of_another_form_is_malformed(guild: Guild, record_id: str) -> None:
    with opened(guild) as source:
        assert fetched(source, record_id)[record_id].event == "malformed"


# Permissions


@pytest.mark.parametrize(
    ("overwrites", "helpers", "may_read"),
    [
        ([], 0, True),
        ([(GUILD, 0, 0, VIEW)], 0, False),
        ([(GUILD, 0, 0, VIEW), (HELPERS, 0, VIEW, 0)], 0, True),
        ([(GUILD, 0, 0, VIEW), (HELPERS, 0, HISTORY, 0)], 0, False),
        ([(HELPERS, 0, 0, HISTORY)], 0, False),
        ([(HELPERS, 0, 0, HISTORY), (BOT, 1, HISTORY, 0)], 0, True),
        ([(HELPERS, 0, VIEW, 0), (BOT, 1, 0, VIEW)], 0, False),
        ([("960", 0, 0, VIEW)], 0, True),
        ([(ANNA, 1, 0, VIEW)], 0, True),
        ([(OWNER, 1, 0, VIEW)], 0, True),
        ([(GUILD, 0, 0, VIEW), (BOT, 1, 0, VIEW)], ADMINISTRATOR, True),
    ],
)
def test_what_the_bot_may_read_follows_from_roles_and_overwrites(
    guild: Guild, overwrites: list[tuple[str, int, int, int]], helpers: int, may_read: bool
) -> None:
    guild.post("1", "Good morning", at("05 08:00"))
    guild.helpers = helpers
    for target, kind, allow, deny in overwrites:
        guild.overwrite("1", target, kind, allow, deny)
    with opened(guild) as source:
        assert {record_id.removeprefix("private.") for record_id in listed(source)} == (
            {"1-2026-11-05"} if may_read else set()
        )


def test_the_owner_of_the_server_may_read_all_of_it(guild: Guild) -> None:
    guild.post("2", "Prices go up", at("05 08:00"))
    guild.overwrite("2", HELPERS, 0)
    guild.owner = BOT
    with opened(guild) as source:
        assert listed(source).keys() == {"private.2-2026-11-05"}


def test_administrators_and_roles_that_see_all_channels_are_principals(guild: Guild) -> None:
    guild.post("2", "Prices go up", at("05 08:00"))
    guild.overwrite("2", HELPERS, 0)
    guild.overwrite("2", BOT, 1, allow=VIEW)
    for permissions, seen in ((0, []), (ADMINISTRATOR, [f"role:{HELPERS}"]), (VIEW, [])):
        guild.helpers = permissions
        with opened(guild) as source:
            record = fetched(source, "private.2-2026-11-05")["private.2-2026-11-05"]
            users = [f"user:{BOT}", f"user:{OWNER}", f"user:{BEN}"]
            assert source.to_document("messages", record).principals == [*seen, *users]
    guild.everyone, guild.helpers = HISTORY, VIEW
    guild.overwrite("2", GUILD, 0)
    with opened(guild) as source:
        record = fetched(source, "private.2-2026-11-05")["private.2-2026-11-05"]
        assert source.to_document("messages", record).principals[0] == f"role:{HELPERS}"


def test_private_archives_are_asked_for_only_by_a_bot_that_manages_threads(guild: Guild) -> None:
    names = furnish(guild)
    guild.archive(names["private"].partition("-")[2], at("08 10:00"))
    with opened(guild) as source:
        assert names["private"] not in listed(source)
        assert "/channels/1/threads/archived/private" not in guild.asked
        assert fetched(source, names["private"])[names["private"]].event == "live"
        guild.helpers = MANAGE_THREADS
        assert names["private"] in listed(source)
        assert not any("/channels/3/" in path and path.endswith("/private") for path in guild.asked)


def test_archived_private_threads_that_the_bot_takes_part_in_are_listed(guild: Guild) -> None:
    threads: set[str] = set()
    for number in range(5):
        moment = at("05 10:00") + timedelta(minutes=number)
        thread = guild.thread("1", f"Refund {number}", moment, kind=12)
        guild.members[thread] = [ANNA, BOT]
        guild.post(thread, "Here is the invoice", moment)
        # The latest made is the first archived.
        guild.archive(thread, at("09 10:00") - timedelta(minutes=number))
        threads.add(f"1-{thread}")
    with opened(guild, limits={"page_size": 2}) as source:
        assert listed(source).keys() == threads
        assert extracted(source, at("05 00:00"), at("06 00:00")).keys() == threads
    guild.answers = {
        "/channels/1/users/@me/threads/archived/private": [httpx.Response(200, json={"threads": [], "has_more": True})]
    }
    with opened(guild) as source, pytest.raises(SourceError, match="nothing new"):
        listed(source)


# Who may find what


@pytest.mark.parametrize("readable", [True, False])
def test_what_all_could_find_is_deleted_when_its_channel_becomes_private(guild: Guild, readable: bool) -> None:
    names = furnish(guild)
    public = {names[name] for name in ("day", "next day", "late", "private")}
    private = {f"private.{record_id}" for record_id in public}
    with opened(guild) as source:
        guild.overwrite("1", GUILD, 0, deny=VIEW)
        guild.overwrite("1", HELPERS, 0, allow=VIEW if readable else 0)
        shown = listed(source).keys()
        assert not shown & public
        assert private <= shown if readable else not private & shown
        assert hidden(source).keys() == (set() if readable else {"private.1-"})
        now = fetched(source, *public, *private)
        documents = [source.to_document("messages", one) for one in now.values() if one.event == "live"]
    assert {now[record_id].event for record_id in public} == {"deleted"}
    assert {now[record_id].event for record_id in private} == ({"live"} if readable else {"malformed"})
    assert all(document.visibility is Visibility.RESTRICTED for document in documents)


def test_what_all_could_find_is_deleted_when_its_channel_is_listed_no_more(guild: Guild) -> None:
    names = furnish(guild)
    del guild.channels["1"], guild.messages["1"]
    with opened(guild) as source:
        assert {record.event for record in fetched(source, names["day"], names["late"]).values()} == {"deleted"}
        assert hidden(source) == {}


def test_what_was_private_lives_under_another_id_once_its_channel_is_open_to_all(guild: Guild) -> None:
    names = furnish(guild)
    with opened(guild) as source:
        guild.overwrite("2", GUILD, 0)
        now = fetched(source, names["staff"], "2-2026-11-06")
        assert now[names["staff"]].event == "deleted"
        document = source.to_document("messages", now["2-2026-11-06"])
        assert (document.visibility, document.principals) == (Visibility.INTERNAL, [])
        assert listed(source).keys() & {names["staff"], "2-2026-11-06"} == {"2-2026-11-06"}
        assert hidden(source) == {}


def test_a_permission_lost_while_a_private_channel_is_read_is_not_a_deletion(guild: Guild) -> None:
    furnish(guild)

    def lose(path: str) -> None:
        if path == "/channels/2/messages":
            guild.overwrite("2", HELPERS, 0)
            guild.messages["2"] = {}

    guild.before_answer = lose
    with opened(guild) as source:
        assert fetched(source, "private.2-2026-11-06")["private.2-2026-11-06"].event == "malformed"


@pytest.mark.parametrize(
    ("kind", "target", "more", "principals"),
    [
        (0, "951", {}, [f"role:{HELPERS}", f"user:{OWNER}"]),
        (1, ANNA, {}, [f"role:{HELPERS}", "role:951", f"user:{OWNER}"]),
        (1, ANNA, {BEN: VIEW}, [f"role:{HELPERS}", "role:951", f"user:{OWNER}", f"user:{BEN}"]),
        (0, "999", {}, []),
        (1, OWNER, {}, []),
        (0, "952", {}, []),
        (1, "905", {}, []),
    ],
    ids=["a role", "a member", "a member beside another", "no role", "the owner", "a bot's role", "a bot"],
)
def test_a_channel_with_an_exception_is_not_open_to_all(
    guild: Guild, kind: int, target: str, more: dict[str, int], principals: list[str]
) -> None:
    guild.more_roles = [
        {"id": "951", "name": "New", "permissions": "0"},
        {"id": "952", "name": "Bee", "permissions": "0", "tags": {"bot_id": "905"}},
    ]
    guild.post("1", "Good morning", at("05 08:00"))
    guild.overwrite("1", target, kind, deny=VIEW)
    for user, allow in more.items():
        guild.overwrite("1", user, 1, allow=allow)
    record_id = "private.1-2026-11-05" if principals else "1-2026-11-05"
    with opened(guild) as source:
        assert listed(source).keys() == {record_id}
        document = source.to_document("messages", fetched(source, record_id)[record_id])
    assert [one for one in document.principals if one != "role:952"] == principals


@pytest.mark.parametrize("place", ["1", "2"])
def test_names_of_what_not_all_may_view_are_not_told_elsewhere(guild: Guild, place: str) -> None:
    names = furnish(guild)
    guild.channel("5", "board")
    guild.overwrite("5", GUILD, 0, deny=VIEW)
    guild.overwrite("5", HELPERS, 0, allow=VIEW)
    inside = guild.thread("2", "Layoffs", at("08 10:00"))
    ids = ["1", "2", "3", "5", inside, *(names[name].partition("-")[2] for name in ("late", "private", "post"))]
    guild.post(place, " ".join(f"<#{one}>" for one in ids), at("10 10:00"))
    record_id = {"1": "1-2026-11-10", "2": "private.2-2026-11-10"}[place]
    own, thread = ("#staff", "#Layoffs") if place == "2" else ("#unknown", "#unknown")
    with opened(guild) as source:
        (text,) = texts(source, fetched(source, record_id)[record_id])
    assert text == f"Anna: #general {own} #help #unknown {thread} #Snow #unknown #Battery beeps"


def test_a_private_thread_knows_its_own_name(guild: Guild) -> None:
    names = furnish(guild)
    thread = names["private"].partition("-")[2]
    guild.post(thread, f"This is <#{thread}>", at("10 10:00"))
    with opened(guild) as source:
        assert texts(source, fetched(source, names["private"])[names["private"]])[-1] == "Anna: This is #Refund"


# Rows that can't be read


@pytest.mark.parametrize(
    "broken",
    [{"name": None}, {"type": "x"}, {"thread_metadata": None}, {"last_message_id": 7}, {"applied_tags": "x"}],
    ids=lambda broken: next(iter(broken)),
)
@pytest.mark.parametrize("archived", [True, False])
def test_a_thread_that_cannot_be_read_is_malformed_and_stops_no_other(
    guild: Guild, broken: Json, archived: bool
) -> None:
    names = furnish(guild)
    thread = names["late"].partition("-")[2]
    if archived:
        guild.archive(thread, at("10 10:00"))
    path = "/channels/1/threads/archived/public" if archived else f"/guilds/{GUILD}/threads/active"
    whole = guild.threads[thread]
    rows = [one for one in guild.threads.values() if one is not whole and not one["thread_metadata"]["archived"]]
    rows = [whole | broken] if archived else [*rows, whole | broken]

    def listing() -> httpx.Response:
        return httpx.Response(200, json={"threads": rows, "members": [], "has_more": False})

    others = set(names.values()) - {names["late"]}
    with opened(guild) as source:
        guild.answers = {path: [listing(), listing(), listing(), listing()]}
        records = extracted(source)
        assert listed(source).keys() == others
        assert names["late"] in hidden(source)
        assert source.span("messages") is not None
        guild.answers = {f"/channels/{thread}": [httpx.Response(200, json=whole | broken)]}
        now = fetched(source, names["late"])[names["late"]]
    assert living(records).keys() == others
    assert (records[names["late"]].event, now.event) == ("malformed", "malformed")
    assert now.problem is not None
    assert next(iter(broken)) in now.problem


def test_a_member_of_a_private_thread_that_cannot_be_read_makes_it_malformed(guild: Guild) -> None:
    names = furnish(guild)
    thread = names["private"].partition("-")[2]
    guild.answers = {f"/channels/{thread}/thread-members": [httpx.Response(200, json=[{"user_id": None}])]}
    with opened(guild) as source:
        assert listed(source).keys() == set(names.values()) - {names["private"]}


@pytest.mark.parametrize("broken", [{"id": None}, {"parent_id": 7}])
def test_a_thread_without_a_place_is_an_error(guild: Guild, broken: Json) -> None:
    names = furnish(guild)
    thread = guild.threads[names["late"].partition("-")[2]]
    body = {"threads": [thread | broken], "members": []}
    guild.answers = {f"/guilds/{GUILD}/threads/active": [httpx.Response(200, json=body)]}
    with opened(guild) as source, pytest.raises(SourceError, match="answered a thread with something unreadable"):
        listed(source)


@pytest.mark.parametrize(
    "broken",
    [
        {"permission_overwrites": [{"id": "7", "type": 2, "allow": "0", "deny": "1024"}]},
        {"permission_overwrites": [{"id": "7", "type": 0, "allow": 0, "deny": "1024"}]},
        {"permission_overwrites": None},
        {"name": None},
        {"type": None},
        {"available_tags": [{"id": "5"}]},
    ],
)
def test_a_channel_that_cannot_be_read_keeps_what_is_stored_and_stops_no_other(guild: Guild, broken: Json) -> None:
    names = furnish(guild)
    mine = {names[name] for name in ("day", "next day", "late", "private")}
    guild.channels["1"] |= broken
    for channels in (None, ["general", "staff", "help"]):
        with opened(guild, channels=channels) as source:
            assert listed(source).keys() == set(names.values()) - mine
            assert hidden(source).keys() == {"1-", "private.1-"}
            now = fetched(source, *mine)
            assert {record.event for record in now.values()} == {"malformed"}
            problem = now[names["day"]].problem
            assert problem is not None
            assert next(iter(broken)) in problem
            assert "let the bot read it" not in problem
            assert living(extracted(source)).keys() == set(names.values()) - mine
    with opened(guild, exclude_channels=["1"]) as source:
        assert fetched(source, names["day"])[names["day"]].event == "deleted"


def test_a_channel_that_is_private_for_all_that_can_be_read_is_shown_to_all_no_more(guild: Guild) -> None:
    names = furnish(guild)
    guild.overwrite("1", GUILD, 0, deny=VIEW)
    guild.channels["1"]["permission_overwrites"].append({"id": "7", "type": 2, "allow": "1024", "deny": "0"})
    with opened(guild) as source:
        assert fetched(source, names["day"])[names["day"]].event == "deleted"
        assert hidden(source).keys() == {"private.1-"}


# The account


def test_check_names_the_server_and_counts_its_channels(guild: Guild) -> None:
    with opened(guild) as source:
        assert source.check() == "discord.example, server Sun (900), 3 channels to sync"
    with (
        opened(guild, channels=["general", "nowhere"]) as source,
        pytest.raises(SourceError, match="no channel nowhere"),
    ):
        source.check()


def test_a_bot_outside_the_server_is_told_to_be_invited(guild: Guild) -> None:
    guild.answers = {f"/guilds/{GUILD}": [httpx.Response(404, json={"code": 10004})]}
    with opened(guild) as source, pytest.raises(SourceError, match="Invite the bot"):
        source.check()


def test_a_wrong_token_is_told_and_never_shown(guild: Guild) -> None:
    guild.answers = {"/applications/@me": [httpx.Response(401, json={"message": TOKEN})]}
    with opened(guild) as source, pytest.raises(SourceError, match="Wrong token") as caught:
        listed(source)
    assert TOKEN not in f"{caught.value}{caught.value!r}{Account(token=TOKEN, guild_id='1')!r}"  # pyright: ignore[reportArgumentType]


def test_span_holds_every_modification(guild: Guild) -> None:
    with opened(guild) as source:
        assert source.span("messages") is None
        furnish(guild)
        assert source.span("messages") == (at("04 12:00"), at("09 10:00"))
        times = [modified_at for modified_at, _ in listed(source).values()]
        assert (min(times), max(times)) == source.span("messages")


def test_a_429_is_waited_for_as_long_as_it_asks(guild: Guild, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(guild)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    limited = httpx.Response(
        429, json={"message": "You are being rate limited.", "retry_after": 64.57, "global": False}
    )
    guild.answers = {"/channels/1/messages": [limited]}
    with opened(guild) as source:
        assert len(listed(source)) == 6
    assert waits == [64.57]
    guild.answers = {"/channels/1/messages": [httpx.Response(429, json={"retry_after": 1336.57})]}
    with opened(guild) as source, pytest.raises(SourceError, match=r"asks to wait 1336\.57 s"):
        listed(source)


def test_days_of_one_channel_are_fetched_one_after_the_other_so_that_its_limit_is_known(guild: Guild) -> None:
    for day in range(1, 12):
        guild.post("1", "Good morning", at(f"{day:02} 08:00"))
    under_way, met = threading.Lock(), threading.Event()

    def meet(path: str) -> None:
        if path.endswith("/messages"):
            if not under_way.acquire(blocking=False):
                met.set()
                return
            met.wait(0.02)
            under_way.release()

    with opened(guild) as source:
        wanted = list(listed(source))
        guild.before_answer = meet
        assert len(fetched(source, *wanted)) == 11
    assert not met.is_set()


def test_a_route_without_calls_left_is_waited_for(guild: Guild) -> None:
    furnish(guild)
    left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "4.5"}
    guild.answers = {"/channels/1/messages": [httpx.Response(200, headers=left, json=guild.page("1", 0, 1))]}
    with opened(guild, limits={"page_size": 1, "request_delay": 0}) as source:
        assert len(listed(source)) == 6
    assert guild.seconds == pytest.approx(1004.5)


def test_a_listing_makes_few_calls(guild: Guild) -> None:
    furnish(guild)
    with opened(guild) as source:
        listed(source)
    # Server 6, archives 5, histories 2, threads 3, members of the private thread 1.
    assert len(guild.asked) == 17
    guild.asked.clear()
    with opened(guild) as source:
        assert list(source.fetch("messages", [])) == []
    assert guild.asked == []


def test_no_more_than_fifty_requests_a_second_start_also_where_other_limits_are_set() -> None:
    account = Account.model_validate({"token": TOKEN, "guild_id": "1", "limits": {"page_size": 50}})
    assert account.limits.request_delay == 0.025


@pytest.mark.parametrize(
    "changes", [{"guild_id": 900}, {"token": ""}, {"channels": []}, {"channels": [12]}, {"base_url": "ftp://x"}]
)
def test_settings_that_cannot_be_meant_are_refused(changes: Json) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"token": TOKEN, "guild_id": "1"} | changes)


def test_an_unknown_stream_is_refused(guild: Guild) -> None:
    with opened(guild) as source, pytest.raises(SourceError, match="no stream 'tickets'"):
        list(source.live_ids("tickets"))
