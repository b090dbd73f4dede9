"""The demo company's ticket portal: what its database holds, and that it behaves as MySQL's would."""

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sync_assets.demo.company import QUESTIONS, DemoCompany
from sync_assets.demo.files import file_bytes
from sync_assets.demo.portal import PORTAL_STREAMS, PORTAL_TENANT, folder_of, write_portal
from sync_assets.demo.server import DemoServers

TIME = re.compile(r"20\d\d-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database at its start, which no test changes."""
    path = tmp_path_factory.mktemp("portal") / "portal.sqlite"
    write_portal(path)
    return path


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of the test's own."""
    write_portal(tmp_path / "portal.sqlite")
    with closing(sqlite3.connect(tmp_path / "portal.sqlite", isolation_level=None)) as connection:
        yield connection


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def column(path: Path, query: str) -> list[Any]:
    return [row[0] for row in rows(path, query)]


def one(connection: sqlite3.Connection, query: str) -> Any:
    return connection.execute(query).fetchone()[0]


class TestContent:
    def test_is_as_large_as_promised(self, start: Path) -> None:
        sizes = {table: column(start, f"SELECT count(*) FROM {table}")[0] for table in ("tickets", "knowledge_base")}
        assert sizes == {"tickets": 302, "knowledge_base": 60}
        assert column(start, "SELECT count(*) FROM configuration_items") == [151]
        assert column(start, "SELECT count(*) FROM knowledge_base WHERE is_published = 0") == [4]

    def test_every_attachment_has_its_file_and_few_contents_are_read(self, start: Path) -> None:
        stored = rows(start, "SELECT filename, filepath, filesize FROM ticket_attachments")
        found = {path: (folder_of(start) / path).read_bytes() for _, path, _ in stored}
        assert len(found) == len(stored)
        for name, path, size in stored:
            assert (len(found[path]), found[path]) == (size, file_bytes(name))
        assert len(set(found.values())) <= 15, "a picture takes a second to read"
        (folder_of(start) / stored[0][1]).write_bytes(b"changed")
        (folder_of(start) / "left.txt").write_bytes(b"over")
        write_portal(start)
        assert {path: (folder_of(start) / path).read_bytes() for path in found} == found
        assert not (folder_of(start) / "left.txt").exists()

    def test_is_the_same_at_every_start(self, start: Path, tmp_path: Path) -> None:
        begun = time.perf_counter()
        write_portal(tmp_path / "again.sqlite")
        assert time.perf_counter() - begun < 1
        with closing(sqlite3.connect(start)) as first, closing(sqlite3.connect(tmp_path / "again.sqlite")) as second:
            assert list(first.iterdump()) == list(second.iterdump())

    def test_every_reference_has_its_row(self, start: Path) -> None:
        assert rows(start, "PRAGMA foreign_key_check") == []
        assert rows(start, "PRAGMA integrity_check") == [("ok",)]

    def test_uses_every_word_of_the_enumerations(self, start: Path) -> None:
        statuses = Counter(column(start, "SELECT status FROM tickets"))
        assert statuses.keys() == {"open", "in_progress", "pending", "resolved", "closed"}
        assert min(statuses.values()) >= 10
        types = set(column(start, "SELECT ticket_type FROM tickets"))
        assert types == {"incident", "service_request", "change_request", "feature_request"}
        assert set(column(start, "SELECT priority FROM tickets")) == {"low", "medium", "high", "urgent"}
        assert set(column(start, "SELECT source FROM tickets")) == {"web", "email", "phone"}
        items = Counter(column(start, "SELECT status FROM configuration_items"))
        assert items.keys() == {"In gebruik", "In voorraad", "Defect", "Afgeschreven", "Onderhoud"}
        assert items["Afgeschreven"] >= 5
        kinds = {"Hardware", "Software", "Licentie", "Overig"}
        assert set(column(start, "SELECT type FROM configuration_items")) == kinds
        per_category = Counter(column(start, "SELECT category_id FROM tickets"))
        assert len(per_category) == 8
        assert min(per_category.values()) >= 8
        related = {"affects", "caused_by", "resolved_by", "related_to"}
        assert set(column(start, "SELECT relation_type FROM ticket_ci_relations")) == related

    def test_is_dutch_first(self, start: Path) -> None:
        texts = column(start, "SELECT title || ' ' || description FROM tickets")
        english = [text for text in texts if re.search(r"\b(the|but|with|and)\b", text)]
        dutch = [text for text in texts if re.search(r"\b(de|het|een|maar)\b", text)]
        assert sorted(english + dutch) == sorted(texts)
        assert 0.8 <= len(dutch) / len(texts) <= 0.9

    def test_conversations_resolutions_and_relations_are_as_in_a_real_portal(self, start: Path) -> None:
        internal = column(start, "SELECT is_internal FROM ticket_comments")
        assert 0.15 <= sum(internal) / len(internal) <= 0.25
        solved = "status IN ('resolved', 'closed')"
        assert column(start, f"SELECT count(*) FROM tickets WHERE ({solved}) <> (resolution IS NOT NULL)") == [0]
        assert column(start, f"SELECT count(*) FROM tickets WHERE ({solved}) <> (resolved_at IS NOT NULL)") == [0]
        (related,) = column(start, "SELECT count(DISTINCT ticket_id) FROM ticket_ci_relations")
        assert 0.4 <= related / 300 <= 0.6
        assert len(column(start, "SELECT ticket_id FROM ticket_attachments")) >= 60
        assert len(set(column(start, "SELECT description FROM tickets"))) >= 290

    def test_values_of_checkboxes_are_lists_and_options_are_kept(self, start: Path) -> None:
        values = "ticket_field_values JOIN category_fields USING (field_id)"
        found = rows(start, f"SELECT field_type, field_options, field_value FROM {values}")
        assert len(found) >= 1000
        for field_type, options, value in found:
            chosen = json.loads(value) if field_type == "checkbox" else [value]
            assert set(chosen) <= set(json.loads(options) if options else chosen)
        assert sum(field_type == "checkbox" for field_type, _, _ in found) >= 20
        foreign = """SELECT count(*) FROM ticket_field_values JOIN category_fields AS f USING (field_id)
            JOIN tickets AS t USING (ticket_id) WHERE f.category_id <> t.category_id"""
        assert column(start, foreign) == [0]

    def test_stays_within_its_calendar(self, start: Path) -> None:
        for table in ("tickets", "knowledge_base", "configuration_items"):
            for created, updated in rows(start, f"SELECT created_at, updated_at FROM {table}"):
                assert TIME.fullmatch(created)
                assert TIME.fullmatch(updated)
                assert "2026-11-02" <= created <= updated < "2026-11-14"
        early = "SELECT count(*) FROM ticket_comments AS c JOIN tickets AS t USING (ticket_id) WHERE"
        assert column(start, f"{early} c.created_at < t.created_at OR c.created_at > t.updated_at") == [0]

    def test_holds_what_old_portals_leave_behind(self, start: Path) -> None:
        assert column(start, "SELECT count(*) FROM tickets WHERE resolved_at = '0000-00-00 00:00:00'") == [1]
        assert column(start, "SELECT count(*) FROM configuration_items WHERE purchase_date = '0000-00-00'") == [1]
        assert len(column(start, "SELECT comment FROM ticket_comments WHERE comment LIKE '<p>%</p>'")) >= 20
        texts = column(start, "SELECT description FROM tickets")
        for leftover in ("Ã", "\x93", "“", "🙂"):
            assert any(leftover in text for text in texts), leftover

    def test_names_no_address_outside_and_no_password(self, start: Path) -> None:
        assert all(address.endswith("@binnen.polder.example") for address in column(start, "SELECT email FROM users"))
        assert set(column(start, "SELECT password FROM users")) == {"!"}

    def test_articles_have_headings_and_a_readable_length(self, start: Path) -> None:
        for content in column(start, "SELECT content FROM knowledge_base"):
            assert content.startswith(("## ", "| "))
            assert 80 <= len(content.split()) <= 200


class TestTriggers:
    @pytest.mark.parametrize(
        ("table", "key", "change"),
        [
            ("tickets", "ticket_id", "status = 'pending'"),
            ("knowledge_base", "kb_id", "is_published = 0"),
            ("configuration_items", "ci_id", "status = 'Afgeschreven'"),
            ("category_fields", "field_id", "field_label = 'Anders'"),
        ],
    )
    def test_an_update_moves_the_time_unless_it_sets_it(
        self, portal: sqlite3.Connection, table: str, key: str, change: str
    ) -> None:
        others = f"SELECT group_concat(updated_at) FROM {table} WHERE {key} <> 3"
        before, now = one(portal, others), one(portal, "SELECT CURRENT_TIMESTAMP")
        portal.execute(f"UPDATE {table} SET {change} WHERE {key} = 3")
        assert one(portal, f"SELECT updated_at FROM {table} WHERE {key} = 3") >= now
        portal.execute(f"UPDATE {table} SET {change}, updated_at = '2026-11-12 10:00:00' WHERE {key} = 3")
        assert one(portal, f"SELECT updated_at FROM {table} WHERE {key} = 3") == "2026-11-12 10:00:00"
        assert one(portal, others) == before

    def test_a_comment_alone_does_not_move_its_ticket(self, portal: sqlite3.Connection) -> None:
        before = one(portal, "SELECT updated_at FROM tickets WHERE ticket_id = 9")
        portal.execute("INSERT INTO ticket_comments (ticket_id, user_id, comment) VALUES (9, 7, 'Nog steeds kapot')")
        portal.execute("UPDATE ticket_field_values SET field_value = 'Anders' WHERE ticket_id = 9")
        assert one(portal, "SELECT updated_at FROM tickets WHERE ticket_id = 9") == before


class TestCompany:
    def test_lists_what_lives_now(self, tmp_path: Path) -> None:
        company = DemoCompany(tmp_path / "portal.sqlite")
        company.write_files()
        assert company.portal is not None
        live = {stream: company.record_ids(PORTAL_TENANT, "ticket_portal", stream) for stream in PORTAL_STREAMS}
        assert live["tickets"] == [str(number) for number in range(1, 303)]
        assert live["knowledge_base"] == [f"kb-{number}" for number in range(1, 57)]
        statuses = rows(company.portal, "SELECT ci_id, status FROM configuration_items ORDER BY ci_id")
        in_use = [f"ci-{number}" for number, status in statuses if status != "Afgeschreven"]
        assert live["configuration_items"] == in_use
        assert len(in_use) < 151

        with closing(sqlite3.connect(company.portal, isolation_level=None)) as connection:
            connection.execute("DELETE FROM tickets WHERE ticket_id = 77")
            connection.execute("UPDATE knowledge_base SET is_published = kb_id = 60")
            connection.execute("UPDATE configuration_items SET status = 'Afgeschreven' WHERE ci_id <> 5")
        now = {stream: company.record_ids(PORTAL_TENANT, "ticket_portal", stream) for stream in PORTAL_STREAMS}
        assert now["tickets"] == [number for number in live["tickets"] if number != "77"]
        assert now["knowledge_base"] == ["kb-60"]
        assert now["configuration_items"] == ["ci-5"]

        company.write_files()
        again = {stream: company.record_ids(PORTAL_TENANT, "ticket_portal", stream) for stream in PORTAL_STREAMS}
        assert again == live

    def test_lists_freshdesks_records_as_the_simulator_serves_them(self) -> None:
        company = DemoCompany()
        for stream in ("tickets", "articles"):
            ids = company.record_ids("acme", "freshdesk", stream)
            assert ids == [record_id for record_id, _ in company.records("acme", stream)]
            assert ids

    def test_only_one_tenant_has_a_portal_and_only_where_there_is_a_place_for_it(self, tmp_path: Path) -> None:
        path = tmp_path / "demo" / "portal.sqlite"
        with DemoServers(company=DemoCompany(path)) as servers:
            assert servers.company.record_ids("acme", "ticket_portal", "tickets") == []
            accounts = servers.tenants
        assert "ticket_portal" not in accounts["acme"]
        uploads = path.with_name("portal.files")
        assert accounts["polder"]["ticket_portal"] == {
            "database_url": f"sqlite:///{path}",
            "time_zone": "UTC",
            "files": str(uploads),
        }
        assert sorted(path.parent.iterdir()) == [uploads, path], "the unfinished file is gone"
        with DemoServers() as servers:
            assert not any("ticket_portal" in accounts for accounts in servers.tenants.values())

    def test_every_question_has_documents_that_live(self, tmp_path: Path) -> None:
        company = DemoCompany(tmp_path / "portal.sqlite")
        company.write_files()
        questions = [question for question in QUESTIONS if question.source == "ticket_portal"]
        assert len(questions) >= 15
        assert sum(question.language == "nl" for question in questions) > len(questions) / 2
        asked: Counter[str] = Counter()
        for question in questions:
            assert question.tenant == PORTAL_TENANT
            for record_id in question.record_ids:
                (stream,) = [
                    name
                    for name in PORTAL_STREAMS
                    if record_id in company.record_ids(PORTAL_TENANT, "ticket_portal", name)
                ]
                asked[stream] += 1
        assert set(asked) == set(PORTAL_STREAMS)
