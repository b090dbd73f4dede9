"""What GitLab keeps in repositories: commits and files of the default branch.

What belongs here: which requests make one record, and what stands in for a modification time. What does not: its
document (`gitlab_documents.py`), and which files are worth reading (`gitlab_files.py`).
"""

import base64
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import quote

from sync_assets.documents import Record
from sync_assets.sources import LiveId
from sync_assets.sources.gitlab_files import NO_FILE, FileRules, why_not_by_content
from sync_assets.sources.gitlab_web import (
    Json,
    Params,
    Project,
    Web,
    deleted,
    is_of,
    live,
    malformed,
    moment_of,
    odd,
    version_of,
    wire_time,
)
from sync_assets.sources.gitlab_wire import FileTooLarge
from sync_assets.sources.gitlab_work import AHEAD, BEGINNING
from sync_assets.sources.http import ApiStatusError

_SECOND = timedelta(seconds=1)
# Git walks from newer to older, and a commit may be younger than those on top of it. A listing is at its end where so
# many older ones came in a row.
_OLDER_IN_A_ROW = 100
# A link to another path is a file that holds the path, without the end of a line.
_LONGEST_LINK = 4096


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

    def newest(self, project: Project) -> Any:
        """The commit that the default branch is at."""
        return head(self._web, project)

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
        record_id, sha = f"commit-{project.id}-{rest}", quote(rest, safe="")
        row = self._web.get(f"{_commits_path(project)}/{sha}")
        if not is_of(row, "id", rest):
            return odd(record_id, self._web.clock(), row)
        moment = moment_of(row, "committed_date")
        if moment is not None and (moment < self._oldest() or _is_merge(row)):
            return deleted(record_id, self._web.clock())
        refs = f"refs[]={sha}&refs[]={quote(_branch(project), safe='')}"
        base = self._web.get(f"/projects/{project.id}/repository/merge_base?{refs}")
        if not isinstance(base, dict) or not isinstance(base.get("id"), str):
            return odd(record_id, self._web.clock(), base)
        return self._completed(project, row) if base["id"] == rest else deleted(record_id, self._web.clock())

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _rows(self, project: Project, since: datetime, until: datetime) -> Iterator[Any]:
        for row in commit_rows(self._web, project, max(since, self._oldest()), until):
            if not _is_merge(row):
                yield row

    def _oldest(self) -> datetime:
        return self._web.clock() - timedelta(days=self._days)

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

    def newest(self, project: Project) -> Any:
        """The commit that the default branch is at."""
        return head(self._web, project)

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        if since <= project.created_at < until:
            listed = (path for path, _ in self._tree(project))
            return self._web.map(lambda path: self._whole(project, path, self._read), listed)
        touched = self._touched(project, since, until)
        return self._web.map(lambda path: self._whole(project, path, self.now), touched)

    def listed(self, project: Project) -> Iterator[LiveId]:
        for path, blob in self._tree(project):
            yield LiveId(
                record_id=f"file-{project.id}-{path}",
                modified_at=project.created_at,
                cheap_version=self._version(project, blob),
            )

    def now(self, project: Project, rest: str) -> Record:
        """A file as it is now. What has become a link to another path is a file no more."""
        record_id = f"file-{project.id}-{rest}"
        if not self._rules.selects(rest):
            return deleted(record_id, self._web.clock())
        found = self._read(project, rest)
        if found.event == "live" and _may_be_link(found.payload["item"]) and not self._is_file(project, rest):
            return deleted(record_id, self._web.clock())
        return found

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _read(self, project: Project, rest: str) -> Record:
        """A file that the tree tells to be one. One that is left out for what it holds lives without its text, so that
        a sweep, which sees names only, need not read it again."""
        record_id = f"file-{project.id}-{rest}"
        path = f"/projects/{project.id}/repository/files/{quote(rest, safe='')}"
        try:
            file = self._web.get(path, {"ref": _branch(project)})
        except FileTooLarge as large:
            file = {"file_path": rest, "blob_id": large.blob_id, "size": large.size, "left_out": "too large"}
            return self._live(project, file)
        now = self._web.clock()
        if not is_of(file, "file_path", rest) or not isinstance(file.get("blob_id"), str):
            return odd(record_id, now, file)
        try:
            data = base64.b64decode(file.get("content") or "", validate=True)
        except (ValueError, TypeError):
            return malformed(record_id, "its content is not base64", now)
        why_not = "too large" if len(data) > self._rules.max_bytes else why_not_by_content(data)
        if why_not is not None:
            file = {**file, "content": "", "left_out": why_not}
        return self._live(project, file)

    def _live(self, project: Project, file: Json) -> Record:
        payload = {"project": project.facts(self.feature), "item": file}
        version = self._version(project, file["blob_id"])
        record_id = f"file-{project.id}-{file['file_path']}"
        return live(record_id, project.created_at, version, payload, self._web.clock())

    def _version(self, project: Project, blob: str) -> str:
        return version_of(project.facts(self.feature), blob, self._rules.max_bytes)

    def _tree(self, project: Project) -> Iterator[tuple[str, str]]:
        """Paths and blob hashes of the files that are read, as far as their names tell."""
        for row in self._entries(project, {"recursive": "true", "ref": head(self._web, project)}):
            if _is_file(row) and self._rules.selects(row["path"]):
                yield row["path"], row["id"]

    def _is_file(self, project: Project, path: str) -> bool:
        """Whether the folder of a path has a file there, and no link."""
        folder = {"path": path.rpartition("/")[0], "ref": _branch(project)}
        return any(row["path"] == path and _is_file(row) for row in self._entries(project, folder))

    def _entries(self, project: Project, params: Params) -> Iterator[Json]:
        path = f"/projects/{project.id}/repository/tree"
        for row in self._web.keyset_rows(path, params):
            if not isinstance(row, dict) or not isinstance(row.get("path"), str) or not isinstance(row.get("id"), str):
                raise self._web.unreadable(path)
            yield row

    def _touched(self, project: Project, since: datetime, until: datetime) -> Iterator[str]:
        """Paths that commits of the window changed, made or removed, each once."""
        shas = [
            row["id"]
            for row in commit_rows(self._web, project, since, until)
            if isinstance(row, dict) and row.get("id")
        ]
        found = self._web.map(lambda sha: self._paths_of(project, sha), shas)
        return (path for path in dict.fromkeys(chain.from_iterable(found)) if self._rules.selects(path))

    def _paths_of(self, project: Project, sha: str) -> set[str]:
        """Paths that a commit touched, without what it did there, which may be large."""
        rows = (row for row in diff_rows(self._web, project, sha) if isinstance(row, dict))
        paths = {row.get(key) for row in rows for key in ("old_path", "new_path")}
        return {path for path in paths if isinstance(path, str)}

    def _whole(self, project: Project, path: str, read: Callable[[Project, str], Record]) -> Record:
        """A path of the default branch. Runs in the client's threads."""
        record_id = f"file-{project.id}-{path}"
        try:
            return read(project, path)
        except ApiStatusError as error:
            if error.status != 404:
                return malformed(record_id, error.message, self._web.clock())
        try:
            self.probe(project)
        except ApiStatusError as error:
            return malformed(record_id, error.message, self._web.clock())
        return deleted(record_id, self._web.clock())


def commit_rows(web: Web, project: Project, since: datetime, until: datetime) -> Iterator[Any]:
    """Commits of the default branch committed within [since, until).

    The bound `since` is not asked for: git would not go on below the first older commit, which may have younger ones
    under it.
    """
    since, until = max(since, BEGINNING), min(until, web.clock() + AHEAD)
    if since >= until:
        return
    older = 0
    # Git compares whole seconds.
    params = {"ref_name": _branch(project), "until": wire_time(until + _SECOND)}
    for row in web.rows(_commits_path(project), params, is_limited=False):
        moment = moment_of(row, "committed_date")
        if moment is None or since <= moment < until:
            yield row
        older = older + 1 if moment is not None and moment < since else 0
        if older == _OLDER_IN_A_ROW:
            return


def head(web: Web, project: Project) -> str:
    """The commit that the branch is at: a push between two pages would shift the tree."""
    branch = _branch(project)
    newest = web.page(_commits_path(project), {"ref_name": branch, "per_page": 1})
    return newest[0]["id"] if newest and isinstance(newest[0], dict) and newest[0].get("id") else branch


def diff_rows(web: Web, project: Project, sha: str) -> Iterator[Any]:
    return web.rows(f"{_commits_path(project)}/{quote(sha, safe='')}/diff")


def _commits_path(project: Project) -> str:
    return f"/projects/{project.id}/repository/commits"


def _branch(project: Project) -> str:
    return project.branch or "HEAD"


def _is_merge(row: Any) -> bool:
    return isinstance(row, dict) and len(row.get("parent_ids") or []) > 1


def _is_file(entry: Json) -> bool:
    return entry.get("type") == "blob" and entry.get("mode") not in NO_FILE


def _may_be_link(file: Json) -> bool:
    """Whether a file holds what a link would."""
    content = base64.b64decode(file.get("content") or "")
    return 0 < len(content) < _LONGEST_LINK and b"\n" not in content
