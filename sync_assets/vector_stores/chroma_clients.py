"""How Chroma is reached: a folder that this process opens in its turn, or a server.

Several processes must not have one folder open: an index that another process has written meanwhile is not read again,
and what it does not know can't be found. So they take turns, and each turn opens the folder anew.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sync_assets.errors import StoreError
from sync_assets.vector_stores.turns import Turns

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

_TIMEOUT_SECONDS = 60.0
_CONNECT_SECONDS = 5.0


class Databases:
    """The databases of one Chroma, each opened when it is first asked for.

    Args:
        connect: a new client of the database with this name, which exists; of Chroma's own default one for None.
    """

    def __init__(self, connect: "Callable[[str | None], ClientAPI]") -> None:
        self._connect = connect
        self._root: Any = connect(None)
        self._open: dict[str, Any] = {}

    def existing(self, name: str) -> "ClientAPI | None":
        """A database; None where there is none."""
        from chromadb.errors import NotFoundError

        if name not in self._open:
            try:
                self._databases.get_database(name)
            except NotFoundError:
                return None
            self._open[name] = self._connect(name)
        return self._open[name]

    def made(self, name: str) -> "ClientAPI":
        """A database, made where it is missing."""
        from chromadb.errors import ChromaError

        found = self.existing(name)
        if found is None:
            try:
                self._databases.create_database(name)
            except ChromaError:
                # Another process may have made it meanwhile; else the same error comes again.
                if self.existing(name) is None:
                    raise
            self._open[name] = found = self._connect(name)
        return found

    @cached_property
    def max_batch(self) -> int:
        """Most points in one write."""
        return self._root.get_max_batch_size()

    def close(self) -> None:
        for client in (*self._open.values(), self._root):
            client.close()

    @property
    def _databases(self) -> Any:
        # An `AdminClient` of our own could not be closed, and would keep the folder open.
        return self._root._admin_client


class Clients(ABC):
    """The way to one Chroma."""

    @abstractmethod
    def opened(self) -> "Any":
        """Context of its `Databases`.

        Raises:
            StoreError: it can't be reached or refuses, also within the context.
        """

    @abstractmethod
    def close(self) -> None: ...


class FolderClients(Clients):
    """A Chroma embedded in this process.

    Args:
        folder: where it lies; made when something is first written.
        lock_timeout: seconds to wait for another process.
    """

    def __init__(self, folder: Path, lock_timeout: float) -> None:
        self._folder = _folder_at(folder.absolute())
        self._lock_timeout = lock_timeout

    @contextmanager
    def opened(self) -> Iterator[Databases]:
        with self._folder.turns.locked(self._lock_timeout), _errors("Look at DAGSTER_HOME's disk."):
            yield self._folder.opened()

    def close(self) -> None:
        self._folder.turns.release(self._lock_timeout)


class ServerClients(Clients):
    """A Chroma server.

    Args:
        url: `http(s)://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._lock = threading.Lock()
        self._databases: Databases | None = None

    @contextmanager
    def opened(self) -> Iterator[Databases]:
        with _errors("Look at SYNC_ASSETS_CHROMA_URL, and whether the server runs."):
            with self._lock:
                if self._databases is None:
                    self._databases = Databases(self._connect)
            yield self._databases

    def close(self) -> None:
        if self._databases is not None:
            self._databases.close()
            self._databases = None

    def _connect(self, database: str | None) -> "ClientAPI":
        import chromadb
        import httpx
        from chromadb.config import DEFAULT_DATABASE, Settings

        is_tls = self._url.scheme == "https"
        client: Any = chromadb.HttpClient(
            host=self._url.hostname or "",
            port=self._url.port or (443 if is_tls else 80),
            ssl=is_tls,
            settings=Settings(anonymized_telemetry=False),
            database=database or DEFAULT_DATABASE,
        )
        # By itself it waits for ever.
        client._server._session.timeout = httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS)
        return client


class _Folder:
    """A folder with its turns; all stores of this process share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.turns = Turns(path, self._close, "a Chroma server (SYNC_ASSETS_CHROMA_URL)")
        self._databases: Databases | None = None

    def opened(self) -> Databases:
        """The open databases; call it within a turn."""
        if self._databases is None:
            self._databases = Databases(self._connect)
        return self._databases

    def _connect(self, database: str | None) -> "ClientAPI":
        import chromadb
        from chromadb.config import DEFAULT_DATABASE, Settings

        return chromadb.PersistentClient(
            self._path, Settings(anonymized_telemetry=False), database=database or DEFAULT_DATABASE
        )

    def _close(self) -> None:
        databases, self._databases = self._databases, None
        if databases is not None:
            databases.close()


_folders: dict[Path, _Folder] = {}
_folders_lock = threading.Lock()


def _folder_at(path: Path) -> _Folder:
    with _folders_lock:
        if path not in _folders:
            _folders[path] = _Folder(path)
        return _folders[path]


@contextmanager
def _errors(remedy: str) -> Iterator[None]:
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    # Chroma says with a ValueError that a server does not answer, or that it takes no such value.
    except (ChromaError, httpx.HTTPError, ValueError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise StoreError(f"Chroma: {reason}.", remedy) from error
