"""Processors: small functions that see each part of a document before it is stored, to enrich, filter or mask it.

A stream names them in its `defs.yaml`, each for one kind of part. A new one is a function `(Part, Document) -> Part |
None`, or a `Mask`, and an entry point in the group `sync_assets.processors`, in this package or in one of your own.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from sync_assets.documents import Document, Part
from sync_assets.errors import SettingsError

ATTACHMENT = "attachment"
ANY = "any"
_HEADER = "header"
# The roles that sources give to parts.
_ROLES = {
    "admin",
    "answer",
    "attachments",
    "body",
    "ci_item",
    "code",
    "comment",
    "description",
    "diff",
    "fields",
    _HEADER,
    "message",
    "notes",
    "page",
    "related_cis",
    "resolution",
    "section",
    "sheet",
}
KINDS = frozenset({ANY, ATTACHMENT, *_ROLES})


class Processor(Protocol):
    """What a processor is. Pure: the same part gives the same result."""

    def __call__(self, part: Part, document: Document) -> Part | None:
        """The part as it is to be stored; None leaves it out.

        Raises:
            ValueError: the part can't be processed; its record goes to quarantine.
        """
        ...


class Mask:
    """A processor that puts something else in the place of what should not be found.

    It covers texts and the metadata beside them; with the kind `any` or `header`, the title and the metadata of the
    document too, since they repeat what its header says.

    Args:
        masked: a text without what should not be found.
    """

    def __init__(self, masked: Callable[[str], str]) -> None:
        self._masked = masked

    def __call__(self, part: Part, document: Document) -> Part:
        return part.model_copy(update={"text": self._masked(part.text), "metadata": self._value(part.metadata)})

    def of_document(self, document: Document) -> Document:
        """The document with its title and metadata masked, its parts as they are."""
        return document.model_copy(
            update={"title": self._masked(document.title), "metadata": self._value(document.metadata)}
        )

    def _value(self, value: Any) -> Any:
        """A value of metadata with every text in it masked; its keys are our own."""
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        return value


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
            SettingsError: there is no such kind or processor.
        """
        kind, _, name = (word.strip() for word in text.partition(":"))
        if kind not in KINDS:
            raise SettingsError(
                f"processors: {text!r} is for no kind of part.", f"Kinds are: {', '.join(sorted(KINDS))}."
            )
        _processor(name)
        return cls(kind, name)


def processed(document: Document, uses: Sequence[ProcessorUse]) -> Document:
    """The document with every part as its processors leave it, in the order of `uses`.

    Raises:
        ValueError: a processor failed; names it, and quotes no text.
    """
    for use in uses:
        try:
            document = _after(use, document)
        # A processor is anybody's code, and its failure is one record's matter.
        except Exception as error:
            # What other errors say may quote the text.
            reason = str(error) if type(error) is ValueError else type(error).__name__
            raise ValueError(f"The processor {use.name} failed: {reason}") from error
    return document


def _after(use: ProcessorUse, document: Document) -> Document:
    processor = _processor(use.name)
    parts = [processor(part, document) if _sees(use.kind, part) else part for part in document.parts]
    if isinstance(processor, Mask) and use.kind in (ANY, _HEADER):
        document = processor.of_document(document)
    return document.model_copy(update={"parts": [part for part in parts if part is not None]})


def _sees(kind: str, part: Part) -> bool:
    return kind in (ANY, part.role) or (kind == ATTACHMENT and ATTACHMENT in part.metadata)


@cache
def _processor(name: str) -> Processor:
    known = {entry.name: entry for entry in entry_points(group="sync_assets.processors")}
    if name not in known:
        raise SettingsError(f"Unknown processor {name!r}.", f"Known are: {', '.join(sorted(known)) or 'none'}.")
    return known[name].load()
