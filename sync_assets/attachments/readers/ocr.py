"""Text in pictures, by tesseract where it is installed."""

import math
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import pytesseract
from PIL import Image, ImageOps

from sync_assets.attachments.extracted import ExtractedPart, Unreadable
from sync_assets.attachments.reading import Reading
from sync_assets.attachments.tesseract import tesseract

# A count where it can be, so that a file gives the same text on a fast and a slow machine.
MOST_IMAGES = 20
Given = TypeVar("Given")

# Seconds; an A4 page takes some three.
_LONGEST = 20.0
_LARGEST_IMAGE = 100_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_PICTURES = re.compile(r"\.(?:png|jpe?g|gif|bmp|tiff?|webp)$", re.I)
# Icons, lines and buttons, which hold no text.
_SMALLEST_SIDE = 50
# Below this many pixels on its short side a picture is enlarged: tesseract wants letters some 30 pixels high.
_SMALL_SIDE = 1_000
# Above this many on its long side, it is reduced: an A4 page at 400 dots an inch.
_LARGE_SIDE = 4_700
# Per cent; below it tesseract saw letters in leaves and faces.
_LEAST_CONFIDENCE = 50.0


class Picture(NamedTuple):
    """A picture of a file, and the part that its text will be.

    Attributes:
        image: gives it as `prepared` does; called only where it is read.
    """

    part: str
    image: Callable[[], Image.Image]


def picture_parts(pictures: Iterable[Picture], reading: Reading) -> list[ExtractedPart]:
    """The text of each picture that has any; notes which were not read and why."""
    parts: list[ExtractedPart] = []
    unread: Counter[str] = Counter()
    for picture in pictures:
        if reason := _why_not(reading):
            unread[reason] += 1
            continue
        reading.spent["images"] += 1
        try:
            text = _text(picture.image(), reading)
        except Unreadable as error:
            reading.notes.append(f"{picture.part} not read: it {error.message}")
            continue
        if text:
            parts.append(ExtractedPart(picture.part, "description", text, {"ocr": True}))
        else:
            reading.notes.append(f"no text found in {picture.part}")
    for reason, count in unread.items():
        reading.notes.append(f"{count} {'image' if count == 1 else 'images'} not read: {reason}")
    return parts


def _why_not(reading: Reading) -> str:
    """Why no further picture is read; "" where one is."""
    known = tesseract(reading.limits.ocr_languages)
    if not known.version:
        return "tesseract is not installed"
    if not known.languages:
        return f"tesseract has none of the languages {reading.limits.ocr_languages}"
    if reading.spent["images"] >= MOST_IMAGES:
        return f"at most {MOST_IMAGES} of a file are"
    if reading.left_for_pictures() <= 0:
        return f"the others took their share of timeout, {reading.limits.timeout:g} s"
    return ""


def packed_pictures(archive: zipfile.ZipFile, folder: str, reading: Reading) -> list[ExtractedPart]:
    """The text of the pictures in an office file, named `image-1` and on in the order of their names."""
    names = [name for name in archive.namelist() if name.startswith(folder) and _PICTURES.search(name)]
    names.sort(key=lambda name: [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)])

    def pictures() -> Iterator[Picture]:
        for number, name in enumerate(names, 1):
            try:
                image = _unbroken(opened, archive.read(name))
            except Unreadable as error:
                reading.notes.append(f"image-{number} not read: it {error.message}")
                continue
            if min(image.size) >= _SMALLEST_SIDE:
                yield Picture(f"image-{number}", partial(_unbroken, prepared, image))

    return picture_parts(pictures(), reading)


def _unbroken(function: Callable[[Given], Image.Image], given: Given) -> Image.Image:
    """What the function gives. The library raises anything for a broken picture; the text around it is still read."""
    try:
        return function(given)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001
        raise Unreadable(f"is broken ({type(error).__name__}).") from None


def opened(data: bytes) -> Image.Image:
    """The picture, of which nothing is decoded yet; anything is raised where it is broken.

    Raises:
        Unreadable: it has more pixels than any screenshot or scan.
    """
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large() from None
    if image.width * image.height > _LARGEST_IMAGE:
        raise _too_large()
    return image


def prepared(image: Image.Image) -> Image.Image:
    """The picture decoded: grey, upright, on white, and of a size that suits tesseract."""
    # JPEGs are decoded at a fraction of their size, which is all that is needed of a photo.
    image.draft("L", (_LARGE_SIDE, _LARGE_SIDE))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L")
    side = min(image.size)
    scale = min(2.0, _SMALL_SIDE / side) if side < _SMALL_SIDE else 1.0
    scale = min(scale, _LARGE_SIDE / max(image.size))
    return image if scale == 1.0 else image.resize([max(1, round(length * scale)) for length in image.size])


def _too_large() -> Unreadable:
    return Unreadable(f"has more than {_LARGEST_IMAGE:,} pixels.", "Attach it in a smaller size.")


def _text(image: Image.Image, reading: Reading) -> str:
    """The text that tesseract finds.

    Raises:
        Unreadable: it fails, or does not come to an end.
    """
    found = _found(image, tesseract(reading.limits.ocr_languages).languages, min(_LONGEST, reading.left_for_pictures()))
    lines: dict[tuple[int, int, int], list[str]] = {}
    for index, word in enumerate(found["text"]):
        if word.strip() and float(found["conf"][index]) >= _LEAST_CONFIDENCE:
            line = (found["block_num"][index], found["par_num"][index], found["line_num"][index])
            lines.setdefault(line, []).append(word)
    blocks: dict[int, list[str]] = {}
    for (block, _, _), words in lines.items():
        blocks.setdefault(block, []).append(" ".join(words))
    return "\n\n".join("\n".join(block) for block in blocks.values())


def _found(image: Image.Image, languages: str, seconds: float) -> dict[str, list[Any]]:
    if seconds <= 0:
        raise Unreadable("came too late.")
    try:
        return pytesseract.image_to_data(
            image, lang=languages, timeout=math.ceil(seconds), output_type=pytesseract.Output.DICT
        )
    except pytesseract.TesseractError as error:
        raise Unreadable(f"made tesseract fail with exit status {error.status}.") from None
    # How the library says that tesseract took longer than its time.
    except RuntimeError:
        raise Unreadable(f"takes longer than {seconds:.0f} s.") from None
