"""The three demo companies at their start, the questions asked of them, and the records that they hold now.

`acme` makes cloud phones and office networks, English first; beside the Freshdesk account it has a support database, a
Slack workspace of its own people and its engineers' GitLab. `polder` makes heat pumps and ventilation, Dutch first;
beside the Freshdesk account it has a ticket portal for its own people and its supplier's Backlog. `solara` sells solar
panels and batteries, English with some German articles, and has a Zoho Desk account and its customers' Discord server.
Everything is drawn with fixed seeds from the texts in `data/`, so every start is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from sync_assets.demo import gitlab_content
from sync_assets.demo.backlog_content import build_space
from sync_assets.demo.backlog_records import SpaceData
from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.chats import discord_conversations, slack_conversations
from sync_assets.demo.discord_content import build_guild
from sync_assets.demo.discord_data import GuildData
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.freshdesk import Desk
from sync_assets.demo.gitlab_data import GitLabData
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.knowledge_base import build_knowledge_base
from sync_assets.demo.people import build_people
from sync_assets.demo.portal import PORTAL_TENANT, live_ids, write_portal
from sync_assets.demo.records import AccountData, Json
from sync_assets.demo.slack_content import build_workspace
from sync_assets.demo.slack_records import SlackData
from sync_assets.demo.slack_workspace import SlackWorkspace
from sync_assets.demo.solutions import sent_article
from sync_assets.demo.support_seed import SUPPORT_TENANT, article_ids, write_support_seed
from sync_assets.demo.threads import build_tickets
from sync_assets.demo.tickets import sent_ticket
from sync_assets.demo.work import backlog_records, gitlab_records
from sync_assets.demo.zoho_desk_account import ZohoDesk
from sync_assets.demo.zoho_desk_content import build_account
from sync_assets.demo.zoho_desk_protocol import ZohoData

Stream = Literal["tickets", "articles"]
STREAMS: tuple[Stream, ...] = ("tickets", "articles")
# Of everything that the companies hold.
FIRST_DAY, LAST_DAY = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 13, tzinfo=UTC)
TENANTS = ("acme", "polder")
ZOHO_TENANTS = ("solara",)
SLACK_TENANTS = ("acme",)
DISCORD_TENANTS = ("solara",)
GITLAB_TENANTS = ("acme",)
BACKLOG_TENANTS = ("polder",)


@dataclass(frozen=True)
class Question:
    """A question as a user would ask it.

    Attributes:
        source: where the documents that answer it come from.
        record_ids: those documents: `123` a ticket, `article-77`, `article-77-nl` a translation, `kb-12`, `ci-5`.
        language: language of the question.
    """

    source: str
    tenant: str
    text: str
    record_ids: tuple[str, ...]
    language: str


class DemoCompany:
    """All companies with what they hold now.

    Args:
        portal: where `polder` keeps the database of its ticket portal; without one it has no portal.
        seed: where `acme` keeps the JSON files of its support database; without one it has no support database.

    Attributes:
        desks: the Freshdesk accounts by tenant, as the simulator serves them.
        zoho: the Zoho Desk accounts by tenant, likewise.
        slack, discord: the chats by tenant, likewise.
        gitlab, backlog: where work is done, by tenant, likewise.
    """

    def __init__(self, portal: Path | None = None, seed: Path | None = None) -> None:
        self.desks = {tenant: Desk(_start(tenant)) for tenant in TENANTS}
        self.zoho = {tenant: ZohoDesk(_zoho_start(tenant)) for tenant in ZOHO_TENANTS}
        self.slack = {tenant: SlackWorkspace(_slack_start(tenant)) for tenant in SLACK_TENANTS}
        self.discord = {tenant: DiscordGuild(_discord_start(tenant)) for tenant in DISCORD_TENANTS}
        self.gitlab = {tenant: GitLabInstance(_gitlab_start(tenant)) for tenant in GITLAB_TENANTS}
        self.backlog = {tenant: BacklogSpace(_backlog_start(tenant)) for tenant in BACKLOG_TENANTS}
        self.portal = portal
        self.seed = seed

    def write_files(self) -> None:
        """Put the ticket portal's database and the support database's files in their places, at their start."""
        if self.portal is not None:
            write_portal(self.portal)
        if self.seed is not None:
            write_support_seed(self.seed)

    def record_ids(self, tenant: str, source: str, stream: str) -> list[str]:
        """The id of every live record of a stream as it is now: the truth that a synced store is compared with."""
        if source == "freshdesk":
            return [record_id for record_id, _ in self.records(tenant, stream)]  # pyright: ignore[reportArgumentType]
        if source == "zoho_desk":
            return [record_id for record_id, _ in self.zoho_records(tenant, stream)]
        if source == "slack":
            return sorted(set(slack_conversations(self.slack[tenant].data)))
        if source == "discord":
            return sorted(set(discord_conversations(self.discord[tenant].data)))
        if source == "gitlab":
            return list(gitlab_records(self.gitlab[tenant].data, stream))
        if source == "backlog":
            return list(backlog_records(self.backlog[tenant].data, stream))
        if source == "support_database":
            return article_ids() if self.seed is not None and tenant == SUPPORT_TENANT else []
        if self.portal is None or tenant != PORTAL_TENANT:
            return []
        return live_ids(self.portal, stream)

    def records(self, tenant: str, stream: Stream) -> Iterator[tuple[str, Json]]:
        """Every live record of a Freshdesk account with its id, read from memory.

        A ticket (not deleted, not spam) is as the list sends it with `include=description,stats,requester`, with all
        its `conversations`; an article (published) is as its own request sends it. A translation is a record.
        """
        account = self.desks[tenant].data
        if stream == "tickets":
            for ticket_id, ticket in list(account.tickets.items()):
                if not ticket["spam"] and not ticket.get("deleted"):
                    sent = sent_ticket(account, ticket, ["description", "stats", "requester"])
                    yield str(ticket_id), sent | {"conversations": list(account.conversations[ticket_id])}
            return
        for article_id, translations in list(account.articles.items()):
            for language, article in list(translations.items()):
                if article["status"] == 2:
                    suffix = "" if language == account.language else f"-{language}"
                    yield f"article-{article_id}{suffix}", sent_article(account, article, language)

    def zoho_records(self, tenant: str, stream: str) -> Iterator[tuple[str, Json]]:
        """Every live record of a Zoho Desk account with its id, read from memory; none where there is no account.

        A ticket (not spam, not trashed, not archived) is as its own request sends it, without threads and comments; an
        article (published, not trashed) likewise. A translation is a record.
        """
        if tenant not in self.zoho:
            return
        account = self.zoho[tenant].data
        if stream == "tickets":
            for ticket_id, ticket in list(account.tickets.items()):
                if not any(ticket[mark] for mark in ("isSpam", "isTrashed", "isDeleted", "isArchived")):
                    yield ticket_id, ticket
            return
        for article_id, translations in list(account.articles.items()):
            for locale, article in list(translations.items()):
                if article["status"] == "Published" and not article["isTrashed"]:
                    yield f"article-{article_id}{'' if locale == account.locale else f'-{locale}'}", article


@cache
def _zoho_start(tenant: str) -> ZohoData:
    parts = (_read(f"{tenant}/{name}.yaml") for name in ("account", "articles", "tickets"))
    return build_account(tenant, *parts)


@cache
def _slack_start(tenant: str) -> SlackData:
    return build_workspace(_read(f"{tenant}/slack.yaml"))


@cache
def _discord_start(tenant: str) -> GuildData:
    return build_guild(_read(f"{tenant}/discord.yaml"))


@cache
def _gitlab_start(tenant: str) -> GitLabData:
    return gitlab_content.build_instance(gitlab_content.read_profile(tenant))


@cache
def _backlog_start(tenant: str) -> SpaceData:
    return build_space(_read(f"{tenant}/backlog.yaml"))


@cache
def _start(tenant: str) -> AccountData:
    profile = _read(f"{tenant}/account.yaml")
    account = AccountData(
        tenant=tenant,
        api_key=f"demo-key-{tenant}",
        language=profile["language"],
        translated=profile["translated"],
    )
    build_people(account, profile)
    build_knowledge_base(account, _read(f"{tenant}/articles.yaml"))
    build_tickets(account, profile, _read(f"{tenant}/scenarios.yaml"), _read("phrases.yaml"))
    return account


def _read(name: str) -> Any:
    text = files("sync_assets.demo").joinpath("data").joinpath(*name.split("/")).read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


QUESTIONS = [
    Question(**(question | {"record_ids": tuple(question["record_ids"])})) for question in _read("questions.yaml")
]
