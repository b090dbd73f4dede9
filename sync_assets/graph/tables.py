"""The graph's tables. Their history is in `migrations/`.

Columns that several tables share mean the same everywhere: `tenant`; `document_key`, the hash of a document id, which
may be longer than an index takes; `node_id`; the version columns of `documents.Standing`. `principals`, `neighbours`
and what ends in `entity` hold JSON.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table

from sync_assets.graph.columns import data, key, moment, words

# Where the tables stand in PostgreSQL; in MySQL they stand in the URL's database.
SCHEMA = "sync_assets"
VERSIONS = "graph_alembic_version"
metadata = MetaData()

_HASH, _NODE, _WORD = 32, 200, 64


def _tenant() -> Column:
    return Column("tenant", key(_WORD), primary_key=True)


def _readers() -> list[Column]:
    return [
        Column("visibility", key(_WORD), nullable=False),
        Column("principals", words(), nullable=False, comment="who may see it where it is restricted, sorted"),
    ]


documents = Table(
    "graph_documents",
    metadata,
    _tenant(),
    Column("document_key", key(_HASH), primary_key=True),
    Column("document_id", words(), nullable=False),
    Column("source", key(_WORD), nullable=False),
    Column("stream", key(_WORD), nullable=False),
    Column("modified_at", moment(), nullable=False),
    Column("observed_at", moment(), nullable=False),
    Column("floor", moment(), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("applied_digest", key(_HASH), nullable=False, comment="of all that its evidence was made of"),
    Column("entity", words(), comment="what the document stands for; null for a tombstone"),
    Column("scope", words(), nullable=False, comment="of its entity"),
    Column("is_resolved", Boolean, nullable=False),
    *_readers(),
    comment="Documents as the graph has them; a row with deleted is a tombstone",
)

texts = Table(
    "graph_texts",
    metadata,
    _tenant(),
    Column("document_key", key(_HASH), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="in the order people read them, from 0"),
    Column("place", words(), nullable=False),
    Column("chunk_id", key(_WORD)),
    Column("role", key(_WORD), nullable=False),
    Column("text", words(), nullable=False),
    *_readers(),
    comment="Texts of documents, which later names are searched in",
)

evidence = Table(
    "graph_evidence",
    metadata,
    _tenant(),
    Column("document_key", key(_HASH), primary_key=True),
    Column("evidence_id", key(_HASH), primary_key=True),
    Column("document_id", words(), nullable=False),
    Column("place", words(), nullable=False, comment="empty for the record's fields"),
    Column("chunk_id", key(_WORD)),
    Column("span_start", Integer, comment="first character in the text at that place"),
    Column("span_end", Integer, comment="character after the last"),
    Column("extractor", key(_NODE), nullable=False),
    Column("probability", Double, nullable=False),
    Column("source_id", key(_NODE), nullable=False, comment="where the edge begins, or the node itself"),
    Column("edge", key(_WORD), comment="null where the document stands for the node"),
    Column("target_id", key(_NODE)),
    Column("source_entity", words(), comment="what it says of the source; null for nothing"),
    Column("target_entity", words(), comment="what it says of the target; null for nothing"),
    *_readers(),
    Column("told_at", BigInteger, comment="when a record last changed that says something, in microseconds since 1970"),
    # The tenant comes last: a planner that knows no statistics yet would read all of a tenant by any of them.
    Index("graph_evidence_source", "source_id", "tenant"),
    Index("graph_evidence_target", "target_id", "tenant"),
    comment="Why nodes and edges are there",
)

nodes = Table(
    "graph_nodes",
    metadata,
    _tenant(),
    Column("node_id", key(_NODE), primary_key=True),
    Column("kind", key(_WORD), nullable=False),
    Column("entity", words(), comment="what is told of it; null for nothing"),
    Column("confidence", Double, nullable=False),
    Column("documents", Integer, nullable=False, comment="that have evidence of it"),
    Column("declared_by", words(), comment="the document that stands for it"),
    comment="What the evidence amounts to, by node",
)

edges = Table(
    "graph_edges",
    metadata,
    _tenant(),
    Column("source_id", key(_NODE), primary_key=True),
    Column("kind", key(_WORD), primary_key=True),
    Column("target_id", key(_NODE), primary_key=True),
    Column("confidence", Double, nullable=False),
    Column("documents", Integer, nullable=False, comment="that have evidence of it"),
    comment="What the evidence amounts to, by edge",
)

names = Table(
    "graph_names",
    metadata,
    _tenant(),
    Column("name_key", key(_HASH), primary_key=True, comment="hash of scope and phrase"),
    Column("node_id", key(_NODE), primary_key=True),
    Column("phrase", words(), nullable=False),
    Column("scope", words(), nullable=False),
    Column("present", Boolean, nullable=False, comment="false where the node is no longer called so"),
    Column("pending", Boolean, nullable=False, comment="texts were not yet searched again for it"),
    Index("graph_names_node", "node_id", "tenant"),
    comment="What texts may call nodes",
)

merges = Table(
    "graph_merges",
    metadata,
    _tenant(),
    Column("node_id", key(_NODE), primary_key=True),
    Column("canonical_id", key(_NODE), nullable=False),
    Column("score", Double, nullable=False),
    Column("reason", words(), nullable=False),
    comment="Nodes that are the same as another one",
)

decisions = Table(
    "graph_decisions",
    metadata,
    _tenant(),
    Column("first_id", key(_NODE), primary_key=True),
    Column("second_id", key(_NODE), primary_key=True),
    Column("decision", key(_WORD), nullable=False, comment="same or different"),
    Column("note", words(), nullable=False),
    Column("decided_at", moment(), nullable=False),
    comment="What people decided of two nodes",
)

vectors = Table(
    "graph_vectors",
    metadata,
    _tenant(),
    Column("space", key(_NODE), primary_key=True, comment="the rule and the model that vectors are made by"),
    Column("document_key", key(_HASH), primary_key=True),
    Column("document_id", words(), nullable=False),
    Column("node_id", key(_NODE), nullable=False),
    Column(
        "content_digest",
        key(_HASH),
        nullable=False,
        comment="of what the vector was made of; empty where something was missing",
    ),
    Column("vector", data(), nullable=False, comment="float32, little endian"),
    Column("neighbours", words(), nullable=False, comment="node ids with their similarity"),
    comment="Where the similarity of documents stands",
)

tenants = Table(
    "graph_tenants",
    metadata,
    _tenant(),
    Column("changes", BigInteger, nullable=False, comment="how often anything in the tenant's graph changed"),
    Column("extractor", words(), comment="what searched all texts; empty for several, null for none yet"),
    comment="Tenants that the graph has anything of",
)

steps = Table(
    "graph_steps",
    metadata,
    _tenant(),
    Column("step", key(_WORD), primary_key=True),
    Column("changes", BigInteger, nullable=False, comment="of the tenant when the step was last done"),
    Column("rule", words(), nullable=False, comment="what its result follows from beside the graph"),
    Column("tries", BigInteger, nullable=False, comment="how often it lacked something; 0 for complete"),
    comment="How far what is made of whole graphs has come",
)
