import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
import pytest
import stamina

from sync_assets.documents import Document, Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.gitlab import STREAMS, Account, Source
from sync_assets.sources.gitlab_work import BEGINNING

TOKEN = "glpat-nobody-sees"
NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
CREATED = datetime(2026, 11, 2, 8, tzinfo=UTC)
ANNA = {"id": 1, "username": "anna", "name": "Anna Berg"}
Json = dict[str, Any]


def at(text: str) -> str:
    """`05 10:00` in November 2026, as GitLab writes it."""
    return f"2026-11-{text.replace(' ', 'T')}:00.000Z"


def blob_of(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


class GitLab:
    """What an instance would answer about its projects, and the requests that it got."""

    def __init__(self) -> None:
        self.projects: dict[int, Json] = {}
        self.members: set[int] = set()
        self.work: dict[tuple[int, str], dict[int, Json]] = {}
        self.notes: dict[tuple[int, str, int], list[Json]] = {}
        self.diffs: dict[tuple[int, str], list[Json]] = {}
        self.commits: dict[int, list[Json]] = {}
        self.files: dict[int, dict[str, bytes]] = {}
        self.wikis: dict[int, dict[str, Json]] = {}
        self.off: dict[tuple[int, str], int] = {}
        self.answers: dict[str, list[httpx.Response]] = {}
        self.moved: dict[str, str] = {}
        self.keyset = True
        self.next_root: str | None = None
        self.asked: list[httpx.Request] = []

    def project(self, number: int, path: str, **more: Any) -> int:
        self.projects[number] = {
            "id": number,
            "path_with_namespace": path,
            "web_url": f"https://git.test/{path}",
            "visibility": "private",
            "default_branch": "main",
            "created_at": CREATED.isoformat(),
            "issues_access_level": "enabled",
            "merge_requests_access_level": "enabled",
            "repository_access_level": "enabled",
            "wiki_access_level": "enabled",
            "permissions": {"project_access": {"access_level": 30}, "group_access": None},
        } | more
        self.members.add(number)
        self.commits[number], self.files[number], self.wikis[number] = [], {}, {}
        for kind in ("issues", "merge_requests"):
            self.work[number, kind] = {}
        return number

    def item(self, project: int, kind: str, iid: int, title: str, updated: str, **more: Any) -> Json:
        row = {
            "id": 1000 + iid,
            "iid": iid,
            "project_id": project,
            "title": title,
            "description": f"{title} in detail, see #12",
            "state": "opened",
            "labels": ["bug"],
            "author": ANNA,
            "assignees": [],
            "confidential": False,
            "user_notes_count": 0,
            "created_at": at("03 09:00"),
            "updated_at": updated,
            "web_url": f"https://git.test/x/-/{kind}/{iid}",
        } | more
        self.work[project, kind][iid] = row
        self.notes[project, kind, iid] = []
        if kind == "merge_requests":
            self.diffs[project, f"merge_requests/{iid}"] = []
        return row

    def note(self, project: int, kind: str, iid: int, body: str, when: str, **more: Any) -> int:
        number = 100 + sum(map(len, self.notes.values()))
        row = {"id": number, "body": body, "author": ANNA, "created_at": when, "system": False, "internal": False}
        self.notes[project, kind, iid].append(row | more)
        self.work[project, kind][iid]["updated_at"] = when
        return number

    def commit(self, project: int, message: str, when: str, *diffs: Json, parents: int = 1) -> str:
        sha = hashlib.sha1(message.encode(), usedforsecurity=False).hexdigest()
        row = {
            "id": sha,
            "parent_ids": ["p"] * parents,
            "title": message.partition("\n")[0],
            "message": message,
            "author_name": "Anna Berg",
            "author_email": "anna@acme.test",
            "committed_date": when,
            "web_url": f"https://git.test/c/{sha}",
        }
        self.commits[project].insert(0, row)
        self.diffs[project, f"repository/commits/{sha}"] = list(diffs)
        return sha

    def page(self, project: int, slug: str, content: str) -> None:
        self.wikis[project][slug] = {"slug": slug, "title": slug.title(), "content": content, "format": "markdown"}

    # Answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        assert request.headers["PRIVATE-TOKEN"] == TOKEN
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/api/v4")
        for prefix, waiting in self.answers.items():
            if waiting and unquote(path).startswith(prefix):
                return waiting.pop(0)
        query = dict(request.url.params)
        if path == "/user":
            return httpx.Response(200, json=ANNA)
        if path == "/projects":
            return self._list(request, [self.projects[one] for one in sorted(self.members)], keyset=True)
        key, _, rest = path.removeprefix("/projects/").partition("/")
        key = unquote(key)
        if key in self.moved:
            return httpx.Response(301, headers={"Location": self.moved[key]})
        found = [one for one in self.projects.values() if key in (str(one["id"]), one["path_with_namespace"])]
        if not found:
            return httpx.Response(404, json={"message": "404 Project Not Found"})
        return self._of_project(request, found[0], rest, query) if rest else httpx.Response(200, json=found[0])

    def _of_project(self, request: httpx.Request, project: Json, rest: str, query: dict[str, str]) -> httpx.Response:
        number: int = project["id"]
        feature = rest.partition("/")[0]
        if (number, feature) in self.off:
            return httpx.Response(self.off[number, feature], json={"message": "no"})
        if match := re.fullmatch(r"(issues|merge_requests)/(\d+)/notes", rest):
            return self._list(request, self.notes.get((number, match[1], int(match[2]))))
        if match := re.fullmatch(r"(issues|merge_requests)(?:/(\d+))?", rest):
            rows = self.work[number, match[1]]
            return self._one(rows.get(int(match[2]))) if match[2] else self._updated(request, list(rows.values()))
        if match := re.fullmatch(r"(merge_requests/\d+)/diffs|(repository/commits/\w+)/diff", rest):
            return self._list(request, self.diffs.get((number, match[1] or match[2])))
        if match := re.fullmatch(r"repository/commits(?:/(\w+))?", rest):
            commits = self.commits[number]
            if match[1]:
                return self._one(next((row for row in commits if row["id"] == match[1]), None))
            since, until = query.get("since", "0"), query.get("until", "9")
            return self._list(request, [row for row in commits if since <= row["committed_date"] <= until])
        files = self.files[number]
        if rest == "repository/tree":
            rows = [{"path": path, "id": blob_of(data), "type": "blob"} for path, data in files.items()]
            return self._list(request, rows, keyset=True)
        if rest.startswith("repository/files/"):
            path = unquote(rest.removeprefix("repository/files/"))
            return self._one(self._file(path, files[path]) if path in files else None)
        if rest == "wikis":
            return self._list(request, list(self.wikis[number].values()))
        return self._one(self.wikis[number].get(unquote(rest.removeprefix("wikis/"))))

    def _file(self, path: str, data: bytes) -> Json:
        content = base64.b64encode(data).decode()
        return {"file_path": path, "size": len(data), "content": content, "blob_id": blob_of(data)}

    def _one(self, row: Json | None) -> httpx.Response:
        return httpx.Response(200, json=row) if row is not None else httpx.Response(404, json={"message": "404"})

    def _updated(self, request: httpx.Request, rows: list[Json]) -> httpx.Response:
        query = request.url.params
        after, before = query.get("updated_after", "0"), query.get("updated_before", "9")
        shown = [
            row for row in rows if not isinstance(row.get("updated_at"), str) or after <= row["updated_at"] <= before
        ]
        shown.sort(key=lambda row: str(row.get("updated_at")), reverse=query.get("sort") == "desc")
        return self._list(request, shown)

    def _list(self, request: httpx.Request, rows: list[Json] | None, *, keyset: bool = False) -> httpx.Response:
        if rows is None:
            return httpx.Response(404, json={"message": "404"})
        query = request.url.params
        if "pagination" in query and not (keyset and self.keyset):
            return httpx.Response(405, json={"error": "Keyset pagination is not yet available"})
        size, page = int(query.get("per_page", 20)), int(query.get("cursor", query.get("page", 1)))
        headers = {}
        if len(rows) > page * size:
            turn = {"cursor" if "pagination" in query else "page": page + 1}
            url = request.url.copy_merge_params(turn)
            link = str(url).replace("https://git.test", self.next_root or "https://git.test")
            headers["Link"] = f'<{link}>; rel="next"'
        body = json.dumps(rows[(page - 1) * size : page * size])
        return httpx.Response(200, content=body, headers=headers)


@pytest.fixture
def gitlab() -> GitLab:
    instance = GitLab()
    instance.project(7, "acme/phones")
    return instance


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def source_of(instance: GitLab, **settings: Any) -> Source:
    account = Account(base_url="https://git.test", **{"token": TOKEN, "limits": {"page_size": 2}} | settings)
    transport = httpx.MockTransport(instance)
    return Source(f"acme-{uuid4()}", account, clock=lambda: NOW, transport=transport)


def extracted(
    source: Source, stream: str, since: datetime = BEGINNING, until: datetime = FAR_AHEAD
) -> dict[str, Record]:
    records = list(source.extract(stream, since, until))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def document(source: Source, stream: str, record_id: str) -> Document:
    [record] = source.fetch(stream, [record_id])
    assert record.event == "live", record.problem
    return source.to_document(stream, record)


def event(source: Source, stream: str, record_id: str) -> str:
    [record] = source.fetch(stream, [record_id])
    return record.event


def fill(gitlab: GitLab, project: int = 7) -> None:
    for iid in range(1, 6):
        gitlab.item(project, "issues", iid, f"Issue {iid}", at(f"0{iid + 3} 10:00"))
        gitlab.item(project, "merge_requests", iid, f"Request {iid}", at("06 10:00"))
        gitlab.commit(project, f"Change {iid} of {project}", at(f"0{iid + 3} 11:00"), diff_of(f"src/{iid}.py"))
        gitlab.files[project][f"src/{iid}.py"] = b"print(1)\n"
        gitlab.page(project, f"guide/part {iid}", "# How\n")


def diff_of(path: str, **more: Any) -> Json:
    return {"old_path": path, "new_path": path, "diff": "@@ -1 +1 @@\n-a\n+b\n", "b_mode": "100644"} | more


@pytest.mark.parametrize("stream", STREAMS)
def test_extract_fetch_and_the_listing_agree_on_every_record(gitlab: GitLab, stream: str):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi", visibility="public"))
    source = source_of(gitlab)
    found = extracted(source, stream)
    listed = {item.record_id: item for item in source.live_ids(stream) if isinstance(item, LiveId)}
    fetched = {record.record_id: record for record in source.fetch(stream, listed)}
    assert len(listed) == 10
    for record_id, item in listed.items():
        for record in (found[record_id], fetched[record_id]):
            assert (record.event, record.modified_at, record.cheap_version) == (
                "live",
                item.modified_at,
                item.cheap_version,
            )
        assert source.to_document(stream, found[record_id]) == source.to_document(stream, fetched[record_id])
    earliest, latest = source.span(stream) or (FAR_AHEAD, BEGINNING)
    assert all(earliest <= item.modified_at <= latest for item in listed.values())


def test_a_window_brings_only_what_changed_in_it(gitlab: GitLab):
    fill(gitlab)
    source = source_of(gitlab)
    since, until = datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 11, 6, tzinfo=UTC)
    assert set(extracted(source, "issues", since, until)) == {"issue-7-2"}
    assert len(extracted(source, "commits", since, until)) == 1
    assert set(extracted(source, "files", since, until)) == {"file-7-src/2.py"}
    assert extracted(source, "wikis", since, until) == {}


def test_a_late_note_brings_its_issue_again_and_system_notes_stay_out(gitlab: GitLab):
    gitlab.item(7, "issues", 1, "No dial tone", at("04 10:00"))
    number = gitlab.note(7, "issues", 1, "Replace the cable", at("10 09:00"))
    gitlab.note(7, "issues", 1, "changed title", at("10 09:01"), system=True)
    source = source_of(gitlab)
    found = extracted(source, "issues", datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))
    read = source.to_document("issues", found["issue-7-1"])
    assert [(part.path, part.text) for part in read.parts] == [
        ("header", "Issue #1: No dial tone"),
        ("description", "No dial tone in detail, see #12"),
        (f"comment-{number}", "Anna Berg: Replace the cable"),
    ]


def test_internal_notes_and_confidential_issues_keep_their_visibility(gitlab: GitLab):
    gitlab.projects[7]["visibility"] = "public"
    gitlab.item(7, "issues", 1, "Open", at("04 10:00"))
    gitlab.note(7, "issues", 1, "Between us", at("04 11:00"), internal=True)
    gitlab.item(7, "issues", 2, "Leak", at("04 10:00"), confidential=True, assignees=[{"username": "ben"}])
    gitlab.note(7, "issues", 2, "Fixed", at("04 11:00"), internal=True)
    source = source_of(gitlab)
    shown = document(source, "issues", "issue-7-1")
    assert shown.visibility is Visibility.PUBLIC
    assert [part.visibility for part in shown.parts] == [*[Visibility.PUBLIC] * 2, Visibility.INTERNAL]
    secret = document(source, "issues", "issue-7-2")
    for item in (secret, *secret.parts):
        assert (item.visibility, item.principals) == (Visibility.RESTRICTED, ["user:anna", "user:ben"])


def test_a_feature_for_members_only_of_a_public_project_is_internal(gitlab: GitLab):
    gitlab.projects[7] |= {"visibility": "public", "repository_access_level": "private"}
    gitlab.item(7, "merge_requests", 1, "Open", at("04 10:00"))
    gitlab.diffs[7, "merge_requests/1"] = [diff_of("a.py"), diff_of("secret.min.js")]
    read = document(source_of(gitlab), "merge_requests", "merge_request-7-1")
    assert {part.role: part.visibility for part in read.parts} == {
        "header": Visibility.PUBLIC,
        "description": Visibility.PUBLIC,
        "diff": Visibility.INTERNAL,
    }
    assert "diffs_left_out" not in read.metadata


@pytest.mark.parametrize("stream", STREAMS)
def test_a_record_that_its_project_answers_404_for_is_deleted(gitlab: GitLab, stream: str):
    fill(gitlab)
    source = source_of(gitlab)
    names = [item.record_id for item in source.live_ids(stream) if isinstance(item, LiveId)]
    for rows in (*gitlab.work.values(), gitlab.commits[7], gitlab.files[7], gitlab.wikis[7]):
        rows.clear()
    assert {record.event for record in source.fetch(stream, names)} == {"deleted"}


def test_an_issue_that_may_have_become_confidential_is_not_taken_for_deleted(gitlab: GitLab):
    gitlab.projects[7]["permissions"] = {"project_access": {"access_level": 10}, "group_access": None}
    assert event(source_of(gitlab), "issues", "issue-7-1") == "malformed"


@pytest.mark.parametrize(
    ("stream", "feature", "status"),
    [
        ("issues", "issues", 403),
        ("merge_requests", "merge_requests", 403),
        ("commits", "repository", 404),
        ("files", "repository", 404),
        ("wikis", "wikis", 404),
    ],
)
def test_what_a_switched_off_feature_hides_is_not_deleted_and_others_go_on(
    gitlab: GitLab, stream: str, feature: str, status: int
):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi"))
    source = source_of(gitlab)
    names = [item.record_id for item in source.live_ids(stream) if isinstance(item, LiveId)]
    gitlab.off[7, feature] = status
    gitlab.projects[7][f"{feature.removesuffix('s') if feature == 'wikis' else feature}_access_level"] = "disabled"
    listing = list(source.live_ids(stream))
    [hidden] = [item for item in listing if isinstance(item, Hidden)]
    assert len(listing) == 6
    events = {record.record_id: record for record in source.fetch(stream, names)}
    for name in names:
        assert events[name].event == ("malformed" if name.startswith(hidden.prefix) else "live")
    assert len(extracted(source, stream)) == 5


def test_a_feature_that_is_refused_but_not_off_is_told(gitlab: GitLab):
    gitlab.off[7, "issues"] = 403
    source = source_of(gitlab)
    [record] = source.extract("issues", BEGINNING, FAR_AHEAD)
    assert (record.record_id, record.event) == ("issue-7", "malformed")
    assert event(source, "issues", "issue-7") == "malformed"
    del gitlab.off[7, "issues"]
    assert event(source, "issues", "issue-7") == "deleted"


def test_a_project_that_is_lost_hides_its_records(gitlab: GitLab):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi"))
    del gitlab.projects[7]
    gitlab.members.remove(7)
    source = source_of(gitlab, projects=["7", "acme/*"])
    assert [item.prefix for item in source.live_ids("issues") if isinstance(item, Hidden)] == ["issue-7-"]
    assert event(source, "issues", "issue-7-1") == "malformed"
    assert event(source_of(gitlab), "issues", "issue-7-1") == "malformed"
    assert event(source_of(gitlab, exclude_projects=["7"]), "issues", "issue-7-1") == "deleted"
    with pytest.raises(SourceError, match="does not show project 7"):
        source.check()


def test_projects_are_chosen_by_patterns(gitlab: GitLab):
    fill(gitlab)
    for number, path in ((8, "acme/deep/wifi"), (9, "other/public")):
        fill(gitlab, gitlab.project(number, path))
    gitlab.members.remove(9)

    def chosen(**settings: Any) -> set[str]:
        listing = source_of(gitlab, **settings).live_ids("issues")
        return {item.record_id.split("-")[1] for item in listing if isinstance(item, LiveId)}

    assert chosen() == {"7", "8"}
    assert chosen(projects=["acme/*"], exclude_projects=["acme/deep/*"]) == {"7"}
    assert chosen(projects=["other/public", "ACME/Phones"]) == {"7", "9"}
    assert event(source_of(gitlab, projects=["acme/deep/*"]), "issues", "issue-7-1") == "deleted"


def test_a_moved_project_is_followed_on_the_own_host_only(gitlab: GitLab):
    fill(gitlab)
    gitlab.members.clear()
    gitlab.moved["old/phones"] = "https://git.test/api/v4/projects/7"
    assert "1 projects" in source_of(gitlab, projects=["old/phones"]).check()
    gitlab.moved["old/phones"] = "https://evil.test/api/v4/projects/7"
    with pytest.raises(SourceError, match="redirects"):
        source_of(gitlab, projects=["old/phones"]).check()
    assert {request.url.host for request in gitlab.asked} == {"git.test"}


def test_listings_go_by_keyset_and_by_page_number_where_that_is_refused(gitlab: GitLab):
    fill(gitlab)
    assert len(list(source_of(gitlab).live_ids("files"))) == 5
    assert any("cursor" in request.url.params for request in gitlab.asked)
    gitlab.keyset = False
    assert len(list(source_of(gitlab).live_ids("files"))) == 5


@pytest.mark.parametrize("root", ["https://evil.test", "http://git.test", "https://git.test:444"])
def test_a_link_to_another_address_gets_no_token(gitlab: GitLab, root: str):
    fill(gitlab)
    gitlab.next_root = root
    with pytest.raises(SourceError, match="gets no token"):
        list(source_of(gitlab).live_ids("files"))
    assert {str(request.url.copy_with(raw_path=b"/")) for request in gitlab.asked} == {"https://git.test/"}


def test_a_listing_longer_than_page_numbers_go_is_an_error(gitlab: GitLab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sync_assets.sources.gitlab_web._LAST_OFFSET", 4)
    fill(gitlab)
    assert len(list(source_of(gitlab).live_ids("files"))) == 5
    gitlab.keyset = False
    with pytest.raises(SourceError, match="no more than 4 rows"):
        list(source_of(gitlab).live_ids("files"))


@pytest.mark.parametrize("stream", STREAMS)
def test_a_listing_that_breaks_off_is_an_error(gitlab: GitLab, stream: str):
    fill(gitlab)
    source = source_of(gitlab)
    place = {"issues": "issues", "merge_requests": "merge_requests", "wikis": "wikis"}.get(stream, "repository")
    gitlab.answers[f"/projects/7/{place}"] = [httpx.Response(502) for _ in range(2)]
    with pytest.raises(SourceError):
        list(source.live_ids(stream))


def test_many_issues_of_one_moment_are_all_listed(gitlab: GitLab):
    for iid in range(1, 8):
        gitlab.item(7, "issues", iid, "Imported", at("04 10:00"))
    assert len(extracted(source_of(gitlab), "issues")) == 7


def test_an_issue_that_changes_while_listed_shifts_no_other_out(gitlab: GitLab):
    fill(gitlab)
    listing = source_of(gitlab).live_ids("issues")
    seen = [next(listing), next(listing)]
    gitlab.work[7, "issues"][1]["updated_at"] = at("11 10:00")
    seen += listing
    assert {item.record_id for item in seen if isinstance(item, LiveId)} == {f"issue-7-{iid}" for iid in range(1, 6)}


def test_a_renamed_file_goes_at_its_old_path_and_lives_at_the_new_one(gitlab: GitLab):
    fill(gitlab)
    gitlab.files[7]["lib/one.py"] = gitlab.files[7].pop("src/1.py")
    del gitlab.files[7]["src/2.py"]
    moved = diff_of("lib/one.py", old_path="src/1.py", renamed_file=True, diff="")
    sha = gitlab.commit(7, "Move", at("10 10:00"), moved, diff_of("src/2.py", deleted_file=True))
    source = source_of(gitlab)
    found = extracted(source, "files", datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))
    assert {name: record.event for name, record in found.items()} == {
        "file-7-src/1.py": "deleted",
        "file-7-lib/one.py": "live",
        "file-7-src/2.py": "deleted",
    }
    parts = document(source, "commits", f"commit-7-{sha}").parts
    assert parts[1].text == "rename from src/1.py\nrename to lib/one.py\n"


def test_files_that_are_not_worth_reading_are_left_out(gitlab: GitLab):
    files = {
        "vendor/lib.py": b"x = 1\n",
        "web/node_modules/a.js": b"x\n",
        "poetry.lock": b"x\n",
        "app.min.js": b"x\n",
        "logo.png": b"x\n",
        "data.raw": b"ab\0cd",
        "model.weights": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "api.go": b"// Code generated by protoc. DO NOT EDIT.\npackage api\n",
        "big.txt": b"many words " * 100,
        "one-line.js": b"a=1;" * 200,
        "app.py": b"x = 1\n",
    }
    gitlab.files[7] = files
    source = source_of(gitlab, files={"max_bytes": 1000})
    found = extracted(source, "files")
    kept = {name: source.to_document("files", record) for name, record in found.items()}
    assert {name: read.metadata.get("left_out") for name, read in kept.items()} == {
        "file-7-data.raw": "binary",
        "file-7-model.weights": "LFS pointer",
        "file-7-api.go": "generated",
        "file-7-big.txt": "too large",
        "file-7-one-line.js": None,
        "file-7-app.py": None,
    }
    assert [name for name, read in kept.items() if not read.parts] == [f"file-7-{name}" for name in list(files)[5:9]]
    assert found["file-7-data.raw"].payload["item"]["content"] == ""
    only = source_of(gitlab, files={"include": ["*.py"], "exclude": ["x*"]})
    assert set(extracted(only, "files")) == {"file-7-app.py"}
    assert event(only, "files", "file-7-big.txt") == "deleted"


def test_files_are_read_in_their_encoding_and_by_their_kind(gitlab: GitLab):
    gitlab.files[7] = {
        "café.py": "# déjà vu, façade, garçon\r\nx = 1\r\n".encode("latin-1"),
        "docs/readme.md": b"\xef\xbb\xbf# Hello\n",
        "notes.txt": b"plain\n",
    }
    source = source_of(gitlab)
    read = {name: source.to_document("files", record) for name, record in extracted(source, "files").items()}
    [code] = read["file-7-café.py"].parts
    assert (code.role, code.text) == ("code", "# déjà vu, façade, garçon\nx = 1\n")
    assert code.metadata == {"language": "python", "path": "café.py"}
    assert read["file-7-café.py"].url == "https://git.test/acme/phones/-/blob/main/caf%C3%A9.py"
    assert [(part.role, part.text) for part in read["file-7-docs/readme.md"].parts] == [("body", "# Hello\n")]
    assert [part.role for part in read["file-7-notes.txt"].parts] == ["description"]


def test_a_wiki_edit_shows_in_the_listing_without_a_time(gitlab: GitLab):
    gitlab.page(7, "home", "One")
    source = source_of(gitlab)
    [before] = source.live_ids("wikis")
    gitlab.page(7, "home", "Two")
    [after] = source.live_ids("wikis")
    assert isinstance(before, LiveId)
    assert isinstance(after, LiveId)
    assert before.modified_at == after.modified_at == CREATED
    assert before.cheap_version != after.cheap_version
    assert [part.text for part in document(source, "wikis", "wiki-7-home").parts] == ["Home", "Two"]


def test_diffs_that_bring_no_text_are_noted(gitlab: GitLab):
    gitlab.item(7, "merge_requests", 1, "Big", at("04 10:00"))
    gitlab.diffs[7, "merge_requests/1"] = [
        diff_of("a.py"),
        diff_of("huge.sql", diff="", too_large=True),
        diff_of("long.py", diff="", collapsed=True),
        diff_of("api.pb.go", generated_file=True),
        diff_of("logo.bmp2", diff="Binary files a/x and b/x differ\n"),
    ]
    read = document(source_of(gitlab), "merge_requests", "merge_request-7-1")
    assert [part.path for part in read.parts] == ["header", "description", "diff-a.py"]
    assert read.metadata["diffs_left_out"] == [
        "huge.sql (too large)",
        "long.py (collapsed)",
        "api.pb.go (generated)",
        "logo.bmp2 (binary)",
    ]


def test_a_commit_tells_its_author_and_no_address_and_merges_and_old_ones_stay_out(gitlab: GitLab):
    old = gitlab.commit(7, "Old", "2024-11-04T10:00:00.000Z")
    merge = gitlab.commit(7, "Merge branch", at("04 10:00"), parents=2)
    sha = gitlab.commit(7, "Fix dialing\n\nThe relay was late.", at("05 10:00"), diff_of("dial.py"))
    source = source_of(gitlab)
    assert set(extracted(source, "commits")) == {f"commit-7-{sha}"}
    read = document(source, "commits", f"commit-7-{sha}")
    assert [part.text for part in read.parts] == ["Fix dialing", "The relay was late.", "@@ -1 +1 @@\n-a\n+b\n"]
    assert read.metadata["author"] == "Anna Berg"
    assert "@acme" not in str(read)
    assert {event(source, "commits", f"commit-7-{one}") for one in (old, merge)} == {"deleted"}


def test_one_bad_record_stops_no_other(gitlab: GitLab):
    fill(gitlab)
    gitlab.work[7, "issues"][2]["updated_at"] = None
    gitlab.answers["/projects/7/issues/3/notes"] = [httpx.Response(500) for _ in range(2)]
    gitlab.work[7, "issues"][4]["title"] = "half \ud83d pair"
    source = source_of(gitlab)
    found = extracted(source, "issues")
    assert {name for name, record in found.items() if record.event == "malformed"} == {"issue-7-2", "issue-7-3"}
    assert len(found) == 5
    del gitlab.work[7, "issues"][1]["title"]
    [broken] = source.fetch("issues", ["issue-7-1"])
    with pytest.raises(ValueError, match="title"):
        source.to_document("issues", broken)


def test_no_error_and_no_record_carries_the_token(gitlab: GitLab):
    fill(gitlab)
    gitlab.off[7, "issues"] = 403
    source = source_of(gitlab)
    texts = [repr(source), *map(repr, source.extract("issues", BEGINNING, FAR_AHEAD))]
    gitlab.answers["/projects"] = [httpx.Response(401)]
    with pytest.raises(SourceError) as error:
        source.check()
    assert TOKEN not in "".join([*texts, str(error.value)])
    assert ".gitlab.token" in str(error.value)
