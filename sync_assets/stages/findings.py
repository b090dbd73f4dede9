"""Rules that a stage judges its rows by while it has them in hand, and what it found.

What belongs here: which rows keep a rule, and the failing cases. What does not: how a finding is shown (`checks/`). A
single row that breaks a rule goes to quarantine like any other bad record; it is `Finding.is_whole_batch` that stops a
run.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sync_assets.batches import Partition
from sync_assets.chunks import Chunk
from sync_assets.hashing import text_hash

SAMPLE = 20

# Below this number of failing cases nothing counts as a fault of the whole batch.
_FEW = 20

# Of a tenant's run so many documents are judged whole; of a larger one a sample, of at least half as many.
_REMEMBERED = 50_000


@dataclass
class Finding:
    """What was found of one rule in a run.

    Attributes:
        judged: rows that were looked at.
        failing: how many of them break the rule.
        cases: the first `SAMPLE` of those, by id.
        partitions: keys of the first partitions that have such rows.
        sampled: whether there were too many rows to look at each.
    """

    judged: int = 0
    failing: int = 0
    cases: list[str] = field(default_factory=list[str])
    partitions: list[str] = field(default_factory=list[str])
    tenants: set[str] = field(default_factory=set[str])
    sampled: bool = False

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


class Seen:
    """How often texts came before, in memory of a fixed size.

    Beyond `most` different ones it is a sample: of all texts, as their hashes fall, each time half of what it was. A
    text that is in the sample was in it from the first on, so what is told of it is true.

    Args:
        most: how many texts are remembered; about 100 bytes each.
    """

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._mask = 0
        self._times: dict[int, int] = {}

    @property
    def is_sample(self) -> bool:
        return self._mask > 0

    def times_before(self, text: str) -> int | None:
        """How often this text came before, and note it; None where it is not in the sample."""
        value = int(text_hash(text)[:16], 16)
        if value & self._mask:
            return None
        before = self._times.get(value, 0)
        self._times[value] = before + 1
        if len(self._times) > self._most:
            self._mask = 2 * self._mask + 1
            self._times = {one: times for one, times in self._times.items() if not one & self._mask}
        return before


class DocumentRules:
    """Which documents of a run come twice, and which say the same as another.

    A document that comes more than once fails once, however often it comes. Of many documents a sample is judged; one
    that comes again outside of it counts among those that say the same.
    """

    def __init__(self) -> None:
        self.findings = {"unique_ids": Finding(), "duplicates": Finding()}
        self._tenant = ""
        self._ids, self._contents = Seen(), Seen()

    def judge(self, partition: Partition, rows: Sequence[Mapping[str, Any]], held: Collection[str] = ()) -> None:
        """Look at rows of the document table.

        Args:
            held: ids of records that were in quarantine: we ask for them again ourselves, as sweeps do for others.
        """
        if partition.tenant != self._tenant:
            self._tenant, self._ids, self._contents = partition.tenant, Seen(), Seen()
        ids, contents = self.findings["unique_ids"], self.findings["duplicates"]
        again: list[str] = []
        same: list[str] = []
        judged = live = 0
        for row in rows:
            identity = row["document_id"]
            times = self._ids.times_before(identity)
            judged += times == 0
            if times == 1 and not row["authoritative"] and row["record_id"] not in held:
                again.append(identity)
            if not times and not row["deleted"]:
                equals = self._contents.times_before(row["content_hash"])
                live += equals is not None
                if equals:
                    same.append(identity)
        ids.judge(partition, judged, again)
        contents.judge(partition, live, same)
        ids.sampled |= self._ids.is_sample
        contents.sampled |= self._contents.is_sample


class ChunkRules:
    """Whether chunks can be told apart, have a text, and are no longer than the model reads.

    Args:
        longest: what the model reads, in tokens.
    """

    def __init__(self, longest: int) -> None:
        self.findings = {"unique_ids": Finding(), "no_empty_text": Finding(), "lengths": Finding()}
        self.tokens: Counter[int] = Counter()
        self._longest = longest

    def refuse(self, partition: Partition, document_id: str, chunks: Sequence[Chunk]) -> None:
        """Look at the chunks of a document before they are stored.

        Raises:
            ValueError: they can't be; the text says why.
        """
        doubled = [path for path, times in Counter(chunk.path for chunk in chunks).items() if times > 1]
        empty = [chunk.path for chunk in chunks if not chunk.text.strip()]
        if not doubled and not empty:
            return
        self.findings["unique_ids"].judge(partition, 1, [document_id] if doubled else [])
        self.findings["no_empty_text"].judge(partition, 1, [document_id] if empty else [])
        raise ValueError(
            f"Two chunks have the path {doubled[0]!r}." if doubled else f"The chunk {empty[0]!r} has no text."
        )

    def judge(self, partition: Partition, documents: int, chunks: Sequence[Mapping[str, Any]]) -> None:
        """Look at rows of the chunk table, of so many documents that were not refused."""
        self.findings["unique_ids"].judge(partition, documents, [])
        self.findings["no_empty_text"].judge(partition, documents, [])
        self.tokens.update(chunk["tokens"] for chunk in chunks)
        long = [f"{chunk['document_id']} {chunk['path']}" for chunk in chunks if chunk["tokens"] > self._longest]
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
