"""Summaries that were made once are never made again: the table `summaries`. How what it lacks is asked for is in
`asking.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.enrichment import Article, EnrichmentError
from sync_assets.enrichment.asking import AskedOnce
from sync_assets.enrichment.enricher import open_chat
from sync_assets.enrichment.summaries import Summaries, Summariser
from sync_assets.hashing import text_hash
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.services import Services
from sync_assets.settings import Settings


def open_summariser(settings: Settings, options: Summaries) -> Summariser:
    """What summarises a stream's documents.

    Raises:
        SettingsError: a setting of its language model is missing.
    """
    if options.kind == "extractive":
        from sync_assets.enrichment.extractive import ExtractiveSummariser

        return ExtractiveSummariser(options.max_characters)
    from sync_assets.enrichment.llm import LlmSummariser

    if options.kind == "llm":
        chat = open_chat(settings, options.model or settings.llm_model)
    else:
        from sync_assets.enrichment.bedrock import BedrockChat

        chat = BedrockChat(options.model or "", settings.bedrock_region, settings.model_requests_per_minute)
    return LlmSummariser(options.kind, chat, options.max_characters)


@contextmanager
def open_kept_summaries(services: Services, options: Summaries) -> Iterator["KeptSummaries"]:
    """The summaries of one run."""
    summariser = open_summariser(services.settings, options)
    try:
        yield KeptSummaries(services.ledger, summariser)
    finally:
        summariser.close()


class KeptSummaries(AskedOnce[str]):
    """The table `summaries`, and the summariser of one run. A text that has nothing to tell has an empty one."""

    def __init__(self, ledger: Ledger, summariser: Summariser) -> None:
        super().__init__(summariser.at_once)
        self.summariser = summariser
        self._ledger = ledger

    def known(self, tenant: str, hashes: Sequence[str]) -> dict[str, str]:
        table = t.summaries
        query = sa.select(table.c.content_hash, table.c.text).where(
            table.c.tenant == tenant,
            table.c.summariser == self.summariser.name,
            table.c.content_hash == any_of(hashes),
        )
        with self._ledger.transaction() as connection:
            return {row.content_hash: row.text for row in connection.execute(query)}

    def _ask(self, articles: Sequence[Article]) -> list[str | EnrichmentError]:
        return self.summariser.summarise(articles)

    def _store(self, tenant: str, made: Mapping[str, str]) -> None:
        rows = [
            {
                "tenant": tenant,
                "content_hash": content_hash,
                "summariser": self.summariser.name,
                "text": text,
                "text_hash": text_hash(text),
            }
            for content_hash, text in sorted(made.items())
        ]
        if rows:
            with self._ledger.transaction() as connection:
                connection.execute(insert(t.summaries).on_conflict_do_nothing(), rows)
