"""What `sync` and `plan` have in common: the options that say what to sync, and the request that they make."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.errors import SettingsError

if TYPE_CHECKING:
    from sync_assets.planning import SyncRequest, Until

SinceHours = Annotated[
    float | None,
    typer.Option("--since-hours", min=0, help="Changes of the last N hours (default 24); 0 means all."),
]
Incremental = Annotated[bool, typer.Option("--incremental", help="From where the last success ended.")]
First = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")]
Last = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC, included.")]
Everything = Annotated[bool, typer.Option("--all", help="All that upstream has, with a sweep.")]
Sweep = Annotated[
    bool | None,
    typer.Option("--sweep/--no-sweep", help="Compare all live ids upstream with the ledger, and mend what differs."),
]
Records = Annotated[
    list[str] | None,
    typer.Option("--record", help="Only the record of this id, of one tenant's stream; may be repeated."),
]
NoLimits = Annotated[
    bool,
    typer.Option(
        "--no-limits", help="Embed also what SYNC_ASSETS_MAX_EMBEDDED_TEXTS and SYNC_ASSETS_MAX_COST do not allow."
    ),
]


def sync_request(
    sources: Sequence[str] | None,
    streams: Sequence[str] | None,
    tenants: Sequence[str] | None,
    since_hours: float | None,
    incremental: bool,
    first: datetime | None,
    last: datetime | None,
    everything: bool,
    sweep: bool | None,
    records: Sequence[str] | None,
    no_limits: bool,
    until: "Until" = "stores",
    limit: int | None = None,
) -> "SyncRequest":
    """The request of a command's options.

    Raises:
        SettingsError: some exclude each other.
    """
    from sync_assets.planning import SyncRequest

    if sum([since_hours is not None, incremental, first is not None or last is not None, everything]) > 1:
        raise SettingsError(
            "--since-hours, --incremental, --from/--to and --all exclude each other.", "Choose one of them."
        )
    if (first is None) != (last is None):
        raise SettingsError("--from and --to belong together.", "Give both; --to is included.")
    if first is not None and last is not None and first > last:
        raise SettingsError(f"--from {first:%Y-%m-%d} is after --to {last:%Y-%m-%d}.", "Swap them.")
    if sweep and limit is not None:
        raise SettingsError("--sweep and --limit exclude each other.", "A sweep needs the whole listing.")
    if records:
        if [len(names or ()) for names in (sources, streams, tenants)] != [1, 1, 1]:
            raise SettingsError(
                "--record names records of one stream.", "Give --tenant, --source and --stream, each once."
            )
        if since_hours is not None or incremental or first is not None or everything or sweep or limit is not None:
            raise SettingsError(
                "--record excludes --since-hours, --incremental, --from/--to, --all, --sweep and --limit.",
                "Records are fetched by their ids.",
            )
    everything = everything or since_hours == 0
    return SyncRequest(
        sources=tuple(sources or ()),
        streams=tuple(streams or ()),
        tenants=tuple(tenants or ()),
        since_hours=24 if since_hours is None else since_hours,
        incremental=incremental,
        first=first and first.replace(tzinfo=UTC),
        last=last and last.replace(tzinfo=UTC),
        everything=everything,
        until=until,
        sweep=everything and limit is None if sweep is None else sweep,
        limit=limit,
        records=tuple(records or ()),
        no_limits=no_limits,
    )
