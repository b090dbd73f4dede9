"""What GitLab keeps in repositories: commits and files of the default branch, and wiki pages.

What belongs here: which requests make one record, and what stands in for a modification time. What does not: its
document (`gitlab_documents.py`), and which files are worth reading (`gitlab_files.py`).
"""

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import quote

from sync_assets.documents import Record
from sync_assets.sources import LiveId
from sync_assets.sources.gitlab_files import FileRules, why_not_by_content
from sync_assets.sources.gitlab_web import (
    Json,
    Project,
    Web,
    deleted,
    live,
    malformed,
    moment_of,
    version_of,
    wire_time,
)
from sync_assets.sources.gitlab_work import AHEAD, BEGINNING
from sync_assets.sources.http import ApiStatusError

_SECOND = timedelta(seconds=1)
# Modes of a diff that are no file: a link to another path, and another repository.
_NO_FILE = ("120000", "160000")


class Commits:
    """Commits of the default branch, at most so many days old.

    Merge commits are left out: GitLab gives their diff against the first parent, which repeats the merged commits.
    """

    name, feature = "commit", "repository"

    def __init__(self, web: Web, days: int) -> None:
        self._web = web
        self._days = days

    def probe(self, project: Project) -> None:
        """Raises `ApiStatusError` where the project does not show its records."""
        self._web.page(_commits_path(project), {"ref_name": _branch(project), "per_page": 1})

    def span(self, project: Project) -> list[datetime]:
        times = [moment_of(row, "committed_date") for row in self._rows(project, BEGINNING, self._web.clock() + AHEAD)]
        known = [time for time in times if time is not None]
        return [min(known), max(known)] if known else []

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        rows = self._rows(project, since, until)
        return self._web.map(lambda row: self._whole(project, row), rows)

    def listed(self, project: Project) -> Iterator[LiveId]:
        for row in self._rows(project, BEGINNING, self._web.clock() + AHEAD):
            if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                raise self._web.unreadable(_commits_path(project))
            yield LiveId(
                record_id=f"commit-{project.id}-{row['id']}",
                modified_at=moment_of(row, "committed_date") or BEGINNING,
                cheap_version=version_of(project.facts(self.feature)),
            )

    def now(self, project: Project, rest: str) -> Record:
        """A commit as it is now; one that the default branch has no more is gone, though GitLab still shows it."""
        row = self._web.get(f"{_commits_path(project)}/{quote(rest, safe='')}")
        moment = moment_of(row, "committed_date")
        if moment is not None:
            around = self._rows(project, moment, moment + _SECOND)
            if not any(isinstance(one, dict) and one.get("id") == rest for one in around):
                return deleted(f"commit-{project.id}-{rest}", self._web.clock())
        return self._completed(project, row)

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _rows(self, project: Project, since: datetime, until: datetime) -> Iterator[Any]:
        since = max(since, self._web.clock() - timedelta(days=self._days))
        for row in commit_rows(self._web, project, since, until):
            if not (isinstance(row, dict) and len(row.get("parent_ids") or []) > 1):
                yield row

    def _whole(self, project: Project, row: Any) -> Record:
        """A listed commit with its diffs. Runs in the client's threads."""
        now = self._web.clock()
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            return malformed(f"malformed-{version_of(row)}", "its id is missing or not a text", now, row)
        try:
            return self._completed(project, row)
        except ApiStatusError as error:
            return malformed(f"commit-{project.id}-{row['id']}", error.message, now, row)

    def _completed(self, project: Project, row: Json) -> Record:
        facts = project.facts(self.feature)
        payload = {"project": facts, "item": row, "diffs": list(diff_rows(self._web, project, row["id"]))}
        moment = moment_of(row, "committed_date")
        return live(f"commit-{project.id}-{row['id']}", moment, version_of(facts), payload, self._web.clock())


class Files:
    """Files of the default branch.

    The tree tells no times, so each file has its project's creation as modification time, and the blob's hash decides
    (`cheap_version`). A window that holds that creation brings the whole tree; any other one brings what its commits
    touched, as it is now: a renamed file is gone at its old path and lives at the new one. What reached the branch
    with older dates (a fast-forward merge, a forced push) is found by the sweep.
    """

    name, feature = "file", "repository"

    def __init__(self, web: Web, rules: FileRules) -> None:
        self._web = web
        self._rules = rules

    def probe(self, project: Project) -> None:
        """Raises `ApiStatusError` where the project does not show its records."""
        self._web.page(f"/projects/{project.id}/repository/tree", {"ref": _branch(project), "per_page": 1})

    def span(self, project: Project) -> list[datetime]:
        newest = self._web.page(_commits_path(project), {"ref_name": _branch(project), "per_page": 1})
        moments = [project.created_at, *(moment_of(row, "committed_date") for row in newest)]
        return [moment for moment in moments if moment is not None]

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        if since <= project.created_at < until:
            paths: Iterator[str] = (path for path, _ in self._tree(project))
        else:
            paths = self._touched(project, since, until)
        return self._web.map(lambda path: self._whole(project, path), paths)

    def listed(self, project: Project) -> Iterator[LiveId]:
        for path, blob in self._tree(project):
            yield LiveId(
                record_id=f"file-{project.id}-{path}",
                modified_at=project.created_at,
                cheap_version=self._version(project, blob),
            )

    def now(self, project: Project, rest: str) -> Record:
        """A file as it is now. One that is left out for what it holds lives without its text, so that a sweep, which
        sees names only, need not read it again."""
        record_id = f"file-{project.id}-{rest}"
        if not self._rules.selects(rest):
            return deleted(record_id, self._web.clock())
        path = f"/projects/{project.id}/repository/files/{quote(rest, safe='')}"
        file = self._web.get(path, {"ref": _branch(project)})
        now = self._web.clock()
        if not isinstance(file, dict) or not isinstance(file.get("blob_id"), str):
            return malformed(record_id, "its blob_id is missing or not a text", now, file)
        try:
            data = base64.b64decode(file.get("content") or "", validate=True)
        except (ValueError, TypeError):
            return malformed(record_id, "its content is not base64", now)
        why_not = "too large" if len(data) > self._rules.max_bytes else why_not_by_content(data)
        if why_not is not None:
            file = {**file, "content": "", "left_out": why_not}
        payload = {"project": project.facts(self.feature), "item": file}
        return live(record_id, project.created_at, self._version(project, file["blob_id"]), payload, now)

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _version(self, project: Project, blob: str) -> str:
        return version_of(project.facts(self.feature), blob, self._rules.max_bytes)

    def _tree(self, project: Project) -> Iterator[tuple[str, str]]:
        """Paths and blob hashes of the files that are read, as far as their names tell."""
        path = f"/projects/{project.id}/repository/tree"
        for row in self._web.keyset_rows(path, {"recursive": "true", "ref": _branch(project)}):
            if not isinstance(row, dict) or not isinstance(row.get("path"), str) or not isinstance(row.get("id"), str):
                raise self._web.unreadable(path)
            if row.get("type") == "blob" and row.get("mode") not in _NO_FILE and self._rules.selects(row["path"]):
                yield row["path"], row["id"]

    def _touched(self, project: Project, since: datetime, until: datetime) -> Iterator[str]:
        """Paths that commits of the window changed, made or removed, each once."""
        shas = [
            row["id"]
            for row in commit_rows(self._web, project, since, until)
            if isinstance(row, dict) and row.get("id")
        ]
        found = self._web.map(lambda sha: list(diff_rows(self._web, project, sha)), shas)
        rows = [row for row in chain.from_iterable(found) if isinstance(row, dict)]
        paths = dict.fromkeys(row.get(key) for row in rows for key in ("old_path", "new_path"))
        links = {row.get("new_path") for row in rows if row.get("b_mode") in _NO_FILE}
        return (path for path in paths if isinstance(path, str) and path not in links and self._rules.selects(path))

    def _whole(self, project: Project, path: str) -> Record:
        """A path of the default branch. Runs in the client's threads."""
        record_id = f"file-{project.id}-{path}"
        try:
            return self.now(project, path)
        except ApiStatusError as error:
            now = self._web.clock()
            return deleted(record_id, now) if error.status == 404 else malformed(record_id, error.message, now)


class Wikis:
    """Wiki pages, which have no times: each has its project's creation as modification time, and what it says decides
    (`cheap_version`). So the window that holds that creation brings them all, and the sweep finds every later change.
    """

    name, feature = "wiki", "wiki"

    def __init__(self, web: Web) -> None:
        self._web = web

    def probe(self, project: Project) -> None:
        """Raises `ApiStatusError` where the project does not show its records."""
        self._web.page(f"/projects/{project.id}/wikis", {"per_page": 1})

    def span(self, project: Project) -> list[datetime]:
        return [project.created_at] if self._rows(project) else []

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        if not since <= project.created_at < until:
            return
        for row in self._rows(project):
            if isinstance(row, dict) and isinstance(row.get("slug"), str):
                yield self._record(project, row)
            else:
                problem = "its slug is missing or not a text"
                yield malformed(f"malformed-{version_of(row)}", problem, self._web.clock(), row)

    def listed(self, project: Project) -> Iterator[LiveId]:
        for row in self._rows(project):
            if not isinstance(row, dict) or not isinstance(row.get("slug"), str):
                raise self._web.unreadable(f"/projects/{project.id}/wikis")
            record = self._record(project, row)
            yield LiveId(record_id=record.record_id, modified_at=project.created_at, cheap_version=record.cheap_version)

    def now(self, project: Project, rest: str) -> Record:
        return self._record(project, self._web.get(f"/projects/{project.id}/wikis/{quote(rest, safe='')}"))

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _rows(self, project: Project) -> list[Any]:
        return list(self._web.rows(f"/projects/{project.id}/wikis", {"with_content": 1}))

    def _record(self, project: Project, row: Json) -> Record:
        facts = project.facts(self.feature)
        version = version_of(facts, [row.get(key) for key in ("slug", "title", "format", "content")])
        payload = {"project": facts, "item": row}
        return live(f"wiki-{project.id}-{row['slug']}", project.created_at, version, payload, self._web.clock())


def commit_rows(web: Web, project: Project, since: datetime, until: datetime) -> Iterator[Any]:
    """Commits of the default branch committed within [since, until), newest first."""
    # Git compares whole seconds.
    since, until = max(since, BEGINNING), min(until, web.clock() + AHEAD)
    if since >= until:
        return
    window = {"since": wire_time(since.replace(microsecond=0)), "until": wire_time(until + _SECOND)}
    for row in web.rows(_commits_path(project), {"ref_name": _branch(project), **window}):
        moment = moment_of(row, "committed_date")
        if moment is None or since <= moment < until:
            yield row


def diff_rows(web: Web, project: Project, sha: str) -> Iterator[Any]:
    return web.rows(f"{_commits_path(project)}/{quote(sha, safe='')}/diff")


def _commits_path(project: Project) -> str:
    return f"/projects/{project.id}/repository/commits"


def _branch(project: Project) -> str:
    return project.default_branch or "HEAD"
