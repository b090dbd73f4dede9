"""Vector stores: the points of documents or of a tenant in every collection, active or not."""

from collections.abc import Iterator

import sqlalchemy as sa

from sync_assets.forgetting.place import Documents, Place
from sync_assets.ledger import RegisteredCollection
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.services import Services


def documents_in_stores(services: Services, documents: Documents) -> Iterator[Place]:
    """One place for each collection; counts points, by document id and by the ids of the chunks."""
    for registered in services.ledger.every_collection():
        yield _of_documents(services, documents, registered, _chunk_ids(services, documents, registered))


def tenant_in_stores(services: Services, tenant: str) -> Iterator[Place]:
    """One place for each collection; counts points."""
    for registered in services.ledger.every_collection():
        yield _of_tenant(services, tenant, registered)


def _of_documents(
    services: Services, documents: Documents, registered: RegisteredCollection, chunk_ids: set[str]
) -> Place:
    collection, tenant = registered.collection, documents.tenant
    store = services.store(registered.store)
    applied = t.collection_documents.c

    def found() -> list[str]:
        # A registration may be older than the collection itself: a run was killed between the two.
        store.ensure_collection(collection)
        points = store.scan(collection, tenant)
        return [one.chunk_id for one in points if one.document_id in documents.ids or one.chunk_id in chunk_ids]

    def erase() -> None:
        # The lock of those who write there: for them the store and the ledger change at once.
        with services.ledger.lock("store", registered.store, collection.name, tenant):
            store.delete(collection, tenant, found())
            with services.ledger.transaction() as connection:
                connection.execute(
                    sa.delete(t.collection_documents).where(
                        applied.collection_id == registered.id,
                        applied.tenant == tenant,
                        applied.document_id == any_of(documents.ids),
                    )
                )

    return Place(f"{registered.store} {collection.name}", lambda: len(found()), erase)


def _of_tenant(services: Services, tenant: str, registered: RegisteredCollection) -> Place:
    collection = registered.collection
    store = services.store(registered.store)
    applied = t.collection_documents.c

    def count() -> int:
        store.ensure_collection(collection)
        return store.count(collection, tenant)

    def erase() -> None:
        with services.ledger.lock("store", registered.store, collection.name, tenant):
            store.drop_tenant(collection, tenant)
            with services.ledger.transaction() as connection:
                connection.execute(
                    sa.delete(t.collection_documents).where(
                        applied.collection_id == registered.id, applied.tenant == tenant
                    )
                )

    return Place(f"{registered.store} {collection.name}", count, erase)


def _chunk_ids(services: Services, documents: Documents, registered: RegisteredCollection) -> set[str]:
    applied = services.ledger.applied_documents(registered.id, documents.tenant, sorted(documents.ids))
    return {chunk_id for one in applied.values() for chunk_id in one.chunks}
