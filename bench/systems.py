"""What a system must offer so that the workloads can be run with it, and the counting embedder that all systems share.

What belongs here: the protocol, and how much of a corpus a system has right. The measured system is in
`sync_assets_system.py`; another one is a module beside it, named in `workloads.SYSTEMS`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from bench.corpus import Ticket

# Of the processes that sync: where they note how many texts they embedded, and after how many the provider fails.
COUNTS, FAILS_AFTER = "BENCH_COUNTS", "BENCH_FAILS_AFTER"


class ProviderFailed(Exception):
    """The provider of embeddings answers no more."""


class Synced(NamedTuple):
    """What became of one process that synced.

    Attributes:
        texts: that were given to the embedder.
        peak: memory of the process in MB; None where it was killed.
        told: whether it ended as a success: exit code 0.
    """

    seconds: float
    texts: int
    peak: int | None
    told: bool


class StoredRow(NamedTuple):
    """A chunk as the system's table has it."""

    number: int
    text: str
    status: str


class System(Protocol):
    """Keeps a table with vectors in step with tickets; each sync is a process of its own.

    Attributes:
        name: as tables show it.
    """

    name: str

    def put(self, tickets: Iterable[Ticket], first: bool = False) -> None:
        """Add or change tickets where the system reads them; `first` where there were none."""
        ...

    def delete(self, numbers: Iterable[int]) -> None:
        """Remove tickets there."""
        ...

    def sync(self, full: bool = False, fails_after: int | None = None) -> Synced:
        """Bring the table in step, in the cheapest way that sees changes; `full` where deletions are to be seen.

        Args:
            fails_after: the provider of embeddings fails after so many texts.
        """
        ...

    def sync_until(self, texts: int) -> Synced:
        """Begin a first sync, and kill its process once it has embedded so many texts."""
        ...

    def stored(self) -> Iterable[StoredRow]:
        """All rows of the table."""
        ...

    def lose(self, step: int) -> int:
        """Remove every so many-th row behind the system's back; returns how many."""
        ...

    def heal(self) -> Synced:
        """Do what the system's pages say against lost rows."""
        ...

    def change_model(self, model: str) -> Synced:
        """Embed everything with another model, until questions are answered with it."""
        ...

    def ask(self, text: str) -> tuple[int, set[str]]:
        """How many tickets a question finds, and the models whose vectors answered."""
        ...

    def size(self) -> int:
        """Bytes on disk of all that the system keeps."""
        ...


class Corpus:
    """The tickets as they should be, and the sentences that they had before."""

    def __init__(self, tickets: Iterable[Ticket]) -> None:
        self.now = {ticket.number: ticket for ticket in tickets}
        self._gone: dict[int, set[str]] = {}

    def put(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            before, after = _sentences(self.now[ticket.number]), _sentences(ticket)
            self._gone[ticket.number] = (self._gone.get(ticket.number, set()) | before) - after
            self.now[ticket.number] = ticket

    def delete(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            del self.now[number]

    def wrong(self, rows: Iterable[StoredRow]) -> int:
        """Tickets without a row, and rows that should not be there: of deleted tickets, old texts or an old status."""
        missing = set(self.now)
        wrong = 0
        for row in rows:
            missing.discard(row.number)
            ticket = self.now.get(row.number)
            old = self._gone.get(row.number, set())
            wrong += ticket is None or row.status != ticket.status or any(one in row.text for one in old)
        return wrong + len(missing)

    def missing(self, rows: Iterable[StoredRow]) -> int:
        return len(set(self.now) - {row.number for row in rows})


def counted(texts: Sequence[str], vectors: np.ndarray) -> np.ndarray:
    """Note that some texts were embedded, in the file that the environment names.

    Raises:
        ProviderFailed: more were embedded than the environment allows; these are not counted.
    """
    path, most = Path(os.environ[COUNTS]), os.environ.get(FAILS_AFTER)
    if most is not None and counts(path) + len(texts) > int(most):
        raise ProviderFailed("503 Service Unavailable")
    with path.open("a") as file:
        file.write(f"{len(texts)}\n")
    return vectors


def counts(path: Path) -> int:
    """How many texts were embedded."""
    return sum(map(int, path.read_text().split())) if path.exists() else 0


def environment(counts_path: Path, fails_after: int | None) -> Mapping[str, str]:
    """What a syncing process needs for `counted`."""
    return {COUNTS: str(counts_path)} | ({} if fails_after is None else {FAILS_AFTER: str(fails_after)})


def _sentences(ticket: Ticket) -> set[str]:
    return {sentence for text in ticket.paragraphs for sentence in text.split(". ") if len(sentence) > 40}
