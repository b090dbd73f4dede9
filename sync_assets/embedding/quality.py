"""Whether a model in another precision still finds what it finds in float32.

What belongs here: the measures and their limits. Which texts are taken is in `sampling.py`, where a check is kept in
`ledger/model_checks.py`.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from sync_assets.embedding import Embedder

LEAST_OVERLAP = 0.97
LEAST_COSINE = 0.99

_FOUND = 10
_AT_ONCE = 128


class Comparison(BaseModel):
    """A model in one precision against float32, on the same texts.

    Attributes:
        texts: how many were embedded with both; `questions` likewise.
        overlap: share of the ten texts nearest to a question that are the same in both, 0..1, mean of all questions.
        mean_cosine: between the two vectors of a text, likewise `min_cosine` for the worst one.
        speed: texts embedded in a second; `exact_speed` in float32.
    """

    model_config = ConfigDict(frozen=True)

    texts: int
    questions: int
    overlap: float
    mean_cosine: float
    min_cosine: float
    speed: float
    exact_speed: float

    @property
    def passed(self) -> bool:
        return self.overlap >= LEAST_OVERLAP and self.mean_cosine >= LEAST_COSINE


def compare(
    exact: Embedder,
    other: Embedder,
    texts: Sequence[str],
    questions: Sequence[str],
    on_progress: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Embed texts and questions with both models, and compare what they find.

    Args:
        texts: more than ten, no longer than the models read.
        on_progress: called with the number of texts that are done, of twice their number.

    Raises:
        EmbeddingError: a model can't be loaded, or fails.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    speeds: list[float] = []
    for place, embedder in enumerate((exact, other)):
        embedder.embed(texts[:1])  # loads the model
        started = time.monotonic()
        vectors: list[np.ndarray] = []
        for start in range(0, len(texts), _AT_ONCE):
            vectors.append(embedder.embed(texts[start : start + _AT_ONCE]))
            on_progress(place * len(texts) + min(start + _AT_ONCE, len(texts)))
        speeds.append(len(texts) / (time.monotonic() - started))
        matrix = np.concatenate(vectors)
        asked = embedder.embed(questions)  # models with several precisions embed questions as they do texts
        found.append((matrix, np.argsort(-(asked @ matrix.T), axis=1)[:, :_FOUND]))
    (exact_vectors, exact_found), (other_vectors, other_found) = found
    same = [len(set(ours) & set(theirs)) for ours, theirs in zip(exact_found, other_found, strict=True)]
    cosines = np.sum(exact_vectors * other_vectors, axis=1)
    return Comparison(
        texts=len(texts),
        questions=len(questions),
        overlap=float(np.mean(same)) / _FOUND,
        mean_cosine=float(cosines.mean()),
        min_cosine=float(cosines.min()),
        speed=speeds[1],
        exact_speed=speeds[0],
    )
