"""The simulated upstream of the laws, whose records also tell of the knowledge graph: tickets, and articles."""

from collections.abc import Iterator
from datetime import datetime

from sync_assets.documents import Document, Record
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_documents import applied_versions
from sync_assets.ledger import AppliedVersion, StreamRef
from sync_assets.relations import Entity, NodeKind
from sync_assets.sources import Hidden, LiveId
from sync_assets_tests.laws.upstream import UpstreamSource, UpstreamTenants

# Records whose id begins so are of the stream of articles.
ARTICLE = "article-"
# Words that make the role of their part longer than the graph's database takes.
LONG_ROLE = "long role"


class TellingSource(UpstreamSource):
    """Its records are nodes; `#1` in a text names the record of that id."""

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        return (record for record in super().extract(stream, since, until) if _is_of(stream, record.record_id))

    def live_ids(self, stream: str) -> Iterator[LiveId | Hidden]:
        return (item for item in super().live_ids(stream) if isinstance(item, Hidden) or _is_of(stream, item.record_id))

    def to_document(self, stream: str, record: Record) -> Document:
        document = super().to_document(stream, record)
        parts = [
            part.model_copy(update={"role": "r" * 65} if LONG_ROLE in part.text else {"role": part.role})
            for part in document.parts
        ]
        kind = NodeKind.ARTICLE if stream == "articles" else NodeKind.TICKET
        entity = Entity(
            kind=kind,
            key=document.document_id,
            name=document.title,
            aliases=(f"#{record.record_id}",),
            scope="freshdesk",
        )
        return document.model_copy(update={"parts": parts, "entity": entity})


class TellingTenants(UpstreamTenants):
    """Stands for `Tenants`: every tenant has an account in its own upstream."""

    def open(self, source: str, tenant: str) -> TellingSource:
        return TellingSource(tenant, self._upstreams[tenant])


def in_graph(graph: GraphStore, ref: StreamRef) -> dict[str, AppliedVersion]:
    """What the graph has of a stream, tombstones too, by record id."""
    with graph.transaction() as connection:
        return {row.document_id.rsplit("_", 1)[-1]: row for row in applied_versions(connection, ref)}


def living(graph: GraphStore, ref: StreamRef) -> set[str]:
    """Record ids of a stream's documents that live in the graph."""
    return {record_id for record_id, row in in_graph(graph, ref).items() if not row.deleted}


def _is_of(stream: str, record_id: str) -> bool:
    return record_id.startswith(ARTICLE) == (stream == "articles")
