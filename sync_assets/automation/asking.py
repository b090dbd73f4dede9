"""Asking many tenants' accounts something within a time, so that one that does not answer holds up no other.

What belongs here: threads, the clock, and what becomes of errors. What is asked is in `sensors.py`, `schedules.py` and
`notifications.py`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from traceback import extract_tb
from typing import Generic, NamedTuple, TypeVar

from sync_assets.errors import SyncAssetsError

Answer = TypeVar("Answer")

# Dagster gives up a tick after 60 s; the rest is for loading, planning and asking for runs.
BUDGET_SECONDS = 40.0
_AT_ONCE = 4

# How the reason of a tick begins that could ask no tenant. `notifications.py` tells of their accounts (`refusals.py`),
# and knows by these words that nothing else is wrong with the tick.
NONE_ASKED = "No tenant could be asked. "


class Answers(NamedTuple, Generic[Answer]):
    """What came of it.

    Attributes:
        found: answers by tenant.
        failed: why there is none, by tenant.
        left: tenants that were not asked for lack of time.
    """

    found: dict[str, Answer]
    failed: dict[str, str]
    left: list[str]


def ask_all(tenants: Sequence[str], ask: Callable[[str], Answer], seconds: float) -> Answers[Answer]:
    """Ask in this order, some at a time. No error of one tenant's keeps the others from being asked.

    What has not answered in time goes on until its own limits end it, and is not listened to.

    Args:
        ask: called with a tenant in a thread, which may outlive the tick: it must not touch the ledger.
        seconds: how long in all.
    """
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="asking")
    asked = {tenant: pool.submit(ask, tenant) for tenant in tenants}
    try:
        wait(asked.values(), seconds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    answers: Answers[Answer] = Answers({}, {}, [])
    for tenant, answer in asked.items():
        if answer.cancelled():
            answers.left.append(tenant)
        elif not answer.done():
            answers.failed[tenant] = f"{tenant}: no answer within {seconds:g} s."
        else:
            try:
                answers.found[tenant] = answer.result()
            except Exception as error:  # noqa: BLE001 a thread's, of one tenant
                answers.failed[tenant] = _why(tenant, error)
    return answers


def _why(tenant: str, error: Exception) -> str:
    """Our own errors speak for themselves; of others the text may hold anything, so only type and place are told."""
    if isinstance(error, SyncAssetsError):
        return str(error)
    place = extract_tb(error.__traceback__)[-1]
    return f"{tenant}: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}."
