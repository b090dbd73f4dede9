"""The demo company's Slack: its protocol over the wire, its limits and faults, what people do there, its content."""

import socket
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web import SlackResponse
from starlette.applications import Starlette

from sync_assets.demo.slack import create_app
from sync_assets.demo.slack_content import build_workspace
from sync_assets.demo.slack_records import SCOPES, timestamp
from sync_assets.demo.slack_workspace import SlackLimits, SlackWorkspace

TOKEN = "xoxb-demo-acme"
START = datetime(2026, 11, 14, 12, tzinfo=UTC)
GENERAL = "C08GENERAL1"
PHONES = "C08PHONES01"
WIFI = "C08WIFI0001"
ESCALATIONS = "C08ESCALAT1"  # private, with the app
LEADERSHIP = "C08LEADERS1"  # private, without it
FIELD_NOTES = "C08FIELD001"  # public, without it
ARCHIVED = "C08LAUNCHH4"
INGRID, TOMAS, CALLUM, ROWAN = "U08ACME001", "U08ACME002", "U08ACME004", "U08ACME013"
TRAINING = "F99C09DEFD6"  # a PDF in #general
APP, UPTIME = "U08ABOT001", "B08ACME003"

Json = dict[str, Any]


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Slack:
    """The workspace with a client that knows nothing but HTTP."""

    def __init__(self, url: str, workspace: SlackWorkspace) -> None:
        self.url = url
        self.workspace = workspace
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"})

    def get(self, method: str, **params: Any) -> Json:
        answer = self._client.get(f"/api/{method}", params=params)
        assert answer.status_code == 200
        return answer.json()

    def send(self, verb: str, path: str, body: Any = None) -> httpx.Response:
        return self._client.request(verb, path, json=body)

    def order(self, verb: str, path: str, body: Any = None) -> Any:
        """Order something below `_demo`, which must be taken."""
        answer = self.send(verb, f"/_demo/{path}", body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def all(self, method: str, rows: str, **params: Any) -> list[list[Any]]:
        """The rows of all pages of a listing, by page."""
        pages: list[list[Any]] = []
        cursor = ""
        while cursor or not pages:
            answer = self.get(method, cursor=cursor, **params)
            pages.append(answer[rows])
            cursor = answer["response_metadata"]["next_cursor"]
            assert answer.get("has_more", bool(cursor)) == bool(cursor)
        return pages

    def history(self, channel: str, **params: Any) -> list[Json]:
        pages = self.all("conversations.history", "messages", channel=channel, **params)
        return [message for page in pages for message in page]

    def replies(self, channel: str, ts: str, **params: Any) -> list[Json]:
        return self.get("conversations.replies", channel=channel, ts=ts, **params)["messages"]

    def root(self, channel: str, words: str) -> Json:
        """The one message of a channel's history that has these words."""
        (message,) = [message for message in self.history(channel) if words in message["text"]]
        return message


def body_of(answer: SlackResponse) -> Json:
    """The body of an answer of the vendor's client."""
    assert isinstance(answer.data, dict)
    return answer.data


def pages_of(answer: SlackResponse, rows: str) -> list[list[Any]]:
    """The rows of all pages, which the vendor's client fetches one after the other."""
    return [body_of(page)[rows] for page in answer]


@pytest.fixture(scope="module")
def running_clock() -> Clock:
    return Clock()


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Serves an application on the loopback interface; gives its root."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def running(running_clock: Clock) -> Iterator[Slack]:
    text = files("sync_assets.demo").joinpath("data/acme/slack.yaml").read_text(encoding="utf-8")
    workspace = SlackWorkspace(build_workspace(yaml.safe_load(text)))
    with serving(create_app(workspace, running_clock, SlackLimits())) as url:
        yield Slack(url, workspace)


@pytest.fixture
def clock(running_clock: Clock) -> Clock:
    running_clock.moment = START
    return running_clock


@pytest.fixture
def slack(running: Slack, clock: Clock) -> Slack:
    """The workspace at its start."""
    running.workspace.reset()
    return running


@pytest.fixture
def client(slack: Slack) -> WebClient:
    """The vendor's own client, which neither waits nor tries again."""
    return WebClient(TOKEN, base_url=f"{slack.url}/api/", retry_handlers=[])


def test_the_vendors_client_is_told_who_it_is_and_where(client: WebClient) -> None:
    told = body_of(client.auth_test())
    assert (told["user_id"], told["url"]) == (APP, "https://acme-support.slack.com/")
    assert body_of(client.team_info())["team"]["domain"] == "acme-support"
    assert body_of(client.users_info(user=told["user_id"]))["user"]["is_bot"]


def test_the_vendors_client_lists_every_channel_by_its_pages(client: WebClient) -> None:
    pages = pages_of(client.conversations_list(types="public_channel,private_channel", limit=3), "channels")
    assert [len(page) for page in pages] == [3, 3, 2]
    channels = [channel for page in pages for channel in page]
    assert [channel["id"] for channel in channels] == [
        *(ESCALATIONS, FIELD_NOTES, GENERAL, ARCHIVED, PHONES, "C08RANDOM01", "C08RELEASE1", WIFI)
    ]
    assert [channel["id"] for channel in channels if not channel["is_member"]] == [FIELD_NOTES, ARCHIVED]
    assert [channel["id"] for channel in channels if channel["is_private"]] == [ESCALATIONS]


def test_archived_channels_are_left_out_when_asked_and_private_ones_by_default(client: WebClient) -> None:
    (channels,) = pages_of(client.conversations_list(), "channels")
    (unarchived,) = pages_of(client.conversations_list(exclude_archived=True), "channels")
    assert ESCALATIONS not in {channel["id"] for channel in channels}
    assert [channel["id"] for channel in channels if channel not in unarchived] == [ARCHIVED]


def test_the_vendors_client_reads_a_history_newest_first_without_replies(client: WebClient, slack: Slack) -> None:
    pages = pages_of(client.conversations_history(channel=PHONES, limit=7), "messages")
    assert {len(page) for page in pages[:-1]} == {7}
    assert 1 <= len(pages[-1]) <= 7
    times = [message["ts"] for page in pages for message in page]
    assert times == sorted(times, reverse=True)
    kept = slack.workspace.data.messages[PHONES]
    assert set(times) == {
        ts for ts, message in kept.items() if "thread_ts" not in message or message.get("subtype") == "thread_broadcast"
    }
    assert 0 < len(times) < len(kept)


def test_the_vendors_client_reads_members_and_users_to_the_end(client: WebClient, slack: Slack) -> None:
    pages = pages_of(client.conversations_members(channel=GENERAL, limit=4), "members")
    assert [user for page in pages for user in page] == sorted(slack.workspace.data.members[GENERAL])
    users = [user for page in pages_of(client.users_list(limit=6), "members") for user in page]
    assert [user["id"] for user in users] == sorted(slack.workspace.data.users)
    assert [user["id"] for user in users if user["deleted"]] == [ROWAN]
    assert pages_of(client.users_list(), "members") == [users]


def test_every_page_of_a_thread_begins_with_its_root(slack: Slack) -> None:
    root = slack.root(PHONES, "one-way audio")
    pages = slack.all("conversations.replies", "messages", channel=PHONES, ts=root["ts"], limit=5)
    assert [len(page) for page in pages] == [6, 6, 4]
    assert {page[0]["ts"] for page in pages} == {root["ts"]}
    replies = [message for page in pages for message in page[1:]]
    times = [message["ts"] for message in replies]
    assert times == sorted(set(times))
    assert root["ts"] not in times
    assert {message["thread_ts"] for message in replies} == {root["ts"]}
    assert {message["parent_user_id"] for message in replies} == {CALLUM}
    assert root["reply_count"] == len(replies) == 13
    assert (root["latest_reply"], root["thread_ts"]) == (times[-1], root["ts"])
    assert set(root["reply_users"]) == {message["user"] for message in replies}


def test_a_thread_is_had_by_any_of_its_messages_and_a_lone_message_by_itself(slack: Slack) -> None:
    thread = slack.replies(PHONES, slack.root(PHONES, "one-way audio")["ts"])
    assert slack.replies(PHONES, thread[5]["ts"]) == thread
    lone = slack.root(PHONES, "24 hours")
    assert "reply_count" not in lone
    assert slack.replies(PHONES, lone["ts"]) == [lone]
    gone = slack.get("conversations.replies", channel=PHONES, ts="1793600000.000001")
    assert gone == {"ok": False, "error": "thread_not_found"}


def test_a_reply_that_was_sent_to_the_channel_too_is_in_both_lists(slack: Slack) -> None:
    (shown,) = [message for message in slack.history(PHONES) if message.get("subtype") == "thread_broadcast"]
    root = shown.pop("root")
    assert root == slack.root(PHONES, "Overhead paging")
    assert root["reply_count"] == 4
    assert slack.replies(PHONES, root["ts"])[-1] == shown


def test_oldest_and_latest_bound_a_history_with_and_without_their_ends(slack: Slack) -> None:
    times = [message["ts"] for message in slack.history(PHONES)]

    def between(**params: str) -> list[str]:
        return [message["ts"] for message in slack.history(PHONES, latest=times[3], oldest=times[9], **params)]

    assert between() == times[4:9]
    assert between(inclusive="true") == times[3:10]
    assert between(inclusive="1", limit="2") == times[3:10]
    assert slack.get("conversations.history", channel=PHONES, oldest="yesterday")["error"] == "invalid_ts_oldest"
    assert slack.get("conversations.history", channel=PHONES, latest="-1")["error"] == "invalid_ts_latest"


def test_a_late_reply_shows_only_at_its_root(slack: Slack) -> None:
    before = slack.root(PHONES, "AirPods")
    slack.workspace.post(PHONES, TOMAS, "Still true with macOS 26.2", before["ts"], START)
    since = {message["ts"] for message in slack.history(PHONES, oldest=timestamp(START - timedelta(hours=1)))}
    assert since == set()
    after = slack.root(PHONES, "AirPods")
    assert after["reply_count"] == before["reply_count"] + 1
    assert after["latest_reply"] == timestamp(START)


def test_a_listing_goes_on_rightly_when_its_last_given_message_is_deleted(slack: Slack) -> None:
    times = [message["ts"] for message in slack.history(WIFI)]
    first = slack.get("conversations.history", channel=WIFI, limit=5)
    lone = next(message["ts"] for message in reversed(first["messages"]) if "reply_count" not in message)
    at = times.index(lone) + 1
    first = slack.get("conversations.history", channel=WIFI, limit=at)
    slack.workspace.delete(WIFI, lone)
    slack.workspace.post(WIFI, TOMAS, "Meanwhile", at=START)
    cursor = first["response_metadata"]["next_cursor"]
    rest = slack.get("conversations.history", channel=WIFI, limit=999, cursor=cursor)["messages"]
    assert [message["ts"] for message in rest] == times[at:]


def test_a_page_is_no_longer_than_the_limits_say(clock: Clock, slack: Slack) -> None:
    with serving(create_app(slack.workspace, clock, SlackLimits(page=15))) as url:
        asked = {"token": TOKEN, "channel": PHONES, "limit": "100"}
        answer = httpx.post(f"{url}/api/conversations.history", data=asked).json()
    assert len(answer["messages"]) == 15
    assert answer["has_more"]


def test_an_edited_message_keeps_its_time_and_says_who_edited_it(slack: Slack) -> None:
    shown = slack.root(PHONES, "wrong PINs")
    assert shown["blocks"]
    slack.workspace.edit(PHONES, shown["ts"], "How long is it *locked*?", START)
    edited = slack.root(PHONES, "How long is it *locked*?")
    assert edited["edited"] == {"user": shown["user"], "ts": "1794657600.000000"}
    assert "blocks" not in edited
    assert (edited["ts"], edited["latest_reply"]) == (shown["ts"], shown["latest_reply"])
    assert slack.history(PHONES, oldest=timestamp(START)) == []


def test_a_deleted_message_without_replies_is_absent(slack: Slack) -> None:
    shown = slack.root(PHONES, "24 hours")
    slack.workspace.delete(PHONES, shown["ts"])
    assert shown["ts"] not in {message["ts"] for message in slack.history(PHONES)}
    assert slack.get("conversations.replies", channel=PHONES, ts=shown["ts"])["error"] == "thread_not_found"


def test_a_deleted_root_is_a_tombstone_until_its_last_reply_goes(slack: Slack) -> None:
    root = slack.root(PHONES, "Hot desking at Starling")
    replies = slack.replies(PHONES, root["ts"])[1:]
    slack.workspace.delete(PHONES, root["ts"])
    stone = slack.replies(PHONES, root["ts"])[0]
    assert stone in slack.history(PHONES)
    assert stone == {
        "type": "message",
        "subtype": "tombstone",
        "user": "USLACKBOT",
        "text": "This message was deleted.",
        "hidden": True,
        "ts": root["ts"],
        "thread_ts": root["ts"],
        "reply_count": 2,
        "reply_users_count": 2,
        "reply_users": [TOMAS, CALLUM],
        "latest_reply": replies[-1]["ts"],
        "is_locked": False,
        "subscribed": False,
    }
    assert slack.replies(PHONES, root["ts"])[1:] == replies
    for reply in replies:
        slack.workspace.delete(PHONES, reply["ts"])
    assert root["ts"] not in {message["ts"] for message in slack.history(PHONES)}
    assert slack.get("conversations.replies", channel=PHONES, ts=root["ts"])["error"] == "thread_not_found"


def test_a_root_whose_only_reply_is_deleted_is_an_ordinary_message_again(slack: Slack) -> None:
    ts = slack.workspace.post(PHONES, CALLUM, "Anyone?", at=START)["ts"]
    before = slack.root(PHONES, "Anyone?")
    reply = slack.workspace.post(PHONES, TOMAS, "Yes", ts, START + timedelta(minutes=1))
    assert slack.root(PHONES, "Anyone?")["reply_count"] == 1
    slack.workspace.delete(PHONES, reply["ts"])
    assert slack.root(PHONES, "Anyone?") == before
    assert not {"thread_ts", "reply_count", "latest_reply"} & set(before)


def test_two_messages_of_one_moment_have_different_times(slack: Slack) -> None:
    first, second = (slack.workspace.post(PHONES, CALLUM, "Now", at=START) for _ in range(2))
    assert (first["ts"], second["ts"]) == ("1794657600.000000", "1794657600.000001")


def test_people_and_bots_post_in_their_own_forms(slack: Slack) -> None:
    person, app, webhook = (
        slack.workspace.post(GENERAL, author, "Hello there", at=START) for author in (INGRID, APP, UPTIME)
    )
    assert person["blocks"][0]["elements"][0]["elements"] == [{"type": "text", "text": "Hello there"}]
    assert app["bot_profile"]["name"] == "Knowledge Sync"
    assert webhook["username"] == "Uptime Watch"
    marks = [[message.get(mark) for mark in ("user", "bot_id", "subtype")] for message in (person, app, webhook)]
    assert marks == [[INGRID, None, None], [APP, "B08ACME001", None], [None, UPTIME, "bot_message"]]


@pytest.mark.parametrize("token", ["", "Bearer xoxb-another"])
def test_a_request_without_the_right_token_is_refused(slack: Slack, token: str) -> None:
    answer = httpx.get(f"{slack.url}/api/auth.test", headers={"Authorization": token} if token else {})
    assert answer.status_code == 200
    assert answer.json() == {"ok": False, "error": "invalid_auth" if token else "not_authed"}


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("conversations.list", {"limit": 1001}, "invalid_limit"),
        ("conversations.list", {"limit": "all"}, "invalid_limit"),
        ("conversations.list", {"cursor": "nonsense!"}, "invalid_cursor"),
        ("conversations.list", {"cursor": b64encode(b"user:U1").decode()}, "invalid_cursor"),
        ("conversations.list", {"types": "public"}, "invalid_types"),
        ("conversations.history", {"channel": PHONES, "limit": 1000}, "invalid_limit"),
        ("conversations.history", {"channel": "C0NOTHING"}, "channel_not_found"),
        ("conversations.history", {}, "channel_not_found"),
        ("conversations.history", {"channel": LEADERSHIP}, "channel_not_found"),
        ("conversations.info", {"channel": LEADERSHIP}, "channel_not_found"),
        ("conversations.members", {"channel": LEADERSHIP}, "channel_not_found"),
        ("conversations.history", {"channel": FIELD_NOTES}, "not_in_channel"),
        ("conversations.replies", {"channel": FIELD_NOTES, "ts": "1"}, "not_in_channel"),
        ("conversations.history", {"channel": ARCHIVED}, "not_in_channel"),
        ("users.info", {"user": "U0EXTERN01"}, "user_not_found"),
        ("chat.everything", {}, "unknown_method"),
    ],
)
def test_a_wrong_request_is_refused_by_name(slack: Slack, method: str, params: Json, error: str) -> None:
    refused = slack.get(method, **params)
    assert (refused["ok"], refused["error"]) == (False, error)


def test_a_public_channel_without_the_app_can_be_looked_at_but_not_read(slack: Slack) -> None:
    assert not slack.get("conversations.info", channel=FIELD_NOTES)["channel"]["is_member"]
    assert len(slack.get("conversations.members", channel=FIELD_NOTES)["members"]) == 3
    slack.workspace.join(FIELD_NOTES, APP, START)
    assert slack.get("conversations.info", channel=FIELD_NOTES)["channel"]["is_member"]
    assert slack.history(FIELD_NOTES)[0]["subtype"] == "channel_join"
    slack.workspace.leave(FIELD_NOTES, APP, START)
    assert slack.get("conversations.history", channel=FIELD_NOTES)["error"] == "not_in_channel"


@pytest.mark.parametrize(
    ("scope", "method", "params"),
    [
        ("channels:read", "conversations.list", {}),
        ("channels:read", "conversations.info", {"channel": PHONES}),
        ("groups:read", "conversations.list", {"types": "public_channel,private_channel"}),
        ("groups:read", "conversations.members", {"channel": ESCALATIONS}),
        ("channels:history", "conversations.history", {"channel": PHONES}),
        ("groups:history", "conversations.history", {"channel": ESCALATIONS}),
        ("users:read", "users.list", {}),
        ("users:read", "users.info", {"user": TOMAS}),
        ("team:read", "team.info", {}),
        ("files:read", "files.info", {"file": TRAINING}),
    ],
)
def test_a_missing_scope_is_named(slack: Slack, scope: str, method: str, params: Json) -> None:
    assert slack.get(method, **params)["ok"]
    kept = [name for name in SCOPES if name != scope]
    slack.order("PUT", "scopes", {"scopes": kept})
    refused = slack.get(method, **params)
    assert refused == {"ok": False, "error": "missing_scope", "needed": scope, "provided": ",".join(kept)}
    slack.order("POST", "reset")
    assert slack.get(method, **params)["ok"]


def test_the_vendors_client_gets_a_file_at_the_address_that_its_message_has(client: WebClient, slack: Slack) -> None:
    shared = slack.root(GENERAL, "Recording and slides")["files"][0]
    told = body_of(client.files_info(file=shared["id"]))["file"]
    assert told == shared
    assert (told["name"], told["mimetype"], told["mode"]) == ("console-8-5-training.pdf", "application/pdf", "hosted")
    assert told["url_private_download"].startswith(f"{slack.url}/files-pri/")
    for address in (told["url_private"], told["url_private_download"]):
        answer = httpx.get(address, headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.content.startswith(b"%PDF")
        assert len(answer.content) == told["size"]


@pytest.mark.parametrize("lack", ["token", "scope", "file"])
def test_whoever_may_not_have_a_file_gets_a_login_page_with_status_200(slack: Slack, lack: str) -> None:
    address = slack.get("files.info", file=TRAINING)["file"]["url_private_download"]
    headers = {} if lack == "token" else {"Authorization": f"Bearer {TOKEN}"}
    if lack == "scope":
        slack.order("PUT", "scopes", {"scopes": [name for name in SCOPES if name != "files:read"]})
    if lack == "file":
        slack.order("DELETE", f"files/{TRAINING}")
    answer = httpx.get(address, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_deleted_file_leaves_a_tombstone_in_its_message(slack: Slack) -> None:
    slack.order("DELETE", f"files/{TRAINING}")
    shared = slack.root(GENERAL, "Recording and slides")["files"]
    assert shared[0] == {"id": TRAINING, "mode": "tombstone"}
    assert shared[1]["name"] == "console-8-5-recording.mp4"
    assert slack.get("files.info", file=TRAINING) == {"ok": False, "error": "file_deleted"}


def test_a_file_is_there_for_an_app_that_is_in_its_channel_alone(slack: Slack) -> None:
    assert slack.get("files.info", file="F0NOTHING")["error"] == "file_not_found"
    slack.workspace.leave(GENERAL, APP, START)
    assert slack.get("files.info", file=TRAINING)["error"] == "file_not_found"


def test_addresses_of_people_need_a_scope_of_their_own(slack: Slack) -> None:
    assert slack.get("users.info", user=TOMAS)["user"]["profile"]["email"] == "tomas@acme.example"
    slack.order("PUT", "scopes", {"scopes": ["users:read"]})
    assert "email" not in slack.get("users.info", user=TOMAS)["user"]["profile"]


@pytest.mark.parametrize(
    ("method", "params", "allowed"),
    [
        ("conversations.list", {}, 20),
        ("users.list", {}, 20),
        ("conversations.history", {"channel": PHONES, "limit": 1}, 50),
        ("users.info", {"user": TOMAS}, 100),
    ],
)
def test_a_method_may_be_called_so_often_in_any_minute(
    slack: Slack, clock: Clock, method: str, params: Json, allowed: int
) -> None:
    for _ in range(allowed - 1):
        assert slack.get(method, **params)["ok"]
    clock.sleep(45)
    assert slack.get(method, **params)["ok"]
    for waited in (0, 14.5):
        clock.sleep(waited)
        refused = httpx.get(f"{slack.url}/api/{method}", params=params, headers={"Authorization": f"Bearer {TOKEN}"})
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == ("15" if waited == 0 else "1")
        assert refused.json() == {"ok": False, "error": "ratelimited"}
    assert slack.get("auth.test")["ok"]
    clock.sleep(0.5)
    assert slack.get(method, **params)["ok"]
    assert slack.order("GET", "requests")[method] == allowed + 3


def test_the_vendors_client_waits_as_long_as_it_is_told(
    slack: Slack, clock: Clock, client: WebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        client.conversations_list()
    with pytest.raises(SlackApiError) as refusal:
        client.conversations_list()
    assert refusal.value.response.status_code == 429
    assert refusal.value.response["error"] == "ratelimited"
    assert refusal.value.response.headers["Retry-After"] == "60"
    monkeypatch.setattr("slack_sdk.http_retry.builtin_handlers.time.sleep", clock.sleep)
    client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    assert client.conversations_list()["ok"]
    assert clock() >= START + timedelta(seconds=60)


def test_the_vendors_client_sees_a_refusal_as_an_error(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as refusal:
        client.conversations_history(channel=FIELD_NOTES)
    assert refusal.value.response["error"] == "not_in_channel"


def test_ordered_faults_strike_as_often_as_ordered(slack: Slack) -> None:
    slack.order("POST", "faults", {"path": f"history.*channel={PHONES}", "times": 1, "error": "internal_error"})
    assert slack.get("conversations.history", channel=WIFI)["ok"]
    struck = slack.get("conversations.history", channel=PHONES)
    assert struck == {"ok": False, "error": "internal_error"}
    assert slack.get("conversations.history", channel=PHONES)["ok"]
    slack.order("POST", "faults", {"path": "users.list", "status": 503})
    assert slack.send("GET", "/api/users.list").status_code == 503
    slack.order("DELETE", "faults")
    assert slack.get("users.list")["ok"]


def test_an_answer_can_be_cut_shortened_and_changed_by_order(slack: Slack) -> None:
    whole = slack.send("GET", "/api/users.list").content
    slack.order("POST", "faults", {"path": "users.list", "times": 1, "truncate": True})
    assert slack.send("GET", "/api/users.list").content == whole[: len(whole) // 2]
    slack.order("POST", "faults", {"path": "users.list", "times": 1, "rows": 2})
    assert len(slack.get("users.list")["members"]) == 2
    slack.order("POST", "faults", {"times": 1, "answer": {"has_more": True, "messages": None}})
    changed = slack.get("conversations.history", channel=PHONES)
    assert (changed["ok"], changed["has_more"], changed["messages"]) == (True, True, None)
    slack.order("POST", "faults", {"times": 1, "status": 429, "retry_after": 7})
    assert slack.send("GET", "/api/users.list").headers["Retry-After"] == "7"
    assert slack.send("POST", "/_demo/faults", {"malformed": "no_id"}).status_code == 400


def test_people_act_by_the_control_routes_too(slack: Slack, clock: Clock) -> None:
    posted = slack.order("POST", "messages", {"channel": PHONES, "user": CALLUM, "text": "Ping"})
    assert posted["ts"] == timestamp(START)
    later = {"channel": PHONES, "user": TOMAS, "text": "Pong", "thread_ts": posted["ts"]}
    reply = slack.order("POST", "messages", later | {"at": "2026-11-14T12:30:00+00:00"})
    assert slack.root(PHONES, "Ping")["latest_reply"] == reply["ts"] == timestamp(START + timedelta(minutes=30))
    slack.order("PATCH", f"messages/{PHONES}/{reply['ts']}", {"text": "Pong!"})
    assert slack.replies(PHONES, posted["ts"])[1]["text"] == "Pong!"
    slack.order("PATCH", f"messages/{PHONES}/{reply['ts']}", {"ts": None, "text": 42})
    broken = slack.replies(PHONES, posted["ts"])[1]
    assert (broken["ts"], broken["text"]) == (None, 42)
    slack.order("DELETE", f"messages/{PHONES}/{posted['ts']}")
    assert slack.replies(PHONES, posted["ts"])[0]["subtype"] == "tombstone"


def test_channels_and_people_change_by_the_control_routes(slack: Slack) -> None:
    slack.order("DELETE", f"channels/{PHONES}/members/{APP}")
    assert slack.get("conversations.history", channel=PHONES)["error"] == "not_in_channel"
    slack.order("PUT", f"channels/{PHONES}/members/{APP}")
    slack.order("PATCH", f"channels/{PHONES}", {"name": "voice", "is_private": True})
    channel = slack.get("conversations.info", channel=PHONES)["channel"]
    assert (channel["name"], channel["previous_names"]) == ("voice", ["support-phones"])
    assert (channel["is_private"], channel["is_member"]) == (True, True)
    noise = [message["subtype"] for message in slack.history(PHONES)[:3]]
    assert noise == ["channel_name", "channel_join", "channel_leave"]
    slack.order("PATCH", f"users/{TOMAS}", {"display_name": "Tom"})
    assert slack.get("users.info", user=TOMAS)["user"]["profile"]["display_name"] == "Tom"
    slack.order("PATCH", f"channels/{WIFI}", {"is_archived": True})
    assert slack.get("conversations.info", channel=WIFI)["channel"]["is_archived"]
    assert slack.get("conversations.history", channel=WIFI)["error"] == "not_in_channel"
    slack.order("DELETE", f"channels/{GENERAL}")
    assert slack.get("conversations.info", channel=GENERAL)["error"] == "channel_not_found"


def test_a_channel_that_was_archived_is_read_again_once_it_is_back_and_joined(slack: Slack) -> None:
    before = slack.history(WIFI)
    slack.workspace.archive(WIFI, at=START)
    slack.workspace.archive(WIFI, False, at=START)
    assert slack.get("conversations.history", channel=WIFI)["error"] == "not_in_channel"
    slack.workspace.join(WIFI, APP, START)
    after = slack.history(WIFI)
    assert after[3:] == before
    assert [message["subtype"] for message in after[:3]] == ["channel_join", "channel_unarchive", "channel_archive"]


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "messages", {"channel": "C0NOTHING", "user": TOMAS, "text": "?"}),
        ("POST", "messages", {"channel": PHONES, "user": "U0NOBODY", "text": "?"}),
        ("POST", "messages", {"channel": PHONES, "user": TOMAS, "text": "?", "thread_ts": "1.000001"}),
        ("PATCH", f"messages/{PHONES}/1.000001", {"text": "?"}),
        ("DELETE", f"messages/{PHONES}/1.000001", None),
        ("PUT", f"channels/{PHONES}/members/U0NOBODY", None),
        ("DELETE", "files/F0NOTHING", None),
        ("PATCH", "users/U0NOBODY", {"display_name": "?"}),
    ],
)
def test_an_action_on_what_is_not_there_is_answered_with_404(slack: Slack, verb: str, path: str, body: Any) -> None:
    assert slack.send(verb, f"/_demo/{path}", body).status_code == 404


def test_reset_puts_everything_back(slack: Slack) -> None:
    before = slack.history(PHONES)
    slack.workspace.delete(PHONES, before[0]["ts"])
    slack.workspace.rename_channel(PHONES, "voice", START)
    slack.order("POST", "faults", {"status": 500})
    slack.order("POST", "reset")
    assert slack.order("GET", "requests") == {}
    assert slack.history(PHONES) == before
    assert slack.get("conversations.info", channel=PHONES)["channel"]["name"] == "support-phones"


def test_requests_are_counted_by_method_until_they_are_forgotten(slack: Slack) -> None:
    slack.get("users.info", user=TOMAS)
    slack.get("users.info", user="U0NOBODY")
    assert slack.workspace.requests == {"users.info": 2}
    slack.order("DELETE", "requests")
    assert slack.order("GET", "requests") == {}


def test_the_workspace_holds_every_kind_of_message(slack: Slack) -> None:
    messages = [message for channel in slack.workspace.data.messages.values() for message in channel.values()]
    subtypes = Counter(message.get("subtype", "") for message in messages)
    assert set(subtypes) == {
        *("", "bot_message", "channel_archive", "channel_join", "channel_leave", "channel_topic", "file_share"),
        *("me_message", "thread_broadcast", "tombstone"),
    }
    assert subtypes[""] > 220
    text = " ".join(message["text"] for message in messages)
    marks = ("<@U", "<#C", "<!here>", "<!subteam^", "<!date^", "<https://", "<mailto:", "&amp;", "&gt;", "```")
    assert [mark for mark in (*marks, ":white_check_mark:", "&lt;") if mark not in text] == []
    assert [message for message in messages if not message["text"] and not message.get("blocks")]
    assert [message for message in messages if not message["text"] and message.get("attachments")]
    assert all("2026-11-02" <= f"{datetime.fromtimestamp(float(m['ts']), UTC):%F}" <= "2026-11-13" for m in messages)
    assert len([message for message in messages if "edited" in message]) >= 3
    assert [message for message in messages if "Voor de Nederlandse klanten" in message["text"]]
    assert {author for message in messages if (author := message.get("user"))} - set(slack.workspace.data.users) == {
        "U0EXTERN01"
    }


def test_the_workspace_holds_long_threads_late_replies_and_a_tombstone(slack: Slack) -> None:
    roots = [root for channel in (GENERAL, PHONES, WIFI) for root in slack.history(channel) if "reply_count" in root]
    assert len(roots) >= 28
    assert len([root for root in roots if root["reply_count"] >= 12]) == 2
    days = [(float(root["latest_reply"]) - float(root["ts"])) / 86_400 for root in roots]
    assert max(days) > 8
    assert [root["reply_count"] for root in roots if root.get("subtype") == "tombstone"] == [3]
