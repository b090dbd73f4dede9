"""Every vector store, opened for a test. A new store is one line in `STORES`, for the contract and for the laws."""

from collections.abc import Callable
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from sync_assets.vector_stores import VectorStore
from sync_assets.vector_stores.chroma import ChromaStore
from sync_assets.vector_stores.chroma_clients import FolderClients, ServerClients
from sync_assets.vector_stores.pgvector import PgVectorStore
from sync_assets.vector_stores.qdrant_edge import QdrantEdgeStore
from sync_assets.vector_stores.qdrant_server import QdrantServerStore

Open = Callable[[pytest.FixtureRequest, Path], VectorStore]

STORES: dict[str, Open] = {
    "qdrant_edge": lambda request, folder: QdrantEdgeStore(folder, lock_timeout=20.0),
    "qdrant_server": lambda request, folder: QdrantServerStore(QdrantClient(path=str(folder))),
    "pgvector": lambda request, folder: PgVectorStore(request.getfixturevalue("postgres_url"), lock_timeout=20.0),
    "chroma_embedded": lambda request, folder: ChromaStore(FolderClients(folder, lock_timeout=20.0)),
    "chroma_server": lambda request, folder: ChromaStore(ServerClients(request.getfixturevalue("chroma_url"))),
}
