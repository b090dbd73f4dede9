"""Dagster's own launcher of runs, which also tells its monitor that a run's process is gone.

`run_launcher` in dagster.yaml names it. With Dagster's default launcher, a run whose code server died with it stays
started for ever, as does one of the command line that was killed, and takes a place among the runs that may go on.
"""

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

from sync_assets.run_processes import death_of


class ProcessRunLauncher(DefaultRunLauncher):
    """Launches runs as processes of the code server. The daemon asks it about every run that is under way."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        reason = death_of(self._instance, run)
        return CheckRunHealthResult(WorkerStatus.RUNNING if reason is None else WorkerStatus.FAILED, reason)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What the monitor adds to the failure of a run."""
        return death_of(self._instance, run)
