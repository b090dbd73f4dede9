"""Sensors: what a tick asks for, and that nothing which changed is forgotten, whatever fails."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from threading import Event, current_thread

import dagster as dg
import pytest
from sqlalchemy import Connection, event

from sync_assets.automation.schedules import SyncKind
from sync_assets.automation.sensors import ASKED
from sync_assets.definitions import build_defs
from sync_assets.errors import LedgerError
from sync_assets_tests.automation.world import BEGAN, Automation
from sync_assets_tests.laws.upstream import Upstream

FAILED, STARTED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED
Make = Callable[..., Automation]


def settled(world: Automation) -> Automation:
    """A world that the sensor has seen all of."""
    for request in world.tick().requests:
        world.end(request)
    assert world.tick().requests == []
    return world


def test_a_first_tick_asks_for_one_run_of_all_tenants_and_shows_what_it_saw(automation: Make) -> None:
    world = automation("acme", "polder", "zeta")
    ticked = world.tick()
    assert ticked.tenants == [["acme", "polder", "zeta"]]
    assert ticked.streams == [{"tickets", "articles"}]
    assert world.instance.get_dynamic_partitions("freshdesk_tenants") == ["acme", "polder", "zeta"]
    seen = {(event.asset_key.to_user_string(), event.metadata["tenant"].value) for event in ticked.events}
    assert len(seen) == 6
    assert ("freshdesk/tickets/upstream", "polder") in seen
    assert all(isinstance(event, dg.AssetObservation) for event in ticked.events)


def test_a_change_is_asked_for_until_a_run_of_it_succeeded(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    world.write("acme", "1", "no dial tone")
    assert world.tick().tenants == [["acme"]]
    assert world.tick().requests == [], "the run did not come to be, which counts as a failure"
    (request,) = world.tick().requests
    started = world.end(request, STARTED)
    assert world.tick().skipped == (
        f"A sync of freshdesk is still running: run {started}. If nothing executes it any more, terminate it in the UI."
    )
    world.instance.delete_run(started)
    world.end(request)
    assert world.tick().skipped == "Nothing changed for acme, polder."
    world.write("acme", "1", "a dial tone")
    assert world.tick().tenants == [["acme"]]


def test_a_tenant_whose_upstream_breaks_the_code_is_told_and_keeps_nobody_from_syncing(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    world.upstreams["acme"].tickets = {"1": "no ticket"}  # pyright: ignore[reportAttributeAccessIssue] what nobody foresaw
    assert "acme: AttributeError in world.py, line " in world.tick().skipped
    world.write("polder", "1", "no dial tone")
    assert world.tick().tenants == [["polder"]]


def test_a_ledger_out_of_reach_fails_the_tick_and_blames_no_tenant(
    automation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = settled(automation("acme", "polder"))
    world.write("acme", "1", "no dial tone")

    def transaction() -> None:
        raise LedgerError("The ledger is out of reach.")

    with monkeypatch.context() as patched:
        patched.setattr(world.services.ledger, "transaction", transaction)
        with pytest.raises(LedgerError):
            world.tick()
    assert world.tick(minutes=1).tenants == [["acme"]]


def test_the_ledger_is_read_in_the_tick_alone_and_not_by_threads_that_outlive_it(
    automation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = automation("acme", "polder")
    transaction, readers = world.services.ledger.transaction, set[str]()

    def read() -> AbstractContextManager[Connection]:
        readers.add(current_thread().name)
        return transaction()

    monkeypatch.setattr(world.services.ledger, "transaction", read)
    assert world.tick().tenants == [["acme", "polder"]]
    world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", world.now)
    assert readers == {current_thread().name}


def test_a_tick_asks_the_ledger_as_often_for_many_tenants_as_for_one(automation: Make) -> None:
    world = automation("acme")
    asked: list[str] = []
    event.listen(world.services.ledger.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))

    def questions() -> int:
        asked.clear()
        assert len(world.tick().requests) == 1
        return len(asked)

    of_one = questions()
    world.upstreams |= {f"t{number}": Upstream(now=BEGAN) for number in range(20)}
    world.cursor = None
    assert questions() == of_one


def test_changes_that_no_window_has_are_looked_for_by_a_sweep(automation: Make) -> None:
    world = automation("acme")
    (request,) = world.tick().requests
    assert swept(request) == {"tickets": False, "articles": False}
    world.sweeping, world.cursor = ["articles"], None
    (request,) = world.tick().requests
    assert swept(request) == {"tickets": False, "articles": True}


def swept(request: dg.RunRequest) -> dict[str, bool]:
    """By stream, whether the run sweeps it."""
    return {op.split("__")[1]: found["config"]["sweep"] for op, found in request.run_config["ops"].items()}


def test_sensors_of_the_sources_sweep_what_their_settings_say(automation: Make) -> None:
    world = automation("acme")
    sensor = build_defs().resolve_sensor_def("freshdesk_changes")
    with dg.build_sensor_context(
        instance=world.instance, repository_def=world.repository, resources={"services": world.services}
    ) as context:
        (request,) = sensor.evaluate_tick(context).run_requests or []
    assert swept(request) == {"tickets": False, "articles": True}


def test_only_what_changed_is_synced(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    world.write("polder", "article-1", "how valves are replaced")
    ticked = world.tick()
    assert (ticked.tenants, ticked.streams) == ([["polder"]], [{"articles"}])
    assert [event.asset_key.path for event in ticked.events] == [["freshdesk", "articles", "upstream"]]


def test_a_failed_run_is_asked_for_again_after_a_rest_that_grows_and_for_each_tenant_alone(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    for tenant in ("acme", "polder"):
        world.write(tenant, "1", "no dial tone")
    (request,) = world.tick().requests
    world.end(request, FAILED)
    assert world.tick(minutes=4).requests == []
    assert world.tick(minutes=2).requests == [], "the rest began when the failure was seen"
    ticked = world.tick(minutes=4)
    assert ticked.tenants == [["acme"], ["polder"]]
    acme, polder = ticked.requests
    world.end(acme, FAILED)
    world.end(polder)
    assert world.tick(minutes=1).skipped == "Nothing changed for polder. Left alone for a while after a failure: acme."
    assert world.tick(minutes=9).requests == []
    assert world.tick(minutes=2).tenants == [["acme"]]


def test_a_canceled_run_is_not_asked_for_again_before_the_next_change(automation: Make) -> None:
    world = settled(automation("acme"))
    world.write("acme", "1", "no dial tone")
    (request,) = world.tick().requests
    canceling = world.end(request, dg.DagsterRunStatus.CANCELING)
    assert canceling in world.tick().skipped, "it may ask upstream until it has ended"
    world.instance.delete_run(canceling)
    world.end(request, dg.DagsterRunStatus.CANCELED)
    for minutes in (5, 60, 60 * 24):
        assert world.tick(minutes).skipped == "Nothing changed for acme."
    assert world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", world.now).tenants == [["acme"]], "it is still behind"
    world.write("acme", "2", "no dial tone either")
    assert world.tick().tenants == [["acme"]]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.CANCELING])
def test_nothing_is_asked_for_beside_a_run_that_has_not_ended_wherever_it_is(
    automation: Make, status: dg.DagsterRunStatus
) -> None:
    world = automation("acme")
    (request,) = world.tick().requests
    run_id = world.end(request, status)
    assert world.tick().skipped.startswith(f"A sync of freshdesk is still running: run {run_id}.")
    skipped = world.scheduled(SyncKind.INCREMENTAL, "0 * * * *", world.now).skipped
    assert skipped.startswith(f"A sync of freshdesk is still running: run {run_id}.")


def test_a_failed_run_that_a_person_executed_again_counts_as_done(automation: Make) -> None:
    world = settled(automation("acme"))
    world.write("acme", "1", "no dial tone")
    (request,) = world.tick().requests
    world.end(request, FAILED)
    world.end(request)
    world.tick()
    assert world.tick(minutes=600).skipped == "Nothing changed for acme."


def test_a_tenant_that_fails_is_told_and_keeps_nobody_from_syncing(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    world.upstreams["acme"].broken = True
    world.write("polder", "1", "no dial tone")
    ticked = world.tick()
    assert ticked.tenants == [["polder"]]
    world.end(ticked.requests[0])
    world.upstreams["acme"].broken = False
    world.write("acme", "1", "no dial tone")
    assert world.tick(minutes=1).skipped == (
        "Nothing changed for polder. Left alone for a while after a failure: acme."
    )
    assert world.tick(minutes=10).tenants == [["acme"]]


def test_where_no_upstream_answers_the_tick_tells_it_forgets_nothing_and_asks_nobody_for_a_while(
    automation: Make,
) -> None:
    world = settled(automation("acme", "polder"))
    world.write("acme", "1", "no dial tone")
    for upstream in world.upstreams.values():
        upstream.broken = True
    assert world.tick().skipped == "No tenant could be asked. Upstream is down. Wait. Upstream is down. Wait."
    world.tenants.asked.clear()
    assert world.tick(minutes=1).skipped == "Every tenant is left alone for a while after a failure: acme, polder"
    assert world.tenants.asked == []
    for upstream in world.upstreams.values():
        upstream.broken = False
    assert world.tick(minutes=4).tenants == [["acme"]]


def test_a_new_tenant_whose_span_does_not_come_in_time_is_told_and_keeps_nobody_from_syncing(automation: Make) -> None:
    world = automation("acme", "polder")
    world.budget = 2.0
    released = world.tenants.slow["acme"] = Event()
    try:
        ticked = world.tick()
    finally:
        released.set()
    assert ticked.tenants == [["polder"]]
    world.end(ticked.requests[0])
    assert world.tick(minutes=1).skipped == "Nothing changed for polder. Left alone for a while after a failure: acme."


def test_tenants_that_hang_take_a_tick_s_time_once_and_the_next_tick_goes_on_after_them(automation: Make) -> None:
    names = [f"t{number}" for number in range(7)]
    world = settled(automation(*names))
    world.budget = 0.3
    released = Event()
    for name in names[:4]:
        world.tenants.hung[name] = released
    world.write("t6", "1", "no dial tone")
    try:
        first = world.tick(minutes=1)
        assert first.requests == []
        assert "t0: no answer within 0.3 s." in first.skipped
        assert "at the next tick: t4, t5, t6" in first.skipped
        world.budget = 20.0
        assert world.tick(minutes=1).tenants == [["t6"]]
    finally:
        released.set()


def test_a_new_tenant_is_found_and_synced_from_its_beginning(automation: Make) -> None:
    world = settled(automation("acme", "zeta"))
    world.upstreams["polder"] = Upstream(now=BEGAN)
    world.write("polder", "1", "no dial tone")
    ticked = world.tick()
    assert ticked.tenants == [["polder"]]
    assert ticked.windows[0][0] == f"{BEGAN:%Y-%m-%d}"
    assert world.instance.get_dynamic_partitions("freshdesk_tenants") == ["acme", "zeta", "polder"]
    assert world.instance.get_dynamic_partitions("graph_tenants") == ["acme", "zeta", "polder"]


def test_a_tenant_that_left_is_forgotten(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    del world.upstreams["polder"]
    world.tick()
    assert "polder" not in (world.cursor or "")


def test_a_clock_that_jumps_makes_no_tenant_rest_for_ever(automation: Make) -> None:
    world = settled(automation("acme", "polder"))
    world.write("acme", "1", "no dial tone")
    world.now += timedelta(days=365)
    (request,) = world.tick().requests
    world.end(request, FAILED)
    world.tick()
    world.now -= timedelta(days=365)
    assert world.tick().tenants == [["acme"]]


def test_a_cursor_of_another_form_makes_everything_count_as_changed(automation: Make) -> None:
    world = settled(automation("acme"))
    world.cursor = '{"since": "2025"}'
    first = world.tick().requests
    assert [request.tags["sync_assets/tenants"] for request in first] == ["acme"]
    world.cursor = None
    assert world.tick().requests[0].run_key != first[0].run_key


def test_the_cursor_holds_no_words_of_upstream_s(automation: Make) -> None:
    world = automation("acme")
    world.write("acme", "secret-word", "no dial tone")
    world.tick()
    assert "secret-word" not in (world.cursor or "")
    assert len(world.cursor or "") < 400


@pytest.mark.slow
def test_what_the_sensor_asks_for_brings_the_stores_in_line(automation: Make) -> None:
    world = automation("acme", "polder")
    for tenant in ("acme", "polder"):
        world.write(tenant, "1", "no dial tone")
    (request,) = world.tick().requests
    assert ASKED in request.tags
    world.upstreams["polder"].broken = True
    assert not world.run(request).success
    world.upstreams["polder"].broken = False
    world.tick()
    ticked = world.tick(minutes=60)
    assert ticked.tenants == [["acme"], ["polder"]]
    for request in ticked.requests:
        assert world.run(request).success
    assert world.tick().skipped == "Nothing changed for acme, polder."
    registered = world.services.ledger.active_collection("pgvector", "freshdesk_tickets")
    assert registered is not None
    assert [chunk.document_id for chunk in world.services.store("pgvector").scan(registered.collection, "acme")] == [
        "acme_freshdesk_1"
    ]
