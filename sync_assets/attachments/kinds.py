"""Which kind a file is: by its first bytes, by what is packed in it, and for text by its name."""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

import olefile

from sync_assets.attachments.characters import text_of
from sync_assets.attachments.containers import ZIP, names_in_zip
from sync_assets.attachments.extracted import UnknownKind, Unreadable

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")
_ARCHIVES = {
    "zip archive": b"PK\x05\x06",
    "7z archive": b"7z\xbc\xaf\x27\x1c",
    "rar archive": b"Rar!\x1a\x07",
    "gzip archive": b"\x1f\x8b",
    "bzip2 archive": b"BZh",
    "xz archive": b"\xfd7zXZ\x00",
    "zstd archive": b"\x28\xb5\x2f\xfd",
    "cabinet archive": b"MSCF",
}
_PACKED = {"word/": "word", "ppt/": "slides", "xl/": "spreadsheet"}
_MIME_MEMBERS = {
    b"application/epub+zip": "e-book",
    b"application/vnd.oasis.opendocument.spreadsheet": "spreadsheet",
}
_OLE_STREAMS = {
    "__properties_version1.0": "mail",
    "Workbook": "spreadsheet",
    "Book": "spreadsheet",
}
_OLE_REFUSED = {
    "EncryptedPackage": ("is encrypted.", "Attach it without a password."),
    "WordDocument": ("is of the old Word format.", "Save it as .docx."),
    "PowerPoint Document": ("is of the old PowerPoint format.", "Save it as .pptx."),
}
_NAMES = {
    ".eml": "mail",
    ".html": "web page",
    ".htm": "web page",
    ".xhtml": "web page",
    ".csv": "csv",
    ".tsv": "csv",
    ".ipynb": "notebook",
}
# By content type, and a table of our own: that of the machine differs from one to the next.
_SUFFIXES = {
    "message/rfc822": ".eml",
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "application/x-ipynb+json": ".ipynb",
}
_SUFFIX = re.compile(r"\.(?=[0-9]*[a-z])[a-z0-9_+-]{1,16}")
# Text to a computer, but no text to a reader.
_DRAWINGS = re.compile(r"\{\\rtf|%!PS|(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b", re.S)
_WEB_PAGE = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.I | re.S)
_HEAD = 4_000


class File(NamedTuple):
    """A file whose kind is known.

    Attributes:
        suffix: how its name ends, in lower case with its dot; "" where it says nothing.
        text: its text, for the kinds that are text; "" for the others.
    """

    name: str
    suffix: str
    kind: str
    data: bytes
    text: str = ""


def file_of(name: str, content_type: str, data: bytes) -> File:
    """The file with its kind.

    Raises:
        Unreadable: no reader knows its kind, it is an archive or it is encrypted.
    """
    name = re.split(r"[/\\]", name)[-1]
    suffix = suffix_of(name, content_type)
    kind = _kind_of_bytes(data)
    if kind:
        return File(name, suffix, kind, data)
    text = text_of(data)
    if text is None:
        raise UnknownKind("is of no kind that can be read.", "Texts, office files, PDF, mails and images can.")
    return File(name, suffix, _kind_of_text(suffix, text), data, text)


def suffix_of(name: str, content_type: str) -> str:
    """How a file of this name and type ends, in lower case with its dot; "" where neither says anything.

    A mail is one whatever its name, which is often its subject ("Fwd: offer v1.2").
    """
    suffix = PurePosixPath(name.lower()).suffix
    declared = _SUFFIXES.get(content_type.partition(";")[0].strip().lower(), "")
    return declared if declared == ".eml" or not _SUFFIX.fullmatch(suffix) else suffix


def _kind_of_bytes(data: bytes) -> str:
    if data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n\0").startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(ZIP):
        return _kind_of_zip(data)
    if data.startswith(OLE):
        return _kind_of_ole(data)
    if data.startswith(_IMAGES) or (data[:4], data[8:12]) == (b"RIFF", b"WEBP"):
        return "image"
    # Two letters alone may begin a text.
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "image"
    for archive, magic in _ARCHIVES.items():
        if data.startswith(magic):
            raise _archive(archive)
    if data[257:262] == b"ustar":
        raise _archive("tar archive")
    return ""


def _kind_of_zip(data: bytes) -> str:
    names, mime_type = names_in_zip(data)
    if mime_type in _MIME_MEMBERS:
        return _MIME_MEMBERS[mime_type]
    if "[Content_Types].xml" in names:
        for folder, kind in _PACKED.items():
            if any(name.startswith(folder) for name in names):
                return kind
    raise _archive("zip archive")


def _kind_of_ole(data: bytes) -> str:
    with olefile.OleFileIO(data) as file:
        streams = {path[0] for path in file.listdir()}
    for stream, (message, remedy) in _OLE_REFUSED.items():
        if stream in streams:
            raise Unreadable(message, remedy)
    for stream, kind in _OLE_STREAMS.items():
        if stream in streams:
            return kind
    raise UnknownKind("is an OLE file of no kind that can be read.")


def _kind_of_text(suffix: str, text: str) -> str:
    head = text[:_HEAD].lstrip()
    if _DRAWINGS.match(head):
        raise UnknownKind("is a drawing or rich text, whose text can't be read.", "Save it as PDF.")
    if suffix in _NAMES:
        return _NAMES[suffix]
    return "web page" if _WEB_PAGE.match(head) else "text"


def _archive(what: str) -> Unreadable:
    return Unreadable(
        f"is a {what}; archives are not unpacked.",
        "Attach the files in it one by one, and an office file as .docx, .pptx, .xlsx or .ods.",
    )
