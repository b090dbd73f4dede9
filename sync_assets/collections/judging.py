"""Whether searches would find less with another collection, by the golden set.

What belongs here: the questions that two collections are judged by, and what is worse. What does not: how a question
is asked and an answer measured (`golden/`).
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from sync_assets.collections import Pair
from sync_assets.errors import CollectionError, FingerprintMismatch
from sync_assets.golden import GoldenQuestion, golden_set
from sync_assets.golden.measures import FEWEST, MEASURES, Interval, interval
from sync_assets.golden.measuring import answer
from sync_assets.hashing import text_hash
from sync_assets.ledger.collections import held_documents
from sync_assets.services import Services
from sync_assets.stages import Progress, no_progress

# Each is asked twice, while builds of that name wait: a minute or two for all tenants together.
_MOST = 1_000


class Change(NamedTuple):
    """One measure of hybrid search before and after a switch, as means over the questions.

    Attributes:
        difference: after less before, question by question.
    """

    measure: str
    before: float
    after: float
    difference: Interval

    @property
    def is_worse(self) -> bool:
        """Whether it would be worse with other such questions too."""
        return self.difference.high < 0


class Judgement(NamedTuple):
    """What the golden set says of a collection that may take another's place.

    Attributes:
        questions: those that the active collection holds an answer of, of all tenants.
        changes: empty where there are no questions, or where the active collection can't be asked any more.
    """

    store: str
    questions: int
    changes: list[Change]

    @property
    def worse(self) -> list[Change]:
        """What is worse beyond doubt; nothing where there are too few questions to tell."""
        return [one for one in self.changes if one.is_worse] if self.questions >= FEWEST else []


def judge(services: Services, pair: Pair, progress: Progress = no_progress) -> Judgement:
    """Ask the golden set as a search of the whole store does, with each of two collections in its place.

    Raises:
        SettingsError: golden.yaml has a mistake.
        GraphError: the graph, which tells of resolved tickets, is out of reach.
        FingerprintMismatch: the model of the new collection, or of another one in that store, is not what its name
            opens now.
    """
    old, new = pair
    questions = golden_questions(services, pair)
    if not questions:
        return Judgement(old.store, 0, [])
    try:
        services.embedder_that_made(old)
    except FingerprintMismatch:
        # Nobody finds anything with it, which is why another one was built.
        return Judgement(old.store, len(questions), [])
    before = answer(services, questions, old.store, progress=progress)["hybrid"]
    after = answer(services, questions, old.store, {old.id: new}, progress)["hybrid"]
    changes = [
        Change(name, float(before[name].mean()), float(after[name].mean()), interval(after[name] - before[name]))
        for name in MEASURES
    ]
    return Judgement(old.store, len(questions), changes)


def golden_questions(services: Services, pair: Pair) -> list[GoldenQuestion]:
    """The questions of all tenants of which the active collection holds an answer, each with those answers; of very
    many always the same ones."""
    found: list[GoldenQuestion] = []
    for tenant in services.tenants.names():
        questions = golden_set(services, tenant)
        wanted = sorted({document for one in questions for document in one.documents})
        held = held_documents(services.ledger, pair.old.id, tenant, wanted)
        for one in questions:
            if documents := tuple(document for document in one.documents if document in held):
                found.append(one.model_copy(update={"documents": documents}))
    return heapq.nsmallest(_MOST, found, key=lambda one: text_hash(f"{one.tenant} {one.text}"))


def refuse_worse(judgements: Sequence[Judgement], name: str) -> None:
    """Raises:
    CollectionError: searches would find less, naming store, measures and both values.
    """
    for one in judgements:
        if one.worse:
            told = ", ".join(
                f"{change.measure} {change.before:.3f} -> {change.after:.3f} (difference {change.difference.low:.3f} "
                f"to {change.difference.high:.3f})"
                for change in one.worse
            )
            raise CollectionError(
                f"Searches of {one.store} would find less, by the {one.questions} questions of the golden set: {told}.",
                f"See `sync-assets collections compare {name}`; build another one, or switch all the same with "
                "--force.",
            )
