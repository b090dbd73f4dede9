"""What people see: tables that stay readable in every width, and progress with rate and remaining time."""

import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

# Where nobody looks at a terminal, lines are as long as a wide one.
_PIPED_WIDTH = 160

# A column with a longer cell than this may be broken between words.
_LONG_CELL = 30
_GAP = 2

Row = Mapping[str, Any]


def console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide where the output is piped; `COLUMNS` overrules both."""
    piped = not (sys.stderr if stderr else sys.stdout).isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, width=_PIPED_WIDTH if piped else None, highlight=False)


def print_rows(target: Console, names: Sequence[str], rows: Sequence[Row], title: str | None = None) -> None:
    """Rows as a table. Where that is too wide: without columns of zeros, then with what is the same in every row said
    above it, and then row by row.

    Args:
        names: columns in order; a row need not have all of them.
    """
    if title:
        target.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True)
    telling = [name for name in names if any(row.get(name) not in (None, "", 0) for row in rows)]
    same = [name for name in telling if len({_cell(row, name) for row in rows}) == 1] if len(rows) > 1 else []
    choices = [list(names), telling, *([n for n in telling if n not in same[:k]] for k in range(1, len(same) + 1))]
    for shown in choices:
        if shown and _least_width(shown, rows) <= target.width:
            for name in same:
                if name not in shown:
                    target.print(f"{name}: {escape(_cell(rows[0], name))}", soft_wrap=True)
            target.print(_table(shown, rows))
            return
    for row in rows:
        pairs = [f"{name} [bold]{escape(_cell(row, name))}[/bold]" for name in telling if _cell(row, name)]
        target.print(", ".join(pairs), soft_wrap=not target.is_terminal)


def _least_width(names: Sequence[str], rows: Sequence[Row]) -> int:
    return sum(min(_longest(name, rows), _LONG_CELL) + _GAP for name in names)


def _longest(name: str, rows: Sequence[Row]) -> int:
    return max([cell_len(name), *(cell_len(_cell(row, name)) for row in rows)])


def _table(names: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in names:
        longest = _longest(name, rows)
        numeric = any(type(row.get(name)) is int for row in rows)
        table.add_column(
            name,
            justify="right" if numeric else "left",
            no_wrap=longest <= _LONG_CELL,
            min_width=min(longest, _LONG_CELL),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(escape(_cell(row, name)) for name in names))
    return table


def _cell(row: Row, name: str) -> str:
    value = row.get(name, "")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        # Short stages tell twice only, when they start and when they end.
        speed = task.finished_speed or task.speed or (task.elapsed and task.completed / task.elapsed)
        return Text(f"{speed:.0f}/s" if speed else "")


class StageProgress:
    """A context manager; silent where asked, plain lines where the terminal is none.

    Dagster redirects the process's stderr while a step runs, so this writes to a copy of it.
    """

    def __init__(self, quiet: bool) -> None:
        self._stderr = os.fdopen(os.dup(2), "w")
        self._console = Console(file=self._stderr, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._stderr.close()

    def announce(self, line: str) -> None:
        """Print a line above the bars, and start anew with them."""
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()
        self._console.print(line, soft_wrap=True, highlight=False)

    def watch(self, label: str, done: int, total: int | None) -> None:
        """The progress callback of the stages."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total)
            if not self._console.is_terminal:
                self._console.print(f"  {label}", soft_wrap=True, highlight=False)
        self._progress.update(self._tasks[label], completed=done, total=total)
