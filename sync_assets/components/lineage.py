"""Where people find what a column is made of: the columns of the stage before, and the code and settings of a stage."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from sync_assets.chunks import CHUNK_SCHEMA, embedding_schema
from sync_assets.documents import DOCUMENT_SCHEMA

_STAGES = Path(__file__).parent.parent / "stages"

# Columns that are made of others than the one of their name in the stage before.
_MADE_OF: dict[str, dict[str, Sequence[str]]] = {
    "documents": {
        "document_id": ["record_id"],
        "deleted": ["event"],
        **dict.fromkeys(
            ("title", "url", "visibility", "principals", "parts", "metadata", "content_hash", "metadata_hash", "graph"),
            ("payload",),
        ),
        **dict.fromkeys(("tenant", "source", "stream"), ("partition",)),
    },
    "chunks": {
        "chunk_id": ["document_id", "parts"],
        **dict.fromkeys(("path", "role", "text", "tokens", "content_hash", "visibility", "principals"), ("parts",)),
        "metadata": ["metadata", "parts"],
        "payload_hash": ["title", "url", "metadata", "parts"],
    },
    "embeddings": {"vector": ["text"]},
}
_COLUMNS = {
    "documents": DOCUMENT_SCHEMA.names,
    "chunks": CHUNK_SCHEMA.names,
    "embeddings": embedding_schema(1).names,
}


def made_of(stage: str) -> Mapping[str, Sequence[str]]:
    """Columns of a stage that are made of others than the one of their name, and of which of the stage before."""
    return _MADE_OF.get(stage, {})


def column_lineage(stage: str, upstream: dg.AssetKey) -> Mapping[str, dg.TableColumnLineage]:
    """Metadata that tells of each column of a stage what it is made of; nothing for stages without such columns.

    It stands in the definition: with a run it would be stored once for each partition.
    """
    if stage not in _COLUMNS:
        return {}
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(asset_key=upstream, column_name=of) for of in made_of(stage).get(name, [name])]
                for name in _COLUMNS[stage]
            }
        )
    }


def code_reference(stage: str) -> Mapping[str, dg.CodeReferencesMetadataValue]:
    """Metadata that leads to the module of a stage; Dagster adds the `defs.yaml` by itself."""
    path = _STAGES / f"{stage}.py"
    if not path.exists():
        path = _STAGES / "store.py"
    with warnings.catch_warnings():
        # Dagster says for each of them that code references are in beta; it uses them for every component itself.
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
