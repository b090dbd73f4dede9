"""What a Slack conversation's fields tell of the knowledge graph: its channel, and who spoke there.

What belongs here: pure functions of a payload as `slack_records.py` builds it, and of its document. All conversations
of a channel stand for the channel, so that what people name there counts for it.
"""

from collections.abc import Iterator
from typing import Any

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import Loose, known, person, relate, telling

_PLATFORM = "slack"


class _Channel(Loose):
    id: str | None = None
    name: str | None = None


class _Comment(Loose):
    user: str | None = None


class _Message(Loose):
    user: str | None = None
    bot_id: str | None = None
    # A comment on a file, in older archives, has its author inside.
    comment: _Comment = _Comment()


class _Conversation(Loose):
    workspace: str | None = None
    channel: _Channel = _Channel()
    messages: list[_Message] = []
    people: dict[str, str] = {}


def with_graph(document: Document, payload: Any) -> Document:
    """A conversation's document with the channel as its entity, and those who spoke as people of the channel."""
    read = _Conversation.model_validate(payload)
    url = f"{read.workspace}/archives/{read.channel.id}" if read.workspace else ""
    channel = known(NodeKind.CHANNEL, _PLATFORM, read.channel.id, read.channel.name, facts={"url": url})
    return telling(document, channel, _speakers(read, channel)) if channel is not None else document


def _speakers(read: _Conversation, channel: Entity) -> Iterator[Relation]:
    for message in read.messages:
        user = message.user or message.comment.user
        if user and message.bot_id is None:
            speaker = person(_PLATFORM, user, read.people.get(user))
            yield from relate(EdgeKind.BELONGS_TO, channel, source=speaker)
