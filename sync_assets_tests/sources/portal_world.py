"""A portal's database that tests fill and change by plain SQL, in MariaDB or SQLite."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, Date, DateTime, Integer, Numeric, Text

from sync_assets_tests.mariadb import Server

NOON = datetime(2026, 10, 5, 12)
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_TIMES = {"created_at": DateTime, "updated_at": DateTime}
_TABLES: dict[str, dict[str, Any]] = {
    "departments": {"department_id": Integer, "name": Text},
    "users": {
        **{"user_id": Integer, "email": Text, "password": Text, "first_name": Text, "last_name": Text},
        **{"department": Text, "role": Text, "created_at": DateTime},
    },
    "categories": {"category_id": Integer, "name": Text},
    "category_fields": {
        **{"field_id": Integer, "category_id": Integer, "field_name": Text, "field_label": Text, "field_type": Text},
        **{"field_order": Integer},
    },
    "tickets": {
        **{"ticket_id": Integer, "ticket_number": Text, "user_id": Integer, "assigned_agent_id": Integer},
        **{"category_id": Integer, "title": Text, "description": Text, "priority": Text, "ticket_type": Text},
        **{"status": Text, "source": Text, **_TIMES, "resolved_at": DateTime, "resolution": Text},
        **{"satisfaction_rating": Integer, "satisfaction_comment": Text},
    },
    "ticket_comments": {
        **{"comment_id": Integer, "ticket_id": Integer, "user_id": Integer, "comment": Text, "is_internal": Boolean},
        "created_at": DateTime,
    },
    "ticket_attachments": {
        **{"attachment_id": Integer, "ticket_id": Integer, "filename": Text, "filepath": Text, "filesize": Integer},
        "uploaded_at": DateTime,
    },
    "ticket_field_values": {
        **{"value_id": Integer, "ticket_id": Integer, "field_id": Integer, "field_value": Text},
        "created_at": DateTime,
    },
    "configuration_items": {
        **{"ci_id": Integer, "ci_number": Text, "type": Text, "category": Text, "brand": Text, "model": Text},
        **{"name": Text, "serial_number": Text, "asset_tag": Text, "status": Text, "owner_id": Integer},
        **{"department": Text, "location": Text, "purchase_date": Date, "purchase_price": Numeric, "supplier": Text},
        **{"warranty_expiry": Date, "notes": Text, **_TIMES},
    },
    "ticket_ci_relations": {
        **{"relation_id": Integer, "ticket_id": Integer, "ci_id": Integer, "relation_type": Text},
        "created_at": DateTime,
    },
    "knowledge_base": {
        **{"kb_id": Integer, "category_id": Integer, "title": Text, "content": Text, "tags": Text},
        **{"author_id": Integer, "views": Integer, "is_published": Boolean, **_TIMES},
    },
}
METADATA = sa.MetaData()
for _name, _columns in _TABLES.items():
    _key, *_others = _columns.items()
    sa.Table(
        _name,
        METADATA,
        sa.Column(_key[0], _key[1], primary_key=True),
        *(sa.Column(column, kind) for column, kind in _others),
    )


class World:
    """One database, and short ways to fill and change it.

    Attributes:
        url: what a source is given.
    """

    def __init__(self, url: str, engine: sa.Engine) -> None:
        self.url = url
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"

    def insert(self, table: str, **values: Any) -> int:
        """Insert a row and return its id."""
        with self.engine.begin() as connection:
            result = connection.execute(METADATA.tables[table].insert().values(values))
            key: Any = result.inserted_primary_key
            return key[0]

    def insert_many(self, table: str, rows: list[dict[str, Any]]) -> None:
        with self.engine.begin() as connection:
            connection.execute(METADATA.tables[table].insert(), rows)

    def run(self, *statements: str) -> None:
        """Run statements as they stand, without strict mode and checks of foreign keys."""
        with self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql("SET SESSION sql_mode='', foreign_key_checks=0, time_zone='+00:00'")
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def ticket(self, ticket_id: int, **values: Any) -> int:
        return self.insert("tickets", **ticket_row(ticket_id, **values))

    def comment(self, ticket_id: int, text: str = "Is bekeken.", **values: Any) -> int:
        row = {"ticket_id": ticket_id, "user_id": 2, "comment": text, "is_internal": False, "created_at": NOON}
        return self.insert("ticket_comments", **{**row, **values})

    def attachment(self, ticket_id: int, **values: Any) -> int:
        row = {"ticket_id": ticket_id, "filename": "foto.png", "filepath": "/up/1", "filesize": 9, "uploaded_at": NOON}
        return self.insert("ticket_attachments", **{**row, **values})

    def value(self, ticket_id: int, field_id: int = 1, text: str = "HP", **values: Any) -> int:
        row = {"ticket_id": ticket_id, "field_id": field_id, "field_value": text, "created_at": NOON}
        return self.insert("ticket_field_values", **{**row, **values})

    def link(self, ticket_id: int, ci_id: int = 1, **values: Any) -> int:
        row = {"ticket_id": ticket_id, "ci_id": ci_id, "relation_type": "affects", "created_at": NOON}
        return self.insert("ticket_ci_relations", **{**row, **values})

    def item(self, ci_id: int, **values: Any) -> int:
        return self.insert("configuration_items", **item_row(ci_id, **values))

    def article(self, kb_id: int, **values: Any) -> int:
        return self.insert("knowledge_base", **article_row(kb_id, **values))

    def fill(self) -> None:
        """People, categories, fields and configuration items that tickets point to."""
        people = [("Anna", "Vos", "user", "Inkoop"), ("Bram", "Smit", "agent", "ICT"), ("Cor", "Bos", "agent", "ICT")]
        self.insert_many(
            "users",
            [
                {
                    **{"user_id": number, "email": f"{first}@example.com", "password": "x", "first_name": first},
                    **{"last_name": last, "role": role, "department": department, "created_at": NOON},
                }
                for number, (first, last, role, department) in enumerate(people, 1)
            ],
        )
        self.insert_many("categories", [{"category_id": 1, "name": "Hardware"}, {"category_id": 2, "name": "Software"}])
        self.insert_many(
            "category_fields",
            [
                {
                    **{"field_id": number, "category_id": 1, "field_name": name, "field_label": name.title()},
                    **{"field_type": "text", "field_order": 10 - number},
                }
                for number, name in enumerate(("brand", "model", "affected"), 1)
            ],
        )
        self.insert_many("configuration_items", [item_row(number) for number in (1, 2, 3)])

    def many_tickets(self, count: int) -> None:
        """Tickets 1 to `count` with a comment, a field value, an attachment and a link each, a minute apart."""
        times = [NOON + timedelta(minutes=number) for number in range(1, count + 1)]
        self.insert_many(
            "tickets",
            [ticket_row(number, created_at=time, updated_at=time) for number, time in enumerate(times, 1)],
        )
        self.insert_many("ticket_comments", [_comment(number, time) for number, time in enumerate(times, 1)])
        self.insert_many(
            "ticket_field_values",
            [{"ticket_id": n, "field_id": 1, "field_value": f"v{n}", "created_at": t} for n, t in enumerate(times, 1)],
        )
        self.insert_many(
            "ticket_attachments",
            [
                {"ticket_id": n, "filename": f"{n}.png", "filepath": "/x", "filesize": n, "uploaded_at": t}
                for n, t in enumerate(times, 1)
            ],
        )
        self.insert_many(
            "ticket_ci_relations",
            [{"ticket_id": n, "ci_id": 1, "relation_type": "affects", "created_at": t} for n, t in enumerate(times, 1)],
        )


def ticket_row(ticket_id: int, **values: Any) -> dict[str, Any]:
    return {
        **{"ticket_id": ticket_id, "ticket_number": f"KK-2026-{ticket_id:04d}", "user_id": 1, "category_id": 1},
        "title": f"Printer {ticket_id} doet het niet",
        "description": f"De printer op kamer {ticket_id} print niet meer.",
        **{"priority": "medium", "ticket_type": "incident", "status": "open", "source": "web"},
        **{"created_at": NOON, "updated_at": NOON},
        **values,
    }


def item_row(ci_id: int, **values: Any) -> dict[str, Any]:
    return {
        **{"ci_id": ci_id, "ci_number": f"CI-2026-{ci_id:03d}", "type": "Hardware", "name": f"Laptop {ci_id}"},
        **{"brand": "Dell", "status": "In gebruik", "purchase_date": date(2025, 3, 1), "purchase_price": 999},
        **{"created_at": NOON, "updated_at": NOON},
        **values,
    }


def article_row(kb_id: int, **values: Any) -> dict[str, Any]:
    return {
        **{"kb_id": kb_id, "category_id": 1, "title": f"Uitleg {kb_id}", "content": "# Zo werkt het", "views": 3},
        **{"tags": "vpn, wifi", "author_id": 2, "is_published": True, "created_at": NOON, "updated_at": NOON},
        **values,
    }


def _comment(number: int, time: datetime) -> dict[str, Any]:
    return {"ticket_id": number, "user_id": 2, "comment": f"Stap {number}", "is_internal": False, "created_at": time}


@contextmanager
def mariadb_world(server: Server) -> Iterator[World]:
    """An empty portal in MariaDB; its source may only read."""
    name = server.create_database()
    engine = sa.create_engine(server.admin_url(name))
    yield World(server.url(name), engine)
    engine.dispose()
    server.drop_database(name)


@contextmanager
def sqlite_world(folder: Path) -> Iterator[World]:
    """An empty portal in a file of SQLite."""
    path = folder / "portal.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    METADATA.create_all(engine)
    yield World(f"sqlite:///{path}", engine)
    engine.dispose()
