"""Files that a stage would make again exactly as they are: from the same file before, by the same code and settings.

Chunks follow from documents, and embeddings from chunks, so a window in which nothing changed is not cut and gathered
again. Documents follow from records and from what the ledger knows of them (`standing.py`).

The ledger keeps a file's origin: a hash of the file and of all that it follows from. A file that was damaged, or that
another run put there, has another one and is made anew.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import sync_assets
from sync_assets.batches import Batch, BatchWriter, Partition, Stage
from sync_assets.hashing import digest
from sync_assets.ledger.forgotten import forgotten_among
from sync_assets.stages import Context


class KeptFiles:
    """Partitions of a batch whose stored files of the next stage stay as they are.

    Args:
        before: what the stage is handed.
        writer: of what the stage makes; it is told of the files that stay.
        settings: what decides beside `before` what the stage makes, as JSON-like values.
        input_digest: of what the stage is handed of a partition; the hash of its file where not given.
        stands: whether a stored file, made of the same by the same code and settings, is right now.

    Attributes:
        batch: the files that stay.
        others: the partitions of `before` that are to be made.
    """

    def __init__(
        self,
        context: Context,
        before: Batch,
        writer: BatchWriter,
        *settings: Any,
        input_digest: Callable[[Partition], str] | None = None,
        stands: Callable[[Partition, Path], bool] = lambda partition, path: True,
    ) -> None:
        self._input_digest = input_digest or (lambda partition: _hash(before.files[partition]))
        self._settings = settings
        self._origins: dict[Partition, str] = {}
        self._lacking: set[Partition] = set()
        kept: dict[Partition, Path] = {}
        for partition, origin in _known_origins(context, writer.layout.stage, before):
            path = context.services.storage.get(writer.layout.path(partition), writer.folder)
            if path is None or self._origin(path, partition) != origin:
                continue
            stored = Batch({partition: path}, writer.layout)
            if not _has_forgotten(context, stored) and stands(partition, path):
                writer.keep(partition, path)
                self._origins[partition] = origin
                kept[partition] = path
        self.batch = Batch(kept, writer.layout)
        self.others = before.only([one for one in before.partitions if one not in kept])

    def lacks_something(self, partition: Partition) -> None:
        """Note that what is made of a partition is not all that could be made of it: it is made again next time."""
        self._lacking.add(partition)

    def origins(self, made: Batch) -> dict[Partition, str]:
        """Of the partitions of what the stage made, those that stayed included."""
        for partition, path in made.files.items():
            if partition not in self._origins and partition not in self._lacking:
                self._origins[partition] = self._origin(path, partition)
        return self._origins

    def _origin(self, path: Path, partition: Partition) -> str:
        return digest([_hash(path), self._input_digest(partition), self._settings, _code()])


def _has_forgotten(context: Context, stored: Batch) -> bool:
    """Whether documents of a stored file are to stay away."""
    return any(
        forgotten_among(context.services.ledger, partition.tenant, table["document_id"].unique().to_pylist())
        for partition, table in stored.pages(columns=["document_id"])
    )


def _known_origins(context: Context, stage: Stage, before: Batch) -> Iterator[tuple[Partition, str]]:
    for tenant, group in groupby(sorted(before.partitions), key=lambda partition: partition.tenant):
        partitions = {partition.window: partition for partition in group}
        states = context.services.ledger.window_states(context.stream.of(tenant), stage, list(partitions))
        for window, partition in partitions.items():
            if (state := states.get(window)) is not None and state.origin is not None:
                yield partition, state.origin


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _code() -> str:
    """Hash of this package's modules, and of the names and versions of all that is installed."""
    root = Path(sync_assets.__file__).parent
    modules = [(path.relative_to(root).as_posix(), _hash(path)) for path in sorted(root.rglob("*.py"))]
    installed = sorted(path.name for folder in sys.path for path in Path(folder).glob("*.dist-info"))
    return digest([modules, installed])
