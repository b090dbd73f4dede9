"""The commands that bring in keywords and older vectors: `enrich` and `adopt`.

What belongs here: their options, and what they print. What they do is in `enrichment/` and `adoption/`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sync_assets.cli.session import Json, OneSource, open_services, print_json, print_result, run_sync
from sync_assets.errors import SettingsError
from sync_assets.services import Services
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.adoption import AdoptionReport
    from sync_assets.stages import Stream
    from sync_assets.sync import SyncResult

Tenant = Annotated[str, typer.Option("--tenant", help="Whose documents.", show_default=False)]

# What LangChain calls it.
_TABLE = "public.langchain_pg_embedding"

_SHOWN = 20
_RECORDS_A_SYNC = 1_000


def enrich(
    tenant: Tenant,
    source: OneSource = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them; ask no extractor.")] = False,
    as_json: Json = False,
) -> None:
    """Find documents whose keywords or combined text are missing or contradict upstream, and update exactly those.

    Examples:

        sync-assets enrich --tenant solara --dry-run

        sync-assets enrich --tenant solara --source zoho_desk
    """
    from sync_assets.enrichment.coverage import coverage
    from sync_assets.enrichment.enricher import open_enricher
    from sync_assets.planning import SyncRequest

    shown: list[dict[str, Any]] = []
    requests: list[SyncRequest] = []
    result: SyncResult | None = None
    with open_services() as services:
        for stream in _keyword_streams(services, tenant, source):
            with open_enricher(services) as enricher:
                found = coverage(services, stream, tenant, enricher)
            shown.append({"source": stream.source, "stream": stream.name, **found.groups})
            for start in range(0, len(found.wanted), _RECORDS_A_SYNC):
                records = tuple(found.wanted[start : start + _RECORDS_A_SYNC])
                requests.append(SyncRequest((stream.source,), (stream.name,), (tenant,), records=records))
        if not as_json:
            _print_coverage(shown)
        if not dry_run:
            for request in requests:
                result = run_sync(services, request, quiet=as_json, result=result)
    if as_json:
        print_json({"streams": shown, "sync": result.summary() if result else None})
    elif result is not None:
        print_result(result)
    else:
        wanted = sum(len(request.records) for request in requests)
        console().print(f"Dry run: {wanted} would be updated." if dry_run else "Nothing is to be updated.")
    raise typer.Exit(result.exit_code if result else 0)


def adopt(
    tenant: Tenant,
    source: Annotated[str, typer.Option("--source", help="Where the documents come from.", show_default=False)],
    stream: Annotated[str, typer.Option("--stream", help="Which of its streams.")] = "articles",
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            help="schema.table with vectors, in the database that SYNC_ASSETS_ADOPT_DATABASE_URL names (default the "
            f"installation's own); default {_TABLE}, where no --files are given.",
        ),
    ] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="Only this collection of the table.")] = None,
    files: Annotated[
        str | None, typer.Option("--files", help="Folder or s3://bucket/prefix of one tenant's older vectordata.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only; take over nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take over vectors and keywords of an older store where they still say what upstream says.

    The next sync finds them in the cache and embeds nothing for them.

    Examples:

        sync-assets adopt --tenant solara --source zoho_desk --dry-run

        sync-assets adopt --tenant solara --source zoho_desk --table vectors.old_articles

        sync-assets adopt --tenant solara --source zoho_desk --files s3://bucket/solara/zohodesk-data
    """
    from sync_assets.adoption import AdoptionRequest
    from sync_assets.adoption import adopt as take_over

    with open_services() as services:
        _check_account(services, tenant, source)
        request = AdoptionRequest(
            tenant,
            _stream(source, stream),
            _adopted_database(services),
            table or (None if files else _TABLE),
            collection,
            files,
            dry_run,
        )
        report = take_over(services, request)
    if as_json:
        print_json({"tenant": tenant, "source": source, "stream": stream, "dry_run": dry_run, **report.as_json()})
    else:
        _print_adoption(report, dry_run)
    raise typer.Exit(3 if report.has_unreadable else 0)


def _adopted_database(services: Services) -> str:
    from sync_assets.postgres import database_url

    url = services.settings.adopt_database_url
    return url.get_secret_value() if url else database_url(services.settings)


def _stream(source: str, name: str) -> "Stream":
    from sync_assets.definitions import streams

    known = {found.name: found for found in streams() if found.source == source}
    if name not in known:
        raise SettingsError(f"Unknown stream {name!r} of {source}.", f"Known are: {', '.join(known) or 'none'}.")
    return known[name]


def _keyword_streams(services: Services, tenant: str, source: str | None) -> "list[Stream]":
    """The tenant's streams that have keywords switched on.

    Raises:
        SettingsError: there is none.
    """
    from sync_assets.definitions import streams

    if source is not None:
        _check_account(services, tenant, source)
    sources = services.tenants.sources(tenant)
    if not sources:
        known = ", ".join(services.tenants.names()) or "none"
        raise SettingsError(f"Unknown tenant {tenant!r}.", f"Tenants are: {known}.")
    found = [
        stream
        for stream in streams()
        if stream.keywords and stream.source in sources and source in (None, stream.source)
    ]
    if not found:
        raise SettingsError(
            f"Tenant {tenant!r} has no stream with keywords here.", "Set `keywords: true` for one in its defs.yaml."
        )
    return found


def _check_account(services: Services, tenant: str, source: str) -> None:
    if source not in services.tenants.sources(tenant):
        known = ", ".join(services.tenants.names(source)) or "none"
        raise SettingsError(f"Tenant {tenant!r} has no account in {source}.", f"Tenants that have one: {known}.")


def _print_coverage(streams: Sequence[dict[str, Any]]) -> None:
    from sync_assets.enrichment.coverage import GROUPS

    out = console()
    rows = [{**row, **{group: len(row[group]) for group in GROUPS}} for row in streams]
    print_rows(out, ("source", "stream", *GROUPS), rows)
    for row in streams:
        for group in GROUPS[1:]:
            _print_ids(out, f"{row['source']}/{row['stream']} {group}", row[group], len(row[group]))


def _print_adoption(report: "AdoptionReport", dry_run: bool) -> None:
    from sync_assets.adoption import GROUPS, KINDS

    out = console()
    origins = report.origins.items()
    rows = [{"origin": name, "rows": found.rows.total(), **found.rows} for name, found in origins]
    print_rows(out, ("origin", "rows", *KINDS), rows, title="Older rows")
    print_rows(
        out, ("origin", *GROUPS), [{"origin": name, **found.groups} for name, found in origins], title="What they carry"
    )
    for name, found in origins:
        for field, number in found.contradicting.most_common():
            out.print(f"{name}: {number} contradict upstream in {field}", soft_wrap=True)
        for reason, number in found.reasons.most_common():
            out.print(f"{name}: {number} unreadable: {reason}", soft_wrap=True, markup=False)
        for kind in KINDS[1:]:
            _print_ids(out, f"{name} {kind}", found.samples.get(kind, []), found.rows[kind])
    documents = report.documents
    out.print(
        f"{documents.total()} documents live upstream: {documents['with_row']} have a row, {documents['missing']} have "
        f"none, {documents['unreadable']} can't be read.",
        soft_wrap=True,
    )
    _print_ids(out, "missing", report.missing, len(report.missing))
    out.print(
        f"{report.probed} texts were embedded to see what the vectors are made of. {report.vectors} vectors and "
        f"{report.keywords} keywords {'would be' if dry_run else 'were'} taken over; of {report.texts} texts the next "
        f"sync embeds {report.to_embed}.",
        soft_wrap=True,
    )


def _print_ids(out: Console, label: str, ids: Sequence[str], number: int) -> None:
    if number:
        more = f" and {number - _SHOWN} more" if number > _SHOWN else ""
        out.print(f"{label} ({number}): {', '.join(ids[:_SHOWN])}{more}", soft_wrap=True, markup=False)
