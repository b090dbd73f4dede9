"""`sync-assets golden`: the questions that searches are measured by, and how well they are answered.

What belongs here: options and printing, of a judgement by these questions too. What is measured is in `golden/`.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sync_assets.cli.session import Json, TenantOption, open_services, print_json
from sync_assets.errors import SettingsError
from sync_assets.services import Services
from sync_assets.terminal import StageProgress, console, print_rows

if TYPE_CHECKING:
    from sync_assets.collections.judging import Judgement
    from sync_assets.golden import GoldenQuestion
    from sync_assets.golden.measures import Interval
    from sync_assets.golden.measuring import Answers

golden_app = typer.Typer(no_args_is_help=True, help="Questions with known answers, by which searches are measured.")


@golden_app.command("list")
def list_questions(tenant: TenantOption = None, as_json: Json = False) -> None:
    """Show the golden set of each tenant: what stands in golden.yaml, and what resolved tickets asked.

    Documents that no store holds are told; they don't count.

    Examples:

        sync-assets golden list --tenant acme
    """
    from sync_assets.golden.measuring import unknown_documents

    with open_services() as services:
        questions = _questions(services, tenant)
        unknown = unknown_documents(services, questions)
    if as_json:
        print_json([{**one.model_dump(mode="json"), "unknown": unknown.get(one, [])} for one in questions])
        return
    for one in questions:
        console().print(f"[bold]{escape(one.text)}[/bold]  [dim]{one.tenant}  {one.origin}[/dim]", soft_wrap=True)
        for document in one.documents:
            lost = "  [yellow]in no store[/yellow]" if document in unknown.get(one, []) else ""
            console().print(f"  {escape(document)}{lost}", soft_wrap=True)
    console().print(f"{len(questions)} questions.")


@golden_app.command("measure")
def measure_searches(
    tenant: TenantOption = None,
    store: Annotated[str | None, typer.Option("--store", help="Only this vector store.")] = None,
    as_json: Json = False,
) -> None:
    """Ask every store the golden set in each mode, and tell how well it answers, with 95 % intervals.

    recall@k is the share of a question's documents that stand among the first k; MRR is one divided by the place of the
    first one; nDCG@10 weighs each by its place.

    Examples:

        sync-assets golden measure --tenant acme

        sync-assets golden measure --store qdrant --json
    """
    from sync_assets.golden.measuring import measure, unknown_documents

    with open_services() as services, StageProgress(as_json) as shown:
        questions = _questions(services, tenant)
        unknown = sum(len(lost) for lost in unknown_documents(services, questions).values())
        found = measure(services, questions, store, shown.watch)
    if as_json:
        print_json([answers_as_json(one) for one in found])
        return
    for one in found:
        print_answers(one)
    if not found:
        console().print("There are no questions that a store holds an answer of. See the golden set in docs/search.md.")
    if unknown:
        console().print(f"[yellow]{unknown} documents are in no store:[/yellow] `sync-assets golden list` names them.")


def answers_as_json(one: "Answers") -> dict[str, Any]:
    """How well a store answers, by mode and measure."""
    from sync_assets.golden.measures import MEASURES

    modes = {mode: {name: found._asdict() for name, found in one.measured(mode).items()} for mode in one.scores}
    gains = {name: one.gain(name)._asdict() for name in MEASURES}
    return {"store": one.store, "questions": len(one.questions), "modes": modes, "hybrid_gain": gains}


def print_answers(one: "Answers") -> None:
    """A table of a store's modes and measures, and how much better hybrid search is than the better of the others."""
    from sync_assets.golden.measures import MEASURES

    rows = [
        {"mode": mode, **{name: _interval(found) for name, found in one.measured(mode).items()}} for mode in one.scores
    ]
    gains = {name: one.gain(name) for name in MEASURES}
    rows.append({"mode": "hybrid less the better", **{name: _interval(gain, "+") for name, gain in gains.items()}})
    print_rows(console(), ("mode", *MEASURES), rows, f"{one.store}, {len(one.questions)} questions")


def judgement_as_json(judgement: "Judgement") -> dict[str, Any]:
    """What the golden set says of another collection."""
    changes = [{**one._asdict(), "difference": one.difference._asdict()} for one in judgement.changes]
    return {"golden_questions": judgement.questions, "golden": changes}


def print_judgement(one: "Judgement") -> None:
    """A table of the measures before and after."""
    if not one.questions:
        console().print("The golden set has no question that this collection answers.")
        return
    if not one.changes:
        console().print(f"The active collection in {one.store} can't be asked any more, so nothing was judged.")
        return
    rows = [
        {
            "measure": change.measure,
            "active": f"{change.before:.3f}",
            "other": f"{change.after:.3f}",
            "difference": _interval(change.difference, "+"),
        }
        for change in one.changes
    ]
    print_rows(console(), tuple(rows[0]), rows, f"Hybrid search of {one.store}, {one.questions} golden questions")


def _interval(found: "Interval", sign: str = "") -> str:
    """`0.887 (0.812..0.951)`"""
    return f"{found.mean:{sign}.3f} ({found.low:{sign}.3f}..{found.high:{sign}.3f})"


def _questions(services: Services, tenants: list[str] | None) -> list["GoldenQuestion"]:
    from sync_assets.golden import golden_set
    from sync_assets.golden.labels import labels_path, unknown_tenants

    known = services.tenants.names()
    if strangers := unknown_tenants(services):
        console(stderr=True).print(
            f"[yellow]{escape(str(labels_path(services)))} has questions of unknown tenants:[/yellow] "
            f"{', '.join(strangers)}. Known are: {', '.join(known) or 'none'}.",
            soft_wrap=True,
        )
    if unknown := sorted(set(tenants or ()) - set(known)):
        raise SettingsError(f"Unknown tenant {unknown[0]!r}.", f"Known are: {', '.join(known) or 'none'}.")
    return [question for tenant in tenants or known for question in golden_set(services, tenant)]
