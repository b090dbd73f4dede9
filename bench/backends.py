"""Models and precisions that run here: texts in a second, and what they still find of what float32 finds."""

import time
from collections.abc import Callable, Iterator, Sequence

from bench.corpus import tickets
from bench.results import Bound, Part, Row
from sync_assets.embedding import open_embedder
from sync_assets.embedding.quality import LEAST_OVERLAP, compare

_TICKETS = 60
_QUESTIONS = 100
_TABLE = "Models and precisions"
_MODEL = "all-MiniLM-L6-v2"
_STATIC = "wordllama-256"


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    texts = [text for ticket in tickets(max(4, round(_TICKETS * scale))) for text in ticket.paragraphs]
    # A question is a sentence of a text: what the model finds is compared, not whether that is right.
    questions = [text.split(". ")[1] for text in texts[:: max(1, len(texts) // _QUESTIONS)]]
    tell(f"{len(texts)} texts in float32 and in bfloat16")
    seen = compare(open_embedder(_MODEL), open_embedder(f"{_MODEL}@bfloat16"), texts, questions)
    yield _row(f"{_MODEL}, float32", seen.exact_speed, seen.exact_speed, 1.0, 1.0)
    yield _row(f"{_MODEL}, bfloat16", seen.speed, seen.exact_speed, seen.overlap, seen.mean_cosine)
    yield Bound(
        claim="share of the first ten that bfloat16 finds as float32 does",
        limit=LEAST_OVERLAP,
        measured=seen.overlap,
        at_least=True,
    )
    tell(f"{len(texts)} texts with {_STATIC}")
    yield _row(_STATIC, _speed(_STATIC, texts), seen.exact_speed, None, None)


def _speed(model: str, texts: Sequence[str]) -> float:
    embedder = open_embedder(model)
    embedder.embed(texts[:1])  # loads the model
    started = time.perf_counter()
    embedder.embed(texts)
    return len(texts) / (time.perf_counter() - started)


def _row(model: str, speed: float, exact_speed: float, overlap: float | None, cosine: float | None) -> Row:
    return Row(
        table=_TABLE,
        values={
            "model": model,
            "texts in a second": speed,
            "times float32": speed / exact_speed,
            "first ten as float32": overlap,
            "mean cosine to float32": cosine,
        },
    )


PART = Part(
    "backends",
    "Models and precisions",
    """
Texts of about 500 characters, in batches sorted by length. `first ten as float32` is the share of the ten texts nearest
to a question that are the same in both precisions; `sync-assets models check` asks the same of a tenant's own texts.
""",
    measure,
    (_TABLE, "model", "texts in a second"),
)
