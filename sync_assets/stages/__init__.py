"""The stages in plain Python: raw, documents, chunks, embeddings, stores and graph.

Each takes a batch of change and returns one, with a report of what it did. They know nothing of Dagster: the assets in
`components/` and the tests call the same functions. Batches may be applied in any order, any number of times; the
ledger decides what is new (laws 1 and 2).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from sync_assets.batches import Batch, FileLayout, Grain, Partition, Stage
from sync_assets.chunking import ChunkLimits
from sync_assets.clock import utc_now
from sync_assets.embedding import ModelFingerprint
from sync_assets.enrichment.summaries import Summaries
from sync_assets.hashing import SetDigest, digest
from sync_assets.ledger import QuarantinedRecord, StreamRef, WindowState
from sync_assets.processors import ProcessorUse
from sync_assets.services import Services
from sync_assets.stages.findings import SAMPLE, Finding

if TYPE_CHECKING:
    from sync_assets.attachments.extracted import Limits

Progress = Callable[[str, int, int | None], None]


def no_progress(label: str, done: int, total: int | None) -> None:
    """The progress callback of those who don't watch: (what is worked on, rows done, rows in all where known)."""


@dataclass(frozen=True)
class Stream:
    """One stream of a source, as `defs.yaml` configures it.

    Attributes:
        collection: what its collections are called in every store.
        model: embedding model; None means the installation's.
        chunk_tokens: longest chunk in the model's tokens; None means as long as the model reads.
        window_messages: most messages in one window of a conversation.
        window_overlap: how many of them are the last ones of the window before.
        attachments: read the files that its documents name, within these limits; None leaves them unread.
        processors: what each part passes through before it is stored (`processors/`).
        keywords: derive keywords for its documents (`enrichment/`).
        summaries: how its documents are summarised; None for not.
        graph: the stage whose files feed the knowledge graph; None for none.
    """

    source: str
    name: str
    grain: Grain
    stores: tuple[str, ...]
    collection: str
    model: str | None = None
    chunk_tokens: int | None = None
    window_messages: int = 10
    window_overlap: int = 2
    attachments: "Limits | None" = None
    processors: tuple[ProcessorUse, ...] = ()
    keywords: bool = False
    summaries: Summaries | None = None
    graph: Literal["chunks", "documents"] | None = None

    def of(self, tenant: str) -> StreamRef:
        return StreamRef(tenant, self.source, self.name)

    def limits(self, model: ModelFingerprint) -> ChunkLimits:
        """How long its chunks may be for a model."""
        return ChunkLimits(
            max_tokens=self.chunk_tokens or model.max_tokens,
            messages=self.window_messages,
            overlap=self.window_overlap,
        )

    def layout(self, stage: Stage) -> FileLayout:
        return FileLayout(self.source, self.name, stage, self.grain)


@dataclass
class Context:
    """What every stage is handed beside its batch.

    Attributes:
        no_limits: whether more may be embedded than the settings allow.
        spared: in a rehearsal, which fetches no file, derives no keywords and asks no language model for a summary,
            counts those `files`, `keywords` and `summaries`, with their `summary_tokens_read` and
            `summary_tokens_written`; None in a run.
    """

    services: Services
    stream: Stream
    progress: Progress = no_progress
    clock: Callable[[], datetime] = utc_now
    no_limits: bool = False
    spared: Counter[str] | None = None

    def advance(self, tenant: str, stage: str, done: int, total: int | None) -> None:
        """Tell the progress watcher how many rows of the input are done."""
        self.progress(f"{tenant} {self.stream.source}/{self.stream.name} {stage}", done, total)


@dataclass
class Report:
    """What a stage did: counts by partition, digests by partition, what went wrong, and what is worth knowing.

    Counts are named as the command line prints them: documents, chunks, added, changed, unchanged, deleted,
    quarantined, embedded, reused, written, payloads.

    Attributes:
        findings: what was found of each rule that the stage's rows are judged by.
        changes: the first changed documents of each partition, for people.
        fields: in how many of a tenant's fetched records each field stands; `""` counts the records.
        tokens: how many chunks have how many tokens.
        origins: of each partition whose stored file may be kept, what it follows from (`kept.py`).
        collection: of a store's report, what the store calls the collection that was written.
        started: `time.monotonic()` when the stage began.
    """

    stage: str
    counts: dict[Partition, Counter[str]] = field(default_factory=dict)
    digests: dict[Partition, SetDigest] = field(default_factory=dict)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    previews: dict[Partition, list[dict[str, Any]]] = field(default_factory=dict)
    upstream: dict[tuple[str, str], WindowState] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    changes: dict[Partition, list[dict[str, Any]]] = field(default_factory=dict)
    fields: dict[str, Counter[str]] = field(default_factory=dict)
    tokens: Counter[int] = field(default_factory=Counter)
    origins: dict[Partition, str] = field(default_factory=dict)
    collection: str | None = None
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, stage: str, partitions: Iterable[Partition]) -> "Report":
        partitions = list(partitions)
        return cls(
            stage,
            {partition: Counter() for partition in partitions},
            {partition: SetDigest() for partition in partitions},
        )

    @classmethod
    def after(cls, context: "Context", upstream: Stage, stage: str, partitions: Iterable[Partition]) -> "Report":
        """A report that passes on how far upstream was known when the stage before stored its files."""
        report = cls.of(stage, partitions)
        for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
            windows = [partition.window for partition in group]
            states = context.services.ledger.window_states(context.stream.of(tenant), upstream, windows)
            report.upstream.update({(tenant, window): state for window, state in states.items()})
            context.advance(tenant, stage, 0, report.upstream_rows)
        return report

    @property
    def upstream_rows(self) -> int | None:
        """Rows that the stage before stored for these partitions; None where the ledger does not know."""
        return sum(state.rows for state in self.upstream.values()) or None

    def count(self, partition: Partition, name: str, number: int = 1) -> None:
        self.counts[partition][name] += number

    def total(self, name: str) -> int:
        return sum(counts[name] for counts in self.counts.values())

    @property
    def data_version(self) -> str:
        """Equal for equal content of the same partitions, whatever was done to get there."""
        return digest({partition.key: rows.hexdigest() for partition, rows in self.digests.items()})

    def show(self, partition: Partition, row: dict[str, Any], limit: int = 5) -> None:
        """Offer a row for a partition's preview; the first few are kept. Never a secret, never a text not public."""
        rows = self.previews.setdefault(partition, [])
        if len(rows) < limit:
            rows.append(row)

    def show_change(self, partition: Partition, row: dict[str, Any]) -> None:
        """Offer a changed document for the partition's table of changes; never a title that is not public."""
        rows = self.changes.setdefault(partition, [])
        if len(rows) < SAMPLE:
            rows.append(row)

    def distrust_unless(self, partition: Partition, digest: str) -> None:
        """Pass on nothing of how far upstream was known where the file that was read is not the one of that state.

        Two runs on one partition may leave one's file and the other's state.
        """
        key = (partition.tenant, partition.window)
        state = self.upstream.get(key)
        if state is not None and state.digest != digest:
            self.upstream[key] = state._replace(fetched_until=None, complete=False)

    def window_states(self) -> dict[tuple[str, str], WindowState]:
        """The state of each partition, as the ledger keeps it, by (tenant, window)."""
        states: dict[tuple[str, str], WindowState] = {}
        for partition, rows in self.digests.items():
            key = (partition.tenant, partition.window)
            before = self.upstream.get(key)
            states[key] = WindowState(
                rows.hexdigest(),
                rows.rows,
                before and before.fetched_until,
                before is not None and before.complete,
                self.origins.get(partition),
            )
        return states


class QuarantineDesk:
    """Collects what fails and what succeeds in a stage, and tells the ledger once per page (law 4)."""

    def __init__(self, context: Context, report: Report) -> None:
        self._context = context
        self._report = report
        self._held: dict[str, dict[str, str]] = {}

    def settle(
        self,
        partition: Partition,
        failed: Mapping[str, str],
        processed: Sequence[str],
    ) -> None:
        """Put `failed` (record id to reason) in quarantine and release the records that were `processed`."""
        stream = self._context.stream
        ledger = self._context.services.ledger
        stage = self._report.stage
        if partition.tenant not in self._held:
            held = ledger.quarantined(*stream.of(partition.tenant), stage)
            self._held[partition.tenant] = {record.record_id: record.window for record in held}
        records = [
            QuarantinedRecord(
                tenant=partition.tenant,
                source=stream.source,
                stream=stream.name,
                stage=stage,
                record_id=record_id,
                reason=reason[:2000],
                payload_ref=self._context.services.storage.uri(stream.layout("raw").path(partition)),
                window=partition.window,
            )
            for record_id, reason in failed.items()
        ]
        ledger.put_in_quarantine(records)
        self._report.quarantined.extend(records)
        self._report.count(partition, "quarantined", len(records))
        # An older window holds an older copy of a record that broke in a later one: it proves nothing.
        held_in = self._held[partition.tenant]
        good = {item for item in processed if item not in failed and held_in.get(item, "~") <= partition.window}
        if good:
            ledger.release(stream.of(partition.tenant), stage, sorted(good))


def record_states(context: Context, report: Report) -> Callable[[], None]:
    """What a stage's batch calls once its files are durable: the digests go to the ledger."""
    stream = context.stream
    return lambda: context.services.ledger.record_windows(
        report.stage, stream.source, stream.name, report.window_states()
    )


def advance_watermarks(context: Context, report: Report) -> None:
    """Move each tenant's mark over the windows of this run, up to the first one that is not known whole.

    What upstream's clocks may still deliver late, the overlap before the moment of the fetch, does not count as known.
    """
    overlap = timedelta(minutes=context.services.settings.overlap_minutes)
    for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
        windows = list(group)
        until = windows[0].start
        for window in windows:
            state = report.upstream.get((tenant, window.window))
            if window.start != until or state is None or not state.complete or state.fetched_until is None:
                break
            until = min(window.end, state.fetched_until - overlap)
            if until < window.end:
                break
        if until > windows[0].start:
            context.services.ledger.advance_watermark(context.stream.of(tenant), report.stage, windows[0].start, until)


__all__ = [
    "Batch",
    "Context",
    "Partition",
    "Progress",
    "QuarantineDesk",
    "Report",
    "Stream",
    "advance_watermarks",
    "record_states",
]
