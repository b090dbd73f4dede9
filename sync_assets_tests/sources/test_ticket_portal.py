import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import event

from sync_assets.documents import Record
from sync_assets.errors import SourceError
from sync_assets.sources.ticket_portal import Account, Source
from sync_assets_tests.mariadb import PASSWORD, USER, Server
from sync_assets_tests.sources.portal_world import (
    FAR_AHEAD,
    LONG_AGO,
    METADATA,
    NOON,
    World,
    article_row,
    item_row,
    mariadb_world,
    sqlite_world,
    ticket_row,
)

TENANT = "polder"
STREAMS = ("tickets", "knowledge_base", "configuration_items")
NOON_UTC = NOON.replace(tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def maria(mariadb_server: Server) -> Iterator[World]:
    with mariadb_world(mariadb_server) as world:
        world.fill()
        yield world


@pytest.fixture(params=["mariadb", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "mariadb":
        yield request.getfixturevalue("maria")
        return
    with sqlite_world(tmp_path) as lite:
        lite.fill()
        yield lite


def opened(world: World, **options: Any) -> Source:
    return Source(TENANT, Account.model_validate({"database_url": world.url, **options}))


def extracted(
    world: World, stream: str = "tickets", since: datetime = LONG_AGO, until: datetime = FAR_AHEAD, **options: Any
) -> dict[str, Record]:
    with opened(world, **options) as source:
        records = list(source.extract(stream, since, until))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def listed(world: World, stream: str = "tickets", **options: Any) -> dict[str, tuple[datetime, str]]:
    with opened(world, **options) as source:
        rows = list(source.live_ids(stream))
    assert len({row.record_id for row in rows}) == len(rows)
    return {row.record_id: (row.modified_at, row.cheap_version) for row in rows}


def fetched(world: World, ids: list[str], stream: str = "tickets", **options: Any) -> dict[str, Record]:
    with opened(world, **options) as source:
        return {record.record_id: record for record in source.fetch(stream, iter(ids))}


def versions(records: dict[str, Record]) -> dict[str, tuple[datetime | None, str]]:
    return {key: (record.modified_at, record.cheap_version) for key, record in records.items()}


# What a record holds


def test_a_ticket_comes_with_everything_that_belongs_to_it(world: World) -> None:
    later = NOON + timedelta(hours=2)
    world.ticket(
        77, assigned_agent_id=3, status="resolved", resolved_at=later, resolution="Vervangen", updated_at=later
    )
    public = world.comment(77, "<p>Is bekeken</p>")
    internal = world.comment(77, "Dit is de derde keer", is_internal=True, created_at=later)
    world.value(77, 1, "HP")
    world.value(77, 2, "LaserJet")
    world.attachment(77, filename="foto.png", filesize=123)
    world.link(77, 2)
    world.link(77, 1, relation_type="caused_by")
    record = extracted(world)["77"]
    assert record.event == "live"
    assert record.modified_at == NOON_UTC + 2 * HOUR
    assert record.payload["ticket"] == {
        "ticket_id": 77,
        "ticket_number": "KK-2026-0077",
        "title": "Printer 77 doet het niet",
        "description": "De printer op kamer 77 print niet meer.",
        "priority": "medium",
        "ticket_type": "incident",
        "status": "resolved",
        "source": "web",
        "created_at": "2026-10-05T12:00:00Z",
        "updated_at": "2026-10-05T14:00:00Z",
        "resolved_at": "2026-10-05T14:00:00Z",
        "resolution": "Vervangen",
        "satisfaction_rating": None,
    }
    assert record.payload["category"] == {"category_id": 1, "name": "Hardware"}
    assert record.payload["requester"] == {
        "user_id": 1,
        "first_name": "Anna",
        "last_name": "Vos",
        "department": "Inkoop",
    }
    assert record.payload["agent"] == {"user_id": 3, "first_name": "Cor", "last_name": "Bos"}
    author = {"user_id": 2, "first_name": "Bram", "last_name": "Smit", "role": "agent"}
    assert record.payload["comments"] == [
        {
            "comment_id": public,
            "comment": "<p>Is bekeken</p>",
            "is_internal": False,
            "created_at": "2026-10-05T12:00:00Z",
            "author": author,
        },
        {
            "comment_id": internal,
            "comment": "Dit is de derde keer",
            "is_internal": True,
            "created_at": "2026-10-05T14:00:00Z",
            "author": author,
        },
    ]
    # In the order of the form: field_order counts down in this portal.
    assert [(row["field_id"], row["field_name"], row["field_value"]) for row in record.payload["fields"]] == [
        (2, "model", "LaserJet"),
        (1, "brand", "HP"),
    ]
    assert record.payload["fields"][0].keys() == {
        *("value_id", "field_id", "field_name", "field_label", "field_type", "field_order", "field_value")
    }
    (attachment,) = record.payload["attachments"]
    assert attachment == {
        "attachment_id": 1,
        "filename": "foto.png",
        "filepath": None,
        "filesize": 123,
        "uploaded_at": "2026-10-05T12:00:00Z",
    }
    assert [(row["ci_id"], row["relation_type"], row["ci_number"]) for row in record.payload["related_cis"]] == [
        (1, "caused_by", "CI-2026-001"),
        (2, "affects", "CI-2026-002"),
    ]
    assert record.payload["related_cis"][0].keys() == {
        *("relation_id", "relation_type", "ci_id", "ci_number", "name", "type")
    }


def test_an_article_and_a_configuration_item_come_without_counters_and_prices(world: World) -> None:
    world.article(12)
    world.item(5, owner_id=2, warranty_expiry=None, notes="Scherm vervangen")
    article, item = extracted(world, "knowledge_base")["kb-12"], extracted(world, "configuration_items")["ci-5"]
    assert article.payload == {
        "article": {
            "kb_id": 12,
            "title": "Uitleg 12",
            "content": "# Zo werkt het",
            "tags": "vpn, wifi",
            "is_published": True,
            "created_at": "2026-10-05T12:00:00Z",
            "updated_at": "2026-10-05T12:00:00Z",
        },
        "category": {"category_id": 1, "name": "Hardware"},
        "author": {"user_id": 2, "first_name": "Bram", "last_name": "Smit"},
    }
    assert item.payload["owner"] == {"user_id": 2, "first_name": "Bram", "last_name": "Smit"}
    assert item.payload["item"]["purchase_date"] == "2025-03-01"
    assert item.payload["item"]["warranty_expiry"] is None
    assert item.payload["item"]["notes"] == "Scherm vervangen"
    assert "purchase_price" not in item.payload["item"]


def test_rows_that_point_to_nothing_are_kept(world: World) -> None:
    world.ticket(1)
    world.comment(1)
    world.value(1)
    world.link(1, 1)
    world.run(
        "DELETE FROM users", "DELETE FROM categories", "DELETE FROM category_fields", "DELETE FROM configuration_items"
    )
    payload = extracted(world)["1"].payload
    assert (payload["category"], payload["requester"], payload["agent"]) == (None, None, None)
    assert payload["comments"][0]["author"] is None
    assert payload["fields"][0]["field_label"] is None
    assert payload["fields"][0]["field_id"] == 1
    assert payload["related_cis"][0]["ci_id"] == 1
    assert payload["related_cis"][0]["name"] is None


def test_children_of_a_ticket_that_is_gone_belong_to_no_other(world: World) -> None:
    for number in (1, 2, 3):
        world.ticket(number)
        world.comment(number, f"Van {number}")
    world.run(
        "DELETE FROM tickets WHERE ticket_id = 2",
        "INSERT INTO ticket_comments (ticket_id, user_id, comment) VALUES (2, 1, 'wees'), (9, 1, 'wees')",
    )
    texts = {key: [c["comment"] for c in record.payload["comments"]] for key, record in extracted(world).items()}
    assert texts == {"1": ["Van 1"], "3": ["Van 3"]}


# Windows


@pytest.mark.parametrize(
    "touch",
    [
        lambda world, time: world.comment(1, created_at=time),
        lambda world, time: world.value(1, created_at=time),
        lambda world, time: world.attachment(1, uploaded_at=time),
        lambda world, time: world.link(1, created_at=time),
    ],
    ids=["comment", "field value", "attachment", "link"],
)
def test_what_is_added_to_a_ticket_moves_it(world: World, touch: Callable[[World, datetime], int]) -> None:
    world.ticket(1)
    world.ticket(2)
    touch(world, NOON + timedelta(days=3))
    moved = NOON_UTC + timedelta(days=3)
    assert extracted(world, since=moved, until=moved + SECOND)["1"].modified_at == moved
    # It has left the window in which it stood before.
    assert extracted(world, since=NOON_UTC, until=moved).keys() == {"2"}


def test_windows_are_half_open_also_for_ties(world: World) -> None:
    for number in range(1, 8):
        world.ticket(number, updated_at=NOON + (number > 2) * SECOND + (number > 5) * SECOND)
    windows = [
        extracted(world, since=NOON_UTC + offset * SECOND, until=NOON_UTC + (offset + 1) * SECOND)
        for offset in range(-1, 4)
    ]
    assert [sorted(window) for window in windows] == [[], ["1", "2"], ["3", "4", "5"], ["6", "7"], []]


def test_the_newest_tickets_come_first(world: World) -> None:
    world.many_tickets(30)
    with opened(world) as source:
        records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        assert [next(records).record_id for _ in range(3)] == ["30", "29", "28"]
        records.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_times_are_read_in_the_portals_time_zone(world: World) -> None:
    world.ticket(1, created_at=datetime(2026, 7, 1, 12), updated_at=datetime(2026, 7, 1, 12))
    world.ticket(2, created_at=datetime(2026, 1, 1, 12), updated_at=datetime(2026, 1, 1, 12))
    records = extracted(world, time_zone="Europe/Amsterdam")
    assert records["1"].modified_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert records["1"].payload["ticket"]["created_at"] == "2026-07-01T10:00:00Z"
    assert records["2"].modified_at == datetime(2026, 1, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize("local", ["2026-03-29 02:30:00", "2026-10-25 02:30:00"], ids=["skipped", "shown twice"])
def test_a_time_that_the_clocks_skip_or_repeat_is_taken_as_the_later_one(world: World, local: str) -> None:
    world.ticket(1, created_at=None if world.is_sqlite else NOON - timedelta(days=999))
    world.run(f"UPDATE tickets SET created_at = '{local}', updated_at = '{local}'")
    later = datetime(2026, 3, 29, 1, 30, tzinfo=UTC) if "-03-" in local else datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    zone = "Europe/Amsterdam"
    assert extracted(world, time_zone=zone)["1"].modified_at == later
    assert extracted(world, since=later, until=later + SECOND, time_zone=zone).keys() == {"1"}
    assert extracted(world, since=later - 2 * HOUR, until=later, time_zone=zone) == {}
    with opened(world, time_zone=zone) as source:
        assert source.span("tickets") == (later, later)


def test_columns_of_type_timestamp_are_utc_whatever_the_portals_zone(maria: World) -> None:
    maria.run("UPDATE configuration_items SET created_at = NULL, updated_at = '2026-07-01 12:00:00' WHERE ci_id = 1")
    instant = datetime(2026, 7, 1, 12, tzinfo=UTC)
    record = extracted(maria, "configuration_items", instant, instant + SECOND, time_zone="Europe/Amsterdam")["ci-1"]
    assert record.modified_at == instant


def test_a_server_that_does_not_run_on_utc_needs_a_time_zone(maria: World) -> None:
    with maria.engine.begin() as connection:
        connection.exec_driver_sql("SET GLOBAL time_zone = '+02:00'")
    try:
        with (
            opened(maria) as source,
            pytest.raises(SourceError, match=r"does not run on UTC.*Set tenants\.polder\.ticket_portal\.time_zone to"),
        ):
            list(source.live_ids("tickets"))
        maria.ticket(1)
        assert extracted(maria, time_zone="Etc/GMT-2")["1"].modified_at == NOON_UTC - 2 * HOUR
    finally:
        with maria.engine.begin() as connection:
            connection.exec_driver_sql("SET GLOBAL time_zone = '+00:00'")


# What moves no time


QUIET_CHANGES = {
    "comment text": "UPDATE ticket_comments SET comment = 'Is bekeken!'",
    "comment visibility": "UPDATE ticket_comments SET is_internal = 1",
    "field value": "UPDATE ticket_field_values SET field_value = 'LG'",
    "field label": "UPDATE category_fields SET field_label = 'Merk' WHERE field_id = 1",
    "removed comment": "DELETE FROM ticket_comments",
    "removed attachment": "DELETE FROM ticket_attachments",
    "removed link": "DELETE FROM ticket_ci_relations",
    "link's kind": "UPDATE ticket_ci_relations SET relation_type = 'caused_by'",
    "category name": "UPDATE categories SET name = 'Apparatuur' WHERE category_id = 1",
    "user name": "UPDATE users SET last_name = 'de Vos' WHERE user_id = 1",
    "item name": "UPDATE configuration_items SET name = 'Werkstation', updated_at = updated_at WHERE ci_id = 1",
    "status": "UPDATE tickets SET status = 'closed', updated_at = updated_at WHERE ticket_id = 1",
    "description": "UPDATE tickets SET description = 'Kort', updated_at = updated_at WHERE ticket_id = 1",
}


@pytest.mark.parametrize("change", QUIET_CHANGES.values(), ids=QUIET_CHANGES.keys())
def test_a_change_that_moves_no_time_shows_in_the_listing(world: World, change: str) -> None:
    world.ticket(1)
    world.ticket(2, user_id=3, category_id=2)
    world.comment(1)
    world.value(1)
    world.attachment(1)
    world.link(1)
    before = listed(world)
    world.run(change)
    after = listed(world)
    assert after["1"] != before["1"]
    assert after["1"][0] == before["1"][0]
    assert after["2"] == before["2"]
    assert versions(fetched(world, ["1", "2"])) == after


@pytest.mark.parametrize("stream", STREAMS)
def test_span_extract_live_ids_and_fetch_agree(world: World, stream: str) -> None:
    world.many_tickets(20)
    for number in range(1, 20):
        world.article(number, is_published=number % 4 != 0, updated_at=NOON + number * HOUR)
        world.item(number + 10, status="Afgeschreven" if number % 5 == 0 else "Defect", updated_at=NOON + number * HOUR)
    everything = extracted(world, stream)
    live = {key: record for key, record in everything.items() if record.event == "live"}
    assert versions(live) == listed(world, stream)
    found = fetched(world, sorted(everything), stream)
    assert {key: record.event for key, record in found.items()} == {key: r.event for key, r in everything.items()}
    assert {key: record.payload for key, record in found.items()} == {key: r.payload for key, r in everything.items()}
    assert versions(found) == versions(everything)
    with opened(world) as source:
        span = source.span(stream)
    times = [record.modified_at for record in everything.values() if record.modified_at]
    assert span == (min(times), max(times))


def test_a_span_begins_where_something_was_last_changed_and_not_where_it_was_made(world: World) -> None:
    world.run("DELETE FROM configuration_items")
    world.item(1, created_at=NOON - 900 * DAY, updated_at=NOON)
    world.item(2, created_at=NOON - 2 * DAY, updated_at=None)
    world.run("UPDATE configuration_items SET updated_at = NULL WHERE ci_id = 2")
    world.ticket(1, created_at=NOON - 900 * DAY, updated_at=NOON)
    world.comment(1, created_at=NOON - 800 * DAY)
    with opened(world) as source:
        assert source.span("configuration_items") == (NOON_UTC - 2 * DAY, NOON_UTC)
        assert source.span("tickets") == (NOON_UTC, NOON_UTC)


def test_an_empty_portal_has_no_span_and_no_records(world: World) -> None:
    with opened(world) as source:
        assert source.span("tickets") is None
        assert list(source.extract("tickets", LONG_AGO, FAR_AHEAD)) == []
        assert list(source.live_ids("knowledge_base")) == []


TICKET = (
    "REPLACE INTO tickets (ticket_id, ticket_number, user_id, category_id, title, description, created_at, updated_at) "
    "VALUES ({t}, 'KK-{t}', 1, 1, 'Titel {n}', 'Tekst {n}', '2026-10-05 12:00:00', '2026-10-05 12:00:00')"
)
CHILD_TABLES = ("ticket_comments", "ticket_field_values", "ticket_attachments", "ticket_ci_relations")
COMMENT = (
    "INSERT INTO ticket_comments (ticket_id, user_id, comment, is_internal, created_at) "
    "VALUES ({t}, 2, 'Stap {n}', 0, '2026-10-05 13:0{n}:00')"
)
VALUE = (
    "REPLACE INTO ticket_field_values (value_id, ticket_id, field_id, field_value, created_at) "
    "VALUES ({t}, {t}, 1, 'HP {n}', '2026-10-05 14:00:00')"
)
ATTACHMENT = (
    "REPLACE INTO ticket_attachments (attachment_id, ticket_id, filename, filepath, filesize, uploaded_at) "
    "VALUES ({n} + 1, {t}, '{n}.png', '/x', {n}, '2026-10-05 15:0{n}:00')"
)
LINK = (
    "REPLACE INTO ticket_ci_relations (relation_id, ticket_id, ci_id, relation_type, created_at) "
    "VALUES ({t}, {t}, 1, 'affects', '2026-10-05 16:00:00')"
)
EDITS = [
    TICKET,
    COMMENT,
    VALUE,
    ATTACHMENT,
    LINK,
    "UPDATE tickets SET title = 'Titel {n}', updated_at = updated_at WHERE ticket_id = {t}",
    "UPDATE tickets SET description = 'Tekst {n}', updated_at = updated_at WHERE ticket_id = {t}",
    "UPDATE tickets SET status = 'closed', updated_at = '2026-10-06 12:0{n}:00' WHERE ticket_id = {t}",
    "UPDATE tickets SET updated_at = NULL WHERE ticket_id = {t}",
    "DELETE FROM tickets WHERE ticket_id = {t}",
    "UPDATE ticket_comments SET comment = 'Stap {n}' WHERE ticket_id = {t}",
    "UPDATE ticket_comments SET is_internal = {n} > 1 WHERE ticket_id = {t}",
    "UPDATE ticket_comments SET ticket_id = {t} WHERE comment = 'Stap {n}'",
    "UPDATE ticket_field_values SET field_value = 'LG {n}' WHERE ticket_id = {t}",
    "UPDATE ticket_attachments SET filepath = '/y/{n}' WHERE ticket_id = {t}",
    "UPDATE configuration_items SET name = 'Laptop {n}' WHERE ci_id = 1",
    "UPDATE users SET last_name = 'Naam {n}' WHERE user_id = {t}",
    "UPDATE users SET password = '{n}'",
    "UPDATE ticket_attachments SET filesize = {n} WHERE ticket_id = {t}",
    "UPDATE categories SET name = 'Soort {n}' WHERE category_id = 1",
    "UPDATE category_fields SET field_label = 'Veld {n}' WHERE field_id = 1",
    *(f"DELETE FROM {table} WHERE ticket_id = {{t}}" for table in CHILD_TABLES),
]


def test_after_any_edits_listing_and_records_agree_and_differ_exactly_where_a_payload_does(
    world: World, tmp_path: Path
) -> None:
    edits = st.builds(str.format, st.sampled_from(EDITS), t=st.integers(1, 3), n=st.integers(0, 3))

    def state(source: Source) -> dict[str, tuple[Any, tuple[datetime | None, str]]]:
        records = {record.record_id: record for record in source.extract("tickets", LONG_AGO, FAR_AHEAD)}
        live = {row.record_id: (row.modified_at, row.cheap_version) for row in source.live_ids("tickets")}
        now = {record.record_id: record for record in source.fetch("tickets", ["1", "2", "3"])}
        assert versions(records) == live
        assert versions({key: record for key, record in now.items() if record.event == "live"}) == live
        assert {key for key, record in now.items() if record.event == "deleted"} == {"1", "2", "3"} - live.keys()
        return {key: (record.payload, live[key]) for key, record in records.items()}

    with opened(world, files=tmp_path) as source:

        @settings(max_examples=25, deadline=None, database=None)
        @given(st.lists(edits, min_size=1, max_size=8))
        def check(steps: list[str]) -> None:
            world.run(*(f"DELETE FROM {table}" for table in (*CHILD_TABLES, "tickets")))
            for number in (1, 2):
                world.run(*(row.format(t=number, n=0) for row in (TICKET, COMMENT, VALUE, ATTACHMENT, LINK)))
            before = state(source)
            for step in steps:
                world.run(step)
                after = state(source)
                for key in before.keys() & after.keys():
                    (payload, version), (next_payload, next_version) = before[key], after[key]
                    assert (payload == next_payload) == (version == next_version)
                before = after

        check()


# Gone


def test_unpublished_articles_and_written_off_items_are_deletions_of_their_window(world: World) -> None:
    day = timedelta(days=1)
    world.article(1)
    world.article(2, is_published=False, updated_at=NOON + day)
    world.item(8, status="Afgeschreven", updated_at=NOON + day)
    tomorrow = NOON_UTC + day
    for stream, gone in (("knowledge_base", "kb-2"), ("configuration_items", "ci-8")):
        records = extracted(world, stream, tomorrow, tomorrow + SECOND)
        assert {key: (record.event, record.modified_at) for key, record in records.items()} == {
            gone: ("deleted", tomorrow)
        }
        assert fetched(world, [gone], stream)[gone].event == "deleted"
        assert gone not in listed(world, stream)
    assert listed(world, "knowledge_base").keys() == {"kb-1"}


def test_fetch_tells_live_gone_and_malformed_ids_apart(world: World) -> None:
    world.many_tickets(450)
    asked = [*(str(number) for number in range(1, 452)), "kb-1", "007", "-3", "9" * 30, "x", "'; DROP TABLE tickets"]
    found = fetched(world, asked)
    assert found.keys() == set(asked)
    events: dict[str, list[str]] = {}
    for key, record in found.items():
        events.setdefault(record.event, []).append(key)
    assert len(events["live"]) == 450
    assert events["deleted"] == ["451"]
    assert sorted(events["malformed"]) == sorted(asked[451:])
    assert fetched(world, ["1"], "knowledge_base")["1"].event == "malformed"


@pytest.mark.parametrize("mark", ["1", "'2026-10-06 10:00:00'"])
def test_rows_marked_as_deleted_are_gone(world: World, mark: str) -> None:
    kind = "VARCHAR(30) DEFAULT '0000-00-00 00:00:00'"
    tables = ("tickets", "ticket_comments", "ticket_attachments", "knowledge_base", "configuration_items")
    world.run(*(f"ALTER TABLE {table} ADD COLUMN weg {kind}" for table in tables))
    names: dict[str, Any] = {table: {"columns": {"is_deleted": "weg"}} for table in tables}
    for number in (1, 2):
        world.ticket(number)
        world.comment(number, created_at=NOON + HOUR)
        world.attachment(number)
        world.article(number)
    before = listed(world, tables=names)
    assert before.keys() == {"1", "2"}
    world.run(
        *(
            f"UPDATE {table} SET weg = {mark}" + (" WHERE ticket_id = 1" if table.startswith("ticket") else "")
            for table in tables
        )
    )
    world.run("UPDATE tickets SET weg = NULL, updated_at = '2026-10-05 12:00:00'")
    records = extracted(world, tables=names)
    assert records["1"].payload["comments"] == []
    assert records["1"].payload["attachments"] == []
    assert records["1"].modified_at == NOON_UTC
    assert len(records["2"].payload["comments"]) == 1
    assert listed(world, "knowledge_base", tables=names) == {}
    assert listed(world, "configuration_items", tables=names) == {}
    world.run(f"UPDATE tickets SET weg = {mark} WHERE ticket_id = 2")
    assert listed(world, tables=names).keys() == {"1"}
    assert extracted(world, tables=names)["2"].event == "deleted"


def test_a_row_committed_late_is_found_by_the_overlap_and_the_sweep(maria: World) -> None:
    maria.ticket(1)
    with maria.engine.connect() as slow:
        slow.execute(
            METADATA.tables["ticket_comments"].insert(),
            {"ticket_id": 1, "user_id": 2, "comment": "Traag", "is_internal": False, "created_at": NOON + HOUR},
        )
        before = listed(maria)
        window = (NOON_UTC + HOUR, NOON_UTC + 2 * HOUR)
        assert extracted(maria, "tickets", *window) == {}
        slow.commit()
    assert listed(maria)["1"] != before["1"]
    assert extracted(maria, "tickets", *window)["1"].payload["comments"][0]["comment"] == "Traag"


# Values


def test_zero_dates_are_no_times(maria: World) -> None:
    maria.ticket(1, resolved_at=NOON)
    maria.comment(1, created_at=NOON + HOUR)
    maria.ticket(2)
    maria.item(9)
    zero = "'0000-00-00 00:00:00'"
    maria.run(
        f"UPDATE tickets SET created_at = {zero}, updated_at = {zero}, resolved_at = '2026-00-00 00:00:00'",
        "UPDATE configuration_items SET purchase_date = '0000-00-00', created_at = 0, updated_at = NULL",
    )
    records = extracted(maria)
    assert records["1"].modified_at == NOON_UTC + HOUR
    ticket = records["1"].payload["ticket"]
    assert (ticket["created_at"], ticket["updated_at"], ticket["resolved_at"]) == (None, None, None)
    assert records["2"].modified_at == LONG_AGO
    item = extracted(maria, "configuration_items")["ci-9"]
    assert item.payload["item"]["purchase_date"] is None
    assert versions(records) == listed(maria)
    with opened(maria) as source:
        assert source.span("tickets") == (NOON_UTC + HOUR, NOON_UTC + HOUR)
    assert extracted(maria, since=LONG_AGO + SECOND).keys() == {"1"}


def test_a_record_without_any_time_is_modified_at_the_start_of_1970(world: World) -> None:
    world.article(1, created_at=None, updated_at=None)
    assert listed(world, "knowledge_base")["kb-1"][0] == LONG_AGO
    assert extracted(world, "knowledge_base", LONG_AGO, LONG_AGO + SECOND).keys() == {"kb-1"}
    with opened(world) as source:
        assert source.span("knowledge_base") is None


def test_every_character_set_is_read_as_what_it_means(maria: World) -> None:
    maria.run(
        "ALTER TABLE tickets MODIFY title VARCHAR(255) CHARACTER SET latin1 NOT NULL",
        "ALTER TABLE tickets MODIFY description TEXT CHARACTER SET utf8mb3 NOT NULL",
        "ALTER TABLE tickets MODIFY resolution BLOB",
        "ALTER TABLE ticket_comments MODIFY comment LONGBLOB",
    )
    maria.ticket(1, title="Café – “dicht”", description="Coördinatie €5")
    maria.comment(1, "Opgelost 😀")
    maria.run("UPDATE tickets SET resolution = X'93766572766C6F656B749420636166E9'")
    maria.value(1, text="𝔘𝔫𝔦 😀")
    payload = extracted(maria)["1"].payload
    assert payload["ticket"]["title"] == "Café – “dicht”"
    assert payload["ticket"]["description"] == "Coördinatie €5"
    assert payload["ticket"]["resolution"] == "“vervloekt” café"
    assert payload["comments"][0]["comment"] == "Opgelost 😀"
    assert payload["fields"][0]["field_value"] == "𝔘𝔫𝔦 😀"
    assert versions(extracted(maria)) == listed(maria)


def test_a_huge_text_comes_whole_and_no_listing_carries_it(maria: World) -> None:
    maria.run("ALTER TABLE tickets MODIFY description LONGTEXT NOT NULL")
    maria.ticket(1)
    maria.run("UPDATE tickets SET description = REPEAT('abcdefghij', 1000000)")
    assert extracted(maria)["1"].payload["ticket"]["description"] == "abcdefghij" * 1_000_000
    with bytes_sent(maria) as sent:
        rows = listed(maria)
    assert sent() < 100_000
    assert rows == versions(fetched(maria, ["1"]))


def test_unknown_enum_values_are_kept(maria: World) -> None:
    maria.ticket(1)
    maria.run(
        "ALTER TABLE tickets MODIFY status ENUM('open', 'wacht op klant') NOT NULL",
        "UPDATE tickets SET status = 'wacht op klant', priority = 'onzin'",
    )
    ticket = extracted(maria)["1"].payload["ticket"]
    assert (ticket["status"], ticket["priority"]) == ("wacht op klant", "")


@pytest.mark.parametrize("internal", ["NULL", "1", "b'1'"])
def test_a_comment_of_unknown_visibility_is_internal(maria: World, internal: str) -> None:
    maria.ticket(1)
    maria.comment(1)
    kind = "BIT(1)" if internal.startswith("b") else "TINYINT(1)"
    maria.run(
        f"ALTER TABLE ticket_comments MODIFY is_internal {kind} NULL",
        f"UPDATE ticket_comments SET is_internal={internal}",
    )
    assert extracted(maria)["1"].payload["comments"][0]["is_internal"] is True


def test_one_row_that_cannot_be_read_stops_no_other(world: World) -> None:
    for number in (1, 2, 3):
        world.ticket(number)
        world.comment(number)
    if world.is_sqlite:
        world.run("UPDATE ticket_comments SET is_internal = 'misschien' WHERE ticket_id = 2")
    else:
        world.run(
            "ALTER TABLE ticket_comments MODIFY is_internal VARCHAR(20)",
            "UPDATE ticket_comments SET is_internal = 'misschien' WHERE ticket_id = 2",
        )
    records = extracted(world)
    assert {key: record.event for key, record in records.items()} == {"1": "live", "2": "malformed", "3": "live"}
    assert records["2"].problem == "ticket_comments.is_internal is neither yes nor no: 'misschien'"
    assert records["2"].payload["ticket"]["ticket_number"] == "KK-2026-0002"
    assert listed(world).keys() == {"1", "2", "3"}
    assert fetched(world, ["2"])["2"].event == "malformed"


# Queries and connections


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


@contextmanager
def bytes_sent(maria: World) -> Iterator[Callable[[], int]]:
    """What the server has sent since the block began."""

    def total() -> int:
        with maria.engine.connect() as connection:
            return int(connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Bytes_sent'").one()[1])

    before = total()
    yield lambda: total() - before


def connections_of_source(maria: World) -> list[int]:
    with maria.engine.connect() as connection:
        query = sa.text("SELECT id FROM information_schema.processlist WHERE user = :user AND db = DATABASE()")
        return list(connection.execute(query, {"user": USER}).scalars())


def kill_connections_of_source(maria: World) -> None:
    numbers = connections_of_source(maria)
    assert numbers
    with maria.engine.connect() as connection:
        for number in numbers:
            connection.exec_driver_sql(f"KILL {number}")


@pytest.mark.parametrize("stream", STREAMS)
def test_the_number_of_queries_does_not_follow_the_number_of_rows(world: World, stream: str) -> None:
    counts: list[dict[str, int]] = []
    for start, stop in ((1, 6), (6, 501)):
        numbers = range(start, stop)
        world.insert_many("knowledge_base", [article_row(number) for number in numbers])
        world.insert_many("configuration_items", [item_row(number + 10) for number in numbers])
        world.insert_many("tickets", [ticket_row(number) for number in numbers])
        comment = {"user_id": 1, "comment": "Zo", "is_internal": False, "created_at": NOON}
        world.insert_many("ticket_comments", [{"ticket_id": number, **comment} for number in numbers])
        seen: dict[str, int] = {}
        for name, call in {
            "window": lambda source: list(source.extract(stream, NOON_UTC, NOON_UTC + HOUR)),
            "everything": lambda source: list(source.extract(stream, LONG_AGO, FAR_AHEAD)),
            "listing": lambda source: list(source.live_ids(stream)),
            "span": lambda source: source.span(stream),
        }.items():
            with opened(world) as source, statements() as ran:
                result = call(source)
            assert result
            seen[name] = len([statement for statement in ran if statement.startswith("SELECT")])
        counts.append(seen)
    assert counts[0] == counts[1]
    assert counts[0]["window"] <= 30


def test_a_reader_that_stops_early_holds_nothing(maria: World, caplog: pytest.LogCaptureFixture) -> None:
    maria.many_tickets(300)
    maria.run("ALTER TABLE tickets MODIFY description LONGTEXT NOT NULL")
    maria.run("UPDATE tickets SET description = REPEAT('x', 200000)")
    with opened(maria) as source, caplog.at_level(logging.WARNING):
        with bytes_sent(maria) as sent:
            records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
            next(records)
            records.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert sent() < 40_000_000
        gc.collect()
        assert len(list(source.live_ids("tickets"))) == 300
        assert {r.record_id for r in source.fetch("tickets", ["3", "300"])} == {"3", "300"}
    assert not caplog.records
    deadline = time.monotonic() + 10  # the server takes a moment to see that a connection is gone
    while connections_of_source(maria) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert connections_of_source(maria) == []


def test_nothing_is_written_and_nothing_is_held_by_a_reader(maria: World) -> None:
    maria.many_tickets(30)
    with opened(maria) as source:
        records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        first = next(records)
        maria.run("UPDATE tickets SET title = 'Nieuw', updated_at = '2026-12-01 00:00:00'")
        rest = list(records)
    assert {record.payload["ticket"]["title"] for record in (first, *rest)}.isdisjoint({"Nieuw"})
    assert len(rest) == 29
    assert {record.payload["ticket"]["title"] for record in extracted(maria).values()} == {"Nieuw"}


def test_a_ticket_changed_while_queries_begin_is_left_to_its_later_window(maria: World) -> None:
    """A change between the snapshots of two queries must not bring a ticket without its comments."""
    for number in (1, 2):
        maria.ticket(number)
        maria.comment(number)
    begun = count(1)

    def change(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("START TRANSACTION") and next(begun) == 2:
            later = "'2026-12-01 00:00:00'"
            maria.run(
                f"UPDATE tickets SET updated_at = {later}, created_at = {later} WHERE ticket_id = 2",
                f"UPDATE ticket_comments SET created_at = {later} WHERE ticket_id = 2",
            )

    with opened(maria) as source:
        source.check()
        event.listen(sa.Engine, "before_cursor_execute", change)
        try:
            records = {r.record_id: r for r in source.extract("tickets", NOON_UTC, NOON_UTC + SECOND)}
        finally:
            event.remove(sa.Engine, "before_cursor_execute", change)
    assert next(begun) > 2
    assert {key: len(record.payload["comments"]) for key, record in records.items()} == {"1": 1}
    assert extracted(maria, since=NOON_UTC + HOUR).keys() == {"2"}


def test_a_query_that_fails_midway_is_a_clear_error(maria: World) -> None:
    maria.many_tickets(300)
    maria.run("ALTER TABLE tickets MODIFY description LONGTEXT NOT NULL")
    maria.run("UPDATE tickets SET description = REPEAT('x', 200000)")
    with opened(maria) as source:
        records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        next(records)
        kill_connections_of_source(maria)
        with pytest.raises(SourceError, match=r"polder: 127\.0\.0\.1:\d+/portal_\w+ failed: ") as failure:
            list(records)
        assert "SELECT" not in str(failure.value)
        assert len(list(source.live_ids("tickets"))) == 300


# Settings


def test_check_names_server_place_and_counts(world: World) -> None:
    world.many_tickets(3)
    world.article(1)
    with opened(world) as source:
        line = source.check()
    place = world.url.removeprefix("sqlite:///").rpartition("@")[2]
    assert line.endswith(f", {place}, 3 tickets, 1 articles, 3 configuration items")
    assert line.startswith("SQLite 3." if world.is_sqlite else "MariaDB 1")
    assert PASSWORD not in line


def test_wrong_names_of_tables_and_columns_are_errors_that_say_how_to_map(world: World) -> None:
    world.run("ALTER TABLE tickets RENAME COLUMN resolution TO oplossing")
    with opened(world) as source, pytest.raises(SourceError) as missing:
        source.check()
    assert "table 'tickets' has no column 'resolution'" in str(missing.value)
    assert "tenants.polder.ticket_portal.tables.tickets.columns.resolution" in str(missing.value)
    world.run("ALTER TABLE knowledge_base RENAME TO kennis")
    names: dict[str, Any] = {"tickets": {"columns": {"resolution": "oplossing"}}}
    with opened(world, tables=names) as source, pytest.raises(SourceError) as missing:
        source.check()
    assert "has no table 'knowledge_base'" in str(missing.value)
    assert "tenants.polder.ticket_portal.tables.knowledge_base.name" in str(missing.value)


def test_a_portal_with_other_names_is_read_like_any_other(world: World) -> None:
    world.ticket(1, resolution="Klaar")
    world.comment(1)
    world.article(1)
    usual = extracted(world)["1"].payload
    world.run(
        "ALTER TABLE tickets RENAME TO `de tickets`",
        "ALTER TABLE `de tickets` RENAME COLUMN resolution TO `order`",
        "ALTER TABLE users RENAME COLUMN first_name TO `voor naam`",
        "ALTER TABLE ticket_comments RENAME COLUMN ticket_id TO ticket",
        "ALTER TABLE `de tickets` DROP COLUMN satisfaction_rating",
    )
    names: dict[str, Any] = {
        "tickets": {"name": "de tickets", "columns": {"resolution": "order", "satisfaction_rating": None}},
        "users": {"columns": {"first_name": "voor naam"}},
        "ticket_comments": {"columns": {"ticket_id": "ticket"}},
    }
    assert extracted(world, tables=names)["1"].payload == usual
    assert extracted(world, since=NOON_UTC, tables=names)["1"].payload == usual
    assert listed(world, tables=names) == versions(extracted(world, tables=names))


def test_a_portal_without_times_is_carried_by_the_sweep(world: World) -> None:
    world.article(1)
    names: dict[str, Any] = {"knowledge_base": {"columns": {"created_at": None, "updated_at": None}}}
    assert listed(world, "knowledge_base", tables=names)["kb-1"][0] == LONG_AGO
    assert extracted(world, "knowledge_base", NOON_UTC, FAR_AHEAD, tables=names) == {}
    with opened(world, tables=names) as source:
        assert source.span("knowledge_base") is None


def test_views_and_rights_on_single_columns_suffice(maria: World, mariadb_server: Server) -> None:
    maria.ticket(1)
    database = sa.make_url(maria.url).database
    maria.run(
        "CREATE VIEW publieke_tickets AS SELECT * FROM tickets",
        "CREATE OR REPLACE USER narrow@'127.0.0.1' IDENTIFIED BY 'x'",
        f"GRANT SELECT ON {database}.publieke_tickets TO narrow@'127.0.0.1'",
        f"GRANT SELECT (user_id, first_name, last_name, department, role) ON {database}.users TO narrow@'127.0.0.1'",
        *(
            f"GRANT SELECT ON {database}.{table} TO narrow@'127.0.0.1'"
            for table in METADATA.tables.keys() - {"users", "tickets"}
        ),
    )
    url = f"mariadb://narrow:x@127.0.0.1:{mariadb_server.port}/{database}"
    account = Account.model_validate({"database_url": url, "tables": {"tickets": {"name": "publieke_tickets"}}})
    with Source(TENANT, account) as source:
        assert [record.record_id for record in source.extract("tickets", NOON_UTC, FAR_AHEAD)] == ["1"]
    with (
        Source(TENANT, Account.model_validate({"database_url": url})) as source,
        pytest.raises(SourceError, match="no table 'tickets' that this user may read"),
    ):
        source.check()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"database_url": "postgresql://u:geheim@h/d"}, "postgresql:// is not supported; allowed is mysql://"),
        ({"database_url": "geheim"}, "not a URL; allowed is mysql://"),
        ({"database_url": "mysql://u:geheim@host"}, "names no database"),
        ({"database_url": "sqlite://"}, "names no database"),
        ({"database_url": "mysql://u:geheim@h/d?autocommit=1"}, "option 'autocommit' is not allowed"),
        ({"time_zone": "Europe/Nergens"}, "no IANA time zone"),
        ({"tables": {"tickts": {}}}, "no table 'tickts' is read; those read are categories"),
        ({"tables": {"tickets": {"columns": {"titel": "x"}}}}, "tickets has no column 'titel' that is read"),
        ({"tables": {"users": {"columns": {"is_deleted": "x"}}}}, "users has no column 'is_deleted'"),
        ({"tables": {"knowledge_base": {"columns": {"is_published": None}}}}, "is_published can't be left out"),
        ({"tables": {"ticket_comments": {"columns": {"ticket_id": None}}}}, "ticket_id can't be left out"),
        ({"speed": 3}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_allowed(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as error:
        Account.model_validate({"database_url": "mysql://u:p@h/d", **changed})
    assert "geheim" not in str(error.value.errors(include_input=False)[0]["msg"])


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql"])
def test_all_names_of_the_driver_mean_the_same(maria: World, scheme: str) -> None:
    account = Account.model_validate({"database_url": maria.url.replace("mysql", scheme, 1)})
    with Source(TENANT, account) as source:
        assert source.check().startswith("MariaDB ")


def test_a_server_that_cannot_be_reached_is_named_without_its_user(caplog: pytest.LogCaptureFixture) -> None:
    url = f"mysql://{USER}:{PASSWORD}@127.0.0.1:1/portaal"
    with Source(TENANT, Account.model_validate({"database_url": url})) as source, pytest.raises(SourceError) as error:
        source.check()
    assert "polder: 127.0.0.1:1/portaal can't be reached" in str(error.value)
    assert "tenants.polder.ticket_portal.database_url" in str(error.value)
    for secret in (USER, PASSWORD):
        assert secret not in str(error.value) + caplog.text


def test_a_wrong_password_is_not_tried_twice_and_not_shown(maria: World, caplog: pytest.LogCaptureFixture) -> None:
    url = maria.url.replace(PASSWORD, "fout-wachtwoord")
    with Source(TENANT, Account.model_validate({"database_url": url})) as source, pytest.raises(SourceError) as error:
        source.check()
    assert "it refuses this user, password or machine" in str(error.value)
    for secret in (USER, "fout-wachtwoord"):
        assert secret not in str(error.value) + caplog.text


def test_a_right_that_is_missing_is_told_without_the_user(maria: World, mariadb_server: Server) -> None:
    database = sa.make_url(maria.url).database
    maria.run(
        "CREATE OR REPLACE USER writer@'127.0.0.1' IDENTIFIED BY 'x'",
        f"GRANT SELECT ON {database}.* TO writer@'127.0.0.1'",
    )
    account = Account.model_validate({"database_url": f"mysql://writer:x@127.0.0.1:{mariadb_server.port}/{database}"})
    with Source(TENANT, account) as source:
        source.check()
        maria.run(f"REVOKE SELECT ON {database}.* FROM writer@'127.0.0.1'")
        maria.run(f"GRANT INSERT ON {database}.* TO writer@'127.0.0.1'")
        with pytest.raises(SourceError, match="SELECT command denied to this user") as error:
            list(source.live_ids("tickets"))
    assert "writer" not in str(error.value)


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "geen portaal?.db"
    account = Account.model_validate({"database_url": f"sqlite:///{path}"})
    with Source(TENANT, account) as source, pytest.raises(SourceError, match="can't be opened"):
        source.check()
    assert not path.exists()


def test_a_connection_lost_between_calls_is_made_anew(maria: World) -> None:
    maria.ticket(1)
    with opened(maria) as source:
        assert len(list(source.live_ids("tickets"))) == 1
        kill_connections_of_source(maria)
        assert len(list(source.live_ids("tickets"))) == 1


def test_an_unknown_stream_is_an_error(tmp_path: Path) -> None:
    with sqlite_world(tmp_path) as lite, opened(lite) as source, pytest.raises(SourceError, match="no stream 'users'"):
        list(source.live_ids("users"))


@pytest.mark.parametrize("password", ["geheim@2024", "geheim@2024/x", "geheim@2024?x=1"])
def test_an_at_sign_in_a_password_is_refused_before_any_of_it_is_shown(password: str) -> None:
    with pytest.raises(ValidationError, match="%40") as caught:
        Account.model_validate({"database_url": f"mysql://reader:{password}@db.example/portal"})
    assert "2024" not in str(caught.value.errors(include_input=False))
    fine = Account.model_validate({"database_url": "mysql://reader:geheim%402024@db.example/portal"})
    assert fine.database_url.get_secret_value().endswith("@db.example/portal")


def test_a_certificate_that_is_not_there_costs_only_its_own_tenant(maria: World) -> None:
    source = opened(World(f"{maria.url}?ssl_ca=/nowhere/ca.pem", maria.engine))
    with source, pytest.raises(SourceError, match=rf"ssl_ca.*tenants\.{TENANT}\.ticket_portal"):
        source.check()


def test_a_child_without_a_parent_stops_no_window(world: World) -> None:
    world.many_tickets(3)
    # The portal's own tables forbid it; a mapped view may have it.
    if world.is_sqlite:
        world.run(
            "INSERT INTO ticket_comments (ticket_id, comment, created_at) VALUES (NULL, 'x', '2026-10-05 12:01:00')"
        )
        tables = {}
    else:
        world.run(
            "CREATE VIEW comments_view AS SELECT * FROM ticket_comments UNION ALL "
            "SELECT 999, NULL, 2, 'x', 0, CAST('2026-10-05 12:01:00' AS DATETIME)"
        )
        tables = {"ticket_comments": {"name": "comments_view"}}
    assert set(extracted(world, since=NOON_UTC, until=NOON_UTC + HOUR, tables=tables)) == {"1", "2", "3"}


def test_ids_that_are_text_are_named_with_what_to_do(world: World) -> None:
    world.article(1)
    if world.is_sqlite:
        world.run(
            "CREATE VIEW articles AS SELECT 'KB-1' AS kb_id, category_id, title, content, tags, author_id, "
            "is_published, created_at, updated_at FROM knowledge_base"
        )
    else:
        world.run(
            "CREATE VIEW articles AS SELECT CONCAT('KB-', kb_id) AS kb_id, category_id, title, content, tags, "
            "author_id, is_published, created_at, updated_at FROM knowledge_base"
        )
    told = pytest.raises(SourceError, match=r"no whole number.*tenants\.polder\.ticket_portal\.tables")
    with opened(world, tables={"knowledge_base": {"name": "articles"}}) as source, told:
        list(source.live_ids("knowledge_base"))


def test_a_whole_number_with_decimals_is_one(maria: World) -> None:
    maria.ticket(1)
    maria.attachment(1)
    maria.run("ALTER TABLE ticket_attachments MODIFY filesize DECIMAL(10,2)")
    record = extracted(maria)["1"]
    assert (record.event, record.payload["attachments"][0]["filesize"]) == ("live", 9)


def test_what_is_gone_is_gone_whatever_hangs_on_it(maria: World) -> None:
    maria.ticket(1)
    maria.comment(1)
    maria.run("ALTER TABLE tickets ADD deleted_at DATETIME NULL", "UPDATE tickets SET deleted_at = NOW()")
    maria.run(
        "ALTER TABLE ticket_comments MODIFY is_internal VARCHAR(20)", "UPDATE ticket_comments SET is_internal = 'x'"
    )
    tables = {"tickets": {"columns": {"is_deleted": "deleted_at"}}}
    assert extracted(maria, tables=tables)["1"].event == "deleted"
    assert extracted(maria)["1"].event == "malformed"
    assert listed(maria, tables=tables) == {}


def test_a_connection_that_died_idle_is_a_source_error(maria: World) -> None:
    maria.many_tickets(3)
    with opened(maria) as source:
        records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        first = next(records)
        with maria.engine.connect() as connection:
            ours = connection.exec_driver_sql("SELECT connection_id()").scalar_one()
            others = connection.exec_driver_sql(
                f"SELECT id FROM information_schema.processlist WHERE user = '{USER}' AND id <> {ours}"
            ).scalars()
            for other in list(others):
                connection.exec_driver_sql(f"KILL {other}")
        with pytest.raises(SourceError, match="failed"):
            list(records)
    assert first.record_id == "3"
