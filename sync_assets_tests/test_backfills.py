"""Backfills of the command line: cut into runs, stopped, canceled and gone on with."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.test_utils import freeze_time

from sync_assets import backfills, runs
from sync_assets.backfills import BACKFILL_TAG, Backfills
from sync_assets.demo.server import DemoServers
from sync_assets.partitions import RANGE_END, RANGE_START
from sync_assets.planning import PlannedRun, Planner
from sync_assets.sync import Syncer
from sync_assets_tests.command_line import YESTERDAY, Installation, small_company
from sync_assets_tests.postgres import fresh_database

# Two days in runs of one; all that upstream has was changed on the last.
DAYS = [f"{YESTERDAY + timedelta(days=number):%Y-%m-%d}" for number in (-1, 0)]
START = (
    *("backfill", "start", "--source", "freshdesk", "--stream", "tickets", "--tenant", "polder"),
    *("--from", DAYS[0], "--to", DAYS[-1], "--windows-per-run", "1"),
)
RUNS = [(day, day) for day in DAYS]


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """Two tenants that nothing was synced of."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        yield Installation(tmp_path / "home", url, servers)


def attempts(installation: Installation) -> list[tuple[str, str, dg.DagsterRunStatus]]:
    """First and last window and status of every run of the chain, in order; all carry one backfill's tag."""
    with installation.instance() as instance:
        runs = [run for run in instance.get_runs(ascending=True) if run.tags["sync_assets/source"] == "freshdesk"]
    assert len({run.tags[BACKFILL_TAG] for run in runs}) == 1
    return [(run.tags[RANGE_START].split("|")[0], run.tags[RANGE_END].split("|")[0], run.status) for run in runs]


def only(installation: Installation) -> dict[str, Any]:
    """The one backfill that `list` shows."""
    (row,) = installation.run("backfill", "list", "--json").json
    return row


def test_a_backfill_that_is_killed_goes_on_with_what_is_left(installation: Installation) -> None:
    process = installation.start(*START, program=("-c", _KILLED_BEFORE_THE_LEDGER_KNOWS))
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL
    stopped = only(installation)
    assert (stopped["state"], stopped["runs"], stopped["done"], stopped["failed"]) == ("stopped", 2, 1, 1)
    assert (stopped["windows"], stopped["windows_done"], stopped["tenants"]) == (2, 1, "polder")
    assert f"sync-assets backfill resume {stopped['id']}" in err, "whoever started it knows how to go on"
    second = rf"\[2/2, [\d.]+ windows/s, \d+ s left\] freshdesk: tickets of polder, 1 windows from {DAYS[1]}"
    assert re.search(second, err), err
    shown = installation.run("backfill", "show", stopped["id"], "--json").json
    assert [(run["first_window"], run["last_window"]) for run in shown["runs_left"]] == RUNS[1:]

    resumed = installation.run("backfill", "resume", stopped["id"], "--json")
    assert (resumed.code, resumed.json["left"]) == (0, 0), resumed
    success, failure = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    assert attempts(installation) == [(*RUNS[0], success), (*RUNS[1], failure), (*RUNS[1], success)]
    installation.assert_in_step("polder")
    assert (only(installation)["state"], only(installation)["windows_done"]) == ("done", 2)
    again = installation.run("backfill", "resume", stopped["id"], "--json")
    assert (again.code, again.json["runs"]) == (0, []), "there is nothing left to do"


@pytest.mark.slow
def test_a_backfill_that_another_terminal_cancels_ends_after_its_run(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, go_on, started = Syncer.run, Backfills.go_on, []

    def cancel(backfill_id: str) -> None:
        """As from a process of another number."""
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(backfills, "os", SimpleNamespace(getpid=lambda: 0))
            outcome = installation.run("backfill", "cancel", backfill_id)
        assert outcome.code == 0, outcome

    def noted(self: Backfills, backfill: Any, *arguments: Any) -> Any:
        started.append(backfill.id)
        return go_on(self, backfill, *arguments)

    def canceled(self: Syncer, planned: PlannedRun, *arguments: Any) -> None:
        run(self, planned, *arguments)
        cancel(started[0])

    # All that changed is in the first of its runs, so that a run of the graph follows the one that is canceled.
    days = ("--from", DAYS[-1], "--to", f"{YESTERDAY + timedelta(days=1):%Y-%m-%d}")
    with monkeypatch.context() as patched:
        patched.setattr(Backfills, "go_on", noted)
        patched.setattr(Syncer, "run", canceled)
        outcome = installation.run(*START[: START.index("--from")], *days, "--windows-per-run", "1")
    assert outcome.code == 1
    assert outcome.err.endswith("1 of 2 runs are left.\n")
    assert [end for *_, end in attempts(installation)] == [dg.DagsterRunStatus.SUCCESS]
    with installation.instance() as instance:
        assert instance.get_runs(limit=1)[0].tags["sync_assets/source"] == "graph"
    row = only(installation)
    assert (row["state"], row["done"]) == ("canceled", 1)

    register = Planner.register

    def canceled_before_its_first_run(self: Planner, source: str) -> None:
        register(self, source)
        cancel(row["id"])

    with monkeypatch.context() as patched:
        patched.setattr(Planner, "register", canceled_before_its_first_run)
        outcome = installation.run("backfill", "resume", row["id"])
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, "1 of 1 runs are left.")
    assert len(attempts(installation)) == 1
    assert installation.run("backfill", "resume", row["id"]).code == 0
    installation.assert_in_step("polder")
    assert only(installation)["state"] == "done"


@pytest.mark.slow
def test_what_is_run_again_for_each_tenant_alone_is_done_and_tenants_that_have_gone_are_in_nobodys_way(
    installation: Installation,
) -> None:
    # All attempts of the first run at it, and none of the second one's.
    installation.order_fault("acme", path=r"/articles", status=500, times=2)
    outcome = installation.run(
        *("backfill", "start", "--source", "freshdesk", "--stream", "articles"), *("--from", DAYS[-1], "--to", DAYS[-1])
    )
    assert outcome.code == 0, outcome
    with installation.instance() as instance:
        runs = [run for run in instance.get_runs(ascending=True) if run.tags["sync_assets/source"] == "freshdesk"]
    assert [(run.tags["sync_assets/tenants"], run.is_success) for run in runs] == [
        ("acme,polder", False),
        ("acme", True),
        ("polder", True),
    ]
    row = only(installation)
    assert (row["state"], row["runs"], row["done"], row["failed"]) == ("done", 1, 1, 0)

    installation.keep_tenants("polder")
    row = only(installation)
    assert (row["state"], row["tenants"]) == ("done", "acme, polder")
    installation.keep_tenants()
    row = only(installation)
    assert (row["state"], row["runs"]) == ("unknown", 0)
    shown = installation.run("backfill", "resume", row["id"])
    assert shown.code == 2
    assert f"No tenant of backfill {row['id']} (acme, polder) is in" in shown.err


def run_and_end(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, how: DagsterEventType, *command: str
) -> None:
    """A command whose first run does nothing, ends like this, and is followed by Ctrl-C."""

    def ended(_: object, run: dg.DagsterRun, instance: dg.DagsterInstance) -> None:
        instance.report_dagster_event(dg.DagsterEvent(how.value, run.job_name), run.run_id)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(runs, "execute_run", ended)
        outcome = installation.run("backfill", *command)
    assert outcome.code == 130, outcome


ARTICLES = ("start", "--source", "freshdesk", "--stream", "articles", "--from", DAYS[-1], "--to")


def test_a_backfill_into_the_future_ends_today_and_stays_done(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(UTC)
    in_a_month = f"{today + timedelta(days=30):%Y-%m-%d}"
    run_and_end(installation, monkeypatch, DagsterEventType.RUN_SUCCESS, *ARTICLES, in_a_month)
    row = only(installation)
    assert (row["state"], row["to"]) == ("done", f"{today:%Y-%m-%d}")
    with freeze_time(today + timedelta(days=2)):
        row = only(installation)
    assert (row["state"], row["runs"], row["done"]) == ("done", 1, 1)


def test_a_tenant_that_is_refused_is_in_the_way_of_no_other_that_is_named(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_and_end(installation, monkeypatch, DagsterEventType.RUN_FAILURE, *ARTICLES, DAYS[-1])
    backfill_id = only(installation)["id"]
    of_acme = ("resume", backfill_id, "--tenant", "acme")
    installation.write_tenants(polder="wrong")
    refused = installation.run("backfill", "resume", backfill_id)
    assert refused.code == 1
    assert "tenants.polder.freshdesk.api_key" in refused.err
    assert "--tenant" in refused.err
    unknown = installation.run("backfill", *of_acme, "--tenant", "nobody")
    assert (unknown.code, "is not about nobody. Its tenants are: acme, polder." in unknown.err) == (2, True)

    run_and_end(installation, monkeypatch, DagsterEventType.RUN_SUCCESS, *of_acme)
    again = installation.run("backfill", *of_acme, "--json")
    assert (again.code, again.json["left"], again.json["runs"]) == (0, 0, []), "there is nothing left of this one"
    row = only(installation)
    assert (row["state"], row["runs"], row["done"], row["tenants"]) == ("stopped", 1, 0, "acme, polder")
    installation.write_tenants()
    run_and_end(installation, monkeypatch, DagsterEventType.RUN_SUCCESS, "resume", backfill_id)
    assert only(installation)["state"] == "done"


def test_what_cannot_be_begun_is_told_and_a_dry_run_leaves_nothing(installation: Installation) -> None:
    unknown = installation.run("backfill", "resume", "nonsense")
    assert (unknown.code, unknown.err) == (2, "Error: Unknown backfill 'nonsense'. See `sync-assets backfill list`.\n")
    swapped = installation.run("backfill", "start", "--from", DAYS[1], "--to", DAYS[0])
    assert swapped.code == 2
    rows = installation.run(*START, "--dry-run", "--json").json["runs"]
    assert [(row["first_window"], row["last_window"]) for row in rows] == RUNS
    installation.write_tenants(polder="wrong")
    refused = installation.run(*START)
    assert refused.code == 1
    assert "tenants.polder.freshdesk.api_key" in refused.err
    assert installation.run("backfill", "list").out.startswith("No backfill was started")
    with installation.instance() as instance:
        assert instance.get_runs_count() == 0
        assert instance.get_dynamic_partitions("freshdesk_tenants") == []


# Only the run over the day of the changes has something for the ledger.
_KILLED_BEFORE_THE_LEDGER_KNOWS = (
    "import os, signal; from sync_assets.ledger import Ledger; "
    f"Ledger.finish_apply = lambda *_: os.kill(os.getpid(), signal.{signal.SIGKILL.name}); "
    "import sync_assets.__main__"
)
