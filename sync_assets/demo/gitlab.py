"""A simulator of GitLab's REST API v4 with its real wire protocol, for one instance and one access token.

`{root}/api/v4/...` stands for `https://gitlab.com/api/v4/...`. What can be ordered and done out of the protocol is in
`gitlab_control.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync_assets.demo import gitlab_endpoints as endpoints
from sync_assets.demo import gitlab_repository_endpoints as repository
from sync_assets.demo.faults import Fault, malform
from sync_assets.demo.freshdesk import Clock, now
from sync_assets.demo.gitlab_control import control_routes
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.gitlab_limits import GitLabLimits, GitLabRefusal, refused, too_many
from sync_assets.demo.gitlab_protocol import GitLabCall

Handler = Callable[[GitLabCall], Any]

_ROOT = "/api/v4"
_WORDS = {401: "Unauthorized", 403: "Forbidden", 404: "Not found", 500: "Internal Server Error"}


def create_app(instance: GitLabInstance, clock: Clock = now, limits: GitLabLimits | None = None) -> Starlette:
    """The ASGI application that serves one instance.

    Args:
        clock: what the limits, and what people do through the control routes, take as the present moment.
        limits: what the token may ask for; the vendor's where not given.
    """
    api = _Api(instance, clock, limits or GitLabLimits())
    return Starlette(routes=[Route(f"{_ROOT}/{{rest:path}}", api.answer), *control_routes(instance, clock)])


@dataclass(frozen=True)
class _Api:
    """Everything that GitLab does around an endpoint: log, faults, authentication, limits, headers."""

    instance: GitLabInstance
    clock: Clock
    limits: GitLabLimits

    async def answer(self, request: Request) -> Response:
        # The path as it came: in a decoded one `acme%2Ffield-guides` is two parts.
        raw_path = request.scope["raw_path"].decode()
        template, handler, path = _matched(raw_path.partition(f"{_ROOT}/")[2])
        self.instance.requests[f"GET {_ROOT}{template}"] += 1
        headers: dict[str, str] = {}
        truncate = False
        try:
            faults = self.instance.faults.strike(_path_of(request))
            for fault in faults:
                await asyncio.sleep(fault.delay)
                truncate |= fault.truncate
                if fault.status is not None:
                    raise _ordered(fault)
            if not self._is_known(request):
                raise refused(401, "Unauthorized")
            moment = self.clock()
            headers = self.instance.throttle.take(self.limits, moment)
            if template == _PROJECT:
                self.instance.throttle.take_project(self.limits, moment)
            url = f"{request.url.scheme}://{request.url.netloc}{raw_path}"
            query = request.query_params.multi_items()
            call = GitLabCall(self.instance.data, self.limits, path, url, query)
            found = handler(call)
            return _response(200, found, headers | call.headers, truncate, faults)
        except GitLabRefusal as refusal:
            return _response(refusal.status, refusal.body, headers | refusal.headers, truncate)

    def _is_known(self, request: Request) -> bool:
        token = self.instance.data.token
        sent = (request.headers.get("PRIVATE-TOKEN"), request.headers.get("Authorization"))
        return sent[0] == token or sent[1] == f"Bearer {token}"


def _matched(rest: str) -> tuple[str, Handler, dict[str, str]]:
    """The template, the handler and the decoded parameters for a path below the root."""
    parts = [part for part in rest.split("/") if part]
    for template, handler in _ENDPOINTS:
        names = template.split("/")[1:]
        if len(names) == len(parts) and all(
            name.startswith(":") or name == part for name, part in zip(names, parts, strict=True)
        ):
            path = {name[1:]: unquote(part) for name, part in zip(names, parts, strict=True) if name.startswith(":")}
            return template, handler, path
    return "/*", _unknown, {}


def _unknown(call: GitLabCall) -> Any:
    raise GitLabRefusal(404, {"error": "404 Not Found"})


def _response(
    status: int, answer: Any, headers: Mapping[str, str], truncate: bool, faults: list[Fault] | None = None
) -> Response:
    match answer:
        case bytes():
            body, kind = answer, "application/octet-stream"
        case str():
            body, kind = answer.encode(), "text/plain"
        case _:
            body, kind = orjson.dumps(malform(answer, faults or [])), "application/json"
    return Response(body[: len(body) // 2] if truncate else body, status, dict(headers), media_type=kind)


def _path_of(request: Request) -> str:
    path = request.url.path.removeprefix(request.scope["root_path"])
    return f"{path}?{request.url.query}" if request.url.query else path


def _ordered(fault: Fault) -> GitLabRefusal:
    status = fault.status or 500
    if status == 429:
        return too_many(fault.retry_after or 0)
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return GitLabRefusal(status, {"message": f"{status} {_WORDS.get(status, 'Error')}"}, headers)


_PROJECT = "/projects/:id"
_ENDPOINTS: list[tuple[str, Handler]] = [
    ("/version", endpoints.version),
    ("/user", endpoints.me),
    ("/projects", endpoints.list_projects),
    (_PROJECT, endpoints.get_project),
    (f"{_PROJECT}/issues", endpoints.list_issues),
    (f"{_PROJECT}/issues/:iid", endpoints.get_issue),
    (f"{_PROJECT}/issues/:iid/notes", endpoints.list_issue_notes),
    (f"{_PROJECT}/issues/:iid/discussions", endpoints.list_issue_discussions),
    (f"{_PROJECT}/merge_requests", endpoints.list_merge_requests),
    (f"{_PROJECT}/merge_requests/:iid", endpoints.get_merge_request),
    (f"{_PROJECT}/merge_requests/:iid/notes", endpoints.list_merge_request_notes),
    (f"{_PROJECT}/merge_requests/:iid/discussions", endpoints.list_merge_request_discussions),
    (f"{_PROJECT}/merge_requests/:iid/diffs", endpoints.list_diffs),
    (f"{_PROJECT}/repository/commits", repository.list_commits),
    (f"{_PROJECT}/repository/commits/:sha", repository.get_commit),
    (f"{_PROJECT}/repository/commits/:sha/diff", repository.list_commit_diffs),
    (f"{_PROJECT}/repository/tree", repository.list_tree),
    (f"{_PROJECT}/repository/files/:path", repository.get_file),
    (f"{_PROJECT}/repository/files/:path/raw", repository.get_raw_file),
    (f"{_PROJECT}/repository/compare", repository.compare),
    (f"{_PROJECT}/repository/merge_base", repository.merge_base),
    (f"{_PROJECT}/wikis", endpoints.list_wiki_pages),
    (f"{_PROJECT}/wikis/:slug", endpoints.get_wiki_page),
]
