"""What is told: every trouble once, every recovery, in few lines, from a memory that stays small."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync_assets.ledger.quarantine import QuarantineGroup
from sync_assets.notifications.news import RunEnd, Told, ToldQuarantine, news

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAW, STORE = "freshdesk/tickets/raw", "freshdesk/tickets/qdrant"
DOWN = "Qdrant can't be reached after 3 s."


def failed(number: int, place: str = STORE, reason: str = DOWN, tenants: tuple[str, ...] = ("acme",)) -> RunEnd:
    return RunEnd(number, f"run-{number}", tenants, frozenset({RAW} - {place}), {place: reason})


def succeeded(number: int, tenants: tuple[str, ...] = ("acme",)) -> RunEnd:
    return RunEnd(number, f"run-{number}", tenants, frozenset({RAW, STORE, "freshdesk"}), {})


def held(records: int, tenant: str = "acme", reason: str = "not an object") -> QuarantineGroup:
    return QuarantineGroup(tenant, "freshdesk", "tickets", "documents", records, reason)


class Reader:
    """A target that takes every message."""

    def __init__(self) -> None:
        self.told = Told(seen=0)
        self.now = NOW

    def tick(self, *ends: RunEnd, quarantine: Sequence[QuarantineGroup] | None = (), ui: str | None = None) -> str:
        """The text that it gets now, empty where it gets none."""
        found, self.told = news(self.told, ends, quarantine, self.now)
        message = found.message(ui)
        return f"{message.subject}\n{message.text}" if message else ""


def test_failures_of_one_reason_are_one_line_with_tenants_count_and_the_latest_run() -> None:
    text = Reader().tick(
        failed(1),
        failed(2, reason="Qdrant can't be reached after 4 s."),
        failed(3, tenants=("polder", "acme")),
        ui="http://ui/",
    )
    assert text == (
        "sync-assets: 1 failed\n"
        "Failed\n"
        f"- {STORE}: acme, polder (3 runs): Qdrant can't be reached after 3 s.\n"
        "  http://ui/runs/run-3"
    )


def test_the_same_trouble_is_told_once_and_another_reason_is_news() -> None:
    reader = Reader()
    assert reader.tick(failed(1))
    assert reader.tick(failed(2)) == ""
    assert reader.tick(failed(3, reason="Qdrant can't be reached after 9 s.")) == "", "numbers make no other trouble"
    assert "disk is full" in reader.tick(failed(4, reason="The disk is full."))
    assert reader.tick(failed(5), failed(6, reason="The disk is full.")) == ""
    assert "polder" in reader.tick(failed(7, tenants=("acme", "polder")))


def test_recovery_is_told_once_and_what_fails_again_after_it_is_news() -> None:
    reader = Reader()
    assert reader.tick(failed(1, tenants=("acme", "polder")))
    assert reader.tick(succeeded(2)) == f"sync-assets: 1 recovered\nRecovered\n- {STORE}: acme"
    assert reader.tick(succeeded(3)) == ""
    assert reader.tick(succeeded(4, ("polder",))) == f"sync-assets: 1 recovered\nRecovered\n- {STORE}: polder"
    assert "acme" in reader.tick(failed(5))


def test_a_run_that_fails_later_on_is_the_recovery_of_the_steps_before() -> None:
    reader = Reader()
    assert reader.tick(failed(1, place=RAW, reason="Upstream is down."))
    text = reader.tick(failed(2))
    assert f"Failed\n- {STORE}: acme" in text
    assert f"Recovered\n- {RAW}: acme" in text


def test_what_began_and_ended_between_two_messages_is_not_told() -> None:
    reader = Reader()
    assert reader.tick(failed(1), succeeded(2)) == ""
    assert reader.tick(failed(3), succeeded(4), failed(5))
    assert reader.tick(succeeded(6), failed(7)) == "", "it stands as it was told"


def test_a_reason_is_one_line_of_at_most_200_characters() -> None:
    text = Reader().tick(failed(1, reason="x" * 500 + "\nsesame"), quarantine=[held(1, reason="y" * 500 + "\nsesame")])
    assert "sesame" not in text
    assert f": {'x' * 197}...\n" in text
    assert f": {'y' * 197}..." in text
    assert "y" * 198 not in text


def test_a_quarantine_is_told_when_it_appears_doubles_or_grew_a_day_ago_and_when_it_is_empty() -> None:
    reader = Reader()
    steps = [
        (timedelta(0), 1, "1 record, the latest: not an object"),
        (timedelta(0), 1, ""),
        (timedelta(0), 4, "4 records"),
        (timedelta(hours=1), 7, ""),
        (timedelta(hours=24), 7, "7 records"),
        (timedelta(hours=23), 7, ""),
        (timedelta(0), 2, ""),
        (timedelta(0), 3, ""),
        (timedelta(0), 4, "4 records"),
    ]
    for wait, records, expected in steps:
        reader.now += wait
        text = reader.tick(quarantine=[held(records)])
        assert (expected in text) if expected else text == "", (records, text)
    assert reader.tick(quarantine=None) == "", "nobody could look"
    assert reader.tick() == (
        "sync-assets: 1 quarantine is empty again\nQuarantine is empty again\n- acme/freshdesk/tickets/documents"
    )
    assert reader.tick() == ""


def test_of_more_groups_than_are_remembered_none_is_said_to_be_empty_that_is_not() -> None:
    reader = Reader()
    names = [f"t{number:03}" for number in range(300)]
    assert reader.tick(quarantine=[held(1, name) for name in names[100:]])
    text = reader.tick(quarantine=[held(1, name) for name in names])
    assert "empty again" not in text
    text = reader.tick(quarantine=[held(1, name) for name in names[:-1]])
    assert "Quarantine is empty again\n- t299/freshdesk/tickets/documents" in text


def test_a_message_names_twenty_and_counts_the_rest() -> None:
    ends = [failed(number, place=f"freshdesk/stream-{'x' * number}/raw") for number in range(1, 31)]
    text = Reader().tick(*ends)
    assert text.count("\n- freshdesk/") == 20
    assert text.endswith("\n- and 10 more")
    tenants = tuple(f"tenant-{number}" for number in range(30))
    assert "tenant-19 and 10 more:" in Reader().tick(failed(1, tenants=tenants))


def test_the_memory_of_a_target_stays_below_64_kib() -> None:
    reader = Reader()
    for number in range(40):
        tenants = tuple(f"tenant-{number}-{other}-{'x' * 40}" for other in range(20))
        reasons = [f"{'reason' * number} {'abcdefgh'[kind]}" for kind in range(8)]
        ends = [failed(number * 10 + kind, reason=reason, tenants=tenants) for kind, reason in enumerate(reasons)]
        groups = [held(number + 1, f"tenant-{other}-{'x' * 40}") for other in range(300)]
        reader.tick(*ends, quarantine=groups)
    assert 20_000 < len(reader.told.model_dump_json()) < 65_536


ENDS = st.lists(
    st.tuples(
        st.sampled_from([None, *((place, reason) for place in (RAW, STORE) for reason in ("Down.", "Full."))]),
        st.sampled_from([("acme",), ("polder",), ("acme", "polder")]),
    ),
    max_size=12,
)


@given(ends=ENDS, cuts=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=12, max_size=12))
def test_however_ticks_and_refusals_fall_what_was_told_stands_for_what_is_and_nothing_is_told_twice(
    ends: list[tuple[tuple[str, str] | None, tuple[str, ...]]], cuts: list[tuple[int, bool]]
) -> None:
    runs = [
        failed(number, *fault, tenants=tenants) if fault else succeeded(number, tenants)
        for number, (fault, tenants) in enumerate(ends, 1)
    ]
    stands: set[tuple[str, str, str]] = set()
    known: set[tuple[str, str, str]] = set()
    told, upto = Told(seen=0), 0
    for size, accepted in [*cuts, (len(runs), True)]:
        for run in runs[upto : upto + size]:
            stands = {item for item in stands if item[1] not in run.tenants or item[0] not in run.succeeded}
            stands |= {(place, tenant, reason) for place, reason in run.failed.items() for tenant in run.tenants}
        upto += size
        found, after = news(told, [run for run in runs[:upto] if run.storage_id > told.seen], (), NOW)
        if not accepted:
            continue  # it was not taken: the next tick starts where this one did
        told = after
        known = {item for item in known if item[1] not in found.recovered.get(item[0], ())}
        fresh = {(line.place, tenant, line.reason) for line in found.failed for tenant in line.tenants}
        assert not fresh & known, "told twice"
        known |= fresh
        assert {item[:2] for item in known} == {item[:2] for item in stands}
        assert stands <= known
    assert Told.model_validate_json(told.model_dump_json()) == told


def test_the_memory_comes_back_from_a_cursor() -> None:
    told = Told(seen=3, failed={STORE: {"acme": ["0a1b2c3d"]}}, quarantine={"p": ToldQuarantine(records=2, at=NOW)})
    assert Told.model_validate_json(told.model_dump_json()) == told
