"""Whose turn it is: a cron expression read in each tenant's own time zone.

What belongs here: times. What is run then is in `schedules.py`.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType, ScheduleInstigatorData
from dagster._utils.schedules import get_latest_completed_cron_tick

from sync_assets.partitions import TENANTS_TAG
from sync_assets.tenants import Tenants

# Of a run: the schedule and the turn that it answers.
TURN = "sync_assets/turn"

# How long a tenant waits after its first failed run of a turn; after each other one four times as long, up to a day.
_FIRST_WAIT = timedelta(minutes=15)
_LONGEST_WAIT = timedelta(days=1)


class Turn(NamedTuple):
    """One firing of a schedule's cron expression."""

    schedule: str
    moment: datetime

    @property
    def tag(self) -> str:
        """What the `TURN` of its runs is."""
        return f"{self.schedule} {self.moment:%Y-%m-%dT%H:%M:%SZ}"


def last_turn(cron: str, zone: str, now: datetime) -> datetime:
    """The latest moment up to now at which the cron expression fired in a time zone.

    Where clocks skip a time it fires right after, where they show one twice it fires once.
    """
    return get_latest_completed_cron_tick(cron, now, zone).astimezone(UTC)


def due(
    instance: dg.DagsterInstance, schedule: str, cron: str, tenants: Tenants, names: Iterable[str], now: datetime
) -> dict[Turn, list[list[str]]]:
    """Tenants whose last turn is not taken yet, in groups that share a run, by turn.

    A turn that was missed (no daemon, another run under way) is taken until the next one begins, however long that is;
    one from before the schedule was turned on belongs to the past. What was asked for is read from the runs
    themselves: a clock that jumped, a daemon that was away and a tick that found another run under way lose no turn,
    and none is taken twice. A failed run does not take the turn: each of its tenants is tried alone, after 15 minutes,
    an hour, four hours, 16 hours and then each day, until the next turn. A canceled one does, since somebody wanted
    that.
    """
    since = _turned_on(instance, schedule)
    turns: dict[Turn, list[str]] = {}
    for name in names:
        moment = last_turn(cron, tenants.time_zone(name), now)
        if since is None or moment >= since:
            turns.setdefault(Turn(schedule, moment), []).append(name)
    found = {turn: _groups(instance, turn, waiting, now) for turn, waiting in turns.items()}
    return {turn: groups for turn, groups in found.items() if groups}


def _turned_on(instance: dg.DagsterInstance, schedule: str) -> datetime | None:
    """When somebody turned the schedule on; None where nobody did, as in a tick by hand."""
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        data = state.instigator_data
        if state.instigator_name == schedule and isinstance(data, ScheduleInstigatorData) and data.start_timestamp:
            return datetime.fromtimestamp(data.start_timestamp, UTC)
    return None


def _groups(instance: dg.DagsterInstance, turn: Turn, names: Iterable[str], now: datetime) -> list[list[str]]:
    """Of the tenants of a turn those to be synced now: first those of no run yet, then each other one alone."""
    taken: set[str] = set()
    failures: dict[str, list[datetime]] = {}
    for record in instance.get_run_records(dg.RunsFilter(tags={TURN: turn.tag})):
        asked = record.dagster_run.tags[TENANTS_TAG].split(",")
        if record.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            # A run that never started has no end.
            ended = record.end_time or record.update_timestamp.timestamp()
            for name in asked:
                failures.setdefault(name, []).append(datetime.fromtimestamp(ended, UTC))
        else:
            taken.update(asked)
    waiting = [name for name in names if name not in taken]
    fresh = [name for name in waiting if name not in failures]
    return [fresh] * bool(fresh) + [[name] for name in waiting if name in failures and _again(failures[name]) <= now]


def _again(failures: Sequence[datetime]) -> datetime:
    """When a tenant is tried again whose runs failed at these times."""
    # Bounded before it is multiplied: many failures of an endless turn would be more than a timedelta holds.
    return max(failures) + min(_FIRST_WAIT * 4 ** min(len(failures) - 1, 10), _LONGEST_WAIT)


def yesterday(zone: str, moment: datetime) -> datetime:
    """When the day before a moment began for people in a time zone, in UTC."""
    local = moment.astimezone(ZoneInfo(zone))
    day = (local - timedelta(days=1)).date()
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
