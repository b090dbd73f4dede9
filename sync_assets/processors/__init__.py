"""Processors: small functions that see each part of a document before it is stored, to enrich, filter or mask it.

A stream names them in its `defs.yaml`, each for one kind of part. A new one is a function `(Part, Document) -> Part |
None` and an entry point in the group `sync_assets.processors`, in this package or in one of your own.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol

from sync_assets.documents import Document, Part
from sync_assets.errors import SettingsError

ATTACHMENT = "attachment"
ANY = "any"


class Processor(Protocol):
    """What a processor is. Pure: the same part gives the same result."""

    def __call__(self, part: Part, document: Document) -> Part | None:
        """The part as it is to be stored; None leaves it out.

        Raises:
            ValueError: the part can't be processed; its record goes to quarantine.
        """
        ...


class ProcessorUse(NamedTuple):
    """One processor of a stream.

    Attributes:
        kind: the role of the parts that it sees (`description`, `comment`, `diff` ...), `attachment` for those that
            were read from files, or `any`.
        name: the processor's entry point.
    """

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "ProcessorUse":
        """From `kind: name`, as a stream's YAML has it.

        Raises:
            SettingsError: there is no such processor.
        """
        kind, _, name = (word.strip() for word in text.partition(":"))
        use = cls(kind, name)
        _processor(name)
        return use


def processed(document: Document, uses: Sequence[ProcessorUse]) -> Document:
    """The document with every part as its processors leave it, in the order of `uses`.

    Raises:
        ValueError: see `Processor`.
    """
    parts: list[Part] = []
    for part in document.parts:
        kept: Part | None = part
        for use in uses:
            if kept is not None and _sees(use.kind, kept):
                kept = _processor(use.name)(kept, document)
        if kept is not None:
            parts.append(kept)
    return document.model_copy(update={"parts": parts})


def _sees(kind: str, part: Part) -> bool:
    return kind in (ANY, part.role) or (kind == ATTACHMENT and ATTACHMENT in part.metadata)


@cache
def _processor(name: str) -> Processor:
    known = {entry.name: entry for entry in entry_points(group="sync_assets.processors")}
    if name not in known:
        raise SettingsError(f"Unknown processor {name!r}.", f"Known are: {', '.join(sorted(known)) or 'none'}.")
    return known[name].load()
