"""An empty installation with all three stores, for each test file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.search.corpus import Corpus, open_corpus


@pytest.fixture
def corpus(tmp_path: Path, postgres_url: str) -> Iterator[Corpus]:
    with fresh_database(postgres_url) as url, open_corpus(tmp_path, url) as opened:
        yield opened
