"""Evidence for people: what stands where, in the words of the text.

What belongs here: quotes of texts. What does not: which evidence there is (`store_evidence.py`), and how it is shown.
"""

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from sync_assets.graph.evidence import Evidence, Text
from sync_assets.graph.loading import edge_keys
from sync_assets.graph.store_documents import subjects
from sync_assets.graph.store_evidence import EdgeKey, evidence_of_edge
from sync_assets.vector_stores import Audience

if TYPE_CHECKING:
    import networkx as nx

_AROUND = 80


class Quote(NamedTuple):
    """One row of evidence.

    Attributes:
        place: where in the document; empty for the record's fields.
        before, marked, after: the place in its text; empty where no text stands there.
    """

    document_id: str
    place: str
    extractor: str
    probability: float
    before: str
    marked: str
    after: str


def edge_quotes(
    connection: sa.Connection,
    tenant: str,
    audience: Audience | None,
    graph: "nx.MultiDiGraph[str]",
    edge: EdgeKey,
    limit: int,
) -> list[Quote]:
    """The likeliest evidence of an edge of a graph.

    Args:
        audience: on whose behalf `graph` was loaded; whoever may see evidence may see the text that it was found in.
    """
    rows = [
        row
        for stored in edge_keys(graph, *edge)
        for row in evidence_of_edge(connection, tenant, stored, audience, limit)
    ]
    rows = sorted(rows, key=lambda row: -row.probability)[:limit]
    wanted = {row.document_id for row in rows if row.span is not None}
    texts = {
        _place(subject.document_id, text): text.text
        for subject in subjects(connection, tenant, wanted)
        for text in subject.texts
    }
    return [_quote(row, texts.get(_place(row.document_id, row), "")) for row in rows]


def _place(document_id: str, found: Text | Evidence) -> tuple[object, ...]:
    """Where a text stands, and who may see it: one place may have a text for each audience."""
    return document_id, found.place, found.chunk_id, found.visibility, found.principals


def _quote(row: Evidence, text: str) -> Quote:
    start, end = row.span or (0, 0)
    before = " ".join(text[max(start - _AROUND, 0) : start].split("\n"))
    after = " ".join(text[end : end + _AROUND].split("\n"))
    return Quote(
        row.document_id,
        row.place,
        row.extractor,
        row.probability,
        f"…{before}" if start > _AROUND else before,
        text[start:end],
        f"{after}…" if end + _AROUND < len(text) else after,
    )
