"""Mails (.eml, and Outlook's .msg): what is written in them, and the files attached to them."""

import email.policy
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from io import BytesIO
from typing import NamedTuple

import oxmsg

from sync_assets.attachments.characters import text_of
from sync_assets.attachments.extracted import ExtractedPart, Unreadable
from sync_assets.attachments.kinds import OLE, File
from sync_assets.attachments.readers import read_parts
from sync_assets.attachments.reading import Reading
from sync_assets.text import html_to_markdown

_DEEPEST = 3
_MOST_FILES = 50
# Of a mail's parts, those that say nothing to people: what seals it, and its text once more for special programs.
_NO_FILES = {
    "application/pgp-signature",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "text/watch-html",
    "text/x-amp-html",
}
_LONGEST_NAME = 100
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^\.+")


class _Attached(NamedTuple):
    name: str
    content_type: str
    data: bytes


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """The mail itself as `mail/body`, and the parts of each attached file as `mail/offer.pdf/page-1`."""
    body, attached = _outlook(file.data, reading) if file.data.startswith(OLE) else _internet(file.data)
    parts = [body._replace(name="mail/body")]
    taken: set[str] = set()
    for count, inner in enumerate(attached):
        if count == _MOST_FILES:
            reading.notes.append(f"files after the first {_MOST_FILES} not read")
            break
        parts += _parts_of(inner._replace(name=_free_name(inner.name, taken)), reading)
    return parts


def _parts_of(attached: _Attached, reading: Reading) -> list[ExtractedPart]:
    inner = reading.inner()
    try:
        if inner.depth > _DEEPEST:
            raise Unreadable(f"lies more than {_DEEPEST} mails deep.")
        _, parts = read_parts(attached.name, attached.content_type, attached.data, inner)
    except Unreadable as error:
        reading.notes.append(f"{attached.name} not read: it {error.message}")
        return []
    reading.notes += [f"{attached.name}: {note}" for note in inner.notes]
    return [part._replace(name=f"mail/{attached.name}/{part.name}") for part in parts]


def _free_name(name: str, taken: set[str]) -> str:
    """A name for parts: without a path, and unlike those of the other files."""
    safe = _UNSAFE.sub("", re.split(r"[/\\]", name)[-1]).strip()[-_LONGEST_NAME:] or "file"
    free, number = safe, 1
    while free in taken:
        number += 1
        free = f"{number}-{safe}"
    taken.add(free)
    return free


def _internet(data: bytes) -> tuple[ExtractedPart, Iterator[_Attached]]:
    message = BytesParser(EmailMessage, policy=email.policy.default).parsebytes(data)
    if not message.keys():
        raise Unreadable("is no mail: it has no header.")
    header = {name: str(message[name] or "") for name in ("Subject", "From", "To", "Date")}
    bodies, attached = _sorted(message)
    is_html = any(body.get_content_subtype() == "html" for body in bodies)
    texts = [_as_markdown(body) if is_html else _content(body) for body in bodies]
    return _body(header, "\n\n".join(texts), is_html), iter(attached)


def _sorted(message: MIMEPart) -> tuple[list[MIMEPart], list[_Attached]]:
    """The texts of a mail in their order, and the files among them."""
    content_type, name = message.get_content_type(), message.get_filename()
    if content_type == "message/rfc822":
        return [], [_Attached(name or "message.eml", content_type, _mail_in(message))]
    if message.is_multipart():
        found = [_sorted(part) for part in message.iter_parts() if isinstance(part, MIMEPart)]
        files = [file for _, inner in found for file in inner]
        if content_type == "multipart/alternative":
            # The richest form comes last; any may have the files.
            return next((bodies for bodies, _ in reversed(found) if bodies), []), files
        return [body for bodies, _ in found for body in bodies], files
    if _is_body(message):
        return [message], []
    if content_type in _NO_FILES:
        return [], []
    data = message.get_payload(decode=True)
    return [], [_Attached(name or "file", content_type, data if isinstance(data, bytes) else b"")]


def _is_body(part: MIMEPart) -> bool:
    is_text = part.get_content_type() in ("text/plain", "text/html")
    return is_text and part.get_content_disposition() != "attachment" and not part.get_filename()


def _mail_in(part: MIMEPart) -> bytes:
    inner = part.get_payload()
    return inner[0].as_bytes() if isinstance(inner, list) and inner else b""  # pyright: ignore[reportAttributeAccessIssue]


def _as_markdown(part: MIMEPart) -> str:
    return html_to_markdown(_content(part)) if part.get_content_subtype() == "html" else _content(part)


def _content(part: MIMEPart) -> str:
    try:
        return str(part.get_content())
    except LookupError:
        # A charset that Python does not know.
        data = part.get_payload(decode=True)
        return (text_of(data) or "") if isinstance(data, bytes) else ""


def _outlook(data: bytes, reading: Reading) -> tuple[ExtractedPart, Iterator[_Attached]]:
    message = oxmsg.Message.load(BytesIO(data))
    header = {
        "Subject": message.subject,
        "From": str(make_header(decode_header(message.sender or ""))),
        "To": ", ".join(filter(None, (to.name or to.email_address for to in message.recipients))),
        "Date": message.sent_date.isoformat(" ") if message.sent_date else "",
    }
    text = message.html_body or message.body or ""
    if not text:
        reading.notes.append("no text found in the mail; one that is rich text only is not read")
    content = html_to_markdown(text) if message.html_body else text
    return _body(header, content, bool(message.html_body)), _outlook_files(message)


def _outlook_files(message: oxmsg.Message) -> Iterator[_Attached]:
    for attachment in message.attachments:
        name = attachment.file_name or "file"
        yield _Attached(name, attachment.mime_type or "", attachment.file_bytes or b"")


def _body(header: dict[str, str], content: str, is_markdown: bool) -> ExtractedPart:
    lines = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in header.items() if value.strip())
    return ExtractedPart("body", "body" if is_markdown else "description", f"{lines}\n\n{content}", {})
