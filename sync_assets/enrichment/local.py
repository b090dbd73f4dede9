"""Keywords without a model: the YAKE library, which ranks phrases by statistics of the text itself.

The same text gives the same keywords. The library is imported by the first text.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sync_assets.enrichment import MOST_KEYWORDS, Article, EnrichmentError

_WORDS_A_PHRASE = 2
_ANY_LANGUAGE = "en"
# Where two phrases are this alike, the better one stands for both.
_ALIKE = 0.6


class LocalExtractor:
    """See `enrichment.Extractor`."""

    name = "local"
    at_once = 256

    def extract(self, articles: Sequence[Article]) -> list[list[str] | EnrichmentError]:
        return [self._keywords(article) for article in articles]

    def close(self) -> None: ...

    def _keywords(self, article: Article) -> list[str]:
        extractor = _extractor(article.language.lower().replace("_", "-").partition("-")[0] or _ANY_LANGUAGE)
        ranked = extractor.extract_keywords(f"{article.title}.\n\n{article.text}")
        return [phrase for phrase, _ in ranked][:MOST_KEYWORDS]


@cache
def _extractor(language: str) -> Any:
    """The extractor of a language; one that the library has no stop words for is read without any."""
    import yake

    return yake.KeywordExtractor(lan=language, n=_WORDS_A_PHRASE, dedupLim=_ALIKE, top=MOST_KEYWORDS)
