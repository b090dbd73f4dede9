"""Text as it is embedded: mended, HTML to Markdown, and a mail without the mails it quotes.

What belongs here: what is true of every body, whatever system sent it. What does not: which parts a document has
(`sources/`), and how long a text may be (`chunking/`).
"""

import html
import re
from dataclasses import replace

from ftfy import TextFixerConfig, fix_and_explain
from ftfy.fixes import unescape_html
from html_to_markdown import ConversionOptions, PreprocessingOptions, convert
from mailparser_reply import EmailMessage
from markdown_it import MarkdownIt

_QUOTES = (
    "blockquote.gmail_quote",
    "blockquote[type=cite]",
    ".freshdesk_quote",
    ".gmail_attr",
    ".moz-cite-prefix",
)
_SIGNATURES = (".gmail_signature", ".moz-signature", "#Signature", "#ms-outlook-mobile-signature")
_SETTINGS = ConversionOptions(
    skip_images=True,
    extract_metadata=False,
    autolinks=False,
    preprocessing=PreprocessingOptions(remove_navigation=False, remove_forms=False),
)
_MAIL_SETTINGS = replace(_SETTINGS, exclude_selectors=[*_QUOTES, *_SIGNATURES])
_QUOTE_MARKUP = re.compile(r"""<blockquote[^>]*(?:gmail_quote|type=["']?cite)|moz-cite-prefix|freshdesk_quote""", re.I)
# Outlook marks where the older mail begins, but not what belongs to it: it goes on to the end.
_OUTLOOK_HISTORY = re.compile(r"""<(?:div|hr)[^>]*\sid=["']?(?:divRplyFwdMsg|appendonsend)\b""", re.I)

_LANGUAGES = EmailMessage("", languages=["en", "nl", "de", "fr", "es"])
# Where the library falls short: Dutch Gmail and iOS, Spanish (its pattern excludes itself), short Dutch closings.
_ATTRIBUTION = re.compile(
    r"(?:Op\b.{5,200}\bschreef\b.{0,150}:|Op\b.{5,250}\bhet volgende geschreven:|El\b.{5,250}\bescribió:)$"
)
_CLOSING = re.compile(
    r"(?:(?:(?:met )?(?:vriendelijke|hartelijke) )?groet(?:en|jes)?|mvg|cheers|many thanks)\b[\W]*", re.I
)
_DATED = re.compile(r"@|\d:\d\d|\b20\d\d\b")
_SEPARATOR = re.compile(
    r"\W*(?:Original Message|Oorspronkelijk bericht|Ursprüngliche Nachricht|Message d'origine)\W*$", re.I
)
_FORWARD = re.compile(
    r"\W*(?:(?:Begin )?forwarded message|Doorgestuurd bericht|Begin doorgestuurd bericht|Weitergeleitete Nachricht"
    r"|Message transféré|Mensaje reenviado)\W*$",
    re.I,
)
_HEADER_FIELD = re.compile(
    r"\W*(?:From|Sent|Date|To|Cc|Van|Verzonden|Datum|Aan|Von|Gesendet|An|De|Envoyé|À|Enviado|Para"
    r"|(?P<subject>Subject|Onderwerp|Betreff|Objet|Asunto))\b\W?:",
    re.I,
)
_INLINE_HINT = re.compile(
    r"\b(?:see below|inline|answers? below|comments? below|hieronder|zie onder|siehe unten|ci-dessous|más abajo)\b",
    re.I,
)
_QUOTED = (">", "\\>")
_LONGEST_LINE = 300
_SIGNATURE_LINES = 20
_SIGNATURE_WORDS = 12

# Nothing that is a matter of taste (quotes, ligatures, width) and nothing that loses what can't be read.
_REPAIRS = TextFixerConfig(
    unescape_html=False,
    replace_lossy_sequences=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# What none of the repairs touches: printable ASCII, tabs, line and page ends.
_PLAIN = re.compile(r"[\t\n\f -~]*")

_MARKDOWN = MarkdownIt("commonmark").enable("table").disable(["lheading", "code"])
_MARKDOWN_BLOCKS = {"heading_open", "fence", "table_open"}
# An element that is whole: its end tag, or one that needs none.
_ELEMENT = re.compile(
    r"</(?:p|div|span|font|a|b|strong|i|em|u|s|ul|ol|li|dl|table|thead|tbody|tr|td|th|h[1-6]|pre|code|blockquote|center"
    r"|small|sub|sup|body|html)\s*>|<(?:br|hr|img|p|li)\b[^<>]*>",
    re.I,
)
_LINE_ELEMENT = re.compile(r"</?(?:br|p|div|ul|ol|li|dl|table|tr|h[1-6]|pre|blockquote|center|hr|body)\b", re.I)


def html_to_markdown(markup: str) -> str:
    """HTML as Markdown: entities decoded, links with their URL, tables kept; no scripts, styles or images.

    Images go because their URLs are signed or track the reader. Any text is accepted; broken markup is read as a
    browser reads it.

    >>> html_to_markdown("<p>Caf&eacute; <b>open</b>, see <a href='https://a.example/'>hours</a></p>")
    'Café **open**, see [hours](https://a.example/)'
    """
    return _converted(markup, _SETTINGS)


def strip_mail(markup: str) -> str:
    """The HTML body of a mail as Markdown, without the history that it quotes and without its signature.

    What the writer put between or below quoted lines stays, as does a forwarded mail. A mail that would become empty
    stays as it is: it is nothing but a quote, and somebody sent it for a reason.

    >>> strip_mail("<div>It works, thanks!</div><div class='gmail_attr'>On 5 Oct 2026, Jan wrote:</div>"
    ...            "<blockquote class='gmail_quote'>Try again</blockquote>")
    'It works, thanks!'
    """
    outlook = _OUTLOOK_HISTORY.search(markup)
    own = _own_text(markup[: outlook.start()] if outlook else markup)
    if not own or (outlook and _INLINE_HINT.search(own)):
        return html_to_markdown(markup)
    return own


def repair(text: str) -> str:
    """Text as it was meant, where it went through a wrong encoding: UTF-8 read as cp1252, C1 and control characters.

    Correct text stays, but for its normal form (NFC) and its line ends (`\\n`). Entities stay for `to_markdown`.

    >>> repair("\u00c3\u00a9\u00c3\u00a9n \x93caf\u00e9\x94")
    'één “café”'
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(line if _PLAIN.fullmatch(line) else _repaired(line) for line in _LINE.findall(text))


def _repaired(line: str) -> str:
    return fix_and_explain(line, _REPAIRS).text


def to_markdown(text: str, *, is_mail: bool = False) -> str:
    """A body that may be HTML, Markdown or plain text, as Markdown.

    It is HTML where a whole element stands in it, outside code; `<enter>` and `a < b` are plain text. Markdown may hold
    HTML, so what has a heading, a table or fenced code stays as it is. Where no element makes lines, those typed stay.

    Args:
        is_mail: leave out what `strip_mail` leaves out.

    >>> to_markdown("<p>Press <b>Save</b></p>"), to_markdown("Press <enter> &amp; wait")
    ('Press **Save**', 'Press <enter> & wait')
    """
    if _is_html(text):
        markup = text if _LINE_ELEMENT.search(text) else text.replace("\n", "<br>\n")
        return strip_mail(markup) if is_mail else html_to_markdown(markup)
    plain = _trimmed(unescape_html(text))
    return (_own_lines(plain, quotes_removed=False) or plain) if is_mail else plain


def decode(text: str) -> str:
    """Plain text that may carry HTML entities, as names and subjects do, on one line.

    >>> decode(" R&amp;D  Support ")
    'R&D Support'
    """
    return " ".join(html.unescape(text).split())


def _converted(markup: str, settings: ConversionOptions) -> str:
    return _trimmed(convert(markup, settings).content or "")


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\xa0", " ").split("\n")).strip()


def _is_html(text: str) -> bool:
    if not _ELEMENT.search(text):
        return False
    tokens = _MARKDOWN.parse(text)
    if any(token.type in _MARKDOWN_BLOCKS for token in tokens):
        return False
    markup = [token for block in tokens for token in (block, *(block.children or []))]
    return any(token.type in ("html_block", "html_inline") and _ELEMENT.search(token.content) for token in markup)


def _own_text(markup: str) -> str:
    text = re.sub(r"(?:^|\n+)---$", "", _converted(markup, _MAIL_SETTINGS))
    return _own_lines(text, quotes_removed=bool(_QUOTE_MARKUP.search(markup)))


def _own_lines(text: str, *, quotes_removed: bool) -> str:
    own = _without_signature(_without_history(text, quotes_removed=quotes_removed))
    return re.sub(r"\n{3,}", "\n\n", own)


def _without_history(text: str, *, quotes_removed: bool) -> str:
    """Drop quoted lines and their attribution; cut at the header of an older mail that isn't marked as a quote."""
    lines = text.split("\n")
    kept: list[str] = []
    in_history = quotes_removed
    position = 0
    while position < len(lines):
        line = lines[position]
        if _FORWARD.match(line[:_LONGEST_LINE]):
            kept += lines[position:]
            break
        length, may_be_marked = _header_at(lines, position)
        if length:
            position += length
            if may_be_marked and (quotes_removed or any(other.startswith(_QUOTED) for other in lines[position:])):
                in_history = True
                continue
            above = "\n".join(kept)
            return text if _INLINE_HINT.search(above) else above.strip()
        if not (in_history and line.startswith(_QUOTED)):
            kept.append(line)
        position += 1
    return "\n".join(kept).strip()


def _header_at(lines: list[str], position: int) -> tuple[int, bool]:
    """Lines that the header of an older mail takes here (0: none), and whether that mail may be marked by `>`.

    Looks at few and short lines only, which bounds what the library's patterns can cost.
    """
    if _SEPARATOR.match(lines[position][:_LONGEST_LINE]):
        return 1, False
    for length in (1, 2):
        attribution = "\n".join(line.strip() for line in lines[position : position + length])
        if len(attribution) <= _LONGEST_LINE and attribution.endswith(":") and _is_attribution(attribution):
            return length, True
    fields = [_HEADER_FIELD.match(line) for line in lines[position : position + 8]]
    length = next((index for index, match in enumerate(fields) if match is None), len(fields))
    subject = any(match["subject"] for match in fields[:length] if match)
    return (length, False) if length >= 3 and subject else (0, False)


def _is_attribution(text: str) -> bool:
    if not _DATED.search(text):
        return False
    return bool(_ATTRIBUTION.match(text.replace("\n", " ")) or _LANGUAGES.HEADER_REGEX.match(text))


def _without_signature(text: str) -> str:
    """Cut at a closing ("Kind regards", `--`) near the end, where only a signature follows it.

    The library takes everything after a line that begins with a closing for a signature. Here such a line must say
    nothing else ("Thanks, but it still fails" is the writer's own text), and no long line may follow it.
    """
    lines = text.split("\n")
    for position in range(max(1, len(lines) - _SIGNATURE_LINES), len(lines)):
        line = lines[position].strip()
        follows_text = any(len(other.split()) > _SIGNATURE_WORDS for other in lines[position + 1 :])
        if line in ("--", "\\--") or (not follows_text and _is_closing(line)):
            return "\n".join(lines[:position]).strip()
    return text


def _is_closing(line: str) -> bool:
    if not line or len(line) > _LONGEST_LINE or line.startswith(("-", "_", "*", ">")):
        return False
    greeting, _, name = line.partition(",")
    if name.strip() and not name.strip().istitle():
        return False
    return bool(
        len(greeting.split()) <= 6
        and not line.endswith("?")
        and (_CLOSING.fullmatch(greeting) or _LANGUAGES.SIGNATURE_REGEX.search(f"\n{line}"))
    )
