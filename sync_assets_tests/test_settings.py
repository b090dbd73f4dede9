"""Settings: every variable is read, and a wrong one fails at start, naming itself and what is allowed."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sync_assets.errors import SettingsError
from sync_assets.settings import PREFIX, Settings, load_settings

# Variable, what is written there, the setting it becomes, its value.
READ: list[tuple[str, str, str, Any]] = [
    ("TENANTS_FILE", "accounts.yaml", "tenants_file", Path("accounts.yaml")),
    ("DATABASE_URL", "postgresql://u:p@h/d", "database_url", SecretStr("postgresql://u:p@h/d")),
    ("ADOPT_DATABASE_URL", "postgresql://u:p@h/d", "adopt_database_url", SecretStr("postgresql://u:p@h/d")),
    ("GRAPH_URL", "mysql://u:p@h/d", "graph_url", SecretStr("mysql://u:p@h/d")),
    ("SPACY_MODELS", '{"nl": "nl_core_news_lg"}', "spacy_models", {"nl": "nl_core_news_lg"}),
    ("STORAGE_URI", "s3://bucket/prefix", "storage_uri", "s3://bucket/prefix"),
    ("S3_ENDPOINT_URL", "http://127.0.0.1:9000", "s3_endpoint_url", "http://127.0.0.1:9000"),
    ("RAW_RETENTION_DAYS", "30", "raw_retention_days", 30),
    ("TOMBSTONE_RETENTION_DAYS", "400", "tombstone_retention_days", 400),
    ("COLLECTION_RETENTION_DAYS", "30", "collection_retention_days", 30),
    ("STORAGE_MODE", "hybrid", "storage_mode", "hybrid"),
    ("QDRANT_URL", "http://qdrant:6333", "qdrant_url", "http://qdrant:6333"),
    ("QDRANT_API_KEY", "k", "qdrant_api_key", SecretStr("k")),
    ("CHROMA_URL", "http://chroma:8000", "chroma_url", SecretStr("http://chroma:8000")),
    ("MODEL", "hash-8", "model", "hash-8"),
    ("MODEL_PRECISION", "auto", "model_precision", "auto"),
    ("MODEL_REQUESTS_PER_MINUTE", "300", "model_requests_per_minute", 300),
    ("VOYAGE_API_KEY", "k", "voyage_api_key", SecretStr("k")),
    ("VOYAGE_URL", "https://proxy.example/v1", "voyage_url", "https://proxy.example/v1"),
    ("BEDROCK_REGION", "eu-central-1", "bedrock_region", "eu-central-1"),
    ("MODEL_PRICES", '{"hash-8": 0.5}', "model_prices", {"hash-8": 0.5}),
    ("MAX_EMBEDDED_TEXTS", "0", "max_embedded_texts", 0),
    ("MAX_COST", "2.5", "max_cost", 2.5),
    ("LOCK_TIMEOUT", "2.5", "lock_timeout", 2.5),
    ("OVERLAP_MINUTES", "0", "overlap_minutes", 0),
    ("SWEEP_MAX_DELETE_SHARE", "1", "sweep_max_delete_share", 1.0),
    ("LLM_URL", "https://llm.example/v1", "llm_url", "https://llm.example/v1"),
    ("LLM_MODEL", "tiny", "llm_model", "tiny"),
    ("LLM_API_KEY", "k", "llm_api_key", SecretStr("k")),
    ("LLM_PRICES", '{"tiny": [0.25, 2]}', "llm_prices", {"tiny": (0.25, 2.0)}),
    ("RERANKER", "models/reranker", "reranker", "models/reranker"),
    ("QUARANTINE_MAX_ATTEMPTS", "1", "quarantine_max_attempts", 1),
    ("API_KEY", "sesame-of-operators", "api_key", SecretStr("sesame-of-operators")),
    ("API_REQUESTS_PER_MINUTE", "1", "api_requests_per_minute", 1),
    (
        "NOTIFY",
        "arn:aws:sns:eu-west-1:123456789012:alerts",
        "notify",
        SecretStr("arn:aws:sns:eu-west-1:123456789012:alerts"),
    ),
    ("UI_URL", "https://dagster.example", "ui_url", "https://dagster.example"),
]

# Variable, a value that is not allowed, and words of the message that say what is.
REFUSED = [
    ("RAW_RETENTION_DAYS", "0", ["greater than or equal to 1"]),
    ("COLLECTION_RETENTION_DAYS", "-1", ["greater than or equal to 0"]),
    ("STORAGE_MODE", "both", ["'vector_only' or 'hybrid'"]),
    ("MODEL_PRECISION", "float16", ["'float32', 'bfloat16' or 'auto'"]),
    ("MODEL_REQUESTS_PER_MINUTE", "0", ["greater than or equal to 1"]),
    ("VOYAGE_URL", "api.voyageai.com", ["http(s)://host"]),
    ("MODEL_PRICES", '{"hash-8": -1}', ["greater than or equal to 0"]),
    ("LLM_PRICES", '{"tiny": [0.25]}', ["Field required"]),
    ("MAX_EMBEDDED_TEXTS", "-1", ["greater than or equal to 0"]),
    ("MAX_COST", "-1", ["greater than or equal to 0"]),
    ("LOCK_TIMEOUT", "0", ["greater than 0"]),
    ("LOCK_TIMEOUT", "soon", ["number"]),
    ("OVERLAP_MINUTES", "-1", ["greater than or equal to 0"]),
    ("OVERLAP_MINUTES", "1.5", ["integer"]),
    ("SWEEP_MAX_DELETE_SHARE", "1.01", ["less than or equal to 1"]),
    ("SWEEP_MAX_DELETE_SHARE", "-0.1", ["greater than or equal to 0"]),
    ("QUARANTINE_MAX_ATTEMPTS", "0", ["greater than or equal to 1"]),
    ("API_REQUESTS_PER_MINUTE", "0", ["greater than or equal to 1"]),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but the home."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def test_every_setting_is_in_the_tables_here() -> None:
    assert sorted(name for _, _, name, _ in READ) == sorted(set(Settings.model_fields) - {"home"})


@pytest.mark.parametrize(("variable", "text", "name", "value"), READ, ids=[row[0] for row in READ])
def test_a_variable_becomes_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: Any
) -> None:
    assert getattr(load_settings(), name) != value, "the default is another one"
    monkeypatch.setenv(f"{PREFIX}{variable}", text)
    assert getattr(load_settings(), name) == value


@pytest.mark.parametrize(("variable", "name"), [(row[0], row[2]) for row in READ], ids=[row[0] for row in READ])
def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, variable: str, name: str) -> None:
    default = getattr(load_settings(), name)
    monkeypatch.setenv(f"{PREFIX}{variable}", "")
    assert getattr(load_settings(), name) == default


@pytest.mark.parametrize(("variable", "text", "words"), REFUSED, ids=[f"{row[0]}={row[1]}" for row in REFUSED])
def test_a_value_that_is_not_allowed_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, words: list[str]
) -> None:
    monkeypatch.setenv(f"{PREFIX}{variable}", text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    for word in (f"{PREFIX}{variable}={text!r}", *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["sesame", "sqlite:///sesame", "mysql://u:sesame@h", "mysql://u:p@h:0/sesame"])
def test_a_graph_in_another_kind_of_database_is_refused_without_showing_the_url(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}GRAPH_URL", url)
    with pytest.raises(SettingsError, match="SYNC_ASSETS_GRAPH_URL") as caught:
        load_settings()
    assert "sesame" not in str(caught.value)
    assert "or mysql://" in str(caught.value)


@pytest.mark.parametrize("url", ["sesame", "mysql://u:sesame@h/d", "postgresql://u:sesame@h", "postgresql://sesame"])
def test_a_database_that_is_no_postgresql_is_refused_without_showing_the_url(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{PREFIX}DATABASE_URL: ")
    assert "postgresql://user:password@host:port/database" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_an_unknown_variable_is_refused_and_the_known_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}QDRANT_ULR", "sesame")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"Unknown setting {PREFIX}QDRANT_ULR. Known are: ")
    assert "sesame" not in str(caught.value)
    for row in READ:
        assert f"{PREFIX}{row[0]}" in str(caught.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "postgresql://u:sesame@h/d")
    monkeypatch.setenv(f"{PREFIX}QDRANT_API_KEY", "sesame")
    settings = load_settings()
    assert "sesame" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_everything_lies_under_the_home_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path
    assert settings.tenants_path == tmp_path / "tenants.yaml"
    assert settings.storage_root == str(tmp_path / "storage")
    monkeypatch.chdir(tmp_path)
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("DAGSTER_HOME")
        else:
            monkeypatch.setenv("DAGSTER_HOME", unset)
        assert load_settings().home == tmp_path / "dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", "elsewhere")
    assert load_settings().home == tmp_path / "elsewhere", "Dagster takes absolute paths only"
