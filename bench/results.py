"""What the parts measure, as data: rows of tables and bounds, one JSON line for each part.

What belongs here: the form of results and the file that keeps them. How they are shown is in `page.py`.
"""

import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict

from bench.corpus import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
_FILE = FOLDER / "results.jsonl"
_PACKAGES = ("dagster", "torch", "sentence-transformers", "pgvector", "qdrant-edge-py", "chromadb", "wordllama")

Value = float | int | str | None


class Row(BaseModel):
    """One line of a table.

    Attributes:
        table: its title.
        values: by column; a column's name has its unit.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    values: dict[str, Value]


class Bound(BaseModel):
    """What must hold: `measured` is at most, or at least, `limit`."""

    model_config = ConfigDict(frozen=True)

    claim: str
    limit: float
    measured: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


class Machine(BaseModel):
    """Where and with what was measured.

    Attributes:
        load: processes that wanted a processor when it began, mean of a minute.
    """

    model_config = ConfigDict(frozen=True)

    processors: int
    model: str
    memory_gb: int
    python: str
    packages: dict[str, str]
    commit: str
    load: float

    @classmethod
    def here(cls) -> "Machine":
        return cls(
            processors=psutil.cpu_count() or 1,
            model=_processor(),
            memory_gb=round(psutil.virtual_memory().total / 2**30),
            python=platform.python_version(),
            packages={name: version(name) for name in _PACKAGES},
            commit=_commit(),
            load=round(psutil.getloadavg()[0], 1),
        )


class Measured(BaseModel):
    """One part as it was measured, in one go."""

    model_config = ConfigDict(frozen=True)

    part: str
    begun: datetime
    seconds: float
    scale: float
    machine: Machine
    rows: list[Row]
    bounds: list[Bound]


class Part(NamedTuple):
    """Something to measure.

    Attributes:
        explains: what is measured and how, in Markdown.
        measure: yields rows and bounds as they are known. Takes the share of the usual sizes to use, and what tells of
            progress.
        plot: table, column of the labels, column of the bars; None for a part without a picture.
    """

    name: str
    title: str
    explains: str
    measure: Callable[[float, Callable[[str], None]], Iterator[Row | Bound]]
    plot: tuple[str, str, str] | None = None


def read_results() -> list[Measured]:
    if not _FILE.exists():
        return []
    return [Measured.model_validate_json(line) for line in _FILE.read_text().splitlines()]


def write_results(results: Sequence[Measured]) -> None:
    FOLDER.mkdir(exist_ok=True)
    _FILE.write_text("".join(f"{one.model_dump_json()}\n" for one in results))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit, `-dirty` where files differ from it; the page, which is written part by part, does not count."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True).stdout.strip()

    others = [f":(exclude){path.relative_to(ROOT).as_posix()}" for path in (FOLDER, FOLDER.with_suffix(".md"))]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return f"{git('rev-parse', '--short', 'HEAD') or 'unknown'}{'-dirty' if changed else ''}"
