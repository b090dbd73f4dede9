"""Word files: their text as Markdown, and the text in their pictures."""

import re
from io import BytesIO

import mammoth

from sync_assets.attachments.containers import checked_zip
from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.ocr import packed_pictures
from sync_assets.attachments.reading import Reading
from sync_assets.text import html_to_markdown

# Comments are part of the text: they follow it, as footnotes do.
_STYLES = "comment-reference => sup"
# The links between a note and its mark lead nowhere; the mark itself stays.
_JUMP_BACK = re.compile(r"\s*\[↑\]\(#[^)]*\)")
_MARK = re.compile(r"\[(\[\w+\])\]\(#[^)]*\)")
_EQUATION = b"<m:oMath>"


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part, `body`, and a plain one for each picture with text.

    Macros are never run, and what is linked from elsewhere is never fetched.
    """
    with checked_zip(file.data, reading) as archive:
        equations = archive.read("word/document.xml").count(_EQUATION)
        markup = mammoth.convert_to_html(
            BytesIO(file.data), style_map=_STYLES, convert_image=lambda image: [], external_file_access=False
        ).value
        if equations:
            reading.notes.append(f"{equations} {'equation' if equations == 1 else 'equations'} not read")
        body = _MARK.sub(r"\1", _JUMP_BACK.sub("", html_to_markdown(markup)))
        return [ExtractedPart("body", "body", body, {}), *packed_pictures(archive, "word/media/", reading)]
