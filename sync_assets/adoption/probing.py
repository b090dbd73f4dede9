"""What an older table's vectors were made of: a few rows are embedded both ways, and the nearer way is the answer.

LangChain's layout does not say it: a vector is that of `document`, or of the combined text in its metadata.
"""

from typing import Literal

import numpy as np

from sync_assets.adoption.rows import Row
from sync_assets.embedding import Embedder
from sync_assets.errors import FingerprintMismatch

Basis = Literal["text", "combined_text"]

_PROBES = 3
_SAME = 0.99


def usable_vector(vector: np.ndarray, dimension: int) -> str:
    """Why a vector is of no use; empty where it is."""
    if vector.shape != (dimension,):
        return f"a vector of {vector.size} numbers"
    if not np.isfinite(vector).all() or not vector.any():
        return "a vector that is empty or not a number"
    return ""


class Probes:
    """Gathers the rows to embed: such as match nothing of today, where there are any, because only they cost nothing.

    Attributes:
        embedded: how many texts were embedded to decide.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._chosen: list[tuple[bool, Row]] = []
        self.embedded = 0

    def offer(self, row: Row, matches: bool) -> None:
        """Take a row into account. `matches` says that its text is one that may be adopted."""
        is_full = len(self._chosen) >= _PROBES
        if row.is_chunk or (is_full and (matches or not any(kept for kept, _ in self._chosen))):
            return  # a piece in the product's own tables is always its text, and its table names the model
        if row.vector is None or usable_vector(row.vector, self._embedder.fingerprint.dimension):
            return
        if not self._is_short(row):
            return
        self._chosen = sorted([*self._chosen, (matches, row)], key=lambda item: item[0])[:_PROBES]

    def decide(self) -> Basis | None:
        """What most probes were made of; None where no row can tell.

        Raises:
            FingerprintMismatch: they were made of neither, so by another model.
        """
        votes: list[Basis | None] = [self._basis(row) for _, row in self._chosen]
        if not votes:
            return None
        best: Basis = "combined_text" if votes.count("combined_text") > votes.count("text") else "text"
        if votes.count(best) * 2 <= len(votes):
            raise FingerprintMismatch(
                f"These vectors were not made by {self._embedder.fingerprint}: {len(votes)} of them are those of "
                "neither the text nor the combined text of their rows.",
                "Name the model that made them with --model, or let a sync embed everything anew.",
            )
        return best

    def _basis(self, row: Row) -> Basis | None:
        texts = _texts(row)
        vectors = self._embedder.embed(list(texts.values()))
        self.embedded += len(texts)
        assert row.vector is not None  # noqa: S101 `offer` takes no other
        unit = row.vector / np.linalg.norm(row.vector)
        near = dict(zip(texts, (vectors @ unit).tolist(), strict=True))
        best = max(near, key=lambda basis: near[basis])
        return best if near[best] >= _SAME else None

    def _is_short(self, row: Row) -> bool:
        lengths = self._embedder.tokenizer.count(list(_texts(row).values()))
        return max(lengths) <= self._embedder.fingerprint.max_tokens and min(lengths) > 0


def _texts(row: Row) -> dict[Basis, str]:
    """What a row's vector may have been made of."""
    return {"text": row.text, **({"combined_text": row.combined_text} if row.combined_text else {})}
