import http.server
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import httpx
import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_assets.documents import Record
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.backlog import Account, Source

KEY = "key-nobody-sees"
NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))
STREAMS = ("issues", "wikis", "documents")
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def wire(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(hours: float) -> str:
    return wire(NOW - timedelta(days=3) + timedelta(hours=hours))


class Space:
    """Backlog over a few rows. Days of `updatedSince` and `updatedUntil` are those of `zone`.

    Attributes:
        refused: statuses by path, in place of an answer.
        on_request: called with the path and query before each answer.
        hidden_projects: ids of projects that the user lost: nothing of them is shown.
        uncounted: how many issues `/issues/count` counts beside those that are listed.
        trash: trees of thrown away documents by project; where it is None, no project shows one.
    """

    def __init__(self, zone: timezone = TOKYO) -> None:
        self.zone = zone
        self.projects: list[Json] = [
            {"id": 1, "projectKey": "POL", "name": "ヒートポンプ", "textFormattingRule": "backlog", "archived": False},
            {"id": 2, "projectKey": "FW", "name": "Firmware", "textFormattingRule": "markdown", "archived": False},
        ]
        self.rows: dict[str, dict[Any, Json]] = {"issues": {}, "wikis": {}, "documents": {}}
        self.comments: dict[int, list[Json]] = {}
        self.document_comments: dict[str, list[Json]] = {}
        self.activities: list[Json] = []
        self.refused: dict[str, int] = {}
        self.on_request: Callable[[str, dict[str, str]], None] = lambda path, query: None
        self.hidden_projects: set[int] = set()
        self.uncounted = 0
        self.trash: dict[int, list[Any]] | None = {}
        self.limits: Json = {}
        self.limits_answer: httpx.Response | None = None
        self.paths: list[str] = []
        self.queries: list[dict[str, str]] = []

    def issue(self, number: int, hours: float = 0, project: int = 1, **changes: Any) -> Json:
        key = self.projects[project - 1]["projectKey"]
        row = {
            "id": 1000 + number,
            "projectId": project,
            "issueKey": f"{key}-{number}",
            "keyId": number,
            "issueType": {"id": 1, "name": "バグ"},
            "summary": f"課題 {number}",
            "description": "* 概要\n電源が入らない",
            "resolution": None,
            "priority": {"id": 3, "name": "中"},
            "status": {"id": 1, "name": "未対応"},
            "assignee": None,
            "category": [],
            "versions": [],
            "milestone": [],
            "createdUser": {"id": 5, "name": "佐藤 花子", "nulabAccount": None},
            "created": at(number / 100 - 24),
            "updated": at(hours),
            "customFields": [],
            "attachments": [],
            "sharedFiles": [],
            "stars": [],
        } | changes
        self.rows["issues"][row["id"]] = row
        return row

    def wiki(self, number: int, hours: float = 0, project: int = 1, **changes: Any) -> Json:
        row = {
            "id": 2000 + number,
            "projectId": project,
            "name": f"設計/頁 {number}",
            "content": "* 見出し\n本文",
            "tags": [],
            "created": at(-24),
            "updated": at(hours),
        } | changes
        self.rows["wikis"][row["id"]] = row
        return row

    def document(self, number: int, hours: float = 0, project: int = 1, **changes: Any) -> Json:
        row = {
            "id": f"0193a{number:04d}f",
            "projectId": project,
            "title": f"文書 {number}",
            "plain": "手順です",
            "json": "{}",
            "statusId": 1,
            "tags": [],
            "created": at(number / 100 - 24),
            "updated": at(hours),
        } | changes
        self.rows["documents"][row["id"]] = row
        return row

    def comment(self, issue: Json, number: int, content: str | None, **changes: Any) -> None:
        row = {"id": number, "content": content, "createdUser": {"name": "田中"}, "created": at(1)} | changes
        self.comments.setdefault(issue["id"], []).append(row)

    def delete(self, stream: str, row: Json, hours: float, told: bool = True) -> None:
        del self.rows[stream][row["id"]]
        if told:
            kind = {"issues": 4, "wikis": 7}[stream]
            self.activity(kind, {"id": row["id"], "key_id": 1}, hours, row["projectId"])

    def activity(self, kind: int, content: Any, hours: float, project: int = 1) -> None:
        number = len(self.activities) + 1
        row = {"id": number, "project": {"id": project}, "type": kind, "content": content, "created": at(hours)}
        self.activities.append(row)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        target = request.extensions["target"].decode()
        query = dict(parse_qsl(target.partition("?")[2]))
        if query.pop("apiKey", None) != KEY or KEY in str(request.url):
            return httpx.Response(401, json={"errors": [{"message": "Authentication failure.", "code": 11}]})
        path = request.url.path.removeprefix("/api/v2")
        if path == "/rateLimit":
            if self.limits_answer:
                return self.limits_answer
            return httpx.Response(200, json={"rateLimit": self.limits}) if self.limits else httpx.Response(404)
        self.paths.append(path)
        self.queries.append(query)
        self.on_request(path, query)
        if path in self.refused:
            return httpx.Response(self.refused[path], json={"errors": [{"message": "No.", "code": 6}]})
        body = self._answer(path.strip("/").split("/"), query)
        return httpx.Response(200, json=body) if body is not None else httpx.Response(404, json={"errors": []})

    def _answer(self, steps: list[str], query: dict[str, str]) -> Any:
        match steps:
            case ["space"]:
                return {"spaceKey": "polder", "name": "Polder"}
            case ["projects"]:
                return [row for row in self.projects if row["id"] not in self.hidden_projects]
            case ["projects", project, "activities"]:
                return self._activities(int(project), query)
            case ["documents", "tree"]:
                return self._tree(int(query["projectIdOrKey"]))
            case ["documents", key, "comments"]:
                return self.document_comments.get(key, [])
            case ["issues", "count"]:
                return {"count": len(self._of_project("issues", query["projectId[]"])) + self.uncounted}
            case ["issues" | "documents" as stream]:
                return self._page(stream, query)
            case ["wikis"]:
                pages = self._of_project("wikis", query["projectIdOrKey"])
                return [{name: value for name, value in row.items() if name != "content"} for row in pages]
            case ["issues", number, "comments"]:
                after = int(query.get("minId", 0))
                return [row for row in self.comments.get(int(number), []) if row["id"] > after][: int(query["count"])]
            case [stream, key]:
                row = self.rows[stream].get(key if stream == "documents" else int(key))
                return row if row and row["projectId"] not in self.hidden_projects else None
            case _:
                return None

    def _tree(self, project: int) -> Json | None:
        if self.trash is None or project in self.hidden_projects:
            return None
        return {"projectId": project, "activeTree": {}, "trashTree": {"children": self.trash.get(project)}}

    def _of_project(self, stream: str, project: str) -> list[Json]:
        rows = self.rows[stream].values()
        return [row for row in rows if row["projectId"] == int(project) not in self.hidden_projects]

    def _page(self, stream: str, query: dict[str, str]) -> list[Json]:
        rows = [row for row in self._of_project(stream, query["projectId[]"]) if self._in_days(row, query)]
        rows.sort(key=lambda row: (row[query["sort"]], row["id"]), reverse=query["order"] == "desc")
        return rows[int(query["offset"]) :][: int(query["count"])]

    def _in_days(self, row: Json, query: dict[str, str]) -> bool:
        try:
            day = f"{datetime.fromisoformat(row['updated']).astimezone(self.zone):%Y-%m-%d}"
        except (TypeError, ValueError):
            return True
        return query.get("updatedSince", "") <= day < query.get("updatedUntil", "9")

    def _activities(self, project: int, query: dict[str, str]) -> list[Json]:
        before = int(query.get("maxId", 10**9))
        rows = [
            row
            for row in reversed(self.activities)
            if row["id"] < before and row["project"]["id"] == project and str(row["type"]) == query["activityTypeId[]"]
        ]
        return rows[: int(query["count"])]


def opened(space: Callable[[httpx.Request], httpx.Response], page_size: int = 100, **changes: Any) -> Source:
    """A source whose circuit breaker no other test has seen."""
    account = Account.model_validate(
        {"base_url": "https://polder.backlog.com", "api_key": KEY, "limits": {"page_size": page_size}} | changes
    )
    tenant = f"polder-{uuid4().hex[:8]}"
    return Source(tenant, account, clock=lambda: NOW, transport=httpx.MockTransport(space))


def whole(source: Source, stream: str, since: datetime = LONG_AGO, until: datetime = FAR_AHEAD) -> dict[str, Record]:
    records = list(source.extract(stream, since, until))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def events(records: dict[str, Record]) -> dict[str, str]:
    return {record_id: record.event for record_id, record in records.items()}


def fetched(source: Source, stream: str, *record_ids: str) -> dict[str, Record]:
    return {record.record_id: record for record in source.fetch(stream, record_ids)}


def live(source: Source, stream: str) -> dict[str, LiveId]:
    return {row.record_id: row for row in source.live_ids(stream) if isinstance(row, LiveId)}


def full_space() -> Space:
    space = Space()
    for number in range(1, 8):
        issue = space.issue(number, number, project=1 + number % 2)
        space.wiki(number, number, project=1 + number % 2)
        space.document(number, number, project=1 + number % 2)
        space.comment(issue, number, f"コメント {number}")
        space.document_comments[f"0193a{number:04d}f"] = [{"id": f"0c{number}", "plain": f"コメント {number}"}]
    return space


def refuse_project(space: Space, project: int, status: int, *paths: str) -> None:
    """Answer requests for one project's listings with a status."""

    def refuse(path: str, query: dict[str, str]) -> None:
        asked = query.get("projectId[]", query.get("projectIdOrKey"))
        space.refused = {path: status} if path in paths and asked == str(project) else {}

    space.on_request = refuse


# What the three ways to a record have in common


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_a_window_a_sweep_and_a_fetch_agree_on_every_record(stream: str, page_size: int) -> None:
    source = opened(full_space(), page_size)
    extracted, listed = whole(source, stream), live(source, stream)
    single = fetched(source, stream, *listed)
    assert len(extracted) == 7
    for record_id, row in listed.items():
        for record in (extracted[record_id], single[record_id]):
            assert (record.event, record.modified_at, record.cheap_version) == (
                "live",
                row.modified_at,
                row.cheap_version,
            )
        assert extracted[record_id].payload == single[record_id].payload
    assert set(extracted) == set(listed) == set(single)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "assignee": st.none() | st.just({"id": 9, "name": "山田", "lastLoginTime": "2026-11-12T00:00:00Z"}),
            "customFields": st.lists(
                st.fixed_dictionaries(
                    {"id": st.integers(1, 9), "name": st.sampled_from(["機種", "数"])},
                    optional={"value": st.none() | st.text() | st.integers() | st.just([{"id": 1, "name": "A"}])},
                )
            ),
            "attachments": st.just([{"id": 3, "name": "図.png", "size": 10}]),
            "updated": st.sampled_from([None, "nonsense", at(1), at(2)]),
            "description": st.none() | st.text() | st.integers(),
        },
    )
)
def test_a_window_a_sweep_and_a_fetch_agree_whatever_an_issue_holds(changes: Json) -> None:
    space = Space()
    space.issue(1, **changes)
    source = opened(space)
    extracted, listed, single = whole(source, "issues"), live(source, "issues"), fetched(source, "issues", "issue-1001")
    row, record = listed["issue-1001"], extracted["issue-1001"]
    assert record == single["issue-1001"]
    assert record.cheap_version == row.cheap_version
    assert (record.modified_at or datetime(1970, 1, 1, tzinfo=UTC)) == row.modified_at


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"id": 4, "name": "完了"}},
        {"assignee": {"id": 9, "name": "山田"}},
        {"category": [{"id": 1, "name": "電装"}]},
        {"versions": [{"id": 1, "name": "1.0"}]},
        {"milestone": [{"id": 1, "name": "11月"}]},
        {"priority": {"id": 2, "name": "高"}},
        {"customFields": [{"id": 1, "name": "機種", "value": "HP-9"}]},
        {"attachments": [{"id": 1, "name": "log.txt"}]},
        {"summary": "別の件名"},
        {"description": "別の本文"},
        {"issueKey": "FW-1", "projectId": 2},
    ],
)
def test_a_change_that_moves_no_time_shows_in_the_cheap_version(change: Json) -> None:
    space = Space()
    space.issue(1)
    before = live(opened(space), "issues")["issue-1001"]
    space.issue(1, **change)
    after = live(opened(space), "issues")["issue-1001"]
    assert after.cheap_version != before.cheap_version
    assert after.modified_at == before.modified_at


@pytest.mark.parametrize("stream", STREAMS)
def test_a_new_name_of_who_made_it_shows_in_the_cheap_version(stream: str) -> None:
    space = full_space()
    rows = space.rows[stream].values()
    for row in rows:
        row.update(createdUser={"id": 5, "name": "佐藤"}, updatedUser={"id": 6, "name": "山田"})
    source = opened(space)
    seen = [live(source, stream)]
    for name in ("createdUser", "updatedUser") if stream != "issues" else ("createdUser",):
        for row in rows:
            row[name] = {**row[name], "name": f"{row[name]['name']} 花子", "lastLoginTime": at(9)}
        seen.append(live(source, stream))
        single = fetched(source, stream, *seen[-1])
        assert {key: record.cheap_version for key, record in single.items()} == {
            key: row.cheap_version for key, row in seen[-1].items()
        }
    for before, after in pairwise(seen):
        assert all(before[key] != after[key] for key in before)


@pytest.mark.parametrize(
    "change",
    [{"attachments": [{"id": 9, "name": "図.pdf", "size": 1}]}, {"plain": "別の本文"}, {"json": '{"type": "doc"}'}],
)
def test_a_document_that_says_something_else_shows_in_the_cheap_version(change: Json) -> None:
    space = Space()
    source = opened(space)
    row = space.document(1)
    before = live(source, "documents")
    row.update(change)
    [(key, after)] = live(source, "documents").items()
    assert before[key] != after
    for record in (whole(source, "documents")[key], fetched(source, "documents", key)[key]):
        assert record.cheap_version == after.cheap_version


def test_what_readers_move_does_not_show_in_the_cheap_version() -> None:
    space = Space()
    space.issue(1, assignee={"id": 9, "name": "山田", "lastLoginTime": at(1)})
    before = live(opened(space), "issues")["issue-1001"]
    space.issue(1, assignee={"id": 9, "name": "山田", "lastLoginTime": at(2)}, stars=[{"id": 1}])
    assert live(opened(space), "issues")["issue-1001"] == before


def test_a_new_name_or_formatting_rule_of_a_project_changes_all_its_records() -> None:
    space = full_space()
    before = live(opened(space), "wikis")
    space.projects[0]["textFormattingRule"] = "markdown"
    after = live(opened(space), "wikis")
    changed = {record_id for record_id in after if after[record_id] != before[record_id]}
    assert changed == {f"wiki-{row['id']}" for row in space.rows["wikis"].values() if row["projectId"] == 1}


# Windows


@pytest.mark.parametrize("hours", [-12, -5, 0, 9, 14])
@pytest.mark.parametrize("midnight_in", [TOKYO, UTC, timezone(timedelta(hours=-8))])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_window_around_midnight_holds_the_same_records_whatever_zone_days_are_of(
    hours: int, midnight_in: timezone, stream: str
) -> None:
    space = Space(timezone(timedelta(hours=hours)))
    midnight = datetime(2026, 11, 5, tzinfo=midnight_in)
    make = {"issues": space.issue, "wikis": space.wiki, "documents": space.document}[stream]
    for number, seconds in enumerate((-90_000, -86_400, -1, 0, 1, 86_399, 86_400, 180_000)):
        make(number, updated=wire(midnight + timedelta(seconds=seconds)))
    found = whole(opened(space, 3), stream, midnight, midnight + timedelta(days=1))
    numbers = sorted(space.rows[stream])[3:6]
    assert set(found) == {f"{stream[:-1]}-{number}" for number in numbers}


def test_windows_side_by_side_hold_every_record_once() -> None:
    space = full_space()
    source = opened(space, 2)
    edges = [LONG_AGO, *(NOW - timedelta(days=3) + timedelta(hours=hour) for hour in range(1, 8)), FAR_AHEAD]
    found = [list(whole(source, "issues", *pair)) for pair in pairwise(edges)]
    assert sorted(record_id for window in found for record_id in window) == sorted(live(source, "issues"))


@pytest.mark.parametrize("stream", ["issues", "documents"])
def test_issues_that_change_or_go_between_two_pages_hide_no_other(stream: str) -> None:
    space = Space()
    make = space.issue if stream == "issues" else space.document
    for number in range(1, 41):
        make(number, number / 10)
    pages = 0

    def disturb(path: str, query: dict[str, str]) -> None:
        nonlocal pages
        if path == f"/{stream}" and query["projectId[]"] == "1":
            pages += 1
            keys = sorted(space.rows[stream])
            if pages in (3, 5, 7):
                for key in keys[: pages + 2]:
                    space.rows[stream][key]["updated"] = at(100 + pages)
            if pages == 4:
                for key in keys[8:12]:
                    del space.rows[stream][key]

    space.on_request = disturb
    found = whole(opened(space, 5), stream)
    assert {record_id for record_id, record in found.items() if record.event == "live"} >= {
        f"{stream[:-1]}-{key}" for key in space.rows[stream]
    }


def test_a_list_that_never_stands_still_is_broken_off() -> None:
    space = Space()
    for number in range(1, 41):
        space.issue(number, number / 10)

    def stir(path: str, query: dict[str, str]) -> None:
        if path == "/issues" and query["offset"] != "0":
            for row in space.rows["issues"].values():
                row["updated"] = at(len(space.paths))

    space.on_request = stir
    with pytest.raises(SourceError, match="changed too often"):
        whole(opened(space, 5), "issues")


def test_the_span_holds_deletions_too() -> None:
    space = Space()
    gone = space.issue(1, 1)
    space.issue(2, 2, project=2)
    space.delete("issues", gone, 5)
    assert opened(space).span("issues") == (
        datetime.fromisoformat(at(2)),
        datetime.fromisoformat(at(5)),
    )
    assert opened(Space()).span("issues") is None
    space.wiki(1, 3)
    space.document(1, 4)
    assert opened(space).span("wikis") == (datetime.fromisoformat(at(3)),) * 2
    assert opened(space).span("documents") == (datetime.fromisoformat(at(4)),) * 2


def test_all_comments_come_however_many_there_are() -> None:
    space = Space()
    issue = space.issue(1)
    for number in range(1, 12):
        space.comment(issue, number, f"{number}")
    record = fetched(opened(space, 4), "issues", "issue-1001")["issue-1001"]
    assert [row["id"] for row in record.payload["comments"]] == list(range(1, 12))


# Deletions


@pytest.mark.parametrize("stream", ["issues", "wikis"])
def test_a_deletion_that_a_project_tells_of_stands_in_its_window(stream: str) -> None:
    space = full_space()
    row = list(space.rows[stream].values())[2]
    record_id = f"{stream[:-1]}-{row['id']}"
    space.delete(stream, row, 30)
    source = opened(space)
    when = datetime.fromisoformat(at(30))
    record = whole(source, stream, when, when + timedelta(seconds=1))
    assert events(record) == {record_id: "deleted"}
    assert record[record_id].modified_at == when
    assert whole(source, stream, when - timedelta(hours=1), when) == {}
    assert whole(source, stream, when + timedelta(seconds=1), FAR_AHEAD) == {}
    assert record_id not in live(source, stream)


def test_older_deletions_are_found_behind_many_newer_ones() -> None:
    space = Space()
    for number in range(1, 12):
        space.delete("issues", space.issue(number), number)
    since = datetime.fromisoformat(at(1))
    assert set(whole(opened(space, 3), "issues", since, since + timedelta(hours=2))) == {"issue-1001", "issue-1002"}


def test_an_issue_that_was_moved_is_not_taken_for_deleted() -> None:
    space = Space()
    space.issue(1, 1, project=2)
    space.activity(4, {"id": 1001, "key_id": 1}, 5, project=1)
    assert events(whole(opened(space), "issues")) == {"issue-1001": "live"}
    late = whole(opened(space), "issues", datetime.fromisoformat(at(5)), FAR_AHEAD)
    assert late == {}


def test_an_issue_that_was_moved_to_a_project_that_is_not_synced_is_gone() -> None:
    space = Space()
    space.issue(1, 1, project=2)
    space.activity(4, {"id": 1001, "key_id": 1}, 5, project=1)
    source = opened(space, projects=["POL"])
    assert events(whole(source, "issues")) == {"issue-1001": "deleted"}
    assert events(fetched(source, "issues", "issue-1001")) == {"issue-1001": "deleted"}
    assert live(source, "issues") == {}


@pytest.mark.parametrize("content", [None, "text", {}, {"id": "1001"}, {"id": True}])
def test_an_activity_that_can_not_be_read_deletes_nothing_and_stops_nothing(content: Any) -> None:
    space = Space()
    gone = space.issue(1)
    space.delete("issues", gone, 1)
    space.activity(4, content, 2)
    assert events(whole(opened(space), "issues")) == {"issue-1001": "deleted"}


@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_not_found_is_deleted_where_all_named_projects_can_be_read(stream: str) -> None:
    space = full_space()
    row = next(iter(space.rows[stream].values()))
    space.delete(stream, row, 30, told=False)
    source = opened(space, projects=["POL", "FW"])
    record_id = f"{stream[:-1]}-{row['id']}"
    assert record_id not in live(source, stream)
    assert events(fetched(source, stream, record_id)) == {record_id: "deleted"}


@pytest.mark.parametrize("stream", ["issues", "wikis"])
def test_without_named_projects_only_what_a_project_tells_of_is_deleted(stream: str) -> None:
    space = full_space()
    told, silent = list(space.rows[stream].values())[:2]
    space.delete(stream, told, 30)
    space.delete(stream, silent, 30, told=False)
    name = stream[:-1]
    found = fetched(opened(space), stream, f"{name}-{told['id']}", f"{name}-{silent['id']}")
    assert events(found) == {f"{name}-{told['id']}": "deleted", f"{name}-{silent['id']}": "malformed"}
    assert found[f"{name}-{told['id']}"].modified_at == datetime.fromisoformat(at(30))
    assert "backlog.projects" in (found[f"{name}-{silent['id']}"].problem or "")


def test_a_project_that_refuses_its_activities_keeps_no_other_from_telling_what_was_deleted() -> None:
    space = full_space()
    gone = space.rows["issues"][1002]
    space.delete("issues", gone, 30)
    space.activities[0]["project"] = {"id": 2}
    space.refused = {"/projects/1/activities": 403}
    found = fetched(opened(space), "issues", "issue-1002", "issue-9999")
    assert events(found) == {"issue-1002": "deleted", "issue-9999": "malformed"}


def test_a_document_in_the_trash_is_deleted_and_one_that_is_nowhere_stays() -> None:
    space = full_space()
    thrown, lost = [row["id"] for row in space.rows["documents"].values()][:2]
    del space.rows["documents"][thrown], space.rows["documents"][lost]
    below = {"id": "0193a9999f", "name": "上", "children": [{"id": thrown, "name": "文書", "children": []}]}
    space.trash = {2: [below, {"id": 7}, "?"]}
    source = opened(space)
    ids = f"document-{thrown}", f"document-{lost}"
    found = fetched(source, "documents", *ids)
    assert events(found) == dict(zip(ids, ("deleted", "malformed"), strict=True))
    assert "backlog.projects" in (found[ids[1]].problem or "")
    space.trash = None
    assert set(events(fetched(source, "documents", *ids)).values()) == {"malformed"}


def test_a_document_in_the_trash_is_deleted_where_backlog_goes_on_to_show_it() -> None:
    space = full_space()
    thrown = next(row["id"] for row in space.rows["documents"].values() if row["projectId"] == 2)
    space.trash = {2: [{"id": thrown, "name": "文書", "children": []}]}
    for source in (opened(space), opened(space, projects=["POL", "FW"])):
        assert f"document-{thrown}" not in {**live(source, "documents"), **whole(source, "documents")}
        assert events(fetched(source, "documents", f"document-{thrown}")) == {f"document-{thrown}": "deleted"}


# Projects


@pytest.mark.parametrize("stream", STREAMS)
def test_a_named_project_that_was_lost_hides_its_records_and_deletes_none(stream: str) -> None:
    space = full_space()
    ids = {f"{stream[:-1]}-{row['id']}": row["projectId"] for row in space.rows[stream].values()}
    space.hidden_projects = {2}
    source = opened(space, projects=["POL", "FW"])
    hidden = [row for row in source.live_ids(stream) if isinstance(row, Hidden)]
    assert [row.prefix for row in hidden] == [f"{stream[:-1]}-"]
    assert "FW" in hidden[0].reason
    assert set(live(source, stream)) == {record_id for record_id, project in ids.items() if project == 1}
    found = fetched(source, stream, *ids)
    assert events(found) == {record_id: "live" if project == 1 else "malformed" for record_id, project in ids.items()}
    extracted = whole(source, stream)
    assert events({key: record for key, record in extracted.items() if record.event != "live"}) == {
        "project-FW": "malformed"
    }
    assert events(fetched(source, stream, "project-FW")) == {"project-FW": "malformed"}
    space.hidden_projects = set()
    assert events(fetched(source, stream, "project-FW")) == {"project-FW": "deleted"}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_project_that_was_lost_deletes_nothing_where_none_is_named(stream: str) -> None:
    space = full_space()
    ids = [f"{stream[:-1]}-{row['id']}" for row in space.rows[stream].values() if row["projectId"] == 2]
    space.hidden_projects = {2}
    source = opened(space)
    assert not set(ids) & set(live(source, stream))
    assert set(events(fetched(source, stream, *ids)).values()) == {"malformed"}


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_project_whose_listing_is_refused_hides_its_records_and_stops_no_other(stream: str, status: int) -> None:
    space = full_space()
    source = opened(space)
    refuse_project(space, 2, status, f"/{stream}")
    rows = list(source.live_ids(stream))
    assert [row.prefix for row in rows if isinstance(row, Hidden)] == [f"{stream[:-1]}-"]
    assert len(rows) == 4
    extracted = whole(source, stream)
    assert sorted(events(extracted).values()) == ["live"] * 3 + ["malformed"]
    assert "project-FW" in extracted
    times = [record.modified_at for record in extracted.values() if record.modified_at]
    assert source.span(stream) == (min(times), max(times))


@pytest.mark.parametrize("status", [403, 404, 500])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_project_stays_malformed_until_it_lists_again(stream: str, status: int) -> None:
    space = full_space()
    source = opened(space)
    refuse_project(space, 2, status, f"/{stream}")
    found = fetched(source, stream, "project-FW", "project-POL")
    assert events(found) == {"project-FW": "malformed", "project-POL": "deleted"}
    space.on_request = lambda path, query: None
    space.refused = {"/projects/2/activities": status} if stream != "documents" else {"/documents": status}
    assert events(fetched(source, stream, "project-FW")) == {"project-FW": "malformed"}
    space.refused = {}
    assert events(fetched(source, stream, "project-FW")) == {"project-FW": "deleted"}


@pytest.mark.parametrize("stream", STREAMS)
def test_archived_and_unnamed_projects_are_not_synced(stream: str) -> None:
    space = full_space()
    rows = [f"{stream[:-1]}-{row['id']}" for row in space.rows[stream].values() if row["projectId"] == 2]
    chosen = opened(space, projects=["POL"])
    assert not set(rows) & (set(live(chosen, stream)) | set(whole(chosen, stream)))
    assert set(events(fetched(chosen, stream, *rows)).values()) == {"deleted"}
    space.projects[1]["archived"] = True
    source = opened(space)
    assert not set(rows) & (set(live(source, stream)) | set(whole(source, stream)))
    assert set(events(fetched(source, stream, *rows)).values()) == {"deleted"}
    assert not [row for row in source.live_ids(stream) if isinstance(row, Hidden)]


@pytest.mark.parametrize("stream", STREAMS)
def test_an_archived_project_that_is_named_is_synced(stream: str) -> None:
    space = full_space()
    source = opened(space, projects=["POL", "FW"])
    before = live(source, stream), whole(source, stream)
    space.projects[1]["archived"] = True
    assert (live(source, stream), whole(source, stream)) == before
    assert set(events(fetched(source, stream, *before[0])).values()) == {"live"}


def test_wikis_that_are_switched_off_are_not_taken_for_deleted() -> None:
    space = full_space()
    ids = {f"wiki-{row['id']}": row["projectId"] for row in space.rows["wikis"].values()}
    space.projects[1]["useWiki"] = False
    for source in (opened(space), opened(space, projects=["POL", "FW"])):
        assert len(live(source, "wikis")) == len(whole(source, "wikis")) == 3
        found = events(fetched(source, "wikis", *ids))
        assert found == {record_id: "live" if project == 1 else "malformed" for record_id, project in ids.items()}
        assert events(fetched(source, "wikis", "wiki-9999")) == {"wiki-9999": "malformed"}


def test_a_sweep_that_lists_fewer_issues_than_backlog_counts_fails() -> None:
    space = full_space()
    space.uncounted = 1
    with pytest.raises(SourceError, match=r"counts 5 issues in POL and lists 4|counts 4 issues in POL and lists 3"):
        list(opened(space).live_ids("issues"))
    assert space.paths.count("/issues/count") == 2


def test_a_count_that_was_ahead_of_the_listing_only_once_is_no_failure() -> None:
    space = full_space()

    def lag(path: str, query: dict[str, str]) -> None:
        space.uncounted = int(space.paths.count("/issues/count") == 1)

    space.on_request = lag
    assert len(live(opened(space), "issues")) == 7


# What is broken


@pytest.mark.parametrize(
    "answer", [httpx.Response(403), httpx.Response(200, json={"rateLimit": {"read": 1}}), httpx.Response(200, text="?")]
)
def test_limits_that_can_not_be_read_stop_nothing(answer: httpx.Response) -> None:
    space = full_space()
    space.limits_answer = answer
    assert len(live(opened(space), "issues")) == len(whole(opened(space), "issues")) == 7


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_document_whose_comments_are_for_others_is_read_without_them(status: int) -> None:
    space = full_space()
    space.refused = {"/documents/0193a0001f/comments": status}
    source = opened(space)
    extracted, single = whole(source, "documents"), fetched(source, "documents", "document-0193a0001f")
    record = extracted["document-0193a0001f"]
    assert record == single["document-0193a0001f"]
    assert record.event == ("malformed" if status == 500 else "live")
    assert status == 500 or record.payload["comments"] == []


@pytest.mark.parametrize("stream", STREAMS)
def test_one_bad_record_stops_no_other(stream: str) -> None:
    space = full_space()
    rows = list(space.rows[stream].values())
    rows[0]["updated"] = "yesterday"
    space.refused = {f"/{stream}/{rows[1]['id']}{'/comments' if stream == 'issues' else ''}": 500}
    records = whole(opened(space), stream)
    name = stream[:-1]
    bad = {record_id for record_id, record in records.items() if record.event == "malformed"}
    assert bad == {f"{name}-{rows[0]['id']}", f"{name}-{rows[1]['id']}"}
    assert len(records) == 7
    assert all(records[record_id].problem for record_id in bad)
    assert len(fetched(opened(space), stream, *records)) == 7


def test_a_row_without_an_id_is_kept_and_breaks_off_a_sweep() -> None:
    space = full_space()
    space.rows["wikis"][9] = {"id": None, "projectId": 1, "name": "?", "updated": at(1)}
    records = whole(opened(space), "wikis")
    assert [record.event for key, record in records.items() if key.startswith("malformed-")] == ["malformed"]
    assert len(records) == 8
    with pytest.raises(SourceError, match="id can't be read"):
        list(opened(space).live_ids("wikis"))


@pytest.mark.parametrize("record_id", ["issue-", "issue-1x", "wiki-1", "1001", "issue-１", "issue-1/../2"])
def test_an_id_of_another_form_is_asked_for_nowhere(record_id: str) -> None:
    space = full_space()
    assert events(fetched(opened(space), "issues", record_id)) == {record_id: "malformed"}
    assert space.paths == ["/projects"]


def test_nothing_is_asked_for_where_no_ids_are_wanted() -> None:
    space = full_space()
    assert fetched(opened(space), "issues") == {}
    assert space.paths == []


@pytest.mark.parametrize("body", [{}, None, "text", [1], [{"id": "1", "projectKey": "POL", "name": "x"}]])
def test_projects_that_can_not_be_read_are_an_error(body: Any) -> None:
    with pytest.raises(SourceError):
        list(opened(lambda request: httpx.Response(200, json=body)).live_ids("issues"))


def test_an_unknown_stream_is_an_error_that_names_the_streams() -> None:
    with pytest.raises(SourceError, match="issues, wikis, documents"):
        opened(full_space()).span("tickets")


# Files


def test_an_attachment_is_read_with_the_key_and_shared_files_are_only_named() -> None:
    space = Space()
    space.issue(1, attachments=[{"id": 8, "name": "波形.csv", "size": 3}], sharedFiles=[{"id": 9, "name": "図.pdf"}])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/attachments/8"):
            assert f"apiKey={KEY}".encode() in request.extensions["target"]
            return httpx.Response(200, content=b"a,b")
        return space(request)

    source = opened(answer)
    document = source.to_document("issues", whole(source, "issues")["issue-1001"])
    assert [(file.locator, file.path, file.name, file.size) for file in document.attachments] == [
        ("issues/1001/attachments/8", "attachment-8", "波形.csv", 3)
    ]
    assert source.read_file("issues/1001/attachments/8", 3) == b"a,b"
    with pytest.raises(FileUnavailable):
        source.read_file("issues/1001/attachments/8", 2)


@pytest.mark.parametrize("stream", ["wikis", "documents"])
def test_files_of_pages_are_named_too(stream: str) -> None:
    space = Space()
    make = space.wiki if stream == "wikis" else space.document
    row = make(1, attachments=[{"id": 8, "name": "図.pdf", "size": 3}])
    source = opened(space)
    record = fetched(source, stream, f"{stream[:-1]}-{row['id']}")[f"{stream[:-1]}-{row['id']}"]
    attachments = source.to_document(stream, record).attachments
    assert [file.locator for file in attachments] == [f"{stream}/{row['id']}/attachments/8"]


# The account


def test_check_tells_the_space_and_how_many_projects_are_synced() -> None:
    assert opened(full_space()).check() == "polder.backlog.com, space Polder, 2 projects to sync"
    with pytest.raises(SourceError, match="project NOPE can't be read"):
        opened(full_space(), projects=["POL", "NOPE"]).check()


@pytest.mark.parametrize("base_url", ["polder.backlog.com", "ftp://a.example", "https://u@a.example", "https://a/?x=1"])
def test_an_address_that_is_no_root_is_refused(base_url: str) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"base_url": base_url, "api_key": KEY})


def test_one_request_at_a_time_is_the_default() -> None:
    account = Account.model_validate({"base_url": "https://a.example", "api_key": KEY})
    assert account.limits.max_concurrent_requests == 1


class _Answer(http.server.BaseHTTPRequestHandler):
    targets: list[str]

    def do_GET(self) -> None:
        self.targets.append(self.path)
        body = b'{"name": "Polder"}' if "/space" in self.path else b"[]"
        statuses = {"issues": 401, "rateLimit": 404}
        self.send_response(next((status for name, status in statuses.items() if f"/{name}" in self.path), 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_the_key_goes_over_the_wire_and_stands_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    handler = type("Answer", (_Answer,), {"targets": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = Account.model_validate(
            {"base_url": f"http://127.0.0.1:{server.server_port}/polder/backlog", "api_key": f"{KEY}&ü"}
        )
        with caplog.at_level(logging.DEBUG), Source(f"polder-{uuid4().hex[:8]}", account) as source:
            source.check()
            refused = events(fetched(source, "issues", "issue-x"))
            with pytest.raises(SourceError, match="api_key") as error:
                list(source.fetch("issues", ["issue-1"]))
        server.shutdown()
    assert refused == {"issue-x": "malformed"}
    assert f"/polder/backlog/api/v2/space?apiKey={KEY}%26%C3%BC" in handler.targets
    assert all(f"apiKey={KEY}" in target for target in handler.targets)
    assert any("HTTP Request" in record.getMessage() for record in caplog.records)
    assert KEY not in caplog.text + str(error.value) + repr(error.value) + repr(account)
    assert error.value.__cause__ is None
