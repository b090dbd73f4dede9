"""How fast each model embedded on this installation, so that a plan can tell how long it will take."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t

# Seconds of work that are remembered: what was measured longer ago fades as new work comes.
_REMEMBERED = 3600.0


def record_throughput(ledger: Ledger, fingerprint: str, tokens: int, seconds: float) -> None:
    """Add a measurement.

    Args:
        fingerprint: the model's `ModelFingerprint.key`.
        seconds: that the model took for the tokens.
    """
    table = t.throughput.c
    statement = insert(t.throughput).values(fingerprint=fingerprint, tokens=tokens, seconds=seconds)
    kept = sa.func.least(1.0, _REMEMBERED / sa.func.greatest(table.seconds, 1.0))
    statement = statement.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={
            "tokens": table.tokens * kept + statement.excluded.tokens,
            "seconds": table.seconds * kept + statement.excluded.seconds,
        },
    )
    with ledger.transaction() as connection:
        connection.execute(statement)


def tokens_per_second(ledger: Ledger, fingerprint: str) -> float | None:
    """How many tokens a model embeds in a second; None where that was never measured."""
    table = t.throughput.c
    query = sa.select(table.tokens / table.seconds).where(table.fingerprint == fingerprint, table.seconds > 0)
    with ledger.transaction() as connection:
        return connection.scalar(query)
