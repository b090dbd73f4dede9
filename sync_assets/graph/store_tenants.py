"""How far what is made of a tenant's whole graph has come, in SQL.

What belongs here: whether entities, similarity and the summary are behind the graph, and what searched its texts. What
does not: the steps themselves (`stages/tenant_graph.py`). Callers hold the tenant's lock where they write.
"""

from enum import StrEnum

import sqlalchemy as sa

from sync_assets.graph import tables as t


class Step(StrEnum):
    """What is made of a whole graph, by the column that says how far it has come."""

    RESOLVED = "resolved"
    COMPARED = "compared"
    SUMMARISED = "summarised"


def count_change(connection: sa.Connection, tenant: str) -> None:
    """Something in the tenant's graph changed: all steps are behind now."""
    _ensure(connection, tenant)
    connection.execute(_update(tenant).values(changes=t.tenants.c.changes + 1))


def record_step(connection: sa.Connection, tenant: str, step: Step) -> None:
    """A step was done with the graph as it is now."""
    _ensure(connection, tenant)
    connection.execute(_update(tenant).values({step.value: t.tenants.c.changes}))


def tenants_behind(connection: sa.Connection) -> list[str]:
    """Tenants whose graph changed after one of the steps was last done, sorted."""
    stored = t.tenants.c
    behind = sa.or_(*(stored[step.value] < stored.changes for step in Step))
    return list(connection.scalars(sa.select(stored.tenant).where(behind).order_by(stored.tenant)))


def searched_with(connection: sa.Connection, tenant: str) -> str | None:
    """The extractor that searched all texts of a tenant; empty where several did, None where there are none yet."""
    return connection.scalar(sa.select(t.tenants.c.extractor).where(t.tenants.c.tenant == tenant))


def record_search(connection: sa.Connection, tenant: str, extractor: str) -> None:
    """All texts of a tenant were searched with this extractor; empty where some were searched with another one."""
    _ensure(connection, tenant)
    connection.execute(_update(tenant).values(extractor=extractor))


def _update(tenant: str) -> sa.Update:
    return sa.update(t.tenants).where(t.tenants.c.tenant == tenant)


def _ensure(connection: sa.Connection, tenant: str) -> None:
    """A row for the tenant, where it has none."""
    stored = t.tenants.c.tenant
    if connection.scalar(sa.select(stored).where(stored == tenant)) is None:
        nothing = dict.fromkeys(("changes", *(step.value for step in Step)), 0)
        connection.execute(sa.insert(t.tenants).values(tenant=tenant, extractor="", **nothing))
