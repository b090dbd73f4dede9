"""Object storage for the stages' files: a local folder, or S3 and what speaks its protocol.

What belongs here: whole files in and out, atomically. Which file belongs to which partition: `batches.FileLayout`.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sync_assets.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from sync_assets.settings import Settings


class StoredFile(NamedTuple):
    """A key and when its file was written."""

    key: str
    written_at: datetime


class Storage(Protocol):
    """All methods raise `StorageError` when the storage can't be read or written."""

    def put(self, local: Path, key: str) -> None:
        """Store a file under a key: readers see the old or the new file, never a part of one."""
        ...

    def get(self, key: str, folder: Path) -> Path | None:
        """A local file with the content of a key, to be read only; None when there is none.

        It stays as it is, whatever is stored under the key meanwhile.

        Args:
            folder: where it is put; the caller removes it.
        """
        ...

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file whose key begins with `prefix`, however many there are, by key."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def uri(self, key: str) -> str:
        """Where a person finds the file."""
        ...


class LocalStorage:
    """A folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, local: Path, key: str) -> None:
        target = self._path(key)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        with _errors(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(local, temporary)
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def get(self, key: str, folder: Path) -> Path | None:
        """A link, or a copy where the folder is on another disk: `put` lets another file take this one's place."""
        stored = self._path(key)
        path = folder / f"{uuid.uuid4().hex}-{stored.name}"
        with _errors(str(stored)):
            if not stored.is_file():
                return None
            try:
                os.link(stored, path)
            except OSError:
                shutil.copyfile(stored, path)
        return path

    def list(self, prefix: str) -> Iterator[StoredFile]:
        folder = self._path(prefix.rpartition("/")[0])
        with _errors(str(folder)):
            paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
            for path in paths:
                key = path.relative_to(self._root.resolve()).as_posix()
                if not key.startswith(prefix):
                    continue
                try:
                    written = path.stat().st_mtime
                except FileNotFoundError:
                    continue  # another process removed it meanwhile
                yield StoredFile(key, datetime.fromtimestamp(written, UTC))

    def delete(self, key: str) -> None:
        with _errors(self.uri(key)):
            self._path(key).unlink(missing_ok=True)

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        path = (self._root / key).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise StorageError(f"{key!r} lies outside {self._root}.", "Tenant and window names may not contain '..'.")
        return path


class S3Storage:
    """A bucket, or a prefix in one. Uploads are atomic in S3; files are downloaded whole before they are read.

    Args:
        client: a boto3 S3 client.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def put(self, local: Path, key: str) -> None:
        with _s3_errors(self.uri(key)):
            self._client.upload_file(str(local), self._bucket, self._prefix + key)

    def get(self, key: str, folder: Path) -> Path | None:
        from botocore.exceptions import ClientError  # boto3 is imported only where S3 is used

        path = folder / f"{uuid.uuid4().hex}-{key.rsplit('/', 1)[-1]}"
        with _s3_errors(self.uri(key)):
            try:
                self._client.download_file(self._bucket, self._prefix + key, str(path))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey"):
                    return None
                raise
        return path

    def list(self, prefix: str) -> Iterator[StoredFile]:
        # A page holds a thousand keys at most ("ListObjectsV2" in the API reference of Amazon S3).
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _s3_errors(self.uri(prefix)):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield StoredFile(item["Key"].removeprefix(self._prefix), item["LastModified"])

    def delete(self, key: str) -> None:
        with _s3_errors(self.uri(key)):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"


def open_storage(settings: "Settings") -> Storage:
    """The storage that `SYNC_ASSETS_STORAGE_URI` names.

    Raises:
        SettingsError: the URI is neither a folder nor `s3://bucket[/prefix]`.
    """
    return storage_at(settings.storage_root, settings.s3_endpoint_url, "SYNC_ASSETS_STORAGE_URI")


def storage_at(uri: str, s3_endpoint_url: str | None, setting: str) -> Storage:
    """The storage below a folder or `s3://bucket[/prefix]`.

    Args:
        setting: what named it, for errors.

    Raises:
        SettingsError: the URI is neither.
    """
    if not uri.startswith("s3://"):
        if "://" in uri:
            raise SettingsError(f"{setting}: {uri!r} is not supported.", "Use a folder or s3://bucket/prefix.")
        return LocalStorage(Path(uri).absolute())
    from dagster_aws.s3 import S3Resource

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise SettingsError(f"{setting} names no bucket.", "Use s3://bucket/prefix.")
    return S3Storage(S3Resource(endpoint_url=s3_endpoint_url).get_client(), bucket, prefix)


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{place}: {error.strerror or error}.", "Free some disk, or check who may write there."
        ) from error


@contextmanager
def _s3_errors(place: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with _errors(place):
            yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise StorageError(f"{place}: {error}.", "Check SYNC_ASSETS_STORAGE_URI and the AWS credentials.") from error
