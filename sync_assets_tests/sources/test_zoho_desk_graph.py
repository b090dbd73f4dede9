"""What Zoho Desk's tickets and articles tell of the knowledge graph."""

from typing import Any

import pytest

from sync_assets.documents import Document
from sync_assets.sources.zoho_desk_documents import article_document, ticket_document
from sync_assets.sources.zoho_desk_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges

Json = dict[str, Any]
TICKET: Json = {
    "id": "900",
    "ticketNumber": "101",
    "subject": "No yield",
    "status": "Waiting for parts",
    "statusType": "On Hold",
    "category": "Inverters",
    "contactId": "11",
    "accountId": "51",
    "assigneeId": "3",
    "departmentId": "41",
    "teamId": "42",
    "productId": "61",
    "contact": {
        "id": "11",
        "firstName": "Mia",
        "lastName": "Holt",
        "email": "mia@mail.example",
        "phone": "+44 1",
        "account": {"id": "51", "accountName": "Holt Ltd"},
    },
    "assignee": {"id": "3", "firstName": "Ines", "lastName": "Kraft", "email": "ines@solara.example"},
    "department": {"id": "41", "name": "Service"},
    "team": {"id": "42", "name": "Roof"},
    "webUrl": "https://desk.example/900",
}
ARTICLE: Json = {
    "id": "77",
    "title": "What is kWp?",
    "answer": "Peak power.",
    "status": "Published",
    "permission": "ALL",
    "categoryId": "21",
    "category": {"id": "21", "name": "Panels"},
    "departmentId": "41",
    "authorId": "3",
    "author": {"id": "3", "name": "Ines Kraft"},
    "webUrl": "https://desk.example/a/77",
    "portalUrl": "https://help.example/kwp",
}


def plain(stream: str, record_id: str, payload: Any) -> Document:
    make = ticket_document if stream == "tickets" else article_document
    return make("solara", record_id, payload)


def document(stream: str, record_id: str, payload: Any) -> Document:
    return with_graph(plain(stream, record_id, payload), payload)


def ticket(**changes: Any) -> Document:
    return document("tickets", "900", {"ticket": TICKET | changes, "threads": [], "comments": []})


def test_a_ticket_names_its_people_departments_account_category_and_product() -> None:
    found = ticket()
    assert found.entity is not None
    assert (found.entity.aliases, found.entity.scope) == (("#101",), "zoho_desk")
    assert found.entity.facts == {"url": "https://desk.example/900", "state": "open"}
    assert edges(found) == [
        ("CREATED_BY", "person:zoho_desk/11"),
        ("CREATED_BY", "person:zoho_desk/11", "internal"),
        ("ASSIGNED_TO", "person:zoho_desk/3"),
        ("ASSIGNED_TO", "person:zoho_desk/3", "internal"),
        ("BELONGS_TO", "department:zoho_desk/41"),
        ("BELONGS_TO", "department:zoho_desk/42"),
        ("BELONGS_TO", "category:inverters"),
        ("BELONGS_TO", "organisation:zoho_desk/51", "internal"),
        ("person:zoho_desk/11", "BELONGS_TO", "organisation:zoho_desk/51", "internal"),
        ("AFFECTS", "product:zoho_desk/61"),
    ]
    contact, whole = (relation.target for relation in found.relations[:2])
    assert (contact.name, contact.facts) == ("Mia Holt", {})
    assert whole.facts == {"email": "mia@mail.example", "phone": "+44 1"}
    assert found.relations[7].target.name == "Holt Ltd"


def test_a_ticket_of_another_account_than_its_contacts_names_both() -> None:
    found = ticket(accountId="52")
    assert ("BELONGS_TO", "organisation:zoho_desk/52", "internal") in edges(found)
    assert ("person:zoho_desk/11", "BELONGS_TO", "organisation:zoho_desk/51", "internal") in edges(found)


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [("Done", "Closed", "resolved"), ("Closed", None, "resolved"), ("Closed", "Open", "open"), ("New", None, "open")],
)
def test_the_kind_of_a_status_says_whether_a_ticket_is_resolved(status: str, kind: str | None, state: str) -> None:
    entity = ticket(status=status, statusType=kind).entity
    assert entity is not None
    assert entity.facts["state"] == state


def test_an_article_has_its_addresses_and_a_translation_belongs_to_it() -> None:
    original = document("articles", "article-77", {"article": ARTICLE})
    words = {"title": "Was ist kWp?", "status": "Published", "locale": "de"}
    translation = document("articles", "article-77-de", {"article": ARTICLE, "translation": words})
    assert original.entity is not None
    assert translation.entity is not None
    assert original.entity.aliases == ("https://desk.example/a/77", "https://help.example/kwp")
    common = [
        ("CREATED_BY", "person:zoho_desk/3"),
        ("BELONGS_TO", "category:zoho_desk/21"),
        ("BELONGS_TO", "department:zoho_desk/41"),
    ]
    assert edges(original) == common
    assert edges(translation) == [*common, ("BELONGS_TO", original.entity.node_id)]
    assert [relation.target.name for relation in translation.relations] == ["Ines Kraft", "Panels", "", ""]
    assert translation.entity.aliases == ()


@pytest.mark.parametrize(
    ("stream", "record_id", "payload"),
    [
        ("tickets", "900", {"ticket": TICKET, "threads": [], "comments": []}),
        ("articles", "article-77-de", {"article": ARTICLE, "translation": ARTICLE}),
    ],
)
def test_no_odd_field_spoils_a_document(stream: str, record_id: str, payload: Json) -> None:
    check_odd_fields(payload, lambda odd: plain(stream, record_id, odd), lambda odd: document(stream, record_id, odd))
