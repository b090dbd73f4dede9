"""Texts to try a model on: a tenant's own where it has any in a store, else the demo company's.

What belongs here: the choice of texts and questions. What is done with them is in `quality.py`.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from sync_assets.embedding import Tokenizer
from sync_assets.errors import SettingsError
from sync_assets.golden import golden_set
from sync_assets.hashing import text_hash
from sync_assets.services import Services

_QUESTIONS = 100
_QUESTION_WORDS = 10
_LEAST_TEXTS, _LEAST_QUESTIONS = 20, 20

# Of a large tenant only so many are looked at.
_LOOKED_AT = 20_000


class Sample(NamedTuple):
    """Texts, and questions about them; `origin` says in words whose they are."""

    origin: str
    texts: list[str]
    questions: list[str]


def sample(services: Services, tokenizer: Tokenizer, max_tokens: int, tenant: str | None, size: int) -> Sample:
    """Texts that a model reads whole, the same ones in each call while nothing changes.

    Args:
        tenant: whose stored chunks; where none is named, the demo company's tickets and articles.
        size: most texts.

    Raises:
        SettingsError: the tenant is unknown, or has too few texts in the stores; golden.yaml has a mistake.
        GraphError: the graph, which tells what resolved tickets asked, is out of reach.
    """
    if tenant is None:
        return _demo(tokenizer, max_tokens, size)
    if tenant not in (known := services.tenants.names()):
        raise SettingsError(f"Unknown tenant {tenant!r}.", f"Known are: {', '.join(known) or 'none'}.")
    texts = _chosen(_cut(islice(_stored(services, tenant), _LOOKED_AT), tokenizer, max_tokens), size)
    if len(texts) < _LEAST_TEXTS:
        raise SettingsError(
            f"Tenant {tenant!r} has {len(texts)} texts in the stores, fewer than {_LEAST_TEXTS}.",
            "Sync it first, or leave --tenant away to check with the demo company's texts.",
        )
    asked = [question.text for question in golden_set(services, tenant)][:_QUESTIONS]
    return Sample(f"tenant {tenant}", texts, asked if len(asked) >= _LEAST_QUESTIONS else _made_up(texts))


def _stored(services: Services, tenant: str) -> Iterator[str]:
    """Texts of a tenant's points, from every active collection."""
    for registered, _ in services.ledger.collections_of(tenant):
        for point in services.store(registered.store).scan_points(registered.collection, tenant):
            text = point.payload.get("text")
            if isinstance(text, str) and text.strip():
                yield text


def _demo(tokenizer: Tokenizer, max_tokens: int, size: int) -> Sample:
    from sync_assets.demo.company import QUESTIONS, TENANTS, DemoCompany
    from sync_assets.text import to_markdown

    company = DemoCompany()
    bodies = [
        to_markdown(record["description"])
        for tenant in TENANTS
        for stream in ("tickets", "articles")
        for _, record in company.records(tenant, stream)
    ]
    texts = _chosen(_cut(bodies, tokenizer, max_tokens), size)
    return Sample("the demo company", texts, [question.text for question in QUESTIONS][:_QUESTIONS])


def _cut(texts: Iterable[str], tokenizer: Tokenizer, max_tokens: int) -> Iterator[str]:
    """Texts, those that are too long in pieces, with room to spare: alone a piece may have more tokens."""
    for text in texts:
        spans = tokenizer.offsets(text)
        longest = max_tokens if len(spans) <= max_tokens else max_tokens * 9 // 10
        for start in range(0, len(spans), longest):
            piece = spans[start : start + longest]
            yield text[piece[0][0] : piece[-1][1]]


def _chosen(texts: Iterable[str], size: int) -> list[str]:
    """Some of the texts by their hashes, each once: another text more or less changes one of them."""
    by_hash = heapq.nsmallest(size, {text_hash(text): text for text in texts}.items())
    return [text for _, text in by_hash]


def _made_up(texts: Sequence[str]) -> list[str]:
    """Questions where the golden set has too few: the words in the middle of some texts."""
    questions: list[str] = []
    for text in texts[:: max(1, len(texts) // _QUESTIONS)][:_QUESTIONS]:
        words = text.split()
        start = max(0, (len(words) - _QUESTION_WORDS) // 2)
        questions.append(" ".join(words[start : start + _QUESTION_WORDS]))
    return questions
