"""What a page of a batch changes in one collection: the documents in it compared with what the ledger says it holds.

What belongs here: the comparison, and how it is counted, for who writes (`store.py`) and for who only tells beforehand
(`rehearsal.py`). Nothing here writes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sync_assets.batches import Batch, Partition, load_json
from sync_assets.documents import Version, is_stale, next_floor
from sync_assets.ledger import AppliedDocument, AppliedRow
from sync_assets.stages import Report
from sync_assets.vector_stores import Point

# What tells whether a collection has a document as it is: of its first row, and of each.
_OF_DOCUMENT = ["record_id", "modified_at", "observed_at", "authoritative", "deleted"]
_OF_CHUNK = ["chunk_id", "content_hash", "payload_hash"]
HEADS = ["document_id", *_OF_DOCUMENT, *_OF_CHUNK]


class Page:
    """A page of rows, those of one document together. Most documents of most syncs are applied already: their rows
    become no points, and their vectors are not even read.

    Args:
        heads: the columns `HEADS`.
        whole: reads all columns of the same rows, without vectors where nothing is to be written.
    """

    def __init__(self, heads: pa.Table, whole: Callable[[], pa.Table]) -> None:
        self._heads = heads
        self._read = whole

    @property
    def document_ids(self) -> list[str]:
        return self._heads["document_id"].unique().to_pylist()

    def documents(self) -> Iterator[tuple[str, int, dict[str, Any], list[tuple[str | None, str, str]]]]:
        """Each document's id, the number of its first row, that row, and id and hashes of each row's chunk."""
        chunks = list(zip(*(self._heads[name].to_pylist() for name in _OF_CHUNK), strict=True))
        groups = groupby(enumerate(self._heads["document_id"].to_pylist()), key=itemgetter(1))
        starts = [(document_id, next(group)[0]) for document_id, group in groups]
        heads = self._heads.select(_OF_DOCUMENT).take([start for _, start in starts]).to_pylist()
        ends = [*(start for _, start in starts[1:]), len(chunks)]
        for (document_id, start), end, head in zip(starts, ends, heads, strict=True):
            yield document_id, start, head, chunks[start:end]

    def point(self, number: int) -> Point:
        """The point of a row; without a vector where the page has none."""
        return _point(self._rows[number], self._vector(number))

    @cached_property
    def _whole(self) -> pa.Table:
        return self._read()

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return self._whole.select([name for name in self._whole.column_names if name != "vector"]).to_pylist()

    def _vector(self, number: int) -> np.ndarray | None:
        return self._vectors[0][self._vectors[1][number]] if "vector" in self._whole.column_names else None

    @cached_property
    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """All vectors, and for each row which one is its."""
        column = self._whole["vector"].combine_chunks()
        matrix = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        return matrix, np.cumsum(column.is_valid().to_numpy(zero_copy_only=False)) - 1


def pages_of(batch: Batch) -> Iterator[tuple[Partition, Page]]:
    """A batch of chunks or of embeddings, page by page."""
    for partition in batch.partitions:
        rows, start = batch.rows(partition), 0
        for _, heads in batch.only([partition]).document_pages(columns=HEADS):
            stop = start + heads.num_rows
            yield partition, Page(heads, partial(rows.between, start, stop))
            start = stop


class Change(NamedTuple):
    """One document of a batch, and what stands in the collection.

    Attributes:
        chunks: content hash and payload hash by chunk id.
        page, rows: where its points are.
    """

    document_id: str
    record_id: str
    version: Version
    deleted: bool
    chunks: dict[str, tuple[str, str]]
    page: Page
    rows: list[int]
    applied: AppliedDocument | None

    def points(self) -> list[Point]:
        """Made anew in each call."""
        return [self.page.point(number) for number in self.rows]

    @property
    def kind(self) -> str:
        """As reports name it: added, changed or deleted."""
        if self.deleted:
            return "deleted"
        new = self.applied is None or self.applied.standing.deleted or not self.applied.chunks
        return "added" if new else "changed"


class Difference(NamedTuple):
    """What is to be written of some changes.

    Attributes:
        upserts: points with their vectors, `new` of them under ids that the ledger does not have.
        payloads: points whose vectors stay.
        deletes: chunk ids.
        unknown: chunk ids by document id where nobody knows what else the collection holds of the document.
    """

    upserts: list[Point]
    new: int
    payloads: list[Point]
    deletes: list[str]
    unknown: dict[str, list[str]]


def changes_of(page: Page, applied: Mapping[str, AppliedDocument], without: Collection[str]) -> list[Change]:
    """The documents of a page, each once.

    Args:
        applied: what the collection holds of them, by document id.
        without: ids of those to be left out.
    """
    changes: dict[str, Change] = {}
    for document_id, start, head, pieces in page.documents():
        if document_id in without:
            continue
        version = Version(
            modified_at=head["modified_at"], observed_at=head["observed_at"], authoritative=head["authoritative"]
        )
        chunks = {chunk_id: (content, payload) for chunk_id, content, payload in pieces if chunk_id is not None}
        rows = [number for number, (chunk_id, *_) in enumerate(pieces, start) if chunk_id is not None]
        # A document that was edited while it was fetched comes twice: the later row is the one that counts.
        earlier = changes.get(document_id)
        if earlier is None or earlier.version.observed_at <= version.observed_at:
            changes[document_id] = Change(
                document_id, head["record_id"], version, head["deleted"], chunks, page, rows, applied.get(document_id)
            )
    return list(changes.values())


def left_to_apply(changes: Sequence[Change], partition: Partition, report: Report) -> list[Change]:
    """The changes that the collection does not have yet and that are not older than what it has; all are counted."""
    left = []
    for change in changes:
        report.digests[partition].add([change.document_id, change.deleted, change.chunks])
        report.count(partition, "documents", not change.deleted)
        report.count(partition, "chunks", len(change.rows))
        if _is_applied(change):
            report.count(partition, "unchanged")
        elif change.applied is not None and is_stale(change.version, change.applied.standing):
            report.count(partition, "stale")
        else:
            left.append(change)
    return left


def difference(changes: Sequence[Change]) -> Difference:
    """What is to be written so that the collection holds these documents and nothing else of them."""
    found = Difference([], 0, [], [], {})
    new = 0
    for change in changes:
        before = change.applied
        points = change.points()
        if before is None or before.dirty:
            found.upserts.extend(points)
            found.unknown[change.document_id] = [point.chunk_id for point in points]
            new += sum(before is None or point.chunk_id not in before.chunks for point in points)
            continue
        for point in points:
            stored = before.chunks.get(point.chunk_id)
            if stored is None or stored[0] != point.content_hash:
                found.upserts.append(point)
                new += stored is None
            elif stored[1] != point.payload_hash:
                found.payloads.append(point)
        found.deletes.extend(before.chunks.keys() - change.chunks.keys())
    return found._replace(new=new)


def count_changes(
    report: Report, partition: Partition, changes: Sequence[Change], found: Difference, strangers: int = 0
) -> None:
    """Count what was written, or would be.

    Args:
        strangers: chunks of `found.unknown` documents that the collection held beside those that they have.
    """
    report.count(partition, "written", len(found.upserts))
    report.count(partition, "payloads", len(found.payloads))
    report.count(partition, "removed", len(found.deletes) + strangers)
    for change in changes:
        report.count(partition, change.kind)
        report.show(partition, {"document": change.document_id, "change": change.kind, "chunks": len(change.rows)})


def applied_rows(changes: Sequence[Change]) -> list[AppliedRow]:
    """What the ledger is told once the collection holds these documents."""
    return [
        AppliedRow(
            change.document_id,
            change.version,
            next_floor(change.version, change.deleted, change.applied.standing if change.applied else None),
            change.deleted,
            change.chunks,
        )
        for change in changes
    ]


def _is_applied(change: Change) -> bool:
    applied = change.applied
    if applied is None:
        return False
    return (
        not applied.dirty
        and applied.chunks == change.chunks
        and applied.standing.deleted == change.deleted
        and applied.standing.modified_at == change.version.modified_at
        and applied.standing.observed_at == change.version.observed_at
    )


def _point(row: dict[str, Any], vector: np.ndarray | None) -> Point:
    names = ("chunk_id", "document_id", "source", "stream", "record_id", "path", "role", "text", "title", "url")
    return Point(
        **{name: row[name] for name in names},
        visibility=row["visibility"],
        principals=row["principals"],
        metadata=load_json(row["metadata"]),
        content_hash=row["content_hash"],
        payload_hash=row["payload_hash"],
        vector=vector,
    )
