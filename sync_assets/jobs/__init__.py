"""Jobs: syncs of one tenant that another program starts, watches, pauses, resumes and cancels.

A job is nothing but its Dagster runs, of a few windows each, all made when it is started and executed one after the
other by a process of its own (`worker.py`). What was asked for stands in the tags of the runs, what came of it in their
status and events. So a job outlives whoever started it, and the Dagster UI shows all of it.

What belongs here: starting, finding and stopping jobs. How far one is, is in `progress.py`; HTTP in `api/`.
"""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

import dagster as dg

from sync_assets import runs
from sync_assets.backfills import cut
from sync_assets.errors import JobError, SettingsError, SourceError
from sync_assets.jobs.job import STOPPED_TAG, TENANT_TAG, Job, JobRequest, Piece
from sync_assets.partitions import NO_LIMITS, RANGE_END, RANGE_START, SOURCE_TAG, TENANTS_TAG
from sync_assets.planning import GraphRun, PlannedRun, Planner
from sync_assets.run_processes import JOB_TAG, RunProcess, claim, fail_dead_runs
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.sync import QUIET

__all__ = ["Job", "JobRequest", "Jobs"]

# A month of days, as a backfill's run takes: what a pause throws away is a part of one.
_WINDOWS = 31
# Each has a process that works or waits.
_MOST_UNFINISHED = 5
# How long the process of a job that is stopped may take to end by itself.
_STOP_SECONDS = 20.0
_KEPT_TAGS = (RANGE_START, RANGE_END, SOURCE_TAG, TENANTS_TAG, NO_LIMITS, JOB_TAG, TENANT_TAG, Piece.TAG)


class Jobs:
    """The jobs of an installation.

    Args:
        definitions: of the code location; called when first needed, as it takes seconds to load them.
    """

    def __init__(
        self, settings: Settings, definitions: Callable[[], dg.Definitions], instance: dg.DagsterInstance
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._instance = instance

    def start(self, request: JobRequest) -> Job:
        """Plan a job, make its runs, and let a process execute them. Asks upstream whether the credentials work.

        Raises:
            SettingsError: a source or stream is unknown, or the tenant has no account in it.
            SourceError: upstream refuses the tenant's credentials, or can't be asked.
            JobError: the tenant has too many unfinished jobs already.
        """
        with closing(Services(self._settings)) as services, services.ledger.lock("jobs", request.tenant):
            unfinished = [job.id for job in self.all(request.tenant) if not job.is_finished]
            if len(unfinished) >= _MOST_UNFINISHED:
                raise JobError(
                    f"{len(unfinished)} jobs of {request.tenant} are not finished.", "Wait for one, or cancel one."
                )
            return self._started(request, self._plan(services, request))

    def _started(self, request: JobRequest, pieces: Sequence[tuple[PlannedRun, bool]]) -> Job:
        job_id = secrets.token_hex(8)
        made = []
        for number, (planned, sweep) in enumerate(pieces):
            piece = Piece(number=number, windows=planned.windows, request=request)
            config = planned.config(replace(request.sync_request, sweep=sweep))
            made.append(self._make(job_id, piece, planned.assets, config, planned.tags))
        self._launch(job_id, made)
        return self._found(job_id)

    def all(self, tenant: str | None = None) -> list[Job]:
        """Every job, or those of a tenant, the latest first."""
        fail_dead_runs(self._instance)
        tenants = [tenant] if tenant is not None else self._tenants()
        if not tenants:
            return []
        records = self._instance.get_run_records(dg.RunsFilter(tags={TENANT_TAG: tenants}))
        by_job = sorted(records, key=lambda record: record.dagster_run.tags[JOB_TAG])
        found = [Job(list(group)) for _, group in groupby(by_job, lambda record: record.dagster_run.tags[JOB_TAG])]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)

    def get(self, job_id: str) -> Job | None:
        """A job by its id; None where there is none."""
        fail_dead_runs(self._instance)
        records = self._instance.get_run_records(dg.RunsFilter(tags={JOB_TAG: job_id}))
        return Job(records) if records else None

    def stop(self, job: Job, how: Literal["paused", "cancelled"]) -> Job:
        """End the run that a job is at, and its process; returns when both have ended.

        Args:
            how: a paused job can be resumed, a cancelled one can't.

        Raises:
            JobError: it has finished, or its process is on another machine.
        """
        with self._alone(job) as now:
            return self._stopped(now, how)

    def _stopped(self, job: Job, how: Literal["paused", "cancelled"]) -> Job:
        if job.is_finished and not (job.status == "paused" and how == "cancelled"):
            raise JobError(f"Job {job.id} is {job.status}.", "Only one that is pending or running can be stopped.")
        process = RunProcess.of(job.latest)
        if not job.is_finished and process is not None and not (process.is_here() or process.is_gone()):
            raise JobError(f"Job {job.id} runs on another machine, {process.host}.", "Ask the API there.")
        self._instance.add_run_tags(job.latest.run_id, {STOPPED_TAG: how})
        reason = f"The job was {how}. What it had stored is kept."
        for run in job.unfinished:
            if run.status is dg.DagsterRunStatus.NOT_STARTED:
                self._instance.report_run_canceled(run, reason)
            else:
                self._instance.report_run_canceling(run, reason)
        if process is not None:
            process.end(_STOP_SECONDS)
        for run in self._found(job.id, settle=False).unfinished:  # killed, or begun meanwhile
            self._instance.report_run_canceled(run, reason)
        return self._found(job.id)

    def resume(self, job: Job) -> Job:
        """Do what is left of a job that was paused, or that failed: the assets that no run of it has materialized.

        Raises:
            JobError: it is in another state.
        """
        with self._alone(job) as now:
            return self._resumed(now)

    def _resumed(self, job: Job) -> Job:
        if job.status not in ("paused", "failed"):
            raise JobError(f"Job {job.id} is {job.status}.", "Only one that is paused or failed can be resumed.")
        made = []
        for run in job.latest_of_pieces:
            done = {
                key for attempt in job.attempts(Piece.of(run)) for key in runs.materialized(self._instance, attempt)
            }
            if left := (run.asset_selection or frozenset()) - done:
                ops = {"__".join(key.path) for key in left}
                before: Mapping[str, Any] = run.run_config
                config = {"ops": {name: value for name, value in before.get("ops", {}).items() if name in ops}}
                tags = {name: run.tags[name] for name in _KEPT_TAGS if name in run.tags}
                made.append(self._make(job.id, Piece.of(run), left, config, tags))
        if not made:
            self._instance.add_run_tags(job.latest.run_id, {STOPPED_TAG: ""})
        self._launch(job.id, made or [job.latest])
        return self._found(job.id)

    def blockers(self, job: Job) -> list[str]:
        """Unfinished jobs of the same tenant that were made before and are about some of the same streams."""
        if not job.unfinished:
            return []
        return [
            other.id
            for other in self.all(job.tenant)
            if other.id != job.id
            and other.unfinished
            and other.first_unfinished < job.first_unfinished
            and not other.assets_left.isdisjoint(job.assets_left)
        ]

    def make_graph_run(self, job: Job, planned: GraphRun) -> dg.DagsterRun:
        """The run that follows all others of a job: of what is made of the tenant's whole graph."""
        piece = Piece(number=len(job.latest_of_pieces), windows=1, request=job.request)
        return self._make(job.id, piece, planned.assets, {}, planned.tags)

    def _plan(self, services: Services, request: JobRequest) -> list[tuple[PlannedRun, bool]]:
        """The pieces of a job, and whether each is to sweep: the last of a source does it, once for all."""
        accounts = services.tenants.sources(request.tenant)
        if not set(accounts).intersection(request.sources or accounts):
            raise SettingsError(
                f"{request.tenant} has no account in {' or '.join(request.sources) or 'any source'}.",
                f"It has one in: {', '.join(accounts) or 'none'}.",
            )
        with services.ledger.transaction():
            pass  # where it is out of reach, this says so before anything is made
        graph = self._definitions().resolve_asset_graph()
        planner, wanted = Planner(services, graph, self._instance), request.sync_request
        pieces: list[tuple[PlannedRun, bool]] = []
        for source, chains in planner.by_source(wanted):
            spans, refused = planner.reachable(source, chains, wanted)
            if refused:
                raise SourceError(" ".join(refused.values()), "See the tenant's account.")
            planner.register(source)
            cuts = [piece for run in planner.plan(source, chains, spans, wanted) for piece in cut(graph, run, _WINDOWS)]
            pieces += [(piece, wanted.sweep and piece is cuts[-1]) for piece in cuts]
        return pieces

    def _make(
        self,
        job_id: str,
        piece: Piece,
        assets: Iterable[dg.AssetKey],
        config: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> dg.DagsterRun:
        own = {JOB_TAG: job_id, TENANT_TAG: piece.request.tenant, Piece.TAG: piece.model_dump_json()}
        return runs.make(self._instance, list(assets), {**config, **QUIET}, {**tags, **own})

    def _launch(self, job_id: str, made: Sequence[dg.DagsterRun]) -> None:
        """Let a process of its own, which outlives this one, execute what was made of a job."""
        home = self._settings.home
        try:
            with (home / "logs" / "jobs.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 this program, and an id that was made here
                    [sys.executable, "-W", "ignore", "-m", "sync_assets.jobs.worker", job_id],
                    env={**os.environ, "DAGSTER_HOME": str(home)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            for run in made:
                self._instance.report_run_failed(run, f"No process could be started for it: {error.strerror}.")
            return
        for run in made:
            claim(self._instance, run.run_id, process.pid)
        # Its end has to be awaited by somebody, or it stays as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()

    @contextmanager
    def _alone(self, job: Job) -> Iterator[Job]:
        """A job as it is now, while no other request changes it."""
        with closing(Services(self._settings)) as services, services.ledger.lock("job", job.id):
            yield self._found(job.id)

    def _found(self, job_id: str, settle: bool = True) -> Job:
        if settle:
            fail_dead_runs(self._instance)
        return Job(self._instance.get_run_records(dg.RunsFilter(tags={JOB_TAG: job_id})))

    def _tenants(self) -> list[str]:
        return sorted({value for _, values in self._instance.get_run_tags([TENANT_TAG]) for value in values})
