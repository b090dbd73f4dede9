"""The starting data of a Backlog space, made from a profile such as `data/polder/backlog.yaml`.

In a profile people have short names, times are UTC without their year (`11-03 01:20`), and files are written as what
is in them: `sheets` of rows for a workbook, `rows` with an `encoding` for a CSV file, `text` with an `encoding`
otherwise. The projects' issues stand below their number. An issue has, beside fields as `backlog_fields.change` takes
them, and a wiki page or a document likewise where it applies:

    at         its moment and author, `11-02 00:40 tanaka`
    log        what came later: a mapping whose first key is moment and author and whose value is the comment's text,
               or null for changes alone; `set` has the changes, `edited` the moment of an edit
    files      names of files that were attached
    deleted    moment and person of its deletion
"""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from sync_assets.demo import backlog_records as records
from sync_assets.demo.backlog_records import SpaceData
from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.records import Json

_YEAR = 2026
_FIRST_IDS = {"comment": 480200, "attachment": 9300, "activity": 815000, "wiki": 5200}
_DONE_BY_BUILD = ("at", "log", "files", "deleted")

Event = tuple[datetime, Callable[[], Any]]


def build_space(profile: Json) -> SpaceData:
    """The space that a profile describes.

    Args:
        profile: `space`, `api_key`, `reader`, `people`, `files`, and `projects` with `issues`, `wikis`, `documents`.
    """
    data = SpaceData(profile["space"], profile["api_key"], reader=0, last_ids=dict(_FIRST_IDS))
    for number, (handle, facts) in enumerate(profile["people"].items(), start=1101):
        data.users[number] = records.new_user(number, handle, **facts)
    data.reader = data.user(profile["reader"])["id"]
    files = {name: _content(spec) for name, spec in profile["files"].items()}
    space = BacklogSpace(data)
    events: list[Event] = []
    for project_id, (key, facts) in enumerate(profile["projects"].items(), start=71):
        _add_project(space.data, project_id, key, facts)
        events += _events(space, key, facts, files)
    # In the order of time, so that ids of comments and activities grow with it.
    for _, happens in sorted(events, key=lambda event: event[0]):
        happens()
    for key, facts in profile["projects"].items():
        space.archive(key, facts.get("archived", False))
    return space.data


def _add_project(data: SpaceData, project_id: int, key: str, facts: Json) -> None:
    data.projects[project_id] = records.new_project(project_id, key, facts["name"], facts["rule"])
    data.settings[project_id] = records.new_settings(project_id, facts)
    data.members[project_id] = list(data.users)
    data.activities[project_id] = []
    data.last_ids[f"issue of {project_id}"] = 0


def _events(space: BacklogSpace, project: str, facts: Json, files: dict[str, bytes]) -> Iterable[Event]:
    """What happened in a project, in any order."""
    for number, entry in facts["issues"].items():
        yield from _of_issue(space, project, f"{project}-{number}", entry, files)
    for entry in facts.get("wikis", []):
        yield from _of_wiki(space, project, entry, files)
    for entry in facts.get("documents", []):
        yield from _of_document(space, project, entry)


def _of_issue(space: BacklogSpace, project: str, key: str, entry: Json, files: dict[str, bytes]) -> Iterable[Event]:
    at, author = _heading(entry["at"])
    fields = {name: value for name, value in entry.items() if name not in _DONE_BY_BUILD}
    yield at, lambda: space.add_issue(project, author, at=at, **fields)
    for name in entry.get("files", []):
        yield at, lambda name=name: space.attach(key, author, name, files[name], at)
    for step in entry.get("log", []):
        yield _step(space, key, step)
    if "deleted" in entry:
        gone, person = _heading(entry["deleted"])
        yield gone, lambda: space.delete_issue(key, person, gone)


def _step(space: BacklogSpace, key: str, step: Json) -> Event:
    (heading, text), *more = step.items()
    at, author = _heading(heading)
    told: Json = dict(more)

    def happens() -> None:
        comment = space.comment(key, author, text, at, **told.get("set", {}))
        if "edited" in told:
            space.edit_comment(key, comment["id"], text, _moment(told["edited"]))

    return at, happens


def _of_wiki(space: BacklogSpace, project: str, entry: Json, files: dict[str, bytes]) -> Iterable[Event]:
    at, author = _heading(entry["at"])
    project_id, name = space.data.project(project)["id"], entry["name"]
    yield at, lambda: space.add_wiki(project, author, name, entry["content"], at)

    def page() -> int:
        pages = space.data.wikis.values()
        return next(each["id"] for each in pages if (each["projectId"], each["name"]) == (project_id, name))

    for file in entry.get("files", []):
        yield at, lambda file=file: space.attach_to_wiki(page(), author, file, files[file], at)
    if "deleted" in entry:
        gone, person = _heading(entry["deleted"])
        yield gone, lambda: space.delete_wiki(page(), person, gone)


def _of_document(space: BacklogSpace, project: str, entry: Json) -> Iterable[Event]:
    at, author = _heading(entry["at"])
    title = entry["title"]
    yield at, lambda: space.add_document(project, author, title, entry["text"], at)

    def document() -> str:
        return next(number for number, each in space.data.documents.items() if each["title"] == title)

    for step in entry.get("log", []):
        ((heading, text),) = step.items()
        then, person = _heading(heading)
        yield then, lambda then=then, person=person, text=text: space.comment_document(document(), person, text, then)


def _heading(heading: str) -> tuple[datetime, str]:
    """Moment and person of `11-02 00:40 tanaka`."""
    when, _, person = heading.rpartition(" ")
    return _moment(when), person


def _moment(when: str) -> datetime:
    return datetime.fromisoformat(f"{_YEAR}-{when}").replace(tzinfo=UTC)


def _content(spec: Json) -> bytes:
    """The bytes of a file, the same at every start."""
    if "sheets" in spec:
        return _workbook(spec["sheets"])
    if "rows" in spec:
        text = io.StringIO()
        csv.writer(text).writerows(spec["rows"])
        return text.getvalue().encode(spec["encoding"])
    return spec["text"].encode(spec["encoding"])


def _workbook(sheets: Json) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        book.set_properties({"created": datetime(_YEAR, 11, 2, tzinfo=UTC)})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return content.getvalue()
