"""What people do in a small GitLab, one class for each stream."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx

from sync_assets.demo.gitlab_data import Feature, Issue, MergeRequest, Noteable, Project
from sync_assets.demo.gitlab_repository import FileDiff, as_text, is_folder
from sync_assets.demo.server import DemoServers
from sync_assets.sources import Source, gitlab
from sync_assets_tests.laws.work import PROJECTS, WORK, Said, Work
from sync_assets_tests.laws.world import PEOPLE, START, WORD, Clock

_MEMBER, _GUEST = 20, 10
# Files below it are not read.
_LEFT_OUT = "vendor/"


class GitLabWork(Work):
    """The private project `small/pump` and the public project `small/vent`, from one hour after their making on."""

    source = "gitlab"
    feature: Feature
    of_projects = ("rename_project", "turn", "lose", "lose", "regain", "next_day")

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        clock.now = START + timedelta(hours=7)
        self.instance = servers.company.gitlab[WORK]
        self.instance.reset()

    def open(self, tenant: str, transport: httpx.BaseTransport) -> Source:
        account = gitlab.Account(**{**self.account, **self.settings})
        return gitlab.Source(tenant, account, clock=self.clock, timer=self.clock.timer, transport=transport)

    def mend(self) -> None:
        for number in range(len(PROJECTS)):
            self.regain(number)

    def rename_project(self, number: int, _: int = 0) -> None:
        project = self.project(number)
        self.instance.move_project(project.id, f"small/{self.name()}")

    def turn(self, number: int, _: int = 0) -> None:
        """Make a private project public, or a public one private."""
        project = self.project(number)
        project.visibility = "public" if project.visibility == "private" else "private"

    def lose(self, project: int, way: int = 0) -> None:
        """The token's user is no member any more, or only a guest, or what is followed is switched off."""
        kept = self.project(project)
        if way % 3 == 2:
            self.instance.switch_feature(kept.id, self.feature, False)
        else:
            self.instance.set_access(kept.id, _GUEST if way % 3 else None)

    def regain(self, project: int, _: int = 0) -> None:
        kept = self.project(project)
        self.instance.switch_feature(kept.id, self.feature, True)
        self.instance.set_access(kept.id, _MEMBER)

    def project(self, number: int) -> Project:
        return self.instance.data.projects[self.of(PROJECTS, number)]

    def projects(self) -> list[Project]:
        return list(self.instance.data.projects.values())

    def person(self, number: int) -> str:
        return self.of(PEOPLE, number)

    def home(self, record_id: str) -> int:
        return PROJECTS.index(self.place(record_id)[0].id)

    def place(self, record_id: str) -> tuple[Project, str]:
        """The project of a record, and what names it there."""
        _, project, rest = record_id.split("-", 2)
        return self.instance.data.projects[int(project)], rest


class _Discussed(GitLabWork):
    """Issues or merge requests."""

    mark: str
    of_all = ("make", "edit", "retitle", "comment", "comment", "note_inside", "edit_note", "delete_note", "delete_note")
    facts = ("label", "assign", "close", "reopen")

    @abstractmethod
    def items(self, project: Project) -> list[Any]: ...

    def record_ids(self) -> list[str]:
        name = self.stream.removesuffix("s")
        return [f"{name}-{project.id}-{item.iid}" for project in self.projects() for item in self.items(project)]

    def change(self, record_id: str) -> None:
        project, iid = self.place(record_id)
        self.instance.edit(project.id, f"{self.mark}{iid}", "ada", self.clock.now, description=self.text())

    def remove(self, record_id: str) -> None:
        project, iid = self.place(record_id)
        self.instance.delete(project.id, f"{self.mark}{iid}")

    def retitle(self, number: int, person: int) -> None:
        for project, item in self.one(number):
            self._edit(project, item, person, title=self.text())

    def label(self, number: int, second: int) -> None:
        for project, item in self.one(number):
            self._edit(project, item, second, labels=[self.name()])

    def assign(self, number: int, person: int) -> None:
        for project, item in self.one(number):
            self._edit(project, item, person, assignees=[self.person(person)] if person < 6 else [])

    def close(self, number: int, person: int) -> None:
        for project, item in self.one(number):
            self.instance.close(project.id, f"{self.mark}{item.iid}", self.person(person), self.clock.now)

    def reopen(self, number: int, _: int) -> None:
        for project, item in self.one(number):
            if item.state == "closed":
                self.instance.reopen(project.id, f"{self.mark}{item.iid}", self.clock.now)

    def comment(self, number: int, person: int, **facts: Any) -> None:
        for project, item in self.one(number):
            reference, moment = f"{self.mark}{item.iid}", self.clock.now
            self.instance.comment(project.id, reference, self.person(person), self.text(), moment, **facts)

    def note_inside(self, number: int, person: int) -> None:
        self.comment(number, person, internal=True)

    def edit_note(self, number: int, which: int) -> None:
        for project, item, note in self._note(number, which):
            self.instance.edit_note(project.id, f"{self.mark}{item.iid}", note.id, self.text(), self.clock.now)

    def delete_note(self, number: int, which: int) -> None:
        for project, item, note in self._note(number, which):
            self.instance.delete_note(project.id, f"{self.mark}{item.iid}", note.id)

    def one(self, number: int) -> list[tuple[Project, Any]]:
        """One issue or merge request with its project, or none."""
        found = [(project, item) for project in self.projects() for item in self.items(project)]
        return [self.of(found, number)] if found else []

    def discussion(self, project: Project, item: Noteable, people: frozenset[str] | None = None) -> Iterator[Said]:
        """Title, description and comments, for these people."""
        is_public = project.visibility == "public" and people is None
        yield Said(f"{item.title} {item.description}", is_public, people)
        for note in item.notes:
            if not note.system:
                yield Said(note.body, is_public and not note.internal, people)

    def _edit(self, project: Project, item: Noteable, person: int, **changes: Any) -> None:
        reference = f"{self.mark}{item.iid}"
        self.instance.edit(project.id, reference, self.person(person), self.clock.now, **changes)

    def _note(self, number: int, which: int) -> list[tuple[Project, Any, Any]]:
        found = [(project, item, note) for project, item in self.one(number) for note in item.notes if not note.system]
        return [self.of(found, which)] if found else []


class GitLabIssues(_Discussed):
    stream, feature, mark = "issues", "issues", "#"
    facts = (*_Discussed.facts, "confide", "confide", "reveal")
    actions = ("make", *_Discussed.of_all, "delete", *facts, *GitLabWork.of_projects)

    def items(self, project: Project) -> list[Issue]:
        return list(project.issues.values())

    def make(self, project: int, person: int = 0) -> str:
        place = self.project(project).id
        issue = self.instance.open_issue(place, self.person(person), self.text(), self.text(), self.clock.now)
        return f"issue-{place}-{issue.iid}"

    def confide(self, number: int, person: int, on: bool = True) -> None:
        for project, issue in self.one(number):
            self.instance.make_confidential(project.id, f"#{issue.iid}", self.person(person), on, self.clock.now)

    def reveal(self, number: int, person: int) -> None:
        self.confide(number, person, on=False)

    def said(self) -> Iterator[Said]:
        for project in self.projects():
            for issue in project.issues.values():
                people = frozenset({issue.author, *issue.assignees}) if issue.confidential else None
                yield from self.discussion(project, issue, people)


class _Coded(GitLabWork):
    """Streams of a repository: each has files with several words."""

    feature = "repository"
    pushes = ("push", "push", "edit_file", "edit_file", "rename_file", "delete_file", "leave_out", "mark_generated")

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        for number in range(len(PROJECTS)):
            self.push(number, 0)

    def push(self, project: int, kind: int, branch: str | None = None) -> str:
        """Push a new file of Python, Markdown or plain text; returns its path."""
        path = f"{self.name()}{self.of(['.py', '.md', '.txt'], kind)}"
        self._push(self.project(project), write={path: self._content(path)}, branch=branch)
        return path

    def edit_file(self, number: int, word: int) -> None:
        """Put a new word into the place of another."""
        for project, path in self._file(number):
            content = self.content(project, path)
            if words := WORD.findall(content):
                changed = content.replace(self.of(words, word), WORD.findall(self.text())[0])
                self._push(project, write={path: changed})

    def rename_file(self, number: int, _: int = 0) -> None:
        for project, path in self._file(number):
            ending = path.rpartition(".")[2]
            self._push(project, rename={path: f"moved/{self.name()}.{ending}"})

    def leave_out(self, number: int, _: int = 0) -> None:
        """Put a file to those that others wrote."""
        for project, path in self._file(number):
            self._push(project, rename={path: f"{_LEFT_OUT}{self.name()}.py"})

    def mark_generated(self, number: int, _: int = 0) -> None:
        for project, path in self._file(number):
            self._push(project, write={path: f"# @generated {self.name()}\n"})

    def delete_file(self, number: int, _: int = 0) -> None:
        for project, path in self._file(number):
            self._push(project, delete=[path])

    def take_back(self, project: int, _: int = 0) -> None:
        """A forced push takes the newest commit away."""
        repository = self.project(project).repository
        if parents := repository.commit_of(repository.resolve("HEAD")).parents:
            repository.branches[repository.default] = parents[0]

    def paths(self, project: Project) -> list[str]:
        """The files of the default branch that are read."""
        entries = project.repository.tree(project.repository.resolve("HEAD"), "", True)
        paths = [(entry.path or b"").decode() for entry in entries if not is_folder(entry)]
        return [path for path in paths if not path.startswith(_LEFT_OUT)]

    def content(self, project: Project, path: str) -> str:
        return as_text(project.repository.file(project.repository.resolve("HEAD"), path)[1])

    def changes(self, changes: list[FileDiff]) -> str:
        """What is to be found of the changes of files."""
        sent = [change.sent for change in changes]
        return " ".join(one["diff"] for one in sent if not one["new_path"].startswith(_LEFT_OUT))

    def _content(self, path: str) -> str:
        if not path.endswith(".py"):
            return "".join(f"# Part {number}\n\n{self.text()}\n\n" for number in range(3))
        functions = (f'\n\ndef part_{number}():\n    return "{self.text()}"\n' for number in range(3))
        return f'NOTE = "{self.text()}"\n' + "".join(functions)

    def _push(self, project: Project, **changes: Any) -> str:
        return self.instance.push(project.id, "ada", self.text(), at=self.clock.now, **changes)

    def _file(self, number: int) -> list[tuple[Project, str]]:
        """One file with its project, or none."""
        found = [(project, path) for project in self.projects() for path in self.paths(project)]
        return [self.of(found, number)] if found else []


class GitLabFiles(_Coded):
    stream = "files"
    actions = (*_Coded.pushes, "edit", "delete", "take_back", *GitLabWork.of_projects)

    def make(self, project: int, person: int = 0) -> str:
        return f"file-{self.project(project).id}-{self.push(project, person)}"

    def change(self, record_id: str) -> None:
        project, path = self.place(record_id)
        self._push(project, write={path: self._content(path)})

    def remove(self, record_id: str) -> None:
        project, path = self.place(record_id)
        self._push(project, delete=[path])

    def record_ids(self) -> list[str]:
        return [f"file-{project.id}-{path}" for project in self.projects() for path in self.paths(project)]

    def said(self) -> Iterator[Said]:
        for project in self.projects():
            for path in self.paths(project):
                yield Said(self.content(project, path), project.visibility == "public")


class GitLabCommits(_Coded):
    stream = "commits"
    actions = (*_Coded.pushes, "take_back", "branch_and_merge", *GitLabWork.of_projects)

    def make(self, project: int, person: int = 0) -> str:
        self.push(project, person)
        kept = self.project(project)
        return f"commit-{kept.id}-{kept.repository.resolve('HEAD')}"

    def change(self, record_id: str) -> None:
        """A commit never changes."""

    def remove(self, record_id: str) -> None:
        """Of the newest one only."""
        self.take_back(self.home(record_id))

    def branch_and_merge(self, project: int, person: int) -> None:
        """What is merged reaches the branch with older times."""
        branch, kept = self.name(), self.project(project)
        self.push(project, person, branch)
        request = self.instance.open_merge_request(kept.id, "ada", branch, self.text(), at=self.clock.now)
        self.instance.merge(kept.id, f"!{request.iid}", "ada", self.clock.tick())

    def record_ids(self) -> list[str]:
        return [f"commit-{project.id}-{sha}" for project in self.projects() for sha in self._shas(project)]

    def said(self) -> Iterator[Said]:
        for project in self.projects():
            for sha in self._shas(project):
                message = project.repository.commit_of(sha).message.decode()
                text = f"{message} {self.changes(project.repository.changes_of(sha))}"
                yield Said(text, project.visibility == "public")

    def _shas(self, project: Project) -> list[str]:
        """Commits of the default branch, merges aside."""
        repository = project.repository
        return [sha for sha in repository.log(["HEAD"]) if len(repository.commit_of(sha).parents) < 2]


class GitLabMergeRequests(_Discussed, _Coded):
    stream, feature, mark = "merge_requests", "merge_requests", "!"
    actions = ("make", *_Discussed.of_all, "delete", *_Discussed.facts, "push_more", "merge", *GitLabWork.of_projects)

    def items(self, project: Project) -> list[MergeRequest]:
        return list(project.merge_requests.values())

    def make(self, project: int, person: int = 0) -> str:
        kept, branch = self.project(project), self.name()
        self.push(project, person, branch)
        asked = self.instance.open_merge_request(
            kept.id, self.person(person), branch, self.text(), self.text(), self.clock.now
        )
        return f"merge_request-{kept.id}-{asked.iid}"

    def push_more(self, number: int, kind: int) -> None:
        for project, request in self.one(number):
            self.push(PROJECTS.index(project.id), kind, request.source_branch)

    def merge(self, number: int, person: int) -> None:
        for project, request in self.one(number):
            if request.state == "opened":
                self.instance.merge(project.id, f"!{request.iid}", self.person(person), self.clock.now)

    def said(self) -> Iterator[Said]:
        for project in self.projects():
            for request in project.merge_requests.values():
                yield from self.discussion(project, request)
                changes = project.repository.diff(request.base_sha, request.head_sha)
                yield Said(self.changes(changes), project.visibility == "public")


class GitLabWikis(GitLabWork):
    stream, feature = "wikis", "wiki"
    actions = ("make", "make", "edit", "edit", "move", "move", "delete", *GitLabWork.of_projects)

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock)
        # An empty wiki is believed only beside code.
        for project in self.projects():
            self.instance.push(project.id, "ada", "Begin", write={"README.md": ""}, at=clock.now)

    def make(self, project: int, person: int = 0) -> str:
        kept = self.project(project)
        page = self.instance.write_wiki_page(kept.id, f"Field/{self.name()} {person}", self.text())
        return f"wiki-{kept.id}-{page.slug}"

    def change(self, record_id: str) -> None:
        project, slug = self.place(record_id)
        self.instance.write_wiki_page(project.id, project.wiki[slug].title, self.text())

    def remove(self, record_id: str) -> None:
        project, slug = self.place(record_id)
        self.instance.delete_wiki_page(project.id, slug)

    def move(self, number: int, _: int) -> None:
        if found := self.record_ids():
            project, slug = self.place(self.of(found, number))
            self.instance.move_wiki_page(project.id, slug, f"Moved/{self.name()}")

    def record_ids(self) -> list[str]:
        return [f"wiki-{project.id}-{slug}" for project in self.projects() for slug in project.wiki]

    def said(self) -> Iterator[Said]:
        for project in self.projects():
            for page in project.wiki.values():
                yield Said(page.content, project.visibility == "public")
