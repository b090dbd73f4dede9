"""Dagster's event log: the previews and tables in the metadata of past runs.

Previews show titles, the beginnings of texts and ids, and don't say which document each is of. So all Markdown goes
from the events of every run that was about the tenant and the source. Counts and digests stay, and so do the runs
themselves: their tags name the tenant, and the configuration of `sync --record` names record ids.

Uses Dagster's internals, as no call of its changes an event.
"""

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from sync_assets.forgetting.place import Place
from sync_assets.partitions import GRAPH_TENANTS, tenants_name
from sync_assets.sources import SOURCE_NAMES

REMOVED = "*removed: it may have shown what was forgotten*"
_PAGE = 200


class _Column(NamedTuple):
    """Where events stand as JSON."""

    table: sa.Table
    key: sa.Column[Any]
    event: sa.Column[Any]
    condition: sa.ColumnElement[bool]


def previews(instance: dg.DagsterInstance, tenant: str, sources: Collection[str] | None = None) -> Place:
    """Events with Markdown, of runs about a tenant and these sources; None for all of them."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)  # noqa: S101 Dagster has no other kind

    def change(event: str) -> str | None:
        value = json.loads(event)
        return json.dumps(value) if _blank(value) else None

    def count() -> int:
        return _each(storage, tenant, sources, change, write=False)

    def erase() -> None:
        _each(storage, tenant, sources, change, write=True)

    return Place("previews in Dagster", count, erase)


def partitions(instance: dg.DagsterInstance, tenant: str) -> Place:
    """The tenant among Dagster's dynamic partitions."""
    names = [*map(tenants_name, SOURCE_NAMES), GRAPH_TENANTS]

    def found() -> list[str]:
        return [name for name in names if instance.has_dynamic_partition(name, tenant)]

    def erase() -> None:
        for name in found():
            instance.delete_dynamic_partition(name, tenant)

    return Place("Dagster's partitions", lambda: len(found()), erase)


def _each(
    storage: SqlEventLogStorage,
    tenant: str,
    sources: Collection[str] | None,
    change: Callable[[str], str | None],
    *,
    write: bool,
) -> int:
    """How many events `change` changes, and the change written where that is asked for."""
    with storage.index_connection() as index:
        run_ids = [row.run_id for row in index.execute(_runs(tenant, sources))]
        changed = sum(_rewrite(index, column, change, write=write) for column in _columns(run_ids, sources))
    if storage.is_run_sharded:
        for run_id in run_ids:
            with storage.run_connection(run_id) as shard:
                changed += _rewrite(shard, _events(run_id), change, write=write)
    return changed


def _runs(tenant: str, sources: Collection[str] | None) -> sa.Select[tuple[str]]:
    """Runs with an event of one of the tenant's partitions; those of its graph show all of its sources."""
    events = SqlEventLogStorageTable.c
    chains = events.partition.endswith(f"|{tenant}", autoescape=True)
    if sources is not None:
        chains &= _of_assets(events.asset_key, sources)
    query = sa.select(events.run_id).where(chains | (events.partition == tenant))
    return query.distinct()


def _columns(run_ids: Collection[str], sources: Collection[str] | None) -> Iterator[_Column]:
    for run_id in run_ids:
        yield _events(run_id)
        checks = AssetCheckExecutionsTable
        yield _Column(checks, checks.c.id, checks.c.evaluation_event, checks.c.run_id == run_id)
    # Of each asset the last event is kept once more.
    keys = AssetKeyTable
    of_assets = sa.true() if sources is None else _of_assets(keys.c.asset_key, [*sources, "graph"])
    yield _Column(keys, keys.c.id, keys.c.last_materialization, of_assets if run_ids else sa.false())


def _events(run_id: str) -> _Column:
    events = SqlEventLogStorageTable
    return _Column(events, events.c.id, events.c.event, events.c.run_id == run_id)


def _of_assets(column: sa.ColumnElement[Any], sources: Collection[str]) -> sa.ColumnElement[bool]:
    """That an asset's key, which is a JSON list there, begins with one of these sources."""
    return sa.or_(*(column.startswith(f'["{source}"', autoescape=True) for source in sources))


def _rewrite(connection: sa.Connection, column: _Column, change: Callable[[str], str | None], *, write: bool) -> int:
    changed = 0
    last = -1
    while True:
        query = (
            sa.select(column.key, column.event)
            .where(column.condition, column.key > last, column.event.contains('"md_str"'))
            .order_by(column.key)
            .limit(_PAGE)
        )
        rows = connection.execute(query).all()
        if not rows:
            return changed
        for key, event in rows:
            new = change(event)
            changed += new is not None
            if write and new is not None:
                update = sa.update(column.table).where(column.key == key).values({column.event.name: new})
                connection.execute(update)
        last = rows[-1][0]


def _blank(value: Any) -> bool:
    """Take the place of all Markdown in an event; whether there was any."""
    if isinstance(value, list):
        return any([_blank(item) for item in value])  # noqa: C419 each of them
    if not isinstance(value, dict):
        return False
    found = any([_blank(item) for item in value.values()])  # noqa: C419 each of them
    if value.get("md_str") in (None, REMOVED):
        return found
    value["md_str"] = REMOVED
    return True
