"""Files that a stage would make again exactly as they are: from the same input, by the same code and settings.

Chunks follow from documents, and embeddings from chunks, so a window in which nothing changed is not cut and gathered
again. What documents are made of lies outside of the file before them (names that upstream gives to codes, files,
language models), so they are made each time.
"""

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import sync_assets
from sync_assets.batches import PAGE_ROWS, Partition, Stage, read_origin
from sync_assets.hashing import digest
from sync_assets.ledger.forgotten import without_forgotten
from sync_assets.stages import Context


def origin_of(path: Path, *settings: Any) -> str:
    """All that decides what a stage makes of a file.

    Args:
        path: of the file.
        settings: what the stage is told beside it, as JSON-like values.
    """
    with path.open("rb") as file:
        return digest([hashlib.file_digest(file, "sha256").hexdigest(), settings, _code()])


class KeptFiles:
    """Stored files of one stage, where they are what the stage would make.

    Args:
        folder: where downloads are put; the caller removes it.
    """

    def __init__(self, context: Context, stage: Stage, folder: Path) -> None:
        self._context = context
        self._layout = context.stream.layout(stage)
        self._folder = folder

    def find(self, partition: Partition, origin: str) -> Path | None:
        """The stored file of a partition, if it has this origin, is whole, and holds no document that must go."""
        path = self._context.services.storage.get(self._layout.path(partition), self._folder)
        if path is None:
            return None
        try:
            return path if read_origin(path) == origin and self._may_stay(path, partition.tenant) else None
        except (OSError, pa.ArrowInvalid):  # damaged: it is made anew
            return None

    def _may_stay(self, path: Path, tenant: str) -> bool:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(PAGE_ROWS):
                table = pa.Table.from_batches([batch])
                if without_forgotten(self._context.services.ledger, tenant, table).num_rows < table.num_rows:
                    return False
        return True


@cache
def _code() -> str:
    """Hash of this package's modules, and of the names and versions of all that is installed."""
    root = Path(sync_assets.__file__).parent
    modules = [(path.relative_to(root).as_posix(), path.read_text()) for path in sorted(root.rglob("*.py"))]
    installed = sorted(path.name for folder in sys.path for path in Path(folder).glob("*.dist-info"))
    return digest([modules, installed])
