"""What the tour plays in the chats: a late reply, an edit and a deletion in each, and all of it back again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from sync_assets.demo.chats import discord_conversations, slack_conversations
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.slack_records import threads
from sync_assets.demo.slack_workspace import SlackWorkspace

# After everything that the companies hold.
_LATE = datetime(2026, 11, 13, 18, tzinfo=UTC)
_REPLY = "Late answer: the restart alone was enough here, nothing else had to be changed."
_EDIT = "Correction: wait two full minutes before it is switched on again."


class Change(NamedTuple):
    """Something that was done upstream, and the conversation that it was done to."""

    tenant: str
    source: str
    what: str
    record_id: str


def play(company: DemoCompany) -> list[Change]:
    """Reply in one thread of each chat, edit a message of another, delete one of a third."""
    changes: list[Change] = []
    for tenant, workspace in company.slack.items():
        changes += [Change(tenant, "slack", *done) for done in _in_slack(workspace)]
    for tenant, guild in company.discord.items():
        changes += [Change(tenant, "discord", *done) for done in _in_discord(guild)]
    return changes


def put_back(company: DemoCompany) -> None:
    """Everything that was said is as at the start."""
    for chat in (*company.slack.values(), *company.discord.values()):
        chat.reset()


def _in_slack(workspace: SlackWorkspace) -> Iterator[tuple[str, str]]:
    kept = set(slack_conversations(workspace.data))
    found = [
        (channel, root, replies)
        for channel, messages in workspace.data.messages.items()
        for root, replies in threads(messages).items()
        if f"{channel}-{root}" in kept
    ]
    longest, second, third = sorted(found, key=lambda thread: len(thread[2]))[-1:-4:-1]
    channel, root, replies = longest
    author = workspace.data.messages[channel][replies[0]]["user"]
    workspace.post(channel, author, _REPLY, thread_ts=root, at=_LATE)
    yield "late reply", f"{channel}-{root}"
    channel, root, replies = second
    workspace.edit(channel, replies[len(replies) // 2], _EDIT, at=_LATE)
    yield "edit", f"{channel}-{root}"
    channel, root, replies = third
    workspace.delete(channel, replies[len(replies) // 2])
    yield "deletion", f"{channel}-{root}"


def _in_discord(guild: DiscordGuild) -> Iterator[tuple[str, str]]:
    data = guild.data
    kept = set(discord_conversations(data))
    found = [
        (f"{data.channels[thread]['parent_id']}-{thread}", thread, list(messages))
        for thread, messages in data.messages.items()
        if f"{data.channels[thread].get('parent_id')}-{thread}" in kept
    ]
    longest, second, third = sorted(found, key=lambda thread: len(thread[2]))[-1:-4:-1]
    record_id, thread, messages = longest
    guild.post(thread, data.messages[thread][messages[-1]]["author"]["id"], _REPLY, at=_LATE)
    yield "late reply", record_id
    record_id, thread, messages = second
    guild.edit(thread, messages[len(messages) // 2], _EDIT, at=_LATE)
    yield "edit", record_id
    record_id, thread, messages = third
    guild.delete(thread, messages[len(messages) // 2])
    yield "deletion", record_id
