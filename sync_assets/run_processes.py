"""Which process executes a run, and what becomes of runs whose process is gone.

Dagster learns of a run's end from the process that executes it. One that was killed, or went with its machine, says
nothing more, and its run would count as under way for ever. So each run carries a tag that names its process, and who
looks for runs under way first marks those of dead processes as failed. Of processes on other machines, and of runs that
died before they had the tag, nothing is known but what the run told last: hours of silence count as death. A run of a
job that waits for its turn says nothing: what the job's others told last counts for it.

What belongs here: that tag, and reading it. What does not: executing runs (`runs.py`).
"""

import contextlib
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import dagster as dg
import psutil

from sync_assets.clock import utc_now

# Among Dagster's own tags, which the UI keeps apart: people look for the tenant and the source of a run.
PROCESS_TAG = "dagster/sync_assets_process"
# The job that a run is one of (`sync_assets.jobs`).
JOB_TAG = "sync_assets/job"

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Between two readings of a process's start, in seconds. Process ids are not used again as soon as that.
_SAME_START = 2.0
# A run tells of each step and of its progress.
_LONGEST_SILENCE = timedelta(hours=6)
_KEPT = "What it had stored is kept; the next run over the same windows does the rest."


class RunProcess(NamedTuple):
    """The process that executes a run.

    Attributes:
        run: first characters of the run's id. A run that is repeated in the UI gets all tags of the first one.
        started: seconds from the machine's start to that of the process: setting the clock does not change them.
    """

    host: str
    pid: int
    started: float
    run: str

    @classmethod
    def current(cls, run_id: str, pid: int | None = None) -> Self:
        """This process, or another one of this machine, for a run that it executes."""
        process = psutil.Process(pid)
        return cls(socket.gethostname(), process.pid, _start_of(process), run_id[:8])

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Self | None:
        """The process of a run, where its tag names one."""
        host, pid, started, run_id = (*run.tags.get(PROCESS_TAG, "").split(), "", "", "", "")[:4]
        return cls(host, int(pid), float(started), run_id) if run_id and run.run_id.startswith(run_id) else None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started:.2f} {self.run}"

    def is_gone(self) -> bool:
        """Whether the process was one of this machine, and is dead. Of other machines nothing is known."""
        return self.host == socket.gethostname() and not self._lives()

    def end(self, seconds: float) -> None:
        """Interrupt a process of this machine as Ctrl-C does, and kill it where it has not ended after some seconds."""
        if not self.is_here():
            return
        process = psutil.Process(self.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(seconds)

    def is_here(self) -> bool:
        """Whether the process is one of this machine, and lives."""
        return self.host == socket.gethostname() and self._lives()

    def _lives(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(_start_of(process) - self.started) < _SAME_START
        except psutil.NoSuchProcess:
            return False


def claim(instance: dg.DagsterInstance, run_id: str, pid: int | None = None) -> None:
    """Let a run name this process, or another one of this machine, as the one that executes it."""
    instance.add_run_tags(run_id, {PROCESS_TAG: str(RunProcess.current(run_id, pid))})


def fail_dead_runs(instance: dg.DagsterInstance, clock: Callable[[], datetime] = utc_now) -> list[str]:
    """Mark as failed what processes left unfinished when they died; returns the runs' ids."""
    failed = []
    unfinished = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    # All are judged before any is marked: the mark would be a sign of life of the run's job.
    for run, reason in [(run, death_of(instance, run, clock)) for run in unfinished]:
        now = reason and instance.get_run_by_id(run.run_id)
        if reason and now and not now.is_finished:  # it may have come to its end since it was listed
            instance.report_run_failed(now, reason)
            failed.append(run.run_id)
    return failed


def death_of(instance: dg.DagsterInstance, run: dg.DagsterRun, clock: Callable[[], datetime] = utc_now) -> str | None:
    """Why an unfinished run counts as dead, for people to read in the UI; None where it may be going on."""
    process = RunProcess.of(run)
    if process is not None and (process.is_here() or process.is_gone()):
        return death_notice(process) if process.is_gone() else None
    last = _last_word(instance, run)
    if last is None or clock() - last < _LONGEST_SILENCE:
        return None
    where = f"on {process.host}" if process is not None else "which this run does not name"
    hours = int(_LONGEST_SILENCE.total_seconds() // 3600)
    return f"Nothing was heard of this run for {hours} hours. Its process, {where}, counts as gone. {_KEPT}"


def _last_word(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime | None:
    """When a run last told anything, or else when it was made; None where it was deleted meanwhile.

    Of a job's run that waits for its turn, when the job's run that began last did, if that is later.
    """
    words = [_word_of(instance, run.run_id)]
    if run.status is dg.DagsterRunStatus.NOT_STARTED and JOB_TAG in run.tags:
        begun = [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.NOT_STARTED]
        of_job = dg.RunsFilter(tags={JOB_TAG: run.tags[JOB_TAG]}, statuses=begun)
        latest = instance.get_run_records(of_job, limit=1, order_by="update_timestamp", ascending=False)
        words += [_word_of(instance, record.dagster_run.run_id) for record in latest]
    return max((word for word in words if word is not None), default=None)


def _word_of(instance: dg.DagsterInstance, run_id: str) -> datetime | None:
    found = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    if found:
        return datetime.fromtimestamp(found[0].timestamp, UTC)
    record = instance.get_run_record_by_id(run_id)
    return record and record.create_timestamp


def death_notice(process: RunProcess) -> str:
    """What people read in the UI about a run whose process is gone."""
    return (
        f"The process of this run ({process.pid} on {process.host}) is gone: it was killed, or the machine stopped. "
        f"{_KEPT}"
    )


def _start_of(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()
