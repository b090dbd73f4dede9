"""What all GitLab endpoints share: the request, its parameters, and paging by page number and by key."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson

from sync_assets.demo.gitlab_data import Feature, GitLabData, Issue, MergeRequest, Project
from sync_assets.demo.gitlab_limits import GitLabLimits, GitLabRefusal, no_keyset, refused

Row = TypeVar("Row")

Query = Sequence[tuple[str, str]]


@dataclass
class GitLabCall:
    """One request that passed authentication and the limits.

    Attributes:
        path: decoded parameters of the path.
        url: address of the request without its query, encoded as it came.
        headers: what the answer is sent with; paging adds to it.
    """

    data: GitLabData
    limits: GitLabLimits
    path: Mapping[str, str]
    url: str
    query: Query
    headers: dict[str, str] = field(default_factory=dict[str, str], init=False)

    def get(self, name: str, default: str = "") -> str:
        return dict(self.query).get(name, default)

    def flag(self, name: str) -> bool:
        return self.get(name).lower() in ("true", "1", "t")

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """The value of a parameter, or GitLab's 400 for one that it doesn't know."""
        value = self.get(name, default)
        if value not in choices:
            raise GitLabRefusal(400, {"error": f"{name} does not have a valid value"})
        return value

    def moment(self, name: str) -> datetime | None:
        """A time parameter; a `+` that was not encoded arrives as a blank and is refused, as by GitLab."""
        value = self.get(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise GitLabRefusal(400, {"error": f"{name} is invalid"}) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def number(self, name: str, default: int) -> int:
        value = self.get(name, str(default))
        if not value.isdigit() or int(value) < 1:
            raise GitLabRefusal(400, {"error": f"{name} is invalid"})
        return int(value)

    @property
    def per_page(self) -> int:
        return min(self.number("per_page", 20), self.limits.per_page)

    @property
    def project(self) -> Project:
        """The project of the path; 404, also where the token's user may not know of it, or 301 where it moved."""
        key = self.path["id"]
        try:
            project = self.data.project(self.data.moved.get(key, key))
        except KeyError:
            raise refused(404, "Project Not Found") from None
        if not self.data.may_read(project):
            raise refused(404, "Project Not Found")
        if key in self.data.moved:
            url = self.url.replace(quote(key, safe=""), str(project.id), 1)
            location = f"{url}?{urlencode(self.query)}" if self.query else url
            raise GitLabRefusal(301, f"This resource has been moved permanently to {location}", {"Location": location})
        return project

    def with_feature(self, feature: Feature) -> Project:
        """The project, or 403 where the feature is switched off; 404 for issues."""
        project = self.project
        if feature in project.off:
            raise refused(404, "Not found") if feature == "issues" else refused(403, "Forbidden")
        if feature == "repository" and project.visibility == "private" and not self.data.is_insider(project):
            raise refused(403, "Forbidden")
        return project

    @property
    def issue(self) -> Issue:
        project = self.with_feature("issues")
        issue = project.issues.get(_number(self.path["iid"]))
        if issue is None or (issue.confidential and not self.data.is_insider(project)):
            raise refused(404, "Not found")
        return issue

    @property
    def merge_request(self) -> MergeRequest:
        request = self.with_feature("merge_requests").merge_requests.get(_number(self.path["iid"]))
        if request is None:
            raise refused(404, "Not found")
        return request


def offset_page(call: GitLabCall, rows: Sequence[Row], counted: bool = True) -> list[Row]:
    """The rows of the asked page by number, with GitLab's headers.

    Args:
        counted: whether the listing says how many rows it has; a long one never does.
    """
    if call.get("pagination") == "keyset":
        raise no_keyset()
    page, size = call.number("page", 1), call.per_page
    pages = -(-len(rows) // size) or 1
    following = str(page + 1) if page < pages else ""
    call.headers |= {
        "X-Page": str(page),
        "X-Per-Page": str(size),
        "X-Next-Page": following,
        "X-Prev-Page": str(page - 1) if page > 1 else "",
    }
    links = {"prev": page - 1 if page > 1 else None, "next": page + 1 if following else None, "first": 1}
    if counted and len(rows) <= call.limits.counted_rows:
        call.headers |= {"X-Total": str(len(rows)), "X-Total-Pages": str(pages)}
        links["last"] = pages
    call.headers["Link"] = ", ".join(
        _link(call, relation, page=str(number), per_page=str(size)) for relation, number in links.items() if number
    )
    return list(rows[(page - 1) * size : page * size])


def keyset_page(
    call: GitLabCall, rows: Sequence[Row], key: Callable[[Row], Any], parameter: str, descending: bool = False
) -> list[Row]:
    """The rows after the one that the parameter names, with a link to the next ones.

    Args:
        rows: all rows, in the order of `key`, or against it where `descending`.
        key: what a row is ordered by, without doubles; a number, or a list that is sent in an opaque form.
        parameter: the name of the parameter that says where the page starts.
    """
    token = call.get(parameter)
    after = _decoded(token, parameter) if token else None
    left = [row for row in rows if after is None or (key(row) < after if descending else key(row) > after)]
    page = left[: call.per_page]
    if len(left) > len(page):
        call.headers["Link"] = _link(call, "next", **{parameter: _encoded(key(page[-1]))})
    return page


def _link(call: GitLabCall, relation: str, **changed: str) -> str:
    query = [(name, value) for name, value in call.query if name not in changed]
    return f'<{call.url}?{urlencode([*query, *changed.items()])}>; rel="{relation}"'


def _encoded(key: Any) -> str:
    return str(key) if isinstance(key, int) else base64.urlsafe_b64encode(orjson.dumps(key)).decode()


def _decoded(token: str, parameter: str) -> Any:
    if token.isdigit():
        return int(token)
    try:
        return orjson.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        raise GitLabRefusal(400, {"error": f"{parameter} is invalid"}) from None


def _number(text: str) -> int:
    if not text.isdigit():
        raise GitLabRefusal(400, {"error": "iid is invalid"})
    return int(text)
