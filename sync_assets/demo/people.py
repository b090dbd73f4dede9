"""Agents, groups, companies, contacts and ticket fields of an account, from `account.yaml`."""

import random
from datetime import UTC, datetime
from typing import Any

from sync_assets.demo.records import PRIORITIES, SOURCES, STATUSES, AccountData, Json, timestamp

_MADE = timestamp(datetime(2026, 10, 1, 8, tzinfo=UTC))
_FIRST_ID = 48_000_000_000
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz.")


def build_people(account: AccountData, profile: dict[str, Any]) -> None:
    """Fill the account's agents, groups, companies, contacts and ticket fields."""
    draw = random.Random(f"people of {account.tenant}")
    stamps = {"created_at": _MADE, "updated_at": _MADE}
    for number, name in enumerate(profile["agents"], _FIRST_ID + 101):
        contact = {
            "name": name,
            "email": address(name, profile["domain"]),
            "active": True,
            "language": account.language,
        }
        account.agents[number] = {
            "id": number,
            "available": True,
            "occasional": False,
            "ticket_scope": 1,
            "type": "support_agent",
            "signature": f"<div>{name}</div>",
            "contact": contact | {"job_title": None, "mobile": None, "phone": None, "time_zone": "Amsterdam"} | stamps,
            **stamps,
        }
    for number, name in enumerate(profile["groups"], _FIRST_ID + 201):
        account.groups[number] = {
            "id": number,
            "name": name,
            "description": None,
            "escalate_to": None,
            "agent_ids": [agent for agent in account.agents if draw.random() < 0.5],
            **stamps,
        }
    contact_id = _FIRST_ID + 1000
    for number, company in enumerate(profile["companies"], _FIRST_ID + 301):
        domain = (
            "".join(letter for letter in company["name"].lower() if letter.isalnum() and letter.isascii()) + ".example"
        )
        account.companies[number] = {
            "id": number,
            "name": company["name"],
            "description": None,
            "note": None,
            "domains": [domain],
            "custom_fields": {"place": company["place"]},
            **stamps,
        }
        for name in company["people"]:
            contact_id += 1
            account.contacts[contact_id] = {
                "id": contact_id,
                "name": name,
                "email": address(name, domain),
                "active": True,
                "company_id": number,
                "phone": f"+31 {draw.choice((20, 30, 40, 50, 70))} 555 {draw.randrange(1000, 9999)}",
                "mobile": None,
                "language": company.get("language", account.language),
                "custom_fields": {},
                "tags": [],
                "view_all_tickets": False,
                **stamps,
            }
    account.ticket_fields = _ticket_fields(account, profile)


def _ticket_fields(account: AccountData, profile: dict[str, Any]) -> list[Json]:
    products: dict[str, Any] = profile["products"]
    nested: dict[str, dict[str, list[str]]] = {}
    for name, product in products.items():
        nested.setdefault(product["category"], {}).setdefault(product["family"], []).append(name)
    fields: list[tuple[str, str, str, Any]] = [
        ("requester", "Search a requester", "default_requester", None),
        ("subject", "Subject", "default_subject", None),
        ("ticket_type", "Type", "default_ticket_type", profile["types"]),
        ("source", "Source", "default_source", SOURCES),
        ("status", "Status", "default_status", {str(status): names for status, names in STATUSES.items()}),
        ("priority", "Priority", "default_priority", PRIORITIES),
        ("group", "Group", "default_group", {group["name"]: group["id"] for group in account.groups.values()}),
        ("agent", "Agent", "default_agent", {item["contact"]["name"]: item["id"] for item in account.agents.values()}),
        ("description", "Description", "default_description", None),
        ("company", "Company", "default_company", None),
        ("cf_product", "Product", "custom_dropdown", list(products)),
        ("cf_serial_number", profile["labels"]["serial"], "custom_text", None),
        ("cf_version", profile["labels"]["version"], "custom_text", None),
        ("cf_category", profile["labels"]["category"], "nested_field", nested),
    ]
    stamps = {"created_at": _MADE, "updated_at": _MADE}
    made: list[Json] = []
    for position, (name, label, kind, choices) in enumerate(fields, 1):
        field: Json = {
            "id": _FIRST_ID + 400 + position,
            "name": name,
            "label": label,
            "description": None,
            "position": position,
            "required_for_closure": False,
            "required_for_agents": not name.startswith("cf_"),
            "type": kind,
            "default": not name.startswith("cf_"),
            "customers_can_edit": True,
            "label_for_customers": label,
            "required_for_customers": False,
            "displayed_to_customers": True,
            **stamps,
        }
        if choices is not None:
            field["choices"] = choices
        if kind == "nested_field":
            field["nested_ticket_fields"] = [
                {"id": field["id"] + 50 + level, "name": inner, "label": inner_label, "level": level, **stamps}
                for level, (inner, inner_label) in enumerate(
                    [("cf_subcategory", profile["labels"]["subcategory"]), ("cf_item", profile["labels"]["item"])], 2
                )
            ]
        made.append(field)
    return made


def address(name: str, domain: str) -> str:
    plain = "".join(letter for letter in name.lower().replace(" ", ".") if letter in _LETTERS)
    return f"{plain}@{domain}"
