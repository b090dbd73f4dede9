"""CSV and TSV in the dialect they are in."""

import csv
from io import StringIO

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.spreadsheet import as_csv
from sync_assets.attachments.reading import Reading

_DELIMITERS = ",;\t|"
_SAMPLE = 30
_LONGEST_CELL = 1_000_000


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One sheet part, `body`, with commas between its columns whatever the file has."""
    csv.field_size_limit(_LONGEST_CELL)
    text = file.text
    delimiter = _delimiter(text)
    # What Excel writes on the first line where the delimiter is not the one of its country.
    if text[:4].lower() == "sep=":
        text = text.partition("\n")[2]
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    return [ExtractedPart("body", "sheet", as_csv(rows), {})]


def _delimiter(text: str) -> str:
    """The one that cuts most of the first lines into the same number of columns, and into more than one."""
    if text[:4].lower() == "sep=" and text[4:5]:
        return text[4]
    lines = text.split("\n", _SAMPLE)[:_SAMPLE]

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        width = max(widths, key=widths.count, default=1)
        return (widths.count(width), width) if width > 1 else (0, 0)

    return max(_DELIMITERS, key=agreement)
