"""The Zoho Desk account of `solara` at its start, from the texts in `data/solara`."""

import random
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from sync_assets.demo.files import file_bytes
from sync_assets.demo.people import address
from sync_assets.demo.records import Json, entities
from sync_assets.demo.zoho_desk_protocol import ZohoData, timestamp
from sync_assets.demo.zoho_desk_records import (
    count,
    link_translations,
    named_agent,
    new_article,
    new_attachment,
    new_comment,
    new_thread,
    new_ticket,
    set_article_status,
    set_ticket_status,
)

_FIRST = datetime(2026, 11, 2, 6, tzinfo=UTC)
_LAST = datetime(2026, 11, 13, 20, tzinfo=UTC)
_SUPPORT = '"Solara Support"<support@solara.example>'
_ARTICLE_IDS = 155_000_000_020_000_000
_TICKET_IDS = 155_000_000_030_000_000
_PERSON_IDS = 155_000_000_040_000_000
_STRUCTURE_IDS = 155_000_000_050_000_000


def build_account(
    tenant: str, profile: dict[str, Any], articles: list[dict[str, Any]], tickets: list[dict[str, Any]]
) -> ZohoData:
    """The account with its people, knowledge base and tickets; the same at every start."""
    account = ZohoData(
        portal=tenant,
        org_id=profile["org_id"],
        data_center=profile["data_center"],
        client_id=f"1000.DEMO{tenant.upper()}",
        client_secret=f"demo-secret-{tenant}",
        refresh_token=f"1000.demo-refresh-token-{tenant}",
        locale=profile["locale"],
        company=profile["company"],
    )
    _add_people(account, profile)
    _add_categories(account, profile["categories"])
    draw = random.Random(f"articles of {tenant}")
    categories = {node["name"]: node for root in account.categories for node in (root, *root["children"])}
    for group in articles:
        for article in group["articles"]:
            _add_article(account, article, categories[group["category"]], draw)
    teller = _Teller(account, random.Random(f"tickets of {tenant}"))
    for ticket in tickets:
        teller.tell(ticket)
    return account


def _add_people(account: ZohoData, profile: dict[str, Any]) -> None:
    for number, department in enumerate(profile["departments"], 1):
        account.departments.append(
            {
                "id": str(_STRUCTURE_IDS + number),
                "layoutId": str(_STRUCTURE_IDS + 100 + number),
                "name": department["name"],
                "nameInCustomerPortal": department["name"],
                "description": department["about"],
                "isEnabled": True,
                "isDefault": number == 1,
                "isVisibleInCustomerPortal": number == 1,
                "hasLogo": False,
                "creatorId": str(_PERSON_IDS + 1),
                "createdTime": timestamp(_FIRST),
            }
        )
    for number, agent in enumerate(profile["agents"], 1):
        person = _person(agent["name"], str(_PERSON_IDS + number), address(agent["name"], profile["domain"]))
        account.agents[person["id"]] = person | {
            "type": "AGENT",
            "roleName": agent["role"],
            "zuid": str(55_616_500 + number),
        }
    for number, customer in enumerate(profile["customers"], 1):
        name, place = customer["name"], customer["place"]
        person = _person(name, str(_PERSON_IDS + 1000 + number), address(name, "mail.example"))
        account.contacts[person["id"]] = person | {
            "type": "END_USER",
            "phone": f"+44 20 5550 {1000 + 37 * number}",
            "mobile": None,
            "accountId": str(_PERSON_IDS + 5000 + number),
            "account": {"id": str(_PERSON_IDS + 5000 + number), "accountName": f"{name}, {place}"},
            "isSpam": False,
        }


def _person(name: str, person_id: str, email: str) -> Json:
    first, _, last = name.partition(" ")
    return {"id": person_id, "name": name, "firstName": first, "lastName": last, "email": email, "photoURL": None}


def _add_categories(account: ZohoData, roots: list[dict[str, Any]]) -> None:
    department = account.departments[0]["id"]
    number = 200
    for position, root in enumerate(roots, 1):
        number += 1
        root_id = str(_STRUCTURE_IDS + number)
        children: list[Json] = []
        for child in root.get("children", []):
            number += 1
            children.append(
                _category(child, str(_STRUCTURE_IDS + number), root_id, department, 2) | {"parentCategoryId": root_id}
            )
        account.categories.append(
            _category(root, root_id, root_id, department, 1) | {"position": str(position), "children": children}
        )


def _category(category: dict[str, Any], category_id: str, root_id: str, department_id: str, level: int) -> Json:
    return {
        "id": category_id,
        "name": category["name"],
        "description": category["about"],
        "level": str(level),
        "locale": "en",
        "status": "SHOW_IN_HELPCENTER",
        "rootCategoryId": root_id,
        "departmentId": department_id,
    }


def _add_article(account: ZohoData, article: dict[str, Any], category: Json, draw: random.Random) -> None:
    article_id = str(_ARTICLE_IDS + article["id"])
    translations: dict[str, Json] = {}
    account.articles[article_id] = translations
    author = named_agent(draw.choice(list(account.agents.values())))
    created = _FIRST + draw.random() * (_LAST - _FIRST) * 0.8
    for locale, text in {account.locale: article, **{key: article[key] for key in ("de",) if key in article}}.items():
        made = new_article(
            account,
            article_id,
            text["title"],
            text["answer"].strip(),
            category,
            created,
            permission=article.get("permission", "ALL"),
            tags=article.get("tags", []),
            locale=locale,
            author=author,
            authorId=author["id"],
            viewCount=str(draw.randrange(3, 900)),
            likeCount=str(draw.randrange(30)),
            dislikeCount=str(draw.randrange(5)),
            isTrashed=article.get("trashed", False),
        )
        created += draw.random() * (_LAST - created) * 0.7
        made["modifiedTime"] = timestamp(created)
        set_article_status(made, article.get("status", "Published"))
        translations[locale] = made
    article_time = max(made["modifiedTime"] for made in translations.values())
    translations[account.locale]["modifiedTime"] = article_time
    if "draft" in article:
        _begin_draft(account, translations[account.locale], article["draft"])
    link_translations(account, translations)


def _begin_draft(account: ZohoData, article: Json, words: dict[str, str]) -> None:
    """A newer version that is still being written; the published one stays for readers."""
    account.versions[article["translationId"]] = {"1.0": {"title": article["title"], "answer": article["answer"]}}
    article.update(title=words["title"], answer=words["answer"].strip())
    article.update(latestVersion="1.1", currentVersion="1.1", latestVersionStatus="Draft")


class _Teller:
    """Tells tickets as mails, comments and drafts, one after the other in time."""

    def __init__(self, account: ZohoData, draw: random.Random) -> None:
        self._account = account
        self._draw = draw
        self._contacts = {item["name"]: item for item in account.contacts.values()}
        self._agents = {item["name"]: item for item in account.agents.values()}

    def tell(self, ticket: dict[str, Any]) -> None:
        """Open a ticket and let what was said about it follow."""
        account = self._account
        ticket_id = str(_TICKET_IDS + ticket["number"])
        contact = self._contacts[ticket["customer"]]
        agent = self._agents[ticket["agent"]] if "agent" in ticket else None
        opened = datetime.fromisoformat(ticket["opened"]).replace(tzinfo=UTC)
        channel = ticket.get("channel", "Email")
        department = account.departments[ticket.get("department", 1) - 1]
        made = new_ticket(
            account,
            ticket_id,
            ticket["number"],
            ticket["subject"],
            contact,
            opened,
            channel=channel,
            departmentId=department["id"],
            layoutId=department["layoutId"],
            layoutDetails={"id": department["layoutId"], "layoutName": department["name"]},
            assigneeId=agent["id"] if agent else None,
            priority=ticket.get("priority"),
            classification=ticket.get("classification"),
            resolution=ticket.get("resolution"),
            isSpam=ticket.get("spam", False),
            isArchived=ticket.get("archived", False),
        )
        for name, value in ticket.get("fields", {}).items():
            made["customFields"][name] = value
            made["cf"]["cf_" + name.lower().replace(" ", "_")] = value
        account.tickets[ticket_id] = made
        account.threads[ticket_id], account.comments[ticket_id], account.attachments[ticket_id] = [], [], []
        body = _mail(ticket["text"], contact["name"], "") if channel == "Email" else _paragraphs(ticket["text"])
        made["description"] = body
        if channel in ("Email", "Web"):
            first = new_thread(
                account.new_id(), body, contact, opened, channel=channel.upper(), isDescriptionThread=True, to=_SUPPORT
            )
            self._attach(made, first, ticket.get("files", []), opened)
            account.threads[ticket_id].append(first)
        moment = opened
        for entry in ticket.get("talk", []):
            moment += timedelta(minutes=self._draw.randrange(20, 600))
            if not 7 <= moment.hour < 19:
                moment += timedelta(hours=11)
            moment = min(moment, _LAST - timedelta(minutes=20) + timedelta(seconds=self._draw.randrange(600)))
            self._add(made, entry, contact, agent or next(iter(account.agents.values())), moment)
        count(account, ticket_id)
        made["modifiedTime"] = timestamp(moment)
        if ticket.get("talk"):
            made["modifiedBy"] = (agent or contact)["id"]
        set_ticket_status(made, ticket.get("status", "Open"), timestamp(moment))

    def _add(self, ticket: Json, entry: dict[str, Any], contact: Json, agent: Json, moment: datetime) -> None:
        threads, comments = self._account.threads[ticket["id"]], self._account.comments[ticket["id"]]
        if "customer" in entry:
            history = self._quoted(ticket) if entry.get("quotes", True) else ""
            thread = new_thread(
                self._account.new_id(), _mail(entry["customer"], contact["name"], history), contact, moment, to=_SUPPORT
            )
        elif "agent" in entry or "draft" in entry:
            thread = new_thread(
                self._account.new_id(),
                _mail(entry.get("agent") or entry["draft"], agent["name"], "", firm=self._account.company),
                agent,
                moment,
                to=f'"{contact["name"]}"<{contact["email"]}>',
                fromEmailAddress=_SUPPORT,
                status="DRAFT" if "draft" in entry else "SUCCESS",
            )
        else:
            comments.append(self._comment(entry, agent, moment))
            return
        self._attach(ticket, thread, entry.get("files", []), moment)
        threads.append(thread)

    def _comment(self, entry: dict[str, Any], agent: Json, moment: datetime) -> Json:
        text = entry.get("note") or entry["public"]
        commenter = self._agents[entry["by"]] if "by" in entry else agent
        mentioned = [item for name, item in self._agents.items() if f"@{name}" in text]
        body = text.strip() if entry.get("plain") else _paragraphs(text)
        for item in mentioned:
            body = body.replace(f"@{item['name']}", f"zsu[@user:{item['zuid']}]zsu")
        return new_comment(
            self._account.new_id(),
            body,
            commenter,
            moment,
            isPublic="public" in entry,
            contentType="plainText" if entry.get("plain") else "html",
            mention=[
                {"type": "AGENT", **{key: item[key] for key in ("id", "zuid", "firstName", "lastName", "email")}}
                for item in mentioned
            ],
        )

    def _attach(self, ticket: Json, thread: Json, names: list[str], moment: datetime) -> None:
        attachments = [
            new_attachment(self._account, ticket["id"], name, len(file_bytes(name)), thread["author"], moment)
            for name in names
        ]
        thread.update(
            attachments=[{key: item[key] for key in ("id", "name", "size", "href")} for item in attachments],
            attachmentCount=str(len(names)),
            hasAttach=bool(names),
        )
        self._account.attachments[ticket["id"]] += attachments

    def _quoted(self, ticket: Json) -> str:
        """The history that a mail program hangs below a customer's answer."""
        said = [item for item in self._account.threads[ticket["id"]] if item["direction"] == "out"]
        if not said:
            return ""
        when = datetime.fromisoformat(said[-1]["createdTime"])
        line = f"On {when:%a, %d %b %Y} at {when:%H:%M}, {escape(_SUPPORT, quote=False)} wrote:"
        style = self._draw.choice(["gmail", "zoho"])
        if style == "gmail":
            return (
                f'<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{line}<br></div>'
                f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex">{said[-1]["content"]}</blockquote></div>'
            )
        return f'<br><div class="zmail_extra">{line}</div><blockquote type="cite">{said[-1]["content"]}</blockquote>'


def _mail(text: str, name: str, history: str, firm: str = "") -> str:
    """A text as a mail, with the sender's signature and the mails that hang below it."""
    signature = f"{name}<br>{firm}" if firm else name
    return f'<div dir="ltr">{_paragraphs(text)}<div>-- </div><div>{signature}</div></div>{history}'


def _paragraphs(text: str) -> str:
    """Paragraphs of plain text as HTML."""
    lines = (escape(paragraph, quote=True).replace("\n", "<br>") for paragraph in text.strip().split("\n\n"))
    return entities("".join(f"<p>{line}</p>" for line in lines))
