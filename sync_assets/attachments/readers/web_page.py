"""Web pages that were saved and attached."""

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.reading import Reading
from sync_assets.text import html_to_markdown


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part, `body`."""
    return [ExtractedPart("body", "body", html_to_markdown(file.text), {})]
