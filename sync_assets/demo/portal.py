"""The ticket portal of `polder`: its own service desk, as an SQLite file and a folder of uploads.

What belongs here: the files, and which of its records live. What stands in it is in `portal_records.py`,
`portal_tickets.py` and `portal_story.py`; the tables are in `data/polder/portal/schema.sql`.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from sync_assets.demo.files import file_bytes
from sync_assets.demo.portal_records import Tables, build_records
from sync_assets.demo.portal_story import build_story
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


def folder_of(path: Path) -> Path:
    """Where the portal keeps what was uploaded, beside its database."""
    return path.with_suffix(".files")


def write_portal(path: Path) -> None:
    """Write the portal's database and its uploads at their start.

    Whatever was there is replaced, and a reader of the database sees either or.

    Raises:
        OSError: the folder can't be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_uploads(folder_of(path))
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection, connection:
        connection.executescript(_DATA.joinpath("schema.sql").read_text(encoding="utf-8"))
        for table, rows in _start().items():
            marks = ", ".join(f":{column}" for column in rows[0])
            connection.executemany(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({marks})", rows)  # noqa: S608
    unfinished.replace(path)


def _write_uploads(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    for attachment in _start()["ticket_attachments"]:
        file = folder / attachment["filepath"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(file_bytes(attachment["filename"]))


def live_ids(path: Path, stream: str) -> list[str]:
    """Record ids of a stream that live in the database now: all tickets, published articles, items in use."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [str(record_id) for (record_id,) in connection.execute(_LIVE[stream])]


def story_ids(path: Path) -> tuple[str, str]:
    """Record ids of the tickets of `portal_story.py`: the solved and the open one, which were added last."""
    tickets = live_ids(path, "tickets")
    return tickets[-2], tickets[-1]


@cache
def _start() -> Tables:
    profile, scenarios, articles, story = (
        yaml.load(_DATA.joinpath(name).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        for name in ("portal.yaml", "scenarios.yaml", "articles.yaml", "story.yaml")
    )
    tables = Tables()
    build_records(tables, profile, articles)
    build_portal_tickets(tables, profile, scenarios)
    build_story(tables, profile, story)
    return tables
