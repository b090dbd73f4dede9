"""Damage that is done to a store behind our back is found in full, and healed without embedding anything."""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.audit import AuditScope, audit
from sync_assets.audit.healing import prepare
from sync_assets.documents import Visibility
from sync_assets.vector_stores import Audience
from sync_assets_tests.audit.world import DIMENSION, NewWorld, World, drop, make_point, put

pytestmark = pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode):UserWarning")

EVERYBODY = Audience(visibility=Visibility.INTERNAL)
RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def alterations(payload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Payloads that are not as they were written, by what was changed."""
    return {
        "text": {**payload, "text": "bring your own fire"},
        "empty text": {**payload, "text": ""},
        "title": {**payload, "title": "Ticket of somebody else"},
        "metadata": {**payload, "metadata": {**payload["metadata"], "status": "closed"}},
        "shown to nobody": {**payload, "readers": ["nobody at all"]},
        "found by nothing": {**payload, "facets": ["status=other"]},
        "found by no word": {**payload, "terms": ["other"]},
        "written before there were words": {name: value for name, value in payload.items() if name != "terms"},
        "visibility": {**payload, "visibility": "internal", "readers": ["internal"]},
        "another document": {**payload, "document_id": "somebody_freshdesk_1"},
        "another record": {**payload, "record_id": "4711"},
        "another stream": {**payload, "stream": "articles"},
        "hash of the text": {**payload, "content_hash": "0" * 32},
        "hash of the payload": {**payload, "payload_hash": "0" * 32},
        "no visibility that there is": {**payload, "visibility": "whatever"},
    }


def vectors(stored: list[float]) -> dict[str, list[float]]:
    """Vectors that are not the stored one."""
    moved = np.roll(np.asarray(stored), 1) + 0.01 * np.eye(DIMENSION)[0]
    return {
        "zero": [0.0] * DIMENSION,
        "another": (moved / np.linalg.norm(moved)).tolist(),
        "nearly the same": [stored[0] + 0.01, *stored[1:]],
    }


ALTERED = list(alterations({"metadata": {}}))
damages = st.one_of(
    st.tuples(st.just("missing"), st.none()),
    st.tuples(st.just("altered"), st.sampled_from(ALTERED)),
    st.tuples(st.just("vector"), st.sampled_from(list(vectors([0.5] * DIMENSION)))),
)
places = st.tuples(st.integers(0, 5), st.integers(0, 2))


def break_chunk(world: World, chunk_id: str, kind: str, how: str | None) -> None:
    payload, vector = world.contents()[chunk_id]
    where = (world.opened, world.registered, world.tenant)
    if kind == "missing":
        drop(*where, [chunk_id])
    elif kind == "altered":
        put(*where, chunk_id, alterations(payload)[how or ""], vector)
    else:
        put(*where, chunk_id, payload, vectors(vector)[how or ""])


def insert_stranger(world: World, number: int) -> tuple[str, str]:
    """A point that we never wrote, like one of ours in all but its ids; document id and chunk id."""
    payload, vector = next(iter(world.contents().values()))
    document, chunk_id = world.document(f"stranger-{number}"), str(uuid.uuid4())
    altered = {**payload, "document_id": document, "record_id": f"stranger-{number}"}
    put(world.opened, world.registered, world.tenant, chunk_id, altered, vector)
    return document, chunk_id


def check_damage(world: World, broken: Mapping[tuple[int, int], tuple[str, str | None]], strangers: int) -> None:
    before = world.contents()
    assert len(before) == 18
    assert world.found(upstream=True) == {}
    expected: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    chunks = {str(number): world.chunks(str(number)) for number in range(6)}
    for (ticket, place), (kind, how) in broken.items():
        chunk_id = chunks[str(ticket)][place]
        break_chunk(world, chunk_id, kind, how)
        expected[kind][world.document(str(ticket))].append(chunk_id)
    for number in range(strangers):
        document, chunk_id = insert_stranger(world, number)
        expected["stranger"][document].append(chunk_id)
    wanted = {kind: {document: sorted(ids) for document, ids in found.items()} for kind, found in expected.items()}
    assert world.found() == wanted
    reports = world.heal()
    assert reports["embeddings"].total("embedded") == 0
    assert world.found(upstream=True) == {}
    assert world.contents() == before


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [range(0, 6), range(6, 12), range(12, len(ALTERED))], ids=str)
def test_every_alteration_of_a_payload_is_found_and_healed(new_world: NewWorld, chosen: range) -> None:
    world = new_world()
    broken = {(place, 0): ("altered", ALTERED[number]) for place, number in enumerate(chosen)}
    check_damage(world, broken, strangers=0)


def test_points_of_an_older_version_are_found_by_words_after_a_heal(new_world: NewWorld) -> None:
    world = new_world()
    break_chunk(world, world.chunks("1")[0], "altered", "written before there were words")
    text = world.contents()[world.chunks("1")[0]][0]["text"]
    asked = (world.registered.collection, world.tenant, EVERYBODY, text, 1)
    assert [hit.chunk_id for hit in world.opened.search_text(*asked).hits] != [world.chunks("1")[0]]
    assert world.heal()["embeddings"].total("embedded") == 0
    assert [hit.chunk_id for hit in world.opened.search_text(*asked).hits] == [world.chunks("1")[0]]


@given(st.dictionaries(places, damages, max_size=8), st.integers(0, 2))
@settings(max_examples=2, deadline=None, suppress_health_check=RELAXED)
def test_any_damage_is_found_in_full_and_healed_with_no_embedding(
    new_world: NewWorld, broken: dict[tuple[int, int], tuple[str, str | None]], strangers: int
) -> None:
    check_damage(new_world(), broken, strangers)


@pytest.mark.slow
@given(st.dictionaries(places, damages, max_size=18), st.integers(0, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
def test_any_damage_in_many_examples(
    new_world: NewWorld, broken: dict[tuple[int, int], tuple[str, str | None]], strangers: int
) -> None:
    check_damage(new_world(), broken, strangers)


def test_points_that_name_a_tenant_whom_nobody_knows_are_found_and_removed(new_world: NewWorld) -> None:
    world = new_world()
    nobody = f"nobody{world.tenant}"
    point = make_point(nobody)
    world.opened.upsert(world.registered.collection, nobody, [point])
    everyone = AuditScope(places=(world.store,))

    result = audit(world.services, [world.stream], everyone)
    assert [finding for finding in result.findings if finding.ref.tenant == world.tenant] == []
    (found,) = [finding for finding in result.findings if finding.ref.tenant == nobody]
    assert (found.kind, found.documents) == ("stranger", {point.document_id: [point.chunk_id]})

    prepare(world.services, result)
    assert nobody not in world.opened.tenants(world.registered.collection)
    assert len(world.contents()) == 18


def test_a_store_that_lost_a_tenant_is_found_and_filled_again(new_world: NewWorld) -> None:
    world = new_world()
    before = world.contents()
    world.opened.drop_tenant(world.registered.collection, world.tenant)
    assert {kind: len(found) for kind, found in world.found().items()} == {"missing": 6}
    assert world.heal()["embeddings"].total("embedded") == 0
    assert world.contents() == before


def test_a_document_that_upstream_lost_in_silence_is_told_only_where_upstream_is_asked(new_world: NewWorld) -> None:
    world = new_world()
    del world.upstream.tickets["3"]
    world.write("7", "new and not synced")
    assert world.found() == {}
    told = {"not synced": {world.document("7"): []}, "gone upstream": {world.document("3"): []}}
    assert world.found(upstream=True) == told
    world.heal()
    assert world.found(upstream=True) == {}
    assert world.chunks("3") == []
    assert len(world.chunks("7")) == 1


def test_a_write_that_was_never_confirmed_is_told_as_behind(new_world: NewWorld) -> None:
    world = new_world()
    world.services.ledger.mark_dirty(world.registered.id, world.tenant, [world.document("2")])
    drop(world.opened, world.registered, world.tenant, world.chunks("2")[:1])
    assert world.found() == {"behind": {world.document("2"): []}}
    world.heal()
    assert world.found() == {}


def test_where_upstream_is_down_the_ledger_and_the_store_are_compared_all_the_same(new_world: NewWorld) -> None:
    world = new_world()
    drop(world.opened, world.registered, world.tenant, world.chunks("2"))
    world.upstream.broken = True
    result = world.audit(upstream=True)
    assert [finding.kind for finding in result.findings] == ["missing"]
    assert [f"{world.tenant} upstream freshdesk/tickets: Upstream is down. Wait."] == result.failures
    assert result.exit_code == 1
