"""Which fields the records of an account have."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "record_fields",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("usual", sa.Boolean(), nullable=False, comment="nearly all records have it"),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gone_since", sa.DateTime(timezone=True), comment="null where records have it"),
        sa.PrimaryKeyConstraint("tenant", "source", "stream", "field"),
        schema="sync_assets",
        comment="Which fields the records of each stream have",
    )


def downgrade() -> None:
    op.drop_table("record_fields", schema="sync_assets")
