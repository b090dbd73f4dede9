"""`sync-assets support-db`: the support database from JSON files, and its knowledge base in the vector store."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.session import Json, open_services, print_json, print_result, run_load, run_sync
from sync_assets.documents import Visibility
from sync_assets.errors import EmbeddingError, SettingsError
from sync_assets.services import Services
from sync_assets.sources import live_record_ids
from sync_assets.support_database import SOURCE
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.loads import LoadResult
    from sync_assets.sync import SyncResult

support_db_app = typer.Typer(
    no_args_is_help=True, help="The support database: tables from JSON files, its articles in the vector store."
)

TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Whose database; default the only tenant that has one.")
]

_STREAM = "kb_articles"
_SHOWN = 20
_PAGE = 200

# What users ask, and the category that answers (the first that is found counts).
_VERIFICATION = (
    ("How do I upgrade my plan?", ("billing", "pricing", "sales")),
    ("The app keeps crashing", ("technical", "troubleshooting")),
    ("Which keyboard shortcuts are there?", ("usage", "features")),
    ("How does API authentication work?", ("api", "security")),
    ("How do I invite team members?", ("account", "usage", "onboarding")),
    ("What is your refund policy?", ("billing",)),
)


@support_db_app.command("load")
def load(
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="JSON files, also in sub-folders; default the account's `folder`."),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Drop the tenant's tables first.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what a load would do, and change nothing.")
    ] = False,
    tenant: TenantOption = None,
    as_json: Json = False,
) -> None:
    """Load JSON files into the tables, and bring the knowledge base in the vector store in step with them.

    Rows are deduplicated by id and natural key; what breaks a rule is listed and goes to quarantine, and the rest is
    loaded. A second load changes nothing.

    Examples:

        sync-assets support-db load --folder data/seed

        sync-assets support-db load --reset --dry-run

        sync-assets support-db load --tenant acme --reset
    """
    with open_services() as services:
        name = _tenant(services, tenant)
        _load(services, name, folder, reset, dry_run, as_json)


@support_db_app.command("generate")
def generate(
    customers: Annotated[int, typer.Option("--customers", min=1, help="How many customers.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds give equal rows.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write JSON files to this folder, and load nothing.")
    ] = None,
    tenant: TenantOption = None,
    as_json: Json = False,
) -> None:
    """Invent customers with all that belongs to them, and load them.

    Examples:

        sync-assets support-db generate --customers 100 --seed 7

        sync-assets support-db generate --customers 20 --output data/seed
    """
    from sync_assets.support_database.generate import generate as invent
    from sync_assets.support_database.generate import write_seed

    rows = invent(customers, seed)
    if output is not None:
        write_seed(rows, output)
        total = sum(len(found) for found in rows.values())
        if as_json:
            print_json({table: len(found) for table, found in rows.items()})
        else:
            console().print(f"{total} rows for {len(rows)} tables are in {escape(str(output))}.", soft_wrap=True)
        return
    with open_services() as services, TemporaryDirectory(prefix="sync_assets-") as folder:
        name = _tenant(services, tenant)
        write_seed(rows, Path(folder))
        _load(services, name, Path(folder), False, False, as_json)


@support_db_app.command("reindex")
def reindex(tenant: TenantOption = None, as_json: Json = False) -> None:
    """Bring the vector store in step with the articles in the tables, as after edits by hand, and compare the two.

    Examples:

        sync-assets support-db reindex --tenant acme
    """
    with open_services() as services:
        name = _tenant(services, tenant)
        result = _sync_articles(services, name, as_json)
        verified = _verify(services, name)
    if as_json:
        print_json({**result.summary(), **verified})
    else:
        print_result(result)
        _print_verified(verified)
    raise typer.Exit(result.exit_code or (0 if verified["in_step"] else 1))


@support_db_app.command("embed")
def embed(
    output: Annotated[Path, typer.Option("--output", help="A JSON line for each chunk is written here.")],
    tenant: TenantOption = None,
) -> None:
    """Write the chunks of all active articles with their vectors to a file, to look at them.

    Examples:

        sync-assets support-db embed --output embedded.jsonl
    """
    with open_services() as services:
        name = _tenant(services, tenant)
        written, embedded = _embed(services, name, output)
    console().print(
        f"{written} chunks are in {escape(str(output))}; {embedded} were embedded, the others were known.",
        soft_wrap=True,
    )


def _tenant(services: Services, wanted: str | None) -> str:
    """The tenant that is meant.

    Raises:
        SettingsError: none, or several, have a support database, or not this one.
    """
    having = services.tenants.names(SOURCE)
    if wanted in having or (wanted is None and len(having) == 1):
        return wanted or having[0]
    path = services.settings.tenants_path
    if not having or wanted is not None:
        name = wanted or "acme"
        raise SettingsError(
            f"{path} names no support database{f' of {wanted!r}' if wanted else ''}.",
            f"Add `{SOURCE}: {{folder: path/to/json/files}}` below `tenants.{name}`.",
        )
    raise SettingsError(f"Several tenants have a support database: {', '.join(having)}.", "Choose one with --tenant.")


def _load(services: Services, tenant: str, folder: Path | None, reset: bool, dry_run: bool, as_json: bool) -> None:
    """Load, bring the articles in step, compare; ends the command with its exit code."""
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"--folder {folder} is no folder.", "Name one with JSON files, such as customers.json.")
    from sync_assets.loads import preview_load

    loaded = (
        preview_load(services, tenant, folder, reset) if dry_run else run_load(services, tenant, folder, reset, as_json)
    )
    if loaded.failures or dry_run:
        if as_json:
            print_json(loaded.summary())
        else:
            _print_load(loaded, dry_run)
        raise typer.Exit(1 if loaded.failures else 3 if loaded.rejected else 0)
    if not as_json:
        _print_load(loaded)
    result = _sync_articles(services, tenant, as_json)
    verified = _verify(services, tenant)
    if as_json:
        print_json({**loaded.summary(), "articles": result.summary(), **verified})
    else:
        print_result(result)
        _print_verified(verified)
    good = 0 if verified["in_step"] else 1
    raise typer.Exit(
        result.exit_code if result.exit_code == 1 else good or (3 if loaded.rejected else result.exit_code)
    )


def _sync_articles(services: Services, tenant: str, as_json: bool) -> "SyncResult":
    from sync_assets.planning import SyncRequest

    return run_sync(services, SyncRequest((SOURCE,), (), (tenant,), everything=True, sweep=True), quiet=as_json)


def _print_load(loaded: "LoadResult", dry_run: bool = False) -> None:
    from sync_assets.loads import COUNTS

    out = console()
    rows = [{"table": table, **counts} for table, counts in loaded.tables.items() if counts["read"]]
    if rows:
        print_rows(out, ("table", *COUNTS), rows)
    total = {name: sum(counts[name] for counts in loaded.tables.values()) for name in COUNTS}
    out.print(", ".join(f"{number} {name}" for name, number in total.items()), soft_wrap=True)
    if loaded.rejected:
        print_rows(
            out,
            ("table", "place", "row", "reason"),
            [row._asdict() for row in loaded.rejected[:_SHOWN]],
            title="Rejected rows",
        )
        if len(loaded.rejected) > _SHOWN:
            out.print(f"... and {len(loaded.rejected) - _SHOWN} more: `sync-assets quarantine list`.", soft_wrap=True)
    for notice in loaded.notices:
        out.print(f"Note: {escape(notice)}", soft_wrap=True)
    for failure in loaded.failures:
        console(stderr=True).print(f"[red]Failed:[/red] {escape(failure)}", soft_wrap=True)
    if dry_run:
        out.print("Dry run: nothing was changed.")


def _verify(services: Services, tenant: str) -> dict[str, Any]:
    """Active articles in SQL and in the store by category, and what the store answers to what users ask."""
    from sync_assets.search import search
    from sync_assets.vector_stores import Audience

    stored = _stored_ids(services, tenant)
    in_sql, in_store = Counter[str](), Counter[str]()
    with services.tenants.open(SOURCE, tenant) as account:
        for record in account.fetch(_STREAM, list(live_record_ids(account, _STREAM))):
            document = account.to_document(_STREAM, record)
            category = str(document.metadata.get("category"))
            in_sql[category] += 1
            in_store[category] += document.document_id in stored
            stored.discard(document.document_id)
    categories = [
        {"category": category, "in_sql": number, "in_store": in_store[category]}
        for category, number in sorted(in_sql.items())
    ]
    searches: list[dict[str, Any]] = []
    for question, expected in _VERIFICATION if in_store else ():
        audience = Audience(visibility=Visibility.PUBLIC)
        hits = search(services, question, tenant=tenant, audience=audience, top_k=1, source=SOURCE)
        searches.append(
            {
                "question": question,
                "expected": " or ".join(expected),
                "found": hits[0].metadata.get("category") if hits else None,
                "title": hits[0].title if hits else None,
                "score": round(hits[0].score, 3) if hits else None,
            }
        )
    in_step = in_sql == in_store and not stored
    return {"categories": categories, "only_in_store": sorted(stored), "searches": searches, "in_step": in_step}


def _stored_ids(services: Services, tenant: str) -> set[str]:
    """Documents that the stores hold of the tenant's articles."""
    return {
        chunk.document_id
        for collection, _ in services.ledger.collections_of(tenant, SOURCE)
        for chunk in services.store(collection.store).scan(collection.collection, tenant)
    }


def _print_verified(verified: dict[str, Any]) -> None:
    out = console()
    if verified["categories"]:
        print_rows(out, ("category", "in_sql", "in_store"), verified["categories"], title="Active articles")
    if verified["searches"]:
        print_rows(
            out,
            ("question", "expected", "found", "title", "score"),
            verified["searches"],
            title="What users ask, the category that should answer, and the one that does",
        )
    if verified["in_step"]:
        out.print("The vector store holds exactly the active articles.")
    else:
        only = ", ".join(verified["only_in_store"][:_SHOWN])
        out.print(f"[red]The vector store differs from the active articles.[/red] {escape(only)}", soft_wrap=True)


def _embed(services: Services, tenant: str, output: Path) -> tuple[int, int]:
    """Write chunks and vectors of all active articles; how many, and how many had to be embedded."""
    from sync_assets.chunking import ChunkLimits, chunk_document
    from sync_assets.embedding.cache import embed_missing
    from sync_assets.hashing import text_hash

    models = [collection.model for collection, _ in services.ledger.collections_of(tenant, SOURCE)]
    embedder = services.embedder_of(models[0]) if models else services.embedder(None)
    limits = ChunkLimits(max_tokens=embedder.fingerprint.max_tokens)
    written = embedded = 0
    with services.tenants.open(SOURCE, tenant) as account, output.open("w", encoding="utf-8") as file:
        ids = live_record_ids(account, _STREAM)
        while page := list(islice(ids, _PAGE)):
            documents = [account.to_document(_STREAM, record) for record in account.fetch(_STREAM, page)]
            chunks = [
                (document, chunk, text_hash(chunk.text))
                for document in documents
                for chunk in chunk_document(document, embedder.tokenizer, limits)
            ]
            texts = {content_hash: chunk.text for _, chunk, content_hash in chunks}
            tokens = {content_hash: chunk.tokens for _, chunk, content_hash in chunks}
            found = embed_missing(services.cache, embedder, tenant, texts, tokens, lambda done: None)
            embedded += found.embedded
            for document, chunk, content_hash in chunks:
                if content_hash in found.failures:
                    raise EmbeddingError(f"{document.title!r} can't be embedded: {found.failures[content_hash]}")
                row = {
                    "article_id": document.record_id,
                    "title": document.title,
                    "category": document.metadata.get("category"),
                    "path": chunk.path,
                    "text": chunk.text,
                    "vector": found.vectors[content_hash].tolist(),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    return written, embedded
