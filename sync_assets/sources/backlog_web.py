"""Backlog's API, version 2: which requests bring projects, issues, wikis, documents and what was deleted.

What belongs here: paths, paging and the key. What does not: what becomes of a row (`backlog_records.py`), which
projects are wanted (`backlog.py`), retries and limits (`http.py`). Facts about the API are from Nulab's description of
it (developer.nulab.com/docs/backlog).
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import httpx
from pydantic import SecretStr

from sync_assets.errors import SourceError
from sync_assets.sources.http import ApiClient, Limits, Timer
from sync_assets.sources.payloads import Payload, read_payload

Item = TypeVar("Item")
Result = TypeVar("Result")
Json = dict[str, Any]
Params = dict[str, str | int]

_API = "/api/v2"
# `updatedSince` and `updatedUntil` are days of a time zone that is told nowhere, between UTC-12 and UTC+14.
_ZONES = timedelta(days=1)
_DAY = timedelta(days=1)
# What Backlog counts as a search; all else is a read.
_SEARCHES = ("/issues", "/issues/count")
# Pages of one listing that hold nothing of what was read before, because rows before them went meanwhile.
_LOST_PLACES = 20


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        name: what its record ids begin with, and its key in payloads.
        stream: the name of its stream, and of its path in the API.
        deletion: type of the activity that tells of a deletion; None where none does.
    """

    name: str
    stream: str
    deletion: int | None


ISSUE = Kind("issue", "issues", 4)
WIKI = Kind("wiki", "wikis", 7)
DOCUMENT = Kind("document", "documents", None)


class Project(Payload):
    """A project as it is listed."""

    id: int
    projectKey: str  # noqa: N815 upstream's name
    name: str
    textFormattingRule: str | None = None  # noqa: N815 upstream's name
    archived: bool = False
    useWiki: bool | None = None  # noqa: N815 upstream's name


class _Limit(Payload):
    limit: int


class _Limits(Payload):
    read: _Limit
    search: _Limit


class _RateLimit(Payload):
    rateLimit: _Limits  # noqa: N815 upstream's name


class Deletion(NamedTuple):
    """What an activity tells of a deletion.

    Attributes:
        item_id: upstream's id of what was deleted.
    """

    item_id: int
    at: datetime


class Web:
    """One tenant's space. Its methods raise `SourceError` as `ApiClient.get` does.

    Args:
        setting: where the account is configured, for remedies.
    """

    def __init__(
        self,
        tenant: str,
        base_url: str,
        api_key: SecretStr,
        *,
        setting: str,
        limits: Limits,
        timer: Timer,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._tenant = tenant
        self._setting = setting
        self._own_share = 1 - limits.reserve_share
        # Pages overlap by a row.
        self._page_size = max(2, limits.page_size)
        self._api = ApiClient(
            tenant, base_url, setting=setting, limits=limits, auth=KeyAuth(api_key), timer=timer, transport=transport
        )

    @property
    def host(self) -> str:
        return self._api.host

    @property
    def api(self) -> ApiClient:
        """Its client, whose turns other requests to the space wait for too."""
        return self._api

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return self._api.map(function, items)

    def close(self) -> None:
        self._api.close()

    def space(self) -> Json:
        space = self._get("/space")
        if not isinstance(space, dict):
            raise self._nonsense("/space")
        return space

    def projects(self) -> list[Project]:
        """All projects that the key's user has joined, archived ones too."""
        try:
            return [read_payload(Project, row) for row in self._rows("/projects", {})]
        except ValueError as error:
            raise SourceError(
                f"{self._tenant}: {self.host} lists a project that can't be read ({error}).",
                "Nothing can be told about its records meanwhile; report it to Nulab if it stays so.",
            ) from None

    def item(self, kind: Kind, item_id: str) -> Any:
        return self._get(f"/{kind.stream}/{item_id}")

    def rows(self, kind: Kind, project: Project) -> list[Any]:
        """Every record of a project, as it is listed.

        Raises:
            SourceError: two listings in a row held fewer issues than Backlog counts.
        """
        if kind is WIKI:
            return self._rows("/wikis", {"projectIdOrKey": project.id})
        path = f"/{kind.stream}"
        params: Params = {"projectId[]": project.id}
        # By creation, since changes do not move that.
        by_creation: Params = {**params, "sort": "created", "order": "asc"}
        if kind is DOCUMENT:
            return list(self._pages(path, by_creation))
        counted = found = 0
        for _ in range(2):
            rows = list(self._pages(path, by_creation))
            counted, found = self._count(params), len(rows)
            if found >= counted:
                return rows
        raise SourceError(
            f"{self._tenant}: {self.host} counts {counted} issues in {project.projectKey} and lists {found}.",
            "Nothing can be said to be deleted meanwhile; sweep again later.",
        )

    def changed_issues(self, project: Project, since: datetime, until: datetime) -> Iterator[Any]:
        """Issues of a project modified within [since, until), and some of the days around it."""
        yield from self._pages(
            "/issues",
            {
                "projectId[]": project.id,
                "updatedSince": f"{since.astimezone(UTC) - _ZONES:%Y-%m-%d}",
                "updatedUntil": f"{until.astimezone(UTC) + _ZONES + _DAY:%Y-%m-%d}",
                "sort": "updated",
                "order": "asc",
            },
        )

    def outermost(self, kind: Kind, project: Project) -> list[Any]:
        """Records of a project, among them those that were modified first and last."""
        if kind is not ISSUE:
            return self.rows(kind, project)
        params: Params = {"projectId[]": project.id, "sort": "updated", "offset": 0, "count": 1}
        return [row for order in ("asc", "desc") for row in self._rows("/issues", {**params, "order": order})]

    def newest(self, kind: Kind, project: Project) -> list[Any]:
        """Id and modification time of the record that changed last, of wikis of every page; of issues their number."""
        if kind is WIKI:
            rows, count = self.rows(kind, project), 0
        else:
            only: Params = {"projectId[]": project.id}
            latest: Params = {**only, "sort": "updated", "order": "desc", "offset": 0, "count": 1}
            rows = self._rows(f"/{kind.stream}", latest)
            count = self._count(only) if kind is ISSUE else 0
        return [count, *sorted(([row.get("id"), row.get("updated")] for row in rows if isinstance(row, dict)), key=str)]

    def comments(self, issue_id: int) -> list[Any]:
        """All comments of an issue, each id once, oldest first."""
        found: dict[int, Any] = {}
        params: Params = {"count": self._page_size, "order": "asc"}
        while True:
            rows = self._rows(f"/issues/{issue_id}/comments", params)
            fresh = {row["id"]: row for row in rows if _has_number(row) and row["id"] not in found}
            found |= fresh
            if len(rows) < self._page_size or not fresh:
                return list(found.values())
            params["minId"] = max(fresh)

    def document_comments(self, document_id: str) -> list[Any]:
        """All comments of a document with their replies."""
        return self._rows(f"/documents/{document_id}/comments", {})

    def trash(self, project_id: int) -> frozenset[str]:
        """Ids of the documents in a project's trash."""
        tree = self._get("/documents/tree", {"projectIdOrKey": project_id})
        if not isinstance(tree, dict):
            raise self._nonsense("/documents/tree")
        found: set[str] = set()
        waiting = [tree.get("trashTree")]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                found |= {node["id"]} if isinstance(node.get("id"), str) else set()
                children = node.get("children")
                waiting += children if isinstance(children, list) else []
        return frozenset(found)

    def deletions(self, kind: Kind, project: Project) -> Iterator[Deletion]:
        """What a project tells of deletions, latest first."""
        if kind.deletion is None:
            return
        params: Params = {"activityTypeId[]": kind.deletion, "count": self._page_size, "order": "desc"}
        seen: set[int] = set()
        while True:
            rows = self._rows(f"/projects/{project.id}/activities", params)
            fresh = [row for row in rows if _has_number(row) and row["id"] not in seen]
            seen |= {row["id"] for row in fresh}
            for row in fresh:
                content, at = row.get("content"), moment(row.get("created"))
                if row.get("type") == kind.deletion and _has_number(content) and at is not None:
                    yield Deletion(content["id"], at)
            if len(rows) < self._page_size or not fresh:
                return
            params["maxId"] = min(row["id"] for row in fresh)

    def _pages(self, path: str, params: Params) -> Iterator[Any]:
        """Rows of a list that is paged by offset, each id once, however it is changed meanwhile.

        What changes moves to the end of the list, and with what is deleted it leaves a gap that draws later rows before
        the next page. So each page begins with the last row of the one before; where it holds no row that was read
        before, as it was read, rows are missing between the two, and the page before it is read first.
        """
        size = self._page_size
        order = str(params["sort"])
        seen: dict[Any, Any] = {}
        offset = lost_places = 0
        while True:
            rows = self._rows(path, {**params, "offset": offset, "count": size})
            # By its place where the row has no id: then it can't be told from others.
            keyed = [(_key(row, offset + index), row) for index, row in enumerate(rows)]
            if offset and not any(key in seen and seen[key] == _value(row, order) for key, row in keyed):
                lost_places += 1
                if lost_places > _LOST_PLACES:
                    raise SourceError(
                        f"{self._tenant}: {self.host}: {path} changed too often while it was listed.",
                        "Sync again when fewer people are at work.",
                    )
                offset = max(0, offset - size + 1)
                continue
            yield from (row for key, row in keyed if key not in seen)
            seen |= {key: _value(row, order) for key, row in keyed}
            if len(rows) < size:
                return
            offset += size - 1

    def _count(self, params: Params) -> int:
        body = self._get("/issues/count", params)
        if not isinstance(body, dict) or type(body.get("count")) is not int:
            raise self._nonsense("/issues/count")
        return body["count"]

    def _rows(self, path: str, params: Params) -> list[Any]:
        body = self._get(path, params)
        if not isinstance(body, list):
            raise self._nonsense(path)
        return body

    def _get(self, path: str, params: Params | None = None) -> Any:
        kind = "search" if path in _SEARCHES else "read"
        return self._api.get(f"{_API}{path}", params, route=kind, per_minute=self._per_minute.get(kind)).body

    @cached_property
    def _per_minute(self) -> dict[str, int]:
        """How many requests of each kind are made in a minute.

        Empty where Backlog tells no limit. It is advice: what lets no request through, shows at the next one.
        """
        try:
            limits = read_payload(_RateLimit, self._api.get(f"{_API}/rateLimit").body).rateLimit
        except (SourceError, ValueError):
            return {}
        return {kind: max(1, int(limit.limit * self._own_share)) for kind, limit in limits}

    def _nonsense(self, path: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: {self.host} answered {path} with something other than Backlog does.",
            f"Check {self._setting}.base_url.",
        )


class KeyAuth(httpx.Auth):
    """Puts the key into the query, where alone Backlog takes it.

    It is put into what goes over the wire and not into the request's URL, which stands in logs and errors.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url = request.url.copy_merge_params({"apiKey": self._key.get_secret_value()})
        request.extensions["target"] = url.raw_path
        yield request


def moment(value: Any) -> datetime | None:
    """A time as Backlog writes it; None where it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo is not None else None


def _has_number(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is int


def _key(row: Any, place: int) -> Any:
    row_id = row.get("id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, int | str) else ("place", place)


def _value(row: Any, field: str) -> Any:
    return row.get(field) if isinstance(row, dict) else None
