"""What stands below `{root}/_demo`, outside the vendor's protocol and without authentication.

There a test or a user orders faults, puts the space back to its start, and does what people do in the app. A body may
give the moment of an action as `at` (ISO 8601), in place of the present one; `user` is a `userId`:

    POST   /_demo/faults                               order a `Fault`, whose path is `/api/v2/...?...` without the key
    DELETE /_demo/faults                               clear all faults
    POST   /_demo/reset                                back to the starting state
    GET    /_demo/requests                             counts by method and path
    DELETE /_demo/requests                             forget the counts
    POST   /_demo/issues                               `project`, `user`, `summary`, fields
    PATCH  /_demo/issues/{issue}                       `user`, fields
    DELETE /_demo/issues/{issue}?user=                 delete
    POST   /_demo/issues/{issue}/move                  `user`, `project`
    POST   /_demo/issues/{issue}/comments              `user`, `content` or null, fields
    PATCH  /_demo/issues/{issue}/comments/{comment}    `content`
    DELETE /_demo/issues/{issue}/comments/{comment}    delete
    POST   /_demo/issues/{issue}/attachments           `user`, `name`, `content` (base64)
    POST   /_demo/wikis                                `project`, `user`, `name`, `content`
    PATCH  /_demo/wikis/{wiki}                         `user`, `name`, `content`
    DELETE /_demo/wikis/{wiki}?user=                   delete
    POST   /_demo/documents                            `project`, `user`, `title`, `text`
    PATCH  /_demo/documents/{document}                 `user`, `title`, `text`
    POST   /_demo/documents/{document}/comments        `user`, `text`
    DELETE /_demo/documents/{document}                 put into the trash
    PATCH  /_demo/projects/{project}                   `archived`
    PUT    /_demo/projects/{project}/member            the key's user is in the project, without a body
    DELETE /_demo/projects/{project}/member            the key's user is not in it
"""

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.faults import Fault
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json

Act = Callable[[Request], Awaitable[Response]]


def control_routes(space: BacklogSpace, clock: Clock) -> list[Route]:
    """The routes for one space."""
    return [
        Route(f"/_demo{path}", _answering(act), methods=[verb])
        for verb, path, act in [*_orders(space), *_of_issues(space, clock), *_of_pages(space, clock)]
    ]


def _orders(space: BacklogSpace) -> list[tuple[str, str, Act]]:
    async def order_fault(request: Request) -> Response:
        space.faults.order(Fault.model_validate_json(await request.body()))
        return Response(status_code=201)

    async def clear_faults(request: Request) -> Response:
        space.faults.clear()
        return Response(status_code=204)

    async def reset(request: Request) -> Response:
        space.reset()
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        return JSONResponse(space.requests)

    async def forget_requests(request: Request) -> Response:
        space.requests.clear()
        return Response(status_code=204)

    async def change_project(request: Request) -> Response:
        space.archive(request.path_params["project"], (await request.json())["archived"])
        return Response(status_code=204)

    async def join(request: Request) -> Response:
        space.join(request.path_params["project"])
        return Response(status_code=204)

    async def leave(request: Request) -> Response:
        space.leave(request.path_params["project"])
        return Response(status_code=204)

    return [
        ("POST", "/faults", order_fault),
        ("DELETE", "/faults", clear_faults),
        ("POST", "/reset", reset),
        ("GET", "/requests", requests),
        ("DELETE", "/requests", forget_requests),
        ("PATCH", "/projects/{project}", change_project),
        ("PUT", "/projects/{project}/member", join),
        ("DELETE", "/projects/{project}/member", leave),
    ]


def _of_issues(space: BacklogSpace, clock: Clock) -> list[tuple[str, str, Act]]:
    async def add(request: Request) -> Response:
        return JSONResponse(space.add_issue(**await _body(request, clock)), 201)

    async def update(request: Request) -> Response:
        return JSONResponse(space.update_issue(request.path_params["issue"], **await _body(request, clock)))

    async def delete(request: Request) -> Response:
        space.delete_issue(request.path_params["issue"], request.query_params["user"], clock())
        return Response(status_code=204)

    async def move(request: Request) -> Response:
        return JSONResponse(space.move_issue(request.path_params["issue"], **await _body(request, clock)))

    async def comment(request: Request) -> Response:
        return JSONResponse(space.comment(request.path_params["issue"], **await _body(request, clock)), 201)

    async def edit_comment(request: Request) -> Response:
        space.edit_comment(**_comment(request), **await _body(request, clock))
        return Response(status_code=204)

    async def delete_comment(request: Request) -> Response:
        space.delete_comment(**_comment(request))
        return Response(status_code=204)

    async def attach(request: Request) -> Response:
        body = await _body(request, clock)
        body["content"] = base64.b64decode(body["content"], validate=True)
        return JSONResponse(space.attach(request.path_params["issue"], **body), 201)

    return [
        ("POST", "/issues", add),
        ("PATCH", "/issues/{issue}", update),
        ("DELETE", "/issues/{issue}", delete),
        ("POST", "/issues/{issue}/move", move),
        ("POST", "/issues/{issue}/comments", comment),
        ("PATCH", "/issues/{issue}/comments/{comment:int}", edit_comment),
        ("DELETE", "/issues/{issue}/comments/{comment:int}", delete_comment),
        ("POST", "/issues/{issue}/attachments", attach),
    ]


def _of_pages(space: BacklogSpace, clock: Clock) -> list[tuple[str, str, Act]]:
    async def add_wiki(request: Request) -> Response:
        return JSONResponse(space.add_wiki(**await _body(request, clock)), 201)

    async def update_wiki(request: Request) -> Response:
        space.update_wiki(request.path_params["wiki"], **await _body(request, clock))
        return Response(status_code=204)

    async def delete_wiki(request: Request) -> Response:
        space.delete_wiki(request.path_params["wiki"], request.query_params["user"], clock())
        return Response(status_code=204)

    async def add_document(request: Request) -> Response:
        return JSONResponse(space.add_document(**await _body(request, clock)), 201)

    async def update_document(request: Request) -> Response:
        space.update_document(request.path_params["document"], **await _body(request, clock))
        return Response(status_code=204)

    async def comment_document(request: Request) -> Response:
        return JSONResponse(space.comment_document(request.path_params["document"], **await _body(request, clock)), 201)

    async def delete_document(request: Request) -> Response:
        space.delete_document(request.path_params["document"])
        return Response(status_code=204)

    return [
        ("POST", "/wikis", add_wiki),
        ("PATCH", "/wikis/{wiki:int}", update_wiki),
        ("DELETE", "/wikis/{wiki:int}", delete_wiki),
        ("POST", "/documents", add_document),
        ("PATCH", "/documents/{document}", update_document),
        ("POST", "/documents/{document}/comments", comment_document),
        ("DELETE", "/documents/{document}", delete_document),
    ]


def _comment(request: Request) -> dict[str, Any]:
    return {"issue": request.path_params["issue"], "comment": request.path_params["comment"]}


async def _body(request: Request, clock: Clock) -> Json:
    """The body with its moment in `at`."""
    body: Json = await request.json()
    return body | {"at": datetime.fromisoformat(body["at"]) if "at" in body else clock()}


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
