"""PDF: the text of its pages, and what tesseract reads where a page is only a picture."""

import math
import re
from functools import partial

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_constants
from PIL import Image

from sync_assets.attachments.extracted import ExtractedPart, Unreadable
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.ocr import Picture, picture_parts
from sync_assets.attachments.reading import Reading

# Dots per point: 300 an inch, fewer for a poster.
_SCALE = 300 / 72
_MOST_PIXELS = 16_000_000
# A page with less text that holds a picture is a scan with a stamp or a page number.
_LEAST_LETTERS = 20
# How pdfium writes a word that is broken at the end of a line.
_BROKEN_WORD = re.compile("[\x02\ufffe](?:\r?\n)?")


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One plain part for each page, `page-1`; a page without text and pictures gives none.

    Raises:
        Unreadable: it needs a password, or no page can be read.
    """
    document = _opened(file.data)
    if inside := document.count_attachments():
        reading.notes.append(f"{inside} {'file' if inside == 1 else 'files'} inside not read")
    parts: dict[str, ExtractedPart] = {}
    scanned: list[Picture] = []
    for position in reading.pages(len(document), "pages"):
        page = document[position]
        name = f"page-{position + 1}"
        text = _BROKEN_WORD.sub("", page.get_textpage().get_text_range())
        parts[name] = ExtractedPart(name, "description", text, {"page": position + 1})
        if _letters(text) < _LEAST_LETTERS and _has_picture(page):
            scanned.append(Picture(name, partial(_picture, document, position)))
    for seen in picture_parts(scanned, reading):
        written = parts[seen.name]
        if _letters(seen.text) > _letters(written.text):
            parts[seen.name] = seen._replace(metadata={**written.metadata, **seen.metadata})
    return [part for part in parts.values() if part.text.strip()]


def _opened(data: bytes) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_constants.FPDF_ERR_PASSWORD:
            raise Unreadable("is encrypted.", "Attach it without a password.") from None
        raise


def _has_picture(page: pdfium.PdfPage) -> bool:
    kinds = [pdfium_constants.FPDF_PAGEOBJ_IMAGE, pdfium_constants.FPDF_PAGEOBJ_PATH]
    return any(True for _ in page.get_objects(filter=kinds))


def _picture(document: pdfium.PdfDocument, position: int) -> Image.Image:
    page = document[position]
    scale = min(_SCALE, math.sqrt(_MOST_PIXELS / max(1.0, page.get_width() * page.get_height())))
    return page.render(scale=scale, grayscale=True).to_pil()  # pyright: ignore[reportArgumentType]


def _letters(text: str) -> int:
    return sum(letter.isalnum() for letter in text)
