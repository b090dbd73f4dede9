"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="what streams call it"),
        sa.Column("physical_name", sa.Text(), nullable=False, comment="what the store calls it"),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False, comment="the fingerprint in words"),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False, comment="the setting that opens the model"),
        sa.Column("model_fingerprint", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False, comment="the one that searches and writes use"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("store", "physical_name"),
        schema="sync_assets",
        comment="Collection registry: the alias of every collection in every store",
    )
    op.create_index(
        "one_active_collection",
        "collections",
        ["store", "name"],
        unique=True,
        schema="sync_assets",
        postgresql_where="active",
    )
    op.create_table(
        "document_bodies",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("principals", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("parts", postgresql.JSONB(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("metadata_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id"),
        schema="sync_assets",
        comment="Documents in SQL, in hybrid mode",
    )
    op.create_table(
        "documents",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("floor", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True, comment="null for a tombstone"),
        sa.Column("metadata_hash", sa.Text(), nullable=True, comment="null for a tombstone"),
        sa.PrimaryKeyConstraint("tenant", "document_id"),
        sa.UniqueConstraint("tenant", "source", "stream", "record_id"),
        schema="sync_assets",
        comment="Latest version of each document; a row with deleted is a tombstone",
    )
    op.create_table(
        "embedding_cache",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False, comment="float32, little endian"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "fingerprint", "content_hash"),
        schema="sync_assets",
        comment="Every vector ever paid for, by the text it was made of",
    )
    op.create_table(
        "quarantine",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload_ref", sa.Text(), nullable=False, comment="key of the stored file that holds the record"),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "stream", "stage", "record_id"),
        schema="sync_assets",
        comment="Records that could not be processed",
    )
    op.create_table(
        "watermarks",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("synced_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_success", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "stream", "store"),
        schema="sync_assets",
        comment="Up to where each store follows each stream without a gap",
    )
    op.create_table(
        "windows",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column(
            "fetched_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="upstream's changes are in it up to here",
        ),
        sa.Column("complete", sa.Boolean(), nullable=False, comment="false where a limit cut it short"),
        sa.PrimaryKeyConstraint("tenant", "source", "stream", "stage", "window"),
        schema="sync_assets",
        comment="Digest of each partition of each stage, describing the stored file",
    )
    op.create_table(
        "collection_documents",
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("floor", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False, comment="a write was begun and not yet confirmed"),
        sa.Column("chunk_ids", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("content_hashes", sa.ARRAY(sa.Text()), nullable=False, comment="one for each chunk id"),
        sa.Column("payload_hashes", sa.ARRAY(sa.Text()), nullable=False, comment="one for each chunk id"),
        sa.ForeignKeyConstraint(["collection_id"], ["sync_assets.collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection_id", "tenant", "document_id"),
        schema="sync_assets",
        comment="What each collection holds of each document",
    )
    op.create_index(
        "collection_documents_stream",
        "collection_documents",
        ["tenant", "source", "stream"],
        unique=False,
        schema="sync_assets",
    )


def downgrade() -> None:
    op.drop_index("collection_documents_stream", table_name="collection_documents", schema="sync_assets")
    op.drop_table("collection_documents", schema="sync_assets")
    op.drop_table("windows", schema="sync_assets")
    op.drop_table("watermarks", schema="sync_assets")
    op.drop_table("quarantine", schema="sync_assets")
    op.drop_table("embedding_cache", schema="sync_assets")
    op.drop_table("documents", schema="sync_assets")
    op.drop_table("document_bodies", schema="sync_assets")
    op.drop_index("one_active_collection", table_name="collections", schema="sync_assets", postgresql_where="active")
    op.drop_table("collections", schema="sync_assets")
