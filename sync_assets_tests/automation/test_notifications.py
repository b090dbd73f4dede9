"""The sensor over runs of the real chain, a real ledger and a webhook that answers, or does not."""

import socket
from collections.abc import Iterator
from pathlib import Path
from time import time
from traceback import TracebackException

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster_shared.error import SerializableErrorInfo
from pydantic import SecretStr

from sync_assets.automation.asking import NONE_ASKED
from sync_assets.automation.notifications import notifications
from sync_assets.definitions import defs
from sync_assets.errors import SourceError
from sync_assets_tests.automation.world import instigator
from sync_assets_tests.dagster_assets.world import STAGES, TENANTS, World, partition
from sync_assets_tests.laws.upstream import UpstreamSource
from sync_assets_tests.notifications.receivers import Webhook, free_port, running_webhook
from sync_assets_tests.postgres import fresh_database

RAW = "freshdesk/tickets/raw"


def stored_instance(folder: Path) -> dg.DagsterInstance:
    """One with SQLite files, as an installation has it: it remembers ticks too."""
    folder.mkdir()
    instance = dg.DagsterInstance.local_temp(str(folder))
    instance.add_dynamic_partitions("freshdesk_tenants", list(TENANTS))
    return instance


class Told:
    """An installation with its sensor, and what its target got."""

    def __init__(self, world: World, webhook: Webhook) -> None:
        self.world = world
        self.webhook = webhook
        self.cursor: str | None = None

    def tick(self) -> str:
        """Evaluate the sensor as the daemon does, from its last cursor: the reason that the UI shows."""
        with dg.build_sensor_context(
            self.world.instance, cursor=self.cursor, resources={"services": self.world.services}
        ) as context:
            tick = notifications.evaluate_tick(context)
        self.cursor = tick.cursor
        return tick.skip_message or ""

    def new(self) -> list[str]:
        """What the target got since this was last asked."""
        texts = self.webhook.texts
        self.webhook.payloads = []
        return texts


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def told(tmp_path: Path, database_url: str) -> Iterator[Told]:
    with running_webhook() as webhook:
        world = World(tmp_path / "home", database_url, notify=webhook.url, ui_url="http://ui.example")
        world.instance = stored_instance(tmp_path / "instance")
        world.write("1", 0, "The pump is loud")
        yield Told(world, webhook)
        world.close()


def test_failures_are_told_once_with_a_link_and_then_their_recovery(told: Told) -> None:
    told.world.upstreams["acme"].broken = True
    told.world.run(partition(0), succeeds=False)
    assert told.tick() == "Nothing to tell.", "it begins with the runs that come"

    told.world.run(partition(0), succeeds=False)
    run_id = told.world.run(partition(0), partition(0, "polder"), stages=["raw"], succeeds=False).run_id
    assert told.tick() == "Slack webhook at 127.0.0.1 was told: sync-assets: 1 failed."
    assert told.new() == [
        "sync-assets: 1 failed\n\n"
        f"Failed\n- {RAW}: acme, polder (2 runs): Upstream is down. Wait.\n  http://ui.example/runs/{run_id}"
    ]
    told.world.run(partition(0), succeeds=False)
    assert told.tick() == "Nothing to tell."

    told.world.upstreams["acme"].broken = False
    told.world.run(partition(0), partition(0, "polder"))
    told.tick()
    assert told.new() == [f"sync-assets: 1 recovered\n\nRecovered\n- {RAW}: acme, polder"]
    assert (told.tick(), told.new()) == ("Nothing to tell.", [])


def test_a_run_whose_process_died_is_told_of_its_source(told: Told) -> None:
    told.tick()
    run = told.world.instance.create_run_for_job(
        defs().resolve_implicit_global_asset_job_def(),
        asset_selection={dg.AssetKey(["freshdesk", "tickets", stage]) for stage in STAGES},
        tags={"sync_assets/tenants": "acme,polder"},
    )
    told.world.instance.report_run_failed(run, "The process of the run is gone.\nsesame")
    told.tick()
    (text,) = told.new()
    assert "\n- freshdesk: acme, polder: The process of the run is gone.\n" in text
    assert "sesame" not in text
    told.world.run(partition(0))
    told.tick()
    assert told.new() == ["sync-assets: 1 recovered\n\nRecovered\n- freshdesk: acme"]


def test_a_run_that_somebody_interrupted_is_neither_a_failure_nor_a_recovery(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    told.tick()
    with monkeypatch.context() as patched:
        patched.setattr(UpstreamSource, "_refuse", interrupt)
        told.world.run(partition(0), stages=["raw"], succeeds=False)
    assert (told.tick(), told.new()) == ("Nothing to tell.", [])

    told.world.upstreams["acme"].broken = True
    told.world.run(partition(0), stages=["raw"], succeeds=False)
    told.tick()
    (text,) = told.new()
    assert f"- {RAW}: acme: Upstream is down. Wait." in text


def test_a_cursor_of_another_form_is_begun_anew(told: Told) -> None:
    told.world.upstreams["acme"].broken = True
    told.world.run(partition(0), stages=["raw"], succeeds=False)
    for cursor in ("42", "no JSON", '{"targets": {"somebody": "all of it"}}'):
        told.cursor = cursor
        assert told.tick() == "Nothing to tell."
    told.world.run(partition(0), stages=["raw"], succeeds=False)
    told.tick()
    (text,) = told.new()
    assert text.startswith("sync-assets: 1 failed\n")


def test_a_sweep_that_refuses_is_told_though_its_run_succeeds(told: Told) -> None:
    told.world.run(partition(0))
    told.tick()
    told.world.upstreams["acme"].lists_nothing = True
    told.world.run(partition(0), sweep=True)
    told.tick()
    (text,) = told.new()
    assert f"\n- {RAW}:sweep: acme: " in text
    assert "deleted nothing" in text
    told.world.upstreams["acme"].lists_nothing = False
    told.world.run(partition(0), sweep=True)
    told.tick()
    assert told.new() == [f"sync-assets: 1 recovered\n\nRecovered\n- {RAW}:sweep: acme"]


def test_the_quarantine_is_told_when_it_fills_and_when_it_is_empty(told: Told) -> None:
    everything = (partition(0), partition(0, "polder"))
    told.world.write("2", 0, "sesame", malformed=True)
    told.world.write("3", 0, "sesame", malformed=True)
    told.world.write("4", 0, "poison", tenant="polder")
    told.world.run(*everything)
    told.tick()
    assert told.new() == [
        "sync-assets: 2 in quarantine\n\nIn quarantine\n"
        "- acme/freshdesk/tickets/documents: 2 records, the latest: not an object\n"
        "- polder/freshdesk/tickets/documents: 1 record, the latest: poison"
    ]
    assert (told.tick(), told.new()) == ("Nothing to tell.", [])
    for number, tenant in (("2", "acme"), ("3", "acme"), ("4", "polder")):
        told.world.write(number, 0, "The pump is quiet", tenant=tenant)
    told.world.run(*everything)
    told.tick()
    assert told.new() == [
        "sync-assets: 2 quarantine is empty again\n\nQuarantine is empty again\n"
        "- acme/freshdesk/tickets/documents\n- polder/freshdesk/tickets/documents"
    ]


def test_what_was_not_taken_is_told_at_the_next_tick_and_the_others_get_nothing_twice(
    told: Told, tmp_path: Path, database_url: str
) -> None:
    with running_webhook() as other:
        world = World(tmp_path / "two", database_url, notify=f"{told.webhook.url} {other.url}")
        world.instance = told.world.instance
        told.world.services.close()
        told.world = world
        world.upstreams["acme"].broken = True
        told.tick()
        world.run(partition(0), succeeds=False)
        other.answers = [429, 500]
        for status in (429, 500):
            reason = told.tick()
            assert f"answered {status}. Look at the webhook" in reason
            assert "The next tick tries again." in reason
        world.upstreams["polder"].broken = True
        world.run(partition(0, "polder"), succeeds=False)
        told.tick()
        assert told.tick() == "Nothing to tell."
        assert [text.count("acme") for text in told.webhook.texts] == [1, 0]
        assert [text.count(f"{RAW}: acme, polder") for text in other.texts] == [1], "one message for all it missed"


def test_a_target_that_breaks_or_hangs_is_told_again_and_the_others_get_nothing_twice(
    told: Told, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_assets.automation.notifications._SENDING", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = f"http://127.0.0.1:{silent.getsockname()[1]}/services/sesame"
        breaks = f"https://{'x' * 64}.example/services/sesame"
        world = World(tmp_path / "two", database_url, notify=f"{breaks} {hangs} {told.webhook.url}")
        world.instance = told.world.instance
        told.world.services.close()
        told.world = world
        world.upstreams["acme"].broken = True
        told.tick()
        world.run(partition(0), succeeds=False)
        for _ in range(2):
            reason = told.tick()
            assert "UnicodeError. Look at the webhook" in reason
            assert "Target 2 of SYNC_ASSETS_NOTIFY: no answer within 0.5 s. The next tick tries again." in reason
            assert "sesame" not in reason
    assert len(told.new()) == 1


def test_a_run_of_checks_alone_that_died_is_told_each_time_and_its_recovery_too(told: Told) -> None:
    told.tick()
    job = defs().resolve_schedule_def("stores_health").job_name

    def ends(status: dg.DagsterRunStatus) -> None:
        run = dg.DagsterRun(job, status=dg.DagsterRunStatus.STARTED)
        told.world.instance.add_run(run)
        if status is dg.DagsterRunStatus.SUCCESS:
            told.world.instance.report_dagster_event(
                dg.DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
            )
        else:
            told.world.instance.report_run_failed(run, "The process of the run is gone.")
        told.tick()

    failed = "sync-assets: 1 failed\n\nFailed\n- stores_health: every tenant: The process of the run is gone."
    for _ in range(2):
        ends(dg.DagsterRunStatus.FAILURE)
        (text,) = told.new()
        assert text.startswith(failed)
        ends(dg.DagsterRunStatus.SUCCESS)
        assert told.new() == ["sync-assets: 1 recovered\n\nRecovered\n- stores_health: every tenant"]


def test_a_database_out_of_reach_keeps_no_failure_back_and_is_no_recovery(told: Told) -> None:
    told.world.write("2", 0, "x", malformed=True)
    told.world.run(partition(0))
    told.tick()
    assert len(told.new()) == 1
    settings = told.world.services.settings
    url = SecretStr(f"postgresql://u:sesame@127.0.0.1:{free_port()}/d")
    away = settings.model_copy(update={"database_url": url})
    told.world.services.settings = away
    told.world.upstreams["acme"].broken = True
    told.world.run(partition(0), stages=["raw"], succeeds=False)
    reason = told.tick()
    assert reason.startswith("The quarantine was not read: PostgreSQL at SYNC_ASSETS_DATABASE_URL does not run.")
    assert "sesame" not in reason
    (text,) = told.new()
    assert text.startswith("sync-assets: 1 failed\n")
    told.world.services.settings = settings
    assert (told.tick(), told.new()) == ("Nothing to tell.", [])


def test_a_sensor_whose_ticks_fail_is_told_and_its_recovery_too(told: Told) -> None:
    state = instigator("freshdesk_changes")
    told.world.instance.add_instigator_state(state)

    def sensor_ticks(status: TickStatus, problem: Exception | None = None, skipped: str | None = None) -> None:
        error = (
            None
            if problem is None
            else SerializableErrorInfo.from_traceback(TracebackException.from_exception(problem))
        )
        told.world.instance.create_tick(
            TickData(
                instigator_origin_id=state.instigator_origin_id,
                instigator_name=state.instigator_name,
                instigator_type=InstigatorType.SENSOR,
                status=status,
                timestamp=time(),
                error=error,
                skip_reason=skipped,
                selector_id=state.selector_id,
            )
        )

    sensor_ticks(TickStatus.SKIPPED)
    assert told.tick() == "Nothing to tell."
    for _ in range(2):
        sensor_ticks(TickStatus.FAILURE, SourceError("acme refused.", "Check the key."))
        sensor_ticks(TickStatus.STARTED)
        told.tick()
    assert told.new() == [
        "sync-assets: 1 failed\n\nFailed\n- freshdesk_changes: tick: SourceError: acme refused. Check the key."
    ]
    sensor_ticks(TickStatus.SKIPPED)
    told.tick()
    recovered = ["sync-assets: 1 recovered\n\nRecovered\n- freshdesk_changes: tick"]
    assert told.new() == recovered
    sensor_ticks(TickStatus.FAILURE, RuntimeError("postgresql://u:sesame@db"))
    told.tick()
    assert told.new() == [
        "sync-assets: 1 failed\n\nFailed\n- freshdesk_changes: tick: RuntimeError; its tick says more in the UI"
    ]
    sensor_ticks(TickStatus.SKIPPED, skipped=f"{NONE_ASKED}polder refused.")
    told.tick()
    assert told.new() == recovered, "of accounts that refuse is told apart"
    sensor_ticks(TickStatus.FAILURE, SourceError(f"{NONE_ASKED}polder refused."))
    assert told.tick() == "Nothing to tell."


def test_of_an_error_that_is_not_ours_the_kind_is_told_and_no_word(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("postgresql://u:sesame@db")

    told.tick()
    monkeypatch.setattr(UpstreamSource, "_refuse", fail)
    told.world.run(partition(0), stages=["raw"], succeeds=False)
    told.tick()
    (text,) = told.new()
    assert f"\n- {RAW}: acme: RuntimeError; its run says more in the UI\n" in text
    assert "sesame" not in text


def test_runs_beyond_what_one_tick_looks_at_are_told_by_the_next(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.tick()
    monkeypatch.setattr("sync_assets.automation.notifications._ENDS", 2)
    for tenant in ("acme", "acme", "polder"):
        told.world.upstreams[tenant].broken = True
        told.world.run(partition(0, tenant), stages=["raw"], succeeds=False)
    told.world.upstreams["acme"].broken = False
    told.world.run(partition(0), stages=["raw"])
    told.tick()
    assert [text.splitlines()[0] for text in told.new()] == ["sync-assets: 1 failed"]
    told.tick()
    assert [text.splitlines()[0] for text in told.new()] == ["sync-assets: 1 failed, 1 recovered"]


def test_nobody_to_tell_names_the_setting(tmp_path: Path, database_url: str) -> None:
    world = World(tmp_path / "home", database_url)
    world.instance = stored_instance(tmp_path / "instance")
    with dg.build_sensor_context(world.instance, resources={"services": world.services}) as context:
        tick = notifications.evaluate_tick(context)
    world.close()
    assert (tick.skip_message, tick.cursor) == ("SYNC_ASSETS_NOTIFY names nobody to tell.", None)


def test_the_sensor_is_off_until_somebody_turns_it_on() -> None:
    sensor = defs().resolve_sensor_def("notifications")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.minimum_interval_seconds == 60
