"""A small GitLab and a small Backlog, served over HTTP: the upstream of the laws for work.

What belongs here: how they begin, and what the laws ask of both. What does not: what people do in them
(`gitlab_work.py`, `backlog_work.py`), and the laws (`test_work.py`).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from sync_assets.demo.backlog_content import build_space
from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.gitlab_content import build_instance
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.vector_stores import Audience
from sync_assets_tests.laws.world import PEOPLE, WORD, Clock, System, inside

WORK = "work"
# Projects of GitLab by id, and the keys of those that are followed in Backlog.
PROJECTS = (71, 72)
KEYS = ("PUMP", "VENT")
# A project of Backlog that is not followed.
ELSEWHERE = "ELSE"

_GITLAB: dict[str, Any] = {
    "url": "https://gitlab.small.example",
    "domain": "small.example",
    "token": "glpat-small",
    "user": "reader",
    "people": {name: name.title() for name in ("reader", *PEOPLE)},
    "projects": [
        {
            **{"id": number, "path": path, "name": path, "description": "", "visibility": visibility, "access": 20},
            "commits": [],
        }
        for number, path, visibility in zip(PROJECTS, ("small/pump", "small/vent"), ("private", "public"), strict=True)
    ],
}
_BACKLOG: dict[str, Any] = {
    "space": {"spaceKey": "small", "name": "Small", "timezone": "Asia/Tokyo"},
    "api_key": "backlog-small",
    "reader": "reader",
    "people": {name: {"name": name.title(), "lang": None, "nulab_account": False} for name in ("reader", *PEOPLE)},
    "files": {},
    "projects": {
        key: {
            **{"name": key.title(), "rule": rule, "issue_types": ["Task"], "categories": ["Pump"], "versions": ["1"]},
            **{"statuses": [], "custom_fields": {}, "issues": {}},
        }
        for key, rule in zip((*KEYS, ELSEWHERE), ("markdown", "backlog", "markdown"), strict=True)
    },
}


class WorkCompany(DemoCompany):
    """A company that has nothing but the two."""

    def __init__(self) -> None:
        self.desks = {}
        self.zoho = {}
        self.slack = {}
        self.discord = {}
        self.gitlab = {WORK: GitLabInstance(build_instance(_GITLAB))}
        self.backlog = {WORK: BacklogSpace(build_space(_BACKLOG))}
        self.portal = self.seed = None


class Said(NamedTuple):
    """A text that lives upstream.

    Attributes:
        is_public: whether people outside see it.
        people: who alone sees it of those inside, by name; all of them where it is None.
    """

    text: str
    is_public: bool = False
    people: frozenset[str] | None = None


class Work(System):
    """One stream of a system where work is done. Numbers of its actions choose a project, a record or a person."""

    def __init__(self, servers: DemoServers, clock: Clock) -> None:
        super().__init__(servers, clock, WORK)

    @abstractmethod
    def make(self, project: int, person: int = 0) -> str:
        """Make a record in a project; returns its id."""

    @abstractmethod
    def change(self, record_id: str) -> None:
        """Change what a record says, or for one that never changes, nothing."""

    @abstractmethod
    def remove(self, record_id: str) -> None:
        """Delete a record."""

    @abstractmethod
    def lose(self, project: int, way: int = 0) -> None:
        """The account may not see a project any more."""

    @abstractmethod
    def home(self, record_id: str) -> int:
        """The number of the project that a record lives in."""

    @abstractmethod
    def said(self) -> Iterator[Said]:
        """Every text that is to be found."""

    def make_one(self) -> None:
        self.clock.tick()
        self.make(0)

    def edit(self, number: int, _: int) -> None:
        if found := self.record_ids():
            self.change(self.of(found, number))

    def delete(self, number: int, _: int) -> None:
        if found := self.record_ids():
            self.remove(self.of(found, number))

    def principals(self) -> frozenset[str]:
        return frozenset(f"user:{name}" for name in PEOPLE)

    def readers(self) -> Iterator[tuple[Audience, set[str]]]:
        said = list(self.said())
        for name in PEOPLE:
            shown = (one.text for one in said if one.people is None or name in one.people)
            yield inside(f"user:{name}"), _words(shown)
        outside = Audience(visibility=Visibility.PUBLIC)
        yield outside, _words(one.text for one in said if one.is_public)


def _words(texts: Iterator[str]) -> set[str]:
    return {word for text in texts for word in WORD.findall(text)}
