"""How Chroma is reached: a folder that this process opens in its turn, or a server.

Several processes must not have one folder open: an index that another process has written meanwhile is not read again,
and what it does not know is lost when it is written back. So they take turns, and each turn opens the folder anew.

Chroma writes an index in place, and can't read it again where its process dies meanwhile. So a note beside the folder
says which collection is being written; who opens the folder and finds a note looks whether that collection is whole. It
is not where the file that Chroma writes first is newer than the one it writes last, or where its vectors can't be read.

Chroma's parts are started here without its `Client`, which shares and keeps them behind the back of who closes it, asks
for a database before any limit to the waiting can be set, and embeds a text that comes without its vector.
"""

import base64
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from chromadb.api import ServerAPI
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings, System
from chromadb.errors import ChromaError, InvalidArgumentError, NotFoundError
from overrides import override

from sync_assets.errors import StoreError, SyncAssetsError
from sync_assets.vector_stores.turns import Turns

_TIMEOUT_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_ROWS = 1000
# A server takes 40 MB at once: so many vectors of 3,072 dimensions with their texts stay below.
_MAX_BATCH = 1000
_REASON_CHARACTERS = 200

_CHECK_SECONDS = 600.0
_READ_ALL = "import sys; from sync_assets.vector_stores.chroma_clients import read_all; read_all(*sys.argv[1:])"
_DAMAGED = 3
_DAMAGES = {_DAMAGED, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT}
# What says nothing of an index.
_NO_DAMAGE = ("disk is full", "readonly", "locked")
# Of the files of an index.
_WRITTEN_FIRST, _WRITTEN_LAST = "header.bin", "index_metadata.pickle"
# Raised before anything is written.
_REFUSALS = (ValueError, TypeError, InvalidArgumentError, SyncAssetsError)

_log = logging.getLogger(__name__)


class Chroma:
    """An open Chroma: its collections by database and name.

    Args:
        system: Chroma's parts, not started yet.
        api: the one of them that is asked.
    """

    def __init__(self, system: System, api: type[ServerAPI]) -> None:
        self._system = system
        self._api = system.instance(api)
        system.start()

    def found(self, database: str, name: str) -> Collection | None:
        """A collection; None where there is none."""
        try:
            model = self._api.get_collection(name, database=database)
        except NotFoundError:
            return None
        return Collection(client=self._api, model=model, embedding_function=None)

    def made(self, database: str, name: str, metadata: Mapping[str, Any]) -> Collection:
        """A collection, made with its database where it is missing; one that exists keeps its metadata."""
        found = self.found(database, name)
        if found is not None:
            return found
        self._make_database(database)
        # Not only `create`: another process may have made it meanwhile.
        model = self._api.create_collection(
            name,
            metadata=dict(metadata),
            configuration={"hnsw": {"space": "cosine"}},
            get_or_create=True,
            database=database,
        )
        return Collection(client=self._api, model=model, embedding_function=None)

    def databases(self) -> list[str]:
        """Names of all databases."""
        return [str(database["name"]) for database in self._api.list_databases()]

    def dropped(self, database: str, name: str) -> None:
        """Remove a collection that exists. Chroma keeps the metadata of points that are still in it."""
        self._api.delete_collection(name, database=database)

    def update(self, collection: Collection, ids: list[str], documents: list[str], metadatas: Sequence[Any]) -> None:
        """Replace documents and metadata of points that exist, and leave their vectors alone."""
        # Not the collection's own `update`: it wants to embed the documents.
        self._api._update(
            collection_id=collection.id,
            ids=ids,
            metadatas=list(metadatas),
            documents=documents,
            tenant=collection.tenant,
            database=collection.database,
        )

    @cached_property
    def max_batch(self) -> int:
        """Most points in one write."""
        return min(_MAX_BATCH, self._api.get_max_batch_size())

    def heartbeat(self) -> None:
        self._api.heartbeat()

    def close(self) -> None:
        self._system.stop()

    def _make_database(self, name: str) -> None:
        try:
            self._api.get_database(name)
        except NotFoundError:
            try:
                self._api.create_database(name)
            except ChromaError:
                # Another process may have made it meanwhile; else the same error comes again.
                self._api.get_database(name)


class Clients(ABC):
    """The way to one Chroma."""

    @abstractmethod
    def opened(self, writes: tuple[str, str] | None = None) -> AbstractContextManager[Chroma]:
        """Context of the open Chroma.

        Args:
            writes: database and name of the collection that is written within the context.

        Raises:
            StoreError: it can't be reached or refuses, also within the context.
        """

    @abstractmethod
    def close(self) -> None: ...


class FolderClients(Clients):
    """A Chroma embedded in this process.

    Args:
        folder: where it lies; made when it is first opened.
        lock_timeout: seconds to wait for another process.
    """

    def __init__(self, folder: Path, lock_timeout: float) -> None:
        self._folder = _folder_at(folder.absolute())
        self._lock_timeout = lock_timeout

    @contextmanager
    def opened(self, writes: tuple[str, str] | None = None) -> Iterator[Chroma]:
        with self._folder.turns.locked(self._lock_timeout), _errors("Look at DAGSTER_HOME's disk."):
            chroma = self._folder.opened()
            if writes is None:
                yield chroma
                return
            with self._folder.noted(writes):
                yield chroma

    def close(self) -> None:
        self._folder.turns.release(self._lock_timeout)


class ServerClients(Clients):
    """A Chroma server.

    Args:
        url: `http(s)://host:port`, with `user:password@` and a path where a proxy asks for them.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._lock = threading.Lock()
        self._chroma: Chroma | None = None

    @contextmanager
    def opened(self, writes: tuple[str, str] | None = None) -> Iterator[Chroma]:
        with _errors("Look at SYNC_ASSETS_CHROMA_URL, and whether a Chroma server (1.5 or later) runs there."):
            yield self._connected()

    def close(self) -> None:
        with self._lock:
            chroma, self._chroma = self._chroma, None
            if chroma is not None:
                chroma.close()

    def _connected(self) -> Chroma:
        with self._lock:
            if self._chroma is None:
                chroma = Chroma(System(self._settings()), _Server)
                try:
                    chroma.heartbeat()
                except BaseException:
                    chroma.close()
                    raise
                self._chroma = chroma
            return self._chroma

    def _settings(self) -> Settings:
        # The password goes into a header: addresses stand in logs.
        user, _, address = self._url.netloc.rpartition("@")
        token = base64.b64encode(unquote(user).encode()).decode()
        return _settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            chroma_server_host=self._url._replace(netloc=address).geturl(),
            chroma_server_http_port=0,  # must be set, and is not read where the host is an address
            chroma_server_headers={"Authorization": f"Basic {token}"} if user else {},
        )


class _Server(FastAPI):
    """Chroma's own client of a server, which by itself waits for ever."""

    @override
    def heartbeat(self) -> int:
        """What is asked first: who is there answers soon, whatever is asked later may take its time."""
        self._session.timeout = _CONNECT_SECONDS
        answer = super().heartbeat()
        self._session.timeout = httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS)
        return answer

    @override
    def stop(self) -> None:
        super().stop()
        self._session.close()


class _Folder:
    """A folder with its turns; all stores of this process share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_suffix(".writing")
        self.turns = Turns(path, self._close, "a Chroma server (SYNC_ASSETS_CHROMA_URL)")
        self._chroma: Chroma | None = None

    def opened(self) -> Chroma:
        """The open Chroma; call it within a turn."""
        if self._chroma is None:
            if self._note.exists():
                self._look_after_a_crash()
            self._chroma = _at(self._path)
        return self._chroma

    @contextmanager
    def noted(self, writes: tuple[str, str]) -> Iterator[None]:
        """Leave a note where writing does not end well, also when this process ends with it."""
        unfinished = self._note.with_suffix(".note")
        unfinished.write_text(json.dumps(writes))
        os.replace(unfinished, self._note)
        try:
            yield
        except _REFUSALS:
            self._note.unlink()
            raise
        except BaseException:
            self._close()
            raise
        self._note.unlink()

    def _look_after_a_crash(self) -> None:
        """Drop the collection that was being written where it is damaged: the ledger sees that points are gone.

        Raises:
            StoreError: it could not be told whether it is.
        """
        database, name = json.loads(self._note.read_text())
        half_written = [path.parent for path in self._path.glob(f"*/{_WRITTEN_FIRST}") if _is_half_written(path)]
        if half_written or self._cannot_be_read(database, name):
            chroma = _at(self._path)
            if chroma.found(database, name) is not None:
                chroma.dropped(database, name)
            chroma.close()
            for folder in half_written:
                shutil.rmtree(folder)
            _log.warning(
                "Chroma collection %s in database %s was damaged when its process died, and was dropped: "
                "syncs and the next sweep write it anew, with the vectors of the cache.",
                name,
                database,
            )
        self._note.unlink()

    def _cannot_be_read(self, database: str, name: str) -> bool:
        """Whether reading the collection fails, in a process of its own: a damaged index may end the one that reads."""
        arguments = [sys.executable, "-P", "-c", _READ_ALL, str(self._path), database, name]
        try:
            check = subprocess.run(arguments, capture_output=True, text=True, timeout=_CHECK_SECONDS)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise OSError(f"{name} in {database} could not be read within {_CHECK_SECONDS:g} s after a crash") from None
        if check.returncode not in {0, *_DAMAGES}:
            said = check.stderr.strip().splitlines()[-1:] or [f"exit code {check.returncode}"]
            raise OSError(f"{name} in {database} could not be looked at after a crash: {said[0]}")
        return check.returncode in _DAMAGES

    def _close(self) -> None:
        chroma, self._chroma = self._chroma, None
        if chroma is not None:
            chroma.close()


def read_all(folder: str, database: str, name: str) -> None:
    """Read the vectors of a collection, page by page, if it is there; ends the process where it is damaged."""
    chroma = _at(Path(folder))
    try:
        collection = chroma.found(database, name)
        if collection is not None:
            for offset in range(0, collection.count(), _ROWS):
                collection.get(limit=_ROWS, offset=offset, include=["embeddings"])
    except ChromaError as error:
        if any(words in str(error) for words in _NO_DAMAGE):
            raise
        sys.exit(_DAMAGED)
    finally:
        chroma.close()


def _is_half_written(first: Path) -> bool:
    """Whether an index was written before, and again, but not to its end."""
    last = first.with_name(_WRITTEN_LAST)
    return last.exists() and last.stat().st_mtime_ns < first.stat().st_mtime_ns


def _at(folder: Path) -> Chroma:
    settings = _settings(
        chroma_api_impl="chromadb.api.rust.RustBindingsAPI", is_persistent=True, persist_directory=str(folder)
    )
    return Chroma(System(settings), ServerAPI)


_folders: dict[Path, _Folder] = {}
_folders_lock = threading.Lock()


def _folder_at(path: Path) -> _Folder:
    with _folders_lock:
        if path not in _folders:
            _folders[path] = _Folder(path)
        return _folders[path]


def _settings(**values: Any) -> Settings:
    """Chroma's settings, of which a `.env` in the working directory decides nothing."""
    return Settings(_env_file=None, anonymized_telemetry=False, **values)  # pyright: ignore[reportCallIssue]


@contextmanager
def _errors(remedy: str) -> Iterator[None]:
    """Chroma's errors as one line. The chain is cut: requests carry the password."""
    try:
        yield
    # A value that it does not take is a ValueError or a TypeError, an answer that is not Chroma's a KeyError too.
    except (ChromaError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TypeError, KeyError) as error:
        raise _error(error, remedy) from None
    except Exception as error:
        # Chroma raises nothing narrower where an answer is not its own.
        if type(error) is not Exception:
            raise
        raise _error(error, remedy) from None


def _error(error: Exception, remedy: str) -> StoreError:
    reason = " ".join(str(error).split())[:_REASON_CHARACTERS].rstrip(".")
    return StoreError(f"Chroma: {type(error).__name__}{': ' if reason else ''}{reason}.", remedy)
