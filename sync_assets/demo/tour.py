"""What `sync-assets demo` does: serve the demo company, sync it, prove the stores equal to it, and search.

What belongs here: the tour. The servers are in `server.py`, the company's records in `company.py`.
"""

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.demo.company import QUESTIONS, DemoCompany
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.hashing import text_hash
from sync_assets.search import search
from sync_assets.services import Services
from sync_assets.terminal import console, print_rows
from sync_assets.vector_stores import Audience

SOURCE = "freshdesk"
STREAMS = ("tickets", "articles")
STORES = ("pgvector", "qdrant")
_MARK = "# Written by `sync-assets demo`, which replaces it. Give your own tenants another file or DAGSTER_HOME.\n"
_WANTED_RECALL = 0.8
_REQUESTS_PER_MINUTE = 60_000  # the tour asks more in a minute than an account allows, and nobody wants to wait
_SHOWN = 3


def serve(port: int) -> None:
    """Serve the demo company until Ctrl-C."""
    out = console()
    with DemoServers(port) as servers:
        out.print("The demo company is served at:")
        for tenant in servers.tenants:
            out.print(f"  {servers.base_url(tenant)}")
        out.print("\nPoint tenants at it in tenants.yaml:\n")
        typer.echo(yaml.safe_dump({"tenants": servers.tenants}, sort_keys=False))
        out.print("Then `sync-assets tenants check`. Ctrl-C stops the servers.")
        sys.stdout.flush()
        _wait()


def run_demo(services: Services, keep: bool, port: int, as_json: bool) -> int:
    """The whole tour; returns the exit code.

    Raises:
        SettingsError: the port is taken, or the tenants file is somebody's own.
    """
    from sync_assets.cli import print_result, print_status, run_sync
    from sync_assets.sync import SyncRequest

    out = console()
    with DemoServers(port, requests_per_minute=_REQUESTS_PER_MINUTE) as servers:
        _write_tenants(services.settings.tenants_path, servers.tenants)
        services.close()  # forgets what the tenants file said before
        tenants = tuple(servers.tenants)
        result = run_sync(services, SyncRequest((SOURCE,), (), tenants, everything=True, sweep=True), quiet=as_json)
        if not as_json:
            print_result(result)
        if result.failures:
            if as_json:
                typer.echo(json.dumps({**result.summary(), "ok": False}))
            return 1
        comparisons = [
            comparison
            for tenant in tenants
            for stream in STREAMS
            for comparison in compare(services, servers.company, tenant, stream)
        ]
        if not as_json:
            out.print()
            print_status(services)
            out.print()
            _print_comparisons(out, comparisons)
        recalls = {store: _recall(services, store) for store in STORES}
        searches = [_sample(services, number) for number in range(_SHOWN)]
        equal = all(comparison["equal"] for comparison in comparisons)
        good = equal and all(recall >= _WANTED_RECALL for recall in recalls.values())
        if as_json:
            found = {"ok": good, "stores_equal": equal, "comparisons": comparisons, "recall_at_5": recalls}
            typer.echo(json.dumps({**result.summary(), **found, "searches": searches}, ensure_ascii=False))
        else:
            _print_searches(out, recalls, searches)
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


def compare(
    services: Services, company: DemoCompany, tenant: str, stream: str, stores: Sequence[str] = STORES
) -> list[dict[str, Any]]:
    """Ids and hashes that each store lists, against those computed from the company's records as they are now.

    Nothing of the pipeline's state is used: records are fetched by id, documents and chunks made of them anew.
    """
    record_ids = [record_id for record_id, _ in company.records(tenant, stream)]  # pyright: ignore[reportArgumentType]
    expected: dict[str, str] = {}
    embedder = services.embedder(None)
    limits = ChunkLimits(max_tokens=embedder.fingerprint.max_tokens)
    with services.tenants.open(SOURCE, tenant) as account:
        for record in account.fetch(stream, record_ids):
            document = account.to_document(stream, record)
            for chunk in chunk_document(document, embedder.tokenizer, limits):
                expected[chunk_id(document.document_id, chunk.path)] = text_hash(chunk.text)
    comparisons = []
    for store in stores:
        stored = _stored(services, tenant, stream, store)
        comparisons.append(
            {
                "tenant": tenant,
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


def _stored(services: Services, tenant: str, stream: str, store: str) -> dict[str, str]:
    registered = services.ledger.active_collection(store, f"{SOURCE}_{stream}")
    if registered is None:
        return {}
    return {chunk.chunk_id: chunk.content_hash for chunk in services.store(store).scan(registered.collection, tenant)}


def _recall(services: Services, store: str) -> float:
    """Share of the company's questions that have one of their documents among the first five results."""
    found = 0
    for question in QUESTIONS:
        hits = search(services, question.text, tenant=question.tenant, audience=_agents(), store=store)
        found += any(hit.record_id in question.record_ids for hit in hits)
    return round(found / len(QUESTIONS), 3)


def _agents() -> Audience:
    return Audience(visibility=Visibility.INTERNAL)


def _sample(services: Services, number: int) -> dict[str, Any]:
    question = QUESTIONS[number * len(QUESTIONS) // _SHOWN]
    store = STORES[number % len(STORES)]
    hits = search(services, question.text, tenant=question.tenant, audience=_agents(), store=store, top_k=3)
    return {
        "tenant": question.tenant,
        "store": store,
        "question": question.text,
        "hits": [{"title": hit.title, "score": round(hit.score, 3), "url": hit.url} for hit in hits],
    }


def _print_comparisons(out: Console, comparisons: list[dict[str, Any]]) -> None:
    names = ("tenant", "stream", "store", "records", "expected", "stored", "missing", "surplus", "different", "equal")
    print_rows(out, names, comparisons, title="Chunk ids and hashes in each store, against the demo company's records")
    bad = [comparison for comparison in comparisons if not comparison["equal"]]
    out.print("[red]Some stores differ from upstream.[/red]" if bad else "Every store equals upstream.")


def _print_searches(out: Console, recalls: Mapping[str, float], searches: list[dict[str, Any]]) -> None:
    shares = ", ".join(f"{store} {recall:.0%}" for store, recall in recalls.items())
    out.print(f"\n{len(QUESTIONS)} questions with their document in the first five results: {shares}", soft_wrap=True)
    if min(recalls.values()) < _WANTED_RECALL:
        out.print(f"[red]Fewer than {_WANTED_RECALL:.0%}: this model does not do.[/red]")
    for item in searches:
        question = escape(item["question"])
        out.print(f"\n[bold]{question}[/bold]  ({item['tenant']}, {item['store']})", soft_wrap=True)
        for rank, hit in enumerate(item["hits"], 1):
            out.print(f"  {rank}. {hit['score']:.3f} {escape(hit['title'])}  {hit['url']}", soft_wrap=True)


def _print_next_steps(out: Console, servers: DemoServers) -> None:
    out.print(
        "\nLook around:\n"
        "  make dev                        the Dagster UI, with lineage, partitions and these runs\n"
        f"  sync-assets upstream serve --port {servers.port}   the demo company again, to change and sync\n"
        '  sync-assets search "..." --tenant acme --audience internal\n'
        "  sync-assets database stop       stops the embedded PostgreSQL",
        soft_wrap=True,
    )


def _wait() -> None:
    """Until Ctrl-C, which ends the process with the message of `main`."""
    threading.Event().wait()
