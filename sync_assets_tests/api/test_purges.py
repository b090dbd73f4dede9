"""Purges: shown, confirmed for exactly what was shown, and proven."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sync_assets.api import purges
from sync_assets.demo.server import DemoServers
from sync_assets_tests.api.installations import ENVIRONMENT, OPERATOR, api, bearer, installation_with_keys
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database

PATH = "/v1/tenants/polder/purge"


@pytest.fixture
def own(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        made = installation_with_keys(tmp_path / "home", url, servers)
        made.sync("--all", "--stream", "tickets", "--tenant", "polder", code=0, **ENVIRONMENT)
        yield made


def test_a_purge_erases_what_was_confirmed_and_nothing_before(
    own: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api(own) as client:
        headers = bearer(OPERATOR)
        shown = client.post(PATH, json={}, headers=headers).json()
        found = {place["place"]: place["found"] for place in shown["places"]}
        assert (shown["erased"], "left" in shown) == (False, False)
        assert min(found[name] for name in ("graph", "files", "ledger")) > 0
        confirmed = {"confirmation": shown["confirmation"], "reason": "they left us"}

        known = client.post(PATH, json=confirmed, headers=headers)
        assert (known.status_code, "tenants.yaml" in known.json()["detail"]) == (409, True)
        tenants = yaml.safe_load(own.tenants_file.read_text())
        del tenants["tenants"]["polder"]
        own.tenants_file.write_text(yaml.safe_dump(tenants))

        assert client.post(PATH, json={"confirmation": shown["confirmation"]}, headers=headers).status_code == 422
        other = shown["confirmation"][:-1] + ("0" if shown["confirmation"][-1] != "0" else "1")
        later = f"{shown['expires_at'] + 60}.{shown['confirmation'].partition('.')[2]}"
        for wrong in (other, later, "nonsense", "."):
            refused = client.post(PATH, json={**confirmed, "confirmation": wrong}, headers=headers)
            assert refused.status_code == 409, refused.text
            assert shown["confirmation"].partition(".")[2] not in refused.text
        with monkeypatch.context() as patched:
            patched.setattr(purges.time, "time", lambda: shown["expires_at"] + 1)
            assert "older" in client.post(PATH, json=confirmed, headers=headers).json()["detail"]
        assert own.stored("pgvector", "polder")

        done = client.post(PATH, json=confirmed, headers=headers).json()
        assert (done["erased"], done["left"]) == (True, 0)
        assert {place["place"]: place["found"] for place in done["places"]} == found
        assert not own.stored("pgvector", "polder")
        assert client.post(PATH, json={}, headers=headers).status_code == 404
        assert client.post(PATH, json=confirmed, headers=headers).status_code == 404
