"""`sync-assets backfill`: a rectangle of days and tenants, in runs of a few windows each.

What belongs here: the commands' options and what they print. What a backfill is and how far it came is in
`backfills.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.cli.session import (
    Json,
    Source,
    Stream,
    TenantOption,
    log_result,
    open_services,
    print_json,
    print_result,
    watched,
)
from sync_assets.errors import SettingsError
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.backfills import Backfill, Backfills, Standing
    from sync_assets.planning import PlannedRun

backfill_app = typer.Typer(no_args_is_help=True, help="The past, in runs of a few windows each.")

BackfillId = Annotated[str, typer.Argument(help="As `backfill list` shows it.", metavar="ID")]
# A month of days: some hundred events of Dagster for each tenant and run.
_WINDOWS = 31


@backfill_app.command("start")
def start(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC, included.")],
    source: Source = None,
    stream: Stream = None,
    tenant: TenantOption = None,
    windows_per_run: Annotated[
        int, typer.Option("--windows-per-run", min=1, help="The most that one run takes; fewer need less memory.")
    ] = _WINDOWS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs, and run nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Sync all windows between two days. Ctrl-C stops it at any moment, and `resume` does what is left.

    Examples:

        sync-assets backfill start --source freshdesk --from 2026-01-01 --to 2026-06-30

        sync-assets backfill start --source slack --tenant acme --from 2026-01-01 --to 2026-06-30 --windows-per-run 7
    """
    from sync_assets.planning import SyncRequest

    if first > last:
        raise SettingsError(f"--from {first:%Y-%m-%d} is after --to {last:%Y-%m-%d}.", "Swap them.")
    request = SyncRequest(tuple(source or ()), tuple(stream or ()), tuple(tenant or ()))
    with _backfills(quiet=as_json) as backfills:
        backfill = backfills.new(request, first, last, windows_per_run)
        runs = backfills.runs(backfill)
        if not dry_run:
            _go_on(backfills, backfill, runs, as_json)
    if as_json:
        print_json({"runs": [_row(run) for run in runs]})
        return
    _print_runs(runs)
    console().print("Dry run: nothing was fetched or written.")


@backfill_app.command("list")
def list_backfills(as_json: Json = False) -> None:
    """What backfills there are, and how far each is.

    Examples:

        sync-assets backfill list
    """
    with _backfills(quiet=True) as backfills:
        rows = [_summary(standing) for standing in backfills.all()]
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(console(), tuple(rows[0]), rows)
    else:
        console().print("No backfill was started from the command line. See `sync-assets backfill start --help`.")


@backfill_app.command("show")
def show(backfill_id: BackfillId, as_json: Json = False) -> None:
    """How far a backfill is, and which of its runs are left.

    Examples:

        sync-assets backfill show 3f2a91bc
    """
    with _backfills(quiet=True) as backfills:
        standing = backfills.standing(backfill_id)
    if as_json:
        print_json({**_summary(standing), "runs_left": [_row(run) for run in standing.left]})
        return
    summary = _summary(standing)
    print_rows(console(), tuple(summary), [summary])
    if standing.left:
        console().print("Left:")
        _print_runs(standing.left)


@backfill_app.command("cancel")
def cancel(backfill_id: BackfillId) -> None:
    """Let a backfill of another terminal end after the run that it is at.

    Examples:

        sync-assets backfill cancel 3f2a91bc
    """
    with _backfills(quiet=True) as backfills:
        backfills.cancel(backfill_id)
    console().print(f"Backfill {backfill_id} ends after the run that it is at.")


@backfill_app.command("resume")
def resume(backfill_id: BackfillId, tenant: TenantOption = None, as_json: Json = False) -> None:
    """Do what is left of a backfill that was stopped, canceled or killed, or had runs that failed.

    Examples:

        sync-assets backfill resume 3f2a91bc

        sync-assets backfill resume 3f2a91bc --tenant acme
    """
    with _backfills(quiet=as_json) as backfills:
        standing = backfills.standing(backfill_id, tenant or ())
        if standing.state == "running":
            raise SettingsError(f"Backfill {backfill_id} is running.", "Cancel it first, or wait for its end.")
        _go_on(backfills, standing.backfill, standing.left, as_json)


def _go_on(backfills: "Backfills", backfill: "Backfill", runs: "list[PlannedRun]", as_json: bool) -> None:
    """Execute these runs, print what came of them, and end the command."""
    windows = sum(run.windows for run in runs)
    if not as_json:
        console(stderr=True).print(
            f"Backfill {backfill.id}: {len(runs)} runs over {windows} windows. "
            f"If it is stopped, `sync-assets backfill resume {backfill.id}` does the rest.",
            soft_wrap=True,
        )
    result = backfills.go_on(backfill, runs)
    log_result(result)
    left = len(backfills.standing(backfill.id, backfill.only).left) if result.run_ids else len(runs)
    if as_json:
        print_json({"backfill": backfill.id, "left": left, **result.summary()})
    else:
        print_result(result)
        if left:
            console(stderr=True).print(f"{left} of {len(runs)} runs are left.")
    raise typer.Exit(result.exit_code or (1 if left else 0))


@contextmanager
def _backfills(quiet: bool) -> "Iterator[Backfills]":
    """The installation's backfills, with progress on the terminal, or silent."""
    from sync_assets.backfills import Backfills
    from sync_assets.definitions import defs
    from sync_assets.runs import open_instance

    with open_services() as services, open_instance() as instance, watched(quiet) as announce:
        yield Backfills(services, defs(), instance, announce)


def _summary(standing: "Standing") -> dict[str, Any]:
    backfill, windows = standing.backfill, sum(run.windows for run in standing.runs)
    return {
        "id": backfill.id,
        "state": standing.state,
        "source": ", ".join(sorted({run.source for run in standing.runs})),
        "streams": ", ".join(backfill.streams) or "all",
        "tenants": ", ".join(backfill.tenants),
        "from": backfill.first,
        "to": backfill.last,
        "runs": len(standing.runs),
        "done": len(standing.runs) - len(standing.left),
        "failed": len(standing.failed),
        "windows": windows,
        "windows_done": windows - sum(run.windows for run in standing.left),
    }


def _row(run: "PlannedRun") -> dict[str, Any]:
    return {
        "source": run.source,
        "streams": ", ".join(run.streams),
        "tenants": ", ".join(run.tenants),
        "first_window": run.first_window,
        "last_window": run.last_window,
        "windows": run.windows,
    }


def _print_runs(runs: "list[PlannedRun]") -> None:
    rows = [_row(run) for run in runs]
    print_rows(console(), tuple(rows[0]), rows)
