"""What a Discord conversation's fields tell of the knowledge graph: its channel, and who spoke there.

What belongs here: pure functions of a payload as `discord.py` builds it, and of its document. All conversations of a
channel stand for the channel, so that what people name there counts for it.
"""

from collections.abc import Iterator
from typing import Any

from sync_assets.documents import Document
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation
from sync_assets.sources.entities import Id, Loose, known, person, relate, telling

_PLATFORM = "discord"

_THREAD_STARTER = 21


class _User(Loose):
    id: Id | None = None
    username: str | None = None
    global_name: str | None = None
    bot: bool = False


class _Said(Loose):
    author: _User = _User()
    webhook_id: Id | None = None


class _Message(_Said):
    type: int = 0
    referenced_message: _Said | None = None

    @property
    def own(self) -> _Said:
        """For the notice that starts a thread, the message that it was started from."""
        starts = self.type == _THREAD_STARTER and self.referenced_message is not None
        return self.referenced_message or self if starts else self


class _Channel(Loose):
    id: Id | None = None
    name: str | None = None


class _Conversation(Loose):
    guild_id: Id | None = None
    channel: _Channel = _Channel()
    messages: list[_Message] = []


def with_graph(document: Document, payload: Any) -> Document:
    """A conversation's document with the channel as its entity, and those who spoke as people of the channel."""
    read = _Conversation.model_validate(payload)
    place = (read.guild_id, read.channel.id)
    url = "https://discord.com/channels/{}/{}".format(*place) if None not in place else None
    channel = known(NodeKind.CHANNEL, _PLATFORM, read.channel.id, read.channel.name, facts={"url": url})
    return telling(document, channel, _speakers(read, channel)) if channel is not None else document


def _speakers(read: _Conversation, channel: Entity) -> Iterator[Relation]:
    """People; neither programs nor webhooks."""
    for said in (message.own for message in read.messages):
        user = said.author
        if not user.bot and said.webhook_id is None:
            speaker = person(_PLATFORM, user.id, user.global_name or user.username, username=user.username)
            yield from relate(EdgeKind.BELONGS_TO, channel if speaker else None, source=speaker)
