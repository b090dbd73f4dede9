"""Compound files (OLE), the container of old office files and of Outlook's mails, made in code."""

import struct

_SECTOR, _MINI = 512, 64
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file of at most a few small streams, all in its root.

    Sectors: the FAT, the directory, the FAT of the mini stream, then the mini stream, where small streams lie.
    """
    mini, mini_fat, entries = b"", [], []
    for name in sorted(streams, key=lambda name: (len(name), name.upper())):
        content = streams[name]
        count = -(-len(content) // _MINI)
        first = len(mini_fat)
        mini_fat += [*range(first + 1, first + count), _END]
        mini += content.ljust(count * _MINI, b"\0")
        right = len(entries) + 2 if len(entries) + 1 < len(streams) else _FREE
        entries.append(_entry(name, 2, right, _FREE, first, len(content)))
    directory = b"".join([_entry("Root Entry", 5, _FREE, 1, -1, len(mini)), *entries])
    directory_sectors = -(-len(directory) // _SECTOR)
    mini_sectors = -(-len(mini) // _SECTOR)
    fat_of_mini = 1 + directory_sectors
    start = fat_of_mini + 1
    directory = _entry("Root Entry", 5, _FREE, 1, start, len(mini)) + directory[128:]
    fat = [_FAT, *_chain(1, directory_sectors), _END, *_chain(start, mini_sectors)]
    header = struct.pack(
        "<8s16x5H6xLLL4xLLLLL",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, 1, 1, 4096, fat_of_mini, 1, _END, 0),
    )
    return (
        header
        + _numbers([0], 109)
        + _numbers(fat, 128)
        + directory.ljust(directory_sectors * _SECTOR, b"\0")
        + _numbers(mini_fat, 128)
        + mini.ljust(mini_sectors * _SECTOR, b"\0")
    )


def _chain(first: int, count: int) -> list[int]:
    return [*range(first + 1, first + count), _END]


def _numbers(numbers: list[int], count: int) -> bytes:
    return struct.pack(f"<{count}L", *numbers, *[_FREE] * (count - len(numbers)))


def _entry(name: str, kind: int, right: int, child: int, first: int, size: int) -> bytes:
    encoded = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBLLL16xL8x8xLQ", encoded, len(encoded) + 2, kind, 1, _FREE, right, child, 0, first & _FREE, size
    )
