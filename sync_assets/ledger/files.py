"""Which files the records of an account name, and the end of those that none names any more."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of


def name_files(ledger: Ledger, tenant: str, source: str, named: Mapping[str, Collection[str]]) -> None:
    """Note which files records name now. What was read from a file goes with the last record that named it (law 3).

    Args:
        named: locators by record id; none for a record that is gone.
    """
    rows = [
        {"tenant": tenant, "source": source, "record_id": record_id, "locator": locator}
        for record_id, locators in named.items()
        for locator in set(locators)
    ]
    names, files, texts = t.file_names, t.files, t.file_texts
    with ledger.transaction() as connection:
        before = connection.scalars(
            sa.delete(names)
            .where(names.c.tenant == tenant, names.c.source == source, names.c.record_id == any_of(named))
            .returning(names.c.locator)
        ).all()
        if rows:
            connection.execute(sa.insert(names), rows)
        unnamed = set(before) - {row["locator"] for row in rows}
        if not unnamed:
            return
        elsewhere = sa.exists().where(
            names.c.tenant == tenant, names.c.source == source, names.c.locator == files.c.locator
        )
        connection.execute(
            sa.delete(files).where(
                files.c.tenant == tenant, files.c.source == source, files.c.locator == any_of(unnamed), ~elsewhere
            )
        )
        # Equal files share their text.
        same = sa.exists().where(files.c.tenant == tenant, files.c.content_hash == texts.c.content_hash)
        connection.execute(sa.delete(texts).where(texts.c.tenant == tenant, ~same))
