"""What is made of a tenant's knowledge graph as a whole, once its documents are in it.

Each step brings something in line with the graph as it is now, whatever was done before, and is repeated for nothing
where nothing changed: entities that are the same, tickets that are alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from sync_assets.documents import Visibility
from sync_assets.graph.evidence import Evidence, Subject
from sync_assets.graph.health import Health, health
from sync_assets.graph.resolution import resolve, to_resolve
from sync_assets.graph.similarity import ROLES, THRESHOLDS, Neighbour, Neighbours, Pair, mutual_pairs, rounded, updated
from sync_assets.graph.store_documents import LivingDocument, living_documents, subjects
from sync_assets.graph.store_evidence import replace_similarity
from sync_assets.graph.store_nodes import nodes, refresh, statistics
from sync_assets.graph.store_state import VectorRow, decisions, delete_vectors, put_vectors, replace_merges, vectors
from sync_assets.hashing import text_hash
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.services import Services
from sync_assets.stages import Stream

_EXTRACTOR = "similarity/1"
_PLACE = "similarity"
_FLOAT = np.dtype("<f4")
_PAGE = 500


def resolve_entities(services: Services, tenant: str) -> dict[str, int]:
    """Find the entities of a tenant that are the same; counts of entities, merged ones and changes."""
    with services.graph.lock(tenant), services.graph.transaction() as connection:
        decided = decisions(connection, tenant)
        found = to_resolve(nodes(connection, tenant), decided)
        merges = resolve(found, decided)
        changed = replace_merges(connection, tenant, merges)
    return {"entities": len(found), "merged": len(merges), "changed": changed}


class Summary(NamedTuple):
    """How large a tenant's graph is, and whether it holds together.

    Attributes:
        counts: of nodes and edges by kind, of evidence by extractor.
    """

    counts: dict[str, dict[str, int]]
    health: Health


def summarise(services: Services, tenant: str) -> Summary:
    """The state of a tenant's graph as it stands in SQL."""
    with services.graph.transaction() as connection:
        found = statistics(connection, tenant)
    counts = {"nodes": found.nodes, "edges": found.edges, "evidence": found.evidence}
    named = {name: {str(kind): number for kind, number in kinds.items()} for name, kinds in counts.items()}
    return Summary(named, health(services.graph, tenant))


def find_similar(services: Services, tenant: str, streams: Sequence[Stream]) -> dict[str, int]:
    """Find the tickets of a tenant that are alike, by model; counts of tickets, vectors made anew and pairs.

    A ticket's vector is the mean of those of its first chunks (`similarity.ROLES`) that all its readers may see; they
    come from the cache, and a ticket without any there has none.
    """
    by_model: dict[str, set[tuple[str, str]]] = {}
    for stream in streams:
        if stream.graph == "chunks":
            by_model.setdefault(stream.model or services.settings.model, set()).add((stream.source, stream.name))
    total = {"tickets": 0, "changed": 0, "pairs": 0}
    for model, places in by_model.items():
        with services.graph.lock(tenant), services.graph.transaction() as connection:
            found = _Alike(services, connection, tenant, model, places).find()
        total = {name: total[name] + number for name, number in found.items()}
    return total


class _Alike:
    """The tickets of one tenant and model, and which of them are alike."""

    def __init__(
        self, services: Services, connection: sa.Connection, tenant: str, model: str, places: set[tuple[str, str]]
    ) -> None:
        self._cache = services.cache
        self._connection = connection
        self._tenant = tenant
        self._fingerprint = services.embedder(model).fingerprint.key
        self._threshold = THRESHOLDS.get(model, max(THRESHOLDS.values()))
        living = living_documents(connection, tenant, NodeKind.TICKET)
        self._living = {one.document_id: one for one in living if (one.source, one.stream) in places}
        self._stored = {row.document_id: row for row in vectors(connection, tenant, self._fingerprint)}

    def find(self) -> dict[str, int]:
        made = self._made()
        kept = {one: row for one, row in self._stored.items() if self._is_current(one, row)}
        now = {row.node_id: np.frombuffer(row.vector, _FLOAT) for row in kept.values()} | made
        before = {row.node_id: [Neighbour(*pair) for pair in row.neighbours] for row in self._stored.values()}
        neighbours = updated(now, before, frozenset(made))
        self._keep(now, neighbours)
        pairs = mutual_pairs(neighbours, self._threshold)
        moved = {one for one in before.keys() | now.keys() if one in made or before.get(one) != neighbours.get(one)}
        evidence = self._evidence([pair for pair in pairs if pair.first in moved or pair.second in moved])
        refresh(self._connection, self._tenant, replace_similarity(self._connection, self._tenant, moved, evidence))
        return {"tickets": len(self._living), "changed": len(made), "pairs": len(pairs)}

    def _is_current(self, document_id: str, row: VectorRow) -> bool:
        living = self._living.get(document_id)
        return living is not None and row.content_digest == living.applied_digest

    def _made(self) -> dict[str, np.ndarray]:
        """Vectors, by node id, of tickets that are new or changed."""
        stored = self._stored
        wanted = [one for one in self._living if one not in stored or not self._is_current(one, stored[one])]
        made: dict[str, np.ndarray] = {}
        for start in range(0, len(wanted), _PAGE):
            page = subjects(self._connection, self._tenant, wanted[start : start + _PAGE])
            hashes = {subject.entity.node_id: _hashes(subject, self._living) for subject in page}
            cached = self._cache.get(
                self._tenant, self._fingerprint, sorted({one for found in hashes.values() for one in found})
            )
            for node_id, found in hashes.items():
                if rows := [cached[one] for one in found if one in cached]:
                    made[node_id] = rounded(np.asarray(rows, dtype=np.float64).mean(axis=0))
        return made

    def _keep(self, now: Mapping[str, np.ndarray], neighbours: Neighbours) -> None:
        rows = [
            VectorRow(
                one, node_id, living.applied_digest, now[node_id].astype(_FLOAT).tobytes(), _plain(neighbours[node_id])
            )
            for one, living in self._living.items()
            if (node_id := living.entity.node_id) in now
        ]
        delete_vectors(self._connection, self._tenant, self._stored.keys() - {row.document_id for row in rows})
        changed = [row for row in rows if row != self._stored.get(row.document_id)]
        put_vectors(self._connection, self._tenant, self._fingerprint, changed)

    def _evidence(self, pairs: Sequence[Pair]) -> list[Evidence]:
        by_node = {living.entity.node_id: living for living in self._living.values()}
        return [
            Evidence(
                document_id=by_node[pair.first].document_id,
                place=_PLACE,
                chunk_id=None,
                span=None,
                extractor=_EXTRACTOR,
                probability=min(pair.score, 1.0),
                source=_bare(by_node[pair.first].entity),
                edge=EdgeKind.SIMILAR_TO,
                target=_bare(by_node[pair.second].entity),
                **_audience(by_node[pair.first], by_node[pair.second]),
            )
            for pair in pairs
        ]


def _bare(entity: Entity) -> Entity:
    """No more than which node it is: what a ticket is called is for its own readers."""
    return Entity(kind=entity.kind, key=entity.key)


def _plain(neighbours: Sequence[Neighbour]) -> list[tuple[str, float]]:
    return [(one.node_id, one.score) for one in neighbours]


def _hashes(subject: Subject, living: Mapping[str, LivingDocument]) -> list[str]:
    """Of the chunks that say what a ticket is about and that all its readers may see."""
    visibility = living[subject.document_id].visibility
    return [text_hash(text.text) for text in subject.texts if text.role in ROLES and text.visibility == visibility]


def _audience(first: LivingDocument, second: LivingDocument) -> dict[str, Any]:
    """Who may know that two documents are alike: those who may see both.

    No audience can be named that sees a restricted and an internal one: principals may stand outside.
    """
    both = {first.visibility, second.visibility}
    if Visibility.RESTRICTED not in both:
        return {"visibility": Visibility.INTERNAL if Visibility.INTERNAL in both else Visibility.PUBLIC}
    readers = [set(one.principals) for one in (first, second) if one.visibility is Visibility.RESTRICTED]
    principals = set[str]() if Visibility.INTERNAL in both else set.intersection(*readers)
    return {"visibility": Visibility.RESTRICTED, "principals": tuple(sorted(principals))}
