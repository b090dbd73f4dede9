"""Backlog (Nulab), API v2: the issues, wikis and documents of a space's projects.

What belongs here: what an answer means for a record. What does not: the account (`backlog_account.py`), requests
(`backlog_web.py`), which projects are synced and can be read (`backlog_projects.py`), what a row says
(`backlog_records.py`), and how a record becomes a document (`backlog_documents.py`).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple, Self

import httpx

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.hashing import digest
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.backlog_account import Account
from sync_assets.sources.backlog_documents import document_document, issue_document, wiki_document
from sync_assets.sources.backlog_graph import with_graph
from sync_assets.sources.backlog_projects import Projects, has
from sync_assets.sources.backlog_records import deleted, is_item_id, malformed, modified_at_of, project_id_of, record_of
from sync_assets.sources.backlog_web import DOCUMENT, ISSUE, WIKI, KeyAuth, Kind, Project, Web
from sync_assets.sources.files import FileClient
from sync_assets.sources.http import ApiStatusError, Timer

STREAMS = ("issues", "wikis", "documents")

_KINDS = {kind.stream: kind for kind in (ISSUE, WIKI, DOCUMENT)}
_DOCUMENTS = {ISSUE: issue_document, WIKI: wiki_document, DOCUMENT: document_document}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORBIDDEN = 403
_GONE = (404, 410)
# Stands for a project that can't be read, in place of its records.
_PROJECT = "project-"


class _Missing(NamedTuple):
    """A record that upstream says does not exist: it was deleted, or its project was lost to the user."""

    record_id: str


class Source:
    """One tenant's Backlog space, opened for one run. See `sync_assets.sources.Source` for the contract.

    The modification time is `updated`, as upstream writes it. A comment that is edited or removed may not move its
    issue's, and no comment may move its document's: Nulab does not say, and no listing shows it. Then it is seen with
    the next change of the issue or the document.

    Args:
        clock: wall clock, for `observed_at`.
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
        self._setting = f"tenants.{tenant}.backlog"
        self._web = Web(
            tenant,
            account.base_url,
            account.api_key,
            setting=self._setting,
            limits=account.limits,
            timer=timer,
            transport=transport,
        )
        self._files = FileClient(
            account.base_url,
            hosts=[],
            setting=self._setting,
            limits=account.limits,
            auth=KeyAuth(account.api_key),
            account=self._web.api,
            transport=transport,
        )

    def check(self) -> str:
        space = self._web.space()
        projects = self._projects()
        if projects.lost:
            raise SourceError(f"{self._tenant}: {self._web.host}: {projects.loss(projects.lost[0])}.")
        return f"{self._web.host}, space {space.get('name')}, {len(projects.chosen)} projects to sync"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        kind = self._kind(stream)
        times: list[datetime] = []
        for project in self._projects().chosen:
            try:
                if has(kind, project):
                    rows = self._web.outermost(kind, project)
                    times += [time for row in rows if (time := modified_at_of(row)) is not None]
                    times += [deletion.at for deletion in self._web.deletions(kind, project)]
            except ApiStatusError as error:
                # Each window tells of it.
                self._refusal(project, error)
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        """What changed last in each project, and how much there is. Deleted issues and pages count no more."""
        kind = self._kind(stream)
        projects = self._projects()
        found: list[Any] = [projects.lost]
        for project in projects.chosen:
            try:
                newest = self._web.newest(kind, project) if has(kind, project) else []
                trash = sorted(projects.trash(project.id)) if kind is DOCUMENT else []
                found.append([project.id, project.archived, newest, trash])
            except ApiStatusError as error:
                found.append([project.id, self._refusal(project, error)])
        return digest(found)

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        kind = self._kind(stream)
        projects = self._projects()
        seen: set[str] = set()
        for record in self._in_window(kind, projects, since, until):
            if record.record_id not in seen:
                seen.add(record.record_id)
                yield record

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        kind = self._kind(stream)
        projects = self._projects()
        prefix = f"{kind.name}-"
        for key in projects.lost:
            yield Hidden(prefix=prefix, reason=projects.loss(key))
        for project in projects.chosen:
            try:
                rows = self._rows(kind, projects, project) if has(kind, project) else []
            except ApiStatusError as error:
                yield Hidden(prefix=prefix, reason=self._refusal(project, error))
                continue
            for record in (record_of(kind, row, project, self._clock()) for row in rows):
                if not record.record_id.startswith(prefix):
                    raise SourceError(
                        f"{self._tenant}: {self._web.host} lists a record of {stream} whose id can't be read.",
                        "Nothing can be said to be deleted meanwhile; report it to Nulab if it stays so.",
                    )
                yield LiveId(
                    record_id=record.record_id,
                    modified_at=record.modified_at or _EPOCH,
                    cheap_version=record.cheap_version,
                )

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        kind = self._kind(stream)
        wanted = list(record_ids)
        if not wanted:
            return
        missing: list[str] = []
        for found in self._web.map(partial(self._now, kind, self._projects()), wanted):
            if isinstance(found, _Missing):
                missing.append(found.record_id)
            else:
                yield found
        if missing:
            yield from self._confirmed(kind, missing)

    def to_document(self, stream: str, record: Record) -> Document:
        to_document = _DOCUMENTS[self._kind(stream)]
        base_url = self._account.base_url
        document = to_document(self._tenant, record.record_id, base_url, record.payload)
        return with_graph(document, base_url, record.payload)

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """See `sync_assets.sources.FileSource`.

        Args:
            locator: `{stream}/{id}/attachments/{attachment}`.
        """
        return self._files.read(f"{self._account.base_url}/api/v2/{locator}", max_bytes)

    def close(self) -> None:
        self._web.close()
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _kind(self, stream: str) -> Kind:
        if stream not in _KINDS:
            raise SourceError(f"Backlog has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")
        return _KINDS[stream]

    def _projects(self) -> Projects:
        return Projects.of(self._web.projects(), self._account.projects, self._setting, cache(self._trash))

    def _trash(self, project_id: int) -> frozenset[str]:
        """Ids of the documents in a project's trash; none where Backlog does not show it."""
        try:
            return self._web.trash(project_id)
        except ApiStatusError as error:
            if error.status not in (_FORBIDDEN, *_GONE):
                raise
            return frozenset()

    def _refusal(self, project: Project, error: ApiStatusError) -> str:
        """Why a project's listing was refused; any other error passes through."""
        if error.status not in (_FORBIDDEN, *_GONE):
            raise error
        return f"{error.message} It is of project {project.projectKey}: let the owner of {self._setting}.api_key in"

    # Listings

    def _rows(self, kind: Kind, projects: Projects, project: Project) -> list[Any]:
        """Every record of a project."""
        return [row for row in self._web.rows(kind, project) if not projects.has_in_trash(kind, row)]

    def _in_window(self, kind: Kind, projects: Projects, since: datetime, until: datetime) -> Iterator[Record]:
        """Records that were modified or deleted within [since, until); one that was moved may come twice."""
        for key in projects.lost:
            yield malformed(f"{_PROJECT}{key}", projects.loss(key), self._clock())
        for project in projects.chosen:
            try:
                if has(kind, project):
                    full = partial(self._with_comments, kind) if kind is ISSUE else partial(self._whole, kind, projects)
                    yield from self._web.map(full, self._changed(kind, projects, project, since, until))
                yield from self._deleted(kind, projects, project, since, until)
            except ApiStatusError as error:
                yield malformed(f"{_PROJECT}{project.projectKey}", self._refusal(project, error), self._clock())

    def _changed(
        self, kind: Kind, projects: Projects, project: Project, since: datetime, until: datetime
    ) -> Iterator[Record]:
        """Rows of a listing as records; what has no time that can be read belongs to any window."""
        issues = kind is ISSUE
        rows = self._web.changed_issues(project, since, until) if issues else self._rows(kind, projects, project)
        for row in rows:
            record = record_of(kind, row, project, self._clock())
            if record.modified_at is None or since <= record.modified_at < until:
                yield record

    def _deleted(
        self, kind: Kind, projects: Projects, project: Project, since: datetime, until: datetime
    ) -> Iterator[Record]:
        """Records whose deletion a project tells of, and that are gone indeed: one that was moved lives elsewhere."""
        for deletion in self._web.deletions(kind, project):
            if deletion.at < since:
                return
            if deletion.at < until:
                found = self._now(kind, projects, f"{kind.name}-{deletion.item_id}")
                if isinstance(found, _Missing):
                    yield deleted(found.record_id, self._clock(), deletion.at)
                elif found.event != "live":
                    yield found

    # Single records

    def _now(self, kind: Kind, projects: Projects, record_id: str) -> Record | _Missing:
        """A record as it is now. Runs in the client's threads."""
        if record_id.startswith(_PROJECT):
            return self._project_now(kind, projects, record_id)
        name, _, item_id = record_id.partition("-")
        if name != kind.name or not is_item_id(kind, item_id):
            return malformed(record_id, "Backlog can't be asked for it: its id is of another form", self._clock())
        try:
            row = self._web.item(kind, item_id)
            in_trash = projects.has_in_trash(kind, row)
        except ApiStatusError as error:
            return (
                _Missing(record_id) if error.status in _GONE else self._incomplete(self._unread(record_id, ""), error)
            )
        project = projects.readable.get(project_id_of(row) or 0)
        if project is None and not projects.show_all(kind):
            return self._unread(record_id, f"its project is not among those that {self._setting}.api_key can read")
        if project is None or project not in projects.chosen or in_trash:
            return deleted(record_id, self._clock(), modified_at_of(row))
        if not has(kind, project):
            return self._unread(record_id, f"wikis are switched off in project {project.projectKey}")
        record = record_of(kind, row, project, self._clock()).model_copy(update={"record_id": record_id})
        return self._with_comments(kind, record)

    def _project_now(self, kind: Kind, projects: Projects, record_id: str) -> Record:
        """What stands for a project that could not be read: gone when it can be, or is not synced any more."""
        key = record_id.removeprefix(_PROJECT)
        if key in projects.lost:
            return self._unread(record_id, projects.loss(key))
        for project in projects.chosen:
            if project.projectKey == key:
                try:
                    if has(kind, project):
                        self._web.outermost(kind, project)
                    next(self._web.deletions(kind, project), None)
                except ApiStatusError as error:
                    return self._incomplete(self._unread(record_id, ""), error)
        return deleted(record_id, self._clock())

    def _with_comments(self, kind: Kind, record: Record) -> Record:
        """An issue or a document with its comments. Runs in the client's threads."""
        if record.event != "live" or kind is WIKI:
            return record
        item_id = record.payload[kind.name]["id"]
        try:
            comments = self._web.comments(item_id) if kind is ISSUE else self._web.document_comments(item_id)
        except ApiStatusError as error:
            # Guests read documents, but none of their comments.
            if kind is ISSUE or error.status not in (_FORBIDDEN, *_GONE):
                return self._incomplete(record, error)
            comments = []
        return record.model_copy(update={"payload": {**record.payload, "comments": comments}})

    def _whole(self, kind: Kind, projects: Projects, listed: Record) -> Record:
        """A listed record with its text. Runs in the client's threads."""
        if listed.event != "live":
            return listed
        found = self._now(kind, projects, listed.record_id)
        if isinstance(found, _Missing):
            return deleted(listed.record_id, self._clock(), listed.modified_at)
        return found

    def _confirmed(self, kind: Kind, missing: list[str]) -> Iterator[Record]:
        """What was not found: gone where all is in sight, or where a project that can be read tells that it is."""
        projects = self._projects()
        sure = projects.show_all(kind)
        told = {} if sure else self._told(kind, projects, set(missing))
        for record_id in missing:
            if sure or record_id in told:
                yield deleted(record_id, self._clock(), told.get(record_id))
            else:
                yield self._unread(record_id, projects.doubt(kind))

    def _told(self, kind: Kind, projects: Projects, wanted: set[str]) -> dict[str, datetime | None]:
        """Records that the projects tell to be deleted, and when as far as they tell that."""
        if kind is DOCUMENT:
            in_trash = {f"{kind.name}-{item_id}" for number in projects.readable for item_id in projects.trash(number)}
            return dict.fromkeys(wanted & in_trash)
        found: dict[str, datetime | None] = {}
        for project in projects.chosen:
            try:
                for deletion in self._web.deletions(kind, project):
                    record_id = f"{kind.name}-{deletion.item_id}"
                    if record_id in wanted:
                        found.setdefault(record_id, deletion.at)
                    if len(found) == len(wanted):
                        return found
            except ApiStatusError as error:
                self._refusal(project, error)
        return found

    def _unread(self, record_id: str, problem: str) -> Record:
        return malformed(record_id, problem, self._clock())

    def _incomplete(self, record: Record, error: ApiStatusError) -> Record:
        """A record of which something can't be had; raises where the account as a whole is refused."""
        if error.status < 500 and error.status not in (_FORBIDDEN, *_GONE):
            raise error
        return record.model_copy(update={"event": "malformed", "problem": str(error)})
