"""Whose turn it is: a cron expression read in each tenant's own time zone.

What belongs here: times. What is run then is in `schedules.py`.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._utils.schedules import get_latest_completed_cron_tick

from sync_assets.partitions import TENANTS_TAG
from sync_assets.tenants import Tenants

# Of a run: the schedule and the turn that it answers.
TURN = "sync_assets/turn"

# A turn that was missed (no daemon, another run under way) is taken within this time; an older one belongs to the past.
_GRACE = timedelta(days=1)
# Runs of one tenant's turn that may fail.
_TRIES = 3


def last_turn(cron: str, zone: str, now: datetime) -> datetime | None:
    """The latest moment up to now at which the cron expression fired in a time zone; None where that is long ago.

    Where clocks skip a time it fires right after, where they show one twice it fires once.
    """
    turn = get_latest_completed_cron_tick(cron, now, zone).astimezone(UTC)
    return turn if now - turn < _GRACE else None


def due(
    instance: dg.DagsterInstance, schedule: str, cron: str, tenants: Tenants, names: Iterable[str], now: datetime
) -> dict[str, list[list[str]]]:
    """Tenants whose last turn is not taken yet, in groups that share a run, by what the `TURN` of these is to be.

    What was asked for is read from the runs themselves: a clock that jumped, a daemon that was away and a tick that
    found another run under way lose no turn, and none is taken twice. A failed run does not take the turn: after it
    each of its tenants is tried alone, `_TRIES` times in all. A canceled one does, since somebody wanted that.
    """
    turns: dict[str, list[str]] = {}
    for name in names:
        turn = last_turn(cron, tenants.time_zone(name), now)
        if turn is not None:
            turns.setdefault(f"{schedule} {turn:%Y-%m-%dT%H:%M:%SZ}", []).append(name)
    found = {turn: _groups(instance, turn, waiting) for turn, waiting in turns.items()}
    return {turn: groups for turn, groups in found.items() if groups}


def _groups(instance: dg.DagsterInstance, turn: str, names: Iterable[str]) -> list[list[str]]:
    """Of the tenants of a turn those that have not taken it: first those of no run yet, then each other one alone."""
    taken: set[str] = set()
    failures: Counter[str] = Counter()
    for run in instance.get_runs(dg.RunsFilter(tags={TURN: turn})):
        asked = run.tags[TENANTS_TAG].split(",")
        if run.status is dg.DagsterRunStatus.FAILURE:
            failures.update(asked)
        else:
            taken.update(asked)
    waiting = [name for name in names if name not in taken and failures[name] < _TRIES]
    fresh = [name for name in waiting if not failures[name]]
    return [fresh] * bool(fresh) + [[name] for name in waiting if failures[name]]


def yesterday(zone: str, now: datetime) -> datetime:
    """When yesterday began for people in a time zone, in UTC."""
    local = now.astimezone(ZoneInfo(zone))
    day = (local - timedelta(days=1)).date()
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
