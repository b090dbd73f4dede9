"""Fields that come and go upstream, and windows with far more or fewer records than those before."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import dagster as dg
import pytest

from sync_assets.checks.upstream import volume_check
from sync_assets.ledger import Ledger, StreamRef, WindowState
from sync_assets.ledger.fields import Drift, note_fields
from sync_assets.stages import Report, Stream
from sync_assets.stages.raw import field_names
from sync_assets_tests.checks.places import place
from sync_assets_tests.dagster_assets.world import World, checks, day, partition
from sync_assets_tests.laws.upstream import DAY, START, UpstreamSource

ACME = StreamRef("acme", "freshdesk", "tickets")
STREAM = Stream("freshdesk", "tickets", "day", ("qdrant",), "freshdesk_tickets")
RAW = dg.AssetKey(["freshdesk", "tickets", "raw"])


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    made = Ledger(database_url)
    yield made
    made.close()


def test_fields_that_come_later_are_new_for_a_week_and_those_of_the_first_day_are_not(ledger: Ledger) -> None:
    def note(seen: Mapping[str, int], now: datetime) -> Drift:
        return note_fields(ledger, ACME, seen, now)

    assert note({"": 9, "id": 9}, START) == Drift([], [])
    assert note({"": 3, "id": 3, "tags": 1}, START + timedelta(hours=3)) == Drift([], [])
    assert note({"": 3, "id": 3, "score": 1}, START + 30 * DAY) == Drift(["score"], [])
    assert note({}, START + 36 * DAY) == Drift(["score"], []), "a run without records still tells"
    assert note({"": 3, "id": 3, "score": 3}, START + 38 * DAY) == Drift([], [])
    assert note_fields(ledger, ACME._replace(tenant="polder"), {"": 1, "other": 1}, START) == Drift([], [])


def test_a_usual_field_that_no_record_of_many_has_is_gone_until_it_is_back(ledger: Ledger) -> None:
    note_fields(ledger, ACME, {"": 100, "id": 100, "status": 95, "rare": 20}, START)
    assert note_fields(ledger, ACME, {"": 49, "id": 49}, START + DAY) == Drift([], []), "too few to tell"
    assert note_fields(ledger, ACME, {"": 50, "id": 50}, START + 2 * DAY) == Drift([], ["status"])
    assert note_fields(ledger, ACME, {"": 1, "id": 1}, START + 3 * DAY) == Drift([], ["status"])
    assert note_fields(ledger, ACME, {"": 1, "id": 1, "status": 1}, START + 4 * DAY) == Drift([], [])


def test_names_of_fields_are_those_of_objects_too_and_never_ids_or_texts() -> None:
    payload = {"id": 1, "custom": {"cf_a": 1, "dear customer": 2}, "4711": {"x": 1}, "rows": [{"a": 1}]}
    assert list(field_names(payload)) == ["id", "custom", "custom.cf_a", "rows"]


def _volume(ledger: Ledger, rows: Mapping[int, int], now: datetime) -> dg.AssetCheckResult:
    report = Report.of("raw", [place(window) for window in rows])
    for window, number in rows.items():
        for record in range(number):
            report.digests[place(window)].add([record])
    return volume_check(ledger, STREAM, report, RAW, now)


@pytest.mark.parametrize(
    ("history", "rows", "closed", "odd"),
    [
        (28, 101, True, True),
        (28, 100, True, False),
        (28, 2, True, True),
        (28, 3, True, False),
        (28, 0, False, False),
        (13, 500, True, False),
    ],
    ids=["many", "not-so-many", "few", "not-so-few", "still-open", "too-young"],
)
def test_a_window_is_odd_by_those_before_it(ledger: Ledger, history: int, rows: int, closed: bool, odd: bool) -> None:
    states = {("acme", day(window)): WindowState("", 10 + 10 * (window % 2), START, True) for window in range(history)}
    ledger.record_windows("raw", "freshdesk", "tickets", states)
    now = START + (history + closed) * DAY
    result = _volume(ledger, {history: rows}, now)
    assert result.passed is not odd
    if odd:
        assert result.severity is dg.AssetCheckSeverity.WARN
        assert result.metadata["partitions"].value == f"{day(history)}|acme"
        assert f"{rows} records, the 28 windows before had 10 to 20" in str(result.metadata["cases"].value)


def test_a_run_over_many_windows_judges_each_by_those_before_it(ledger: Ledger) -> None:
    result = _volume(ledger, {window: 200 if window == 30 else 10 for window in range(40)}, START + 40 * DAY)
    assert result.metadata["partitions"].value == f"{day(30)}|acme"


def test_a_new_field_upstream_is_told_by_the_raw_asset_and_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("1", 0, "printer on fire")
    known = {"texts": 1, "status": 1, "private": 1, "": 1}
    note_fields(world.services.ledger, ACME, known, START)
    record = UpstreamSource._record

    def with_more(self: UpstreamSource, record_id: str) -> object:
        found = record(self, record_id)
        return found.model_copy(update={"payload": {**found.payload, "mood": "secret words"}})

    monkeypatch.setattr(UpstreamSource, "_record", with_more)
    result = world.run(partition(0))
    check = checks(result)["raw", "schema_drift"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["cases"].value == "- acme: new mood"
    assert "secret words" not in str(check)
    assert world.documents("qdrant") == {"1"}
