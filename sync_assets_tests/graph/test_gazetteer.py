"""Which phrases an entity gives, and that the quick search never misses a text in which one stands."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_assets.documents import Visibility
from sync_assets.graph.evidence import Name, Subject, Text
from sync_assets.graph.extraction import open_extractor
from sync_assets.graph.gazetteer import NameSearch, names_of, normalised, phrases_of
from sync_assets.graph.matching import NameMatcher, wholes
from sync_assets.relations import Entity, NodeKind


def entity(kind: NodeKind, key: str = "k", name: str = "", *aliases: str, **more: object) -> Entity:
    return Entity.model_validate({"kind": kind, "key": key, "name": name, "aliases": aliases, **more})


def phrases(one: Entity) -> set[str]:
    return {phrase for phrase, _ in phrases_of(one)}


def test_a_person_is_called_by_the_full_name_and_addresses_only() -> None:
    person = entity(NodeKind.PERSON, "1", "Sanne  de Wit", "s.dewit@x.example", "Sanne")
    assert phrases(person) == {
        "sanne de wit", "de wit, sanne", "wit, sanne de", "s. de wit", "s.dewit@x.example"
    }  # fmt: skip


def test_a_person_known_by_surname_first_is_called_by_both_forms() -> None:
    assert {"piet jansen", "jansen, piet"} <= phrases(entity(NodeKind.PERSON, "1", "Jansen, Piet"))


@pytest.mark.parametrize("name", ["Piet", "x", "", "Piet J.", "- -"])
def test_a_person_without_a_full_name_is_not_looked_for(name: str) -> None:
    assert phrases(entity(NodeKind.PERSON, "1", name)) == set()


@pytest.mark.parametrize("name", ["office", "werkplek", "PC", "Go", "IT", "US", "12345", ""])
def test_common_or_short_words_are_no_names(name: str) -> None:
    expected = {"pc"} if name == "PC" else set[str]()
    assert phrases(entity(NodeKind.PRODUCT, "1", name)) == expected


def test_a_ticket_is_called_by_its_numbers_and_address_not_by_its_title() -> None:
    ticket = entity(NodeKind.TICKET, "1", "Outlook hangs", "#12", "WEB-123", "12", scope="gitlab/shop",
                    facts={"url": "https://x.example/issues/12"})  # fmt: skip
    assert set(phrases_of(ticket)) == {
        ("#12", "gitlab/shop"), ("web-123", ""), ("https://x.example/issues/12", "")
    }  # fmt: skip


def test_a_short_form_without_a_scope_is_no_name() -> None:
    assert phrases(entity(NodeKind.TICKET, "1", "", "#12")) == set()


def test_a_channel_is_called_with_its_sign() -> None:
    assert phrases(entity(NodeKind.CHANNEL, "1", "werkplek", "#werkplek")) == {"#werkplek"}


def test_a_configuration_item_is_also_called_by_its_serial_number() -> None:
    item = entity(NodeKind.CONFIGURATION_ITEM, "1", "LT-0231", facts={"serial_number": "PF3K9Q2W"})
    assert phrases(item) == {"lt-0231", "lt0231", "lt 0231", "pf3k9q2w"}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("Zebra TC 52", {"zebra tc52", "zebra tc-52"}),
        ("LT0231", {"lt 0231", "lt-0231"}),
        ("Windows-11", {"windows 11", "windows11"}),
        ("Harbour & Sons", {"harbour and sons", "harbour en sons"}),
        ("Beheer en Onderhoud", {"beheer & onderhoud", "beheer and onderhoud"}),
        ("Café Zuid", {"cafe zuid"}),
        ("Kamer 2.14", set()),
        ("PRT-1", set()),
        ("P&O1", set()),
    ],
)
def test_a_name_is_also_found_as_people_spell_it(name: str, others: set[str]) -> None:
    assert phrases(entity(NodeKind.CONFIGURATION_ITEM, "1", name)) == {name.lower(), *others}
    assert phrases(entity(NodeKind.TICKET, "1", name)) == set()


def test_a_person_is_also_called_without_accents() -> None:
    assert phrases(entity(NodeKind.PERSON, "1", "Siân Hughes")) == {
        "siân hughes", "hughes, siân", "s. hughes", "sian hughes", "hughes, sian"
    }  # fmt: skip


def test_a_category_is_never_looked_for() -> None:
    assert phrases(entity(NodeKind.CATEGORY, "1", "Hardware", "HW-1234")) == set()


def test_a_name_of_two_nodes_belongs_to_both() -> None:
    two = [entity(NodeKind.PERSON, key, "Piet Jansen") for key in "ba"]
    name = next(name for name in names_of(two) if name.phrase == "piet jansen")
    assert [node.node_id for node in name.nodes] == ["person:a", "person:b"]
    assert names_of(two) == names_of(reversed(two))


def test_the_search_minds_the_scope_of_short_forms() -> None:
    search = NameSearch(names_of([entity(NodeKind.TICKET, "1", "", "#12", scope="a")]))
    assert search.may_hold("see #12", "a")
    assert search.may_hold("see ticket 12", "a")
    assert not search.may_hold("see #12", "b")
    assert not search.may_hold("see #123", "a")


def test_a_search_for_nothing_finds_nothing() -> None:
    assert not NameSearch([]).may_hold("\0 anything \0 else", "")


_KINDS = [NodeKind.PRODUCT, NodeKind.PERSON, NodeKind.TICKET, NodeKind.CONFIGURATION_ITEM, NodeKind.CHANNEL]
_WORDS = ["Outlook", "Teams", "de", "Wit", "Sanne", "PRT-1", "PRT-12", "#1", "!12", "P&O", "İzmir", "ΟΔΟΣ", "Straße",
          "x@y.example", "https://x.example/1", "SRV_01", "ſtudio", "İ", "Ⓐbc", "١٢", "Kamer 2.14"]  # fmt: skip
_PARTS = st.one_of(st.sampled_from(_WORDS), st.text(max_size=6))
_SIGNS = st.sampled_from(
    ["", " ", "  ", "\n", "\t", "\xa0", ".", ",", "-", "_", "/", "s ", "probleem ", "ticket ", "\x1f", "\ud800", "😀"]
)
_ENTITIES = st.builds(
    lambda kind, key, words, alias: entity(kind, key, " ".join(words), alias, scope="s"),
    st.sampled_from(_KINDS), st.sampled_from("abc"), st.lists(_PARTS, max_size=3), _PARTS,
)  # fmt: skip
_TEXTS = st.lists(st.tuples(_PARTS, _SIGNS), max_size=8).map(lambda parts: "".join(map("".join, parts)))


@example([entity(NodeKind.PRODUCT, "a", "ΟΔΟΣ")], "ΟΔΟΣ.Α ΟΔΟΣ")
@example([entity(NodeKind.TICKET, "a", "", "#12", scope="s")], "melding 12")
@example([entity(NodeKind.PRODUCT, "a", "Outlook")], "Outlookprobleem")
@settings(deadline=None)
@given(st.lists(_ENTITIES, max_size=4), _TEXTS)
def test_the_search_misses_no_text_that_gives_evidence(entities: list[Entity], text: str) -> None:
    extractor = open_extractor({})
    own = Entity(kind=NodeKind.TICKET, key="own", scope="s")
    subject = Subject("d", own, False, (Text("p", None, "description", text, Visibility.PUBLIC),))
    names = {name.phrase: name for name in names_of(entities)}
    for row in extractor.extract([subject], list(names.values())):
        if row.span is not None and row.extractor.startswith("names/"):
            words = normalised(text[slice(*row.span)])
            name = names.get(words) or names[f"#{words}"]
            assert NameSearch([name]).may_hold(text, "s"), name


@settings(deadline=None)
@given(st.lists(_ENTITIES, max_size=4), st.lists(_TEXTS, max_size=4))
def test_what_a_text_names_does_not_depend_on_texts_before_it(entities: list[Entity], texts: list[str]) -> None:
    matcher = NameMatcher(names_of(entities))
    for text in texts:
        assert matcher.find(text, "s", wholes(text)) == NameMatcher(names_of(entities)).find(text, "s", wholes(text))


def test_a_search_for_several_names_finds_what_a_search_for_each_does() -> None:
    names = [Name(phrase, "", ()) for phrase in ("prt-1", "prt-12", "t-1")]
    assert NameSearch(names).may_hold("PRT-12 is stuck", "")
    assert not NameSearch(names[:1]).may_hold("PRT-12 is stuck", "")
