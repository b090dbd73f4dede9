"""The demo's golden set: the questions of the demo company, asked of every store in every mode.

What belongs here: the file that holds the questions, and what is told of the answers. The questions themselves are in
`data/questions.yaml`; how they are asked is in `sync_assets/golden/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from sync_assets.cli.golden import print_answers
from sync_assets.demo.company import QUESTIONS
from sync_assets.documents import document_id
from sync_assets.errors import SettingsError
from sync_assets.golden import GoldenQuestion
from sync_assets.golden.labels import read_labels
from sync_assets.golden.measures import better
from sync_assets.golden.measuring import Answers, measure
from sync_assets.services import Services
from sync_assets.terminal import StageProgress

_TOLD = ("recall@5", "nDCG@10")


def write_golden_set(path: Path, mark: str, tenants: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the questions about what these tenants have accounts in.

    Args:
        mark: the first line of a file that may be replaced.

    Raises:
        SettingsError: the file is somebody's own.
    """
    if path.exists() and not path.read_text(encoding="utf-8").startswith(mark):
        raise SettingsError(
            f"{path} holds questions of your own.", "Run the demo with another DAGSTER_HOME, for example /tmp/demo."
        )
    entries: dict[str, list[dict[str, Any]]] = {}
    for one in QUESTIONS:
        if one.source in tenants.get(one.tenant, {}):
            documents = [document_id(one.tenant, one.source, record_id) for record_id in one.record_ids]
            entry = {"question": one.text, "documents": documents, "audience": "internal"}
            entries.setdefault(one.tenant, []).append(entry)
    path.write_text(mark + yaml.safe_dump(entries, sort_keys=False, allow_unicode=True), encoding="utf-8")


def demo_questions(services: Services) -> list[GoldenQuestion]:
    """The questions as the file has them, of all tenants."""
    return [question for tenant in services.tenants.names() for question in read_labels(services, tenant)]


def ask(services: Services, quiet: bool) -> list[Answers]:
    """What every store answers in each mode; takes minutes, and shows how far it is unless `quiet`."""
    questions = demo_questions(services)
    with StageProgress(quiet) as shown:
        shown.announce(f"\nAsking {len(questions)} questions of each store that has an answer, in every mode:")
        return measure(services, questions, progress=shown.watch)


def print_asked(out: Console, answers: Sequence[Answers]) -> None:
    """For each store a table, and whether hybrid search is at least as good as the better one of the others.

    It is where its mean is not below the other's. Where it is below, and the interval of the difference holds 0, other
    such questions might say the opposite.
    """
    out.print("\nQuestions of the demo company, with 95 % bootstrap intervals (`sync-assets golden measure`):")
    for one in answers:
        print_answers(one)
        for name in _TOLD:
            others = {mode: scores[name] for mode, scores in one.scores.items() if mode != "hybrid"}
            best, gain = better(others), one.gain(name)
            less = "[red]less good than[/red]" if gain.high < 0 else "not told apart from"
            verdict = "at least as good as" if gain.mean >= 0 else less
            out.print(
                f"{name}: hybrid is {verdict} {best}, the better of dense and lexical: difference of the means "
                f"{gain.mean:+.3f}, interval {gain.low:+.3f} to {gain.high:+.3f}",
                soft_wrap=True,
            )
