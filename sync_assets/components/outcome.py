"""What is told of a run of one stage beside its counts: files, costs, a picture.

What belongs here: what needs the services to be told. How a report's own numbers are shown is in `metadata.py`.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import dagster as dg

from sync_assets.batches import Batch
from sync_assets.components.plots import length_plot
from sync_assets.services import Services
from sync_assets.stages import Partition, Report, Stream
from sync_assets.stages.limits import summaries_cost, summary_tokens


def outcome(services: Services, stream: Stream, report: Report, batch: Batch | None) -> dict[Partition, dict[str, Any]]:
    """Metadata of each partition: its file and bytes, what its vectors or its summaries cost in US dollars.

    The last one has the picture of the whole run.
    """
    more: dict[Partition, dict[str, Any]] = {partition: {} for partition in report.counts}
    if batch is not None:
        for partition, path in batch.files.items():
            uri = services.storage.uri(batch.layout.path(partition))
            more[partition] |= {"dagster/uri": uri, "bytes": path.stat().st_size}
    if report.stage == "embeddings":
        for partition, counts in report.counts.items():
            texts = counts["embedded"] + counts["reused"]
            more[partition] |= {
                "reused_share": counts["reused"] / texts if texts else 1.0,
                "cost": services.settings.price(stream.model, counts["embedded_tokens"]),
            }
    if report.stage == "documents" and stream.summaries is not None:
        for partition, counts in report.counts.items():
            tokens = summary_tokens(counts)
            more[partition] |= {
                "summarised": counts["summarised"],
                "summaries_reused": counts["summaries_reused"],
                "tokens": tokens.read + tokens.written,
                "cost": summaries_cost(services, stream, tokens),
            }
    if report.stage == "chunks" and _is_news(services, stream, report):
        more[list(more)[-1]] |= _lengths(services, stream, report)
    return more


def _lengths(services: Services, stream: Stream, report: Report) -> Mapping[str, Any]:
    plot = length_plot(report.tokens, services.embedder(stream.model).fingerprint.max_tokens)
    return {"lengths": dg.MetadataValue.md(plot)} if plot else {}


def _is_news(services: Services, stream: Stream, report: Report) -> bool:
    """Whether a partition's content is another one than what is stored; the ledger is told only when the files are."""
    for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
        found = {partition.window: report.digests[partition].hexdigest() for partition in group}
        stored = services.ledger.window_states(stream.of(tenant), report.stage, list(found))
        if any(window not in stored or stored[window].digest != digest for window, digest in found.items()):
            return True
    return False
