"""What the stored file of a partition was made of, so that it is not made again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column(
        "windows",
        sa.Column("origin", sa.Text(), comment="hash of the file and of all that it follows from; null where unknown"),
        schema="sync_assets",
    )


def downgrade() -> None:
    op.drop_column("windows", "origin", schema="sync_assets")
