"""One module per kind of file, each with `read(file, reading)`, which gives the file's parts.

What belongs here: the way from a file's bytes to its texts. It may raise anything: `read_parts` makes it `Unreadable`.
"""

import importlib
import re
from collections.abc import Callable
from typing import Any

from sync_assets.attachments.extracted import Extracted, ExtractedPart, Limits, Unreadable
from sync_assets.attachments.kinds import File, file_of
from sync_assets.attachments.reading import Reading

# Imported when a file of that kind comes: a reader's libraries take longer to load than most files to read.
_READERS = {
    "pdf": "pdf",
    "word": "word",
    "slides": "slides",
    "spreadsheet": "spreadsheet",
    "mail": "mail",
    "web page": "web_page",
    "image": "image",
    "text": "text",
    "csv": "table",
    "notebook": "notebook",
    "e-book": "e_book",
}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


def read(name: str, content_type: str, data: bytes, limits: Limits) -> Extracted:
    """Read a file in this process, whose memory and time the caller has limited.

    Raises:
        Unreadable: it can't or must not be read.
    """
    reading = Reading(limits)
    kind, parts = read_parts(name, content_type, data, reading)
    return Extracted(kind, _capped(parts, reading), _clean(reading.notes))


def read_parts(name: str, content_type: str, data: bytes, reading: Reading) -> tuple[str, list[ExtractedPart]]:
    """The kind and the parts of a file; what is left out goes to the notes of `reading`."""
    try:
        file = file_of(name, content_type, data)
        return file.kind, [part for part in map(_cleaned, _reader(file)(file, reading)) if part.text]
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("needs more memory than a file may.") from None
    # The libraries raise anything for a broken file, a panic of Rust code among it, which is no Exception. What they
    # say may quote the file, so that only the error's name is told.
    except BaseException as error:  # noqa: BLE001
        raise Unreadable(f"is broken or not as its kind should be ({type(error).__name__}).") from None


def _reader(file: File) -> Callable[[File, Reading], list[ExtractedPart]]:
    module = importlib.import_module(f"sync_assets.attachments.readers.{_READERS[file.kind]}")
    return module.read


def _cleaned(part: ExtractedPart) -> ExtractedPart:
    """Without control characters and halves of characters, which no store takes."""
    text = _clean(part.text.replace("\r\n", "\n").replace("\r", "\n"))
    return ExtractedPart(_clean(part.name), part.role, text.strip("\n").rstrip(), _clean(part.metadata))


def _clean(value: Any) -> Any:
    """A JSON value with clean texts; its keys are our own."""
    if isinstance(value, str):
        return _CONTROL.sub("", value).encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return value


def _capped(parts: list[ExtractedPart], reading: Reading) -> list[ExtractedPart]:
    """Parts up to the most characters; the one that goes over it is cut at the end of a line."""
    kept: list[ExtractedPart] = []
    left = most = reading.limits.max_text_characters
    for part in parts:
        if len(part.text) > left:
            reading.notes.append(f"text after {most:,} characters left out: max_text_characters, from {part.name} on")
            whole_lines, _, _ = part.text[:left].rpartition("\n")
            return [*kept, part._replace(text=whole_lines)] if whole_lines else kept
        kept.append(part)
        left -= len(part.text)
    return kept
