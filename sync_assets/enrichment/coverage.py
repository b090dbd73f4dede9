"""Which documents lack keywords or combined text in the stores, and which contradict upstream.

Upstream is asked for every living record; what the stores hold is known from the ledger. No extractor is asked: a
document whose keywords nobody has derived yet is one that lacks them.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from sync_assets.documents import Document
from sync_assets.enrichment import Enrichment, article_of, combined_text, enriched, with_keywords
from sync_assets.enrichment.enricher import Enricher
from sync_assets.enrichment.summaries import to_summarise, with_summary
from sync_assets.enrichment.summariser import open_kept_summaries
from sync_assets.ledger import AppliedDocument, KnownDocument
from sync_assets.services import Services
from sync_assets.sources import Source, live_record_ids
from sync_assets.stages import Stream
from sync_assets.stages.documents import parse

# In the order in which they are printed. The first is complete; `unreadable` can't be mended from here.
GROUPS = (
    "with_both",
    "keywords_only",
    "combined_only",
    "without_both",
    "contradicts_upstream",
    "not_in_step",
    "unreadable",
)
_COMPLETE = ("with_both", "unreadable")
_PAGE = 500


class Upstream(NamedTuple):
    """A living record: its document, or why it can't be read."""

    record_id: str
    document: Document | None
    problem: str = ""


class Coverage(NamedTuple):
    """Record ids of a stream's living documents by group; every document is in one."""

    groups: dict[str, list[str]]

    @property
    def wanted(self) -> list[str]:
        """Those that a sync of their records mends."""
        return [record_id for name, ids in self.groups.items() if name not in _COMPLETE for record_id in ids]


def living_documents(account: Source, stream: str) -> Iterator[Upstream]:
    """Every record that lives upstream now, fetched and read, without keywords; each once.

    Raises:
        SourceError: upstream could not be listed or fetched.
    """
    listed = dict.fromkeys(live_record_ids(account, stream))
    for record in account.fetch(stream, listed):
        if record.event == "deleted":
            continue  # went between the listing and now
        try:
            yield Upstream(record.record_id, parse(account, stream, record))
        except ValueError as error:
            yield Upstream(record.record_id, None, str(error))


def coverage(services: Services, stream: Stream, tenant: str, enricher: Enricher) -> Coverage:
    """Sort a stream's living documents by what the stores hold of them.

    Raises:
        SourceError: upstream could not be listed or fetched.
    """
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    with services.tenants.open(stream.source, tenant) as account:
        living = living_documents(account, stream.name)
        while page := list(islice(living, _PAGE)):
            groups["unreadable"] += [found.record_id for found in page if found.document is None]
            documents = [found.document for found in page if found.document is not None]
            for document, group in zip(documents, _groups(services, stream, tenant, enricher, documents), strict=True):
                groups[group].append(document.record_id)
    return Coverage(groups)


def _groups(
    services: Services, stream: Stream, tenant: str, enricher: Enricher, documents: list[Document]
) -> Iterator[str]:
    ids = [document.document_id for document in documents]
    known = services.ledger.known_documents(stream.of(tenant), ids)
    registered = [services.ledger.active_collection(store, stream.collection) for store in stream.stores]
    applied = [
        {} if collection is None else services.ledger.applied_documents(collection.id, tenant, ids)
        for collection in registered
    ]
    hashes = [article_of(document).content_hash for document in documents]
    enrichments = enricher.known(tenant, hashes)
    documents = _with_summaries(services, stream, tenant, documents)
    for document, content_hash in zip(documents, hashes, strict=True):
        key = document.document_id
        held = [store.get(key) for store in applied]
        yield _group(document, enrichments.get(content_hash), known.get(key), held)


def _with_summaries(services: Services, stream: Stream, tenant: str, documents: list[Document]) -> list[Document]:
    """The documents with the summaries that they were given; nobody is asked for others."""
    options = stream.summaries
    if options is None:
        return documents
    with open_kept_summaries(services, options) as summaries:
        wanted = [to_summarise(document, options.max_characters) for document in documents]
        known = summaries.known(tenant, [of.article.content_hash for of in wanted if of is not None])
        name = summaries.summariser.name
    return [
        with_summary(document, of, text, name)
        if of is not None and (text := known.get(of.article.content_hash))
        else document
        for document, of in zip(documents, wanted, strict=True)
    ]


def _group(
    document: Document,
    enrichment: Enrichment | None,
    known: KnownDocument | None,
    held: list[AppliedDocument | None],
) -> str:
    """What the stores hold of a document, told by the hashes that it would have with and without its keywords."""
    if known is None or known.standing.deleted or not all(_is_in_step(known, one) for one in held):
        return "not_in_step"
    expected = enrichment or Enrichment([], combined_text(document.title, []))
    variants = {
        "combined_only": enriched(document, expected._replace(keywords=[])),
        "without_both": document,
    }
    if enrichment is not None:
        variants = {
            "with_both": enriched(document, enrichment),
            "keywords_only": with_keywords(document, enrichment),
            **variants,
        }
    stored = (known.content_hash, known.metadata_hash)
    for group, variant in variants.items():
        if stored == (variant.content_hash, variant.metadata_hash):
            return group
    return "contradicts_upstream"


def _is_in_step(known: KnownDocument, held: AppliedDocument | None) -> bool:
    """Whether a store holds the version of a document that the ledger has."""
    if held is None or held.dirty:
        return False
    standing, applied = known.standing, held.standing
    return (applied.modified_at, applied.observed_at) == (standing.modified_at, standing.observed_at)
