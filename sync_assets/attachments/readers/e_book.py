"""E-books (EPUB): their chapters in reading order."""

import posixpath
import zipfile
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from sync_assets.attachments.characters import text_of
from sync_assets.attachments.containers import checked_zip
from sync_assets.attachments.extracted import ExtractedPart, Unreadable
from sync_assets.attachments.kinds import File
from sync_assets.attachments.reading import Reading
from sync_assets.text import html_to_markdown

_ENCRYPTED = "META-INF/encryption.xml"


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part for each chapter, `chapter-1`.

    Raises:
        Unreadable: its chapters are encrypted.
    """
    with checked_zip(file.data, reading) as archive:
        container = fromstring(archive.read("META-INF/container.xml"))
        package = next(element.attrib["full-path"] for element in container.iterfind(".//{*}rootfile"))
        chapters = _chapters(fromstring(archive.read(package)), posixpath.dirname(package))
        if _encrypted(archive) & set(chapters):
            raise Unreadable("is encrypted.", "Attach it without protection.")
        return [
            ExtractedPart(
                f"chapter-{position + 1}",
                "body",
                html_to_markdown(text_of(archive.read(chapters[position])) or ""),
                {"chapter": position + 1},
            )
            for position in reading.pages(len(chapters), "chapters")
        ]


def _chapters(package: Element, folder: str) -> list[str]:
    paths = {item.attrib["id"]: item.attrib["href"] for item in package.iterfind(".//{*}manifest/{*}item")}
    spine = [reference.attrib["idref"] for reference in package.iterfind(".//{*}spine/{*}itemref")]
    return [posixpath.normpath(posixpath.join(folder, unquote(paths[chapter]))) for chapter in spine]


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    # Fonts are often encrypted where the text is not.
    if _ENCRYPTED not in archive.namelist():
        return set()
    markup = fromstring(archive.read(_ENCRYPTED))
    return {unquote(element.attrib["URI"]) for element in markup.iterfind(".//{*}CipherReference")}
