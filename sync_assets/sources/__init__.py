"""One module per upstream system, each with an `Account` (its settings for one tenant) and a `Source`.

What belongs here: the wire protocol, and the way from that system's payload to a `Document`. Nothing of Dagster, the
ledger or the stores. A new source is one module here and one `defs/<source>/defs.yaml`.
"""

import importlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import ModuleType
from typing import Protocol, Self, runtime_checkable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_assets.documents import Document, Record
from sync_assets.errors import SettingsError

SOURCE_NAMES = (
    "freshdesk",
    "ticket_portal",
    "zoho_desk",
    "support_database",
    "slack",
    "discord",
    "gitlab",
    "backlog",
)


class LiveId(BaseModel):
    """One row of a sweep's listing: a record that lives upstream, and its cheap version.

    Attributes:
        modified_at: as the listing carries it; the same value that `Record.modified_at` has for this record.
        cheap_version: see `Record.cheap_version`, which has the same value for this record.
    """

    model_config = ConfigDict(frozen=True)

    record_id: str
    modified_at: AwareDatetime
    cheap_version: str = ""


class Hidden(BaseModel):
    """Records that may live upstream and that it does not show us now, so that nobody can tell whether they are gone.

    Attributes:
        prefix: what their record ids begin with.
        reason: why, and what to do about it, for people; empty where nothing is to be done.
    """

    model_config = ConfigDict(frozen=True)

    prefix: str = Field(min_length=1)
    reason: str


class Source(Protocol):
    """One tenant's account in an upstream system, opened for one run; a context manager.

    All methods raise `SourceError` when a whole request failed for good (after retries), and never for one bad record.
    """

    def check(self) -> str:
        """Try the credentials with one cheap call.

        Returns:
            One line about the account, for people ("acme.freshdesk.com, 400 calls a minute").
        """
        ...

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        """Earliest and latest modification time in the stream, deleted records included; None when it is empty."""
        ...

    def probe(self, stream: str) -> str:
        """A text that changes when the stream does, for few and cheap calls; it says nothing else and holds no secret.

        It is a hint: what upstream tells nowhere cheaply does not change it, and windows and sweeps find it.
        """
        ...

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        """All records modified within [since, until), deleted ones as `deleted` events, each id at most once."""
        ...

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        """Every record that lives upstream now, and what it hides. Raises `SourceError` rather than end early."""
        ...

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        """These records as they are now; a record that is gone comes as a `deleted` event."""
        ...

    def to_document(self, stream: str, record: Record) -> Document:
        """The platform-neutral form of a live record. Pure: no network, same payload same document.

        Raises:
            ValueError: the payload lacks something that a document needs; the text says what.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


@runtime_checkable
class FileSource(Protocol):
    """What a source adds whose records name files (`Document.attachments`)."""

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """A file as it is now. Called from several threads.

        Raises:
            FileUnavailable: it is gone, refused, longer than `max_bytes`, or on a host that is not asked.
            SourceError: upstream refused or could not be reached.
        """
        ...


def live_record_ids(account: Source, stream: str) -> Iterator[str]:
    """Ids of the records that live upstream, what it hides aside."""
    return (item.record_id for item in account.live_ids(stream) if isinstance(item, LiveId))


def source_module(name: str) -> ModuleType:
    """The module of a source, with its `Account` model and its `Source` class `(tenant: str, account: Account)`."""
    if name not in SOURCE_NAMES:
        raise SettingsError(f"Unknown source {name!r}.", f"Sources are: {', '.join(SOURCE_NAMES)}.")
    return importlib.import_module(f"sync_assets.sources.{name}")
