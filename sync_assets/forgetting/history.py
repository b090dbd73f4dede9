"""Dagster's event log: the previews and tables in the metadata of past runs.

Previews show titles, the beginnings of texts and ids, and don't say which document each is of. So all Markdown goes
from the events of every run that was about the tenant and the source, and from the results of all checks of the source:
one of a whole store names documents of every tenant, and its run none. Counts and digests stay, and so do the runs
themselves: their tags name the tenant, and the configuration of `sync --record` names record ids.

Uses Dagster's internals, as no call of its changes an event.
"""

import json
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from sync_assets.forgetting.place import Place
from sync_assets.partitions import GRAPH_TENANTS, TENANTS_TAG, tenants_name
from sync_assets.sources import SOURCE_NAMES

REMOVED = "*removed: it may have shown what was forgotten*"
_PAGE = 200


class _Column(NamedTuple):
    """Where events stand as JSON."""

    table: sa.Table
    key: sa.Column[Any]
    event: sa.Column[Any]
    condition: sa.ColumnElement[bool]


def runs_in_progress(instance: dg.DagsterInstance, tenant: str) -> int:
    """Runs that are, or may be, about a tenant, and may bring back what is erased meanwhile."""
    runs = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
    return sum(1 for run in runs if tenant in run.tags.get(TENANTS_TAG, tenant).split(","))


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
        runs = [row.run_id for row in index.execute(_runs(tenant, sources))]
        events = {row.run_id: _check_events(row.run_id) for row in index.execute(_runs_of_checks(sources))}
        events |= {run_id: _events(run_id) for run_id in runs}
        columns = [*events.values(), _checks(sources)]
        if runs:
            columns.append(_last_events(sources))
        changed = sum(_rewrite(index, column, change, write=write) for column in columns)
    if storage.is_run_sharded:
        for run_id, column in events.items():
            with storage.run_connection(run_id) as shard:
                changed += _rewrite(shard, column, change, write=write)
    return changed


def _runs(tenant: str, sources: Collection[str] | None) -> sa.Select[tuple[str]]:
    """Runs with an event of one of the tenant's partitions; those of its graph show all of its sources."""
    events = SqlEventLogStorageTable.c
    chains = events.partition.endswith(f"|{tenant}", autoescape=True)
    if sources is not None:
        chains &= _of_assets(events.asset_key, sources)
    query = sa.select(events.run_id).where(chains | (events.partition == tenant))
    return query.distinct()


def _runs_of_checks(sources: Collection[str] | None) -> sa.Select[tuple[str]]:
    """Runs that evaluated checks, whatever their partition: many have none."""
    checks = AssetCheckExecutionsTable.c
    return sa.select(checks.run_id).where(_of_sources(checks.asset_key, sources)).distinct()


def _events(run_id: str) -> _Column:
    events = SqlEventLogStorageTable
    return _Column(events, events.c.id, events.c.event, events.c.run_id == run_id)


def _check_events(run_id: str) -> _Column:
    """Results of checks; what else a run of another tenant shows is not this one's."""
    column = _events(run_id)
    is_result = SqlEventLogStorageTable.c.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
    return column._replace(condition=column.condition & is_result)


def _checks(sources: Collection[str] | None) -> _Column:
    """The results of checks, kept once more."""
    checks = AssetCheckExecutionsTable
    return _Column(checks, checks.c.id, checks.c.evaluation_event, _of_sources(checks.c.asset_key, sources))


def _last_events(sources: Collection[str] | None) -> _Column:
    """The last event of each asset, kept once more."""
    keys = AssetKeyTable
    return _Column(keys, keys.c.id, keys.c.last_materialization, _of_sources(keys.c.asset_key, sources))


def _of_sources(column: sa.ColumnElement[Any], sources: Collection[str] | None) -> sa.ColumnElement[bool]:
    """That an asset shows something of these sources, as the graph does; None for all."""
    return sa.true() if sources is None else _of_assets(column, [*sources, "graph"])


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
