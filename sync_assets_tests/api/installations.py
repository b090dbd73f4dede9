"""An installation with keys, and its API in this process."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import yaml
from fastapi.testclient import TestClient

from sync_assets.api.app import create_app
from sync_assets.definitions import defs
from sync_assets.demo.server import DemoServers
from sync_assets.runs import open_instance
from sync_assets.services import Services
from sync_assets.settings import load_settings
from sync_assets_tests.command_line import Installation

OPERATOR = "sesame-of-the-operator"
PUBLIC = "sesame-of-polder-outside"
INTERNAL = "sesame-of-polder-inside"
OF_ACME = "sesame-of-acme-inside"
ENVIRONMENT = {
    "SYNC_ASSETS_API_KEY": OPERATOR,
    "SYNC_ASSETS_API_REQUESTS_PER_MINUTE": "100000",
    "POLDER_KEY": INTERNAL,
}


def installation_with_keys(home: Path, database_url: str, servers: DemoServers) -> Installation:
    """Both tenants, each with keys."""
    made = Installation(home, database_url, servers)
    keys = {
        "polder": [PUBLIC, {"key": "${POLDER_KEY}", "audience": "internal", "principals": ["team:vpn"]}],
        "acme": [{"key": OF_ACME, "audience": "internal"}],
    }
    tenants = yaml.safe_load(made.tenants_file.read_text())
    for tenant, its in keys.items():
        tenants["tenants"][tenant]["api_keys"] = its
    made.tenants_file.write_text(yaml.safe_dump(tenants))
    return made


@contextmanager
def api(installation: Installation, **environment: str) -> Iterator[TestClient]:
    """The API over an installation, as if `serve` had just been started."""
    variables = installation.environment(**{**ENVIRONMENT, **environment})
    with (
        patch.dict(os.environ, variables, clear=True),
        closing(Services(load_settings())) as services,
        open_instance() as instance,
        TestClient(create_app(services, defs, instance), raise_server_exceptions=False) as client,
    ):
        (installation.home / "logs").mkdir(exist_ok=True)
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
