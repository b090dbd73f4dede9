"""Slack: the conversations of a workspace, through the Web API or from an export archive.

What belongs here: which channels are wanted, and which of their conversations. What does not: how messages are got
(`slack_web.py`, `slack_export.py`), the records that they make (`slack_records.py`), and what they say
(`slack_documents.py`).

A record is a thread with its root, or a channel's messages of one day (UTC) outside threads. Slack tells no
modification times, so a record's is the time of its latest message, and all that an edit, a deletion, a new name or a
new member changes shows in `cheap_version`, which is the digest of the record's document, the files that it names
included.

Ids of private channels' records begin in their own way (`slack_messages.ChannelKey`). So a public channel that turns
private makes new records, for its members, and what everybody could find goes, as it does when the channel is deleted.
What is stored of a private channel of which Slack says nothing any more stays, for the members that it had.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.hashing import digest
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.conversations import ConversationId
from sync_assets.sources.http import Timer
from sync_assets.sources.slack_account import Account
from sync_assets.sources.slack_documents import conversation_of
from sync_assets.sources.slack_export import ExportedWorkspace
from sync_assets.sources.slack_graph import with_graph
from sync_assets.sources.slack_messages import (
    EPOCH,
    Channel,
    ChannelKey,
    ChannelUnreadable,
    Day,
    Workspace,
    moment,
)
from sync_assets.sources.slack_records import Records, latest_reply, roots_of
from sync_assets.sources.slack_web import WebWorkspace

STREAMS = ("messages",)

_CLOCK_SKEW = timedelta(days=1)


class Source:
    """One tenant's Slack workspace, opened for one run. See `sync_assets.sources.Source` for the contract.

    Args:
        clock: wall clock, for `observed_at` and the upper bound of listings.
        timer: paces requests.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        account: Account,
        *,
        clock: Callable[[], datetime] = utc_now,
        timer: Timer = Timer(),  # noqa: B008 it is immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._account = account
        self._clock = clock
        self._setting = f"tenants.{tenant}.slack"
        self._workspace: Workspace
        if account.token is None:
            self._workspace = ExportedWorkspace(tenant, account.export or Path(), private=account.private)
        else:
            self._workspace = WebWorkspace(
                tenant,
                token=account.token,
                private=account.private,
                base_url=account.base_url,
                history_per_minute=account.history_per_minute,
                limits=account.limits,
                timer=timer,
                transport=transport,
            )

        self._records = Records(tenant, self._workspace, setting=self._setting, bots=account.bots, clock=clock)

    def check(self) -> str:
        return self._workspace.check()

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        """Bounds that hold every conversation and cost one listing: not later than the earliest message, and now.

        The first is when the oldest channel was made, or the day before an archive's first, which is one of another
        time zone. None without any channel.
        """
        self._expect(stream)
        created = [channel.created for channel in self._wanted()]
        begins, now = self._workspace.begins(), self._clock()
        if begins is not None:
            created = [datetime.combine(begins, time(), UTC) - timedelta(days=1) for _ in created]
        return (min(*created, now), now) if created else None

    def probe(self, stream: str) -> str:
        """The newest messages of each channel, a call for each. Sweeps find edits and replies further back."""
        self._expect(stream)
        found: list[Any] = []
        for channel in self._wanted():
            try:
                newest = self._workspace.newest(channel.id) if channel.is_open else []
            except ChannelUnreadable as error:
                newest = [str(error)]
            found.append([channel.id, channel.name, channel.is_private, channel.is_open, newest])
        return digest(json.dumps(found))

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        self._expect(stream)
        for entry in self._missing():
            yield self._records.closed(entry, self._not_there(entry))
        for channel in self._wanted():
            try:
                _expect_open(channel)
                yield from self._changes(channel, since.astimezone(UTC), until.astimezone(UTC))
            except ChannelUnreadable as error:
                yield self._records.closed(str(channel.key), str(error))

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        self._expect(stream)
        for _, channel in sorted(self._workspace.channels().items()):
            if not self._account.wants(channel):
                continue
            try:
                _expect_open(channel)
                yield from self._all(channel)
            except ChannelUnreadable as error:
                reason = "" if channel.is_archived else self._records.closed(str(channel.key), str(error)).problem
                yield _hidden(channel, reason or "")

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        self._expect(stream)
        return map(self._now, record_ids)

    def to_document(self, stream: str, record: Record) -> Document:
        self._expect(stream)
        document = conversation_of(self._tenant, record.record_id, record.payload, files=self._workspace.has_files)
        return with_graph(document, record.payload)

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """See `sync_assets.sources.FileSource`.

        Args:
            locator: `{file}` or `{file}/{size}`; the size only tells versions of a snippet apart.
        """
        return self._workspace.read_file(locator.partition("/")[0], max_bytes)

    def close(self) -> None:
        self._workspace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _expect(self, stream: str) -> None:
        if stream not in STREAMS:
            raise SourceError(f"Slack has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")

    def _today(self) -> date:
        return (self._clock() + _CLOCK_SKEW).date()

    # Channels

    def _wanted(self) -> list[Channel]:
        """Channels to read, those included that the settings name and the app is not in."""
        chosen = [channel for _, channel in sorted(self._workspace.channels().items()) if self._account.wants(channel)]
        return [channel for channel in chosen if channel.is_open or self._account.channels is not None]

    def _missing(self) -> list[str]:
        """What the allow list names, patterns aside, and Slack does not list: ids, and names with `#`."""
        known = {name for channel in self._workspace.channels().values() for name in (channel.id, channel.name)}
        named = {entry.lstrip("#") for entry in self._account.channels or [] if not set(entry) & set("*?[")}
        excluded = {entry.lstrip("#") for entry in self._account.exclude_channels}
        return sorted(name if name.isalnum() and name.isupper() else f"#{name}" for name in named - known - excluded)

    def _not_there(self, entry: str) -> str:
        return f"{self._setting}.channels names {entry}, which Slack does not list"

    def _readable(self, key: ChannelKey) -> Channel | None:
        """The channel of a record; None where the settings leave it out, or it is not public, or private, any more.

        Raises:
            ChannelUnreadable: nothing can be said about its messages.
        """
        channel_id = key.channel_id
        if self._account.excludes(Channel(channel_id, channel_id, key.is_private, is_open=True)):
            return None
        channel = self._workspace.channels().get(channel_id) or self._workspace.unlisted(channel_id)
        if channel is None and key.is_private:
            raise ChannelUnreadable("Slack says nothing about the channel any more")
        # One that was public and is not shown was deleted or turned private: it is not for everybody any more.
        if channel is None or channel.key != key or self._account.excludes(channel):
            return None
        if not self._account.names(channel):
            if missing := self._missing():
                raise ChannelUnreadable(f"{self._not_there(missing[0])}, and #{channel.name} may have been called so")
            return None
        _expect_open(channel)
        return channel

    # Records

    def _changes(self, channel: Channel, since: datetime, until: datetime) -> Iterator[Record]:
        """Conversations whose latest message was sent within [since, until), and days that lost a root to a thread."""
        first = max(since, EPOCH + timedelta(days=self._account.thread_rescan_days)).date()
        first -= timedelta(days=self._account.thread_rescan_days)
        last = min(until.date(), self._today())
        for day in self._workspace.days(channel.id, first, last):
            threads: list[Record] = []
            for root in roots_of(day):
                latest = latest_reply(root)
                # The last reply may be one that is not kept, such as a bot's: the thread's own time is no later.
                if latest is None or latest >= since:
                    thread = self._thread(channel, root["ts"])
                    threads += [thread] if thread is not None and _is_within(thread, since, until) else []
            of_day = self._records.day(channel, day)
            # A day that never held anything but joins, or replies sent to all, has no time, and is no news.
            was_said = of_day.event == "malformed" or of_day.modified_at is not None
            if threads or (was_said and _is_within(of_day, since, until)):
                yield of_day
            yield from threads

    def _all(self, channel: Channel) -> Iterator[LiveId | Hidden]:
        """Every conversation of a channel that is shown, one at a time."""
        for day in self._workspace.days(channel.id, EPOCH.date(), self._today()):
            of_day = self._records.day(channel, day)
            if day.is_limited:
                # The oldest day that a plan shows may be cut in the middle. A root that it shows has all its replies.
                yield _hidden(channel, "")
            elif of_day.event != "deleted":
                yield _live_id(of_day)
            for root in roots_of(day):
                thread = self._thread(channel, root["ts"])
                if thread is not None:
                    yield _live_id(thread)

    def _thread(self, channel: Channel, root: str) -> Record | None:
        return self._records.thread(channel, root, self._workspace.thread(channel.id, root))

    def _now(self, record_id: str) -> Record:
        """A record as it is at this moment."""
        wanted = ConversationId.parse(record_id)
        key = ChannelKey.parse(wanted.channel_id if wanted else record_id)
        try:
            if record_id.startswith("#"):
                if record_id in self._missing():
                    raise ChannelUnreadable(self._not_there(record_id))
                return self._records.gone(record_id)
            if not key.channel_id.isalnum() or (wanted and _day_of(wanted) is None):
                return self._records.malformed(record_id, "no conversation in Slack has this id")
            channel = self._readable(key)
            if channel is not None and wanted is not None:
                return self._found(channel, wanted)
            if channel is not None:
                # That it can be read is all that is asked about a channel.
                next(self._workspace.days(channel.id, self._today(), self._today()), None)
            return self._records.gone(record_id)
        except ChannelUnreadable as error:
            return self._records.closed(record_id, str(error))

    def _found(self, channel: Channel, wanted: ConversationId) -> Record:
        """A conversation of a channel that can be read. What is not there is gone, unless it may be kept back."""
        day = wanted.day
        if day is None:
            thread = self._workspace.thread(channel.id, wanted.root)
            record = self._records.thread(channel, wanted.root, thread)
            # Where a thread is shown at all, its later replies are.
            reason = None if thread.messages else self._kept_back(_day_of(wanted), thread.is_limited)
        elif EPOCH.date() <= day <= self._today():
            shown = next(self._workspace.days(channel.id, day, day), Day(day, []))
            record = self._records.day(channel, shown)
            reason = self._kept_back(day, shown.is_limited)
        else:
            record = reason = None
        if record is not None and record.event != "deleted":
            return record
        return self._records.malformed(str(wanted), reason) if reason else self._records.gone(str(wanted))

    def _kept_back(self, day: date | None, is_limited: bool) -> str | None:
        """Why a conversation may be there and not be shown, and what to do about it."""
        begins = self._workspace.begins()
        remedy = f"Or name its channel in {self._setting}.exclude_channels to remove what is stored."
        if is_limited:
            return f"Slack hides older messages, as the workspace's plan has it: change the plan. {remedy}"
        # The first day itself may be cut, since it is one of another time zone.
        if begins is not None and day is not None and day <= begins:
            return f"The archive begins at {begins}, and says nothing of what is older: export it too. {remedy}"
        return None


def _day_of(conversation: ConversationId) -> date | None:
    """The day on which it began; None where its id names neither a day nor a message."""
    began = moment(conversation.root)
    return began.date() if began else conversation.day


def _hidden(channel: Channel, reason: str) -> Hidden:
    return Hidden(prefix=str(ConversationId(str(channel.key), "")), reason=reason)


def _expect_open(channel: Channel) -> None:
    if not channel.is_open:
        raise ChannelUnreadable(f"the app is not in #{channel.name}")


def _is_within(record: Record, since: datetime, until: datetime) -> bool:
    return record.modified_at is None or since <= record.modified_at < until


def _live_id(record: Record) -> LiveId:
    return LiveId(
        record_id=record.record_id,
        modified_at=record.modified_at or EPOCH,
        cheap_version=record.cheap_version,
    )
