"""The tickets of an account: problem scenarios filled in for customers, and told as threads of mail and notes."""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sync_assets.demo.files import file_bytes
from sync_assets.demo.knowledge_base import markup
from sync_assets.demo.records import (
    AccountData,
    Json,
    add_conversation,
    new_conversation,
    new_ticket,
    set_status,
    timestamp,
)

_FIRST = datetime(2026, 11, 2, tzinfo=UTC)
_SPAN_DAYS = 11
_LAST = datetime(2026, 11, 13, 17, tzinfo=UTC)
_FIRST_CONVERSATION = 48_010_000_000

# Who says what, by how often the course occurs. `ask` and `answer` to `thanks` are written per scenario or shared.
_COURSES: list[tuple[int, list[str]]] = [
    (5, []),
    (12, ["fix"]),
    (16, ["fix", "thanks"]),
    (14, ["ask", "answer", "fix"]),
    (20, ["ask", "answer", "note", "fix", "thanks"]),
    (13, ["note", "fix", "thanks"]),
    (10, ["received", "handover", "ask", "answer", "note", "fix", "check", "thanks"]),
    (10, ["ask", "answer", "note", "fix", "again", "retry", "thanks"]),
]
_FULL_COURSE = ["ask", "answer", "note", "fix", "thanks"]
_BY_CUSTOMER = {"answer", "thanks", "again"}
_PRIVATE = {"note", "handover"}
_ALTERNATIVES = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "nl": ["jan.", "feb.", "mrt.", "apr.", "mei", "jun.", "jul.", "aug.", "sep.", "okt.", "nov.", "dec."],
}
_DAYS = {"en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "nl": ["ma", "di", "wo", "do", "vr", "za", "zo"]}


class Slots(dict[str, str]):
    """What the braces in a text stand for: facts of the ticket, and figures drawn anew each time."""

    def __init__(self, draw: random.Random, facts: dict[str, str]) -> None:
        super().__init__(facts)
        self._figures: dict[str, Callable[[], object]] = {
            "few": lambda: draw.randrange(2, 9),
            "some": lambda: draw.randrange(6, 48),
            "many": lambda: draw.randrange(60, 940),
            "percent": lambda: draw.randrange(2, 97),
            "ms": lambda: draw.randrange(11, 390),
            "minutes": lambda: draw.randrange(3, 58),
            "clock": lambda: f"{draw.randrange(7, 20)}:{draw.randrange(60):02}",
            "decimal": lambda: f"{draw.randrange(1, 9)}.{draw.randrange(1, 99)}",
            "degrees": lambda: f"{draw.randrange(16, 58)}.{draw.randrange(10)}",
            "ip": lambda: f"10.{draw.randrange(1, 60)}.{draw.randrange(254)}.{draw.randrange(2, 254)}",
            "extension": lambda: draw.randrange(200, 899),
            "reference": lambda: f"{draw.choice('ABDEHKMR')}{draw.randrange(10000, 99999)}",
            "vlan": lambda: draw.randrange(10, 399),
        }

    def __missing__(self, name: str) -> str:
        return str(self._figures[name]())


class Writer:
    """Writes texts from templates with `{slots}` and `[one|another]` alternatives."""

    def __init__(self, draw: random.Random, phrases: dict[str, Any]) -> None:
        self.draw = draw
        self._phrases = phrases

    def text(self, template: str, slots: Slots) -> str:
        while match := _ALTERNATIVES.search(template):
            template = template[: match.start()] + self.draw.choice(match[1].split("|")) + template[match.end() :]
        return template.format_map(slots).strip()

    def phrase(self, kind: str, slots: Slots) -> str:
        """A shared phrase of this kind in the language of the ticket."""
        return self.text(self.draw.choice(self._phrases[slots["language"]][kind]), slots)


def build_tickets(
    account: AccountData, profile: dict[str, Any], scenarios: list[dict[str, Any]], phrases: dict[str, Any]
) -> None:
    """Fill the account's tickets and their conversations."""
    draw = random.Random(f"tickets of {account.tenant}")
    teller = _Teller(account, profile, Writer(draw, phrases))
    pinned = {scenario["ticket"]: scenario for scenario in scenarios if "ticket" in scenario}
    recurring = [scenario for scenario in scenarios if "ticket" not in scenario]
    count: int = profile["tickets"]
    pool: list[dict[str, Any]] = []
    while len(pool) < count:
        pool += draw.sample(recurring, len(recurring))
    moments = sorted(_opening_time(draw) for _ in range(count))
    for ticket_id, moment in enumerate(moments, 1):
        if ticket_id in pinned:
            teller.tell(ticket_id, pinned[ticket_id], moment)
        else:
            teller.tell(ticket_id, pool.pop(), moment)
    for position, kind in enumerate(profile["gone"]):
        ticket = account.tickets[(position + 1) * count // (len(profile["gone"]) + 1) | 1]
        ticket.update({"deleted": True} if kind == "deleted" else {"spam": True})


def _opening_time(draw: random.Random) -> datetime:
    day = _FIRST + timedelta(days=draw.randrange(_SPAN_DAYS))
    while day.weekday() > 4 and draw.random() < 0.85:
        day = _FIRST + timedelta(days=draw.randrange(_SPAN_DAYS))
    return day + timedelta(seconds=draw.randrange(6 * 3600, 17 * 3600))


class _Teller:
    def __init__(self, account: AccountData, profile: dict[str, Any], writer: Writer) -> None:
        self._account = account
        self._profile = profile
        self._writer = writer
        self._draw = writer.draw
        self._conversation_id = _FIRST_CONVERSATION

    def tell(self, ticket_id: int, scenario: dict[str, Any], opened: datetime) -> None:
        """Open a ticket about this scenario and let it run its course."""
        draw, account = self._draw, self._account
        language = draw.choice([name for name in ("en", "nl") if name in scenario])
        contact = self._contact(language)
        agent_id = draw.choice(list(account.agents))
        slots = self._slots(scenario, language, contact, account.agents[agent_id]["contact"]["name"], opened)
        script: dict[str, Any] = scenario[language]
        by_mail = draw.random() < 0.7
        report = self._writer.text(script["report"], slots)
        if not ("ticket" in scenario or draw.random() < 0.3):
            report += "\n\n" + self._writer.phrase("context", slots)
        ticket = new_ticket(
            ticket_id,
            self._writer.text(script["subject"], slots),
            self._mail(report, slots, contact["name"], "customer") if by_mail else f"<div>{markup(report)}</div>",
            contact["id"],
            opened,
            source=1 if by_mail else draw.choice([2, 2, 3, 7, 9]),
            priority=draw.choices([1, 2, 3, 4], [45, 35, 15, 5])[0],
            responder_id=agent_id if draw.random() < 0.9 else None,
            group_id=draw.choice(list(account.groups)),
            company_id=contact["company_id"],
            type=scenario["type"],
            tags=sorted({*scenario["tags"], *draw.sample(self._profile["tags"], draw.randrange(2))}),
            custom_fields=self._custom_fields(scenario, slots),
            to_emails=[f"support@{self._profile['domain']}"] if by_mail else None,
        )
        if draw.random() < 0.12:
            ticket["attachments"] = [self._attachment(ticket_id, slots, opened)]
        thread: list[Json] = []
        account.tickets[ticket_id] = ticket
        account.conversations[ticket_id] = thread
        course = (
            _FULL_COURSE
            if "ticket" in scenario
            else draw.choices([course for _, course in _COURSES], [weight for weight, _ in _COURSES])[0]
        )
        told = self._follow(course, script, ticket, thread, slots, opened)
        self._close(ticket, told, thread)

    def _follow(
        self,
        course: list[str],
        script: dict[str, Any],
        ticket: Json,
        thread: list[Json],
        slots: Slots,
        opened: datetime,
    ) -> list[str]:
        """Add the conversations of a course, as far as the calendar allows; returns the steps that were told."""
        moment = opened
        steps: list[tuple[str, str]] = []
        for step in course:
            if step == "fix" and "updates" in script:
                lines, count = script["updates"]["lines"], script["updates"]["count"]
                steps += [("update" if number % 2 else "answer", lines[number % len(lines)]) for number in range(count)]
            steps.append((step, script.get(step, "")))
        told: list[str] = []
        longest = min(26 * 3600, int((_LAST - opened).total_seconds()) // (len(steps) + 1))
        for step, template in steps:
            moment += timedelta(seconds=self._draw.randrange(min(600, longest // 2), longest))
            if len(steps) < 10 and not 7 <= moment.hour < 18:
                moment += timedelta(hours=11)
            if moment > _LAST:
                break
            text = self._writer.text(template, slots) if template else self._writer.phrase(step, slots)
            if step == "ask":
                text = f"{self._writer.phrase('at_hand', slots)} {text}"
            add_conversation(ticket, thread, self._conversation(step, text, ticket, thread, slots, moment))
            told.append(step)
        return told

    def _conversation(
        self, step: str, text: str, ticket: Json, thread: list[Json], slots: Slots, moment: datetime
    ) -> Json:
        self._conversation_id += self._draw.randrange(1, 40)
        incoming, private = step in _BY_CUSTOMER, step in _PRIVATE
        contact = self._account.contacts[ticket["requester_id"]]
        agent_id = ticket["responder_id"] or next(iter(self._account.agents))
        if private:
            body, kind = f"<div>{markup(text)}</div>", {"private": True, "source": 2, "category": 2}
        elif incoming:
            body = self._mail(text, slots, contact["name"], "customer") + self._quoted(ticket, thread, slots, moment)
            kind = {
                "incoming": True,
                "category": 1,
                "from_email": contact["email"],
                "to_emails": ticket["to_emails"] or [],
            }
        else:
            body = self._mail(text, slots, self._account.agents[agent_id]["contact"]["name"], "agent")
            kind = {"to_emails": [contact["email"]], "from_email": f"support@{self._profile['domain']}"}
        conversation = new_conversation(
            self._conversation_id, ticket["id"], body, contact["id"] if incoming else agent_id, moment, **kind
        )
        if step in ("answer", "again") and self._draw.random() < 0.15:
            conversation["attachments"] = [self._attachment(self._conversation_id, slots, moment)]
        return conversation

    def _close(self, ticket: Json, told: list[str], thread: list[Json]) -> None:
        """Give the ticket the status that its course led to."""
        draw = self._draw
        if not told:
            return
        if told[-1] == "thanks":
            status = draw.choice([4, 5, 5])
        elif told[-1] in ("fix", "retry"):
            status = draw.choices([3, 4, 5, 6, 8], [15, 30, 35, 10, 10])[0]
        elif told[-1] == "ask":
            status = 3
        else:
            status = draw.choice([2, 6, 8])
        moment = min(_LAST, datetime.fromisoformat(thread[-1]["created_at"]) + timedelta(minutes=draw.randrange(1, 50)))
        set_status(ticket, status, timestamp(moment))
        ticket["updated_at"] = timestamp(moment)

    def _contact(self, language: str) -> Json:
        speakers = [item for item in self._account.contacts.values() if item["language"] == language]
        return self._draw.choice(speakers or list(self._account.contacts.values()))

    def _slots(self, scenario: dict[str, Any], language: str, contact: Json, agent: str, opened: datetime) -> Slots:
        draw, profile = self._draw, self._profile
        name = draw.choice(scenario["product"]) if isinstance(scenario["product"], list) else scenario["product"]
        product = profile["products"][name]
        company = self._account.companies[contact["company_id"]]
        version, newer = sorted(draw.sample(range(len(product["versions"])), 2))
        started = opened - timedelta(days=draw.randrange(1, 12))
        return Slots(
            draw,
            {
                "language": language,
                "product": name,
                "serial": f"{product['prefix']}-26{draw.randrange(10, 40)}-{draw.randrange(16**5):05X}",
                "version": product["versions"][version],
                "newer": product["versions"][newer],
                "room": draw.choice(profile["rooms"][language]),
                "place": company["custom_fields"]["place"],
                "company": company["name"],
                "customer": contact["name"].split()[0],
                "customer_name": contact["name"],
                "colleague": draw.choice(profile["colleagues"]),
                "agent": agent.split()[0],
                "agent_name": agent,
                "date": _day(started, language),
                "phone": contact["phone"],
                "support": f"{profile['name']} Support",
            },
        )

    def _custom_fields(self, scenario: dict[str, Any], slots: Slots) -> dict[str, Any]:
        product = self._profile["products"][slots["product"]]
        return {
            "cf_product": slots["product"],
            "cf_serial_number": slots["serial"],
            "cf_version": slots["version"] if self._draw.random() < 0.9 else None,
            "cf_category": product["category"],
            "cf_subcategory": product["family"],
            "cf_item": slots["product"],
        }

    def _mail(self, text: str, slots: Slots, name: str, role: str) -> str:
        """A text as a mail: greeting, text, good wishes and a signature."""
        greeting = self._writer.phrase(f"{role}_greeting", slots)
        farewell = self._writer.phrase("farewell", slots)
        firm = slots["company"] if role == "customer" else slots["support"]
        mark = "<div>-- </div>" if self._draw.random() < 0.5 else ""
        phone = f"<br>T {slots['phone']}" if role == "customer" else ""
        return (
            f'<div dir="ltr"><p>{greeting.replace(" ", "&nbsp;", 1)}</p>\n{markup(text)}'
            f"<p>{farewell},</p>{mark}<div>{name}<br>{firm}{phone}</div></div>"
        )

    def _quoted(self, ticket: Json, thread: list[Json], slots: Slots, moment: datetime) -> str:
        """The history that a mail program hangs below a customer's answer."""
        said = next((item for item in reversed(thread) if not item["private"] and not item["incoming"]), None)
        if said is None or self._draw.random() < 0.25:
            return ""
        when = datetime.fromisoformat(said["created_at"])
        sender, address = slots["support"], f"support@{self._profile['domain']}"
        dutch = slots["language"] == "nl"
        style = self._draw.choice(["gmail", "outlook", "plain"])
        if style == "outlook":
            words = ("Van", "Verzonden", "Aan", "Onderwerp") if dutch else ("From", "Sent", "To", "Subject")
            values = (
                f"{sender} &lt;{address}&gt;",
                _day(when, slots["language"]),
                slots["customer_name"],
                ticket["subject"],
            )
            header = "<br>".join(f"<b>{word}:</b> {value}" for word, value in zip(words, values, strict=True))
            return f'<hr><div style="border-top:solid #E1E1E1 1.0pt"><p>{header}</p></div><div>{said["body"]}</div>'
        written = (
            f"Op {_day(when, 'nl')} om {when:%H:%M} schreef {sender}"
            if dutch
            else (f"On {_day(when, 'en')} at {when:%H:%M}, {sender}")
        )
        line = f"{written} &lt;{address}&gt;{':' if dutch else ' wrote:'}"
        if style == "gmail":
            return (
                f'<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{line}<br></div>'
                f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex">{said["body"]}</blockquote></div>'
            )
        return f"<p>{line}</p><blockquote>{said['body']}</blockquote>"

    def _attachment(self, owner_id: int, slots: Slots, moment: datetime) -> Json:
        name, kind = self._draw.choice(self._profile["attachments"])
        name = name.format_map(slots)
        attachment_id = _FIRST_CONVERSATION + owner_id % 10**8 * 10
        signature = sha256(f"{owner_id} {name}".encode()).hexdigest()
        return {
            "id": attachment_id,
            "content_type": kind,
            "size": len(file_bytes(name)),
            "name": name,
            "attachment_url": f"https://attachments.{self._profile['domain']}/{attachment_id}/{name}"
            f"?Expires={int(moment.timestamp()) + 86400}&Signature={signature}",
            "created_at": timestamp(moment),
            "updated_at": timestamp(moment),
        }


def _day(moment: datetime, language: str) -> str:
    weekday, month = _DAYS[language][moment.weekday()], _MONTHS[language][moment.month - 1]
    if language == "nl":
        return f"{weekday} {moment.day} {month} {moment.year}"
    return f"{weekday}, {month} {moment.day}, {moment.year}"
