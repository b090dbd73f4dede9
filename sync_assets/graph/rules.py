"""Error codes, versions and hosts in texts, told by their form and by the words around them.

What belongs here: patterns that need no list of names, and what looks like a match but is none (dates, amounts, phone
numbers, file names, issue keys). What does not: names (`matching.py`), and what a mention means (`mentions.py`).
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from http import HTTPStatus
from typing import NamedTuple

from sync_assets.graph.gazetteer import word_set
from sync_assets.graph.spans import Span, Spans
from sync_assets.relations import NodeKind


class Found(NamedTuple):
    """Something that a rule found.

    Attributes:
        key: of the node, in lower case.
        is_link: the host of a URL.
    """

    kind: NodeKind
    key: str
    span: Span
    probability: float
    is_link: bool = False


_DIGITS, _AROUND = re.compile(r"\d+"), 60
_SURE, _LIKELY, _MAYBE = 0.95, 0.85, 0.7

_STATUSES = {status.value for status in HTTPStatus if status.value >= HTTPStatus.BAD_REQUEST}
_REASONS = "|".join(
    sorted({re.escape(status.phrase) for status in HTTPStatus if status.value in _STATUSES}
           | {"Payload Too Large", "Content Too Large", "Unprocessable Content", "Gateway Time-?out"}, key=len,
           reverse=True)
)  # fmt: skip
_HTTP = re.compile(
    rf"\bHTTP(?:S)?(?:/\d(?:\.\d)?)?(?:[ -](?:status|error|code|response|fout|foutcode|statuscode)){{0,2}}[ :=-]{{1,2}}"
    rf"(?P<status>[45]\d\d)\b(?!\.\d)(?:\s+(?:{_REASONS})\b)?|\b(?P<bare>[45]\d\d) (?:{_REASONS})\b",
    re.IGNORECASE,
)
_HEX = re.compile(r"(?<![\w.#])0[xX][0-9a-fA-F]{4,11}\b")
_ADDRESS_BEFORE = re.compile(r"(?:\b(?:at|offset|address|adres|pc|rip|eip)[ :=]*)$", re.IGNORECASE)
_MAIL_REPLY = re.compile(r"(?<![\w.])([45]\d\d)[ -]([45]\.\d{1,3}\.\d{1,3})(?![\w.]?\w)")
# The announcement, and a number that is no amount, date, share or count.
_ANNOUNCED = re.compile(
    r"\b(?P<by>error(?:\s*(?:code|number|no\.?|nr\.?))?|err(?:no)?|exit[ -]?(?:code|status)|return[ -]?code"
    r"|event[ -]?id|stop[ -]?code|fout(?:code|melding|nummer)?(?:\s+(?:nummer|nr\.?|code))?|errorcode|exitcode"
    r"|foutstatus|status[ -]?code|status|code)(?:\s*[:=#]\s*|\s+(?:is\s+)?|\s*\(\s*)[\"'#]?(?P<number>-?\d{1,10})"
    r"(?![\d%€$])(?![.,:/-]\w)(?!\w)(?!\s*(?:times|x|keer|maal|pm|am|uur|uren|hours?|min|minut\w+|sec\w*|days?|dagen|of|van|euro"
    r"|out|uit|people|users?|mensen|gebruikers|procent|percent)\b)",
    re.IGNORECASE,
)
_STATUS_FIRST = re.compile(r"(?<![\w.,#/-])([45]\d\d)[ -](?:error|fout|foutmelding|status|response)s?\b", re.IGNORECASE)
_ONLY_STATUSES = re.compile(r"(?:status.*|code)", re.IGNORECASE)
_NEVER_STATUSES = re.compile(r"(?:exit|return|event|errno|stop)", re.IGNORECASE)
_SYMBOL = re.compile(r"(?<![\w.$/\\-])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+(?![\w=]|\(|\.\w)")
_FAULTS = word_set(
    "ABORTED BAD CLOSED CORRUPT CORRUPTION DENIED DIED ERR ERROR EXCEEDED EXCEPTION EXPIRED FAIL FAILED FAILURE "
    "FAULT INVALID LESS LOST MISMATCH MISSING NOT NXDOMAIN OVERFLOW REFUSED REJECTED RESET TIMEDOUT TIMEOUT "
    "UNABLE UNAVAILABLE UNEXPECTED UNHANDLED UNKNOWN UNREACHABLE VIOLATION"
)
_SETTINGS = word_set(
    "COUNT DEFAULT DIR ENABLE ENABLED FILE FLAG FORMAT HANDLER HOME INTERVAL LEVEL LIMIT LOG MAX MIN MODE MS NULL "
    "ON PATH RATE RETRIES SECONDS SIZE THRESHOLD URL USE"
)
_SYMBOL_ANNOUNCED = re.compile(
    r"\b(?:error|fout(?:code|melding)?|stop ?code|code|bug ?check)\s*[:=(]?\s*[\"'(]?$", re.IGNORECASE
)
_NAMED = re.compile(
    r"(?<![\w.-])(?:BSOD|E(?:ACCES|ADDRINUSE|ADDRNOTAVAIL|AGAIN|CONNABORTED|CONNREFUSED|CONNRESET|EXIST|HOSTDOWN|HOSTUNREACH"
    r"|INVAL|ISDIR|MFILE|NETDOWN|NETUNREACH|NOENT|NOMEM|NOSPC|NOTCONN|NOTDIR|NOTEMPTY|NOTFOUND|PERM|PIPE|PROTO|ROFS"
    r"|TIMEDOUT|AI_AGAIN)|SIG(?:ABRT|BUS|FPE|ILL|KILL|PIPE|QUIT|SEGV|SYS|TERM|TRAP))(?!\w|-\w)"
)
_VENDOR = re.compile(
    r"(?<![\w-])(?:(?:ORA|TNS|PLS|RMAN|SP2)-\d{4,5}|AADSTS\d{4,7}|SQLSTATE\[\w{5}\]|(?:CS|MSB|NETSDK)\d{4})(?![\w-])"
)
# `E-104`, `SC542`: a code where something shows it.
_SHOWN = re.compile(
    r"\b(?:errors?|fout(?:code|melding)?|code|melding|message|display|says?|zegt|geeft|gives?|shows?|showing|toont|meldt)"
    r"(?:\s*[:=]\s*|\s+(?:an?\s+|een\s+|de\s+|the\s+)?)(?:(?:error|fout)?(?:code|melding)?\s*)[\"'“‘(]?"
    r"(?P<code>(?!KB|CVE|ISO|UTF|RFC|SHA|USB|IP|HDMI|CI|KA|Q\d)[A-Z]{1,3}-?\d{2,5})(?![\w-]|\.\w)"
)
_EXCEPTION = re.compile(r"(?<![\w./\\])(?:[A-Za-z_]\w*\.)*[A-Z]\w+(?:Exception|Error)\b(?!\.\w|\()")

_ENDING = r"(?:[-+.]?(?:rc|alpha|beta|dev|post|preview|hotfix|sp|b|p|r)[-.]?\d+|-(?:[a-z]+\.)?\d+|[a-z])?"
_NUMBERS = r"\d+(?:\.\d+)"
_VERSION = re.compile(rf"(?<![\w.,:/@+-])[vV]?(?P<number>{_NUMBERS}{{2,4}}{_ENDING})(?![\w]|[.,:/-]?\d|\.\w|/\w|@)")
_RELEASE = re.compile(r"(?<![\w.-])[12]\dH[12](?![\w-])")
_V = re.compile(rf"(?<![\w.-])[vV](?P<number>\d+(?:\.\d+)*{_ENDING})(?!\w|\.\w|-\d)")
_VERSION_AFTER = re.compile(
    r"(?<![a-z])(?:versions?|versie(?:nummer|s)?|release|firmware|build(?:nummer| number)?|driver|patch|fw|iOS|iPadOS"
    r"|macOS|Android|Ubuntu|Debian|Java|Python|PHP)(?:\s*[:=]\s*|\s+(?:is\s+|nr\.?\s*|number\s+|nummer\s+|van\s+|to\s+|naar\s+)?)[vV]?"
    rf"(?P<number>\d+(?P<more>(?:\.\d+)*){_ENDING})(?!\w|[.,:/-]\d|\.\w|\s*%|\s+(?:of|van)\b)",
    re.IGNORECASE,
)
_WHOLE_NUMBERS = re.compile(r"(?:version|versie|build)", re.IGNORECASE)
_AFTER_PRODUCT = re.compile(
    rf"\s+(?:[vV](?:ersie|ersion)?\.?\s*)?(?P<number>{_NUMBERS}+{_ENDING})(?!\w|[.,:/-]\d|\.\w)"
)
_NO_VERSION_BEFORE = re.compile(
    r"(?:\b(?:section|sectie|paragraaf|paragraph|par\.?|chapter|hoofdstuk|artikel|article|bijlage|appendix|clause|table"
    r"|tabel|figure|figuur|step|stap|tel\.?|telefoon|phone|fax|mobiel|mobile|om|at|gateway|ip|address|adres)\s*"
    r"|[<>]=?\s*|§\s*|[€$£]\s*)$",
    re.IGNORECASE,
)
_IS_VERSION_BEFORE = re.compile(
    r"(?:\bv|version|versie|release|firmware|build|buildnummer|driver|patch|fw)(?:\s+(?:is|nr\.?|number|nummer|van|to|naar))?[\s:=]*v?$",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:[0-3]?\d\.[01]?\d\.(?:19|20)\d\d|(?:19|20)\d\d\.[01]?\d\.[0-3]?\d|[0-3]\d\.[01]\d\.[0-3]\d)")
_PHONE = re.compile(r"0\d")
_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{3})+")
_OCTETS, _LARGEST = 4, 999

_ENDINGS = word_set(
    "com net org info biz eu gov edu mil int cloud dev app online tech site shop io ai co example local internal "
    "lan corp home intra intranet test localdomain ad nl be de fr uk us ca au nz ie lu ch at it es pt pl cz sk hu "
    "ro bg gr fi se no dk is ee lv lt jp cn in br mx za tr ru ua me tv"
)
# Words, which follow a full stop without a space now and then: `klaar.de printer`.
_WORDS = word_set("at be de in is it me no us es ad home test app site shop")
_PACKAGES = word_set("com org net java javax nl io de eu self db this")
_DOMAIN = re.compile(
    r"(?<![\w.@/\\$-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?P<ending>[A-Za-z]{2,11})(?![\w@(-]|\.\w)"
)
_IPV4 = re.compile(r"(?<![\w.@-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\w|/\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f:]*\d)[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*[0-9A-Fa-f](?![\w:]|/\d)"
)
_HOST_OF_URL = re.compile(r"[a-z0-9+]+://(?:[^/@\s?#]*@)?(?P<host>\[[^\]\s]+\]|[^/:?#\s\[\]]+)", re.IGNORECASE)
_MACHINE = re.compile(r"(?<![\w.@/-])(?:[A-Za-z]+\d*-)*[A-Za-z]*\d[A-Za-z0-9]*(?![\w@-]|\.\w)")
_SHARE = re.compile(r"\\\\(?P<host>[A-Za-z][\w-]*\w)(?=\\)")
# What names of machines say of their task; `WEB-123` may be an issue's key, `SRV-12` is none.
_TASKS = word_set(
    "app ap bak bck bkp ctx db dc desktop dfs dns esx esxi exch file fs fw gw host hv kiosk lap laptop lt mail "
    "mon mx nas nb node pc print printer prn proxy prt rds router rtr san server sql srv svr sw switch ts vm vpn "
    "web ws"
)
_MACHINES = word_set("dc desktop esx esxi laptop lt nb pc srv svr ws")


def find(text: str, whole: Spans, product_ends: Collection[int] = ()) -> list[Found]:
    """What the rules find in a text, in order and without overlaps: the longest counts, else the surest.

    Args:
        whole: spans of URLs, addresses and file names, from `matching.wholes`.
        product_ends: where names of products end, after which a number is a version.
    """
    digits = _around_digits(text)
    found = [*_hosts_of_urls(text, whole)]
    for one in (*_errors(text, digits), *_versions(text, digits, product_ends), *_hosts(text, digits)):
        if not whole.overlapping(one.span):
            found.append(one)
    taken = Spans()
    longest_first = sorted(found, key=lambda one: (one.span[0] - one.span[1], -one.probability, one.span))
    return sorted((one for one in longest_first if taken.take(one.span)), key=lambda one: one.span)


def _around_digits(text: str) -> list[Span]:
    """Stretches of a text that hold all its digits with what stands around them, which is all that most rules read."""
    stretches: list[Span] = []
    for number in _DIGITS.finditer(text):
        start, end = max(0, number.start() - _AROUND), number.end() + _AROUND
        if stretches and start <= stretches[-1][1]:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return stretches


def _near(pattern: re.Pattern[str], text: str, stretches: Sequence[Span]) -> Iterator[re.Match[str]]:
    for start, end in stretches:
        yield from pattern.finditer(text, start, end)


def _errors(text: str, digits: Sequence[Span]) -> Iterator[Found]:
    for match in _near(_HTTP, text, digits):
        yield _error(f"http {match['status'] or match['bare']}", match.span(), _SURE)
    for match in _near(_HEX, text, digits):
        if not _ADDRESS_BEFORE.search(text, max(0, match.start() - 12), match.start()):
            yield _error(match[0], match.span(), _SURE)
    for match in _near(_MAIL_REPLY, text, digits):
        yield _error(f"{match[1]} {match[2]}", match.span(), _SURE)
    yield from _announced(text, digits)
    for match in _SYMBOL.finditer(text) if "_" in text else ():
        if _is_fault(text, match):
            yield _error(match[0], match.span(), _SURE)
    for pattern in (_NAMED, _VENDOR):
        for match in pattern.finditer(text):
            yield _error(match[0], match.span(), _SURE)
    for match in _near(_SHOWN, text, digits):
        yield _error(match["code"], match.span("code"), _MAYBE)
    for match in _EXCEPTION.finditer(text) if "Exception" in text or "Error" in text else ():
        yield _error(match[0].rpartition(".")[2], match.span(), _SURE)


def _announced(text: str, digits: Sequence[Span]) -> Iterator[Found]:
    for match in _near(_ANNOUNCED, text, digits):
        number, by = match["number"], match["by"]
        is_status = number.isdigit() and int(number) in _STATUSES and not _NEVER_STATUSES.match(by)
        if is_status or not _ONLY_STATUSES.fullmatch(by):
            yield _error(f"http {number}" if is_status else number, match.span("number"), _LIKELY)
    for match in _near(_STATUS_FIRST, text, digits):
        if int(match[1]) in _STATUSES:
            yield _error(f"http {match[1]}", match.span(1), _LIKELY)


def _is_fault(text: str, match: re.Match[str]) -> bool:
    """Whether an upper-case symbol is an error's name, not a constant's or a variable's."""
    words = set(match[0].split("_"))
    if _SYMBOL_ANNOUNCED.search(text, max(0, match.start() - 20), match.start()):
        return True
    return (match[0].startswith("E_") or bool(words & _FAULTS)) and not words & _SETTINGS


def _versions(text: str, digits: Sequence[Span], product_ends: Collection[int]) -> Iterator[Found]:
    for match in _near(_VERSION, text, digits):
        number, start = match["number"], match.start()
        is_announced = match[0][0] in "vV" or bool(_IS_VERSION_BEFORE.search(text, max(0, start - 24), start))
        follows = start - 1 in product_ends and text[start - 1].isspace()
        if is_announced or follows or _may_be_version(text, match):
            yield _version(number, match.span(), _SURE if is_announced or follows else _LIKELY)
    for match in _near(_RELEASE, text, digits):
        yield _version(match[0], match.span(), _LIKELY)
    for match in _near(_V, text, digits):
        yield _version(match["number"], match.span(), _LIKELY)
    for match in _near(_VERSION_AFTER, text, digits):
        if match["more"] or _WHOLE_NUMBERS.match(match[0]):
            start, end = match.span("number")
            yield _version(match["number"], (start - (text[start - 1] in "vV"), end), _LIKELY)
    for end in product_ends:
        match = _AFTER_PRODUCT.match(text, end)
        if match:
            start, last = match.span("number")
            yield _version(match["number"], (start - (text[start - 1] in "vV"), last), _LIKELY)


def _may_be_version(text: str, match: re.Match[str]) -> bool:
    """Whether three or more numbers with points between are no date, amount, section or IP address."""
    number = match["number"]
    if _DATE.fullmatch(number) or _AMOUNT.fullmatch(number) or _PHONE.match(number):
        return False
    if _NO_VERSION_BEFORE.search(text, max(0, match.start() - 14), match.start()):
        return False
    parts = number.split(".")
    # Four small numbers are an address, even one that can't be right.
    return not (len(parts) == _OCTETS and all(part.isdigit() and int(part) <= _LARGEST for part in parts))


def _hosts(text: str, digits: Sequence[Span]) -> Iterator[Found]:
    for match in _DOMAIN.finditer(text):
        if _is_domain(match[0]):
            yield _host(match[0], match.span(), _SURE)
    for match in _near(_IPV4, text, digits):
        key = _address(match[0])
        is_version = _IS_VERSION_BEFORE.search(text, max(0, match.start() - 24), match.start())
        if key and not is_version:
            yield _host(key, match.span(), _SURE)
    for match in _near(_IPV6, text, digits):
        key = _address(match[0])
        if key:
            yield _host(key, match.span(), _SURE)
    for match in _near(_MACHINE, text, digits):
        if _is_machine(match[0]):
            yield _host(match[0], match.span(), _MAYBE)
    for match in _SHARE.finditer(text):
        yield _host(match["host"], match.span("host"), _LIKELY)


def _hosts_of_urls(text: str, whole: Spans) -> Iterator[Found]:
    for start, end in whole:
        match = _HOST_OF_URL.match(text, start, end)
        if match is None:
            continue
        host = match["host"].rstrip(".")
        bare = host.strip("[]")
        key = bare if _is_domain(bare) else _address(bare)
        if key:
            first = match.start("host") + host.startswith("[")
            yield _host(key, (first, first + len(bare)), _LIKELY)._replace(is_link=True)


def _is_domain(written: str) -> bool:
    """Whether a dotted name ends like a domain, and is no namespace, package, or end of a sentence."""
    labels = written.split(".")
    ending = labels[-1]
    if ending.lower() not in _ENDINGS or labels[0].lower() in _PACKAGES or not any(map(str.isalpha, labels[-2])):
        return False
    if len(labels) == 2:
        return ending.islower() and ending not in _WORDS and not written[0].isupper()
    return ending.islower() or written.isupper()


def _address(written: str) -> str:
    """An IP address as Python writes it; empty where it is none, or is no machine's own."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return ""
    is_mask = address.version == _OCTETS and written.startswith("255.")
    return "" if is_mask or address.is_loopback or address.is_unspecified else str(address)


def _is_machine(written: str) -> bool:
    """Whether the parts of a name with digits say what a machine does."""
    *firsts, last = [re.sub(r"\d+$", "", part).lower() for part in written.split("-")]
    if re.fullmatch(r"(?:desktop|laptop)-[a-z0-9]{7,8}", written.lower()):
        return True
    if not re.search(r"\d{2,5}$", written):
        return False
    if not firsts:
        return last in {"dc", "srv", "svr", "esx"}
    tasks = {*firsts, last}
    if len(firsts) > 1 and not last:  # `sql-prod-01`
        return bool(tasks & _TASKS)
    return bool(tasks & _MACHINES) or (last in _TASKS and any(map(str.isalpha, firsts)))


def _error(key: str, span: Span, probability: float) -> Found:
    return Found(NodeKind.ERROR_CODE, " ".join(key.lower().split()), span, probability)


def _version(key: str, span: Span, probability: float) -> Found:
    return Found(NodeKind.VERSION, key.lower(), span, probability)


def _host(key: str, span: Span, probability: float) -> Found:
    return Found(NodeKind.HOST, key.lower(), span, probability)
