"""How well each store answers a golden set, in each mode, by the same search that people use.

What belongs here: asking the questions, of what a store holds. What does not: what the answers are worth
(`measures.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, get_args

import numpy as np

from sync_assets.golden import GoldenQuestion
from sync_assets.golden.measures import DEPTH, Interval, better, interval, score
from sync_assets.ledger import RegisteredCollection
from sync_assets.ledger.collections import held_documents
from sync_assets.search import MAX_TOP_K, Mode
from sync_assets.search.finding import rank
from sync_assets.services import Services
from sync_assets.stages import Progress, no_progress

MODES: tuple[Mode, ...] = get_args(Mode)
_HYBRID = MODES[0]


class Answers(NamedTuple):
    """What a store answered.

    Attributes:
        questions: those of which it holds an answer, each with those of its documents that the store holds.
        scores: by mode and measure, one value for each question.
    """

    store: str
    questions: list[GoldenQuestion]
    scores: dict[Mode, dict[str, np.ndarray]]

    def measured(self, mode: Mode) -> dict[str, Interval]:
        """Each measure over all questions, by name."""
        return {name: interval(values) for name, values in self.scores[mode].items()}

    def gain(self, measure: str) -> Interval:
        """How much hybrid search is better than the better one of the others, question by question."""
        others = {mode: self.scores[mode][measure] for mode in MODES if mode != _HYBRID}
        return interval(self.scores[_HYBRID][measure] - others[better(others)])


def measure(
    services: Services, questions: Sequence[GoldenQuestion], store: str | None = None, progress: Progress = no_progress
) -> list[Answers]:
    """Ask every store, or one, in every mode. Stores that hold none of the answers are left out.

    Raises:
        FingerprintMismatch: a collection's model is not what its name opens now.
        StoreError: a store can't be reached.
    """
    by_store: dict[str, list[GoldenQuestion]] = {}
    for question, held in _held(services, questions):
        for name, documents in held.items():
            if store in (None, name):
                by_store.setdefault(name, []).append(question.model_copy(update={"documents": documents}))
    return [
        Answers(name, found, answer(services, found, name, progress=progress))
        for name, found in sorted(by_store.items())
    ]


def unknown_documents(services: Services, questions: Sequence[GoldenQuestion]) -> dict[GoldenQuestion, list[str]]:
    """Documents that are said to answer a question, and that no store holds."""
    found: dict[GoldenQuestion, list[str]] = {}
    for question, held in _held(services, questions):
        known = {document for documents in held.values() for document in documents}
        if lost := [document for document in question.documents if document not in known]:
            found[question] = lost
    return found


def answer(
    services: Services,
    questions: Sequence[GoldenQuestion],
    store: str,
    instead: Mapping[int, RegisteredCollection] = MappingProxyType({}),
    progress: Progress = no_progress,
) -> dict[Mode, dict[str, np.ndarray]]:
    """What a store's answers are worth: in each mode each measure for each question, by name.

    Args:
        instead: as `rank` takes it.
    """
    rankings: dict[Mode, list[list[str]]] = {mode: [] for mode in MODES}
    for number, question in enumerate(questions, 1):
        top_k = min(DEPTH + len(question.asked_in), MAX_TOP_K)
        asked = {"tenant": question.tenant, "audience": question.audience, "store": store, "top_k": top_k}
        for mode, ranked in rank(services, question.text, **asked, instead=instead).items():
            rankings[mode].append([one for one in ranked if one not in question.asked_in])
        progress(store, number, len(questions))
    return {mode: score([one.documents for one in questions], ranked) for mode, ranked in rankings.items()}


def _held(
    services: Services, questions: Iterable[GoldenQuestion]
) -> Iterator[tuple[GoldenQuestion, dict[str, tuple[str, ...]]]]:
    """Each question with those of its documents that each store holds."""
    by_tenant: dict[str, list[GoldenQuestion]] = {}
    for question in questions:
        by_tenant.setdefault(question.tenant, []).append(question)
    for tenant, asked in by_tenant.items():
        wanted = sorted({document for question in asked for document in question.documents})
        stores: dict[str, set[str]] = {}
        for registered, _ in services.ledger.collections_of(tenant):
            held = held_documents(services.ledger, registered.id, tenant, wanted)
            stores.setdefault(registered.store, set()).update(held)
        for question in asked:
            found = {name: tuple(one for one in question.documents if one in held) for name, held in stores.items()}
            yield question, {name: documents for name, documents in found.items() if documents}
