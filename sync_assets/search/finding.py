"""The steps of a search: ask, fuse, weigh, choose, explain.

What belongs here: their order, and the limits of a question. Each step is a module beside this one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from sync_assets.errors import SettingsError
from sync_assets.ledger import AppliedDocument, RegisteredCollection
from sync_assets.search import context, signals
from sync_assets.search.candidates import Candidate, Question, gather, relevance
from sync_assets.search.fusion import USUAL
from sync_assets.search.highlights import highlights
from sync_assets.search.places import places
from sync_assets.search.reranking import reranked
from sync_assets.search.results import MAX_TOP_K, Mode, Passage, Result
from sync_assets.services import Services
from sync_assets.vector_stores import Audience
from sync_assets.vector_stores.matching import AnyOf

_MOST_CHARACTERS = 2_000
_MOST_NEIGHBOURS = 10
_MORE = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Weighed(NamedTuple):
    """A candidate with its score, the signals behind it, and when it was changed."""

    candidate: Candidate
    score: float
    signals: dict[str, float]
    modified_at: datetime | None


def search(
    services: Services,
    text: str,
    *,
    tenant: str,
    audience: Audience,
    mode: Mode = "hybrid",
    top_k: int = 5,
    source: str | None = None,
    store: str | None = None,
    filters: Mapping[str, Any] | None = None,
    rerank: bool = False,
    recency: float = 0.0,
    half_life_days: float = signals.HALF_LIFE_DAYS,
    feedback: float = 0.0,
    expand: bool = False,
    neighbours: int = 0,
) -> list[Result]:
    """The documents of a tenant that answer a text best, each by its best chunk; `top_k` when that many exist.

    Recency, feedback and the reranker put the 50 most relevant documents (or `top_k`) into another order; they find
    no other ones.

    Args:
        audience: on whose behalf; there is no search without one.
        mode: `dense` compares meanings, `lexical` looks for the words, `hybrid` does both.
        top_k: 1..100.
        store: which vector store answers; where none is named, the first for each stream.
        filters: see `VectorStore.search`; `modified_at` is the time of the last change in every source; what carries
            none (GitLab's files and wikis) is not found by it.
        rerank: let the cross-encoder of the settings say how relevant a document is.
        recency, feedback: shares of the score, 0..1, that are not relevance: how new the document is, and how surely
            it has helped others.
        half_life_days: after so many days without a change recency is half.
        expand: add what is near in the knowledge graph.
        neighbours: how many chunks before and after the best one to add, 0..10.

    Raises:
        SettingsError: nothing of the tenant is in any store, or not in the one that was named; tenant, source or mode
            are unknown; the question is empty or too long; a number is out of its range; no reranker is set.
        FingerprintMismatch: a collection's model is not what its name opens now.
    """
    _check(text, mode, top_k, neighbours)
    weights = _weights(recency, feedback, half_life_days)
    reorders = rerank or weights.relevance < 1
    question = Question(text, tenant, audience, mode, max(USUAL, top_k) if reorders else top_k)
    found = gather(services, question, places(services, tenant, source, store, _reusable(filters or {})))
    pool = dict(sorted(found.items(), key=lambda item: (-item[1].relevance, item[0]))[: question.documents])
    known = context.applied(services, tenant, pool)
    weighed = _weigh(services, text, pool, known, weights, rerank)
    chosen = sorted(weighed.items(), key=lambda item: (-item[1].score, item[0]))[:top_k]
    near = context.related(services, question, [document_id for document_id, _ in chosen]) if expand else {}
    results = []
    for document_id, one in chosen:
        order = list(known[document_id].chunks) if document_id in known else []
        beside = context.neighbours(services, question, one.candidate, order, neighbours) if neighbours else []
        more = {"neighbours": beside, "related": near.get(document_id, [])}
        results.append(_result(text, one).model_copy(update=more))
    return results


def rank(
    services: Services,
    text: str,
    *,
    tenant: str,
    audience: Audience,
    store: str,
    top_k: int,
    instead: Mapping[int, RegisteredCollection],
) -> dict[Mode, list[str]]:
    """The ids of the documents that `search` finds in a store, best first, in each mode: of one look into the store.

    Args:
        instead: collections that answer in place of active ones, by the active one's number: how it would be after a
            switch.

    Raises:
        As `search`.
    """
    _check(text, "hybrid", top_k, 0)
    asked = [
        one._replace(registered=instead.get(one.registered.id, one.registered))
        for one in places(services, tenant, None, store, {})
    ]
    found = gather(services, Question(text, tenant, audience, "hybrid", top_k), asked)
    orders: dict[Mode, list[str]] = {}
    for mode in get_args(Mode):
        scores = relevance(found, mode)
        orders[mode] = sorted(scores, key=lambda one, scores=scores: (-scores[one], one))[:top_k]
    return orders


def _check(text: str, mode: str, top_k: int, neighbours: int) -> None:
    if not text.strip():
        raise SettingsError("The question is empty.", "Ask in words.")
    if mode not in get_args(Mode):
        raise SettingsError(f"Unknown mode {mode!r}.", f"Known are: {', '.join(get_args(Mode))}.")
    if mode != "dense" and len(text) > _MOST_CHARACTERS:
        raise SettingsError(
            f"The question has {len(text)} characters; {_MOST_CHARACTERS} are looked up as words.", "Ask a shorter one."
        )
    if not 1 <= top_k <= MAX_TOP_K:
        raise SettingsError(f"{top_k} documents were asked for.", f"Ask for 1 to {MAX_TOP_K}.")
    if not 0 <= neighbours <= _MOST_NEIGHBOURS:
        raise SettingsError(f"{neighbours} neighbours were asked for.", f"Ask for 0 to {_MOST_NEIGHBOURS}.")


def _weights(recency: float, feedback: float, half_life_days: float) -> signals.Weights:
    try:
        return signals.Weights(recency=recency, feedback=feedback, half_life_days=half_life_days)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"]) or "recency and feedback"
        raise SettingsError(
            f"{name}: {problem['msg']}.",
            "Shares of the score are 0 to 1, together at most 1; a half-life is more than 0 days.",
        ) from None


def _reusable(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filters, whose values are read once for each collection."""
    return {name: AnyOf(tuple(value.values)) if isinstance(value, AnyOf) else value for name, value in filters.items()}


def _weigh(
    services: Services,
    text: str,
    pool: Mapping[str, Candidate],
    known: Mapping[str, AppliedDocument],
    weights: signals.Weights,
    rerank: bool,
) -> dict[str, _Weighed]:
    """The candidates with their final scores, by document id."""
    now = datetime.now(UTC)
    relevance = [candidate.relevance for candidate in pool.values()]
    if rerank:
        texts = [f"{hit.title}\n{hit.text}" for hit in (candidate.best for candidate in pool.values())]
        relevance = reranked(services.settings, text, texts)
    weighed = {}
    for (document_id, candidate), relevant in zip(pool.items(), relevance, strict=True):
        changed = known[document_id].standing.modified_at if document_id in known else _EPOCH
        found = {**candidate.scores, **({"rerank": relevant} if rerank else {})}
        if weights.recency and changed > _EPOCH:
            found["recency"] = signals.recency(changed, now, weights.half_life_days)
        if weights.feedback:
            found["feedback"] = signals.feedback(candidate.best.metadata)
        score = weights.relevance * relevant
        score += weights.recency * found.get("recency", 0.0) + weights.feedback * found.get("feedback", 0.0)
        weighed[document_id] = _Weighed(candidate, score, found, changed if changed > _EPOCH else None)
    return weighed


def _result(text: str, weighed: _Weighed) -> Result:
    (best, _), *others = weighed.candidate.ranked()
    return Result(
        **best.model_dump(exclude={"score"}),
        score=weighed.score,
        scores=weighed.signals,
        store=weighed.candidate.registered.store,
        modified_at=weighed.modified_at,
        highlights=highlights(text, best.text),
        more=[
            Passage(chunk_id=hit.chunk_id, path=hit.path, role=hit.role, text=hit.text, score=score)
            for hit, score in others[:_MORE]
        ],
    )
