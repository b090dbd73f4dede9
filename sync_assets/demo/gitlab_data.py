"""What a GitLab instance holds: projects with their repository, issues, merge requests, notes and wiki pages."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sync_assets.demo.gitlab_repository import Repository
from sync_assets.demo.records import Json

Feature = Literal["issues", "merge_requests", "wiki", "repository"]
FEATURES: tuple[Feature, ...] = ("issues", "merge_requests", "wiki", "repository")

REPORTER = 20


@dataclass
class Note:
    """A comment, or what GitLab noted by itself (`system`).

    Attributes:
        author: user name.
        internal: only members from reporter on see it.
        discussion: the id of the discussion that it belongs to.
        position: the file and line that a comment on a difference stands at.
    """

    id: int
    body: str
    author: str
    created_at: datetime
    updated_at: datetime
    discussion: str
    system: bool = False
    internal: bool = False
    position: Json | None = None


@dataclass
class Noteable:
    """What an issue and a merge request have in common; people are user names."""

    id: int
    iid: int
    title: str
    description: str | None
    author: str
    created_at: datetime
    updated_at: datetime
    labels: list[str] = field(default_factory=list[str])
    assignees: list[str] = field(default_factory=list[str])
    state: str = "opened"
    closed_at: datetime | None = None
    closed_by: str | None = None
    notes: list[Note] = field(default_factory=list[Note])


@dataclass
class Issue(Noteable):
    """An issue; `kind` is `issue`, `incident` or `task`."""

    confidential: bool = False
    kind: str = "issue"
    due_date: str | None = None


@dataclass
class MergeRequest(Noteable):
    """A merge request.

    Attributes:
        base_sha, head_sha: the commits between which its changes lie.
    """

    source_branch: str = ""
    target_branch: str = ""
    base_sha: str = ""
    head_sha: str = ""
    draft: bool = False
    reviewers: list[str] = field(default_factory=list[str])
    merged_at: datetime | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None


@dataclass
class WikiPage:
    """A page of a wiki, which GitLab keeps without times."""

    title: str
    content: str

    @property
    def slug(self) -> str:
        return self.title.replace(" ", "-")


@dataclass
class Project:
    """A project with everything in it.

    Attributes:
        path: full path, such as `acme/field-guides`.
        off: features that are switched off.
    """

    id: int
    path: str
    name: str
    description: str
    visibility: str
    created_at: datetime
    last_activity_at: datetime
    repository: Repository = field(default_factory=Repository)
    issues: dict[int, Issue] = field(default_factory=dict[int, Issue])
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict[int, MergeRequest])
    wiki: dict[str, WikiPage] = field(default_factory=dict[str, WikiPage])
    off: set[Feature] = field(default_factory=set[Feature])
    archived: bool = False
    last_issue: int = 0
    last_merge_request: int = 0


@dataclass
class GitLabData:
    """One GitLab instance as the user of one token finds it.

    Attributes:
        url: where people find the instance, without a final slash.
        domain: of the people's mail addresses.
        token: the access token that the API is read with.
        user: user name of the token's owner.
        users: people as the API sends them, by user name.
        moved: projects by the paths that they had.
        access: the token's access level by project; a project that is not there has none.
        last_id: the last number that was given to an issue, a merge request or a note.
    """

    url: str
    domain: str
    token: str
    user: str
    users: dict[str, Json] = field(default_factory=dict[str, Json])
    projects: dict[int, Project] = field(default_factory=dict[int, Project])
    moved: dict[str, int] = field(default_factory=dict[str, int])
    access: dict[int, int] = field(default_factory=dict[int, int])
    last_id: int = 41_000_000

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def project(self, key: int | str) -> Project:
        """The project with this id or full path.

        Raises:
            KeyError: there is none.
        """
        for project in self.projects.values():
            if str(key) in (str(project.id), project.path):
                return project
        raise KeyError(key)

    def may_read(self, project: Project) -> bool:
        """Whether the token's user may know of the project."""
        return project.visibility != "private" or project.id in self.access

    def is_insider(self, project: Project) -> bool:
        """Whether the token's user may read what is confidential or internal in the project."""
        return self.access.get(project.id, 0) >= REPORTER
