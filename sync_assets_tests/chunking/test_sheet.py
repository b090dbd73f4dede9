"""Sheets: rows under the names of their columns, in groups that stay, and a summary."""

import csv
import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30) | st.sampled_from(
    ["a\nb", 'say "yes"', ""]
)
tables = st.lists(st.lists(cells, min_size=1, max_size=5), max_size=25)


def chunks_of(rows: list[list[str]], max_tokens: int = 254, sheet: str = "Prices") -> list[Chunk]:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    part = Part(path="sheet-1", role="sheet", text=written.getvalue(), metadata={"sheet": sheet, "path": "prices.xlsx"})
    source = Document(tenant="acme", source="desk", stream="files", record_id="1", title="Prices", parts=[part])
    return chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=max_tokens))


def numbered(count: int) -> list[list[str]]:
    return [["sku", "name", "price"], *([f"SKU-{n}", f"Pump {n % 7}", str(n * 3)] for n in range(count))]


def texts_of(rows: list[list[str]], max_tokens: int = 96) -> dict[str, str]:
    """Groups only: the summary may change with any row."""
    found = {chunk.path: chunk.text for chunk in chunks_of(rows, max_tokens)}
    return {path: text for path, text in found.items() if not path.startswith("sheet-1/summary")}


def test_a_small_sheet_is_one_group_and_a_summary() -> None:
    group, summary = chunks_of(
        [["sku", "", "sold"], ["A-1", "with\ntwo lines", "2026-11-02"], ["B-2", "", "2026-11-03", "extra"], ["", " "]]
    )
    assert group.text == (
        "Prices\nsku: A-1 | column 2: with two lines | sold: 2026-11-02\nsku: B-2 | sold: 2026-11-03 | column 4: extra"
    )
    assert group.metadata == {"sheet": "Prices", "path": "prices.xlsx", "rows": 2}
    assert summary.text == (
        "Sheet Prices: 2 rows, 4 columns\nsku: text, 2 distinct: A-1, B-2\ncolumn 2: text, 1 distinct: with two lines\n"
        "sold: date, 2 distinct: 2026-11-02, 2026-11-03\ncolumn 4: text, 1 distinct: extra"
    )
    assert summary.path == "sheet-1/summary"
    assert summary.metadata["columns"] == ["sku", "column 2", "sold", "column 4"]
    assert {group.strategy, summary.strategy} == {"sheet/1"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2.5", "1.234,50", "12%"], "number"),
        (["2026-11-02", "2.11.2026", "2026-11-02 10:00"], "date"),
        (["1", "two"], "text"),
    ],
)
def test_the_summary_knows_the_type_of_a_column(values: list[str], kind: str) -> None:
    *_, summary = chunks_of([["value"], *([value] for value in values)])
    assert f"value: {kind}, {len(values)} distinct: " in summary.text


def test_a_sheet_without_rows_is_a_summary_and_one_without_cells_nothing() -> None:
    [summary] = chunks_of([["sku", "price"]])
    assert summary.text == "Sheet Prices: 0 rows, 2 columns\nsku: empty\nprice: empty"
    assert chunks_of([["", ""]]) == []


@given(tables, st.sampled_from([16, 40, 254]), st.sampled_from(["Prices", "", "long name " * 40]))
@settings(max_examples=80, deadline=None)
def test_every_cell_is_kept_within_the_limit(rows: list[list[str]], max_tokens: int, sheet: str) -> None:
    found = chunks_of(rows, max_tokens, sheet)
    assert len({chunk.path for chunk in found}) == len(found)
    assert [chunk.tokens for chunk in found] == TOKENIZER.count([chunk.text for chunk in found])
    assert all(0 < chunk.tokens <= max_tokens for chunk in found)
    shown = Counter("".join(chunk.text for chunk in found if "/summary" not in chunk.path))
    below = [row for row in rows if any(cell.strip() for cell in row)][1:]
    lost = Counter("".join("".join(cell.split()) for row in below for cell in row)) - shown
    assert TOKENIZER.count(["".join(lost.elements())]) == [0]


@pytest.mark.parametrize("first", ["SKU-new", "SKU-5", ""])
def test_a_row_that_comes_or_goes_changes_few_groups(first: str) -> None:
    rows = numbered(300)
    before = texts_of(rows)
    assert len(before) > 50
    for place in range(1, 300, 23):
        for edited in ([*rows[:place], [first, "Valve", "7"], *rows[place:]], [*rows[:place], *rows[place + 1 :]]):
            after = texts_of(edited)
            assert 1 <= len(after.items() - before.items()) <= 4


def test_a_cell_changed_changes_the_group_of_its_row_only() -> None:
    rows = numbered(200)
    before = texts_of(rows)
    for place in range(1, 200, 23):
        after = texts_of([*rows[:place], [rows[place][0], rows[place][1], "99"], *rows[place + 1 :]])
        assert [f"SKU-{place - 1} " in text for text in dict(after.items() - before.items()).values()] == [True]


def test_rows_of_one_kind_and_equal_rows_make_no_tiny_groups() -> None:
    same = [["kind", "note"], *(["pump", "checked"] for _ in range(400))]
    kinds = [["kind", "note"], *(["pump", f"checked {n}"] for n in range(400))]
    for rows in (same, kinds):
        sizes = [chunk.metadata["rows"] for chunk in chunks_of(rows) if "/rows-" in chunk.path]
        assert sum(sizes) / len(sizes) > 6
