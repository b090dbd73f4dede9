"""The files of a portal's attachments: which there are, when they are read again, and what is refused."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_assets.documents import Attachment
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.ticket_portal import Account, Source
from sync_assets_tests.sources.portal_world import FAR_AHEAD, LONG_AGO, World, sqlite_world

PATH = "uploads/KK-1/foto.png"
SETTING = r"tenants\.polder\.ticket_portal\.files"
SECRET = b"outside"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sqlite_world(tmp_path) as world:
        world.fill()
        world.ticket(1)
        world.ticket(2)
        world.attachment(1, filepath=PATH)
        yield world


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The portal's folder, with one file, and a file beside it."""
    folder = tmp_path / "portal"
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_bytes(b"bytes of the photo")
    (tmp_path / "secret.txt").write_bytes(SECRET)
    return folder


def opened(world: World, **options: Any) -> Source:
    return Source("polder", Account.model_validate({"database_url": world.url, **options}))


def attachments(world: World, **options: Any) -> list[Attachment]:
    with opened(world, **options) as source:
        (record,) = source.fetch("tickets", ["1"])
        return source.to_document("tickets", record).attachments


def read(world: World, files: Path, stored: str = PATH, max_bytes: int = 100) -> bytes:
    world.run(f"UPDATE ticket_attachments SET filepath = '{stored}'")
    (file,) = attachments(world, files=files)
    with opened(world, files=files) as source:
        return source.read_file(file.locator, max_bytes)


# Which files there are


def test_without_a_folder_attachments_are_only_named_and_no_path_is_asked_for(world: World, files: Path) -> None:
    with opened(world, files=files) as source:
        (record,) = source.fetch("tickets", ["1"])
        (file,) = source.to_document("tickets", record).attachments
    world.run("ALTER TABLE ticket_attachments DROP COLUMN filepath")
    assert attachments(world) == []
    with opened(world) as source:
        assert "files" not in source.check()
        document = source.to_document("tickets", record)
        assert document.attachments == [], "the record is of a time when there was a folder"
        assert "foto.png" in {part.text for part in document.parts}
        with pytest.raises(FileUnavailable, match=f"{SETTING} is not set"):
            source.read_file(file.locator, 100)
    with opened(world, files=files) as source, pytest.raises(SourceError, match=r"columns\.filepath"):
        source.check()


def test_naming_a_folder_lets_a_sweep_read_the_tickets_with_attachments_again(world: World, files: Path) -> None:
    def versions(**options: Any) -> dict[str, Any]:
        with opened(world, **options) as source:
            listed = {row.record_id: (row.modified_at, row.cheap_version) for row in source.live_ids("tickets")}
            records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
            assert {record.record_id: (record.modified_at, record.cheap_version) for record in records} == listed
            return listed

    before, after = versions(), versions(files=files)
    assert before.keys() == after.keys()
    assert {key for key in before if before[key] != after[key]} == {"1"}


def test_a_row_that_tells_of_other_bytes_has_another_locator_and_is_seen_by_the_sweep(
    world: World, files: Path
) -> None:
    seen: list[tuple[Any, ...]] = []
    for change in (
        "filesize = 9",
        "filesize = 10",
        "uploaded_at = '2026-10-06 12:00:00.000000'",
        "filepath = 'uploads/KK-1/andere.png'",
        "attachment_id = 77",
    ):
        world.run(f"UPDATE ticket_attachments SET {change}")
        (file,) = attachments(world, files=files)
        with opened(world, files=files) as source:
            (row,) = (row for row in source.live_ids("tickets") if row.record_id == "1")
        seen.append((file.locator, row.cheap_version))
    for values in zip(*seen, strict=True):
        assert len(set(values)) == len(seen)
    world.run("UPDATE ticket_attachments SET filename = 'scherm.png'")
    assert attachments(world, files=files)[0].locator == seen[-1][0], "a name is no other file"
    world.run("DELETE FROM ticket_attachments")
    assert attachments(world, files=files) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"files": "portal/uploads"}, "no absolute path"),
        (
            {"files": "/mnt/portal", "tables": {"ticket_attachments": {"columns": {"filepath": None}}}},
            r"needs the column ticket_attachments\.filepath",
        ),
    ],
)
def test_a_folder_that_can_give_no_file_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Account.model_validate({"database_url": "sqlite:////portal.db", **options})


def test_a_portal_may_call_the_path_otherwise(world: World, files: Path) -> None:
    world.run("ALTER TABLE ticket_attachments RENAME COLUMN filepath TO pad")
    tables = {"ticket_attachments": {"columns": {"filepath": "pad"}}}
    (file,) = attachments(world, files=files, tables=tables)
    assert file.locator.endswith(PATH)
    assert attachments(world, tables=tables) == []


# Reading


def test_a_path_begins_at_the_folder_with_or_without_a_slash_or_as_this_machine_sees_it(
    world: World, files: Path
) -> None:
    for stored in (PATH, f"/{PATH}", f"./{PATH}", f"uploads//../{PATH}", str(files / PATH)):
        assert read(world, files, stored) == b"bytes of the photo"
    link = files.with_name("mounted")
    link.symlink_to(files)
    for stored in (PATH, str(files / PATH), str(link / PATH)):
        assert read(world, link, stored) == b"bytes of the photo", "the folder may be a link itself"
    (files / "ook").symlink_to(PATH)
    assert read(world, files, "ook") == b"bytes of the photo", "and so may a file, where it stays inside"


def test_a_file_may_be_as_long_as_allowed_and_no_longer(world: World, files: Path) -> None:
    assert read(world, files, max_bytes=18) == b"bytes of the photo"
    with pytest.raises(FileUnavailable, match="more than max_bytes=17"):
        read(world, files, max_bytes=17)


@pytest.mark.parametrize(
    "stored", ["../secret.txt", "/../secret.txt", f"{PATH}/../../../../secret.txt", "link", "way/s"]
)
def test_nothing_outside_of_the_folder_is_read(world: World, files: Path, stored: str) -> None:
    (files / "link").symlink_to(files.with_name("secret.txt"))
    (files / "way").symlink_to(files.parent)
    with pytest.raises(FileUnavailable, match=f"lies outside of {SETTING}"):
        read(world, files, stored)


def test_no_path_leads_to_bytes_outside_of_the_folder(world: World, files: Path) -> None:
    (files / "link").symlink_to(files.with_name("secret.txt"))
    (files / "up").symlink_to("..")
    (files / "loop").symlink_to("loop")
    names = ["..", ".", "", "up", "link", "loop", "uploads", "portal", "KK-1", "foto.png", "secret.txt", str(files)]

    @settings(max_examples=200, deadline=None, database=None)
    @given(st.lists(st.sampled_from([*names, str(files.parent)]), min_size=1, max_size=6).map("/".join))
    @example(str(files.with_name("secret.txt")))
    @example("up/secret.txt")
    def check(stored: str) -> None:
        with opened(world, files=files) as source:
            try:
                found = source.read_file(f"1 - 0 {stored}", 100)
            except FileUnavailable:
                return
        assert found == b"bytes of the photo"

    check()


def test_what_is_no_regular_file_is_refused_at_once(world: World, files: Path) -> None:
    os.mkfifo(files / "pipe")
    with pytest.raises(FileUnavailable, match="no regular file"):
        read(world, files, "pipe")
    with pytest.raises(FileUnavailable, match="Is a directory"):
        read(world, files, "uploads")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [("uploads/weg.png", "No such file"), ("loop", "symbolic links"), ("x" * 300, "too long"), (f"{PATH}/x", "Not a")],
)
def test_a_file_that_cannot_be_opened_is_told_with_the_setting(
    world: World, files: Path, stored: str, reason: str
) -> None:
    (files / "loop").symlink_to("loop")
    with pytest.raises(FileUnavailable, match=f"{SETTING}: .*{reason}"):
        read(world, files, stored)


def test_a_folder_that_is_not_there_or_not_mounted_is_an_error_of_the_source(world: World, files: Path) -> None:
    with opened(world, files=files) as source:
        assert source.check().endswith(f", files in {files}")
    bare = files.with_name("bare")
    bare.mkdir()
    with opened(world, files=bare) as source:
        assert source.check().endswith(f", no files in {bare}"), "a new portal has none"
    with pytest.raises(SourceError, match=rf"polder: .*bare of attachments is empty\. Mount .* {SETTING}"):
        read(world, bare)
    bare.rmdir()
    with pytest.raises(SourceError, match=rf"can't be read: No such file.*{SETTING}"):
        read(world, bare)
    with opened(world, files=bare) as source, pytest.raises(SourceError, match=SETTING):
        source.check()
