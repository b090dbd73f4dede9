"""The chain of a source: for each stream raw, documents, chunks, embeddings and one asset for each store.

What belongs here: how the plain stages become assets that people see, partition and backfill. What the stages do is in
`stages/`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import dagster as dg
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from sync_assets.attachments.extracted import Limits
from sync_assets.automation.sensors import change_sensor
from sync_assets.batches import Batch, Grain, Stage
from sync_assets.checks.batch import batch_checks, batch_specs
from sync_assets.checks.health import health_checks
from sync_assets.checks.run import QUARANTINE_RULE, quarantine_check, sweep_check
from sync_assets.checks.upstream import upstream_checks, upstream_specs
from sync_assets.chunks import CHUNK_SCHEMA, embedding_schema
from sync_assets.components.failures import failures
from sync_assets.components.lineage import code_reference, column_lineage, made_of
from sync_assets.components.metadata import (
    attach_partition_metadata,
    column_schema,
    held_at,
    partition_metadata,
    report_metadata,
    summary,
)
from sync_assets.components.outcome import outcome
from sync_assets.components.progress import progress_of
from sync_assets.components.source_graph import build_graph_asset
from sync_assets.components.source_schedules import Schedules
from sync_assets.documents import DOCUMENT_SCHEMA, RAW_SCHEMA
from sync_assets.enrichment.summaries import Summaries
from sync_assets.partitions import NO_LIMITS, build_partitions, to_partition
from sync_assets.processors import ProcessorUse
from sync_assets.services import Services
from sync_assets.sources import SOURCE_NAMES
from sync_assets.stages import Context, Partition, Report, Stream
from sync_assets.stages.raw import RawOptions, extract_raw

_BATCH = dg.DagsterType(
    lambda _, value: isinstance(value, Batch), "Batch", description="Rows of one stage, a file for each partition."
)
_STORE_KINDS = {"qdrant": "qdrant", "pgvector": "postgres", "chroma": "chroma"}


class StreamSync(dg.Model, dg.Resolvable):
    """One stream of a source.

    Attributes:
        description: what its records are, for people.
        upstream: the asset that writes what this stream reads, as `a/b/c`; default none, it comes from outside.
        stores: vector stores that it is kept in.
        collection: what its collection is called in every store; default `<source>_<stream>`.
        embedding_model: default the installation's SYNC_ASSETS_MODEL.
        chunk_tokens: longest chunk in the model's tokens; default as long as the model reads.
        window_messages: of a conversation, most messages in one window.
        window_overlap: of a conversation, how many of them are the last ones of the window before.
        sensor_sweeps: let runs that the sensor asks for sweep too: for a stream that is listed in few calls and whose
            probe shows deletions, or edits, that no window has.
        attachments: read the files that its documents name; their texts are found with them. Documents that are stored
            already get them when their windows run again: materialize these once after switching it on.
        attachment_limits: other limits than the default ones, by name (`attachments/extracted.py`).
        processors: what each part passes through, in order, as `kind: name` (`processors/__init__.py`). After a change,
            a new mask above all, materialize the windows that are stored already: until then they stay as they are.
        keywords: derive keywords for its documents; they join the title in what is embedded.
        summaries: summarise its documents; `{}` for sentences chosen from them, else `kind`, `model` and
            `max_characters` (`enrichment/summaries.py`). Documents that are stored already get theirs when their
            windows run again.
        graph: the stage that feeds the knowledge graph: `chunks` for tickets, `documents` for others; default none.
    """

    description: str
    upstream: str | None = None
    stores: list[str]
    collection: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,38}$")
    embedding_model: str | None = None
    chunk_tokens: int | None = Field(default=None, ge=16)
    window_messages: int = Field(default=10, ge=1)
    window_overlap: int = Field(default=2, ge=0)
    sensor_sweeps: bool = False
    attachments: bool = False
    attachment_limits: dict[str, int | str] = {}
    processors: list[str] = []
    keywords: bool = False
    summaries: dict[str, int | str] | None = None
    graph: Literal["chunks", "documents"] | None = None

    @field_validator("summaries")
    @classmethod
    def _summaries(cls, value: dict[str, int | str] | None) -> dict[str, int | str] | None:
        if value is not None:
            Summaries.model_validate(value)
        return value

    @model_validator(mode="after")
    def _sensible(self) -> "StreamSync":
        if not self.stores:
            raise ValueError("stores is empty; name at least one vector store")
        if self.window_overlap >= self.window_messages:
            raise ValueError(f"window_overlap must be smaller than window_messages ({self.window_messages})")
        return self


class SourceSync(dg.Component, dg.Model, dg.Resolvable):
    """Keeps the streams of one upstream system in step with the vector stores.

    Attributes:
        source: the upstream system; `sync_assets/sources/<source>.py` speaks its protocol.
        streams: its streams by name.
        grain: width of the windows of the upstream modification time.
        start: first window; older records are found by sweeps.
        schedules: when to sync by itself what.
        freshness_hours: how long a tenant's data may lie behind upstream before a check warns.
        owners: of every asset, as e-mail addresses or `team:<name>`.
    """

    source: str
    streams: dict[str, StreamSync]
    grain: Grain = "day"
    start: str = Field("2020-01-01", pattern=r"^\d{4}-\d\d-\d\d$")
    schedules: Schedules = Schedules()
    freshness_hours: int = Field(default=30, ge=1)
    owners: list[str] = []

    @model_validator(mode="after")
    def _known_source(self) -> "SourceSync":
        if self.source not in SOURCE_NAMES:
            raise ValueError(f"source {self.source!r} is unknown; sources are: {', '.join(SOURCE_NAMES)}")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        partitions = build_partitions(self.source, self.grain, self.start)
        assets: list[Any] = []
        for name, sync in self.streams.items():
            assets.extend(_StreamAssets(self.stream(name), sync, partitions, self.owners).build())
        feeding = [stream for name in self.streams if (stream := self.stream(name)).graph]
        if feeding:
            assets.append(build_graph_asset(self.source, feeding, partitions, self.owners))
        chain = [key for asset in assets if isinstance(asset, dg.AssetsDefinition) for key in asset.keys]
        streams = [self.stream(name) for name in self.streams]
        every = self.schedules.incremental_sweeps
        sweeping = [name for name, sync in self.streams.items() if every or sync.sensor_sweeps]
        return dg.Definitions(
            assets=assets,
            asset_checks=[health_checks(self.source, streams, self.freshness_hours)],
            schedules=self.schedules.build(self.source, chain),
            sensors=[change_sensor(self.source, chain, sweeping=sweeping)],
        )

    def stream(self, name: str) -> Stream:
        """One of the streams, as the stages take it."""
        sync = self.streams[name]
        return Stream(
            source=self.source,
            name=name,
            grain=self.grain,
            stores=tuple(sync.stores),
            collection=sync.collection or f"{self.source}_{name}",
            model=sync.embedding_model,
            chunk_tokens=sync.chunk_tokens,
            window_messages=sync.window_messages,
            window_overlap=sync.window_overlap,
            attachments=Limits.model_validate(sync.attachment_limits) if sync.attachments else None,
            processors=tuple(map(ProcessorUse.parse, sync.processors)),
            keywords=sync.keywords,
            summaries=None if sync.summaries is None else Summaries.model_validate(sync.summaries),
            graph=sync.graph,
        )


class _StreamAssets:
    """The assets of one stream."""

    def __init__(
        self, stream: Stream, sync: StreamSync, partitions: dg.PartitionsDefinition, owners: Sequence[str]
    ) -> None:
        self._stream = stream
        self._description = sync.description
        self._written_by = [dg.AssetKey.from_user_string(sync.upstream)] if sync.upstream else []
        self._partitions = partitions
        self._owners = list(owners)

    def build(self) -> Iterator[dg.AssetsDefinition | dg.AssetSpec]:
        yield self._upstream()
        yield self._raw()
        yield self._transformation(
            "documents",
            "raw",
            "Records in platform-neutral form, with tombstones; what is older than the ledger is left out.",
            DOCUMENT_SCHEMA,
        )
        yield self._transformation(
            "chunks",
            "documents",
            "Documents cut into pieces that the model reads whole, each with a steady id.",
            CHUNK_SCHEMA,
        )
        yield self._transformation(
            "embeddings",
            "chunks",
            "A vector for every chunk, computed once for each text and model.",
            embedding_schema(1),
        )
        for store in self._stream.stores:
            yield self._store(store)

    def _key(self, stage: str) -> dg.AssetKey:
        return dg.AssetKey([self._stream.source, self._stream.name, stage])

    def _upstream(self) -> dg.AssetSpec:
        return dg.AssetSpec(
            self._key("upstream"),
            deps=self._written_by,
            description=f"{self._description} They live in the upstream system; nothing is triggered from here.",
            group_name=self._stream.source,
            kinds={self._stream.source, self._stream.name},
            owners=self._owners,
            tags={"stream": self._stream.name, "stage": "upstream"},
        )

    def _raw(self) -> dg.AssetsDefinition:
        class RawConfig(dg.Config, RawOptions):
            """How to fetch."""

        def raw(
            context: dg.AssetExecutionContext, config: RawConfig, services: dg.ResourceParam[Services]
        ) -> dg.MaterializeResult:
            with failures():
                options = RawOptions(sweep=config.sweep, limit=config.limit, records=config.records)
                batch, report = extract_raw(self._context(context, services), self._run_partitions(context), options)
                whole = options.limit is None and not options.records
                checks = upstream_checks(services.ledger, self._stream, report, self._key("raw"), whole)
                checks.append(sweep_check(report, self._key("raw")))
                return self._result(context, services, report, batch, checks)

        return self._asset(
            raw,
            "raw",
            f"{self._description} The changes of each window as received, one compressed JSON line a record.",
            {"json"},
            metadata={"dagster/column_schema": column_schema(RAW_SCHEMA)},
            checks=[
                self._check("sweep", "raw", "No sweep of this run refused to delete."),
                *upstream_specs(self._key("raw")),
            ],
            deps=[self._key("upstream")],
            pool=f"{self._stream.source}_api",
            io_manager_key="object_storage",
            dagster_type=_BATCH,
        )

    def _transformation(
        self, stage: Stage, upstream: Stage, description: str, schema: pa.Schema
    ) -> dg.AssetsDefinition:
        def transform(
            context: dg.AssetExecutionContext, services: dg.ResourceParam[Services], batch: Batch
        ) -> dg.MaterializeResult:
            with failures():
                result, report = _make(stage)(self._context(context, services), batch)
                return self._result(context, services, report, result)

        return self._asset(
            transform,
            stage,
            description,
            {"parquet"},
            metadata={
                "dagster/column_schema": column_schema(schema, made_of(stage)),
                **column_lineage(stage, self._key(upstream)),
            },
            ins={"batch": dg.AssetIn(self._key(upstream))},
            io_manager_key="documents" if stage == "documents" else "object_storage",
            dagster_type=_BATCH,
        )

    def _store(self, store: str) -> dg.AssetsDefinition:
        def apply(
            context: dg.AssetExecutionContext, services: dg.ResourceParam[Services], batch: Batch
        ) -> dg.MaterializeResult:
            from sync_assets.stages.store import apply_to_store

            with failures():
                report = apply_to_store(self._context(context, services), store, batch)
                return self._result(context, services, report, None)

        return self._asset(
            apply,
            store,
            f"The chunks of every live document, searchable in {store}'s collection {self._stream.collection}.",
            {_STORE_KINDS.get(store, store)},
            metadata={
                "collection": self._stream.collection,
                "embedding_model": self._stream.model or "the installation's SYNC_ASSETS_MODEL",
            },
            ins={"batch": dg.AssetIn(self._key("embeddings"))},
        )

    def _asset(
        self,
        function: Callable[..., Any],
        stage: str,
        description: str,
        kinds: set[str],
        metadata: dict[str, Any],
        checks: Sequence[dg.AssetCheckSpec] = (),
        **options: Any,
    ) -> dg.AssetsDefinition:
        """What all assets of the chain have in common."""
        quarantine = self._check("quarantine", stage, QUARANTINE_RULE)
        made = dg.asset(
            key=self._key(stage),
            partitions_def=self._partitions,
            backfill_policy=dg.BackfillPolicy.single_run(),
            description=description,
            group_name=self._stream.source,
            owners=self._owners,
            # The UI shows the last part of a key only: the kind tells the rows of a source's group apart.
            kinds={self._stream.name, *kinds},
            tags={"stream": self._stream.name, "stage": stage},
            metadata={**metadata, **code_reference(stage)},
            check_specs=[quarantine, *batch_specs(self._key(stage)), *checks],
            **options,
        )(function)
        assert isinstance(made, dg.AssetsDefinition)  # noqa: S101 what the decorator returns for a function
        return made

    def _check(self, name: str, stage: str, description: str) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(name, asset=self._key(stage), description=description)

    def _context(self, context: dg.AssetExecutionContext, services: Services) -> Context:
        return Context(services, self._stream, progress_of(context), no_limits=NO_LIMITS in context.run.tags)

    def _run_partitions(self, context: dg.AssetExecutionContext) -> list[Partition]:
        return [to_partition(self._partitions, key) for key in context.partition_keys]

    def _result(
        self,
        context: dg.AssetExecutionContext,
        services: Services,
        report: Report,
        batch: Batch | None,
        checks: Sequence[dg.AssetCheckResult] = (),
    ) -> dg.MaterializeResult:
        key = self._key(report.stage)
        told = partition_metadata(report, outcome(services, self._stream, report, batch))
        attach_partition_metadata(context, key, told)
        held = held_at(services.ledger, report, self._stream.source, self._stream.name)
        if report.problems:
            context.log.warning("%s", " ".join(report.problems))
        context.log.info("%s/%s %s", self._stream.source, self._stream.name, summary(report))
        return dg.MaterializeResult(
            asset_key=key,
            metadata=report_metadata(report),
            data_version=dg.DataVersion(report.data_version),
            check_results=[quarantine_check(held, key), *batch_checks(key, report), *checks],
            value=batch,
        )


def _make(stage: Stage) -> Any:
    if stage == "documents":
        from sync_assets.stages.documents import make_documents

        return make_documents
    if stage == "chunks":
        from sync_assets.stages.chunks import make_chunks

        return make_chunks
    from sync_assets.stages.embeddings import make_embeddings

    return make_embeddings
