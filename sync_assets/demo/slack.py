"""A simulator of Slack's Web API for one workspace, with its real wire protocol.

`{root}` stands for `https://slack.com`, so a method is `{root}/api/{method}`, and for `https://files.slack.com` too,
so a file is at `{root}/files-pri/{team}-{file}/download/{name}`. What the methods answer is in `slack_methods.py`; what
can be ordered and changed out of the protocol is in `slack_control.py`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync_assets.demo import slack_methods as methods
from sync_assets.demo.faults import Fault
from sync_assets.demo.files import file_bytes
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json
from sync_assets.demo.slack_control import control_routes
from sync_assets.demo.slack_methods import Method, SlackCall, SlackRefusal
from sync_assets.demo.slack_records import FILES_HOST, shared_file
from sync_assets.demo.slack_workspace import SlackFault, SlackLimits, SlackWorkspace

Tier = Literal["tier_2", "tier_3", "tier_4"]

_METHODS: dict[str, tuple[Method, Tier]] = {
    "auth.test": (methods.auth_test, "tier_4"),
    "team.info": (methods.team_info, "tier_3"),
    "conversations.list": (methods.list_channels, "tier_2"),
    "conversations.info": (methods.channel_info, "tier_3"),
    "conversations.members": (methods.list_members, "tier_4"),
    "conversations.history": (methods.history, "tier_3"),
    "conversations.replies": (methods.replies, "tier_3"),
    "users.list": (methods.list_users, "tier_2"),
    "users.info": (methods.user_info, "tier_4"),
    "files.info": (methods.file_info, "tier_4"),
}
_ROWS = ("channels", "members", "messages")
_LOGIN = "<!DOCTYPE html><html><head><title>Slack</title></head><body>Sign in to your workspace</body></html>"


def create_app(workspace: SlackWorkspace, clock: Clock, limits: SlackLimits) -> Starlette:
    """The ASGI application that serves one workspace.

    Args:
        clock: what actions and rate limits take as the present moment.
    """
    endpoint = _Endpoint(workspace, clock, limits)
    return Starlette(
        routes=[
            Route("/api/{method}", endpoint.answer, methods=["GET", "POST"]),
            Route("/files-pri/{team}-{file}/{name}", endpoint.give_file),
            Route("/files-pri/{team}-{file}/download/{name}", endpoint.give_file),
            *control_routes(workspace, clock),
        ]
    )


@dataclass(frozen=True)
class _Endpoint:
    """Everything that Slack does around a method: log, faults, authentication, rate limit, headers."""

    workspace: SlackWorkspace
    clock: Clock
    limits: SlackLimits

    async def answer(self, request: Request) -> Response:
        method = request.path_params["method"]
        given = dict(request.query_params) | dict(parse_qsl((await request.body()).decode(errors="replace")))
        token = given.pop("token", "") or request.headers.get("Authorization", "").partition(" ")[2]
        self.workspace.requests[method] += 1
        faults = self.workspace.faults.strike(f"/api/{method}?{urlencode(given)}")
        for fault in faults:
            await asyncio.sleep(fault.delay)
            if fault.status is not None:
                return _struck(fault)
        try:
            if wait := self._wait(method):
                return _too_many(wait)
            answer = self._asked(method, given, token, faults)
        except SlackRefusal as refusal:
            answer = refusal.body
        root = f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"
        return self._response(answer, root, truncate=any(fault.truncate for fault in faults))

    async def give_file(self, request: Request) -> Response:
        """A file's bytes. Whoever may not have them gets the page that asks people to log in, with status 200."""
        data, given = self.workspace.data, request.headers.get("Authorization")
        self.workspace.requests["files-pri"] += 1
        file = shared_file(data, request.path_params["file"])
        if given != f"Bearer {data.token}" or "files:read" not in data.scopes or not file or "name" not in file:
            return Response(_LOGIN, media_type="text/html")
        return Response(file_bytes(file["name"]), media_type=file["mimetype"])

    def _wait(self, method: str) -> int:
        """Seconds to wait before the next call of a method; 0 where it may be called now."""
        if method not in _METHODS:
            raise SlackRefusal("unknown_method", req_method=method)
        _, tier = _METHODS[method]
        return self.workspace.admit(method, getattr(self.limits, tier), self.clock())

    def _asked(self, method: str, given: Mapping[str, str], token: str, faults: list[Fault]) -> Json:
        data = self.workspace.data
        if not token:
            raise SlackRefusal("not_authed")
        if token != data.token:
            raise SlackRefusal("invalid_auth")
        ordered = [fault for fault in faults if isinstance(fault, SlackFault)]
        for fault in ordered:
            if fault.error is not None:
                raise SlackRefusal(fault.error)
        called, _ = _METHODS[method]
        answer = {"ok": True} | called(SlackCall(data, given, self.limits.page))
        for fault in ordered:
            answer = {name: _first_rows(name, value, fault.rows) for name, value in answer.items()} | fault.answer
        return answer

    def _response(self, answer: Json, root: str, truncate: bool) -> Response:
        body = orjson.dumps(answer).replace(FILES_HOST.encode(), root.encode())
        headers = {"X-OAuth-Scopes": ",".join(self.workspace.data.scopes)}
        return _json(200, body[: len(body) // 2] if truncate else body, headers)


def _first_rows(name: str, value: Any, rows: int | None) -> Any:
    return value[:rows] if name in _ROWS else value


def _struck(fault: Fault) -> Response:
    status = fault.status or 500
    if status == 429:
        return _too_many(fault.retry_after or 0)
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return _json(status, orjson.dumps({"ok": False, "error": "internal_error"}), headers)


def _too_many(seconds: int) -> Response:
    return _json(429, orjson.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": str(seconds)})


def _json(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    return Response(body, status, dict(headers), media_type="application/json; charset=utf-8")
