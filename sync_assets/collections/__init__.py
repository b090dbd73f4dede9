"""Changing a model or a chunker without a gap: a collection is built beside the active one, and takes its place.

What belongs here: which collections are meant. How one is filled is in `building.py`, how it takes the place of another
and how one is removed in `switching.py`, how two differ in `comparing.py`. The ledger's registry is the alias of every
collection (`ledger/collections.py`); the stores know of none.

A collection that was built and never active waits for its switch. One that was active is retired: it stays as it was,
and a rollback brings it in line before it is used again. Syncs write the active one alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sync_assets.embedding.precisions import as_made
from sync_assets.errors import CollectionError, SettingsError
from sync_assets.ledger import RegisteredCollection
from sync_assets.ledger.collections import collections_named
from sync_assets.services import Services
from sync_assets.stages import Stream


class Pair(NamedTuple):
    """The active collection of a store, and the one that may take its place."""

    old: RegisteredCollection
    new: RegisteredCollection


def streams_of(streams: Sequence[Stream], name: str) -> list[Stream]:
    """The streams that are kept in the collections of a name.

    Raises:
        SettingsError: there are none.
    """
    found = [stream for stream in streams if stream.collection == name]
    if not found:
        known = sorted({stream.collection for stream in streams})
        raise SettingsError(f"No stream has a collection {name!r}.", f"Known are: {', '.join(known)}.")
    return found


def is_kept(streams: Sequence[Stream], collection: RegisteredCollection) -> bool:
    """Whether a stream is still kept in the collections of a name in a store."""
    return any(one.collection == collection.name and collection.store in one.stores for one in streams)


def as_it_was_made(stream: Stream, collection: RegisteredCollection) -> Stream:
    """A stream with the model and the chunk size of a collection, whatever the settings say now.

    Raises:
        CollectionError: nobody knows how long the collection's chunks may be.
    """
    if collection.limits is None:
        raise CollectionError(
            f"How long the chunks of {collection.collection.name} in {collection.store} may be was not kept yet when "
            "it was made.",
            "Build a collection with its model again: `sync-assets collections build`.",
        )
    limits = collection.limits
    return replace(
        stream,
        model=as_made(collection.model),
        chunk_tokens=limits["max_tokens"],
        window_messages=limits["messages"],
        window_overlap=limits["overlap"],
    )


def pairs_to_switch(services: Services, streams: Sequence[Stream], name: str) -> list[Pair]:
    """For each store that a stream names, the active collection and the one that was built to take its place.

    Stores whose active collection is such a one already are left out.

    Raises:
        CollectionError: none was built, or several were, or not in every store.
    """
    actives = _kept(services, streams, name)
    built = {active.store: _waiting(services, active) for active in actives}
    fingerprints = {one.collection.fingerprint for found in built.values() for one in found}
    if not fingerprints:
        raise CollectionError(f"Nothing was built for {name}.", f"Run `sync-assets collections build {name}` first.")
    if len(fingerprints) > 1:
        names = sorted({one.collection.name for found in built.values() for one in found})
        raise CollectionError(
            f"Several collections were built for {name}: {', '.join(names)}.",
            "Drop the others: `sync-assets collections drop`.",
        )
    pairs = [Pair(active, built[active.store][0]) for active in actives if built[active.store]]
    lacking = [one.store for one in actives if not built[one.store] and one.collection.fingerprint not in fingerprints]
    if lacking:
        raise CollectionError(
            f"{name} was not built in {', '.join(lacking)}: all stores change together.",
            f"Run `sync-assets collections build {name}` for those too.",
        )
    return pairs


def pairs_to_roll_back(services: Services, streams: Sequence[Stream], name: str) -> list[Pair]:
    """For each store that a stream names, the active collection and the one whose place it took.

    Raises:
        CollectionError: a store has none to go back to.
    """
    pairs: list[Pair] = []
    for active in _kept(services, streams, name):
        retired = _retired_last(services, active)
        if retired is None:
            raise CollectionError(
                f"{active.store} has no earlier collection {name} to go back to.",
                "Build one with the model that you want: `sync-assets collections build`.",
            )
        pairs.append(Pair(active, retired))
    return pairs


def pairs_to_compare(services: Services, name: str) -> list[Pair]:
    """For each store the active collection and the newest one that was built, or else the one retired last.

    Raises:
        CollectionError: there is only the active one in each.
    """
    pairs: list[Pair] = []
    for active in _active(services, name):
        if waiting := _waiting(services, active):
            pairs.append(Pair(active, waiting[-1]))
        elif (retired := _retired_last(services, active)) is not None:
            pairs.append(Pair(active, retired))
    if not pairs:
        raise CollectionError(f"Nothing was built for {name}.", f"Run `sync-assets collections build {name}` first.")
    return pairs


def _kept(services: Services, streams: Sequence[Stream], name: str) -> list[RegisteredCollection]:
    found = [one for one in _active(services, name) if is_kept(streams, one)]
    if not found:
        raise CollectionError(
            f"No stream names a store that has a collection {name}.",
            "Name one in defs.yaml, and run `sync-assets sync`.",
        )
    return found


def _active(services: Services, name: str) -> list[RegisteredCollection]:
    found = collections_named(services.ledger, name)
    if not found:
        known = sorted({one.name for one in services.ledger.every_collection()})
        raise SettingsError(f"There is no collection {name!r}.", f"Known are: {', '.join(known) or 'none'}.")
    return [one for one in found if one.active]


def _waiting(services: Services, active: RegisteredCollection) -> list[RegisteredCollection]:
    """Collections that were built beside an active one, and never took its place."""
    found = collections_named(services.ledger, active.name, active.store)
    return [one for one in found if not one.active and one.retired_at is None]


def _retired_last(services: Services, active: RegisteredCollection) -> RegisteredCollection | None:
    found = collections_named(services.ledger, active.name, active.store)
    retired = [(one.retired_at, one.id, one) for one in found if one.retired_at is not None]
    return max(retired)[-1] if retired else None
