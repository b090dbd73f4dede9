"""Rules that a stage judges its rows by while it has them in hand, and what it found.

What belongs here: which rows keep a rule, and the failing cases. What does not: how a finding is shown (`checks/`). A
single row that breaks a rule goes to quarantine like any other bad record; it is `Finding.is_whole_batch` that stops a
run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sync_assets.batches import Partition
from sync_assets.chunks import Chunk

SAMPLE = 20

# Below this number of failing cases nothing counts as a fault of the whole batch.
_FEW = 20


@dataclass
class Finding:
    """What was found of one rule in a run.

    Attributes:
        judged: rows that were looked at.
        failing: how many of them break the rule.
        cases: the first `SAMPLE` of those, by id.
        partitions: keys of the first partitions that have such rows.
    """

    judged: int = 0
    failing: int = 0
    cases: list[str] = field(default_factory=list[str])
    partitions: list[str] = field(default_factory=list[str])
    tenants: set[str] = field(default_factory=set[str])

    @property
    def share(self) -> float:
        """Failing rows of all that were looked at, 0 to 1."""
        return self.failing / self.judged if self.judged else 0.0

    @property
    def is_whole_batch(self) -> bool:
        """Whether so many rows fail that the fault lies in code, model or upstream, and not in single records."""
        return self.failing >= _FEW and self.share > 0.5

    def judge(self, partition: Partition, judged: int, failing: Iterable[str]) -> None:
        """Add rows of a partition, with the ids of those that break the rule."""
        self.judged += judged
        for case in failing:
            self.failing += 1
            self.tenants.add(partition.tenant)
            if len(self.cases) < SAMPLE:
                self.cases.append(case)
            if len(self.partitions) < SAMPLE and partition.key not in self.partitions:
                self.partitions.append(partition.key)


class DocumentRules:
    """Which documents of a run come twice, and which say the same as another."""

    def __init__(self) -> None:
        self.findings = {"unique_ids": Finding(), "duplicates": Finding()}
        self._tenant = ""
        self._ids: set[str] = set()
        self._contents: set[str] = set()

    def judge(self, partition: Partition, rows: Sequence[Mapping[str, Any]]) -> None:
        """Look at rows of the document table."""
        if partition.tenant != self._tenant:
            self._tenant, self._ids, self._contents = partition.tenant, set(), set()
        again: list[str] = []
        same: list[str] = []
        live = 0
        for row in rows:
            identity = row["document_id"]
            if identity in self._ids:
                again.append(identity)
                continue
            self._ids.add(identity)
            if not row["deleted"]:
                live += 1
                if row["content_hash"] in self._contents:
                    same.append(identity)
                self._contents.add(row["content_hash"])
        self.findings["unique_ids"].judge(partition, len(rows), again)
        self.findings["duplicates"].judge(partition, live, same)


class ChunkRules:
    """Whether chunks can be told apart, have a text, and are no longer than the model reads.

    Args:
        longest: what the model reads, in tokens.
    """

    def __init__(self, longest: int) -> None:
        self.findings = {"unique_ids": Finding(), "no_empty_text": Finding(), "lengths": Finding()}
        self.tokens: Counter[int] = Counter()
        self._longest = longest

    def judge(self, partition: Partition, document_id: str, chunks: Sequence[Chunk]) -> None:
        """Look at the chunks of a document.

        Raises:
            ValueError: they can't be stored; the text says why.
        """
        doubled = [path for path, times in Counter(chunk.path for chunk in chunks).items() if times > 1]
        empty = [chunk.path for chunk in chunks if not chunk.text.strip()]
        self.findings["unique_ids"].judge(partition, 1, [document_id] if doubled else [])
        self.findings["no_empty_text"].judge(partition, 1, [document_id] if empty else [])
        if doubled:
            raise ValueError(f"Two chunks have the path {doubled[0]!r}.")
        if empty:
            raise ValueError(f"The chunk {empty[0]!r} has no text.")
        self.tokens.update(chunk.tokens for chunk in chunks)
        long = [f"{document_id} {chunk.path}" for chunk in chunks if chunk.tokens > self._longest]
        self.findings["lengths"].judge(partition, len(chunks), long)


def unusable(vectors: Mapping[str, np.ndarray], dimension: int) -> dict[str, str]:
    """Why some vectors, by their keys, are not ones that a store may hold: wrong length, not finite, or zero."""
    found = {
        key: f"The vector has {vector.size} numbers, not {dimension}."
        for key, vector in vectors.items()
        if vector.shape != (dimension,)
    }
    keys = [key for key in vectors if key not in found]
    if keys:
        matrix = np.stack([vectors[key] for key in keys])
        good = np.asarray(np.isfinite(matrix).all(axis=1) & matrix.any(axis=1))
        found |= {
            key: "The vector is zero or not a number." for key, ok in zip(keys, good.tolist(), strict=True) if not ok
        }
    return found
