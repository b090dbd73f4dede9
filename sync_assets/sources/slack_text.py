"""From Slack's markup to Markdown: mrkdwn texts, blocks, attachments and the names of files.

What belongs here: how a text is written. What does not: which messages are read and where they belong
(`slack_messages.py`, `slack_documents.py`). Unknown blocks and elements are passed over, or stand with the fallback
that Slack sends for them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import emoji

Json = dict[str, Any]

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.S)
_ANGLE = re.compile(r"<([^<>\n]+)>")
_SHORT_CODE = re.compile(r":[\w+'-]+:")
_FLAG = re.compile(r":flag-([a-z])([a-z]):")
_SKIN_TONE = re.compile(r":skin-tone-[2-6]:")
_REGIONAL_A = 0x1F1E6
# mrkdwn marks a style where the mark stands at the edge of a word.
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_MENTIONS = ("@", "#", "!")
_GONE_FILES = ("tombstone", "hidden_by_limit")
_STYLES = (("code", "`"), ("strike", "~~"), ("italic", "_"), ("bold", "**"))


@dataclass(frozen=True)
class Names:
    """What ids stand for in a text. A person who is not here stays an id; a channel that is not here may be private,
    so that neither its name, which the markup may hold, nor its id is told.
    """

    people: Mapping[str, str]
    channels: Mapping[str, str]

    def person(self, user_id: str, label: str = "") -> str:
        return f"@{self.people.get(user_id) or label or user_id}"

    def channel(self, channel_id: str) -> str:
        return f"#{self.channels.get(channel_id) or 'private-channel'}"


def message_text(message: Json, names: Names) -> str:
    """All that a message says, as Markdown: its blocks or else its text, its attachments, the names of its files."""
    own = _blocks(message.get("blocks"), names) or mrkdwn(message.get("text") or "", names)
    attached = [_attachment(item, names) for item in _objects(message.get("attachments"))]
    files = [_file(item) for item in files_of(message)]
    return well_formed("\n\n".join(filter(None, [own.strip(), *attached, "\n".join(filter(None, files))])))


def files_of(message: Json) -> list[Json]:
    """The files that a message shares; older ones have a single one."""
    return _objects(message.get("files")) or _objects([message.get("file")])


def file_name(file: Json) -> str:
    """The name of a file, or its title; empty where it has neither."""
    return well_formed(_decoded(_text(file.get("name"))) or _decoded(_text(file.get("title"))))


def mrkdwn(text: str, names: Names) -> str:
    """Slack's own markup as Markdown; code is left as it is, entities are decoded last."""
    pieces = _CODE.split(text)
    pieces[::2] = [_prose(piece, names) for piece in pieces[::2]]
    pieces[1::2] = [_ANGLE.sub(lambda found: _plain_angle(found[1], names), piece) for piece in pieces[1::2]]
    return _decoded("".join(pieces))


def well_formed(text: str) -> str:
    """Text without halves of surrogate pairs, which nothing can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def with_emoji(text: str) -> str:
    """Short codes as characters; a workspace's own stay as they are written."""
    text = _FLAG.sub(
        lambda found: "".join(chr(_REGIONAL_A + ord(letter) - ord("a")) for letter in found.groups()), text
    )
    return _SHORT_CODE.sub(lambda found: emoji.emojize(found[0], language="alias"), _SKIN_TONE.sub("", text))


def _prose(text: str, names: Names) -> str:
    """Markup outside code. Links stand aside meanwhile, since their addresses hold the marks of styles."""
    links: list[str] = []

    def keep(found: re.Match[str]) -> str:
        links.append(_angle(found[1], names))
        return f"\0{len(links) - 1}\0"

    styled = with_emoji(_ANGLE.sub(keep, text.replace("\0", "")))
    styled = _STRUCK.sub(r"~~\1~~", _BOLD.sub(r"**\1**", styled))
    return re.sub(r"\0(\d+)\0", lambda found: links[int(found[1])], styled)


def _angle(content: str, names: Names) -> str:
    """What stands between angle brackets: a mention, a date or a link."""
    target, _, label = content.partition("|")
    if target.startswith(_MENTIONS):
        return _mention(target, label, names)
    if target.startswith(("mailto:", "tel:")):
        return label or target.partition(":")[2]
    return f"[{with_emoji(label)}]({target})" if label and target and label != target else label or target


def _plain_angle(content: str, names: Names) -> str:
    """As `_angle`, in code: the words that are shown."""
    target, _, label = content.partition("|")
    return _mention(target, label, names) if target.startswith(_MENTIONS) else label or target


def _mention(target: str, label: str, names: Names) -> str:
    kind, rest = target[0], target[1:]
    if kind == "@":
        return names.person(rest, label)
    if kind == "#":
        return names.channel(rest)
    if rest.startswith("subteam^"):
        return f"@{label.lstrip('@') or rest.split('^')[1]}"
    if rest.startswith("date^"):
        return label
    return label or f"@{rest}"


def _blocks(blocks: Any, names: Names) -> str:
    return "\n\n".join(filter(None, (_block(block, names).strip() for block in _objects(blocks))))


def _block(block: Json, names: Names) -> str:
    match block.get("type"):
        case "rich_text":
            return "\n".join(filter(None, (_rich_group(group, names) for group in _objects(block.get("elements")))))
        case "section":
            texts = [block.get("text"), *_objects(block.get("fields"))]
            return "\n".join(filter(None, (_text_object(text, names) for text in texts)))
        case "header":
            return f"**{text}**" if (text := _text_object(block.get("text"), names)) else ""
        case "context":
            return " ".join(filter(None, (_text_object(item, names) for item in _objects(block.get("elements")))))
        case "image" | "video":
            return _text_object(block.get("title"), names) or _text(block.get("alt_text"))
        case "markdown":
            return _text(block.get("text"))
        case _:
            return ""


def _text_object(value: Any, names: Names) -> str:
    """A text as blocks hold it: mrkdwn or plain; of an image its description."""
    if not isinstance(value, dict):
        return ""
    text = _text(value.get("text"))
    match value.get("type"):
        case "mrkdwn":
            return mrkdwn(text, names)
        case "image":
            return _text(value.get("alt_text"))
        case _:
            return _decoded(with_emoji(text))


def _rich_group(group: Json, names: Names) -> str:
    elements = _objects(group.get("elements"))
    match group.get("type"):
        case "rich_text_list":
            return _rich_list(group, elements, names)
        case "rich_text_preformatted":
            return f"```\n{_rich_line(elements, names, plain=True).strip(chr(10))}\n```"
        case "rich_text_quote":
            return "\n".join(f"> {line}".rstrip() for line in _rich_line(elements, names).strip("\n").split("\n"))
        case _:
            return _rich_line(elements, names).strip("\n")


def _rich_list(group: Json, items: list[Json], names: Names) -> str:
    indent, offset = (value if isinstance(value := group.get(key), int) else 0 for key in ("indent", "offset"))
    ordered = group.get("style") == "ordered"
    return "\n".join(
        f"{'  ' * min(indent, 8)}{f'{number}.' if ordered else '-'} {_rich_line(_objects(item.get('elements')), names)}"
        for number, item in enumerate(items, start=1 + offset)
    )


def _rich_line(elements: list[Json], names: Names, *, plain: bool = False) -> str:
    return "".join(
        text if plain else _styled(text, element.get("style"))
        for element in elements
        if (text := _rich_element(element, names, plain=plain))
    )


def _rich_element(element: Json, names: Names, *, plain: bool) -> str:
    text, of = _text(element.get("text")), lambda key: _text(element.get(key))
    match element.get("type"):
        case "text":
            return _decoded(text)
        case "link":
            url = of("url").removeprefix("mailto:").removeprefix("tel:")
            is_web = url == of("url")
            return _decoded(f"[{text}]({url})" if text and text != url and is_web and not plain else text or url)
        case "user":
            return names.person(of("user_id"))
        case "channel":
            return names.channel(of("channel_id"))
        case "usergroup":
            return f"@{of('usergroup_id')}"
        case "broadcast":
            return f"@{of('range')}"
        case "emoji":
            return _emoji_element(of("name"), of("unicode"))
        case "date":
            return of("fallback") or _date(element.get("timestamp"))
        case "color":
            return of("value")
        case _:
            return _decoded(text or of("fallback"))


def _styled(text: str, style: Any) -> str:
    """Text in Markdown's marks, which must stand at the words themselves."""
    marks: list[str] = [mark for name, mark in _STYLES if isinstance(style, dict) and style.get(name) is True]
    words = text.strip()
    if not marks or not words:
        return text
    start = text.index(words)
    for mark in marks:
        words = f"{mark}{words}{mark}"
    return f"{text[:start]}{words}{text[start + len(text.strip()) :]}"


def _emoji_element(name: str, code_points: str) -> str:
    try:
        return "".join(chr(int(point, 16)) for point in code_points.split("-")) if code_points else _named_emoji(name)
    except (ValueError, OverflowError):
        return _named_emoji(name)


def _named_emoji(name: str) -> str:
    return with_emoji(f":{name}:") if name else ""


def _date(timestamp: Any) -> str:
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _attachment(attachment: Json, names: Names) -> str:
    """A quoted message, a link's preview, or what an app reports."""
    read: Callable[[str], str] = lambda key: mrkdwn(_text(attachment.get(key)), names).strip()  # noqa: E731
    title, address = read("title"), _text(attachment.get("title_link"))
    lines = [read("pretext"), f"[{title}]({address})" if title and address else title]
    lines.append(_blocks(attachment.get("blocks"), names) or _shared_blocks(attachment, names) or read("text"))
    lines += [_field(field, names) for field in _objects(attachment.get("fields"))]
    return "\n".join(filter(None, lines)) or read("fallback")


def _shared_blocks(attachment: Json, names: Names) -> str:
    """The blocks of a message that was shared into another channel."""
    messages = [_objects([item.get("message")]) for item in _objects(attachment.get("message_blocks"))]
    return "\n\n".join(filter(None, (_blocks(message.get("blocks"), names) for group in messages for message in group)))


def _field(field: Json, names: Names) -> str:
    return ": ".join(filter(None, (mrkdwn(_text(field.get(key)), names).strip() for key in ("title", "value"))))


def _file(file: Json) -> str:
    if file.get("mode") in _GONE_FILES:
        return ""
    name, title = _decoded(_text(file.get("name"))), _decoded(_text(file.get("title")))
    label = f"{name} ({title})" if name and title and title != name else name or title
    return f"File: {label}" if label else ""


def _decoded(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _text(value: Any) -> str:
    """A text or a number as text; anything else says nothing."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
