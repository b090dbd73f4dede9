"""Keys: where they come from, and what is refused before anything is served."""

from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from sync_assets.api.keys import Keys
from sync_assets.errors import SettingsError
from sync_assets.settings import Settings
from sync_assets_tests.command_line import Installation

LONG = "x" * 16


@pytest.fixture(autouse=True)
def no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNC_ASSETS_API_KEY", raising=False)


def write(home: Path, **keys: list[object]) -> None:
    account = {"base_url": "https://acme.freshdesk.com", "api_key": "k"}
    tenants = {tenant: {"freshdesk": account, "api_keys": its} for tenant, its in keys.items()}
    (home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": tenants}))


def test_a_key_opens_the_tenant_that_it_stands_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "of-acme-" + LONG)
    write(tmp_path, acme=["${ACME_API_KEY}"], polder=[{"key": "of-polder-" + LONG, "audience": "internal"}])
    keys = Keys(Settings(home=tmp_path))
    acme, polder = keys.find("of-acme-" + LONG), keys.find("of-polder-" + LONG)
    assert acme is not None
    assert polder is not None
    assert (acme.tenant, acme.is_internal) == ("acme", False)
    assert (polder.tenant, polder.is_internal) == ("polder", True)
    assert keys.find("${ACME_API_KEY}") is None
    assert keys.find("") is None


def test_a_key_that_is_taken_out_of_the_file_opens_nothing_any_more(tmp_path: Path) -> None:
    write(tmp_path, acme=[LONG, "another-" + LONG])
    keys = Keys(Settings(home=tmp_path))
    assert keys.find(LONG) is not None
    write(tmp_path, acme=["another-" + LONG])
    assert keys.find(LONG) is None
    write(tmp_path, acme=["another-" + LONG, 5])
    with pytest.raises(SettingsError, match="api_keys"):
        keys.find("another-" + LONG)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"acme": []}, "No API key is configured.*SYNC_ASSETS_API_KEY"),
        ({"acme": ["short"]}, r"tenants.acme.api_keys\[0\]: a key is too short"),
        ({"acme": [LONG], "polder": [LONG]}, "polder.*acme.* have the same key"),
        ({"acme": ["${NOT_SET_ANYWHERE}"]}, "NOT_SET_ANYWHERE"),
        ({"acme": [{"key": LONG, "audience": "restricted"}]}, "audience"),
        ({"acme": LONG}, "api_keys"),
    ],
)
def test_mistakes_are_named_without_the_key(tmp_path: Path, keys: dict[str, list[object]], message: str) -> None:
    write(tmp_path, **keys)
    with pytest.raises(SettingsError, match=message) as raised:
        Keys(Settings(home=tmp_path)).all()
    assert LONG not in str(raised.value)


def test_a_tenant_can_not_have_the_operators_key(tmp_path: Path) -> None:
    write(tmp_path, acme=[LONG])
    with pytest.raises(SettingsError, match="SYNC_ASSETS_API_KEY"):
        Keys(Settings(home=tmp_path, api_key=SecretStr(LONG))).all()


def test_serve_refuses_where_no_key_is_configured(installation: Installation) -> None:
    text = installation.tenants_file.read_text()
    try:
        installation.write_tenants()
        outcome = installation.run("serve", "--port", "0")
    finally:
        installation.tenants_file.write_text(text)
    assert outcome.code == 2
    assert "SYNC_ASSETS_API_KEY" in outcome.err
