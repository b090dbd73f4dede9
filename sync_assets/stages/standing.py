"""Whether the stored documents of a window are those that its records would become again.

A source makes the same document of the same payload (`sources.Source.to_document`), and a file that was read once is
not read again. So equal records under equal settings become equal documents, as long as the ledger has them as they
are stored and hears nothing new from the records.
"""

from functools import cache
from pathlib import Path

import pyarrow.parquet as pq

from sync_assets.batches import Batch, Partition
from sync_assets.documents import Record
from sync_assets.hashing import SetDigest, digest
from sync_assets.stages import Context
from sync_assets.stages.comparing import compared
from sync_assets.stages.raw import digest_rows

_VERSION = ["modified_at", "observed_at", "authoritative"]
_COMPARED = ["document_id", "record_id", "deleted", "content_hash", "metadata_hash", *_VERSION]


class StandingDocuments:
    """The stored documents of a batch of records.

    Attributes:
        is_repeatable: whether the stream makes its documents of their records and files alone: no keywords and
            summaries, and no processors, whose code may change without anybody being told.
        records_digest: digest of a partition's records, as the ledger has it of the stage before.
    """

    def __init__(self, context: Context, raw: Batch) -> None:
        stream = context.stream
        self._context = context
        self._raw = raw
        self.is_repeatable = not (stream.keywords or stream.summaries or stream.processors)
        self.records_digest = cache(self._records_digest)

    def input_digest(self, partition: Partition) -> str:
        """Digest of a partition's records and of the settings of the account that reads them."""
        account = self._context.services.tenants.account(self._context.stream.source, partition.tenant)
        return digest([self.records_digest(partition), account.model_dump_json()])

    @property
    def settings(self) -> list[object]:
        """What decides beside the records what the documents are, their account aside."""
        limits = self._context.stream.attachments
        if limits is None:
            return []
        from sync_assets.attachments.process import reader

        return [limits.model_dump(), reader(limits)]

    def stands(self, partition: Partition, path: Path) -> bool:
        """Whether a file has one row for each record, in their order, and each is what the ledger knows.

        Args:
            path: a file of documents that was made of equal records.
        """
        if not self.is_repeatable:
            return False
        ledger, ref = self._context.services.ledger, self._context.stream.of(partition.tenant)
        stored = Batch({partition: path}, self._context.stream.layout("documents")).rows(partition, _COMPARED)
        last = pq.read_metadata(path).num_rows
        number = 0
        for _, table in self._raw.only([partition]).pages():
            start, number = number, number + table.num_rows
            if number > last:
                return False
            rows = stored.between(start, number).to_pylist()
            known = ledger.known_documents(ref, [row["document_id"] for row in rows])
            for found, row in zip(table.drop_columns(["partition", "payload"]).to_pylist(), rows, strict=True):
                record = Record(**{**found, "cheap_version": found["cheap_version"] or ""})
                if record.record_id != row["record_id"] or (record.event == "deleted") != row["deleted"]:
                    return False
                hashes = None if row["deleted"] else (row["content_hash"], row["metadata_hash"])
                outcome = compared(record, row["document_id"], hashes, known.get(row["document_id"]))
                if outcome is None or outcome.change != "unchanged" or outcome.news is not None:
                    return False
                if outcome.version.model_dump() != {name: row[name] for name in _VERSION}:
                    return False
        return number == last

    def _records_digest(self, partition: Partition) -> str:
        rows = SetDigest()
        for _, table in self._raw.only([partition]).pages():
            for row in digest_rows(table):
                rows.add(row)
        return rows.hexdigest()
