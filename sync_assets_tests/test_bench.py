"""The benchmark itself: the page says what was measured, and a workload sees what a system gets wrong."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.corpus import Ticket, tickets
from bench.page import write_page
from bench.results import Bound, Machine, Measured, Part, Row
from bench.systems import StoredRow, Synced
from bench.workloads import steps


class Copying:
    """A system that keeps each paragraph as a row, and embeds what changed; some faults can be switched on.

    Attributes:
        fault: nothing, or what it does wrong.
    """

    name = "copying"

    def __init__(self, fault: str = "") -> None:
        self._fault = fault
        self._upstream: dict[int, Ticket] = {}
        self._rows: dict[tuple[int, str], str] = {}
        self._model = "one"

    def put(self, tickets: Iterable[Ticket], first: bool = False) -> None:
        self._upstream.update({ticket.number: ticket for ticket in tickets})

    def delete(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            del self._upstream[number]

    def sync(self, full: bool = False, fails_after: int | None = None) -> Synced:
        wanted = {(one.number, text): one.status for one in self._upstream.values() for text in one.paragraphs}
        new = wanted.keys() - self._rows.keys()
        if fails_after is not None and len(new) > fails_after:
            if self._fault == "deletes first":
                self._rows = {key: row for key, row in self._rows.items() if key[0] not in {key[0] for key in new}}
            return Synced(1.0, 0, 10, self._fault == "deletes first")
        if self._fault == "keeps what is old":
            self._rows |= wanted
        elif self._fault == "keeps the status":
            self._rows = {key: self._rows.get(key, status) for key, status in wanted.items()}
        else:
            self._rows = wanted
        again = len(wanted) if self._fault == "embeds everything" else len(new)
        return Synced(1.0, again, 10, True)

    def sync_until(self, texts: int) -> Synced:
        return Synced(1.0, 0, None, False)

    def stored(self) -> Iterator[StoredRow]:
        return (StoredRow(number, text, status) for (number, text), status in self._rows.items())

    def lose(self, step: int) -> int:
        lost = list(self._rows)[::step]
        for key in lost:
            del self._rows[key]
        return len(lost)

    def heal(self) -> Synced:
        self.sync()
        return Synced(1.0, 0, 10, True)

    def change_model(self, model: str) -> Synced:
        self._model = model
        return Synced(1.0, len(self._rows), 10, True)

    def ask(self, text: str) -> tuple[int, set[str]]:
        return 10, {self._model}

    def size(self) -> int:
        return 1000


def _wrong(fault: str) -> dict[str, tuple[int, int]]:
    """By workload what was wrong, and the texts that were embedded beyond the least."""
    found = steps(Copying(fault), 100, 2, lambda what: None)
    return {one.workload[:2]: (one.wrong, one.synced.texts - one.least) for one in found}


def test_a_faultless_system_has_nothing_wrong_and_embeds_the_least() -> None:
    found = _wrong("")
    assert {wrong for wrong, _ in found.values()} == {0}
    assert {more for workload, (_, more) in found.items() if workload != "W9"} == {0}


@pytest.mark.parametrize(
    ("fault", "workload"),
    [("keeps what is old", "W2"), ("keeps the status", "W4"), ("deletes first", "W6"), ("embeds everything", "W1")],
)
def test_a_workload_shows_a_fault(fault: str, workload: str) -> None:
    faultless, found = _wrong(""), _wrong(fault)
    assert found[workload] > faultless[workload]


def test_a_corpus_is_always_the_same() -> None:
    assert tickets(3) == tickets(5)[:3]
    assert len({text for ticket in tickets(5) for text in ticket.paragraphs}) == 5 * 8


def test_the_page_has_tables_bounds_and_a_picture(tmp_path: Path) -> None:
    part = Part("speed", "Speed", "How fast.", lambda scale, tell: iter(()), ("Cars", "car", "km in an hour"))
    machine = Machine(processors=2, model="Z80", memory_gb=1, python="3.11", packages={}, commit="abc", load=0.5)
    measured = Measured(
        part="speed",
        begun=datetime(2026, 11, 22, tzinfo=UTC),
        seconds=61.0,
        scale=0.5,
        machine=machine,
        rows=[
            Row(table="Cars", values={"car": "red", "km in an hour": 1234.5}),
            Row(table="Cars", values={"car": "blue", "km in an hour": 8.25, "doors": 1200}),
        ],
        bounds=[
            Bound(claim="slow enough", limit=10, measured=8.25),
            Bound(claim="fast enough", limit=10, measured=8.25, at_least=True),
        ],
    )
    page = tmp_path / "figures.md"
    write_page([part], [measured], page)
    text = page.read_text()
    assert "| red | 1,234 |  |\n| blue | 8.25 | 1,200 |" in text
    assert "| slow enough | at most 10.0 | 8.25 | yes |\n| fast enough | at least 10.0 | 8.25 | **no** |" in text
    assert "2026-11-22 in 61 s at commit abc, at 0.5 x the usual sizes: 2 x Z80" in text
    (picture,) = re.findall(r"!\[[^]]*\]\((.+?)\)", text)
    drawn = (tmp_path / picture).read_bytes()
    assert b"<svg" in drawn
    write_page([part], [measured], page)
    assert (tmp_path / picture).read_bytes() == drawn
