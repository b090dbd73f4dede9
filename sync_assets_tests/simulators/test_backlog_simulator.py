"""The demo company's Backlog: its protocol over the wire, its limits and faults, what people do there, its content."""

import base64
import csv
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
import yaml
from pybacklog import BacklogClient
from python_calamine import CalamineWorkbook
from starlette.applications import Starlette
from starlette.routing import Mount

from sync_assets.demo.backlog import create_app
from sync_assets.demo.backlog_content import build_space
from sync_assets.demo.backlog_limits import BacklogLimits
from sync_assets.demo.backlog_space import BacklogSpace

KEY = "demo-backlog-key-polder"
START = datetime(2026, 11, 14, 12, tzinfo=UTC)
ROOT = "/polder/backlog"
PUMP, VENT, BOIL = 71, 72, 73

Json = dict[str, Any]


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment


class Backlog:
    """The space with a client that knows nothing but HTTP."""

    def __init__(self, url: str, space: BacklogSpace, clock: Clock) -> None:
        self.url = url
        self.space = space
        self.clock = clock
        self._client = httpx.Client(base_url=url)

    def ask(self, path: str, **params: Any) -> httpx.Response:
        return self._client.get(f"/api/v2{path}", params={"apiKey": KEY} | params)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.ask(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refusal(self, path: str, **params: Any) -> tuple[int, int]:
        """Status and code of an answer that is refused, in the vendor's form."""
        answer = self.ask(path, **params)
        ((error,),) = answer.json().values()
        assert error["message"]
        assert error["moreInfo"] == ""
        return answer.status_code, error["code"]

    def order(self, verb: str, path: str, body: Any = None) -> Any:
        """Order something below `_demo`, which must be taken."""
        answer = self._client.request(verb, f"/_demo/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def tried(self, verb: str, path: str, body: Any = None) -> int:
        return self._client.request(verb, f"/_demo/{path}", json=body).status_code

    def issue_keys(self, **params: Any) -> list[str]:
        return [issue["issueKey"] for issue in self.get("/issues", **{"count": 100} | params)]


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve on a free port of the loopback interface; gives the address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def profile() -> Json:
    return yaml.safe_load(files("sync_assets.demo").joinpath("data/polder/backlog.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def serving(profile: Json) -> Iterator[Backlog]:
    space, clock = BacklogSpace(build_space(profile)), Clock()
    limits = BacklogLimits(read=40, search=12)
    with served(Starlette(routes=[Mount(ROOT, create_app(space, clock, limits))])) as url:
        yield Backlog(f"{url}{ROOT}", space, clock)


@pytest.fixture
def backlog(serving: Backlog) -> Backlog:
    serving.space.reset()
    serving.clock.moment = START
    return serving


@pytest.fixture
def client(backlog: Backlog) -> BacklogClient:
    """The community's client, which is told where the space is in place of finding out."""
    client = BacklogClient("shirakaba", KEY)
    client._endpoint = f"{backlog.url}/api/v2/{{path}}"
    return client


def test_the_community_client_reads_the_whole_space(client: BacklogClient) -> None:
    assert client.space()["spaceKey"] == "shirakaba"
    assert [project["projectKey"] for project in client.projects()] == ["PUMP", "VENT", "BOIL"]
    assert client.get_project_id("PUMP") == PUMP
    assert client.get_issue_id("VENT-3") == 72003
    names = [status["name"] for status in client.project_statuses("PUMP")]
    assert names == ["Open", "In Progress", "部品待ち", "Awaiting customer", "Resolved", "Closed"]
    found = client.issues({"projectId[]": [PUMP, VENT], "count": 100, "order": "asc"})
    assert len(found) == 36
    assert client.issue("PUMP-1") == client.issue(71001)
    assert len(client.issue_comments("PUMP-1", {"order": "asc"})) == 4
    (page,) = [page for page in client.wikis("PUMP") if page["name"] == "Install/Checklist"]
    assert "red transport bolts" in client.wiki(page["id"])["content"]
    deleted = client.project_activities("VENT", {"activityTypeId[]": [4]})
    assert [activity["content"] for activity in deleted] == [{"id": 72010, "key_id": 10}]


def test_a_key_may_stand_in_the_query_or_in_the_header_and_another_is_refused(backlog: Backlog) -> None:
    me = backlog.get("/users/myself")
    assert (me["userId"], me["lang"]) == ("polder-sync", "en")
    bearer = httpx.get(f"{backlog.url}/api/v2/users/myself", headers={"Authorization": f"Bearer {KEY}"})
    assert bearer.json() == me
    assert backlog.refusal("/users/myself", apiKey="wrong") == (401, 11)
    assert httpx.get(f"{backlog.url}/api/v2/space").status_code == 401


def test_pages_of_issues_hold_every_issue_once(backlog: Backlog) -> None:
    assert len(backlog.get("/issues")) == 20
    pages = [backlog.get("/issues", count=15, offset=offset, sort="updated", order="asc") for offset in (0, 15, 30, 45)]
    assert [len(page) for page in pages] == [15, 15, 9, 0]
    issues = [issue for page in pages for issue in page]
    assert len({issue["id"] for issue in issues}) == 39 == backlog.get("/issues/count")["count"]
    times = [issue["updated"] for issue in issues]
    assert times == sorted(times)
    assert backlog.get("/issues/count", **{"projectId[]": [VENT]})["count"] == 16
    assert backlog.issue_keys(**{"id[]": [71002, 72003]}) == ["VENT-3", "PUMP-2"]


@pytest.mark.parametrize(
    "params",
    [{"count": 0}, {"count": 101}, {"offset": "x"}, {"sort": "nothing"}, {"order": "up"}, {"updatedSince": "today"}],
)
def test_a_query_that_the_vendor_does_not_know_is_refused(backlog: Backlog, params: Json) -> None:
    assert backlog.refusal("/issues", **params) == (400, 7)


def test_updated_since_takes_whole_days_of_the_space(backlog: Backlog) -> None:
    """Tokyo's 11 November begins on the 10th at 15:00 UTC."""
    early = backlog.space.update_issue(
        "PUMP-3", "sato", at=datetime(2026, 11, 10, 14, 59, 59, tzinfo=UTC), priority="Low"
    )
    backlog.space.set_status("VENT-6", "yamamoto", "Closed", at=datetime(2026, 11, 10, 15, tzinfo=UTC))
    since = backlog.issue_keys(updatedSince="2026-11-11")
    assert early["content"] is None
    assert "VENT-6" in since
    assert "PUMP-3" not in since
    until = backlog.issue_keys(updatedUntil="2026-11-10")
    assert "PUMP-3" in until
    assert set(since) | set(until) == set(backlog.issue_keys())
    assert not set(since) & set(until)
    assert backlog.refusal("/issues", updatedSince="2026-11-11T00:00:00Z") == (400, 7)


def test_an_issue_has_all_fields_and_its_custom_ones_in_their_forms(backlog: Backlog) -> None:
    issue = backlog.get("/issues/VENT-1")
    assert issue["status"]["name"] == "Closed"
    assert issue["resolution"] == {"id": 0, "name": "Fixed"}
    fields = {field["name"]: field["value"] for field in issue["customFields"]}
    assert fields["機種"]["name"] == "Lucht 300"
    assert fields["製造ロット"] == "2605-2608"
    assert [item["name"] for item in fields["確認環境"]] == ["実機", "試験室"]
    bare = backlog.get("/issues/PUMP-20")
    assert (bare["assignee"], bare["resolution"], bare["dueDate"]) == (None, None, None)
    assert {field["value"] for field in bare["customFields"]} == {None}
    planned = backlog.get("/issues/PUMP-14")
    assert (planned["dueDate"], planned["estimatedHours"]) == ("2026-11-27T00:00:00Z", 24)
    assert [each["name"] for each in planned["milestone"]] == ["4.22"]


def test_a_change_of_status_leaves_a_comment_without_content(backlog: Backlog) -> None:
    before = backlog.get("/issues/PUMP-9")
    at = START - timedelta(hours=1)
    made = backlog.space.set_status("PUMP-9", "tanaka", "部品待ち", at)
    (entry,) = backlog.get("/issues/PUMP-9/comments")
    assert entry["id"] == made["id"]
    assert entry["content"] is None
    (logged,) = entry["changeLog"]
    assert (logged["field"], logged["originalValue"], logged["newValue"]) == ("status", "Open", "部品待ち")
    after = backlog.get("/issues/PUMP-9")
    assert after["updated"] == "2026-11-14T11:00:00Z" > before["updated"]
    assert {name for name in after if after[name] != before[name]} == {"status", "updated", "updatedUser"}


def test_the_content_has_entries_with_changes_alone_and_an_edited_comment(backlog: Backlog) -> None:
    comments = [comment for all_of in backlog.space.data.comments.values() for comment in all_of]
    alone = [comment for comment in comments if comment["content"] is None]
    assert len(alone) >= 15
    assert all(comment["changeLog"] for comment in alone)
    assert [comment["created"] for comment in comments if comment["updated"] != comment["created"]] == [
        "2026-11-03T05:30:00Z"
    ]


def test_comments_are_paged_by_id(backlog: Backlog) -> None:
    for number in range(45):
        backlog.space.comment("VENT-13", "kimura", f"測定 {number}", at=START)
    latest = backlog.get("/issues/VENT-13/comments")
    assert [comment["content"] for comment in latest[:2]] == ["測定 44", "測定 43"]
    assert len(latest) == 20
    found: list[Json] = []
    while page := backlog.get("/issues/VENT-13/comments", count=20, order="asc", minId=found[-1]["id"] if found else 0):
        found += page
    assert [comment["content"] for comment in found] == [f"測定 {number}" for number in range(45)]
    older = backlog.get("/issues/VENT-13/comments", maxId=found[3]["id"])
    assert [comment["content"] for comment in older] == ["測定 2", "測定 1", "測定 0"]


def test_an_edit_and_a_deletion_of_a_comment_leave_the_issue_as_it_is(backlog: Backlog) -> None:
    before, told = backlog.get("/issues/PUMP-2"), backlog.get("/projects/PUMP/activities", count=100)
    attached, first, second = backlog.get("/issues/PUMP-2/comments", order="asc")
    backlog.space.edit_comment("PUMP-2", first["id"], "訂正: 両端接地は不可", START)
    backlog.space.delete_comment("PUMP-2", second["id"])
    left, oldest = backlog.get("/issues/PUMP-2/comments")
    assert oldest == attached
    assert (left["content"], left["updated"]) == ("訂正: 両端接地は不可", "2026-11-14T12:00:00Z")
    assert left["created"] == first["created"]
    assert backlog.get("/issues/PUMP-2") == before
    assert backlog.get("/projects/PUMP/activities", count=100) == told


def test_activities_are_the_feed_of_deletions(backlog: Backlog) -> None:
    (latest,) = backlog.get("/projects/PUMP/activities", count=1)
    page = next(page for page in backlog.get("/wikis", projectIdOrKey="PUMP") if page["name"] == "Home")
    backlog.space.delete_issue("PUMP-18", "kimura", START)
    backlog.space.delete_wiki(page["id"], "sato", START)
    backlog.space.comment("PUMP-1", "sato", "まもなく完了", START)
    since = backlog.get("/projects/PUMP/activities", minId=latest["id"], order="asc")
    assert [activity["type"] for activity in since] == [4, 7, 3]
    gone = backlog.get(
        "/projects/PUMP/activities", **{"activityTypeId[]": [4, 7], "minId": latest["id"], "order": "asc"}
    )
    assert [activity["content"] for activity in gone] == [
        {"id": 71018, "key_id": 18},
        {"id": page["id"], "name": "Home"},
    ]
    assert gone[0]["project"]["projectKey"] == "PUMP"
    assert backlog.refusal("/issues/PUMP-18") == (404, 6)
    assert backlog.refusal("/issues/71018/comments") == (404, 6)
    assert backlog.refusal(f"/wikis/{page['id']}") == (404, 6)


def test_ids_of_activities_and_comments_grow_with_time(backlog: Backlog) -> None:
    for project in ("PUMP", "VENT", "BOIL"):
        told = backlog.get(f"/projects/{project}/activities", count=100, order="asc")
        assert told
        assert [activity["created"] for activity in told] == sorted(activity["created"] for activity in told)
    comments = sorted(
        (each for all_of in backlog.space.data.comments.values() for each in all_of), key=lambda c: c["id"]
    )
    assert [comment["created"] for comment in comments] == sorted(comment["created"] for comment in comments)


def test_an_issue_that_is_moved_keeps_its_id_and_gets_another_key(backlog: Backlog) -> None:
    backlog.space.move_issue("PUMP-12", "kimura", "VENT", START)
    moved = backlog.get("/issues/71012")
    assert (moved["issueKey"], moved["projectId"], moved["updated"]) == ("VENT-18", VENT, "2026-11-14T12:00:00Z")
    assert backlog.get("/issues/VENT-18/comments")
    assert backlog.refusal("/issues/PUMP-12") == (404, 6)


def test_a_list_of_wikis_is_whole_and_without_content(backlog: Backlog) -> None:
    listed = backlog.get("/wikis", projectIdOrKey="VENT")
    assert [page["name"] for page in listed] == ["Home", "保守/フィルター", "保守/風量測定", "据付/ドレン"]
    assert not any(name in page for page in listed for name in ("content", "attachments"))
    home = backlog.get(f"/wikis/{listed[0]['id']}")
    assert "[[保守/フィルター]]" in home["content"]
    backlog.space.update_wiki(home["id"], "yamamoto", START, name="はじめに", content="* 目次")
    changed = backlog.get(f"/wikis/{home['id']}")
    assert (changed["name"], changed["content"], changed["updated"]) == ("はじめに", "* 目次", "2026-11-14T12:00:00Z")
    (told,) = backlog.get("/projects/VENT/activities", **{"activityTypeId[]": [6], "count": 1})
    assert told["content"]["id"] == home["id"]
    assert backlog.refusal("/wikis", projectIdOrKey="NOPE") == (404, 6)


def test_documents_come_as_plain_text_and_as_the_editors_json(backlog: Backlog) -> None:
    listed = backlog.get("/documents", **{"projectId[]": [PUMP], "order": "asc", "count": 2})
    rest = backlog.get("/documents", **{"projectId[]": [PUMP], "order": "asc", "count": 2, "offset": 2})
    assert [document["title"] for document in (*listed, *rest)] == [
        "Commissioning report, what we need back",
        "冬期サービス体制 2026-2027",
        "Firmware 4.21 release notes",
    ]
    report = backlog.get(f"/documents/{listed[0]['id']}")
    assert report["plain"].startswith("What the report is for\nThe warranty")
    nodes = orjson.loads(report["json"])["content"]
    assert [node["type"] for node in nodes] == ["heading", "paragraph", "heading", "bulletList"]
    assert len(nodes[-1]["content"]) == 4
    comments = backlog.get(f"/documents/{report['id']}/comments")
    assert [comment["createdUser"]["userId"] for comment in comments] == ["aafke", "sato"]
    assert comments[0]["plain"].startswith("May the photo")


def test_a_document_is_added_changed_commented_and_deleted(backlog: Backlog) -> None:
    told = backlog.get("/projects/VENT/activities")
    made = backlog.space.add_document("VENT", "ito", "点検表", "# 毎年\n- フィルター", START)
    backlog.space.update_document(made["id"], "ito", text="毎月点検する", at=START + timedelta(minutes=1))
    backlog.space.comment_document(made["id"], "aafke", "Clear.", START + timedelta(minutes=2))
    found = backlog.get(f"/documents/{made['id']}")
    assert (found["title"], found["plain"], found["updated"]) == ("点検表", "毎月点検する", "2026-11-14T12:01:00Z")
    assert [comment["plain"] for comment in backlog.get(f"/documents/{made['id']}/comments")] == ["Clear."]
    named = {"id": made["id"], "name": "点検表", "children": [], "emoji": None}
    tree = backlog.get("/documents/tree", projectIdOrKey="VENT")
    assert named in tree["activeTree"]["children"]
    assert tree["trashTree"] == {"id": "Trash", "children": []}
    backlog.space.delete_document(made["id"])
    assert backlog.refusal(f"/documents/{made['id']}") == (404, 6)
    tree = backlog.get("/documents/tree", projectIdOrKey="VENT")
    assert named not in tree["activeTree"]["children"]
    assert tree["trashTree"] == {"id": "Trash", "children": [named]}
    assert made["id"] not in str(backlog.get("/documents/tree", projectIdOrKey="PUMP"))
    assert backlog.get("/projects/VENT/activities") == told


def test_attachments_are_sent_byte_by_byte_under_their_name(backlog: Backlog) -> None:
    (log,) = backlog.get("/issues/PUMP-2/attachments")
    sent = backlog.ask(f"/issues/PUMP-2/attachments/{log['id']}")
    assert sent.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''%E7%95%B0")
    assert len(sent.content) == log["size"]
    rows = list(csv.reader(io.StringIO(sent.content.decode("cp932"))))
    assert rows[0] == ["発生日時", "異常コード", "内容", "吐出温度", "外気温度"]
    with pytest.raises(UnicodeDecodeError):
        sent.content.decode("utf-8")
    (table,) = backlog.get("/issues/PUMP-5")["attachments"]
    book = CalamineWorkbook.from_filelike(io.BytesIO(backlog.ask(f"/issues/PUMP-5/attachments/{table['id']}").content))
    assert book.sheet_names == ["充填量", "改訂履歴"]
    assert book.get_sheet_by_index(0).to_python()[2] == ["Buiten 6", "R32", 1250.0, 7.5, 20.0]
    assert backlog.refusal(f"/issues/PUMP-2/attachments/{table['id']}") == (404, 6)


def test_a_wiki_page_has_files_too(backlog: Backlog) -> None:
    page = next(page for page in backlog.get("/wikis", projectIdOrKey="VENT") if page["name"] == "据付/ドレン")
    (note,) = backlog.get(f"/wikis/{page['id']}/attachments")
    content = backlog.ask(f"/wikis/{page['id']}/attachments/{note['id']}").content
    assert content.decode("cp932").startswith("作業報告 2026年11月5日\r\n")


def test_a_file_is_attached_and_goes_with_its_issue(backlog: Backlog) -> None:
    made = backlog.space.attach("VENT-5", "kimura", "図面.txt", "寸法".encode(), START)
    (entry, *_) = backlog.get("/issues/VENT-5/comments")
    assert (entry["content"], entry["changeLog"][0]["attachmentInfo"]["id"]) == (None, made["id"])
    assert backlog.ask(f"/issues/VENT-5/attachments/{made['id']}").content == "寸法".encode()
    backlog.space.delete_issue("VENT-5", "kimura", START)
    assert made["id"] not in backlog.space.data.files


def test_every_kind_of_request_has_its_own_limit_for_a_minute(backlog: Backlog) -> None:
    first = backlog.ask("/space")
    reset = int((START + timedelta(minutes=1)).timestamp())
    assert [first.headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == [
        "40",
        "39",
        str(reset),
    ]
    left = [int(backlog.ask("/issues/count").headers["X-RateLimit-Remaining"]) for _ in range(12)]
    assert left == list(range(11, -1, -1))
    assert backlog.refusal("/issues") == (429, 13)
    refused = backlog.ask("/issues")
    assert (refused.headers["X-RateLimit-Remaining"], refused.headers["X-RateLimit-Reset"]) == ("0", str(reset))
    assert "Retry-After" not in refused.headers
    limits = backlog.get("/rateLimit")["rateLimit"]
    assert limits["search"] == {"limit": 12, "remaining": 0, "reset": reset}
    assert (limits["read"]["remaining"], limits["update"]["limit"], limits["icon"]["limit"]) == (38, 150, 60)
    backlog.clock.moment += timedelta(minutes=1)
    assert backlog.ask("/issues").status_code == 200


def test_the_vendors_limits_stand_where_none_are_given() -> None:
    assert BacklogLimits() == BacklogLimits(read=600, update=150, search=150, icon=60)


def test_an_archived_project_is_listed_as_one_and_can_be_read(backlog: Backlog) -> None:
    assert [project["id"] for project in backlog.get("/projects", archived="false")] == [PUMP, VENT]
    assert [project["id"] for project in backlog.get("/projects", archived="true")] == [BOIL]
    assert backlog.get("/issues/BOIL-1")["projectId"] == BOIL
    backlog.space.archive("VENT")
    assert [project["id"] for project in backlog.get("/projects", archived="false")] == [PUMP]
    assert backlog.get("/projects/VENT")["archived"] is True


def test_who_is_taken_out_of_a_project_loses_all_of_it(backlog: Backlog) -> None:
    page = backlog.get("/wikis", projectIdOrKey="VENT")[0]
    document = backlog.get("/documents", **{"projectId[]": [VENT]})[0]
    backlog.space.leave("VENT")
    assert [project["projectKey"] for project in backlog.get("/projects")] == ["PUMP", "BOIL"]
    for path in ("/projects/VENT", "/projects/72", "/projects/VENT/statuses", "/projects/VENT/activities"):
        assert backlog.refusal(path) == (403, 4)
    for path in ("/wikis", "/documents/tree"):
        assert backlog.refusal(path, projectIdOrKey="VENT") == (403, 4)
    assert backlog.refusal("/issues", **{"projectId[]": [PUMP, VENT]}) == (403, 4)
    for path in ("/issues/VENT-1", f"/wikis/{page['id']}", f"/documents/{document['id']}"):
        assert backlog.refusal(path) == (404, 6)
    assert not [key for key in backlog.issue_keys() if key.startswith("VENT")]
    backlog.space.join("VENT")
    assert backlog.get("/issues/VENT-1")["id"] == 72001


def test_what_is_not_there_is_answered_as_the_vendor_does(backlog: Backlog) -> None:
    assert backlog.refusal("/projects/NOPE") == (404, 6)
    assert backlog.refusal("/issues/PUMP-999") == (404, 6)
    assert backlog.refusal("/issues/72010") == (404, 6)
    assert backlog.refusal("/nothing/here") == (404, 6)


def test_ordered_faults_strike_as_often_as_they_are_ordered(backlog: Backlog) -> None:
    backlog.order("POST", "faults", {"path": r"/api/v2/issues\?.*offset=20", "status": 503, "times": 1})
    assert backlog.ask("/issues").status_code == 200
    assert backlog.ask("/issues", offset=20).status_code == 503
    assert backlog.ask("/issues", offset=20).status_code == 200
    backlog.order("POST", "faults", {"path": "/api/v2/space", "status": 429, "retry_after": 7})
    limited = backlog.ask("/space")
    assert limited.json()["errors"][0]["code"] == 13
    assert limited.headers["X-RateLimit-Reset"] == str(int(START.timestamp()) + 7)
    backlog.order("POST", "faults", {"path": "/comments", "truncate": True})
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        backlog.ask("/issues/PUMP-1/comments").json()
    backlog.order("POST", "faults", {"malformed": "no_id", "record_id": 71004})
    assert "id" not in backlog.get("/issues/PUMP-4")
    assert backlog.tried("POST", "faults", {"path": "("}) == 400
    backlog.order("DELETE", "faults")
    assert backlog.get("/issues/PUMP-4")["id"] == 71004


def test_the_key_is_in_no_path_that_a_fault_sees(backlog: Backlog) -> None:
    backlog.order("POST", "faults", {"path": KEY, "status": 500})
    assert backlog.ask("/space").status_code == 200


def test_people_act_through_the_control_routes_as_in_the_process(backlog: Backlog) -> None:
    made = backlog.order(
        "POST",
        "issues",
        {"project": "VENT", "user": "ito", "summary": "試験", "priority": "High", "at": "2026-11-13T03:00:00+00:00"},
    )
    assert (made["issueKey"], made["created"], made["priority"]["id"]) == ("VENT-18", "2026-11-13T03:00:00Z", 2)
    backlog.order("PATCH", "issues/VENT-18", {"user": "ito", "summary": "試験 2", "status": "検証中"})
    comment = backlog.order("POST", "issues/VENT-18/comments", {"user": "sato", "content": "確認しました"})
    backlog.order("PATCH", f"issues/VENT-18/comments/{comment['id']}", {"content": "再確認しました"})
    file = {"user": "sato", "name": "a.txt", "content": base64.b64encode(b"abc").decode()}
    attachment = backlog.order("POST", "issues/VENT-18/attachments", file)
    assert backlog.ask(f"/issues/VENT-18/attachments/{attachment['id']}").content == b"abc"
    contents = [comment["content"] for comment in backlog.get("/issues/VENT-18/comments")]
    assert contents == [None, "再確認しました", None]
    backlog.order("DELETE", f"issues/VENT-18/comments/{comment['id']}")
    assert len(backlog.get("/issues/VENT-18/comments")) == 2
    assert backlog.order("POST", "issues/VENT-18/move", {"user": "ito", "project": "PUMP"})["issueKey"] == "PUMP-21"
    backlog.order("DELETE", "issues/PUMP-21?user=ito")
    assert backlog.refusal(f"/issues/{made['id']}") == (404, 6)
    page = backlog.order("POST", "wikis", {"project": "PUMP", "user": "ito", "name": "A/B", "content": "# A"})
    backlog.order("PATCH", f"wikis/{page['id']}", {"user": "ito", "content": "# B"})
    assert backlog.get(f"/wikis/{page['id']}")["content"] == "# B"
    backlog.order("DELETE", f"wikis/{page['id']}?user=ito")
    document = backlog.order("POST", "documents", {"project": "PUMP", "user": "ito", "title": "T", "text": "a"})
    backlog.order("PATCH", f"documents/{document['id']}", {"user": "ito", "text": "b"})
    assert backlog.get(f"/documents/{document['id']}")["plain"] == "b"
    comment = backlog.order("POST", f"documents/{document['id']}/comments", {"user": "sato", "text": "c"})
    assert backlog.get(f"/documents/{document['id']}/comments") == [comment]
    backlog.order("DELETE", f"documents/{document['id']}")
    backlog.order("PATCH", "projects/PUMP", {"archived": True})
    backlog.order("DELETE", "projects/VENT/member")
    assert [project["archived"] for project in backlog.get("/projects")] == [True, True]
    backlog.order("PUT", "projects/VENT/member")
    assert backlog.tried("DELETE", "issues/NOPE-1?user=ito") == 404
    assert backlog.tried("PATCH", "issues/PUMP-1", {"user": "nobody"}) == 404
    assert backlog.tried("PATCH", "issues/PUMP-1", {"user": "ito", "at": "soon"}) == 400


def test_requests_are_counted_by_path(backlog: Backlog) -> None:
    backlog.get("/issues/PUMP-1")
    backlog.get("/issues/VENT-1")
    backlog.get("/issues")
    assert backlog.order("GET", "requests") == {"GET /api/v2/issues/{issue}": 2, "GET /api/v2/issues": 1}
    backlog.order("DELETE", "requests")
    assert not backlog.space.requests


def test_a_reset_brings_everything_back_to_the_start(backlog: Backlog, profile: Json) -> None:
    start = build_space(profile)
    backlog.space.delete_issue("PUMP-1", "sato", START)
    backlog.space.comment("PUMP-2", "sato", "追記", START, status="Closed")
    backlog.space.leave("VENT")
    backlog.order("POST", "faults", {"status": 500})
    assert backlog.space.data != start
    backlog.order("POST", "reset")
    assert backlog.space.data == start
    assert not backlog.space.requests
    assert backlog.get("/issues/PUMP-1")["issueKey"] == "PUMP-1"


def test_the_content_is_what_the_profile_says(backlog: Backlog, profile: Json) -> None:
    data = backlog.space.data
    keys = {
        f"{project}-{number}": entry["summary"]
        for project, facts in profile["projects"].items()
        for number, entry in facts["issues"].items()
    }
    assert len(keys) == 40
    assert {issue["issueKey"]: issue["summary"] for issue in data.issues.values()} == {
        key: summary for key, summary in keys.items() if key != "VENT-10"
    }
    assert (len(data.wikis), len(data.documents)) == (10, 5)
    assert {page["name"] for page in data.wikis.values()} >= {"Install/Checklist", "保守/フィルター"}
    moments = [each["created"] for told in data.activities.values() for each in told]
    assert "2026-11-02T00:00:00Z" <= min(moments) < max(moments) < "2026-11-14T00:00:00Z"
    assert {data.projects[number]["textFormattingRule"] for number in (PUMP, VENT)} == {"markdown", "backlog"}
