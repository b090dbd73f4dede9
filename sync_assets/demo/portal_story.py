"""Two tickets of the portal that share a device and no words: one is solved, the other one waits for the same solution.

What belongs here: how they get into the tables, behind all others. Their texts are in `data/polder/portal/story.yaml`.
"""

from datetime import date
from typing import Any

from sync_assets.demo.portal_records import Row, Tables, stamp


def build_story(tables: Tables, profile: dict[str, Any], story: dict[str, Any]) -> None:
    """Add the device and its two tickets, the solved one first."""
    item = _item(tables, story["item"])
    categories = {category["key"]: number for number, category in enumerate(profile["categories"], 1)}
    for role in ("solved", "open"):
        _ticket(tables, categories, story[role], item)


def _item(tables: Tables, told: dict[str, Any]) -> Row:
    number = len(tables["configuration_items"]) + 1
    bought, imported = date(2024, 3, 18), tables["configuration_items"][0]["created_at"]
    return tables.add(
        "configuration_items",
        ci_number=f"CI-{bought.year}-{number:03}",
        type=told["type"],
        category=told["category"],
        brand=told["brand"],
        model=told["model"],
        name=told["name"],
        serial_number=f"FOC{number:08}",
        asset_tag=f"PK-SW-{number:03}",
        status=told["status"],
        owner_id=None,
        department="ICT",
        location=told["location"],
        purchase_date=bought.isoformat(),
        purchase_price=1249.0,
        supplier="Netwerkhuis Salland",
        warranty_expiry=bought.replace(year=bought.year + 3).isoformat(),
        notes=told["notes"],
        created_at=imported,
        updated_at=imported,
        created_by=1,
    )


def _ticket(tables: Tables, categories: dict[str, int], told: dict[str, Any], item: Row) -> None:
    people = {f"{user['first_name']} {user['last_name']}": user["user_id"] for user in tables["users"]}
    resolved = told.get("resolved")
    ticket = tables.add(
        "tickets",
        ticket_number=f"PK-{told['opened'].year}-{len(tables['tickets']) + 1:04}",
        user_id=people[told["user"]],
        assigned_agent_id=people[told["agent"]],
        category_id=categories[told["category"]],
        title=told["title"],
        description=told["description"],
        priority="high",
        ticket_type="incident",
        status="resolved" if resolved else "open",
        source="phone",
        created_at=stamp(told["opened"]),
        updated_at=stamp(resolved or told["opened"]),
        resolved_at=stamp(resolved) if resolved else None,
        resolution=told.get("resolution"),
        satisfaction_rating=None,
        satisfaction_comment=None,
    )
    tables.add(
        "ticket_ci_relations",
        ticket_id=ticket["ticket_id"],
        ci_id=item["ci_id"],
        relation_type=told["relation"],
        created_at=ticket["created_at"],
        created_by=ticket["assigned_agent_id"],
    )
