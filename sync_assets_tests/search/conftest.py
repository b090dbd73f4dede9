"""An installation with all three stores, and in it a tenant for each test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from sync_assets.services import Services
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.search.corpus import Corpus, open_installation


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Services]:
    with (
        fresh_database(postgres_url) as url,
        open_installation(tmp_path_factory.mktemp("search"), url) as services,
    ):
        yield services


@pytest.fixture
def corpus(opened: Services) -> Corpus:
    return Corpus(opened, f"t{uuid4().hex[:8]}")
