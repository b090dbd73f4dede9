"""The bytes of the files that the companies attach: real ones of each kind, made in code, a few of each.

Files of one kind hold one of a few contents, as forwarded ones do.
"""

import zipfile
import zlib
from collections.abc import Callable, Mapping
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

_FORMATS = "http://schemas.openxmlformats.org"
_PACKAGES = f"{_FORMATS}/package/2006"


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
    main = f"{_FORMATS}/spreadsheetml/2006/main"
    relations = f"{_FORMATS}/officeDocument/2006/relationships"
    members = {
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        '<sheet name="Values" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relation("worksheet", "sheet.xml"),
        "xl/sheet.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    kinds = {"xl/workbook.xml": "spreadsheetml.sheet.main", "xl/sheet.xml": "spreadsheetml.worksheet"}
    return _office_file(kinds, members)


def _document(variant: int) -> bytes:
    """A paragraph for each line (ECMA-376, part 1, 17.3.1.22)."""
    paragraphs = "".join(f"<w:p><w:r><w:t>{escape(line)}</w:t></w:r></w:p>" for line in _LINES[variant])
    main = f"{_FORMATS}/wordprocessingml/2006/main"
    members = {"word/document.xml": f'<w:document xmlns:w="{main}"><w:body>{paragraphs}</w:body></w:document>'}
    return _office_file({"word/document.xml": "wordprocessingml.document.main"}, members)


def _office_file(kinds: Mapping[str, str], members: Mapping[str, str]) -> bytes:
    """Members packed as an office file (ECMA-376, part 2).

    Args:
        kinds: what kind of content parts have; the first is where a reader begins.
    """
    kind = "application/vnd.openxmlformats-officedocument"
    overrides = (f'<Override PartName="/{part}" ContentType="{kind}.{name}+xml"/>' for part, name in kinds.items())
    opening = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGES}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{''.join(overrides)}</Types>",
        "_rels/.rels": _relation("officeDocument", next(iter(kinds))),
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**opening, **members}.items():
            archive.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return out.getvalue()


def _relation(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGES}/relationships"><Relationship Id="r1" '
        f'Type="{_FORMATS}/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>'
    )


_MAKERS: dict[str, Callable[[int], bytes]] = {
    "txt": _text,
    "log": _text,
    "csv": _csv,
    "png": _picture("PNG"),
    "jpg": _picture("JPEG"),
    "pdf": _pdf,
    "xlsx": _workbook,
    "docx": _document,
}
