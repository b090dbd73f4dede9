"""What the laws of chats and of work share; those of convergence have fixtures of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets_tests.laws.world import STORE, Clock, System, World
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.stores import STORES


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home: Path = tmp_path_factory.mktemp("systems")
    with fresh_database(postgres_url) as url:
        services = Services(
            Settings(home=home, database_url=url, sweep_max_delete_share=1.0, quarantine_max_attempts=1000)  # pyright: ignore
        )
        ledger = services.ledger
        yield services
        ledger.close()


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = STORES[STORE](request, tmp_path_factory.mktemp(STORE))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_world(services: Services, store: Any, servers: DemoServers, clock: Clock) -> Iterator[Callable[..., Any]]:
    """Makes worlds: a system at its start, and a tenant that has not synced it yet. `servers` is the module's own."""
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}

    def make(kind: Callable[[DemoServers, Clock], System], **cut: int) -> World[Any]:
        services.__dict__.update(kept)
        return World(services, store, kind(servers, clock), **cut)

    yield make
    services.__dict__.update(kept)
