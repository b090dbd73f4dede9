"""The demo company's servers, in a thread on the loopback interface."""

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from sync_assets.demo.company import DemoCompany
from sync_assets.demo.freshdesk import Clock, create_app, now
from sync_assets.demo.portal import PORTAL_TENANT
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
        clock: the present moment, for writes, the default window and the request budget.
        requests_per_minute: request budget of each account.
    """

    def __init__(
        self,
        port: int = 0,
        company: DemoCompany | None = None,
        clock: Clock = now,
        requests_per_minute: int = 5000,
    ) -> None:
        self.company = company or DemoCompany()
        self.port = port
        self._server = _Server(
            uvicorn.Config(
                create_app(self.company.desks, clock, requests_per_minute),
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread: threading.Thread | None = None

    def base_url(self, tenant: str) -> str:
        """The account's root, which stands for `https://{tenant}.freshdesk.com`."""
        return f"http://{HOST}:{self.port}/{tenant}"

    @property
    def tenants(self) -> dict[str, dict[str, dict[str, str]]]:
        """The accounts as they stand in `tenants.yaml`."""
        accounts = {
            tenant: {"freshdesk": {"base_url": self.base_url(tenant), "api_key": desk.data.api_key}}
            for tenant, desk in self.company.desks.items()
        }
        if self.company.portal is not None:
            url = f"sqlite:///{self.company.portal.absolute()}"
            accounts[PORTAL_TENANT]["ticket_portal"] = {"database_url": url, "time_zone": "UTC"}
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
        self.company.open_portal()
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
