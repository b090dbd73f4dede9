"""GitLab: issues, merge requests, commits, files and wikis of projects.

What belongs here: the account, and which projects are read or reported as out of reach. What does not: requests
(`gitlab_web.py`), what a record is made of (`gitlab_work.py`, `gitlab_repository.py`, `gitlab_wikis.py`), which files
are worth reading (`gitlab_files.py`), and how a record becomes a document (`gitlab_documents.py`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Annotated, Any, NamedTuple, Protocol, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.gitlab_documents import DOCUMENTS
from sync_assets.sources.gitlab_files import FileRules
from sync_assets.sources.gitlab_graph import with_graph
from sync_assets.sources.gitlab_repository import Commits, Files
from sync_assets.sources.gitlab_web import NOT_SHOWN, Project, Web, deleted, malformed, version_of
from sync_assets.sources.gitlab_wikis import Wikis
from sync_assets.sources.gitlab_work import Work
from sync_assets.sources.http import ApiStatusError, BaseUrl, Limits, Timer

STREAMS = ("issues", "merge_requests", "commits", "files", "wikis")

Pattern = Annotated[str, StringConstraints(min_length=1)]

_GLOB = re.compile(r"[*?\[]")
_UNREADABLE = "project"


class Account(BaseModel):
    """One tenant's GitLab, as it stands in `tenants.yaml`. A `*` in a pattern also matches `/`, hence subgroups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseUrl = Field(default="https://gitlab.com", description="Root of the instance, without /api/v4")
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


class _Kind(Protocol):
    """One stream's records in one project. All but `explain_absence` raise `ApiStatusError`."""

    name: str
    feature: str

    def probe(self, project: Project) -> None: ...

    def span(self, project: Project) -> list[datetime]: ...

    def newest(self, project: Project) -> Any: ...

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
            max_file_bytes=account.files.max_bytes,
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
        if projects.problems:
            problems = "; ".join(projects.problems.values())
            raise SourceError(f"{self._tenant}: {problems}.", f"Correct {self._setting}.projects.")
        name = user.get("username") if isinstance(user, dict) else None
        return f"{self._web.host}, user {name}, {len(projects.readable)} projects to sync"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        kind = self._kind(stream)
        times: list[datetime] = []
        for project in self._projects().readable.values():
            try:
                if self._why_not_listed(kind, project) is None:
                    times += kind.span(project)
            except ApiStatusError as error:
                self._reason(kind, project, error)
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        """What is newest in each project, a call for each: upstream lists nothing across projects alone."""
        kind = self._kind(stream)
        projects = self._projects()
        found = self._web.map(partial(self._newest, kind), projects.readable.values())
        return version_of(list(found), projects.problems)

    def _newest(self, kind: _Kind, project: Project) -> list[Any]:
        """What tells that a stream changed in a project. Runs in the client's threads."""
        why_not = self._why_not_listed(kind, project)
        try:
            return [project.facts(kind.feature), why_not or kind.newest(project)]
        except ApiStatusError as error:
            return [project.facts(kind.feature), self._reason(kind, project, error)]

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        kind = self._kind(stream)
        projects = self._projects()
        for entry, problem in projects.problems.items():
            yield malformed(f"{_UNREADABLE}-{entry}", problem, self._clock())
        for project in projects.readable.values():
            if self._why_not_listed(kind, project) is not None:
                continue
            try:
                yield from kind.changed(project, since, until)
            except ApiStatusError as error:
                yield malformed(f"{kind.name}-{project.id}", self._reason(kind, project, error), self._clock())

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        kind = self._kind(stream)
        projects = self._projects()
        for entry, problem in projects.problems.items():
            # A path does not tell whose records are hidden: `fetch` finds out for each.
            if entry.isdigit():
                yield Hidden(prefix=f"{kind.name}-{entry}-", reason=problem)
        for project in projects.readable.values():
            prefix = f"{kind.name}-{project.id}-"
            if (why_not := self._why_not_listed(kind, project)) is not None:
                yield Hidden(prefix=prefix, reason=why_not)
                continue
            try:
                yield from kind.listed(project)
            except ApiStatusError as error:
                yield Hidden(prefix=prefix, reason=self._reason(kind, project, error))

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        kind = self._kind(stream)
        wanted = list(record_ids)
        if wanted:
            # A project that was lost may have thousands of records: it is asked for once.
            why_not_followed = cache(self._why_not_followed)
            yield from self._web.map(partial(self._now, kind, self._projects(), why_not_followed), wanted)

    def to_document(self, stream: str, record: Record) -> Document:
        self._kind(stream)
        return with_graph(DOCUMENTS[stream](self._tenant, record.record_id, record.payload), record.payload)

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
        return self._unseen(what, f"status {error.status}")

    def _unseen(self, what: str, why: str) -> str:
        return (
            f"{self._web.host} does not show {what} ({why}): let the token's user see it, or name the project in "
            f"{self._setting}.exclude_projects to remove what is stored of it"
        )

    def _reason(self, kind: _Kind, project: Project, error: ApiStatusError) -> str:
        return self._not_shown(f"the {kind.feature} of {project.path_with_namespace} ({project.id})", error)

    def _why_not_listed(self, kind: _Kind, project: Project) -> str | None:
        """What the project itself says against asking for a stream's records, which may look like an empty listing."""
        if project.hides(kind.feature):
            return self._unseen(
                f"the {kind.feature} of {project.path_with_namespace} ({project.id})",
                "switched off or for members only",
            )
        if kind.feature == "repository" and project.branch is None:
            return f"{project.path_with_namespace} shows no default branch"
        return None

    # Single records

    def _now(
        self, kind: _Kind, projects: _Projects, why_not_followed: Callable[[str], str | None], record_id: str
    ) -> Record:
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
            problem = why_not_followed(number)
            return malformed(record_id, problem, self._clock()) if problem else deleted(record_id, self._clock())
        if (why_not := self._why_not_listed(kind, project)) is not None:
            return malformed(record_id, why_not, self._clock()) if rest else deleted(record_id, self._clock())
        return self._of_project(kind, project, record_id, rest)

    def _why_not_followed(self, number: str) -> str | None:
        """Why a project is not among those to sync; None where the settings leave it out."""
        try:
            project = self._web.project(number)
        except ApiStatusError as error:
            return self._not_shown(f"project {number}", error)
        if not self._account.selects(project):
            return None
        return (
            f"the token's user is no member of {project.path_with_namespace} any more: make it one, or name the "
            f"project in {self._setting}.exclude_projects to remove what is stored of it"
        )

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
            return malformed(record_id, self._reason(kind, project, error), self._clock())
        reason = kind.explain_absence(project) if rest else None
        return malformed(record_id, reason, self._clock()) if reason else deleted(record_id, self._clock())


def _matches(entries: Iterable[str], project_id: int, path: str | None) -> bool:
    known = [str(project_id)] if path is None else [str(project_id), path.lower()]
    return any(fnmatchcase(value, entry.lower()) for entry in entries for value in known)
