"""Attachments: the files that documents name, read and made parts of them.

A file is fetched once for its locator and read once for its bytes and kind, whatever is run again: what it holds and
what was read from it stand in the ledger's tables `files` and `file_texts`, as long as a record names it
(`ledger/files.py`). A document whose file can't be had or read goes on without it, and is in quarantine until it can.
How bytes are read is in `attachments/`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sync_assets.attachments.extracted import ExtractedPart, Limits, Unfinished, Unreadable
from sync_assets.attachments.kinds import suffix_of
from sync_assets.attachments.process import read_file, reader
from sync_assets.documents import Attachment, Document, Part
from sync_assets.errors import FileUnavailable, SettingsError
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.ledger.arrays import any_of
from sync_assets.sources import FileSource, Source

_AT_ONCE = 4


class FileText(NamedTuple):
    """What was read from a file.

    Attributes:
        notes: what was left out, and why.
        problem: why it can't be read at all; None where it can.
    """

    parts: list[ExtractedPart]
    notes: list[str]
    problem: str | None


class Attachments:
    """The files of one tenant's account.

    Raises:
        SettingsError: the source has no files.
    """

    def __init__(self, ledger: Ledger, tenant: str, source: str, account: Source, limits: Limits) -> None:
        if not isinstance(account, FileSource):
            raise SettingsError(
                f"{source} has no files that can be read.", "Remove `attachments: true` from its streams in defs.yaml."
            )
        self._ledger = ledger
        self._tenant = tenant
        self._source = source
        self._account: FileSource = account
        self._limits = limits
        self._reader = reader(limits)

    def attached(
        self, documents: Sequence[Document], spared: Counter[str] | None = None
    ) -> tuple[list[Document], dict[str, str], list[str]]:
        """Documents with the texts of their files; why some lack one, by record id; and what was left out of files.

        Args:
            spared: counts the `files` that were never fetched, and leaves them so; None to fetch them.
        """
        wanted = {file.locator: file for document in documents for file in document.attachments}
        texts, missing = self._texts(list(wanted.values()), spared)
        unreadable = {locator: text.problem for locator, text in texts.items() if text.problem}
        problems: dict[str, str] = {}
        for document in documents:
            reasons = [
                f"{file.name}: {reason}"
                for file in document.attachments
                if (reason := missing.get(file.locator) or unreadable.get(file.locator))
            ]
            if reasons:
                problems[document.record_id] = "; ".join(reasons)
        notes = [f"{wanted[locator].name}: {note}" for locator, text in texts.items() for note in text.notes]
        return [_with_texts(document, texts) for document in documents], problems, notes

    def _texts(
        self, wanted: Sequence[Attachment], spared: Counter[str] | None
    ) -> tuple[dict[str, FileText], dict[str, str]]:
        """What was read from each file by locator, and why others can't be had."""
        hashes = self._known_hashes([file.locator for file in wanted])
        known = self._known_texts(list(hashes.values()))
        texts = {locator: known[content_hash] for locator, content_hash in hashes.items() if content_hash in known}
        unread = [file for file in wanted if file.locator not in texts]
        missing: dict[str, str] = {}
        if spared is not None:
            spared["files"] += len(unread)
            return texts, missing
        # No more files are in memory than threads: of each, only its text comes back.
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for file, outcome in zip(unread, threads.map(self._read, unread), strict=True):
                if isinstance(outcome, FileText):
                    texts[file.locator] = outcome
                else:
                    missing[file.locator] = str(outcome)
        return texts, missing

    def _read(self, file: Attachment) -> FileText | FileUnavailable | Unfinished:
        """A file fetched, read and stored; or why that may go otherwise another time."""
        if file.size is not None and file.size > self._limits.max_bytes:
            return FileUnavailable(f"it has {file.size} bytes, more than max_bytes={self._limits.max_bytes} allows")
        # Of the name only its end: equal bytes of one kind give equal texts.
        name = f"file{suffix_of(file.name, file.content_type)}"
        try:
            data = self._account.read_file(file.locator, self._limits.max_bytes)
            content_hash = blake2b(name.encode() + b"\0" + data, digest_size=16).hexdigest()
            text = self._known_texts([content_hash]).get(content_hash) or self._text(name, data)
        except (FileUnavailable, Unfinished) as error:
            return error
        self._store(file.locator, content_hash, text)
        return text

    def _text(self, name: str, data: bytes) -> FileText:
        try:
            found = read_file(name, "", data, self._limits)
        except Unfinished:
            raise
        except Unreadable as error:
            return FileText([], [], str(error))
        return FileText(found.parts, found.notes, None)

    def _known_hashes(self, locators: Sequence[str]) -> dict[str, str]:
        table = t.files
        query = sa.select(table.c.locator, table.c.content_hash).where(
            table.c.tenant == self._tenant, table.c.source == self._source, table.c.locator == any_of(locators)
        )
        with self._ledger.transaction() as connection:
            return {row.locator: row.content_hash for row in connection.execute(query)}

    def _known_texts(self, hashes: Sequence[str]) -> dict[str, FileText]:
        table = t.file_texts
        query = sa.select(table).where(
            table.c.tenant == self._tenant, table.c.reader == self._reader, table.c.content_hash == any_of(hashes)
        )
        with self._ledger.transaction() as connection:
            return {
                row.content_hash: FileText([ExtractedPart(**part) for part in row.parts], row.notes, row.problem)
                for row in connection.execute(query)
            }

    def _store(self, locator: str, content_hash: str, text: FileText) -> None:
        file = {"tenant": self._tenant, "source": self._source, "locator": locator, "content_hash": content_hash}
        read: dict[str, Any] = {
            "tenant": self._tenant,
            "content_hash": content_hash,
            "reader": self._reader,
            "parts": [part._asdict() for part in text.parts],
            "notes": text.notes,
            "problem": text.problem,
        }
        known = insert(t.files).values(file)
        known = known.on_conflict_do_update(
            index_elements=["tenant", "source", "locator"], set_={"content_hash": content_hash}
        )
        with self._ledger.transaction() as connection:
            connection.execute(insert(t.file_texts).values(read).on_conflict_do_nothing())
            connection.execute(known)


def _with_texts(document: Document, texts: Mapping[str, FileText]) -> Document:
    parts = [
        Part(
            path=f"{file.path}/{part.name}",
            role=part.role,
            text=part.text,
            visibility=file.visibility,
            principals=file.principals,
            metadata={**part.metadata, "attachment": file.name},
        )
        for file in document.attachments
        if file.locator in texts
        for part in texts[file.locator].parts
    ]
    return document.model_copy(update={"parts": [*document.parts, *parts], "attachments": []})
