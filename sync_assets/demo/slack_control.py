"""What stands below `{root}/_demo`, outside the vendor's protocol and without authentication.

There a test or a user orders faults, puts the workspace back to its start, and does what people do in the app. A body
may give the moment of an action as `at` (ISO 8601), in place of the present one:

    POST   /_demo/faults                               order a `SlackFault`
    DELETE /_demo/faults                               clear all faults
    POST   /_demo/reset                                back to the starting state
    GET    /_demo/requests                             counts by method
    DELETE /_demo/requests                             forget the counts
    PUT    /_demo/scopes                               what the token may do: {"scopes": [...]}
    POST   /_demo/messages                             `channel`, `user`, `text`, `thread_ts`, other attributes
    PATCH  /_demo/messages/{channel}/{ts}              edit with `text`; other attributes are set as they are
    DELETE /_demo/messages/{channel}/{ts}              delete
    DELETE /_demo/files/{file}                         deleted by its owner, in all messages
    PUT    /_demo/channels/{channel}/members/{user}    join, without a body
    DELETE /_demo/channels/{channel}/members/{user}    leave, without a body
    PATCH  /_demo/channels/{channel}                   `name`, `is_archived`, `is_private`
    DELETE /_demo/channels/{channel}                   gone for good
    PATCH  /_demo/users/{user}                         `display_name`
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json
from sync_assets.demo.slack_workspace import SlackFault, SlackWorkspace

Act = Callable[[Request], Awaitable[Response]]


def control_routes(workspace: SlackWorkspace, clock: Clock) -> list[Route]:
    """The routes for one workspace."""
    return [
        Route(f"/_demo{path}", _answering(act), methods=[verb])
        for verb, path, act in [*_orders(workspace), *_actions(workspace, clock)]
    ]


def _orders(workspace: SlackWorkspace) -> list[tuple[str, str, Act]]:
    async def order_fault(request: Request) -> Response:
        workspace.faults.order(SlackFault.model_validate_json(await request.body()))
        return Response(status_code=201)

    async def clear_faults(request: Request) -> Response:
        workspace.faults.clear()
        return Response(status_code=204)

    async def reset(request: Request) -> Response:
        workspace.reset()
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        return JSONResponse(workspace.requests)

    async def forget_requests(request: Request) -> Response:
        workspace.requests.clear()
        return Response(status_code=204)

    async def set_scopes(request: Request) -> Response:
        workspace.data.scopes = list((await request.json())["scopes"])
        return Response(status_code=204)

    return [
        ("POST", "/faults", order_fault),
        ("DELETE", "/faults", clear_faults),
        ("POST", "/reset", reset),
        ("GET", "/requests", requests),
        ("DELETE", "/requests", forget_requests),
        ("PUT", "/scopes", set_scopes),
    ]


def _actions(workspace: SlackWorkspace, clock: Clock) -> list[tuple[str, str, Act]]:
    async def post(request: Request) -> Response:
        body, at = await _body(request, clock)
        return JSONResponse(workspace.post(**body, at=at), 201)

    async def change_message(request: Request) -> Response:
        body, at = await _body(request, clock)
        channel, ts = request.path_params["channel"], request.path_params["ts"]
        if isinstance(body.get("text"), str):
            workspace.edit(channel, ts, body.pop("text"), at)
        workspace.data.messages[channel][ts].update(body)
        return Response(status_code=204)

    async def delete(request: Request) -> Response:
        workspace.delete(**request.path_params)
        return Response(status_code=204)

    async def delete_file(request: Request) -> Response:
        workspace.delete_file(**request.path_params)
        return Response(status_code=204)

    async def join(request: Request) -> Response:
        workspace.join(**request.path_params, at=clock())
        return Response(status_code=204)

    async def leave(request: Request) -> Response:
        workspace.leave(**request.path_params, at=clock())
        return Response(status_code=204)

    async def change_channel(request: Request) -> Response:
        body, at = await _body(request, clock)
        channel = request.path_params["channel"]
        if "name" in body:
            workspace.rename_channel(channel, body["name"], at)
        if "is_archived" in body:
            workspace.archive(channel, body["is_archived"], at)
        if "is_private" in body:
            workspace.set_private(channel, body["is_private"])
        return Response(status_code=204)

    async def delete_channel(request: Request) -> Response:
        workspace.delete_channel(request.path_params["channel"])
        return Response(status_code=204)

    async def rename_user(request: Request) -> Response:
        body, at = await _body(request, clock)
        workspace.rename_user(request.path_params["user"], body["display_name"], at)
        return Response(status_code=204)

    return [
        ("POST", "/messages", post),
        ("PATCH", "/messages/{channel}/{ts}", change_message),
        ("DELETE", "/messages/{channel}/{ts}", delete),
        ("DELETE", "/files/{file}", delete_file),
        ("PUT", "/channels/{channel}/members/{user}", join),
        ("DELETE", "/channels/{channel}/members/{user}", leave),
        ("PATCH", "/channels/{channel}", change_channel),
        ("DELETE", "/channels/{channel}", delete_channel),
        ("PATCH", "/users/{user}", rename_user),
    ]


async def _body(request: Request, clock: Clock) -> tuple[Json, datetime]:
    """The body without its `at`, and that moment."""
    body: Json = await request.json()
    at = body.pop("at", None)
    return body, clock() if at is None else datetime.fromisoformat(at)


def _answering(act: Act) -> Act:
    """The action, where what is not there is answered with 404 and what can't be read with 400."""

    async def answer(request: Request) -> Response:
        try:
            return await act(request)
        except KeyError as error:
            return Response(f"{error} is not there.", 404)
        except (ValidationError, ValueError, TypeError) as error:
            return Response(str(error), 400)

    return answer
