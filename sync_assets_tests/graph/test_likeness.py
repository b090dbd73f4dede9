"""Which two entities are taken for one, and which are not, by the pair."""

import pytest

from sync_assets.graph.resolution import resolve
from sync_assets.relations import Entity, NodeKind


def person(key: str, name: str = "", *aliases: str, **facts: str) -> Entity:
    return Entity(kind=NodeKind.PERSON, key=key if "/" in key else f"p/{key}", name=name, aliases=aliases, facts=facts)


def organisation(key: str, name: str) -> Entity:
    return Entity(kind=NodeKind.ORGANISATION, key=f"o/{key}", name=name)


def thing(kind: NodeKind, key: str, name: str, *aliases: str, **facts: str) -> Entity:
    return Entity(kind=kind, key=f"t/{key}", name=name, aliases=aliases, facts=facts)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (
            person("1", "Ann Bell", email="a.bell@x.example"),
            person("2", "ann bell", email="A.Bell@X.example"),
            "same e-mail address",
        ),
        (
            person("1", "Ann Bell", email="a.bell@x.example"),
            person("2", "", email="a.bell+test@x.example"),
            "same e-mail address",
        ),
        (
            person("1", "Ann Bell", "a.bell@x.example"),
            person("2", "Ann Bell-Stone", email="a.bell@x.example"),
            "same e-mail address",
        ),
        (
            person("1", "Bob Smith", email="smith@x.example"),
            person("2", "Robert Smith", email="smith@x.example"),
            "same e-mail address",
        ),
        (
            person("1", "Ann Bell", phone="+44 113 496 0172"),
            person("2", "Bell, Ann", phone="(0113) 4960172"),
            "same name, same phone number",
        ),
        (
            person("1", "Jürgen Müller", phone="+49 30 1234567"),
            person("2", "Juergen Mueller", phone="030-1234567"),
            "same name, same phone number",
        ),
        (
            person("1", "Katherine Ashdown", phone="07700 900655"),
            person("2", "Katharine Ashdown", phone="+44 7700 900655"),
            "names alike (0.96), same phone number",
        ),
        (
            person("1", "Siân Hughes", department="Sales"),
            person("2", "Sian Hughes", department="sales "),
            "same name, same department",
        ),
        (
            person("1", "Ann Bell", email="ann@x.example", department="Sales"),
            person("2", "A. Bell", department="SALES"),
            "same initials and family name, same department",
        ),
        (
            person("1", "Ann Mary Bell", department="Sales"),
            person("2", "Ann Bell", department="Sales"),
            "one name is part of the other, same department",
        ),
        (person("1", "Joost van den Berg"), person("q/2", "Berg, Joost v.d."), "same name, and nothing against it"),
        (
            person("1", "Dr. Fatima El Amrani (ICT)"),
            person("q/2", "Fatima el-Amrani"),
            "same name, and nothing against it",
        ),
    ],
)
def test_a_person_written_in_two_ways_is_one(one: Entity, other: Entity, reason: str) -> None:
    (merge,) = resolve([one, other], [])
    assert merge.reason == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (person("1", "Ann Bell", email="ann@x.example"), person("2", "Ann Bell", email="bell@x.example")),
        (person("1", "Ann Bell", email="ann@x.example"), person("q/2", "Ann Bell", email="ann@y.example")),
        (
            person("1", "Ann Bell", phone="0113 4960172", department="Sales"),
            person("2", "Ann Bell", phone="0113 4960173", department="HR"),
        ),
        (person("1", "Olivia Crane", phone="01482 496000"), person("2", "Peter Nolan", phone="01482 496000")),
        (
            person("1", "Anneke Visser", email="receptie@x.example"),
            person("2", "Tineke Vos", email="receptie@x.example"),
        ),
        (
            person("1", "Anneke Visser", email="receptie@x.example"),
            person("2", "Anneke Vos", email="receptie@x.example"),
        ),
        (person("1", "Bas Kok", department="Sales"), person("2", "Bas de Kok", department="Sales")),
        (person("1", "Daniel Price", department="Sales"), person("2", "Daniela Price", department="Sales")),
        (person("1", "J. Smith"), person("q/2", "John Smith")),
        (person("1", "J. Smith"), person("q/2", "J. Smith")),
        (person("1", "Ann Bell", department="Sales"), person("2", "Anna Bell", department="Sales")),
        (person("1", "Ann Bell"), person("2", "Ann Bell")),
        (person("1", "Deleted User"), person("q/2", "Deleted User")),
        (person("1", "James Martin"), person("q/2", "Martin James")),
        (person("1", "Ann"), person("2", "Ann", department="Sales")),
        (person("1"), person("2")),
        (person("1", "..."), person("2", "-")),
    ],
)
def test_persons_who_may_be_two_stay_two(one: Entity, other: Entity) -> None:
    assert resolve([one, other], []) == []


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (organisation("1", "Acme Parts B.V."), organisation("2", "ACME PARTS"), "same name"),
        (organisation("1", "Harbour & Sons"), organisation("2", "Harbour and Sons Ltd."), "same name"),
        (organisation("1", "Müller GmbH"), organisation("2", "Mueller"), "same name"),
        (thing(NodeKind.DEPARTMENT, "1", "Afdeling Inkoop"), thing(NodeKind.DEPARTMENT, "2", "inkoop"), "same name"),
        (thing(NodeKind.PRODUCT, "1", "Windows 11"), thing(NodeKind.PRODUCT, "2", "windows-11"), "same name"),
        (
            thing(NodeKind.PRODUCT, "1", "Outlook", "Microsoft Outlook"),
            thing(NodeKind.PRODUCT, "2", "Microsoft Outlook"),
            "same name",
        ),
        (thing(NodeKind.LOCATION, "1", "Locatie De Schelp"), thing(NodeKind.LOCATION, "2", "De  Schelp"), "same name"),
    ],
)
def test_a_thing_written_in_two_ways_is_one(one: Entity, other: Entity, reason: str) -> None:
    (merge,) = resolve([one, other], [])
    assert merge.reason == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (organisation("1", "Acme"), organisation("2", "Acme Parts")),
        (organisation("1", "Brightwater"), organisation("2", "Brightwatter")),
        (organisation("1", "B.V."), organisation("2", "Ltd")),
        (thing(NodeKind.PRODUCT, "1", "Windows 10"), thing(NodeKind.PRODUCT, "2", "Windows 11")),
        (thing(NodeKind.PRODUCT, "1", "Windows 10", "Windows"), thing(NodeKind.PRODUCT, "2", "Windows 11", "Windows")),
        (thing(NodeKind.LOCATION, "1", "Dock 1 3"), thing(NodeKind.LOCATION, "2", "Dock 13")),
        (thing(NodeKind.LOCATION, "1", "De Schelp"), thing(NodeKind.LOCATION, "2", "De Schelp Noord")),
        (thing(NodeKind.PRODUCT, "1", "Acme"), organisation("2", "Acme")),
        (thing(NodeKind.HOST, "1", "srv-1"), thing(NodeKind.HOST, "2", "srv-1")),
        (thing(NodeKind.CONFIGURATION_ITEM, "1", "srv-1"), thing(NodeKind.CONFIGURATION_ITEM, "2", "srv-1")),
    ],
)
def test_things_that_may_be_two_stay_two(one: Entity, other: Entity) -> None:
    assert resolve([one, other], []) == []
