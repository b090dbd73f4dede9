"""Documents as rows of the table `documents.DOCUMENT_SCHEMA`, and back."""

from typing import Any

from sync_assets.batches import Partition, dump_json, load_json
from sync_assets.documents import Document, Part, Record, Version
from sync_assets.stages import Context
from sync_assets.stages.comparing import Hashes


def row_of(
    context: Context,
    partition: Partition,
    record: Record,
    identity: str,
    version: Version,
    document: Document | None,
    hashes: Hashes | None,
) -> dict[str, Any]:
    """The row of a document, or a tombstone's where it is None.

    Args:
        hashes: of the document.
    """
    row: dict[str, Any] = {
        "partition": partition.key,
        "tenant": partition.tenant,
        "source": context.stream.source,
        "stream": context.stream.name,
        "document_id": identity,
        "record_id": record.record_id,
        "deleted": document is None,
        **version.model_dump(),
    }
    if document is None or hashes is None:
        return row
    return {
        **row,
        "title": document.title,
        "url": document.url,
        "visibility": document.visibility.value,
        "principals": document.principals,
        "parts": [{**part.model_dump(mode="json"), "metadata": dump_json(part.metadata)} for part in document.parts],
        "metadata": dump_json(document.metadata),
        "graph": dump_json(document.told.model_dump(mode="json")) if document.told else None,
        "content_hash": hashes[0],
        "metadata_hash": hashes[1],
    }


def document_of(row: dict[str, Any]) -> Document:
    """The document of a row that is no tombstone."""
    return Document(
        tenant=row["tenant"],
        source=row["source"],
        stream=row["stream"],
        record_id=row["record_id"],
        title=row["title"],
        url=row["url"],
        visibility=row["visibility"],
        principals=row["principals"],
        parts=[Part(**{**part, "metadata": load_json(part["metadata"])}) for part in row["parts"]],
        metadata=load_json(row["metadata"]),
    )
