"""From what Discord sends to documents: which messages count, what they say, and what stands beside them.

What belongs here: pure functions of a payload as `discord.py` builds it. Embedded texts hold no signed address and
nothing that readers move (reactions, running polls). Ids are 64-bit numbers kept as text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated, Any, NamedTuple

from pydantic import StringConstraints

from sync_assets.documents import Document, Visibility
from sync_assets.sources.conversations import Message, conversation_document
from sync_assets.sources.payloads import Payload, read_payload
from sync_assets.text import repair

PLATFORM = "discord"

Json = dict[str, Any]
Snowflake = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]

_DEFAULT, _REPLY, _COMMAND, _THREAD_STARTER, _MENU_COMMAND, _POLL_RESULT = 0, 19, 20, 21, 23, 46
_PEOPLES_TYPES = (_DEFAULT, _REPLY, _THREAD_STARTER, _POLL_RESULT)
_BOTS_TYPES = (*_PEOPLES_TYPES, _COMMAND, _MENU_COMMAND)
_TEXT_DISPLAY = 10

# Discord counts milliseconds from the start of 2015, in all but the last 22 bits of an id.
_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
_TIME_SHIFT = 22

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.S)
_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_CHANNEL = re.compile(r"<#(\d+)>")
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_COMMAND_LINK = re.compile(r"</([^:<>\n]+):\d+>")
_TIME = re.compile(r"<t:(-?\d{1,15})(?::([A-Za-z]))?>")
_SPOILER = re.compile(r"\|\|(.+?)\|\|", re.S)
_SIGNED_URL = re.compile(r"(https://(?:cdn\.discordapp\.com|media\.discordapp\.net)/[^\s?<>()]*)\?[^\s<>()]*")


class _User(Payload):
    id: str
    username: str
    global_name: str | None = None


class _Attachment(Payload):
    filename: str
    description: str | None = None


class _EmbedField(Payload):
    name: str
    value: str


class _Embed(Payload):
    type: str | None = None
    title: str | None = None
    description: str | None = None
    url: str | None = None
    fields: list[_EmbedField] = []


class _PollMedia(Payload):
    text: str | None = None


class _PollAnswer(Payload):
    answer_id: int
    poll_media: _PollMedia


class _PollCount(Payload):
    id: int
    count: int


class _PollResults(Payload):
    is_finalized: bool = False
    answer_counts: list[_PollCount] = []


class _Poll(Payload):
    question: _PollMedia
    answers: list[_PollAnswer] = []
    results: _PollResults | None = None


class _Sticker(Payload):
    name: str


class _Component(Payload):
    type: int
    content: str | None = None
    components: list["_Component"] = []


class _Content(Payload):
    """What a message says; a forwarded one has no more than this."""

    content: str = ""
    mentions: list[_User] = []
    attachments: list[_Attachment] = []
    embeds: list[_Embed] = []
    sticker_items: list[_Sticker] = []
    poll: _Poll | None = None
    components: list[_Component] = []


class _Snapshot(Payload):
    message: _Content


class _Message(_Content):
    id: Snowflake
    channel_id: Snowflake
    type: int
    author: _User
    message_snapshots: list[_Snapshot] = []
    referenced_message: "_Message | None" = None


class _Place(Payload):
    id: str
    name: str


class _Conversation(Payload):
    """A record's payload.

    Attributes:
        channel: the channel, or the parent of the thread.
        thread: None where it is a day.
        day: `YYYY-MM-DD`; None where it is a thread.
        tags: names of the tags of a forum post.
        roles: names of the roles that the messages mention, by id.
        channels: names of the channels and threads that they mention, by id.
    """

    guild_id: str
    channel: _Place
    thread: _Place | None = None
    day: str | None = None
    tags: list[str] = []
    roles: dict[str, str] = {}
    channels: dict[str, str] = {}
    visibility: str
    principals: list[str] = []
    messages: list[_Message]


class _Names(NamedTuple):
    """What the ids in texts stand for."""

    people: Mapping[str, str]
    roles: Mapping[str, str]
    channels: Mapping[str, str]


def snowflake_time(snowflake: int) -> datetime:
    """When the thing with this id came to be, in UTC, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=snowflake >> _TIME_SHIFT)


def first_snowflake(moment: datetime) -> int:
    """The lowest id that a thing made at `moment` or later can have; 0 for moments before Discord's own."""
    return max(0, (moment - _EPOCH) // timedelta(milliseconds=1) << _TIME_SHIFT)


def is_said(message: Any, *, bots: bool) -> bool:
    """Whether a message, as received, is somebody's words: neither Discord's notices nor, without `bots`, a program's.

    What can't be read counts, so that it is reported and not passed over.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), int):
        return True
    if message["type"] not in (_BOTS_TYPES if bots else _PEOPLES_TYPES):
        return False
    if message["type"] == _THREAD_STARTER:
        starter = message.get("referenced_message")
        return starter is not None and is_said(starter, bots=bots)
    author = message.get("author")
    by_program = "webhook_id" in message or (isinstance(author, dict) and author.get("bot") is True)
    return bots or not by_program


def mentioned_ids(messages: Iterable[Any]) -> tuple[set[str], set[str]]:
    """Ids of the roles and of the channels that messages, as received, mention anywhere."""
    text = json.dumps(list(messages))
    return set(_ROLE.findall(text)), set(_CHANNEL.findall(text))


def message_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A thread, or a channel's messages of one day outside threads.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_Conversation, payload)
    people = {user.id: _name(user) for message in read.messages for user in _people(message)}
    names = _Names(people, read.roles, read.channels)
    channel = _line(read.channel.name)
    thread = _line(read.thread.name) if read.thread else None
    return conversation_document(
        tenant=tenant,
        source=PLATFORM,
        record_id=record_id,
        title=f"#{channel}: {thread}" if thread is not None else f"#{channel}, {read.day}",
        messages=[_said(message, read.guild_id, names) for message in _own(read.messages)],
        metadata={
            "platform": PLATFORM,
            "doc_type": "conversation",
            "kind": "thread" if read.thread else "day",
            "channel": channel,
            "channel_id": read.channel.id,
            "thread": thread,
            "tags": read.tags,
        },
        visibility=Visibility(read.visibility),
        principals=read.principals,
    )


def _own(messages: Iterable[_Message]) -> Iterator[_Message]:
    """Messages in their own words: for the notice that starts a thread, the message that it was started from."""
    for message in messages:
        if message.type != _THREAD_STARTER:
            yield message
        elif message.referenced_message is not None:
            yield message.referenced_message


def _people(message: _Message) -> Iterator[_User]:
    yield message.author
    yield from message.mentions
    yield from chain.from_iterable(snapshot.message.mentions for snapshot in message.message_snapshots)
    if message.referenced_message is not None:
        yield from _people(message.referenced_message)


def _said(message: _Message, guild_id: str, names: _Names) -> Message:
    contents = [message, *(snapshot.message for snapshot in message.message_snapshots)]
    return Message(
        id=message.id,
        sent_at=snowflake_time(int(message.id)),
        author=_name(message.author),
        text="\n\n".join(block for content in contents for block in _blocks(content, names) if block),
        url=f"https://discord.com/channels/{guild_id}/{message.channel_id}/{message.id}",
    )


def _blocks(content: _Content, names: _Names) -> Iterator[str]:
    yield _markdown(content.content, names)
    for embed in content.embeds:
        yield _poll_result(embed) if embed.type == "poll_result" else _embed(embed, content.content, names)
    if content.poll is not None:
        yield _poll(content.poll)
    yield from (_markdown(text, names) for text in _displayed(content.components))
    yield "\n".join(_attachment(attachment) for attachment in content.attachments)
    yield "\n".join(f"Sticker: {_line(sticker.name)}" for sticker in content.sticker_items)


def _embed(embed: _Embed, beside: str, names: _Names) -> str:
    """A preview or a card; its address only where the message itself does not name it."""
    lines = [_markdown(embed.title or "", names), _markdown(embed.description or "", names)]
    lines += [f"{_markdown(field.name, names)}: {_markdown(field.value, names)}" for field in embed.fields]
    url = _unsigned(embed.url or "")
    if url not in beside:
        lines.append(url)
    return "\n".join(filter(None, lines))


def _poll(poll: _Poll) -> str:
    """Question and answers. Votes only once they are final: until then each voter moves them."""
    final = poll.results is not None and poll.results.is_finalized
    counts = {count.id: count.count for count in poll.results.answer_counts} if final and poll.results else {}
    lines = [f"Poll: {_line(poll.question.text or '')}"]
    for answer in poll.answers:
        votes = f" ({counts.get(answer.answer_id, 0)} votes)" if final else ""
        lines.append(f"- {_line(answer.poll_media.text or '')}{votes}")
    return "\n".join(lines)


def _poll_result(embed: _Embed) -> str:
    fields = {field.name: _line(field.value) for field in embed.fields}
    lines = [f"Poll ended: {fields.get('poll_question_text', '')}"]
    if "victor_answer_text" in fields:
        votes = f"{fields.get('victor_answer_votes', '0')} of {fields.get('total_votes', '0')} votes"
        lines.append(f"Most votes: {fields['victor_answer_text']} ({votes})")
    return "\n".join(lines)


def _displayed(components: Iterable[_Component]) -> Iterator[str]:
    for component in components:
        if component.type == _TEXT_DISPLAY:
            yield component.content or ""
        yield from _displayed(component.components)


def _attachment(attachment: _Attachment) -> str:
    """Its name and what it shows; its address is signed and ends within a day."""
    shown = f" ({_line(attachment.description)})" if attachment.description else ""
    return f"Attachment: {_line(attachment.filename)}{shown}"


def _markdown(text: str, names: _Names) -> str:
    """Discord's own markup as Markdown; code is left as it is."""
    pieces = _CODE.split(repair(text))
    pieces[::2] = [_prose(piece, names) for piece in pieces[::2]]
    return _unsigned("".join(pieces)).strip()


def _prose(text: str, names: _Names) -> str:
    text = _SPOILER.sub(r"\1", text)
    text = _EMOJI.sub(r":\1:", text)
    text = _COMMAND_LINK.sub(r"/\1", text)
    text = _TIME.sub(_date, text)
    text = _CHANNEL.sub(lambda found: f"#{_line(names.channels.get(found[1], 'unknown'))}", text)
    text = _ROLE.sub(lambda found: f"@{_line(names.roles.get(found[1], 'unknown-role'))}", text)
    return _USER.sub(lambda found: f"@{names.people.get(found[1], 'unknown-user')}", text)


def _date(found: re.Match[str]) -> str:
    """A moment in UTC, whatever zone its reader would see; only the day where only the day is shown."""
    try:
        moment = datetime.fromtimestamp(int(found[1]), UTC)
    except (ValueError, OverflowError, OSError):
        return found[0]
    return f"{moment:%Y-%m-%d}" if found[2] in ("d", "D") else f"{moment:%Y-%m-%d %H:%M} UTC"


def _unsigned(text: str) -> str:
    return _SIGNED_URL.sub(r"\1", text)


def _name(user: _User) -> str:
    return _line(user.global_name or user.username)


def _line(text: str) -> str:
    return " ".join(repair(text).split())
