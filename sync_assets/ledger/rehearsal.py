"""A ledger in which stages may be rehearsed: they read what is true now, and nothing that they write stays."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from sync_assets.ledger import AppliedDocument, AppliedRow, DocumentRow, KnownDocument, Ledger, StreamRef
from sync_assets.ledger import tables as t


class RehearsalLedger(Ledger):
    """What one rehearsal does is seen by its later steps alone. It waits for nobody, and nobody waits for it.

    Args:
        ledger: the true one.
        session: one of its sessions, in whose temporary tables lies what the later steps have to see.
    """

    def __init__(self, ledger: Ledger, session: sa.Connection) -> None:
        self.engine = ledger.engine
        self._rehearsed = _Rehearsed(session)
        # Collection, tenant and document that are not to be trusted; None stands for all of the tenant's.
        self._lost: set[tuple[int, str, str | None]] = set()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction, which is undone."""
        with super().transaction() as connection:
            yield connection
            connection.rollback()

    @contextmanager
    def lock(self, *scope: str) -> Iterator[None]:
        yield

    def known_documents(self, ref: StreamRef, document_ids: Sequence[str]) -> dict[str, KnownDocument]:
        known = super().known_documents(ref, document_ids)
        return known | self._rehearsed.known_documents(ref, document_ids)

    def record_documents(self, ref: StreamRef, rows: Sequence[DocumentRow]) -> None:
        self._rehearsed.record_documents(ref, rows)

    def applied_documents(
        self, collection_id: int, tenant: str, document_ids: Sequence[str]
    ) -> dict[str, AppliedDocument]:
        applied = super().applied_documents(collection_id, tenant, document_ids)
        for one, document in applied.items():
            if self._lost.intersection({(collection_id, tenant, None), (collection_id, tenant, one)}):
                applied[one] = document._replace(dirty=True)
        return applied | self._rehearsed.applied_documents(collection_id, tenant, document_ids)

    def finish_apply(self, collection_id: int, ref: StreamRef, rows: Sequence[AppliedRow]) -> None:
        self._rehearsed.finish_apply(collection_id, ref, rows)

    def mark_dirty(self, collection_id: int, tenant: str, document_ids: Sequence[str] | None = None) -> None:
        ids: Sequence[str | None] = [None] if document_ids is None else document_ids
        self._lost.update((collection_id, tenant, one) for one in ids)


class _Rehearsed(Ledger):
    """Documents, and what collections hold of them, in temporary tables."""

    def __init__(self, session: sa.Connection) -> None:
        for table in (t.documents, t.collection_documents):
            session.execute(
                sa.text(f"CREATE TEMPORARY TABLE {table.name} (LIKE {table.schema}.{table.name} INCLUDING ALL)")
            )
        self._session: Any = session.execution_options(schema_translate_map={t.SCHEMA: "pg_temp"})

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        yield self._session
