"""The graph asset of a source: what its streams tell of the knowledge graph, below the chunks of its tickets.

What belongs here: how the stage becomes an asset. What the stage does is in `stages/graph.py`; what is made of all
sources together in `components/tenant_graph.py`.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import dagster as dg

from sync_assets.batches import Stage
from sync_assets.checks.run import QUARANTINE_RULE, quarantine_check
from sync_assets.components.failures import failures
from sync_assets.components.metadata import (
    attach_partition_metadata,
    held_at,
    partition_metadata,
    report_metadata,
)
from sync_assets.components.progress import progress_of
from sync_assets.errors import GraphError, StorageError
from sync_assets.partitions import to_partition
from sync_assets.services import Services
from sync_assets.stages import Context, Report, Stream

GRAPH = "graph"


def graph_key(source: str) -> dg.AssetKey:
    """The graph asset of a source."""
    return dg.AssetKey([source, GRAPH])


def build_graph_asset(
    source: str, streams: Sequence[Stream], partitions: dg.PartitionsDefinition, owners: Sequence[str]
) -> dg.AssetsDefinition:
    """The asset that brings the graph in line with the changes of a window.

    Files of the window are read where they are: a sync of one stream alone finds the others' as they were.

    Args:
        streams: those that feed the graph.
    """
    key = graph_key(source)

    def graph(context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]) -> dg.MaterializeResult:
        from sync_assets.graph.applying import settle
        from sync_assets.io_managers.object_storage import stored_batch  # which imports this package
        from sync_assets.stages.graph import apply_to_graph

        chosen = [to_partition(partitions, name) for name in context.partition_keys]
        whole = Report.of(GRAPH, chosen)
        failed: dict[str, GraphError] = {}
        is_stored = False
        with failures():
            for tenant, group in groupby(sorted(chosen), key=lambda partition: partition.tenant):
                windows = list(group)
                try:
                    for stream in streams:
                        stage: Stage = stream.graph or "documents"
                        ours = Context(services, stream, progress_of(context))
                        # Before its files are read: another run may store newer ones meanwhile.
                        upstream = Report.after(ours, stage, GRAPH, windows).upstream
                        batch = stored_batch(services.storage, stream.layout(stage), windows)
                        if batch is not None:
                            is_stored = True
                            _add(whole, apply_to_graph(ours, batch, upstream))
                    again = settle(services.graph, services.extractor, tenant)
                    whole.count(windows[0], "searched_again", again)
                except GraphError as error:
                    failed[tenant] = error
            _raise_for_tenants(failed)
            if not is_stored:
                raise StorageError(f"{source} has no files of these windows.", "Materialize what the graph depends on.")
        attach_partition_metadata(context, key, partition_metadata(whole, {}))
        return dg.MaterializeResult(
            asset_key=key,
            metadata={**report_metadata(whole), "extractor": services.extractor.fingerprint},
            data_version=dg.DataVersion(whole.data_version),
            check_results=[quarantine_check(held_at(services.ledger, whole, source, None), key)],
        )

    made = dg.asset(
        key=key,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetKey([stream.source, stream.name, stream.graph or "documents"]) for stream in streams],
        description="Nodes and edges of the knowledge graph, with the evidence for each, from this source's records.",
        group_name=source,
        owners=list(owners),
        kinds={"python", "postgres"},
        check_specs=[dg.AssetCheckSpec("quarantine", asset=key, description=QUARANTINE_RULE)],
    )(graph)
    assert isinstance(made, dg.AssetsDefinition)  # noqa: S101 what the decorator returns for a function
    return made


def _raise_for_tenants(failed: Mapping[str, GraphError]) -> None:
    """Fail for tenants that failed, now that all others are done.

    Raises:
        GraphError: there are any; the text names them, and the reason of the first.
    """
    if failed:
        first = next(iter(failed.values()))
        raise GraphError(f"{', '.join(failed)}: {first.message}", first.remedy)


def _add(whole: Report, part: Report) -> None:
    """Add what was done with one stream."""
    whole.quarantined += part.quarantined
    for partition, counts in part.counts.items():
        whole.counts[partition].update(counts)
        rows = part.digests[partition]
        whole.digests[partition].add([rows.hexdigest(), rows.rows])
