"""Which records name a file, so that its text goes with the last of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "file_names",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "record_id", "locator"),
        schema="sync_assets",
        comment="Which files the records of an account name",
    )
    op.create_index("file_names_by_file", "file_names", ["tenant", "source", "locator"], schema="sync_assets")
    # Nobody knows who named these. They are fetched again where somebody does.
    op.execute("DELETE FROM sync_assets.files")
    op.execute("DELETE FROM sync_assets.file_texts")


def downgrade() -> None:
    op.drop_table("file_names", schema="sync_assets")
