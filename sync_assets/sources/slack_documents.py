"""From a Slack conversation to a document: who said what, in which channel, and who may find it.

What belongs here: pure functions of a payload as `slack.py` builds it, and what such a payload must name. How a text is
written is in `slack_text.py`. Embedded texts hold nothing of the conversation's own channel.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from sync_assets.documents import Document, Visibility
from sync_assets.sources.conversations import ConversationId, Message, conversation_document
from sync_assets.sources.payloads import Payload, read_payload
from sync_assets.sources.slack_files import attachments_of
from sync_assets.sources.slack_messages import moment
from sync_assets.sources.slack_text import Names, message_text, well_formed

PLATFORM = "slack"

Json = dict[str, Any]

_TITLE_LENGTH = 80
_MENTION = re.compile(r"<([@#])([A-Z0-9]+)")


class _Channel(Payload):
    id: str
    name: str
    is_private: bool


class _BotProfile(Payload):
    name: str | None = None


class _Comment(Payload):
    user: str | None = None


class _Message(Payload):
    """What must be right in a message for it to be read; its text is rendered from the message as received."""

    ts: str
    user: str | None = None
    username: str | None = None
    bot_id: str | None = None
    bot_profile: _BotProfile | None = None
    comment: _Comment | None = None
    text: str | None = None
    blocks: list[Json] | None = None
    attachments: list[Json] | None = None
    files: list[Json] | None = None

    def author(self, people: dict[str, str]) -> str:
        """The name that is shown; an id where there is none."""
        if self.bot_id:
            shown = self.username or (self.bot_profile.name if self.bot_profile else None)
            name = shown or people.get(self.user or "") or self.bot_id
        else:
            # A comment on a file, in older archives, has its author inside.
            user = self.user or (self.comment.user if self.comment else None) or ""
            name = people.get(user) or user or self.username or "unknown"
        return well_formed(name)


class _Conversation(Payload):
    workspace: str
    channel: _Channel
    members: list[str]
    messages: list[Json]
    people: dict[str, str] = Field(default_factory=dict[str, str])
    channels: dict[str, str] = Field(default_factory=dict[str, str])


def conversation_of(tenant: str, record_id: str, payload: Any, *, files: bool) -> Document:
    """A day of a channel, or a thread. Private channels are for their members only, and so are their files.

    Args:
        files: whether files can be read; where not, they are named only.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(_Conversation, payload)
    key = ConversationId.parse(record_id)
    if key is None:
        raise ValueError("the record's id names no conversation")
    names = Names(read.people, read.channels)
    messages = [_message(message, key, read, names) for message in read.messages]
    is_private = read.channel.is_private
    document = conversation_document(
        tenant=tenant,
        source=PLATFORM,
        record_id=record_id,
        title=_title(read.channel.name, key, messages),
        messages=messages,
        metadata={
            "platform": PLATFORM,
            "doc_type": "conversation",
            "channel": read.channel.name,
            "channel_id": read.channel.id,
            "kind": "day" if key.is_day else "thread",
            "thread_ts": None if key.is_day else key.root,
        },
        visibility=Visibility.RESTRICTED if is_private else Visibility.INTERNAL,
        principals=sorted(f"user:{member}" for member in read.members) if is_private else [],
    )
    attachments = attachments_of(read.messages, document.visibility, document.principals) if files else []
    return document.model_copy(update={"attachments": attachments})


def people_in(messages: Sequence[Json]) -> set[str]:
    """Ids of the people who speak or are mentioned."""
    spoken = [item for message in messages for item in (message, message.get("comment")) if isinstance(item, dict)]
    speakers = {user for item in spoken if isinstance(user := item.get("user"), str)}
    return speakers | {name for kind, name in _mentions(messages) if kind == "@"}


def channels_in(messages: Sequence[Json]) -> set[str]:
    """Ids of the channels that are mentioned."""
    return {name for kind, name in _mentions(messages) if kind == "#"}


def _mentions(messages: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """Kind (`@` or `#`) and id of all that is mentioned, in texts and in blocks, at any depth."""
    left: list[Any] = list(messages)
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield from _MENTION.findall(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            ids = (("@", value.get("user_id")), ("#", value.get("channel_id")))
            yield from ((kind, name) for kind, name in ids if isinstance(name, str))


def _message(message: Json, key: ConversationId, read: _Conversation, names: Names) -> Message:
    said = read_payload(_Message, message)
    sent_at = moment(said.ts)
    if sent_at is None:
        raise ValueError("the ts of a message is not a time")
    return Message(said.ts, sent_at, said.author(read.people), message_text(message, names), _link(said.ts, key, read))


def _link(ts: str, key: ConversationId, read: _Conversation) -> str:
    url = f"{read.workspace}/archives/{read.channel.id}/p{ts.replace('.', '')}"
    return url if key.is_day or ts == key.root else f"{url}?thread_ts={key.root}&cid={read.channel.id}"


def _title(channel: str, key: ConversationId, messages: list[Message]) -> str:
    if key.is_day:
        return well_formed(f"#{channel}, {key.root}")
    first = next((message.text for message in messages if message.text), "")
    line = next((line.strip() for line in first.splitlines() if line.strip("`> ")), "")
    began = datetime.fromtimestamp(int(key.root.partition(".")[0]), UTC)
    return well_formed(f"#{channel}: {line[:_TITLE_LENGTH].rstrip() or f'thread of {began:%Y-%m-%d}'}")
