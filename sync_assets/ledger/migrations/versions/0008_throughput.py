"""How fast each model embeds, for plans."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "throughput",
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of the model"),
        sa.Column("tokens", sa.Double(), nullable=False, comment="embedded in the last hour of work"),
        sa.Column("seconds", sa.Double(), nullable=False, comment="that they took"),
        sa.PrimaryKeyConstraint("fingerprint"),
        schema="sync_assets",
        comment="How fast each model was, on this installation",
    )


def downgrade() -> None:
    op.drop_table("throughput", schema="sync_assets")
