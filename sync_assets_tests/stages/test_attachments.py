"""Attachments become parts of their documents: fetched once, read once, and never the end of a batch."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import sqlalchemy as sa

from sync_assets.attachments.extracted import Limits
from sync_assets.documents import Attachment, Document, Part, Record, Visibility
from sync_assets.errors import FileUnavailable, SettingsError, SourceError
from sync_assets.ledger import Ledger, tables
from sync_assets.ledger.files import name_files
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Context, Stream
from sync_assets.stages.attachments import Attachments
from sync_assets.stages.documents import make_documents
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets_tests.attachments.files import picture
from sync_assets_tests.attachments.tesseracts import fake_tesseract
from sync_assets_tests.laws.upstream import AccountWithoutSettings, Ticket, Upstream, UpstreamSource, window
from sync_assets_tests.postgres import fresh_database

LIMITS = Limits(max_bytes=1000)


class Files(UpstreamSource):
    """An account that has files; counts what it is asked."""

    def __init__(self, **files: bytes | Exception) -> None:
        super().__init__("acme", Upstream())
        self.files: dict[str, bytes | Exception] = dict(files)
        self.asked: Counter[str] = Counter()

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        self.asked[locator] += 1
        found = self.files[locator]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[Ledger]:
    with fresh_database(postgres_url) as url:
        opened = Ledger(url)
        yield opened
        opened.close()


def document(record_id: str, *files: tuple[str, str], **attributes: Any) -> Document:
    attachments = [
        Attachment(locator=locator, path=f"attachment-{locator}", name=name, **attributes) for locator, name in files
    ]
    part = Part(path="description", role="description", text="See the file.")
    return Document(
        tenant="acme",
        source="desk",
        stream="tickets",
        record_id=record_id,
        title="x",
        parts=[part],
        attachments=attachments,
    )


def attached(
    ledger: Ledger, account: Any, *documents: Document, limits: Limits = LIMITS
) -> tuple[dict[str, dict[str, str]], dict[str, str], list[str]]:
    """Texts of parts by record id and path; problems by record id; notes."""
    found, problems, notes = Attachments(ledger, "acme", "desk", account, limits).attached(documents)
    return {one.record_id: {part.path: part.text for part in one.parts[1:]} for one in found}, problems, notes


def test_the_text_of_a_file_is_a_part_as_visible_as_the_file(ledger: Ledger) -> None:
    one = document("1", ("a", "note.txt"), visibility=Visibility.RESTRICTED, principals=["user:7"])
    (found,), _, _ = Attachments(ledger, "acme", "desk", Files(a=b"Close the valve."), LIMITS).attached([one])
    part = found.parts[-1]
    assert (part.path, part.role, part.text) == ("attachment-a/body", "description", "Close the valve.")
    assert (part.visibility, part.principals) == (Visibility.RESTRICTED, ["user:7"])
    assert part.metadata == {"attachment": "note.txt"}
    assert found.attachments == []


def test_a_file_is_fetched_once_and_equal_bytes_of_one_kind_give_equal_texts(ledger: Ledger) -> None:
    account = Files(a=b"hour,flow\n8,14\n", b=b"hour,flow\n8,14\n", c=b"hour,flow\n8,14\n")
    documents = document("1", ("a", "monday.csv"), ("b", "tuesday.csv")), document("2", ("c", "plain.txt"))
    first = attached(ledger, account, *documents)
    texts = first[0]
    assert texts["1"]["attachment-a/body"] == texts["1"]["attachment-b/body"]
    assert texts["2"]["attachment-c/body"].startswith("hour,flow")
    assert attached(ledger, account, *documents) == first
    assert set(account.asked.values()) == {1}


def test_a_file_that_cannot_be_read_costs_its_document_only_that_file(ledger: Ledger) -> None:
    account = Files(
        a=b"fine", b=b"PK\x03\x04 broken", c=FileUnavailable("it is gone"), d=b"\x00\x01\x02\x03" * 99, e=b"x" * 2000
    )
    names = [("a", "a.txt"), ("b", "b.zip"), ("c", "c.txt"), ("d", "film.mp4")]
    texts, problems, notes = attached(ledger, account, document("1", *names), document("2", ("a", "a.txt")))
    assert texts == {"1": {"attachment-a/body": "fine"}, "2": {"attachment-a/body": "fine"}}
    assert problems.keys() == {"1"}
    assert "b.zip: is" in problems["1"]
    assert "c.txt: it is gone" in problems["1"]
    assert [note.partition(":")[0] for note in notes] == ["film.mp4"]
    account.files["c"] = b"back again"
    texts, problems, _ = attached(ledger, account, document("1", ("a", "a.txt"), ("c", "c.txt")))
    assert (texts["1"]["attachment-c/body"], problems) == ("back again", {})


def test_a_file_that_is_too_large_by_its_record_is_not_asked_for(ledger: Ledger) -> None:
    account = Files(a=b"x")
    _, problems, _ = attached(ledger, account, document("1", ("a", "a.txt"), size=5000))
    assert "max_bytes=1000" in problems["1"]
    assert account.asked == Counter()


def test_an_outage_ends_the_run_and_says_so(ledger: Ledger) -> None:
    with pytest.raises(SourceError, match="out of reach"):
        attached(ledger, Files(a=SourceError("out of reach")), document("1", ("a", "a.txt")))


def test_a_source_without_files_is_told_to_switch_them_off(ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="attachments: true"):
        Attachments(ledger, "acme", "desk", UpstreamSource("acme", Upstream()), LIMITS)


def test_a_file_that_took_too_long_is_read_again(ledger: Ledger) -> None:
    account, one = Files(a=b"Close the valve."), document("1", ("a", "a.txt"))
    _, problems, _ = attached(ledger, account, one, limits=Limits(max_bytes=1000, timeout=0.01))
    assert "took longer than" in problems["1"]
    assert attached(ledger, account, one)[0] == {"1": {"attachment-a/body": "Close the valve."}}


def test_a_file_whose_reader_was_killed_is_read_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, one = Files(a=picture("x")), document("1", ("a", "a.png"))
    with monkeypatch.context() as patched:
        fake_tesseract(tmp_path, "kill -9 $PPID")
        patched.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        _, problems, _ = attached(ledger, account, one, limits=Limits())
        assert "crashed its reader" in problems["1"]
        fake_tesseract(tmp_path, "exit 1")
        _, problems, notes = attached(ledger, account, one, limits=Limits())
    assert (problems, account.asked["a"]) == ({}, 2)
    assert "tesseract" in notes[0]


def test_other_limits_read_a_file_again_and_equal_ones_do_not(ledger: Ledger) -> None:
    account, one = Files(a=b"line one\nline two\n"), document("1", ("a", "a.txt"))
    few, many = Limits(max_text_characters=10), Limits(max_text_characters=100)
    for _ in range(2):
        assert attached(ledger, account, one, limits=few)[0]["1"]["attachment-a/body"] == "line one"
        assert attached(ledger, account, one, limits=many)[0]["1"]["attachment-a/body"] == "line one\nline two"
    assert account.asked["a"] == 2


def test_another_tesseract_reads_a_file_again(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account, one = Files(a=picture("x")), document("1", ("a", "a.png"))
    path = os.environ["PATH"]
    for number, kind in enumerate([{}, {"version": "5.9.9"}, {"languages": "eng jpn"}, {"languages": "eng osd"}]):
        folder = tmp_path / str(number)
        folder.mkdir()
        fake_tesseract(folder, "exit 1", **kind)
        monkeypatch.setenv("PATH", f"{folder}:{path}")
        attached(ledger, account, one, limits=Limits())
    assert account.asked["a"] == 3


@pytest.mark.parametrize("language", ["py\0thon", "py\ud800", "python\n# a heading", ["python"], 7])
def test_a_hostile_name_in_a_file_ends_nothing(ledger: Ledger, language: Any) -> None:
    cells = [{"cell_type": "code", "source": "x = 1"}]
    notebook = {"metadata": {"language_info": {"name": language}}, "cells": cells}
    account = Files(a=json.dumps(notebook).encode())
    texts, problems, _ = attached(ledger, account, document("1", ("a", "n.ipynb")))
    assert (texts, problems) == ({"1": {"attachment-a/body": "```python\nx = 1\n```"}}, {})


class Tracked(bytes):
    """Bytes that are counted while they live."""

    alive = most = 0
    lock = Lock()

    def __init__(self, _: bytes) -> None:
        with Tracked.lock:
            Tracked.alive += 1
            Tracked.most = max(Tracked.most, Tracked.alive)

    def __del__(self) -> None:
        with Tracked.lock:
            Tracked.alive -= 1


class TrackedFiles(Files):
    def read_file(self, locator: str, max_bytes: int) -> bytes:
        return Tracked(super().read_file(locator, max_bytes))


def test_no_more_files_are_in_memory_than_are_read_at_once(ledger: Ledger) -> None:
    files = {f"f{number}": f"text {number}".encode() for number in range(12)}
    texts, _, _ = attached(ledger, TrackedFiles(**files), document("1", *[(name, "a.txt") for name in files]))
    assert len(texts["1"]) == 12
    assert 1 <= Tracked.most <= 4


def test_an_outage_leaves_the_files_after_it_unasked(ledger: Ledger) -> None:
    files: dict[str, bytes | Exception] = {f"f{number}": SourceError("out of reach") for number in range(50)}
    account = Files(**files)
    with pytest.raises(SourceError, match="out of reach"):
        attached(ledger, account, document("1", *[(name, "a.txt") for name in files]))
    assert len(account.asked) < 50


def kept(ledger: Ledger) -> tuple[int, int]:
    """How many files the ledger knows, and how many texts of files."""
    with ledger.transaction() as connection:
        counts = [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (tables.files, tables.file_texts)
        ]
    return counts[0], counts[1]


def test_what_was_read_from_a_file_goes_with_the_last_record_that_named_it(ledger: Ledger) -> None:
    account = Files(a=b"one", b=b"two", c=b"two")
    attached(ledger, account, document("1", ("a", "a.txt"), ("b", "b.txt")), document("2", ("b", "b.txt")))
    attached(ledger, account, document("3", ("c", "c.txt")))
    name_files(ledger, "acme", "desk", {"1": ["a", "b"], "2": ["b"], "3": ["c"]})
    assert kept(ledger) == (3, 2)
    name_files(ledger, "acme", "desk", {"1": ["b"]})
    assert kept(ledger) == (2, 1)
    name_files(ledger, "acme", "desk", {"1": [], "4": []})
    name_files(ledger, "other", "desk", {"2": []})
    name_files(ledger, "acme", "phone", {"2": []})
    assert kept(ledger) == (2, 1)
    name_files(ledger, "acme", "desk", {"2": []})
    assert kept(ledger) == (1, 1)
    name_files(ledger, "acme", "desk", {"3": []})
    assert kept(ledger) == (0, 0)


class FilesOfTickets(Files):
    """An account whose tickets name a file with each of their texts."""

    def __init__(self, upstream: Upstream, **files: bytes) -> None:
        super().__init__(**files)
        self._upstream = upstream

    def open(self, source: str, tenant: str) -> "FilesOfTickets":
        return self

    def account(self, source: str, tenant: str) -> AccountWithoutSettings:
        return AccountWithoutSettings()

    def to_document(self, stream: str, record: Record) -> Document:
        files = [Attachment(locator=name, path=f"file-{name}", name=f"{name}.txt") for name in record.payload["texts"]]
        return super().to_document(stream, record).model_copy(update={"attachments": files})


def test_a_changed_or_deleted_ticket_takes_the_texts_of_its_files_along(postgres_url: str, tmp_path: Path) -> None:
    upstream = Upstream()
    account = FilesOfTickets(upstream, a=b"one", b=b"two", c=b"three")
    with fresh_database(postgres_url) as url:
        services = Services(Settings(home=tmp_path, database_url=url, sweep_max_delete_share=1.0))  # pyright: ignore
        services.__dict__["tenants"] = account
        stream = Stream("freshdesk", "tickets", "day", (), "tickets", model="hash-8", attachments=LIMITS)
        context = Context(services, stream, clock=upstream.tick)

        def synced(**tickets: Ticket) -> tuple[int, int]:
            upstream.tickets.update(tickets)
            raw, _ = extract_raw(context, [window("acme", 0)], RawOptions(sweep=True))
            make_documents(context, raw)
            return kept(services.ledger)

        one = Ticket(upstream.tick(), ("a", "b"))
        assert synced(one=one, two=Ticket(upstream.tick(), ("b", "c"))) == (3, 3)
        assert synced(one=replace(one, modified_at=upstream.tick(), texts=("b",))) == (2, 2)
        assert synced(two=Ticket(upstream.tick(), (), deleted=True)) == (1, 1)
        assert synced(one=Ticket(upstream.tick(), (), deleted=True)) == (0, 0)
        services.ledger.close()
