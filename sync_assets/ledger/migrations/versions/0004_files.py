"""Files that records name: what they hold, and what was read from them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False, comment="by which the source fetches the file"),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of its bytes"),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "locator"),
        schema="sync_assets",
        comment="Files that were fetched, by what they hold",
    )
    op.create_table(
        "file_texts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of the file's bytes"),
        sa.Column("reader", sa.Text(), nullable=False, comment="what read it; another reader reads it again"),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("notes", sa.ARRAY(sa.Text()), nullable=False, comment="what was left out, and why"),
        sa.Column("problem", sa.Text(), comment="why the file can't be read"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "content_hash", "reader"),
        schema="sync_assets",
        comment="What was read from files, once for their bytes",
    )


def downgrade() -> None:
    op.drop_table("file_texts", schema="sync_assets")
    op.drop_table("files", schema="sync_assets")
