"""Accounts that refuse for a while: people are told, though the other tenants are synced, and of the recovery too."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from pydantic import SecretStr

from sync_assets.automation.asking import Answers
from sync_assets.automation.notifications import notifications
from sync_assets.automation.refusals import note
from sync_assets.automation.schedules import SyncKind
from sync_assets.errors import SourceError
from sync_assets_tests.automation.world import Automation, instigator
from sync_assets_tests.notifications.receivers import Webhook, running_webhook

HOURLY = "0 * * * *"
FAILED = "sync-assets: 1 failed\n\nFailed\n- freshdesk account: polder: Upstream is down. Wait."
RECOVERED = "sync-assets: 1 recovered\n\nRecovered\n- freshdesk account: polder"


class Told:
    """Sensors and schedules of two tenants, and what people are told of them."""

    def __init__(self, world: Automation, webhook: Webhook) -> None:
        self.world = world
        self._webhook = webhook
        self._cursor: str | None = None
        settings = world.services.settings
        world.services.settings = settings.model_copy(update={"notify": SecretStr(webhook.url)})

    def turn_on(self, name: str) -> None:
        self.world.instance.add_instigator_state(instigator(name))

    def new(self) -> list[str]:
        """What a tick of the sensor that tells people sends."""
        services = {"services": self.world.services}
        with dg.build_sensor_context(self.world.instance, cursor=self._cursor, resources=services) as context:
            self._cursor = notifications.evaluate_tick(context).cursor
        texts, self._webhook.payloads = self._webhook.texts, []
        return texts


@pytest.fixture
def told(automation: Callable[..., Automation]) -> Iterator[Told]:
    with running_webhook() as webhook:
        yield Told(automation("acme", "polder"), webhook)


def test_a_tenant_that_a_sensor_can_not_ask_is_told_after_a_quarter_of_an_hour_and_its_recovery_too(told: Told) -> None:
    told.turn_on("freshdesk_changes")
    told.world.end(told.world.tick().requests[0])
    told.world.tick()
    told.world.upstreams["polder"].broken = True
    for number, minutes in enumerate((5.0, 5.1, 10.1), 1):
        told.world.write("acme", str(number), "no dial tone")
        ticked = told.world.tick(minutes)
        assert ticked.tenants == [["acme"]]
        told.world.end(ticked.requests[0])
        assert told.new() == [FAILED] * (number == 3)
    told.world.tick(20.1)
    assert told.new() == []
    told.world.upstreams["polder"].broken = False
    told.world.tick(40.1)
    assert told.new() == [RECOVERED]
    assert told.new() == []


def test_a_tenant_that_a_schedule_can_not_ask_is_told_once_however_often_the_others_have_their_turn(told: Told) -> None:
    told.turn_on("freshdesk_incremental")
    told.world.upstreams["polder"].broken = True
    now, texts = datetime(2026, 11, 10, 10, tzinfo=UTC), list[str]()
    for quarter in range(6):
        if quarter % 4 == 0:
            ticked = told.world.scheduled(SyncKind.INCREMENTAL, HOURLY, now + quarter * timedelta(minutes=15))
            assert ticked.tenants == [["acme"]]
            told.world.end(ticked.requests[0])
        else:
            with pytest.raises(SourceError, match="Upstream is down"):
                told.world.scheduled(SyncKind.INCREMENTAL, HOURLY, now + quarter * timedelta(minutes=15))
        texts += told.new()
    assert texts == [FAILED]
    told.world.upstreams["polder"].broken = False
    assert told.world.scheduled(SyncKind.INCREMENTAL, HOURLY, now + timedelta(hours=2)).tenants == [["acme", "polder"]]
    assert told.new() == [RECOVERED]


def test_of_very_many_accounts_that_refuse_the_first_are_told_and_none_twice(told: Told) -> None:
    told.turn_on("freshdesk_changes")
    failed = {f"t{number:03}": "Upstream is down." for number in range(300)}
    for _ in range(3):
        note(told.world.instance, "freshdesk_changes", "freshdesk", [*failed], Answers({}, failed, []))
    (text,) = told.new()
    assert "t000, t001" in text
    assert told.new() == []


def test_who_has_no_account_any_more_is_forgotten_and_what_is_off_tells_nothing(told: Told) -> None:
    failed = {"polder": "Upstream is down. Wait."}
    for _ in range(3):
        note(told.world.instance, "freshdesk_changes", "freshdesk", ["polder"], Answers({}, failed, []))
    assert told.new() == [], "nobody turned the sensor on"
    told.turn_on("freshdesk_changes")
    assert told.new() == [FAILED]
    note(told.world.instance, "freshdesk_changes", "freshdesk", ["acme"], Answers({}, {}, []))
    assert told.new() == [RECOVERED]
