"""What Freshdesk's tickets and articles tell of the knowledge graph."""

from typing import Any

import pytest

from sync_assets.documents import Document
from sync_assets.sources.freshdesk_documents import article_document, ticket_document
from sync_assets.sources.freshdesk_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges

URL = "https://acme.freshdesk.com"
Json = dict[str, Any]
TICKET: Json = {
    "ticket": {
        "id": 123,
        "subject": "Phone dead",
        "status": 2,
        "requester_id": 5,
        "responder_id": 8,
        "company_id": 30,
        "group_id": 4,
        "product_id": 9,
        "requester": {"id": 5, "name": "Fraser Lee", "email": "fraser@customer.example", "phone": None, "mobile": "07"},
    },
    "conversations": [],
    "attachments": [],
    "names": {
        "group": "R&D",
        "requester": "Fraser Lee",
        "agents": {"8": "Noor Vos", "9": "Ida"},
        "agent_email": "noor@acme.example",
    },
}
ARTICLE: Json = {
    "article": {"id": 77, "title": "Install", "agent_id": 8},
    "folder": {"id": 2, "name": "Desk", "visibility": 1},
    "category": {"id": 1, "name": "Phones"},
    "language": "en",
}


def plain(stream: str, record_id: str, payload: Any) -> Document:
    make = ticket_document if stream == "tickets" else article_document
    return make("acme", URL, record_id, payload)


def document(stream: str, record_id: str, payload: Any) -> Document:
    return with_graph(plain(stream, record_id, payload), URL, payload)


def ticket(**changes: Any) -> Document:
    return document("tickets", "123", TICKET | {"ticket": TICKET["ticket"] | changes})


def test_a_ticket_names_its_people_group_company_and_product() -> None:
    found = ticket()
    assert found.entity is not None
    assert found.entity.node_id == "ticket:acme_freshdesk_123"
    assert found.entity.name == "Phone dead"
    assert found.entity.aliases == ("#123", f"{URL}/support/tickets/123")
    assert found.entity.scope == "freshdesk"
    assert found.entity.facts == {"url": f"{URL}/a/tickets/123", "state": "open"}
    assert edges(found) == [
        ("CREATED_BY", "person:freshdesk/5"),
        ("CREATED_BY", "person:freshdesk/5", "internal"),
        ("ASSIGNED_TO", "person:freshdesk/8"),
        ("ASSIGNED_TO", "person:freshdesk/8", "internal"),
        ("BELONGS_TO", "department:freshdesk/4"),
        ("BELONGS_TO", "organisation:freshdesk/30", "internal"),
        ("person:freshdesk/5", "BELONGS_TO", "organisation:freshdesk/30", "internal"),
        ("AFFECTS", "product:freshdesk/9"),
    ]
    names = [relation.target.name for relation in found.relations[:5]]
    assert names == ["Fraser Lee", "Fraser Lee", "Noor Vos", "Noor Vos", "R&D"]


def test_only_agents_learn_addresses_and_phones() -> None:
    shown, whole, agent_shown, agent = (relation.target for relation in ticket().relations[:4])
    assert (shown.aliases, shown.facts) == ((), {})
    assert whole.aliases == ("fraser@customer.example",)
    assert whole.facts == {"email": "fraser@customer.example", "phone": "07"}
    assert (agent_shown.facts, agent.facts) == ({}, {"email": "noor@acme.example"})


@pytest.mark.parametrize(
    ("status", "name", "state"),
    [
        (3, None, "open"),
        (4, None, "resolved"),
        (5, "Open", "resolved"),
        (6, "Waiting", "open"),
        (7, "Done", "resolved"),
    ],
)
def test_a_ticket_is_resolved_by_its_status_or_by_what_the_account_calls_it(
    status: int, name: str | None, state: str
) -> None:
    payload = TICKET | {"ticket": TICKET["ticket"] | {"status": status}, "names": TICKET["names"] | {"status": name}}
    entity = document("tickets", "123", payload).entity
    assert entity is not None
    assert entity.facts["state"] == state


def test_a_ticket_without_people_has_no_relations() -> None:
    found = document("tickets", "123", {"ticket": {"id": 123, "status": 2}, "conversations": []})
    assert found.entity is not None
    assert found.relations == []


def test_an_article_belongs_to_its_category_and_a_translation_to_its_article() -> None:
    original, translation = (document("articles", key, ARTICLE) for key in ("article-77", "article-77-nl"))
    assert original.entity is not None
    assert translation.entity is not None
    common = [("CREATED_BY", "person:freshdesk/8"), ("BELONGS_TO", "category:freshdesk/1")]
    assert edges(original) == common
    assert edges(translation) == [*common, ("BELONGS_TO", original.entity.node_id)]
    assert original.entity.aliases == (f"{URL}/support/solutions/articles/77",)
    assert (translation.entity.node_id, translation.entity.aliases) == ("article:acme_freshdesk_article-77-nl", ())


@pytest.mark.parametrize(
    ("stream", "record_id", "payload"), [("tickets", "123", TICKET), ("articles", "article-77", ARTICLE)]
)
def test_no_odd_field_spoils_a_document(stream: str, record_id: str, payload: Json) -> None:
    check_odd_fields(payload, lambda odd: plain(stream, record_id, odd), lambda odd: document(stream, record_id, odd))
