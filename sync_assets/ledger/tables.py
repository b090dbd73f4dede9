"""The ledger's tables: what is true now. Their history is in `migrations/`.

Names of columns that several tables share mean the same everywhere: `tenant`, `source`, `stream`, `document_id`, and
the version columns `modified_at`, `observed_at`, `floor`, `deleted` of `documents.Standing`.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "sync_assets"
metadata = MetaData(schema=SCHEMA)


def _stream_key() -> list[Column]:
    return [
        Column("tenant", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("stream", Text, primary_key=True),
    ]


def _version() -> list[Column]:
    return [
        Column("modified_at", DateTime(timezone=True), nullable=False),
        Column("observed_at", DateTime(timezone=True), nullable=False),
        Column("floor", DateTime(timezone=True), nullable=False),
        Column("deleted", Boolean, nullable=False),
    ]


documents = Table(
    "documents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    *_version(),
    Column(
        "cheap_version",
        Text,
        nullable=False,
        server_default="",
        comment="what a listing tells of the record beside its time",
    ),
    Column("content_hash", Text, comment="null for a tombstone"),
    Column("metadata_hash", Text, comment="null for a tombstone"),
    UniqueConstraint("tenant", "source", "stream", "record_id"),
    comment="Latest version of each document; a row with deleted is a tombstone",
)

collections = Table(
    "collections",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("store", Text, nullable=False),
    Column("name", Text, nullable=False, comment="what streams call it"),
    Column("physical_name", Text, nullable=False, comment="what the store calls it"),
    Column("fingerprint", Text, nullable=False),
    Column("description", Text, nullable=False, comment="the fingerprint in words"),
    Column("dimension", Integer, nullable=False),
    Column("model", Text, nullable=False, comment="the setting that opens the model"),
    Column("model_fingerprint", Text, nullable=False),
    Column("active", Boolean, nullable=False, comment="the one that searches and writes use"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("limits", JSONB(none_as_null=True), comment="how long its chunks may be; null where it was not kept yet"),
    Column("retired_at", DateTime(timezone=True), comment="when another one took its place"),
    UniqueConstraint("store", "physical_name"),
    comment="Collection registry: the alias of every collection in every store",
)
Index(
    "one_active_collection",
    collections.c.store,
    collections.c.name,
    unique=True,
    postgresql_where=collections.c.active,
)

collection_documents = Table(
    "collection_documents",
    metadata,
    Column("collection_id", ForeignKey(collections.c.id, ondelete="CASCADE"), primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("stream", Text, nullable=False),
    *_version(),
    Column("dirty", Boolean, nullable=False, comment="a write was begun and not yet confirmed"),
    Column("chunk_ids", ARRAY(Text), nullable=False),
    Column("content_hashes", ARRAY(Text), nullable=False, comment="one for each chunk id"),
    Column("payload_hashes", ARRAY(Text), nullable=False, comment="one for each chunk id"),
    comment="What each collection holds of each document",
)
Index(
    "collection_documents_stream",
    collection_documents.c.tenant,
    collection_documents.c.source,
    collection_documents.c.stream,
)

quarantine = Table(
    "quarantine",
    metadata,
    *_stream_key(),
    Column("stage", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("payload_ref", Text, nullable=False, comment="key of the stored file that holds the record"),
    Column("window", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_seen", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Records that could not be processed",
)

windows = Table(
    "windows",
    metadata,
    *_stream_key(),
    Column("stage", Text, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("fetched_until", DateTime(timezone=True), comment="upstream's changes are in it up to here"),
    Column("complete", Boolean, nullable=False, comment="false where a limit cut it short"),
    Column("origin", Text, comment="hash of the file and of all that it follows from; null where unknown"),
    comment="Digest of each partition of each stage, describing the stored file",
)

watermarks = Table(
    "watermarks",
    metadata,
    *_stream_key(),
    Column("store", Text, primary_key=True),
    Column("synced_until", DateTime(timezone=True), nullable=False),
    Column("last_success", DateTime(timezone=True), nullable=False),
    comment="Up to where each store follows each stream without a gap",
)

embedding_cache = Table(
    "embedding_cache",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False, comment="float32, little endian"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Every vector ever paid for, by the text it was made of",
)

throughput = Table(
    "throughput",
    metadata,
    Column("fingerprint", Text, primary_key=True, comment="of the model"),
    Column("tokens", Double, nullable=False, comment="embedded in the last hour of work"),
    Column("seconds", Double, nullable=False, comment="that they took"),
    comment="How fast each model was, on this installation",
)

model_checks = Table(
    "model_checks",
    metadata,
    Column("fingerprint", Text, primary_key=True, comment="of the model"),
    Column("description", Text, nullable=False, comment="the fingerprint in words"),
    Column("passed", Boolean, nullable=False),
    Column("texts", Integer, nullable=False),
    Column("questions", Integer, nullable=False),
    Column("overlap", Double, nullable=False, comment="share of the ten nearest that float32 finds too"),
    Column("mean_cosine", Double, nullable=False),
    Column("min_cosine", Double, nullable=False),
    Column("speed", Double, nullable=False, comment="texts in a second"),
    Column("exact_speed", Double, nullable=False, comment="in float32"),
    Column("checked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="How models in another precision compare with float32, on this installation's texts",
)

enrichments = Table(
    "enrichments",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True, comment="of all that the extractor was given"),
    Column("extractor", Text, primary_key=True, comment="`adopted` counts for every extractor"),
    Column("keywords", ARRAY(Text), nullable=False),
    Column("combined_text", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Keywords that were ever derived, by the text they were derived from",
)

summaries = Table(
    "summaries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True, comment="of all that the summariser was given"),
    Column("summariser", Text, primary_key=True, comment="with all that its summaries depend on beside the text"),
    Column("text", Text, nullable=False, comment="empty where there is nothing to tell"),
    Column("text_hash", Text, nullable=False, comment="as of a chunk that holds it"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Summaries that were ever made, by the text they were made of",
)

files = Table(
    "files",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("locator", Text, primary_key=True, comment="by which the source fetches the file"),
    Column("content_hash", Text, nullable=False, comment="of its bytes"),
    Column("fetched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Files that were fetched, by what they hold",
)

file_names = Table(
    "file_names",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("locator", Text, primary_key=True),
    Index("file_names_by_file", "tenant", "source", "locator"),
    comment="Which files the records of an account name",
)

file_texts = Table(
    "file_texts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True, comment="of the file's bytes"),
    Column("reader", Text, primary_key=True, comment="what read it; another reader reads it again"),
    Column("parts", JSONB, nullable=False),
    Column("notes", ARRAY(Text), nullable=False, comment="what was left out, and why"),
    Column("problem", Text, comment="why the file can't be read"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="What was read from files, once for their bytes",
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("document_key", Text, primary_key=True, comment="hash of the document id"),
    Column("forgotten_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Documents that are to stay away though upstream still has them",
)

document_bodies = Table(
    "document_bodies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("visibility", Text, nullable=False),
    Column("principals", ARRAY(Text), nullable=False),
    Column("parts", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("modified_at", DateTime(timezone=True), nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("metadata_hash", Text, nullable=False),
    comment="Documents in SQL, in hybrid mode",
)

record_fields = Table(
    "record_fields",
    metadata,
    *_stream_key(),
    Column("field", Text, primary_key=True),
    Column("usual", Boolean, nullable=False, comment="nearly all records have it"),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("gone_since", DateTime(timezone=True), comment="null where records have it"),
    comment="Which fields the records of each stream have",
)
