"""GitLab's REST API v4: requests, their paging, and the form of a project.

What belongs here: how a listing is read to its end. What does not: which of them bring which records
(`gitlab_work.py`, `gitlab_repository.py`), and retries and limits (`http.py`). Facts about the API are from its
description (docs.gitlab.com/api/rest).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeGuard, TypeVar
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, Strict

from sync_assets.documents import Record
from sync_assets.errors import SourceError
from sync_assets.hashing import digest
from sync_assets.sources.gitlab_wire import API, Wire
from sync_assets.sources.http import ApiClient, ApiStatusError, Limits, Timer
from sync_assets.sources.payloads import Payload, read_payload

Json = dict[str, Any]
Params = Mapping[str, str | int]
Item = TypeVar("Item")
Result = TypeVar("Result")
AwareTime = Annotated[AwareDatetime, Strict(False)]

# What a request is answered with where the token's user may not see something, or where it is not there.
NOT_SHOWN = (403, 404)

_NO_KEYSET = 405
# GitLab lists no further than this by page number.
_LAST_OFFSET = 50_000
# From this role (Planner) on, members see confidential issues.
_SEES_CONFIDENTIAL = 15
_OPEN = ("enabled", "public")


class _Access(Payload):
    access_level: int


class _Permissions(Payload):
    project_access: _Access | None = None
    group_access: _Access | None = None


class Project(Payload):
    """A project as its listing and its own address have it, with what documents of it need to know."""

    id: int
    path_with_namespace: str
    web_url: str | None = None
    visibility: str | None = None
    default_branch: str | None = None
    empty_repo: bool = False
    created_at: AwareTime
    issues_access_level: str | None = None
    merge_requests_access_level: str | None = None
    repository_access_level: str | None = None
    wiki_access_level: str | None = None
    permissions: _Permissions | None = None
    # Not sent: whether the project is in the listing of those that the token's user is a member of.
    is_member: bool = False

    def facts(self, feature: str) -> Json:
        """What documents of a feature (`issues`, `repository`, ...) say of their project, and nothing else: a change
        of it has them all read again."""
        facts: Json = {
            "id": self.id,
            "path": self.path_with_namespace,
            "web_url": self.web_url,
            "is_public": self._is_public(feature),
        }
        match feature:
            case "repository":
                return facts | {"branch": self.branch}
            case "merge_requests":
                return facts | {"code_is_public": self._is_public("repository")}
            case _:
                return facts

    @property
    def branch(self) -> str | None:
        """The default branch; of an empty repository GitLab names one that is not there."""
        return None if self.empty_repo else self.default_branch

    def hides(self, feature: str) -> bool:
        """Whether the project itself says that it shows a feature to nobody, or to its members only. Its listing may
        then be an empty one, as if nothing were there."""
        level = self._level(feature)
        return level == "disabled" or (level == "private" and not self.is_member)

    @property
    def sees_confidential(self) -> bool:
        """Whether the token's user is a member who sees all confidential issues."""
        access = self.permissions or _Permissions()
        levels = [one.access_level for one in (access.project_access, access.group_access) if one is not None]
        return max(levels, default=0) >= _SEES_CONFIDENTIAL

    def _is_public(self, feature: str) -> bool:
        return self.visibility == "public" and self._level(feature) in _OPEN

    def _level(self, feature: str) -> str | None:
        return getattr(self, f"{feature}_access_level")


class Web:
    """One account's requests.

    Args:
        setting: where the account is configured, for remedies.
        max_file_bytes: larger files raise `FileTooLarge`.
        clock: wall clock, for `observed_at`.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        root: str,
        token: str,
        *,
        setting: str,
        limits: Limits,
        max_file_bytes: int,
        clock: Callable[[], datetime],
        timer: Timer,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self.tenant = tenant
        self.clock = clock
        self._setting = setting
        self._root = root
        self._page_size = limits.page_size
        self._wire = Wire(root, token, max_file_bytes)
        self._api = ApiClient(
            tenant,
            root,
            setting=setting,
            limits=limits,
            auth=self._wire,
            credential="token",
            timer=timer,
            transport=transport,
        )

    @property
    def host(self) -> str:
        return self._api.host

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `ApiClient.map`."""
        return self._api.map(function, items)

    def close(self) -> None:
        self._api.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """One answer. Raises as `ApiClient.get`, and `FileTooLarge`."""
        return self._api.get(f"{API}{path}", params).body

    def page(self, path: str, params: Params) -> list[Any]:
        """One page of a listing."""
        return self._list_of(path, self.get(path, {"per_page": self._page_size, **params}))

    def rows(self, path: str, params: Params | None = None, *, is_limited: bool = True) -> Iterator[Any]:
        """All rows of a listing, by the links from page to page.

        Args:
            is_limited: whether GitLab ends the listing at a number of rows; one that git makes goes on.

        Raises:
            SourceError: the listing broke off, leads to another host, or is longer than GitLab lists by page number.
        """
        first = {"per_page": self._page_size, **(params or {})}
        target, query = f"{API}{path}", first
        read = 0
        while True:
            reply = self._api.get(target, query)
            rows, next_url = self._list_of(path, reply.body), reply.next_url
            read += len(rows)
            yield from rows
            if not next_url:
                return
            if is_limited and read >= _LAST_OFFSET and "pagination=keyset" not in next_url:
                raise SourceError(
                    f"{self.tenant}: {self.host} lists no more than {_LAST_OFFSET} rows of {path} by page number.",
                    f"Leave the project out with {self._setting}.exclude_projects, or ask for a shorter time.",
                )
            target, query = self._below_root(path, next_url), None

    def keyset_rows(self, path: str, params: Params) -> Iterator[Any]:
        """As `rows`, by keyset where the instance has that for this listing."""
        listing = self.rows(path, {**params, "pagination": "keyset"})
        try:
            first = next(listing, None)
        except ApiStatusError as error:
            if error.status != _NO_KEYSET:
                raise
            yield from self.rows(path, params)
            return
        if first is not None:
            yield first
            yield from listing

    def changed_rows(self, path: str, params: Params, since: datetime, until: datetime) -> Iterator[tuple[Any, Any]]:
        """Rows updated within [since, until), oldest first and each `iid` once, with the moment or None.

        Each page starts anew at the last time seen: a row that changes meanwhile moves to the end of the list, and
        would shift another one past the border of a page. So pages are counted within one moment only.
        """
        order = {"scope": "all", "state": "all", "order_by": "updated_at", "sort": "asc"}
        seen: set[Any] = set()
        start, page = since, 1
        while start < until:
            window = {"updated_after": wire_time(start), "updated_before": wire_time(until)}
            query = {"per_page": self._page_size, **params, **order, **window, "page": page}
            reply = self._api.get(f"{API}{path}", query)
            rows = self._list_of(path, reply.body)
            times: list[datetime] = []
            for row in rows:
                moment = moment_of(row, "updated_at")
                if moment is not None:
                    times.append(moment)
                key = row.get("iid") if isinstance(row, dict) else None
                if (key is None or key not in seen) and (moment is None or since <= moment < until):
                    seen.add(key)
                    yield row, moment
            if not reply.next_url:
                return
            newest = max(times, default=start)
            start, page = (newest, 1) if newest > start else (start, page + 1)

    def project(self, key: str) -> Project:
        """A project by its id or full path, followed where it moved."""
        return self._read_project(self.get(f"/projects/{quote(key, safe='')}"))

    def member_projects(self) -> list[Project]:
        """All projects that the token's user is a member of."""
        rows = self.keyset_rows("/projects", {"membership": "true", "order_by": "id", "sort": "asc"})
        return [self._read_project(row).model_copy(update={"is_member": True}) for row in rows]

    def unreadable(self, path: str) -> SourceError:
        """The error of a listing with a row that nobody can tell the record of."""
        return SourceError(
            f"{self.tenant}: {self.host} lists a row of {path} whose id can't be read.",
            "Nothing can be said to be deleted meanwhile; report it to GitLab if it stays so.",
        )

    def _read_project(self, row: Any) -> Project:
        try:
            return read_payload(Project, row)
        except ValueError as error:
            raise SourceError(
                f"{self.tenant}: {self.host} lists a project that can't be read: {error}.",
                f"Check {self._setting}.base_url.",
            ) from None

    def _list_of(self, path: str, body: Any) -> list[Any]:
        if not isinstance(body, list):
            raise SourceError(
                f"{self.tenant}: {self.host} answered {path} with something other than a list.",
                f"Check {self._setting}.base_url.",
            )
        return body

    def _below_root(self, path: str, link: str) -> str:
        """The link to a next page, as a path below the account's own address."""
        url = httpx.URL(link)
        if not self._wire.is_ours(url):
            raise SourceError(
                f"{self.tenant}: {self.host} continues {path} at {url.scheme}://{url.netloc.decode()}, which gets "
                "no token.",
                f"Set {self._setting}.base_url to the address that GitLab gives itself (external_url).",
            )
        return url.raw_path.decode().removeprefix(httpx.URL(self._root).path.rstrip("/"))


def live(record_id: str, moment: datetime | None, cheap_version: str, payload: Any, now: datetime) -> Record:
    """A live record, or a malformed one where its time can't be read."""
    return Record(
        record_id=record_id,
        event="live" if moment is not None else "malformed",
        modified_at=moment,
        cheap_version=cheap_version,
        observed_at=now,
        payload=payload,
        problem=None if moment is not None else "its modification time is missing or not a time",
    )


def deleted(record_id: str, now: datetime) -> Record:
    return Record(record_id=record_id, event="deleted", observed_at=now)


def odd(record_id: str, now: datetime, payload: Any) -> Record:
    """What stands for a record whose own address answered with something else."""
    return malformed(record_id, "GitLab answered with something other than the record", now, payload)


def malformed(record_id: str, problem: str, now: datetime, payload: Any = None) -> Record:
    return Record(record_id=record_id, event="malformed", observed_at=now, problem=problem, payload=payload)


def moment_of(row: Any, key: str) -> datetime | None:
    """A time in a row, in UTC; None where it can't be read."""
    try:
        moment = datetime.fromisoformat(row[key])
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def wire_time(moment: datetime) -> str:
    """A moment as GitLab takes it, in whole milliseconds; `Z`, since a `+` would have to be escaped."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def is_of(row: Any, key: str, value: Any) -> TypeGuard[Json]:
    """Whether an answer is the record that was asked for."""
    return isinstance(row, dict) and row.get(key) == value


def version_of(*values: Any) -> str:
    """A digest of JSON values, also of halves of surrogate pairs."""
    return digest(json.dumps(values, sort_keys=True))
