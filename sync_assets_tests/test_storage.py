"""Files that are read from storage stay as they are, however they got to where they are read."""

import errno
import os
from pathlib import Path

import pytest

from sync_assets.storage import LocalStorage


@pytest.mark.parametrize("same_disk", [True, False])
def test_what_was_read_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_disk: bool) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not same_disk:
        monkeypatch.setattr(os, "link", refuse)
    storage, folder, new = LocalStorage(tmp_path / "storage"), tmp_path / "folder", tmp_path / "new"
    folder.mkdir()
    assert storage.get("acme/a.parquet", folder) is None
    found: list[Path | None] = []
    for content in ("first", "second"):
        new.write_text(content)
        storage.put(new, "acme/a.parquet")
        found.append(storage.get("acme/a.parquet", folder))
    storage.delete("acme/a.parquet")
    assert [path and path.read_text() for path in found] == ["first", "second"]
    assert [path and path.suffix for path in found] == [".parquet", ".parquet"]
