"""What surrounds every request: an id, a largest size, a line in the log, and an answer also where something broke.

What belongs here: what holds for requests of nobody in particular. Keys and rates are in `gate.py`.
"""

import re
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_assets.api.problems import problem
from sync_assets.cli.session import log

HEADER = "X-Request-ID"
LARGEST = 64 * 1024
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Frame:
    """ASGI middleware. The request's id is `request.state.id`; senders may choose one by the header `X-Request-ID`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _id_of(scope)
        scope.setdefault("state", {})["id"] = request_id
        started, status = time.monotonic(), 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), request_id.encode())]
            await send(message)

        try:
            body = await _body(receive)
            if body is None:
                refusal = problem(request_id, 413, f"A request may have {LARGEST // 1024} KiB.")
                await refusal(scope, receive, framed)
            else:
                await self._app(scope, _replayed(body, receive), framed)
        except Exception:  # noqa: BLE001 whatever it is, its sender gets an answer and the log has it
            log.exception("%s %s", request_id, "unexpected")
            if not status:
                broken = problem(request_id, 500, "Something unforeseen happened. The log has it, under this id.")
                await broken(scope, receive, framed)
        finally:
            # The route and not the path, which may hold anything.
            route = getattr(scope.get("route"), "path", "-")
            milliseconds = (time.monotonic() - started) * 1000
            log.info("%s %s %s %d %.0f ms", request_id, scope["method"], route, status, milliseconds)


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER.lower().encode() and _ID.fullmatch(value):
            return value.decode()
    return uuid4().hex


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, or its sender went away."""
    body = b""
    while len(body) <= LARGEST:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body if len(body) <= LARGEST else None
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    read = False

    async def replay() -> Message:
        nonlocal read
        if read:
            return await receive()  # that the sender went away
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
