"""Each vector store in turn, with an empty collection."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync_assets.vector_stores import Collection, VectorStore
from sync_assets_tests.contracts.points import new_collection
from sync_assets_tests.stores import STORES


@pytest.fixture(params=list(STORES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], VectorStore]]:
    """Closes the store, if it is open, and opens it again."""
    opened: list[VectorStore] = []

    def _reopen() -> VectorStore:
        for one in opened:
            one.close()
        opened.append(STORES[request.param](request, tmp_path / "store"))
        return opened[-1]

    yield _reopen
    for one in opened:
        one.close()


@pytest.fixture
def store(reopen: Callable[[], VectorStore]) -> VectorStore:
    return reopen()


@pytest.fixture
def collection(store: VectorStore) -> Collection:
    made = new_collection()
    store.ensure_collection(made)
    return made
