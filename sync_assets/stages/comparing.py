"""A record compared with the version of its document that stands in the ledger."""

from typing import Literal, NamedTuple

from sync_assets.documents import Record, Standing, Version, is_stale, next_floor
from sync_assets.ledger import DocumentRow, KnownDocument

# Of the content and of the metadata of a document.
Hashes = tuple[str | None, str | None]


class Compared(NamedTuple):
    """What a record that is not older than the ledger's version does to its document.

    Attributes:
        version: what stands afterwards; of what is unchanged the ledger's own, so that a repeated run is the same to
            everything downstream.
        news: what the ledger is to be told; None where it knows all of it.
    """

    change: Literal["added", "changed", "deleted", "unchanged"]
    version: Version
    news: DocumentRow | None


def compared(record: Record, document_id: str, hashes: Hashes | None, known: KnownDocument | None) -> Compared | None:
    """Compare a record with what the ledger knows of its document; None where the record is older.

    Args:
        hashes: of the document that the record makes; None for a deletion.
    """
    if is_older(record, known):
        return None
    version, deleted = version_of(record, known), hashes is None
    content_hash, metadata_hash = hashes or (None, None)
    cheap_version = "" if deleted else record.cheap_version
    change = _change(hashes, version, known)
    if change == "unchanged" and known is not None:
        version, floor = _standing_version(known.standing), known.standing.floor
        if known.cheap_version == cheap_version:
            return Compared(change, version, None)
    else:
        floor = next_floor(version, deleted, known.standing if known else None)
    news = DocumentRow(
        document_id, record.record_id, version, floor, deleted, cheap_version, content_hash, metadata_hash
    )
    return Compared(change, version, news)


def is_older(record: Record, known: KnownDocument | None) -> bool:
    """Whether a record is older than what the ledger knows."""
    return known is not None and is_stale(version_of(record, known), known.standing)


def version_of(record: Record, known: KnownDocument | None) -> Version:
    """A deletion may come without a time: it is one of what stands."""
    modified_at = record.modified_at
    if modified_at is None:
        modified_at = known.standing.modified_at if known else record.observed_at
    return Version(modified_at=modified_at, observed_at=record.observed_at, authoritative=record.authoritative)


def _standing_version(standing: Standing) -> Version:
    """What stands, with the authority that it was accepted with: a store that lags behind must accept it too."""
    return Version(
        modified_at=standing.modified_at,
        observed_at=standing.observed_at,
        authoritative=standing.floor >= standing.observed_at,
    )


def _change(
    hashes: Hashes | None, version: Version, known: KnownDocument | None
) -> Literal["added", "changed", "deleted", "unchanged"]:
    if hashes is None:
        return "unchanged" if known is not None and known.standing.deleted else "deleted"
    if known is None or known.standing.deleted:
        return "added"
    same = (known.content_hash, known.metadata_hash) == hashes
    return "unchanged" if same and known.standing.modified_at == version.modified_at else "changed"
