"""One collection takes another's place, in every store at once; or goes for good.

What belongs here: what has to hold before, and the order in which it is done. The transaction itself is in the ledger
(`ledger/collections.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import NamedTuple

from sync_assets.audit import AuditResult, AuditScope, Finding
from sync_assets.audit.healing import prepare
from sync_assets.audit.stores import audit_collection
from sync_assets.clock import utc_now
from sync_assets.collections import Pair, as_it_was_made, is_kept, pairs_to_roll_back, pairs_to_switch, streams_of
from sync_assets.collections.building import Built, fill, refuse_beyond_limits
from sync_assets.collections.judging import Judgement, judge, refuse_worse
from sync_assets.errors import CollectionError, GraphError, SettingsError
from sync_assets.ledger import RegisteredCollection
from sync_assets.ledger.collections import Holding, holding, lost_by_switching, switch_collections, unregister
from sync_assets.ledger.collections import tenants_of_stream as tenants_of
from sync_assets.services import Services
from sync_assets.stages import Progress, Stream, no_progress

_SHOWN = 3


class Switched(NamedTuple):
    """What took whose place, what was done before to bring it in line, and what the golden set says of it."""

    pairs: list[Pair]
    built: Built
    judgements: list[Judgement]


class Dropped(NamedTuple):
    """A collection that is not in use, and what it holds or held."""

    collection: RegisteredCollection
    holding: Holding


def switch(
    services: Services, streams: Sequence[Stream], name: str, progress: Progress = no_progress, force: bool = False
) -> Switched:
    """Let the collections that were built for a name take the active ones' places, once they lack nothing.

    Args:
        streams: all that `defs/` configures.
        force: do not ask the golden set whether searches would find less.

    Raises:
        CollectionError: nothing fits, or a check fails; nothing was switched.
        FingerprintMismatch: a model or the chunker is not what a collection was made with.
        LimitError: more would be embedded than the settings allow; nothing was.
        LedgerError: a sync writes for longer than SYNC_ASSETS_LOCK_TIMEOUT.
    """
    with services.ledger.lock("collections", name):
        pairs = pairs_to_switch(services, streams, name)
        return _replace(services, streams, pairs, progress, heals=False, judged=not force)


def rollback(services: Services, streams: Sequence[Stream], name: str, progress: Progress = no_progress) -> Switched:
    """Let the collections that were active before take their places again, once they are brought in line.

    What is damaged in them is written again: no audit looks at them, and they may be older than what is stored with a
    point by now. The golden set is not asked: whoever goes back has a reason.

    Raises:
        As `switch`.
    """
    with services.ledger.lock("collections", name):
        pairs = pairs_to_roll_back(services, streams, name)
        return _replace(services, streams, pairs, progress, heals=True, judged=False)


def droppable(services: Services, streams: Sequence[Stream], physical_name: str, force: bool = False) -> list[Dropped]:
    """The collections of a physical name, one for each store, as `drop` would remove them.

    Args:
        streams: all that `defs/` configures: an active collection may go once no stream of its name names its store.
        force: also those that a rollback may still need.

    Raises:
        SettingsError: there is none.
        CollectionError: one is in use, or was retired less than SYNC_ASSETS_COLLECTION_RETENTION_DAYS ago.
    """
    every = services.ledger.every_collection()
    found = [one for one in every if one.collection.name == physical_name]
    if not found:
        known = sorted({one.collection.name for one in every if not one.active})
        raise SettingsError(
            f"There is no collection {physical_name!r}.", f"Those that may go: {', '.join(known) or 'none'}."
        )
    days = services.settings.collection_retention_days
    for one in found:
        if one.active and is_kept(streams, one):
            raise CollectionError(
                f"{physical_name} in {one.store} is the active collection {one.name}.",
                f"Switch to another one first: `sync-assets collections switch {one.name}`.",
            )
        if one.retired_at is not None and one.retired_at > utc_now() - timedelta(days=days) and not force:
            raise CollectionError(
                f"{physical_name} was active until {one.retired_at:%Y-%m-%d %H:%M}, less than "
                f"SYNC_ASSETS_COLLECTION_RETENTION_DAYS={days} ago: a rollback may need it.",
                "Wait, or say --force.",
            )
    return [Dropped(one, holding(services.ledger, one.id)) for one in found]


def drop(services: Services, streams: Sequence[Stream], physical_name: str, force: bool = False) -> list[Dropped]:
    """Remove the collections of a physical name from their stores, then from the ledger; raises as `droppable`."""
    name = droppable(services, streams, physical_name, force)[0].collection.name
    with services.ledger.lock("collections", name):
        found = droppable(services, streams, physical_name, force)
        for one in found:
            services.store(one.collection.store).drop_collection(one.collection.collection)
            unregister(services.ledger, one.collection)
    return found


def _replace(
    services: Services,
    streams: Sequence[Stream],
    pairs: Sequence[Pair],
    progress: Progress,
    *,
    heals: bool,
    judged: bool,
) -> Switched:
    name = pairs[0].new.name
    targets = {pair.new.store: pair.new for pair in pairs}
    of_name = [as_it_was_made(stream, pairs[0].new) for stream in streams_of(streams, name)]
    refuse_beyond_limits(services, of_name, targets)
    built = fill(services, of_name, targets, progress)
    if heals and _heal(services, of_name, pairs, progress):
        built.counts.update(fill(services, of_name, targets, progress).counts)
    _refuse_damaged(services, of_name, pairs, progress)
    judgements = _judged(services, pairs, progress) if judged else []
    refuse_worse(judgements, name)
    with ExitStack() as held:
        for store in sorted(targets):
            held.enter_context(services.ledger.switching(store, name))
        # What syncs wrote since; now they wait.
        last = fill(services, of_name, targets)
        _refuse_losses(services, of_name, pairs, last)
        switch_collections(services.ledger, pairs)
    built.counts.update(last.counts)
    built.missing, built.failed, built.left_behind = last.missing, last.failed, last.left_behind
    built.seconds += last.seconds
    return Switched(list(pairs), built, judgements)


def _judged(services: Services, pairs: Sequence[Pair], progress: Progress) -> list[Judgement]:
    try:
        return [judge(services, pair, progress) for pair in pairs]
    except GraphError as error:
        raise CollectionError(
            f"Whether searches would find less can't be told, since resolved tickets are mined from the graph: "
            f"{error.message}",
            "Mend that, or switch without the golden set with --force.",
        ) from None


def _heal(services: Services, streams: Sequence[Stream], pairs: Sequence[Pair], progress: Progress) -> int:
    """Let `fill` write again what is damaged, and delete what the ledger never wrote; returns in how many ways."""
    healed = 0
    for _, _, findings in _damage(services, streams, pairs, progress):
        prepare(services, AuditResult(findings))
        healed += len(findings)
    return healed


def _refuse_damaged(services: Services, streams: Sequence[Stream], pairs: Sequence[Pair], progress: Progress) -> None:
    """Compare every point with the ledger and the cache.

    Raises:
        CollectionError: one is not as it should be.
    """
    for new, tenant, findings in _damage(services, streams, pairs, progress):
        kinds = ", ".join(f"{len(one.documents)} {one.kind}" for one in findings)
        raise CollectionError(
            f"{new.collection.name} in {new.store} is damaged for tenant {tenant} (documents: {kinds}).",
            f"Drop it and build it again: `sync-assets collections drop {new.collection.name}`.",
        )


def _damage(
    services: Services, streams: Sequence[Stream], pairs: Sequence[Pair], progress: Progress
) -> Iterator[tuple[RegisteredCollection, str, list[Finding]]]:
    """The new collections and the tenants of which a point is not as it should be, with all that is wrong."""
    tenants = sorted({tenant for one in streams for tenant in tenants_of(services.ledger, one.source, one.name)})
    for _, new in pairs:
        for tenant in tenants:
            findings, _ = audit_collection(services, new, tenant, AuditScope(), progress)
            if findings:
                yield new, tenant, findings


def _refuse_losses(services: Services, streams: Sequence[Stream], pairs: Sequence[Pair], built: Built) -> None:
    """Compare what the collections hold of each stream.

    Raises:
        CollectionError: a search would find less, or what was deleted.
    """
    for old, new in pairs:
        for stream in streams:
            if new.store not in stream.stores:
                continue
            for tenant in tenants_of(services.ledger, stream.source, stream.name):
                lost = lost_by_switching(services.ledger, stream.of(tenant), old.id, new.id)
                if lost:
                    failed = sum(1 for ref, _ in built.failed if ref == stream.of(tenant))
                    why = f"; {failed} can't be made with {new.model}" if failed else ""
                    raise CollectionError(
                        f"{new.collection.name} in {new.store} lacks {len(lost)} documents of {tenant} "
                        f"{stream.source}/{stream.name} that {old.collection.name} has, such as "
                        f"{', '.join(lost[:_SHOWN])}{why}.",
                        f"`sync-assets collections build {new.name}` says why; `sync-assets sync --all "
                        f"--tenant {tenant} --source {stream.source}` stores files that are gone again.",
                    )
