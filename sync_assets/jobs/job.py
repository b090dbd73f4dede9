"""What a job is: what was asked for, and its state as the tags and the status of its runs tell it.

What belongs here: reading runs. What changes a job is in `sync_assets.jobs`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sync_assets.planning import SyncRequest
from sync_assets.run_processes import JOB_TAG, RunProcess
from sync_assets.tenants import TenantName

TENANT_TAG = "sync_assets/job_tenant"
# Of the run that was the latest when somebody stopped the job: how.
STOPPED_TAG = "sync_assets/job_stopped"

Status = Literal["pending", "running", "paused", "cancelled", "completed", "failed"]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,48}$")]


class JobRequest(BaseModel):
    """What a job is to sync of one tenant; changes of the last 24 hours where nothing else is said.

    Attributes:
        since, until: days in UTC, both included; `until` is today where it is left out.
        all: everything that upstream has, with a sweep where `sweep` does not say otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: TenantName
    sources: tuple[_Name, ...] = Field(default=(), max_length=50)
    streams: tuple[_Name, ...] = Field(default=(), max_length=50)
    since: date | None = None
    until: date | None = None
    all: bool = False
    incremental: bool = False
    sweep: bool | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum([self.since is not None, self.all, self.incremental]) > 1:
            raise ValueError("since, all and incremental exclude each other")
        if self.until is not None and self.since is None:
            raise ValueError("until needs since")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ValueError("since is after until")
        return self

    @property
    def sync_request(self) -> SyncRequest:
        return SyncRequest(
            self.sources,
            self.streams,
            (self.tenant,),
            incremental=self.incremental,
            first=_day(self.since),
            last=_day(self.until),
            everything=self.all,
            sweep=self.all if self.sweep is None else self.sweep,
        )


class Piece(BaseModel):
    """One of the parts that a job was cut into. Each attempt at it is a run.

    Attributes:
        windows: how many windows of time it is over.
    """

    # Dagster does not show tags of this kind.
    TAG: ClassVar[str] = ".dagster/sync_assets_job_piece"

    number: int
    windows: int
    request: JobRequest

    @classmethod
    def of(cls, run: dg.DagsterRun) -> "Piece":
        """The piece that a run of a job is an attempt at."""
        return cls.model_validate_json(run.tags[cls.TAG])


class Job:
    """A job, as its runs were when it was looked up.

    Args:
        records: of all its runs.
    """

    def __init__(self, records: Sequence[dg.RunRecord]) -> None:
        self.records = sorted(records, key=lambda record: record.storage_id)
        self.latest = self.records[-1].dagster_run
        self.id = self.latest.tags[JOB_TAG]
        self.request = Piece.of(self.latest).request
        self.tenant = self.request.tenant

    def attempts(self, piece: Piece) -> list[dg.DagsterRun]:
        """The runs of a piece, the first one first."""
        return [run for run in self._runs if Piece.of(run).number == piece.number]

    @cached_property
    def latest_of_pieces(self) -> list[dg.DagsterRun]:
        """The last attempt at each piece, in the order in which they are executed."""
        last = {Piece.of(run).number: run for run in self._runs}
        return [last[number] for number in sorted(last)]

    @property
    def unfinished(self) -> list[dg.DagsterRun]:
        return [run for run in self.latest_of_pieces if not run.is_finished]

    @property
    def first_unfinished(self) -> int:
        """The place of its first unfinished run among all runs that were ever made."""
        return min(record.storage_id for record in self.records if not record.dagster_run.is_finished)

    @property
    def assets_left(self) -> set[dg.AssetKey]:
        return {key for run in self.unfinished for key in run.asset_selection or ()}

    @cached_property
    def status(self) -> Status:
        runs = self.latest_of_pieces
        process = RunProcess.of(self.latest)
        works = process is not None and process.is_here()  # also between two runs
        if self.unfinished or works:
            waits = all(run.status is dg.DagsterRunStatus.NOT_STARTED for run in runs)
            return "pending" if waits else "running"
        if self.stopped is not None:
            return self.stopped
        if all(run.is_success for run in runs):
            return "completed"
        return "cancelled" if any(run.status is dg.DagsterRunStatus.CANCELED for run in runs) else "failed"

    @property
    def stopped(self) -> Literal["paused", "cancelled"] | None:
        """How somebody stopped it, unless it was resumed since."""
        how = self.latest.tags.get(STOPPED_TAG)
        return how if how == "paused" or how == "cancelled" else None

    @property
    def is_finished(self) -> bool:
        """Whether no process works at it or will; a paused one can be resumed."""
        return self.status not in ("pending", "running")

    @property
    def created_at(self) -> datetime:
        return min(record.create_timestamp for record in self.records)

    @property
    def started_at(self) -> datetime | None:
        return _moment(min((record.start_time for record in self.records if record.start_time), default=None))

    @property
    def ended_at(self) -> datetime | None:
        if not self.is_finished:
            return None
        return _moment(max((record.end_time for record in self.records if record.end_time), default=None))

    @property
    def _runs(self) -> list[dg.DagsterRun]:
        return [record.dagster_run for record in self.records]


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def _day(day: date | None) -> datetime | None:
    return day and datetime.combine(day, time(), UTC)
