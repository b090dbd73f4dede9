"""Search: one tenant, one audience, each document once, and never vectors of another model."""

from collections.abc import Iterator
from typing import Any

import pytest

from sync_assets.demo.company import TENANTS
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.errors import FingerprintMismatch, SettingsError
from sync_assets.search import search
from sync_assets.services import Services
from sync_assets.vector_stores import Audience
from sync_assets_tests.command_line import ARTICLES, STORES, TICKETS, Installation, small_company
from sync_assets_tests.postgres import fresh_database

PUBLIC = Audience(visibility=Visibility.PUBLIC)
INTERNAL = Audience(visibility=Visibility.INTERNAL)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    """Both tenants, synced."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        made = Installation(tmp_path_factory.mktemp("search") / "home", url, servers)
        made.sync("--all")
        yield made


@pytest.fixture
def services(installation: Installation) -> Iterator[Services]:
    with installation.services() as services:
        yield services


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("tenant", TENANTS)
def test_every_document_of_the_tenant_comes_once_and_none_of_another(
    services: Services, tenant: str, store: str
) -> None:
    found = search(services, "de the", tenant=tenant, audience=INTERNAL, store=store, top_k=100)
    assert len({hit.document_id for hit in found}) == len(found) == TICKETS + ARTICLES // 2
    assert all(hit.document_id.startswith(f"{tenant}_freshdesk_") for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_a_document_stands_with_its_nearest_chunk_however_many_it_has(services: Services) -> None:
    """Few documents with many chunks fill the first page of chunks; the others must come all the same."""
    ticket = next(hit for hit in _all(services) if hit.path != "header")
    best = search(services, ticket.text, tenant="polder", audience=INTERNAL, top_k=1)
    assert (best[0].document_id, best[0].text) == (ticket.document_id, ticket.text)
    assert best[0].score == pytest.approx(1.0, abs=1e-3)
    top = search(services, ticket.text, tenant="polder", audience=INTERNAL, top_k=TICKETS)
    assert len({hit.document_id for hit in top}) == TICKETS


@pytest.mark.parametrize("store", STORES)
def test_stores_answer_alike(services: Services, store: str) -> None:
    asked: dict[str, Any] = {"tenant": "acme", "audience": PUBLIC, "top_k": 3}
    default = search(services, "no internet", **asked)
    assert [hit.score for hit in search(services, "no internet", store=store, **asked)] == pytest.approx(
        [hit.score for hit in default], abs=1e-4
    )
    assert search(services, "no internet", store="pgvector", **asked) == default, "the first store by name answers"


def test_a_search_without_a_tenant_or_an_audience_is_a_type_error(services: Services) -> None:
    with pytest.raises(TypeError):
        search(services, "x", audience=PUBLIC)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        search(services, "x", tenant="acme")  # pyright: ignore[reportCallIssue]


def test_a_tenant_that_has_nothing_yet_is_told_to_sync(installation: Installation, services: Services) -> None:
    text = installation.tenants_file.read_text()
    try:
        installation.tenants_file.write_text(f"{text}  newcomer: {{}}\n")
        with pytest.raises(SettingsError, match=r"nothing of tenant 'newcomer' in any store\. Run `sync-assets sync`"):
            search(services, "x", tenant="newcomer", audience=PUBLIC)
    finally:
        installation.tenants_file.write_text(text)


def test_a_model_that_changed_under_its_name_is_refused(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = HashEmbedder(8)
    changed.fingerprint = changed.fingerprint.model_copy(update={"revision": "2"})
    monkeypatch.setattr(services, "embedder_of", lambda _: changed)
    with pytest.raises(FingerprintMismatch, match=r"hash-8 \(8d, hash float32, 1\).*'hash-8' is .*float32, 2\)"):
        search(services, "x", tenant="acme", audience=PUBLIC)


def _all(services: Services) -> list[Any]:
    return search(services, "temperatuur", tenant="polder", audience=INTERNAL, top_k=100, filters={"stream": "tickets"})
