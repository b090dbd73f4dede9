"""Which rows of a file go into their table: merged, referring to rows that are there, keeping every rule.

What belongs here: everything that needs other rows, of the file or of the tables. Nothing is written.

The order of judgement is the same for every row, so that a second load judges as the first: a row with a fault is
rejected, whatever else; then one that another row already is, by id or by key, is merged into that; first wins.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sync_assets.support_database.report import RejectedRow
from sync_assets.support_database.rows import Row, key_of, read_row, row_uuid
from sync_assets.support_database.seed import SeedRow

_SAMPLE = 5
_PAGE_ROWS = 1000

Aliases = dict[str, dict[UUID, UUID]]


@dataclass
class Plan:
    """What is to become of the rows of one table.

    Attributes:
        accepted: rows to write; ids and keys differ.
        merged: how many rows another row already is.
    """

    accepted: list[Row] = field(default_factory=list)
    merged: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def plan_rows(connection: sa.Connection, table: sa.Table, seed_rows: Iterable[SeedRow], aliases: Aliases) -> Plan:
    """Judge the rows of a table, whose parents are judged and, where they are loaded too, written.

    Args:
        aliases: by table, the ids of rows that were merged and of those they were merged into; the table's are added.
    """
    plan = Plan()
    rows = [read_row(table, seed_row) for seed_row in seed_rows]
    for row in rows:
        _follow_merged(table, row, aliases)
    for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
        _check_parents(connection, key, rows, plan)
    _merge(connection, table, rows, plan, aliases.setdefault(table.name, {}))
    _report_strangers(connection, table, plan)
    _report_unknown(rows, plan)
    return plan


def stored_ids(connection: sa.Connection, table: sa.Table, ids: Iterable[UUID]) -> set[UUID]:
    """Those of the ids that the table has."""
    wanted = sa.bindparam("ids", list(ids), type_=sa.ARRAY(sa.Uuid))
    return set(connection.scalars(sa.select(table.c.id).where(table.c.id == sa.any_(wanted))))


def _follow_merged(table: sa.Table, row: Row, aliases: Aliases) -> None:
    """Let references to merged rows refer to those that stayed."""
    for column in table.columns:
        value = row.values.get(column.name)
        if value is None:
            continue
        for key in column.foreign_keys:
            row.values[column.name] = aliases.get(key.column.table.name, {}).get(value, value)
        if other := column.info.get("ids_of"):
            row.values[column.name] = [_followed(other, item, aliases.get(other, {})) for item in value]


def _followed(table: str, given: str, merged: dict[UUID, UUID]) -> str:
    found = row_uuid(table, given)
    return str(merged.get(found, found))


def _check_parents(connection: sa.Connection, key: sa.ForeignKey, rows: Sequence[Row], plan: Plan) -> None:
    """Find references to rows that are not there; where the column may be null it is left empty."""
    column, parent = key.parent, key.column.table
    naming = [row for row in rows if row.values.get(column.name) is not None]
    known = stored_ids(connection, parent, {row.values[column.name] for row in naming})
    orphans = [row for row in naming if row.values[column.name] not in known]
    for row in orphans:
        if column.nullable:
            row.values[column.name] = None
        else:
            row.faults.append(f"{column.name}: {parent.name} has no row {row.values[column.name]}")
    if orphans and column.nullable:
        plan.notices.append(
            f"{column.name}: left empty in {_rows(len(orphans))}, as {parent.name} has no such row:"
            f" {_sample(row.row_id for row in orphans)}"
        )


def _merge(connection: sa.Connection, table: sa.Table, rows: list[Row], plan: Plan, merged: dict[UUID, UUID]) -> None:
    """Part the rows into accepted, merged and rejected ones."""
    owners, keys = _stored_keys(connection, table)
    accepted: set[UUID] = set()
    pairs: list[str] = []
    for row in rows:
        owner = owners.get(row.key) if row.key is not None else None
        if row.faults:
            plan.rejected.append(RejectedRow(row.place, row.row_id, "; ".join(row.faults)))
        elif row.id in accepted:
            plan.merged += 1
            pairs.append(f"{row.place} (same id)")
        elif owner is None or owner == row.id:
            _accept(row, plan, owners, keys)
            accepted.add(row.id)
        elif row.id in keys:
            key = " and ".join(table.info["key"])
            plan.rejected.append(RejectedRow(row.place, row.row_id, f"{key}: row {owner} has the same already"))
        else:
            plan.merged += 1
            merged[row.id] = owner
            pairs.append(f"{row.row_id} into {owner}")
    if pairs:
        plan.notices.append(f"{_rows(len(pairs))} merged with the row that stayed: {_sample(pairs)}")


def _accept(row: Row, plan: Plan, owners: dict[str, UUID], keys: dict[UUID, str | None]) -> None:
    plan.accepted.append(row)
    former = keys.get(row.id)
    if former is not None and owners.get(former) == row.id:
        del owners[former]
    keys[row.id] = row.key
    if row.key is not None:
        owners[row.key] = row.id


def _stored_keys(connection: sa.Connection, table: sa.Table) -> tuple[dict[str, UUID], dict[UUID, str | None]]:
    """The rows that the table has: ids by key, and keys by id; empty where its rows have no key beside the id."""
    columns = [table.c[name] for name in table.info["key"]]
    if not columns:
        return {}, {}
    query = sa.select(table.c.id, *columns).order_by(table.c.created_at, table.c.id)
    stored = connection.execute(query, execution_options={"yield_per": _PAGE_ROWS})
    keys = {row.id: key_of(table, row._asdict()) for row in stored}
    return {key: row_id for row_id, key in reversed(keys.items()) if key is not None}, keys


def _report_strangers(connection: sa.Connection, table: sa.Table, plan: Plan) -> None:
    """Tell how many ids in lists match no row of the table that they are of."""
    for column in table.columns:
        if other := column.info.get("ids_of"):
            ids = [UUID(item) for row in plan.accepted for item in row.values.get(column.name) or []]
            known = stored_ids(connection, table.metadata.tables[other], set(ids))
            if strangers := sum(item not in known for item in ids):
                plan.notices.append(f"{column.name}: {strangers} of {len(ids)} ids match no row of {other}")


def _report_unknown(rows: Iterable[Row], plan: Plan) -> None:
    unknown = Counter(name for row in rows for name in row.unknown)
    for name, count in sorted(unknown.items()):
        plan.notices.append(f"{ascii(name)[:60]} is no column and was left out of {_rows(count)}")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _sample(texts: Iterable[Any]) -> str:
    shown = [str(text) for text in texts]
    more = f" and {len(shown) - _SAMPLE} more" if len(shown) > _SAMPLE else ""
    return ", ".join(shown[:_SAMPLE]) + more
