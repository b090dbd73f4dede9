"""A rehearsal of the chain: the stages themselves, with a ledger that forgets, up to where something would be written.

Upstream is asked as in a run. No vector is computed, no file of a record is fetched, no keyword derived, no language
model asked for a summary: those are counted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sync_assets.batches import Batch, Partition
from sync_assets.embedding.missing import MissingTexts, Texts
from sync_assets.errors import StoreError
from sync_assets.ledger.forgotten import forgotten_among
from sync_assets.stages import Context, Report
from sync_assets.stages.changes import applied_rows, changes_of, count_changes, difference, left_to_apply, pages_of
from sync_assets.stages.chunks import make_chunks
from sync_assets.stages.documents import make_documents
from sync_assets.stages.limits import missing_texts
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets.stages.store import Target, distrust_what_was_lost, wanted_collection


class Rehearsed(NamedTuple):
    """What a run would do.

    Attributes:
        reports: by stage and store; a store's report counts as `new` those of the `written` chunks that it lacks.
        texts: to embed.
        spared: what `Context.spared` counts; what follows from files and keywords is not known.
    """

    reports: dict[str, Report]
    texts: Texts
    spared: Counter[str]


def rehearse(
    context: Context, partitions: Sequence[Partition], options: RawOptions, missing: MissingTexts
) -> Rehearsed:
    """Rehearse one run over some partitions of one tenant.

    Args:
        context: with a `RehearsalLedger`, and a counter of what is spared.
        missing: of all rehearsals that go together: a text is embedded for the first of them.

    Raises:
        SourceError: the tenant's account refused or could not be reached.
        FingerprintMismatch: a collection was made by another model or chunker.
    """
    raw, fetched = extract_raw(context, partitions, options)
    documents, read = make_documents(context, raw)
    chunks, cut = make_chunks(context, documents)
    texts = missing_texts(context, chunks, missing)
    reports = {report.stage: report for report in (fetched, read, cut)}
    for number, store in enumerate(context.stream.stores):
        # No collection has a negative number: one that does not exist yet holds nothing.
        reports[store] = _rehearse_store(context, store, chunks, unregistered=-number - 1)
    return Rehearsed(reports, texts, context.spared or Counter())


def _rehearse_store(context: Context, store: str, chunks: Batch, unregistered: int) -> Report:
    ledger = context.services.ledger
    report = Report.of(store, chunks.partitions)
    registered = ledger.matching_collection(wanted_collection(context, store))
    collection_id = unregistered if registered is None else registered.id
    if registered is not None:
        _distrust(context, Target(context.services.store(store), registered), chunks)
    for partition, page in pages_of(chunks):
        ids = page.document_ids
        applied = ledger.applied_documents(collection_id, partition.tenant, ids)
        forgotten = forgotten_among(ledger, partition.tenant, ids)
        todo = left_to_apply(changes_of(page, applied, forgotten), partition, report)
        found = difference(todo)
        count_changes(report, partition, todo, found)
        report.count(partition, "new", found.new)
        if todo:
            ledger.finish_apply(collection_id, context.stream.of(partition.tenant), applied_rows(todo))
        context.advance(partition.tenant, store, report.total("chunks"), None)
    return report


def _distrust(context: Context, target: Target, chunks: Batch) -> None:
    """As a run distrusts what a store lost; it would make anew a collection that is not there."""
    ledger, registered = context.services.ledger, target.registered
    for tenant in sorted({partition.tenant for partition in chunks.partitions}):
        try:
            distrust_what_was_lost(context, target, tenant)
        except StoreError:
            if tenant in target.store.tenants(registered.collection):
                raise
            if ledger.applied_chunks(registered.id, tenant):
                ledger.mark_dirty(registered.id, tenant)
