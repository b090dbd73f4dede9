"""What was derived from a text once is never asked for again, whoever derives it: the order of looking up and asking.

What belongs here: batches, and when to give up. The tables are in `enricher.py` and `summariser.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from sync_assets.enrichment import Article, EnrichmentError, ExtractorUnreachable

Made = TypeVar("Made")

# Times in a row that nobody could be reached after which nobody is asked again in the same run.
_GIVE_UP_AFTER = 3


class AskedOnce(ABC, Generic[Made]):
    """A table of what was made of texts, and asking for what it lacks.

    Keyed by tenant and by everything that whoever derives it is given, so that equal texts, renamed ids and repeated
    runs cost nothing. Two processes that lack the same text at the same moment both ask; the first answer that is
    stored stands for both.

    Args:
        at_once: how many articles are asked for between two commits.

    Attributes:
        made: how many were asked for and answered so far.
    """

    def __init__(self, at_once: int) -> None:
        self.made = 0
        self._at_once = at_once
        self._failures = 0
        self._last: EnrichmentError | None = None

    @abstractmethod
    def known(self, tenant: str, hashes: Sequence[str]) -> dict[str, Made]:
        """What is stored by `Article.content_hash`, of those that have something; asks nobody."""

    @abstractmethod
    def _ask(self, articles: Sequence[Article]) -> list[Made | EnrichmentError]:
        """What is made of each article, or why nothing is, in their order."""

    @abstractmethod
    def _store(self, tenant: str, made: Mapping[str, Made]) -> None:
        """Add by content hash, durable on return; what is there already stays."""

    def enrich(self, tenant: str, articles: Sequence[Article]) -> tuple[dict[str, Made], dict[str, EnrichmentError]]:
        """What is made of all articles by content hash, stored batch by batch; and why of others nothing is."""
        by_hash = {article.content_hash: article for article in articles}
        found = self.known(tenant, list(by_hash))
        missing = [content_hash for content_hash in by_hash if content_hash not in found]
        failed: dict[str, EnrichmentError] = {}
        for start in range(0, len(missing), self._at_once):
            batch = missing[start : start + self._at_once]
            if self._failures >= _GIVE_UP_AFTER:
                failed.update(dict.fromkeys(batch, self._gave_up()))
                continue
            new: dict[str, Made] = {}
            for content_hash, result in zip(batch, self._ask([by_hash[one] for one in batch]), strict=True):
                self._failures = self._failures + 1 if isinstance(result, ExtractorUnreachable) else 0
                if isinstance(result, EnrichmentError):
                    failed[content_hash] = self._last = result
                else:
                    new[content_hash] = result
            self._store(tenant, new)
            self.made += len(new)
            # Another process may have been first: what is stored stands. A rehearsal stores nothing.
            found |= new | self.known(tenant, list(new))
        return found, failed

    def _gave_up(self) -> ExtractorUnreachable:
        told, remedy = (f" {self._last.message}", self._last.remedy) if self._last else ("", "")
        return ExtractorUnreachable(f"Not asked after {self._failures} failures in a row.{told}", remedy)
