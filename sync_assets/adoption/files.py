"""Older `vectordata` files, in a folder or a bucket: JSON lists of records with keywords, without vectors.

Below a tenant's folder lie `enriched/01_*.json` to `enriched/04_*.json`, four groups that together are the whole, and
`synced/vectordata_<time>.json`, of which the latest counts. The groups come later in that system's order, so they are
read where there are any.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import orjson

from sync_assets.adoption.rows import Row, Unreadable, row_of
from sync_assets.errors import StorageError
from sync_assets.storage import storage_at

_GROUP = re.compile(r"(?P<folder>.*?)(?:^|/)enriched/(?P<number>0[1-4])_[^/]*?(?P<done>_processed)?\.json")
_SYNCED = re.compile(r"(?P<folder>.*?)(?:^|/)synced/vectordata_[^/]*\.json")


class VectordataFiles:
    """A context manager; its rows are iterated any number of times.

    Args:
        uri: folder or `s3://bucket/prefix`, of one tenant.

    Raises:
        StorageError: nothing of the older form lies there, or that of several tenants.
    """

    def __init__(self, uri: str, s3_endpoint_url: str | None) -> None:
        self._uri = uri
        self._storage = storage_at(uri, s3_endpoint_url, "--files")
        self._folder = TemporaryDirectory(prefix="sync_assets-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._folder.cleanup()

    def __iter__(self) -> Iterator[Row | Unreadable]:
        for key in self._keys():
            yield from self._rows(key)

    def _keys(self) -> list[str]:
        """The files that count, by name."""
        keys = [file.key for file in self._storage.list("")]
        groups = {key: found for key in keys if (found := _GROUP.fullmatch(key)) and not key.endswith("_temp.json")}
        synced = {key: found for key in keys if (found := _SYNCED.fullmatch(key))}
        folders = {found["folder"] for found in [*groups.values(), *synced.values()]}
        if len(folders) > 1:
            raise StorageError(
                f"{self._uri} holds the files of {len(folders)} folders: {', '.join(sorted(folders)[:5])}.",
                "Name the folder of one tenant.",
            )
        if not folders:
            raise StorageError(
                f"{self._uri} holds no older files.",
                "Expected are synced/vectordata_*.json, or enriched/01_*.json to enriched/04_*.json.",
            )
        if not groups:
            return [max(synced)]
        # A group that went through enrichment stands for the one before.
        chosen: dict[str, str] = {}
        for key in sorted(groups, key=lambda key: (groups[key]["done"] is not None, key)):
            chosen[groups[key]["number"]] = key
        return sorted(chosen.values())

    def _rows(self, key: str) -> Iterator[Row | Unreadable]:
        path = self._storage.get(key, Path(self._folder.name))
        if path is None:
            yield Unreadable(key, "the file is gone")
            return
        try:
            records: Any = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            yield Unreadable(key, "not valid JSON")
            return
        if not isinstance(records, list):
            yield Unreadable(key, "no JSON list")
            return
        for number, record in enumerate(records):
            name = f"{key}[{number}]"
            if not isinstance(record, dict):
                yield Unreadable(name, "no JSON object")
                continue
            try:
                yield row_of(record, name, "", None)
            except ValueError as error:
                yield Unreadable(name, str(error))
