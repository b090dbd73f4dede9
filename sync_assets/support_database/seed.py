"""Reading a seed folder: which file is which table's, and the objects in it with their places.

What belongs here: files and JSON. What a row must be is in `rows.py`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sync_assets.errors import SettingsError
from sync_assets.support_database.rules import shown

_WRAPPERS = ("records", "data", "articles", "items")
_LINES = (".jsonl", ".ndjson")
_ARTICLES = "kb_articles"
_ARTICLE_FILES = ("seed_articles", "articles")


class SeedRow(NamedTuple):
    """One object of a file, or what stands where one should.

    Attributes:
        place: file within the folder, and the number of the row or line, counted from 1.
        values: as they stand in the file; empty where there is a problem.
        problem: why it is no row; a file that can't be read is one row with a problem.
    """

    place: str
    values: dict[str, Any]
    problem: str | None = None


@dataclass
class Seed:
    """What a folder holds.

    Attributes:
        rows: by table, in the order of files and rows.
        notices: about files that are no table's, one line each.
    """

    rows: dict[str, list[SeedRow]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


class _Unreadable(Exception):
    """The file is no list of rows; the text says why."""


def read_seed(folder: Path, tables: frozenset[str]) -> Seed:
    """Read every JSON file of a folder and its sub-folders.

    Args:
        tables: names of the tables that there are.

    Raises:
        SettingsError: there is no such folder.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is no folder.", "Name the folder that holds the JSON files of the tables.")
    seed = Seed()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in (".json", *_LINES):
            _read_file(seed, path, str(path.relative_to(folder)), tables)
    return seed


def _read_file(seed: Seed, path: Path, name: str, tables: frozenset[str]) -> None:
    table = _table_of(path, tables)
    try:
        named, rows = _rows_of(path, name)
    except _Unreadable as problem:
        named, rows = None, [SeedRow(name, {}, str(problem))]
    if named in tables:
        table = named
    if table is None:
        reason = next((f": {row.problem}" for row in rows if row.place == name and row.problem), "")
        seed.notices.append(f"{name} belongs to no table and was left out{reason}.")
        return
    seed.rows.setdefault(table, []).extend(rows)


def _table_of(path: Path, tables: frozenset[str]) -> str | None:
    """The table that a file's name or folder stands for."""
    if path.stem in tables:
        return path.stem
    return _ARTICLES if path.stem in _ARTICLE_FILES or path.parent.name == _ARTICLES else None


def _rows_of(path: Path, name: str) -> tuple[str | None, list[SeedRow]]:
    """The table that the file names, if it names one, and its rows."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _Unreadable(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8: byte {error.start}") from None
    if path.suffix.lower() in _LINES:
        return None, list(_lines(text, name))
    try:
        content = _parse(text)
    except ValueError as error:
        lines = list(_lines(text, name))
        if len(lines) > 1 and lines[0].problem is None:
            return None, lines
        raise _Unreadable(f"is no JSON: {error}") from None
    named = content.get("table") if isinstance(content, dict) else None
    rows = [_row(f"{name}, row {number}", value) for number, value in enumerate(_list_in(content), 1)]
    return named if isinstance(named, str) else None, rows


def _list_in(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), list):
                return content[wrapper]
    raise _Unreadable(f"holds no list of rows; it may be bare, or under {', '.join(_WRAPPERS)}")


def _lines(text: str, name: str) -> Iterator[SeedRow]:
    """Rows of a file with one JSON object in each line."""
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{name}, line {number}"
        if line.strip():
            try:
                value = _parse(line)
            except ValueError as error:
                yield SeedRow(place, {}, f"is no JSON: {error}")
            else:
                yield _row(place, value)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _row(place: str, value: Any) -> SeedRow:
    if isinstance(value, dict):
        return SeedRow(place, value)
    return SeedRow(place, {}, f"is {shown(value)}, must be an object")
