"""Text from bytes in whatever encoding they are."""

import codecs
import re

from charset_normalizer import from_bytes

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What office programs write. Among all of its encodings the library takes a short text in cp1252 for one of old Macs.
_LIKELY = [
    "cp1252",
    "cp932",
    "iso2022_jp",
    "euc_jp",
    "gb18030",
    "big5",
    "cp949",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
]
# Escape (27) begins a colour in a log, or Japanese in iso2022_jp.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_BINARY = 0.002


def text_of(data: bytes) -> str | None:
    """The text that the bytes are, without a byte order mark; None where they are no text."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _decoded(data, encoding)
    if len(_BINARY.findall(data)) > len(data) * _MOST_BINARY:
        return None
    if b"\x1b$" not in data and (text := _decoded(data, "utf-8")) is not None:
        return text
    encoding = _guessed(data)
    return _decoded(data, encoding) if encoding else None


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guessed(data: bytes) -> str | None:
    matches = from_bytes(data, cp_isolation=["utf_8", *_LIKELY])
    best = matches.best()
    if best is None:
        other = from_bytes(data).best()
        return other.encoding if other else None
    # Where nothing tells Western from Central European text, it is the one that more people write.
    for match in matches:
        same = (match.chaos, match.coherence) == (best.chaos, best.coherence)
        if best.encoding == "cp1250" and match.encoding == "cp1252" and same:
            return "cp1252"
    return best.encoding
