"""The registry of collections: the alias that tells every store which collection a name means now.

What belongs here: registering and finding the active ones. What does not: those beside them, and changing which is
active (`collections.py`).
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.errors import FingerprintMismatch, LedgerError
from sync_assets.ledger import tables as t
from sync_assets.ledger.database import LedgerDatabase
from sync_assets.ledger.rows import NewCollection, RegisteredCollection, StreamRef
from sync_assets.vector_stores import Collection


class Registry(LedgerDatabase):
    """The registry's part of `Ledger`."""

    def register_collection(self, new: NewCollection) -> RegisteredCollection:
        """The active collection of that name, registered where there is none.

        Raises:
            FingerprintMismatch: the active one was made by another model or chunker; the text names both.
        """
        values = {**new._asdict(), "physical_name": new.physical_name, "active": True}
        with self.transaction() as connection:
            connection.execute(insert(t.collections).values(values).on_conflict_do_nothing())
        found = self.matching_collection(new)
        if found is None:
            raise LedgerError(
                f"{new.store} has no active collection {new.name}, and an inactive one with this fingerprint.",
                "Mark one of them active in the ledger's table collections.",
            )
        if found.limits is None:
            with self.transaction() as connection:
                connection.execute(
                    sa.update(t.collections).where(t.collections.c.id == found.id).values(limits=new.limits)
                )
        return found

    def matching_collection(self, new: NewCollection) -> RegisteredCollection | None:
        """The active collection of that name; None where there is none yet.

        Raises:
            FingerprintMismatch: it was made by another model or chunker; the text names both.
        """
        found = self.active_collection(new.store, new.name)
        if found is not None and found.collection.fingerprint != new.fingerprint:
            raise FingerprintMismatch(
                f"Collection {new.name} in {new.store} was made with {found.description}; "
                f"this run uses {new.description}.",
                f"Name {found.model} and its chunk size again (SYNC_ASSETS_MODEL; embedding_model, chunk_tokens, "
                f"window_messages, window_overlap in defs.yaml), or make a collection with {new.model}: "
                f"`sync-assets collections build {new.name}`, then `sync-assets collections switch {new.name}`.",
            )
        return found

    def active_collection(self, store: str, name: str) -> RegisteredCollection | None:
        """The collection that searches of `name` in `store` read now."""
        return next(iter(self._collections(t.collections.c.store == store, t.collections.c.name == name)), None)

    def every_collection(self) -> list[RegisteredCollection]:
        """All collections, those that are no longer active too."""
        return self._registered()

    def collections_of(
        self, tenant: str, source: str | None = None
    ) -> list[tuple[RegisteredCollection, dict[StreamRef, datetime]]]:
        """Active collections that hold something of a tenant, by store and name.

        Each comes with the streams that it holds, and when the latest of their documents was observed.
        """
        applied = t.collection_documents
        held = sa.select(
            applied.c.collection_id, applied.c.source, applied.c.stream, sa.func.max(applied.c.observed_at)
        ).where(applied.c.tenant == tenant)
        if source is not None:
            held = held.where(applied.c.source == source)
        streams: dict[int, dict[StreamRef, datetime]] = {}
        # First: what is switched after this is still there, and holds what it held.
        active = self._collections()
        with self.transaction() as connection:
            rows = connection.execute(held.group_by(applied.c.collection_id, applied.c.source, applied.c.stream))
            for collection_id, of_source, stream, observed_at in rows:
                streams.setdefault(collection_id, {})[StreamRef(tenant, of_source, stream)] = observed_at
        return [(found, streams[found.id]) for found in active if found.id in streams]

    def active_collections(self) -> list[RegisteredCollection]:
        """All that searches and writes use, by store and name."""
        return self._collections()

    def _collections(self, *conditions: sa.ColumnElement[bool]) -> list[RegisteredCollection]:
        return self._registered(t.collections.c.active, *conditions)

    def _registered(self, *conditions: sa.ColumnElement[bool]) -> list[RegisteredCollection]:
        columns = t.collections.c
        query = sa.select(t.collections).where(*conditions).order_by(columns.store, columns.name, columns.id)
        with self.transaction() as connection:
            return [
                RegisteredCollection(
                    id=row.id,
                    store=row.store,
                    name=row.name,
                    model=row.model,
                    model_fingerprint=row.model_fingerprint,
                    description=row.description,
                    collection=Collection(name=row.physical_name, dimension=row.dimension, fingerprint=row.fingerprint),
                    active=row.active,
                    limits=row.limits,
                    retired_at=row.retired_at,
                )
                for row in connection.execute(query)
            ]
