"""Batches as files in object storage, one for each partition, for runs with one partition and with many."""

import tempfile
from pathlib import Path

import dagster as dg

from sync_assets.batches import Batch, FileLayout
from sync_assets.components.failures import failures
from sync_assets.components.partitions import grain_of, to_partition
from sync_assets.errors import StorageError
from sync_assets.services import Services


class ObjectStorageIOManager(dg.IOManager):
    """Keeps each partition of `source/stream/stage` under its own key.

    A batch's `on_stored` is called when all its files are durable.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def handle_output(self, context: dg.OutputContext, obj: Batch) -> None:
        storage = self._services.storage
        with failures():
            for partition, path in obj.files.items():
                storage.put(path, obj.layout.path(partition))
            obj.on_stored()

    def load_input(self, context: dg.InputContext) -> Batch:
        source, stream, stage = context.asset_key.path
        definition = context.asset_partitions_def
        layout = FileLayout(source, stream, stage, grain_of(definition))  # pyright: ignore[reportArgumentType]
        folder = tempfile.TemporaryDirectory(prefix="sync_assets-")
        files = {}
        with failures():
            for key in context.asset_partition_keys:
                partition = to_partition(definition, key)
                path = self._services.storage.get(layout.path(partition), Path(folder.name))
                if path is None:
                    raise StorageError(
                        f"There is no file for partition {key} of {context.asset_key.to_user_string()}.",
                        "Materialize that asset for this partition first.",
                    )
                files[partition] = path
        return Batch(dict(sorted(files.items())), layout, folder)
