"""The seed folder of acme's support database: its articles as they are kept, and made-up rows around them.

What belongs here: what is wrong in the folder on purpose, so that a load has something to report. Everything else is
`support_database/generate.py`.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from sync_assets.support_database.generate import generate, write_seed
from sync_assets.support_database.tables import CATEGORIES

SUPPORT_TENANT = "acme"

_CUSTOMERS = 25
_SEED = 2026


def write_support_seed(folder: Path) -> None:
    """Write the seed folder, the same at every call.

    A load of it merges one customer and rejects three rows: an invoice with a status that there is not, a message
    without its conversation, and an article with a category that there is not.

    Raises:
        OSError: the folder can't be made or written.
    """
    articles = _articles()
    # The last one is at fault, and nothing refers to it.
    rows = generate(_CUSTOMERS, _SEED, articles[:-1])
    rows["kb_articles"] = articles
    first, last = rows["customers"][0], rows["customers"][-1]
    last["email"] = first["email"].upper()
    rows["invoices"][-1]["status"] = "past_due"
    del rows["payments"][-1]["invoice_id"]
    rows["messages"][-1]["conversation_id"] = "00000000-0000-4000-8000-000000000000"
    rows["response_quality_checks"][-1]["message_id"] = rows["messages"][-2]["id"]
    write_seed(rows, folder)


def article_ids() -> list[str]:
    """Ids of the active articles that a load accepts."""
    return [row["id"] for row in _articles() if row["category"] in CATEGORIES and row["is_active"]]


def _articles() -> list[dict[str, Any]]:
    path = files("sync_assets.demo").joinpath("data", SUPPORT_TENANT, "support", "kb_articles.json")
    return json.loads(path.read_text(encoding="utf-8"))["records"]
