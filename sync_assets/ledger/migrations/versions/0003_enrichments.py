"""Keywords by the text they were derived from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "enrichments",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of all that the extractor was given"),
        sa.Column("extractor", sa.Text(), nullable=False, comment="`adopted` counts for every extractor"),
        sa.Column("keywords", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("combined_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "content_hash", "extractor"),
        schema="sync_assets",
        comment="Keywords that were ever derived, by the text they were derived from",
    )


def downgrade() -> None:
    op.drop_table("enrichments", schema="sync_assets")
