import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_assets.documents import Document, Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.http import Timer
from sync_assets.sources.slack import Account, Source
from sync_assets_tests.sources.slack_fake import CREATED, NOON, TOKEN, URL, FakeSlack, ts

LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


class Seconds:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def timer(self) -> Timer:
        return Timer(lambda: self.now, self.sleep)


@pytest.fixture
def slack() -> FakeSlack:
    fake = FakeSlack()
    fake.user("U1", "ada", display_name="Ada", real_name="Ada Lovelace")
    fake.user("U2", "grace", display_name="", real_name="Grace Hopper")
    fake.channel("C1", "support")
    return fake


def opened(slack: FakeSlack, **changes: Any) -> Source:
    """The workspace with an account whose limits and circuit breaker no other test has seen."""
    account = Account.model_validate({"token": TOKEN} | changes)
    return Source(
        f"acme-{uuid4().hex[:8]}",
        account,
        clock=lambda: NOON,
        timer=Seconds().timer(),
        transport=slack.transport(),
    )


def from_archive(path: Path, **changes: Any) -> Source:
    return Source("acme", Account.model_validate({"export": str(path)} | changes), clock=lambda: NOON)


def extracted(source: Source, since: datetime = LONG_AGO, until: datetime = FAR_AHEAD) -> dict[str, Record]:
    records = list(source.extract("messages", since, until))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def living(source: Source) -> dict[str, tuple[datetime, str]]:
    rows = [row for row in source.live_ids("messages") if isinstance(row, LiveId)]
    assert len({row.record_id for row in rows}) == len(rows)
    return {row.record_id: (row.modified_at, row.cheap_version) for row in rows}


def hidden(source: Source) -> dict[str, str]:
    """What the sweep can't see, with the reason, by the beginning of the record ids."""
    return {row.prefix: row.reason for row in source.live_ids("messages") if isinstance(row, Hidden)}


def fetched(source: Source, *record_ids: str) -> list[Record]:
    return list(source.fetch("messages", record_ids))


def texts(source: Source, record: Record) -> list[str]:
    return [part.text for part in source.to_document("messages", record).parts]


def on(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


# Conversations


def test_messages_outside_threads_make_a_record_for_each_day(slack: FakeSlack) -> None:
    slack.post("C1", ts(5, 8), "The wifi is down.")
    slack.post("C1", ts(5, 23, 59, 999_999), "It is back.")
    slack.post("C1", ts(6, 0, 0, 0), "It is gone again.")
    source = opened(slack)

    records = extracted(source)

    assert list(records) == ["C1-2026-11-06", "C1-2026-11-05"]
    day = records["C1-2026-11-05"]
    assert texts(source, day) == ["Ada: The wifi is down.", "Ada: It is back."]
    assert day.modified_at == datetime(2026, 11, 5, 23, 59, 0, 999_999, tzinfo=UTC)
    assert day.authoritative
    assert records["C1-2026-11-06"].modified_at == on(6)


def test_a_root_and_its_replies_are_a_thread_and_no_part_of_their_days(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Which phone for a lobby?")
    slack.reply("C1", root, ts(5, 10), "The D785.")
    last = slack.reply("C1", root, ts(6), "Thanks!", user="U1")
    source = opened(slack)

    records = extracted(source)

    thread = records[f"C1-{root}"]
    assert records["C1-2026-11-05"].event == "deleted"
    assert set(living(source)) == {f"C1-{root}"}
    assert thread.modified_at == on(6, 9).replace(microsecond=100)
    document = source.to_document("messages", thread)
    assert [part.text for part in document.parts] == [
        "Ada: Which phone for a lobby?",
        "Grace Hopper: The D785.",
        "Ada: Thanks!",
    ]
    assert document.title == "#support: Which phone for a lobby?"
    assert document.url == f"{URL}/archives/C1/p{root.replace('.', '')}"
    assert document.parts[2].metadata["link"] == (f"{URL}/archives/C1/p{last.replace('.', '')}?thread_ts={root}&cid=C1")
    assert document.visibility is Visibility.INTERNAL


def test_a_window_holds_the_conversations_whose_latest_message_lies_in_it(slack: FakeSlack) -> None:
    slack.post("C1", ts(4), "Before.")
    slack.post("C1", ts(5, 8), "Morning.")
    slack.post("C1", ts(5, 12), "Noon.")
    source = opened(slack)

    assert set(extracted(source, on(4), on(5))) == {"C1-2026-11-04"}
    assert extracted(source, on(5), on(5, 12)) == {}
    assert texts(source, extracted(source, on(5, 12), on(5, 13))["C1-2026-11-05"]) == ["Ada: Morning.", "Ada: Noon."]


def test_a_late_reply_brings_its_thread_and_the_day_that_its_root_left(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(2), "Who knows the M700?")
    slack.post("C1", ts(2, 10), "Lunch?")
    source = opened(slack)
    assert set(extracted(source, on(2), on(3))) == {"C1-2026-11-02"}

    slack.reply("C1", root, ts(11), "I do.")
    records = extracted(opened(slack), on(11), on(12))

    assert set(records) == {f"C1-{root}", "C1-2026-11-02"}
    assert texts(source, records["C1-2026-11-02"]) == ["Ada: Lunch?"]
    assert texts(source, records[f"C1-{root}"]) == ["Ada: Who knows the M700?", "Grace Hopper: I do."]


def test_a_root_older_than_the_rescan_is_left_to_the_sweep(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(2), "Old.")
    slack.reply("C1", root, ts(11), "Late.")

    assert extracted(opened(slack, thread_rescan_days=5), on(11), on(12)) == {}
    assert set(extracted(opened(slack, thread_rescan_days=9), on(11), on(12))) == {f"C1-{root}", "C1-2026-11-02"}
    assert set(living(opened(slack, thread_rescan_days=5))) == {f"C1-{root}"}


def test_only_threads_whose_last_reply_lies_in_the_window_are_read_again(slack: FakeSlack) -> None:
    for hour in range(8, 18):
        slack.reply("C1", slack.post("C1", ts(3, hour), "A question."), ts(4, hour), "An answer.")
    slack.reply("C1", slack.post("C1", ts(3, 19), "Another."), ts(11), "Late.")
    source = opened(slack)

    extracted(source, on(11), on(12))

    assert slack.calls["conversations.replies"] == 1


def test_a_broadcast_reply_stands_once_and_in_its_thread(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Root.")
    slack.reply("C1", root, ts(6), "To all of you.", subtype="thread_broadcast")
    source = opened(slack)

    records = extracted(source)

    assert {key: record.event for key, record in records.items()} == {f"C1-{root}": "live", "C1-2026-11-05": "deleted"}
    assert set(living(source)) == {f"C1-{root}"}
    assert texts(source, records[f"C1-{root}"]) == ["Ada: Root.", "Grace Hopper: To all of you."]


def test_noise_and_bots_are_left_out_and_bots_come_where_they_are_wanted(slack: FakeSlack) -> None:
    slack.post("C1", ts(5, 8), "<@U1> has joined the channel", subtype="channel_join")
    slack.post("C1", ts(5, 9), "Build failed.", subtype="bot_message", bot_id="B1", username="CI", user=None)
    slack.post("C1", ts(5, 10), "waves", subtype="me_message")
    slack.post("C1", ts(6), "", subtype="channel_topic")

    quiet, chatty = opened(slack), opened(slack, bots=True)

    assert texts(quiet, extracted(quiet)["C1-2026-11-05"]) == ["Ada: waves"]
    assert texts(chatty, extracted(chatty)["C1-2026-11-05"]) == ["CI: Build failed.", "Ada: waves"]
    assert set(living(quiet)) == {"C1-2026-11-05"}


# Edits and deletions


def test_an_edit_moves_the_cheap_version_and_not_the_time(slack: FakeSlack) -> None:
    at = slack.post("C1", ts(5), "Fort 80.")
    before = living(opened(slack))["C1-2026-11-05"]

    slack.post("C1", at, "Port 80.", edited={"user": "U1", "ts": ts(6)})
    after = living(opened(slack))["C1-2026-11-05"]

    assert before[0] == after[0]
    assert before[1] != after[1]
    assert extracted(opened(slack), on(6), on(7)) == {}


def test_what_no_document_holds_moves_no_cheap_version(slack: FakeSlack) -> None:
    at = slack.post("C1", ts(5), "Port 80.")
    before = living(opened(slack))

    slack.post("C1", at, "Port 80.", reactions=[{"name": "eyes", "users": ["U2"], "count": 1}])

    assert living(opened(slack)) == before


@pytest.mark.parametrize("change", ["person", "channel", "member"])
def test_new_names_and_members_move_the_cheap_version(slack: FakeSlack, change: str) -> None:
    slack.channel("G1", "board", "U1", private=True)
    slack.post("G1", ts(5), "Secret.")
    before = living(opened(slack, private=True))["private.G1-2026-11-05"]
    match change:
        case "person":
            slack.user("U1", "ada", display_name="Countess")
        case "channel":
            slack.channels["G1"]["name"] = "directors"
        case _:
            slack.members["G1"].append("U2")

    after = living(opened(slack, private=True))["private.G1-2026-11-05"]

    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_new_member_changes_who_may_see_and_no_text(slack: FakeSlack) -> None:
    slack.channel("G1", "board", "U2", "U1", "U3", private=True)
    slack.post("G1", ts(5), "Secret.")

    def board() -> Document:
        source = opened(slack, private=True)
        return source.to_document("messages", fetched(source, "private.G1-2026-11-05")[0])

    before = board()
    slack.members["G1"].remove("U3")
    after = board()

    assert (before.visibility, before.principals) == (Visibility.RESTRICTED, ["user:U1", "user:U2", "user:U3"])
    assert after.principals == ["user:U1", "user:U2"]
    assert before.content_hash == after.content_hash


def test_a_root_that_was_deleted_leaves_its_replies(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Never mind.")
    slack.reply("C1", root, ts(6), "We fixed it.")
    slack.delete("C1", root)
    source = opened(slack)

    assert set(living(source)) == {f"C1-{root}"}
    (record,) = fetched(source, f"C1-{root}")
    assert texts(source, record) == ["Grace Hopper: We fixed it."]


def test_a_deleted_root_without_replies_is_a_deletion_and_no_failure(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Root.")
    answer = slack.reply("C1", root, ts(6), "Reply.")
    slack.delete("C1", root)
    slack.delete("C1", answer)

    (record,) = fetched(opened(slack), f"C1-{root}")

    assert record.event == "deleted"
    assert living(opened(slack)) == {}


def test_a_root_that_lost_its_replies_returns_to_its_day(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Root.")
    slack.delete("C1", slack.reply("C1", root, ts(6), "Reply."))
    source = opened(slack)

    assert set(living(source)) == {"C1-2026-11-05"}
    assert [record.event for record in fetched(source, f"C1-{root}", "C1-2026-11-05")] == ["deleted", "live"]


def test_a_thread_that_vanishes_between_two_requests_stops_nothing(slack: FakeSlack) -> None:
    slack.post("C1", ts(4), "Stays.")
    root = slack.post("C1", ts(5), "Root.")
    slack.reply("C1", root, ts(6), "Reply.")
    slack.refusals["conversations.replies"] = {"error": "thread_not_found"}

    records = extracted(opened(slack))
    assert {key for key, record in records.items() if record.event != "deleted"} == {"C1-2026-11-04"}
    assert set(living(opened(slack))) == {"C1-2026-11-04"}


def test_a_day_without_messages_and_an_id_that_is_none_are_told_apart(slack: FakeSlack) -> None:
    records = fetched(
        opened(slack), "C1-2026-11-05", "C1-9999-12-31", "C1-0001-01-01", "C1-nonsense", "C1", "a/b-2026-11-05"
    )

    assert [record.event for record in records] == [
        "deleted",
        "deleted",
        "deleted",
        "malformed",
        "deleted",
        "malformed",
    ]


# Channels


def test_the_app_reads_the_channels_that_it_is_in_and_joins_none(slack: FakeSlack) -> None:
    slack.post(slack.channel("C2", "random", is_member=False), ts(5), "Elsewhere.")
    slack.post("C1", ts(5), "Here.")

    assert set(extracted(opened(slack))) == {"C1-2026-11-05"}
    assert set(slack.calls) == {"conversations.list", "conversations.history", "users.list", "auth.test"}


@pytest.mark.parametrize(
    ("chosen", "excluded", "expected"),
    [
        (None, [], {"C1", "C2", "C3"}),
        (["support", "#sales"], [], {"C1", "C2"}),
        (["C3"], [], {"C3"}),
        (["s*"], [], {"C1", "C2"}),
        (["s*"], ["sales"], {"C1"}),
        (None, ["#s*"], {"C3"}),
        (["support"], ["C1"], set[str]()),
    ],
)
def test_lists_choose_channels_and_denying_wins(
    slack: FakeSlack, chosen: list[str] | None, excluded: list[str], expected: set[str]
) -> None:
    slack.channel("C2", "sales")
    slack.channel("C3", "general")
    for channel_id in slack.channels:
        slack.post(channel_id, ts(5), "Hello.")
    source = opened(slack, channels=chosen, exclude_channels=excluded)

    assert {record_id.partition("-")[0] for record_id in extracted(source)} == expected
    assert {record_id.partition("-")[0] for record_id in living(source)} == expected
    gone = {
        record.record_id[:2]
        for record in fetched(source, *(f"{c}-2026-11-05" for c in slack.channels))
        if record.event == "deleted"
    }
    assert gone == {"C1", "C2", "C3"} - expected


def test_private_channels_come_where_they_are_asked_for_and_go_where_not(slack: FakeSlack) -> None:
    slack.post(slack.channel("G1", "board", "U1", private=True), ts(5), "Secret.")

    assert set(extracted(opened(slack))) == set()
    assert set(extracted(opened(slack, private=True))) == {"private.G1-2026-11-05"}
    assert fetched(opened(slack), "private.G1-2026-11-05")[0].event == "deleted"


def test_members_and_people_are_listed_once_however_many_records_need_them(slack: FakeSlack) -> None:
    slack.channel("G1", "board", "U1", private=True)
    for day in (4, 5, 6):
        slack.post("G1", ts(day), "Secret.")

    assert len(extracted(opened(slack, private=True))) == 3
    assert (slack.calls["conversations.members"], slack.calls["users.list"]) == (1, 1)


def test_a_channel_that_the_app_left_is_malformed_and_not_deleted(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Root.")
    slack.reply("C1", root, ts(6), "Reply.")
    slack.channels["C1"]["is_member"] = False

    for source in (opened(slack), opened(slack, channels=["support"])):
        records = fetched(source, f"C1-{root}", "C1-2026-11-05", "C1")
        assert [record.event for record in records] == ["malformed"] * 3
        assert all("exclude_channels" in (record.problem or "") for record in records)


def test_a_named_channel_that_the_app_is_not_in_is_one_malformed_record_until_it_is(slack: FakeSlack) -> None:
    slack.post("C1", ts(5), "Hello.")
    slack.channels["C1"]["is_member"] = False
    source = opened(slack, channels=["support"])

    assert {key: record.event for key, record in extracted(source).items()} == {"C1": "malformed"}
    assert living(source) == {}
    assert "exclude_channels" in hidden(source)["C1-"]

    slack.channels["C1"]["is_member"] = True
    assert fetched(opened(slack, channels=["support"]), "C1")[0].event == "deleted"


@pytest.mark.parametrize("code", ["not_in_channel", "channel_not_found"])
def test_a_channel_that_refuses_its_history_stops_no_other(slack: FakeSlack, code: str) -> None:
    slack.post("C1", ts(5), "Hello.")
    slack.post(slack.channel("C2", "sales"), ts(5), "Hello.")
    slack.refusals["conversations.history C1"] = {"error": code}

    records = extracted(opened(slack))

    assert {key: record.event for key, record in records.items()} == {"C1": "malformed", "C2-2026-11-05": "live"}
    assert code in (records["C1"].problem or "")
    assert set(living(opened(slack))) == {"C2-2026-11-05"}
    assert code in hidden(opened(slack))["C1-"]
    assert fetched(opened(slack), "C1-2026-11-05")[0].event == "malformed"


def test_what_was_said_in_an_archived_channel_stays_without_a_word(slack: FakeSlack) -> None:
    slack.post("C1", ts(5), "Hello.")
    slack.channels["C1"] |= {"is_member": False, "is_archived": True}
    assert extracted(opened(slack)) == {}
    assert (living(opened(slack)), hidden(opened(slack))) == ({}, {"C1-": ""})
    assert hidden(opened(slack, exclude_channels=["support"])) == {}


def test_a_private_channel_that_vanished_is_malformed_until_it_is_excluded(slack: FakeSlack) -> None:
    lost = ("private.C9-2026-11-05", f"private.C9-{ts(5)}", "private.C9")

    records = fetched(opened(slack, private=True), *lost)

    assert [record.event for record in records] == ["malformed"] * 3
    assert all("name C9 in" in (record.problem or "") for record in records)
    assert {record.event for record in fetched(opened(slack, private=True, exclude_channels=["C9"]), *lost)} == {
        "deleted"
    }


def test_a_public_channel_that_vanished_is_gone(slack: FakeSlack) -> None:
    lost = ("C9-2026-11-05", f"C9-{ts(5)}", "C9")

    assert [record.event for record in fetched(opened(slack, private=True), *lost)] == ["deleted"] * 3


def test_what_everybody_could_find_goes_when_its_channel_turns_private(slack: FakeSlack) -> None:
    slack.post("C1", ts(4), "Hello.")
    root = slack.post("C1", ts(5), "Root.")
    slack.reply("C1", root, ts(6), "Reply.")
    public = {f"C1-{root}", "C1-2026-11-04"}
    assert set(living(opened(slack, private=True))) == public

    slack.channels["C1"]["is_private"] = True

    source = opened(slack, private=True)
    assert set(living(source)) == {f"private.{record_id}" for record_id in public}
    assert hidden(source) == {}
    assert [record.event for record in fetched(source, *public, "C1")] == ["deleted"] * 3
    for one in fetched(source, *(f"private.{record_id}" for record_id in public)):
        assert source.to_document("messages", one).visibility is Visibility.RESTRICTED
    assert {record.event for record in fetched(opened(slack), *public)} == {"deleted"}

    slack.channels["C1"]["is_member"] = False
    for account in ({"private": True}, {"private": False}, {"channels": ["support"]}):
        assert {record.event for record in fetched(opened(slack, **account), *public)} == {"deleted"}
    kept = fetched(opened(slack, private=True), *(f"private.{record_id}" for record_id in public))
    assert {record.event for record in kept} == {"malformed"}


def test_a_private_channel_that_turned_public_lives_under_its_public_ids(slack: FakeSlack) -> None:
    slack.post("C1", ts(5), "Hello.")
    source = opened(slack, private=True)

    assert set(living(source)) == {"C1-2026-11-05"}
    assert [record.event for record in fetched(source, "private.C1-2026-11-05", "private.C1")] == ["deleted"] * 2


def test_a_private_channel_that_refuses_its_history_is_hidden_under_its_own_ids(slack: FakeSlack) -> None:
    slack.channel("G1", "board", "U1", private=True)
    slack.refusals["conversations.history G1"] = {"error": "not_in_channel"}
    source = opened(slack, private=True)

    assert {key: record.event for key, record in extracted(source).items()} == {"private.G1": "malformed"}
    assert set(hidden(source)) == {"private.G1-"}
    assert "name G1 in" in hidden(source)["private.G1-"]

    del slack.refusals["conversations.history G1"]
    assert fetched(opened(slack, private=True), "private.G1")[0].event == "deleted"


def test_a_private_channel_beyond_the_scopes_is_malformed_and_stops_nothing(slack: FakeSlack) -> None:
    slack.post("C1", ts(5), "Hello.")
    slack.refusals["conversations.info G1"] = {"error": "missing_scope", "needed": "groups:read"}

    records = fetched(opened(slack, private=True), "private.G1-2026-11-05", "C1-2026-11-05")

    assert [record.event for record in records] == ["malformed", "live"]
    assert slack.calls["conversations.info"] == 1


def test_a_channel_that_vanished_is_asked_for_once_however_many_records_it_had(slack: FakeSlack) -> None:
    fetched(
        opened(slack, private=True), *(f"{key}-2026-11-0{day}" for day in (4, 5, 6) for key in ("C9", "private.C8"))
    )

    assert slack.calls["conversations.info"] == 2


def test_names_of_private_channels_are_told_in_those_channels_alone(slack: FakeSlack) -> None:
    slack.channel("C2", "sales")
    slack.channel("G1", "layoffs", "U1", private=True)
    slack.channel("G2", "board", "U1", private=True)
    for channel_id in ("C1", "G1"):
        slack.post(channel_id, ts(5, 8), "<#C2> <#C2|old> <#G1> <#G1|layoffs> <#G2|board> <#C9|gone> `<#G2|board>`")
        named = [{"type": "channel", "channel_id": name} for name in ("C2", "G1", "G2")]
        lines = [{"type": "rich_text_section", "elements": named}]
        slack.post(channel_id, ts(5, 9), "", blocks=[{"type": "rich_text", "elements": lines}])
    source = opened(slack, private=True)

    records = extracted(source)

    unknown = "#private-channel"
    assert texts(source, records["C1-2026-11-05"]) == [
        f"Ada: #sales #sales {unknown} {unknown} {unknown} {unknown} `{unknown}`",
        f"Ada: #sales{unknown}{unknown}",
    ]
    assert texts(source, records["private.G1-2026-11-05"]) == [
        f"Ada: #sales #sales #layoffs #layoffs {unknown} {unknown} `{unknown}`",
        f"Ada: #sales#layoffs{unknown}",
    ]
    assert not {"layoffs", "board"} & set(records["C1-2026-11-05"].payload["channels"].values())


def test_a_channel_renamed_away_from_the_allow_list_is_never_deleted_for_it(slack: FakeSlack) -> None:
    slack.post("C1", ts(5), "Hello.")
    slack.channels["C1"]["name"] = "helpdesk"
    source = opened(slack, channels=["support"])

    assert {key: record.event for key, record in extracted(source).items()} == {"#support": "malformed"}
    assert [record.event for record in fetched(source, "#support", "C1-2026-11-05")] == ["malformed", "malformed"]

    chosen = opened(slack, channels=["helpdesk"])
    assert [record.event for record in fetched(chosen, "#support", "C1-2026-11-05")] == ["deleted", "live"]


# Answers that go wrong


@pytest.mark.parametrize("code", ["invalid_auth", "not_authed", "account_inactive", "token_revoked"])
def test_a_wrong_token_names_the_setting_and_not_the_token(slack: FakeSlack, code: str) -> None:
    slack.refusals["auth.test"] = {"error": code}

    with pytest.raises(SourceError, match=rf"{code}.*tenants\.acme-\w+\.slack\.token") as caught:
        opened(slack).check()

    assert TOKEN not in f"{caught.value!r}{caught.getrepr()}"


def test_a_missing_scope_is_named(slack: FakeSlack) -> None:
    slack.refusals["conversations.history"] = {"error": "missing_scope", "needed": "channels:history"}

    with pytest.raises(SourceError, match="channels:history"):
        extracted(opened(slack))


def test_any_other_code_stops_everything(slack: FakeSlack) -> None:
    slack.refusals["conversations.history"] = {"error": "team_added_to_org"}

    with pytest.raises(SourceError, match="team_added_to_org"):
        living(opened(slack))


@pytest.mark.parametrize(
    "queued",
    [
        httpx.Response(429, headers={"Retry-After": "30"}, json={"ok": False, "error": "ratelimited"}),
        httpx.Response(200, json={"ok": False, "error": "internal_error"}),
        httpx.Response(503),
    ],
    ids=["429", "internal_error", "503"],
)
def test_a_passing_failure_in_the_middle_of_a_listing_is_tried_again(slack: FakeSlack, queued: httpx.Response) -> None:
    for hour in range(8, 13):
        slack.post("C1", ts(5, hour), f"At {hour}.")
    slack.queued["conversations.history"] = [queued]
    source = opened(slack)

    assert len(texts(source, extracted(source)["C1-2026-11-05"])) == 5
    assert slack.calls["conversations.history"] == 4


@pytest.mark.parametrize(
    ("method", "shape"),
    [
        ("conversations.history", {"has_more": True, "response_metadata": {"next_cursor": ""}}),
        ("conversations.history", {"has_more": True, "response_metadata": {"next_cursor": "0"}}),
        ("conversations.history", {"messages": None}),
        ("conversations.list", {"channels": {}}),
        ("conversations.list", {"channels": [{"name": "support"}]}),
        ("conversations.replies", {"messages": "none"}),
        ("users.list", {"members": None}),
        ("conversations.history", {"messages": [{"ts": ts(4), "text": "a"}, {"ts": ts(5), "text": "b"}]}),
    ],
)
def test_a_listing_that_breaks_off_is_never_taken_for_whole(slack: FakeSlack, method: str, shape: Any) -> None:
    slack.reply("C1", slack.post("C1", ts(5), "Root."), ts(6), "Reply.")
    slack.post("C1", ts(5, 11), "Hello.")
    slack.shape[method] = shape

    with pytest.raises(SourceError):
        living(opened(slack))


def test_a_short_or_empty_page_is_no_end(slack: FakeSlack) -> None:
    for hour in range(8, 11):
        slack.post("C1", ts(5, hour), f"At {hour}.")
    empty = {"ok": True, "messages": [], "has_more": True, "response_metadata": {"next_cursor": "0"}}
    slack.queued["conversations.history"] = [httpx.Response(200, json=empty)]
    source = opened(slack)

    assert len(texts(source, extracted(source)["C1-2026-11-05"])) == 3


def test_messages_that_the_plan_hides_are_not_gone_and_the_others_are_swept(slack: FakeSlack) -> None:
    slack.post(slack.channel("C2", "sales"), ts(5), "Hello.")
    slack.post("C1", ts(5), "It may have begun earlier.")
    root = slack.post("C1", ts(5, 10), "Root.")
    slack.reply("C1", root, ts(6), "Reply.")
    slack.post("C1", ts(7), "Hello.")
    slack.limited = {"C1"}
    source = opened(slack)

    assert set(living(source)) == {"C1-2026-11-07", f"C1-{root}", "C2-2026-11-05"}
    assert hidden(source) == {"C1-": ""}
    assert set(extracted(source)) == {"C1-2026-11-07", f"C1-{root}", "C1-2026-11-05", "C2-2026-11-05"}
    wanted = ("C1-2026-11-07", f"C1-{root}", "C1-2026-11-04", "C2-2026-11-04")
    records = fetched(source, *wanted)
    assert [record.event for record in records] == ["live", "live", "malformed", "deleted"]
    assert "plan" in (records[2].problem or "")


def test_where_the_plan_hides_all_messages_nothing_is_gone(slack: FakeSlack) -> None:
    slack.limited = {"C1"}
    source = opened(slack)

    assert (living(source), hidden(source), extracted(source)) == ({}, {"C1-": ""}, {})


def test_a_thread_is_gone_only_where_the_plan_hides_nothing_of_it(slack: FakeSlack) -> None:
    root = slack.post("C1", ts(5), "Root.")
    slack.delete("C1", slack.reply("C1", root, ts(6), "Reply."))
    hidden_answer = {"ok": True, "messages": [], "is_limited": True}
    slack.limited = {"C1"}
    source = opened(slack)

    assert fetched(source, f"C1-{root}")[0].event == "deleted"
    slack.queued["conversations.replies"] = [httpx.Response(200, json=hidden_answer)]
    assert fetched(source, f"C1-{ts(2)}")[0].event == "malformed"


@pytest.mark.parametrize(
    "bad", [{"text": 7}, {"ts": "today"}, {"ts": 1.5}, {"thread_ts": 12}, {"blocks": "none"}, {"files": {}}]
)
def test_a_message_that_cannot_be_read_spoils_its_day_alone(slack: FakeSlack, bad: Any) -> None:
    slack.post("C1", ts(4), "Before.")
    at = slack.post("C1", ts(5), "Bad.")
    slack.messages["C1"][at] |= bad
    slack.post("C1", ts(6), "After.")
    source = opened(slack)

    records = extracted(source)

    events = {"C1-2026-11-06": "live", "C1-2026-11-05": "malformed", "C1-2026-11-04": "live"}
    if "ts" in bad:
        events |= {"C1-2026-11-06": "malformed"}
        del events["C1-2026-11-05"]
    assert {key: record.event for key, record in records.items()} == events
    assert {key: row[1] for key, row in living(source).items()} == {
        key: record.cheap_version for key, record in records.items()
    }


def test_strangers_are_asked_for_once_and_keep_their_id(slack: FakeSlack) -> None:
    slack.strangers["U8"] = {"id": "U8", "name": "bob", "profile": {"display_name": "Bob"}}
    slack.post("C1", ts(5), "Hi <@U9>.", user="U8")
    slack.post("C1", ts(6), "Hi <@U9>, it's <@U8>.", user="U9")
    source = opened(slack)

    records = extracted(source)

    assert texts(source, records["C1-2026-11-05"]) == ["Bob: Hi @U9."]
    assert texts(source, records["C1-2026-11-06"]) == ["U9: Hi @U9, it's @Bob."]
    assert slack.calls["users.info"] == 2


def test_a_minute_holds_no_more_calls_than_slack_allows(slack: FakeSlack) -> None:
    seconds, times = Seconds(), list[float]()
    for number in range(120):
        slack.post("C1", ts(5, number // 60, number % 60), "Again.")
    account = Account.model_validate({"token": TOKEN})

    def noted(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("conversations.history"):
            times.append(seconds.now)
        return slack.transport().handle_request(request)

    tenant = f"acme-{uuid4().hex[:8]}"
    transport = httpx.MockTransport(noted)
    with Source(tenant, account, clock=lambda: NOON, timer=seconds.timer(), transport=transport) as source:
        extracted(source)

    assert len(times) == 60
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[50:], strict=False))


def test_check_names_the_workspace(slack: FakeSlack) -> None:
    assert opened(slack).check() == "acme.slack.com, workspace Acme, as sync"


def test_the_span_begins_with_the_oldest_channel_and_reads_no_history(slack: FakeSlack) -> None:
    for number, channel_id in enumerate(("C2", "C3", "C4")):
        slack.channel(channel_id, f"older-{number}", is_member=number < 2)
        slack.channels[channel_id]["created"] -= number * 86_400

    assert opened(slack).span("messages") == (CREATED - timedelta(days=1), NOON)
    assert set(slack.calls) == {"conversations.list"}
    assert opened(slack, exclude_channels=["*"]).span("messages") is None


def test_a_channel_of_unknown_age_may_be_as_old_as_any(slack: FakeSlack) -> None:
    del slack.channels["C1"]["created"]

    assert opened(slack).span("messages") == (datetime(1970, 1, 1, tzinfo=UTC), NOON)


def test_another_stream_is_refused(slack: FakeSlack) -> None:
    with pytest.raises(SourceError, match="no stream 'files'"):
        opened(slack).fetch("files", [])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"token": TOKEN, "export": "archive.zip"},
        {"token": "two words"},
        {"token": "xoxb-\u00e9"},
        {"token": ""},
        {"token": TOKEN, "base_url": "ftp://slack.com"},
        {"token": TOKEN, "base_url": "https://me:secret@slack.com"},
        {"token": TOKEN, "channels": []},
        {"token": TOKEN, "channels": [""]},
        {"token": TOKEN, "thread_rescan_days": -1},
    ],
)
def test_a_wrong_account_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate(wrong)


# Any history


def _histories() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    kinds = st.sampled_from(["post", "reply", "join", "bot", "broadcast", "edit", "delete", "bot_reply", "bot_reply"])
    return st.lists(st.tuples(kinds, st.integers(0, 7), st.integers(1, 2)), max_size=24)


def _played(history: list[tuple[str, int, int]]) -> FakeSlack:
    slack = FakeSlack()
    slack.user("U1", "ada", display_name="Ada")
    slack.user("U2", "grace", real_name="Grace")
    slack.channel("C1", "support")
    slack.channel("G1", "board", "U1", "U2", private=True)
    for number, (kind, pick, user) in enumerate(history):
        channel_id = "C1" if pick % 3 else "G1"
        at = ts(2 + number // 4, 5 + number % 4 * 5)
        posted = sorted(slack.messages[channel_id])
        roots = [old for old in posted if "thread_ts" not in slack.messages[channel_id][old]]
        chosen = posted[pick % len(posted)] if posted else ""
        root = roots[pick % len(roots)] if roots else ""
        match kind:
            case "post":
                slack.post(channel_id, at, f"Message {number}, <@U{user}>", user=f"U{user}")
            case "join":
                slack.post(channel_id, at, "joined", subtype="channel_join")
            case "bot":
                slack.post(channel_id, at, "beep", subtype="bot_message", bot_id="B1")
            case "edit" if chosen and slack.messages[channel_id][chosen].get("subtype") != "tombstone":
                slack.messages[channel_id][chosen]["text"] = f"Edited {number}"
            case "delete" if chosen and slack.messages[channel_id][chosen].get("subtype") != "tombstone":
                slack.delete(channel_id, chosen)
            case "reply" | "broadcast" if root:
                subtype = {"subtype": "thread_broadcast"} if kind == "broadcast" else {}
                slack.reply(channel_id, root, at, f"Reply {number}", user=f"U{user}", **subtype)
            case "bot_reply" if root:
                slack.reply(channel_id, root, at, "beep", subtype="bot_message", bot_id="B1")
            case _:
                pass
    return slack


@settings(max_examples=60, deadline=None)
@given(_histories(), st.randoms(use_true_random=False))
def test_each_conversation_is_found_in_the_window_of_its_time(history: list[tuple[str, int, int]], order: Any) -> None:
    slack = _played(history)
    source = opened(slack, private=True)
    windows = [(on(day), on(day + 1)) for day in range(1, 13)]
    shuffled = list(windows)
    order.shuffle(shuffled)
    live = living(source)

    found = {window: extracted(source, *window) for window in windows}

    assert {window: extracted(source, *window) for window in shuffled} == found
    for record_id, (modified_at, cheap_version) in live.items():
        given_in = {window for window in windows if found[window].get(record_id)}
        own = next(window for window in windows if window[0] <= modified_at < window[1])
        assert own in given_in
        assert all(found[window][record_id].cheap_version == cheap_version for window in given_in)
        # A day comes again with a thread that took its root.
        begun = {
            window
            for window in windows
            for one in found[window]
            if "." in one.removeprefix("private.") and _day_of_root(one) == record_id
        }
        assert given_in == {own} | begun


def _day_of_root(record_id: str) -> str:
    key, _, root = record_id.partition("-")
    return f"{key}-{datetime.fromtimestamp(float(root), UTC):%Y-%m-%d}"


@settings(max_examples=40, deadline=None)
@given(_histories())
def test_windows_sweeps_and_fetches_agree_on_every_record(history: list[tuple[str, int, int]]) -> None:
    slack = _played(history)
    source = opened(slack, private=True)

    live = living(source)
    windows = extracted(source)
    given_live = {key: record for key, record in windows.items() if record.event == "live"}
    again = {record.record_id: record for record in fetched(source, *live)}

    assert set(given_live) == set(live) == set(again)
    for key, row in live.items():
        assert (given_live[key].modified_at, given_live[key].cheap_version) == row
        assert (again[key].modified_at, again[key].cheap_version) == row
        assert again[key].payload == given_live[key].payload
    gone = [key for key, record in windows.items() if record.event == "deleted"]
    assert all(record.event == "deleted" for record in fetched(source, *gone))


@settings(max_examples=25, deadline=None)
@given(_histories(), st.sampled_from([-8, 0, 9]))
def test_an_archive_and_the_web_api_give_the_same_conversations(
    history: list[tuple[str, int, int]], shift_hours: int
) -> None:
    slack = _played(history)
    with tempfile.TemporaryDirectory() as folder:
        exported = from_archive(slack.archive(Path(folder) / "export.zip", shift_hours), private=True)
        with opened(slack, private=True) as web, exported:
            asked, read = extracted(web), extracted(exported)
            assert {key: (record.event, record.modified_at) for key, record in asked.items()} == {
                key: (record.event, record.modified_at) for key, record in read.items()
            }
            for key, record in asked.items():
                if record.event == "live":
                    one, other = (s.to_document("messages", r) for s, r in ((web, record), (exported, read[key])))
                    assert one.content_hash == other.content_hash
                    assert (one.visibility, one.principals) == (other.visibility, other.principals)
            assert set(living(exported)) == set(living(web))
            assert living(exported) == {
                record.record_id: (record.modified_at, record.cheap_version)
                for record in fetched(exported, *living(exported))
            }
