"""Text from bytes in whatever encoding they are."""

import codecs
import re

from charset_normalizer import from_bytes

from sync_assets.attachments.common_characters import CHINESE, JAPANESE, KOREAN

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
_KANA = frozenset(map(chr, range(0x3041, 0x30FF)))
# The library knows a language by its commonest few characters, which a short text lacks. The fewer there are, the more
# it says that a text is made of them: the first of several that are equally good is taken.
_COMMON = {
    "cp949": KOREAN,
    "gb18030": CHINESE,
    "cp932": JAPANESE | _KANA,
    "euc_jp": JAPANESE | _KANA | frozenset(map(chr, range(0xFF66, 0xFFA0))),
}
_PUNCTUATION = frozenset("、。「」・…，．：；？！（）【】《》“”‘’　～〜－％＃＊＝")
# Of its letters, at least this share of a text is common in its own language; in another one, by chance, a third is.
_LEAST_COMMON = 0.6
_FIRST_LETTERS = 4_000
# Escape (27) begins a colour in a log, or Japanese in iso2022_jp.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_BINARY = 0.002
# Of Latin text in UTF-16 nearly every other byte is zero; of binary files, bytes in both places are.
_SAMPLE = 4_000
_MANY_ZEROS, _FEW_ZEROS = 0.4, 0.02


def text_of(data: bytes) -> str | None:
    """The text that the bytes are, without a byte order mark; None where they are no text."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _decoded(data, encoding)
    if (encoding := _utf_16(data)) and (text := _decoded(data, encoding)) is not None:
        return None if _is_binary(text.encode("utf-8", "replace")) else text
    if _is_binary(data):
        return None
    if b"\x1b$" not in data and (text := _decoded(data, "utf-8")) is not None:
        return text
    encoding = _east_asian(data) or _guessed(data)
    return _decoded(data, encoding) if encoding else None


def _is_binary(data: bytes) -> bool:
    return len(_BINARY.findall(data)) > len(data) * _MOST_BINARY


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _utf_16(data: bytes) -> str:
    """UTF-16 without its mark, by where its zeros are."""
    first, second = data[:_SAMPLE:2], data[1:_SAMPLE:2]
    if len(data) % 2 or not data:
        return ""
    zeros = first.count(0) / len(first), second.count(0) / len(second)
    if min(zeros) > _FEW_ZEROS or max(zeros) < _MANY_ZEROS:
        return ""
    return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"


def _east_asian(data: bytes) -> str:
    """The encoding in which most letters are common ones of its language; "" where there is none."""
    lines = b"\n".join(line for line in data.split(b"\n") if not line.isascii())
    shares = {encoding: _share_of_common(lines, encoding) for encoding in _COMMON}
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= _LEAST_COMMON and _decoded(data, best) is not None else ""


def _share_of_common(data: bytes, encoding: str) -> float:
    text = _decoded(data, encoding) or ""
    letters = [letter for letter in text if not letter.isascii() and letter not in _PUNCTUATION][:_FIRST_LETTERS]
    return sum(letter in _COMMON[encoding] for letter in letters) / len(letters) if letters else 0.0


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
