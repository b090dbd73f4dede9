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
