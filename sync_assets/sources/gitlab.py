"""GitLab: issues, merge requests, commits, files and wikis of projects.

What belongs here: the account, and which projects are read or reported as out of reach. What does not: requests
(`gitlab_web.py`), what a record is made of (`gitlab_work.py`, `gitlab_repository.py`), which files are worth reading
(`gitlab_files.py`), and how a record becomes a document (`gitlab_documents.py`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, NamedTuple, Protocol, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.gitlab_documents import DOCUMENTS
from sync_assets.sources.gitlab_files import FileRules
from sync_assets.sources.gitlab_repository import Commits, Files, Wikis
from sync_assets.sources.gitlab_web import NOT_SHOWN, Project, Web, deleted, malformed
from sync_assets.sources.gitlab_work import Work
from sync_assets.sources.http import ApiStatusError, Limits, Timer

STREAMS = ("issues", "merge_requests", "commits", "files", "wikis")

Pattern = Annotated[str, StringConstraints(min_length=1)]

_GLOB = re.compile(r"[*?\[]")
_UNREADABLE = "project"


class Account(BaseModel):
    """One tenant's GitLab, as it stands in `tenants.yaml`. A `*` in a pattern also matches `/`, hence subgroups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(default="https://gitlab.com", description="Root of the instance, without /api/v4")
    token: SecretStr = Field(min_length=1, description="Access token with the scope read_api")
    projects: list[Pattern] | None = Field(
        default=None,
        min_length=1,
        description="Full paths, ids (in quotes) or globs of the projects to sync; default all that the token's user "
        "is a member of",
    )
    exclude_projects: list[Pattern] = Field(
        default=[], description="Paths, ids or globs of projects to leave out; what is stored of them goes"
    )
    files: FileRules = Field(default_factory=FileRules, description="Which files of repositories are read")
    commit_days: int = Field(default=365, ge=1, le=36_500, description="Older commits are left out, in days")
    limits: Limits = Field(default_factory=Limits, description="How fast and how patiently the account is asked")

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL:
            raise ValueError("not a URL") from None
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
            raise ValueError("must be http(s)://host, without user, query and fragment")
        return value.rstrip("/")

    @property
    def named(self) -> list[str]:
        """What `projects` names by path or id, and not by a glob."""
        return [entry for entry in self.projects or [] if not _GLOB.search(entry)]

    def excludes(self, project: Project) -> bool:
        return _matches(self.exclude_projects, project.id, project.path_with_namespace)

    def selects(self, project: Project) -> bool:
        """Whether a project is to be synced, as far as its path and id tell."""
        return not self.excludes(project) and (
            self.projects is None or _matches(self.projects, project.id, project.path_with_namespace)
        )


def utc_now() -> datetime:
    """The present moment; the clock of a source unless another is given."""
    return datetime.now(UTC)


class _Kind(Protocol):
    """One stream's records in one project. All but `explain_absence` raise `ApiStatusError`."""

    name: str
    feature: str

    def probe(self, project: Project) -> None: ...

    def span(self, project: Project) -> list[datetime]: ...

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]: ...

    def listed(self, project: Project) -> Iterator[LiveId]: ...

    def now(self, project: Project, rest: str) -> Record: ...

    def explain_absence(self, project: Project) -> str | None: ...


class _Projects(NamedTuple):
    """The projects to sync by id, and why those that are named and can't be read can't."""

    readable: dict[int, Project]
    problems: dict[str, str]


class Source:
    """One tenant's GitLab, opened for one run. See `sync_assets.sources.Source` for the contract.

    Modification times: an issue's or merge request's `updated_at`, a commit's `committed_date`; a file or a wiki page
    has none that a listing tells, so it has its project's creation, and `cheap_version` decides. That also holds what
    documents take from their project (path, visibility), so that a renamed or opened project is read again.

    A record is deleted where a project that shows its stream answers 404 for it; a project or a stream that is not
    shown hides its records.

    Args:
        clock: wall clock, for `observed_at` and the upper bound of listings.
        timer: see `ApiClient`.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        account: Account,
        *,
        clock: Callable[[], datetime] = utc_now,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._account = account
        self._clock = clock
        self._setting = f"tenants.{tenant}.gitlab"
        self._web = web = Web(
            tenant,
            account.base_url,
            account.token.get_secret_value(),
            setting=self._setting,
            limits=account.limits,
            clock=clock,
            timer=timer,
            transport=transport,
        )
        self._kinds: dict[str, _Kind] = {
            "issues": Work(web, "issue", "issues"),
            "merge_requests": Work(web, "merge_request", "merge_requests"),
            "commits": Commits(web, account.commit_days),
            "files": Files(web, account.files),
            "wikis": Wikis(web),
        }

    def check(self) -> str:
        user = self._web.get("/user")
        projects = self._projects()
        for problem in projects.problems.values():
            raise SourceError(f"{self._tenant}: {problem}.", f"Correct {self._setting}.projects.")
        name = user.get("username") if isinstance(user, dict) else None
        return f"{self._web.host}, user {name}, {len(projects.readable)} projects to sync"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        kind = self._kind(stream)
        times: list[datetime] = []
        for project in self._projects().readable.values():
            try:
                if _has_branch(kind, project):
                    times += kind.span(project)
            except ApiStatusError as error:
                self._reason(kind, project, error)
        return (min(times), max(times)) if times else None

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        kind = self._kind(stream)
        projects = self._projects()
        for entry, problem in projects.problems.items():
            yield malformed(f"{_UNREADABLE}-{entry}", problem, self._clock())
        for project in projects.readable.values():
            if not _has_branch(kind, project):
                continue
            try:
                yield from kind.changed(project, since, until)
            except ApiStatusError as error:
                reason = self._reason(kind, project, error)
                if not project.is_off(kind.feature):
                    yield malformed(f"{kind.name}-{project.id}", reason, self._clock())

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        kind = self._kind(stream)
        projects = self._projects()
        for entry, problem in projects.problems.items():
            # A path does not tell whose records are hidden: `fetch` finds out for each.
            if entry.isdigit():
                yield Hidden(prefix=f"{kind.name}-{entry}-", reason=problem)
        for project in projects.readable.values():
            prefix = f"{kind.name}-{project.id}-"
            if not _has_branch(kind, project):
                yield Hidden(prefix=prefix, reason=f"{project.path_with_namespace} shows no default branch")
                continue
            try:
                yield from kind.listed(project)
            except ApiStatusError as error:
                yield Hidden(prefix=prefix, reason=self._reason(kind, project, error))

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        kind = self._kind(stream)
        wanted = list(record_ids)
        if wanted:
            yield from self._web.map(partial(self._now, kind, self._projects()), wanted)

    def to_document(self, stream: str, record: Record) -> Document:
        self._kind(stream)
        return DOCUMENTS[stream](self._tenant, record.record_id, record.payload)

    def close(self) -> None:
        self._web.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _kind(self, stream: str) -> _Kind:
        if stream not in STREAMS:
            raise SourceError(f"GitLab has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")
        return self._kinds[stream]

    # Projects

    def _projects(self) -> _Projects:
        members = self._web.member_projects()
        readable = {project.id: project for project in members if self._account.selects(project)}
        problems: dict[str, str] = {}
        for entry in self._account.named:
            if any(_matches([entry], project.id, project.path_with_namespace) for project in members):
                continue
            try:
                project = self._web.project(entry)
            except ApiStatusError as error:
                problems[entry] = self._not_shown(f"project {entry}", error)
                continue
            if not self._account.excludes(project):
                readable[project.id] = project
        return _Projects(dict(sorted(readable.items())), problems)

    def _not_shown(self, what: str, error: ApiStatusError) -> str:
        """Why something is not shown; any other error passes through."""
        if error.status not in NOT_SHOWN:
            raise error
        return (
            f"{self._web.host} does not show {what} (status {error.status}): let the token's user see it, or name the "
            f"project in {self._setting}.exclude_projects to remove what is stored of it"
        )

    def _reason(self, kind: _Kind, project: Project, error: ApiStatusError) -> str:
        return self._not_shown(f"the {kind.feature} of {project.path_with_namespace} ({project.id})", error)

    # Single records

    def _now(self, kind: _Kind, projects: _Projects, record_id: str) -> Record:
        """A record as it is now. Runs in the client's threads."""
        name, _, rest = record_id.partition("-")
        if name == _UNREADABLE:
            problem = projects.problems.get(rest)
            return malformed(record_id, problem, self._clock()) if problem else deleted(record_id, self._clock())
        number, _, rest = rest.partition("-")
        is_id = name == kind.name and number.isascii() and number.isdigit()
        if not is_id or (isinstance(kind, Work) and rest and not (rest.isascii() and rest.isdigit())):
            return malformed(record_id, "GitLab can't be asked for it: its id is of another form", self._clock())
        if _matches(self._account.exclude_projects, int(number), None):
            return deleted(record_id, self._clock())
        project = projects.readable.get(int(number))
        if project is None:
            return self._of_no_project(record_id, number)
        if not _has_branch(kind, project):
            problem = f"{project.path_with_namespace} shows no default branch"
            return malformed(record_id, problem, self._clock())
        return self._of_project(kind, project, record_id, rest)

    def _of_no_project(self, record_id: str, number: str) -> Record:
        """A record whose project is not among those to sync: left out on purpose, or out of reach."""
        try:
            project = self._web.project(number)
        except ApiStatusError as error:
            return malformed(record_id, self._not_shown(f"project {number}", error), self._clock())
        if not self._account.selects(project):
            return deleted(record_id, self._clock())
        problem = (
            f"the token's user is no member of {project.path_with_namespace} any more: make it one, or name the "
            f"project in {self._setting}.exclude_projects to remove what is stored of it"
        )
        return malformed(record_id, problem, self._clock())

    def _of_project(self, kind: _Kind, project: Project, record_id: str, rest: str) -> Record:
        try:
            if rest:
                return kind.now(project, rest)
        except ApiStatusError as error:
            if error.status != 404:
                return malformed(record_id, error.message, self._clock())
        try:
            kind.probe(project)
        except ApiStatusError as error:
            reason = self._reason(kind, project, error)
            if not rest and project.is_off(kind.feature):
                return deleted(record_id, self._clock())
            return malformed(record_id, reason, self._clock())
        reason = kind.explain_absence(project) if rest else None
        return malformed(record_id, reason, self._clock()) if reason else deleted(record_id, self._clock())


def _has_branch(kind: _Kind, project: Project) -> bool:
    """Whether a project shows what a stream of its repository needs; an empty repository has no branch."""
    return kind.feature != "repository" or project.default_branch is not None


def _matches(entries: Iterable[str], project_id: int, path: str | None) -> bool:
    known = [str(project_id)] if path is None else [str(project_id), path.lower()]
    return any(fnmatchcase(value, entry.lower()) for entry in entries for value in known)
