"""Progress of a run: to the command line where it watches, else to the run's log, at most every few seconds."""

import time
from contextvars import ContextVar

import dagster as dg

from sync_assets.stages import Progress

_LOG_SECONDS = 10.0

watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


def progress_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Progress:
    """The watcher that the command line set, or one that logs."""
    watching = watcher.get()
    if watching is not None:
        return watching
    started = last = time.monotonic()

    def log(label: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LOG_SECONDS:
            last = now
            rate = done / (now - started)
            rest = f", {(total - done) / rate:.0f} s left" if total and rate else ""
            context.log.info(f"{label}: {done}{f' of {total}' if total else ''}, {rate:.0f}/s{rest}")

    return log
