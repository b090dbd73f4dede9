"""What stands below `{root}/_demo`, outside the vendor's protocol and without authentication.

There a test or a user orders faults, puts the instance back to its start, and does what people do in GitLab. Each of
these acts is a POST with `project` (id or full path) and the further arguments of the method of `GitLabInstance` with
the same name:

    POST   /_demo/faults                order a `Fault`
    DELETE /_demo/faults                clear all faults
    POST   /_demo/reset                 back to the starting state
    GET    /_demo/requests              counts by method and path template
    DELETE /_demo/requests              forget the counts
    POST   /_demo/open_issue            `user`, `title`, `description`, `labels`, `assignees`, `confidential`
    POST   /_demo/edit                  `reference`, `user`, and what changes
    POST   /_demo/label                 `reference`, `user`, `labels`
    POST   /_demo/make_confidential     `reference`, `user`, `on`
    POST   /_demo/close                 `reference`, `user`
    POST   /_demo/reopen                `reference`
    POST   /_demo/delete                `reference`
    POST   /_demo/comment               `reference`, `user`, `body`, `internal`, `reply_to`
    POST   /_demo/edit_note             `reference`, `note_id`, `body`
    POST   /_demo/delete_note           `reference`, `note_id`
    POST   /_demo/push                  `user`, `message`, `write`, `rename`, `delete`, `branch`
    POST   /_demo/open_merge_request    `user`, `source_branch`, `title`, `description`
    POST   /_demo/merge                 `reference`, `user`
    POST   /_demo/write_wiki_page       `title`, `content`
    POST   /_demo/move_wiki_page        `slug`, `title`
    POST   /_demo/delete_wiki_page      `slug`
    POST   /_demo/switch_feature        `feature`, `on`
    POST   /_demo/move_project          `path`
    POST   /_demo/set_access            `level`: 10 guest, 20 reporter, null takes the project away
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo.faults import Fault
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.gitlab_data import Note, Noteable, WikiPage
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.records import Json

Act = Callable[[Json], Any]


def control_routes(instance: GitLabInstance, clock: Clock) -> list[Route]:
    """The routes for one instance."""

    def timed(method: Callable[..., Any]) -> Act:
        return lambda body: method(**body, at=clock())

    timed_methods = (
        instance.open_issue,
        instance.edit,
        instance.label,
        instance.make_confidential,
        instance.close,
        instance.reopen,
        instance.comment,
        instance.edit_note,
        instance.push,
        instance.open_merge_request,
        instance.merge,
    )
    methods = (
        instance.delete,
        instance.delete_note,
        instance.write_wiki_page,
        instance.move_wiki_page,
        instance.delete_wiki_page,
        instance.switch_feature,
        instance.move_project,
        instance.set_access,
    )
    acts: list[tuple[str, str, Act]] = [
        ("POST", "/faults", lambda body: instance.faults.order(Fault.model_validate(body))),
        ("DELETE", "/faults", lambda body: instance.faults.clear()),
        ("POST", "/reset", lambda body: instance.reset()),
        ("GET", "/requests", lambda body: dict(instance.requests)),
        ("DELETE", "/requests", lambda body: instance.requests.clear()),
        *(("POST", f"/{method.__name__}", timed(method)) for method in timed_methods),
        *(("POST", f"/{method.__name__}", _with_body(method)) for method in methods),
    ]
    return [_route(*act) for act in acts]


def _with_body(method: Callable[..., Any]) -> Act:
    return lambda body: method(**body)


def _route(verb: str, path: str, act: Act) -> Route:
    """A route that answers what the act gives as JSON: 201 to a POST, else 200, and 204 to nothing."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await request.json() if await request.body() else {}
            made = _named(act(body))
        except KeyError as error:
            return Response(f"There is no {error}, or it was not given.", 404)
        except (TypeError, ValueError, ValidationError) as error:
            return Response(str(error), 400)
        if made is None:
            return Response(status_code=204)
        return JSONResponse(made, 201 if verb == "POST" else 200)

    return Route(f"/_demo{path}", endpoint, methods=[verb])


def _named(made: Any) -> Any:
    """What an act made, by the name that other acts know it by."""
    match made:
        case Noteable():
            return {"id": made.id, "iid": made.iid}
        case Note():
            return {"id": made.id}
        case WikiPage():
            return {"slug": made.slug}
        case str():
            return {"sha": made}
        case _:
            return made
