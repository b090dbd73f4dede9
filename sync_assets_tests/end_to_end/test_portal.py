"""The ticket portal as its users run it: a real MariaDB, the command line, Chroma."""

import os
import pty
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync_assets.attachments.extracted import Limits
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.hashing import text_hash
from sync_assets.settings import PREFIX
from sync_assets.sources import live_record_ids
from sync_assets.stages.attachments import Attachments
from sync_assets_tests.command_line import DATABASE_PASSWORD, Installation
from sync_assets_tests.mariadb import PASSWORD, Server
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.sources.portal_world import World, mariadb_world

TENANT = "polder"
SOURCE = "ticket_portal"
STREAMS = ("tickets", "knowledge_base", "configuration_items")
YESTERDAY = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(days=1)


class Portal(Installation):
    """A home whose one tenant has a portal in MariaDB."""

    def __init__(self, home: Path, database_url: str, world: World) -> None:
        self.home = home
        self.world = world
        self.database_url = f"{database_url}{'&' if '?' in database_url else '?'}password={DATABASE_PASSWORD}"
        home.mkdir()
        self.write_account()

    def write_account(self, **more: str) -> None:
        """(Re)write the tenants file."""
        accounts = {SOURCE: {"database_url": self.world.url, "time_zone": "UTC", **more}}
        (self.home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": {TENANT: accounts}}))

    def environment(self, **more: str) -> dict[str, str]:
        """Vectors long enough that a search finds what has the words."""
        return super().environment(**{f"{PREFIX}MODEL": "hash-256", **more})

    def chunks(self, stream: str) -> dict[str, str]:
        """Chunk ids and content hashes in Chroma."""
        with self.services() as services:
            registered = services.ledger.active_collection("chroma", stream)
            assert registered is not None
            listed = services.store("chroma").scan(registered.collection, TENANT)
            return {chunk.chunk_id: chunk.content_hash for chunk in listed}

    def rebuilt(self, stream: str) -> dict[str, str]:
        """The same as a rebuild from what the database holds now would give."""
        found: dict[str, str] = {}
        with self.services() as services, services.tenants.open(SOURCE, TENANT) as account:
            registered = services.ledger.active_collection("chroma", stream)
            assert registered is not None
            embedder = services.embedder(registered.model)
            records = account.fetch(stream, live_record_ids(account, stream))
            documents = [account.to_document(stream, record) for record in records]
            attachments = Attachments(services.ledger, TENANT, SOURCE, account, Limits())
            for document in attachments.attached(documents)[0]:
                limits = ChunkLimits(max_tokens=embedder.fingerprint.max_tokens)
                for chunk in chunk_document(document, embedder.tokenizer, limits):
                    found[chunk_id(document.document_id, chunk.path)] = text_hash(chunk.text)
        return found

    def assert_equal_to_upstream(self) -> None:
        for stream in STREAMS:
            assert self.chunks(stream) == self.rebuilt(stream), stream

    def found(self, text: str, audience: str = "internal", *more: str) -> list[dict[str, Any]]:
        outcome = self.run("search", text, "--tenant", TENANT, "--audience", audience, "--json", *more)
        assert outcome.code == 0, outcome
        return outcome.json


@pytest.fixture
def world(mariadb_server: Server) -> Iterator[World]:
    """Twelve tickets of yesterday with all that hangs on them, three articles, four configuration items."""
    with mariadb_world(mariadb_server) as world:
        world.fill()
        world.item(4, name="Label printer Zebra", brand="Zebra", location="Magazijn", created_at=YESTERDAY)
        world.run(f"UPDATE configuration_items SET updated_at = '{YESTERDAY}'")
        for number in range(1, 13):
            time = YESTERDAY + timedelta(minutes=number)
            world.ticket(number, created_at=time, updated_at=time)
            world.comment(number, f"Stap {number} is gezet.", created_at=time)
            world.value(number, text=f"HP {number}", created_at=time)
            world.attachment(number, uploaded_at=time)
            world.link(number, created_at=time)
        for number in (1, 2, 3):
            world.article(number, content=f"# Zo werkt het\n\nKabel {number} hoort in poort {number}.")
        world.run(f"UPDATE knowledge_base SET updated_at = '{YESTERDAY}'")
        yield world


@pytest.fixture
def portal(world: World, tmp_path: Path, postgres_url: str) -> Iterator[Portal]:
    with fresh_database(postgres_url) as url:
        yield Portal(tmp_path / "home", url, world)


def test_a_first_look_takes_ten_tickets_of_the_week_with_progress_and_a_summary(portal: Portal) -> None:
    old = YESTERDAY - timedelta(days=8)
    portal.world.ticket(99, title="Een oud ticket", created_at=old, updated_at=old)
    controller, terminal = pty.openpty()
    command = ("sync", "--source", SOURCE, "--since-hours", "168", "--limit", "10")
    process = portal.start(*command, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    progress = _read_all(controller)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out + progress
    for stream in STREAMS:
        assert f"{SOURCE}/{stream}" in progress
    assert "embeddings" in progress
    for word in ("tickets", "knowledge_base", "configuration_items", "chroma", "embedded", "written"):
        assert word in out, f"the summary tells of {word}"
    assert PASSWORD not in out + progress
    with portal.services() as services:
        documents = {row["stream"]: row["documents"] for row in services.ledger.status() if row["store"] == "chroma"}
        marks = [services.ledger.watermark(row_ref, "chroma") for row_ref in _refs()]
    assert documents == {"tickets": 10, "knowledge_base": 3, "configuration_items": 4}
    assert marks == [None, None, None], "a limited sync moves no watermark"
    newest = {hit["record_id"] for hit in portal.found("printer", "internal", "--filter", "stream=tickets")}
    assert newest <= {str(number) for number in range(3, 13)}, "the newest ten"
    counts = portal.sync("--since-hours", "168")
    assert counts["documents"] == 12 + 3 + 4
    portal.sync("--all")
    portal.assert_equal_to_upstream()


def test_what_moves_no_time_and_what_is_gone_arrives_by_the_sweep_and_what_returns_comes_back(portal: Portal) -> None:
    first = portal.sync("--all")
    assert (first["documents"], first["quarantined"]) == (19, 0)
    assert first["written"] == first["chunks"] > first["embedded"], "texts that occur twice are embedded once"
    portal.assert_equal_to_upstream()
    portal.world.run(
        "UPDATE ticket_comments SET comment = 'Toch nog niet klaar.' WHERE ticket_id = 1",
        "UPDATE ticket_field_values SET field_value = 'Epson' WHERE ticket_id = 2",
        "DELETE FROM ticket_ci_relations WHERE ticket_id = 3",
        "DELETE FROM ticket_comments WHERE ticket_id = 4",
        "UPDATE ticket_attachments SET filename = 'scherm.png' WHERE ticket_id = 5",
        "DELETE FROM tickets WHERE ticket_id = 6",
        f"UPDATE knowledge_base SET is_published = 0, updated_at = '{YESTERDAY}' WHERE kb_id = 1",
        f"UPDATE configuration_items SET status = 'Afgeschreven', updated_at = '{YESTERDAY}' WHERE ci_id = 4",
    )
    second = portal.sync("--all")
    portal.assert_equal_to_upstream()
    assert (second["deleted"], second["embedded"], second["written"]) == (3, 3, 3)
    gone = {"6", "kb-1", "ci-4"}
    assert not gone & {hit["record_id"] for hit in portal.found("Zebra kabel printer", "internal", "--top-k", "50")}
    portal.world.run(
        f"UPDATE knowledge_base SET is_published = 1, updated_at = '{YESTERDAY}' WHERE kb_id = 1",
        f"UPDATE configuration_items SET status = 'In gebruik', updated_at = '{YESTERDAY}' WHERE ci_id = 4",
    )
    third = portal.sync("--all")
    portal.assert_equal_to_upstream()
    assert (third["deleted"], third["embedded"]) == (0, 0), "the vectors were kept"
    assert "ci-4" in {hit["record_id"] for hit in portal.found("Zebra")}
    again = portal.sync("--all")
    assert (again["embedded"], again["written"], again["payloads"]) == (0, 0, 0)


def test_each_kind_of_edit_that_moves_a_time_arrives_with_the_next_incremental_sync(portal: Portal) -> None:
    portal.sync("--all")
    portal.sync("--incremental")
    portal.world.comment(7, "Een nieuw antwoord.", created_at=_now())
    portal.world.run(f"UPDATE tickets SET status = 'closed', updated_at = '{_now()}' WHERE ticket_id = 8")
    portal.world.value(9, field_id=2, text="LaserJet", created_at=_now())
    portal.world.link(10, ci_id=2, created_at=_now())
    portal.world.attachment(11, filename="nieuw.png", uploaded_at=_now())
    counts = portal.sync("--incremental")
    portal.assert_equal_to_upstream()
    assert counts["embedded"] == 4, "a comment, fields, configuration items and attachments; not the closed ticket"
    assert counts["payloads"] > 0
    assert portal.found("antwoord", "internal", "--filter", "status=closed")[0]["record_id"] == "8"


def test_a_row_that_was_committed_late_is_found_within_the_overlap(portal: Portal) -> None:
    portal.sync("--all")
    with portal.world.engine.connect() as connection, connection.begin() as transaction:
        written = _now() - timedelta(minutes=1)
        connection.exec_driver_sql(
            "INSERT INTO ticket_comments (ticket_id, user_id, comment, created_at) VALUES (12, 2, %s, %s)",
            ("Laat vastgelegd.", written),
        )
        assert portal.sync("--incremental")["embedded"] == 0
        transaction.commit()
    assert portal.sync("--incremental")["embedded"] == 1
    portal.assert_equal_to_upstream()


def test_an_internal_comment_stays_inside_and_a_change_of_that_embeds_nothing(portal: Portal) -> None:
    comment = portal.world.comment(1, "Wachtwoordkluis staat op de oude server.", is_internal=True, created_at=_now())
    portal.sync("--all")
    question = "wachtwoordkluis oude server"
    assert any("Wachtwoordkluis" in hit["text"] for hit in portal.found(question))
    assert not any("Wachtwoordkluis" in hit["text"] for hit in portal.found(question, "public"))
    assert {hit["stream"] for hit in portal.found("Dell laptop", "public", "--top-k", "50")} == {
        "tickets",
        "knowledge_base",
    }, "configuration items are for the inside"
    portal.world.run(f"UPDATE ticket_comments SET is_internal = 0 WHERE comment_id = {comment}")
    counts = portal.sync("--all")
    assert (counts["embedded"], counts["written"]) == (0, 0)
    assert counts["payloads"] > 0
    assert any("Wachtwoordkluis" in hit["text"] for hit in portal.found(question, "public"))


def test_files_of_the_folder_that_the_account_names_are_found_and_follow_their_rows(
    portal: Portal, tmp_path: Path
) -> None:
    folder = tmp_path / "mount"
    (folder / "uploads").mkdir(parents=True)
    (folder / "uploads" / "fout.txt").write_text("Compressor van de koelcel meldt E17.")
    portal.world.run("DELETE FROM ticket_attachments")
    kept = portal.world.attachment(1, filename="fout.txt", filepath="/uploads/fout.txt", uploaded_at=YESTERDAY)
    portal.world.attachment(2, filename="later.txt", filepath="uploads/later.txt", uploaded_at=YESTERDAY)
    named = portal.sync("--all")
    assert (named["documents"], named["quarantined"]) == (19, 0), "without a folder files are named, and none is missed"
    assert not any("E17" in hit["text"] for hit in portal.found("compressor koelcel"))

    portal.write_account(files=str(folder))
    read = portal.sync("--all", code=3)
    assert (read["embedded"], read["quarantined"]) == (1, 1)
    portal.assert_equal_to_upstream()
    assert portal.found("compressor koelcel E17", "public")[0]["record_id"] == "1", "as public as its ticket"
    (held,) = portal.run("quarantine", "list", "--json").json
    assert held["record_id"] == "2"
    assert "later.txt: 'uploads/later.txt' can't be read in tenants.polder.ticket_portal.files" in held["reason"]

    (folder / "uploads" / "later.txt").write_text("De sluisdeur klemt.")
    (folder / "uploads" / "fout.txt").write_text("Verdamper is bevroren.")
    portal.world.run(f"UPDATE ticket_attachments SET filesize = 22 WHERE attachment_id = {kept}")
    mended = portal.sync("--all")
    assert (mended["embedded"], mended["quarantined"]) == (2, 0)
    portal.assert_equal_to_upstream()
    assert portal.found("sluisdeur klemt")[0]["record_id"] == "2"
    assert portal.found("verdamper bevroren")[0]["record_id"] == "1"
    assert not any("E17" in hit["text"] for hit in portal.found("compressor koelcel"))

    portal.world.run(f"DELETE FROM ticket_attachments WHERE attachment_id = {kept}")
    portal.sync("--all")
    portal.assert_equal_to_upstream()
    assert not any("bevroren" in hit["text"] for hit in portal.found("verdamper bevroren"))

    (folder / "uploads").rename(tmp_path / "away")
    portal.world.attachment(3, filename="nieuw.txt", filepath="uploads/nieuw.txt", uploaded_at=_now())
    before = portal.chunks("tickets")
    outcome = portal.run("sync", "--all")
    assert outcome.code == 1
    assert "Mount the portal's uploads there" in outcome.out + outcome.err
    assert portal.chunks("tickets") == before, "nothing is lost while nothing is mounted"
    (tmp_path / "away").rename(folder / "uploads")
    (folder / "uploads" / "nieuw.txt").write_text("Het nieuwe bestand.")
    portal.sync("--all")
    portal.assert_equal_to_upstream()


def _now() -> datetime:
    """As the portal's database writes it: in UTC, to the second."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _read_all(descriptor: int) -> str:
    shown = b""
    try:
        while block := os.read(descriptor, 4096):
            shown += block
    except OSError:  # Linux says so when the other side is closed
        os.close(descriptor)
    return shown.decode()


def _refs() -> list[Any]:
    from sync_assets.ledger import StreamRef

    return [StreamRef(TENANT, SOURCE, stream) for stream in STREAMS]
