"""What stands around a result: the chunks before and after it, and what is near to it in the knowledge graph.

What belongs here: reading the ledger's order and the graph on behalf of an audience. What does not: ranking.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sync_assets.ledger import AppliedDocument
from sync_assets.search.candidates import Candidate, Question
from sync_assets.search.results import Neighbour, RelatedDocument
from sync_assets.services import Services

if TYPE_CHECKING:
    from sync_assets.graph.analysis import Related

_MOST_RELATED = 3

Applied = Mapping[str, AppliedDocument]


def applied(services: Services, tenant: str, found: Mapping[str, Candidate]) -> dict[str, AppliedDocument]:
    """What the ledger knows of documents, by id: when each was changed, and the order of its chunks."""
    by_collection: dict[int, list[str]] = {}
    for document_id, candidate in found.items():
        by_collection.setdefault(candidate.registered.id, []).append(document_id)
    known: dict[str, AppliedDocument] = {}
    for collection_id, document_ids in by_collection.items():
        known |= services.ledger.applied_documents(collection_id, tenant, document_ids)
    return known


def neighbours(
    services: Services, question: Question, candidate: Candidate, order: Sequence[str], reach: int
) -> list[Neighbour]:
    """The chunks up to `reach` places before and after a candidate's best one, those that the audience may not see
    left out.

    Args:
        order: ids of the document's chunks.
    """
    best = candidate.best.chunk_id
    if best not in order:
        return []
    here = order.index(best)
    first = max(here - reach, 0)
    offsets = {one: first + place - here for place, one in enumerate(order[first : here + reach + 1]) if one != best}
    found = services.store(candidate.registered.store).get(
        candidate.registered.collection, question.tenant, question.audience, list(offsets)
    )
    return [
        Neighbour(offset=offsets[hit.chunk_id], chunk_id=hit.chunk_id, path=hit.path, role=hit.role, text=hit.text)
        for hit in found
    ]


def related(services: Services, question: Question, document_ids: Sequence[str]) -> dict[str, list[RelatedDocument]]:
    """For each document, tickets and articles near to it in the graph that the audience may see and that are none of
    these documents. A search's filters say nothing about them."""
    from sync_assets.graph.analysis import LONGEST
    from sync_assets.graph.analysis import related as near
    from sync_assets.graph.neighbourhood import load_around
    from sync_assets.relations import NodeKind

    # One edge more than a path has: how much a node explains depends on all of its neighbours.
    graph = load_around(services.graph, question.tenant, question.audience, document_ids, LONGEST + 1)
    nodes = {values["document"]: node_id for node_id, values in graph.nodes.items() if values["document"]}
    own = {node_id for document_id in document_ids if (node_id := nodes.get(document_id))}
    kinds, most = (NodeKind.TICKET, NodeKind.ARTICLE), _MOST_RELATED + len(own)
    found = {}
    for document_id in document_ids:
        ranked = near(graph, {nodes[document_id]: 1.0}, kinds, most) if document_id in nodes else []
        others = [one for one in ranked if one.node_id not in own and graph.nodes[one.node_id]["document"]]
        found[document_id] = [_related(graph.nodes[one.node_id], one) for one in others[:_MOST_RELATED]]
    return found


def _related(node: Mapping[str, Any], one: "Related") -> RelatedDocument:
    return RelatedDocument(
        document_id=node["document"],
        kind=node["kind"],
        name=node["name"],
        url=node["facts"].get("url"),
        score=one.score,
        sentence=one.path.sentence,
    )
