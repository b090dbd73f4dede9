"""Backfills of the command line: a rectangle of days and tenants, in runs of a few windows each.

All that is known of a backfill stands in the tags of its runs: what was asked for, and by their status what is done. So
one that was stopped, killed or canceled goes on where it was, and nothing has to be kept beside Dagster's own storage.

What belongs here: cutting a backfill into runs, and what became of them. What does not: executing a run (`sync.py`),
printing (`cli/backfill.py`). Backfills of the UI are Dagster's own.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from pydantic import BaseModel

from sync_assets.errors import SettingsError, SourceError
from sync_assets.partitions import RANGE_END, RANGE_START, time_windows
from sync_assets.planning import PlannedRun, Planner, SyncRequest
from sync_assets.run_processes import RunProcess
from sync_assets.services import Services
from sync_assets.sync import Syncer, SyncResult

BACKFILL_TAG = "sync_assets/backfill"
# Dagster does not show tags of this kind.
_REQUEST_TAG = ".dagster/sync_assets_backfill"
_CANCELED_TAG = "sync_assets/backfill_canceled"

State = Literal["running", "done", "canceled", "stopped"]


class Backfill(BaseModel, frozen=True):
    """What was asked for.

    Attributes:
        tenants: those that were meant when it was started, each by name.
        first, last: days in UTC as `YYYY-MM-DD`, both included.
        windows_per_run: the most that one run takes.
    """

    id: str
    sources: tuple[str, ...]
    streams: tuple[str, ...]
    tenants: tuple[str, ...]
    first: str
    last: str
    windows_per_run: int

    @property
    def request(self) -> SyncRequest:
        return SyncRequest(self.sources, self.streams, self.tenants, first=_day(self.first), last=_day(self.last))

    @property
    def tags(self) -> dict[str, str]:
        """Those of each of its runs."""
        return {BACKFILL_TAG: self.id, _REQUEST_TAG: self.model_dump_json()}

    @classmethod
    def of(cls, run: dg.DagsterRun) -> "Backfill":
        """The backfill that a run belongs to."""
        return cls.model_validate_json(run.tags[_REQUEST_TAG])


class Standing(NamedTuple):
    """How far a backfill is.

    Attributes:
        runs: all that it takes.
        left: those of them that have not succeeded yet.
        failed: those of the ones left whose last attempt failed.
    """

    backfill: Backfill
    state: State
    runs: list[PlannedRun]
    left: list[PlannedRun]
    failed: list[PlannedRun]


class Backfills:
    """The backfills of an installation.

    Args:
        announce: called with one line about each run before it starts.
    """

    def __init__(
        self,
        services: Services,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        announce: Callable[[str], None],
    ) -> None:
        self._services = services
        self._definitions = definitions
        self._instance = instance
        self._announce = announce
        self._graph: BaseAssetGraph[Any] = definitions.resolve_asset_graph()
        self._planner = Planner(services, self._graph, instance)

    def new(self, request: SyncRequest, first: datetime, last: datetime, windows_per_run: int) -> Backfill:
        """A backfill over these days, under an id of its own. Nothing is run or written.

        Args:
            request: which sources, streams and tenants.

        Raises:
            SettingsError: a source, stream or tenant is unknown.
        """
        sources = sorted({chain.source for chain in self._planner.chains(request)})
        meant = {tenant for source in sources for tenant in self._planner.tenants(source, request)}
        return Backfill(
            id=secrets.token_hex(4),
            sources=request.sources,
            streams=request.streams,
            tenants=tuple(name for name in self._services.tenants.names() if name in meant),
            first=f"{first:%Y-%m-%d}",
            last=f"{last:%Y-%m-%d}",
            windows_per_run=windows_per_run,
        )

    def runs(self, backfill: Backfill) -> list[PlannedRun]:
        """All runs that it takes, the earliest windows of each source first.

        Raises:
            SettingsError: no window, or no tenant's account, lies in it.
        """
        planned = self._syncer(backfill, self._announce).plan(backfill.request)
        return [piece for run in planned for piece in self._cut(run, backfill.windows_per_run)]

    def all(self) -> list[Standing]:
        """Every backfill that has runs, the latest first."""
        found = {value for _, values in self._instance.get_run_tags([BACKFILL_TAG]) for value in values}
        latest = {backfill_id: self._attempts(backfill_id)[0] for backfill_id in found}
        order = sorted(latest, key=lambda backfill_id: latest[backfill_id].create_timestamp, reverse=True)
        return [self.standing(backfill_id) for backfill_id in order]

    def standing(self, backfill_id: str) -> Standing:
        """How far a backfill is.

        Raises:
            SettingsError: there is none of this id.
        """
        attempts = [record.dagster_run for record in self._attempts(backfill_id)]
        backfill = Backfill.of(attempts[0])
        runs = self.runs(backfill)
        last = [next((attempt for attempt in attempts if _is_of(attempt, run)), None) for run in runs]
        succeeded = [any(_is_of(attempt, run) and attempt.is_success for attempt in attempts) for run in runs]
        left = [run for run, done in zip(runs, succeeded, strict=True) if not done]
        failed = [
            run
            for run, done, attempt in zip(runs, succeeded, last, strict=True)
            if not done and attempt is not None and attempt.is_failure_or_canceled
        ]
        return Standing(backfill, _state(attempts[0], left), runs, left, failed)

    def go_on(self, backfill: Backfill, runs: Sequence[PlannedRun]) -> SyncResult:
        """Execute runs of a backfill one after the other, until all were or somebody cancels; what fails is in the
        result, and the rest goes on.

        Raises:
            SourceError: a tenant's credentials don't work.
        """
        self._check(backfill)
        result, started, windows = SyncResult(), time.monotonic(), 0
        position = _Position(len(runs), sum(run.windows for run in runs))
        syncer = self._syncer(backfill, lambda line: self._announce(f"{position} {line}"))
        for run in runs:
            if self._is_canceled(result):
                break
            position.begin(windows, time.monotonic() - started)
            syncer.run(run, backfill.request, result)
            windows += run.windows
        syncer.settle(backfill.request, result)
        result.seconds += time.monotonic() - started
        return result

    def cancel(self, backfill_id: str) -> None:
        """Let a backfill that runs in another process end after the run that it is at.

        Raises:
            SettingsError: there is none of this id, or it does not run.
        """
        if (state := self.standing(backfill_id).state) != "running":
            raise SettingsError(f"Backfill {backfill_id} is {state}.", "Only one that runs can be canceled.")
        self._instance.add_run_tags(self._attempts(backfill_id)[0].dagster_run.run_id, {_CANCELED_TAG: "yes"})

    def _syncer(self, backfill: Backfill, announce: Callable[[str], None]) -> Syncer:
        return Syncer(self._services, self._definitions, self._instance, announce, backfill.tags)

    def _cut(self, run: PlannedRun, most: int) -> Iterator[PlannedRun]:
        windows = time_windows(self._graph.get(run.assets[0]).partitions_def)
        keys = windows.get_partition_keys_in_range(dg.PartitionKeyRange(run.first_window, run.last_window))
        for start in range(0, len(keys), most):
            part = keys[start : start + most]
            yield run._replace(first_window=part[0], last_window=part[-1], windows=len(part))

    def _check(self, backfill: Backfill) -> None:
        """Try every tenant's credentials, and add the tenants to Dagster's partitions."""
        with self._services.ledger.transaction():
            pass  # where it is out of reach, this says so before any run begins
        for source, chains in self._planner.by_source(backfill.request):
            _, refused = self._planner.reachable(source, chains, backfill.request)
            if refused:
                raise SourceError(" ".join(refused.values()), "Or name other tenants with --tenant.")
            self._planner.register(source)

    def _attempts(self, backfill_id: str) -> Sequence[dg.RunRecord]:
        """All its runs, the latest first."""
        found = self._instance.get_run_records(dg.RunsFilter(tags={BACKFILL_TAG: backfill_id}))
        if not found:
            raise SettingsError(f"Unknown backfill {backfill_id!r}.", "See `sync-assets backfill list`.")
        return found

    def _is_canceled(self, result: SyncResult) -> bool:
        if not result.run_ids:
            return False
        return self._instance.get_runs_count(dg.RunsFilter(result.run_ids, tags={_CANCELED_TAG: "yes"})) > 0


class _Position:
    """Where a backfill is among its runs, as text: `[3/12, 0.8 windows/s, 4 min left]`."""

    def __init__(self, runs: int, windows: int) -> None:
        self._runs, self._windows = runs, windows
        self._number, self._told = 0, ""

    def begin(self, windows: int, seconds: float) -> None:
        """The next run begins.

        Args:
            windows: done so far, in these seconds.
        """
        self._number += 1
        if windows:
            left = (self._windows - windows) * seconds / windows
            self._told = f", {windows / seconds:.1f} windows/s, {_duration(left)} left"

    def __str__(self) -> str:
        return f"[{self._number}/{self._runs}{self._told}]"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _is_of(attempt: dg.DagsterRun, run: PlannedRun) -> bool:
    """Whether an attempt was at this run, with all of its assets."""
    same = all(attempt.tags.get(name) == run.tags[name] for name in (RANGE_START, RANGE_END))
    return same and set(run.assets) <= set(attempt.asset_selection or ())


def _state(latest: dg.DagsterRun, left: Sequence[PlannedRun]) -> State:
    """What became of the process that executes the runs, by its latest one."""
    process = RunProcess.of(latest)
    if not latest.is_finished or (process is not None and process.is_here() and process.pid != os.getpid()):
        return "running"
    if not left:
        return "done"
    return "canceled" if _CANCELED_TAG in latest.tags else "stopped"
