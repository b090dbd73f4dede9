"""`sync-assets serve`: the HTTP API.

What belongs here: options, and the server around the app. What it answers is in `api/`.
"""

import socket
from typing import Annotated

import typer

from sync_assets.cli.session import open_services
from sync_assets.errors import SettingsError
from sync_assets.terminal import console

_STOP_SECONDS = 10


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others than this machine need TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve search, jobs, purges, health and metrics over HTTP, until Ctrl-C. Its pages are at /docs.

    Keys are `api_keys` of each tenant in tenants.yaml, and SYNC_ASSETS_API_KEY for the operator. Without any, nothing
    is served. Jobs that were started go on when the server ends.

    Examples:

        sync-assets serve

        sync-assets serve --host 0.0.0.0 --port 8080         # behind a proxy that adds TLS
    """
    import uvicorn

    from sync_assets.api.app import create_app
    from sync_assets.definitions import defs
    from sync_assets.runs import open_instance

    with open_services() as services, open_instance() as instance:
        app = create_app(services, defs, instance)
        try:
            listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise SettingsError(
                f"{host}:{port}: {error.strerror or error}.", "Choose another --host or --port."
            ) from None
        with listener:
            address, number = listener.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            console(stderr=True).print(f"Serving http://{shown}:{number}, described at /docs. Ctrl-C ends it.")
            config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=_STOP_SECONDS
            )
            uvicorn.Server(config).run(sockets=[listener])
