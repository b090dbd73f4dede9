"""Turns at something on disk that one process at a time may have open.

A process keeps it open from one call to the next, because opening costs far more than a search, but for no longer than
`_TURN_SECONDS`, and lets go when nothing was asked for `_IDLE_SECONDS`. Who waits stands in line at a second lock, the
turnstile, so that a process that opens it again and again can't starve the others.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fasteners import InterProcessLock

from sync_assets.errors import StoreError

_TURN_SECONDS = 2.0
_IDLE_SECONDS = 0.2


class Turns:
    """The right to have one thing open; all threads of a process share it.

    Locks between processes are held by the process, not by a thread, so threads have a lock of their own around them.

    Args:
        path: of the thing; its locks lie beside it.
        close: closes it, when a turn ends; does nothing where it is not open.
        instead: what needs no turns, for the message to those who wait in vain.
    """

    def __init__(self, path: Path, close: Callable[[], None], instead: str) -> None:
        self._folder = path.parent
        self._lock_path = path.with_suffix(".lock")
        self._close_it = close
        self._instead = instead
        self._threads = threading.Lock()
        self._lock = InterProcessLock(self._lock_path)
        self._turnstile = InterProcessLock(path.with_suffix(".turn.lock"))
        self._until = 0.0
        self._idle: threading.Timer | None = None

    @contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """Keep other threads and processes out; wait `timeout` seconds at most.

        Raises:
            StoreError: it was not free in time, or the folder can't be written.
        """
        deadline = time.monotonic() + timeout
        if not self._threads.acquire(timeout=timeout):
            raise self._busy(timeout)
        try:
            if self._idle is not None:
                self._idle.cancel()
            if not self._lock.acquired:
                self._take_turn(timeout, deadline)
            yield
        finally:
            self._end_of_call()
            self._threads.release()

    def release(self, timeout: float) -> None:
        """End the turn and let other processes in.

        Raises:
            StoreError: another thread was at it for `timeout` seconds.
        """
        if not self._threads.acquire(timeout=timeout):
            raise self._busy(timeout)
        try:
            self._close()
        finally:
            self._threads.release()

    def _take_turn(self, timeout: float, deadline: float) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._turnstile.acquire(timeout=max(0.0, deadline - time.monotonic()), delay=0.005, max_delay=0.05):
                raise self._busy(timeout)
            try:
                if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic()), delay=0.005, max_delay=0.05):
                    raise self._busy(timeout)
            finally:
                self._turnstile.release()
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror}.", "This folder lies in DAGSTER_HOME.") from error
        self._until = time.monotonic() + _TURN_SECONDS

    def _end_of_call(self) -> None:
        if not self._lock.acquired:
            return
        if time.monotonic() > self._until:
            self._close()
        else:
            self._idle = threading.Timer(_IDLE_SECONDS, self._close_when_idle)
            self._idle.daemon = True
            self._idle.start()

    def _close_when_idle(self) -> None:
        if self._threads.acquire(blocking=False):
            try:
                if self._idle is threading.current_thread():
                    self._close()
            finally:
                self._threads.release()

    def _close(self) -> None:
        try:
            self._close_it()
        finally:
            if self._lock.acquired:
                self._lock.release()

    def _busy(self, timeout: float) -> StoreError:
        return StoreError(
            f"{self._lock_path}: another process had it open for {timeout:g} s.",
            f"Wait for it to end, raise SYNC_ASSETS_LOCK_TIMEOUT, or use {self._instead}.",
        )
