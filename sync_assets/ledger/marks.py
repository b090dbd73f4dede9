"""Up to where stores and graphs follow the streams of a source, for many tenants at once.

What belongs here: questions whose cost follows the tenants in rows and not in queries: sensors ask at every tick.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of


def marks(ledger: Ledger, source: str, tenants: Collection[str]) -> dict[tuple[str, str], dict[str, datetime]]:
    """By (tenant, stream) and target: a store, or the graph."""
    row = t.watermarks.c
    query = sa.select(row.tenant, row.stream, row.store, row.synced_until).where(
        row.source == source, row.tenant == any_of(tenants)
    )
    found: dict[tuple[str, str], dict[str, datetime]] = {}
    with ledger.transaction() as connection:
        for tenant, stream, target, mark in connection.execute(query):
            found.setdefault((tenant, stream), {})[target] = mark
    return found


def first_missing(ledger: Ledger, source: str, tenants: Collection[str], stage: str) -> dict[tuple[str, str], str]:
    """The first window with documents that never came so far as a later stage, by (tenant, stream) that has one."""
    row, reached = t.windows.c, t.windows.alias()
    same = [reached.c[name] == row[name] for name in ("tenant", "source", "stream", "window")]
    query = (
        sa.select(row.tenant, row.stream, sa.func.min(row.window))
        .where(row.source == source, row.tenant == any_of(tenants), row.stage == "documents", row.rows > 0)
        .where(~sa.exists().where(*same, reached.c.stage == stage))
        .group_by(row.tenant, row.stream)
    )
    with ledger.transaction() as connection:
        return {(tenant, stream): window for tenant, stream, window in connection.execute(query)}
