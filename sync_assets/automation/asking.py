"""Asking many tenants' accounts something within a time, so that one that does not answer holds up no other.

What belongs here: threads and the clock. What is asked is in `sensors.py` and `schedules.py`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Generic, NamedTuple, TypeVar

from sync_assets.errors import SourceError

Answer = TypeVar("Answer")

# Dagster gives up a tick after 60 s; the rest is for loading, planning and asking for runs.
BUDGET_SECONDS = 40.0
_AT_ONCE = 4


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
    """Ask in this order, some at a time. `SourceError` is an answer like others; any other error passes through.

    What has not answered in time goes on until its own limits end it, and is not listened to.

    Args:
        ask: called with a tenant in a thread.
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
            except SourceError as error:
                answers.failed[tenant] = str(error)
    return answers
