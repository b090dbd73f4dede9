"""Freshdesk's objects as its API sends them: made here for the starting data and for every write alike."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.entities import codepoint2name
from html.parser import HTMLParser
from typing import Any

Json = dict[str, Any]

STATUSES = {
    2: ["Open", "Being Processed"],
    3: ["Pending", "Awaiting your Reply"],
    4: ["Resolved", "This ticket has been Resolved"],
    5: ["Closed", "This ticket has been Closed"],
    6: ["Waiting on Third Party", "Waiting on a supplier"],
    8: ["Engineer On Site", "An engineer has been planned"],
}
PRIORITIES = {"Low": 1, "Medium": 2, "High": 3, "Urgent": 4}
SOURCES = {"Email": 1, "Portal": 2, "Phone": 3, "Chat": 7, "Feedback Widget": 9, "Outbound Email": 10}


@dataclass
class AccountData:
    """All that one account holds, in wire form.

    Attributes:
        conversations: replies and notes by ticket id, in order of creation.
        articles: by article id, then by language.
        names: `(kind, id, language)` of a category or folder to its translated name.
    """

    tenant: str
    api_key: str
    language: str
    translated: list[str] = field(default_factory=list[str])
    agents: dict[int, Json] = field(default_factory=dict[int, Json])
    groups: dict[int, Json] = field(default_factory=dict[int, Json])
    companies: dict[int, Json] = field(default_factory=dict[int, Json])
    contacts: dict[int, Json] = field(default_factory=dict[int, Json])
    ticket_fields: list[Json] = field(default_factory=list[Json])
    tickets: dict[int, Json] = field(default_factory=dict[int, Json])
    conversations: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    categories: dict[int, Json] = field(default_factory=dict[int, Json])
    folders: dict[int, Json] = field(default_factory=dict[int, Json])
    articles: dict[int, dict[str, Json]] = field(default_factory=dict[int, dict[str, Json]])
    names: dict[tuple[str, int, str], str] = field(default_factory=dict[tuple[str, int, str], str])


def timestamp(moment: datetime) -> str:
    """A moment as Freshdesk sends it: UTC, whole seconds.

    >>> timestamp(datetime(2026, 10, 1, 9, 12, 3, 999, tzinfo=UTC))
    '2026-10-01T09:12:03Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_ticket(
    ticket_id: int, subject: str, description: str, requester_id: int, at: datetime, **attributes: Any
) -> Json:
    """A ticket with every attribute that Freshdesk sends; `attributes` overrides the defaults."""
    ticket: Json = {
        "cc_emails": [],
        "fwd_emails": [],
        "reply_cc_emails": [],
        "ticket_cc_emails": [],
        "fr_escalated": False,
        "spam": False,
        "email_config_id": None,
        "group_id": None,
        "priority": 1,
        "requester_id": requester_id,
        "responder_id": None,
        "source": 2,
        "company_id": None,
        "status": 2,
        "subject": subject,
        "association_type": None,
        "support_email": None,
        "to_emails": None,
        "product_id": None,
        "id": ticket_id,
        "type": None,
        "due_by": None,
        "fr_due_by": None,
        "is_escalated": False,
        "description": description,
        "description_text": plain_text(description),
        "custom_fields": {},
        "created_at": timestamp(at),
        "updated_at": timestamp(at),
        "tags": [],
        "attachments": [],
        "associated_tickets_count": None,
        "nr_due_by": None,
        "nr_escalated": False,
        "stats": {
            "agent_responded_at": None,
            "requester_responded_at": None,
            "first_responded_at": None,
            "status_updated_at": timestamp(at),
            "reopened_at": None,
            "resolved_at": None,
            "closed_at": None,
            "pending_since": None,
        },
    }
    return ticket | attributes


def new_conversation(
    conversation_id: int, ticket_id: int, body: str, user_id: int, at: datetime, **attributes: Any
) -> Json:
    """A reply (source 0) with every attribute that Freshdesk sends; `attributes` overrides the defaults."""
    conversation: Json = {
        "body": body,
        "body_text": plain_text(body),
        "id": conversation_id,
        "incoming": False,
        "private": False,
        "user_id": user_id,
        "support_email": None,
        "source": 0,
        "category": 3,
        "to_emails": [],
        "from_email": None,
        "cc_emails": [],
        "bcc_emails": None,
        "email_failure_count": None,
        "outgoing_failures": None,
        "created_at": timestamp(at),
        "updated_at": timestamp(at),
        "last_edited_at": None,
        "last_edited_user_id": None,
        "attachments": [],
        "automation_id": None,
        "automation_type_id": None,
        "auto_response": False,
        "ticket_id": ticket_id,
        "source_additional_info": None,
    }
    return conversation | attributes


def add_conversation(ticket: Json, thread: list[Json], conversation: Json) -> None:
    """Append to the thread and move the ticket's times, as any reply or note does."""
    thread.append(conversation)
    moment = conversation["created_at"]
    ticket["updated_at"] = max(ticket["updated_at"], moment)
    if conversation["private"]:
        return
    stats = ticket["stats"]
    if conversation["incoming"]:
        stats["requester_responded_at"] = moment
    else:
        stats["agent_responded_at"] = moment
        stats["first_responded_at"] = stats["first_responded_at"] or moment


def set_status(ticket: Json, status: int, moment: str) -> None:
    """Change the status and the times that follow from it."""
    stats = ticket["stats"]
    if status != ticket["status"]:
        stats["status_updated_at"] = moment
        if ticket["status"] in (4, 5) and status not in (4, 5):
            stats["reopened_at"] = moment
    stats["pending_since"] = moment if status == 3 else None
    stats["resolved_at"] = (stats["resolved_at"] or moment) if status in (4, 5) else None
    stats["closed_at"] = moment if status == 5 else None
    ticket["status"] = status


def new_article(article_id: int, folder: Json, title: str, description: str, at: datetime, **attributes: Any) -> Json:
    """A solution article with every attribute that Freshdesk stores; its `hierarchy` is added when it is sent."""
    article: Json = {
        "id": article_id,
        "type": 1,
        "status": 2,
        "agent_id": None,
        "created_at": timestamp(at),
        "category_id": folder["category_id"],
        "folder_id": folder["id"],
        "title": title,
        "updated_at": timestamp(at),
        "description": description,
        "description_text": plain_text(description),
        "seo_data": {},
        "tags": [],
        "attachments": [],
        "cloud_files": [],
        "thumbs_up": 0,
        "thumbs_down": 0,
        "hits": 0,
        "suggested": 0,
        "feedback_count": 0,
    }
    return article | attributes


def new_folder(
    folder_id: int, category_id: int, name: str, visibility: int, parent_id: int | None, at: datetime
) -> Json:
    """A solution folder; its counts and `hierarchy` are added when it is sent."""
    return {
        "id": folder_id,
        "name": name,
        "description": None,
        "category_id": category_id,
        "created_at": timestamp(at),
        "updated_at": timestamp(at),
        "icon_url": None,
        "parent_folder_id": parent_id,
        "visibility": visibility,
    }


class _Text(HTMLParser):
    _BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "blockquote", "pre", "table", "ul", "ol"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._BLOCKS:
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def plain_text(markup: str) -> str:
    """What Freshdesk keeps in `description_text` and `body_text`: the words, quoted history included."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return re.sub(r"\s+", " ", "".join(parser.pieces)).strip()


def entities(markup: str) -> str:
    """Write letters outside ASCII as HTML entities, as mail programs do: é becomes &eacute;.

    >>> entities("<p>café – 5 °C</p>")
    '<p>caf&eacute; &ndash; 5 &deg;C</p>'
    """
    return "".join(letter if letter.isascii() else f"&{_entity(ord(letter))};" for letter in markup)


def _entity(code: int) -> str:
    return codepoint2name.get(code, f"#{code}")
