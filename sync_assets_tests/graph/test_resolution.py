"""Entities that are the same: what is merged, what never is, and that nothing but entities and decisions counts."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from time import process_time
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from sync_assets.graph.resolution import RESOLVED_KINDS, resolve
from sync_assets.graph.store_state import Decision, Merge
from sync_assets.relations import Entity, NodeKind

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def person(key: str, name: str = "", **facts: str) -> Entity:
    return Entity(kind=NodeKind.PERSON, key=key if "/" in key else f"p/{key}", name=name, facts=facts)


def organisation(key: str, name: str, **facts: str) -> Entity:
    return Entity(kind=NodeKind.ORGANISATION, key=f"o/{key}", name=name, facts=facts)


def thing(kind: NodeKind, key: str, name: str, *aliases: str, **facts: str) -> Entity:
    return Entity(kind=kind, key=f"t/{key}", name=name, aliases=aliases, facts=facts)


def decide(
    decision: Literal["same", "different"], first: Entity, second: Entity, minutes: int = 0, note: str = ""
) -> Decision:
    return Decision(first.node_id, second.node_id, decision, note, NOON + timedelta(minutes=minutes))


def clusters(entities: Sequence[Entity], merges: Iterable[Merge]) -> set[frozenset[str]]:
    """All entities, by which of them are the same."""
    stands_for = {merge.node_id: merge.canonical_id for merge in merges}
    found: dict[str, set[str]] = {}
    for entity in entities:
        found.setdefault(stands_for.get(entity.node_id, entity.node_id), set()).add(entity.node_id)
    return {frozenset(members) for members in found.values()}


def are_same(*entities: Entity) -> bool:
    return len(clusters(entities, resolve(entities, []))) == 1


def are_all_apart(*entities: Entity) -> bool:
    return resolve(entities, []) == []


def test_a_private_and_a_work_address_are_one_persons_who_has_one_phone() -> None:
    work = person("1", "Ann Bell", email="ann@x.example", phone="+31 6 12345678")
    assert are_same(work, person("2", "Ann Bell", email="bell@home.example", phone="06-12345678"))


def test_who_fits_two_persons_equally_well_stays_apart() -> None:
    one, other = person("1", "John Smith", email="john@x.example"), person("2", "John Smith", email="js@y.example")
    third = person("q/3", "John Smith")
    assert are_same(one, third)
    assert are_all_apart(one, other, third)


def test_a_mailbox_without_a_name_is_not_given_to_one_of_those_who_share_it() -> None:
    shared = [person("1", "Anneke Visser", email="desk@x.example"), person("2", "Tineke Vos", email="desk@x.example")]
    assert are_all_apart(*shared, person("0", email="desk@x.example"))


def test_who_fits_one_person_better_is_that_one() -> None:
    one = person("1", "John Smith", email="john@x.example", phone="06 12345678")
    other = person("2", "John Smith", email="js@y.example")
    third = person("3", "John Smith", phone="06 12345678")
    found = clusters([one, other, third], resolve([other, third, one], []))
    assert found == {frozenset({one.node_id, third.node_id}), frozenset({other.node_id})}


def test_initials_do_not_join_the_two_persons_whom_they_may_stand_for() -> None:
    names = ("John Smith", "J. Smith", "Jane Smith")
    assert are_all_apart(*(person(str(number), name, department="Sales") for number, name in enumerate(names)))


def test_a_chain_of_likenesses_never_joins_two_who_clash() -> None:
    first = person("1", "Ann Bell", email="ann@x.example", phone="0113 4960172")
    second = person("2", "Ann Bell", phone="0113 4960172", department="Sales")
    third = person("3", "Ann Bell", phone="0113 4960174", department="Sales")
    fourth = person("4", "Ann Bell", phone="0113 4960174", email="bell@x.example")
    chain = [first, second, third, fourth]
    assert are_same(*chain[:3])
    assert are_same(*chain[1:])
    assert not are_same(*chain)
    assert [merge.node_id for merge in resolve(chain, [])] == [second.node_id, third.node_id]


def test_a_name_that_two_products_share_is_neither() -> None:
    ten, eleven = (thing(NodeKind.PRODUCT, number, f"Windows {number}", "Windows") for number in ("10", "11"))
    assert are_all_apart(ten, eleven, thing(NodeKind.PRODUCT, "3", "Windows"))


def test_an_alias_joins_what_the_record_says_is_one() -> None:
    both = thing(NodeKind.PRODUCT, "1", "Visual Studio Code", "VS Code")
    assert are_same(both, thing(NodeKind.PRODUCT, "2", "VS Code"), thing(NodeKind.PRODUCT, "3", "visual studio code"))


def test_what_texts_name_without_a_record_is_known_by_its_key() -> None:
    assert are_same(Entity(kind=NodeKind.PERSON, key="ann bell"), person("1", "Ann Bell"))


# What stands for a cluster, and why


def test_the_entity_with_most_facts_stands_for_all_then_the_smallest_id() -> None:
    full = person("9", "Ann Bell", email="ann@x.example", phone="0113 4960172")
    some = [person(key, "Ann Bell", email="ann@x.example") for key in ("2", "1")]
    assert {merge.canonical_id for merge in resolve([*some, full], [])} == {full.node_id}
    assert {merge.canonical_id for merge in resolve(some, [])} == {"person:p/1"}


def test_a_reason_by_way_of_another_names_it_and_has_the_weakest_score() -> None:
    full = person("1", "Ann Bell", email="ann@x.example", department="Sales")
    between = person("2", "Ann Bell", email="ann@x.example", phone="0113 4960172")
    last = person("3", "A. Bell", phone="0113 4960172")
    reasons = {merge.node_id: (merge.score, merge.reason) for merge in resolve([full, between, last], [])}
    assert reasons == {
        between.node_id: (1.0, "same e-mail address"),
        last.node_id: (0.9, "same initials and family name, same phone number as person:p/2"),
    }


def test_reasons_hold_no_address_or_number() -> None:
    one = person("1", "Ann Bell", email="ann@x.example", phone="0113 4960172")
    for other in (person("2", "A. Bell", email="ann@x.example"), person("3", "A. Bell", phone="0113 4960172")):
        (merge,) = resolve([one, other], [])
        assert "x.example" not in merge.reason
        assert "496" not in merge.reason


# Decisions


def test_a_decision_joins_what_nothing_else_does() -> None:
    one, other = person("1", "Ann Bell", email="ann@x.example"), person("2", "Bo Reed", email="bo@x.example")
    (merge,) = resolve([one, other], [decide("same", other, one, note="same desk")])
    assert merge == Merge(other.node_id, one.node_id, 1.0, "decided by a person: same desk")


def test_a_decision_splits_what_is_alike_and_its_removal_restores_it() -> None:
    one, other = (person(key, "Ann Bell", email="ann@x.example") for key in ("1", "2"))
    assert resolve([one, other], [decide("different", one, other)]) == []
    assert len(resolve([one, other], [])) == 1


def test_what_fits_an_overruled_clash_is_not_driven_out_by_it() -> None:
    """People say that two addresses are one person's, so whoever has one of them is that person too."""
    ann, bell = (
        [person(f"{mail}{number}", "Ann Bell", email=f"{mail}@x.example") for number in (1, 2)] for mail in "ab"
    )
    assert len(clusters(ann + bell, resolve(ann + bell, []))) == 2
    assert len(clusters(ann + bell, resolve(ann + bell, [decide("same", ann[0], bell[1])]))) == 1


def test_of_decisions_that_contradict_each_other_different_holds_and_then_the_newest() -> None:
    one, two, three = (person(key, name) for key, name in (("1", "Ann"), ("2", "Bo"), ("3", "Cy")))
    apart = decide("different", one, three, 9)
    older, newer = decide("same", one, two, 1), decide("same", two, three, 2)
    found = clusters([one, two, three], resolve([one, two, three], [older, newer, apart]))
    assert found == {frozenset({one.node_id}), frozenset({two.node_id, three.node_id})}


def test_decisions_join_things_of_kinds_that_are_not_compared() -> None:
    one, other = (thing(NodeKind.HOST, key, "srv") for key in ("srv-1", "srv-1.x.example"))
    assert NodeKind.HOST not in RESOLVED_KINDS
    assert len(resolve([one, other], [decide("same", one, other)])) == 1


def test_decisions_of_nodes_that_are_gone_count_for_nothing() -> None:
    one, gone, other = person("1", "Ann"), person("2", "Bo"), person("3", "Cy")
    assert resolve([one, other], [decide("same", one, gone), decide("same", gone, other)]) == []


# Whatever the entities and decisions are

World = tuple[list[Entity], list[Decision]]
NAMES = ("", "Ann Bell", "A. Bell", "Bell, Ann", "Anna Bell", "Bo Bell", "Ann de Bell", "Jürgen Bell", "Ann Bell Reed")
MAILS = ("", "ann@x.example", "bell@x.example", "ann@y.example", "info@x.example")
PHONES = ("", "0113 4960172", "+44 113 496 0172", "0113 4960173")


@st.composite
def some_entities(draw: st.DrawFn) -> list[Entity]:
    count = draw(st.integers(0, 8))
    return [draw(_one_entity(f"{draw(st.sampled_from('pq'))}/{number}")) for number in range(count)]


@st.composite
def _one_entity(draw: st.DrawFn, key: str) -> Entity:
    def facts(**choices: Sequence[str]) -> dict[str, str]:
        drawn = {name: draw(st.sampled_from(values)) for name, values in choices.items()}
        return {name: value for name, value in drawn.items() if value}

    kind = draw(st.sampled_from([NodeKind.PERSON, NodeKind.PERSON, NodeKind.ORGANISATION, NodeKind.PRODUCT]))
    if kind is NodeKind.PERSON:
        name = draw(st.sampled_from(NAMES))
        return person(key, name, **facts(email=MAILS, phone=PHONES, department=("", "Sales", "HR")))
    name = draw(st.sampled_from(("Acme", "Acme BV", "Acme Parts", "Windows 10", "Windows 11", "Windows")))
    aliases = draw(st.sampled_from(((), ("Windows",), ("Acme Parts",))))
    return Entity(kind=kind, key=f"t/{key}", name=name, aliases=aliases, facts=facts(phone=PHONES))


@st.composite
def a_world(draw: st.DrawFn) -> World:
    entities = draw(some_entities())
    pairs = list(combinations(entities, 2))
    if not pairs:
        return entities, []
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=4, unique_by=lambda pair: (pair[0].key, pair[1].key)))
    return entities, [
        decide(draw(st.sampled_from(("same", "different"))), first, second, draw(st.integers(0, 3)))
        for first, second in chosen
    ]


@given(a_world(), st.randoms(use_true_random=False))
def test_order_counts_for_nothing(world: World, random: Random) -> None:
    entities, decisions = world
    expected = resolve(entities, decisions)
    turned = [one._replace(first_id=one.second_id, second_id=one.first_id) for one in decisions]
    random.shuffle(entities)
    random.shuffle(turned)
    assert resolve(entities, turned) == expected


@given(a_world())
def test_merges_are_of_other_nodes_that_stand_for_themselves(world: World) -> None:
    entities, decisions = world
    merges = resolve(entities, decisions)
    merged = {merge.node_id for merge in merges}
    assert [merge.node_id for merge in merges] == sorted(merged)
    assert merged.isdisjoint(merge.canonical_id for merge in merges)
    assert merged | {merge.canonical_id for merge in merges} <= {entity.node_id for entity in entities}
    assert all(0 < merge.score <= 1 and merge.reason for merge in merges)


@given(a_world())
def test_a_decision_different_is_never_crossed_and_same_always_joins_else(world: World) -> None:
    entities, decisions = world
    found = clusters(entities, resolve(entities, decisions))
    different = [{one.first_id, one.second_id} for one in decisions if one.decision == "different"]
    assert not any(pair <= members for pair in different for members in found)
    assert different or all(any({one.first_id, one.second_id} <= members for members in found) for one in decisions)


@given(a_world())
def test_what_is_merged_may_be_confirmed_and_nothing_changes(world: World) -> None:
    """Unless people overruled a clash: then they tell more than that two are the same."""
    entities, decisions = world
    decisions = [one for one in decisions if one.decision == "different"]
    merges = resolve(entities, decisions)
    confirmed = [Decision(one.node_id, one.canonical_id, "same", "", NOON) for one in merges]
    assert clusters(entities, resolve(entities, decisions + confirmed)) == clusters(entities, merges)


@given(a_world())
def test_an_unrelated_entity_changes_nothing_else(world: World) -> None:
    entities, decisions = world
    unrelated = [person("new", "Zoë Quist", email="zoe@elsewhere.example"), organisation("new", "Quist")]
    assert resolve(entities + unrelated, decisions) == resolve(entities, decisions)


@given(some_entities())
def test_no_cluster_holds_two_addresses_of_one_domain(entities: list[Entity]) -> None:
    mails = {entity.node_id: entity.facts.get("email", "") for entity in entities}
    for members in clusters(entities, resolve(entities, [])):
        at_home = {mails[node_id] for node_id in members if mails[node_id].endswith("@x.example")}
        assert len(at_home) < 2


def test_what_many_have_in_common_is_not_compared_pair_by_pair() -> None:
    """Five thousand of one name and department are twelve million pairs, which take minutes."""
    names = [f"Ann Bell {chr(97 + number % 26)}" for number in range(5_000)]
    entities = [person(str(number), name, department="Sales") for number, name in enumerate(names)]
    twice = [person(f"x{number}", "Bo Reed", department="Sales") for number in (1, 2)]
    start = process_time()
    assert [merge.node_id for merge in resolve(entities + twice, [])] == ["person:p/x2"]
    assert process_time() - start < 15
