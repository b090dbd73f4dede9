"""The contract between chunking, embedding and the stores.

A document that has no chunk (deleted upstream, or empty) still has one row in the chunk and embedding tables, with a
null `chunk_id`, so that its deletion reaches the stores. What a document tells of the knowledge graph stands in its
first row.
"""

import uuid
from typing import Any, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from sync_assets.documents import GRAPH_FIELD, IDENTITY_FIELDS, Visibility
from sync_assets.hashing import digest

_NAMESPACE = uuid.UUID("6f1f3c1e-8a55-5c0e-9c55-0d1a6f8f3b21")


class Chunk(BaseModel):
    """A piece of a document's text with its role and place.

    Attributes:
        path: steady place in the document, from upstream ids and names; unique within the document.
        role: header, description, fields, comment, section, code, diff, sheet ...
        strategy: how it was cut, with the version of that (`code/1`).
        text: exactly what is embedded.
        tokens: length of `text` in the tokens of the stream's model, special tokens not counted.
        metadata: facts of the part that this chunk came from, and of the place in it.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    role: str
    strategy: str
    text: str
    tokens: int
    visibility: Visibility
    principals: list[str] = Field(default_factory=list[str])
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])


class Described(Protocol):
    """What the payload of a chunk takes from the chunk itself, before and after it is stored."""

    @property
    def path(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def visibility(self) -> Visibility: ...
    @property
    def principals(self) -> list[str]: ...


def chunk_id(document_id: str, path: str) -> str:
    """UUIDv5 of document and path: the same in every store, whatever was synced before."""
    return str(uuid.uuid5(_NAMESPACE, f"{document_id}\n{path}"))


def payload_hash(piece: Described, title: str, url: str | None, metadata: dict[str, Any]) -> str:
    """Hash of all that is stored of a chunk beside its text and vector.

    Raises:
        TypeError: `metadata` holds what JSON can't, or a whole number beyond 64 bits.
    """
    return digest([title, url, piece.visibility, piece.principals, piece.path, piece.role, metadata])


CHUNK_SCHEMA = pa.schema(
    [
        *IDENTITY_FIELDS,
        GRAPH_FIELD,
        pa.field(
            "chunk_id",
            pa.string(),
            metadata={"description": "UUIDv5 of document and path; null for a document without chunks"},
        ),
        pa.field("path", pa.string(), metadata={"description": "Steady place in the document"}),
        pa.field("role", pa.string(), metadata={"description": "header, description, fields, comment, section ..."}),
        pa.field("text", pa.string(), metadata={"description": "Exactly what is embedded"}),
        pa.field("tokens", pa.int32(), metadata={"description": "Length of the text in the model's tokens"}),
        pa.field("content_hash", pa.string(), metadata={"description": "Hash of the text"}),
        pa.field("visibility", pa.string(), metadata={"description": "public, internal or restricted"}),
        pa.field("principals", pa.list_(pa.string()), metadata={"description": "Who may see it when restricted"}),
        pa.field("title", pa.string(), metadata={"description": "Title of the document"}),
        pa.field("url", pa.string(), metadata={"description": "Where a person can open it"}),
        pa.field("metadata", pa.string(), metadata={"description": "Facts of document and part, as JSON"}),
        pa.field(
            "payload_hash", pa.string(), metadata={"description": "Hash of all that is stored beside text and vector"}
        ),
    ]
)


def embedding_schema(dimension: int) -> pa.Schema:
    """The chunk table with its vectors: `dimension` float32 numbers of unit length; null for a row without a chunk.

    What documents tell of the knowledge graph is not in it.
    """
    return pa.schema([field for field in CHUNK_SCHEMA if field.name != GRAPH_FIELD.name]).append(
        pa.field(
            "vector",
            pa.list_(pa.float32(), dimension),
            metadata={"description": "Embedding: float32 numbers, unit length"},
        )
    )
