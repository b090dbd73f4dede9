"""What a sweep compares beside the modification time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "documents",
        sa.Column(
            "cheap_version",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="what a listing tells of the record beside its time",
        ),
        schema="sync_assets",
    )


def downgrade() -> None:
    op.drop_column("documents", "cheap_version", schema="sync_assets")
