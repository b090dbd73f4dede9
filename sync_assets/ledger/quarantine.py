"""What is in quarantine, by tenant, stream and stage: the overview of what `Ledger.quarantined` lists one by one."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from sync_assets.ledger import tables as t


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
