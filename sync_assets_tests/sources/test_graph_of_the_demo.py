"""What the demo companies' records tell of the knowledge graph, each source asked as in production."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from sync_assets.demo.company import DemoCompany
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Document, document_id
from sync_assets.relations import EdgeKind, Entity
from sync_assets.sources import SOURCE_NAMES, source_module
from sync_assets.support_database.loading import load

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
STREAMS = {
    "freshdesk": ("tickets", "articles"),
    "ticket_portal": ("tickets", "knowledge_base", "configuration_items"),
    "zoho_desk": ("tickets", "articles"),
    "support_database": ("kb_articles",),
    "slack": ("messages",),
    "discord": ("messages",),
    "gitlab": ("issues", "merge_requests", "commits", "files", "wikis"),
    "backlog": ("issues", "wikis", "documents"),
}
# What each source's fields tell of at the least.
TOLD = {
    "freshdesk": {EdgeKind.CREATED_BY, EdgeKind.ASSIGNED_TO, EdgeKind.BELONGS_TO},
    "ticket_portal": {
        *(EdgeKind.CREATED_BY, EdgeKind.ASSIGNED_TO, EdgeKind.BELONGS_TO, EdgeKind.AFFECTS),
        *(EdgeKind.RESOLVED_BY, EdgeKind.MENTIONS, EdgeKind.LOCATED_AT),
    },
    "zoho_desk": {EdgeKind.CREATED_BY, EdgeKind.ASSIGNED_TO, EdgeKind.BELONGS_TO},
    "support_database": {EdgeKind.BELONGS_TO},
    "slack": {EdgeKind.BELONGS_TO},
    "discord": {EdgeKind.BELONGS_TO},
    "gitlab": {EdgeKind.CREATED_BY, EdgeKind.ASSIGNED_TO, EdgeKind.BELONGS_TO, EdgeKind.RESOLVED_BY},
    "backlog": {EdgeKind.CREATED_BY, EdgeKind.ASSIGNED_TO, EdgeKind.BELONGS_TO},
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    folder = tmp_path_factory.mktemp("demo")
    company = DemoCompany(folder / "portal.sqlite", folder / "seed")
    company.write_files()
    with DemoServers(company=company) as running:
        yield running


@pytest.mark.parametrize("name", SOURCE_NAMES)
def test_records_tell_who_and_what_they_belong_to(
    servers: DemoServers, name: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("SYNC_ASSETS_DATABASE_URL", postgres_url)
    accounts = {tenant: sources[name] for tenant, sources in servers.tenants.items() if name in sources}
    for tenant, settings in accounts.items():
        if name == "support_database":
            engine = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
            load(engine, tenant, Path(settings["folder"]))
            engine.dispose()
        found, gone = documents(name, tenant, settings)
        entities = {document.document_id: document.entity for document in found}
        assert all(entities.values()), "every record stands for something"
        for document in found:
            for entity in _named_by(document):
                is_record = entity.key.startswith(f"{tenant}_")
                assert not is_record or entity.key in entities.keys() | gone, (document.document_id, entity)
        assert {relation.kind for document in found for relation in document.relations} >= TOLD[name]


def documents(name: str, tenant: str, settings: dict[str, object]) -> tuple[list[Document], set[str]]:
    """All that lives upstream, and the document ids of what is gone."""
    module = source_module(name)
    found: list[Document] = []
    gone: set[str] = set()
    with module.Source(tenant, module.Account.model_validate(settings)) as source:
        for stream in STREAMS[name]:
            for record in source.extract(stream, *EVER):
                if record.event == "live":
                    found.append(source.to_document(stream, record))
                elif record.event == "deleted":
                    gone.add(document_id(tenant, name, record.record_id))
    return found, gone


def _named_by(document: Document) -> Iterator[Entity]:
    for relation in document.relations:
        yield relation.target
        if relation.source is not None:
            yield relation.source
