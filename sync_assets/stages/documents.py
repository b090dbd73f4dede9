"""Documents: raw records in platform-neutral form, told apart from what the ledger knows.

What is older than the ledger's version is left out. What is unchanged keeps the ledger's version, so that a repeated
run is the same to everything downstream. Where the stream reads attachments, or has keywords or summaries, documents
get them here; one that lacks some goes on without, and is in quarantine until it has them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from sync_assets.batches import Batch, BatchWriter, Partition
from sync_assets.documents import DOCUMENT_SCHEMA, Document, Record, Standing, Visibility, document_id
from sync_assets.ledger import DocumentRow, KnownDocument
from sync_assets.ledger.files import name_files
from sync_assets.ledger.forgotten import forgotten_records
from sync_assets.processors import processed
from sync_assets.sources import Source
from sync_assets.stages import Context, QuarantineDesk, Report, record_states
from sync_assets.stages.comparing import compared, is_older
from sync_assets.stages.document_rows import row_of
from sync_assets.stages.enriching import Enriching, open_enriching
from sync_assets.stages.findings import DocumentRules
from sync_assets.stages.kept import KeptFiles
from sync_assets.stages.raw import records_of
from sync_assets.stages.standing import StandingDocuments

STAGE = "documents"
# What is told of a document in a report.
_TOLD = ["document_id", "record_id", "deleted", "modified_at", "authoritative", "title", "url", "visibility"]
_TOLD += ["content_hash", "metadata_hash"]


def make_documents(context: Context, raw: Batch) -> tuple[Batch, Report]:
    """Turn records into documents, one row each, tombstones included; bad records go to quarantine.

    A partition whose records would become the documents that they were keeps its file.

    Raises:
        SettingsError: a setting of the stream's language model is missing.
        LimitError: summaries would cost more than the settings allow; none was asked for.
    """
    report = Report.after(context, "raw", STAGE, raw.partitions)
    desk = QuarantineDesk(context, report)
    rules = DocumentRules()
    report.findings = rules.findings
    writer = BatchWriter(context.stream.layout(STAGE), DOCUMENT_SCHEMA, raw.partitions)
    standing = StandingDocuments(context, raw)
    kept = KeptFiles(
        context, raw, writer, standing.settings, input_digest=standing.input_digest, stands=standing.stands
    )
    held_of = cache(
        lambda tenant: {one.record_id for one in context.services.ledger.quarantined(*context.stream.of(tenant))}
    )

    def tell(
        partition: Partition, rows: Sequence[dict[str, Any]], record_ids: list[str], failed: dict[str, str]
    ) -> None:
        held = held_of(partition.tenant)  # before any of them is released
        desk.settle(partition, failed, record_ids)
        rules.judge(partition, rows, held)
        _tell(report, partition, rows)
        context.advance(partition.tenant, STAGE, report.total("records"), report.upstream_rows)

    with _accounts(context) as account_of, open_enriching(context) as enriching:
        if enriching.is_limited:
            _refuse_beyond_limits(context, kept.others, account_of, enriching)
        for partition in raw.partitions:
            tenant = partition.tenant
            for _, table in kept.batch.only([partition]).pages(columns=_TOLD):
                report.count(partition, "records", table.num_rows)
                report.count(partition, "unchanged", table.num_rows)
                tell(partition, table.to_pylist(), table["record_id"].to_pylist(), {})
            for _, table in kept.others.only([partition]).pages():
                records = _remembered(context, tenant, table)
                documents, failed = _parse(context, account_of(tenant), records)
                named = _files_of(context, documents)
                lacking, notes = _attach(context, tenant, account_of(tenant), documents)
                if lacking or notes:
                    kept.lacks_something(partition)
                report.notes += notes
                failed |= lacking | _process(context, documents)
                stale = _stale(context, tenant, records, documents) if enriching.summarises else ()
                failed |= enriching.enrich(partition, documents, stale, report)
                with context.services.ledger.lock("documents", *context.stream.of(tenant)):
                    rows = _compare(context, partition, records, documents, report)
                    files = {row["record_id"]: named.get(row["record_id"], []) for row in rows}
                    name_files(context.services.ledger, tenant, context.stream.source, files)
                if rows:
                    writer.write(partition, pa.Table.from_pylist(rows, DOCUMENT_SCHEMA))
                tell(partition, rows, list(documents), failed)
            report.distrust_unless(partition, standing.records_digest(partition))
    documents = writer.finish(record_states(context, report))
    report.origins = kept.origins(documents) if standing.is_repeatable else {}
    return documents, report


@contextmanager
def _accounts(context: Context) -> Iterator[Callable[[str], Source]]:
    """A tenant's account, opened when it is first asked for; all are closed at the end."""
    with ExitStack() as stack:
        yield cache(lambda tenant: stack.enter_context(context.services.tenants.open(context.stream.source, tenant)))


def _refuse_beyond_limits(
    context: Context, raw: Batch, account_of: Callable[[str], Source], enriching: Enriching
) -> None:
    """Count the summaries that this batch lacks, before any is asked for.

    Raises:
        LimitError: they cost more than the settings allow.
    """
    for partition, table in raw.pages():
        tenant = partition.tenant
        records = _remembered(context, tenant, table)
        documents, _ = _parse(context, account_of(tenant), records)
        _process(context, documents)
        enriching.expect(tenant, documents, _stale(context, tenant, records, documents))
    enriching.refuse_beyond_limits()


def _remembered(context: Context, tenant: str, table: pa.Table) -> list[Record]:
    """The records of a page without those that are to stay away."""
    ids = table["record_id"].to_pylist()
    forgotten = forgotten_records(context.services.ledger, context.stream.of(tenant), ids)
    return [record for record in records_of(table) if record.record_id not in forgotten]


def _files_of(context: Context, documents: dict[str, Document | None]) -> dict[str, list[str]]:
    """The files that are read of a page's documents, by record id."""
    if context.stream.attachments is None:
        return {}
    return {
        record_id: [file.locator for file in document.attachments]
        for record_id, document in documents.items()
        if document is not None
    }


def _attach(
    context: Context, tenant: str, account: Source, documents: dict[str, Document | None]
) -> tuple[dict[str, str], list[str]]:
    """Make the texts of files parts of a page's documents; returns reasons for those that lack one, and notes."""
    found = [document for document in documents.values() if document is not None and document.attachments]
    if context.stream.attachments is None or not found:
        return {}, []
    from sync_assets.stages.attachments import Attachments

    stream = context.stream
    attachments = Attachments(context.services.ledger, tenant, stream.source, account, context.stream.attachments)
    attached, failed, notes = attachments.attached(found, context.spared)
    documents.update({document.record_id: document for document in attached})
    return failed, notes


def _process(context: Context, documents: dict[str, Document | None]) -> dict[str, str]:
    """Send a page's documents through the stream's processors; those that fail are taken out, with the reason."""
    failed: dict[str, str] = {}
    for record_id, document in list(documents.items()):
        if document is None or not context.stream.processors:
            continue
        try:
            documents[record_id] = processed(document, context.stream.processors)
        except ValueError as error:
            failed[record_id] = str(error)
            del documents[record_id]
    return failed


def _stale(context: Context, tenant: str, records: Sequence[Record], documents: dict[str, Document | None]) -> set[str]:
    """Record ids of what is older than the ledger's version, as far as is known before the comparison."""
    ref = context.stream.of(tenant)
    ids = {record_id: document_id(ref.tenant, ref.source, record_id) for record_id in documents}
    known = context.services.ledger.known_documents(ref, list(ids.values()))
    stale: set[str] = set()
    for record in records:
        if is_older(record, known.get(ids.get(record.record_id, ""))):
            stale.add(record.record_id)
        else:
            stale.discard(record.record_id)
    return stale


def _parse(
    context: Context, account: Source, records: Sequence[Record]
) -> tuple[dict[str, Document | None], dict[str, str]]:
    """Documents by record id, None for what is deleted, and reasons by record id for what can't be read."""
    documents: dict[str, Document | None] = {}
    failed: dict[str, str] = {}
    for record in records:
        if record.event == "deleted":
            documents[record.record_id] = None
            continue
        try:
            documents[record.record_id] = parse(account, context.stream.name, record)
        except ValueError as error:
            failed[record.record_id] = str(error)
    return documents, failed


def parse(account: Source, stream: str, record: Record) -> Document:
    """The document of a record that is not deleted, without keywords and summary.

    Raises:
        ValueError: the record can't be read; the text says why, without the value.
    """
    if record.event == "malformed" or record.modified_at is None:
        raise ValueError(record.problem or "The record has no modification time.")
    try:
        return account.to_document(stream, record)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _compare(
    context: Context,
    partition: Partition,
    records: Sequence[Record],
    documents: dict[str, Document | None],
    report: Report,
) -> list[dict[str, Any]]:
    """Rows of this page for the batch, its news recorded in the ledger."""
    ref = context.stream.of(partition.tenant)
    ids = {record_id: document_id(ref.tenant, ref.source, record_id) for record_id in documents}
    known = context.services.ledger.known_documents(ref, list(ids.values()))
    rows: list[dict[str, Any]] = []
    news: dict[str, DocumentRow] = {}
    for record in records:
        report.count(partition, "records")
        if record.record_id not in documents:
            continue
        document = documents[record.record_id]
        identity = ids[record.record_id]
        hashes = (document.content_hash, document.metadata_hash) if document else None
        found = compared(record, identity, hashes, known.get(identity))
        if found is None:
            report.count(partition, "stale")
            continue
        report.count(partition, found.change)
        row = row_of(context, partition, record, identity, found.version, document, hashes)
        if found.change != "unchanged":
            report.show_change(partition, {"change": found.change, **_shown(row)})
        if found.news is not None:
            news[identity] = found.news
            known[identity] = _known(found.news)
        rows.append(row)
    context.services.ledger.record_documents(ref, list(news.values()))
    return rows


def _known(row: DocumentRow) -> KnownDocument:
    """What the ledger knows after it was told this."""
    version = row.version
    return KnownDocument(
        Standing(
            modified_at=version.modified_at, observed_at=version.observed_at, floor=row.floor, deleted=row.deleted
        ),
        row.cheap_version,
        row.content_hash,
        row.metadata_hash,
    )


def _tell(report: Report, partition: Partition, rows: Sequence[dict[str, Any]]) -> None:
    """Count and show rows of documents."""
    for row in rows:
        hashes = row.get("content_hash"), row.get("metadata_hash")
        report.digests[partition].add([row["document_id"], *hashes, row["deleted"]])
        if row["deleted"]:
            continue
        report.count(partition, "documents")
        if row["visibility"] == Visibility.PUBLIC:
            report.show(partition, _shown(row))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """What people are shown of a document; never a title that is not public."""
    public = row.get("visibility") == Visibility.PUBLIC
    return {
        "document": row["document_id"],
        "title": row["title"] if public else "",
        "modified": row["modified_at"],
        "link": row.get("url"),
    }
