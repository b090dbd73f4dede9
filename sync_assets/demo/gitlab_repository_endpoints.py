"""The endpoints below `/projects/:id/repository`: commits, trees, files and comparisons."""

import base64
import hashlib
from typing import Any
from urllib.parse import quote

from dulwich.objects import TreeEntry

from sync_assets.demo.gitlab_data import Project
from sync_assets.demo.gitlab_limits import GitLabRefusal, refused
from sync_assets.demo.gitlab_protocol import GitLabCall, keyset_page, offset_page
from sync_assets.demo.gitlab_records import sent_commit
from sync_assets.demo.gitlab_repository import EXECUTABLE, is_folder
from sync_assets.demo.records import Json


def list_commits(call: GitLabCall) -> list[Json]:
    """Commits by `ref_name`, or with `all` those of every branch; `since` and `until` look at the time of commit."""
    project = call.with_feature("repository")
    since, until = call.moment("since"), call.moment("until")
    branches = list(project.repository.branches) if call.flag("all") else [call.get("ref_name") or "HEAD"]
    try:
        found = project.repository.log(branches, call.get("path") or None, since, until)
    except KeyError:
        raise refused(404, "Commit Not Found") from None
    return [_commit(call, project, sha, call.flag("with_stats")) for sha in offset_page(call, found, counted=False)]


def get_commit(call: GitLabCall) -> Json:
    project = call.with_feature("repository")
    sent = _commit(call, project, _resolved(project, call.path["sha"], "Commit"), call.get("stats") != "false")
    return sent | {"status": None, "project_id": project.id, "last_pipeline": None}


def list_commit_diffs(call: GitLabCall) -> list[Json]:
    project = call.with_feature("repository")
    changes = project.repository.changes_of(_resolved(project, call.path["sha"], "Commit"))
    return [change.sent for change in offset_page(call, changes)]


def list_tree(call: GitLabCall) -> list[Json]:
    project = call.with_feature("repository")
    if not project.repository.branches:
        raise refused(404, "Tree Not Found")
    sha = _resolved(project, call.get("ref") or "HEAD", "Tree")
    try:
        entries = project.repository.tree(sha, call.get("path"), call.flag("recursive"))
    except KeyError:
        raise refused(404, "invalid revision or path Not Found") from None
    if call.choice("pagination", "legacy", ("legacy", "keyset", "none")) == "keyset":
        page = keyset_page(call, entries, _tree_key, "page_token")
    else:
        page = offset_page(call, entries)
    return [_sent_entry(entry) for entry in page]


def get_file(call: GitLabCall) -> Json:
    """A file with its content; headers tell all the rest of it."""
    project, entry, content, sha = _file(call)
    path = call.path["path"]
    facts = {
        "file_name": path.rpartition("/")[2],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "ref": call.get("ref", "HEAD"),
        "blob_id": (entry.sha or b"").decode(),
        "commit_id": sha,
        "last_commit_id": project.repository.log([sha], path, most=1)[0],
        "execute_filemode": entry.mode == EXECUTABLE,
    }
    for name, value in facts.items():
        call.headers[f"X-Gitlab-{name.replace('_', '-').title()}"] = quote(str(value))
    return facts | {"content": base64.b64encode(content).decode()}


def get_raw_file(call: GitLabCall) -> bytes:
    return _file(call)[2]


def merge_base(call: GitLabCall) -> Json:
    """The newest commit that leads to both `refs[]`."""
    project = call.with_feature("repository")
    refs = [value for name, value in call.query if name == "refs[]"]
    if len(refs) < 2:
        raise refused(400, "Bad request - Provide at least 2 refs")
    found: list[str] = []
    for ref in refs:
        try:
            found.append(project.repository.resolve(ref))
        except KeyError:
            raise refused(400, f"Bad request - Could not find ref: {ref}") from None
    try:
        return _commit(call, project, project.repository.merge_base(found[0], found[1]), False)
    except KeyError:
        raise refused(404, "Merge Base Not Found") from None


def compare(call: GitLabCall) -> Json:
    """What leads from one commit to another; from where both parted, unless `straight` is asked for."""
    project = call.with_feature("repository")
    for name in ("from", "to"):
        if not call.get(name):
            raise GitLabRefusal(400, {"error": f"{name} is missing"})
    repository = project.repository
    start, end = (_resolved(project, call.get(name), "Ref") for name in ("from", "to"))
    base = start if call.flag("straight") else repository.merge_base(start, end)
    known = set(repository.log([start]))
    commits = [_commit(call, project, sha, False) for sha in reversed(repository.log([end])) if sha not in known]
    return {
        "commit": commits[-1] if commits else None,
        "commits": commits,
        "diffs": [change.sent for change in repository.diff(base, end)],
        "compare_timeout": False,
        "compare_same_ref": start == end,
        "web_url": f"{call.data.url}/{project.path}/-/compare/{start}...{end}",
    }


def _commit(call: GitLabCall, project: Project, sha: str, with_stats: bool) -> Json:
    return sent_commit(call.data, project, sha, project.repository.changes_of(sha) if with_stats else None)


def _file(call: GitLabCall) -> tuple[Project, TreeEntry, bytes, str]:
    project = call.with_feature("repository")
    sha = _resolved(project, call.get("ref") or "HEAD", "Commit")
    try:
        entry, content = project.repository.file(sha, call.path["path"])
    except KeyError:
        raise refused(404, "File Not Found") from None
    return project, entry, content, sha


def _resolved(project: Project, ref: str, what: str) -> str:
    try:
        return project.repository.resolve(ref)
    except KeyError:
        raise refused(404, f"{what} Not Found") from None


def _tree_key(entry: TreeEntry) -> list[Any]:
    return [not is_folder(entry), (entry.path or b"").decode()]


def _sent_entry(entry: TreeEntry) -> Json:
    path = (entry.path or b"").decode()
    return {
        "id": (entry.sha or b"").decode(),
        "name": path.rpartition("/")[2],
        "type": "tree" if is_folder(entry) else "blob",
        "path": path,
        "mode": f"{entry.mode or 0:06o}",
    }
