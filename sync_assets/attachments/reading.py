"""What is known while a file is read: what it may still cost, and what was left out of it."""

import time
from dataclasses import dataclass, field, replace

from sync_assets.attachments.extracted import Limits, Unreadable

# Of the time that a file may take: the rest is for its texts, and for saying what was left out.
_SHARE_OF_PICTURES = 2 / 3


@dataclass
class Reading:
    """What reading a file may still cost, shared by the files in it, and what was left out.

    Attributes:
        notes: what was left out of this file and why.
        spent: what the files read so far took, shared: `expanded` bytes, `images` given to OCR.
        depth: how many mails this file is in.
        began: when reading began, by the monotonic clock.
    """

    limits: Limits
    notes: list[str] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=lambda: {"expanded": 0, "images": 0})
    depth: int = 0
    began: float = field(default_factory=time.monotonic)

    def left_for_pictures(self) -> float:
        """Seconds that reading pictures may still take."""
        return self.began + self.limits.timeout * _SHARE_OF_PICTURES - time.monotonic()

    def expand(self, size: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            Unreadable: they are more than a file may expand to.
        """
        self.spent["expanded"] += size
        if self.spent["expanded"] > self.limits.max_expanded_bytes:
            raise Unreadable(
                f"expands to more than the {self.limits.max_expanded_bytes:,} bytes of max_expanded_bytes."
            )

    def pages(self, count: int, what: str) -> range:
        """Positions of the pages to read, from 0; notes those left out."""
        kept = min(count, self.limits.max_pages)
        if kept < count:
            self.notes.append(f"{what} {kept + 1} to {count} not read: max_pages is {kept}")
        return range(kept)

    def inner(self) -> "Reading":
        """The reading of a file in this one."""
        return replace(self, notes=[], depth=self.depth + 1)
