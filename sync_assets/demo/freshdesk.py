"""A simulator of Freshdesk's API v2 with its real wire protocol, for several accounts.

Each account has its own base URL, `http://127.0.0.1:{port}/{tenant}`, which stands for `https://{tenant}.freshdesk.com`.
Below `/{tenant}/_demo`, outside the vendor's protocol and without authentication, a test or a user orders faults, puts
the account back to its start, and does what Freshdesk's API can't (marking spam, the purge of deleted tickets):

    POST   /{tenant}/_demo/faults                        order a `Fault`
    DELETE /{tenant}/_demo/faults                        clear all faults
    POST   /{tenant}/_demo/reset                         back to the starting state
    GET    /{tenant}/_demo/requests                      counts by method and path template
    DELETE /{tenant}/_demo/requests                      forget the counts
    POST   /{tenant}/_demo/tickets/{id}/{action}         spam, unspam or purge
"""

import asyncio
import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo import solutions, tickets
from sync_assets.demo.faults import Fault, Faults, malform
from sync_assets.demo.files import file_bytes
from sync_assets.demo.protocol import Call, Refusal, found, included, page_of
from sync_assets.demo.records import AccountData, Json, timestamp

Clock = Callable[[], datetime]
Handler = Callable[[Call], Any]


def now() -> datetime:
    """The present moment; the clock unless another is given."""
    return datetime.now(UTC)


class Desk:
    """One Freshdesk account: what it holds now, its request budget, its faults and its log.

    Attributes:
        data: the present records.
        requests: answered requests by method and path template, such as `GET /api/v2/tickets/{id}`.
    """

    def __init__(self, start: AccountData) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: records, faults, counts and request budget."""
        self.data = deepcopy(self._start)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self._minute = 0
        self._used = 0

    def spend(self, credits: int, per_minute: int, moment: datetime) -> dict[str, str]:
        """Take `credits` from the present minute's budget; returns the headers that say so.

        Raises:
            Refusal: 429, where the minute's budget is spent.
        """
        minute, second = divmod(int(moment.timestamp()), 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        allowed = self._used + credits <= per_minute
        self._used += credits if allowed else 0
        headers = {
            "X-RateLimit-Total": str(per_minute),
            "X-RateLimit-Remaining": str(per_minute - self._used if allowed else 0),
            "X-RateLimit-Used-CurrentRequest": str(credits),
        }
        if not allowed:
            raise _rate_limited(60 - second, headers)
        return headers


def create_app(desks: Mapping[str, Desk], clock: Clock = now, requests_per_minute: int = 5000) -> Starlette:
    """The ASGI application that serves `desks` by tenant name.

    Args:
        clock: what writes take as the present moment, and what the default 30-day window and the budget count from.
        requests_per_minute: budget of each account; `include=` costs two credits for each name.
    """
    api = _Api(desks, clock, requests_per_minute)
    return Starlette(
        routes=[
            *(api.route(*endpoint) for endpoint in _ENDPOINTS),
            Route("/{tenant}/helpdesk/attachments/{id:int}/{name}", _attachment),
            *_demo_routes(desks, clock),
        ]
    )


@dataclass(frozen=True)
class _Api:
    """Everything that Freshdesk does around an endpoint: log, budget, authentication, faults, headers."""

    desks: Mapping[str, Desk]
    clock: Clock
    per_minute: int

    def route(self, method: str, path: str, handler: Handler, success: int) -> Route:
        template = f"{method} /api/v2{path.replace(':int', '').replace(':path', '')}"

        async def endpoint(request: Request) -> Response:
            desk = self.desks.get(request.path_params["tenant"])
            if desk is None:
                return Response(status_code=404)
            desk.requests[template] += 1
            headers: dict[str, str] = {}
            truncate = False
            try:
                moment = self.clock().replace(microsecond=0)
                headers = desk.spend(1 + 2 * len(included(request.query_params)), self.per_minute, moment)
                call = Call(
                    account=desk.data,
                    now=moment,
                    agent_id=_agent_with(request.headers.get("Authorization", ""), desk.data),
                    path=request.path_params,
                    query=request.query_params,
                    body=_parsed(await request.body()) if method in ("POST", "PUT") else None,
                )
                faults = desk.faults.strike(_path_of(request))
                for fault in faults:
                    await asyncio.sleep(fault.delay)
                    truncate |= fault.truncate
                    if fault.status is not None:
                        raise _ordered(fault)
                answer = _addressed(malform(handler(call), faults), f"{request.base_url}{call.account.tenant}")
                if call.has_next:
                    link = request.url.include_query_params(page=call.page + 1)
                    headers["Link"] = f'<{link}>; rel="next"'
                return _response(success, answer, headers, truncate)
            except Refusal as refusal:
                return _response(refusal.status, refusal.body, headers | refusal.headers, truncate)

        return Route(f"/{{tenant}}/api/v2{path}", endpoint, methods=[method])


def _addressed(answer: Any, root: str) -> Any:
    """The answer with its attachments at this server, where they can be had."""
    if isinstance(answer, list):
        return [_addressed(item, root) for item in answer]
    if not isinstance(answer, dict):
        return answer
    if "attachment_url" in answer:
        path = answer["attachment_url"].partition("//")[2].partition("/")[2]
        return answer | {"attachment_url": f"{root}/helpdesk/attachments/{path}"}
    return {
        name: _addressed(value, root) if name in ("attachments", "conversations") else value
        for name, value in answer.items()
    }


async def _attachment(request: Request) -> Response:
    """The bytes behind an attachment's address, which needs no credentials but its signature."""
    if "Signature" not in request.query_params:
        return Response(status_code=403)
    return Response(file_bytes(request.path_params["name"]), media_type="application/octet-stream")


def _response(status: int, answer: Any, headers: Mapping[str, str], truncate: bool) -> Response:
    body = b"" if answer is None else orjson.dumps(answer)
    if truncate:
        body = body[: len(body) // 2]
    return Response(body, status, dict(headers), media_type="application/json; charset=utf-8" if body else None)


def _path_of(request: Request) -> str:
    tenant = request.path_params["tenant"]
    path = request.url.path.removeprefix(f"/{tenant}")
    return f"{path}?{request.url.query}" if request.url.query else path


def _agent_with(authorization: str, account: AccountData) -> int:
    scheme, _, credentials = authorization.partition(" ")
    try:
        key = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        key = ""
    if scheme.lower() != "basic" or key != account.api_key:
        raise Refusal(
            401, {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
        )
    return next(iter(account.agents))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise Refusal(400, {"code": "invalid_json", "message": "Request body has invalid json format"}) from None


def _rate_limited(seconds: int, headers: Mapping[str, str] | None = None) -> Refusal:
    message = "You have exceeded the limit of requests per minute"
    return Refusal(429, {"message": message}, {**(headers or {}), "Retry-After": str(seconds)})


def _ordered(fault: Fault) -> Refusal:
    status = fault.status or 500
    if status == 429:
        return _rate_limited(fault.retry_after or 0)
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Refusal(status, {"code": "internal_error", "message": "We're sorry, but something went wrong."}, headers)


def _listing(kind: str) -> Handler:
    def list_all(call: Call) -> list[Json]:
        items: list[Json] = list(getattr(call.account, kind).values())
        since = call.query.get("_updated_since", "")
        return page_of(call, [item for item in items if item["updated_at"] >= since])

    return list_all


def _getting(kind: str) -> Handler:
    return lambda call: found(getattr(call.account, kind), call.id)


def _unknown(call: Call) -> None:
    raise Refusal(404)


def _ticket_fields(call: Call) -> list[Json]:
    return [item for item in call.account.ticket_fields if item["type"] == call.query.get("type", item["type"])]


def _me(call: Call) -> Json:
    return call.account.agents[call.agent_id]


def _languages(call: Call) -> Json:
    account = call.account
    return {
        "primary_language": account.language,
        "supported_languages": account.translated,
        "portal_languages": account.translated,
    }


_ENDPOINTS: list[tuple[str, str, Handler, int]] = [
    ("GET", "/tickets", tickets.list_tickets, 200),
    ("POST", "/tickets", tickets.create_ticket, 201),
    ("GET", "/tickets/{id:int}", tickets.get_ticket, 200),
    ("PUT", "/tickets/{id:int}", tickets.update_ticket, 200),
    ("DELETE", "/tickets/{id:int}", tickets.delete_ticket, 204),
    ("PUT", "/tickets/{id:int}/restore", tickets.restore_ticket, 204),
    ("GET", "/tickets/{id:int}/conversations", tickets.list_conversations, 200),
    ("POST", "/tickets/{id:int}/reply", tickets.reply, 201),
    ("POST", "/tickets/{id:int}/notes", tickets.add_note, 201),
    ("PUT", "/conversations/{id:int}", tickets.update_conversation, 200),
    ("DELETE", "/conversations/{id:int}", tickets.delete_conversation, 204),
    ("GET", "/ticket_fields", _ticket_fields, 200),
    ("GET", "/admin/ticket_fields", _ticket_fields, 200),
    ("GET", "/agents/me", _me, 200),
    *(
        endpoint
        for kind in ("agents", "groups", "contacts", "companies")
        for endpoint in (
            ("GET", f"/{kind}", _listing(kind), 200),
            ("GET", f"/{kind}/{{id:int}}", _getting(kind), 200),
        )
    ),
    ("GET", "/settings/helpdesk", _languages, 200),
    ("GET", "/solutions/categories", solutions.list_categories, 200),
    ("GET", "/solutions/categories/{id:int}", solutions.get_category, 200),
    ("GET", "/solutions/categories/{language}", solutions.list_categories, 200),
    ("GET", "/solutions/categories/{id:int}/folders", solutions.list_folders, 200),
    ("GET", "/solutions/categories/{id:int}/folders/{language}", solutions.list_folders, 200),
    ("GET", "/solutions/categories/{id:int}/{language}", solutions.get_category, 200),
    ("GET", "/solutions/folders/{id:int}", solutions.get_folder, 200),
    ("GET", "/solutions/folders/{id:int}/subfolders", solutions.list_subfolders, 200),
    ("GET", "/solutions/folders/{id:int}/subfolders/{language}", solutions.list_subfolders, 200),
    ("GET", "/solutions/folders/{id:int}/articles", solutions.list_articles, 200),
    ("GET", "/solutions/folders/{id:int}/articles/{language}", solutions.list_articles, 200),
    ("POST", "/solutions/folders/{id:int}/articles", solutions.create_article, 201),
    ("GET", "/solutions/folders/{id:int}/{language}", solutions.get_folder, 200),
    ("GET", "/solutions/articles/{id:int}", solutions.get_article, 200),
    ("PUT", "/solutions/articles/{id:int}", solutions.update_article, 200),
    ("DELETE", "/solutions/articles/{id:int}", solutions.delete_article, 204),
    ("GET", "/solutions/articles/{id:int}/{language}", solutions.get_article, 200),
    ("POST", "/solutions/articles/{id:int}/{language}", solutions.create_article, 201),
    ("PUT", "/solutions/articles/{id:int}/{language}", solutions.update_article, 200),
    ("GET", "/{rest:path}", _unknown, 200),
]


def _demo_routes(desks: Mapping[str, Desk], clock: Clock) -> list[Route]:
    async def order_fault(desk: Desk, request: Request) -> Response:
        try:
            desk.faults.order(Fault.model_validate_json(await request.body()))
        except ValidationError as error:
            return Response(str(error), 400)
        return Response(status_code=201)

    async def clear_faults(desk: Desk, request: Request) -> Response:
        desk.faults.clear()
        return Response(status_code=204)

    async def reset(desk: Desk, request: Request) -> Response:
        desk.reset()
        return Response(status_code=204)

    async def requests(desk: Desk, request: Request) -> Response:
        return JSONResponse(desk.requests)

    async def forget_requests(desk: Desk, request: Request) -> Response:
        desk.requests.clear()
        return Response(status_code=204)

    async def act_on_ticket(desk: Desk, request: Request) -> Response:
        ticket_id, action = request.path_params["id"], request.path_params["action"]
        if ticket_id not in desk.data.tickets or action not in ("spam", "unspam", "purge"):
            return Response(status_code=404)
        if action == "purge":
            del desk.data.tickets[ticket_id], desk.data.conversations[ticket_id]
        else:
            desk.data.tickets[ticket_id].update(spam=action == "spam", updated_at=timestamp(clock()))
        return Response(status_code=204)

    def route(method: str, path: str, act: Callable[[Desk, Request], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            desk = desks.get(request.path_params["tenant"])
            return Response(status_code=404) if desk is None else await act(desk, request)

        return Route(f"/{{tenant}}/_demo{path}", endpoint, methods=[method])

    return [
        route("POST", "/faults", order_fault),
        route("DELETE", "/faults", clear_faults),
        route("POST", "/reset", reset),
        route("GET", "/requests", requests),
        route("DELETE", "/requests", forget_requests),
        route("POST", "/tickets/{id:int}/{action}", act_on_ticket),
    ]
