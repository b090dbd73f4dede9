"""The ledger of a build: what stages do beside the active collections, for a collection that nobody reads yet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sync_assets.errors import FingerprintMismatch
from sync_assets.ledger import Ledger, NewCollection, QuarantinedRecord, RegisteredCollection, StreamRef, WindowState


class BesideLedger(Ledger):
    """Collections that are being built take the active ones' places; quarantine, windows and watermarks stay alone.

    Args:
        ledger: the true one.
        targets: the collections that are built, by store.
    """

    def __init__(self, ledger: Ledger, targets: Mapping[str, RegisteredCollection]) -> None:
        self.engine = ledger.engine
        self._targets = targets
        self.failed: dict[tuple[StreamRef, str], str] = {}
        """Why a record is not in the build, by its stream and id."""

    def register_collection(self, new: NewCollection) -> RegisteredCollection:
        target = self._targets[new.store]
        if target.collection.fingerprint != new.fingerprint:
            raise FingerprintMismatch(
                f"Collection {target.collection.name} in {new.store} was made with {target.description}; "
                f"what is installed now is {new.description}.",
                f"Install that again, or build another collection: `sync-assets collections build {target.name}`.",
            )
        return target

    @contextmanager
    def writing(self, store: str, name: str) -> Iterator[None]:
        """Who builds holds its own lock, and may be the one who switches."""
        yield

    def quarantined(
        self, tenant: str | None = None, source: str | None = None, stream: str | None = None, stage: str | None = None
    ) -> list[QuarantinedRecord]:
        return []

    def put_in_quarantine(self, records: Sequence[QuarantinedRecord]) -> None:
        for one in records:
            self.failed[StreamRef(one.tenant, one.source, one.stream), one.record_id] = one.reason

    def release(self, ref: StreamRef, stage: str, record_ids: Sequence[str]) -> int:
        return 0

    def record_windows(self, stage: str, source: str, stream: str, rows: Mapping[tuple[str, str], WindowState]) -> None:
        """Windows are of what is stored."""

    def advance_watermark(self, ref: StreamRef, store: str, since: datetime, until: datetime) -> None:
        """Marks are the active collections'."""
