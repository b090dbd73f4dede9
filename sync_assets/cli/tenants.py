"""`sync-assets tenants`: whose accounts are synced.

What belongs here: options and printing. What stands in the tenants file is read in `sync_assets/tenants.py`.
"""

from typing import Any

import typer

from sync_assets.cli.session import Json, open_services, print_json
from sync_assets.errors import SourceError
from sync_assets.settings import load_settings
from sync_assets.terminal import console, print_rows

tenants_app = typer.Typer(no_args_is_help=True, help="Whose accounts are synced.")


@tenants_app.command("register")
def tenants_register() -> None:
    """Add the tenants of the tenants file to Dagster's partitions.

    Examples:

        sync-assets tenants register
    """
    from sync_assets.definitions import defs
    from sync_assets.planning import Planner
    from sync_assets.runs import open_instance

    with open_services() as services, open_instance() as instance:
        planner = Planner(services, defs().resolve_asset_graph(), instance)
        for source in sorted(
            {source for name in services.tenants.names() for source in services.tenants.sources(name)}
        ):
            planner.register(source)
            console().print(f"{source}: {', '.join(services.tenants.names(source))}", soft_wrap=True)


@tenants_app.command("check")
def tenants_check(as_json: Json = False) -> None:
    """Validate every setting and try every credential with one cheap call.

    Examples:

        sync-assets tenants check
    """
    rows: list[dict[str, Any]] = []
    with open_services() as services:
        for tenant in services.tenants.names():
            for source in services.tenants.sources(tenant):
                try:
                    with services.tenants.open(source, tenant) as account:
                        rows.append({"tenant": tenant, "source": source, "ok": True, "detail": account.check()})
                except SourceError as error:
                    rows.append({"tenant": tenant, "source": source, "ok": False, "detail": str(error)})
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(console(), ("tenant", "source", "ok", "detail"), rows)
    else:
        console().print(f"No tenants in {load_settings().tenants_path}.", soft_wrap=True)
    raise typer.Exit(0 if all(row["ok"] for row in rows) else 1)
