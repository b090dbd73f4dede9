"""Jobs over HTTP: start, list, look at, pause, resume and cancel.

What belongs here: requests and answers. What a job is, is in `sync_assets.jobs`.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sync_assets.api.gate import InternalKey, tenant_of
from sync_assets.api.keys import Key
from sync_assets.api.parts import Parts, PartsOf
from sync_assets.api.problems import Problem, Refusal, line_of
from sync_assets.jobs import Job, JobRequest
from sync_assets.jobs.job import Status
from sync_assets.jobs.progress import progress
from sync_assets.tenants import TenantName

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "It is not in a state in which this can be done."}
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such job of a tenant that the key opens."}
}


class StartJob(JobRequest):
    """What to sync; a tenant's key needs to name none."""

    tenant: TenantName | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"sources": ["freshdesk"], "incremental": True},
                {"sources": ["freshdesk"], "streams": ["tickets"], "since": "2026-01-01", "until": "2026-03-31"},
                {"all": True, "sweep": False},
            ]
        }
    }


class StageProgress(BaseModel):
    """A stage, and in how many of the job's parts it is done."""

    stage: str
    done: int
    total: int


class JobSummary(BaseModel):
    """A job, and what was asked for."""

    id: str
    tenant: str
    status: Status
    sources: list[str]
    streams: list[str]
    since: date | None
    until: date | None
    all: bool
    incremental: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    runs: list[str] = Field(description="Ids of its Dagster runs.")


class JobDetail(JobSummary):
    """How far a job is.

    Attributes:
        counts: of what its runs did so far.
        errors: one line for each step that failed, to the operator's key with what was wrong; `errors_count` adds the
            records in quarantine to them.
        remaining_seconds: by the pace so far; null where nothing was measured or nothing is left to do.
    """

    progress: list[StageProgress]
    counts: dict[str, int]
    errors_count: int
    errors: list[str]
    remaining_seconds: float | None


class JobPage(BaseModel):
    jobs: list[JobSummary]
    page: int
    per_page: int
    total: int


@router.post("", status_code=202, summary="Start a job", responses=_CONFLICT)
def start(body: StartJob, parts: PartsOf, key: InternalKey) -> JobDetail:
    """Starts a sync and answers at once. Jobs of one tenant that are about the same streams wait for each other."""
    request = JobRequest.model_validate({**body.model_dump(), "tenant": tenant_of(key, body.tenant)})
    return _detail(parts, key, parts.jobs.start(request))


@router.get("", summary="List jobs, the latest first")
def list_jobs(
    parts: PartsOf,
    key: InternalKey,
    status: Status | None = None,
    tenant: TenantName | None = None,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobPage:
    """The jobs of the key's tenant; of all tenants, or of one, with the operator's key."""
    owner = tenant if key.is_operator else tenant_of(key, tenant)
    jobs = [job for job in parts.jobs.all(owner) if status in (None, job.status)]
    shown = jobs[(page - 1) * per_page : page * per_page]
    return JobPage(jobs=[_summary(job) for job in shown], page=page, per_page=per_page, total=len(jobs))


@router.get("/{job_id}", summary="How far a job is", responses=_UNKNOWN)
def show(job_id: str, parts: PartsOf, key: InternalKey) -> JobDetail:
    return _detail(parts, key, _job(parts, key, job_id))


@router.post("/{job_id}/{action}", summary="Pause, resume or cancel a job", responses={**_UNKNOWN, **_CONFLICT})
def control(job_id: str, action: Literal["pause", "resume", "cancel"], parts: PartsOf, key: InternalKey) -> JobDetail:
    """Pausing and cancelling end the job's Dagster run and its process before they answer.

    A paused job can be resumed, as can a failed one: what was done is not done again. A cancelled one can't.
    """
    job = _job(parts, key, job_id)
    if action == "resume":
        return _detail(parts, key, parts.jobs.resume(job))
    return _detail(parts, key, parts.jobs.stop(job, "paused" if action == "pause" else "cancelled"))


def _job(parts: Parts, key: Key, job_id: str) -> Job:
    """A job that the key opens; one of another tenant is as unknown as one that was never made."""
    job = parts.jobs.get(job_id) if job_id.isascii() and job_id.isalnum() else None
    if job is None or key.tenant not in (None, job.tenant):
        raise Refusal(404, "There is no such job.")
    return job


def _summary(job: Job) -> JobSummary:
    asked = job.request
    return JobSummary(
        id=job.id,
        tenant=job.tenant,
        status=job.status,
        sources=list(asked.sources),
        streams=list(asked.streams),
        since=asked.since,
        until=asked.until,
        all=asked.all,
        incremental=asked.incremental,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        runs=[record.dagster_run.run_id for record in job.records],
    )


def _detail(parts: Parts, key: Key, job: Job) -> JobDetail:
    found = progress(parts.instance, job)
    return JobDetail(
        **_summary(job).model_dump(),
        progress=[StageProgress(stage=one.name, done=one.done, total=one.total) for one in found.stages],
        counts=found.counts,
        errors_count=len(found.errors) + found.counts["quarantined"],
        errors=[f"{one.asset}: {one.reason if key.is_operator else line_of(one.kind)}" for one in found.errors],
        remaining_seconds=found.remaining_seconds,
    )
