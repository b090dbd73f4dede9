"""The starting data of a GitLab instance, made from a profile such as `data/acme/gitlab/gitlab.yaml`.

In a profile an issue, a merge request, a comment and a commit are mappings whose first key is their time (UTC) and
author and whose value is the title, the text or the message: `2026-11-03 09:12 bjorn: Echo on speaker`. Further keys:

    issue, merge request   text, labels, assignees, notes, closed (`2026-11-04 10:00 bjorn`), and other facts
    merge request          branch, merged (as `closed`)
    comment                internal, system, position, replies
    commit                 branch, write, edit (path: pairs of what is replaced once by what), rename, delete

Everything is done in the order of its time, and so numbers follow from times. A file's content in `write` is text, or
a mapping with one of `crlf` and `latin1` (text), `base64`, `executable` (text) and `line` with `times`, where the line
has the place `{n}`.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import yaml

from sync_assets.demo.gitlab_data import GitLabData, Noteable, Project
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.gitlab_repository import Repository
from sync_assets.demo.records import Json

_FOUNDED = datetime(2026, 11, 2, 6, tzinfo=UTC)
Event = tuple[datetime, Callable[[], Any]]


def read_profile(tenant: str) -> Json:
    """The profile of a tenant's instance, with the history of each project's repository."""
    folder = files("sync_assets.demo").joinpath("data", tenant, "gitlab")
    profile = yaml.safe_load(folder.joinpath("gitlab.yaml").read_text(encoding="utf-8"))
    for project in profile["projects"]:
        name = project["path"].rpartition("/")[2]
        project["commits"] = yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return profile


def build_instance(profile: Json) -> GitLabData:
    """The instance that a profile describes.

    Args:
        profile: `url`, `domain`, `token`, `user`, `people` by user name, and `projects` with their `commits`,
            `issues`, `merge_requests` and `wiki`.
    """
    data = GitLabData(profile["url"], profile["domain"], profile["token"], profile["user"])
    for number, (username, name) in enumerate(profile["people"].items(), start=501):
        data.users[username] = {
            "id": number,
            "username": username,
            "public_email": None,
            "name": name,
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{data.url}/{username}",
        }
    instance = GitLabInstance(data)
    for facts in profile["projects"]:
        _add_project(instance.data, facts)
    scripts = [_Script(instance, facts) for facts in profile["projects"]]
    for _, act in sorted((event for script in scripts for event in script.events), key=lambda event: event[0]):
        act()
    return instance.data


def _add_project(data: GitLabData, facts: Json) -> Project:
    project = Project(
        facts["id"],
        facts["path"],
        facts["name"],
        facts["description"],
        facts["visibility"],
        _FOUNDED,
        _FOUNDED,
        Repository(),
    )
    data.projects[project.id] = project
    if facts["access"]:
        data.access[project.id] = facts["access"]
    return project


class _Script:
    """What people did in one project, as acts with their times."""

    def __init__(self, instance: GitLabInstance, facts: Json) -> None:
        self.instance = instance
        self.project: str = facts["path"]
        self.events: list[Event] = []
        for commit in facts["commits"]:
            self._add_commit(commit)
        for issue in facts.get("issues", []):
            self._add_item(issue, "#")
        for request in facts.get("merge_requests", []):
            self._add_item(request, "!")
        for title, content in facts.get("wiki", {}).items():
            instance.write_wiki_page(self.project, title, content)

    def _add_commit(self, facts: Json) -> None:
        moment, author, message, rest = _read(facts)
        edits: dict[str, list[list[str]]] = rest.pop("edit", {})
        write = {path: _content(made) for path, made in rest.pop("write", {}).items()}
        executable = [path for path, made in facts.get("write", {}).items() if "executable" in made]

        def push() -> None:
            repository = self.instance.data.project(self.project).repository
            branch = rest.get("branch")
            ref = branch if branch in repository.branches else "HEAD"
            for path, pairs in edits.items():
                write[path] = _edited(repository.file(repository.resolve(ref), path)[1], pairs)
            self.instance.push(self.project, author, message, write=write, executable=executable, at=moment, **rest)

        self.events.append((moment, push))

    def _add_item(self, facts: Json, mark: str) -> None:
        """An issue (`#`) or a merge request (`!`) with everything that happens to it."""
        moment, author, title, rest = _read(facts)
        notes, text = rest.pop("notes", []), rest.pop("text", None)
        closed, merged, branch = (rest.pop(name, None) for name in ("closed", "merged", "branch"))
        made: list[Noteable] = []

        def reference() -> str:
            return f"{mark}{made[0].iid}"

        def make() -> None:
            if mark == "#":
                made.append(self.instance.open_issue(self.project, author, title, text, moment, **rest))
            else:
                opened = self.instance.open_merge_request(self.project, author, branch, title, text, moment, **rest)
                made.append(opened)

        self.events.append((moment, make))
        for note in notes:
            self._add_note(reference, note)
        if closed:
            at, user = _when(closed)
            self.events.append((at, lambda: self.instance.close(self.project, reference(), user, at)))
        if merged:
            merged_at, merger = _when(merged)
            self.events.append((merged_at, lambda: self.instance.merge(self.project, reference(), merger, merged_at)))

    def _add_note(self, reference: Callable[[], str], facts: Json, parent: list[int] | None = None) -> None:
        moment, author, body, rest = _read(facts)
        replies = rest.pop("replies", [])
        ids: list[int] = []

        def write() -> None:
            reply_to = parent[0] if parent else None
            note = self.instance.comment(self.project, reference(), author, body, moment, reply_to=reply_to, **rest)
            ids.append(note.id)

        self.events.append((moment, write))
        for reply in replies:
            self._add_note(reference, reply, ids)


def _read(facts: Json) -> tuple[datetime, str, str, Json]:
    """The time, the author and the text of an entry, and its further keys."""
    (first, text), *rest = facts.items()
    return *_when(first), text, dict(rest)


def _when(text: str) -> tuple[datetime, str]:
    day, time, user = text.split(" ")
    return datetime.fromisoformat(f"{day}T{time}Z"), user


def _content(made: str | Json) -> bytes:
    match made:
        case str():
            return made.encode()
        case {"crlf": text}:
            return text.replace("\n", "\r\n").encode()
        case {"latin1": text}:
            return text.encode("latin-1")
        case {"executable": text}:
            return text.encode()
        case {"base64": text}:
            return base64.b64decode(text)
        case {"line": line, "times": times}:
            return "".join(f"{line}\n".replace("{n}", str(number)) for number in range(times)).encode()
        case _:
            raise ValueError(f"a file can't be made from {sorted(made)}")


def _edited(content: bytes, pairs: list[list[str]]) -> bytes:
    text = content.decode()
    for old, new in pairs:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands {text.count(old)} times in the file")
        text = text.replace(old, new)
    return text.encode()
