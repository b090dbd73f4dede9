"""Keywords and summaries, given to a page's documents before they are compared with the ledger.

A document that lacks one goes on without, with the reason. What is derived and stored is in `enrichment/`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sync_assets.batches import Partition
from sync_assets.documents import Document
from sync_assets.enrichment import Article, EnrichmentError, Tokens, article_of, enriched
from sync_assets.enrichment.summaries import Summarised, cleaned, to_summarise, with_summary
from sync_assets.stages import Context, Report
from sync_assets.stages.limits import Asked, check_summaries

if TYPE_CHECKING:
    from sync_assets.enrichment.enricher import Enricher
    from sync_assets.enrichment.summariser import KeptSummaries

Documents = dict[str, Document | None]


@contextmanager
def open_enriching(context: Context) -> Iterator["Enriching"]:
    """What derives the keywords and summaries that the stream has, for one run."""
    with ExitStack() as stack:
        enricher = summaries = None
        if context.stream.keywords:
            from sync_assets.enrichment.enricher import open_enricher

            enricher = stack.enter_context(open_enricher(context.services))
        if context.stream.summaries is not None:
            from sync_assets.enrichment.summariser import open_kept_summaries

            summaries = stack.enter_context(open_kept_summaries(context.services, context.stream.summaries))
        yield Enriching(context, enricher, summaries)


class Enriching:
    """Keywords and summaries of one run; those that the stream does not have are None."""

    def __init__(self, context: Context, enricher: "Enricher | None", summaries: "KeptSummaries | None") -> None:
        self._context = context
        self._enricher = enricher
        self._summaries = summaries
        self._expected = Asked(0, Tokens())
        self._counted: set[tuple[str, str]] = set()

    @property
    def summarises(self) -> bool:
        return self._summaries is not None

    @property
    def is_limited(self) -> bool:
        """Whether summaries cost money, and not more than so much of it may be spent."""
        context = self._context
        limited = not context.no_limits and context.services.settings.max_cost is not None
        return limited and self.summarises and context.spared is None and self._asks_a_vendor

    def enrich(
        self, partition: Partition, documents: Documents, stale: Collection[str], report: Report
    ) -> dict[str, str]:
        """Give a page's documents their keywords and summaries; reasons by record id for those that stay without.

        Args:
            stale: record ids of what is older than the ledger's version, which is not summarised.
        """
        return self._add_keywords(partition.tenant, documents) | self._add_summaries(
            partition, documents, stale, report
        )

    def expect(self, tenant: str, documents: Documents, stale: Collection[str]) -> None:
        """Count what of a page is to be summarised anew, and ask nobody."""
        if self._summaries is not None:
            articles = self._articles(self._wanted(documents, stale))
            self._count(tenant, articles, self._summaries.known(tenant, list(articles)))

    def refuse_beyond_limits(self) -> None:
        """Compare what was expected with the limits.

        Raises:
            LimitError: naming the limit, and what was found.
        """
        check_summaries(self._context.services, self._context.stream, self._expected)

    @property
    def _asks_a_vendor(self) -> bool:
        options = self._context.stream.summaries
        return options is not None and options.kind != "extractive"

    def _add_keywords(self, tenant: str, documents: Documents) -> dict[str, str]:
        enricher, spared = self._enricher, self._context.spared
        if enricher is None:
            return {}
        articles = {one: article_of(document) for one, document in documents.items() if document is not None}
        if spared is None:
            found, failed = enricher.enrich(tenant, list(articles.values()))
        else:
            hashes = {article.content_hash for article in articles.values()}
            found, failed = enricher.known(tenant, list(hashes)), {}
            spared["keywords"] += len(hashes - found.keys())
        reasons: dict[str, str] = {}
        for record_id, article in articles.items():
            document, key = documents[record_id], article.content_hash
            if key in failed:
                reasons[record_id] = str(failed[key])
            elif document is not None and key in found:
                documents[record_id] = enriched(document, found[key])
        return reasons

    def _add_summaries(
        self, partition: Partition, documents: Documents, stale: Collection[str], report: Report
    ) -> dict[str, str]:
        if self._summaries is None:
            return {}
        wanted = self._wanted(documents, stale)
        found, failed = self._texts(self._summaries, partition, self._articles(wanted), report)
        reasons: dict[str, str] = {}
        for record_id, of in wanted.items():
            document, key = documents[record_id], of.article.content_hash
            if key in failed:
                reasons[record_id] = str(failed[key])
            elif document is not None and found[key]:
                documents[record_id] = with_summary(document, of, found[key], self._summaries.summariser.name)
        return reasons

    def _wanted(self, documents: Documents, stale: Collection[str]) -> dict[str, Summarised]:
        """What is to be summarised of a page's documents, by record id."""
        options = self._context.stream.summaries
        assert options is not None  # noqa: S101 there are summaries
        found = {
            record_id: to_summarise(document, options.max_characters)
            for record_id, document in documents.items()
            if document is not None and record_id not in stale
        }
        return {record_id: of for record_id, of in found.items() if of is not None}

    def _articles(self, wanted: Mapping[str, Summarised]) -> dict[str, Article]:
        return {of.article.content_hash: of.article for of in wanted.values()}

    def _texts(
        self, summaries: "KeptSummaries", partition: Partition, articles: Mapping[str, Article], report: Report
    ) -> tuple[dict[str, str], dict[str, EnrichmentError]]:
        """Summaries by content hash, and why there are none of some."""
        if self._context.spared is not None and self._asks_a_vendor:
            return self._rehearsed(summaries, partition.tenant, articles), {}
        made, billed = summaries.made, summaries.summariser.billed
        found, failed = summaries.enrich(partition.tenant, list(articles.values()))
        made, billed = summaries.made - made, summaries.summariser.billed - billed
        report.count(partition, "summarised", made)
        report.count(partition, "summaries_reused", len(found) - made)
        report.count(partition, "summary_tokens_read", billed.read)
        report.count(partition, "summary_tokens_written", billed.written)
        return found, failed

    def _rehearsed(self, summaries: "KeptSummaries", tenant: str, articles: Mapping[str, Article]) -> dict[str, str]:
        """In the place of those that would be asked for stands the beginning of the text, as long as they may be."""
        known = summaries.known(tenant, list(articles))
        self._count(tenant, articles, known)
        longest = summaries.summariser.max_characters
        # With its hash no such text is one that was embedded before.
        return {key: f"{key} {cleaned(article.text)}"[:longest] for key, article in articles.items()} | known

    def _count(self, tenant: str, articles: Mapping[str, Article], known: Mapping[str, str]) -> None:
        """Count those that are not known, each once in a run."""
        assert self._summaries is not None  # noqa: S101 there are summaries
        for key, article in articles.items():
            if key in known or (tenant, key) in self._counted:
                continue
            self._counted.add((tenant, key))
            asked = Asked(1, self._summaries.summariser.estimate(article))
            self._expected = Asked(self._expected.documents + 1, self._expected.tokens + asked.tokens)
            if self._context.spared is not None:
                self._context.spared.update(
                    summaries=1, summary_tokens_read=asked.tokens.read, summary_tokens_written=asked.tokens.written
                )
