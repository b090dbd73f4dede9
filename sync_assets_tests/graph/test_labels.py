"""The labels of bench/data are sound: what they name is there, once, and in the numbers that figures are quoted for."""

from collections import Counter
from itertools import combinations

import pytest

from bench.graph_labels import (
    LANGUAGES,
    LabelledText,
    Mention,
    read_entities,
    read_held_out,
    read_pairs,
    read_texts,
    read_world,
)
from bench.graph_similarity import threshold
from sync_assets.demo.company import DemoCompany
from sync_assets.documents import document_id
from sync_assets.relations import NodeKind

_FOUND_BY_FORM = {NodeKind.ERROR_CODE, NodeKind.VERSION, NodeKind.HOST}


@pytest.fixture(scope="module")
def texts() -> list[LabelledText]:
    """All of them, those held out last."""
    return [*read_texts(), *read_held_out()]


def test_there_are_75_texts_in_each_language_and_20_held_out() -> None:
    assert Counter(text.language for text in read_texts()) == {"en": 75, "nl": 75}
    assert Counter(text.language for text in read_held_out()) == {"en": 20, "nl": 20}


def test_no_text_stands_twice(texts: list[LabelledText]) -> None:
    wholes = [tuple(part.text for part in text.subject.texts) for text in texts]
    assert len({text.id for text in texts}) == len(set(wholes)) == len(texts)


def test_every_sixth_text_or_so_mentions_nothing() -> None:
    assert sum(not text.mentions for text in read_texts()) >= 25
    assert sum(not text.mentions for text in read_held_out()) >= 6


def test_mentions_begin_and_end_with_their_words_and_do_not_overlap(texts: list[LabelledText]) -> None:
    for text in texts:
        parts = {part.place: part.text for part in text.subject.texts}
        mentions = [*text.mentions, *text.unknown]
        for mention in mentions:
            words = parts[mention.place][slice(*mention.span)]
            assert words, f"{text.id}: {mention}"
            assert words == words.strip(" .,;:()\"'\n"), f"{text.id}: {words!r}"
        for one, other in combinations(sorted(mentions), 2):
            assert one.place != other.place or one.span[1] <= other.span[0], f"{text.id}: {one} and {other}"


def test_every_node_named_is_a_record_of_the_tenant_or_found_by_its_form(texts: list[LabelledText]) -> None:
    world = read_world()
    known = {language: {one.node_id for one in world[tenant].values()} for language, tenant in LANGUAGES.items()}
    for text in texts:
        for mention in text.mentions:
            assert mention.kind in _FOUND_BY_FORM or mention.node_id in known[text.language], f"{text.id}: {mention}"


def test_every_edge_joins_the_document_and_a_node_that_it_mentions(texts: list[LabelledText]) -> None:
    for text in texts:
        own, named = text.subject.entity.node_id, {mention.node_id for mention in text.mentions}
        assert own not in named
        for edge in text.edges:
            assert {edge.source, edge.target} - {own} <= named, f"{text.id}: {edge}"
            assert own in (edge.source, edge.target), f"{text.id}: {edge}"


def test_a_ticket_that_is_open_is_resolved_by_nothing(texts: list[LabelledText]) -> None:
    tickets = [text for text in texts if text.subject.entity.kind == NodeKind.TICKET and not text.subject.is_resolved]
    assert tickets
    assert not [text.id for text in tickets if "RESOLVED_BY" in {edge.kind for edge in text.edges}]


def test_a_mention_knows_its_words_when_they_occur_more_than_once(texts: list[LabelledText]) -> None:
    text = next(text for text in texts if text.id == "en-010")
    whole = next(part for part in text.subject.texts if part.role == "description")
    (found,) = [mention for mention in text.mentions if mention.node_id == "error_code:bsod"]
    start = whole.text.index("BSOD")
    assert found == Mention(whole.place, (start, start + 4), "error_code", "error_code:bsod")


def test_an_entity_to_be_resolved_is_declared_once() -> None:
    for tenant, entities in read_entities().items():
        ids = [one.entity.node_id for one in entities]
        assert len(set(ids)) == len(ids), tenant
        clusters: dict[str, set[str]] = {}
        for one in entities:
            clusters.setdefault(one.cluster, set()).add(one.entity.kind)
        assert all(len(kinds) == 1 for kinds in clusters.values()), tenant
    assert sum(map(len, read_entities().values())) >= 40


def test_pairs_name_tickets_of_the_demo_and_are_judged_once() -> None:
    pairs = read_pairs()
    company = DemoCompany()
    known = {tenant: set(company.record_ids(tenant, "freshdesk", "tickets")) for tenant in ("acme", "polder")}
    assert not [pair for pair in pairs if not set(pair.record_ids) <= known[pair.tenant]]
    judged = [frozenset(document_id(pair.tenant, "freshdesk", one) for one in pair.record_ids) for pair in pairs]
    assert all(len(pair) == 2 for pair in judged)
    assert len(set(judged)) == len(judged) >= 60


def test_the_threshold_is_the_smallest_that_is_precise_enough() -> None:
    assert threshold([0.9, 0.8, 0.7, 0.6], [True, True, False, True]) == (0.8, 1.0, 2 / 3)
    assert threshold([0.9, 0.8], [False, True]).recall == 0.0
