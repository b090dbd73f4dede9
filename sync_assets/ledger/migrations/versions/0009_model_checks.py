"""Which models were found good enough in another precision than float32."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "model_checks",
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of the model"),
        sa.Column("description", sa.Text(), nullable=False, comment="the fingerprint in words"),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("texts", sa.Integer(), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Double(), nullable=False, comment="share of the ten nearest that float32 finds too"),
        sa.Column("mean_cosine", sa.Double(), nullable=False),
        sa.Column("min_cosine", sa.Double(), nullable=False),
        sa.Column("speed", sa.Double(), nullable=False, comment="texts in a second"),
        sa.Column("exact_speed", sa.Double(), nullable=False, comment="in float32"),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
        schema="sync_assets",
        comment="How models in another precision compare with float32, on this installation's texts",
    )


def downgrade() -> None:
    op.drop_table("model_checks", schema="sync_assets")
