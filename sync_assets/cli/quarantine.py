"""`sync-assets quarantine`: records that could not be processed.

What belongs here: options and printing. What is tried again how is planned in `planning.py`.
"""

from typing import Annotated

import typer

from sync_assets.cli.session import (
    Json,
    OneSource,
    OneStream,
    OneTenant,
    open_services,
    print_either,
    print_json,
    run_load,
    run_sync,
)
from sync_assets.cli.status import check_tenant
from sync_assets.support_database import TABLES_STREAM
from sync_assets.terminal import console, print_rows

quarantine_app = typer.Typer(no_args_is_help=True, help="Records that could not be processed.")


@quarantine_app.command("list")
def quarantine_list(
    tenant: OneTenant = None, source: OneSource = None, stream: OneStream = None, as_json: Json = False
) -> None:
    """Show what is in quarantine, and why.

    Examples:

        sync-assets quarantine list --tenant acme
    """
    with open_services() as services:
        records = services.ledger.quarantined(tenant, source, stream)
        if not records:
            check_tenant(services, tenant)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    names = ("tenant", "source", "stream", "record_id", "stage", "attempts", "window", "reason")
    if records:
        print_rows(console(), names, [record.model_dump(include=set(names)) for record in records])
    else:
        console().print("Nothing is in quarantine.")


@quarantine_app.command("retry")
def quarantine_retry(
    tenant: OneTenant = None, source: OneSource = None, stream: OneStream = None, as_json: Json = False
) -> None:
    """Fetch quarantined records again and send them through the whole chain, whatever they cost so far.

    Examples:

        sync-assets quarantine retry --tenant acme --source freshdesk
    """
    from sync_assets.planning import retry_requests

    with open_services() as services:
        records = services.ledger.quarantined(tenant, source, stream)
        services.ledger.reset_attempts(tenant, source, stream)
        result = None
        for owner in sorted({record.tenant for record in records if record.stream == TABLES_STREAM}):
            run_load(services, owner, None, reset=False, quiet=as_json)
        for request in retry_requests([record for record in records if record.stream != TABLES_STREAM]):
            result = run_sync(services, request, quiet=as_json, result=result)
        left = services.ledger.quarantined(tenant, source, stream)
    if result is not None:
        print_either(result, as_json)
    elif as_json:
        print_json({"quarantined": 0})
    if not as_json:
        console().print(f"{len(records) - len(left)} of {len(records)} left quarantine.")
    raise typer.Exit(1 if result and result.failures else 3 if left else 0)


@quarantine_app.command("drop")
def quarantine_drop(
    tenant: OneTenant = None,
    source: OneSource = None,
    stream: OneStream = None,
    record: Annotated[list[str] | None, typer.Option("--record", help="Only this record id; may be repeated.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Drop; without it, only show what would be dropped.")] = False,
) -> None:
    """Forget quarantined records. They come back when they change upstream, or when a sweep misses them.

    Examples:

        sync-assets quarantine drop --tenant acme --record 4711        # shows

        sync-assets quarantine drop --tenant acme --record 4711 --yes  # drops
    """
    with open_services() as services:
        held = [
            item
            for item in services.ledger.quarantined(tenant, source, stream)
            if not record or item.record_id in record
        ]
        if not yes:
            names = ("tenant", "source", "stream", "record_id", "stage", "reason")
            print_rows(console(), names, [item.model_dump(include=set(names)) for item in held])
            console().print(f"{len(held)} would be dropped; nothing was. Say --yes to drop them.")
            return
        dropped = services.ledger.drop_from_quarantine(tenant, source, stream, record_ids=record)
    console().print(f"{dropped} dropped.")
