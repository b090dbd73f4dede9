"""`tenants.yaml`: whose accounts there are; every mistake names its place, and no message shows a secret."""

from pathlib import Path

import pytest
import yaml

from sync_assets.errors import SettingsError
from sync_assets.tenants import Tenants, valid_tenant

GOOD = 'base_url: "https://a.example", api_key: sesame'


def load(folder: Path, text: str) -> Tenants:
    path = folder / "tenants.yaml"
    path.write_text(text)
    return Tenants.load(path)


def test_accounts_are_listed_by_tenant_and_source(tmp_path: Path) -> None:
    tenants = load(
        tmp_path, f"tenants: {{zeta: {{freshdesk: {{{GOOD}}}}}, beta: {{freshdesk: {{{GOOD}}}}}, idle: {{}}}}"
    )
    assert tenants.names() == ["beta", "idle", "zeta"]
    assert tenants.names("freshdesk") == ["beta", "zeta"]
    assert (tenants.sources("beta"), tenants.sources("idle"), tenants.sources("nobody")) == (["freshdesk"], [], [])


@pytest.mark.parametrize("text", ["", "tenants: {}", "# nothing yet\n"])
def test_a_file_may_be_empty(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).names() == []
    assert Tenants.load(tmp_path / "no-such-file").names() == []


def test_a_tenant_s_schedules_follow_its_time_zone_or_utc(tmp_path: Path) -> None:
    tenants = load(
        tmp_path,
        f"tenants: {{a: {{time_zone: Europe/Amsterdam, freshdesk: {{{GOOD}}}}}, b: {{freshdesk: {{{GOOD}}}}}}}",
    )
    assert (tenants.time_zone("a"), tenants.time_zone("b")) == ("Europe/Amsterdam", "UTC")
    assert tenants.sources("a") == ["freshdesk"]


def test_variables_are_filled_in_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_OF_ACME", "acme.example")
    monkeypatch.setenv("LANGUAGE_OF_ACME", "nl")
    monkeypatch.setenv("KEY_OF_ACME", "a}b: ${HOST_OF_ACME}")
    tenants = load(
        tmp_path,
        'tenants: {acme: {freshdesk: {base_url: "https://${HOST_OF_ACME}", '
        'api_key: "${KEY_OF_ACME}", languages: ["${LANGUAGE_OF_ACME}"]}}}',
    )
    account = tenants._accounts["acme"]["freshdesk"].model_dump()  # nothing else shows what was read
    assert account["base_url"] == "https://acme.example"
    assert account["languages"] == ["nl"]
    assert account["api_key"].get_secret_value() == "a}b: ${HOST_OF_ACME}", "what is filled in is not read again"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tenants: {a: {freshdesk: {base_url: x, api_key: sesame", ["line 1", "YAML"]),
        (
            "tenants: {a: {time_zone: Mars/Olympus}}",
            ["tenants.a.time_zone", "Mars/Olympus", "IANA", "Europe/Amsterdam"],
        ),
        ("tenants:\n  a: [\n", ["YAML"]),
        ("tenants: [a, b]", ["tenants: ", "dictionary"]),
        ("- tenants", ["dictionary"]),
        (f"tenant: {{a: {{freshdesk: {{{GOOD}}}}}}}", ["tenant: ", "not permitted"]),
        (f"tenants: {{a: {{zendesk: {{{GOOD}}}}}}}", ["'zendesk'", "freshdesk"]),
        (f"tenants: {{a: {{freshdesk: {{{GOOD}, key: sesame}}}}}}", ["a.freshdesk", "key: ", "not permitted"]),
        (
            f"tenants: {{a: {{freshdesk: {{{GOOD}, limits: {{pace: 3}}}}}}}}",
            ["a.freshdesk", "limits.pace", "permitted"],
        ),
        (f"tenants: {{a: {{freshdesk: {{{GOOD}, limits: {{max_attempts: 0}}}}}}}}", ["limits.max_attempts", "than or"]),
        ('tenants: {a: {freshdesk: {base_url: "https://a.example"}}}', ["a.freshdesk", "api_key", "required"]),
        ("tenants: {a: {freshdesk: {api_key: sesame}}}", ["a.freshdesk", "base_url", "required"]),
        ('tenants: {a: {freshdesk: {base_url: "ftp://a.example", api_key: sesame}}}', ["base_url", "http(s)://host"]),
        ('tenants: {a: {freshdesk: {base_url: "https://sesame@a.example", api_key: k}}}', ["base_url", "without user"]),
        ('tenants: {a: {freshdesk: {base_url: "https://a.example", api_key: ""}}}', ["api_key", "at least 1"]),
        (
            'tenants: {a: {freshdesk: {base_url: "https://a.example", api_key: "${NO_SUCH_KEY}"}}}',
            ["tenants.a.freshdesk.api_key", "${NO_SUCH_KEY} is not set", "Export NO_SUCH_KEY"],
        ),
    ],
)
def test_a_mistake_names_file_place_and_what_is_allowed(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    for word in (str(tmp_path / "tenants.yaml"), *words):
        assert word in message
    assert "sesame" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "..",
        ".",
        "a/b",
        "../etc",
        "a\\b",
        "a b",
        "A",
        "acme\n",
        "acme\x00",
        "-a",
        "_a",
        "a|b",
        "a.b",
        "a'b",
        'a"b',
        "ä",
        "a;drop",
        "${HOME}",
        "a" * 49,
        "\u0430cme",
    ],
)
def test_a_name_that_could_escape_its_folder_or_schema_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        valid_tenant(name)
    path = tmp_path / "tenants.yaml"
    path.write_text(
        yaml.safe_dump({"tenants": {name: {"freshdesk": {"base_url": "https://a.example", "api_key": "k"}}}})
    )
    with pytest.raises(SettingsError, match="tenants"):
        Tenants.load(path)


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme-2_b", "a" * 48])
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert valid_tenant(name) == name


def test_a_tenant_without_an_account_in_a_source_is_told_where_to_add_one(tmp_path: Path) -> None:
    tenants = load(tmp_path, "tenants: {acme: {}}")
    with pytest.raises(SettingsError, match=r"'acme' has no account in freshdesk\. Add tenants\.acme\.freshdesk"):
        tenants.open("freshdesk", "acme")
