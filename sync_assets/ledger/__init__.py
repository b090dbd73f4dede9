"""What is true now, in SQL: versions, applied chunks, quarantine, windows, watermarks, collections.

What belongs here: questions and facts about documents and collections, each method one transaction. What does not:
which batch is applied when (`stages/`), and the vectors' cache (`embedding/cache.py`, over the same engine).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DBAPIError, OperationalError

from sync_assets.documents import Standing, Version
from sync_assets.errors import FingerprintMismatch, LedgerError
from sync_assets.ledger import tables as t
from sync_assets.vector_stores import Collection


class DocumentRow(NamedTuple):
    """A document's version and hashes, as recorded. The hashes of a tombstone are None."""

    document_id: str
    record_id: str
    version: Version
    floor: datetime
    deleted: bool
    cheap_version: str
    content_hash: str | None
    metadata_hash: str | None


class KnownDocument(NamedTuple):
    """What the ledger knows of a document."""

    standing: Standing
    cheap_version: str
    content_hash: str | None
    metadata_hash: str | None


class AppliedDocument(NamedTuple):
    """What a collection holds of a document: `chunks` maps chunk id to (content hash, payload hash).

    A dirty one may hold more or less than that: a write was begun and never confirmed.
    """

    standing: Standing
    dirty: bool
    chunks: Mapping[str, tuple[str, str]]


class AppliedRow(NamedTuple):
    """A document as it was just applied to a collection."""

    document_id: str
    version: Version
    floor: datetime
    deleted: bool
    chunks: Mapping[str, tuple[str, str]]


class AppliedVersion(NamedTuple):
    """Which version of a document the graph has, whose database may be another one."""

    document_id: str
    modified_at: datetime
    observed_at: datetime
    deleted: bool


class NewCollection(NamedTuple):
    """A collection as a stream asks for it.

    Attributes:
        fingerprint: of model, chunker and chunk size together; `description` says it in words.
        model: the setting that opens the model; `model_fingerprint` is the key of what was opened.
        limits: how long its chunks may be, as `ChunkLimits` dumps it.
    """

    store: str
    name: str
    fingerprint: str
    description: str
    dimension: int
    model: str
    model_fingerprint: str
    limits: Mapping[str, int]

    @property
    def physical_name(self) -> str:
        return f"{self.name}_{self.fingerprint[:8]}"


class RegisteredCollection(BaseModel):
    """A row of the collection registry with the collection it stands for.

    Attributes:
        limits: as in `NewCollection`; None where it was made before they were kept, and not written since.
        retired_at: when another one took its place; None for the active one, and for one that never was active.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    store: str
    name: str
    model: str
    model_fingerprint: str
    description: str
    collection: Collection
    active: bool
    limits: dict[str, int] | None = None
    retired_at: datetime | None = None


class QuarantinedRecord(BaseModel):
    """A record that could not be processed at `stage`, and why."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    source: str
    stream: str
    stage: str
    record_id: str
    reason: str
    payload_ref: str
    window: str
    attempts: int = 1
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class WindowState(NamedTuple):
    """What is known of one stored partition of one stage.

    Attributes:
        fetched_until: when upstream was asked; its changes up to then are in it.
        complete: False where a limit cut the fetch short.
    """

    digest: str
    rows: int
    fetched_until: datetime | None
    complete: bool


class StreamRef(NamedTuple):
    """One stream of one tenant: the scope of most questions."""

    tenant: str
    source: str
    stream: str


class Ledger:
    """The ledger over a PostgreSQL database; migrated on first use.

    All methods raise `LedgerError` when the database can't be reached or a lock is not obtained in time.

    Args:
        url: `postgresql://` URL; never shown.
        lock_timeout: seconds to wait for another process.
    """

    def __init__(self, url: str, lock_timeout: float = 60.0) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql+psycopg")
        self._lock_timeout = lock_timeout

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine, its database migrated to the newest schema."""
        options = f"-c lock_timeout={int(self._lock_timeout * 1000)}"
        engine = sa.create_engine(
            self._url,
            pool_pre_ping=True,
            connect_args={"options": options, "connect_timeout": int(self._lock_timeout) or 1},
        )
        with _errors():
            migrate(engine)
        return engine

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction; database faults come out as `LedgerError`."""
        with _errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def lock(self, *scope: str) -> Iterator[None]:
        """Only one process at a time works on `scope`; released when its connection ends, however the process ends."""
        with self._locked(scope, ""):
            yield

    @contextmanager
    def writing(self, store: str, name: str) -> Iterator[None]:
        """The collection of that name stays the active one meanwhile; any number of processes may write at once."""
        with self._locked(("active", store, name), "_shared"):
            yield

    @contextmanager
    def switching(self, store: str, name: str) -> Iterator[None]:
        """Nobody is `writing` meanwhile."""
        with self._locked(("active", store, name), ""):
            yield

    @contextmanager
    def filling(self, tenant: str) -> Iterator[None]:
        """Nothing of the tenant is erased meanwhile; any number of collections may be filled at once."""
        with self._locked(("kept", tenant), "_shared"):
            yield

    @contextmanager
    def erasing(self, tenant: str) -> Iterator[None]:
        """No collection is being filled with what is stored of the tenant meanwhile."""
        with self._locked(("kept", tenant), ""):
            yield

    @contextmanager
    def _locked(self, scope: Sequence[str], kind: str) -> Iterator[None]:
        with _errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": "/".join(scope)}
            connection.execute(sa.text(f"SELECT pg_advisory_lock{kind}(hashtextextended(:key, 0))"), key)
            try:
                yield
            finally:
                connection.execute(sa.text(f"SELECT pg_advisory_unlock{kind}(hashtextextended(:key, 0))"), key)

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection of its own, where each statement is a transaction; its temporary tables go with it."""
        with _errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                yield connection
            finally:
                connection.invalidate()

    # Documents

    def known_documents(self, ref: StreamRef, document_ids: Sequence[str]) -> dict[str, KnownDocument]:
        """What the ledger knows of these documents, by document id."""
        query = sa.select(t.documents).where(
            t.documents.c.tenant == ref.tenant, t.documents.c.document_id == sa.any_(_text_array(document_ids))
        )
        with self.transaction() as connection:
            return {
                row.document_id: KnownDocument(_standing(row), row.cheap_version, row.content_hash, row.metadata_hash)
                for row in connection.execute(query)
            }

    def record_documents(self, ref: StreamRef, rows: Sequence[DocumentRow]) -> None:
        """Record versions that were accepted. The caller holds the stream's lock."""
        if not rows:
            return
        statement = _upsert(t.documents, "tenant", "document_id")
        values = [
            {
                **_scope(ref),
                "document_id": row.document_id,
                "record_id": row.record_id,
                **_version_values(row.version, row.floor, row.deleted),
                "cheap_version": row.cheap_version,
                "content_hash": row.content_hash,
                "metadata_hash": row.metadata_hash,
            }
            for row in rows
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    # Collections

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

    def applied_documents(
        self, collection_id: int, tenant: str, document_ids: Sequence[str]
    ) -> dict[str, AppliedDocument]:
        """What a collection holds of these documents, by document id."""
        applied = t.collection_documents
        query = sa.select(applied).where(
            applied.c.collection_id == collection_id,
            applied.c.tenant == tenant,
            applied.c.document_id == sa.any_(_text_array(document_ids)),
        )
        with self.transaction() as connection:
            return {
                row.document_id: AppliedDocument(
                    _standing(row),
                    row.dirty,
                    dict(zip(row.chunk_ids, zip(row.content_hashes, row.payload_hashes, strict=True), strict=True)),
                )
                for row in connection.execute(query)
            }

    def begin_apply(self, collection_id: int, ref: StreamRef, document_ids: Sequence[str]) -> None:
        """Mark documents dirty before a collection is written, so that a crash in between is seen by the next run."""
        start = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        statement = insert(t.collection_documents)
        statement = statement.on_conflict_do_update(
            index_elements=["collection_id", "tenant", "document_id"], set_={"dirty": True}
        )
        values = [
            {
                "collection_id": collection_id,
                **_scope(ref),
                "document_id": document_id,
                **_version_values(Version(modified_at=start, observed_at=start), start, deleted=False),
                "dirty": True,
                "chunk_ids": [],
                "content_hashes": [],
                "payload_hashes": [],
            }
            for document_id in document_ids
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def finish_apply(self, collection_id: int, ref: StreamRef, rows: Sequence[AppliedRow]) -> None:
        """Record what a collection holds now, after its writes are durable."""
        statement = _upsert(t.collection_documents, "collection_id", "tenant", "document_id")
        values = [
            {
                "collection_id": collection_id,
                **_scope(ref),
                "document_id": row.document_id,
                **_version_values(row.version, row.floor, row.deleted),
                "dirty": False,
                "chunk_ids": list(row.chunks),
                "content_hashes": [content for content, _ in row.chunks.values()],
                "payload_hashes": [payload for _, payload in row.chunks.values()],
            }
            for row in rows
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def applied_chunks(self, collection_id: int, tenant: str) -> int | None:
        """How many chunks a collection should hold of a tenant; None while some of it is dirty."""
        applied = t.collection_documents
        query = sa.select(
            sa.func.coalesce(sa.func.sum(sa.func.cardinality(applied.c.chunk_ids)), 0),
            sa.func.coalesce(sa.func.bool_or(applied.c.dirty), sa.false()),
        ).where(applied.c.collection_id == collection_id, applied.c.tenant == tenant)
        with self.transaction() as connection:
            chunks, dirty = connection.execute(query).one()
        return None if dirty else chunks

    def mark_dirty(self, collection_id: int, tenant: str, document_ids: Sequence[str] | None = None) -> None:
        """Trust nothing that is recorded of a tenant's documents in a collection; without ids, of all of them."""
        applied = t.collection_documents
        statement = sa.update(applied).where(applied.c.collection_id == collection_id, applied.c.tenant == tenant)
        if document_ids is not None:
            statement = statement.where(applied.c.document_id == sa.any_(_text_array(document_ids)))
        with self.transaction() as connection:
            connection.execute(statement.values(dirty=True))

    # Quarantine

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
        query = sa.select(t.quarantine).where(*_where(t.quarantine, tenant, source, stream, stage))
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
        conditions = _where(t.quarantine, tenant, source, stream, stage)
        if record_ids is not None:
            conditions.append(t.quarantine.c.record_id == sa.any_(_text_array(record_ids)))
        with self.transaction() as connection:
            return connection.execute(sa.delete(t.quarantine).where(*conditions)).rowcount

    def reset_attempts(self, tenant: str | None = None, source: str | None = None, stream: str | None = None) -> int:
        """Let the next sync try quarantined records again, whatever they cost so far; returns how many."""
        statement = (
            sa.update(t.quarantine).where(*_where(t.quarantine, tenant, source, stream, None)).values(attempts=0)
        )
        with self.transaction() as connection:
            return connection.execute(statement).rowcount

    # Windows and watermarks

    def window_states(self, ref: StreamRef, stage: str, windows: Sequence[str]) -> dict[str, WindowState]:
        """What is known of these partitions of one stage, by window."""
        query = sa.select(t.windows).where(
            *_where(t.windows, ref.tenant, ref.source, ref.stream, stage),
            t.windows.c.window == sa.any_(_text_array(windows)),
        )
        with self.transaction() as connection:
            return {
                row.window: WindowState(row.digest, row.rows, row.fetched_until, row.complete)
                for row in connection.execute(query)
            }

    def first_missing(self, ref: StreamRef, stage: str) -> str | None:
        """The first window with documents that never came so far as a later stage; None where there is none."""
        reached = t.windows.alias()
        of_stream = _where(t.windows, ref.tenant, ref.source, ref.stream, "documents")
        same = [reached.c[name] == t.windows.c[name] for name in ("tenant", "source", "stream", "window")]
        query = sa.select(sa.func.min(t.windows.c.window)).where(
            *of_stream, t.windows.c.rows > 0, ~sa.exists().where(*same, reached.c.stage == stage)
        )
        with self.transaction() as connection:
            return connection.scalar(query)

    def forget_progress(self, tenant: str, stage: str) -> None:
        """Drop the windows and watermarks of a tenant's later stage, so that everything is brought to it again."""
        windows, marks = t.windows.c, t.watermarks.c
        with self.transaction() as connection:
            connection.execute(sa.delete(t.windows).where(windows.tenant == tenant, windows.stage == stage))
            connection.execute(sa.delete(t.watermarks).where(marks.tenant == tenant, marks.store == stage))

    def record_windows(self, stage: str, source: str, stream: str, rows: Mapping[tuple[str, str], WindowState]) -> None:
        """Record stored partitions by (tenant, window); rows that say what stands there already are not written."""
        if not rows:
            return
        statement = insert(t.windows)
        names = ("digest", "rows", "fetched_until", "complete")
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "source", "stream", "stage", "window"],
            set_={name: statement.excluded[name] for name in names},
            where=sa.or_(*(t.windows.c[name].is_distinct_from(statement.excluded[name]) for name in names)),
        )
        values = [
            {"tenant": tenant, "source": source, "stream": stream, "stage": stage, "window": window, **state._asdict()}
            for (tenant, window), state in rows.items()
        ]
        with self.transaction() as connection:
            connection.execute(statement, values)

    def watermark(self, ref: StreamRef, store: str) -> datetime | None:
        """Up to where a store follows a stream without a gap."""
        query = sa.select(t.watermarks.c.synced_until).where(
            *_where(t.watermarks, ref.tenant, ref.source, ref.stream, None), t.watermarks.c.store == store
        )
        with self.transaction() as connection:
            return connection.scalar(query)

    def advance_watermark(self, ref: StreamRef, store: str, since: datetime, until: datetime) -> None:
        """Record that a store has all changes of [since, until); moves the mark only where that leaves no gap.

        The first call decides where a stream's history begins.
        """
        table = t.watermarks
        statement = insert(table).values(**_scope(ref), store=store, synced_until=until, last_success=sa.func.now())
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "source", "stream", "store"],
            set_={
                "last_success": sa.func.now(),
                "synced_until": sa.case(
                    (table.c.synced_until >= since, sa.func.greatest(table.c.synced_until, until)),
                    else_=table.c.synced_until,
                ),
            },
        )
        with self.transaction() as connection:
            connection.execute(statement)

    def status(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """A row for each tenant, source, stream and store: documents, chunks, quarantined, last_success, collection.

        `last_success` is None where no sync of it has ended well.
        """
        applied, collections, marks = t.collection_documents, t.collections, t.watermarks
        counts = (
            sa.select(
                applied.c.tenant,
                applied.c.source,
                applied.c.stream,
                collections.c.store,
                collections.c.id.label("collection_id"),
                sa.func.count().filter(~applied.c.deleted & ~applied.c.dirty).label("documents"),
                sa.func.coalesce(sa.func.sum(sa.func.cardinality(applied.c.chunk_ids)), 0).label("chunks"),
            )
            .join(collections)
            .where(collections.c.active)
            .group_by(applied.c.tenant, applied.c.source, applied.c.stream, collections.c.store, collections.c.id)
            .subquery()
        )
        keys = ("tenant", "source", "stream", "store")
        of_stores = sa.select(marks).where(marks.c.store.in_(sa.select(collections.c.store))).subquery()  # no graph's
        known = sa.union(*(sa.select(*(place.c[key] for key in keys)) for place in (of_stores, counts))).subquery()
        held = t.quarantine
        quarantined = (
            sa.select(sa.func.count())
            .where(*(held.c[key] == known.c[key] for key in ("tenant", "source", "stream")))
            .where(held.c.stage.not_in(sa.select(collections.c.store)) | (held.c.stage == known.c.store))
            .scalar_subquery()
        )
        joined = known.outerjoin(counts, sa.and_(*(known.c[key] == counts.c[key] for key in keys)))
        joined = joined.outerjoin(marks, sa.and_(*(known.c[key] == marks.c[key] for key in keys)))
        query = (
            sa.select(
                *(known.c[key] for key in keys),
                counts.c.collection_id,
                sa.func.coalesce(counts.c.documents, 0).label("documents"),
                sa.func.coalesce(counts.c.chunks, 0).label("chunks"),
                quarantined.label("quarantined"),
                marks.c.last_success,
            )
            .select_from(joined)
            .order_by(*(known.c[key] for key in keys))
        )
        if tenant is not None:
            query = query.where(known.c.tenant == tenant)
        active = {collection.id: collection.collection for collection in self._collections()}
        with self.transaction() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [{**row, "collection": active.get(row.pop("collection_id"))} for row in rows]


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema; processes that start together take turns."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('sync_assets/migrate', 0))"))
        connection.execute(sa.schema.CreateSchema(t.SCHEMA, if_not_exists=True))
        versions = sa.inspect(connection).has_table("alembic_version", schema=t.SCHEMA)
        if versions:
            present = connection.scalar(sa.text(f"SELECT version_num FROM {t.SCHEMA}.alembic_version"))  # noqa: S608
            if present == head:
                return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _errors() -> Iterator[None]:
    """Database faults as `LedgerError`; texts of the driver may quote parameters, so only the first line is kept."""
    try:
        yield
    except OperationalError as error:
        line = str(error.orig).strip().splitlines()[0]
        if "lock timeout" in line:
            raise LedgerError(
                "Another process holds what this one waits for.",
                "Wait for it to end, or raise SYNC_ASSETS_LOCK_TIMEOUT.",
            ) from None
        raise LedgerError(
            f"The ledger's database is out of reach: {line}.", "Check SYNC_ASSETS_DATABASE_URL."
        ) from None
    except DBAPIError as error:
        line = str(error.orig).strip().splitlines()[0]
        raise LedgerError(
            f"The ledger's database refused: {line}.", "This is a fault of sync_assets; please report it."
        ) from None


def _upsert(table: sa.Table, *keys: str) -> Insert:
    statement = insert(table)
    columns = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=columns)


def _scope(ref: StreamRef) -> dict[str, Any]:
    return ref._asdict()


def _where(
    table: sa.Table, tenant: str | None, source: str | None, stream: str | None, stage: str | None
) -> list[sa.ColumnElement[bool]]:
    wanted = {"tenant": tenant, "source": source, "stream": stream, "stage": stage}
    return [table.c[name] == value for name, value in wanted.items() if value is not None]


def _text_array(values: Sequence[str]) -> sa.BindParameter[Any]:
    return sa.bindparam(None, list(values), type_=sa.ARRAY(sa.Text))


def _standing(row: sa.Row[Any]) -> Standing:
    return Standing(modified_at=row.modified_at, observed_at=row.observed_at, floor=row.floor, deleted=row.deleted)


def _version_values(version: Version, floor: datetime, deleted: bool) -> dict[str, Any]:
    return {
        "modified_at": version.modified_at,
        "observed_at": version.observed_at,
        "floor": floor,
        "deleted": deleted,
    }
