"""Pictures: the text in them."""

from functools import partial

from PIL import Image

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.ocr import Picture, opened, picture_parts, prepared
from sync_assets.attachments.reading import Reading


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One plain part for each page of a TIFF (`page-1`), and one for any other picture (`body`)."""
    image = opened(file.data)
    count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count == 1:
        return picture_parts([Picture("body", partial(prepared, image))], reading)

    def page(position: int) -> Image.Image:
        image.seek(position)
        return prepared(image)

    pages = [Picture(f"page-{number + 1}", partial(page, number)) for number in reading.pages(count, "pages")]
    return picture_parts(pages, reading)
