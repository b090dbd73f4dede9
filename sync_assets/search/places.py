"""Where a question is asked: the collections that answer for a tenant, and the filters that keep each to its part.

What belongs here: the choice of collections, and filters that differ between them. What does not: asking them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sync_assets.errors import SettingsError
from sync_assets.ledger import RegisteredCollection, StreamRef
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.vector_stores.matching import AnyOf, Between

# A filter by the time of the last change, whatever a stream's metadata calls it. What carries no time is not found.
MODIFIED = "modified_at"

# A conversation was changed last when somebody spoke last.
_CONVERSATIONS = "messages"
_CHANGED, _SPOKEN = "updated_at", "ended_at"

_Held = tuple[RegisteredCollection, Mapping[StreamRef, datetime]]


class Place(NamedTuple):
    """A collection and the filters under which it answers."""

    registered: RegisteredCollection
    filters: dict[str, Any]


def places(
    services: Services, tenant: str, source: str | None, store: str | None, filters: Mapping[str, Any]
) -> list[Place]:
    """The collections to ask; none where the filters leave none.

    Raises:
        SettingsError: nothing of the tenant is in any store, or not in the one that was named; or tenant or source are
            unknown.
    """
    held = _held(services, tenant, source, store)
    found = []
    for registered, streams in _answering(held):
        scope = {**({"source": source} if source else {}), **streams}
        if all(name not in filters or _allows(filters[name], value) for name, value in scope.items()):
            found.append(Place(registered, {**filters, **scope}))
    return [dated for place in found for dated in _dated(place, held)]


def _held(services: Services, tenant: str, source: str | None, store: str | None) -> list[_Held]:
    if source is not None and source not in SOURCE_NAMES:
        raise SettingsError(f"Unknown source {source!r}.", f"Known are: {', '.join(SOURCE_NAMES)}.")
    collections = services.ledger.collections_of(tenant, source)
    if not collections and tenant not in (known := services.tenants.names()):
        raise SettingsError(f"Unknown tenant {tenant!r}.", f"Known are: {', '.join(known) or 'none'}.")
    stores = sorted({collection.store for collection, _ in collections})
    if not stores or store not in (None, *stores):
        where = f"in {store}" if store else "in any store"
        raise SettingsError(
            f"There is nothing of tenant {tenant!r} {where}.",
            f"Stores that have something: {', '.join(stores)}." if stores else "Run `sync-assets sync` first.",
        )
    return [found for found in collections if store in (None, found[0].store)]


def _answering(collections: Sequence[_Held]) -> Iterator[tuple[RegisteredCollection, dict[str, str]]]:
    """Each collection that answers for some stream, with the filters that keep it to those.

    For each stream the first store answers. A stream that was moved to another collection of a store is still in the
    one before: the one that follows it answers.
    """
    chosen: dict[StreamRef, tuple[RegisteredCollection, datetime]] = {}
    for collection, streams in collections:
        for stream, observed_at in streams.items():
            before, until = chosen.get(stream, (collection, observed_at))
            if before.store == collection.store and (observed_at, collection.id) >= (until, before.id):
                chosen[stream] = (collection, observed_at)
    for collection, streams in collections:
        own = [stream for stream in streams if chosen[stream][0].id == collection.id]
        if len(own) == len(streams):
            yield collection, {}
        else:
            yield from ((collection, {"source": stream.source, "stream": stream.stream}) for stream in own)


def _allows(wanted: Any, value: str) -> bool:
    """Whether a filter on source or stream lets one of them through."""
    match wanted:
        case AnyOf(values):
            return value in values
        case Between():
            return False
        case list() | tuple() | set() | frozenset():
            return all(item == value for item in wanted)
        case _:
            return wanted == value


def _dated(place: Place, held: Iterable[_Held]) -> Iterator[Place]:
    """The place with a filter on `MODIFIED` under the name that the metadata of each stream has for it."""
    if MODIFIED not in place.filters:
        yield place
        return
    filters = {name: value for name, value in place.filters.items() if name != MODIFIED}
    wanted = place.filters[MODIFIED]
    streams = next(streams for registered, streams in held if registered.id == place.registered.id)
    for stream in sorted({ref.stream for ref in streams}):
        if "stream" not in filters or _allows(filters["stream"], stream):
            name = _SPOKEN if stream == _CONVERSATIONS else _CHANGED
            yield Place(place.registered, {**filters, "stream": stream, name: wanted})
