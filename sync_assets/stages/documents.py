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
from sync_assets.documents import (
    DOCUMENT_SCHEMA,
    Document,
    Record,
    Standing,
    Version,
    Visibility,
    document_id,
    is_stale,
    next_floor,
)
from sync_assets.hashing import SetDigest
from sync_assets.ledger import DocumentRow, KnownDocument
from sync_assets.ledger.files import name_files
from sync_assets.ledger.forgotten import forgotten_records
from sync_assets.processors import processed
from sync_assets.sources import Source
from sync_assets.stages import Context, QuarantineDesk, Report, record_states
from sync_assets.stages.document_rows import row_of
from sync_assets.stages.enriching import Enriching, open_enriching
from sync_assets.stages.findings import DocumentRules
from sync_assets.stages.raw import digest_rows, records_of

STAGE = "documents"


def make_documents(context: Context, raw: Batch) -> tuple[Batch, Report]:
    """Turn records into documents, one row each, tombstones included; bad records go to quarantine.

    Raises:
        SettingsError: a setting of the stream's language model is missing.
        LimitError: summaries would cost more than the settings allow; none was asked for.
    """
    report = Report.after(context, "raw", STAGE, raw.partitions)
    desk = QuarantineDesk(context, report)
    rules = DocumentRules()
    report.findings = rules.findings
    writer = BatchWriter(context.stream.layout(STAGE), DOCUMENT_SCHEMA, raw.partitions)
    held_of = cache(
        lambda tenant: {one.record_id for one in context.services.ledger.quarantined(*context.stream.of(tenant))}
    )
    with _accounts(context) as account_of, open_enriching(context) as enriching:
        if enriching.is_limited:
            _refuse_beyond_limits(context, raw, account_of, enriching)
        read = {partition: SetDigest() for partition in raw.partitions}
        for partition, table in raw.pages():
            tenant = partition.tenant
            held = held_of(tenant)  # before any of them is released
            for row in digest_rows(table):
                read[partition].add(row)
            records = _remembered(context, tenant, table)
            documents, failed = _parse(context, account_of(tenant), records)
            named = _files_of(context, documents)
            failed |= _attach(context, tenant, account_of(tenant), documents, report)
            failed |= _process(context, documents)
            stale = _stale(context, tenant, records, documents) if enriching.summarises else ()
            failed |= enriching.enrich(partition, documents, stale, report)
            with context.services.ledger.lock("documents", *context.stream.of(tenant)):
                rows = _compare(context, partition, records, documents, report)
                files = {row["record_id"]: named.get(row["record_id"], []) for row in rows}
                name_files(context.services.ledger, tenant, context.stream.source, files)
            desk.settle(partition, failed, list(documents))
            rules.judge(partition, rows, held)
            if rows:
                writer.write(partition, pa.Table.from_pylist(rows, DOCUMENT_SCHEMA))
            context.advance(tenant, STAGE, report.total("records"), report.upstream_rows)
        for partition, rows in read.items():
            report.distrust_unless(partition, rows.hexdigest())
    return writer.finish(record_states(context, report)), report


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
    context: Context, tenant: str, account: Source, documents: dict[str, Document | None], report: Report
) -> dict[str, str]:
    """Make the texts of files parts of a page's documents; returns reasons for those that lack one."""
    found = [document for document in documents.values() if document is not None and document.attachments]
    if context.stream.attachments is None or not found:
        return {}
    from sync_assets.stages.attachments import Attachments

    stream = context.stream
    attachments = Attachments(context.services.ledger, tenant, stream.source, account, context.stream.attachments)
    attached, failed, notes = attachments.attached(found, context.spared)
    documents.update({document.record_id: document for document in attached})
    report.notes += notes
    return failed


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
        standing = known.get(ids.get(record.record_id, ""))
        if standing is not None and is_stale(_version(record, standing), standing.standing):
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
        standing = known.get(identity)
        version = _version(record, standing)
        if standing is not None and is_stale(version, standing.standing):
            report.count(partition, "stale")
            continue
        hashes = (document.content_hash, document.metadata_hash) if document else (None, None)
        change = _change(document, hashes, version, standing)
        report.count(partition, change)
        if change != "unchanged":
            report.show_change(partition, _shown_change(identity, change, version, document))
        cheap_version = record.cheap_version if document else ""
        if change == "unchanged" and standing is not None:
            version, floor = _standing_version(standing.standing), standing.standing.floor
        else:
            floor = next_floor(version, document is None, standing.standing if standing else None)
        if change != "unchanged" or standing is None or standing.cheap_version != cheap_version:
            news[identity] = DocumentRow(
                identity, record.record_id, version, floor, document is None, cheap_version, *hashes
            )
            known[identity] = KnownDocument(
                Standing(
                    modified_at=version.modified_at,
                    observed_at=version.observed_at,
                    floor=floor,
                    deleted=document is None,
                ),
                cheap_version,
                *hashes,
            )
        report.digests[partition].add([identity, *hashes, document is None])
        if document is not None:
            report.count(partition, "documents")
            if document.visibility is Visibility.PUBLIC:
                report.show(
                    partition,
                    {
                        "document": identity,
                        "title": document.title,
                        "modified": version.modified_at,
                        "link": document.url,
                    },
                )
        rows.append(row_of(context, partition, record, identity, version, document, hashes))
    context.services.ledger.record_documents(ref, list(news.values()))
    return rows


def _shown_change(identity: str, change: str, version: Version, document: Document | None) -> dict[str, Any]:
    public = document is not None and document.visibility is Visibility.PUBLIC
    return {
        "change": change,
        "document": identity,
        "title": document.title if document is not None and public else "",
        "modified": version.modified_at,
        "link": document.url if document is not None else None,
    }


def _version(record: Record, standing: KnownDocument | None) -> Version:
    """A deletion may come without a time: it is one of what stands."""
    modified_at = record.modified_at
    if modified_at is None:
        modified_at = standing.standing.modified_at if standing else record.observed_at
    return Version(modified_at=modified_at, observed_at=record.observed_at, authoritative=record.authoritative)


def _standing_version(standing: Standing) -> Version:
    """What stands, with the authority that it was accepted with: a store that lags behind must accept it too."""
    return Version(
        modified_at=standing.modified_at,
        observed_at=standing.observed_at,
        authoritative=standing.floor >= standing.observed_at,
    )


def _change(
    document: Document | None, hashes: tuple[str | None, str | None], version: Version, standing: KnownDocument | None
) -> str:
    if document is None:
        return "unchanged" if standing is not None and standing.standing.deleted else "deleted"
    if standing is None or standing.standing.deleted:
        return "added"
    same = (standing.content_hash, standing.metadata_hash) == hashes
    return "unchanged" if same and standing.standing.modified_at == version.modified_at else "changed"
