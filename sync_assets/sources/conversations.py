"""What all chats share: which messages make one conversation, and a conversation's document.

A conversation is a thread with its root, or a channel's messages of one UTC day outside threads. What belongs here:
its id, and the way from its messages to parts. How one system marks up a text is in that system's own module, how
parts become windows of messages in `chunking/conversation.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, Self

from sync_assets.documents import Document, Part, Visibility, public_metadata

ROLE = "message"


class Message(NamedTuple):
    """One message as people read it.

    Attributes:
        id: upstream's own, unique in its conversation.
        author: the name that is shown.
        text: Markdown, names resolved; empty where there is nothing to read.
        url: where a person can open it.
    """

    id: str
    sent_at: datetime
    author: str
    text: str
    url: str


class ConversationId(NamedTuple):
    """Which conversation: its text is the record's id.

    >>> str(ConversationId("C0A1", "2026-11-05"))
    'C0A1-2026-11-05'

    Attributes:
        root: upstream's id of a thread, or a day as `YYYY-MM-DD`.
    """

    channel_id: str
    root: str

    @classmethod
    def of_day(cls, channel_id: str, moment: datetime) -> Self:
        return cls(channel_id, f"{moment.astimezone(UTC):%Y-%m-%d}")

    @classmethod
    def parse(cls, record_id: str) -> Self | None:
        """None where the text is no conversation's id, such as that of a channel alone."""
        channel_id, dash, root = record_id.partition("-")
        return cls(channel_id, root) if channel_id and dash and root else None

    @property
    def day(self) -> date | None:
        """None for a thread."""
        if len(self.root) != len("YYYY-MM-DD"):
            return None
        try:
            return date.fromisoformat(self.root)
        except ValueError:
            return None

    @property
    def is_day(self) -> bool:
        return self.day is not None

    def __str__(self) -> str:
        return f"{self.channel_id}-{self.root}"


def conversation_document(
    *,
    tenant: str,
    source: str,
    record_id: str,
    title: str,
    messages: Sequence[Message],
    metadata: Mapping[str, Any],
    visibility: Visibility,
    principals: Sequence[str],
) -> Document:
    """The document of a conversation: one part for each message that holds text, in the order of their times.

    Args:
        messages: each id once.
        metadata: facts about the channel; who took part, when, and how many messages, are added.
    """
    said = sorted((message for message in messages if message.text.strip()), key=lambda one: (one.sent_at, one.id))
    parts = [
        Part(
            path=message.id,
            role=ROLE,
            text=f"{message.author}: {message.text.strip()}",
            visibility=visibility,
            principals=list(principals),
            metadata={"author": message.author, "sent_at": message.sent_at.isoformat(), "link": message.url},
        )
        for message in said
    ]
    facts: dict[str, Any] = {**metadata, "participants": sorted({message.author for message in said})}
    if said:
        facts |= {
            "started_at": said[0].sent_at.isoformat(),
            "ended_at": said[-1].sent_at.isoformat(),
            "messages": len(said),
        }
    return Document(
        tenant=tenant,
        source=source,
        stream="messages",
        record_id=record_id,
        title=title,
        url=said[0].url if said else None,
        parts=parts,
        metadata=public_metadata(facts),
        visibility=visibility,
        principals=list(principals),
    )
