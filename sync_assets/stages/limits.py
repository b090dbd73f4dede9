"""Limits of what one run may compute, checked before it computes anything.

What belongs here: the count and the refusal. Which limits there are is in `settings.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from sync_assets.batches import Batch
from sync_assets.embedding.missing import MissingTexts, Texts
from sync_assets.enrichment import Tokens
from sync_assets.errors import LimitError
from sync_assets.services import Services
from sync_assets.stages import Context, Stream


class Asked(NamedTuple):
    """How many summaries a language model is asked for, and about how many tokens that is."""

    documents: int
    tokens: Tokens


_GO_ON = (
    "Look at `sync-assets plan`; raise the limit, or sync with --no-limits (tag `sync_assets/no_limits` in the UI)."
)


def refuse_beyond_limits(context: Context, chunks: Batch) -> None:
    """Count the texts that the cache lacks, where a limit is set.

    Raises:
        LimitError: naming the limit, and what was found.
    """
    settings = context.services.settings
    if context.no_limits or (settings.max_embedded_texts is None and settings.max_cost is None):
        return
    with context.services.ledger.session() as session:
        found = missing_texts(context, chunks, MissingTexts(session))
    check_limits(context.services, context.stream, found)


def missing_texts(context: Context, chunks: Batch, missing: MissingTexts) -> Texts:
    """Texts of these chunks that the cache lacks, and that `missing` was not told of before."""
    fingerprint = context.services.embedder(context.stream.model).fingerprint.key
    texts = tokens = 0
    for partition, table in chunks.pages():
        found = missing.add(partition.tenant, fingerprint, _tokens_of(table))
        texts, tokens = texts + found.texts, tokens + found.tokens
    return Texts(texts, tokens)


def check_limits(services: Services, stream: Stream, found: Texts, remedy: str = _GO_ON) -> None:
    """Compare what one run would embed of a stream with the limits.

    Args:
        remedy: what the reader can do.

    Raises:
        LimitError: naming the limit, and what was found.
    """
    settings = services.settings
    what = f"{stream.source}/{stream.name}: {found.texts} new texts to embed"
    if settings.max_embedded_texts is not None and found.texts > settings.max_embedded_texts:
        raise LimitError(
            f"{what}, more than SYNC_ASSETS_MAX_EMBEDDED_TEXTS={settings.max_embedded_texts} allows.", remedy
        )
    cost = settings.price(stream.model, found.tokens)
    if settings.max_cost is not None and cost > settings.max_cost:
        raise LimitError(
            f"{what} for {cost:.2f} US dollars, more than SYNC_ASSETS_MAX_COST={settings.max_cost:g} allows.", remedy
        )


def summary_tokens(counts: Mapping[str, int]) -> Tokens:
    """Those that stand among the counts of a stage's report or of a rehearsal."""
    return Tokens(counts.get("summary_tokens_read", 0), counts.get("summary_tokens_written", 0))


def summaries_cost(services: Services, stream: Stream, tokens: Tokens) -> float:
    """US dollars for some tokens of what summarises a stream's documents."""
    settings, options = services.settings, stream.summaries
    model = options.paid_model(settings.llm_model) if options else None
    return settings.llm_price(model, tokens.read, tokens.written)


def check_summaries(services: Services, stream: Stream, found: Asked) -> None:
    """Compare what one run would ask a language model for with the limit of cost.

    Raises:
        LimitError: naming the limit, and what was found.
    """
    settings = services.settings
    cost = summaries_cost(services, stream, found.tokens)
    if settings.max_cost is not None and cost > settings.max_cost:
        raise LimitError(
            f"{stream.source}/{stream.name}: {found.documents} documents to summarise for about {cost:.2f} US dollars, "
            f"more than SYNC_ASSETS_MAX_COST={settings.max_cost:g} allows.",
            _GO_ON,
        )


def _tokens_of(chunks: pa.Table) -> dict[str, int]:
    """Length in tokens of each text of a table of chunks, by content hash."""
    pairs = zip(chunks["content_hash"].to_pylist(), chunks["tokens"].to_pylist(), strict=True)
    return {content_hash: tokens for content_hash, tokens in pairs if content_hash is not None}
