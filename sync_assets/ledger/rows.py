"""What the ledger says, as its methods take and return it."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from sync_assets.documents import Standing, Version
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
        origin: hash of its file and of all that this follows from, where the file may be kept (`stages/kept.py`).
    """

    digest: str
    rows: int
    fetched_until: datetime | None
    complete: bool
    origin: str | None = None


class StreamRef(NamedTuple):
    """One stream of one tenant: the scope of most questions."""

    tenant: str
    source: str
    stream: str
