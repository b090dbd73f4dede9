"""What an older table's vectors were made of: a few rows are embedded both ways, and have to agree.

LangChain's layout does not say it: a vector is that of `document`, or of the combined text in its metadata.
"""

from typing import Literal, NamedTuple

import numpy as np

from sync_assets.adoption.rows import Row
from sync_assets.embedding import Embedder
from sync_assets.errors import FingerprintMismatch, StoreError
from sync_assets.hashing import text_hash

Basis = Literal["text", "combined_text"]

ANOTHER_MODEL = "Set `embedding_model` of the stream to the model that made them, or let a sync embed everything anew."

_PROBES = 8
_SAME = 0.99


class _Probe(NamedTuple):
    """A row that may be embedded, and what it is ranked by."""

    matches: bool
    name_hash: str
    row: Row

    @property
    def rank(self) -> tuple[bool, str]:
        return self.matches, self.name_hash


def usable_vector(vector: np.ndarray, dimension: int) -> str:
    """Why a vector is of no use; empty where it is."""
    if vector.shape != (dimension,):
        return f"a vector of {vector.size} numbers"
    if not np.isfinite(vector).all() or not vector.any():
        return "a vector that is empty or not a number"
    return ""


class Probes:
    """Gathers the rows to embed, spread over the table by the hashes of their names.

    Such as match nothing of today come first, because only they cost nothing. Rows with a combined text are gathered
    apart from those without one, whose vector can only be that of their text.

    Attributes:
        embedded: how many texts were embedded to decide.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._chosen: dict[bool, list[_Probe]] = {True: [], False: []}
        self.embedded = 0

    def offer(self, row: Row, matches: bool) -> None:
        """Take a row into account. `matches` says that its text is one that may be adopted."""
        if row.is_chunk:
            return  # a piece in the product's own tables is always its text, and its table names the model
        chosen = self._chosen[bool(row.combined_text)]
        probe = _Probe(matches, text_hash(row.name), row)
        if len(chosen) >= _PROBES and probe.rank >= chosen[-1].rank:
            return
        if row.vector is None or usable_vector(row.vector, self._embedder.fingerprint.dimension):
            return
        if self._is_short(row):
            chosen.append(probe)
            chosen.sort(key=lambda probe: probe.rank)
            del chosen[_PROBES:]

    def decide(self) -> Basis | None:
        """What the vectors of rows with a combined text are made of, or of all where none has one.

        Returns:
            None where no row can tell.

        Raises:
            FingerprintMismatch: some are made of neither, so by another model.
            StoreError: some are made of the one and some of the other.
        """
        ways = {
            has_combined: [self._ways(probe.row) for probe in found] for has_combined, found in self._chosen.items()
        }
        every = [*ways[True], *ways[False]]
        if not all(every):
            raise FingerprintMismatch(
                f"{every.count(frozenset())} of {len(every)} vectors that were looked at were not made by "
                f"{self._embedder.fingerprint}: they are of neither the text nor the combined text of their rows.",
                ANOTHER_MODEL,
            )
        telling = ways[True] or ways[False]
        common = frozenset[Basis](("text", "combined_text")).intersection(*telling)
        if not common:
            numbers = {basis: telling.count(frozenset((basis,))) for basis in ("text", "combined_text")}
            raise StoreError(
                f"Its vectors are of both kinds: {numbers['text']} of text, {numbers['combined_text']} of combined "
                f"text, of {len(telling)} that were looked at.",
                "Move the rows of one kind to a table of their own, or let a sync embed everything anew.",
            )
        if not telling:
            return None
        return "text" if "text" in common else "combined_text"

    def _ways(self, row: Row) -> frozenset[Basis]:
        """What a row's vector may be made of; both where its texts say the same."""
        texts = _texts(row)
        vectors = self._embedder.embed(list(texts.values()))
        self.embedded += len(texts)
        assert row.vector is not None  # noqa: S101 `offer` takes no other
        near = vectors @ (row.vector / np.linalg.norm(row.vector))
        return frozenset(basis for basis, nearness in zip(texts, near.tolist(), strict=True) if nearness >= _SAME)

    def _is_short(self, row: Row) -> bool:
        lengths = self._embedder.tokenizer.count(list(_texts(row).values()))
        return max(lengths) <= self._embedder.fingerprint.max_tokens and min(lengths) > 0


def _texts(row: Row) -> dict[Basis, str]:
    """What a row's vector may have been made of."""
    return {"text": row.text, **({"combined_text": row.combined_text} if row.combined_text else {})}
