"""How often an account was asked, and how often it refused for speed or failed: counted for whoever opened it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Calls:
    """Requests to an account, repeated ones included. Safe to use from several threads.

    Attributes:
        asked: requests that were sent.
        throttled: those that were answered with status 429.
        failed: those without a usable answer: timeouts, broken connections, status 408 and 5xx.
    """

    asked: int = 0
    throttled: int = 0
    failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def sent(self) -> None:
        with self._lock:
            self.asked += 1

    def brought_nothing(self, status: int | None) -> None:
        """Count the outcome of a request that has to be repeated; None where there was no answer."""
        with self._lock:
            if status == 429:
                self.throttled += 1
            else:
                self.failed += 1


counted: ContextVar[Calls | None] = ContextVar("counted", default=None)


@contextmanager
def counting_calls() -> Iterator[Calls]:
    """Counts the requests of the accounts that are opened within."""
    calls = Calls()
    token = counted.set(calls)
    try:
        yield calls
    finally:
        counted.reset(token)
