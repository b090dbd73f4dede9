"""Windows and watermarks: what is known of each stored partition, and up to where a store follows a stream."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.ledger import tables as t
from sync_assets.ledger.database import LedgerDatabase
from sync_assets.ledger.rows import StreamRef, WindowState
from sync_assets.ledger.values import scope_of, text_array, where


class Windows(LedgerDatabase):
    """The part of `Ledger` that says what was fetched and stored, and when."""

    def window_states(self, ref: StreamRef, stage: str, windows: Sequence[str]) -> dict[str, WindowState]:
        """What is known of these partitions of one stage, by window."""
        query = sa.select(t.windows).where(
            *where(t.windows, ref.tenant, ref.source, ref.stream, stage),
            t.windows.c.window == sa.any_(text_array(windows)),
        )
        with self.transaction() as connection:
            return {
                row.window: WindowState(row.digest, row.rows, row.fetched_until, row.complete, row.origin)
                for row in connection.execute(query)
            }

    def first_missing(self, ref: StreamRef, stage: str) -> str | None:
        """The first window with documents that never came so far as a later stage; None where there is none."""
        reached = t.windows.alias()
        of_stream = where(t.windows, ref.tenant, ref.source, ref.stream, "documents")
        same = [reached.c[name] == t.windows.c[name] for name in ("tenant", "source", "stream", "window")]
        query = sa.select(sa.func.min(t.windows.c.window)).where(
            *of_stream, t.windows.c.rows > 0, ~sa.exists().where(*same, reached.c.stage == stage)
        )
        with self.transaction() as connection:
            return connection.scalar(query)

    def forget_progress(self, tenant: str, stage: str) -> None:
        """Drop the windows and watermarks of a tenant's later stage, so that everything is brought to it again."""
        windows, marks = t.windows.c, t.watermarks.c
        with self.transaction() as connection:
            connection.execute(sa.delete(t.windows).where(windows.tenant == tenant, windows.stage == stage))
            connection.execute(sa.delete(t.watermarks).where(marks.tenant == tenant, marks.store == stage))

    def record_windows(self, stage: str, source: str, stream: str, rows: Mapping[tuple[str, str], WindowState]) -> None:
        """Record stored partitions by (tenant, window); rows that say what stands there already are not written."""
        if not rows:
            return
        statement = insert(t.windows)
        names = WindowState._fields
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "source", "stream", "stage", "window"],
            set_={name: statement.excluded[name] for name in names},
            where=sa.or_(*(t.windows.c[name].is_distinct_from(statement.excluded[name]) for name in names)),
        )
        values = [
            {"tenant": tenant, "source": source, "stream": stream, "stage": stage, "window": window, **state._asdict()}
            for (tenant, window), state in rows.items()
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def watermark(self, ref: StreamRef, store: str) -> datetime | None:
        """Up to where a store follows a stream without a gap."""
        query = sa.select(t.watermarks.c.synced_until).where(
            *where(t.watermarks, ref.tenant, ref.source, ref.stream, None), t.watermarks.c.store == store
        )
        with self.transaction() as connection:
            return connection.scalar(query)

    def advance_watermark(self, ref: StreamRef, store: str, since: datetime, until: datetime) -> None:
        """Record that a store has all changes of [since, until); moves the mark only where that leaves no gap.

        The first call decides where a stream's history begins.
        """
        table = t.watermarks
        statement = insert(table).values(**scope_of(ref), store=store, synced_until=until, last_success=sa.func.now())
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "source", "stream", "store"],
            set_={
                "last_success": sa.func.now(),
                "synced_until": sa.case(
                    (table.c.synced_until >= since, sa.func.greatest(table.c.synced_until, until)),
                    else_=table.c.synced_until,
                ),
            },
        )
        with self.transaction() as connection:
            connection.execute(statement)
