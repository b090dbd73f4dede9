"""Summaries by the text they were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of all that the summariser was given"),
        sa.Column(
            "summariser", sa.Text(), nullable=False, comment="with all that its summaries depend on beside the text"
        ),
        sa.Column("text", sa.Text(), nullable=False, comment="empty where there is nothing to tell"),
        sa.Column("text_hash", sa.Text(), nullable=False, comment="as of a chunk that holds it"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "content_hash", "summariser"),
        schema="sync_assets",
        comment="Summaries that were ever made, by the text they were made of",
    )


def downgrade() -> None:
    op.drop_table("summaries", schema="sync_assets")
