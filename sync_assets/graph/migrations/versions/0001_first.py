"""The first schema of the graph."""

import sqlalchemy as sa
from alembic import op

from sync_assets.graph.columns import data, key, moment, words

revision = "0001"
down_revision = None

_TABLES = (
    "graph_documents",
    "graph_texts",
    "graph_evidence",
    "graph_nodes",
    "graph_edges",
    "graph_names",
    "graph_merges",
    "graph_decisions",
    "graph_vectors",
    "graph_tenants",
    "graph_steps",
)


def upgrade() -> None:
    # MySQL keeps the tables of a migration that was broken off; without a version, nothing was ever written to them.
    for name in _TABLES:
        op.drop_table(name, if_exists=True)
    op.create_table(
        "graph_documents",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("document_key", key(32), nullable=False),
        sa.Column("document_id", words(), nullable=False),
        sa.Column("source", key(64), nullable=False),
        sa.Column("stream", key(64), nullable=False),
        sa.Column("modified_at", moment(), nullable=False),
        sa.Column("observed_at", moment(), nullable=False),
        sa.Column("floor", moment(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("applied_digest", key(32), nullable=False, comment="of all that its evidence was made of"),
        sa.Column("entity", words(), nullable=True, comment="what the document stands for; null for a tombstone"),
        sa.Column("scope", words(), nullable=False, comment="of its entity"),
        sa.Column("is_resolved", sa.Boolean(), nullable=False),
        sa.Column("visibility", key(64), nullable=False),
        sa.Column("principals", words(), nullable=False, comment="who may see it where it is restricted, sorted"),
        sa.PrimaryKeyConstraint("tenant", "document_key"),
        comment="Documents as the graph has them; a row with deleted is a tombstone",
    )
    op.create_table(
        "graph_texts",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("document_key", key(32), nullable=False),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="in the order people read them, from 0",
        ),
        sa.Column("place", words(), nullable=False),
        sa.Column("chunk_id", key(64), nullable=True),
        sa.Column("role", key(64), nullable=False),
        sa.Column("text", words(), nullable=False),
        sa.Column("visibility", key(64), nullable=False),
        sa.Column("principals", words(), nullable=False, comment="who may see it where it is restricted, sorted"),
        sa.PrimaryKeyConstraint("tenant", "document_key", "position"),
        comment="Texts of documents, which later names are searched in",
    )
    op.create_table(
        "graph_evidence",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("document_key", key(32), nullable=False),
        sa.Column("evidence_id", key(32), nullable=False),
        sa.Column("document_id", words(), nullable=False),
        sa.Column("place", words(), nullable=False, comment="empty for the record's fields"),
        sa.Column("chunk_id", key(64), nullable=True),
        sa.Column("span_start", sa.Integer(), nullable=True, comment="first character in the text at that place"),
        sa.Column("span_end", sa.Integer(), nullable=True, comment="character after the last"),
        sa.Column("extractor", key(200), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("source_id", key(200), nullable=False, comment="where the edge begins, or the node itself"),
        sa.Column("edge", key(64), nullable=True, comment="null where the document stands for the node"),
        sa.Column("target_id", key(200), nullable=True),
        sa.Column("source_entity", words(), nullable=True, comment="what it says of the source; null for nothing"),
        sa.Column("target_entity", words(), nullable=True, comment="what it says of the target; null for nothing"),
        sa.Column("visibility", key(64), nullable=False),
        sa.Column("principals", words(), nullable=False, comment="who may see it where it is restricted, sorted"),
        sa.Column(
            "told_at",
            sa.BigInteger(),
            nullable=True,
            comment="when a record last changed that says something, in microseconds since 1970",
        ),
        sa.PrimaryKeyConstraint("tenant", "document_key", "evidence_id"),
        comment="Why nodes and edges are there",
    )
    op.create_index("graph_evidence_source", "graph_evidence", ["source_id", "tenant"])
    op.create_index("graph_evidence_target", "graph_evidence", ["target_id", "tenant"])
    op.create_table(
        "graph_nodes",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("node_id", key(200), nullable=False),
        sa.Column("kind", key(64), nullable=False),
        sa.Column("entity", words(), nullable=True, comment="what is told of it; null for nothing"),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False, comment="that have evidence of it"),
        sa.Column("declared_by", words(), nullable=True, comment="the document that stands for it"),
        sa.PrimaryKeyConstraint("tenant", "node_id"),
        comment="What the evidence amounts to, by node",
    )
    op.create_table(
        "graph_edges",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("source_id", key(200), nullable=False),
        sa.Column("kind", key(64), nullable=False),
        sa.Column("target_id", key(200), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False, comment="that have evidence of it"),
        sa.PrimaryKeyConstraint("tenant", "source_id", "kind", "target_id"),
        comment="What the evidence amounts to, by edge",
    )
    op.create_table(
        "graph_names",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("name_key", key(32), nullable=False, comment="hash of scope and phrase"),
        sa.Column("node_id", key(200), nullable=False),
        sa.Column("phrase", words(), nullable=False),
        sa.Column("scope", words(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False, comment="false where the node is no longer called so"),
        sa.Column("pending", sa.Boolean(), nullable=False, comment="texts were not yet searched again for it"),
        sa.PrimaryKeyConstraint("tenant", "name_key", "node_id"),
        comment="What texts may call nodes",
    )
    op.create_index("graph_names_node", "graph_names", ["node_id", "tenant"])
    op.create_table(
        "graph_merges",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("node_id", key(200), nullable=False),
        sa.Column("canonical_id", key(200), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reason", words(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "node_id"),
        comment="Nodes that are the same as another one",
    )
    op.create_table(
        "graph_decisions",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("first_id", key(200), nullable=False),
        sa.Column("second_id", key(200), nullable=False),
        sa.Column("decision", key(64), nullable=False, comment="same or different"),
        sa.Column("note", words(), nullable=False),
        sa.Column("decided_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "first_id", "second_id"),
        comment="What people decided of two nodes",
    )
    op.create_table(
        "graph_vectors",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("space", key(200), nullable=False, comment="the rule and the model that vectors are made by"),
        sa.Column("document_key", key(32), nullable=False),
        sa.Column("document_id", words(), nullable=False),
        sa.Column("node_id", key(200), nullable=False),
        sa.Column(
            "content_digest",
            key(32),
            nullable=False,
            comment="of what the vector was made of; empty where something was missing",
        ),
        sa.Column("vector", data(), nullable=False, comment="float32, little endian"),
        sa.Column("neighbours", words(), nullable=False, comment="node ids with their similarity"),
        sa.PrimaryKeyConstraint("tenant", "space", "document_key"),
        comment="Where the similarity of documents stands",
    )
    op.create_table(
        "graph_tenants",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column(
            "changes", sa.BigInteger(), nullable=False, comment="how often anything in the tenant's graph changed"
        ),
        sa.Column(
            "extractor", words(), nullable=True, comment="what searched all texts; empty for several, null for none yet"
        ),
        sa.PrimaryKeyConstraint("tenant"),
        comment="Tenants that the graph has anything of",
    )
    op.create_table(
        "graph_steps",
        sa.Column("tenant", key(64), nullable=False),
        sa.Column("step", key(64), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False, comment="of the tenant when the step was last done"),
        sa.Column("rule", words(), nullable=False, comment="what its result follows from beside the graph"),
        sa.Column(
            "tries",
            sa.BigInteger(),
            nullable=False,
            comment="how often it lacked something; 0 for complete",
        ),
        sa.PrimaryKeyConstraint("tenant", "step"),
        comment="How far what is made of whole graphs has come",
    )


def downgrade() -> None:
    for name in _TABLES:
        op.drop_table(name)
