"""A simulator of Discord's REST API v10 with its real wire protocol, for one guild and the bot that reads it.

`{root}/api/v10/...` stands for `https://discord.com/api/v10/...`. What can be ordered and done out of the protocol is
in `discord_control.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync_assets.demo import discord_endpoints as endpoints
from sync_assets.demo.discord_control import control_routes
from sync_assets.demo.discord_endpoints import DiscordCall, refused
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.discord_limits import DiscordLimits, DiscordRefusal, too_many
from sync_assets.demo.faults import Fault, malform
from sync_assets.demo.freshdesk import Clock, now

Handler = Callable[[DiscordCall], Any]

_ROOT = "/api/v10"
_REFUSALS = {
    401: (0, "401: Unauthorized"),
    403: (50001, "Missing Access"),
    404: (10003, "Unknown Channel"),
}


def create_app(guild: DiscordGuild, clock: Clock = now, limits: DiscordLimits | None = None) -> Starlette:
    """The ASGI application that serves one guild.

    Args:
        clock: what limits and signatures, and what people do through the control routes, take as the present moment.
        limits: what the bot may ask for; the vendor's where not given.
    """
    api = _Api(guild, clock, limits or DiscordLimits())
    return Starlette(routes=[*(api.route(*endpoint) for endpoint in _ENDPOINTS), *control_routes(guild, clock)])


@dataclass(frozen=True)
class _Api:
    """Everything that Discord does around an endpoint: log, faults, authentication, limits, headers."""

    guild: DiscordGuild
    clock: Clock
    limits: DiscordLimits

    def route(self, path: str, handler: Handler) -> Route:
        template = f"GET {_ROOT}{path.replace(':path', '')}"

        async def endpoint(request: Request) -> Response:
            self.guild.requests[template] += 1
            headers: dict[str, str] = {}
            truncate = False
            try:
                faults = self.guild.faults.strike(_path_of(request))
                for fault in faults:
                    await asyncio.sleep(fault.delay)
                    truncate |= fault.truncate
                    if fault.status is not None:
                        raise _ordered(fault)
                if request.headers.get("Authorization") != f"Bot {self.guild.data.token}":
                    raise refused(401, 0, "401: Unauthorized")
                moment = self.clock()
                major = request.path_params.get("channel") or request.path_params.get("guild", "")
                headers = self.guild.buckets.take(self.limits, template, major, moment)
                found = handler(DiscordCall(self.guild.data, moment, request.path_params, request.query_params))
                return _response(200, _malformed(found, faults), headers, truncate)
            except DiscordRefusal as refusal:
                return _response(refusal.status, refusal.body, headers | refusal.headers, truncate)

        return Route(f"{_ROOT}{path}", endpoint, methods=["GET"])


def _response(status: int, answer: Any, headers: Mapping[str, str], truncate: bool) -> Response:
    body = orjson.dumps(answer)
    if truncate:
        body = body[: len(body) // 2]
    return Response(body, status, dict(headers), media_type="application/json")


def _malformed(answer: Any, faults: list[Fault]) -> Any:
    """The answer with the ordered records broken; lists of threads stand below `threads`."""
    if isinstance(answer, dict) and "threads" in answer:
        return answer | {"threads": malform(answer["threads"], faults)}
    return malform(answer, faults)


def _path_of(request: Request) -> str:
    path = request.url.path.removeprefix(request.scope["root_path"])
    return f"{path}?{request.url.query}" if request.url.query else path


def _ordered(fault: Fault) -> DiscordRefusal:
    status = fault.status or 500
    if status == 429:
        return too_many(fault.retry_after or 0)
    code, message = _REFUSALS.get(status, (0, f"{status}: Error"))
    return refused(status, code, message)


_ENDPOINTS: list[tuple[str, Handler]] = [
    ("/users/@me", endpoints.me),
    ("/users/@me/guilds", endpoints.my_guilds),
    ("/applications/@me", endpoints.application),
    ("/oauth2/applications/@me", endpoints.application),
    ("/guilds/{guild}", endpoints.get_guild),
    ("/guilds/{guild}/roles", endpoints.list_roles),
    ("/guilds/{guild}/channels", endpoints.list_channels),
    ("/guilds/{guild}/members/{user}", endpoints.get_member),
    ("/guilds/{guild}/threads/active", endpoints.list_active_threads),
    ("/channels/{channel}", endpoints.get_channel),
    ("/channels/{channel}/messages", endpoints.list_messages),
    ("/channels/{channel}/messages/{message}", endpoints.get_message),
    ("/channels/{channel}/threads/archived/public", endpoints.list_public_archived),
    ("/channels/{channel}/threads/archived/private", endpoints.list_private_archived),
    ("/channels/{channel}/users/@me/threads/archived/private", endpoints.list_joined_archived),
    ("/channels/{channel}/thread-members", endpoints.list_thread_members),
    ("/{rest:path}", endpoints.unknown),
]
