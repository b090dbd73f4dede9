"""What stands below `{root}/_demo`, outside the vendor's protocol and without authentication.

There a test or a user orders faults, puts the guild back to its start, and does what people do in Discord's own app.
Channels, users and roles are given by id or by name:

    POST   /_demo/faults                               order a `Fault`
    DELETE /_demo/faults                               clear all faults
    POST   /_demo/reset                                back to the starting state
    GET    /_demo/requests                             counts by method and path template
    DELETE /_demo/requests                             forget the counts
    POST   /_demo/messages                             `channel`, `user`, `text`, `reply_to`, other attributes
    PATCH  /_demo/messages/{channel}/{message}         `text`
    DELETE /_demo/messages/{channel}/{message}
    POST   /_demo/threads                              `channel`, `name`, `starter`, `user`, `private`; in a forum
                                                       `channel`, `name`, `user`, `text`, `tags`
    PUT    /_demo/threads/{channel}/members/{user}     join a thread
    DELETE /_demo/threads/{channel}/members/{user}     leave it
    PATCH  /_demo/channels/{channel}                   `name` renames a channel or thread, `archived: true` archives
    DELETE /_demo/channels/{channel}                   gone for good, with its threads
    PUT    /_demo/overwrites/{channel}/{target}        `type` (0 role, 1 member), `allow`, `deny`
    DELETE /_demo/overwrites/{channel}/{target}
    PATCH  /_demo/users/{user}                         `name`
    PUT    /_demo/intent                               `on`: whether the bot may read what messages say
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo.discord_data import ChannelType
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.faults import Fault
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json

Act = Callable[[Json, Json], Any]


def control_routes(guild: DiscordGuild, clock: Clock) -> list[Route]:
    """The routes for one guild."""

    def order_fault(path: Json, body: Json) -> None:
        guild.faults.order(Fault.model_validate(body))

    def open_thread(path: Json, body: Json) -> Json:
        channel = guild.data.channels[guild.channel_id(body["channel"])]
        if channel["type"] == ChannelType.FORUM:
            return guild.forum_post(**body, at=clock())
        return guild.open_thread(**{"starter": None, **body}, at=clock())

    def change_channel(path: Json, body: Json) -> None:
        if body.get("archived"):
            guild.archive_thread(path["channel"], clock())
        if "name" in body:
            guild.rename_channel(path["channel"], body["name"])

    def overwrite(path: Json, body: Json) -> None:
        guild.overwrite(path["channel"], path["target"], body["type"], int(body["allow"]), int(body["deny"]))

    acts: list[tuple[str, str, Act]] = [
        ("POST", "/faults", order_fault),
        ("DELETE", "/faults", lambda path, body: guild.faults.clear()),
        ("POST", "/reset", lambda path, body: guild.reset()),
        ("GET", "/requests", lambda path, body: dict(guild.requests)),
        ("DELETE", "/requests", lambda path, body: guild.requests.clear()),
        ("POST", "/messages", lambda path, body: guild.post(**body, at=clock())),
        (
            "PATCH",
            "/messages/{channel}/{message}",
            lambda path, body: guild.edit(path["channel"], path["message"], body["text"], clock()),
        ),
        (
            "DELETE",
            "/messages/{channel}/{message}",
            lambda path, body: guild.delete(path["channel"], path["message"]),
        ),
        ("POST", "/threads", open_thread),
        (
            "PUT",
            "/threads/{channel}/members/{user}",
            lambda path, body: guild.join_thread(path["channel"], path["user"], clock()),
        ),
        (
            "DELETE",
            "/threads/{channel}/members/{user}",
            lambda path, body: guild.leave_thread(path["channel"], path["user"]),
        ),
        ("PATCH", "/channels/{channel}", change_channel),
        ("DELETE", "/channels/{channel}", lambda path, body: guild.delete_channel(path["channel"])),
        ("PUT", "/overwrites/{channel}/{target}", overwrite),
        (
            "DELETE",
            "/overwrites/{channel}/{target}",
            lambda path, body: guild.remove_overwrite(path["channel"], path["target"]),
        ),
        ("PATCH", "/users/{user}", lambda path, body: guild.rename_user(path["user"], body["name"])),
        ("PUT", "/intent", lambda path, body: guild.switch_intent(body["on"])),
    ]
    return [_route(*act) for act in acts]


def _route(method: str, path: str, act: Act) -> Route:
    """A route that answers what the act gives as JSON: 201 to a POST, else 200, and 204 to nothing."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await request.json() if await request.body() else {}
            made = act(request.path_params, body)
        except KeyError as error:
            return Response(f"There is no {error}, or it was not given.", 404)
        except (TypeError, ValueError, ValidationError) as error:
            return Response(str(error), 400)
        if made is None:
            return Response(status_code=204)
        return JSONResponse(made, 201 if method == "POST" else 200)

    return Route(f"/_demo{path}", endpoint, methods=[method])
