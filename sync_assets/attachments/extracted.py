"""What reading a file gives, what it may cost, and why a file could not be read."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sync_assets.errors import SyncAssetsError


class Limits(BaseModel):
    """What reading one file may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=20_000_000, gt=0, description="Largest file that is read, in bytes")
    max_pages: int = Field(
        default=200, gt=0, description="Pages, slides, sheets or chapters read of a file; the rest is left out"
    )
    max_expanded_bytes: int = Field(
        default=200_000_000, gt=0, description="Bytes that a compressed file (office, e-book) may expand to"
    )
    max_text_characters: int = Field(
        default=2_000_000, gt=0, description="Characters of text kept of a file; the rest is left out"
    )
    timeout: float = Field(
        default=60.0, gt=0, description="Seconds that reading a file may take; pictures get two thirds of them"
    )
    ocr_languages: str = Field(
        default="eng+deu+fra+jpn+nld",
        pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$",
        description="What pictures are read in, as tesseract names it, the likeliest first; what is not installed is "
        "left out. Each language costs time",
    )


class ExtractedPart(NamedTuple):
    """A piece of a file's text.

    Attributes:
        name: what it is in its file, the same each time: `page-3`, `sheet-Prices`, `mail/offer.pdf/page-1`.
        role: `body` (Markdown), `description` (plain text), `sheet` (CSV, its header row first) or `code`.
        metadata: facts about it that JSON can hold: its page, sheet or language.
    """

    name: str
    role: str
    text: str
    metadata: dict[str, Any]


class Extracted(NamedTuple):
    """The text of a file.

    Attributes:
        kind: one of "pdf", "word", "slides", "spreadsheet", "mail", "web page", "image", "text", "csv", "notebook"
            and "e-book"; "unknown" where nothing is read from files of its kind.
        parts: its texts in reading order; none where nothing is written in it.
        notes: what was left out and why, for people.
    """

    kind: str
    parts: list[ExtractedPart]
    notes: list[str]


class Unreadable(SyncAssetsError):
    """A file can't or must not be read. The message is a clause that follows the file's name, without its content."""


class Unfinished(Unreadable):
    """Reading it took too long or crashed, which may go otherwise another time."""


class UnknownKind(Unreadable):
    """A file is of a kind that nothing is read from, such as a film."""
