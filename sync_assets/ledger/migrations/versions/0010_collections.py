"""What a collection's chunks may be, and since when another one stands in its place."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column(
        "collections",
        sa.Column("limits", JSONB(), comment="how long its chunks may be; null where it was not kept yet"),
        schema="sync_assets",
    )
    op.add_column(
        "collections",
        sa.Column("retired_at", sa.DateTime(timezone=True), comment="when another one took its place"),
        schema="sync_assets",
    )


def downgrade() -> None:
    op.drop_column("collections", "retired_at", schema="sync_assets")
    op.drop_column("collections", "limits", schema="sync_assets")
