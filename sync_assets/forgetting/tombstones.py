"""Tombstones that nobody needs any more.

A tombstone keeps older copies of its document from coming back: those in the files of earlier windows. So it goes
together with them, and only where no collection and no graph lags behind it.
"""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from sync_assets.forgetting.place import Documents
from sync_assets.graph.store_documents import known_documents
from sync_assets.ledger import tables as t
from sync_assets.services import Services


def expired_tombstones(services: Services, before: datetime, tenant: str | None = None) -> Iterator[Documents]:
    """Documents whose deletion was seen before a moment and has reached everything, tenant by tenant.

    Args:
        tenant: None for all.
    """
    documents, applied, collections = t.documents.c, t.collection_documents.c, t.collections.c
    lagging = sa.exists().where(
        applied.tenant == documents.tenant,
        applied.document_id == documents.document_id,
        applied.collection_id == collections.id,
        collections.active,
        ~applied.deleted | applied.dirty,
    )
    query = sa.select(documents.tenant, sa.func.array_agg(documents.document_id)).where(
        documents.deleted, documents.observed_at < before, ~lagging
    )
    if tenant is not None:
        query = query.where(documents.tenant == tenant)
    with services.ledger.transaction() as connection:
        found = connection.execute(query.group_by(documents.tenant).order_by(documents.tenant)).all()
    for owner, ids in found:
        with services.graph.transaction() as connection:
            known = known_documents(connection, owner, ids)
        ended = frozenset(one for one in ids if one not in known or known[one].standing.deleted)
        if ended:
            yield Documents(owner, ended)
