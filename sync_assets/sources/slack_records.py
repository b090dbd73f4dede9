"""Records of Slack's conversations: which messages of a day or a thread are kept, and what stands beside them.

What belongs here: the way from messages as received, wherever they come from, to one record. What does not: which
channels and which conversations are read (`slack.py`), and the document (`slack_documents.py`).
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sync_assets.documents import Document, Record
from sync_assets.hashing import digest
from sync_assets.sources.conversations import ConversationId
from sync_assets.sources.slack_documents import channels_in, conversation_of, people_in
from sync_assets.sources.slack_messages import (
    Channel,
    ChannelKey,
    Day,
    Thread,
    Workspace,
    is_reply,
    is_root,
    is_said,
    moment,
)

Json = dict[str, Any]


class Records:
    """Makes the records of one workspace.

    Args:
        setting: where the account is configured, for remedies (`tenants.acme.slack`).
        bots: keep what apps and bots say.
        clock: wall clock, for `observed_at`.
    """

    def __init__(
        self, tenant: str, workspace: Workspace, *, setting: str, bots: bool, clock: Callable[[], datetime]
    ) -> None:
        self._tenant = tenant
        self._workspace = workspace
        self._setting = setting
        self._bots = bots
        self._clock = clock

    def day(self, channel: Channel, day: Day) -> Record:
        """A day's messages outside threads; `deleted` where it has none."""
        key = ConversationId(str(channel.key), day.day.isoformat())
        if day.problem:
            return self.malformed(str(key), day.problem, self.last(day), day.messages)
        own = [message for message in day.messages if not is_reply(message) and not is_root(message)]
        return self._record(channel, key, own, self.last(day))

    def thread(self, channel: Channel, root: str, thread: Thread) -> Record | None:
        """A root and its replies; None where there is no such thread, or nobody says anything in it."""
        key = ConversationId(str(channel.key), root)
        if thread.problem:
            return self.malformed(str(key), thread.problem, _latest(_objects(thread)), thread.messages)
        is_thread = any(message["ts"] != root or is_root(message) for message in thread.messages)
        counted = [message for message in thread.messages if message["ts"] == root or self._is_said(message)]
        record = self._record(channel, key, thread.messages, _latest(counted)) if is_thread else None
        return None if record is None or record.event == "deleted" else record

    def last(self, day: Day) -> datetime | None:
        """The time of a day's latest message, roots of threads counted."""
        own = [message for message in _objects(day) if not is_reply(message)]
        return _latest(message for message in own if is_root(message) or self._is_said(message))

    def gone(self, record_id: str, modified_at: datetime | None = None) -> Record:
        """A record that is not there any more."""
        return Record(
            record_id=record_id,
            event="deleted",
            modified_at=modified_at,
            observed_at=self._clock(),
            authoritative=True,
        )

    def closed(self, record_id: str, reason: str) -> Record:
        """A record of a channel that can't be read, or that channel's own."""
        is_name = record_id.startswith("#")
        channel_id = record_id if is_name else ChannelKey.parse(record_id.partition("-")[0]).channel_id
        remedy = (
            f"Invite the app to it (un-archive it first where it is archived), or name {channel_id} in "
            f"{self._setting}.exclude_channels to remove what is stored."
        )
        return self.malformed(record_id, f"{reason}. {remedy}")

    def malformed(
        self, record_id: str, problem: str, modified_at: datetime | None = None, payload: Any = None
    ) -> Record:
        """A record of which something can't be read."""
        return Record(
            record_id=record_id,
            event="malformed",
            modified_at=modified_at,
            cheap_version=digest(json.dumps([problem, payload], sort_keys=True)),
            observed_at=self._clock(),
            authoritative=True,
            payload=payload,
            problem=problem,
        )

    def _record(
        self, channel: Channel, key: ConversationId, messages: list[Json], modified_at: datetime | None
    ) -> Record:
        said = sorted(filter(self._is_said, messages), key=lambda message: (moment(message["ts"]), message["ts"]))
        if not said:
            return self.gone(str(key), modified_at)
        workspace = self._workspace
        people = {user: name for user in sorted(people_in(said)) if (name := workspace.name_of(user))}
        payload: Json = {
            "workspace": workspace.address(),
            "channel": {"id": channel.id, "name": channel.name, "is_private": channel.is_private},
            "members": workspace.members(channel.id) if channel.is_private else [],
            "messages": said,
            "people": people,
            "channels": self._names_of(channels_in(said), channel),
        }
        try:
            document = conversation_of(self._tenant, str(key), payload, files=self._workspace.has_files)
        except ValueError as error:
            return self.malformed(str(key), str(error), modified_at, payload)
        return Record(
            record_id=str(key),
            modified_at=modified_at,
            cheap_version=digest([document.content_hash, document.metadata_hash, *_locators(document)]),
            observed_at=self._clock(),
            authoritative=True,
            payload=payload,
        )

    def _names_of(self, mentioned: set[str], own: Channel) -> dict[str, str]:
        """Names of channels that all who may read this one may know: public ones, and its own."""
        known = self._workspace.channels()
        found = [known[channel_id] for channel_id in sorted(mentioned) if channel_id in known]
        return {channel.id: channel.name for channel in found if not channel.is_private or channel.id == own.id}

    def _is_said(self, message: Json) -> bool:
        return is_said(message, bots=self._bots)


def roots_of(day: Day) -> list[Json]:
    """The messages of a day that have replies."""
    return [message for message in _objects(day) if moment(message.get("ts")) is not None and is_root(message)]


def latest_reply(root: Json) -> datetime | None:
    """When a root says that its last reply was sent; None where it does not say."""
    return moment(root.get("latest_reply"))


def _locators(document: Document) -> list[str]:
    return [file.locator for file in document.attachments]


def _objects(found: Day | Thread) -> list[Json]:
    return [message for message in found.messages if isinstance(message, dict)]


def _latest(messages: Iterable[Json]) -> datetime | None:
    return max(filter(None, (moment(message.get("ts")) for message in messages)), default=None)
