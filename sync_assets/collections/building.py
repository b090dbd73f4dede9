"""Filling a collection beside the active one, from the stored documents and through the stages themselves.

What belongs here: bringing a collection what it lacks, and how much that would be. Which documents it lacks is found
out in `lacking.py`. Nothing is asked upstream; no stored file, window, watermark or quarantined record changes.
"""

import copy
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sync_assets.batches import Batch
from sync_assets.collections import streams_of
from sync_assets.collections.lacking import lacked_batches
from sync_assets.embedding.missing import MissingTexts, Texts
from sync_assets.errors import CollectionError
from sync_assets.ledger import NewCollection, RegisteredCollection, StreamRef
from sync_assets.ledger.beside import BesideLedger
from sync_assets.ledger.collections import (
    collections_named,
    left_behind,
    not_applied,
    register_beside,
    tenants_of_stream,
)
from sync_assets.ledger.throughput import tokens_per_second
from sync_assets.services import Services
from sync_assets.stages import Context, Progress, Stream, no_progress
from sync_assets.stages.chunks import make_chunks
from sync_assets.stages.embeddings import make_embeddings
from sync_assets.stages.limits import check_limits, missing_texts
from sync_assets.stages.precision import refuse_unchecked
from sync_assets.stages.store import Target, apply_to_store, distrust_what_was_lost, wanted_collection

# Syncs go on meanwhile: what they bring is looked for so often.
_ROUNDS = 3

_GO_ON = "Look at `sync-assets collections build --dry-run`; raise the limit."

# No collection has a negative number: one that does not exist yet holds nothing.
_NO_COLLECTION = -1


@dataclass
class Built:
    """What a build did.

    Attributes:
        counts: documents that were `lacking`, and of them `written`; texts `embedded` and `reused`.
        failed: why a record's document is not in the collections, by stream and record id.
        missing: of each stream, living documents that the ledger knows and no stored file has any more.
        left_behind: of each (source, stream) that `defs.yaml` no longer keeps in these collections, how many documents
            the active ones still hold of it: the new ones have none of them.
    """

    collections: list[RegisteredCollection]
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[tuple[StreamRef, str], str] = field(default_factory=dict)
    missing: dict[StreamRef, int] = field(default_factory=dict)
    left_behind: dict[tuple[str, str], int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return not self.failed and not self.missing


class Estimate(NamedTuple):
    """What a build would do.

    Attributes:
        texts, tokens: to embed.
        seconds: that the model needs for them; None where it was never measured here.
        cost: of them, in US dollars.
    """

    collections: list[str]
    documents: int
    chunks: int
    texts: int
    tokens: int
    seconds: float | None
    cost: float


class _Plan(NamedTuple):
    """Streams as the new collections want them, each with the stores that are built, and these collections by store."""

    streams: list[Stream]
    wanted: dict[str, NewCollection]


def build(
    services: Services,
    streams: Sequence[Stream],
    name: str,
    *,
    store: str | None = None,
    model: str | None = None,
    chunk_tokens: int | None = None,
    progress: Progress = no_progress,
) -> Built:
    """Register collections beside the active ones of a name, and fill them; what they have already is not done again.

    Args:
        streams: all that `defs/` configures.
        store: only in this one; default every store that has an active collection of the name.
        model, chunk_tokens: default what the settings and `defs.yaml` want now.

    Raises:
        SettingsError: no stream has such a collection, or the model's precision has passed no check.
        CollectionError: there is none to build beside, or it has this model and chunk size already.
        LimitError: more would be embedded than the settings allow; nothing was.
    """
    with services.ledger.lock("collections", name):
        plan = _plan(services, streams, name, store, model, chunk_tokens)
        refuse_beyond_limits(services, plan.streams, _known(services, plan))
        targets = {key: register_beside(services.ledger, new) for key, new in plan.wanted.items()}
        return fill(services, plan.streams, targets, progress)


def estimate(
    services: Services,
    streams: Sequence[Stream],
    name: str,
    *,
    store: str | None = None,
    model: str | None = None,
    chunk_tokens: int | None = None,
    progress: Progress = no_progress,
) -> Estimate:
    """What `build` with the same arguments would do; writes nothing. Raises what it raises, but no LimitError."""
    plan = _plan(services, streams, name, store, model, chunk_tokens)
    found: Counter[str] = Counter()
    seconds: float | None = 0.0
    cost = 0.0
    for stream, counts in _counted(services, plan.streams, _known(services, plan), progress):
        found.update(counts)
        speed = tokens_per_second(services.ledger, services.embedder(stream.model).fingerprint.key)
        if counts["tokens"]:
            seconds = None if seconds is None or speed is None else seconds + counts["tokens"] / speed
        cost += services.settings.price(stream.model, counts["tokens"])
    names = sorted({new.physical_name for new in plan.wanted.values()})
    return Estimate(
        names, found["documents"], found["chunks"], found["texts"], found["tokens"], seconds, round(cost, 6)
    )


def fill(
    services: Services,
    streams: Sequence[Stream],
    targets: Mapping[str, RegisteredCollection],
    progress: Progress = no_progress,
) -> Built:
    """Bring collections all that they lack of some streams. The caller holds the lock of their name.

    Args:
        streams: with the model and the limits that the collections were made with.
        targets: the collections by store; all of one name.

    Raises:
        FingerprintMismatch: a stream's model or the chunker is not what a collection was made with.
        StoreError: a store can't be reached; what was written before stays, and the next build does the rest.
        LedgerError: something of a tenant is erased for longer than SYNC_ASSETS_LOCK_TIMEOUT; likewise.
    """
    started = time.monotonic()
    built = Built(list(targets.values()))
    for collection in targets.values():
        services.store(collection.store).ensure_collection(collection.collection)
    for stream in streams:
        kept = replace(stream, stores=tuple(store for store in stream.stores if store in targets))
        for tenant in tenants_of_stream(services.ledger, stream.source, stream.name) if kept.stores else ():
            # Else what was read already would be written after it was erased.
            with services.ledger.filling(tenant):
                _fill_tenant(services, kept, tenant, targets, built, progress)
    refs = {(stream.source, stream.name) for stream in streams}
    for collection in targets.values():
        active = services.ledger.active_collection(collection.store, collection.name)
        if active is not None:
            built.left_behind |= left_behind(services.ledger, active.id, refs)
    built.seconds = time.monotonic() - started
    return built


def refuse_beyond_limits(
    services: Services, streams: Sequence[Stream], targets: Mapping[str, RegisteredCollection]
) -> None:
    """Count what `fill` would embed, where a limit is set; a store without a collection lacks everything.

    Raises:
        LimitError: naming the limit, and what was found.
    """
    settings = services.settings
    if settings.max_embedded_texts is None and settings.max_cost is None:
        return
    for stream, counts in _counted(services, streams, targets, no_progress):
        check_limits(services, stream, Texts(counts["texts"], counts["tokens"]), _GO_ON)


def is_wanted(services: Services, streams: Sequence[Stream], collection: RegisteredCollection) -> bool:
    """Whether syncs of all its streams would write a collection as the settings and `defs.yaml` are now."""
    of_name = [stream for stream in streams_of(streams, collection.name) if collection.store in stream.stores]
    wanted = {wanted_collection(Context(services, stream), collection.store).fingerprint for stream in of_name}
    return wanted == {collection.collection.fingerprint}


def _plan(
    services: Services,
    streams: Sequence[Stream],
    name: str,
    store: str | None,
    model: str | None,
    chunk_tokens: int | None,
) -> _Plan:
    of_name = [
        replace(stream, model=model or stream.model, chunk_tokens=chunk_tokens or stream.chunk_tokens)
        for stream in streams_of(streams, name)
    ]
    active = {one.store: one for one in collections_named(services.ledger, name, store) if one.active}
    if not active:
        where = f" in {store}" if store else ""
        raise CollectionError(f"There is no collection {name}{where} to build beside.", "Run `sync-assets sync` first.")
    wanted: dict[str, NewCollection] = {}
    for stream in of_name:
        refuse_unchecked(services, services.embedder(stream.model))
        for key in sorted(active.keys() & set(stream.stores)):
            new = wanted_collection(Context(services, stream), key)
            if new.fingerprint != wanted.setdefault(key, new).fingerprint:
                raise CollectionError(
                    f"The streams of {name} want different collections: {new.description}; {wanted[key].description}.",
                    "Give them one model and one chunk size in defs.yaml, or with --model and --chunk-tokens.",
                )
    wanted = {key: new for key, new in wanted.items() if active[key].collection.fingerprint != new.fingerprint}
    if not wanted:
        made = next(iter(active.values()))
        raise CollectionError(
            f"Collection {name} is made with {made.description} already.",
            "Name another model or chunk size: --model, --chunk-tokens, SYNC_ASSETS_MODEL, or defs.yaml.",
        )
    return _Plan([replace(one, stores=tuple(key for key in one.stores if key in wanted)) for one in of_name], wanted)


def _fill_tenant(
    services: Services,
    stream: Stream,
    tenant: str,
    targets: Mapping[str, RegisteredCollection],
    built: Built,
    progress: Progress,
) -> None:
    ref, ledger = stream.of(tenant), services.ledger
    beside = BesideLedger(ledger, targets)
    context = _context(services, stream, beside)
    for store in stream.stores:
        distrust_what_was_lost(context, Target(services.store(store), targets[store]), tenant)
    ids = [targets[store].id for store in stream.stores]
    label = f"{tenant} {ref.source}/{ref.stream} {targets[stream.stores[0]].collection.name}"
    before = -1
    for _ in range(_ROUNDS):
        lacking = not_applied(ledger, ref, ids)
        if lacking in (0, before):
            break
        before, done = lacking, 0
        beside.failed.clear()
        progress(label, 0, lacking)
        for batch, documents in lacked_batches(services, ref, ids):
            _apply(context, batch, built.counts)
            done += documents
            progress(label, done, max(lacking, done))
        built.counts["lacking"] += done
    built.failed |= beside.failed
    if missing := not_applied(ledger, ref, ids, living=True) - len(beside.failed):
        built.missing[ref] = missing


def _apply(context: Context, batch: Batch, counts: Counter[str]) -> None:
    chunks, _ = make_chunks(context, batch)
    embeddings, report = make_embeddings(context, chunks)
    counts.update({name: report.total(name) for name in ("embedded", "reused")})
    for store in context.stream.stores:
        applied = apply_to_store(context, store, embeddings)
        counts.update({name: applied.total(name) for name in ("written", "removed")})


def _context(services: Services, stream: Stream, ledger: BesideLedger) -> Context:
    beside = copy.copy(services)
    beside.ledger = ledger
    # Limits are of what a whole command embeds, and were checked before: a batch is a part of that.
    return Context(beside, stream, no_limits=True)


def _known(services: Services, plan: _Plan) -> dict[str, RegisteredCollection]:
    """Those of the planned collections that were begun before, by store."""
    return {
        key: one
        for key, new in plan.wanted.items()
        for one in collections_named(services.ledger, new.name, key)
        if one.collection.fingerprint == new.fingerprint
    }


def _counted(
    services: Services, streams: Sequence[Stream], known: Mapping[str, RegisteredCollection], progress: Progress
) -> Iterator[tuple[Stream, Counter[str]]]:
    """Of each stream, the documents that the collections lack, their chunks, and what of these is to be embedded.

    Args:
        known: the collections by store; one that does not exist yet lacks everything.
    """
    with services.ledger.session() as session:
        missing = MissingTexts(session)
        for stream in streams:
            ids = [known[store].id if store in known else _NO_COLLECTION for store in stream.stores]
            context = _context(services, stream, BesideLedger(services.ledger, known))
            counts: Counter[str] = Counter()
            for tenant in tenants_of_stream(services.ledger, stream.source, stream.name) if ids else ():
                ref = stream.of(tenant)
                lacking, done = not_applied(services.ledger, ref, ids), 0
                for batch, documents in lacked_batches(services, ref, ids):
                    chunks, report = make_chunks(context, batch)
                    texts = missing_texts(context, chunks, missing)
                    counts.update(documents=documents, chunks=report.total("chunks"), **texts._asdict())
                    done += documents
                    progress(f"{tenant} {ref.source}/{ref.stream}", done, max(lacking, done))
            yield stream, counts
