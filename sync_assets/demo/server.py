"""The demo company's servers, in a thread on the loopback interface."""

import socket
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from sync_assets.demo import backlog, discord_api, freshdesk, gitlab, slack, zoho_desk
from sync_assets.demo.backlog_limits import BacklogLimits
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.freshdesk import Clock, now
from sync_assets.demo.gitlab_limits import GitLabLimits
from sync_assets.demo.portal import PORTAL_TENANT, folder_of
from sync_assets.demo.slack_workspace import SlackLimits
from sync_assets.demo.support_seed import SUPPORT_TENANT
from sync_assets.demo.zoho_desk_account import ZohoLimits
from sync_assets.errors import SettingsError

HOST = "127.0.0.1"


class DemoServers:
    """Serves a `DemoCompany` while the context is open.

        with DemoServers() as servers:
            httpx.get(f"{servers.base_url('acme')}/api/v2/tickets", auth=("demo-key-acme", "X"))

    The ticket portal needs no server: its database is made anew when the context opens.

    Args:
        port: where to listen; 0 takes a free port.
        company: the records to serve; a new company at its start, without a ticket portal, where none is given.
        clock: the present moment, for writes, the default window, tokens and the request budgets.
        requests_per_minute: request budget of each Freshdesk account.
        zoho_limits: credits and access tokens of each Zoho Desk account; the vendor's where not given.
        slack_limits, discord_limits: calls to each of these chats; the vendors' where not given.
        gitlab_limits, backlog_limits: likewise.
    """

    def __init__(
        self,
        port: int = 0,
        company: DemoCompany | None = None,
        clock: Clock = now,
        requests_per_minute: int = 5000,
        zoho_limits: ZohoLimits | None = None,
        slack_limits: SlackLimits | None = None,
        discord_limits: DiscordLimits | None = None,
        gitlab_limits: GitLabLimits | None = None,
        backlog_limits: BacklogLimits | None = None,
    ) -> None:
        self.company = company or DemoCompany()
        below = [
            *(
                Mount(f"/{tenant}/gitlab", gitlab.create_app(instance, clock, gitlab_limits))
                for tenant, instance in self.company.gitlab.items()
            ),
            *(
                Mount(f"/{tenant}/backlog", backlog.create_app(space, clock, backlog_limits))
                for tenant, space in self.company.backlog.items()
            ),
            *(
                Mount(f"/{tenant}/slack", slack.create_app(workspace, clock, slack_limits or SlackLimits()))
                for tenant, workspace in self.company.slack.items()
            ),
            *(
                Mount(f"/{tenant}/discord", discord_api.create_app(guild, clock, discord_limits))
                for tenant, guild in self.company.discord.items()
            ),
        ]
        accounts = [
            Mount(f"/{tenant}", zoho_desk.create_app(desk, clock, zoho_limits or ZohoLimits()))
            for tenant, desk in self.company.zoho.items()
        ]
        others = Mount("/", freshdesk.create_app(self.company.desks, clock, requests_per_minute))
        self.port = port
        self._server = _Server(
            uvicorn.Config(
                Starlette(routes=[*below, *accounts, others]),
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread: threading.Thread | None = None

    def base_url(self, tenant: str) -> str:
        """The account's root, for `https://{tenant}.freshdesk.com`, or for Zoho's API and account server in one.

        A tenant's Slack, Discord, GitLab and Backlog are below it, at `/slack`, `/discord`, `/gitlab` and `/backlog`.
        """
        return f"http://{HOST}:{self.port}/{tenant}"

    @property
    def tenants(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The accounts as they stand in `tenants.yaml`."""
        accounts: dict[str, dict[str, dict[str, Any]]] = {
            tenant: {"freshdesk": {"base_url": self.base_url(tenant), "api_key": desk.data.api_key}}
            for tenant, desk in self.company.desks.items()
        }
        if self.company.portal is not None:
            portal = self.company.portal.absolute()
            accounts[PORTAL_TENANT]["ticket_portal"] = {
                "database_url": f"sqlite:///{portal}",
                "time_zone": "UTC",
                "files": str(folder_of(portal)),
            }
        if self.company.seed is not None:
            accounts[SUPPORT_TENANT]["support_database"] = {"folder": str(self.company.seed.absolute())}
        for tenant, zoho in self.company.zoho.items():
            accounts[tenant] = {
                "zoho_desk": {
                    "data_center": zoho.data.data_center,
                    "base_url": self.base_url(tenant),
                    "org_id": zoho.data.org_id,
                    "client_id": zoho.data.client_id,
                    "client_secret": zoho.data.client_secret,
                    "refresh_token": zoho.data.refresh_token,
                }
            }
        for tenant, workspace in self.company.slack.items():
            accounts.setdefault(tenant, {})["slack"] = {
                "base_url": f"{self.base_url(tenant)}/slack",
                "token": workspace.data.token,
                "private": True,
                "history_per_minute": 100_000,
            }
        for tenant, guild in self.company.discord.items():
            accounts.setdefault(tenant, {})["discord"] = {
                "base_url": f"{self.base_url(tenant)}/discord",
                "token": guild.data.token,
                "guild_id": guild.data.guild["id"],
            }
        for tenant, instance in self.company.gitlab.items():
            accounts.setdefault(tenant, {})["gitlab"] = {
                "base_url": f"{self.base_url(tenant)}/gitlab",
                "token": instance.data.token,
            }
        for tenant, space in self.company.backlog.items():
            accounts.setdefault(tenant, {})["backlog"] = {
                "base_url": f"{self.base_url(tenant)}/backlog",
                "api_key": space.data.api_key,
                "projects": ["PUMP", "VENT"],
            }
        return accounts

    def __enter__(self) -> Self:
        """Listen, open the ticket portal, and start to serve.

        Raises:
            SettingsError: the port is taken or may not be used.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self.port))
        except (OSError, OverflowError) as error:
            listener.close()
            raise SettingsError(
                f"The demo can't listen on port {self.port}: {error}.",
                "Stop what uses it, or choose another port (0 takes a free one).",
            ) from None
        self.port = listener.getsockname()[1]
        self.company.write_files()
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="demo-company", daemon=True)
        self._thread.start()
        self._server.started_serving.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_serving = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.started_serving.set()
