"""Excel and OpenDocument spreadsheets: the values in their sheets."""

import csv
import datetime
from collections.abc import Iterable
from io import BytesIO, StringIO
from typing import Any

import python_calamine as calamine

from sync_assets.attachments.containers import ZIP, checked_zip
from sync_assets.attachments.extracted import ExtractedPart, Unreadable
from sync_assets.attachments.kinds import File
from sync_assets.attachments.readers.ocr import packed_pictures
from sync_assets.attachments.reading import Reading


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One sheet part for each sheet that holds values, `sheet-Prices`, and a plain one for each picture with text.

    A formula gives the value that it had when the file was saved.

    Raises:
        Unreadable: it is encrypted.
    """
    archive = checked_zip(file.data, reading) if file.data.startswith(ZIP) else None
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(BytesIO(file.data))
    except calamine.PasswordError:
        raise Unreadable("is encrypted.", "Attach it without a password.") from None
    parts = []
    sheets = [sheet for sheet in workbook.sheets_metadata if sheet.typ == calamine.SheetTypeEnum.WorkSheet]
    for position in reading.pages(len(sheets), "sheets"):
        name = sheets[position].name
        text = as_csv(workbook.get_sheet_by_name(name).iter_rows())
        parts.append(ExtractedPart(f"sheet-{name}", "sheet", text, {"sheet": name}))
        if text and sheets[position].visible != calamine.SheetVisibleEnum.Visible:
            reading.notes.append(f"sheet {name} is hidden in its program, and read all the same")
    return parts + packed_pictures(archive, "xl/media/", reading) if archive else parts


def as_csv(rows: Iterable[list[Any]]) -> str:
    """Rows as CSV, without rows that are empty and without the columns that are empty in all rows."""
    cells = [row for row in ([_cell(value) for value in row] for row in rows) if any(row)]
    used = sorted({position for row in cells for position, cell in enumerate(row) if cell})
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([row[position] if position < len(row) else "" for position in used] for row in cells)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return str(value).strip()
