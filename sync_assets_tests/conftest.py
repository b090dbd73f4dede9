"""What tests of several folders share."""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sync_assets import postgres
from sync_assets.settings import Settings
from sync_assets_tests import chroma_server, mariadb


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database on a PostgreSQL with pgvector that lives as long as the test session."""
    with tempfile.TemporaryDirectory(prefix="sync_assets-postgres-", ignore_cleanup_errors=True) as folder:
        settings = Settings(home=Path(folder))
        url = postgres.database_url(settings)
        database = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        yield url.replace(f"/{postgres.DATABASE}?", f"/{database}?")
        postgres.stop(settings)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[mariadb.Server]:
    """A real MariaDB server that lives as long as the test session."""
    if not mariadb.is_installed():
        pytest.skip(mariadb.MISSING)
    with mariadb.running_server() as server:
        yield server


@pytest.fixture
def portal_database(mariadb_server: mariadb.Server) -> Iterator[str]:
    """URL of a fresh database with the portal's tables; its user may only read (`admin_url` of the server writes)."""
    name = mariadb_server.create_database()
    yield mariadb_server.url(name)
    mariadb_server.drop_database(name)


@pytest.fixture(scope="session")
def chroma_url() -> Iterator[str]:
    """URL of a real Chroma server that lives as long as the test session."""
    with chroma_server.running_server() as url:
        yield url
