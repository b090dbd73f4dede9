"""Keywords that were paid for once are never paid for again: the table `enrichments`, and asking for what it lacks.

Keyed by tenant and by everything that an extractor is given, so that equal texts, renamed ids and repeated runs cost
nothing. What was adopted from an older store counts for every extractor. Two processes that lack the same text at the
same moment both ask; the first answer that is stored stands for both.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.enrichment import Article, Enrichment, EnrichmentError, Extractor, ExtractorUnreachable, combined_text
from sync_assets.errors import SettingsError
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.services import Services
from sync_assets.settings import Settings

ADOPTED = "adopted"

# Times in a row that an extractor could not be reached after which it is not asked again in the same run.
_GIVE_UP_AFTER = 3


def open_extractor(settings: Settings) -> Extractor:
    """The language model where one is configured, else the local extractor.

    Raises:
        SettingsError: a language model's URL is set, and its name is not.
    """
    if settings.llm_url is None:
        from sync_assets.enrichment.local import LocalExtractor

        return LocalExtractor()
    if settings.llm_model is None:
        raise SettingsError("SYNC_ASSETS_LLM_URL is set, and SYNC_ASSETS_LLM_MODEL is not.", "Name the model.")
    from sync_assets.enrichment.llm import LlmExtractor

    key = settings.llm_api_key
    return LlmExtractor(settings.llm_url, settings.llm_model, key.get_secret_value() if key else None)


@contextmanager
def open_enricher(services: Services) -> Iterator["Enricher"]:
    """The enricher of one run."""
    extractor = open_extractor(services.settings)
    try:
        yield Enricher(services.ledger, extractor)
    finally:
        extractor.close()


class Enricher:
    """The table `enrichments`, and the extractor of one run."""

    def __init__(self, ledger: Ledger, extractor: Extractor) -> None:
        self._ledger = ledger
        self._extractor = extractor
        self._failures = 0

    def known(self, tenant: str, hashes: Sequence[str]) -> dict[str, Enrichment]:
        """Stored enrichments by `Article.content_hash`, of those that have one; asks no extractor."""
        table = t.enrichments
        query = sa.select(table).where(
            table.c.tenant == tenant,
            table.c.content_hash == sa.any_(sa.bindparam(None, list(hashes), type_=sa.ARRAY(sa.Text))),
            table.c.extractor.in_([ADOPTED, self._extractor.name]),
        )
        # Adopted ones come last, and stand.
        query = query.order_by(table.c.extractor == ADOPTED)
        with self._ledger.transaction() as connection:
            return {row.content_hash: Enrichment(row.keywords, row.combined_text) for row in connection.execute(query)}

    def enrich(
        self, tenant: str, articles: Sequence[Article]
    ) -> tuple[dict[str, Enrichment], dict[str, EnrichmentError]]:
        """Enrichments of all articles by content hash, new ones stored batch by batch; and why others have none."""
        by_hash = {article.content_hash: article for article in articles}
        found = self.known(tenant, list(by_hash))
        missing = [content_hash for content_hash in by_hash if content_hash not in found]
        failed: dict[str, EnrichmentError] = {}
        for start in range(0, len(missing), self._extractor.at_once):
            batch = missing[start : start + self._extractor.at_once]
            if self._failures >= _GIVE_UP_AFTER:
                error = ExtractorUnreachable(
                    f"The extractor was not asked after it could not be reached {self._failures} times in a row."
                )
                failed.update(dict.fromkeys(batch, error))
                continue
            new: dict[str, Enrichment] = {}
            results = self._extractor.extract([by_hash[content_hash] for content_hash in batch])
            for content_hash, result in zip(batch, results, strict=True):
                self._failures = self._failures + 1 if isinstance(result, ExtractorUnreachable) else 0
                if isinstance(result, EnrichmentError):
                    failed[content_hash] = result
                else:
                    new[content_hash] = Enrichment(result, combined_text(by_hash[content_hash].title, result))
            store(self._ledger, tenant, self._extractor.name, new)
            # Another process may have been first: what is stored stands.
            found.update(self.known(tenant, list(new)))
        return found, failed


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
