"""The command that compares upstream, ledger, stores and graph, and mends what differs: `audit`.

What belongs here: its options, and what it prints. What it does is in `audit/`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sync_assets.cli.session import (
    Json,
    Source,
    Stream,
    TenantOption,
    log,
    open_services,
    print_json,
    print_result,
    run_sync,
    watched,
)
from sync_assets.services import Services
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.audit import AuditResult, AuditScope
    from sync_assets.sync import SyncResult


def audit(
    tenant: TenantOption = None,
    source: Source = None,
    stream: Stream = None,
    store: Annotated[
        list[str] | None, typer.Option("--store", help="Only this store, or `graph`; may be repeated.")
    ] = None,
    upstream: Annotated[bool, typer.Option("--upstream", help="Also compare a full listing of upstream.")] = False,
    heal: Annotated[
        bool,
        typer.Option("--heal", help="Delete strangers, sweep the streams that differ, and audit again."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare every chunk and vector in the stores with the ledger, and mend what differs.

    Without --heal nothing is written. Exit code 3 means that something differs; after --heal, that something is left.

    Examples:

        sync-assets audit

        sync-assets audit --tenant acme --store qdrant --upstream

        sync-assets audit --tenant acme --heal
    """
    from sync_assets.audit import AuditScope

    scope = AuditScope(
        tuple(tenant or ()), tuple(source or ()), tuple(stream or ()), tuple(store or ()), upstream=upstream
    )
    with open_services() as services:
        if heal:
            _make_lost_collections(services, scope)
        result = left = _audit(services, scope, as_json)
        if not as_json:
            _print(result)
        synced: SyncResult | None = None
        if heal and result.findings:
            synced = _heal(services, result, as_json)
            left = _audit(services, scope, as_json)
            if not as_json:
                console().print("After healing:")
                _print(left)
    if as_json:
        healed = {"sync": synced.summary() if synced else None, "left": left.summary()} if heal else None
        print_json({**result.summary(), "healed": healed})
    raise typer.Exit(1 if synced and synced.failures else left.exit_code)


def _audit(services: Services, scope: "AuditScope", quiet: bool) -> "AuditResult":
    from sync_assets.audit import audit as compare
    from sync_assets.components.progress import watcher
    from sync_assets.definitions import streams
    from sync_assets.stages import no_progress

    with watched(quiet):
        result = compare(services, streams(), scope, watcher.get() or no_progress)
    for finding in result.findings:
        log.warning("audit: %s", finding.summary())
    for failure in result.failures:
        log.error("audit: %s", failure)
    return result


def _make_lost_collections(services: Services, scope: "AuditScope") -> None:
    from sync_assets.audit.healing import make_lost_collections

    make_lost_collections(services, scope)


def _heal(services: Services, result: "AuditResult", quiet: bool) -> "SyncResult | None":
    """Make ready what was found, and sweep; None where no tenant of the tenants file is concerned."""
    from sync_assets.audit.healing import prepare, requests
    from sync_assets.definitions import streams

    prepare(services, result)
    synced: SyncResult | None = None
    for request in requests(services, streams(), result):
        synced = run_sync(services, request, quiet, synced)
    if synced is not None and not quiet:
        print_result(synced)
    return synced


def _print(result: "AuditResult") -> None:
    from sync_assets.audit import MEANINGS

    out = console()
    if result.findings:
        rows = [finding.summary() for finding in result.findings]
        names = ("tenant", "source", "stream", "place", "kind", "documents", "chunks")
        print_rows(out, names, rows)
        for kind, meaning in {finding.kind: MEANINGS[finding.kind] for finding in result.findings}.items():
            out.print(f"{kind}: {meaning}", soft_wrap=True)
        _print_first(rows)
    for failure in result.failures:
        console(stderr=True).print(f"[red]Not audited:[/red] {escape(failure)}", soft_wrap=True)
    told = f"{len(result.findings)} findings" if result.findings else "nothing differs"
    if result.failures:
        told += " in what could be audited"
    out.print(f"{result.chunks} chunks in {result.seconds:.1f} s: {told}.")


def _print_first(rows: Sequence[dict[str, object]]) -> None:
    """The first documents of each finding."""
    for row in rows:
        first = row["first"]
        shown = ", ".join(map(str, first)) if isinstance(first, list) else ""
        where = f"{row['tenant']} {row['source']}/{row['stream']} {row['place']} {row['kind']}"
        console().print(escape(f"{where}: {shown}"), soft_wrap=True)
