"""A simulated upstream in memory, and the chain driven by hand, with crashes between any two writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any, Self

from pydantic import BaseModel

from sync_assets.batches import Batch, Partition
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.documents import Document, Part, Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.hashing import digest, text_hash
from sync_assets.ledger.bodies import write_bodies
from sync_assets.services import Services
from sync_assets.sources import Hidden, LiveId
from sync_assets.stages import Context, Report, Stream
from sync_assets.stages.chunks import make_chunks
from sync_assets.stages.documents import make_documents
from sync_assets.stages.embeddings import make_embeddings
from sync_assets.stages.raw import RawOptions, extract_raw
from sync_assets.stages.store import apply_to_store

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Ticket:
    """What upstream holds of one record.

    Attributes:
        unread: a field that the listing's cheap version knows and no document shows.
    """

    modified_at: datetime
    texts: tuple[str, ...]
    unread: int = 0
    status: str = "open"
    private: bool = False
    deleted: bool = False
    listed_as_deleted: bool = True
    malformed: bool = False


@dataclass
class Upstream:
    """One tenant's account. Time moves one minute with every look at the clock.

    Attributes:
        tells_versions: its listing has a cheap version beside the modification time.
        hidden: how the ids begin that it does not show us now.
    """

    now: datetime = START
    tells_versions: bool = False
    tickets: dict[str, Ticket] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set[str])
    broken: bool = False
    lists_nothing: bool = False

    def tick(self, step: timedelta = timedelta(minutes=1)) -> datetime:
        self.now += step
        return self.now

    def live(self) -> dict[str, Ticket]:
        return {record_id: ticket for record_id, ticket in self.tickets.items() if not ticket.deleted}


class UpstreamSource:
    """The `Source` protocol over an `Upstream`."""

    def __init__(self, tenant: str, upstream: Upstream) -> None:
        self._tenant = tenant
        self._upstream = upstream

    def check(self) -> str:
        return "fine"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        times = [ticket.modified_at for ticket in self._upstream.tickets.values()]
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        return str(self.span(stream))

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        self._refuse()
        in_window = sorted(
            (ticket.modified_at, record_id)
            for record_id, ticket in self._upstream.tickets.items()
            if since <= ticket.modified_at < until
        )
        for _, record_id in in_window:
            ticket = self._upstream.tickets[record_id]
            if not ticket.deleted or ticket.listed_as_deleted:
                yield self._record(record_id)

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        self._refuse()
        if self._upstream.lists_nothing:
            return
        yield from (Hidden(prefix=prefix, reason="we were put out") for prefix in sorted(self._upstream.hidden))
        for record_id, ticket in self._upstream.live().items():
            if not record_id.startswith(tuple(self._upstream.hidden)):
                yield LiveId(
                    record_id=record_id, modified_at=ticket.modified_at, cheap_version=self._cheap_version(ticket)
                )

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        self._refuse()
        for record_id in record_ids:
            yield self._record(record_id)

    def to_document(self, stream: str, record: Record) -> Document:
        payload = record.payload
        parts = [
            Part(path=f"part-{number}", role="comment", text=text, visibility=Visibility.PUBLIC)
            for number, text in enumerate(payload["texts"])
        ]
        visibility = Visibility.INTERNAL if payload["private"] else Visibility.PUBLIC
        if "poison" in payload["texts"]:
            raise ValueError("poison")
        return Document(
            tenant=self._tenant,
            source="freshdesk",
            stream=stream,
            record_id=record.record_id,
            title=f"Ticket {record.record_id}",
            parts=[part.model_copy(update={"visibility": visibility}) for part in parts],
            metadata={"status": payload["status"]},
            visibility=visibility,
        )

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    def _record(self, record_id: str) -> Record:
        observed_at = self._upstream.tick()
        ticket = self._upstream.tickets.get(record_id)
        if ticket is None or ticket.deleted:
            modified_at = ticket.modified_at if ticket else None
            return Record(record_id=record_id, event="deleted", modified_at=modified_at, observed_at=observed_at)
        if ticket.malformed:
            return Record(
                record_id=record_id,
                event="malformed",
                modified_at=ticket.modified_at,
                observed_at=observed_at,
                payload=["?"],
                problem="not an object",
            )
        payload = {"texts": list(ticket.texts), "status": ticket.status, "private": ticket.private}
        return Record(
            record_id=record_id,
            modified_at=ticket.modified_at,
            cheap_version=self._cheap_version(ticket),
            observed_at=observed_at,
            payload=payload,
        )

    def _cheap_version(self, ticket: Ticket) -> str:
        return (
            digest([ticket.texts, ticket.status, ticket.private, ticket.unread])
            if self._upstream.tells_versions
            else ""
        )

    def _refuse(self) -> None:
        if self._upstream.broken:
            raise SourceError("Upstream is down.", "Wait.")


class AccountWithoutSettings(BaseModel):
    """What stands in the tenants file of an account that needs nothing."""


class UpstreamTenants:
    """Stands for `Tenants`: every tenant has an account in its own upstream."""

    def __init__(self, upstreams: dict[str, Upstream]) -> None:
        self._upstreams = upstreams

    def open(self, source: str, tenant: str) -> UpstreamSource:
        return UpstreamSource(tenant, self._upstreams[tenant])

    def account(self, source: str, tenant: str) -> BaseModel:
        return AccountWithoutSettings()

    def names(self, source: str | None = None) -> list[str]:
        return sorted(self._upstreams)


class Crash(BaseException):
    """The process dies here."""


class Fuse:
    """Counts writes, and crashes before the chosen one."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            raise Crash
        self.left -= 1


class Fused:
    """Any part of `Services`, whose named methods burn the fuse before they do their work."""

    def __init__(self, inner: Any, fuse: Fuse, writes: Sequence[str]) -> None:
        self._inner = inner
        self._fuse = fuse
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self._writes:
            return value

        def write(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            return value(*args, **kwargs)

        return write


LEDGER_WRITES = (
    "record_documents",
    "register_collection",
    "begin_apply",
    "finish_apply",
    "put_in_quarantine",
    "release",
    "record_windows",
    "advance_watermark",
)
STORE_WRITES = ("ensure_collection", "upsert", "update_payloads", "delete", "delete_others", "finish_load")


def install(services: Services, upstreams: dict[str, Upstream], stores: dict[str, Any]) -> Fuse:
    """Put the simulated upstream and fused parts into `services`."""
    fuse = Fuse()
    parts = {
        "tenants": UpstreamTenants(upstreams),
        "ledger": Fused(services.ledger, fuse, LEDGER_WRITES),
        "storage": Fused(services.storage, fuse, ("put",)),
        "cache": Fused(services.cache, fuse, ("put",)),
        "_stores": {name: Fused(store, fuse, STORE_WRITES) for name, store in stores.items()},
    }
    services.__dict__.update(parts)
    return fuse


def window(tenant: str, number: int) -> Partition:
    start = START + number * DAY
    return Partition(tenant, f"{start:%Y-%m-%d}", start, start + DAY)


@dataclass
class Chain:
    """The five stages of one stream, run by hand as Dagster would run them."""

    services: Services
    stream: Stream
    clock: Callable[[], datetime]

    def sync(self, partitions: Sequence[Partition], sweep: bool = False, limit: int | None = None) -> dict[str, Report]:
        """From upstream into every store; reports by stage."""
        context = self.context()
        raw, report = extract_raw(context, partitions, RawOptions(sweep=sweep, limit=limit))
        return {"raw": report, **self.replay(self._store(raw))}

    def replay(self, raw: Batch) -> dict[str, Report]:
        """From a stored raw batch into every store."""
        context = self.context()
        documents, first = make_documents(context, raw)
        documents = self._store(documents)
        write_bodies(self.services.ledger, documents)
        chunks, second = make_chunks(context, documents)
        embeddings, third = make_embeddings(context, self._store(chunks))
        embeddings = self._store(embeddings)
        reports = {report.stage: report for report in (first, second, third)}
        for store in self.stream.stores:
            reports[store] = apply_to_store(context, store, embeddings)
        return reports

    def stored_raw(self, partitions: Sequence[Partition], folder: TemporaryDirectory[str]) -> Batch | None:
        """The raw batch that storage holds for these partitions."""
        layout = self.stream.layout("raw")
        found = {
            partition: path
            for partition in partitions
            if (path := self.services.storage.get(layout.path(partition), _path(folder))) is not None
        }
        return Batch(found, layout) if found else None

    def expected(self, tenant: str, upstream: Upstream) -> dict[str, tuple[str, str]]:
        """Chunk id to (document id, content hash) of a rebuild from scratch from today's upstream."""
        source = UpstreamSource(tenant, upstream)
        embedder = self.services.embedder(self.stream.model)
        chunks: dict[str, tuple[str, str]] = {}
        for record_id, ticket in upstream.live().items():
            if ticket.malformed or "poison" in ticket.texts:
                continue
            payload = {"texts": list(ticket.texts), "status": ticket.status, "private": ticket.private}
            record = Record(
                record_id=record_id, modified_at=ticket.modified_at, observed_at=upstream.now, payload=payload
            )
            document = source.to_document(self.stream.name, record)
            for chunk in chunk_document(
                document, embedder.tokenizer, ChunkLimits(max_tokens=self.stream.chunk_tokens or 64)
            ):
                key = chunk_id(document.document_id, chunk.path)
                chunks[key] = (document.document_id, text_hash(chunk.text))
        return chunks

    def stored(self, store: str, tenant: str) -> dict[str, tuple[str, str]]:
        """What a store lists of a tenant, in the form of `expected`."""
        registered = self.services.ledger.active_collection(store, self.stream.collection)
        if registered is None:
            return {}
        scan = self.services.store(store).scan(registered.collection, tenant)
        return {chunk.chunk_id: (chunk.document_id, chunk.content_hash) for chunk in scan}

    def context(self) -> Context:
        return Context(self.services, self.stream, clock=self.clock)

    def _store(self, batch: Batch) -> Batch:
        for partition, path in batch.files.items():
            if partition not in batch.kept:
                self.services.storage.put(path, batch.layout.path(partition))
        batch.on_stored()
        return batch


def edited(ticket: Ticket, **changes: Any) -> Ticket:
    return replace(ticket, **changes)


def _path(folder: TemporaryDirectory[str]) -> Any:
    from pathlib import Path

    return Path(folder.name)
