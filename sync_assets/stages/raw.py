"""Raw: what upstream says about the chosen windows, exactly as received.

Windows are the fast path: one listing for each contiguous stretch, from where the last fetch ended. The sweep is the
guarantee: a listing of all live ids, compared with the ledger; what differs is fetched by id and joins the last window
of the run. Records in quarantine are fetched again in the same way, and so are records that were asked for by id, in a
run that lists nothing.
"""

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from sync_assets.batches import Batch, BatchWriter, Partition, dump_json, load_json, raw_table
from sync_assets.documents import RAW_SCHEMA, Record, document_id
from sync_assets.errors import GraphError, SourceError
from sync_assets.hashing import SetDigest, text_hash
from sync_assets.ledger import AppliedVersion, WindowState
from sync_assets.ledger.forgotten import forgotten_records
from sync_assets.ledger.sweeps import sweep_difference
from sync_assets.paging import pages
from sync_assets.sources import Hidden, LiveId, Source
from sync_assets.sources.calls import counting_calls
from sync_assets.stages import Context, Report

STAGE = "raw"

# What a schema calls a field; ids and texts that stand for one are not.
_NAME = re.compile(r"[A-Za-z_]\w{0,62}$", re.ASCII)

# Stands for a collection that does not exist yet, so that every document is missing in it.
NO_COLLECTION = -1


class RawOptions(BaseModel):
    """How to fetch; the run configuration of every raw asset."""

    model_config = ConfigDict(extra="forbid")

    sweep: bool = Field(
        default=False, description="Compare all live ids upstream with the ledger, and mend what differs"
    )
    limit: int | None = Field(
        default=None, ge=1, description="Stop after this many records of each tenant; moves no watermark"
    )
    records: list[str] = Field(
        default=[], description="Fetch only the records of these ids, and list no window; moves no watermark"
    )


def extract_raw(context: Context, partitions: Sequence[Partition], options: RawOptions) -> tuple[Batch, Report]:
    """Fetch the changes of the partitions' windows.

    Raises:
        SourceError: a tenant's account refused or could not be reached; nothing is stored then.
    """
    ordered = sorted(partitions)
    report = Report.of(STAGE, ordered)
    writer = BatchWriter(context.stream.layout(STAGE), RAW_SCHEMA, ordered)
    states: dict[tuple[str, str], WindowState] = {}
    for tenant, windows in groupby(ordered, key=lambda partition: partition.tenant):
        chosen = list(windows)
        with counting_calls() as calls, context.services.tenants.open(context.stream.source, tenant) as account:
            _TenantExtraction(context, account, chosen, options, writer, report, states).run()
        # Calls are about no window; the last one has them, so that sums over partitions are right.
        for name, number in (("calls", calls.asked), ("http_429", calls.throttled), ("http_failed", calls.failed)):
            report.count(chosen[-1], name, number)
    stream = context.stream

    def on_stored() -> None:
        context.services.ledger.record_windows(STAGE, stream.source, stream.name, states)

    return writer.finish(on_stored), report


class _TenantExtraction:
    """The windows of one tenant, fetched into the writer."""

    def __init__(
        self,
        context: Context,
        account: Source,
        windows: list[Partition],
        options: RawOptions,
        writer: BatchWriter,
        report: Report,
        states: dict[tuple[str, str], WindowState],
    ) -> None:
        self._context = context
        self._account = account
        self._windows = windows
        self._options = options
        self._writer = writer
        self._report = report
        self._states = states
        self._starts = [window.start for window in windows]
        self._seen: set[str] = set()
        self._asked: set[str] = set()
        self._left = options.limit
        self._ref = context.stream.of(windows[0].tenant)
        self._held = context.services.ledger.quarantined(*self._ref)
        ceiling = context.services.settings.quarantine_max_attempts
        self._given_up = {record.record_id for record in self._held if record.attempts >= ceiling}

    def run(self) -> None:
        if self._options.records:
            self._fetch_by_id(self._options.records)
            return
        started = self._context.clock()
        carried: list[Partition] = []
        for stretch in _stretches(self._windows):
            since, carry = self._resume_point(stretch[0])
            if carry:
                carried.append(stretch[0])
            if since < started:
                self._write(self._account.extract(self._context.stream.name, since, stretch[-1].end))
        if self._options.limit is None:
            if self._options.sweep:
                self._sweep()
            self._retry_quarantined()
            self._release_what_is_gone({window.window for window in self._windows if window not in carried})
        for window in carried:
            self._carry_over(window)
        for window in self._windows:
            rows = self._report.digests[window]
            self._states[(window.tenant, window.window)] = WindowState(
                rows.hexdigest(), rows.rows, started, self._options.limit is None
            )

    def _fetch_by_id(self, record_ids: Sequence[str]) -> None:
        """Add these records as they are now to the last window; how far upstream is known stays as it was."""
        self._fetch_authoritative(list(dict.fromkeys(record_ids)), known_only=True)
        names = [window.window for window in self._windows]
        states = self._context.services.ledger.window_states(self._ref, STAGE, names)
        for window in self._windows:
            before = states.get(window.window)
            trusted = before is not None and before.digest == self._stored_digest(window)
            self._carry_over(window)
            rows = self._report.digests[window]
            self._states[(window.tenant, window.window)] = WindowState(
                rows.hexdigest(),
                rows.rows,
                before.fetched_until if before is not None and trusted else None,
                before is not None and trusted and before.complete,
            )

    def _resume_point(self, window: Partition) -> tuple[datetime, bool]:
        """Where to start in the first window of a stretch, and whether its stored records are to be carried over.

        A window that was fetched while it was still open is continued; a closed one is fetched whole again, and so is
        one whose stored file is not the one that the ledger describes.
        """
        state = self._context.services.ledger.window_states(self._ref, STAGE, [window.window]).get(window.window)
        if state is None or state.fetched_until is None or not state.complete:
            return window.start, False
        known_until = state.fetched_until - timedelta(minutes=self._context.services.settings.overlap_minutes)
        if known_until >= window.end:
            return window.start, False
        if self._stored_digest(window) != state.digest or not self._was_read(window, state):
            return window.start, False
        return max(window.start, known_until), True

    def _was_read(self, window: Partition, state: WindowState) -> bool:
        """Whether the ledger knows of the stored records: of others a sweep can't tell that they are gone."""
        states = self._context.services.ledger.window_states(self._ref, "documents", [window.window])
        return window.window in states and states[window.window].fetched_until == state.fetched_until

    def _stored_digest(self, window: Partition) -> str:
        stored = SetDigest()
        for table in self._stored(window):
            for row in digest_rows(table):
                stored.add(row)
        return stored.hexdigest()

    def _carry_over(self, window: Partition) -> None:
        """Keep the stored records of a continued window that were not fetched anew."""
        for table in self._stored(window):
            self._write_to(window, [record for record in records_of(table) if record.record_id not in self._seen])

    def _stored(self, window: Partition) -> Iterator[pa.Table]:
        with TemporaryDirectory(prefix="sync_assets-") as folder:
            layout = self._context.stream.layout(STAGE)
            path = self._context.services.storage.get(layout.path(window), Path(folder))
            if path is None:
                return
            for _, table in Batch({window: path}, layout).pages():
                yield table

    def _sweep(self) -> None:
        stream = self._context.stream
        services = self._context.services
        registered = [services.ledger.active_collection(store, stream.collection) for store in stream.stores]
        hidden: list[Hidden] = []
        try:
            difference = sweep_difference(
                services.ledger,
                self._ref,
                shown(self._account.live_ids(stream.name), hidden),
                [NO_COLLECTION if collection is None else collection.id for collection in registered],
                self._in_graph() if self._graph_is_there() else None,
            )
        except (SourceError, GraphError) as error:
            self._refuse(f"the listing failed: {error}")
            return
        limit = services.settings.sweep_max_delete_share
        missing = self._without_hidden(difference.gone, hidden)
        gone = [record_id for record_id in missing if record_id not in self._seen]
        if missing and not difference.listed:
            self._refuse(f"upstream lists nothing, the ledger has {difference.living} documents")
            gone = []
        elif gone and len(gone) > limit * difference.living:
            self._refuse(
                f"{len(gone)} of {difference.living} documents are missing upstream, more than "
                f"SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE={limit:g} allows"
            )
            gone = []
        # A record that was just fetched comes again only where its own time would make it look old.
        wanted = [
            record_id
            for record_id in difference.wanted
            if record_id not in self._seen or record_id in difference.rewound
        ]
        self._fetch_authoritative([*wanted, *gone])

    def _graph_is_there(self) -> bool:
        """Whether the stream feeds a graph that can be reached; that it can't be is told, and stops nothing else."""
        if self._context.stream.graph is None:
            return False
        try:
            with self._context.services.graph.transaction():
                return True
        except GraphError as error:
            self._report.problems.append(
                f"{self._ref.tenant}: the sweep of {self._ref.source}/{self._ref.stream} left the graph alone: {error}"
            )
            return False

    def _in_graph(self) -> Iterator[AppliedVersion]:
        from sync_assets.graph.store_documents import applied_versions

        with self._context.services.graph.transaction() as connection:
            yield from applied_versions(connection, self._ref)

    def _without_hidden(self, record_ids: Sequence[str], hidden: Sequence[Hidden]) -> list[str]:
        """Leave out what can't be called gone, and tell why where something is to be done about it."""
        left = list(record_ids)
        for one in hidden:
            shown = [record_id for record_id in left if not record_id.startswith(one.prefix)]
            if one.reason and len(shown) < len(left):
                self._report.problems.append(
                    f"{self._ref.tenant}: the sweep of {self._ref.source}/{self._ref.stream} left "
                    f"{len(left) - len(shown)} documents as they are: {one.reason}"
                )
            left = shown
        return left

    def _fetch_authoritative(self, record_ids: Sequence[str], known_only: bool = False) -> None:
        """Records as they are now, which stand whatever their modification time.

        Args:
            known_only: leave out, and tell, what neither lives upstream nor was ever seen: an id that was mistyped.
        """
        forgotten = forgotten_records(self._context.services.ledger, self._ref, record_ids)
        wanted = [record_id for record_id in record_ids if record_id not in forgotten]
        if known_only:
            self._tell_forgotten(forgotten)
        found = self._account.fetch(self._context.stream.name, wanted)
        if known_only:
            found = self._without_strangers(found, self._known_among(record_ids))
        self._write((record.model_copy(update={"authoritative": True}) for record in found), late=True)

    def _tell_forgotten(self, record_ids: Iterable[str]) -> None:
        for record_id in sorted(record_ids):
            self._report.problems.append(
                f"{self._ref.tenant}: {self._ref.source}/{self._ref.stream} record {record_id!r} was forgotten; "
                "`sync-assets forget --undo` lets it come back."
            )

    def _known_among(self, record_ids: Sequence[str]) -> set[str]:
        tenant, source, _ = self._ref
        ids = {document_id(tenant, source, record_id): record_id for record_id in record_ids}
        known = self._context.services.ledger.known_documents(self._ref, list(ids))
        return {ids[identity] for identity in known} | {record.record_id for record in self._held}

    def _without_strangers(self, records: Iterable[Record], known: set[str]) -> Iterator[Record]:
        for record in records:
            if record.event == "live" or record.record_id in known:
                yield record
            else:
                self._report.problems.append(
                    f"{self._ref.tenant}: {self._ref.source}/{self._ref.stream} has no record {record.record_id!r}, "
                    "and none was ever synced."
                )

    def _refuse(self, reason: str) -> None:
        self._report.problems.append(
            f"{self._ref.tenant}: the sweep of {self._ref.source}/{self._ref.stream} deleted nothing: {reason}."
        )

    def _retry_quarantined(self) -> None:
        waiting = {record.record_id for record in self._held if not has_no_id(record.record_id)}
        # One that was listed in an older window than it broke in is asked for again: that copy proves nothing.
        wanted = sorted(waiting - self._asked - self._given_up)
        if wanted:
            self._write(self._account.fetch(self._context.stream.name, wanted), late=True)

    def _release_what_is_gone(self, whole: set[str]) -> None:
        """Records without an id that are not there any more, in windows that were fetched whole: they were mended."""
        gone = [
            record.record_id
            for record in self._held
            if has_no_id(record.record_id) and record.window in whole and record.record_id not in self._seen
        ]
        self._context.services.ledger.release(self._ref, "documents", gone)

    def _write(self, records: Iterable[Record], late: bool = False) -> None:
        """Write records to their windows; late findings, and those without a time, to the last one."""
        for page in pages(records, 100):
            by_window: dict[Partition, list[Record]] = {}
            for record in page:
                if self._left is not None:
                    if not self._left:
                        break
                    self._left -= record.event != "deleted"
                self._seen.add(record.record_id)
                if late:
                    self._asked.add(record.record_id)
                by_window.setdefault(self._windows[-1] if late else self._window_of(record), []).append(record)
            for window, group in by_window.items():
                self._note_fields(group)
                self._write_to(window, group)
            self._context.advance(self._ref.tenant, STAGE, self._report.total("records"), None)
            if self._left == 0:
                return

    def _note_fields(self, records: Iterable[Record]) -> None:
        seen = self._report.fields.setdefault(self._ref.tenant, Counter())
        for record in records:
            if record.event == "live" and isinstance(record.payload, dict):
                seen[""] += 1
                seen.update(field_names(record.payload))

    def _write_to(self, window: Partition, records: list[Record]) -> None:
        ids = {record.record_id for record in records}
        forgotten = forgotten_records(self._context.services.ledger, self._ref, ids)
        records = [record for record in records if record.record_id not in forgotten]
        if not records:
            return
        rows = [{**record.model_dump(exclude={"payload"}), "payload": dump_json(record.payload)} for record in records]
        table = raw_table(rows, window)
        self._writer.write(window, table)
        for row in digest_rows(table):
            self._report.digests[window].add(row)
        for record in records:
            self._report.count(window, "records")
            self._report.count(window, record.event)
            self._report.show(
                window, {"record": record.record_id, "event": record.event, "modified": record.modified_at}
            )

    def _window_of(self, record: Record) -> Partition:
        if record.modified_at is None:
            return self._windows[-1]
        index = bisect.bisect_right(self._starts, record.modified_at) - 1
        return self._windows[max(index, 0)]


def records_of(table: pa.Table) -> Iterator[Record]:
    """The records of a raw table."""
    for row in table.to_pylist():
        del row["partition"]
        yield Record(**{**row, "cheap_version": row["cheap_version"] or "", "payload": load_json(row["payload"])})


def field_names(payload: dict[str, Any]) -> Iterator[str]:
    """Names of the fields of a payload, and of the objects in it, as `a` and `a.b`; ids that serve as names aside."""
    for name, value in payload.items():
        if not _NAME.match(name):
            continue
        yield name
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value if _NAME.match(inner))


def digest_rows(table: pa.Table) -> Iterator[list[Any]]:
    """What makes the digest of a raw partition: content, and not when it was seen."""
    for row in table.select(["record_id", "event", "modified_at", "payload"]).to_pylist():
        yield [row["record_id"], row["event"], row["modified_at"], text_hash(row["payload"])]


def has_no_id(record_id: str) -> bool:
    """Whether a record came without an id that upstream can be asked for."""
    return record_id.startswith("malformed-")


def shown(listing: Iterable[LiveId | Hidden], hidden: list[Hidden]) -> Iterator[LiveId]:
    """What upstream shows; the rest is added to `hidden`."""
    for item in listing:
        if isinstance(item, Hidden):
            hidden.append(item)
        else:
            yield item


def _stretches(windows: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Windows in order, cut where one does not follow the other at once."""
    stretch: list[Partition] = []
    for window in windows:
        if stretch and stretch[-1].end != window.start:
            yield stretch
            stretch = []
        stretch.append(window)
    yield stretch
