"""The contract between sources and the rest: records as they come, documents as every later stage sees them.

What belongs here: the platform-neutral form of a record, its identity and its version. What does not: how one system's
payload becomes a document (`sources/`), how a document becomes chunks (`chunking/`).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_assets.hashing import digest
from sync_assets.relations import Entity, Relation

TIMESTAMP = pa.timestamp("us", tz="UTC")

Event = Literal["live", "deleted", "malformed"]


class Visibility(StrEnum):
    """Who may find a text. Unknown counts as the narrowest."""

    PUBLIC = "public"
    INTERNAL = "internal"
    RESTRICTED = "restricted"


class Record(BaseModel):
    """One upstream record as it came, with the moment it was seen.

    Attributes:
        record_id: the source's own id, with its kind where one platform numbers several kinds separately
            (`77` for a ticket, `article-77` for an article).
        event: `live`, `deleted` (gone upstream, payload may be empty) or `malformed` (kept as it came, with `problem`).
        modified_at: upstream modification time; None where the payload has none that can be read.
        observed_at: when the response that carried this record was received.
        cheap_version: what a sweep's listing carries for this record beside the modification time: a digest of all that
            may change without moving that time; empty where the time says it all.
        authoritative: seen by a sweep, which compares upstream with the ledger: stands whatever its modification time.
        payload: the JSON value as received; for a record made of several responses an object with one key for each.
        problem: why a malformed record could not be read.
    """

    model_config = ConfigDict(frozen=True)

    record_id: str = Field(min_length=1)
    event: Event = "live"
    modified_at: AwareDatetime | None = None
    cheap_version: str = ""
    observed_at: AwareDatetime
    authoritative: bool = False
    payload: Any = None
    problem: str | None = None


class Part(BaseModel):
    """One piece of a document with its own author, time and visibility: the description, a reply, a private note.

    Attributes:
        path: steady name of the part within its document, from upstream ids (`description`, `conversation-42`).
        role: what the part is (`header`, `description`, `fields`, `comment`, `section`).
        text: Markdown, entities decoded, quoted mail and signatures already stripped.
        metadata: facts about the part that are stored beside its chunks and never embedded.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    role: str
    text: str
    visibility: Visibility = Visibility.INTERNAL
    principals: list[str] = Field(default_factory=list[str])
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])


class Attachment(BaseModel):
    """A file that belongs to a document, as its record names it.

    Attributes:
        locator: what its source needs to fetch it, and steady: ids, never a signed link.
        path: what the paths of its parts begin with (`attachment-77`).
        size: bytes, as upstream says; None where it does not.
    """

    model_config = ConfigDict(frozen=True)

    locator: str = Field(min_length=1)
    path: str
    name: str
    content_type: str = ""
    size: int | None = None
    visibility: Visibility = Visibility.INTERNAL
    principals: list[str] = Field(default_factory=list[str])


class Document(BaseModel):
    """The platform-neutral form of one record.

    `parts` hold all text that is embedded; `metadata` holds what is stored beside it (status, priority, tags, times,
    people). A change of metadata alone never changes `content_hash`, hence computes no embedding.

    `attachments` are files whose texts become parts where the stream reads them; they are not stored themselves.
    `entity` is what the record stands for in the knowledge graph, and `relations` are what its fields say of others;
    they are kept in the graph alone.
    """

    model_config = ConfigDict(frozen=True)

    tenant: str
    source: str
    stream: str
    record_id: str
    title: str
    url: str | None = None
    parts: list[Part] = Field(default_factory=list[Part])
    attachments: list[Attachment] = Field(default_factory=list[Attachment])
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    visibility: Visibility = Visibility.INTERNAL
    principals: list[str] = Field(default_factory=list[str])
    entity: Entity | None = None
    relations: list[Relation] = Field(default_factory=list[Relation])

    @property
    def document_id(self) -> str:
        return document_id(self.tenant, self.source, self.record_id)

    @property
    def content_hash(self) -> str:
        """Hash of the title and the texts of all parts with their places: what chunking reads."""
        return digest([self.title, [[part.path, part.role, part.text] for part in self.parts]])

    @property
    def metadata_hash(self) -> str:
        """Hash of everything else that is stored, of the document and of its parts."""
        return digest(
            [
                self.metadata,
                self.visibility,
                self.principals,
                self.url,
                [[part.path, part.visibility, part.principals, part.metadata] for part in self.parts],
                *([self.told.model_dump(mode="json")] if self.told else []),
            ]
        )

    @property
    def told(self) -> "Told | None":
        """What the record tells of the knowledge graph; None where it is nothing there."""
        if self.entity is None:
            return None
        return Told(
            entity=self.entity, relations=self.relations, visibility=self.visibility, principals=self.principals
        )


class Told(BaseModel):
    """What a record tells of the knowledge graph, and who may know.

    Attributes:
        entity: what the record is.
        relations: what its fields say of others.
    """

    model_config = ConfigDict(frozen=True)

    entity: Entity
    relations: list[Relation] = Field(default_factory=list[Relation])
    visibility: Visibility
    principals: list[str] = Field(default_factory=list[str])


def document_id(tenant: str, platform: str, record_id: str) -> str:
    """`{tenant}_{platform}_{record_id}`, parts escaped so that no two triples share an id.

    >>> document_id("acme", "freshdesk", "article-77")
    'acme_freshdesk_article-77'
    >>> document_id("acme_eu", "freshdesk", "1/2")
    'acme%5Feu_freshdesk_1%2F2'
    """
    return f"{_escaped_name(tenant)}_{_escaped_name(platform)}_{_escaped(record_id)}"


def _escaped(part: str) -> str:
    return quote(part, safe="").replace("_", "%5F")


_escaped_name = lru_cache(_escaped)  # few, and asked for with every record


VERSION_FIELDS = [
    pa.field("modified_at", TIMESTAMP, metadata={"description": "Upstream modification time, UTC"}),
    pa.field("observed_at", TIMESTAMP, metadata={"description": "When the record was received, UTC"}),
    pa.field(
        "authoritative", pa.bool_(), metadata={"description": "Seen by a sweep: stands whatever its modification time"}
    ),
]

RAW_SCHEMA = pa.schema(
    [
        pa.field(
            "partition", pa.string(), metadata={"description": "Window and tenant, as Dagster names the partition"}
        ),
        pa.field("record_id", pa.string(), metadata={"description": "The source's own id"}),
        pa.field("event", pa.string(), metadata={"description": "live, deleted or malformed"}),
        *VERSION_FIELDS,
        pa.field("cheap_version", pa.string(), metadata={"description": "What a sweep compares beside the time"}),
        pa.field("payload", pa.string(), metadata={"description": "The record as JSON, exactly as received"}),
        pa.field("problem", pa.string(), metadata={"description": "Why a malformed record could not be read"}),
    ]
)

IDENTITY_FIELDS = [
    pa.field("partition", pa.string(), metadata={"description": "Window and tenant, as Dagster names the partition"}),
    pa.field("tenant", pa.string(), metadata={"description": "Whose record this is"}),
    pa.field("source", pa.string(), metadata={"description": "Upstream system"}),
    pa.field("stream", pa.string(), metadata={"description": "Kind of record in the source"}),
    pa.field("document_id", pa.string(), metadata={"description": "tenant_platform_id, unique over all sources"}),
    pa.field("record_id", pa.string(), metadata={"description": "The source's own id"}),
    pa.field("deleted", pa.bool_(), metadata={"description": "True for a tombstone: gone upstream"}),
    *VERSION_FIELDS,
]

GRAPH_FIELD = pa.field(
    "graph", pa.string(), metadata={"description": "What the record tells of the knowledge graph, as JSON"}
)

PART_TYPE = pa.struct(
    [
        pa.field("path", pa.string()),
        pa.field("role", pa.string()),
        pa.field("text", pa.string()),
        pa.field("visibility", pa.string()),
        pa.field("principals", pa.list_(pa.string())),
        pa.field("metadata", pa.string()),
    ]
)

DOCUMENT_SCHEMA = pa.schema(
    [
        *IDENTITY_FIELDS,
        pa.field("title", pa.string(), metadata={"description": "Subject or title, plain text"}),
        pa.field("url", pa.string(), metadata={"description": "Where a person can open it; never a signed link"}),
        pa.field("visibility", pa.string(), metadata={"description": "public, internal or restricted"}),
        pa.field("principals", pa.list_(pa.string()), metadata={"description": "Who may see it when restricted"}),
        pa.field("parts", pa.list_(PART_TYPE), metadata={"description": "Texts with path, role and visibility"}),
        pa.field("metadata", pa.string(), metadata={"description": "Facts stored beside the text, as JSON"}),
        GRAPH_FIELD,
        pa.field("content_hash", pa.string(), metadata={"description": "Hash of title and texts"}),
        pa.field("metadata_hash", pa.string(), metadata={"description": "Hash of everything else that is stored"}),
    ]
)


class Version(BaseModel):
    """What orders two observations of one document.

    Attributes:
        modified_at: upstream modification time.
        observed_at: when this was received.
        authoritative: seen by a sweep.
    """

    model_config = ConfigDict(frozen=True)

    modified_at: datetime
    observed_at: datetime
    authoritative: bool = False


class Standing(BaseModel):
    """The version of a document that stands in the ledger.

    Attributes:
        floor: observations made before this moment are history, whatever their modification time; set by a tombstone
            and by a sweep that found upstream older than the ledger.
    """

    model_config = ConfigDict(frozen=True)

    modified_at: datetime
    observed_at: datetime
    floor: datetime
    deleted: bool


def is_stale(version: Version, standing: Standing) -> bool:
    """True where `version` is older than what stands, so that applying it would turn the clock back.

    The later (modification, observation) wins; after a tombstone, and for a sweep, the later observation wins.
    """
    if version.observed_at < standing.floor:
        return True
    if version.authoritative or standing.deleted:
        return version.observed_at < standing.observed_at
    return (version.modified_at, version.observed_at) < (standing.modified_at, standing.observed_at)


def next_floor(version: Version, deleted: bool, standing: Standing | None) -> datetime:
    """The floor after `version` was accepted over `standing`."""
    if deleted or (standing is not None and version.modified_at < standing.modified_at):
        return version.observed_at
    return standing.floor if standing is not None else datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def public_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without empty values, so that an absent and a null field are one thing."""
    return {key: value for key, value in metadata.items() if value not in (None, "", [], {})}
