"""Every setting of an installation, from environment variables with the prefix `SYNC_ASSETS_`.

What belongs here: where things are and how long to wait. What does not: which streams are synced and how
(`defs/<source>/defs.yaml`), and whose accounts there are (`tenants.yaml`, read by `tenants.py`).
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sync_assets.errors import SettingsError
from sync_assets.notifications.targets import parse_targets

PREFIX = "SYNC_ASSETS_"


class Settings(BaseSettings):
    """Settings of one process. Build it with `load_settings()`, which turns mistakes into one clear line."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    home: Path = Field(
        default_factory=lambda: Path(os.environ.get("DAGSTER_HOME") or "dagster_home").absolute(),
        validation_alias="DAGSTER_HOME",
        description="Folder of the Dagster instance and of all data of the embedded default",
    )
    tenants_file: Path | None = Field(
        default=None, description="Accounts of each tenant; default `tenants.yaml` in DAGSTER_HOME"
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL with pgvector for ledger, cache and vectors; default the embedded server"
    )
    adopt_database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL whose older table `adopt` reads; default the same as for the ledger"
    )
    graph_url: SecretStr | None = Field(
        default=None, description="PostgreSQL, MySQL or MariaDB for the knowledge graph; default the ledger's database"
    )
    spacy_models: dict[str, str] = Field(
        default={},
        description="Installed spaCy pipelines that also find people and organisations in texts, by language, such as "
        '`{"nl": "nl_core_news_lg"}`; default none: fields, rules and names alone',
    )
    storage_uri: str | None = Field(
        default=None,
        description="Folder or `s3://bucket/prefix` for the stages' files; default `storage` in DAGSTER_HOME",
    )
    s3_endpoint_url: str | None = Field(default=None, description="S3-compatible endpoint, where it is not AWS")
    raw_retention_days: int | None = Field(
        default=None, ge=1, description="Raw files written longer ago are removed by the stream's next sync"
    )
    tombstone_retention_days: int | None = Field(
        default=None,
        ge=1,
        description="What is kept of documents deleted upstream longer ago is removed by `forget --tombstones`; "
        "default kept",
    )
    collection_retention_days: int = Field(
        default=7,
        ge=0,
        description="How long a collection is kept, for `collections rollback`, once it was switched off",
    )
    storage_mode: Literal["vector_only", "hybrid"] = Field(
        default="vector_only", description="`hybrid` keeps document bodies and summaries in SQL too"
    )
    qdrant_url: str | None = Field(
        default=None, description="Qdrant server; default Qdrant's engine embedded in the process"
    )
    qdrant_api_key: SecretStr | None = Field(
        default=None, description="Key of the Qdrant server, where it asks for one"
    )
    chroma_url: SecretStr | None = Field(
        default=None, description="Chroma server, with `user:password@` where a proxy asks; default an embedded Chroma"
    )
    model: str = Field(
        default="all-MiniLM-L6-v2",
        description="Embedding model where a stream names none: the wheel's, a folder, or a name on the hub",
    )
    reranker: str | None = Field(
        default=None,
        description="Cross-encoder of the sentence-transformers library for `search --rerank`: a folder, or a name on "
        "the hub; default none",
    )
    model_precision: Literal["float32", "bfloat16", "auto"] = Field(
        default="float32",
        description="How sentence-transformers models compute here; `auto` takes what the processor is fastest at, "
        "after `sync-assets models check`",
    )
    model_requests_per_minute: int | None = Field(
        default=None, ge=1, le=100_000, description="Most requests to a hosted model in any minute; default no limit"
    )
    voyage_api_key: SecretStr | None = Field(default=None, description="Key for `voyage-*` models")
    voyage_url: str | None = Field(
        default=None, description="Root of Voyage's API (`https://host/v1`), where a proxy stands before it"
    )
    bedrock_region: str | None = Field(
        default=None,
        description="AWS region for `amazon.titan-embed-*` models and for summaries of kind `bedrock`; default "
        "AWS's own variables",
    )
    model_prices: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={},
        description='US dollars for a million tokens by model, such as `{"voyage-4": 0.06}`; others cost nothing',
    )
    max_embedded_texts: int | None = Field(
        default=None, ge=0, description="A run that would embed more new texts of a stream refuses; default no limit"
    )
    max_cost: float | None = Field(
        default=None,
        ge=0,
        description="A run that would embed a stream's texts, or summarise its documents, for more US dollars "
        "refuses, likewise",
    )
    lock_timeout: float = Field(default=60.0, gt=0, description="Seconds to wait for another process before giving up")
    overlap_minutes: int = Field(
        default=10,
        ge=0,
        description="How far before the last success an incremental sync starts, for late upstream clocks",
    )
    sweep_max_delete_share: float = Field(
        default=0.2, ge=0, le=1, description="A sweep that would delete a larger share of a tenant's documents refuses"
    )
    llm_url: str | None = Field(
        default=None,
        description="Root of an OpenAI-compatible API (`https://host/v1`) for keywords and for summaries of kind `llm`;"
        " default none: keywords are found here",
    )
    llm_model: str | None = Field(default=None, description="Its model; needed where SYNC_ASSETS_LLM_URL is set")
    llm_api_key: SecretStr | None = Field(default=None, description="Its key, where it asks for one")
    llm_prices: dict[str, tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]] = Field(
        default={},
        description="US dollars for a million tokens read and for a million written, by language model, such as "
        '`{"gpt-5-mini": [0.25, 2]}`; others cost nothing',
    )
    quarantine_max_attempts: int = Field(
        default=5, ge=1, description="How often syncs retry a quarantined record before only `quarantine retry` does"
    )
    api_key: SecretStr | None = Field(
        default=None, min_length=16, description="The operator's key of `serve`: any tenant, purges and metrics"
    )
    api_requests_per_minute: int = Field(default=120, ge=1, description="How often one key of `serve` may ask")
    notify: SecretStr | None = Field(
        default=None, description="Where failures and recoveries are told: Slack webhooks, SNS topics, mail servers"
    )
    ui_url: str | None = Field(default=None, description="Root of the Dagster UI, for the links in what is told")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.absolute()

    @field_validator("database_url", "adopt_database_url")
    @classmethod
    def _postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            # Reading the port raises ValueError where it is no number.
            if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/") or parts.port == 0:
                raise ValueError("must be postgresql://user:password@host:port/database")
        return url

    @field_validator("graph_url")
    @classmethod
    def _sql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            known = ("postgresql", "postgres", "mysql", "mariadb")
            if parts.scheme not in known or not parts.path.strip("/") or parts.port == 0:
                raise ValueError("must be postgresql://user:password@host:port/database, or mysql:// likewise")
        return url

    @field_validator("notify")
    @classmethod
    def _targets(cls, urls: SecretStr | None) -> SecretStr | None:
        if urls is not None:
            parse_targets(urls.get_secret_value())
        return urls

    @field_validator("qdrant_url", "chroma_url", "s3_endpoint_url", "llm_url", "voyage_url", "ui_url")
    @classmethod
    def _http(cls, url: str | SecretStr | None) -> str | SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value() if isinstance(url, SecretStr) else url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError("must be http(s)://host:port")
        return url

    def price(self, model: str | None, tokens: int) -> float:
        """US dollars for some tokens of a stream's model, the installation's where the stream names none.

        A model that is asked for shorter vectors (`voyage-4@512`) costs what it costs without.
        """
        name = model or self.model
        price = self.model_prices.get(name, self.model_prices.get(name.partition("@")[0], 0.0))
        return price * tokens / 1_000_000

    def llm_price(self, model: str | None, read: int, written: int) -> float:
        """US dollars for some tokens that a language model was given and answered; None is no model."""
        prices = self.llm_prices.get(model or "", (0.0, 0.0))
        return (prices[0] * read + prices[1] * written) / 1_000_000

    @cached_property
    def tenants_path(self) -> Path:
        return self.tenants_file or self.home / "tenants.yaml"

    @cached_property
    def storage_root(self) -> str:
        return self.storage_uri or str(self.home / "storage")


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: a variable is unknown or has a value that is not allowed; the text names it.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields if name != "home"}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"Unknown setting {unknown[0]}.", f"Known are: {', '.join(sorted(known))}.")
    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = f"{PREFIX}{problem['loc'][0]}".upper().replace(f"{PREFIX}DAGSTER_HOME", "DAGSTER_HOME")
        secret = Settings.model_fields[str(problem["loc"][0])].annotation == SecretStr | None
        found = name if secret else f"{name}={os.environ.get(name)!r}"
        raise SettingsError(
            f"{found}: {problem['msg']}.", "The README's table of settings says what is allowed."
        ) from None
