"""PowerPoint files: what stands on their slides and in the notes of the speaker."""

from collections.abc import Iterable, Iterator
from io import BytesIO

import pptx
from pptx.chart.chart import Chart
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from sync_assets.attachments.containers import checked_zip
from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.ocr import packed_pictures
from sync_assets.attachments.reading import Reading


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part for each slide, `slide-1`, and a plain one for each picture with text."""
    with checked_zip(file.data, reading) as archive:
        slides = pptx.Presentation(BytesIO(file.data)).slides
        parts = [
            ExtractedPart(f"slide-{position + 1}", "body", _text(slides[position]), {"slide": position + 1})
            for position in reading.pages(len(slides), "slides")
        ]
        return parts + packed_pictures(archive, "ppt/media/", reading)


def _text(slide: Slide) -> str:
    title = slide.shapes.title
    blocks = [f"# {' '.join(title.text_frame.text.split())}"] if title is not None and title.has_text_frame else []
    blocks += [
        text for shape in slide.shapes if title is None or shape.shape_id != title.shape_id for text in _blocks(shape)
    ]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        blocks += ["## Notes", notes] if notes else []
    return "\n\n".join(block for block in blocks if block.strip("# \n"))


def _blocks(shape: BaseShape) -> Iterator[str]:
    if isinstance(shape, GroupShape):
        for inner in shape.shapes:
            yield from _blocks(inner)
    elif isinstance(shape, GraphicFrame):
        if shape.has_table:
            yield _table([cell.text for cell in row.cells] for row in shape.table.rows)
        elif shape.has_chart:
            yield _chart(shape.chart)
    elif shape.has_text_frame:
        yield "\n".join(_lines(shape.text_frame.paragraphs))  # pyright: ignore[reportAttributeAccessIssue]


def _lines(paragraphs: Iterable) -> Iterator[str]:
    for paragraph in paragraphs:
        text = paragraph.text.replace("\v", "\n").strip()
        if text:
            yield f"{'  ' * paragraph.level}- {text}" if paragraph.level else text


def _chart(chart: Chart) -> str:
    """Its title, and its values with a row for each category."""
    series = [row for plot in chart.plots for row in plot.series]
    categories = next((list(plot.categories) for plot in chart.plots), [])
    rows = [
        [str(category), *(str(row.values[position]) for row in series if position < len(row.values))]
        for position, category in enumerate(categories)
    ]
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
    return f"{title}\n\n{_table([['', *(row.name for row in series)], *rows])}"


def _table(rows: Iterable[list[str]]) -> str:
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines[:1], "|" + " --- |" * len(cells[0]), *lines[1:]]) if cells else ""
