"""The ticket portal's tickets: problem scenarios filled in for a user and a device, and told as comments."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sync_assets.demo.files import file_bytes
from sync_assets.demo.portal_records import FIRST, LAST, Row, Tables, moment_between, stamp
from sync_assets.demo.threads import Slots, Writer

_COUNT = 300
_ENGLISH_SHARE = 0.15
_ZERO_TIME = "0000-00-00 00:00:00"

# Who does what, by how often the course occurs; `fix` writes the resolution, everything else a comment.
_COURSES: list[tuple[int, list[str]]] = [
    (6, []),
    (8, ["taken"]),
    (8, ["ask"]),
    (10, ["ask", "answer"]),
    (8, ["taken", "note"]),
    (14, ["taken", "fix"]),
    (16, ["ask", "answer", "fix", "thanks"]),
    (30, ["ask", "answer", "note", "fix", "thanks"]),
]
_FULL_COURSE = ["ask", "answer", "note", "fix", "thanks"]
_BY_USER = {"answer", "thanks"}
_STATUS = {"taken": "in_progress", "ask": "pending", "answer": "in_progress", "note": "in_progress"}


def build_portal_tickets(tables: Tables, profile: dict[str, Any], scenarios: list[dict[str, Any]]) -> None:
    """Fill the tickets with their comments, field values, attachments and relations."""
    draw = random.Random("tickets of the ticket portal")
    teller = _Teller(tables, profile, draw)
    pinned = {scenario["ticket"]: scenario for scenario in scenarios if "ticket" in scenario}
    recurring = [scenario for scenario in scenarios if "ticket" not in scenario]
    pools = {language: _again_and_again(recurring, language, draw) for language in ("nl", "en")}
    for ticket_id, moment in enumerate(sorted(_opening_time(draw) for _ in range(_COUNT)), 1):
        language = "en" if draw.random() < _ENGLISH_SHARE and ticket_id not in pinned else "nl"
        teller.tell(pinned.get(ticket_id) or next(pools[language]), language, moment)
    solved = next(ticket for ticket in tables["tickets"] if ticket["status"] == "closed")
    solved["resolved_at"] = _ZERO_TIME  # as MySQL keeps the date that an old version of the portal left out


def _again_and_again(scenarios: list[dict[str, Any]], language: str, draw: random.Random) -> Iterator[dict[str, Any]]:
    """The scenarios of a language, in another order each time round."""
    told = [scenario for scenario in scenarios if language in scenario]
    while True:
        yield from draw.sample(told, len(told))


def _opening_time(draw: random.Random) -> datetime:
    moment = moment_between(draw, FIRST, LAST - timedelta(hours=4))
    while moment.weekday() > 4 or not 6 <= moment.hour < 17:
        moment = moment_between(draw, FIRST, LAST - timedelta(hours=4))
    return moment


class _Teller:
    def __init__(self, tables: Tables, profile: dict[str, Any], draw: random.Random) -> None:
        self._tables = tables
        self._profile = profile
        self._draw = draw
        self._writer = Writer(draw, profile["phrases"])
        self._categories = {item["key"]: number for number, item in enumerate(profile["categories"], 1)}
        self._places = {place["name"]: place for place in profile["locations"]}
        self._agents = tables["users"][: len(profile["agents"])]
        speakers = tables["users"][len(profile["agents"]) :]
        dutch = len(profile["people"]["nl"])
        self._speakers = {"nl": speakers[:dutch], "en": speakers[dutch:]}

    def tell(self, scenario: dict[str, Any], language: str, opened: datetime) -> None:
        """Open a ticket about this scenario and let it run its course."""
        draw = self._draw
        user, agent = draw.choice(self._speakers[language]), draw.choice(self._agents)
        item = self._item(scenario, user)
        slots = self._slots(language, user, agent, item, opened)
        script: dict[str, str] = scenario[language]
        report = [self._writer.phrase("greeting", slots), self._writer.text(script["report"], slots)]
        if draw.random() < 0.6 and "ticket" not in scenario:
            broken = "type" not in scenario and scenario["category"] not in ("account", "security")
            report.append(self._writer.phrase("signs" if broken else "wish", slots))
        ticket = self._tables.add(
            "tickets",
            ticket_number=f"PK-{opened.year}-{len(self._tables['tickets']) + 1:04}",
            user_id=user["user_id"],
            assigned_agent_id=agent["user_id"],
            category_id=self._categories[scenario["category"]],
            title=self._writer.text(script["title"], slots),
            description=self._as_typed("\n\n".join(part for part in report if part)),
            priority=self._priority(scenario),
            ticket_type=scenario.get("type", "incident"),
            status="open",
            source=draw.choices(["web", "email", "phone"], [60, 30, 10])[0],
            created_at=stamp(opened),
            updated_at=stamp(opened),
            resolved_at=None,
            resolution=None,
            satisfaction_rating=None,
            satisfaction_comment=None,
        )
        self._add_field_values(ticket, scenario, slots)
        self._add_attachments(ticket, slots)
        self._add_relations(ticket, item, agent)
        self._follow(ticket, _FULL_COURSE if "ticket" in scenario else self._course(), script, slots, opened)

    def _course(self) -> list[str]:
        weights, courses = zip(*_COURSES, strict=True)
        return self._draw.choices(courses, weights)[0]

    def _follow(self, ticket: Row, course: list[str], script: dict[str, str], slots: Slots, opened: datetime) -> None:
        """Add the comments and the resolution of a course, as far as the calendar allows."""
        draw, moment = self._draw, opened
        if not course and draw.random() < 0.5:
            ticket["assigned_agent_id"] = None
        for step in course:
            later = _in_working_hours(moment + timedelta(seconds=draw.randrange(600, 14 * 3600)))
            if later > LAST:
                break
            moment = later
            if step == "fix":
                resolution = self._as_typed(self._writer.text(script["resolution"], slots))
                ticket.update(status=draw.choice(["resolved", "closed"]), resolved_at=stamp(moment))
                ticket.update(resolution=resolution, satisfaction_rating=draw.choice([None, None, 3, 4, 5]))
                continue
            self._add_comment(ticket, step, script, slots, moment)
            ticket["status"] = _STATUS.get(step, ticket["status"])
        ticket["updated_at"] = stamp(moment)

    def _add_comment(self, ticket: Row, step: str, script: dict[str, str], slots: Slots, moment: datetime) -> None:
        text = self._writer.text(script[step], slots) if step in script else self._writer.phrase(step, slots)
        agent_id = ticket["assigned_agent_id"] or self._agents[0]["user_id"]
        self._tables.add(
            "ticket_comments",
            ticket_id=ticket["ticket_id"],
            user_id=ticket["user_id"] if step in _BY_USER else agent_id,
            comment=self._as_markup(self._as_typed(text)),
            is_internal=int(step == "note"),
            created_at=stamp(moment),
        )

    def _add_field_values(self, ticket: Row, scenario: dict[str, Any], slots: Slots) -> None:
        """The values of the category's fields: what the scenario says, else what the ticket's facts give."""
        given: dict[str, Any] = scenario.get("fields", {})
        profile = self._profile["categories"][ticket["category_id"] - 1]
        fields = [row for row in self._tables["category_fields"] if row["category_id"] == ticket["category_id"]]
        for row, field in zip(fields, profile["fields"], strict=True):
            value = given.get(field["name"])
            if value is None and "value" in field and self._draw.random() < 0.8:
                value = self._writer.text(field["value"], slots)
                if value and field["type"] == "select" and value not in field["options"]:
                    value = field["options"][-1]
            if value:
                self._tables.add(
                    "ticket_field_values",
                    ticket_id=ticket["ticket_id"],
                    field_id=row["field_id"],
                    field_value=json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value,
                    created_at=ticket["created_at"],
                )

    def _add_attachments(self, ticket: Row, slots: Slots) -> None:
        for _ in range(self._draw.choices([0, 1, 2], [75, 20, 5])[0]):
            name = self._draw.choice(self._profile["attachments"]).format_map(slots)
            self._tables.add(
                "ticket_attachments",
                ticket_id=ticket["ticket_id"],
                filename=name,
                filepath=f"uploads/{ticket['ticket_number']}/{name}",
                filesize=len(file_bytes(name)),
                uploaded_at=ticket["created_at"],
            )

    def _add_relations(self, ticket: Row, item: Row | None, agent: Row) -> None:
        """The item that the ticket is about, and now and then one that was found to have to do with it."""
        draw = self._draw
        items: dict[int, str] = {}
        if item is not None and draw.random() < 0.9:
            items[item["ci_id"]] = draw.choices(["affects", "caused_by", "resolved_by"], [80, 15, 5])[0]
        if draw.random() < 0.14:
            items.setdefault(draw.choice(self._tables["configuration_items"])["ci_id"], "related_to")
        for ci_id, relation_type in items.items():
            self._tables.add(
                "ticket_ci_relations",
                ticket_id=ticket["ticket_id"],
                ci_id=ci_id,
                relation_type=relation_type,
                created_at=ticket["created_at"],
                created_by=agent["user_id"],
            )

    def _item(self, scenario: dict[str, Any], user: Row) -> Row | None:
        """The configuration item that a ticket is about: the user's own, where there is one of the kind."""
        if "item" not in scenario:
            return None
        kind = [row for row in self._tables["configuration_items"] if row["category"] == scenario["item"]]
        own = [row for row in kind if row["owner_id"] == user["user_id"]]
        return self._draw.choice(own or kind)

    def _slots(self, language: str, user: Row, agent: Row, item: Row | None, opened: datetime) -> Slots:
        draw = self._draw
        location = item["location"] if item else user["location"]
        place = self._places[location]
        device = item or dict.fromkeys(("brand", "model", "serial_number", "asset_tag", "purchase_date"), "")
        started = opened - timedelta(days=draw.randrange(1, 9))
        facts = {
            "language": language,
            "user": user["first_name"],
            "full_name": f"{user['first_name']} {user['last_name']}",
            "user_id": user["email"].split("@")[0],
            "address": user["email"],
            "department": user["department"],
            "agent": agent["first_name"],
            "colleague": draw.choice([name for name in self._profile["colleagues"] if name != user["first_name"]]),
            "manager": draw.choice(self._profile["people"]["nl"]),
            "location": location,
            "room": place[language],
            "place": place["place"],
            "brand": device["brand"],
            "model": device["model"],
            "serial": device["serial_number"] or "",
            "asset": device["asset_tag"],
            "purchased": device["purchase_date"],
            "mac": ":".join(f"{draw.randrange(256):02x}" for _ in range(6)),
            "date": f"{started.day}-{started.month}" if language == "nl" else f"{started:%d/%m}",
            "starts": (opened + timedelta(days=draw.randrange(4, 30))).date().isoformat(),
            "ends": (opened + timedelta(days=draw.randrange(40, 90))).date().isoformat(),
        }
        return Slots(draw, facts)

    def _priority(self, scenario: dict[str, Any]) -> str:
        usual = self._profile["categories"][self._categories[scenario["category"]] - 1].get("priority", "medium")
        return usual if self._draw.random() < 0.6 else self._draw.choice(["low", "medium", "high", "urgent"])

    def _as_typed(self, text: str) -> str:
        """The text as some browsers sent it to the portal's older versions: wrong encodings."""
        chance = self._draw.random()
        if chance < 0.12:
            return "".join(letter.encode().decode("cp1252") if letter in "éëïöóé“’" else letter for letter in text)
        if chance < 0.24:
            return text.replace("“", "\x93").replace("”", "\x94")
        return text

    def _as_markup(self, text: str) -> str:
        if self._draw.random() < 0.15:
            return "".join(f"<p>{sentence.strip()}</p>" for sentence in text.split("\n") if sentence.strip())
        return text


def _in_working_hours(moment: datetime) -> datetime:
    if 6 <= moment.hour < 17:
        return moment
    return (moment + timedelta(hours=14)).replace(hour=7) if moment.hour >= 17 else moment.replace(hour=7)
