"""The parts of an installation, as the threads of the HTTP API share them."""

import threading
from pathlib import Path
from typing import Any

import pytest

from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.vector_stores import VectorStore, chroma


def test_threads_that_ask_for_a_store_at_once_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in one process would each have Chroma's folder open: locks of files do not part them."""
    services = Services(Settings(home=tmp_path))
    found: list[VectorStore] = []
    other = threading.Thread(target=lambda: found.append(services.store("chroma")))
    open_store = chroma.open_store

    def slowly(settings: Any) -> VectorStore:
        """Another thread asks while the first one is at it."""
        monkeypatch.setattr(chroma, "open_store", open_store)
        other.start()
        other.join(timeout=0.2)
        return open_store(settings)

    monkeypatch.setattr(chroma, "open_store", slowly)
    first = services.store("chroma")
    other.join()
    assert found == [first]
    services.close()
