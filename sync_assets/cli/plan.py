"""`sync-assets plan`: what a sync would do, before anything is written.

What belongs here: options and printing. How it is found out is in `forecast.py`.
"""

from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

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
from sync_assets.cli.session import Json, Source, Stream, TenantOption, open_services, print_json
from sync_assets.terminal import StageProgress, console, print_rows

if TYPE_CHECKING:
    from sync_assets.forecast import Forecast

_DOCUMENTS = ("added", "changed", "deleted", "unchanged", "stale", "quarantined")
_WORK = ("chunks", "texts", "tokens", "calls", "files", "keywords", "summaries")
_STORE = ("added", "changed", "deleted", "unchanged", "chunks_added", "chunks_changed", "chunks_dropped", "payloads")


def plan(
    source: Source = None,
    stream: Stream = None,
    tenant: TenantOption = None,
    since_hours: SinceHours = None,
    incremental: Incremental = False,
    first: First = None,
    last: Last = None,
    everything: Everything = False,
    sweep: Sweep = None,
    record: Records = None,
    no_limits: NoLimits = False,
    as_json: Json = False,
) -> None:
    """Show what `sync` with the same options would do, and write nothing.

    Upstream is asked as in a sync. Texts are those that no vector was ever made of. Files and keywords are counted and
    not fetched or derived: what they add is not in the other counts. Summaries that a language model would be asked for
    count as one text of full length each. Exits with 1 where a sync would fail or refuse.

    Examples:

        sync-assets plan                                    # changes of the last 24 hours, every tenant

        sync-assets plan --all --tenant acme                # a first load: texts, time and money

        sync-assets plan --incremental --source freshdesk --json
    """
    request = sync_request(
        source, stream, tenant, since_hours, incremental, first, last, everything, sweep, record, no_limits
    )
    from sync_assets.definitions import defs
    from sync_assets.forecast import Forecaster
    from sync_assets.runs import open_instance

    with open_services() as services, open_instance() as instance, StageProgress(as_json) as shown:
        forecast = Forecaster(services, defs(), instance, shown.watch).forecast(request)
    if as_json:
        print_json(forecast.summary())
    else:
        _print(forecast)
    raise typer.Exit(1 if forecast.failures else 0)


def _print(forecast: "Forecast") -> None:
    out = console()
    places = ("tenant", "source", "stream")
    streams: list[dict[str, Any]] = []
    stores: list[dict[str, Any]] = []
    for one in forecast.streams:
        place = {"tenant": one.tenant, "source": one.source, "stream": one.stream}
        counts = {"chunks": one.chunks, "texts": one.texts, "tokens": one.tokens, "calls": one.calls}
        spared = {"files": one.files, "keywords": one.keywords, "summaries": one.summaries}
        streams.append({**place, **one.documents, **counts, **spared})
        stores += [{**place, "store": store, **changes} for store, changes in one.stores.items()]
    if streams:
        print_rows(out, (*places, *_DOCUMENTS, *_WORK), streams, "Documents")
        print_rows(out, (*places, "store", *_STORE), stores, "Stores")
    out.print(
        f"To embed: {forecast.total('texts')} texts, {forecast.total('tokens')} tokens, {_time(forecast)}, "
        f"{forecast.cost:.2f} US dollars. Asked upstream: {forecast.total('calls')} calls.",
        soft_wrap=True,
    )
    if forecast.total("summaries"):
        out.print(
            f"To summarise: {forecast.total('summaries')} documents, about {forecast.summaries_cost:.2f} US dollars.",
            soft_wrap=True,
        )
    if forecast.total("files") or forecast.total("keywords"):
        out.print(
            f"Beside that, {forecast.total('files')} files to fetch and keywords of {forecast.total('keywords')} "
            "documents to derive; what they add to chunks and texts is not known yet.",
            soft_wrap=True,
        )
    for note in forecast.notes:
        out.print(f"[yellow]Note:[/yellow] {escape(note)}", soft_wrap=True)
    for failure in forecast.failures:
        console(stderr=True).print(f"[red]Would fail:[/red] {escape(failure)}", soft_wrap=True)
    out.print("Nothing was written.")


def _time(forecast: "Forecast") -> str:
    if forecast.seconds is None:
        return "time not yet measured"
    return f"{forecast.seconds:.0f} s" if forecast.seconds < 120 else f"{forecast.seconds / 60:.0f} min"
