"""Small files of every kind, made in code."""

import datetime
import struct
import zipfile
from email.message import EmailMessage
from io import BytesIO

import pptx
import xlsxwriter
from PIL import Image, ImageDraw, ImageFont
from pptx.chart.data import ChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from sync_assets_tests.attachments.compound import compound

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
HEADING = "<w:p><w:pPr><w:pStyle w:val='Heading1'/></w:pPr><w:r><w:t>Warranty</w:t></w:r></w:p>"


def packed(members: dict[str, bytes | str]) -> bytes:
    """A zip file."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def word(
    body: str = HEADING,
    *,
    prolog: str = "",
    encoding: str = "utf-8",
    relations: str = "",
    more: dict[str, bytes | str] | None = None,
) -> bytes:
    """A Word file whose document.xml has this body."""
    document = (
        f'<?xml version="1.0" encoding="{encoding}"?>{prolog}'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
        'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture" '
        'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
        f'xmlns:r="{_RELATIONS}"><w:body>{body}</w:body></w:document>'
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": types,
        "_rels/.rels": _relations(
            f'<Relationship Id="r1" Type="{_RELATIONS}/officeDocument" Target="word/document.xml"/>'
        ),
        "word/_rels/document.xml.rels": _relations(relations),
        "word/document.xml": document.encode(encoding),
    }
    return packed(members | (more or {}))


def linked_picture(target: str) -> tuple[str, str]:
    """The body and the relation of a Word file that shows a picture from elsewhere."""
    body = (
        "<w:p><w:r><w:t>before</w:t></w:r><w:r><w:drawing><wp:inline><a:graphic><a:graphicData><pic:pic>"
        '<pic:blipFill><a:blip r:link="link1"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>'
        "</w:drawing></w:r></w:p>"
    )
    relation = f'<Relationship Id="link1" Type="{_RELATIONS}/image" Target="{target}" TargetMode="External"/>'
    return body, relation


def slides() -> bytes:
    """A title with a list, then a table, a chart and notes."""
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.placeholders[0].text_frame.text = "Rollout plan"  # pyright: ignore[reportAttributeAccessIssue]
    first.placeholders[1].text_frame.text = "Order handsets"  # pyright: ignore[reportAttributeAccessIssue]
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for position, text in enumerate(["Model", "Price", "D|20", "129"]):
        table.cell(position // 2, position % 2).text = text
    data = ChartData()
    data.categories = ["May", "June"]
    data.add_series("Sales", (11, 13))
    second.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(3), Inches(4), Inches(3), data)
    second.notes_slide.notes_text_frame.text = "Mention the discount"  # pyright: ignore[reportOptionalMemberAccess]
    file = BytesIO()
    deck.save(file)
    return file.getvalue()


def spreadsheet() -> bytes:
    """Sheet `Prices` with a formula, a date and an empty row and column; `Costs`, hidden; `Empty`."""
    file = BytesIO()
    with xlsxwriter.Workbook(file) as book:
        prices = book.add_worksheet("Prices")
        prices.write_row(1, 1, ["Model", "Price", "Since"])
        prices.write_row(3, 1, ["D20, black", 129])
        prices.write_datetime(3, 3, datetime.datetime(2026, 11, 2), book.add_format({"num_format": "d-m-yyyy"}))
        prices.write_row(4, 1, ["D30", 200])
        prices.write_formula(5, 2, "=SUM(C4:C5)", None, 329)
        costs = book.add_worksheet("Costs")
        costs.write_row(0, 0, ["Model", "Cost"])
        costs.hide()
        book.add_worksheet("Empty")
    return file.getvalue()


def huge_sheet() -> bytes:
    """A small file whose one sheet says that it goes from the first to the last cell that there can be."""
    cell = '<row r="{0}"><c r="{1}{0}" t="inlineStr"><is><t>x</t></is></c></row>'
    sheet = cell.format(1, "A") + cell.format(1048576, "XFD")
    file = BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet("Huge")
    with zipfile.ZipFile(file) as archive:
        members: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    members["xl/worksheets/sheet1.xml"] = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{sheet}</sheetData></worksheet>"
    )
    return packed(members)


def open_document_sheet() -> bytes:
    """An OpenDocument spreadsheet of one sheet."""
    cells = "".join(
        f'<table:table-row><table:table-cell office:value-type="string"><text:p>{one}</text:p></table:table-cell>'
        f'<table:table-cell office:value-type="string"><text:p>{other}</text:p></table:table-cell></table:table-row>'
        for one, other in [("Part", "Stock"), ("Pump", "7")]
    )
    name = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{name}:office:1.0" xmlns:table="{name}:table:1.0" '
        f'xmlns:text="{name}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Parts">{cells}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        f'<m:manifest xmlns:m="{name}:manifest:1.0"><m:file-entry m:full-path="/" m:media-type="{kind}"/></m:manifest>'
    )
    return packed({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest})


def pdf(*pages: str, encryption: str = "", more: str = "") -> bytes:
    """A PDF with a line of text on each page, and more that is drawn on each."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET {more}"
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
            f"/Contents {5 + 2 * number} 0 R>>"
        )
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    data = "%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer<</Size {size}/Root 1 0 R{encryption}>>\nstartxref\n{len(data)}\n%%EOF"
    return f"{data}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def picture(*lines: str, form: str = "PNG", size: tuple[int, int] = (1200, 400)) -> bytes:
    """A picture of lines of text, in any format of Pillow's, PDF among them."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((40, 40 + 80 * number), line, fill="black", font=ImageFont.load_default(size=48))
    file = BytesIO()
    image.save(file, form)
    return file.getvalue()


def fax(*lines: str) -> bytes:
    """A TIFF with a page for each line."""
    first, *others = [Image.open(BytesIO(picture(line))) for line in lines]
    file = BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


def mail(*attached: tuple[str, str, bytes], markup: str = "") -> bytes:
    """A mail with files, each a name, a content type and bytes."""
    message = EmailMessage()
    message["Subject"] = "Offer for Café Zuid"
    message["From"] = "Jan <jan@cafe.example>"
    message["Date"] = "Mon, 02 Nov 2026 09:00:00 +0000"
    message.set_content("Please see the offer.")
    if markup:
        message.add_alternative(markup, subtype="html")
    for name, content_type, data in attached:
        main, _, sub = content_type.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return message.as_bytes()


def e_book(encrypted: str = "") -> bytes:
    """An e-book of two chapters, whose order is not that of their names."""
    members: dict[str, bytes | str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="book/content.opf"/></rootfiles></container>',
        "book/content.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="a" href="z%201.xhtml"/><item id="b" href="a.xhtml"/></manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
        "book/z 1.xhtml": "<!DOCTYPE html><html><body><h1>Start</h1><p>Plug it in.</p></body></html>",
        "book/a.xhtml": "<html><body><h1>End</h1></body></html>",
    }
    if encrypted:
        members["META-INF/encryption.xml"] = (
            f'<encryption><EncryptedData><CipherData><CipherReference URI="{encrypted}"/></CipherData>'
            "</EncryptedData></encryption>"
        )
    return packed(members)


def _relations(content: str) -> str:
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{content}</Relationships>'
    )


def outlook_mail() -> bytes:
    """A mail as Outlook saves it."""
    texts = {0x0037: "Offer of handsets", 0x1000: "Twelve handsets, please."}
    properties = b"".join(struct.pack("<HHLLL", 0x1F, key, 6, 2 * len(text) + 2, 0) for key, text in texts.items())
    streams = {f"__substg1.0_{key:04X}001F": text.encode("utf-16-le") for key, text in texts.items()}
    return compound(streams | {"__properties_version1.0": bytes(32) + properties})


def old_spreadsheet() -> bytes:
    """A sheet as Excel saved it before 2007: records of a number, a length and bytes."""

    def record(number: int, content: bytes = b"") -> bytes:
        return struct.pack("<HH", number, len(content)) + content

    def label(row: int, column: int, text: str) -> bytes:
        return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 0) + text.encode("latin-1"))

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHLL", 0x0600, kind, 0, 0, 0, 0))

    end = record(0x000A)
    sheet = begin(0x10) + label(0, 0, "Part") + label(0, 1, "Stock") + label(1, 0, "Pump")
    sheet += record(0x0203, struct.pack("<HHHd", 1, 1, 0, 7.0)) + end
    name = b"\x05\0Parts"
    start = len(begin(0x05)) + 4 + 6 + len(name) + len(end)
    globals_ = begin(0x05) + record(0x0085, struct.pack("<LH", start, 0) + name) + end
    return compound({"Workbook": globals_ + sheet})
