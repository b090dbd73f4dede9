"""What a search answers: one contract for Python, the command line and the HTTP API.

What belongs here: the models and the limits of an answer. What does not: how they are filled.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sync_assets.vector_stores import Hit

Mode = Literal["hybrid", "dense", "lexical"]

MAX_TOP_K = 100


class Highlight(BaseModel):
    """A part of a chunk's text that answers the question.

    Attributes:
        text: as it stands in the chunk.
        start: where it begins in the chunk's text, in characters.
        spans: first character and the one after the last of each word of the question, counted in `text`.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    start: int
    spans: list[tuple[int, int]]


class Passage(BaseModel):
    """Another chunk of a document that was found too.

    Attributes:
        score: 0..1, within the document: how much of the best score of each mode it has.
    """

    model_config = ConfigDict(frozen=True)

    chunk_id: str
    path: str
    role: str
    text: str
    score: float


class Neighbour(BaseModel):
    """A chunk that stands before or after the best one in its document.

    Attributes:
        offset: places from the best chunk; -1 is the one before it.
    """

    model_config = ConfigDict(frozen=True)

    offset: int
    chunk_id: str
    path: str
    role: str
    text: str


class RelatedDocument(BaseModel):
    """A ticket or an article that is near to a result in the knowledge graph.

    Attributes:
        kind: `ticket` or `article`.
        url: where a person can open it; None where that is not known.
        score: (0, 1], how likely it is that they have to do with each other.
        sentence: the likeliest path between them, in words.
    """

    model_config = ConfigDict(frozen=True)

    document_id: str
    kind: str
    name: str
    url: str | None
    score: float
    sentence: str


class Result(Hit):
    """A document, with its best chunk in the fields of `Hit`.

    Attributes:
        score: 0..1, what the order follows: the fused scores, with recency, feedback or the reranker where asked for.
            Comparable within one answer only.
        scores: the signals that it is made of, by name: `dense` is a cosine (-1..1), `lexical` a BM25 score (from 0),
            each of the document's best chunk in that mode; `rerank`, `recency` and `feedback` are 0..1. A signal that
            says nothing of the document is missing.
        store: the vector store that answered.
        modified_at: when the document was last changed upstream; None where that is not known.
        more: its other chunks that were found, best first.
        neighbours: chunks around the best one, in the document's order.
    """

    scores: dict[str, float]
    store: str
    modified_at: datetime | None
    highlights: list[Highlight]
    more: list[Passage] = []
    neighbours: list[Neighbour] = []
    related: list[RelatedDocument] = []
