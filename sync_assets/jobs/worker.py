"""The process that executes a job's runs, one after the other: `python -m sync_assets.jobs.worker ID`.

What belongs here: the loop over the runs. It ends at the first interrupt; whoever sent it settles what is left.
"""

import signal
import sys
import time

import dagster as dg

from sync_assets import runs
from sync_assets.cli.session import close_log_files, log, open_services
from sync_assets.jobs import Job, Jobs
from sync_assets.planning import Planner
from sync_assets.run_processes import claim
from sync_assets.services import Services

_POLL_SECONDS = 1.0


def work(job_id: str) -> None:
    """Execute what is left of a job, once no earlier job of the tenant is at the same streams."""
    from sync_assets.definitions import defs

    with open_services() as services, runs.open_instance() as instance:
        jobs = Jobs(services.settings, defs, instance)
        while jobs.blockers(_job(jobs, job_id)):
            time.sleep(_POLL_SECONDS)
        for run in _job(jobs, job_id).unfinished:
            _execute(services, instance, run)
        job = _job(jobs, job_id)
        if job.stopped is not None:
            return
        planner = Planner(services, defs().resolve_asset_graph(), instance)
        for planned in planner.plan_graphs([job.tenant]):
            _execute(services, instance, jobs.make_graph_run(job, planned))


def _execute(services: Services, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """One run; what fails in it is in its own events, and the next runs go on.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.status is not dg.DagsterRunStatus.NOT_STARTED:
        return  # canceled in the UI meanwhile, or at work in another process
    claim(instance, run.run_id)
    # The run opens stores of its own; the embedded ones admit one process, and one opening, at a time.
    services.close()
    if runs.interrupted(runs.execute_made(instance, now)):
        raise KeyboardInterrupt


def _job(jobs: Jobs, job_id: str) -> Job:
    job = jobs.get(job_id)
    if job is None:
        raise LookupError(f"no run of job {job_id}")
    return job


def main() -> None:
    """Entry point of the process."""
    # A shell that starts a program in the background lets it, and all that it starts, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        log.exception("%s", "a job broke off")
        raise
    finally:
        close_log_files()


if __name__ == "__main__":
    main()
