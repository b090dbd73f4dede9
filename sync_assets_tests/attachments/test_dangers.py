"""What keeps a hostile or broken file from doing harm, and what the refusal says."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from sync_assets.attachments.extracted import Limits, Unfinished, Unreadable
from sync_assets.attachments.process import CRASHED, read_file
from sync_assets.errors import SyncAssetsError
from sync_assets_tests.attachments import files
from sync_assets_tests.attachments.compound import compound
from sync_assets_tests.attachments.tesseracts import fake_tesseract
from sync_assets_tests.attachments.test_kinds import read

_BOMB = '<!DOCTYPE w [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def refusal(name: str, data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(Unreadable) as caught:
        read_file(name, "application/octet-stream", data, limits)
    return str(caught.value)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (files.packed({"a.docx": "x"}), "zip archive"),
        (files.packed({}), "zip archive"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z archive"),
        (b"Rar!\x1a\x07\x01\x00", "rar archive"),
        (b"\x1f\x8b\x08\x00", "gzip archive"),
        (b"BZh91AY&SY", "bzip2 archive"),
        (b"\xfd7zXZ\x00\x00", "xz archive"),
        (b"a.txt".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
    ],
)
def test_archives_are_not_unpacked_whatever_their_name(start: bytes, what: str) -> None:
    assert refusal("offer.docx", start).startswith(f"is a {what}; archives are not unpacked.")


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 4,
        b"\x7fELF\x02\x01\x01\0\0\0",
        b"\0\0\0\x18ftypmp42\0\0\0\0",
        b"<svg xmlns='x'/>",
        b"{\\rtf1 a}",
    ],
)
def test_other_kinds_are_left_unread_with_a_note(data: bytes) -> None:
    extracted = read_file("a.txt", "", data)
    assert (extracted.kind, extracted.parts) == ("unknown", [])
    assert "is of no kind that can be read" in extracted.notes[0] or "is a drawing or rich text" in extracted.notes[0]


def test_empty_and_large_files_are_refused_with_their_size() -> None:
    assert refusal("a.txt", b"") == "is empty."
    assert refusal("a.txt", b"abcdef", Limits(max_bytes=5)) == "has 6 bytes, more than the 5 of max_bytes."


def test_pages_and_text_over_the_limits_are_left_out_with_a_note() -> None:
    pages = [f"This is the text of page {number}" for number in range(1, 5)]
    extracted = read_file("a.pdf", "", files.pdf(*pages), Limits(max_pages=2))
    assert ([part.text for part in extracted.parts], extracted.notes) == (
        pages[:2],
        ["pages 3 to 4 not read: max_pages is 2"],
    )
    extracted = read_file("a.txt", "", b"first line\nsecond line\n", Limits(max_text_characters=15))
    assert [part.text for part in extracted.parts] == ["first line"]
    assert extracted.notes == ["text after 15 characters left out: max_text_characters, from body on"]


@pytest.mark.parametrize("folder", ["word", "xl", "ppt"])
def test_an_office_file_that_expands_beyond_the_limit_is_refused(folder: str) -> None:
    bomb = files.packed({"[Content_Types].xml": "<Types/>", f"{folder}/media/a.bin": bytes(5_000_000)})
    assert len(bomb) < 10_000
    assert "expands to more than the 1,000,000 bytes" in refusal("a", bomb, Limits(max_expanded_bytes=1_000_000))


def test_an_office_file_that_lies_about_its_expansion_is_refused() -> None:
    data = bytearray(files.word(more={"word/media/a.bin": bytes(5_000_000)}))
    declared = struct.pack("<L", 5_000_000)
    assert data.count(declared) == 2
    lying = bytes(data).replace(declared, struct.pack("<L", 10))
    with zipfile.ZipFile(BytesIO(lying)) as archive:
        assert sum(info.file_size for info in archive.infolist()) < 5_000
    assert "expands to more than" in refusal("a.docx", lying, Limits(max_expanded_bytes=1_000_000))
    assert refusal("a.docx", lying) == "is broken: it expands to another size than it declares."


def test_a_mail_of_many_bombs_expands_no_further_than_one_file_may() -> None:
    office = files.word(more={"word/media/a.bin": bytes(600_000)})
    data = files.mail(*[(f"{number}.docx", "application/x", office) for number in range(3)])
    extracted = read_file("a.eml", "", data, Limits(max_expanded_bytes=1_000_000))
    assert [part.name for part in extracted.parts] == ["mail/body", "mail/0.docx/body"]
    assert [note.partition(":")[0] for note in extracted.notes] == ["1.docx not read", "2.docx not read"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_entities_is_refused(encoding: str) -> None:
    assert "declares XML entities" in refusal("a.docx", files.word(prolog=_BOMB, encoding=encoding))


@pytest.mark.parametrize(
    "data",
    [
        compound({"EncryptedPackage": b"x"}),
        files.e_book(encrypted="book/a.xhtml"),
        files.pdf(
            "secret", encryption=f"/Encrypt<</Filter/Standard/V 1/R 2/O<{'11' * 32}>/U<{'22' * 32}>/P -4>>/ID[<aa><aa>]"
        ),
    ],
    ids=["office", "e-book", "pdf"],
)
def test_encrypted_files_are_refused(data: bytes) -> None:
    assert refusal("a", data).startswith("is encrypted.")


def test_an_e_book_with_encrypted_fonts_only_is_read() -> None:
    assert len(read("a.epub", files.e_book(encrypted="book/font.otf")).parts) == 2


def test_old_office_formats_are_refused_with_what_to_do() -> None:
    assert refusal("a.doc", compound({"WordDocument": b"x"})) == "is of the old Word format. Save it as .docx."


@pytest.mark.parametrize(
    "data",
    [
        files.word()[:-200],
        files.spreadsheet()[:3_000],
        files.pdf("page")[:60],
        files.picture("text")[:500],
        files.packed({"[Content_Types].xml": "<Types/>", "word/document.xml": "<w:document>secret words"}),
        files.packed({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "secret words"}),
        files.packed({"[Content_Types].xml": "<Types/>", "ppt/presentation.xml": "secret words"}),
        files.packed({"mimetype": "application/epub+zip", "a": "secret words"}),
        compound({"Workbook": b"secret words"}),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1secret words",
    ],
)
def test_broken_files_are_refused_without_their_content(data: bytes) -> None:
    text = refusal("a", data)
    assert text.startswith(("is broken", "is a broken"))
    assert "secret" not in text


def test_broken_text_formats_are_refused() -> None:
    assert refusal("a.ipynb", b'{"cells": [{"cell_type":').startswith("is broken")
    assert refusal("a.eml", b"\n\nno header at all").startswith("is no mail")


def test_a_picture_of_too_many_pixels_is_never_decoded() -> None:
    data = bytearray(files.picture("text"))
    data[16:24] = struct.pack(">LL", 60_000, 60_000)
    header = bytes(data[12:29])
    data[29:33] = struct.pack(">L", zlib.crc32(header))
    assert refusal("a.png", bytes(data)) == "has more than 100,000,000 pixels. Attach it in a smaller size."


def test_a_memory_bomb_costs_only_its_file() -> None:
    bomb = files.huge_sheet()
    assert len(bomb) < 10_000
    assert "memory" in refusal("a.xlsx", bomb)
    assert read("b.xlsx", files.spreadsheet()).parts


def test_a_reader_that_hangs_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before any picture is read, so that no time for pictures ends it.
    program = tmp_path / "tesseract"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; exec sleep 300\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    started = time.monotonic()
    assert refusal("a.png", files.picture("text"), Limits(timeout=5)) == "took longer than the 5 s of timeout."
    assert time.monotonic() - started < 30
    hung = int((tmp_path / "pid").read_text())
    # A signal takes a moment on a busy machine.
    while _is_running(hung):
        assert time.monotonic() - started < 30
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_picture_that_takes_too_long_costs_only_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tesseract(tmp_path, "exec sleep 300")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shot = files.picture("text", size=(60, 60))
    data = files.word(more={f"word/media/image{number}.png": shot for number in (1, 2, 3)})
    extracted = read_file("a.docx", "", data, Limits(timeout=12))
    assert [part.text for part in extracted.parts] == ["# Warranty"]
    assert extracted.notes[0].startswith("image-1 not read: it takes longer than ")
    assert extracted.notes[1:] == ["2 images not read: the others took their share of timeout, 12 s"]


def test_a_reader_out_of_memory_at_its_end_says_so() -> None:
    script = (
        "import sync_assets.attachments.worker as worker\n"
        "def read(*_): raise MemoryError\n"
        "worker.read = read\n"
        "worker.main()\n"
    )
    question = json.dumps({"name": "a", "content_type": "", "limits": {}}).encode() + b"\nx"
    done = subprocess.run([sys.executable, "-c", script], input=question, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (CRASHED, b"")


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (str(CRASHED), Unfinished, "crashed its reader: it is broken, or needs more memory"),
        ("1", SyncAssetsError, "does not start \\(exit status 1\\)"),
    ],
)
def test_a_reader_that_cannot_start_is_no_matter_of_the_file(
    status: str, error: type[Exception], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(error, match=text) as caught:
        read_file("a.txt", "", b"x")
    assert isinstance(caught.value, Unreadable) == (error is Unfinished)


def test_a_reader_knows_no_secret_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tesseract(tmp_path, f"env > {tmp_path}/environment; pwd > {tmp_path}/folder; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("GITLAB_TOKEN", "glpat-secret")
    extracted = read("a.png", files.picture("text"))
    assert extracted.notes == ["body not read: it made tesseract fail with exit status 1."]
    environment = (tmp_path / "environment").read_text()
    assert "TMPDIR" in environment
    assert "glpat-secret" not in environment
    assert not Path((tmp_path / "folder").read_text().strip()).exists()


def test_a_file_of_many_pictures_has_only_the_first_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tesseract(tmp_path, f"echo . >> {tmp_path}/asked; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shot = files.picture("text", size=(60, 60))
    extracted = read("a.docx", files.word(more={f"word/media/image{number}.png": shot for number in range(22)}))
    assert extracted.notes[-1] == "2 images not read: at most 20 of a file are"
    assert (tmp_path / "asked").read_text().count(".") == 20


def test_what_a_file_points_to_is_never_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(files.picture("secret"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        for target in (url, secret.as_uri(), str(secret)):
            body, relation = files.linked_picture(target)
            extracted = read("a.docx", files.word(body, relations=relation))
            assert [part.text for part in extracted.parts] == ["before"]
        read("a.html", f"<html><link rel=stylesheet href={url}><img src={url}><iframe src={url}></html>".encode())
        dtd = f'<!DOCTYPE w:document SYSTEM "{url}">'
        read("a.docx", files.word(prolog=dtd))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_names_with_paths_stay_names() -> None:
    data = files.mail(
        ("../../etc/notes.txt", "text/plain", b"one"),
        ("C:\\Windows\\notes.txt", "text/plain", b"two"),
        ("..", "text/plain", b"three"),
    )
    names = [part.name for part in read("../../a.eml", data).parts]
    assert names == ["mail/body", "mail/notes.txt/body", "mail/2-notes.txt/body", "mail/file/body"]


def test_mails_in_mails_end_somewhere() -> None:
    data = files.mail()
    for _ in range(6):
        data = files.mail(("inner.eml", "application/x", data))
    extracted = read("a.eml", data)
    assert len(extracted.parts) == 4
    assert "lies more than 3 mails deep" in extracted.notes[0]
