"""A small Slack workspace for the tests of the source: its data, its Web API as a transport, and its export archive."""

import json
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]

CREATED = datetime(2026, 10, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 12, 12, tzinfo=UTC)
TOKEN = "xoxb-nobody-sees-this"
URL = "https://acme.slack.com"


def ts(day: int, hour: int = 9, minute: int = 0, micro: int = 100) -> str:
    """The ts of a moment in November 2026."""
    moment = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    return f"{int(moment.timestamp())}.{micro:06d}"


class FakeSlack:
    """What a workspace holds, and what it answers.

    Attributes:
        page: most rows of a page, so that every listing takes several.
        refusals: an error code by method, or by method and channel.
        queued: answers that come before any other, by method.
        shape: changes to a good answer, by method.
        limited: channels of which the plan hides older messages.
    """

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.channels: dict[str, Json] = {}
        self.members: dict[str, list[str]] = {}
        self.messages: dict[str, dict[str, Json]] = {}
        self.users: dict[str, Json] = {}
        self.strangers: dict[str, Json] = {}
        self.refusals: dict[str, Json] = {}
        self.queued: dict[str, list[httpx.Response]] = {}
        self.shape: dict[str, Json] = {}
        self.limited: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, str]]] = []

    def channel(self, channel_id: str, name: str, *members: str, private: bool = False, is_member: bool = True) -> str:
        self.channels[channel_id] = {
            "id": channel_id,
            "name": name,
            "created": int(CREATED.timestamp()),
            "is_private": private,
            "is_member": is_member,
        }
        self.members[channel_id] = list(members)
        self.messages[channel_id] = {}
        return channel_id

    def user(self, user_id: str, name: str, **profile: str) -> str:
        self.users[user_id] = {"id": user_id, "name": name, "profile": profile}
        return user_id

    def post(self, channel_id: str, at: str, text: str = "", user: str | None = "U1", **more: Any) -> str:
        self.messages[channel_id][at] = {"type": "message", "user": user, "text": text, "ts": at, **more}
        return at

    def reply(self, channel_id: str, root: str, at: str, text: str = "", user: str = "U2", **more: Any) -> str:
        return self.post(channel_id, at, text, user, thread_ts=root, parent_user_id="U1", **more)

    def delete(self, channel_id: str, at: str) -> None:
        """As Slack does it: a root that has replies stays as a tombstone."""
        replies = self._replies(channel_id, at)
        message = self.messages[channel_id].pop(at)
        if replies:
            self.messages[channel_id][at] = {
                "type": "message",
                "subtype": "tombstone",
                "text": "This message was deleted.",
                "user": "USLACKBOT",
                "hidden": True,
                "ts": at,
            }
        root = message.get("thread_ts")
        if root and not self._replies(channel_id, root) and self._sent(channel_id, root).get("subtype") == "tombstone":
            del self.messages[channel_id][root]

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def archive(self, path: Path, shift_hours: int = 0) -> Path:
        """The workspace as an export, whose days are those of a time zone so many hours east of UTC."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            kinds = {"channels.json": False, "groups.json": True}
            for file, private in kinds.items():
                rows = [
                    {"id": channel_id, "name": channel["name"], "members": self.members[channel_id]}
                    for channel_id, channel in self.channels.items()
                    if channel["is_private"] is private
                ]
                archive.writestr(file, json.dumps(rows))
            archive.writestr("users.json", json.dumps([*self.users.values(), *self.strangers.values()]))
            for channel_id, channel in self.channels.items():
                days: dict[str, list[Json]] = {}
                for at in sorted(self.messages[channel_id]):
                    moment = datetime.fromtimestamp(int(at.partition(".")[0]), UTC) + timedelta(hours=shift_hours)
                    days.setdefault(f"{moment:%Y-%m-%d}", []).append(self._sent(channel_id, at))
                for day, messages in days.items():
                    archive.writestr(f"{channel['name']}/{day}.json", json.dumps(messages))
        return path

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        method, given = request.url.path.removeprefix("/api/"), dict(request.url.params)
        self.calls[method] += 1
        self.asked.append((method, given))
        if self.queued.get(method):
            return self.queued[method].pop(0)
        refusal = self.refusals.get(f"{method} {given.get('channel')}") or self.refusals.get(method)
        body = refusal or self._rows(method, given)
        limit = {"is_limited": True} if given.get("channel") in self.limited else {}
        return httpx.Response(200, json={"ok": "error" not in body, **body, **limit, **self.shape.get(method, {})})

    def _rows(self, method: str, given: dict[str, str]) -> Json:
        channel_id = given.get("channel", "")
        if channel_id and not self._may_see(self.channels.get(channel_id)):
            return {"error": "channel_not_found"}
        match method:
            case "auth.test":
                return {"url": f"{URL}/", "team": "Acme", "user": "sync"}
            case "conversations.list":
                private = [name == "private_channel" for name in given["types"].split(",")]
                shown = [c for c in self.channels.values() if c["is_private"] in private and self._may_see(c)]
                return self._paged("channels", shown, given)
            case "conversations.info":
                return {"channel": self.channels[channel_id]}
            case "conversations.members":
                return self._paged("members", self.members[channel_id], given)
            case "users.list":
                return self._paged("members", list(self.users.values()), given)
            case "users.info":
                user = self.strangers.get(given["user"])
                return {"user": user} if user else {"error": "user_not_found"}
            case "conversations.history":
                return self._history(channel_id, given)
            case "conversations.replies":
                return self._thread(channel_id, given)
            case _:
                raise AssertionError(f"{method} was never to be called")

    @staticmethod
    def _may_see(channel: Json | None) -> bool:
        return channel is not None and (channel["is_member"] or not channel["is_private"])

    def _history(self, channel_id: str, given: dict[str, str]) -> Json:
        if not self.channels[channel_id]["is_member"]:
            return {"error": "not_in_channel"}
        assert given["inclusive"] == "true"
        shown = [
            self._sent(channel_id, at)
            for at, message in sorted(self.messages[channel_id].items(), reverse=True)
            if Decimal(given["oldest"]) <= Decimal(at) <= Decimal(given["latest"])
            and (not isinstance(message.get("thread_ts"), str) or message.get("subtype") == "thread_broadcast")
        ]
        return self._paged("messages", shown, given)

    def _thread(self, channel_id: str, given: dict[str, str]) -> Json:
        root = given["ts"]
        if root not in self.messages[channel_id]:
            return {"error": "thread_not_found"}
        body = self._paged("messages", self._replies(channel_id, root), given)
        return {**body, "messages": [self._sent(channel_id, root), *body["messages"]]}

    def _paged(self, key: str, rows: list[Any], given: dict[str, str]) -> Json:
        assert given["limit"] == "200"
        start = int(given.get("cursor", "0"))
        end = start + self.page
        more = end < len(rows)
        return {
            key: rows[start:end],
            "has_more": more,
            "response_metadata": {"next_cursor": str(end) if more else ""},
        }

    def _replies(self, channel_id: str, root: str) -> list[Json]:
        messages = self.messages[channel_id]
        return [messages[at] for at in sorted(messages) if messages[at].get("thread_ts") == root]

    def _sent(self, channel_id: str, at: str) -> Json:
        message, replies = self.messages[channel_id][at], self._replies(channel_id, at)
        if not replies:
            return message
        latest = replies[-1]["ts"]
        return {**message, "thread_ts": at, "reply_count": len(replies), "latest_reply": latest}
