"""Whether a graph's tables hold together: every fault is found, and none where there is none."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from sync_assets.graph import health as module
from sync_assets.graph import tables as t
from sync_assets.graph.health import Health, health
from sync_assets.graph.store import GraphStore
from sync_assets_tests.graph.small_graph import HARDWARE, TENANT, fill, identity, node
from sync_assets_tests.graph.test_store import fresh_url


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def opened(request: pytest.FixtureRequest) -> Iterator[GraphStore]:
    with fresh_url(request.param, request) as url:
        store = GraphStore(url)
        yield store
        store.close()


@pytest.fixture
def store(opened: GraphStore) -> Iterator[GraphStore]:
    fill(opened)
    yield opened
    opened.forget(TENANT)


def faults(found: Health) -> dict[str, int]:
    return {name: finding.number for name, finding in found._asdict().items() if finding.number}


def run(store: GraphStore, *statements: Any) -> None:
    with store.transaction() as connection:
        for statement in statements:
            connection.execute(statement)


def rows(store: GraphStore) -> list[Any]:
    with store.transaction() as connection:
        return [
            sorted(map(repr, connection.execute(sa.select(table)).all())) for table in (t.nodes, t.edges, t.evidence)
        ]


def test_a_graph_in_order_has_no_faults_and_stays_as_it_is(store: GraphStore) -> None:
    before = rows(store)
    assert faults(health(store, TENANT)) == {}
    assert rows(store) == before


def test_edges_that_end_at_no_node_are_found(store: GraphStore) -> None:
    run(store, sa.delete(t.nodes).where(t.nodes.c.node_id == HARDWARE.node_id))
    found = health(store, TENANT)
    assert found.dangling_edges.number == 54
    assert len(found.dangling_edges.samples) == 20
    assert f"{node('100')} BELONGS_TO {HARDWARE.node_id}" in found.dangling_edges.samples
    assert HARDWARE.node_id in found.stale.samples


def test_evidence_of_documents_that_are_gone_is_found(store: GraphStore) -> None:
    is_40 = t.documents.c.document_id == identity("40")
    run(store, sa.update(t.documents).where(is_40).values(deleted=True))
    deleted = health(store, TENANT)
    run(store, sa.delete(t.documents).where(is_40))
    missing = health(store, TENANT)
    assert deleted.evidence_without_document == missing.evidence_without_document
    assert deleted.evidence_without_document.number > 3
    assert all(sample.startswith(identity("40")) for sample in deleted.evidence_without_document.samples)


def test_evidence_of_texts_that_are_gone_is_found(store: GraphStore) -> None:
    run(store, sa.delete(t.texts).where(t.texts.c.place == "note-1"))
    found = health(store, TENANT)
    assert found.evidence_without_text.number >= 2
    assert all("note-1" in sample for sample in found.evidence_without_text.samples)
    run(store, sa.update(t.texts).where(t.texts.c.place == "part-1").values(chunk_id="another"))
    assert health(store, TENANT).evidence_without_text.number > found.evidence_without_text.number


def test_a_text_that_ends_before_its_evidence_is_found(store: GraphStore) -> None:
    run(store, sa.update(t.texts).where(t.texts.c.place == "note-1").values(text="Only"))
    assert health(store, TENANT).evidence_without_text.number >= 2


@pytest.mark.parametrize("value", [0.0, -0.5, 1.5])
def test_confidences_that_are_none_are_found(store: GraphStore, value: float) -> None:
    run(
        store,
        sa.update(t.nodes).where(t.nodes.c.node_id == HARDWARE.node_id).values(confidence=value),
        sa.update(t.edges).where(t.edges.c.kind == "AFFECTS").values(confidence=value),
        sa.update(t.evidence).where(t.evidence.c.edge == "RESOLVED_BY").values(probability=value),
    )
    found = health(store, TENANT).confidence
    assert found.number >= 1 + 4 + 1
    assert f"{HARDWARE.node_id} {value}" in found.samples


def test_nodes_and_edges_that_are_not_what_their_evidence_says_are_found(store: GraphStore) -> None:
    run(
        store,
        sa.update(t.nodes).where(t.nodes.c.node_id == HARDWARE.node_id).values(documents=7),
        sa.delete(t.edges).where(t.edges.c.kind == "RESOLVED_BY"),
        sa.delete(t.nodes).where(t.nodes.c.node_id == node("41")),
    )
    before = rows(store)
    found = health(store, TENANT).stale
    assert set(found.samples) == {HARDWARE.node_id, node("41"), f"{node('40')} RESOLVED_BY {node('kb-7')}"}
    assert rows(store) == before


def test_nodes_with_far_more_edges_than_others_of_their_kind_are_told_by_id(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEAST_DEGREE", 20)
    (told,) = health(store, TENANT).degree_outliers.samples
    assert told == "person:portal/3: 51 edges", "names may not be for everybody who sees the checks"
