"""Which texts have no vector yet, counted before any is computed.

What belongs here: the count, for plans and for limits. Computing them is in `cache.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

_CREATE = """
    CREATE TEMPORARY TABLE missing_texts
        (tenant text, fingerprint text, content_hash text, PRIMARY KEY (tenant, fingerprint, content_hash))
"""
_ADD = """
    INSERT INTO missing_texts
    SELECT :tenant, :fingerprint, content_hash FROM unnest(:hashes) AS given (content_hash)
    WHERE NOT EXISTS (
        SELECT FROM sync_assets.embedding_cache AS cached
        WHERE cached.tenant = :tenant AND cached.fingerprint = :fingerprint
            AND cached.content_hash = given.content_hash
    )
    ON CONFLICT DO NOTHING RETURNING content_hash
"""


class Texts(NamedTuple):
    """How many texts, and their length in the model's tokens."""

    texts: int
    tokens: int


class MissingTexts:
    """Texts that the cache lacks, each counted once; they are remembered in a temporary table, not in memory.

    Args:
        session: `Ledger.session`, whose end is theirs.
    """

    def __init__(self, session: sa.Connection) -> None:
        self._session = session
        session.execute(sa.text(_CREATE))

    def add(self, tenant: str, fingerprint: str, tokens: Mapping[str, int]) -> Texts:
        """Count those of some texts that are neither cached nor were counted before.

        Args:
            fingerprint: the model's `ModelFingerprint.key`.
            tokens: length of each text, by content hash.
        """
        statement = sa.text(_ADD).bindparams(sa.bindparam("hashes", list(tokens), type_=sa.ARRAY(sa.Text)))
        found = self._session.scalars(statement, {"tenant": tenant, "fingerprint": fingerprint}).all()
        return Texts(len(found), sum(tokens[content_hash] for content_hash in found))
