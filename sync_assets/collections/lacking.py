"""The documents that collections lack, from the stages' stored files.

What belongs here: finding and reading them. Only the ledger's version of a document counts, so that what was deleted or
replaced since does not come back from an older file. What is done with them is in `building.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sync_assets.batches import Batch, BatchWriter, FileLayout, Partition
from sync_assets.documents import DOCUMENT_SCHEMA
from sync_assets.forgetting.files import StageFile, local_copy, tenant_files
from sync_assets.ledger import StreamRef
from sync_assets.ledger.collections import not_applied_among, tombstones_not_applied
from sync_assets.services import Services

# What is cut, embedded and written together, and done again where the process dies: so many documents, or characters.
_DOCUMENTS_AT_ONCE = 500
_CHARACTERS_AT_ONCE = 4_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def lacked_batches(services: Services, ref: StreamRef, collection_ids: Sequence[int]) -> Iterator[tuple[Batch, int]]:
    """What the collections lack of a tenant's stream, as batches of documents, with the number of these."""
    rows: list[dict[str, Any]] = []
    characters = 0
    for row in chain(_tombstones(services, ref, collection_ids), _living(services, ref, collection_ids)):
        rows.append(row)
        characters += sum(len(part["text"]) for part in row.get("parts") or ())
        if len(rows) >= _DOCUMENTS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield _batch(ref, rows), len(rows)
            rows, characters = [], 0
    if rows:
        yield _batch(ref, rows), len(rows)


def _tombstones(services: Services, ref: StreamRef, collection_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    for page in tombstones_not_applied(services.ledger, ref, collection_ids):
        for one in page:
            yield {
                **ref._asdict(),
                "document_id": one.document_id,
                "record_id": one.record_id,
                "deleted": True,
                "modified_at": one.modified_at,
                "observed_at": one.observed_at,
                "authoritative": one.floor >= one.observed_at,
            }


def _living(services: Services, ref: StreamRef, collection_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    for file in tenant_files(services.storage, ref.tenant, ref.source):
        if (file.layout.stream, file.layout.stage) == (ref.stream, "documents"):
            yield from _living_in(services, file, ref, collection_ids)


def _living_in(
    services: Services, file: StageFile, ref: StreamRef, collection_ids: Sequence[int]
) -> Iterator[dict[str, Any]]:
    with local_copy(services.storage, file) as path:
        if path is None:
            return
        ids = pq.read_table(path, columns=["document_id"])["document_id"].unique().to_pylist()
        lacked = not_applied_among(services.ledger, ref, collection_ids, ids)
        for _, table in file.opened(path).pages() if lacked else ():
            wanted = table.filter(pa.array([one in lacked for one in table["document_id"].to_pylist()], pa.bool_()))
            for row in wanted.to_pylist():
                if not row["deleted"] and (row["modified_at"], row["observed_at"]) == lacked[row["document_id"]]:
                    yield row


def _batch(ref: StreamRef, rows: Sequence[dict[str, Any]]) -> Batch:
    # Documents of all windows together: the more texts at a time, the better they are sorted for the model.
    partition = Partition(ref.tenant, "build", _EPOCH, _EPOCH)
    layout = FileLayout(ref.source, ref.stream, "documents", "day")
    writer = BatchWriter(layout, DOCUMENT_SCHEMA, [partition])
    writer.write(
        partition, pa.Table.from_pylist([{**row, "partition": partition.key} for row in rows], DOCUMENT_SCHEMA)
    )
    return writer.finish()
