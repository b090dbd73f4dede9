"""The two demo accounts at their start, the questions asked of them, and the records that they hold now.

`acme` makes cloud phones and office networks, English first; `polder` makes heat pumps and ventilation, Dutch first.
Everything is drawn with fixed seeds from the texts in `data/`, so every start is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from sync_assets.demo.freshdesk import Desk
from sync_assets.demo.knowledge_base import build_knowledge_base
from sync_assets.demo.people import build_people
from sync_assets.demo.records import AccountData, Json
from sync_assets.demo.solutions import sent_article
from sync_assets.demo.threads import build_tickets
from sync_assets.demo.tickets import sent_ticket

Stream = Literal["tickets", "articles"]
STREAMS: tuple[Stream, ...] = ("tickets", "articles")
TENANTS = ("acme", "polder")


@dataclass(frozen=True)
class Question:
    """A question as a user would ask it.

    Attributes:
        record_ids: the documents that answer it: `123` a ticket, `article-77`, `article-77-nl` a translation.
        language: language of the question.
    """

    tenant: str
    text: str
    record_ids: tuple[str, ...]
    language: str


class DemoCompany:
    """Both accounts with what they hold now.

    Attributes:
        desks: the accounts by tenant, as the simulator serves them.
    """

    def __init__(self) -> None:
        self.desks = {tenant: Desk(_start(tenant)) for tenant in TENANTS}

    def records(self, tenant: str, stream: Stream) -> Iterator[tuple[str, Json]]:
        """Every live record with its id, read from memory: the truth that a synced store is compared with.

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
