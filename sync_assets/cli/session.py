"""What all commands share: options, the parts behind them for one command, its log file, and printing.

What belongs here: what a second command uses. One command's own options and printing are beside it.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.instance import INSTANCE
from sync_assets.errors import SettingsError
from sync_assets.services import Services
from sync_assets.settings import Settings, load_settings
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.loads import LoadResult
    from sync_assets.planning import SyncRequest
    from sync_assets.sync import SyncResult

log = logging.getLogger("sync_assets")
log.addHandler(logging.NullHandler())

Source = Annotated[list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")]
Stream = Annotated[list[str] | None, typer.Option("--stream", help="Only this stream; may be repeated.")]
TenantOption = Annotated[list[str] | None, typer.Option("--tenant", help="Only this tenant; may be repeated.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")]
OneSource = Annotated[str | None, typer.Option("--source", help="Only this source.")]
OneStream = Annotated[str | None, typer.Option("--stream", help="Only this stream.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value for scripts, and nothing else on stdout.")]


def run_sync(
    services: Services, request: "SyncRequest", quiet: bool = False, result: "SyncResult | None" = None
) -> "SyncResult":
    """Run a request with progress on the terminal, or silently; counts are added to `result` where one is given."""
    from sync_assets.definitions import defs
    from sync_assets.runs import open_instance
    from sync_assets.sync import Syncer

    with open_instance() as instance, watched(quiet) as announce:
        result = Syncer(services, defs(), instance, announce).sync(request, result)
    log_result(result)
    return result


def log_result(result: "SyncResult") -> None:
    """What a sync did, into the log file."""
    for failure in result.failures:
        log.error("%s", failure)
    log.info("%s", json.dumps({name: value for name, value in result.summary().items() if name != "stages"}))


def run_load(services: Services, tenant: str, folder: Path | None, reset: bool, quiet: bool) -> "LoadResult":
    """Load a tenant's support database, with progress on the terminal, or silently."""
    from sync_assets.loads import load_tables
    from sync_assets.runs import open_instance

    with open_instance() as instance, watched(quiet):
        result = load_tables(services, instance, tenant, folder, reset)
    for failure in result.failures:
        log.error("%s", failure)
    log.info("%s", json.dumps(result.summary()["tables"]))
    return result


@contextmanager
def open_services() -> Iterator[Services]:
    """Settings, the log file of the day, and the parts behind them; closed at the end."""
    settings = load_settings()
    _prepare_home(settings)
    log.info("%s", " ".join(["sync-assets", *sys.argv[1:]]))
    services = Services(settings)
    try:
        yield services
    finally:
        services.close()


def _prepare_home(settings: Settings) -> None:
    """Make DAGSTER_HOME, with what Dagster and the log need.

    Raises:
        SettingsError: nothing can be written there.
    """
    os.environ["DAGSTER_HOME"] = str(settings.home)
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        instance = settings.home / "dagster.yaml"
        if not instance.exists():
            instance.write_text(INSTANCE)
        _log_to_file(settings.home / "logs" / f"sync-assets-{datetime.now(UTC):%Y-%m-%d}.log")
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {settings.home}: {error.strerror or error}.", "Name a folder that this user may write in."
        ) from None


def _log_to_file(path: Path) -> None:
    close_log_files()
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def close_log_files() -> None:
    for handler in log.handlers[:]:
        if isinstance(handler, logging.FileHandler):
            log.removeHandler(handler)
            handler.close()


@contextmanager
def watched(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the progress of stages on the terminal, or nothing; what announces a run by a line."""
    from sync_assets.components.progress import watcher
    from sync_assets.terminal import StageProgress

    with StageProgress(quiet) as progress:
        token = watcher.set(progress.watch)
        try:
            yield progress.announce
        finally:
            watcher.reset(token)


def print_result(result: "SyncResult") -> None:
    """What a sync did, stage by stage, and what failed."""
    summary = result.summary()
    out = console()
    names = ("documents", "chunks", "added", "changed", "deleted", "embedded", "reused", "written", "quarantined")
    places = ("source", "stream", "stage")
    stages = sorted(summary["stages"], key=lambda row: (row["source"], row["stream"]))
    rows = [{name: row.get(name, 0) for name in (*places, *names)} for row in stages]
    counted = [name for name in names if any(row[name] for row in rows)]
    if counted:
        print_rows(out, (*places, *counted), rows)
    out.print(
        f"{summary['documents']} documents, {summary['chunks']} chunks, {summary['embedded']} embedded, "
        f"{summary['reused']} reused, {summary['written']} vectors written, {summary['deleted']} deleted, "
        f"{summary['quarantined']} quarantined, {summary['seconds']:.1f} s",
        soft_wrap=True,
    )
    for failure in result.failures:
        console(stderr=True).print(f"[red]Failed:[/red] {escape(failure)}", soft_wrap=True)
    if summary["quarantined"]:
        out.print(
            "See `sync-assets quarantine list`. Syncs try these records again, a few times; `quarantine retry` always.",
            soft_wrap=True,
        )


def print_either(result: "SyncResult", as_json: bool) -> None:
    if as_json:
        print_json(result.summary())
    else:
        print_result(result)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
