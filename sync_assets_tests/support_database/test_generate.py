"""Made-up rows, and the demo's seed folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sync_assets.demo.support_seed import write_support_seed
from sync_assets.support_database.generate import generate, write_seed
from sync_assets.support_database.loading import load
from sync_assets.support_database.tables import CATEGORIES, TABLES


def test_generated_rows_fill_every_table_and_none_is_rejected(engine: sa.Engine, tenant: str, tmp_path: Path) -> None:
    rows = generate(12, 7)
    write_seed(rows, tmp_path)
    report = load(engine, tenant, tmp_path)
    assert len(rows["customers"]) == 12
    for table in TABLES:
        found = report.tables[table.name]
        assert found.read == found.added == len(rows[table.name]) > 0
    assert [notice for found in report.tables.values() for notice in found.notices] == []


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert generate(5, 1) == generate(5, 1)
    assert generate(5, 1)["customers"] != generate(5, 2)["customers"]


def test_the_demo_folder_is_always_the_same_and_its_flaws_are_reported(
    engine: sa.Engine, tenant: str, tmp_path: Path, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    write_support_seed(tmp_path / "one")
    write_support_seed(tmp_path / "two")
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    report = load(engine, tenant, tmp_path / "one")
    rejected = {
        table: [row.reason for row in found.rejected] for table, found in report.tables.items() if found.rejected
    }
    assert {table: len(reasons) for table, reasons in rejected.items()} == {
        "invoices": 1,
        "kb_articles": 1,
        "messages": 1,
    }
    assert "status is 'past_due'" in rejected["invoices"][0]
    assert "category is 'fun'" in rejected["kb_articles"][0]
    assert "conversations has no row" in rejected["messages"][0]
    assert {table: found.merged for table, found in report.tables.items() if found.merged} == {"customers": 1}
    assert len(stored("subscriptions")) == 25
    assert len({row["customer_id"] for row in stored("subscriptions")}) == 24


def test_the_demo_articles_use_every_category_and_change_within_the_demo_days(tmp_path: Path) -> None:
    write_support_seed(tmp_path)
    articles = json.loads((tmp_path / "kb_articles.json").read_text(encoding="utf-8"))["records"]
    assert set(CATEGORIES) < {article["category"] for article in articles}
    assert all("2026-11-02" <= article["updated_at"] < "2026-11-14" for article in articles)
