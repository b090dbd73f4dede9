"""What tests of several folders share."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sync_assets import postgres
from sync_assets.settings import Settings
from sync_assets_tests import chroma_server, mariadb

BUCKET = "batches"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="FOLDER", help="keep the pictures of the UI that the browser test takes")


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


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """URL of an S3 server that lives as long as the test session."""
    from moto.server import ThreadedMotoServer  # imported only where a test needs it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the empty bucket `BUCKET`; credentials stand in the environment, as in production."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    client: Any = boto3.client("s3", endpoint_url=s3_url)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)
