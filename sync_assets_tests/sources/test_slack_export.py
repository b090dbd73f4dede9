import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sync_assets.documents import Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources import live_record_ids, slack_export
from sync_assets.sources.slack import Account, Source
from sync_assets_tests.sources.slack_fake import NOON, FakeSlack, ts

LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

CHANNELS = [{"id": "C1", "name": "support", "members": ["U1"]}]
USERS = [{"id": "U1", "name": "ada", "real_name": "Ada Lovelace", "profile": {"display_name": "Ada"}}]


def said(at: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": "U1", "ts": at, "text": text, **more}


def archive(folder: Path, files: dict[str, Any], **basics: Any) -> Path:
    """A zip with these files; a text or bytes stand as they are."""
    path = folder / "export.zip"
    contents = {"channels.json": CHANNELS, "users.json": USERS} | basics | files
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, value in contents.items():
            if value is not None:
                written.writestr(name, value if isinstance(value, str | bytes) else json.dumps(value))
    return path


def opened(path: Path, **changes: Any) -> Source:
    return Source("acme", Account.model_validate({"export": str(path)} | changes), clock=lambda: NOON)


def extracted(source: Source) -> dict[str, Record]:
    return {record.record_id: record for record in source.extract("messages", LONG_AGO, FAR_AHEAD)}


def events(source: Source) -> dict[str, str]:
    return {key: record.event for key, record in extracted(source).items()}


def living(source: Source) -> set[str]:
    return set(live_record_ids(source, "messages"))


def texts(source: Source, record: Record) -> list[str]:
    return [part.text for part in source.to_document("messages", record).parts]


def test_files_of_days_make_records_of_days_in_utc(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        {
            "support/2026-11-04.json": [said(ts(4, 20), "Evening."), said(ts(5, 2), "Night, by our clock.")],
            "support/2026-11-05.json": [said(ts(5, 12), "Noon.")],
        },
    )
    with opened(path) as source:
        records = extracted(source)

        assert list(records) == ["C1-2026-11-05", "C1-2026-11-04"]
        assert texts(source, records["C1-2026-11-05"]) == ["Ada: Night, by our clock.", "Ada: Noon."]
        assert living(source) == set(records)


def test_replies_are_gathered_from_the_files_of_their_own_days(tmp_path: Path) -> None:
    root = ts(2)
    path = archive(
        tmp_path,
        {
            "support/2026-11-02.json": [said(root, "Root.", thread_ts=root)],
            "support/2026-11-06.json": [said(ts(6), "Second.", thread_ts=root), said(ts(6, 10), "No reply.")],
            "support/2026-11-04.json": [said(ts(4), "First.", thread_ts=root)],
        },
    )
    with opened(path) as source:
        records = extracted(source)

        thread = records[f"C1-{root}"]
        assert texts(source, thread) == ["Ada: Root.", "Ada: First.", "Ada: Second."]
        assert thread.modified_at == datetime(2026, 11, 6, 9, 0, 0, 100, tzinfo=UTC)
        assert living(source) == {f"C1-{root}", "C1-2026-11-06"}


def test_replies_whose_root_the_archive_lacks_are_a_thread(tmp_path: Path) -> None:
    path = archive(tmp_path, {"support/2026-11-06.json": [said(ts(6), "Still here.", thread_ts=ts(2))]})
    with opened(path) as source:
        assert living(source) == {f"C1-{ts(2)}"}
        (record,) = source.fetch("messages", [f"C1-{ts(2)}"])
        assert texts(source, record) == ["Ada: Still here."]


def test_a_root_that_the_archive_has_no_replies_of_belongs_to_its_day(tmp_path: Path) -> None:
    path = archive(tmp_path, {"support/2026-11-02.json": [said(ts(2), "Root.", thread_ts=ts(2), reply_count=1)]})
    with opened(path) as source:
        assert living(source) == {"C1-2026-11-02"}
        assert [record.event for record in source.fetch("messages", [f"C1-{ts(2)}"])] == ["deleted"]


def test_private_channels_come_with_their_members_where_they_are_asked_for(tmp_path: Path) -> None:
    groups = [{"id": "G1", "name": "board", "members": ["U2", "U1"]}]
    path = archive(tmp_path, {"groups.json": groups, "board/2026-11-05.json": [said(ts(5), "Secret.")]})
    with opened(path, private=True) as source:
        document = source.to_document("messages", extracted(source)["private.G1-2026-11-05"])
        assert (document.visibility, document.principals) == (Visibility.RESTRICTED, ["user:U1", "user:U2"])
    with opened(path) as source:
        assert extracted(source) == {}
        assert [record.event for record in source.fetch("messages", ["private.G1-2026-11-05"])] == ["deleted"]


def test_a_channel_that_the_archive_lacks_is_gone_where_it_was_public_alone(tmp_path: Path) -> None:
    with opened(archive(tmp_path, {}), private=True) as source:
        records = source.fetch("messages", ["private.C9-2026-11-05", "C9-2026-11-05"])
        assert [record.event for record in records] == ["malformed", "deleted"]


def test_what_is_older_than_the_archive_is_malformed_and_not_deleted(tmp_path: Path) -> None:
    channels = [*CHANNELS, {"id": "C2", "name": "sales"}]
    path = archive(
        tmp_path,
        {"sales/2026-11-04.json": [said(ts(4), "First.")], "support/2026-11-06.json": [said(ts(6), "Later.")]},
        **{"channels.json": channels},
    )
    with opened(path) as source:
        older = [f"C1-{ts(2)}", "C1-2026-11-03", "C2-2026-11-03"]
        # Some hours of the first day are of a day before it, by the workspace's own time.
        records = list(source.fetch("messages", [*older, f"C1-{ts(4, 1)}", "C1-2026-11-04"]))
        assert [record.event for record in records] == ["malformed"] * 5
        assert all("begins at 2026-11-04" in (record.problem or "") for record in records)
        younger = ["C1-2026-11-05", f"C1-{ts(5)}", "C2-2026-11-04"]
        assert [record.event for record in source.fetch("messages", younger)] == ["deleted", "deleted", "live"]


def test_the_span_of_an_archive_begins_before_its_first_file(tmp_path: Path) -> None:
    files = {"support/2026-11-06.json": [said(ts(6), "Later.")], "support/2026-11-04.json": [said(ts(4), "First.")]}
    with opened(archive(tmp_path, files)) as source:
        assert source.span("messages") == (datetime(2026, 11, 3, tzinfo=UTC), NOON)
    with opened(archive(tmp_path, files), channels=["C8"]) as source:
        assert source.span("messages") is None


@pytest.mark.parametrize("content", ["{broken", "{}", b"\xff\xfe", "[" * 100_000])
def test_a_day_file_that_cannot_be_read_spoils_its_own_day_alone(tmp_path: Path, content: Any) -> None:
    root = ts(4)
    path = archive(
        tmp_path,
        {
            "support/2026-11-04.json": [
                said(root, "Root.", thread_ts=root, reply_count=2),
                said(ts(4, 10), "A reply.", thread_ts=root),
                said(ts(4, 11), "Other."),
            ],
            "support/2026-11-05.json": content,
            "support/2026-11-06.json": [said(ts(6), "After.")],
        },
    )
    expected = {
        "C1-2026-11-04": "live",
        f"C1-{root}": "malformed",
        "C1-2026-11-05": "malformed",
        "C1-2026-11-06": "live",
    }
    with opened(path) as source:
        assert events(source) == expected
        assert living(source) == set(expected)
        lost = [f"C1-{ts(5, 7)}", "C1-2026-11-05"]
        assert [record.event for record in source.fetch("messages", lost)] == ["malformed", "malformed"]


def test_a_day_file_of_another_time_zone_spoils_both_days_that_it_may_hold(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        {
            "support/2026-11-04.json": [said(ts(4, 20), "Evening."), said(ts(5, 2), "Night.")],
            "support/2026-11-05.json": "{broken",
            "support/2026-11-07.json": [said(ts(7, 12), "Noon.")],
        },
    )
    with opened(path) as source:
        assert events(source) == {
            "C1-2026-11-07": "live",
            "C1-2026-11-06": "malformed",
            "C1-2026-11-05": "malformed",
            "C1-2026-11-04": "live",
        }


def test_a_message_that_cannot_be_read_spoils_its_own_day_alone(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        {
            "support/2026-11-04.json": [said(ts(4), "Before.")],
            "support/2026-11-05.json": [said(ts(5), "Good."), {"ts": 5}],
        },
    )
    with opened(path) as source:
        assert events(source) == {"C1-2026-11-05": "malformed", "C1-2026-11-04": "live"}


def test_a_damaged_day_file_spoils_its_own_day_alone(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        {
            "support/2026-11-04.json": [said(ts(4), "Before.")],
            "support/2026-11-05.json": [said(ts(5), "marker " + "0123456789" * 3)],
        },
    )
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as written:
        entry = written.getinfo("support/2026-11-05.json")
    start = entry.header_offset + 30 + len(entry.filename) + 10
    content[start] ^= 0xFF
    path.write_bytes(content)
    with opened(path) as source:
        assert events(source) == {"C1-2026-11-05": "malformed", "C1-2026-11-04": "live"}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside.json", "support/../../outside.json", "C:\\outside.json", "..\\outside.json"]
)
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    with opened(archive(tmp_path, {name: "[]"})) as source, pytest.raises(SourceError, match="path leads out"):
        living(source)


def test_an_archive_that_packs_too_much_is_refused(tmp_path: Path) -> None:
    bomb = archive(tmp_path, {"support/2026-11-05.json": b"0" * 2_000_000})
    with opened(bomb) as source, pytest.raises(SourceError, match="packed to less than"):
        living(source)


def test_an_entry_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_export, "_LARGEST", 1024 * 1024)
    large = archive(tmp_path, {"support/2026-11-05.json": json.dumps(list(range(300_000)))})
    with opened(large) as source, pytest.raises(SourceError, match="holds more than 1 MB"):
        living(source)


def test_an_entry_that_is_larger_than_it_says_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path, {"support/2026-11-05.json": [said(ts(5), "x" * 5000)]})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as written:
        size = written.getinfo("support/2026-11-05.json").file_size.to_bytes(4, "little")
    path.write_bytes(content.replace(size, (64).to_bytes(4, "little")))
    with opened(path) as source:
        assert events(source) == {"C1-2026-11-05": "malformed"}


@pytest.mark.parametrize(
    "basics",
    [
        {"channels.json": None},
        {"users.json": None},
        {"channels.json": "{"},
        {"channels.json": [{"name": "support"}]},
        {"channels.json": {}},
        {"users.json": "none"},
    ],
)
def test_an_archive_without_its_lists_is_refused(tmp_path: Path, basics: Any) -> None:
    path = archive(tmp_path, {"support/2026-11-05.json": [said(ts(5), "Hello.")]}, **basics)
    with opened(path) as source, pytest.raises(SourceError, match=r"tenants\.acme\.slack\.export"):
        living(source)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    with opened(path) as source, pytest.raises(SourceError, match="not a zip archive"):
        source.check()


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with opened(tmp_path / "missing.zip") as source, pytest.raises(SourceError, match=r"missing\.zip"):
        source.check()


def test_documents_need_no_archive(tmp_path: Path) -> None:
    path = archive(tmp_path, {"support/2026-11-05.json": [said(ts(5), "Hello.")]})
    with opened(path) as source:
        record = extracted(source)["C1-2026-11-05"]
    with opened(tmp_path / "missing.zip") as source:
        assert texts(source, record) == ["Ada: Hello."]


def test_check_says_what_the_archive_holds(tmp_path: Path) -> None:
    with opened(archive(tmp_path, {})) as source:
        assert source.check() == "archive export.zip, 1 channels, 1 people"


def test_nothing_of_the_archive_is_extracted(tmp_path: Path) -> None:
    fake = FakeSlack()
    fake.channel("C1", "support")
    fake.post("C1", ts(5), "Hello.")
    path = fake.archive(tmp_path / "export.zip")
    with opened(path) as source:
        extracted(source)

    assert list(tmp_path.iterdir()) == [path]
