"""A simulator of Zoho Desk's API v1 and of its account server, with their real wire protocol, for one account.

One root stands for both hosts: `{root}/api/v1/...` for `https://desk.zoho.eu` and `{root}/oauth/v2/token` for
`https://accounts.zoho.eu`. What can be ordered and changed out of the protocol is in `zoho_desk_control.py`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync_assets.demo import zoho_desk_articles as articles
from sync_assets.demo import zoho_desk_tickets as tickets
from sync_assets.demo.faults import Fault, malform
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json
from sync_assets.demo.zoho_desk_account import ZohoDesk, ZohoLimits, too_many
from sync_assets.demo.zoho_desk_control import control_routes
from sync_assets.demo.zoho_desk_protocol import ZohoCall, ZohoRefusal, refused

Handler = Callable[[ZohoCall], Any]


def create_app(desk: ZohoDesk, clock: Clock, limits: ZohoLimits) -> Starlette:
    """The ASGI application that serves one account.

    Args:
        clock: what writes, tokens and credits take as the present moment.
    """
    api = _Api(desk, clock, limits)
    return Starlette(
        routes=[api.token_route(), *(api.route(*endpoint) for endpoint in _ENDPOINTS), *control_routes(desk, clock)]
    )


@dataclass(frozen=True)
class _Api:
    """Everything that Zoho does around an endpoint: log, credits, authentication, faults, headers."""

    desk: ZohoDesk
    clock: Clock
    limits: ZohoLimits

    def token_route(self) -> Route:
        async def answer(request: Request, moment: datetime) -> tuple[Any, dict[str, str]]:
            form = dict(request.query_params) | dict(parse_qsl((await request.body()).decode(errors="replace")))
            return self.desk.tokens.grant(self.desk.data, form, moment, self.limits.tokens_per_window), {}

        return self._route("POST", "/oauth/v2/token", answer)

    def route(self, method: str, path: str, handler: Handler, weight: int) -> Route:
        async def answer(request: Request, moment: datetime) -> tuple[Any, dict[str, str]]:
            self.desk.tokens.check(request.headers.get("Authorization", ""), moment)
            headers = self.desk.spend(weight, self.limits.credits_per_day, moment)
            try:
                if path != "/organizations" and request.headers.get("orgId") != self.desk.data.org_id:
                    raise refused(
                        403, "UNAUTHORIZED", "You are not authorized for the organization in the orgId header."
                    )
                body = _parsed(await request.body()) if method in ("POST", "PATCH") else None
                found = handler(ZohoCall(self.desk.data, moment, request.path_params, request.query_params, body))
            except ZohoRefusal as refusal:
                refusal.headers |= headers
                raise
            return {"data": found} if isinstance(found, list) and found else found or None, headers

        return self._route(method, f"/api/v1{path}", answer)

    def _route(
        self, method: str, path: str, answer: Callable[[Request, datetime], Awaitable[tuple[Any, dict[str, str]]]]
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            self.desk.requests[f"{method} {path.replace(':path', '')}"] += 1
            truncate = False
            try:
                faults = self.desk.faults.strike(_path_of(request))
                for fault in faults:
                    await asyncio.sleep(fault.delay)
                    truncate |= fault.truncate
                    if fault.status is not None:
                        raise _ordered(fault)
                found, headers = await answer(request, self.clock().replace(microsecond=0))
                return _response(200, malform(found, faults), headers, truncate)
            except ZohoRefusal as refusal:
                return _response(refusal.status, refusal.body, refusal.headers, truncate)

        return Route(path, endpoint, methods=[method])


def _response(status: int, answer: Any, headers: Mapping[str, str], truncate: bool) -> Response:
    """The answer as JSON, or a file's bytes; nothing to send is status 204."""
    if answer is None:
        return Response(status_code=204, headers=dict(headers))
    is_file = isinstance(answer, bytes)
    body = answer if is_file else orjson.dumps(answer)
    if truncate:
        body = body[: len(body) // 2]
    media_type = "application/octet-stream" if is_file else "application/json;charset=UTF-8"
    return Response(body, status, dict(headers), media_type=media_type)


def _path_of(request: Request) -> str:
    path = request.url.path.removeprefix(request.scope["root_path"])
    return f"{path}?{request.url.query}" if request.url.query else path


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise refused(422, "INVALID_DATA", "The body is not well-formed JSON.") from None


def _ordered(fault: Fault) -> ZohoRefusal:
    status = fault.status or 500
    if status == 429:
        return too_many(fault.retry_after or 0)
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return ZohoRefusal(
        status, {"errorCode": "INTERNAL_SERVER_ERROR", "message": "An internal error occurred."}, headers
    )


def _organizations(call: ZohoCall) -> list[Json]:
    account = call.account
    return [
        {
            "id": account.org_id,
            "companyName": account.company,
            "portalName": account.portal,
            "portalURL": f"{account.host}/support/{account.portal}",
            "edition": "ENTERPRISE",
            "isDefault": True,
        }
    ]


def _departments(call: ZohoCall) -> list[Json]:
    return [{name: value for name, value in item.items() if name != "layoutId"} for item in call.account.departments]


def _department(call: ZohoCall) -> Json:
    for item in _departments(call):
        if item["id"] == call.path["id"]:
            return item
    raise refused(404, "RESOURCE_NOT_FOUND", "No such resource.")


def _unknown(call: ZohoCall) -> None:
    raise refused(404, "URL_NOT_FOUND", "The requested URL was not found.")


_ENDPOINTS: list[tuple[str, str, Handler, int]] = [
    ("GET", "/organizations", _organizations, 1),
    ("GET", "/departments", _departments, 3),
    ("GET", "/departments/{id}", _department, 1),
    ("GET", "/articles", articles.list_articles, 3),
    ("POST", "/articles", articles.create_article, 1),
    ("POST", "/articles/moveToTrash", articles.trash_articles, 6),
    ("GET", "/articles/{id}", articles.get_article, 1),
    ("PATCH", "/articles/{id}", articles.update_article, 1),
    ("GET", "/articles/{id}/translations", articles.list_translations, 3),
    ("GET", "/articles/{id}/translations/{locale}", articles.get_translation, 1),
    ("PATCH", "/articles/{id}/translations/{locale}", articles.update_article, 1),
    ("GET", "/kbRootCategories", articles.list_root_categories, 3),
    ("GET", "/kbRootCategories/{id}/categoryTree", articles.get_category_tree, 1),
    ("GET", "/tickets", tickets.list_tickets, 3),
    ("GET", "/tickets/search", tickets.search_tickets, 3),
    ("GET", "/tickets/archivedTickets", tickets.list_archived, 3),
    ("POST", "/tickets/moveToTrash", tickets.trash_tickets, 6),
    ("GET", "/tickets/{id}", tickets.get_ticket, 1),
    ("PATCH", "/tickets/{id}", tickets.update_ticket, 1),
    ("GET", "/tickets/{id}/threads", tickets.list_threads, 3),
    ("GET", "/tickets/{id}/threads/{part}", tickets.get_thread, 1),
    ("GET", "/tickets/{id}/latestThread", tickets.get_latest_thread, 1),
    ("GET", "/tickets/{id}/comments", tickets.list_comments, 3),
    ("POST", "/tickets/{id}/comments", tickets.add_comment, 1),
    ("GET", "/tickets/{id}/comments/{part}", tickets.get_comment, 1),
    ("PATCH", "/tickets/{id}/comments/{part}", tickets.update_comment, 1),
    ("DELETE", "/tickets/{id}/comments/{part}", tickets.delete_comment, 1),
    ("GET", "/tickets/{id}/conversations", tickets.list_conversations, 3),
    ("GET", "/tickets/{id}/attachments", tickets.list_attachments, 3),
    ("GET", "/tickets/{id}/attachments/{part}/content", tickets.get_attachment, 1),
    ("GET", "/{rest:path}", _unknown, 1),
]
