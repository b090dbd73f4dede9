"""Two tenants that were synced; acme's tickets say a word that polder must never read."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from sync_assets.demo.server import DemoServers
from sync_assets_tests.api.installations import ENVIRONMENT, api, installation_with_keys
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database

MARKER = "zebrafinch"


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    company = small_company()
    for ticket in company.desks["acme"].data.tickets.values():
        ticket |= {"subject": f"The {MARKER} is loose", "description_text": f"Our {MARKER} left its cage."}
    with DemoServers(0, company) as servers, fresh_database(postgres_url) as url:
        made = installation_with_keys(tmp_path_factory.mktemp("api") / "home", url, servers)
        made.sync("--all", "--stream", "tickets", code=0, **ENVIRONMENT)
        yield made


@pytest.fixture(scope="package")
def client(installation: Installation) -> Iterator[TestClient]:
    with api(installation) as client:
        yield client
