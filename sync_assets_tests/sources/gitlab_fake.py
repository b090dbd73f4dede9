"""A GitLab of tests: it answers about projects that a test fills, and keeps the requests that it got.

What belongs here: the answers, which tests may put others in the place of. What does not: the tests.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import httpx

TOKEN = "glpat-nobody-sees"
NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)
UNREAD, THROTTLED = 5_000, 10_000_000
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
CREATED = datetime(2026, 11, 2, 8, tzinfo=UTC)
ANNA = {"id": 1, "username": "anna", "name": "Anna Berg"}
Json = dict[str, Any]


def at(text: str) -> str:
    """`05 10:00` in November 2026, as GitLab writes it."""
    return f"2026-11-{text.replace(' ', 'T')}:00.000Z"


def blob_of(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def unread() -> Iterator[bytes]:
    """Content that nobody may ask for."""
    raise AssertionError
    yield b""


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
        self.lost: set[str] = set()
        self.tells_size = True
        self.modes: dict[str, str] = {}
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
            "empty_repo": False,
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
        if feature == "issues" and project["issues_access_level"] == "disabled":
            return httpx.Response(200, json=[]) if rest == feature else self._one(None)
        if feature == "repository" and project["empty_repo"] and rest != "repository/commits":
            return self._one(None)
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
            return self._list(request, self._log(commits, query))
        if rest == "repository/merge_base":
            sha, branch = request.url.params.get_list("refs[]")
            assert branch == project["default_branch"]
            found = next((row for row in self.commits[number] if row["id"] == sha and sha not in self.lost), None)
            return self._one(found or next(iter(self.commits[number]), None))
        files = self.files[number]
        if rest == "repository/tree":
            folder, whole = query.get("path", ""), "recursive" in query
            rows = [
                {"path": path, "id": blob_of(data), "type": "blob", "mode": self.modes.get(path, "100644")}
                for path, data in files.items()
                if whole or path.rpartition("/")[0] == folder or not folder
            ]
            return self._list(request, rows, keyset=True)
        if rest.startswith("repository/files/"):
            path = unquote(rest.removeprefix("repository/files/"))
            return self._sent_file(request, path, files[path]) if path in files else self._one(None)
        if rest == "wikis":
            return self._list(request, list(self.wikis[number].values()))
        slug = unquote(rest.removeprefix("wikis/")).lower()
        return self._one(next((page for name, page in self.wikis[number].items() if name.lower() == slug), None))

    def _log(self, commits: list[Json], query: dict[str, str]) -> list[Json]:
        """One line of commits, as git walks it: not below the first that is older than `since`."""
        found: list[Json] = []
        for row in commits:
            if row["committed_date"] < query.get("since", "0"):
                break
            if row["committed_date"] <= query.get("until", "9") and row["id"] not in self.lost:
                found.append(row)
        return found

    def _sent_file(self, request: httpx.Request, path: str, data: bytes) -> httpx.Response:
        """A file; huge ones are refused, as where several of them were sent before, and large ones never read."""
        headers = {"X-Gitlab-Size": str(len(data)), "X-Gitlab-Blob-Id": blob_of(data)}
        if request.method == "HEAD":
            return httpx.Response(200, headers=headers)
        if len(data) > THROTTLED:
            return httpx.Response(429, json={"message": {"error": "This endpoint has been requested too many times."}})
        content = base64.b64encode(data).decode()
        file = {"file_path": path, "size": len(data), "content": content, "blob_id": blob_of(data)}
        if not self.tells_size:
            return httpx.Response(200, json=file)
        return httpx.Response(200, headers=headers, content=json.dumps(file) if len(data) < UNREAD else unread())

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


def fill(gitlab: GitLab, project: int = 7) -> None:
    for iid in range(1, 6):
        gitlab.item(project, "issues", iid, f"Issue {iid}", at(f"0{iid + 3} 10:00"))
        gitlab.item(project, "merge_requests", iid, f"Request {iid}", at("06 10:00"))
        gitlab.commit(project, f"Change {iid} of {project}", at(f"0{iid + 3} 11:00"), diff_of(f"src/{iid}.py"))
        gitlab.files[project][f"src/{iid}.py"] = b"print(1)\n"
        gitlab.page(project, f"guide/part {iid}", "# How\n")


def diff_of(path: str, **more: Any) -> Json:
    return {"old_path": path, "new_path": path, "diff": "@@ -1 +1 @@\n-a\n+b\n", "b_mode": "100644"} | more
