"""Slack: the conversations of a workspace, through the Web API or from an export archive.

What belongs here: which channels are wanted, and which of their conversations. What does not: how messages are got
(`slack_web.py`, `slack_export.py`), the records that they make (`slack_records.py`), and what they say
(`slack_documents.py`).

A record is a thread with its root, or a channel's messages of one day (UTC) outside threads. Slack tells no
modification times, so a record's is the time of its latest message, and all that an edit, a deletion, a new name or a
new member changes shows in `cheap_version`, which is the digest of the record's document.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.conversations import ConversationId
from sync_assets.sources.http import Limits, Timer
from sync_assets.sources.slack_documents import conversation_of
from sync_assets.sources.slack_export import ExportedWorkspace
from sync_assets.sources.slack_messages import Channel, ChannelUnreadable, HistoryHidden, Workspace, moment
from sync_assets.sources.slack_records import Records, latest_reply, roots_of
from sync_assets.sources.slack_web import WebWorkspace

STREAMS = ("messages",)

# A channel's name with or without `#`, its id, or a pattern of either.
ChannelPattern = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^#?[^#\s]+$")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_SKEW = timedelta(days=1)


class Account(BaseModel):
    """One tenant's Slack workspace, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr | None = Field(
        default=None,
        description="Bot token (xoxb-...) with channels:read, channels:history, users:read; for private channels also "
        "groups:read, groups:history",
    )
    export: Path | None = Field(default=None, description="Path of an export archive, in place of a token")
    channels: list[ChannelPattern] | None = Field(
        default=None,
        min_length=1,
        description="Names, ids or patterns of the channels to sync; default all that the app is a member of",
    )
    exclude_channels: list[ChannelPattern] = Field(
        default=[], description="Names, ids or patterns of channels to leave out, whatever else names them"
    )
    private: bool = Field(default=False, description="Sync private channels too, for their members only")
    bots: bool = Field(default=False, description="Keep what apps and bots say")
    thread_rescan_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Age of a thread's root, in days, up to which late replies are looked for",
    )
    history_per_minute: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="Calls in any minute of each of the two methods that list messages; Slack allows 50, and 1 to apps "
        "that are sold to others outside of its Marketplace",
    )
    base_url: str | None = Field(
        default=None, description="Another root for https://slack.com, for a proxy or a simulator"
    )
    limits: Limits = Field(default_factory=Limits, description="How fast and how patiently the account is asked")

    @field_validator("token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and re.fullmatch(r"[!-~]+", value.get_secret_value()) is None:
            raise ValueError("must be a token: letters, digits and dashes")
        return value

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL:
            raise ValueError("not a URL") from None
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
            raise ValueError("must be http(s)://host, without user, query and fragment")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.token is None) == (self.export is None):
            raise ValueError("set exactly one of token and export")
        return self

    def names(self, channel: Channel) -> bool:
        """Whether the allow list is absent or holds the channel."""
        return self.channels is None or _is_in(self.channels, channel)

    def excludes(self, channel: Channel) -> bool:
        return _is_in(self.exclude_channels, channel) or (channel.is_private and not self.private)

    def wants(self, channel: Channel) -> bool:
        return self.names(channel) and not self.excludes(channel)


def utc_now() -> datetime:
    """The present moment; the clock of a source unless another is given."""
    return datetime.now(UTC)


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
        self._expect(stream)
        times: list[datetime] = []
        for channel in self._wanted():
            try:
                for day in self._workspace.days(channel.id, _EPOCH.date(), self._today(), whole=False):
                    times += filter(None, [self._records.last(day), *map(latest_reply, roots_of(day))])
                    times = [min(times), max(times)] if times else []
            except ChannelUnreadable:
                continue
        return (times[0], times[-1]) if times else None

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        self._expect(stream)
        for entry in self._missing():
            yield self._records.closed(entry, self._not_there(entry))
        for channel in self._wanted():
            try:
                _expect_open(channel)
                yield from self._changes(channel, since.astimezone(UTC), until.astimezone(UTC))
            except ChannelUnreadable as error:
                yield self._records.closed(channel.id, str(error))

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        self._expect(stream)
        for _, channel in sorted(self._workspace.channels().items()):
            if not self._account.wants(channel):
                continue
            prefix = str(ConversationId(channel.id, ""))
            try:
                _expect_open(channel)
                yield from map(_live_id, self._all(channel))
            except ChannelUnreadable as error:
                reason = "" if channel.is_archived else self._records.closed(channel.id, str(error)).problem
                yield Hidden(prefix=prefix, reason=reason or "")

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        self._expect(stream)
        return map(self._now, record_ids)

    def to_document(self, stream: str, record: Record) -> Document:
        self._expect(stream)
        return conversation_of(self._tenant, record.record_id, record.payload)

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

    def _readable(self, channel_id: str) -> Channel | None:
        """The channel of a record; None where the settings leave it out.

        Raises:
            ChannelUnreadable: nothing can be said about its messages.
        """
        if _is_in(self._account.exclude_channels, Channel(channel_id, channel_id, is_private=False, is_open=True)):
            return None
        channel = self._workspace.channels().get(channel_id) or self._workspace.unlisted(channel_id)
        if channel is None:
            raise ChannelUnreadable("Slack says nothing about the channel any more")
        if self._account.excludes(channel):
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
        first = max(since, _EPOCH + timedelta(days=self._account.thread_rescan_days)).date()
        first -= timedelta(days=self._account.thread_rescan_days)
        last = min(until.date(), self._today())
        for day in self._workspace.days(channel.id, first, last, whole=False):
            threads: list[Record] = []
            for root in roots_of(day):
                latest = latest_reply(root)
                if latest is None or since <= latest < until:
                    thread = self._records.thread(channel, root["ts"], whole=False)
                    threads += [thread] if thread is not None and _is_within(thread, since, until) else []
            of_day = self._records.day(channel, day)
            # A day that never held anything but joins, or replies sent to all, has no time, and is no news.
            was_said = of_day.event == "malformed" or of_day.modified_at is not None
            if threads or (was_said and _is_within(of_day, since, until)):
                yield of_day
            yield from threads

    def _all(self, channel: Channel) -> Iterator[Record]:
        """Every conversation of a channel, one at a time."""
        for day in self._workspace.days(channel.id, _EPOCH.date(), self._today(), whole=True):
            of_day = self._records.day(channel, day)
            if of_day.event != "deleted":
                yield of_day
            for root in roots_of(day):
                thread = self._records.thread(channel, root["ts"], whole=True)
                if thread is not None:
                    yield thread

    def _now(self, record_id: str) -> Record:
        """A record as it is at this moment."""
        key = ConversationId.parse(record_id)
        try:
            if record_id.startswith("#"):
                if record_id in self._missing():
                    raise ChannelUnreadable(self._not_there(record_id))
                return self._records.gone(record_id)
            channel_id = key.channel_id if key else record_id
            if not channel_id.isalnum() or (key and not key.is_day and moment(key.root) is None):
                return self._records.malformed(record_id, "no conversation in Slack has this id")
            channel = self._readable(channel_id)
            return self._records.gone(record_id) if channel is None else self._of_channel(channel, record_id, key)
        except ChannelUnreadable as error:
            return self._records.closed(record_id, str(error))
        except HistoryHidden as error:
            return self._records.malformed(record_id, str(error))

    def _of_channel(self, channel: Channel, record_id: str, key: ConversationId | None) -> Record:
        if key is not None and key.day is None:
            return self._records.thread(channel, key.root, whole=True) or self._records.gone(record_id)
        today = self._today()
        wanted = key.day if key and key.day else today
        if not _EPOCH.date() <= wanted <= today:
            return self._records.gone(record_id)
        found = list(self._workspace.days(channel.id, wanted, wanted, whole=key is not None))
        # Reading succeeded, which is all that is asked about a channel.
        return self._records.day(channel, found[0]) if key and found else self._records.gone(record_id)


def _expect_open(channel: Channel) -> None:
    if not channel.is_open:
        raise ChannelUnreadable(f"the app is not in #{channel.name}")


def _is_in(entries: Iterable[str], channel: Channel) -> bool:
    patterns = [entry.lstrip("#") for entry in entries]
    return any(fnmatchcase(name, pattern) for name in (channel.name, channel.id) for pattern in patterns)


def _is_within(record: Record, since: datetime, until: datetime) -> bool:
    return record.modified_at is None or since <= record.modified_at < until


def _live_id(record: Record) -> LiveId:
    return LiveId(
        record_id=record.record_id,
        modified_at=record.modified_at or _EPOCH,
        cheap_version=record.cheap_version,
    )
