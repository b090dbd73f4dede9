"""Searches over HTTP: what is found, on whose behalf, and in what form."""

from typing import Any

from fastapi.testclient import TestClient

from sync_assets_tests.api.installations import INTERNAL, PUBLIC, bearer
from sync_assets_tests.command_line import TICKETS, Installation


def results(client: TestClient, key: str = INTERNAL, **body: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/search", json={"text": "de the", "top_k": 50, **body}, headers=bearer(key))
    assert response.status_code == 200, response.text
    return response.json()["results"]


def test_a_tenant_finds_its_documents_in_every_store(client: TestClient) -> None:
    for store in ("pgvector", "qdrant"):
        found = results(client, store=store)
        assert len({hit["document_id"] for hit in found}) == TICKETS
        assert {hit["document_id"].split("_")[0] for hit in found} == {"polder"}
        assert all(hit["text"] and hit["chunk_id"] and "score" in hit for hit in found)


def test_filters_and_the_number_of_results_hold(client: TestClient) -> None:
    statuses = {hit["metadata"]["status"] for hit in results(client)}
    for status in statuses:
        found = results(client, filters={"status": status, "stream": "tickets"})
        assert found
        assert {hit["metadata"]["status"] for hit in found} == {status}
    assert results(client, filters={"status": "no such status"}) == []
    assert len(results(client, top_k=2)) == 2


def test_an_audience_is_what_the_key_allows(installation: Installation, client: TestClient) -> None:
    conversations = installation.servers.company.desks["polder"].data.conversations.values()
    note = next(row["body_text"] for rows in conversations for row in rows if row["private"])
    asked = {"text": note[:1000], "mode": "dense", "filters": {"role": "comment"}}
    assert "internal" in {hit["visibility"] for hit in results(client, audience="internal", **asked)}
    assert {hit["visibility"] for hit in results(client, PUBLIC, **asked)} <= {"public"}
    for key, wider in (
        (PUBLIC, {"audience": "internal"}),
        (PUBLIC, {"principals": ["team:vpn"]}),
        (INTERNAL, {"principals": ["team:vpn", "team:other"]}),
    ):
        assert client.post("/v1/search", json={"text": "a", **wider}, headers=bearer(key)).status_code == 403
    assert results(client, principals=["team:vpn"])
