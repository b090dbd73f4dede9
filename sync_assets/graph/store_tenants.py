"""How far what is made of a tenant's whole graph has come, in SQL.

What belongs here: whether entities, similarity and the summary are behind the graph, and what searched its texts. What
does not: the steps themselves (`stages/tenant_graph.py`). Callers hold the tenant's lock where they write.
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import groupby

import sqlalchemy as sa

from sync_assets.graph import tables as t
from sync_assets.graph.bulk import upsert


class Step(StrEnum):
    """What is made of a whole graph."""

    RESOLUTION = "resolution"
    SIMILARITY = "similarity"
    SUMMARY = "summary"


def is_known(connection: sa.Connection, tenant: str) -> bool:
    """Whether the graph ever had anything of a tenant."""
    return connection.scalar(sa.select(t.tenants.c.tenant).where(t.tenants.c.tenant == tenant)) is not None


def count_change(connection: sa.Connection, tenant: str) -> None:
    """Something in the tenant's graph changed: all steps are behind now."""
    _ensure(connection, tenant)
    connection.execute(_update(tenant).values(changes=t.tenants.c.changes + 1))


def record_step(connection: sa.Connection, tenant: str, step: Step, rule: str, *, complete: bool = True) -> None:
    """A step was done with the graph as it is now.

    Args:
        rule: all that its result follows from beside the graph.
        complete: False where something that it needs was not there, so that it is to be tried again.
    """
    _ensure(connection, tenant)
    changes = connection.scalar(sa.select(t.tenants.c.changes).where(t.tenants.c.tenant == tenant))
    stored = t.steps.c
    same = (stored.tenant == tenant, stored.step == step.value, stored.changes == changes, stored.rule == rule)
    tries = 0 if complete else (connection.scalar(sa.select(stored.tries).where(*same)) or 0) + 1
    upsert(connection, t.steps, [(tenant, step.value, changes, rule, tries)])


def tenants_behind(connection: sa.Connection, rules: Mapping[Step, str], most_tries: int) -> list[str]:
    """Tenants for which a step was not done with the graph, or by the rule, as they are now; sorted.

    Args:
        most_tries: how often a step that was not complete is tried with the same graph.
    """
    stored, tenant = t.steps.c, t.tenants.c
    query = (
        sa.select(tenant.tenant, tenant.changes, stored.step, stored.changes, stored.rule, stored.tries)
        .select_from(t.tenants.outerjoin(t.steps, tenant.tenant == stored.tenant))
        .where(tenant.changes > 0)
        .order_by(tenant.tenant)
    )
    behind: list[str] = []
    for name, rows in groupby(connection.execute(query), key=lambda row: row.tenant):
        done = {
            step: rule for _, now, step, changes, rule, tries in rows if changes == now and not 0 < tries < most_tries
        }
        if any(done.get(step.value) != rule for step, rule in rules.items()):
            behind.append(name)
    return behind


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
    if not is_known(connection, tenant):
        connection.execute(sa.insert(t.tenants).values(tenant=tenant, changes=0))
