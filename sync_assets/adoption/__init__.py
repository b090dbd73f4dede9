"""Taking over the vectors and keywords of an older store, so that nothing is paid for twice.

An older row is matched with a document of today's upstream. Where its text is still the document's, its keywords go
into the table `enrichments` and its vector into the embedding cache, under the hash of our text: never into a
collection. The next sync finds them there, writes as it always does, and embeds nothing for them; so every law of a
sync holds after an adoption as before it.

What belongs here: `adopt`, from request to report. How older rows are read is in `tables.py` and `files.py`, what they
say in `rows.py`, what they are compared with in `documents.py`, and whose vectors they are in `probing.py`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from sync_assets.adoption.documents import Entry, Index, plain
from sync_assets.adoption.files import VectordataFiles
from sync_assets.adoption.probing import Basis, Probes, usable_vector
from sync_assets.adoption.rows import Origin, Row, Unreadable
from sync_assets.adoption.tables import open_table
from sync_assets.chunking import ChunkLimits
from sync_assets.embedding import Embedder
from sync_assets.enrichment import Enrichment, combined_text, words
from sync_assets.enrichment.coverage import living_documents
from sync_assets.enrichment.enricher import ADOPTED, open_enricher, store
from sync_assets.services import Services
from sync_assets.stages import Context, Stream
from sync_assets.stages.store import chunking_fingerprint

Kind = Literal["matched", "differs", "gone", "ambiguous", "duplicate", "unreadable"]
KINDS: tuple[Kind, ...] = ("matched", "differs", "gone", "ambiguous", "duplicate", "unreadable")
GROUPS = ("with_both", "keywords_only", "combined_only", "without_both")

_SAMPLES = 20
_VECTORS_A_WRITE = 256


class AdoptionRequest(NamedTuple):
    """What to adopt, for which stream.

    Attributes:
        database_url: of the older table; never shown.
        table: `schema.name`; None where only files are read.
        collection: of a table that holds several; None means all.
        files: folder or `s3://bucket/prefix` of one tenant's vectordata; None where only a table is read.
    """

    tenant: str
    stream: Stream
    database_url: str
    table: str | None = None
    collection: str | None = None
    files: str | None = None
    dry_run: bool = False


@dataclass
class OriginReport:
    """What became of the rows of one origin: each is counted in exactly one kind.

    Attributes:
        groups: readable rows by what they carry of keywords and combined text.
        contradicting: by name of a field, how many matched or differing rows say otherwise than upstream.
        reasons: of unreadable rows.
        samples: the first rows of each kind, as people find them.
        basis: what its vectors were made of; None where it has none.
    """

    rows: Counter[Kind] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    contradicting: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)
    basis: Basis | None = None

    def count(self, kind: Kind, name: str) -> None:
        self.rows[kind] += 1
        self.sample(kind, name)

    def sample(self, kind: str, name: str) -> None:
        names = self.samples.setdefault(kind, [])
        if len(names) < _SAMPLES:
            names.append(name)

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": {"total": self.rows.total(), **{kind: self.rows[kind] for kind in KINDS}},
            "groups": {group: self.groups[group] for group in GROUPS},
            "contradicting": dict(self.contradicting.most_common()),
            "reasons": dict(self.reasons.most_common()),
            "samples": self.samples,
            "basis": self.basis,
        }


@dataclass
class AdoptionReport:
    """What an adoption found and took over.

    Attributes:
        origins: reports by origin (`table`, `files`).
        documents: living documents, each in exactly one of `with_row`, `missing` and `unreadable`.
        probed: texts that were embedded to learn what the older vectors were made of.
        vectors, keywords: how many were new, and went into the cache and the enrichments (or would, in a dry run).
        texts, to_embed: different texts that the next sync embeds or finds, and those of them that it has to embed.
    """

    origins: dict[Origin, OriginReport] = field(default_factory=dict)
    documents: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    probed: int = 0
    vectors: int = 0
    keywords: int = 0
    texts: int = 0
    to_embed: int = 0

    @property
    def has_unreadable(self) -> bool:
        return any(origin.rows["unreadable"] for origin in self.origins.values())

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: origin.as_json() for name, origin in self.origins.items()},
            "documents": {"total": self.documents.total(), **{k: self.documents[k] for k in _DOCUMENTS}},
            "missing": self.missing[:_SAMPLES],
            "probed": self.probed,
            "vectors": self.vectors,
            "keywords": self.keywords,
            "texts": self.texts,
            "to_embed": self.to_embed,
        }


_DOCUMENTS = ("with_row", "missing", "unreadable")


def adopt(services: Services, request: AdoptionRequest) -> AdoptionReport:
    """Match older rows with today's documents, and take over what is still true.

    Raises:
        SourceError: upstream could not be listed or fetched.
        StoreError: the table can't be read, has a layout that nobody knows, or vectors of both kinds.
        StorageError, SettingsError: the files can't be read, or are not one tenant's.
        FingerprintMismatch: its vectors were made by another model than the stream's.
    """
    return _Adoption(services, request).run()


class _Adoption:
    """One run."""

    def __init__(self, services: Services, request: AdoptionRequest) -> None:
        self._services = services
        self._request = request
        self._stream = request.stream
        self._embedder: Embedder = services.embedder(request.stream.model)
        tokens = request.stream.chunk_tokens or self._embedder.fingerprint.max_tokens
        self._index = Index(self._embedder.tokenizer, ChunkLimits(max_tokens=tokens), request.stream.keywords)
        self._report = AdoptionReport()
        self._taken: set[str] = set()

    def run(self) -> AdoptionReport:
        self._read_upstream()
        with open_enricher(self._services) as enricher:
            for page in self._index.pages():
                known = enricher.known(self._request.tenant, [entry.article for entry in page])
                for entry in page:
                    entry.enrichment = known.get(entry.article)
        if self._request.table is not None:
            key, _ = chunking_fingerprint(Context(self._services, self._stream), self._embedder)
            with open_table(self._request, key, self._embedder.fingerprint) as table:
                self._adopt_from("table", table)
        if self._request.files is not None:
            settings = self._services.settings
            with VectordataFiles(self._request.files, settings.s3_endpoint_url) as files:
                self._adopt_from("files", files)
        self._adopt_enrichments()
        self._count_documents()
        self._count_texts()
        return self._report

    def _read_upstream(self) -> None:
        with self._services.tenants.open(self._stream.source, self._request.tenant) as account:
            for found in living_documents(account, self._stream.name):
                if found.document is None or not self._index.add(found.document):
                    self._report.documents["unreadable"] += 1

    def _adopt_from(self, name: Origin, rows: Iterable[Row | Unreadable]) -> None:
        """Two passes over the same rows: who they are and what their vectors were made of, then what to take."""
        probes = Probes(self._embedder)
        titles = Counter(plain(row.title) for row in rows if isinstance(row, Row) and self._is_without_id(row))
        for row in rows:
            if isinstance(row, Row) and row.vector is not None:
                entry = self._document_of(row, titles)
                matches = isinstance(entry, Entry) and self._text_hash(entry, row) is not None
                probes.offer(row, matches)
        report = self._report.origins.setdefault(name, OriginReport())
        report.basis = probes.decide()
        self._report.probed += probes.embedded
        seen: set[tuple[str, str]] = set()
        vectors: dict[str, np.ndarray] = {}
        for row in rows:
            taken = self._settle(row, titles, report, seen)
            if taken is not None:
                vectors.setdefault(*taken)
            if len(vectors) >= _VECTORS_A_WRITE:
                self._take_vectors(vectors)
                vectors = {}
        self._take_vectors(vectors)

    def _settle(
        self,
        row: Row | Unreadable,
        titles: Mapping[str, int],
        report: OriginReport,
        seen: set[tuple[str, str]],
    ) -> tuple[str, np.ndarray] | None:
        """Count a row and remember what its document gets; returns a vector and the hash of our text that it is of."""
        if isinstance(row, Row) and row.vector is not None and (problem := self._unusable(row.vector)):
            row = Unreadable(row.name, problem)
        if isinstance(row, Unreadable):
            report.count("unreadable", row.name)
            report.reasons[row.reason] += 1
            return None
        report.groups[_group(row)] += 1
        entry = self._document_of(row, titles)
        if not isinstance(entry, Entry):
            report.count(entry, row.name)
            return None
        entry.has_row = True
        for name in entry.contradictions(row):
            report.contradicting[name] += 1
            report.sample(f"contradicting {name}", row.name)
        text = self._text_hash(entry, row)
        if text is None:
            entry.differs |= row.is_chunk and not row.is_combined
            report.count("differs", row.name)
            return None
        key = (entry.record_id, Index.text_key(row.text))
        if key in seen:
            report.count("duplicate", row.name)
            return None
        seen.add(key)
        report.count("matched", row.name)
        entry.offer(row)
        if row.vector is None or (report.basis is None and not row.is_chunk):
            return None
        is_of_combined = report.basis == "combined_text" and row.combined_text
        made_of = self._index.header_hash(row.combined_text) if is_of_combined else text
        # A text that is longer than a chunk, or marked up in another way, has no vector that we could use.
        return (made_of, row.vector) if made_of else None

    def _unusable(self, vector: np.ndarray) -> str:
        return usable_vector(vector, self._embedder.fingerprint.dimension)

    def _is_without_id(self, row: Row) -> bool:
        return not row.ids and self._index.by_id(row.row_id) is None

    def _document_of(self, row: Row, titles: Mapping[str, int]) -> Entry | Literal["gone", "ambiguous"]:
        """The document of a row: by its id, else by a title that is the only one on both sides."""
        for record_id in row.ids or [row.row_id]:
            if (entry := self._index.by_id(record_id)) is not None:
                return entry
        if row.ids:
            return "gone"
        title = plain(row.title)
        entries = self._index.by_title(title)
        if not entries:
            return "gone"
        return entries[0] if len(entries) == 1 and titles[title] == 1 else "ambiguous"

    def _text_hash(self, entry: Entry, row: Row) -> str | None:
        """Hash of the text of ours that a row's text is; None where it is none.

        Empty where it is one that is cut into several chunks, or the same but for its markup.
        """
        if row.is_combined:
            agrees = set(words(row.text)) == set(words(" ".join([entry.title, *row.keywords])))
            return self._index.header_hash(row.text) if agrees else None
        found = entry.texts.get(Index.text_key(row.text))
        return "" if found is None and Index.bare_key(row.text) in entry.bare_texts else found

    def _take_vectors(self, vectors: Mapping[str, np.ndarray]) -> None:
        tenant, key, cache = self._request.tenant, self._embedder.fingerprint.key, self._services.cache
        new = {text: vector for text, vector in vectors.items() if text not in self._taken}
        for text in cache.get(tenant, key, list(new)):
            del new[text]
        self._taken |= new.keys()
        self._report.vectors += len(new)
        if not self._request.dry_run:
            unit = {text: (vector / np.linalg.norm(vector)).astype(np.float32) for text, vector in new.items()}
            cache.put(tenant, key, unit)

    def _adopt_enrichments(self) -> None:
        """Store the keywords that are not known as they are; equal articles have them in common, the first ones."""
        if not self._stream.keywords:
            return
        found: dict[str, Enrichment] = {}
        for entry in self._index.entries():
            if (adopted := _adopted(entry)) is not None:
                found.setdefault(entry.article, adopted)
        new: dict[str, Enrichment] = {}
        for entry in self._index.entries():
            if entry.article in found and entry.enrichment != found[entry.article]:
                new[entry.article] = entry.enrichment = found[entry.article]
        self._report.keywords = len(new)
        if not self._request.dry_run:
            store(self._services.ledger, self._request.tenant, ADOPTED, new)

    def _count_documents(self) -> None:
        for entry in self._index.entries():
            self._report.documents["with_row" if entry.has_row else "missing"] += 1
            if not entry.has_row:
                self._report.missing.append(entry.record_id)

    def _count_texts(self) -> None:
        """What the next sync embeds: texts that are in no cache, and the combined texts of keywords not known yet."""
        tenant, key, cache = self._request.tenant, self._embedder.fingerprint.key, self._services.cache
        counted: set[str] = set()
        for page in self._index.pages():
            hashes = {text for entry in page for text in self._index.chunk_hashes(entry)} - counted
            counted |= hashes
            waiting = sum(self._stream.keywords and entry.enrichment is None for entry in page)
            cached = set(cache.get(tenant, key, list(hashes))) | self._taken
            self._report.texts += len(hashes) + waiting
            self._report.to_embed += len(hashes - cached) + waiting


def _adopted(entry: Entry) -> Enrichment | None:
    """What a document takes over; nothing where its text is another one now."""
    if entry.differs or not entry.keywords:
        return None
    agrees = set(words(entry.combined)) == set(words(" ".join([entry.title, *entry.keywords])))
    return Enrichment(entry.keywords, entry.combined if agrees else combined_text(entry.title, entry.keywords))


def _group(row: Row) -> str:
    if row.keywords:
        return "with_both" if row.combined_text else "keywords_only"
    return "combined_only" if row.combined_text else "without_both"
