"""An installation for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_assets_tests.dagster_assets.world import World
from sync_assets_tests.postgres import fresh_database


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path / "home", database_url)
    yield made
    made.close()
