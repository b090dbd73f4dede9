"""Whatever a folder holds: the report adds up, good rows are stored, and a second load changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.support_database.loading import load
from sync_assets.support_database.report import LoadReport
from sync_assets.support_database.tables import TABLES
from sync_assets_tests.support_database.rows import article, conversation, customer, invoice, message, payment, uid

Rows = dict[str, list[Any]]

_MAKERS: dict[str, tuple[Callable[..., dict[str, Any]], int]] = {
    "customers": (customer, 0),
    "invoices": (invoice, 1),
    "payments": (payment, 1),
    "kb_articles": (article, 0),
    "conversations": (conversation, 1),
    "messages": (message, 1),
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def anything(draw: st.DrawFn) -> Rows:
    """Rows whose ids, keys and references collide and miss, with values of any kind among them."""
    rows: Rows = {}
    small = st.integers(1, 4)
    for table, (make, parents) in _MAKERS.items():
        columns = next(known for known in TABLES if known.name == table).columns.keys()
        rows[table] = []
        for _ in range(draw(st.integers(0, 5))):
            if draw(st.integers(0, 9)) == 0:
                rows[table].append(draw(_JSON))
                continue
            row = make(draw(small), *(draw(small) for _ in range(parents)))
            if table == "customers":
                row["email"] = draw(st.sampled_from(["a@x.example", "A@x.example", "b@x.example", "c@x.example"]))
            if draw(st.booleans()):
                row["id"] = draw(st.sampled_from([None, "001", uid(2), 3]))
            if table == "payments":
                row["invoice_id"] = uid(draw(small))
            for column in draw(st.lists(st.sampled_from([*columns, "unknown"]), max_size=2)):
                row[column] = draw(_JSON)
            rows[table].append(row)
    return rows


@st.composite
def good_and_bad(draw: st.DrawFn) -> tuple[Rows, dict[str, set[str]]]:
    """Rows of which is known beforehand which are good, in any order; and the ids of the good ones by table."""
    numbers = iter(range(1, 1000))
    rows: Rows = {table: [] for table in _MAKERS}
    good: dict[str, set[str]] = {table: set() for table in _MAKERS}
    homes = {
        "invoices": "customers",
        "payments": "customers",
        "conversations": "customers",
        "messages": "conversations",
    }
    bad_values = {
        "customers": {"plan": "gold"},
        "invoices": {"status": "past_due"},
        "payments": {"amount": "much"},
        "kb_articles": {"category": "fun"},
        "conversations": {"started_at": None},
        "messages": {"role": "robot"},
    }
    for table, (make, _) in _MAKERS.items():
        parent = homes.get(table)
        for _ in range(draw(st.integers(0, 4))):
            number = next(numbers)
            fit = draw(st.booleans())
            if parent is None:
                row = make(number)
            else:
                candidates = [int(UUID(row["id"])) for row in rows[parent]]
                home = draw(st.sampled_from([*candidates, 5000]))
                row = make(number, home)
                if fit and uid(home) in good[parent]:
                    good[table].add(row["id"])
            if parent is None and fit:
                good[table].add(row["id"])
            rows[table].append(row if fit else row | bad_values[table])
        rows[table] = draw(st.permutations(rows[table]))
    return rows, good


def load_rows(engine: sa.Engine, tenant: str, rows: Rows, *, reset: bool) -> LoadReport:
    with TemporaryDirectory() as folder:
        for table, its_rows in rows.items():
            (Path(folder) / f"{table}.json").write_text(json.dumps(its_rows), encoding="utf-8")
        report = load(engine, tenant, Path(folder), reset=reset)
    for table, found in report.tables.items():
        assert found.read == len(rows.get(table, []))
        assert found.read == found.added + found.changed + found.unchanged + found.merged + len(found.rejected)
        assert len({row.row_id for row in found.rejected}) == len(found.rejected)
        assert all(row.reason for row in found.rejected)
    return report


def outcome(report: LoadReport) -> dict[str, tuple[Any, ...]]:
    return {
        table: (found.merged, [(row.place, row.reason) for row in found.rejected])
        for table, found in report.tables.items()
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=anything())
def test_any_rows_are_accounted_for_and_a_second_load_changes_nothing(
    engine: sa.Engine, tenant: str, stored: Callable[[str], list[dict[str, Any]]], rows: Rows
) -> None:
    first = load_rows(engine, tenant, rows, reset=True)
    before = {table: stored(table) for table in rows}
    assert {table: len(kept) for table, kept in before.items()} == {table: first.tables[table].added for table in rows}
    second = load_rows(engine, tenant, rows, reset=False)
    assert {table: stored(table) for table in rows} == before
    assert outcome(second) == outcome(first)
    assert [(found.added, found.changed) for found in second.tables.values()] == [(0, 0)] * len(TABLES)
    assert {table: second.tables[table].unchanged for table in rows} == {
        table: first.tables[table].added for table in rows
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=good_and_bad())
def test_good_rows_are_stored_and_bad_ones_are_not(
    engine: sa.Engine,
    tenant: str,
    stored: Callable[[str], list[dict[str, Any]]],
    case: tuple[Rows, dict[str, set[str]]],
) -> None:
    rows, good = case
    load_rows(engine, tenant, rows, reset=True)
    assert {table: {str(row["id"]) for row in stored(table)} for table in rows} == good
