"""What people do in a small Backlog space, one class for each stream."""

from collections.abc import Iterator
from typing import Any

import httpx

from sync_assets.demo.records import Json
from sync_assets.demo.server import DemoServers
from sync_assets.sources import Source, backlog
from sync_assets_tests.laws.work import ELSEWHERE, KEYS, WORK, Said, Work
from sync_assets_tests.laws.world import PEOPLE, Clock


class BacklogWork(Work):
    """The projects PUMP and VENT, which are followed, and a third one that is not; nobody outside sees anything."""

    source = "backlog"
    of_projects = ("rename_project", "archive", "unarchive", "lose", "regain", "next_day")

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        self.space = servers.company.backlog[WORK]
        self.space.reset()

    def open(self, tenant: str, transport: httpx.BaseTransport) -> Source:
        account = backlog.Account(**{**self.account, **self.settings})
        return backlog.Source(tenant, account, clock=self.clock, timer=self.clock.timer, transport=transport)

    def mend(self) -> None:
        for number in range(len(KEYS)):
            self.regain(number)
            self.unarchive(number)

    def rename_project(self, number: int, _: int = 0) -> None:
        self.project(number)["name"] = self.name()

    def archive(self, number: int, _: int = 0) -> None:
        self.space.archive(self.of(KEYS, number))

    def unarchive(self, number: int, _: int = 0) -> None:
        self.space.archive(self.of(KEYS, number), False)

    def lose(self, project: int, way: int = 0) -> None:
        if self._is_member(project):
            self.space.leave(self.of(KEYS, project))

    def regain(self, project: int, _: int = 0) -> None:
        if not self._is_member(project):
            self.space.join(self.of(KEYS, project))

    def project(self, number: int) -> Json:
        return self.space.data.project(self.of(KEYS, number))

    def home(self, record_id: str) -> int:
        data = self.space.data
        rows = {str(row["id"]): row for kind in (data.issues, data.wikis, data.documents) for row in kind.values()}
        return [self.project(number)["id"] for number in range(len(KEYS))].index(rows[_id(record_id)]["projectId"])

    def followed(self, rows: dict[Any, Json]) -> list[Json]:
        """Those rows that are of projects that are followed, archived ones too, since they are named."""
        ids = {self.project(number)["id"] for number in range(len(KEYS))}
        return [row for row in rows.values() if row["projectId"] in ids]

    def person(self, number: int) -> str:
        return self.of(PEOPLE, number)

    def _is_member(self, number: int) -> bool:
        return self.space.data.reader in self.space.data.members[self.project(number)["id"]]


class BacklogIssues(BacklogWork):
    """Issues. A comment that is edited or deleted moves no time: its issue is read again with its next change, which
    comes with `mend` at the latest."""

    stream = "issues"
    actions = (
        *("make", "make", "edit", "comment", "comment", "only_change", "retitle", "assign", "delete", "delete", "move"),
        *("move_elsewhere", "move_back", "edit_comment", "delete_comment", *BacklogWork.of_projects),
    )

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        self._silent: set[int] = set()

    def mend(self) -> None:
        super().mend()
        for issue in self._silent & self.space.data.issues.keys():
            self.space.set_status(issue, "ada", self.of(["In Progress", "Open"], issue), self.clock.tick())
        self._silent.clear()

    def make(self, project: int, person: int = 0) -> str:
        key, moment = self.of(KEYS, project), self.clock.now
        issue = self.space.add_issue(key, self.person(person), self.text(), moment, description=self.text())
        return f"issue-{issue['id']}"

    def change(self, record_id: str) -> None:
        self.space.update_issue(_number(record_id), "ada", self.clock.now, description=self.text())

    def remove(self, record_id: str) -> None:
        self.space.delete_issue(_number(record_id), "ada", self.clock.now)

    def retitle(self, number: int, person: int) -> None:
        self._update(number, person, summary=self.text())

    def assign(self, number: int, person: int) -> None:
        self._update(number, person, assignee=self.person(person) if person < 6 else None)

    def only_change(self, number: int, which: int) -> None:
        """An entry without words, of a field that stands in metadata."""
        changes = {"status": "Closed"}, {"category": ["Pump"]}, {"dueDate": "2026-11-09"}, {"priority": "Low"}
        self._update(number, which, **self.of(changes, which))

    def comment(self, number: int, person: int) -> None:
        for issue in self._issue(number):
            self.space.comment(issue["id"], self.person(person), self.text(), self.clock.now)

    def edit_comment(self, number: int, which: int) -> None:
        for issue, comment in self._comment(number, which):
            self.space.edit_comment(issue["id"], comment["id"], self.text(), self.clock.now)
            self._silent.add(issue["id"])

    def delete_comment(self, number: int, which: int) -> None:
        for issue, comment in self._comment(number, which):
            self.space.delete_comment(issue["id"], comment["id"])
            self._silent.add(issue["id"])

    def move(self, number: int, project: int) -> None:
        self._move(number, self.of(KEYS, project))

    def move_elsewhere(self, number: int, _: int) -> None:
        self._move(number, ELSEWHERE)

    def move_back(self, _: int, project: int) -> None:
        elsewhere = self.space.data.project(ELSEWHERE)["id"]
        for issue in [one for one in self.space.data.issues.values() if one["projectId"] == elsewhere]:
            self.space.move_issue(issue["id"], "ada", self.of(KEYS, project), self.clock.now)

    def record_ids(self) -> list[str]:
        return [f"issue-{issue['id']}" for issue in self.followed(self.space.data.issues)]

    def said(self) -> Iterator[Said]:
        for issue in self.followed(self.space.data.issues):
            yield Said(f"{issue['summary']} {issue['description']}")
            for comment in self.space.data.comments[issue["id"]]:
                yield Said(comment["content"] or "")

    def _update(self, number: int, person: int, **changes: Any) -> None:
        for issue in self._issue(number):
            self.space.update_issue(issue["id"], self.person(person), self.clock.now, **changes)

    def _move(self, number: int, key: str) -> None:
        for issue in self._issue(number):
            self.space.move_issue(issue["id"], "ada", key, self.clock.now)

    def _issue(self, number: int) -> list[Json]:
        """One issue, or none."""
        found = self.followed(self.space.data.issues)
        return [self.of(found, number)] if found else []

    def _comment(self, number: int, which: int) -> list[tuple[Json, Json]]:
        found = [
            (issue, comment)
            for issue in self._issue(number)
            for comment in self.space.data.comments[issue["id"]]
            if comment["content"]
        ]
        return [self.of(found, which)] if found else []


class BacklogWikis(BacklogWork):
    stream = "wikis"
    actions = ("make", "make", "edit", "edit", "rename", "delete", "delete", *BacklogWork.of_projects)

    def make(self, project: int, person: int = 0) -> str:
        key, title = self.of(KEYS, project), f"Field/{self.text()}"
        return f"wiki-{self.space.add_wiki(key, self.person(person), title, self.text(), self.clock.now)['id']}"

    def change(self, record_id: str) -> None:
        self.space.update_wiki(_number(record_id), "ada", self.clock.now, content=self.text())

    def remove(self, record_id: str) -> None:
        self.space.delete_wiki(_number(record_id), "ada", self.clock.now)

    def rename(self, number: int, _: int) -> None:
        if found := self.record_ids():
            self.space.update_wiki(_number(self.of(found, number)), "ada", self.clock.now, name=self.text())

    def record_ids(self) -> list[str]:
        return [f"wiki-{page['id']}" for page in self.followed(self.space.data.wikis)]

    def said(self) -> Iterator[Said]:
        for page in self.followed(self.space.data.wikis):
            yield Said(f"{page['name']} {page['content']}")


class BacklogDocuments(BacklogWork):
    """Documents. A comment moves no time: its document is read again with its next change, which comes with `mend` at
    the latest."""

    stream = "documents"
    actions = ("make", "make", "edit", "edit", "rename", "comment", "delete", "delete", *BacklogWork.of_projects)

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        self._silent: set[str] = set()

    def mend(self) -> None:
        super().mend()
        for document in self._silent & self.space.data.documents.keys():
            self.space.update_document(document, "ada", at=self.clock.tick())
        self._silent.clear()

    def make(self, project: int, person: int = 0) -> str:
        key, moment = self.of(KEYS, project), self.clock.now
        made = self.space.add_document(key, self.person(person), self.text(), self.text(), moment)
        return f"document-{made['id']}"

    def change(self, record_id: str) -> None:
        self.space.update_document(_id(record_id), "ada", text=self.text(), at=self.clock.now)

    def remove(self, record_id: str) -> None:
        self.space.delete_document(_id(record_id))

    def rename(self, number: int, _: int) -> None:
        if found := self.record_ids():
            document = _id(self.of(found, number))
            self.space.update_document(document, "ada", title=self.text(), at=self.clock.now)

    def comment(self, number: int, person: int) -> None:
        if found := self.record_ids():
            document = _id(self.of(found, number))
            self.space.comment_document(document, self.person(person), self.text(), self.clock.now)
            self._silent.add(document)

    def record_ids(self) -> list[str]:
        return [f"document-{each['id']}" for each in self.followed(self.space.data.documents)]

    def said(self) -> Iterator[Said]:
        for each in self.followed(self.space.data.documents):
            yield Said(f"{each['title']} {each['plain']}")
            for comment in self.space.data.document_comments[each["id"]]:
                yield Said(comment["plain"])


def _id(record_id: str) -> str:
    return record_id.partition("-")[2]


def _number(record_id: str) -> int:
    return int(_id(record_id))
