"""One Slack workspace as it is served, with what a person in the app can do there; its faults, limits and log."""

from collections import Counter, defaultdict, deque
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Self

from pydantic import Field, model_validator

from sync_assets.demo.faults import Fault, Faults
from sync_assets.demo.freshdesk import now
from sync_assets.demo.records import Json
from sync_assets.demo.slack_records import (
    SlackData,
    editor_blocks,
    free_ts,
    make_private,
    new_message,
    seconds_of,
    sent_message,
    threads,
    timestamp,
    tombstone,
)

_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class SlackLimits:
    """What an app may ask for.

    Attributes:
        tier_2: calls in any minute of each of `conversations.list` and `users.list`.
        tier_3: likewise of each of `conversations.history`, `.replies`, `.info` and `team.info`.
        tier_4: likewise of each of `conversations.members`, `users.info`, `files.info` and `auth.test`.
        page: most rows of a page, whatever `limit` asks for; Slack calls the page size a hint.
    """

    tier_2: int = 20
    tier_3: int = 50
    tier_4: int = 100
    page: int = 1000


class SlackFault(Fault):
    """One order, as posted to `{root}/_demo/faults`; its path is `/api/{method}?{parameters}`.

    A malformed message is had by a change of that message, so `malformed` and `record_id` are refused here.

    Attributes:
        error: answer with status 200, `ok: false` and this error, and do nothing.
        answer: put these values into the answer in place of its own.
    """

    error: str | None = None
    answer: Json = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_no_record(self) -> Self:
        if self.malformed is not None or self.record_id is not None:
            raise ValueError("a message is malformed by PATCH messages/{channel}/{ts}")
        return self


class SlackWorkspace:
    """One workspace: what it holds now, and what people do there.

    Every action takes `at`, its moment; the present one where it is not given. An id that nothing has is a `KeyError`.

    Attributes:
        data: the present records.
        requests: answered requests by method, such as `conversations.history`.
    """

    def __init__(self, start: SlackData) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: records, scopes, faults, counts and limits."""
        self.data = deepcopy(self._start)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self._calls: dict[str, deque[datetime]] = defaultdict(deque)

    def admit(self, method: str, per_minute: int, moment: datetime) -> int:
        """Count a call of a method; returns the seconds to wait where too many came in the last minute, else 0."""
        calls = self._calls[method]
        while calls and calls[0] <= moment - _WINDOW:
            calls.popleft()
        if len(calls) >= per_minute:
            return max(1, ceil((calls[0] + _WINDOW - moment).total_seconds()))
        calls.append(moment)
        return 0

    def post(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str | None = None,
        at: datetime | None = None,
        **attributes: Any,
    ) -> Json:
        """Post a message or, with the `ts` of a message, a reply in its thread.

        Args:
            user: a user's id, or the id of a webhook's bot.
            attributes: more of the message, or in place of its own.

        Returns:
            The message as it is sent.
        """
        messages = self.data.messages[channel]
        ts = free_ts(messages, at or now())
        message = new_message(self.data, user, text, ts) | attributes
        if thread_ts is not None:
            root = messages[thread_ts].get("thread_ts", thread_ts)
            message |= {"thread_ts": root, "parent_user_id": messages[root].get("user")}
        messages[ts] = message
        return self.message(channel, ts)

    def message(self, channel: str, ts: str) -> Json:
        """A message as it is sent."""
        messages = self.data.messages[channel]
        return sent_message(messages, ts, threads(messages)[ts])

    def edit(self, channel: str, ts: str, text: str, at: datetime | None = None) -> None:
        """Give a message another text; it keeps its `ts`."""
        message = self.data.messages[channel][ts]
        message.pop("blocks", None)
        edited = {"user": message.get("user"), "ts": timestamp((at or now()).replace(microsecond=0))}
        message.update({"text": text, "edited": edited}, **editor_blocks(text))

    def delete(self, channel: str, ts: str) -> None:
        """Delete a message. A root with replies leaves a tombstone, which goes with the last of them."""
        messages = self.data.messages[channel]
        root = messages.pop(ts).get("thread_ts")
        replies = threads(messages)
        if ts in replies:
            messages[ts] = tombstone(ts)
        if root in messages and root not in replies and messages[root].get("subtype") == "tombstone":
            del messages[root]

    def delete_file(self, file: str) -> None:
        """Delete a file; the messages that shared it keep a tombstone of it."""
        shared = [
            (message["files"], place)
            for messages in self.data.messages.values()
            for message in messages.values()
            for place, found in enumerate(message.get("files", []))
            if found["id"] == file
        ]
        if not shared:
            raise KeyError(file)
        for files, place in shared:
            files[place] = {"id": file, "mode": "tombstone"}

    def join(self, channel: str, user: str, at: datetime | None = None) -> None:
        """Make a user a member, with the message that says so."""
        if user not in self.data.users:
            raise KeyError(user)
        if user not in self.data.members[channel]:
            self._notice(channel, user, "channel_join", f"<@{user}> has joined the channel", at)
            self.data.members[channel].append(user)

    def leave(self, channel: str, user: str, at: datetime | None = None) -> None:
        """Take a member out, with the message that says so; also how the app loses a channel."""
        if user in self.data.members[channel]:
            self._notice(channel, user, "channel_leave", f"<@{user}> has left the channel", at)
            self.data.members[channel].remove(user)

    def rename_channel(self, channel: str, name: str, at: datetime | None = None) -> None:
        """Give a channel another name, with the message that says so."""
        facts = self.data.channels[channel]
        old = facts["name"]
        text = f'has renamed the channel from "{old}" to "{name}"'
        self._notice(channel, facts["creator"], "channel_name", text, at, old_name=old, name=name)
        facts.update(name=name, name_normalized=name, previous_names=[old, *facts["previous_names"]])

    def rename_user(self, user: str, display_name: str, at: datetime | None = None) -> None:
        """Give a user another display name."""
        person = self.data.users[user]
        person["updated"] = seconds_of(at or now())
        person["profile"].update(display_name=display_name, display_name_normalized=display_name)

    def archive(self, channel: str, archived: bool = True, at: datetime | None = None) -> None:
        """Archive a channel, which puts all members out of it and the app too, or bring it back without members."""
        facts = self.data.channels[channel]
        subtype, text = ("channel_archive", "archived") if archived else ("channel_unarchive", "un-archived")
        self._notice(channel, facts["creator"], subtype, f"{text} the channel", at)
        facts["is_archived"] = archived
        if archived:
            self.data.members[channel].clear()

    def set_private(self, channel: str, private: bool = True) -> None:
        """Make a channel private or public."""
        make_private(self.data.channels[channel], private)

    def delete_channel(self, channel: str) -> None:
        """A channel with all its messages is gone for good."""
        del self.data.channels[channel], self.data.members[channel], self.data.messages[channel]

    def _notice(self, channel: str, user: str, subtype: str, text: str, at: datetime | None, **attributes: Any) -> None:
        """A message that Slack writes itself in a person's name."""
        messages = self.data.messages[channel]
        ts = free_ts(messages, at or now())
        messages[ts] = {"type": "message", "subtype": subtype, "user": user, "text": text, "ts": ts} | attributes
