"""The ticket portal's people, categories, configuration items and articles, from its YAML files."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sync_assets.demo.people import address

Row = dict[str, Any]

FIRST = datetime(2026, 11, 2, 6, tzinfo=UTC)
LAST = datetime(2026, 11, 13, 17, tzinfo=UTC)

_MADE = "2024-02-05 08:00:00"
_IMPORTED = "2026-11-02 06:00:00"  # items and articles came from an older system
_KEYS = {
    "departments": "department_id",
    "users": "user_id",
    "categories": "category_id",
    "category_fields": "field_id",
    "configuration_items": "ci_id",
    "knowledge_base": "kb_id",
    "tickets": "ticket_id",
    "ticket_comments": "comment_id",
    "ticket_attachments": "attachment_id",
    "ticket_field_values": "value_id",
    "ticket_ci_relations": "relation_id",
}
_ZERO_DATE = "0000-00-00"


class Tables(dict[str, list[Row]]):
    """Rows by table, parents first; every row of a table has the same columns."""

    def __init__(self) -> None:
        super().__init__({table: [] for table in _KEYS})

    def add(self, table: str, **columns: Any) -> Row:
        """Append a row under the table's next id, counted from 1."""
        row = {_KEYS[table]: len(self[table]) + 1, **columns}
        self[table].append(row)
        return row


def stamp(moment: datetime) -> str:
    """A moment as the database holds it: UTC, whole seconds.

    >>> stamp(datetime(2026, 11, 2, 6, tzinfo=UTC))
    '2026-11-02 06:00:00'
    """
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def moment_between(draw: random.Random, first: datetime, last: datetime) -> datetime:
    return first + timedelta(seconds=draw.randrange(int((last - first).total_seconds()) + 1))


def build_records(tables: Tables, profile: dict[str, Any], articles: list[dict[str, Any]]) -> None:
    """Fill every table that tickets refer to, and the knowledge base."""
    draw = random.Random("records of the ticket portal")
    _add_people(tables, profile, draw)
    _add_categories(tables, profile)
    for kind in profile["items"]:
        _add_items(tables, kind, profile, draw)
    tables["configuration_items"][4]["purchase_date"] = _ZERO_DATE
    _add_articles(tables, profile, articles, draw)


def _add_people(tables: Tables, profile: dict[str, Any], draw: random.Random) -> None:
    for department in profile["departments"]:
        tables.add(
            "departments", name=department["name"], description=department["about"], is_active=1, created_at=_MADE
        )
    *departments, service_desk = tables["departments"]
    desks = [place["name"] for place in profile["locations"] if "server" not in place["name"]]
    roles = [("agent", name) for name in profile["agents"]]
    roles += [("user", name) for language in ("nl", "en") for name in profile["people"][language]]
    for number, (role, name) in enumerate(roles):
        department = service_desk if role == "agent" else draw.choice(departments)
        first_name, last_name = name.split(" ", 1)
        tables.add(
            "users",
            email=address(name, profile["domain"]),
            password="!",  # no hash: nobody can sign in  # noqa: S106
            first_name=first_name,
            last_name=last_name,
            department=department["name"],
            role="admin" if number == 0 else role,
            department_id=department["department_id"],
            location=draw.choice(desks),
            created_at=_MADE,
            last_login=stamp(moment_between(draw, FIRST, LAST)) if draw.random() < 0.9 else None,
            is_active=1,
        )


def _add_categories(tables: Tables, profile: dict[str, Any]) -> None:
    for category in profile["categories"]:
        added = tables.add(
            "categories",
            name=category["name"],
            description=category["about"],
            default_priority=category.get("priority", "medium"),
            sla_hours=category["sla"],
            is_active=1,
            created_at=_MADE,
        )
        for order, field in enumerate(category["fields"], 1):
            tables.add(
                "category_fields",
                category_id=added["category_id"],
                field_name=field["name"],
                field_label=field["label"],
                field_type=field["type"],
                field_options=_json(field.get("options")),
                is_required=int(field.get("required", False)),
                field_order=order,
                placeholder=None,
                help_text=field.get("help"),
                conditional_logic=_json(field.get("when")),
                is_active=1,
                created_at=_MADE,
                updated_at=_MADE,
            )


def _add_items(tables: Tables, kind: dict[str, Any], profile: dict[str, Any], draw: random.Random) -> None:
    """Add the configuration items of one kind, or those with a story of their own."""
    for item in kind.get("items", []):
        prefix = "".join(letter for letter in item["category"].upper() if letter.isalnum())[:3]
        _add_item(tables, item | {"prefix": prefix, "status": "In gebruik"}, profile, draw)
    places = [place["name"] for place in profile["locations"] if kind.get("at", "") in place["name"]]
    for number in range(1, kind.get("count", 0) + 1):
        brand, model = kind["models"][number % len(kind["models"])]
        item = {
            "brand": brand,
            "model": model,
            "name": f"{kind['category']} {kind['prefix']}-{number:02}",
            "location": draw.choice(places),
            "notes": draw.choice(kind["notes"]),
            "status": draw.choices(
                ["In gebruik", "In voorraad", "Defect", "Onderhoud", "Afgeschreven"], [70, 11, 5, 5, 9]
            )[0],
        }
        _add_item(tables, kind | item, profile, draw)


def _add_item(tables: Tables, item: dict[str, Any], profile: dict[str, Any], draw: random.Random) -> None:
    people = [user for user in tables["users"] if user["role"] == "user"]
    owner = draw.choice(people) if item.get("personal") and item["status"] == "In gebruik" else None
    bought = date(2021, 1, 4) + timedelta(days=draw.randrange(2050))
    number = len(tables["configuration_items"]) + 1
    serial = f"{item['prefix']}{draw.randrange(36**6):06X}{draw.choice('AKRTWX')}{number:03}"
    lowest, highest = item.get("price", [300, 9800])
    tables.add(
        "configuration_items",
        ci_number=f"CI-{bought.year}-{number:03}",
        type=item["type"],
        category=item["category"],
        brand=item["brand"],
        model=item["model"],
        name=item["name"],
        serial_number=serial if item["type"] == "Hardware" else None,
        asset_tag=f"PK-{item['prefix']}-{number:03}",
        status=item["status"],
        owner_id=owner["user_id"] if owner else None,
        department=owner["department"] if owner else draw.choice(tables["departments"])["name"],
        location=item["location"],
        purchase_date=bought.isoformat(),
        purchase_price=round(draw.uniform(lowest, highest), 2),
        supplier=draw.choice(profile["suppliers"]),
        warranty_expiry=(bought + timedelta(days=3 * 365)).isoformat() if item["type"] == "Hardware" else None,
        notes=item["notes"] or None,
        created_at=_IMPORTED,
        updated_at=stamp(moment_between(draw, FIRST, LAST)),
        created_by=draw.choice(tables["users"][: len(profile["agents"])])["user_id"],
    )


def _add_articles(tables: Tables, profile: dict[str, Any], articles: list[dict[str, Any]], draw: random.Random) -> None:
    category_ids = {category["key"]: number for number, category in enumerate(profile["categories"], 1)}
    for article in articles:
        tables.add(
            "knowledge_base",
            category_id=category_ids[article["category"]],
            title=article["title"],
            content=article["text"],
            tags=",".join(article["tags"]),
            author_id=draw.choice(tables["users"][: len(profile["agents"])])["user_id"],
            views=draw.randrange(900),
            is_published=int(article.get("published", True)),
            created_at=_IMPORTED,
            updated_at=stamp(moment_between(draw, FIRST, LAST)),
        )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
