"""`sync-assets database`: the embedded PostgreSQL.

What belongs here: options and printing. The server is started and stopped in `sync_assets/postgres.py`.
"""

import typer

from sync_assets.settings import load_settings
from sync_assets.terminal import console

database_app = typer.Typer(no_args_is_help=True, help="The embedded PostgreSQL.")


@database_app.command("status")
def database_status() -> None:
    """Say whether the embedded PostgreSQL runs, and where.

    Examples:

        sync-assets database status
    """
    from sync_assets import postgres

    state = postgres.status(load_settings())
    console().print(
        f"{'The embedded PostgreSQL' if state.embedded else 'PostgreSQL'} at {state.place} "
        f"{'accepts connections' if state.running else 'does not run'}.",
        soft_wrap=True,
    )


@database_app.command("stop")
def database_stop() -> None:
    """Stop the embedded PostgreSQL. Syncs and searches that run now lose their connection; the next one starts it.

    Examples:

        sync-assets database stop
    """
    from sync_assets import postgres

    postgres.stop(load_settings())
    console().print("Stopped.")
