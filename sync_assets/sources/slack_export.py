"""A Slack export archive, read in place: a zip with channels, people, and a file for each channel and day.

What belongs here: the archive's layout, and what makes an archive unsafe to read. What does not: which channels are
wanted and what becomes of their messages (`slack.py`). A file's day is one of the workspace's own time zone, and a
thread's replies stand in the files of their own days; so a channel's files are gone through once, to learn which of
them hold a day (UTC) or a thread.
"""

import json
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources.slack_messages import (
    Channel,
    Day,
    Thread,
    created_at,
    is_reply,
    moment,
    once,
    problem_of,
    shown_name,
)

Json = dict[str, Any]

_LARGEST = 256 * 1024 * 1024
# JSON shrinks to a tenth or a thirtieth; deflate's own limit is a thousandth.
_MOST_SHRUNK = 300
_TOO_SMALL_TO_MATTER = 1024 * 1024
_DAY_FILE = re.compile(r".+/(\d{4}-\d{2}-\d{2})\.json", re.S)
_ADDRESS = "https://slack.com"
_ENCRYPTED = 0x1


@dataclass
class _Replies:
    """Where a thread's replies stand: their number, the ts of the last, and the files."""

    count: int = 0
    latest: str = ""
    files: set[str] = field(default_factory=set[str])


@dataclass
class _Contents:
    """What a channel's files hold, messages aside.

    Attributes:
        files: names of the files that hold messages of a day (UTC).
        problems: days of which something can't be read, with the reason.
        threads: replies by the ts of their root.
        roots: the file of each message that is no reply, by its ts.
    """

    files: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set[str]))
    problems: dict[date, str] = field(default_factory=dict[date, str])
    threads: dict[str, _Replies] = field(default_factory=lambda: defaultdict(_Replies))
    roots: dict[str, str] = field(default_factory=dict[str, str])


class ExportedWorkspace:
    """A workspace as an archive holds it. See `slack_messages.Workspace` for the contract."""

    has_files = False

    def __init__(self, tenant: str, path: Path, *, private: bool) -> None:
        self._tenant = tenant
        self._path = path
        self._private = private
        self._archive: zipfile.ZipFile | None = None
        self._names: dict[str, str | None] | None = None
        self._members: dict[str, list[str]] = {}
        self._by_kind = lru_cache(self._read_channels)
        self._dated = lru_cache(self._dated_files)
        self._contents = lru_cache(maxsize=4)(self._read_contents)
        self._messages = lru_cache(maxsize=3)(self._rows)

    def check(self) -> str:
        people = len(self._people())
        return f"archive {self._path.name}, {len(self.channels())} channels, {people} people"

    def address(self) -> str:
        """An archive does not say which workspace it is of; this address leads people to their own."""
        return _ADDRESS

    def channels(self) -> dict[str, Channel]:
        return {**self._by_kind("channels.json"), **(self._by_kind("groups.json") if self._private else {})}

    def unlisted(self, channel_id: str) -> Channel | None:
        return self._by_kind("groups.json").get(channel_id)

    def begins(self) -> date | None:
        return min((day for day, _ in self._dated()), default=None)

    def members(self, channel_id: str) -> list[str]:
        self.channels()
        return self._members.get(channel_id, [])

    def name_of(self, user_id: str) -> str | None:
        return self._people().get(user_id)

    def days(self, channel_id: str, first: date, last: date) -> Iterator[Day]:
        contents = self._contents(channel_id)
        for day in sorted({*contents.files, *contents.problems}, reverse=True):
            if first <= day <= last:
                yield Day(day, self._day(contents, day), contents.problems.get(day))

    def newest(self, channel_id: str) -> list[Any]:
        """Names and checksums of all its files: an archive changes as a whole."""
        return sorted([entry.filename, entry.CRC] for entry in self._zip().infolist())

    def thread(self, channel_id: str, root: str) -> Thread:
        contents = self._contents(channel_id)
        replies = contents.threads[root] if root in contents.threads else _Replies()
        files = sorted(replies.files | ({contents.roots[root]} if root in contents.roots else set()))
        found = [
            message
            for name in files
            for message in self._messages(name)
            if problem_of(message) is None and root in (message["ts"], message.get("thread_ts"))
        ]
        messages = sorted(once(found), key=_time)
        return Thread([_completed(contents, message) for message in messages], _lack(contents, root, messages))

    def read_file(self, file_id: str, max_bytes: int) -> bytes:
        raise FileUnavailable("An export archive names files and does not hold them.", "Use a token in its place.")

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()

    def _day(self, contents: _Contents, day: date) -> list[Any]:
        """A day's messages, replies left out; a root that is not there stands as deleted."""
        messages = [
            _completed(contents, message)
            for name in sorted(contents.files.get(day, ()))
            for message in self._messages(name)
            if problem_of(message) is None and _day_of(message["ts"]) == day and not is_reply(message)
        ]
        lost = [ts for ts in contents.threads if ts not in contents.roots and _day_of(ts) == day]
        tombstones = [_completed(contents, {"type": "message", "subtype": "tombstone", "ts": ts}) for ts in lost]
        return once([*messages, *tombstones])

    # Files

    def _read_contents(self, channel_id: str) -> _Contents:
        contents = _Contents()
        broken: dict[date, str] = {}
        shifts = {timedelta(0)}
        channel = self.channels().get(channel_id) or self.unlisted(channel_id)
        of_channel = [dated for dated in self._dated() if channel and dated[1].rpartition("/")[0] == channel.name]
        for file_day, name in of_channel:
            try:
                messages = self._messages(name)
            except ValueError as error:
                broken[file_day] = f"{name} of the archive can't be read: {error}"
                continue
            for message in messages:
                problem = problem_of(message)
                if problem is not None:
                    contents.problems[file_day] = problem
                    continue
                day = _day_of(message["ts"])
                shifts.add(day - file_day)
                _note(contents, message, day, name)
        for ts in contents.threads.keys() - contents.roots.keys():
            contents.files.setdefault(_day_of(ts), set())
        for file_day, problem in broken.items():
            contents.problems |= {file_day + shift: problem for shift in shifts}
        return contents

    def _dated_files(self) -> list[tuple[date, str]]:
        """The files of all channels' days, oldest first."""
        found: list[tuple[date, str]] = []
        for name in self._zip().namelist():
            matched = _DAY_FILE.fullmatch(name)
            try:
                found += [(date.fromisoformat(matched[1]), name)] if matched else []
            except ValueError:
                continue
        return sorted(found)

    def _read_channels(self, name: str) -> dict[str, Channel]:
        if name not in self._zip().namelist() and name != "channels.json":
            return {}
        found: dict[str, Channel] = {}
        for row in self._listing(name):
            channel_id = row.get("id") if isinstance(row, dict) else None
            if not isinstance(channel_id, str) or not channel_id.isalnum() or not isinstance(row.get("name"), str):
                raise self._unusable(f"{name} lists a channel without a readable id and name")
            is_private = name == "groups.json" or row.get("is_private") is True
            found[channel_id] = Channel(channel_id, row["name"], is_private, is_open=True, created=created_at(row))
            members = row.get("members")
            known = members if isinstance(members, list) else []
            self._members[channel_id] = sorted({member for member in known if isinstance(member, str)})
        return found

    def _people(self) -> dict[str, str | None]:
        if self._names is None:
            rows = [row for row in self._listing("users.json") if isinstance(row, dict)]
            self._names = {str(row.get("id")): shown_name(row) for row in rows}
        return self._names

    def _listing(self, name: str) -> list[Any]:
        if name not in self._zip().namelist():
            raise self._unusable(f"it holds no {name}")
        try:
            return self._rows(name)
        except ValueError as error:
            raise self._unusable(f"{name} can't be read: {error}") from None

    def _rows(self, name: str) -> list[Any]:
        """Raises:
        ValueError: the file is damaged, or holds no list.
        SourceError: it is larger than it says.
        """
        try:
            with self._zip().open(name) as entry:
                content = entry.read(_LARGEST + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise ValueError("it is damaged") from None
        except NotImplementedError:
            raise ValueError("it is packed in a way that is not supported") from None
        except OSError as error:
            raise self._unusable(f"reading failed ({type(error).__name__})") from None
        if len(content) > _LARGEST:
            raise self._unusable(f"{name} holds more than {_LARGEST // 2**20} MB")
        rows = _parsed(content)
        if not isinstance(rows, list):
            raise ValueError("it is not a list")  # noqa: TRY004 the form of a value, not an argument
        return rows

    def _zip(self) -> zipfile.ZipFile:
        if self._archive is None:
            try:
                archive = zipfile.ZipFile(self._path)
            except zipfile.BadZipFile:
                raise self._unusable("it is not a zip archive") from None
            except OSError as error:
                raise self._unusable(f"it can't be opened ({type(error).__name__})") from None
            danger = next(filter(None, map(_danger, archive.infolist())), None)
            if danger is not None:
                archive.close()
                raise self._unusable(danger)
            self._archive = archive
        return self._archive

    def _unusable(self, reason: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: the archive {self._path.name} is not used: {reason}.",
            f"Check tenants.{self._tenant}.slack.export; it must be an export as Slack made it.",
        )


def _danger(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry of the archive must not be read; None where it may."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", entry.filename):
        return "an entry's path leads out of it"
    if entry.flag_bits & _ENCRYPTED:
        return f"{entry.filename} is encrypted"
    if entry.file_size > _LARGEST:
        return f"{entry.filename} holds more than {_LARGEST // 2**20} MB"
    if entry.file_size > max(_TOO_SMALL_TO_MATTER, entry.compress_size * _MOST_SHRUNK):
        return f"{entry.filename} is packed to less than a {_MOST_SHRUNK}th of its size"
    return None


def _note(contents: _Contents, message: Json, day: date, name: str) -> None:
    """Remember where a message stands."""
    if is_reply(message):
        replies = contents.threads[message["thread_ts"]]
        replies.count += 1
        replies.latest = max(replies.latest, message["ts"], key=lambda ts: (len(ts), ts))
        replies.files.add(name)
        return
    contents.files[day].add(name)
    contents.roots[message["ts"]] = name


def _completed(contents: _Contents, message: Json) -> Json:
    """A root with what is known of its replies: older archives do not say, and a deleted reply may still be counted."""
    if message["ts"] in contents.threads:
        replies = contents.threads[message["ts"]]
        known = {"thread_ts": message["ts"], "reply_count": replies.count, "latest_reply": replies.latest}
        return {**message, **known}
    if "thread_ts" in message and not is_reply(message) and not contents.problems:
        return {**message, "reply_count": 0}
    return message


def _lack(contents: _Contents, root: str, messages: list[Json]) -> str | None:
    """Why a thread may be more than what is there, where a file of the channel can't be read."""
    if not contents.problems:
        return None
    if not messages or messages[0]["ts"] != root:
        of_day = contents.problems.get(_day_of(root))
        return of_day or (next(iter(contents.problems.values())) if messages else None)
    return next(iter(contents.problems.values())) if _told_replies(messages[0]) >= len(messages) else None


def _told_replies(message: Json) -> int:
    """How many replies a root says that it has."""
    count, replies = message.get("reply_count"), message.get("replies")
    return max(count if isinstance(count, int) else 0, len(replies) if isinstance(replies, list) else 0)


def _time(message: Json) -> tuple[int, str]:
    """What messages are sorted by; a later `ts` is never shorter."""
    return len(message["ts"]), message["ts"]


def _day_of(ts: str) -> date:
    sent_at = moment(ts)
    if sent_at is None:
        raise ValueError("the ts of a message is not a time")
    return sent_at.date()


def _parsed(content: bytes) -> Any:
    """The JSON value, also where it holds half a surrogate pair, which the fast parser refuses.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
