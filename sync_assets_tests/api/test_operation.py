"""Health, readiness and metrics."""

from fastapi.testclient import TestClient

from sync_assets_tests.api.installations import OPERATOR, PUBLIC, api, bearer
from sync_assets_tests.command_line import STORES, TICKETS, Installation


def test_the_process_lives_and_all_that_it_needs_answers(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert set(ready.json()["parts"]) >= {"ledger", "storage", *STORES}


def test_what_is_down_is_named_and_nothing_else_of_it_is_told(installation: Installation) -> None:
    gone = "postgresql://somebody:secret@127.0.0.1:9/nowhere"
    with api(installation, SYNC_ASSETS_DATABASE_URL=gone) as client:
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["parts"]["ledger"]) == (503, "down")
        assert client.get("/health").status_code == 200
        search = client.post("/v1/search", json={"text": "a"}, headers=bearer(PUBLIC))
        assert (search.status_code, search.json()["title"]) == (503, "Not available")
        for text in (ready.text, search.text):
            assert "127.0.0.1" not in text
            assert "secret" not in text


def test_metrics_tell_what_is_stored_and_what_was_searched(client: TestClient) -> None:
    for _ in range(2):
        client.post("/v1/search", json={"text": "a", "mode": "dense"}, headers=bearer(PUBLIC))
    text = client.get("/metrics", headers=bearer(OPERATOR)).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    place = 'source="freshdesk",store="pgvector",stream="tickets",tenant="{}"'
    for tenant in ("acme", "polder"):
        of_tenant = "{" + place.format(tenant) + "}"
        assert float(lines[f"sync_assets_documents{of_tenant}"]) == TICKETS
        assert float(lines[f"sync_assets_chunks{of_tenant}"]) >= TICKETS
        assert float(lines[f"sync_assets_quarantined{of_tenant}"]) == 0
        assert 0 <= float(lines[f"sync_assets_seconds_since_success{of_tenant}"]) < 3600
    assert float(lines['sync_assets_runs{status="success"}']) >= 1
    assert float(lines['sync_assets_searches_total{mode="dense",outcome="answered"}']) == 2
    assert float(lines['sync_assets_search_seconds_count{mode="dense"}']) == 2
