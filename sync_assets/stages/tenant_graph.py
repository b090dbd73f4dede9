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
from sync_assets.graph.resolution import RULE, resolve, to_resolve
from sync_assets.graph.similarity import (
    ROLES,
    THRESHOLDS,
    Neighbour,
    Neighbours,
    Pair,
    lasting,
    mutual_pairs,
    rounded,
    updated,
)
from sync_assets.graph.store_documents import LivingDocument, living_documents, subjects
from sync_assets.graph.store_evidence import replace_similarity
from sync_assets.graph.store_nodes import nodes, refresh, statistics
from sync_assets.graph.store_state import (
    VectorRow,
    decisions,
    delete_vectors,
    keep_spaces,
    put_vectors,
    replace_merges,
    vectors,
)
from sync_assets.graph.store_tenants import Step, record_step
from sync_assets.hashing import digest, text_hash
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.services import Services
from sync_assets.stages import Stream

_EXTRACTOR, _SUMMARY = "similarity/1", "summary/1"
_PLACE = "similarity"
# In place of the digest of what a vector was made of, where not all of that had vectors.
_INCOMPLETE = ""
_FLOAT = np.dtype("<f4")
_PAGE = 500


def resolve_entities(services: Services, tenant: str) -> dict[str, int]:
    """Find the entities of a tenant that are the same; counts of entities, merged ones and changes."""
    with services.graph.lock(tenant), services.graph.transaction() as connection:
        decided = decisions(connection, tenant)
        found = to_resolve(nodes(connection, tenant), decided)
        merges = resolve(found, decided)
        changed = replace_merges(connection, tenant, merges)
        record_step(connection, tenant, Step.RESOLUTION, RULE)
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
    state = health(services.graph, tenant)
    with services.graph.lock(tenant), services.graph.transaction() as connection:
        found = statistics(connection, tenant)
        record_step(connection, tenant, Step.SUMMARY, _SUMMARY)
    counts = {"nodes": found.nodes, "edges": found.edges, "evidence": found.evidence}
    named = {name: {str(kind): number for kind, number in kinds.items()} for name, kinds in counts.items()}
    return Summary(named, state)


def find_similar(services: Services, tenant: str, streams: Sequence[Stream]) -> dict[str, int]:
    """Find the tickets of a tenant that are alike, by model; counts of tickets, vectors made anew and pairs.

    A ticket's vector is the mean of those of its first chunks (`similarity.ROLES`) that all its readers may see; they
    come from the cache, and a ticket without any there has none. Where some are lacking, the tenant stays behind and is
    tried again some times.

    Raises:
        GraphError: the graph's database is out of reach; all is left as it was.
    """
    with services.graph.lock(tenant), services.graph.transaction() as connection:
        found = [
            _Alike(services, connection, tenant, model, places).find()
            for model, places in _by_model(services, streams).items()
        ]
        keep_spaces(connection, tenant, [one.space for one in found])
        evidence = [row for one in found for row in one.evidence]
        refresh(connection, tenant, replace_similarity(connection, tenant, None, evidence))
        complete = not any(one.lacking for one in found)
        record_step(connection, tenant, Step.SIMILARITY, _similarity_rule(services, streams), complete=complete)
    return {
        "tickets": sum(one.tickets for one in found),
        "changed": sum(one.changed for one in found),
        "pairs": len(evidence),
        "lacking": sum(one.lacking for one in found),
    }


def rules(services: Services, streams: Sequence[Stream]) -> dict[Step, str]:
    """All that the result of each step follows from beside the graph, for `tenants_behind`."""
    return {Step.RESOLUTION: RULE, Step.SIMILARITY: _similarity_rule(services, streams), Step.SUMMARY: _SUMMARY}


def _similarity_rule(services: Services, streams: Sequence[Stream]) -> str:
    by_model = _by_model(services, streams).items()
    return digest(
        [[_space(services, model), _threshold(model), sorted(map(list, places))] for model, places in sorted(by_model)]
    )


def _by_model(services: Services, streams: Sequence[Stream]) -> dict[str, set[tuple[str, str]]]:
    """Source and name of the streams of tickets, by the model of their vectors."""
    found: dict[str, set[tuple[str, str]]] = {}
    for stream in streams:
        if stream.graph == "chunks":
            found.setdefault(stream.model or services.settings.model, set()).add((stream.source, stream.name))
    return found


def _space(services: Services, model: str) -> str:
    """Where vectors and neighbours are kept: another rule or model makes others of the same chunks."""
    return f"{_EXTRACTOR} {services.embedder(model).fingerprint.key}"


def _threshold(model: str) -> float:
    return THRESHOLDS.get(model, max(THRESHOLDS.values()))


class _Found(NamedTuple):
    """What was found among the tickets of one model.

    Attributes:
        space: where their vectors are kept.
        changed: vectors that were made anew.
        lacking: chunks that have no vector in the cache yet.
    """

    space: str
    tickets: int
    changed: int
    lacking: int
    evidence: list[Evidence]


class _Alike:
    """The tickets of one tenant and model, and which of them are alike."""

    def __init__(
        self, services: Services, connection: sa.Connection, tenant: str, model: str, places: set[tuple[str, str]]
    ) -> None:
        self._cache = services.cache
        self._connection = connection
        self._tenant = tenant
        self._fingerprint = services.embedder(model).fingerprint.key
        self._space = _space(services, model)
        self._threshold = _threshold(model)
        living = living_documents(connection, tenant, NodeKind.TICKET, places)
        self._living = {one.document_id: one for one in living}
        self._stored = {row.document_id: row for row in vectors(connection, tenant, self._space)}
        self._lacking = 0

    def find(self) -> _Found:
        made = self._made()
        rows = {one: row for one, row in self._stored.items() if self._is_current(one)} | made
        before = {row.node_id: row for row in self._stored.values()}
        now = {row.node_id: np.frombuffer(row.vector, _FLOAT) for row in rows.values()}
        changed = {row.node_id for row in made.values() if not _is_same_vector(row, before.get(row.node_id))}
        neighbours = updated(
            now,
            {one: [Neighbour(*pair) for pair in row.neighbours] for one, row in before.items() if row.neighbours},
            frozenset(changed),
        )
        self._keep(rows, lasting(neighbours))
        evidence = self._evidence(mutual_pairs(neighbours, self._threshold))
        return _Found(self._space, len(self._living), len(changed), self._lacking, evidence)

    def _is_current(self, document_id: str) -> bool:
        row, living = self._stored.get(document_id), self._living.get(document_id)
        return row is not None and living is not None and row.content_digest == living.applied_digest

    def _made(self) -> dict[str, VectorRow]:
        """Vectors, without neighbours, of tickets that are new or changed, or whose chunks had not all one before."""
        wanted = [one for one in self._living if not self._is_current(one)]
        made: dict[str, VectorRow] = {}
        for start in range(0, len(wanted), _PAGE):
            page = subjects(self._connection, self._tenant, wanted[start : start + _PAGE])
            hashes = {subject.document_id: _hashes(subject, self._living) for subject in page}
            cached = self._cache.get(
                self._tenant, self._fingerprint, sorted({one for found in hashes.values() for one in found})
            )
            for document_id, found in hashes.items():
                self._lacking += sum(one not in cached for one in found)
                if rows := [cached[one] for one in found if one in cached]:
                    living = self._living[document_id]
                    vector = rounded(np.asarray(rows, dtype=np.float64).mean(axis=0))
                    content = living.applied_digest if len(rows) == len(found) else _INCOMPLETE
                    made[document_id] = VectorRow(
                        document_id, living.entity.node_id, content, vector.astype(_FLOAT).tobytes(), []
                    )
        return made

    def _keep(self, rows: Mapping[str, VectorRow], neighbours: Neighbours) -> None:
        """Bring what is stored in line with vectors and their neighbours."""
        now = [row._replace(neighbours=_plain(neighbours.get(row.node_id, ()))) for row in rows.values()]
        delete_vectors(self._connection, self._tenant, self._stored.keys() - rows.keys(), self._space)
        changed = [row for row in now if row != self._stored.get(row.document_id)]
        put_vectors(self._connection, self._tenant, self._space, changed)

    def _evidence(self, pairs: Sequence[Pair]) -> list[Evidence]:
        by_node = {living.entity.node_id: living for living in self._living.values()}
        # No more than which node it is: what a ticket is called is for its own readers.
        bare = {one: Entity(kind=living.entity.kind, key=living.entity.key) for one, living in by_node.items()}
        return [
            Evidence(
                document_id=by_node[pair.first].document_id,
                place=_PLACE,
                chunk_id=None,
                span=None,
                extractor=_EXTRACTOR,
                probability=min(pair.score, 1.0),
                source=bare[pair.first],
                edge=EdgeKind.SIMILAR_TO,
                target=bare[pair.second],
                **_audience(by_node[pair.first], by_node[pair.second]),
            )
            for pair in pairs
        ]


def _is_same_vector(one: VectorRow, other: VectorRow | None) -> bool:
    return other is not None and one.vector == other.vector


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
