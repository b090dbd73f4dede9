"""Which models were found good enough in another precision than float32, by their fingerprints."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.embedding.quality import Comparison
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t


def record_model_check(ledger: Ledger, fingerprint: str, description: str, result: Comparison) -> None:
    """Keep the outcome of a check in the place of an earlier one.

    Args:
        fingerprint: the model's `ModelFingerprint.key`; `description` says it in words.
    """
    values = {"description": description, "passed": result.passed, **result.model_dump(), "checked_at": sa.func.now()}
    statement = insert(t.model_checks).values(fingerprint=fingerprint, **values)
    with ledger.transaction() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=values))


def model_check(ledger: Ledger, fingerprint: str) -> Comparison | None:
    """The latest check of a model; None where there was none."""
    columns = [t.model_checks.c[name] for name in Comparison.model_fields]
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(*columns).where(t.model_checks.c.fingerprint == fingerprint)).one_or_none()
    return None if row is None else Comparison(**row._mapping)
