"""`sync-assets collections`: another model or chunk size without a gap.

What belongs here: options and printing. What is done is in `sync_assets/collections/`.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.golden import judgement_as_json, print_judgement
from sync_assets.cli.session import Json, log, open_services, print_json
from sync_assets.terminal import StageProgress, console, print_rows

if TYPE_CHECKING:
    from sync_assets.collections.building import Built, Estimate
    from sync_assets.collections.comparing import Comparison
    from sync_assets.collections.switching import Switched
    from sync_assets.ledger import RegisteredCollection

collections_app = typer.Typer(no_args_is_help=True, help="Collections, and how another model takes a model's place.")

Name = Annotated[str, typer.Argument(help="What streams call the collection.", show_default=False)]

_PERCENT = 100

# What defs.yaml calls the limits of chunks.
_SETTINGS = {"chunk_tokens": "max_tokens", "window_messages": "messages", "window_overlap": "overlap"}


@collections_app.command("list")
def list_collections(as_json: Json = False) -> None:
    """Show every collection of every store: the active ones, those that were built, and those that are retired.

    Examples:

        sync-assets collections list
    """
    from sync_assets.ledger.collections import holding

    with open_services() as services:
        rows = [
            {
                "store": one.store,
                "name": one.name,
                "collection": one.collection.name,
                "state": _state(one),
                **holding(services.ledger, one.id)._asdict(),
                "dimension": one.collection.dimension,
                "made_with": one.description,
            }
            for one in services.ledger.every_collection()
        ]
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(console(), tuple(rows[0]), rows)
    else:
        console().print("There are no collections yet. Run `sync-assets sync`.")


@collections_app.command("build")
def build_collection(
    name: Name,
    store: Annotated[
        str | None, typer.Option("--store", help="Only in this store; a switch needs it in all of them.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another embedding model; default what settings and defs.yaml name.")
    ] = None,
    chunk_tokens: Annotated[
        int | None, typer.Option("--chunk-tokens", min=16, help="Longest chunk in the model's tokens, likewise.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show texts, time and cost, and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Build a collection beside the active one, from the stored documents: nothing is asked upstream.

    Searches and syncs use the active one until `switch`. A build that was stopped goes on where it was, and a second
    one does only what is missing or newer. Exits with 3 where documents could not be built, or have no stored file.

    Examples:

        sync-assets collections build freshdesk_tickets --model wordllama-256 --dry-run

        sync-assets collections build freshdesk_tickets --model wordllama-256

        sync-assets collections build freshdesk_tickets --chunk-tokens 128
    """
    from sync_assets.collections.building import build, estimate
    from sync_assets.definitions import streams

    options: dict[str, Any] = {"store": store, "model": model, "chunk_tokens": chunk_tokens}
    with open_services() as services, StageProgress(as_json) as shown:
        if dry_run:
            _print_estimate(estimate(services, streams(), name, **options, progress=shown.watch), as_json)
            return
        built = build(services, streams(), name, **options, progress=shown.watch)
        log.info("built %s", json.dumps(_built_summary(built)))
    if as_json:
        print_json(_built_summary(built))
    else:
        _print_built(built)
        if built.is_complete:
            console().print(
                f"Compare them with `sync-assets collections compare {name}`, then run `sync-assets collections switch "
                f"{name}`.",
                soft_wrap=True,
            )
    raise typer.Exit(0 if built.is_complete else 3)


@collections_app.command("compare")
def compare_collections(name: Name, as_json: Json = False) -> None:
    """Compare the active collection with the one that was built, or else with the one that is retired.

    The overlap is the share of the first ten documents that both find, over the questions of the golden set, and titles
    of some documents of the tenants that have none. The golden set also tells which of them answers better.

    Examples:

        sync-assets collections compare freshdesk_tickets
    """
    from sync_assets.collections import pairs_to_compare
    from sync_assets.collections.comparing import compare, questions_about
    from sync_assets.collections.judging import golden_questions, judge

    with open_services() as services, StageProgress(as_json) as shown:
        found = [
            (
                compare(services, *pair, questions_about(services, pair.old, golden_questions(services, pair))),
                judge(services, pair, shown.watch),
            )
            for pair in pairs_to_compare(services, name)
        ]
    if as_json:
        print_json(
            [
                {**one._asdict(), "old": one.old._asdict(), "new": one.new._asdict(), **judgement_as_json(judgement)}
                for one, judgement in found
            ]
        )
        return
    for one, judgement in found:
        _print_comparison(one)
        print_judgement(judgement)


@collections_app.command("switch")
def switch_collections(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Do not ask the golden set whether searches would find less.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let the collection that was built take the active one's place, in all stores at once.

    It is brought in line first, every point of it is checked, and it is refused where searches would find less by the
    golden set. The old one stays for `rollback`, for SYNC_ASSETS_COLLECTION_RETENTION_DAYS at least. Searches go on
    meanwhile. At the end syncs of these streams have to wait: one that waits longer than SYNC_ASSETS_LOCK_TIMEOUT
    seconds fails, and the next one does what it left. So does the switch where a sync writes for longer: nothing is
    switched then. What it embeds is held to SYNC_ASSETS_MAX_EMBEDDED_TEXTS and SYNC_ASSETS_MAX_COST.

    Examples:

        sync-assets collections switch freshdesk_tickets
    """
    from sync_assets.collections.building import is_wanted
    from sync_assets.collections.switching import switch
    from sync_assets.definitions import streams

    with open_services() as services, StageProgress(as_json) as shown:
        done = switch(services, streams(), name, shown.watch, force)
        differs = not is_wanted(services, streams(), done.pairs[0].new)
    _print_switched(done, differs, as_json)


@collections_app.command("rollback")
def roll_back(name: Name, as_json: Json = False) -> None:
    """Let the collection that was active before take its place again, once it is brought in line with its own model.

    What is damaged in it, or was stored by an older version of this program, is written again first. Syncs and limits
    are treated as by `switch`.

    Examples:

        sync-assets collections rollback freshdesk_tickets
    """
    from sync_assets.collections.building import is_wanted
    from sync_assets.collections.switching import rollback
    from sync_assets.definitions import streams

    with open_services() as services, StageProgress(as_json) as shown:
        done = rollback(services, streams(), name, shown.watch)
        differs = not is_wanted(services, streams(), done.pairs[0].new)
    _print_switched(done, differs, as_json)


@collections_app.command("drop")
def drop_collection(
    collection: Annotated[
        str, typer.Argument(help="A collection that is not active, as `list` shows it.", show_default=False)
    ],
    force: Annotated[bool, typer.Option("--force", help="Also where it was active until a few days ago.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Drop; without it, only show what would be dropped.")] = False,
    as_json: Json = False,
) -> None:
    """Remove an inactive collection from every store that has it, and from the ledger. Vectors stay in the cache.

    An active one may go, too, once no stream of its name names its store.

    Examples:

        sync-assets collections drop freshdesk_tickets_1a2b3c4d        # shows

        sync-assets collections drop freshdesk_tickets_1a2b3c4d --yes  # drops
    """
    from sync_assets.collections.switching import drop, droppable
    from sync_assets.definitions import streams

    with open_services() as services:
        found = (drop if yes else droppable)(services, streams(), collection, force)
    rows = [{"store": one.collection.store, "collection": collection, **one.holding._asdict()} for one in found]
    if as_json:
        print_json({"dropped": yes, "collections": rows})
        return
    print_rows(console(), tuple(rows[0]), rows)
    console().print("Dropped." if yes else "Nothing was dropped. Say --yes to drop it.")


def _state(one: "RegisteredCollection") -> str:
    if one.active:
        return "active"
    return f"retired {one.retired_at:%Y-%m-%d}" if one.retired_at else "built"


def _print_estimate(forecast: "Estimate", as_json: bool) -> None:
    if as_json:
        print_json(forecast._asdict())
        return
    seconds = forecast.seconds
    time = "time not yet measured" if seconds is None else f"{seconds:.0f} s"
    console().print(
        f"{', '.join(forecast.collections)}: {forecast.documents} documents in {forecast.chunks} chunks. To embed: "
        f"{forecast.texts} texts, {forecast.tokens} tokens, {time}, {forecast.cost:.2f} US dollars. "
        "Nothing was written.",
        soft_wrap=True,
    )


def _built_summary(built: "Built") -> dict[str, Any]:
    names = ("lacking", "embedded", "reused", "written", "removed")
    return {
        "collections": [{"store": one.store, "collection": one.collection.name} for one in built.collections],
        **{name: built.counts[name] for name in names},
        "failed": [
            {**ref._asdict(), "record_id": record, "reason": reason} for (ref, record), reason in built.failed.items()
        ],
        "missing": [{**ref._asdict(), "documents": number} for ref, number in built.missing.items()],
        "left_behind": [
            {"source": source, "stream": stream, "documents": number}
            for (source, stream), number in built.left_behind.items()
        ],
        "seconds": round(built.seconds, 1),
    }


def _print_built(built: "Built") -> None:
    out, told = console(), _built_summary(built)
    made = ", ".join(f"{one.collection.name} in {one.store}" for one in built.collections)
    out.print(
        f"{made}: {told['lacking']} documents brought in line, {told['embedded']} texts embedded, {told['reused']} "
        f"reused, {told['written']} vectors written, {told['seconds']} s",
        soft_wrap=True,
    )
    if told["failed"]:
        print_rows(out, ("tenant", "source", "stream", "record_id", "reason"), told["failed"], "Could not be built")
    for row in told["missing"]:
        out.print(
            f"[yellow]No stored file:[/yellow] {row['documents']} documents of {row['tenant']} {row['source']}/"
            f"{row['stream']}. `sync-assets sync --all --tenant {row['tenant']} --source {row['source']}` with the "
            "active collection's model stores them again.",
            soft_wrap=True,
        )
    for row in told["left_behind"]:
        out.print(
            f"[yellow]Left behind:[/yellow] {row['documents']} documents of {row['source']}/{row['stream']}, which "
            "defs.yaml no longer keeps in this collection.",
            soft_wrap=True,
        )


def _print_comparison(one: "Comparison") -> None:
    rows = [{"": side, **values._asdict()} for side, values in (("active", one.old), ("other", one.new))]
    names = ("", "collection", "documents", "chunks", "texts", "dimension")
    print_rows(console(), names, rows, one.store)
    for side in (one.old, one.new):
        console().print(escape(f"{side.collection}: {side.description}"), soft_wrap=True)
    overlap = "nothing to ask" if one.overlap is None else f"{one.overlap * _PERCENT:.0f} %"
    console().print(
        f"First ten documents that both find, over {one.questions} questions: {overlap}. "
        "`texts` are those that only one of them holds."
    )


def _print_switched(done: "Switched", differs: bool, as_json: bool) -> None:
    """What took whose place.

    Args:
        differs: the settings and defs.yaml name another model or chunk size.
    """
    log.info("switched to %s", ", ".join(f"{new.collection.name} in {new.store}" for _, new in done.pairs))
    new = done.pairs[0].new
    if as_json:
        pairs = [
            {"store": after.store, "old": before.collection.name, "new": after.collection.name}
            for before, after in done.pairs
        ]
        told = {"model": new.model, "limits": new.limits, "syncs_refuse": differs}
        golden = [{"store": one.store, **judgement_as_json(one)} for one in done.judgements]
        print_json({"switched": pairs, **told, "judged": golden, **_built_summary(done.built)})
        return
    _print_built(done.built)
    for one in done.judgements:
        print_judgement(one)
    for before, after in done.pairs:
        console().print(
            f"{after.store}: {after.collection.name} is active; {before.collection.name} is kept.", soft_wrap=True
        )
    if differs:
        limits = new.limits or {}
        wanted = ", ".join(f"{setting} {limits[name]}" for setting, name in _SETTINGS.items() if name in limits)
        console().print(
            "[yellow]Syncs refuse to write[/yellow] until SYNC_ASSETS_MODEL, or embedding_model in defs.yaml, is "
            f"{new.model}, and defs.yaml has {wanted}.",
            soft_wrap=True,
        )
