"""What is to be forgotten, and a place that may hold something of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

from sync_assets.documents import document_id
from sync_assets.errors import SettingsError


@dataclass(frozen=True)
class Documents:
    """Some documents of one tenant, by their ids."""

    tenant: str
    ids: frozenset[str]

    @classmethod
    def of(cls, tenant: str, ids: Collection[str]) -> "Documents":
        """Documents by ids as people give them.

        Raises:
            SettingsError: one is no document id of this tenant.
        """
        for one in ids:
            parts = [unquote(part) for part in one.split("_")]
            if len(parts) != 3 or parts[0] != tenant or not parts[2] or document_id(*parts) != one:
                raise SettingsError(
                    f"{one!r} is no document id of {tenant}.",
                    f"They look like {document_id(tenant, 'freshdesk', '4711')}; `sync-assets search` shows them.",
                )
        return cls(tenant, frozenset(ids))

    @cached_property
    def records(self) -> dict[str, set[str]]:
        """Record ids by source."""
        found: dict[str, set[str]] = {}
        for one in self.ids:
            _, source, record_id = (unquote(part) for part in one.split("_"))
            found.setdefault(source, set()).add(record_id)
        return found


@dataclass(frozen=True)
class Place:
    """Somewhere that may hold something of what is to be forgotten.

    Attributes:
        name: for people.
        count: looks, and returns how much is there.
        erase: removes it all; may be repeated, also after it broke off.
    """

    name: str
    count: Callable[[], int]
    erase: Callable[[], None]


class Outcome(NamedTuple):
    """What was in a place before, and what was found there when it was searched again."""

    place: str
    erased: int
    left: int


def erase(places: Collection[Place]) -> list[Outcome]:
    """Empty places in order, then search them all again.

    The caller holds `Ledger.erasing` since before the places were made: else a collection that is built meanwhile is
    not among them, or is given what went.

    Raises:
        SyncAssetsError: one can't be reached; a second call does the rest.
    """
    before = [place.count() for place in places]
    for place in places:
        place.erase()
    left = [place.count() for place in places]
    return [Outcome(place.name, had - has, has) for place, had, has in zip(places, before, left, strict=True)]
