"""An installation for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync_assets_tests.automation.world import Automation
from sync_assets_tests.postgres import fresh_database


@pytest.fixture
def automation(tmp_path: Path, postgres_url: str) -> Iterator[Callable[..., Automation]]:
    """Makes an installation for these tenants."""
    made: list[Automation] = []

    def make(*tenants: str) -> Automation:
        made.append(Automation(tmp_path / "home", url, tenants))
        return made[-1]

    with fresh_database(postgres_url) as url:
        yield make
        for one in made:
            one.close()
