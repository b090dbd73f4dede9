"""The similarity from which two documents count as alike, for each installed model, from labelled pairs of the demo.

What belongs here: scores of the pairs and the threshold that they give. What does not: what is found in texts
(`graph.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bench.graph_labels import LabelledPair, read_pairs
from bench.results import Part, Row
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.demo.company import DemoCompany
from sync_assets.documents import Document
from sync_assets.embedding import Embedder, open_embedder
from sync_assets.graph.similarity import ROLES, THRESHOLDS, rounded
from sync_assets.sources.freshdesk_documents import ticket_document

MODELS = ("all-MiniLM-L6-v2", "wordllama-256")
PRECISION = 0.95
_TABLE = "Similar documents"


class Threshold(NamedTuple):
    """The smallest similarity that is precise enough on the pairs.

    Attributes:
        value: from -1 to 1; above 1 where no similarity is precise enough.
    """

    value: float
    precision: float
    recall: float


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row]:
    """All pairs, whatever the scale: they are few."""
    pairs = read_pairs()
    documents = _documents(pairs)
    for model in MODELS:
        vectors = _vectors(open_embedder(model), documents)
        best = threshold([_cosine(vectors, pair) for pair in pairs], [pair.similar for pair in pairs])
        values = {"model": model, "pairs": len(pairs), "similar": sum(pair.similar for pair in pairs)}
        values |= {"threshold": best.value, "in use": THRESHOLDS[model]}
        yield Row(table=_TABLE, values={**values, "precision": best.precision, "recall": best.recall})


def threshold(scores: Sequence[float], similar: Sequence[bool]) -> Threshold:
    """The smallest of the scores from which on pairs are similar with the precision wanted.

    Args:
        scores: similarity of each pair.
        similar: whether it is labelled so.
    """
    for value in sorted(scores):
        chosen = [label for score, label in zip(scores, similar, strict=True) if score >= value]
        if sum(chosen) >= PRECISION * len(chosen):
            return Threshold(value, sum(chosen) / len(chosen), sum(chosen) / sum(similar))
    return Threshold(float("inf"), 1.0, 0.0)


def _documents(pairs: Sequence[LabelledPair]) -> dict[tuple[str, str], Document]:
    """The documents of all pairs by tenant and record id.

    Raises:
        KeyError: a pair names a record that the demo does not have.
    """
    company = DemoCompany()
    documents = dict[tuple[str, str], Document]()
    for tenant in {pair.tenant for pair in pairs}:
        records = dict(company.records(tenant, "tickets"))
        for record_id in {one for pair in pairs if pair.tenant == tenant for one in pair.record_ids}:
            url = f"https://{tenant}.example"
            ticket = records[record_id]
            payload = {"ticket": ticket, "conversations": ticket["conversations"]}
            documents[tenant, record_id] = ticket_document(tenant, url, record_id, payload)
    return documents


def _vectors(embedder: Embedder, documents: dict[tuple[str, str], Document]) -> dict[tuple[str, str], np.ndarray]:
    """The mean of a document's first chunks that all its readers may see, as the tenant's similarity step makes it."""
    limits = ChunkLimits(max_tokens=embedder.fingerprint.max_tokens)
    vectors = dict[tuple[str, str], np.ndarray]()
    for key, document in documents.items():
        chunks = chunk_document(document, embedder.tokenizer, limits)
        texts = [chunk.text for chunk in chunks if chunk.role in ROLES and chunk.visibility == document.visibility]
        vectors[key] = rounded(embedder.embed(texts).mean(axis=0))
    return vectors


def _cosine(vectors: dict[tuple[str, str], np.ndarray], pair: LabelledPair) -> float:
    first, second = (vectors[pair.tenant, record_id] for record_id in pair.record_ids)
    return float(first @ second)


PART = Part(
    "similarity",
    "Similarity of documents",
    """
The smallest similarity from which on labelled pairs of the demo's tickets are alike with a precision of 0.95, and the
one that the graph uses.
""",
    measure,
)
