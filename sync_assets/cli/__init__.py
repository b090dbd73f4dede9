"""The command line: `sync-assets`, the same as `python -m sync_assets`.

What belongs here: options, printing, exit codes. 0 all good, 1 something failed, 2 wrong usage or settings, 3 finished
but something was quarantined.
"""

import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.adoption import adopt, enrich
from sync_assets.cli.audit import audit
from sync_assets.cli.backfill import backfill_app
from sync_assets.cli.collections import collections_app
from sync_assets.cli.database import database_app
from sync_assets.cli.forget import forget
from sync_assets.cli.golden import golden_app
from sync_assets.cli.graph import graph_app
from sync_assets.cli.models import models_app
from sync_assets.cli.notify import notify_app
from sync_assets.cli.plan import plan
from sync_assets.cli.quarantine import quarantine_app
from sync_assets.cli.requests import (
    Everything,
    First,
    Incremental,
    Last,
    NoLimits,
    Records,
    SinceHours,
    Sweep,
    sync_request,
)
from sync_assets.cli.search import search
from sync_assets.cli.serve import serve
from sync_assets.cli.session import (
    Json,
    Source,
    Stream,
    TenantOption,
    close_log_files,
    log,
    open_services,
    print_either,
    print_json,
    run_sync,
)
from sync_assets.cli.status import status
from sync_assets.cli.support_db import support_db_app
from sync_assets.cli.tenants import tenants_app
from sync_assets.errors import SettingsError, SyncAssetsError
from sync_assets.services import Services
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.planning import SyncRequest

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Keep vector stores in step with the systems where support knowledge lives.",
)
upstream_app = typer.Typer(no_args_is_help=True, help="The demo company's servers.")
app.add_typer(backfill_app, name="backfill")
app.add_typer(collections_app, name="collections")
app.add_typer(golden_app, name="golden")
app.add_typer(graph_app, name="graph")
app.add_typer(upstream_app, name="upstream")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(support_db_app, name="support-db")
app.add_typer(tenants_app, name="tenants")
app.add_typer(database_app, name="database")
app.add_typer(notify_app, name="notify")
app.add_typer(models_app, name="models")

DEMO_PORT = 8790
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the demo servers; 0 takes a free one.")]

_INTERRUPTED = 130


def main() -> None:
    """Entry point: errors in one line, with the remedy."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            # They are for who writes this code, who runs it with `python -W default`.
            warnings.simplefilter("ignore")
        try:
            code = _run()
        finally:
            close_log_files()
    sys.exit(code)


def _run() -> int:
    """Run the command of this process's arguments; returns its exit code."""
    try:
        code = app(standalone_mode=False) or 0
    except SyncAssetsError as error:
        return _fail(str(error), 2 if isinstance(error, SettingsError) else 1)
    except typer.TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)
        if context is not None and not error.format_message():
            return 2  # a group without a command has printed its help
        help_of = context.command_path if context else "sync-assets"
        return _fail(f"{error.format_message().rstrip('.')}. See `{help_of} --help`.", 2)
    except OSError as error:
        log.exception("%s", "unexpected")
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}. The log under DAGSTER_HOME/logs has more.", 1)
    if code == _INTERRUPTED:
        console(stderr=True).print("Stopped. What was done so far is kept; the next sync does the rest.")
    return code


def _fail(line: str, code: int) -> int:
    log.error("%s", line)
    console(stderr=True).print(f"[red]Error:[/red] {escape(line)}", soft_wrap=True)
    return code


@app.command()
def sync(
    source: Source = None,
    stream: Stream = None,
    tenant: TenantOption = None,
    since_hours: SinceHours = None,
    incremental: Incremental = False,
    first: First = None,
    last: Last = None,
    everything: Everything = False,
    until: Annotated[
        str, typer.Option("--until", help="Last stage to run: raw, documents, chunks, embeddings or stores.")
    ] = "stores",
    sweep: Sweep = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most N records of each tenant and stream; moves no watermark."),
    ] = None,
    record: Records = None,
    no_limits: NoLimits = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs, and run nothing; `plan` shows what they would do.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the vector stores in step with upstream.

    Examples:

        sync-assets sync                                  # changes of the last 24 hours, every tenant

        sync-assets sync --incremental                    # from where the last success ended

        sync-assets sync --all                            # everything, and deletions found by a sweep

        sync-assets sync --tenant acme --from 2026-10-01 --to 2026-10-31

        sync-assets sync --all --limit 50 --until chunks  # a quick look before a first load

        sync-assets sync --tenant acme --source freshdesk --stream tickets --record 4711
    """
    request = sync_request(
        source,
        stream,
        tenant,
        since_hours,
        incremental,
        first,
        last,
        everything,
        sweep,
        record,
        no_limits,
        _stage(until),
        limit,
    )
    with open_services() as services:
        if dry_run:
            _print_plan(services, request, as_json)
            return
        result = run_sync(services, request, quiet=as_json)
    print_either(result, as_json)
    raise typer.Exit(result.exit_code)


app.command()(status)


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the demo company's servers running until Ctrl-C.")
    ] = False,
    port: Port = DEMO_PORT,
    as_json: Json = False,
) -> None:
    """Sync a simulated company into all stores, prove that they are equal to it, and search them.

    Examples:

        sync-assets demo

        sync-assets demo --keep    # and edit tickets at the demo servers meanwhile
    """
    from sync_assets.demo.tour import run_demo

    with open_services() as services:
        raise typer.Exit(run_demo(services, keep=keep, port=port, as_json=as_json))


app.command()(search)
app.command()(plan)
app.command()(enrich)
app.command()(adopt)
app.command()(audit)
app.command()(forget)
app.command()(serve)


@upstream_app.command("serve")
def upstream_serve(port: Port = DEMO_PORT) -> None:
    """Run the demo company's servers alone, until stopped.

    Examples:

        sync-assets upstream serve --port 8790
    """
    from sync_assets.demo.tour import serve

    serve(port)


def _print_plan(services: Services, request: "SyncRequest", as_json: bool) -> None:
    from sync_assets.definitions import defs
    from sync_assets.runs import open_instance
    from sync_assets.sync import Syncer

    with open_instance() as instance:
        planned = Syncer(services, defs(), instance, lambda line: None).plan(request)
    rows = [
        {
            "source": run.source,
            "streams": ", ".join(run.streams),
            "tenants": ", ".join(run.tenants),
            "first_window": run.first_window,
            "last_window": run.last_window,
            "windows": run.windows,
            "assets": len(run.assets),
            "sweep": request.sweep,
        }
        for run in planned
    ]
    if as_json:
        print_json({"runs": rows})
        return
    print_rows(console(), tuple(rows[0]), rows)
    console().print("Dry run: nothing was fetched or written.")


def _stage(name: str) -> Any:
    from typing import get_args

    from sync_assets.planning import Until

    if name not in get_args(Until):
        raise SettingsError(f"--until {name!r} is no stage.", f"Stages are: {', '.join(get_args(Until))}.")
    return name
