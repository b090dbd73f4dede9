"""The bytes of the files that the companies attach: real ones of each kind, made in code, a few of each.

Files of one kind hold one of a few contents, as forwarded ones do.
"""

import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from html import escape
from io import BytesIO

from PIL import Image, ImageDraw

_VARIANTS = 3
_LINES = (
    ("Commissioning report", "Supply pressure 1.6 bar, return temperature 28 degrees", "Signed by the fitter on site"),
    (
        "Measurements after the repair",
        "Leak rate below 2 grams a year, fan at 940 rpm",
        "Filter replaced, door seal renewed",
    ),
    ("Site survey", "Signal at the far desk minus 71 dBm on channel 36", "Cable run of 84 metres, cabinet in the hall"),
)
_TABLES = (
    [("room", "signal dBm", "channel"), ("hall", "-58", "36"), ("desk 12", "-71", "36"), ("store room", "-79", "44")],
    [
        ("extension", "name", "device"),
        ("201", "Reception", "Desk 40"),
        ("202", "Workshop", "Relay Air"),
        ("203", "Canteen", "Desk 20"),
    ],
    [("hour", "flow l/min", "supply C"), ("08:00", "14.2", "38"), ("09:00", "13.9", "36"), ("10:00", "14.4", "35")],
)


def file_bytes(name: str) -> bytes:
    """What a file of this name holds; the same each time."""
    suffix = name.rpartition(".")[2].lower()
    return _made(suffix, zlib.crc32(name.encode()) % _VARIANTS)


@cache
def _made(suffix: str, variant: int) -> bytes:
    make = _MAKERS.get(suffix)
    return make(variant) if make else b"\x0a\x0d\x0d\x0a" + bytes(range(256)) * (4 + variant)


def _text(variant: int) -> bytes:
    return "\n".join(_LINES[variant]).encode()


def _csv(variant: int) -> bytes:
    return "\r\n".join(";".join(row) for row in _TABLES[variant]).encode("cp1252")


def _picture(kind: str) -> Callable[[int], bytes]:
    def make(variant: int) -> bytes:
        image = Image.new("L", (900, 200), 255)
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(_LINES[variant]):
            draw.text((20, 20 + 55 * number), line, fill=0, font_size=30)
        out = BytesIO()
        image.save(out, kind)
        return out.getvalue()

    return make


def _pdf(variant: int) -> bytes:
    """One page of text, by the smallest set of objects that the format asks for (ISO 32000-1, annex H)."""
    shown = " ".join(f"({line}) Tj 0 -24 Td" for line in _LINES[variant])
    stream = f"BT /F1 14 Tf 60 760 Td {shown} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = "%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def _workbook(variant: int) -> bytes:
    """One sheet with its texts inline (ECMA-376, part 1, 18.3.1.4)."""
    cells = [[f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row] for row in _TABLES[variant]]
    rows = "".join(f"<row>{''.join(row)}</row>" for row in cells)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    members = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sheet.xml" ContentType="{sheet}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Values" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="sheet.xml"/></Relationships>',
        "xl/sheet.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return out.getvalue()


_MAKERS: dict[str, Callable[[int], bytes]] = {
    "txt": _text,
    "log": _text,
    "csv": _csv,
    "png": _picture("PNG"),
    "jpg": _picture("JPEG"),
    "pdf": _pdf,
    "xlsx": _workbook,
}
