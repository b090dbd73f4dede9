"""A simulator of Backlog's REST API v2 with its real wire protocol, for one space and the user whose key reads it.

`{root}/api/v2/...` stands for `https://{space}.backlog.com/api/v2/...`. What can be ordered and done out of the
protocol is in `backlog_control.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync_assets.demo import backlog_endpoints as endpoints
from sync_assets.demo.backlog_control import control_routes
from sync_assets.demo.backlog_endpoints import BacklogCall
from sync_assets.demo.backlog_limits import (
    ACCESS_DENIED,
    AUTHENTICATION,
    NO_RESOURCE,
    TOO_MANY_REQUESTS,
    BacklogLimits,
    BacklogRefusal,
    Kind,
)
from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.faults import Fault, malform
from sync_assets.demo.freshdesk import Clock, now

Handler = Callable[[BacklogCall], Any]

_ROOT = "/api/v2"
_INTERNAL = 1
_REFUSALS = {
    401: (AUTHENTICATION, "Authentication failure."),
    403: (ACCESS_DENIED, "You do not have permission to access this project."),
    404: (NO_RESOURCE, "No such resource."),
    429: (TOO_MANY_REQUESTS, "Rate limit exceeded."),
}


def create_app(space: BacklogSpace, clock: Clock = now, limits: BacklogLimits | None = None) -> Starlette:
    """The ASGI application that serves one space.

    Args:
        clock: what limits, and what people do through the control routes, take as the present moment.
        limits: what the user may ask for; the vendor's where not given.
    """
    api = _Api(space, clock, limits or BacklogLimits())
    return Starlette(
        routes=[
            *(api.route(path, handler, kind) for path, handler, kind in _ENDPOINTS),
            *control_routes(space, clock),
        ]
    )


@dataclass(frozen=True)
class _Api:
    """Everything that Backlog does around an endpoint: log, faults, authentication, limits, headers."""

    space: BacklogSpace
    clock: Clock
    limits: BacklogLimits

    def route(self, path: str, handler: Handler, kind: Kind) -> Route:
        template = f"GET {_ROOT}{path.replace(':path', '')}"

        async def endpoint(request: Request) -> Response:
            self.space.requests[template] += 1
            faults = self.space.faults.strike(_path_of(request))
            for fault in faults:
                await asyncio.sleep(fault.delay)
            try:
                answer = self._answer(request, handler, kind, faults)
            except BacklogRefusal as refusal:
                answer = _json(refusal.body, refusal.status)
            if any(fault.truncate for fault in faults):
                answer = Response(bytes(answer.body)[: len(answer.body) // 2], answer.status_code)
            answer.headers.update(self._limit_headers(kind, faults))
            return answer

        return Route(f"{_ROOT}{path}", endpoint, methods=["GET"])

    def _answer(self, request: Request, handler: Handler, kind: Kind, faults: list[Fault]) -> Response:
        for fault in faults:
            if fault.status is not None:
                raise BacklogRefusal(fault.status, *_REFUSALS.get(fault.status, (_INTERNAL, "Internal error.")))
        data, moment = self.space.data, self.clock()
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if data.api_key not in (request.query_params.get("apiKey"), bearer):
            raise BacklogRefusal(401, *_REFUSALS[401])
        if not self.space.windows.take(self.limits, kind, moment):
            raise BacklogRefusal(429, *_REFUSALS[429])
        left = self.space.windows.all_left(self.limits, moment)
        found = handler(BacklogCall(data, request.path_params, request.query_params, left))
        return found if isinstance(found, Response) else _json(malform(found, faults))

    def _limit_headers(self, kind: Kind, faults: list[Fault]) -> dict[str, str]:
        """What is left of the minute; the vendor sends no `Retry-After`, so a fault's wait is told as the reset."""
        moment = self.clock()
        left = self.space.windows.left(self.limits, kind, moment)
        waits = [fault.retry_after for fault in faults if fault.retry_after is not None]
        if waits:
            left |= {"remaining": 0, "reset": int((moment + timedelta(seconds=max(waits))).timestamp())}
        return {f"X-RateLimit-{name.capitalize()}": str(value) for name, value in left.items()}


def _json(answer: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(answer), status, media_type="application/json;charset=utf-8")


def _path_of(request: Request) -> str:
    """Path and query without the key."""
    path = request.url.path.removeprefix(request.scope["root_path"])
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "apiKey"]
    return f"{path}?{urlencode(query, safe='[]')}" if query else path


_ENDPOINTS: list[tuple[str, Handler, Kind]] = [
    ("/space", endpoints.space, "read"),
    ("/users/myself", endpoints.myself, "read"),
    ("/rateLimit", endpoints.rate_limit, "read"),
    ("/projects", endpoints.list_projects, "read"),
    ("/projects/{project}", endpoints.get_project, "read"),
    ("/projects/{project}/statuses", endpoints.list_statuses, "read"),
    ("/projects/{project}/activities", endpoints.list_activities, "read"),
    ("/issues", endpoints.list_issues, "search"),
    ("/issues/count", endpoints.count_issues, "search"),
    ("/issues/{issue}", endpoints.get_issue, "read"),
    ("/issues/{issue}/comments", endpoints.list_comments, "read"),
    ("/issues/{issue}/attachments", endpoints.attachments_of(endpoints.get_issue), "read"),
    ("/issues/{issue}/attachments/{attachment}", endpoints.attachment_of(endpoints.get_issue), "read"),
    ("/wikis", endpoints.list_wikis, "read"),
    ("/wikis/{wiki}", endpoints.get_wiki, "read"),
    ("/wikis/{wiki}/attachments", endpoints.attachments_of(endpoints.get_wiki), "read"),
    ("/wikis/{wiki}/attachments/{attachment}", endpoints.attachment_of(endpoints.get_wiki), "read"),
    ("/documents", endpoints.list_documents, "read"),
    ("/documents/tree", endpoints.document_tree, "read"),
    ("/documents/{document}", endpoints.get_document, "read"),
    ("/documents/{document}/comments", endpoints.list_document_comments, "read"),
    ("/{rest:path}", endpoints.unknown, "read"),
]
