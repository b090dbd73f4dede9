"""Runs whose process is gone are marked as failed, and no others."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psutil
import pytest
import yaml
from dagster import DagsterEventType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from sync_assets.cli.instance import INSTANCE
from sync_assets.clock import utc_now
from sync_assets.event_log import EventLogStorage
from sync_assets.run_launcher import ProcessRunLauncher
from sync_assets.run_processes import JOB_TAG, PROCESS_TAG, RunProcess, claim, fail_dead_runs

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def gone() -> RunProcess:
    """A process that was killed just now, as a run names it."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = psutil.Process(process.pid)
    here = RunProcess.current("0" * 8)
    identity = here._replace(pid=process.pid, started=found.create_time() - psutil.boot_time())
    assert not identity.is_gone()
    process.kill()
    process.communicate()
    return identity


def add_run(
    instance: dg.DagsterInstance,
    process: RunProcess | None,
    status: dg.DagsterRunStatus = STARTED,
    **tags: str,
) -> str:
    """A run that names a process."""
    run_id = str(uuid4())
    named = {PROCESS_TAG: str(process._replace(run=run_id[:8]))} if process else {}
    instance.add_run(dg.DagsterRun("job", run_id, status=status, tags={**named, **tags}))
    return run_id


def tell(instance: dg.DagsterInstance, run_id: str, moment: datetime) -> None:
    """Let a run tell something."""
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            level="info",
            user_message="Half of it is done.",
            run_id=run_id,
            timestamp=moment.timestamp(),
        )
    )


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("was", [dg.DagsterRunStatus.NOT_STARTED, STARTED, dg.DagsterRunStatus.CANCELING])
def test_a_run_whose_process_was_killed_has_failed_and_says_why(
    instance: dg.DagsterInstance, was: dg.DagsterRunStatus
) -> None:
    process = gone()
    run_id = add_run(instance, process, was)
    assert fail_dead_runs(instance) == [run_id]
    assert status(instance, run_id) is dg.DagsterRunStatus.FAILURE
    (event,) = [log.dagster_event for log in instance.all_logs(run_id) if log.dagster_event]
    assert f"The process of this run ({process.pid} on " in (event.message or "")
    assert fail_dead_runs(instance) == []


def test_a_process_id_that_was_used_again_is_another_process(instance: dg.DagsterInstance) -> None:
    here = RunProcess.current("0" * 8)
    run_id = add_run(instance, here._replace(started=here.started - 60))
    assert fail_dead_runs(instance) == [run_id]


def test_runs_that_may_be_going_on_stay_as_they_are(instance: dg.DagsterInstance) -> None:
    ours = add_run(instance, None)
    claim(instance, ours)
    elsewhere = add_run(instance, gone()._replace(host="another-machine"))
    nameless = add_run(instance, None)
    ended = add_run(instance, gone(), dg.DagsterRunStatus.SUCCESS)
    # One that is repeated in the UI has the tags of the first, until its own process takes it.
    repeated = str(uuid4())
    instance.add_run(dg.DagsterRun("job", repeated, status=STARTED, tags={PROCESS_TAG: str(gone())}))
    assert fail_dead_runs(instance) == []
    assert [status(instance, run_id) for run_id in (ours, elsewhere, nameless, repeated)] == [STARTED] * 4
    assert status(instance, ended) is dg.DagsterRunStatus.SUCCESS


def test_a_run_of_another_machine_or_of_no_known_process_has_failed_after_hours_of_silence(
    instance: dg.DagsterInstance,
) -> None:
    elsewhere = add_run(instance, gone()._replace(host="another-machine"))
    nameless = add_run(instance, None)
    ours = add_run(instance, RunProcess.current("0" * 8))
    talking = add_run(instance, None)
    later = utc_now() + timedelta(hours=7)
    tell(instance, talking, later - timedelta(hours=5))
    assert fail_dead_runs(instance, lambda: later - timedelta(hours=2)) == []
    assert sorted(fail_dead_runs(instance, lambda: later)) == sorted([elsewhere, nameless])
    assert [status(instance, run_id) for run_id in (ours, talking)] == [STARTED] * 2
    (event,) = [log.dagster_event for log in instance.all_logs(elsewhere) if log.dagster_event]
    assert (event.message or "").startswith(
        "Nothing was heard of this run for 6 hours. Its process, on another-machine,"
    )


def test_a_job_s_runs_that_wait_for_their_turn_elsewhere_live_as_long_as_one_of_them_does(
    instance: dg.DagsterInstance,
) -> None:
    elsewhere, waits = gone()._replace(host="another"), dg.DagsterRunStatus.NOT_STARTED
    later = utc_now() + timedelta(hours=7)
    job = [add_run(instance, elsewhere, waits, **{JOB_TAG: "long"}) for _ in range(4)]
    for run_id, kind in zip(job, (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_START), strict=False):
        instance.report_dagster_event(dg.DagsterEvent(kind.value, "job"), run_id)
    tell(instance, job[0], later - timedelta(hours=6, minutes=30))
    tell(instance, job[1], later - timedelta(hours=5))
    silent = [add_run(instance, elsewhere, status, **{JOB_TAG: "silent"}) for status in (STARTED, waits, waits)]
    alone = add_run(instance, elsewhere, waits)
    assert sorted(fail_dead_runs(instance, lambda: later)) == sorted([*silent, alone])
    assert fail_dead_runs(instance, lambda: later) == []
    assert sorted(fail_dead_runs(instance, lambda: later + timedelta(hours=2))) == sorted(job[1:])


def test_a_job_that_rested_and_was_resumed_elsewhere_is_not_judged_by_what_it_told_before(
    instance: dg.DagsterInstance,
) -> None:
    elsewhere = gone()._replace(host="another")
    before = add_run(instance, elsewhere, dg.DagsterRunStatus.CANCELED, **{JOB_TAG: "resumed"})
    tell(instance, before, utc_now() - timedelta(days=1))
    add_run(instance, elsewhere, dg.DagsterRunStatus.NOT_STARTED, **{JOB_TAG: "resumed"})
    assert fail_dead_runs(instance) == []


def test_the_launcher_tells_dagster_s_monitor_which_runs_died(instance: dg.DagsterInstance) -> None:
    launcher = ProcessRunLauncher()
    launcher.register_instance(instance)
    assert launcher.supports_check_run_worker_health
    healths = []
    for process in (gone(), RunProcess.current("0" * 8), None):
        run = instance.get_run_by_id(add_run(instance, process))
        assert run is not None
        healths.append(
            (launcher.check_run_worker_health(run).status.value, bool(launcher.get_run_worker_debug_info(run)))
        )
    assert healths == [("FAILED", True), ("RUNNING", False), ("RUNNING", False)]


def test_a_home_without_a_configuration_gets_that_of_the_checkout_and_dagster_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Path(__file__).parent.parent / "dagster_home" / "dagster.yaml"
    assert yaml.safe_load(INSTANCE) == yaml.safe_load(checkout.read_text())
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_launcher, ProcessRunLauncher)
        assert isinstance(instance.event_log_storage, EventLogStorage)
        assert instance.global_op_concurrency_default_limit == 1
        assert instance.run_monitoring_max_runtime_seconds == 24 * 3600


def test_the_file_of_a_run_is_as_dagster_makes_it(tmp_path: Path) -> None:
    ours, dagsters = EventLogStorage(str(tmp_path / "ours")), SqliteEventLogStorage(str(tmp_path / "dagsters"))
    for storage in (ours, dagsters):
        with storage.run_connection("run"):
            pass
    made, expected = (_dump(Path(storage.path_for_shard("run"))) for storage in (ours, dagsters))
    assert made == expected
    assert len(made) > 1
    assert not list(tmp_path.rglob("*.new"))


def _dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return sorted(connection.iterdump())
