"""What the tests of audits share: an installation with a database of its own, and each store."""

from collections.abc import Iterator
from typing import Any

import pytest

from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets_tests.audit.world import NewWorld, World, home
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with fresh_database(postgres_url) as url:
        services = Services(Settings(**home(tmp_path_factory.mktemp("audits"), url)))
        ledger = services.ledger
        yield services
        ledger.close()


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    opened = STORES[request.param](request, tmp_path_factory.mktemp(request.param))
    yield request.param, opened
    opened.close()


@pytest.fixture
def new_world(services: Services, store: tuple[str, Any]) -> Iterator[NewWorld]:
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}

    def make(**options: Any) -> World:
        services.__dict__.update(kept)
        return World(services, *store, **options)

    yield make
    services.__dict__.update(kept)
