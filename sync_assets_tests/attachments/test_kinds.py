"""Every kind of file gives its text."""

import json
import os
import shutil
from collections.abc import Sequence
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

from sync_assets.attachments.extracted import Extracted, ExtractedPart, Limits
from sync_assets.attachments.process import read_file
from sync_assets_tests.attachments import files
from sync_assets_tests.attachments.tesseracts import fake_tesseract

needs_tesseract = pytest.mark.skipif(not shutil.which("tesseract"), reason="tesseract is not installed")


def read(name: str, data: bytes, content_type: str = "application/octet-stream") -> Extracted:
    return read_file(name, content_type, data, Limits())


def names(parts: Sequence[ExtractedPart]) -> list[tuple[str, str]]:
    return [(part.name, part.role) for part in parts]


def test_a_pdf_gives_a_part_for_each_page_that_has_text() -> None:
    extracted = read("guide.pdf", files.pdf("Reset the base station first", "", "Then pair the handset again"))
    assert extracted.kind == "pdf"
    assert extracted.parts == [
        ExtractedPart("page-1", "description", "Reset the base station first", {"page": 1}),
        ExtractedPart("page-3", "description", "Then pair the handset again", {"page": 3}),
    ]
    assert extracted.notes == []


def test_a_word_file_gives_markdown_and_says_what_it_left_out() -> None:
    body = "<w:p><w:r><w:t>Two years</w:t></w:r></w:p><w:p><m:oMath><m:r><m:t>x</m:t></m:r></m:oMath></w:p>"
    extracted = read("warranty.docx", files.word(files.HEADING + body))
    assert extracted.kind == "word"
    assert extracted.parts == [ExtractedPart("body", "body", "# Warranty\n\nTwo years", {})]
    assert extracted.notes == ["1 equation not read"]


def test_slides_give_titles_tables_charts_and_notes() -> None:
    extracted = read("plan.pptx", files.slides())
    first, second = extracted.parts
    assert (extracted.kind, names(extracted.parts)) == ("slides", [("slide-1", "body"), ("slide-2", "body")])
    assert first.text == "# Rollout plan\n\nOrder handsets"
    assert "| Model | Price |\n| --- | --- |\n| D\\|20 | 129 |" in second.text
    assert "| May | 11.0 |" in second.text
    assert second.text.endswith("## Notes\n\nMention the discount")


def test_a_spreadsheet_gives_the_values_of_each_sheet_hidden_ones_too() -> None:
    extracted = read("prices.xlsx", files.spreadsheet())
    assert extracted.kind == "spreadsheet"
    assert extracted.parts == [
        ExtractedPart(
            "sheet-Prices",
            "sheet",
            'Model,Price,Since\n"D20, black",129,2026-11-02\nD30,200,\n,329,',
            {"sheet": "Prices"},
        ),
        ExtractedPart("sheet-Costs", "sheet", "Model,Cost", {"sheet": "Costs"}),
    ]
    assert extracted.notes == ["sheet Costs is hidden in its program, and read all the same"]


def test_spreadsheets_of_other_programs_and_times_are_read_too() -> None:
    for name, data in {"stock.ods": files.open_document_sheet(), "stock.xls": files.old_spreadsheet()}.items():
        extracted = read(name, data)
        assert extracted.kind == "spreadsheet"
        assert extracted.parts == [ExtractedPart("sheet-Parts", "sheet", "Part,Stock\nPump,7", {"sheet": "Parts"})]


def test_a_mail_gives_its_text_and_that_of_each_file_in_it() -> None:
    inner = files.mail(("notes.md", "text/markdown", b"# Notes"))
    extracted = read(
        "question.eml",
        files.mail(
            ("offer.pdf", "application/pdf", files.pdf("Twelve handsets for 1,400 euro")),
            ("all.zip", "application/zip", files.packed({"a.txt": "a"})),
            ("older.eml", "application/octet-stream", inner),
            markup="<p>Please see <b>the offer</b>.</p>",
        ),
    )
    assert extracted.kind == "mail"
    assert names(extracted.parts) == [
        ("mail/body", "body"),
        ("mail/offer.pdf/page-1", "description"),
        ("mail/older.eml/mail/body", "description"),
        ("mail/older.eml/mail/notes.md/body", "body"),
    ]
    assert extracted.parts[0].text == (
        "Subject: Offer for Café Zuid\nFrom: Jan <jan@cafe.example>\nDate: Mon, 02 Nov 2026 09:00:00 +0000\n\n"
        "Please see **the offer**."
    )
    assert extracted.notes == ["all.zip not read: it is a zip archive; archives are not unpacked."]


def leaf(content: str, subtype: str = "plain", name: str = "") -> MIMEText:
    part = MIMEText(content, subtype)
    if name:
        part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def nested(kind: str, *parts: Message) -> MIMEMultipart:
    found = MIMEMultipart(kind)
    for part in parts:
        found.attach(part)
    return found


PRICES = ("mail/prices.csv/body", "sheet", "model,price")
TABLE = leaf("model,price", "csv", "prices.csv")


@pytest.mark.parametrize(
    ("message", "body", "files"),
    [
        (
            nested("signed", nested("mixed", leaf("Hello"), TABLE), MIMEApplication(b"seal", "pkcs7-signature")),
            ("description", "Hello"),
            [PRICES],
        ),
        (
            nested(
                "alternative",
                leaf("Hello"),
                nested("mixed", leaf("<p>Hello <b>you</b></p>", "html"), TABLE, leaf("<p>Bye</p>", "html")),
            ),
            ("body", "Hello **you**\n\nBye"),
            [PRICES],
        ),
        (nested("mixed", leaf("Hello"), TABLE, leaf("Bye")), ("description", "Hello\n\nBye"), [PRICES]),
        (
            nested("mixed", nested("related", nested("alternative", leaf("Hello"), leaf("<p>Hi</p>", "html"))), TABLE),
            ("body", "Hi"),
            [PRICES],
        ),
        (nested("mixed", TABLE), ("description", ""), [PRICES]),
    ],
    ids=["signed", "apple", "text around", "related", "no text"],
)
def test_a_mail_gives_its_files_wherever_they_stand_in_it(
    message: MIMEMultipart, body: tuple[str, str], files: list[tuple[str, str, str]]
) -> None:
    message["Subject"] = "Offer"
    extracted = read("offer.eml", message.as_bytes())
    texts = [(part.name, part.role, part.text) for part in extracted.parts]
    assert texts == [("mail/body", body[0], f"Subject: Offer\n\n{body[1]}".strip()), *files]
    assert extracted.notes == []


def test_a_mail_in_a_mail_is_one_whatever_its_name() -> None:
    inner = EmailMessage()
    inner["Subject"] = "Older offer"
    inner.set_content("Twelve handsets.")
    outer = EmailMessage()
    outer["Subject"] = "Offer"
    outer.set_content("See below.")
    outer.add_attachment(inner, filename="Fwd: offer v1.2")
    _, attached = read("offer.eml", outer.as_bytes()).parts
    assert (attached.name, attached.text) == (
        "mail/Fwd: offer v1.2/mail/body",
        "Subject: Older offer\n\nTwelve handsets.",
    )


def test_files_of_a_mail_that_are_not_read_are_noted() -> None:
    message = nested("mixed", leaf("Hello"), MIMEApplication(b"\x00\x01\x02\x03" * 9, "pkcs7-mime", name="smime.p7m"))
    message["Subject"] = "Offer"
    assert read("offer.eml", message.as_bytes()).notes == ["smime.p7m not read: it is of no kind that can be read."]


def test_a_mail_of_outlook_gives_its_subject_and_text() -> None:
    extracted = read("offer.msg", files.outlook_mail())
    text = "Subject: Offer of handsets\n\nTwelve handsets, please."
    assert extracted == Extracted("mail", [ExtractedPart("mail/body", "description", text, {})], [])


def test_a_web_page_gives_markdown_whatever_its_name() -> None:
    markup = (
        "<!doctype html><html><body><h1>Hours</h1><script>alert(1)</script><p>Nine to <i>five</i></p></body></html>"
    )
    for name in ("hours.html", "hours", "hours.txt"):
        extracted = read(name, markup.encode())
        assert (extracted.kind, extracted.parts[0].role) == ("web page", "body")
        assert extracted.parts[0].text == "# Hours\n\nNine to *five*"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("名前,年齢,住所\n佐藤太郎,30,東京\n髙橋淳,35,名古屋\n", "cp932"),
        ("ｱｲﾃﾑ,価格\nﾎﾟﾝﾌﾟ,100\n", "cp932"),
        ("姓名,年龄,城市\n张三,30,北京\n李四,25,上海\n", "gbk"),
        ("이름,나이,도시\n김철수,30,서울\n", "euc_kr"),
        ("naam,prijs\nCoöperatie Één,€ 12\n", "cp1252"),
        ("Müller,Straße,Größe\nKöln,Düsseldorfer Straße 5,groß\n", "cp1252"),
        ("lieu,saison\nla plage près de Nîmes,l'été\n", "latin-1"),
        ("Имя,Город\nИван,Москва\n", "cp1251"),
        ("naam,prijs\nCafé,€ 12\n", "utf-8"),
        ("naam,prijs\nCafé,€ 12\n", "utf-8-sig"),
        ("naam,prijs\nCafé,€ 12\n", "utf-16"),
    ],
)
def test_a_csv_file_is_read_in_its_true_encoding(text: str, encoding: str) -> None:
    extracted = read("people.csv", text.encode(encoding), "text/csv; charset=ascii")
    assert extracted.kind == "csv"
    assert extracted.parts == [ExtractedPart("body", "sheet", text.strip(), {})]


@pytest.mark.parametrize(
    "text",
    [
        'name;price\r\n"Pump; big";1,5\r\n',
        'name\tprice\n"Pump; big"\t1,5\n',
        'name|price\n"Pump; big"|1,5\n',
        'sep=;\nname;price\n"Pump; big";1,5\n',
        'name,price\n"Pump; big","1,5"\n',
    ],
)
def test_a_csv_file_is_read_in_its_dialect(text: str) -> None:
    assert read("parts.csv", text.encode()).parts[0].text == 'name,price\nPump; big,"1,5"'


def test_a_notebook_gives_what_was_written_in_it() -> None:
    notebook = {
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Load\n", "test"]},
            {"cell_type": "code", "source": "print(1)", "outputs": [{"output_type": "stream", "text": "1"}]},
        ],
    }
    extracted = read("load.ipynb", json.dumps(notebook).encode())
    assert extracted.kind == "notebook"
    assert extracted.parts[0].text == "# Load\ntest\n\n```python\nprint(1)\n```"
    assert extracted.notes == ["outputs of 1 cell left out"]


def test_an_e_book_gives_its_chapters_in_reading_order() -> None:
    extracted = read("manual.epub", files.e_book())
    assert extracted.kind == "e-book"
    assert [(part.name, part.text) for part in extracted.parts] == [
        ("chapter-1", "# Start\n\nPlug it in."),
        ("chapter-2", "# End"),
    ]


@pytest.mark.parametrize(
    ("name", "role", "metadata"),
    [
        ("notes.md", "body", {}),
        ("run.py", "code", {"language": "python"}),
        ("data.json", "description", {}),
        ("trace.log", "description", {}),
        ("README", "description", {}),
    ],
)
def test_text_keeps_its_lines_in_the_role_that_its_name_tells(name: str, role: str, metadata: dict[str, str]) -> None:
    extracted = read(name, b"one\r\n  two\x07" + b" more" * 200 + b"\r\n")
    assert extracted == Extracted("text", [ExtractedPart("body", role, "one\n  two" + " more" * 200, metadata)], [])


def test_the_content_type_counts_only_where_the_name_says_nothing() -> None:
    assert read("table", b"a;b\n1;2\n", "text/csv; charset=utf-8").kind == "csv"
    assert read("table.txt", b"a;b\n1;2\n", "text/csv").kind == "text"
    assert read("offer.txt", files.pdf("A page of an offer, whole"), "text/plain").kind == "pdf"
    assert read("prices.csv", files.spreadsheet(), "text/csv").kind == "spreadsheet"


@needs_tesseract
def test_pictures_are_read_wherever_they_stand() -> None:
    line = "Please restart the base station"
    shot = files.picture(line)
    scan = read("scan.pdf", files.picture(line, form="PDF", size=(1240, 1754)))
    assert (scan.parts[0].name, scan.parts[0].metadata) == ("page-1", {"page": 1, "ocr": True})
    found = {
        "png": read("shot.png", shot).parts[0],
        "jpeg": read("shot", files.picture(line, form="JPEG")).parts[0],
        "tiff": read("shot.tif", files.picture(line, form="TIFF")).parts[0],
        "word": read("a.docx", files.word(more={"word/media/image1.png": shot})).parts[-1],
        "mail": read("a.eml", files.mail(("shot.png", "image/png", shot))).parts[-1],
        "scan": scan.parts[0],
    }
    assert {kind: part.text for kind, part in found.items()} == dict.fromkeys(found, line)
    assert found["word"].name == "image-1"
    assert found["mail"].name == "mail/shot.png/body"


@pytest.mark.parametrize(
    "text", ["BMW price list of 2026", "A PDF begins with %PDF-1.4", "PK is how a zip file begins"]
)
def test_text_that_looks_like_another_kind_is_text(text: str) -> None:
    assert read("a.txt", text.encode()).parts[0].text == text


def test_pictures_of_every_format_are_taken_for_pictures() -> None:
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        assert read("a", files.picture(form=form, size=(60, 60))).kind == "image"


@needs_tesseract
def test_each_page_of_a_tiff_is_read() -> None:
    extracted = read("fax.tif", files.fax("Please restart", "Then call back"))
    assert [(part.name, part.text) for part in extracted.parts] == [
        ("page-1", "Please restart"),
        ("page-2", "Then call back"),
    ]


@needs_tesseract
def test_a_picture_without_text_gives_no_part() -> None:
    assert read("blank.png", files.picture()) == Extracted("image", [], ["no text found in body"])


def test_without_tesseract_the_text_around_pictures_is_read_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    shot = files.picture("text")
    extracted = read("a.docx", files.word(more={f"word/media/image{number}.png": shot for number in (1, 2, 3)}))
    assert [part.text for part in extracted.parts] == ["# Warranty"]
    assert extracted.notes == ["3 images not read: tesseract is not installed"]
    assert read("shot.png", shot).notes == ["1 image not read: tesseract is not installed"]


def test_a_page_with_little_text_and_a_line_keeps_its_text_where_no_picture_gives_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files.pdf("Code 4711-X", more="72 690 m 300 690 l S")
    path = os.environ["PATH"]
    columns = ["level", *(f"{name}_num" for name in ("page", "block", "par", "line", "word"))]
    columns += ["left", "top", "width", "height", "conf", "text"]
    word = [*"511111", *"0099", "96", "4711"]
    table = "\\n".join("\\t".join(row) for row in (columns, word))
    for script in ("exit 1", f'printf "{table}\\n" > "$2.tsv"'):
        fake_tesseract(tmp_path, script)
        monkeypatch.setenv("PATH", f"{tmp_path}:{path}")
        assert read("a.pdf", data).parts == [ExtractedPart("page-1", "description", "Code 4711-X", {"page": 1})]
    monkeypatch.setenv("PATH", "/nowhere")
    assert [part.text for part in read("a.pdf", data).parts] == ["Code 4711-X"]


def test_pages_that_tesseract_has_no_time_for_cost_only_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tesseract(tmp_path, "exec sleep 300")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    data = files.pdf("This is the text of page one", *["Stamp"] * 20, more="72 690 m 300 690 l S")
    extracted = read_file("a.pdf", "", data, Limits(timeout=15))
    assert [part.text for part in extracted.parts] == ["This is the text of page one", *["Stamp"] * 20]
    assert "images not read: the others took their share of timeout, 15 s" in extracted.notes[-1]


def test_pictures_are_read_in_the_languages_that_are_asked_for_and_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tesseract(tmp_path, f'echo "$@" >> {tmp_path}/asked; exit 1', languages="afr deu eng jpn osd")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shot = files.picture("text")
    read_file("a.png", "", shot, Limits())
    read_file("a.png", "", shot, Limits(ocr_languages="jpn+kor+eng"))
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    assert [words[words.index("-l") + 1] for words in asked] == ["eng+deu+jpn", "jpn+eng"]
    notes = read_file("a.png", "", shot, Limits(ocr_languages="kor")).notes
    assert notes == ["1 image not read: tesseract has none of the languages kor"]


def test_a_file_gives_the_same_parts_each_time() -> None:
    data = files.mail(("plan.pptx", "application/x", files.slides()), ("p.xlsx", "application/x", files.spreadsheet()))
    assert read("a.eml", data) == read("a.eml", data)
