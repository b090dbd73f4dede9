"""Good and bad days of a system that keeps vectors in step: W0 to W10, each with what it cost and what was wrong."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from bench import sync_assets_system
from bench.corpus import Ticket, spread, tickets
from bench.results import Bound, Part, Row
from bench.systems import Corpus, Synced, System

SYSTEMS: list[Callable[[], AbstractContextManager[System]]] = [sync_assets_system.opened]

_TICKETS = 3000
_TICKETS_WHEN_KILLED = 1000
_SHARE = 0.01
_ROUNDS = 30
_LOST_EVERY = 100
_OTHER_MODELS = ("hash-256", "wordllama-256")  # of another dimension, then of the same one
_TABLE = "Workloads"
_EMBEDDED = "texts embedded"
_FAILS = "W6 the provider fails during edits"


class _Step(NamedTuple):
    """What is shown of a workload.

    Attributes:
        least: texts that had to be embedded.
        wrong: tickets that are missing and rows that should not be there, afterwards.
    """

    workload: str
    synced: Synced
    least: int
    wrong: int
    note: str = ""


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    for opened in SYSTEMS:
        found: list[_Step] = []
        with opened() as system:
            name = system.name
            for step in steps(system, max(100, round(_TICKETS * scale)), max(2, round(_ROUNDS * scale)), tell):
                found.append(step)
                yield _row(name, step)
        with opened() as system:
            found.append(_killed(system, max(100, round(_TICKETS_WHEN_KILLED * scale))))
            yield _row(name, found[-1])
        yield from _bounds(name, found)


def steps(system: System, count: int, rounds: int, tell: Callable[[str], None]) -> Iterator[_Step]:
    """All workloads but the killed sync, one after the other.

    Args:
        count: tickets.
        rounds: days of W10.
    """
    corpus = Corpus(tickets(count))
    tell(f"{system.name}: {count} tickets")
    system.put(corpus.now.values(), first=True)
    cold = system.sync(full=True)
    rows = sum(1 for _ in system.stored())
    note = f"{rows / cold.seconds:.0f} chunks a second, {system.size() / 1e6:.0f} MB on disk"
    yield _Step("W0 cold", cold, rows, corpus.wrong(system.stored()), note)
    yield _Step("W1 nothing changed", system.sync(), 0, corpus.wrong(system.stored()))
    yield _Step("W1 nothing changed, deletions looked for", system.sync(full=True), 0, corpus.wrong(system.stored()))
    changes: list[tuple[str, Callable[[Ticket], Ticket], int]] = [  # with the texts that are new
        ("W2 one word edited in 1 %", Ticket.edited, 1),
        ("W3 one reply more in 1 %", Ticket.answered, 1),
        ("W3 one line more at the top of 1 %", Ticket.headed, 1),
        ("W4 another status in 1 %", Ticket.restated, 0),
        ("W5 1 % shrunk to a paragraph", Ticket.shrunk, 0),
    ]
    for place, (workload, change, least) in enumerate(changes):
        changed = [change(ticket) for ticket in spread(list(corpus.now.values()), _SHARE, place)]
        system.put(changed)
        corpus.put(changed)
        yield _Step(workload, system.sync(), least * len(changed), corpus.wrong(system.stored()))
    gone = [ticket.number for ticket in spread(list(corpus.now.values()), _SHARE, len(changes))]
    system.delete(gone)
    corpus.delete(gone)
    yield _Step("W5 1 % deleted", system.sync(full=True), 0, corpus.wrong(system.stored()))
    yield from _provider_fails(system, corpus)
    lost = system.lose(_LOST_EVERY)
    yield _Step(f"W8 {lost} rows lost from the table", system.heal(), 0, corpus.wrong(system.stored()))
    yield from _daily(system, corpus, rounds, tell)
    yield from _other_models(system, corpus, tell)


def _killed(system: System, count: int) -> _Step:
    corpus = Corpus(tickets(count))
    system.put(corpus.now.values(), first=True)
    killed = system.sync_until(count * 4)
    resumed = system.sync(full=True)
    wrong, rows = corpus.wrong(system.stored()), sum(1 for _ in system.stored())
    note = f"killed after {killed.texts} of {rows} texts"
    return _Step("W7 the sync after one that was killed", resumed, rows - killed.texts, wrong, note)


def _provider_fails(system: System, corpus: Corpus) -> Iterator[_Step]:
    changed = [ticket.edited("after") for ticket in spread(list(corpus.now.values()), _SHARE, 7)]
    system.put(changed)
    corpus.put(changed)
    failed = system.sync(fails_after=0)
    missing = corpus.missing(system.stored())
    told = "told as a success" if failed.told else "told as a failure"
    yield _Step(_FAILS, failed, 0, missing, told)
    yield _Step("W6 the next sync", system.sync(), len(changed), corpus.wrong(system.stored()))


def _daily(system: System, corpus: Corpus, rounds: int, tell: Callable[[str], None]) -> Iterator[_Step]:
    seconds, texts, least, peak = 0.0, 0, 0, 0
    for day in range(rounds):
        tell(f"{system.name}: day {day + 1} of {rounds}")
        changed = [ticket.edited(f"day{day}") for ticket in spread(list(corpus.now.values()), _SHARE, day)]
        system.put(changed)
        corpus.put(changed)
        synced = system.sync()
        seconds, texts, least = seconds + synced.seconds, texts + synced.texts, least + len(changed)
        peak = max(peak, synced.peak or 0)
    wrong = corpus.wrong(system.stored())
    yield _Step(f"W10 {rounds} days with 1 % edited on each", Synced(seconds, texts, peak, True), least, wrong)


def _other_models(system: System, corpus: Corpus, tell: Callable[[str], None]) -> Iterator[_Step]:
    question = next(iter(corpus.now.values())).paragraphs[0]
    for model in _OTHER_MODELS:
        tell(f"{system.name}: {model}")
        reader = _Reader(system, question)
        reader.start()
        changed = system.change_model(model)
        bad = reader.stop()
        note = f"{reader.asked} questions meanwhile, {bad} answered by nothing or by two models"
        yield _Step(f"W9 model changed to {model}", changed, 0, corpus.wrong(system.stored()) + bad, note)


class _Reader(threading.Thread):
    """Asks a question until it is stopped."""

    def __init__(self, system: System, question: str) -> None:
        super().__init__(daemon=True)
        self._system, self._question = system, question
        self._stopped = threading.Event()
        self.asked, self._bad = 0, 0

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            found, models = self._system.ask(self._question)
            self.asked += 1
            self._bad += not found or len(models) != 1

    def stop(self) -> int:
        """Stop asking; returns how many answers were empty or mixed."""
        self._stopped.set()
        self.join()
        return self._bad


def _bounds(system: str, found: Sequence[_Step]) -> Iterator[Bound]:
    # A killed process may lose the batch that it was at; another model asks for everything.
    counted = [one for one in found if not one.workload.startswith(("W7", "W9"))]
    failed = [one for one in found if one.workload == _FAILS]
    for claim, number in (
        ("tickets missing and rows wrong after each workload", sum(one.wrong for one in found)),
        ("texts embedded beyond the least", sum(max(0, one.synced.texts - one.least) for one in counted)),
        ("failures of a provider told as a success", sum(one.synced.told for one in failed)),
    ):
        yield Bound(claim=f"{system}: {claim}", limit=0, measured=float(number))


def _row(system: str, step: _Step) -> Row:
    synced = step.synced
    return Row(
        table=_TABLE,
        values={
            "workload": step.workload,
            "system": system,
            "seconds": synced.seconds,
            _EMBEDDED: synced.texts,
            "had to be": step.least or None,
            "missing or wrong": step.wrong,
            "peak MB": synced.peak,
            "told": step.note or None,
        },
    )


PART = Part(
    "workloads",
    "Workloads",
    """
The protocol of ten workloads, on tickets of eight paragraphs, with an embedder that costs nothing and counts. Each sync
is a process of its own, from its start to its end, imports included. A row is wrong when its ticket is gone, its status
is old, or its text holds a sentence that the ticket had before. Another system is a module like
`bench/sync_assets_system.py`, named in `SYSTEMS` of `bench/workloads.py`.
""",
    measure,
    (_TABLE, "workload", "seconds"),
)
