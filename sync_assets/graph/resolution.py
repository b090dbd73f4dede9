"""Entities that are the same: what is merged follows from the entities as they are now and from what people decided.

What belongs here: which entities are compared, and which likenesses hold together. What does not: likeness itself
(`likeness.py`), and keeping merges (`store_state.py`). Nothing is rewritten: without its reason a merge is gone.

Likenesses are taken strongest first, and none joins two clusters that hold entities which can't be the same. So chains
of likenesses never lead where a direct comparison, or a person, says no. Whoever fits two entities equally well which
can't be the same stays apart: nobody knows which one is meant.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import combinations

from sync_assets.graph.likeness import RESOLVED_KINDS, Link, Profile, clash, keys_of, link, profile_of
from sync_assets.graph.store_nodes import NodeRow
from sync_assets.graph.store_state import Decision, Merge
from sync_assets.relations import Entity

__all__ = ["RESOLVED_KINDS", "RULE", "resolve", "to_resolve"]

# Another one where equal entities may be merged otherwise.
RULE = "resolution/1"

# What more have in common tells nobody apart, and would take the time of all pairs of them.
_LARGEST_BLOCK = 25

_Pair = tuple[str, str]


def to_resolve(rows: Iterable[NodeRow], decisions: Sequence[Decision]) -> list[Entity]:
    """Those nodes that may be the same as others: of RESOLVED_KINDS, and what people decided of."""
    decided = {node_id for one in decisions for node_id in (one.first_id, one.second_id)}
    return [
        Entity(kind=row.kind, key=row.node_id.partition(":")[2], name=row.name, aliases=row.aliases, facts=row.facts)
        for row in rows
        if row.kind in RESOLVED_KINDS or row.node_id in decided
    ]


def resolve(entities: Sequence[Entity], decisions: Sequence[Decision]) -> list[Merge]:
    """Which entities are the same as another one, in whatever order they come.

    The one with most facts stands for its cluster, for it tells people most; of equal ones the smallest id, which
    never changes.

    Args:
        entities: of one tenant, each node once; those of kinds other than RESOLVED_KINDS are merged by decisions alone.
        decisions: of the same tenant; those of nodes that are not there count for nothing. `different` always holds;
            of decisions `same` that contradict it together, the newest hold.

    Returns:
        One for each entity that another one stands for, by node id.
    """
    profiles = {entity.node_id: profile_of(entity) for entity in entities}
    known = [one for one in decisions if one.first_id in profiles and one.second_id in profiles]
    clusters = _Clusters(profiles, known)
    clusters.follow_decisions(known)
    links = _clear(_links(profiles.values()), clusters)
    for pair in sorted(links, key=lambda pair: (-links[pair].score, pair)):
        clusters.join(pair, links[pair])
    return sorted(merge for members in clusters.all() for merge in _merges(members, clusters, links))


def _links(profiles: Iterable[Profile]) -> dict[_Pair, Link]:
    """What is alike, by ids, the smaller one first; only what has a key in common is compared."""
    blocks = defaultdict[tuple[str, ...], list[Profile]](list)
    for profile in sorted(profiles, key=lambda one: one.node_id):
        for key in dict.fromkeys(keys_of(profile)):
            blocks[key].append(profile)
    found: dict[_Pair, Link | None] = {}
    for block in blocks.values():
        if len(block) <= _LARGEST_BLOCK:
            for one, other in combinations(block, 2):
                pair = one.node_id, other.node_id
                if pair not in found:
                    found[pair] = link(one, other)
    return {pair: each for pair, each in found.items() if each is not None}


def _clear(links: Mapping[_Pair, Link], clusters: "_Clusters") -> dict[_Pair, Link]:
    """Links without those of an entity that is as much like another one, which can't be the same."""
    near = defaultdict[str, list[tuple[str, float]]](list)
    for (first, second), each in links.items():
        near[first].append((second, each.score))
        near[second].append((first, each.score))
    unclear = set[_Pair]()
    for node_id, candidates in near.items():
        for rivals in combinations(candidates, 2):
            (one, score), (other, rival) = rivals
            if clusters.are_apart(one, other):
                weaker = min(score, rival)
                unclear.update(_pair(node_id, each) for each, strength in rivals if strength == weaker)
    return {pair: each for pair, each in links.items() if pair not in unclear}


def _age(decision: Decision) -> tuple[datetime, _Pair, str]:
    return decision.decided_at, _pair(decision.first_id, decision.second_id), decision.note


def _pair(one: str, other: str) -> _Pair:
    return (one, other) if one < other else (other, one)


class _Clusters:
    """Entities, put together step by step, never with one that they can't be the same as.

    Attributes:
        ties: why each is where it is: by its id, those that it was put together with. They form trees.
    """

    def __init__(self, profiles: Mapping[str, Profile], decisions: Iterable[Decision]) -> None:
        self.profiles = profiles
        self.ties = defaultdict[str, dict[str, Link]](dict)
        self._members = {node_id: [node_id] for node_id in profiles}
        self._clashes: dict[_Pair, bool] = {}
        self._different = {frozenset((one.first_id, one.second_id)) for one in decisions if one.decision == "different"}

    def all(self) -> list[list[str]]:
        """The members of each cluster of two or more."""
        return [members for node_id, members in self._members.items() if node_id == members[0] and len(members) > 1]

    def follow_decisions(self, decisions: Iterable[Decision]) -> None:
        """Put together what people said is the same, the newest decisions first; comes before all else."""
        same = [one for one in decisions if one.decision == "same"]
        for one in sorted(same, key=_age, reverse=True):
            first, second = self._members[one.first_id], self._members[one.second_id]
            if first is not second and not self._are_divided(first, second):
                reason = f"decided by a person: {one.note}" if one.note else "decided by a person"
                self._put_together(one.first_id, one.second_id, Link(1.0, reason))

    def join(self, pair: _Pair, reason: Link) -> None:
        """Put two clusters together, unless one of the first and one of the second can't be the same."""
        first, second = (self._members[node_id] for node_id in pair)
        if first is second or self._are_divided(first, second):
            return
        if not any(self._is_forbidden(one, other) for one in first for other in second):
            self._put_together(*pair, reason)

    def are_apart(self, one: str, other: str) -> bool:
        """Whether two entities can't be the same: by their facts, or since a person said so."""
        ours, theirs = self._members[one], self._members[other]
        return ours is not theirs and (self._are_divided(ours, theirs) or self._is_forbidden(one, other))

    def _is_forbidden(self, one: str, other: str) -> bool:
        """Whether two entities clash, and people didn't overrule that."""
        return self._clash(one, other) and not (self._is_overruled(one, other) or self._is_overruled(other, one))

    def _are_divided(self, ones: Sequence[str], others: Sequence[str]) -> bool:
        if not self._different:
            return False
        return any(frozenset((one, other)) in self._different for one in ones for other in others)

    def _clash(self, one: str, other: str) -> bool:
        pair = _pair(one, other)
        if pair not in self._clashes:
            self._clashes[pair] = clash(self.profiles[one], self.profiles[other])
        return self._clashes[pair]

    def _is_overruled(self, one: str, other: str) -> bool:
        """Whether people put the other one together with what it clashes with no less, but this one doesn't."""
        return any(self._clash(other, each) and not self._clash(one, each) for each in self._members[other])

    def _put_together(self, one: str, other: str, reason: Link) -> None:
        self.ties[one][other] = self.ties[other][one] = reason
        larger, smaller = sorted((self._members[one], self._members[other]), key=len, reverse=True)
        larger += smaller
        for node_id in smaller:
            self._members[node_id] = larger


def _merges(members: Sequence[str], clusters: _Clusters, links: Mapping[_Pair, Link]) -> Iterable[Merge]:
    """Each member but the canonical one, with the reason that ties it to that, directly where one does."""
    canonical = min(members, key=lambda node_id: (-clusters.profiles[node_id].weight, node_id))
    reached = {canonical: Link(1.0, "")}
    queue = [canonical]
    for by in queue:
        for node_id in sorted(clusters.ties[by].keys() - reached.keys()):
            tie = clusters.ties[by][node_id]
            reached[node_id] = Link(min(tie.score, reached[by].score), tie.reason)
            if by != canonical:
                direct = links.get(_pair(node_id, canonical))
                reached[node_id] = direct or reached[node_id]._replace(reason=f"{tie.reason} as {by}")
            queue.append(node_id)
    return (Merge(node_id, canonical, *reached[node_id]) for node_id in queue[1:])
