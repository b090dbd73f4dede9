"""What a support database's articles tell of the knowledge graph."""

from datetime import UTC, datetime
from typing import Any

from sync_assets.documents import Document, Record
from sync_assets.sources.support_database import STREAM, Account, Source
from sync_assets_tests.sources.graph import edges

ID = "0b0e7d5e-6a52-4f3c-9e0a-000000000001"


def document(**changes: Any) -> Document:
    payload = {"id": ID, "title": "Reset", "content": "Hold it.", "url": "https://help.example/reset"} | changes
    record = Record(record_id=ID, observed_at=datetime(2026, 11, 14, tzinfo=UTC), payload=payload)
    with Source("acme", Account()) as source:
        return source.to_document(STREAM, record)


def test_an_article_has_its_address_and_belongs_to_its_category() -> None:
    found = document(category="Voice  &amp; Phones")
    assert found.entity is not None
    assert found.entity.key == found.document_id
    assert found.entity.name == "Reset"
    assert found.entity.facts == {"url": "https://help.example/reset"}
    assert edges(found) == [("BELONGS_TO", "category:voice & phones")]


def test_an_article_without_category_and_address_has_neither() -> None:
    found = document(category=" ", url=None)
    assert found.entity is not None
    assert (found.entity.facts, found.relations) == ({}, [])
