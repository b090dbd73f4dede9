"""`sync-assets search`: a question on the command line, and its answer for people.

What belongs here: options and printing. What is found, and in which order, is decided in `search/`.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from sync_assets.cli.session import Json, OneSource, open_services, print_json
from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.terminal import console

if TYPE_CHECKING:
    from sync_assets.search import Highlight, Result

_SHOWN = 200


def search(
    text: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose documents.", show_default=False)],
    mode: Annotated[
        str,
        typer.Option("--mode", help="`dense` compares meanings, `lexical` looks for the words, `hybrid` does both."),
    ] = "hybrid",
    source: OneSource = None,
    store: Annotated[
        str | None, typer.Option("--store", help="Which vector store answers; default one for each stream.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=100, help="How many documents.")] = 5,
    audience: Annotated[
        Visibility, typer.Option("--audience", help="On whose behalf: `internal` sees private notes too.")
    ] = Visibility.PUBLIC,
    principal: Annotated[
        list[str] | None,
        typer.Option("--principal", help="A group or person that restricted texts may name; repeatable."),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            help="key=value on stream, role or any metadata; repeatable. All keys must match; of a repeated key, any "
            "of its values.",
        ),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option("--category", help="Short for --filter category=...; repeatable, any of them.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Changed on this day (UTC) or later. What carries no time of its own (GitLab's files and wikis) is "
            "not found.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Changed before this day (UTC), likewise.")] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Let the cross-encoder of SYNC_ASSETS_RERANKER order the candidates.")
    ] = False,
    recency: Annotated[
        float, typer.Option("--recency", min=0, max=1, help="Share of the score that is for recently changed ones.")
    ] = 0.0,
    half_life: Annotated[
        float, typer.Option("--half-life", min=0.001, help="Days without a change after which recency is half.")
    ] = 180.0,
    feedback: Annotated[
        float, typer.Option("--feedback", min=0, max=1, help="Share of the score that is for what has helped others.")
    ] = 0.0,
    expand: Annotated[
        bool, typer.Option("--expand", help="Add tickets and articles that are near in the knowledge graph.")
    ] = False,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=0, max=10, help="Add N chunks before and after each best one.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Find the documents of a tenant that answer a text best, by meaning and by words.

    Examples:

        sync-assets search "router keeps restarting" --tenant acme

        sync-assets search "E-4012" --tenant acme --mode lexical --neighbours 1

        sync-assets search "refund" --tenant acme --audience internal --filter status=open --filter status=pending

        sync-assets search "vpn drops" --tenant polder --audience internal --since 2026-11-01 --recency 0.2 --expand
    """
    from sync_assets.search import MODIFIED
    from sync_assets.search import search as find
    from sync_assets.vector_stores import Audience
    from sync_assets.vector_stores.matching import Between

    if audience is Visibility.RESTRICTED:
        raise SettingsError("--audience is public or internal.", "Name --principal to see restricted texts.")
    wanted = _filters([*(filters or []), *(f"category={name}" for name in category or [])])
    if since or until:
        wanted[MODIFIED] = Between(since, until)
    with open_services() as services:
        results = find(
            services,
            text,
            tenant=tenant,
            audience=Audience(visibility=audience, principals=frozenset(principal or ())),
            mode=mode,  # pyright: ignore[reportArgumentType] checked there, with the names that are known
            top_k=top_k,
            source=source,
            store=store,
            filters=wanted,
            rerank=rerank,
            recency=recency,
            half_life_days=half_life,
            feedback=feedback,
            expand=expand,
            neighbours=neighbours,
        )
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        _print_results(console(), results)


def _filters(pairs: list[str]) -> dict[str, Any]:
    from sync_assets.vector_stores.matching import AnyOf

    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise SettingsError(f"--filter {pair!r} is not key=value.", "For example --filter status=open.")
        wanted.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else AnyOf(tuple(values)) for key, values in wanted.items()}


def _print_results(out: Console, results: list["Result"]) -> None:
    if not results:
        out.print("Nothing found.")
    for rank, result in enumerate(results, 1):
        out.print(f"[bold]{rank}. {escape(result.title)}[/bold]  {result.score:.3f}", soft_wrap=True)
        day = f"{result.modified_at:%Y-%m-%d}" if result.modified_at else ""
        scores = ", ".join(f"{name} {score:.3f}" for name, score in result.scores.items())
        facts = (f"{result.source}/{result.stream}", day, result.visibility.value, result.path, scores)
        _line(out, f"[dim]{escape('  '.join(fact for fact in facts if fact))}[/dim]")
        before = [one for one in result.neighbours if one.offset < 0]
        for one in before:
            _line(out, f"[dim]{one.offset}: {escape(_short(one.text))}[/dim]")
        for highlight in result.highlights:
            _line(out, _marked(highlight))
        for one in result.neighbours[len(before) :]:
            _line(out, f"[dim]+{one.offset}: {escape(_short(one.text))}[/dim]")
        if result.url:
            _line(out, escape(result.url))
        for one in result.related:
            _line(out, f"related {one.score:.3f}: {escape(one.sentence)}")


def _line(out: Console, markup: str) -> None:
    out.print(f"   {markup}", soft_wrap=True)


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]


def _marked(highlight: "Highlight") -> str:
    """The text on one line, with the question's words in bold."""
    marked, done = "", 0
    for start, end in highlight.spans:
        marked += f"{escape(highlight.text[done:start])}[bold]{escape(highlight.text[start:end])}[/bold]"
        done = end
    return " ".join(f"{marked}{escape(highlight.text[done:])}".split())
