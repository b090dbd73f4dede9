"""`sync-assets forget`: erase documents, a tenant, or what is left of documents that upstream deleted.

What belongs here: options, the question whether it is meant, and printing. What is erased where is in `forgetting/`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.cli.session import Json, log, open_services, print_json
from sync_assets.clock import utc_now
from sync_assets.errors import LedgerError, SettingsError
from sync_assets.services import Services
from sync_assets.tenants import valid_tenant
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    import dagster as dg

    from sync_assets.forgetting import Outcome, Place


def forget(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose documents.")] = None,
    document: Annotated[
        list[str] | None, typer.Option("--document", help="This document, by its id; may be repeated.")
    ] = None,
    all_documents: Annotated[
        bool, typer.Option("--all-documents", help="The whole tenant, with its support database and its partitions.")
    ] = False,
    tombstones: Annotated[
        bool,
        typer.Option(
            "--tombstones",
            help="What is kept of documents that upstream deleted more than SYNC_ASSETS_TOMBSTONE_RETENTION_DAYS ago.",
        ),
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Let the documents come back with the next sweep.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only show what would be erased.")] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="The name of the tenant that is to be erased as a whole.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase what is kept of documents everywhere, search every place again, and print what is left: it must be 0.

    Files, vectors, graph, cache, ledger and the previews in Dagster's history are searched. Upstream is not touched,
    nor are copies that others made: backups, older versions in a bucket, what killed processes left in TMPDIR.
    Documents that were erased stay away though upstream still has them, by a list that holds a hash of their ids;
    `--undo` takes them off it. Vectors in the cache whose text no document has any more go with them.

    Examples:

        sync-assets forget --tenant acme --document acme_freshdesk_4711         # shows

        sync-assets forget --tenant acme --document acme_freshdesk_4711 --yes   # erases

        sync-assets forget --tenant acme --document acme_freshdesk_4711 --undo

        sync-assets forget --tenant acme --all-documents --confirm acme         # once it is out of tenants.yaml

        sync-assets forget --tombstones --yes
    """
    if sum([bool(document), all_documents, tombstones]) != 1:
        raise SettingsError(
            "Say what to forget, one thing at a time.", "Give --document, --all-documents or --tombstones."
        )
    if tenant is None and not tombstones:
        raise SettingsError("--tenant is missing.", "Name the tenant whose documents are meant.")
    if undo and (not document or yes):
        raise SettingsError("--undo is about documents alone.", "Give --tenant, --document and --undo.")
    if (yes and all_documents) or (confirm is not None and (not all_documents or confirm != tenant)):
        raise SettingsError(
            "Only --all-documents takes --confirm, with the name that --tenant has, and it takes no --yes.",
            "Type the tenant's name twice: --tenant acme --all-documents --confirm acme.",
        )
    owner = valid_tenant(tenant) if tenant is not None else None
    with open_services() as services:
        if tombstones:
            code = _tombstones(services, owner, yes, as_json)
        elif all_documents:
            code = _tenant(services, owner or "", confirm is not None, as_json)
        elif undo:
            code = _undo(services, owner or "", document or [], as_json)
        else:
            code = _documents(services, owner or "", document or [], yes, as_json)
    raise typer.Exit(code)


def _documents(services: Services, tenant: str, ids: Sequence[str], erases: bool, as_json: bool) -> int:
    from sync_assets.forgetting import Documents, document_places, traces
    from sync_assets.ledger.forgotten import suppress
    from sync_assets.runs import open_instance

    documents = Documents.of(tenant, ids)
    if erases:
        # First, so that no run brings back what is erased behind it.
        suppress(services.ledger, tenant, documents.ids)
    with open_instance() as instance:
        try:
            with _alone(services, tenant, erases):
                places = [*traces(instance, documents), *document_places(services, documents)]
                return _erase_or_show(places, instance, tenant, erases, as_json, "Say --yes to erase it.")
        except LedgerError as error:
            if not erases:
                raise
            raise LedgerError(
                f"{error.message} From now on no sync brings these documents back, but not all of them is erased.",
                f"{error.remedy} Then give the same command again.",
            ) from None


def _tenant(services: Services, tenant: str, erases: bool, as_json: bool) -> int:
    from sync_assets.forgetting import tenant_places
    from sync_assets.runs import open_instance

    if erases and tenant in services.tenants.names():
        raise SettingsError(
            f"{tenant} is in {services.settings.tenants_path}: the next sync would bring all of it back.",
            "Take it out of that file first.",
        )
    with open_instance() as instance, _alone(services, tenant, erases):
        places = tenant_places(services, instance, tenant)
        code = _erase_or_show(places, instance, tenant, erases, as_json, f"Say --confirm {tenant} to erase it.")
    _tell_of_questions(services, tenant)
    return code


def _tell_of_questions(services: Services, tenant: str) -> None:
    """Questions that people wrote down are theirs to take away."""
    from sync_assets.golden.labels import labels_path, read_labels

    try:
        written = len(read_labels(services, tenant))
    except SettingsError as error:
        console(stderr=True).print(str(error), soft_wrap=True, markup=False)
        return
    if written:
        console(stderr=True).print(
            f"{labels_path(services)} has {written} questions of {tenant}: take them out by hand.",
            soft_wrap=True,
            markup=False,
        )


def _tombstones(services: Services, tenant: str | None, erases: bool, as_json: bool) -> int:
    from sync_assets.forgetting import document_places, erase
    from sync_assets.forgetting.tombstones import expired_tombstones

    days = services.settings.tombstone_retention_days
    if days is None:
        raise SettingsError(
            "SYNC_ASSETS_TOMBSTONE_RETENTION_DAYS is not set: tombstones are kept.", "Set it to a number of days."
        )
    left = 0
    rows: list[dict[str, Any]] = []
    for documents in expired_tombstones(services, utc_now() - timedelta(days=days), tenant):
        row = {"tenant": documents.tenant, "tombstones": len(documents.ids)}
        if erases:
            with services.ledger.erasing(documents.tenant):
                row["left"] = sum(outcome.left for outcome in erase(document_places(services, documents)))
            left += row["left"]
        rows.append(row)
    if as_json:
        print_json({"tombstones": rows, "left": left})
    elif not rows:
        console().print(f"No tombstone is older than {days} days.")
    else:
        print_rows(console(), ("tenant", "tombstones", *(["left"] if erases else [])), rows)
        if not erases:
            console().print("Nothing was erased. Say --yes to erase them.")
    return 3 if left else 0


def _undo(services: Services, tenant: str, ids: Sequence[str], as_json: bool) -> int:
    from sync_assets.forgetting import Documents
    from sync_assets.ledger.forgotten import readmit

    documents = Documents.of(tenant, ids)
    readmitted = readmit(services.ledger, tenant, documents.ids)
    if not readmitted:
        raise SettingsError("None of these documents was forgotten.", "Ids are compared as they were given then.")
    if as_json:
        print_json({"readmitted": sorted(readmitted)})
        return 0
    sources = " ".join(f"--source {source}" for source in sorted(documents.records))
    console().print(
        f"{len(readmitted)} may come back: `sync-assets sync --tenant {tenant} {sources} --incremental --sweep` "
        "fetches what upstream still has.",
        soft_wrap=True,
    )
    return 0


def _alone(services: Services, tenant: str, erases: bool) -> AbstractContextManager[None]:
    return services.ledger.erasing(tenant) if erases else nullcontext()


def _erase_or_show(
    places: "Sequence[Place]", instance: "dg.DagsterInstance", tenant: str, erases: bool, as_json: bool, remedy: str
) -> int:
    """Erase, or count what would be; prints a row for each place, and returns the exit code."""
    from sync_assets.forgetting import erase, runs_in_progress

    if not erases:
        rows: list[dict[str, Any]] = [{"place": place.name, "found": place.count()} for place in places]
        if as_json:
            print_json({"tenant": tenant, "places": rows})
            return 0
        print_rows(console(), ("place", "found"), rows)
        console().print(f"Nothing was erased. {remedy}")
        return 0
    outcomes = erase(places)
    running = runs_in_progress(instance, tenant)
    left = sum(outcome.left for outcome in outcomes)
    log.info("forgot of %s: %s erased, %s left", tenant, sum(outcome.erased for outcome in outcomes), left)
    if as_json:
        rows = [outcome._asdict() for outcome in outcomes]
        print_json({"tenant": tenant, "places": rows, "left": left, "runs_in_progress": running})
    else:
        _print_outcomes(outcomes, left, running)
    return 3 if left or running else 0


def _print_outcomes(outcomes: "Sequence[Outcome]", left: int, running: int) -> None:
    out = console()
    print_rows(out, ("place", "erased", "left"), [outcome._asdict() for outcome in outcomes])
    out.print("Every place was searched again: nothing is left." if not left else f"{left} are left; run this again.")
    if running:
        console(stderr=True).print(
            f"{running} runs of the tenant are in progress and may hold what was erased. Run this again when they "
            "have ended.",
            soft_wrap=True,
        )
