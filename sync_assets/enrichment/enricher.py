"""Keywords that were paid for once are never paid for again: the table `enrichments`.

What was adopted from an older store counts for every extractor. How what it lacks is asked for is in `asking.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.enrichment import Article, Enrichment, EnrichmentError, Extractor, combined_text
from sync_assets.enrichment.asking import AskedOnce
from sync_assets.errors import SettingsError
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.services import Services
from sync_assets.settings import Settings

if TYPE_CHECKING:
    from sync_assets.enrichment.chat import OpenAiChat

ADOPTED = "adopted"


def open_extractor(settings: Settings) -> Extractor:
    """The language model where one is configured, else the local extractor.

    Raises:
        SettingsError: a language model's URL is set, and its name is not.
    """
    if settings.llm_url is None:
        from sync_assets.enrichment.local import LocalExtractor

        return LocalExtractor()
    from sync_assets.enrichment.llm import LlmExtractor

    return LlmExtractor(open_chat(settings, settings.llm_model))


def open_chat(settings: Settings, model: str | None) -> "OpenAiChat":
    """A model of the API that the settings name.

    Raises:
        SettingsError: the settings name no API, or there is no name of a model.
    """
    if settings.llm_url is None:
        raise SettingsError(
            "A language model is asked for, and SYNC_ASSETS_LLM_URL is not set.", "Name its API (https://host/v1)."
        )
    if model is None:
        raise SettingsError("SYNC_ASSETS_LLM_URL is set, and SYNC_ASSETS_LLM_MODEL is not.", "Name the model.")
    from sync_assets.enrichment.chat import OpenAiChat

    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else None
    return OpenAiChat(settings.llm_url, model, key, settings.model_requests_per_minute)


@contextmanager
def open_enricher(services: Services) -> Iterator["Enricher"]:
    """The enricher of one run."""
    extractor = open_extractor(services.settings)
    try:
        yield Enricher(services.ledger, extractor)
    finally:
        extractor.close()


class Enricher(AskedOnce[Enrichment]):
    """The table `enrichments`, and the extractor of one run."""

    def __init__(self, ledger: Ledger, extractor: Extractor) -> None:
        super().__init__(extractor.at_once)
        self._ledger = ledger
        self._extractor = extractor

    def known(self, tenant: str, hashes: Sequence[str]) -> dict[str, Enrichment]:
        table = t.enrichments
        query = sa.select(table).where(
            table.c.tenant == tenant,
            table.c.content_hash == any_of(hashes),
            table.c.extractor.in_([ADOPTED, self._extractor.name]),
        )
        # Adopted ones come last, and stand.
        query = query.order_by(table.c.extractor == ADOPTED)
        with self._ledger.transaction() as connection:
            return {row.content_hash: Enrichment(row.keywords, row.combined_text) for row in connection.execute(query)}

    def _ask(self, articles: Sequence[Article]) -> list[Enrichment | EnrichmentError]:
        return [
            found if isinstance(found, EnrichmentError) else Enrichment(found, combined_text(article.title, found))
            for article, found in zip(articles, self._extractor.extract(articles), strict=True)
        ]

    def _store(self, tenant: str, made: Mapping[str, Enrichment]) -> None:
        store(self._ledger, tenant, self._extractor.name, made)


def store(ledger: Ledger, tenant: str, extractor: str, enrichments: Mapping[str, Enrichment]) -> None:
    """Add enrichments by content hash, durable on return.

    Those that are there already stay, but adopted ones, which take the place of what was adopted before.
    """
    if not enrichments:
        return
    statement = insert(t.enrichments)
    if extractor == ADOPTED:
        replaced = {name: statement.excluded[name] for name in ("keywords", "combined_text")}
        statement = statement.on_conflict_do_update(constraint=t.enrichments.primary_key, set_=replaced)
    else:
        statement = statement.on_conflict_do_nothing()
    values = [
        {
            "tenant": tenant,
            "content_hash": content_hash,
            "extractor": extractor,
            "keywords": list(enrichment.keywords),
            "combined_text": enrichment.combined_text,
        }
        for content_hash, enrichment in sorted(enrichments.items())
    ]
    with ledger.transaction() as connection:
        connection.execute(statement, values)
