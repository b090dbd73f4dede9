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
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from pydantic import BaseModel, Field

from sync_assets.clock import utc_now
from sync_assets.errors import SettingsError, SourceError
from sync_assets.partitions import RANGE_END, RANGE_START, TENANTS_TAG, time_windows
from sync_assets.planning import PlannedRun, Planner, SyncRequest
from sync_assets.run_processes import RunProcess
from sync_assets.runs import materialized
from sync_assets.services import Services
from sync_assets.sync import Syncer, SyncResult

BACKFILL_TAG = "sync_assets/backfill"
# Dagster does not show tags of this kind.
_REQUEST_TAG = ".dagster/sync_assets_backfill"
_CANCELED_TAG = "sync_assets/backfill_canceled"

State = Literal["running", "done", "canceled", "stopped", "unknown"]


class Backfill(BaseModel, frozen=True):
    """What was asked for.

    Attributes:
        tenants: those that were meant when it was started, each by name.
        first, last: days in UTC as `YYYY-MM-DD`, both included.
        windows_per_run: the most that one run takes.
        only: those of the tenants that are meant now, all where it is empty; not stored.
    """

    id: str
    sources: tuple[str, ...]
    streams: tuple[str, ...]
    tenants: tuple[str, ...]
    first: str
    last: str
    windows_per_run: int
    only: tuple[str, ...] = Field(default=(), exclude=True)

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
        state: "unknown" where it can't be planned any more, as without its tenants; the lists are empty then.
        runs: all that it takes.
        left: those of them that are not done for all of their tenants.
        failed: those of the ones left whose last attempt failed for one of the tenants.
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
            last: today where it is later: what has windows to come would never be done.

        Raises:
            SettingsError: a source, stream or tenant is unknown, or no tenant has an account for this.
        """
        sources = [source for source, _ in self._planner.by_source(request)]
        meant = {tenant for source in sources for tenant in self._planner.tenants(source, request)}
        return Backfill(
            id=secrets.token_hex(4),
            sources=request.sources,
            streams=request.streams,
            tenants=tuple(name for name in self._services.tenants.names() if name in meant),
            first=f"{first:%Y-%m-%d}",
            last=max(f"{first:%Y-%m-%d}", min(f"{last:%Y-%m-%d}", f"{utc_now():%Y-%m-%d}")),
            windows_per_run=windows_per_run,
        )

    def runs(self, backfill: Backfill) -> list[PlannedRun]:
        """All runs that it takes for the tenants that are left of it, the earliest windows of each source first.

        Raises:
            SettingsError: no window, or no tenant's account, lies in it.
        """
        planned = self._syncer(backfill, self._announce).plan(self._request(backfill))
        return [piece for run in planned for piece in cut(self._graph, run, backfill.windows_per_run)]

    def all(self) -> list[Standing]:
        """Every backfill that has runs, the latest first."""
        found = {value for _, values in self._instance.get_run_tags([BACKFILL_TAG]) for value in values}
        latest = {backfill_id: self._attempts(backfill_id)[0] for backfill_id in found}
        order = sorted(latest, key=lambda backfill_id: latest[backfill_id].create_timestamp, reverse=True)
        return [self._standing_if_known(backfill_id) for backfill_id in order]

    def standing(self, backfill_id: str, only: Sequence[str] = ()) -> Standing:
        """How far a backfill is, for all of its tenants or for these.

        Raises:
            SettingsError: there is none of this id or without such a tenant, or it can't be planned any more.
        """
        attempts = [_Attempt.of(record.dagster_run, self._instance) for record in self._attempts(backfill_id)]
        backfill = Backfill.of(attempts[0].run).model_copy(update={"only": tuple(only)})
        if strangers := sorted(set(only).difference(backfill.tenants)):
            raise SettingsError(
                f"Backfill {backfill_id} is not about {', '.join(strangers)}.",
                f"Its tenants are: {', '.join(backfill.tenants)}.",
            )
        runs = self.runs(backfill)
        left = [run for run in runs if not _is_done(run, attempts)]
        failed = [run for run in left if _has_failed(run, attempts)]
        return Standing(backfill, _state(attempts[0].run, left), runs, left, failed)

    def go_on(self, backfill: Backfill, runs: Sequence[PlannedRun]) -> SyncResult:
        """Execute runs of a backfill in turn, until somebody cancels; failures are in the result, the rest goes on.

        Raises:
            SourceError: a tenant's credentials don't work.
        """
        canceled = self._cancellations(backfill.id)
        request = self._request(backfill)
        self._check(request)
        result, started, windows = SyncResult(), time.monotonic(), 0
        position = _Position(len(runs), sum(run.windows for run in runs))
        syncer = self._syncer(backfill, lambda line: self._announce(f"{position} {line}"))
        for run in runs:
            if self._cancellations(backfill.id) - canceled:
                break
            position.begin(windows, time.monotonic() - started)
            syncer.run(run, request, result)
            windows += run.windows
        syncer.settle(request, result)
        if self._cancellations(backfill.id) - canceled:
            self._mark_canceled(backfill.id)  # once more: other runs may have followed, such as the graph's
        result.seconds += time.monotonic() - started
        return result

    def cancel(self, backfill_id: str) -> None:
        """Let a backfill that runs in another process end after the run that it is at.

        Raises:
            SettingsError: there is none of this id, or it does not run.
        """
        if (state := self.standing(backfill_id).state) != "running":
            raise SettingsError(
                f"Backfill {backfill_id} is {state}.",
                "Only one that runs can be canceled; one that is about to begin, once its first run has.",
            )
        self._mark_canceled(backfill_id)

    def _mark_canceled(self, backfill_id: str) -> None:
        latest = self._attempts(backfill_id)[0].dagster_run  # which tells the state
        self._instance.add_run_tags(latest.run_id, {_CANCELED_TAG: utc_now().isoformat()})

    def _standing_if_known(self, backfill_id: str) -> Standing:
        """How far it is; of one that can't be planned any more, only what it was."""
        try:
            return self.standing(backfill_id)
        except SettingsError:
            return Standing(Backfill.of(self._attempts(backfill_id)[0].dagster_run), "unknown", [], [], [])

    def _request(self, backfill: Backfill) -> SyncRequest:
        """What was asked for, of the tenants that are meant and are still in the tenants file.

        Raises:
            SettingsError: none is.
        """
        known, meant = self._services.tenants.names(), backfill.only or backfill.tenants
        left = tuple(name for name in meant if name in known)
        if not left:  # and not everyone, which no tenants mean in a request
            raise SettingsError(
                f"No tenant of backfill {backfill.id} ({', '.join(meant)}) is in "
                f"{self._services.settings.tenants_path} any more.",
                "Put one back there, or start another backfill.",
            )
        return replace(backfill.request, tenants=left)

    def _syncer(self, backfill: Backfill, announce: Callable[[str], None]) -> Syncer:
        return Syncer(self._services, self._definitions, self._instance, announce, backfill.tags)

    def _check(self, request: SyncRequest) -> None:
        """Try every tenant's credentials, and add the tenants to Dagster's partitions."""
        with self._services.ledger.transaction():
            pass  # where it is out of reach, this says so before any run begins
        for source, chains in self._planner.by_source(request):
            _, refused = self._planner.reachable(source, chains, request)
            if refused:
                raise SourceError(" ".join(refused.values()), "Or name other tenants with --tenant.")
            self._planner.register(source)

    def _attempts(self, backfill_id: str) -> Sequence[dg.RunRecord]:
        """All its runs, the latest first."""
        found = self._instance.get_run_records(dg.RunsFilter(tags={BACKFILL_TAG: backfill_id}))
        if not found:
            raise SettingsError(f"Unknown backfill {backfill_id!r}.", "See `sync-assets backfill list`.")
        return found

    def _cancellations(self, backfill_id: str) -> set[tuple[str, str]]:
        """Every time that somebody canceled it so far, by the run that was the latest then."""
        runs = self._instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: backfill_id}))
        return {(run.run_id, run.tags[_CANCELED_TAG]) for run in runs if _CANCELED_TAG in run.tags}


def cut(graph: BaseAssetGraph[Any], run: PlannedRun, most: int) -> Iterator[PlannedRun]:
    """A planned run in pieces of a few windows each, the earliest first."""
    windows = time_windows(graph.get(run.assets[0]).partitions_def)
    keys = windows.get_partition_keys_in_range(dg.PartitionKeyRange(run.first_window, run.last_window))
    for start in range(0, len(keys), most):
        part = keys[start : start + most]
        yield run._replace(first_window=part[0], last_window=part[-1], windows=len(part))


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


class _Attempt(NamedTuple):
    """A run of a backfill, as it was executed: for all tenants of a planned one, or again for one of them alone.

    Attributes:
        done: the assets that it materialized, all of them where it succeeded.
    """

    run: dg.DagsterRun
    tenants: set[str]
    first_window: str
    last_window: str
    done: set[dg.AssetKey]

    @classmethod
    def of(cls, run: dg.DagsterRun, instance: dg.DagsterInstance) -> "_Attempt":
        first, last = (run.tags.get(name, "").rpartition("|")[0] for name in (RANGE_START, RANGE_END))
        return cls(run, set(run.tags.get(TENANTS_TAG, "").split(",")), first, last, materialized(instance, run))

    def is_at(self, planned: PlannedRun, tenant: str) -> bool:
        """Whether it was at all windows of a planned run, for this tenant."""
        windows = self.first_window <= planned.first_window and planned.last_window <= self.last_window
        return windows and tenant in self.tenants and not (self.run.asset_selection or set()).isdisjoint(planned.assets)


def _is_done(planned: PlannedRun, attempts: Sequence[_Attempt]) -> bool:
    """Whether each asset was materialized for each tenant, be it by several runs."""
    for tenant in planned.tenants:
        done = {key for attempt in attempts if attempt.is_at(planned, tenant) for key in attempt.done}
        if not done.issuperset(planned.assets):
            return False
    return True


def _has_failed(planned: PlannedRun, attempts: Sequence[_Attempt]) -> bool:
    """Whether the last attempt at it failed for one of the tenants.

    Args:
        attempts: the latest first.
    """
    for tenant in planned.tenants:
        last = next((attempt.run for attempt in attempts if attempt.is_at(planned, tenant)), None)
        if last is not None and last.is_failure_or_canceled:
            return True
    return False


def _state(latest: dg.DagsterRun, left: Sequence[PlannedRun]) -> State:
    """What became of the process that executes the runs, by its latest one."""
    process = RunProcess.of(latest)
    if not latest.is_finished or (process is not None and process.is_here() and process.pid != os.getpid()):
        return "running"
    if not left:
        return "done"
    return "canceled" if _CANCELED_TAG in latest.tags else "stopped"
