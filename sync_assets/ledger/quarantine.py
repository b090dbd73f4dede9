"""Quarantine: records that could not be processed, one by one and by tenant, stream and stage."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from sync_assets.ledger import tables as t
from sync_assets.ledger.database import LedgerDatabase
from sync_assets.ledger.rows import QuarantinedRecord, StreamRef
from sync_assets.ledger.values import text_array, where


class Quarantine(LedgerDatabase):
    """The quarantine's part of `Ledger`."""

    def put_in_quarantine(self, records: Sequence[QuarantinedRecord]) -> None:
        """Add records, or count another failed attempt of those that are there."""
        if not records:
            return
        table = t.quarantine
        statement = insert(table)
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "source", "stream", "stage", "record_id"],
            set_={
                "attempts": table.c.attempts + 1,
                "last_seen": sa.func.now(),
                **{name: statement.excluded[name] for name in ("reason", "payload_ref", "window")},
            },
        )
        unique = {
            (record.tenant, record.source, record.stream, record.stage, record.record_id): record for record in records
        }
        with self.transaction() as connection:
            connection.execute(
                statement, [record.model_dump(exclude={"first_seen", "last_seen"}) for record in unique.values()]
            )

    def release(self, ref: StreamRef, stage: str, record_ids: Sequence[str]) -> int:
        """Take records out of quarantine that this stage has processed; returns how many were in it."""
        return self.drop_from_quarantine(
            tenant=ref.tenant, source=ref.source, stream=ref.stream, stage=stage, record_ids=record_ids
        )

    def quarantined(
        self, tenant: str | None = None, source: str | None = None, stream: str | None = None, stage: str | None = None
    ) -> list[QuarantinedRecord]:
        """Quarantined records, oldest first, limited to the given scope."""
        query = sa.select(t.quarantine).where(*where(t.quarantine, tenant, source, stream, stage))
        query = query.order_by(t.quarantine.c.first_seen, t.quarantine.c.record_id)
        with self.transaction() as connection:
            return [QuarantinedRecord.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def drop_from_quarantine(
        self,
        tenant: str | None = None,
        source: str | None = None,
        stream: str | None = None,
        stage: str | None = None,
        record_ids: Sequence[str] | None = None,
    ) -> int:
        """Forget quarantined records in the given scope; returns how many."""
        conditions = where(t.quarantine, tenant, source, stream, stage)
        if record_ids is not None:
            conditions.append(t.quarantine.c.record_id == sa.any_(text_array(record_ids)))
        with self.transaction() as connection:
            return connection.execute(sa.delete(t.quarantine).where(*conditions)).rowcount

    def reset_attempts(self, tenant: str | None = None, source: str | None = None, stream: str | None = None) -> int:
        """Let the next sync try quarantined records again, whatever they cost so far; returns how many."""
        statement = sa.update(t.quarantine).where(*where(t.quarantine, tenant, source, stream, None)).values(attempts=0)
        with self.transaction() as connection:
            return connection.execute(statement).rowcount


class QuarantineGroup(NamedTuple):
    """The records of one stage of one stream.

    Attributes:
        reason: of the record that came last.
    """

    tenant: str
    source: str
    stream: str
    stage: str
    records: int
    reason: str

    @property
    def place(self) -> str:
        return "/".join(self[:4])


def quarantine_groups(connection: sa.Connection) -> list[QuarantineGroup]:
    """Every group that is not empty, in the order of its names."""
    held = t.quarantine.c
    names = (held.tenant, held.source, held.stream, held.stage)
    query = (
        sa.select(*names, sa.func.count().over(partition_by=names).label("records"), held.reason)
        .ext(distinct_on(*names))
        .order_by(*names, held.first_seen.desc(), held.record_id)
    )
    return [QuarantineGroup(*row) for row in connection.execute(query)]
