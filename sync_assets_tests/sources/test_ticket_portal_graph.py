"""What a ticket portal's rows tell of the knowledge graph."""

from typing import Any

import pytest

from sync_assets.documents import Document
from sync_assets.sources.ticket_portal_documents import article_document, item_document, ticket_document
from sync_assets.sources.ticket_portal_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges

Json = dict[str, Any]
JOSE: Json = {"user_id": 5, "first_name": "José", "last_name": "Bakker", "department": "Magazijn"}
NOOR: Json = {"user_id": 2, "first_name": "Noor", "last_name": "Smit"}
HARDWARE: Json = {"category_id": 1, "name": "Hardware"}
TICKET: Json = {
    "ticket": {"ticket_id": 7, "ticket_number": "KK-2026-0007", "title": "Laptop traag", "status": "in_progress"},
    "category": HARDWARE,
    "requester": JOSE,
    "agent": NOOR,
    "comments": [],
    "fields": [
        {"field_id": 1, "field_name": "hardware_brand", "field_value": "Dell"},
        {"field_id": 2, "field_name": "hardware_model", "field_value": "Latitude 5440"},
        {"field_id": 3, "field_name": "hardware_location", "field_value": "Hengelo, kantoor"},
        {"field_id": 4, "field_name": "software_name", "field_value": "Anders"},
        {"field_id": 5, "field_name": "username", "field_value": "jbakker"},
    ],
    "attachments": [],
    "related_cis": [{"ci_id": 31, "ci_number": "CI-2026-031", "name": "Laptop José", "relation_type": "affects"}],
}
ITEM: Json = {
    "item": {
        "ci_id": 31,
        "ci_number": "CI-2026-031",
        "name": "Laptop José",
        "brand": "Dell",
        "model": "Latitude 5440",
        "serial_number": "HB4-221",
        "asset_tag": "A-1009",
        "status": "In gebruik",
        "department": "Magazijn",
        "location": "Hengelo, kantoor",
    },
    "owner": JOSE,
}
ARTICLE: Json = {
    "article": {"kb_id": 12, "title": "Herstel", "content": "Zo", "is_published": True},
    "category": HARDWARE,
    "author": NOOR,
}
MAKE = {"tickets": ticket_document, "knowledge_base": article_document, "configuration_items": item_document}
IDS = {"tickets": "7", "knowledge_base": "kb-12", "configuration_items": "ci-31"}


def plain(stream: str, payload: Any) -> Document:
    return MAKE[stream]("polder", IDS[stream], payload)


def document(stream: str, payload: Any) -> Document:
    return with_graph(plain(stream, payload), payload)


def test_a_ticket_names_its_people_place_product_and_items() -> None:
    found = document("tickets", TICKET)
    assert found.entity is not None
    assert (found.entity.aliases, found.entity.scope) == (("KK-2026-0007",), "ticket_portal")
    assert found.entity.facts == {"state": "open"}
    assert edges(found) == [
        ("CREATED_BY", "person:ticket_portal/5"),
        ("CREATED_BY", "person:ticket_portal/5", "internal"),
        ("ASSIGNED_TO", "person:ticket_portal/2"),
        ("BELONGS_TO", "category:ticket_portal/1"),
        ("person:ticket_portal/5", "BELONGS_TO", "department:magazijn", "internal"),
        ("AFFECTS", "configuration_item:polder_ticket%5Fportal_ci-31", "internal"),
        ("AFFECTS", "product:dell latitude 5440"),
        ("LOCATED_AT", "location:hengelo, kantoor"),
    ]
    assert found.relations[0].target.name == "José Bakker"
    assert found.relations[1].target.facts == {"department": "Magazijn"}


@pytest.mark.parametrize(
    ("relation", "kind"),
    [("affects", "AFFECTS"), ("caused_by", "AFFECTS"), ("resolved_by", "RESOLVED_BY"), ("related_to", "MENTIONS")],
)
def test_a_related_item_is_related_as_the_portal_says(relation: str, kind: str) -> None:
    item = TICKET["related_cis"][0] | {"relation_type": relation}
    found = document("tickets", TICKET | {"related_cis": [item], "fields": []})
    assert edges(found)[-1] == (kind, "configuration_item:polder_ticket%5Fportal_ci-31", "internal")


@pytest.mark.parametrize(("status", "state"), [("open", "open"), ("resolved", "resolved"), ("Closed", "resolved")])
def test_a_closed_ticket_is_resolved(status: str, state: str) -> None:
    entity = document("tickets", TICKET | {"ticket": TICKET["ticket"] | {"status": status}}).entity
    assert entity is not None
    assert entity.facts["state"] == state


def test_an_item_is_the_one_that_tickets_name_with_its_numbers_owner_and_product() -> None:
    found = document("configuration_items", ITEM)
    assert found.entity is not None
    assert found.entity.node_id == document("tickets", TICKET).relations[5].target.node_id
    assert found.entity.aliases == ("CI-2026-031", "HB4-221", "A-1009")
    assert found.entity.facts == {
        "serial_number": "HB4-221",
        "brand": "Dell",
        "model": "Latitude 5440",
        "status": "In gebruik",
    }
    assert [edge for edge in edges(found) if "internal" not in edge] == [
        ("ASSIGNED_TO", "person:ticket_portal/5"),
        ("BELONGS_TO", "department:magazijn"),
        ("BELONGS_TO", "product:dell latitude 5440"),
        ("LOCATED_AT", "location:hengelo, kantoor"),
    ]


@pytest.mark.parametrize(
    ("brand", "model", "product"),
    [("Dell", "Dell X1", "dell x1"), (None, "X1", "x1"), ("Dell", None, None), ("Del", "Dell X1", "del dell x1")],
)
def test_a_product_is_its_brand_and_model_each_once(brand: str | None, model: str | None, product: str | None) -> None:
    item = {"ci_id": 31, "brand": brand, "model": model}
    expected = [("BELONGS_TO", f"product:{product}")] if product else []
    assert edges(document("configuration_items", {"item": item})) == expected


def test_an_article_has_its_number_author_and_category() -> None:
    found = document("knowledge_base", ARTICLE)
    assert found.entity is not None
    assert found.entity.aliases == ("KB-12",)
    assert edges(found) == [("CREATED_BY", "person:ticket_portal/2"), ("BELONGS_TO", "category:ticket_portal/1")]


def test_no_odd_field_spoils_a_document() -> None:
    for stream, payload in (("tickets", TICKET), ("knowledge_base", ARTICLE), ("configuration_items", ITEM)):
        check_odd_fields(
            payload,
            lambda odd, stream=stream: plain(stream, odd),
            lambda odd, stream=stream: document(stream, odd),
        )
