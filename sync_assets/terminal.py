"""Progress on the terminal: a line for each stage of each stream, with rate and remaining time."""

import os
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


class StageProgress:
    """A context manager; silent where asked, plain lines where the terminal is none.

    Dagster redirects the process's stderr while a step runs, so this writes to a copy of it.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._stderr = os.fdopen(os.dup(2), "w")
        console = Console(file=self._stderr, quiet=quiet)
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, int] = {}

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
            self._progress.remove_task(task)  # pyright: ignore[reportArgumentType] rich's TaskID is an int
        self._tasks.clear()
        self._console.print(line, soft_wrap=True)

    def watch(self, label: str, done: int, total: int | None) -> None:
        """The progress callback of the stages."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total)
            if not self._console.is_terminal:
                self._console.print(f"  {label}", soft_wrap=True)
        self._progress.update(self._tasks[label], completed=done, total=total)  # pyright: ignore[reportArgumentType]
