"""Seed rows for tests: whole ones, of which a test changes what it is about."""

from typing import Any
from uuid import UUID


def uid(number: int) -> str:
    return str(UUID(int=number))


def customer(number: int, **values: Any) -> dict[str, Any]:
    return {"id": uid(number), "email": f"c{number}@one.example", "name": "Ada Holt", "plan": "basic"} | values


def invoice(number: int, customer: int, **values: Any) -> dict[str, Any]:
    row = {"id": uid(number), "customer_id": uid(customer), "invoice_number": f"INV-{number}", "amount": 12.5}
    return row | {"status": "open"} | values


def payment(number: int, customer: int, **values: Any) -> dict[str, Any]:
    return {"id": uid(number), "customer_id": uid(customer), "amount": 12.5, "status": "succeeded"} | values


def article(number: int, **values: Any) -> dict[str, Any]:
    text = f"Article {number} has more than twenty characters."
    return {"id": uid(number), "title": f"Article {number}", "content": text, "category": "billing"} | values


def conversation(number: int, customer: int, **values: Any) -> dict[str, Any]:
    row = {"id": uid(number), "customer_id": uid(customer), "status": "active", "started_at": "2026-11-02T08:00:00"}
    return row | values


def message(number: int, conversation: int, **values: Any) -> dict[str, Any]:
    return {"id": uid(number), "conversation_id": uid(conversation), "role": "user", "content": "Hello"} | values
