"""What a Discord channel holds, as records: its days and its threads.

What belongs here: which messages make one record, which records a window has, and what a payload carries. What does
not: which channels are read (`discord.py`), and how a payload becomes a document (`discord_documents.py`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import chain, groupby
from typing import Any

from sync_assets.documents import Record, Visibility
from sync_assets.hashing import digest
from sync_assets.sources.conversations import ConversationId
from sync_assets.sources.discord_documents import (
    first_snowflake,
    is_said,
    mentioned_ids,
    message_document,
    snowflake_time,
)
from sync_assets.sources.discord_permissions import Permission
from sync_assets.sources.discord_server import (
    PRIVATE_THREAD,
    WITH_MESSAGES,
    BrokenThread,
    Channel,
    PublicThread,
    Room,
    Server,
    Thread,
)
from sync_assets.sources.discord_web import REFUSED, UNKNOWN, Placed, Web
from sync_assets.sources.http import ApiStatusError

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)

# Upstream's clock may be ahead of ours.
_CLOCK_SKEW = timedelta(days=1)
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)

Json = dict[str, Any]
Day = tuple[date, list[Placed]]


@dataclass(frozen=True)
class Scope:
    """A channel that is read, with who may find what it holds.

    A private thread narrows that to those that take part in it. Whether all of them may still view the channel can't be
    told by principals: it would take the roles of each.

    Attributes:
        room: what the ids of its records begin with.
    """

    server: Server
    channel: Channel
    room: Room
    visibility: Visibility
    principals: list[str]

    @classmethod
    def of(cls, server: Server, channel: Channel) -> "Scope":
        room = server.room(channel)
        if not room.private:
            return cls(server, channel, room, Visibility.INTERNAL, [])
        viewers = server.permissions.viewers(channel.permission_overwrites)
        return cls(server, channel, room, Visibility.RESTRICTED, viewers)

    def conversation(self, root: str) -> ConversationId:
        """The id of one of its conversations."""
        return ConversationId(str(self.room), root)


class Conversations:
    """Reads the channels of one server.

    Every method raises `ApiStatusError` where the bot is refused a whole channel.

    Args:
        bots: whether messages of bots and webhooks are kept.
        clock: wall clock, for `observed_at` and the upper bound of listings.
    """

    def __init__(self, tenant: str, guild_id: str, web: Web, *, bots: bool, clock: Callable[[], datetime]) -> None:
        self._tenant = tenant
        self._guild_id = guild_id
        self._web = web
        self._bots = bots
        self._clock = clock

    def all(self, scope: Scope, active: Iterable[Thread | BrokenThread]) -> Iterator[Record]:
        """Every conversation of a channel.

        Args:
            active: the server's active threads.
        """
        for day in self._days(scope, BEGINNING, self._clock() + _CLOCK_SKEW):
            record = self._day_record(scope, day)
            if record is not None and record.event != "deleted":
                yield record
        yield from self._thread_records(scope, self.threads(scope, active))

    def changed(
        self,
        scope: Scope,
        active: Iterable[Thread | BrokenThread],
        since: datetime,
        until: datetime,
        rescan: timedelta,
    ) -> Iterator[Record]:
        """A channel's conversations whose latest message is of a window.

        A message from which a thread was started in the window has left its day, so that day is given too, as `deleted`
        where it was the only one. A thread that can't be read is given in every window.

        Args:
            rescan: archived threads are looked at where they were archived at most so long before the window.
        """
        threads = list(self.threads(scope, active, since - rescan))
        begun = [thread for thread in threads if isinstance(thread, Thread) and since <= thread.begun_at < until]
        robbed = {snowflake_time(int(thread.id)).date() for thread in begun}
        first, end = _midnight(since), _midnight(min(until, self._clock() + _CLOCK_SKEW) - _TICK) + _DAY
        earlier = (self._day(scope, day) for day in sorted(robbed) if day < first.date())
        for day in chain(earlier, self._days(scope, first, end)):
            record = self._day_record(scope, day)
            if record is None or record.modified_at is None:
                continue
            if day[0] in robbed or (record.event != "deleted" and since <= record.modified_at < until):
                yield record
        recent = [one for one in threads if isinstance(one, BrokenThread) or since <= one.active_at < until]
        yield from self._thread_records(scope, recent)

    def now(self, scope: Scope, conversation: ConversationId) -> Record:
        """A conversation as it is now; `deleted` where it is not there."""
        if conversation.day is not None:
            record = self._day_record(scope, self._day(scope, conversation.day))
        else:
            record = self._thread_now(scope, conversation)
        return record or deleted(str(conversation), self._clock())

    def threads(
        self, scope: Scope, active: Iterable[Thread | BrokenThread], since: datetime | None = None
    ) -> Iterator[Thread | BrokenThread]:
        """A channel's threads, each once: the active ones, and those archived at `since` or later.

        Private ones, which forums have none of, are listed where the bot may manage threads or takes part in them.
        """
        channel_id = scope.channel.id
        archived = [self._web.archived_threads(channel_id, "public", since)]
        if scope.channel.type in WITH_MESSAGES:
            if Permission.MANAGE_THREADS in scope.server.allowed(scope.channel):
                archived.append(self._web.archived_threads(channel_id, "private", since))
            else:
                archived.append(self._web.joined_archived_threads(channel_id, since))
        seen: set[str] = set()
        for thread in chain((thread for thread in active if thread.parent_id == channel_id), *archived):
            if thread.id not in seen:
                seen.add(thread.id)
                yield thread

    def _days(self, scope: Scope, first: datetime, end: datetime) -> Iterator[Day]:
        """A channel's messages from `first` to before `end`, by UTC day, oldest first; a forum has none."""
        if scope.channel.type not in WITH_MESSAGES:
            return
        found = self._web.messages(scope.channel.id, first_snowflake(first), first_snowflake(end))
        for day, placed in groupby(found, key=lambda one: snowflake_time(one.position).date()):
            yield day, list(placed)

    def _day(self, scope: Scope, day: date) -> Day:
        first = datetime.combine(day, time(), UTC)
        return day, [one for _, placed in self._days(scope, first, first + _DAY) for one in placed]

    def _day_record(self, scope: Scope, day: Day) -> Record | None:
        """A day as it is now, `deleted` where threads took all its messages; None where there was none."""
        said = [one for one in day[1] if is_said(one.message, bots=self._bots)]
        if not said:
            return None
        conversation = scope.conversation(day[0].isoformat())
        messages = [one.message for one in said if not _has_thread(one.message)]
        record = self._record(scope, conversation, said[-1], messages, {"day": day[0].isoformat()})
        return record if messages else record.model_copy(update={"event": "deleted"})

    def _thread_now(self, scope: Scope, conversation: ConversationId) -> Record | None:
        try:
            thread = self._web.thread(conversation.root)
        except ApiStatusError as error:
            return self._unread(conversation, error)
        if thread.parent_id != scope.channel.id:
            problem = f"thread {thread.id} belongs to channel {thread.parent_id}"
            return malformed(str(conversation), problem, self._clock())
        return self._thread_record(scope, thread)

    def _thread_records(self, scope: Scope, threads: Iterable[Thread | BrokenThread]) -> Iterator[Record]:
        for record in self._web.map(partial(self._thread_record, scope), threads):
            if record is not None:
                yield record

    def _thread_record(self, scope: Scope, thread: Thread | BrokenThread) -> Record | None:
        """A thread as it is now; None where nobody says anything in it. Runs in the client's threads."""
        conversation = scope.conversation(thread.id)
        if isinstance(thread, BrokenThread):
            return malformed(str(conversation), _unreadable("the thread", thread.problem), self._clock())
        try:
            placed = list(self._web.messages(thread.id))
            if thread.type == PRIVATE_THREAD:
                members = sorted(f"user:{user_id}" for user_id in self._web.thread_members(thread.id))
                scope = replace(scope, visibility=Visibility.RESTRICTED, principals=members)
        except ApiStatusError as error:
            return self._unread(conversation, error)
        except ValueError as error:
            return malformed(str(conversation), _unreadable("a member of the thread", str(error)), self._clock())
        messages = [one.message for one in placed if is_said(one.message, bots=self._bots)]
        if not messages:
            return None
        tags = [tag.name for tag in scope.channel.available_tags if tag.id in thread.applied_tags]
        facts: Json = {"thread": {"id": thread.id, "name": thread.name}, "tags": tags}
        return self._record(scope, conversation, placed[-1], messages, facts)

    def _unread(self, conversation: ConversationId, error: ApiStatusError) -> Record | None:
        """For a thread that is gone None, for one that the bot was refused a malformed record."""
        if error.status == UNKNOWN:
            return None
        if error.status != REFUSED:
            raise error
        problem = (
            f"{error.message} Let the bot read it; who takes part in a private thread is told only to bots with the "
            "Server Members intent."
        )
        return malformed(str(conversation), problem, self._clock())

    def _record(
        self, scope: Scope, conversation: ConversationId, latest: Placed, messages: list[Any], facts: Json
    ) -> Record:
        """A conversation with all that its document needs; malformed where a message of it can't be read."""
        roles, channels = mentioned_ids(messages)
        record = Record(
            record_id=str(conversation),
            modified_at=snowflake_time(latest.position),
            observed_at=self._clock(),
            authoritative=True,
            payload={
                "guild_id": self._guild_id,
                "channel": {"id": scope.channel.id, "name": scope.channel.name},
                "roles": {role_id: role.name for role_id, role in scope.server.roles.items() if role_id in roles},
                "channels": self._channel_names(scope, facts.get("thread"), channels),
                "visibility": scope.visibility.value,
                "principals": scope.principals,
                "messages": messages,
                **facts,
            },
        )
        try:
            document = message_document(self._tenant, record.record_id, record.payload)
        except ValueError as error:
            return record.model_copy(update={"event": "malformed", "problem": str(error)})
        return record.model_copy(update={"cheap_version": digest([document.content_hash, document.metadata_hash])})

    def _channel_names(self, scope: Scope, own: Json | None, channel_ids: Iterable[str]) -> dict[str, str]:
        """Names of mentioned channels and threads, of none that somebody who reads the conversation may not view.

        Args:
            own: the conversation's own thread.
        """
        found = {channel_id: self._shown_name(scope, channel_id) for channel_id in sorted(channel_ids)}
        if own is not None and own["id"] in found:
            found[own["id"]] = own["name"]
        return {channel_id: name for channel_id, name in found.items() if name is not None}

    def _shown_name(self, scope: Scope, channel_id: str) -> str | None:
        place, channel = channel_id, scope.server.channels.get(channel_id)
        name = channel.name if channel else None
        if channel is None and (thread := self._mentioned_thread(scope.server, channel_id)) is not None:
            place, name = thread.parent_id, thread.name
        return name if scope.server.shows_name(place, inside=scope.channel.id) else None

    def _mentioned_thread(self, server: Server, thread_id: str) -> PublicThread | None:
        """A public thread, asked for once."""
        if thread_id not in server.mentioned:
            server.mentioned[thread_id] = self._web.public_thread(thread_id)
        return server.mentioned[thread_id]


def malformed(record_id: str, problem: str, observed_at: datetime) -> Record:
    """The record of a channel or conversation that can't be read."""
    return Record(record_id=record_id, event="malformed", observed_at=observed_at, authoritative=True, problem=problem)


def deleted(record_id: str, observed_at: datetime) -> Record:
    """The record of a conversation that is not there."""
    return Record(record_id=record_id, event="deleted", observed_at=observed_at, authoritative=True)


def _unreadable(what: str, problem: str) -> str:
    return f"Discord sent {what} in a form that can't be read ({problem}); what is stored of it stays as it is"


def _has_thread(message: Any) -> bool:
    """Whether a thread was started from a message: then it belongs to that thread."""
    return isinstance(message, dict) and isinstance(message.get("thread"), dict)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC), time(), UTC)
