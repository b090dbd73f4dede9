"""The ledger's tables: rows about documents, and what stands there by the hash of a text and not by a document.

What belongs here: SQL in the ledger's database. What does not: the graph's tables (`graph.py`).
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.enrichment import COMBINED_TEXT
from sync_assets.forgetting.files import rows_in_files, texts_in_files
from sync_assets.forgetting.place import Documents, Place
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import all_of, any_of
from sync_assets.ledger.files import name_files
from sync_assets.services import Services

_BY_DOCUMENT = (t.collection_documents, t.document_bodies, t.documents)
# A whole tenant's list is kept: it holds hashes alone, and should the tenant come back it is still meant.
_KEPT = t.forgotten


def documents_in_ledger(services: Services, documents: Documents) -> Place:
    """What the ledger knows of documents, their bodies, and what is in quarantine of them."""
    conditions = [(table, _of_documents(table, documents)) for table in _BY_DOCUMENT]
    conditions += [(t.quarantine, _of_records(t.quarantine, documents))]
    in_documents = _of_documents(t.documents, documents)

    def erase() -> None:
        with services.ledger.transaction() as connection:
            refs = connection.execute(sa.select(t.documents.c.source, t.documents.c.stream).where(in_documents))
            streams = sorted({tuple(row) for row in refs})
        with ExitStack() as locks:
            for source, stream in streams:
                locks.enter_context(services.ledger.lock("documents", documents.tenant, source, stream))
            with services.ledger.transaction() as connection:
                for table, condition in conditions:
                    connection.execute(sa.delete(table).where(condition))

    return Place("ledger", lambda: _count(services, conditions), erase)


def attachments(services: Services, documents: Documents) -> Place:
    """What was read from the files that documents name, where no other names them."""
    condition = _of_records(t.file_names, documents)

    def erase() -> None:
        for source, record_ids in documents.records.items():
            name_files(services.ledger, documents.tenant, source, {record_id: [] for record_id in record_ids})

    return Place("attachments", lambda: _count(services, [(t.file_names, condition)]), erase)


def keywords(services: Services, documents: Documents) -> Place:
    """Keywords and combined texts, by what the documents' files say before those are rewritten."""

    @cache
    def combined() -> list[str]:
        parts = (part for row in rows_in_files(services, documents, "documents") for part in row["parts"] or ())
        return sorted({part["text"] for part in parts if part["path"] == COMBINED_TEXT})

    def condition() -> sa.ColumnElement[bool]:
        stored = t.enrichments.c
        return (stored.tenant == documents.tenant) & (stored.combined_text == any_of(combined()))

    def erase() -> None:
        with services.ledger.transaction() as connection:
            connection.execute(sa.delete(t.enrichments).where(condition()))

    return Place("keywords", lambda: _count(services, [(t.enrichments, condition())]), erase)


def cached_texts(services: Services, documents: Documents) -> Place:
    """Cached vectors and summaries whose text no other document of the tenant has, in its collections or in its files.

    Those of earlier versions are among them, whose texts nobody has any more.
    """

    hashes = {t.embedding_cache: t.embedding_cache.c.content_hash, t.summaries: t.summaries.c.text_hash}

    def orphans(connection: sa.Connection) -> dict[sa.Table, sa.ColumnElement[bool]]:
        kept = sa.Table(
            "kept_texts",
            sa.MetaData(),
            sa.Column("content_hash", sa.Text, primary_key=True),
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        kept.create(connection)
        applied = t.collection_documents.c
        others = sa.select(sa.func.unnest(applied.content_hashes)).where(
            applied.tenant == documents.tenant, applied.document_id != all_of(documents.ids)
        )
        connection.execute(insert(kept).from_select(["content_hash"], others.distinct()))
        for page in texts_in_files(services, documents.tenant, documents):
            rows = [{"content_hash": one} for one in page]
            connection.execute(insert(kept).on_conflict_do_nothing(), rows)
        return {
            table: (table.c.tenant == documents.tenant) & ~sa.exists().where(kept.c.content_hash == text_hash)
            for table, text_hash in hashes.items()
        }

    def count() -> int:
        with services.ledger.transaction() as connection:
            queries = (
                sa.select(sa.func.count()).select_from(table).where(orphan)
                for table, orphan in orphans(connection).items()
            )
            return sum(connection.scalar(query) or 0 for query in queries)

    def erase() -> None:
        with services.ledger.transaction() as connection:
            for table, orphan in orphans(connection).items():
                connection.execute(sa.delete(table).where(orphan))

    return Place("embedding cache", count, erase)


def tenant_in_ledger(services: Services, tenant: str) -> Place:
    """Every row of a tenant, but those that say which documents are to stay away."""
    tables = [table for table in t.metadata.sorted_tables if "tenant" in table.c and table is not _KEPT]
    conditions = [(table, table.c.tenant == tenant) for table in tables]

    def erase() -> None:
        with services.ledger.transaction() as connection:
            for table, condition in conditions:
                connection.execute(sa.delete(table).where(condition))

    return Place("ledger", lambda: _count(services, conditions), erase)


def support_database(services: Services, tenant: str) -> Place:
    """The schema that `support-db load` fills: a system upstream that is kept here."""
    from sync_assets.support_database.tables import schema_of

    schema = schema_of(tenant)
    known = sa.text("SELECT count(*) FROM information_schema.schemata WHERE schema_name = :schema")

    def count() -> int:
        with services.ledger.transaction() as connection:
            return connection.scalar(known, {"schema": schema}) or 0

    def erase() -> None:
        with services.ledger.transaction() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))

    return Place("support database", count, erase)


def _of_documents(table: sa.Table, documents: Documents) -> sa.ColumnElement[bool]:
    return (table.c.tenant == documents.tenant) & (table.c.document_id == any_of(documents.ids))


def _of_records(table: sa.Table, documents: Documents) -> sa.ColumnElement[bool]:
    by_source = (
        (table.c.source == source) & (table.c.record_id == any_of(record_ids))
        for source, record_ids in documents.records.items()
    )
    return (table.c.tenant == documents.tenant) & sa.or_(sa.false(), *by_source)


def _count(services: Services, conditions: Collection[tuple[sa.Table, sa.ColumnElement[bool]]]) -> int:
    def counts(connection: sa.Connection) -> Iterator[int]:
        for table, condition in conditions:
            yield connection.scalar(sa.select(sa.func.count()).select_from(table).where(condition)) or 0

    with services.ledger.transaction() as connection:
        return sum(counts(connection))
