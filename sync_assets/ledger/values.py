"""Columns that many of the ledger's tables share: as conditions, as values to write, and as they are read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert

from sync_assets.documents import Standing, Version
from sync_assets.ledger.rows import StreamRef


def upsert(table: sa.Table, *keys: str) -> Insert:
    """An insert that takes the place of the row with the same keys."""
    statement = insert(table)
    columns = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=columns)


def scope_of(ref: StreamRef) -> dict[str, Any]:
    """The stream as columns."""
    return ref._asdict()


def where(
    table: sa.Table, tenant: str | None, source: str | None, stream: str | None, stage: str | None
) -> list[sa.ColumnElement[bool]]:
    """That a row is of these; None means any."""
    wanted = {"tenant": tenant, "source": source, "stream": stream, "stage": stage}
    return [table.c[name] == value for name, value in wanted.items() if value is not None]


def text_array(values: Sequence[str]) -> sa.BindParameter[Any]:
    """Texts as one parameter, however many they are."""
    return sa.bindparam(None, list(values), type_=sa.ARRAY(sa.Text))


def standing_of(row: sa.Row[Any]) -> Standing:
    """What a row says of a document's version."""
    return Standing(modified_at=row.modified_at, observed_at=row.observed_at, floor=row.floor, deleted=row.deleted)


def version_values(version: Version, floor: datetime, deleted: bool) -> dict[str, Any]:
    """A document's version as the columns that `standing_of` reads."""
    return {
        "modified_at": version.modified_at,
        "observed_at": version.observed_at,
        "floor": floor,
        "deleted": deleted,
    }
