"""Batches as files in object storage, one for each partition, for runs with one partition and with many."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from sync_assets.batches import Batch, FileLayout, Partition
from sync_assets.clock import utc_now
from sync_assets.components.failures import failures
from sync_assets.errors import StorageError
from sync_assets.partitions import grain_of, to_partition
from sync_assets.services import Services
from sync_assets.storage import Storage


def stored_batch(storage: Storage, layout: FileLayout, partitions: Sequence[Partition]) -> Batch | None:
    """What is stored of one stage for these partitions; None where no file is."""
    folder = tempfile.TemporaryDirectory(prefix="sync_assets-")
    found = {partition: storage.get(layout.path(partition), Path(folder.name)) for partition in sorted(partitions)}
    files = {partition: path for partition, path in found.items() if path is not None}
    return Batch(files, layout, folder) if files else None


class ObjectStorageIOManager(dg.IOManager):
    """Keeps each partition of `source/stream/stage` under its own key.

    A batch's `on_stored` is called when all its files are durable. Raw files of the same tenants and stream that were
    written longer ago than SYNC_ASSETS_RAW_RETENTION_DAYS are removed then.
    """

    def __init__(self, services: Services, clock: Callable[[], datetime] = utc_now) -> None:
        self._services = services
        self._clock = clock

    def handle_output(self, context: dg.OutputContext, obj: Batch) -> None:
        storage = self._services.storage
        with failures():
            for partition, path in obj.files.items():
                if partition not in obj.kept:
                    storage.put(path, obj.layout.path(partition))
            obj.on_stored()
            days = self._services.settings.raw_retention_days
            if obj.layout.stage == "raw" and days is not None:
                removed = self._remove_expired(obj, self._clock() - timedelta(days=days))
                # A text: the same metadata goes to every partition of the run, and a number would be summed over them.
                context.add_output_metadata({"expired_raw_files": f"{removed} older than {days} days removed"})

    def _remove_expired(self, batch: Batch, before: datetime) -> int:
        """Remove other files of the batch's tenants and stage that were written before a moment; returns how many."""
        storage = self._services.storage
        just_written = {batch.layout.path(partition) for partition in batch.files}
        expired = [
            file.key
            for tenant in sorted({partition.tenant for partition in batch.files})
            for file in storage.list(batch.layout.folder(tenant))
            if file.written_at < before and file.key not in just_written
        ]
        for key in expired:
            storage.delete(key)
        return len(expired)

    def load_input(self, context: dg.InputContext) -> Batch:
        source, stream, stage = context.asset_key.path
        definition = context.asset_partitions_def
        layout = FileLayout(source, stream, stage, grain_of(definition))  # pyright: ignore[reportArgumentType]
        partitions = [to_partition(definition, key) for key in context.asset_partition_keys]
        with failures():
            batch = stored_batch(self._services.storage, layout, partitions)
            missing = [partition.key for partition in partitions if batch is None or partition not in batch.files]
            if batch is None or missing:
                raise StorageError(
                    f"There is no file for partition {missing[0]} of {context.asset_key.to_user_string()}.",
                    "Materialize that asset for this partition first.",
                )
        return batch
