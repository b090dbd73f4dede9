"""Search in each store and mode: how long an answer takes, and whether it is the right one."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from bench.corpus import tickets
from bench.installation import TENANT, Portal, installation
from bench.results import Part, Row
from sync_assets.services import Services
from sync_assets.vector_stores import Audience, Collection, VectorStore
from sync_assets.vector_stores.lexical import AnyWord, ranked, words
from sync_assets_tests.mariadb import running_server

STORES = ("pgvector", "qdrant", "chroma")
MODES = ("dense", "lexical", "hybrid")

_TICKETS = 1_100
_QUESTIONS = 24
_EXACT_QUESTIONS = 10  # an exact search by words reads everything
_FOUND = 10
_MODEL = "wordllama-256"


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row]:
    with running_server() as server:
        portal = Portal(server)
        portal.fill(tickets(max(2, round(_TICKETS * scale))))
        with installation(portal.account, STORES, _MODEL) as home:
            tell("a sync into all stores")
            home.run("sync")
            tell("questions")
            found = home.run("search")[0]
    for row in found["rows"]:
        yield Row(table=f"{found['chunks']:,} chunks, {found['questions']} questions", values=row)


def answers(services: Services) -> dict[str, Any]:
    """Ask each store in each mode; the step `search` of `child.py`."""
    from sync_assets.definitions import streams
    from sync_assets.search import search
    from sync_assets.vector_stores import Audience

    (stream,) = streams()
    audience = Audience(visibility="internal")  # pyright: ignore[reportArgumentType] pydantic reads it
    embedder = services.embedder(stream.model)
    rows: list[dict[str, Any]] = []
    registered = {name: services.ledger.active_collection(name, stream.collection) for name in STORES}
    collections = {name: one.collection for name, one in registered.items() if one is not None}
    everything = _Everything(services.store(STORES[0]), collections[STORES[0]])  # chunk ids are the same in all
    questions = everything.questions()
    texts = [text for _, text in questions]
    for name in STORES:
        store = services.store(name)
        for mode in MODES:
            seconds: list[float] = []
            own = 0
            for record_id, text in questions:
                begun = time.perf_counter()
                found = search(services, text, tenant=TENANT, audience=audience, mode=mode, top_k=_FOUND, store=name)
                seconds.append(time.perf_counter() - begun)
                own += record_id in {one.record_id for one in found}
            right = None
            if mode == "dense":
                right = everything.share_of_nearest(store, collections[name], audience, embedder.embed(texts))
            elif mode == "lexical":
                right = everything.share_of_best(store, collections[name], audience, texts[:_EXACT_QUESTIONS])
            rows.append(
                {
                    "store": f"{name}, {mode}",
                    "median ms": 1000 * float(np.median(seconds)),
                    "95 % within ms": 1000 * float(np.quantile(seconds, 0.95)),
                    "first ten as an exact search": right,
                    "own ticket in the first ten": own / len(questions),
                }
            )
    return {"chunks": len(everything.ids), "questions": len(questions), "rows": rows}


class _Everything:
    """All points of the tenant in memory, for exact answers."""

    def __init__(self, store: VectorStore, collection: Collection) -> None:
        points = sorted(store.scan_points(collection, TENANT), key=lambda point: point.chunk_id)
        self.ids = [point.chunk_id for point in points]
        self._vectors = np.stack([point.vector for point in points if point.vector is not None])
        self._texts = {one.chunk_id: (str(one.payload["title"]), str(one.payload["text"])) for one in points}
        self._records = {point.chunk_id: str(point.payload["record_id"]) for point in points}
        self._having: dict[str, set[str]] = {}
        for chunk_id, both in self._texts.items():
            for word in {*words(both[0]), *words(both[1])}:
                self._having.setdefault(word, set()).add(chunk_id)

    def questions(self) -> list[tuple[str, str]]:
        """A record id, and a sentence of one of its texts."""
        long = [one for one in self.ids if self._texts[one][1].count(". ") > 1]
        chosen = long[:: max(1, len(long) // _QUESTIONS)][:_QUESTIONS]
        return [(self._records[one], self._texts[one][1].split(". ")[1]) for one in chosen]

    def share_of_nearest(
        self, store: VectorStore, collection: Collection, audience: Audience, asked: np.ndarray
    ) -> float:
        """Of the ten nearest points the share that the store finds, mean of all questions."""
        shares = []
        for vector in asked:
            scores = self._vectors @ vector
            nearest = {self.ids[place] for place in np.argsort(-scores, kind="stable")[:_FOUND]}
            found = store.search(collection, TENANT, audience, vector, _FOUND)
            shares.append(len(nearest & {hit.chunk_id for hit in found}) / len(nearest))
        return float(np.mean(shares))

    def share_of_best(
        self, store: VectorStore, collection: Collection, audience: Audience, asked: Sequence[str]
    ) -> float:
        """Of the ten best points by words, of all that have any of them, the share that the store finds."""
        shares = []
        for text in asked:
            best = self._best(text)
            found = store.search_text(collection, TENANT, audience, text, _FOUND)
            shares.append(len(best & {hit.chunk_id for hit in found.hits}) / len(best))
        return float(np.mean(shares))

    @cache  # noqa: B019 there is one of these
    def _best(self, text: str) -> frozenset[str]:
        return frozenset(one.chunk_id for one in ranked(text, self, len(self.ids))[0][:_FOUND])

    def count(self, groups: Sequence[AnyWord]) -> int:
        return len(self._with(groups))

    def texts(self, groups: Sequence[AnyWord], limit: int) -> Iterable[tuple[str, str, str]]:
        return [(one, *self._texts[one]) for one in sorted(self._with(groups))[:limit]]

    def _with(self, groups: Sequence[AnyWord]) -> set[str]:
        found = set(self.ids)
        for group in groups:
            found &= set().union(*(self._having.get(word, set()) for word in group))
        return found


PART = Part(
    "search",
    "Search",
    """
Tickets synced into all three stores with the static model `wordllama-256`; each question is a sentence of one of them.
Milliseconds are those of `sync_assets.search`, from the question to ten documents with their highlights, one question
after the other. An exact search compares the question with every point; by words it scores every text that has one of
them, for the first 10 questions. How good the answers are on questions as people ask them is another matter: see
[search.md](search.md).
""",
    measure,
)
