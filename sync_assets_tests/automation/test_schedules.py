"""Schedules: whose turn it is by the clocks of its own time zone, and that no turn is lost or taken twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

import dagster as dg
import pytest

from sync_assets.automation.schedules import SyncKind
from sync_assets.automation.turns import last_turn, yesterday
from sync_assets.definitions import build_defs
from sync_assets.errors import SourceError
from sync_assets_tests.automation.world import BEGAN, Automation, Ticked, instigator

Make = Callable[..., Automation]
TWO = "0 2 * * *"
SUNDAY_AT_THREE = "0 3 * * 0"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def turns(cron: str, zone: str, first: str, hours: int) -> list[str]:
    """When it is somebody's turn, by looking every quarter of an hour."""
    found: list[str] = []
    for quarter in range(hours * 4 + 1):
        turn = last_turn(cron, zone, at(first) + timedelta(minutes=15 * quarter))
        if turn is not None and turn >= at(first) and f"{turn:%m-%dT%H:%M}" not in found:
            found.append(f"{turn:%m-%dT%H:%M}")
    return found


def test_a_day_has_one_turn_whatever_the_clocks_of_the_zone_do() -> None:
    # Amsterdam's clocks skip 02:00 to 03:00 on 29 March 2026, and show it twice on 25 October.
    assert turns(TWO, "Europe/Amsterdam", "2026-03-28T00:00", 71) == ["03-28T01:00", "03-29T01:00", "03-30T00:00"]
    assert turns("30 2 * * *", "Europe/Amsterdam", "2026-03-28T12:00", 37) == ["03-29T01:00", "03-30T00:30"]
    assert len(turns("30 2 * * *", "Europe/Amsterdam", "2026-10-24T12:00", 47)) == 2
    assert turns(TWO, "Asia/Kathmandu", "2026-11-02T00:00", 24) == ["11-02T20:15"]


def test_yesterday_begins_at_midnight_of_the_zone() -> None:
    assert yesterday("UTC", at("2026-11-10T02:00")) == at("2026-11-09T00:00")
    assert yesterday("Europe/Amsterdam", at("2026-11-10T01:00")) == at("2026-11-08T23:00")
    assert yesterday("America/New_York", at("2026-11-10T07:00")) == at("2026-11-09T05:00")
    assert yesterday("Europe/Amsterdam", at("2026-03-30T00:00")) == at("2026-03-28T23:00"), "a day of 23 hours"


def test_every_source_has_its_schedules_and_its_sensor_and_all_are_off() -> None:
    repository = build_defs().get_repository_def()
    names = {schedule.name for schedule in repository.schedule_defs}
    for source in ("freshdesk", "zoho_desk", "ticket_portal", "support_database", "gitlab", "backlog"):
        assert {f"{source}_{kind}" for kind in SyncKind} <= names
    assert {"slack_incremental", "discord_incremental", "graph"} <= names
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.STOPPED}
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    for source in ("freshdesk", "zoho_desk", "ticket_portal", "support_database", "slack", "discord", "gitlab"):
        assert sensors[f"{source}_changes"].default_status is dg.DefaultSensorStatus.STOPPED
    assert sensors["graph_summary"].default_status is dg.DefaultSensorStatus.STOPPED
    assert sensors["backlog_changes"].minimum_interval_seconds == 300


def test_tenants_whose_turn_it_is_share_a_run_and_others_wait_for_theirs(automation: Make) -> None:
    world = automation("acme", "polder", "zeta")
    world.tenants.zones = {"acme": "Europe/Amsterdam", "polder": "Europe/Amsterdam", "zeta": "America/New_York"}
    for request in world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T00:45")).requests:
        world.end(request)  # that of the day before
    assert world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T00:45")).skipped == "It is no tenant's turn."
    ticked = world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T01:00"))
    assert ticked.tenants == [["acme", "polder"]]
    assert ticked.windows == [("2026-11-08", "2026-11-10")]
    world.end(ticked.requests[0])
    assert world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T01:15")).skipped == "It is no tenant's turn."
    assert world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T07:00")).tenants == [["zeta"]]


def test_each_kind_asks_for_what_it_says(automation: Make) -> None:
    world = automation("acme")
    when = at("2026-11-08T03:00")

    def swept(kind: SyncKind, sweeps: bool) -> bool:
        (request,) = world.scheduled(kind, SUNDAY_AT_THREE, when, sweeps=sweeps).requests
        raw = request.run_config["ops"]["freshdesk__tickets__raw"]["config"]
        return bool(raw["sweep"])

    assert [swept(kind, kind is SyncKind.SWEEP) for kind in SyncKind] == [False, False, True]
    assert swept(SyncKind.INCREMENTAL, True)


def test_a_turn_that_met_another_run_or_no_daemon_is_taken_later(automation: Make) -> None:
    world = automation("acme")
    (request,) = world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-08T03:00"), sweeps=True).requests
    other = dg.DagsterRun(
        "__ASSET_JOB", status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset(request.asset_selection or [])
    )
    world.instance.add_run(other)
    late = at("2026-11-08T03:15")
    skipped = world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, late).skipped
    assert skipped.startswith(f"A sync of freshdesk is still running: run {other.run_id}. If nothing executes it")
    world.instance.delete_run(other.run_id)
    (request,) = world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-08T21:00")).requests
    world.end(request)
    assert world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-08T21:15")).requests == []


def test_a_failed_run_takes_nobody_s_turn_and_each_of_its_tenants_is_tried_alone_after_15_minutes(
    automation: Make,
) -> None:
    world = automation("acme", "polder")

    def ask(time: str) -> Ticked:
        return world.scheduled(SyncKind.DAILY, TWO, at(f"2026-11-10T{time}"))

    (request,) = ask("02:00").requests
    world.fail(request, at("2026-11-10T02:05"))
    assert ask("02:15").skipped == "It is no tenant's turn."
    ticked = ask("02:30")
    assert ticked.tenants == [["acme"], ["polder"]]
    acme, polder = ticked.requests
    world.fail(acme, at("2026-11-10T02:35"))
    started = world.end(polder, dg.DagsterRunStatus.STARTED)
    assert "still running" in ask("04:00").skipped
    world.instance.delete_run(started)
    world.end(polder)
    assert ask("04:00").tenants == [["acme"]]


def test_a_turn_is_tried_until_the_next_one_and_each_try_waits_longer(automation: Make) -> None:
    world = automation("acme")
    quarter = timedelta(minutes=15)

    def ask(when: datetime) -> list[dg.RunRequest]:
        return world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, when, sweeps=True).requests

    when = at("2026-11-08T03:00")
    (request,) = ask(when)
    for hours in (0.25, 1, 4, 16, 24, 24):
        world.fail(request, when)
        when += timedelta(hours=hours)
        assert ask(when - quarter) == []
        (request,) = ask(when)
    world.fail(request, at("2026-11-15T02:45"))
    assert world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-15T03:00")).tenants == [["acme"]]


def test_a_weekly_turn_that_the_machine_was_off_for_is_taken_days_later(automation: Make) -> None:
    world = automation("acme")
    (request,) = world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-11T10:00"), sweeps=True).requests
    world.end(request)
    assert world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-14T10:00")).requests == []


def test_a_daily_turn_that_is_taken_late_is_about_its_own_day(automation: Make) -> None:
    world = automation("acme")
    ticked = world.scheduled(SyncKind.DAILY, TWO, at("2026-11-11T01:30"))
    assert ticked.windows == [("2026-11-09", "2026-11-11")]


def test_a_canceled_run_takes_the_turn(automation: Make) -> None:
    world = automation("acme")
    (request,) = world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T02:00")).requests
    world.end(request, dg.DagsterRunStatus.CANCELED)
    assert world.scheduled(SyncKind.DAILY, TWO, at("2026-11-10T02:15")).skipped == "It is no tenant's turn."


def test_a_schedule_that_is_turned_on_waits_for_its_next_turn(automation: Make) -> None:
    world = automation("acme")
    world.instance.add_instigator_state(instigator("freshdesk_sweep", at("2026-11-11T09:50")))
    assert world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-11T10:00")).requests == []
    assert world.scheduled(SyncKind.SWEEP, SUNDAY_AT_THREE, at("2026-11-15T03:00")).tenants == [["acme"]]


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(hours=-30)], ids=["forward", "back"])
def test_a_clock_that_jumps_and_is_put_right_loses_no_turn_and_takes_none_twice(
    automation: Make, jump: timedelta
) -> None:
    world = automation("acme")

    def asked(when: datetime) -> int:
        requests = world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", when).requests
        for request in requests:
            world.end(request)
        return len(requests)

    right = at("2026-11-10T10:00")
    assert [asked(right), asked(right + timedelta(minutes=15))] == [1, 0]
    assert asked(right + jump) == 1
    assert [asked(right + timedelta(minutes=30)), asked(right + timedelta(hours=1))] == [0, 1]


@pytest.mark.slow
def test_an_incremental_sync_begins_where_the_last_success_ended_however_long_that_is_ago(automation: Make) -> None:
    world = automation("acme")
    world.write("acme", "1", "no dial tone")
    (request,) = world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:00")).requests
    assert request.tags["dagster/asset_partition_range_start"] == f"{BEGAN:%Y-%m-%d}|acme"
    assert world.run(request).success
    mark = min(
        mark
        for ref in [world.ref("acme", "tickets"), world.ref("acme", "articles")]
        for target in ("qdrant", "pgvector", "graph")
        if (mark := world.services.ledger.watermark(ref, target)) is not None
    )
    (request,) = world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2027-11-10T10:00")).requests
    assert request.tags["dagster/asset_partition_range_start"] == f"{mark:%Y-%m-%d}|acme"


def test_one_tenant_that_can_not_be_asked_keeps_no_other_from_its_turn(automation: Make) -> None:
    world = automation("acme", "polder")
    world.upstreams["acme"].broken = True
    ticked = world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:00"))
    assert ticked.tenants == [["polder"]]
    world.end(ticked.requests[0])
    with pytest.raises(SourceError, match="Upstream is down"):
        world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:15"))
    world.upstreams["acme"].broken = False
    assert world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:30")).tenants == [["acme"]]


def test_a_tenant_whose_span_does_not_come_in_time_is_told_and_the_others_get_their_run(automation: Make) -> None:
    world = automation("acme", "polder")
    world.budget = 2.0
    released = world.tenants.slow["acme"] = Event()
    try:
        assert world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:00")).tenants == [["polder"]]
        world.tenants.slow["polder"] = released
        world.budget = 0.3
        with pytest.raises(SourceError, match=r"acme: no answer within 0\.3 s\."):
            world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", at("2026-11-10T10:15"))
    finally:
        released.set()
