"""What `sync-assets demo` does: serve the demo company, sync it, prove the stores equal to it, and search.

What belongs here: the tour. The servers are in `server.py`, the company's records in `company.py`.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from sync_assets.chunking import chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.cli.golden import answers_as_json
from sync_assets.definitions import build_defs, streams
from sync_assets.demo.asking import ask, print_asked, write_golden_set
from sync_assets.demo.backlog_limits import BacklogLimits
from sync_assets.demo.changes import Change, play, put_back
from sync_assets.demo.company import FIRST_DAY, LAST_DAY, DemoCompany
from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.expansion import Expansion, expand
from sync_assets.demo.gitlab_limits import GitLabLimits
from sync_assets.demo.server import DemoServers
from sync_assets.demo.slack_workspace import SlackLimits
from sync_assets.demo.zoho_desk_account import ZohoLimits
from sync_assets.documents import Document, document_id
from sync_assets.enrichment import article_of, enriched
from sync_assets.enrichment.enricher import open_enricher
from sync_assets.errors import SettingsError
from sync_assets.golden.labels import labels_path
from sync_assets.golden.measuring import Answers
from sync_assets.hashing import text_hash
from sync_assets.processors import processed
from sync_assets.search import search
from sync_assets.services import Services
from sync_assets.settings import load_settings
from sync_assets.stages import Stream
from sync_assets.stages.attachments import Attachments
from sync_assets.terminal import console, print_rows

if TYPE_CHECKING:
    from sync_assets.loads import LoadResult

_MARK = "# Written by `sync-assets demo`, which replaces it. Give your own tenants another file or DAGSTER_HOME.\n"
# Of hybrid search, recall@5 in each store: a model that knows nothing of the languages has far less.
_WANTED_RECALL = 0.6


class Route(NamedTuple):
    """Where a stream is kept: one collection in one store."""

    source: str
    stream: str
    store: str
    collection: str


@cache
def routes() -> list[Route]:
    """Every stream with every store that the definitions send it to."""
    found = []
    for spec in build_defs().resolve_all_asset_specs():
        if "collection" in spec.metadata:
            source, stream, store = spec.key.path
            found.append(Route(source, stream, store, spec.metadata["collection"]))
    return sorted(found)


def serve(port: int) -> None:
    """Serve the demo company until Ctrl-C."""
    out = console()
    with _servers(port, _company(load_settings().home)) as servers:
        out.print("The demo company is served at:")
        for tenant in servers.tenants:
            out.print(f"  {servers.base_url(tenant)}")
        out.print(f"\nIts ticket portal's database is {escape(str(servers.company.portal))}", soft_wrap=True)
        out.print(f"The files of its support database are in {escape(str(servers.company.seed))}", soft_wrap=True)
        out.print("\nPoint tenants at it in tenants.yaml:\n")
        typer.echo(yaml.safe_dump({"tenants": servers.tenants}, sort_keys=False))
        out.print("Then `sync-assets tenants check`. Ctrl-C stops the servers.")
        sys.stdout.flush()
        _wait()


def _company(home: Path) -> DemoCompany:
    return DemoCompany(home / "demo" / "ticket_portal.sqlite", home / "demo" / "support_seed")


def _servers(port: int, company: DemoCompany) -> DemoServers:
    """The tour asks more in a minute than the vendors allow, and nobody wants to wait."""
    many = 60_000
    return DemoServers(
        port,
        company,
        requests_per_minute=many,
        zoho_limits=ZohoLimits(tokens_per_window=many),
        slack_limits=SlackLimits(tier_2=many, tier_3=many, tier_4=many),
        discord_limits=DiscordLimits(messages=many, others=many, per_second=many),
        gitlab_limits=GitLabLimits(requests=many, project_requests=many),
        backlog_limits=BacklogLimits(read=many, update=many, search=many),
    )


def run_demo(services: Services, keep: bool, port: int, as_json: bool) -> int:
    """The whole tour; returns the exit code.

    Raises:
        SettingsError: the port is taken, or the tenants file is somebody's own.
    """
    from sync_assets.cli.session import print_result, run_load, run_sync
    from sync_assets.cli.status import print_status
    from sync_assets.planning import SyncRequest

    out = console()
    company = _company(services.settings.home)
    with _servers(port, company) as servers:
        _write_tenants(services.settings.tenants_path, servers.tenants)
        write_golden_set(labels_path(services), _MARK, servers.tenants)
        services.close()  # forgets what the tenants file said before
        tenants = tuple(servers.tenants)
        loads = [
            run_load(services, tenant, None, False, as_json) for tenant in services.tenants.names("support_database")
        ]
        request = SyncRequest(tenants=tenants, first=FIRST_DAY, last=LAST_DAY, sweep=True)
        result = run_sync(services, request, quiet=as_json)
        result.failures += [failure for load in loads for failure in load.failures]
        if not as_json:
            print_result(result)
            for load in loads:
                _print_load(out, load)
        if result.failures:
            if as_json:
                typer.echo(json.dumps({**result.summary(), "ok": False}))
            return 1
        comparisons = _compare_all(services, company)
        if not as_json:
            out.print()
            print_status(services)
            out.print()
            _print_comparisons(out, comparisons)
        answers = ask(services, quiet=as_json)
        recalls = {one.store: one.measured("hybrid")["recall@5"].mean for one in answers}
        searches = [_sample(services, one, number / len(answers)) for number, one in enumerate(answers)]
        equal = all(comparison["equal"] for comparison in comparisons)
        if not as_json:
            print_asked(out, answers)
            _print_searches(out, recalls, searches)
        played = _play(services, company, quiet=as_json)
        expansion = expand(services, company.portal) if company.portal is not None else None
        good = equal and played["ok"] and all(recall >= _WANTED_RECALL for recall in recalls.values())
        good = good and (expansion is None or expansion.ok)
        if as_json:
            found = {"ok": good, "stores_equal": equal, "comparisons": comparisons}
            found |= {
                "answers": [answers_as_json(one) for one in answers],
                "searches": searches,
                "played": played,
                "expansion": _as_json(expansion),
            }
            typer.echo(json.dumps({**result.summary(), **found}, ensure_ascii=False))
        else:
            _print_played(out, played)
            if expansion is not None:
                _print_expansion(out, expansion)
            _print_next_steps(out, servers)
        if keep:
            if not as_json:
                out.print("The servers stay up until Ctrl-C.")
            sys.stdout.flush()
            _wait()
    return result.exit_code if good else 1


def _write_tenants(path: Path, tenants: Mapping[str, Any]) -> None:
    if path.exists() and not path.read_text().startswith(_MARK):
        raise SettingsError(
            f"{path} holds tenants of your own.", "Run the demo with another DAGSTER_HOME, for example /tmp/demo."
        )
    path.write_text(_MARK + yaml.safe_dump({"tenants": dict(tenants)}, sort_keys=False))


def _compare_all(services: Services, company: DemoCompany) -> list[dict[str, Any]]:
    """Every stream with every store that it is routed to, for every tenant that has an account in its source."""
    stores: dict[tuple[str, str], list[str]] = {}
    for route in routes():
        stores.setdefault((route.source, route.stream), []).append(route.store)
    return [
        comparison
        for (source, stream), kept_in in stores.items()
        for tenant in services.tenants.names(source)
        for comparison in compare(services, company, tenant, stream, kept_in, source)
    ]


def compare(
    services: Services, company: DemoCompany, tenant: str, stream: str, stores: Sequence[str], source: str = "freshdesk"
) -> list[dict[str, Any]]:
    """Ids and hashes that each store lists, against those computed from the company's records as they are now.

    Nothing of the pipeline's state is used but the registry, which says which collection and model a stream has, and
    keywords and files that were read once: records are fetched by id, documents and chunks made of them anew.
    """
    record_ids = company.record_ids(tenant, source, stream)
    chosen = next(found for found in streams() if (found.source, found.name) == (source, stream))
    with services.tenants.open(source, tenant) as account:
        documents = [account.to_document(stream, record) for record in account.fetch(stream, record_ids)]
        if chosen.attachments is not None:
            files = Attachments(services.ledger, tenant, source, account, chosen.attachments)
            documents, _, _ = files.attached(documents)
    documents = [processed(document, chosen.processors) for document in documents]
    if chosen.keywords:
        documents = _with_keywords(services, tenant, documents)
    others = {
        document_id(tenant, source, record_id)
        for found in streams()
        if found.source == source and found.name != stream
        for record_id in company.record_ids(tenant, source, found.name)
    }
    comparisons = []
    for store in stores:
        route = next(route for route in routes() if route[:3] == (source, stream, store))
        registered = services.ledger.active_collection(store, route.collection)
        expected = _expected(services, documents, registered.model if registered else None, chosen)
        listed = services.store(store).scan(registered.collection, tenant) if registered else ()
        # A collection may hold several streams of the tenant.
        stored = {
            chunk.chunk_id: chunk.content_hash
            for chunk in listed
            if chunk.document_id.startswith(document_id(tenant, source, "")) and chunk.document_id not in others
        }
        comparisons.append(
            {
                "tenant": tenant,
                "source": source,
                "stream": stream,
                "store": store,
                "records": len(record_ids),
                "expected": len(expected),
                "stored": len(stored),
                "missing": len(expected.keys() - stored.keys()),
                "surplus": len(stored.keys() - expected.keys()),
                "different": sum(expected[key] != stored[key] for key in expected.keys() & stored.keys()),
                "equal": expected == stored,
            }
        )
    return comparisons


def _play(services: Services, company: DemoCompany, quiet: bool) -> dict[str, Any]:
    """Change the chats upstream, sync, tell what that changed in the stores, put everything back and sync again."""
    from sync_assets.cli.session import run_sync
    from sync_assets.planning import SyncRequest

    changes = play(company)
    sources = tuple(sorted({change.source for change in changes}))
    request = SyncRequest(sources=sources, first=FIRST_DAY, last=LAST_DAY, sweep=True)
    before = [_windows_of(services, change) for change in changes]
    synced = run_sync(services, request, quiet=quiet)
    after = [_windows_of(services, change) for change in changes]
    rows = [
        {
            "tenant": change.tenant,
            "source": change.source,
            "change": change.what,
            "conversation": change.record_id,
            "windows": len(old),
            "kept": len(old.items() & new.items()),
            "new": len(new.items() - old.items()),
            "gone": len(old.items() - new.items()),
        }
        for change, old, new in zip(changes, before, after, strict=True)
    ]
    put_back(company)
    restored = run_sync(services, request, quiet=quiet)
    is_back = [_windows_of(services, change) for change in changes] == before
    embedded = {"embedded": synced.total("embedded", "embeddings")}
    back = {"equal": is_back, "embedded": restored.total("embedded", "embeddings")}
    arrived = all(row["new"] + row["gone"] for row in rows)
    failed = bool(synced.exit_code or restored.exit_code)
    return {"ok": arrived and is_back and not failed, "changes": rows, **embedded, "put_back": back}


def _windows_of(services: Services, change: Change) -> dict[str, str]:
    """Hash by chunk id of what the first store of the chat holds of a conversation."""
    route = next(route for route in routes() if route.source == change.source)
    registered = services.ledger.active_collection(route.store, route.collection)
    listed = services.store(route.store).scan(registered.collection, change.tenant) if registered else ()
    wanted = document_id(change.tenant, change.source, change.record_id)
    return {chunk.chunk_id: chunk.content_hash for chunk in listed if chunk.document_id == wanted}


def _with_keywords(services: Services, tenant: str, documents: Sequence[Document]) -> list[Document]:
    with open_enricher(services) as enricher:
        articles = [article_of(document) for document in documents]
        found, _ = enricher.enrich(tenant, articles)
        hashes = [article.content_hash for article in articles]
        return [enriched(document, found[key]) for document, key in zip(documents, hashes, strict=True)]


def _expected(services: Services, documents: Sequence[Document], model: str | None, stream: Stream) -> dict[str, str]:
    """Hash by chunk id of what the documents of a stream give, cut for a model."""
    embedder = services.embedder(model)
    limits = stream.limits(embedder.fingerprint)
    return {
        chunk_id(document.document_id, chunk.path): text_hash(chunk.text)
        for document in documents
        for chunk in chunk_document(document, embedder.tokenizer, limits)
    }


def _sample(services: Services, answers: Answers, position: float) -> dict[str, Any]:
    """What a store answers to the question that stands at a position, 0..1, among its questions."""
    question = answers.questions[int(position * len(answers.questions))]
    hits = search(
        services, question.text, tenant=question.tenant, audience=question.audience, store=answers.store, top_k=3
    )
    return {
        "tenant": question.tenant,
        "store": answers.store,
        "question": question.text,
        "hits": [{"title": hit.title, "score": round(hit.score, 3), "url": hit.url} for hit in hits],
    }


def _print_load(out: Console, load: "LoadResult") -> None:
    """One line, and what was rejected: the demo's files have flaws on purpose."""
    total = sum(load.tables.values(), Counter[str]())
    counts = ", ".join(f"{total[name]} {name}" for name in ("read", "added", "unchanged", "merged", "rejected"))
    out.print(f"Support database, {len(load.tables)} tables: {counts} rows. Rejected on purpose:", soft_wrap=True)
    for row in load.rejected:
        out.print(f"  {row.place}: {escape(row.reason)}", soft_wrap=True)


def _print_comparisons(out: Console, comparisons: list[dict[str, Any]]) -> None:
    print_rows(
        out,
        list(comparisons[0]),
        comparisons,
        title="Chunk ids and hashes in each store, against the demo company's records",
    )
    bad = [comparison for comparison in comparisons if not comparison["equal"]]
    out.print("[red]Some stores differ from upstream.[/red]" if bad else "Every store equals upstream.")


def _print_searches(out: Console, recalls: Mapping[str, float], searches: list[dict[str, Any]]) -> None:
    if min(recalls.values()) < _WANTED_RECALL:
        out.print(f"[red]A recall@5 below {_WANTED_RECALL:.0%}: this model does not do.[/red]")
    for item in searches:
        question = escape(item["question"])
        out.print(f"\n[bold]{question}[/bold]  ({item['tenant']}, {item['store']})", soft_wrap=True)
        for rank, hit in enumerate(item["hits"], 1):
            address = f"  {hit['url']}" if hit["url"] else ""
            out.print(f"  {rank}. {hit['score']:.3f} {escape(hit['title'])}{address}", soft_wrap=True)


def _print_played(out: Console, played: Mapping[str, Any]) -> None:
    changes = played["changes"]
    out.print()
    print_rows(
        out, list(changes[0]), changes, title="Played upstream and synced: what it changed in the store, by windows"
    )
    back = played["put_back"]
    told = "Put back, and the store holds what it held before" if back["equal"] else "[red]Not put back[/red]"
    out.print(
        f"{played['embedded']} texts were embedded for these changes. {told}; {back['embedded']} were for that.",
        soft_wrap=True,
    )


def _as_json(expansion: Expansion | None) -> dict[str, Any] | None:
    if expansion is None:
        return None
    return {
        "ok": expansion.ok,
        "ticket": expansion.title,
        "solved_by": expansion.solution,
        "search": [hit.record_id for hit in expansion.hits],
        "graph": [{"node": one.node_id, "path": one.path.sentence} for one in expansion.near],
        "picture": str(expansion.picture),
    }


def _print_expansion(out: Console, expansion: Expansion) -> None:
    out.print(f"\n[bold]{escape(expansion.title)}[/bold]  (an open ticket: what solved it before?)", soft_wrap=True)
    out.print(f"Search by its words, the first {len(expansion.hits)}:", soft_wrap=True)
    for rank, hit in enumerate(expansion.hits, 1):
        out.print(f"  {rank}. {hit.score:.3f} {escape(hit.title)}", soft_wrap=True)
    out.print("Through the knowledge graph:", soft_wrap=True)
    for rank, one in enumerate(expansion.near, 1):
        out.print(f"  {rank}. {one.score:.3f} {escape(one.path.sentence)}", soft_wrap=True)
    out.print(f"A picture of what is near to it: {escape(str(expansion.picture))}", soft_wrap=True)
    if not expansion.ok:
        out.print("[red]The graph does not list the ticket that solves it, or search lists it already.[/red]")


def _print_next_steps(out: Console, servers: DemoServers) -> None:
    statement = "UPDATE tickets SET title = 'De liftknop zwijgt' WHERE ticket_id = 171"
    change = (
        f"import sqlite3; c = sqlite3.connect('{servers.company.portal}'); c.execute('''{statement}'''); c.commit()"
    )
    out.print(
        "\nLook around:\n"
        "  make dev                        the Dagster UI, with lineage, partitions and these runs\n"
        f"  sync-assets upstream serve --port {servers.port}   the demo company again, to change and sync\n"
        '  sync-assets search "..." --tenant acme --audience internal\n'
        "  sync-assets graph show PK-2026-0302 --tenant polder --html ticket.html   a page to click through\n"
        "  sync-assets database stop       stops the embedded PostgreSQL\n"
        "Change the ticket portal's database, which the demo company makes anew at each start, and sync:\n"
        f'  python -c "{escape(change)}"\n'
        "  sync-assets sync --incremental --source ticket_portal",
        soft_wrap=True,
    )


def _wait() -> None:
    """Until Ctrl-C, which ends the process with the message of `main`."""
    threading.Event().wait()
