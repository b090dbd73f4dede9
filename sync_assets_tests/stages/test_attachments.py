"""Attachments become parts of their documents: fetched once, read once, and never the end of a batch."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from sync_assets.attachments.extracted import Limits
from sync_assets.documents import Attachment, Document, Part, Visibility
from sync_assets.errors import FileUnavailable, SettingsError, SourceError
from sync_assets.ledger import Ledger
from sync_assets.stages.attachments import Attachments
from sync_assets_tests.dagster_assets.world import fresh_database
from sync_assets_tests.laws.upstream import Upstream, UpstreamSource

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
    ledger: Ledger, account: Any, *documents: Document
) -> tuple[dict[str, dict[str, str]], dict[str, str], list[str]]:
    """Texts of parts by record id and path; problems by record id; notes."""
    found, problems, notes = Attachments(ledger, "acme", "desk", account, LIMITS).attached(documents)
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
