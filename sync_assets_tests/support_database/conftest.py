"""A tenant with an empty support database for each test, and folders to load into it."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sync_assets.support_database.tables import schema_of


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(
        sa.make_url(postgres_url).set(drivername="postgresql+psycopg"),
        connect_args={"options": "-c lock_timeout=20000 -c timezone=Asia/Tokyo"},
    )
    yield engine
    engine.dispose()


@pytest.fixture
def tenant(engine: sa.Engine) -> Iterator[str]:
    """A tenant's name with a hyphen, whose schema is gone after the test."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    yield name
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema_of(name), cascade=True, if_exists=True))


@pytest.fixture
def seed(tmp_path: Path) -> Callable[..., Path]:
    """Write a seed folder; each keyword is a table with its rows."""

    def write(**tables: list[dict[str, Any]]) -> Path:
        for table, rows in tables.items():
            (tmp_path / f"{table}.json").write_text(json.dumps(rows), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def stored(engine: sa.Engine, tenant: str) -> Callable[[str], list[dict[str, Any]]]:
    """The rows of one of the tenant's tables, ordered by id."""

    def read(table: str) -> list[dict[str, Any]]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(f'SELECT * FROM "{schema_of(tenant)}"."{table}" ORDER BY id')
            return [dict(row._mapping) for row in rows]

    return read
