"""Files that are packed in a zip file, as office files and e-books are: looked through before a library opens them."""

import re
import zipfile
from collections.abc import Iterator
from io import BytesIO

from sync_assets.attachments.extracted import Unreadable
from sync_assets.attachments.reading import Reading

ZIP = b"PK\x03\x04"
_MOST_MEMBERS = 10_000
_BLOCK = 1 << 20
_ENDLESS = 1 << 62
_MARKUP = re.compile(r"\.(?:xml|rels|vml|x?html?|opf|ncx|svg)$|^mimetype$", re.I)
_ENTITY = b"<!ENTITY"


def names_in_zip(data: bytes) -> tuple[set[str], bytes]:
    """The names packed in a zip file, and what its member `mimetype` says (b"" without it).

    Raises:
        Unreadable: it is broken.
    """
    with _opened(data) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        mime = infos.get("mimetype")
        # Read without trusting it: a member that is no mime type may be a bomb.
        if mime is None or mime.flag_bits & 1:
            return set(infos), b""
        with archive.open(mime) as member:
            return set(infos), member.read(100).strip()


def checked_zip(data: bytes, reading: Reading) -> zipfile.ZipFile:
    """The zip file, after all of it was unpacked once, a block at a time, to see that it is safe to open.

    Raises:
        Unreadable: it is broken or encrypted, expands to more than it says or may, or declares XML entities, which
            no office program writes and whose expansion may never end.
    """
    archive = _opened(data)
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise Unreadable(f"packs {len(infos):,} files, more than {_MOST_MEMBERS:,}.")
    if any(info.flag_bits & 1 for info in infos):
        raise Unreadable("is encrypted.", "Attach it without a password.")
    if sum(info.file_size for info in infos) + reading.spent["expanded"] > reading.limits.max_expanded_bytes:
        reading.expand(reading.limits.max_expanded_bytes + 1)
    for info in infos:
        _check(archive, info, reading)
    return archive


def _opened(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(BytesIO(data))
    except zipfile.BadZipFile:
        raise Unreadable("is a broken or truncated zip or office file.") from None


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo, reading: Reading) -> None:
    declared = info.file_size
    # zipfile stops at the declared size, other libraries may not: let it go on to the real end.
    info.file_size = _ENDLESS
    real = 0
    try:
        for block in _blocks(archive, info):
            real += len(block)
            reading.expand(len(block))
    finally:
        info.file_size = declared
    if real != declared:
        raise Unreadable("is broken: it expands to another size than it declares.")


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    is_markup = bool(_MARKUP.search(info.filename))
    end = b""
    with archive.open(info) as member:
        while block := member.read(_BLOCK):
            # Without zeros, UTF-16 reads as ASCII does.
            if is_markup and _ENTITY in (end + block).replace(b"\0", b"").upper():
                raise Unreadable("declares XML entities, which may be a bomb.")
            end = block[-2 * len(_ENTITY) :]
            yield block
