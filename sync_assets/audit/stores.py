"""One collection of one tenant, as its store has it, against the ledger.

What belongs here: digests by stream and bucket of both sides, and the points of the buckets that differ. What is wrong
with a point by itself is in `points.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sync_assets.audit import AuditScope, Finding, Kind
from sync_assets.audit.points import Inspected, inspect
from sync_assets.hashing import SetDigest, text_hash
from sync_assets.ledger import RegisteredCollection, StreamRef
from sync_assets.ledger.audits import Expected, expected_documents, expected_of
from sync_assets.paging import pages
from sync_assets.services import Services
from sync_assets.stages import Progress

_BUCKETS = 64


class Bucket(NamedTuple):
    """A part of a stream: documents whose ids have the same hash, modulo `_BUCKETS`."""

    source: str
    stream: str
    number: int


class _Damage(NamedTuple):
    """One chunk that is not as it should be; `compared` is what the ledger said of its document."""

    kind: Kind
    source: str
    stream: str
    document_id: str
    chunk_id: str
    compared: Expected | None


def audit_collection(
    services: Services, collection: RegisteredCollection, tenant: str, scope: AuditScope, progress: Progress
) -> tuple[list[Finding], int]:
    """What is wrong with the points of a tenant in a collection, and how many were looked at.

    Documents that a sync writes meanwhile are left out: what differs is looked at twice, and counts where the ledger
    said the same of its document both times. So are those with an unconfirmed write (`documents.py` tells them).

    Raises:
        StoreError: the store can't be reached, or has no such collection.
    """
    return _Audit(services, collection, tenant, scope, progress).run()


class _Audit:
    def __init__(
        self, services: Services, collection: RegisteredCollection, tenant: str, scope: AuditScope, progress: Progress
    ) -> None:
        self._services = services
        self._registered = collection
        self._tenant = tenant
        self._scope = scope
        self._progress = progress
        self._label = f"{tenant} {collection.name} in {collection.store}"

    def run(self) -> tuple[list[Finding], int]:
        stored, expected = self._stored_digests(), self._expected_digests()
        differing = {
            bucket
            for bucket in stored.keys() | expected.keys()
            if self._scope.has_stream(bucket.source, bucket.stream)
            and _value(stored.get(bucket)) != _value(expected.get(bucket))
        }
        found: list[_Damage] = []
        if differing:
            before = {damage.document_id: damage.compared for damage in self._damage(differing)}
            found = [
                damage
                for damage in (self._damage(differing) if before else ())
                if damage.document_id in before and before[damage.document_id] == damage.compared
            ]
        return self._findings(found), sum(rows.rows for rows in stored.values())

    def _stored_digests(self) -> dict[Bucket, SetDigest]:
        digests: dict[Bucket, SetDigest] = defaultdict(SetDigest)
        for page in self._inspected():
            for one in page:
                digests[_bucket(one)].add([one.document_id, one.chunk_id, one.content_hash, one.payload_hash, one.flaw])
        return digests

    def _expected_digests(self) -> dict[Bucket, SetDigest]:
        digests: dict[Bucket, SetDigest] = defaultdict(SetDigest)
        for document in expected_documents(self._services.ledger, self._registered.id, self._tenant):
            for chunk_id, hashes in document.chunks.items():
                digests[_bucket(document)].add([document.document_id, chunk_id, *hashes, None])
        return digests

    def _inspected(self) -> Iterator[list[Inspected]]:
        services, registered = self._services, self._registered
        total = services.ledger.applied_chunks(registered.id, self._tenant)
        points = services.store(registered.store).scan_points(registered.collection, self._tenant)
        done = 0
        for page in pages(points):
            yield inspect(page, self._tenant, services.cache, registered.model_fingerprint)
            done += len(page)
            self._progress(self._label, done, max(total or 0, done))

    def _damage(self, differing: set[Bucket]) -> list[_Damage]:
        """Everything in these buckets that is not as it should be. Memory follows the size of these buckets."""
        seen: set[str] = set()
        strangers: dict[str, _Damage] = {}
        found: list[_Damage] = []
        for page in self._inspected():
            some = [one for one in page if _bucket(one) in differing]
            expected = self._expected_of({one.document_id for one in some})
            for one in some:
                document = expected.get(one.document_id)
                if document is not None and document.dirty:
                    continue
                if document is None or one.chunk_id not in document.chunks:
                    place = (one.source, one.stream, one.document_id, one.chunk_id)
                    strangers[one.chunk_id] = _Damage("stranger", *place, document)
                    continue
                seen.add(one.chunk_id)
                if (kind := _kind(one, document)) is not None:
                    found.append(_of(document, one.chunk_id, kind))
        for document in expected_documents(self._services.ledger, self._registered.id, self._tenant):
            if document.dirty or _bucket(document) not in differing:
                continue
            for chunk_id in document.chunks.keys() - seen:
                # Under this id the store may have a point that names another document.
                moved = strangers.pop(chunk_id, None)
                found.append(_of(document, chunk_id, "missing" if moved is None else "altered"))
        return [*found, *strangers.values()]

    def _expected_of(self, document_ids: set[str]) -> dict[str, Expected]:
        return expected_of(self._services.ledger, self._registered.id, self._tenant, sorted(document_ids))

    def _findings(self, damages: Iterable[_Damage]) -> list[Finding]:
        grouped: dict[tuple[str, str, Kind], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for damage in damages:
            grouped[damage.source, damage.stream, damage.kind][damage.document_id].append(damage.chunk_id)
        return [
            Finding(
                StreamRef(self._tenant, source, stream),
                self._registered.store,
                kind,
                dict(documents),
                self._registered,
            )
            for (source, stream, kind), documents in sorted(grouped.items())
        ]


def _kind(one: Inspected, document: Expected) -> Kind | None:
    """What is wrong with a point that ought to be there."""
    if one.flaw is not None:
        return one.flaw
    if (one.content_hash, one.payload_hash) != document.chunks[one.chunk_id]:
        return "other version"
    return None if (one.source, one.stream) == (document.source, document.stream) else "altered"


def _of(document: Expected, chunk_id: str, kind: Kind) -> _Damage:
    return _Damage(kind, document.source, document.stream, document.document_id, chunk_id, document)


def _bucket(one: Inspected | Expected) -> Bucket:
    return Bucket(one.source, one.stream, int(text_hash(one.document_id)[:4], 16) % _BUCKETS)


def _value(rows: SetDigest | None) -> str:
    return (rows or SetDigest()).hexdigest()
