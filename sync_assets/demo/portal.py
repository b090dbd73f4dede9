"""The ticket portal of `polder`: the database of its own service desk, as an SQLite file.

What belongs here: the file, and which of its records live. What stands in it is in `portal_records.py` and
`portal_tickets.py`; the tables are in `data/polder/portal/schema.sql`.
"""

import os
import sqlite3
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from sync_assets.demo.portal_records import Tables, build_records
from sync_assets.demo.portal_tickets import build_portal_tickets

PORTAL_TENANT = "polder"
PORTAL_STREAMS = ("tickets", "knowledge_base", "configuration_items")

_DATA = files("sync_assets.demo").joinpath("data", "polder", "portal")
_LIVE = {
    "tickets": "SELECT ticket_id FROM tickets ORDER BY ticket_id",
    "knowledge_base": "SELECT 'kb-' || kb_id FROM knowledge_base WHERE is_published = 1 ORDER BY kb_id",
    "configuration_items": (
        "SELECT 'ci-' || ci_id FROM configuration_items WHERE status <> 'Afgeschreven' ORDER BY ci_id"
    ),
}


def write_portal(path: Path) -> None:
    """Write the portal's database at its start; whatever was there is replaced, and a reader sees either or.

    Raises:
        OSError: the folder can't be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection, connection:
        connection.executescript(_DATA.joinpath("schema.sql").read_text(encoding="utf-8"))
        for table, rows in _start().items():
            marks = ", ".join(f":{column}" for column in rows[0])
            connection.executemany(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({marks})", rows)  # noqa: S608
    unfinished.replace(path)


def live_ids(path: Path, stream: str) -> list[str]:
    """Record ids of a stream that live in the database now: all tickets, published articles, items in use."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [str(record_id) for (record_id,) in connection.execute(_LIVE[stream])]


@cache
def _start() -> Tables:
    profile, scenarios, articles = (
        yaml.load(_DATA.joinpath(name).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        for name in ("portal.yaml", "scenarios.yaml", "articles.yaml")
    )
    tables = Tables()
    build_records(tables, profile, articles)
    build_portal_tickets(tables, profile, scenarios)
    return tables
