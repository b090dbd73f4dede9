"""Documents put straight into stores and ledger, as a sync would leave them: a search test writes down its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sync_assets.chunks import chunk_id
from sync_assets.documents import Version, Visibility, document_id
from sync_assets.ledger import AppliedRow, NewCollection, StreamRef
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.vector_stores import Point

STORES = ("chroma", "pgvector", "qdrant")
NOW = datetime.now(UTC).replace(microsecond=0)


class Text(str):
    """A chunk's text with who may see it."""

    visibility = Visibility.PUBLIC
    principals: Sequence[str] = ()


def note(text: str) -> Text:
    """A text for people inside."""
    found = Text(text)
    found.visibility = Visibility.INTERNAL
    return found


def secret(text: str, *principals: str) -> Text:
    """A text for these principals only."""
    found = Text(text)
    found.visibility, found.principals = Visibility.RESTRICTED, principals
    return found


class Corpus:
    """What a test has written down, for a tenant of its own. Chunks of a document are `p0`, `p1` and so on."""

    def __init__(self, services: Services, tenant: str) -> None:
        self.services = services
        self.tenant = tenant

    def add(
        self,
        record_id: str,
        *texts: str,
        tenant: str | None = None,
        source: str = "freshdesk",
        stream: str = "tickets",
        stores: Sequence[str] = STORES,
        collection: str = "tickets",
        model: str = "hash-64",
        days_old: float = 1,
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Put a document into a collection of each store; returns its id."""
        tenant = tenant or self.tenant
        identity = document_id(tenant, source, record_id)
        changed = NOW - timedelta(days=days_old)
        embedder = self.services.embedder(model)
        fingerprint = embedder.fingerprint
        points = [
            Point(
                chunk_id=chunk_id(identity, f"p{place}"),
                document_id=identity,
                source=source,
                stream=stream,
                record_id=record_id,
                path=f"p{place}",
                role="comment",
                text=str(text),
                title=title,
                url=f"https://desk.test/{record_id}",
                visibility=text.visibility if isinstance(text, Text) else Visibility.PUBLIC,
                principals=list(text.principals) if isinstance(text, Text) else [],
                metadata={"updated_at": changed.isoformat(), **(metadata or {})},
                content_hash=f"hash of {text}",
                payload_hash="p",
                vector=vector,
            )
            for place, (text, vector) in enumerate(zip(texts, embedder.embed(texts), strict=True))
        ]
        version = Version(modified_at=changed, observed_at=NOW)
        hashes = {point.chunk_id: (point.content_hash, point.payload_hash) for point in points}
        row = AppliedRow(identity, version, datetime(1970, 1, 1, tzinfo=UTC), False, hashes)
        for store in stores:
            registered = self.services.ledger.register_collection(
                NewCollection(
                    store,
                    collection,
                    fingerprint.key,
                    model,
                    fingerprint.dimension,
                    model,
                    fingerprint.key,
                    {},
                )
            )
            opened = self.services.store(store)
            opened.ensure_collection(registered.collection)
            opened.upsert(registered.collection, tenant, points)
            self.services.ledger.finish_apply(registered.id, StreamRef(tenant, source, stream), [row])
        return identity


@contextmanager
def open_installation(home: Path, url: str, **settings: Any) -> Iterator[Services]:
    """An installation of its own on an empty database, with nothing in it."""
    services = Services(Settings(home=home, database_url=url, model="hash-64", **settings))  # pyright: ignore[reportArgumentType] a string becomes a secret
    try:
        yield services
    finally:
        services.close()
