"""Sheets: rows of a table in groups, each row with the names of its columns, and a summary of the whole.

Which rows go together is decided by their keys alone, as with the messages of a conversation: a row that comes or goes
changes the groups beside it only.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from sync_assets.chunking.splitting import LINES, Body, Names, Piece, runs, split_all
from sync_assets.embedding import Tokenizer

# A cell may be as long as a text may be; the library's own limit guards against a quote that is never closed.
csv.field_size_limit(2**31 - 1)

SUMMARY = "summary"

_SAMPLES = 5
_SAMPLE_CHARACTERS = 40
_HEADING_SHARE = 4
_NUMBER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:[.,]\d{3})+)(?:[.,]\d+)?%?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")


class _Row(NamedTuple):
    key: str
    cells: list[str]


def pieces(text: str, sheet: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """Groups of rows as lines of `column: value | column: value`, and last the piece `summary`; empty cells are out.

    Args:
        text: CSV with the names of the columns in its first row.
        sheet: the sheet's name, the first line of every group where it is not too long for that.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    rows = [row for row in rows if any(row)]
    if not rows:
        return []
    columns = _columns(rows[0], max(map(len, rows)))
    keyed = _keyed(rows[1:])
    [length] = tokenizer.count([sheet])
    heading = sheet if length <= max_tokens // _HEADING_SHARE else ""
    lines = [_line(columns, row.cells) for row in keyed]
    ranks = [int.from_bytes(_hash(row.key)) for row in keyed]
    room = max_tokens - (length if heading else 0)
    groups = list(runs(ranks, tokenizer.count(lines), len(lines), room))
    bodies = [Body("\n".join(lines[first:last]), heading, LINES) for first, last in groups]
    bodies.append(Body(_summary(sheet, columns, rows[1:]), "", LINES))
    names = Names()
    found: list[Piece] = []
    [*of_groups, summary] = split_all(bodies, tokenizer, max_tokens)
    for (first, last), cut in zip(groups, of_groups, strict=True):
        name = names.add(f"rows-{_hash(keyed[first].key).hex()}")
        found += [piece.within(name, {"rows": last - first}) for piece in cut]
    return found + [piece.within(SUMMARY, {"rows": len(keyed), "columns": columns}) for piece in summary]


def _columns(names: Sequence[str], width: int) -> list[str]:
    """Names of all columns; those without one are numbered, rows longer than the first one included."""
    named = [*names, *[""] * (width - len(names))]
    return [" ".join(name.split()) or f"column {number}" for number, name in enumerate(named, 1)]


def _keyed(rows: Iterable[list[str]]) -> list[_Row]:
    """Rows with a key each: its first cell, or where an earlier row has the same one, the whole row."""
    seen: set[str] = set()
    repeated = Names()
    found = []
    for row in rows:
        key = row[0]
        if not key or key in seen:
            key = repeated.add("\n".join(row))
        seen.add(row[0])
        found.append(_Row(key, row))
    return found


def _hash(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=4).digest()


def _line(columns: Sequence[str], cells: Sequence[str]) -> str:
    # A line break within a cell would look like the next row.
    return " | ".join(f"{name}: {' '.join(cell.split())}" for name, cell in zip(columns, cells, strict=False) if cell)


def _summary(sheet: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"Sheet {sheet}".strip() + f": {len(rows)} rows, {len(columns)} columns"]
    for place, name in enumerate(columns):
        values = Counter(row[place] for row in rows if place < len(row) and row[place])
        if values:
            lines.append(f"{name}: {_type(values)}, {len(values)} distinct: {', '.join(_samples(values))}")
        else:
            lines.append(f"{name}: empty")
    return "\n".join(lines)


def _type(values: Iterable[str]) -> str:
    for name, pattern in (("number", _NUMBER), ("date", _DATE)):
        if all(pattern.fullmatch(value) for value in values):
            return name
    return "text"


def _samples(values: Iterable[str]) -> list[str]:
    """A few values that stay the same while others come and go: those of the smallest hashes."""
    chosen = sorted(sorted(values, key=_hash)[:_SAMPLES])
    return [" ".join(value.split())[:_SAMPLE_CHARACTERS] for value in chosen]
