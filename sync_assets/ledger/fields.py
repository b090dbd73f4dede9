"""Which fields the records of an account have, so that a change of upstream's schema is seen.

What belongs here: what was seen so far, and what is new or gone. What is told about it is in `checks/`. Nothing is
written where records look as those before did.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.ledger import Ledger, StreamRef
from sync_assets.ledger import tables as t

NEWS_DAYS = 7

# An account's first day tells what its records look like.
_FIRST_DAYS = timedelta(days=1)
# So many records of one run tell that a field is usual, in this share of them, or gone.
_ENOUGH = 50
_USUAL = 0.9


class Drift(NamedTuple):
    """How an account's records differ from those of more than `NEWS_DAYS` days ago.

    Attributes:
        new: fields that no record had on the account's first day.
        gone: fields that nearly all records had, and none of the 50 or more of a run.
    """

    new: list[str]
    gone: list[str]


class _Field(NamedTuple):
    field: str
    usual: bool
    first_seen: datetime
    gone_since: datetime | None


def note_fields(ledger: Ledger, ref: StreamRef, seen: Mapping[str, int], now: datetime) -> Drift:
    """Add the fields of a run's records to what is known of the account.

    Args:
        seen: in how many records each field stands; `""` counts the records.
    """
    table = t.record_fields
    columns = [table.c[name] for name in _Field._fields]
    query = sa.select(*columns).where(*(table.c[name] == value for name, value in ref._asdict().items()))
    with ledger.transaction() as connection:
        known = {row.field: _Field(*row) for row in connection.execute(query)}
        fields = {name: _seen(name, known.get(name), seen, now) for name in {*known, *seen} - {""}}
        news = [field for name, field in sorted(fields.items()) if known.get(name) != field]
        if news:
            statement = insert(table)
            statement = statement.on_conflict_do_update(
                index_elements=["tenant", "source", "stream", "field"],
                set_={name: statement.excluded[name] for name in ("usual", "gone_since")},
            )
            connection.execute(statement, [{**ref._asdict(), **field._asdict()} for field in news])
    if not fields:
        return Drift([], [])
    began = min(field.first_seen for field in fields.values())
    recently = now - timedelta(days=NEWS_DAYS)
    return Drift(
        sorted(name for name, field in fields.items() if field.first_seen > max(began + _FIRST_DAYS, recently)),
        sorted(name for name, field in fields.items() if field.gone_since is not None and field.gone_since > recently),
    )


def _seen(name: str, known: _Field | None, seen: Mapping[str, int], now: datetime) -> _Field:
    """A field after a run; the same run gives the same again."""
    records, number = seen.get("", 0), seen.get(name, 0)
    before = known or _Field(name, False, now, None)
    if number:
        usual = number >= _USUAL * records if records >= _ENOUGH else before.usual
        return before._replace(usual=usual, gone_since=None)
    if records >= _ENOUGH and before.usual and before.gone_since is None:
        return before._replace(gone_since=now)
    return before
