"""Documents that are to stay away though upstream still has them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document_key", sa.Text(), nullable=False, comment="hash of the document id"),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("tenant", "document_key"),
        schema="sync_assets",
        comment="Documents that are to stay away though upstream still has them",
    )


def downgrade() -> None:
    op.drop_table("forgotten", schema="sync_assets")
